//! Taking orders back: one that was sold, by its shopper; one whose payment stays open, by itself.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::SqlitePool;
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::client::Client;
use crate::journeys::stock;
use crate::kinds::on_each_kind;
use crate::shop::{Process, Settings, Shop};

/// States in which an order of these tests stays.
const FINAL: [&str; 2] = ["refunded", "refused"];

async fn bought(shop: &Shop, product: &str) -> (Client, String) {
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with(product, 2).await;
    let order = shopper.check_out(&cart, "key-1").await.expect(200);
    (shopper, order.text_at("/order_id"))
}

async fn cancel(shopper: &Client, id: &str) -> Value {
    let path = format!("/orders/{id}/cancel");
    shopper.post(&path, Value::Null).await.expect(200).json()
}

on_each_kind!(a_sold_order_is_taken_back_once_however_often_it_is_asked_for);
async fn a_sold_order_is_taken_back_once_however_often_it_is_asked_for() {
    let shop = Shop::open().await;
    let (shopper, id) = bought(&shop, "p-0080").await;
    let mut cancelling = JoinSet::new();
    for turn in 0..8 {
        let shopper = shop.orders[turn % 2].with("x-shopper-id", "s-0001");
        let id = id.clone();
        cancelling.spawn(async move { cancel(&shopper, &id).await });
    }
    let told = cancelling.join_all().await;
    assert!(
        told.iter().all(|told| told["status"] == "refunded"),
        "{told:#?}"
    );
    assert_eq!(cancel(&shopper, &id).await, told[0]);

    assert_eq!(stock(&shop.catalog, "p-0080").await, 1_000_000);
    let orders = read(&shop.orders[0]).await.remove("order").unwrap();
    let states = json!(["pending", "reserved", "confirmed", "cancelling", "refunded"]);
    assert_eq!(orders[0]["states"], states);
    let moved = read(&shop.bank).await;
    assert_eq!((moved["charge"].len(), moved["refund"].len()), (1, 1));
    let charges = shop.payments.get(&format!("/charges/{id}")).await.json();
    let refunds = charges[0]["refunds"].as_array().unwrap();
    assert_eq!(refunds.len(), 1);
    assert_eq!(refunds[0]["amount"], charges[0]["amount"]);
    told_of_both(&shop.notifications, &id).await;
    let deliveries = read(&shop.notifications).await.remove("delivery").unwrap();
    assert_eq!(deliveries.len(), 1);
    // The purchase is over: its key does not buy again.
    let items = json!({ "items": [{ "product_id": "p-0080", "quantity": 1 }] });
    let again = shopper.with("idempotency-key", "key-1");
    again.post("/checkout", items).await.expect(422);
    shop.close().await;
}

// The confirmation and the end of it, each once.
async fn told_of_both(notifications: &Client, id: &str) {
    let heard = async {
        loop {
            let path = format!("/notifications/{id}");
            let events = notifications.get(&path).await.expect(200).json()["events"].clone();
            if events.as_array().unwrap().len() == 2 {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let events = tokio::time::timeout(Duration::from_secs(10), heard).await;
    let events = events.expect("both events arrive");
    let mut kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["order-confirmed", "order-refunded"]);
}

on_each_kind!(only_a_sold_order_of_ones_own_can_be_taken_back);
async fn only_a_sold_order_of_ones_own_can_be_taken_back() {
    let shop = Shop::open().await;
    let (_, id) = bought(&shop, "p-0081").await;
    let path = format!("/orders/{id}/cancel");
    let neighbour = shop.gateway.logged_in(2).await;
    neighbour.post(&path, Value::Null).await.expect(404);
    shop.gateway.post(&path, Value::Null).await.expect(401);
    let items = json!({
        "items": [{ "product_id": "p-0082", "quantity": 1 }], "card": "card-declined",
    });
    let buyer = neighbour.with("idempotency-key", "key-2");
    buyer.post("/checkout", items).await.expect(402);
    let orders = read(&shop.orders[0]).await.remove("order").unwrap();
    let refused = orders.iter().find(|order| order["key"] == "key-2").unwrap();
    let path = format!("/orders/{}/cancel", refused["id"].as_str().unwrap());
    let never = neighbour.post(&path, Value::Null).await.expect(409);
    assert!(
        never.text_at("/error").contains("refused"),
        "{}",
        never.text
    );
    assert!(!read(&shop.bank).await.contains_key("refund"));
    shop.close().await;
}

// An order as a process leaves it that dies before it asks for money, long ago, with one piece set aside.
async fn leave_behind(catalog: &Client, data: &Path, id: &str) {
    let lines = json!([{ "product_id": "p-0083", "quantity": 1 }]);
    let wish = json!({ "order_id": id, "lines": lines });
    let reserved = catalog.post("/reservations", wish).await.expect(200).json();
    let database = format!("sqlite://{}/orders.sqlite", data.display());
    let database = SqlitePool::connect(&database).await.unwrap();
    sqlx::query(
        "INSERT INTO orders (id, shopper_id, request_key, fingerprint, card, lines, amount, state, due,
                             created_at, updated_at)
         VALUES (?1, 's-0001', ?1, 'x', 'card-demo', ?2, ?3, 'reserved', 1, 0, 0)",
    )
    .bind(id)
    .bind(lines.to_string())
    .bind(reserved["amount"].as_i64())
    .execute(&database)
    .await
    .unwrap();
}

on_each_kind!(a_voided_charge_moves_no_money_whether_it_was_made_or_not);
async fn a_voided_charge_moves_no_money_whether_it_was_made_or_not() {
    let shop = Shop::open().await;
    let wish = json!({ "order_id": "o-1", "shopper_id": "s", "amount": 990, "card": "card-demo" });
    for (key, charged) in [("k-made", true), ("k-never", false)] {
        let payments = shop.payments.with("idempotency-key", key);
        if charged {
            payments.post("/charges", wish.clone()).await.expect(200);
        }
        for _ in 0..2 {
            payments.post("/voids", wish.clone()).await.expect(200);
        }
        // A charge that comes late hears what the key came to, and moves nothing.
        let late = payments.post("/charges", wish.clone()).await;
        late.expect(if charged { 200 } else { 402 });
        let mut other = wish.clone();
        other["amount"] = json!(991);
        payments.post("/voids", other).await.expect(422);
    }
    let moved = read(&shop.bank).await;
    assert_eq!((moved["charge"].len(), moved["refund"].len()), (1, 1));
    shop.close().await;
}

/// Payments stands still for longer than an order may wait: the order is called off, and the charge that
/// was on its way all the time is given back.
#[tokio::test]
async fn an_order_whose_payment_stays_open_is_called_off_and_keeps_nothing() {
    let shop = Shop::open().await;
    let payments = Process::start("payments", &shop.settings()).await;
    let mut settings: Settings = shop.settings();
    settings.insert("PAYMENTS_ADDRESS", payments.address.clone());
    payments.signal(Signal::STOP);
    // The roles of the shop itself would find the order as well, and their payments answers.
    let aside = tempfile::tempdir().unwrap();
    settings.insert("DATA_DIR", aside.path().display().to_string());
    let orders = Process::start("orders", &settings).await;
    leave_behind(&shop.catalog, aside.path(), "o-open").await;
    let called_off = async {
        while at_state(&orders.client, "o-open").await != "voiding" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(15), called_off)
        .await
        .expect("the order was not called off");
    payments.signal(Signal::CONT);
    let told = at_rest(&orders.client, &FINAL).await;
    assert_eq!(told[0]["states"], json!(["reserved", "voiding", "refused"]));
    assert_eq!(stock(&shop.catalog, "p-0083").await, 1_000_000);
    let net = async {
        loop {
            let moved = read(&shop.bank).await;
            let count = |kind: &str| moved.get(kind).map_or(0, Vec::len);
            if count("charge") == count("refund") {
                return;
            }
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(5), net).await;
    settled.expect("what was charged goes back");
    shop.close().await;
}

async fn at_state(orders: &Client, id: &str) -> String {
    let shopper = orders.with("x-shopper-id", "s-0001");
    let path = format!("/orders/{id}");
    shopper.get(&path).await.expect(200).text_at("/status")
}
