//! Instances that die under load.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::balancer;
use crate::client::Client;
use crate::kinds::on_each_kind;
use crate::shop::{Process, Shop};

/// How long shoppers go on buying.
const LOAD: Duration = Duration::from_secs(4);
/// How many buy at the same time.
const SHOPPERS: u32 = 4;

on_each_kind!(killing_an_orders_instance_under_load_loses_no_request);
async fn killing_an_orders_instance_under_load_loses_no_request() {
    let shop = Shop::open().await;
    let settings = shop.settings();
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Process::start("orders", &settings).await);
    }
    let door = balancer::open(
        instances
            .iter()
            .map(|instance| instance.address.clone())
            .collect(),
    )
    .await;
    let mut settings = settings;
    settings.insert("ORDERS_ADDRESS", door);
    let gateway = Process::start("gateway", &settings).await;

    let mut buying = JoinSet::new();
    for number in 1..=SHOPPERS {
        let shopper = gateway.client.logged_in(number).await;
        buying.spawn(async move { buy_until(&shopper, number, Instant::now() + LOAD).await });
    }
    tokio::time::sleep(LOAD / 3).await;
    instances[0].child.start_kill().unwrap();
    tokio::time::sleep(LOAD / 3).await;
    instances[1].child.start_kill().unwrap();

    let bought: Vec<String> = buying.join_all().await.into_iter().flatten().collect();
    assert!(bought.len() > 20, "only {} orders were made", bought.len());
    for id in bought.iter().rev().take(20) {
        let charges = shop
            .payments
            .get(&format!("/charges/{id}"))
            .await
            .expect(200)
            .json();
        assert_eq!(charges.as_array().map(Vec::len), Some(1));
    }
    all_notified(&shop, bought.len()).await;
    shop.close().await;
}

// Buys again and again; every answer must be a success. The ids of the orders.
async fn buy_until(shopper: &Client, number: u32, end: Instant) -> Vec<String> {
    let mut orders = Vec::new();
    while Instant::now() < end {
        let cart = shopper.cart_with("p-0100", 1).await;
        let seen = shopper
            .get(&format!("/carts/{cart}"))
            .await
            .expect(200)
            .json();
        assert_eq!(seen["items"][0]["quantity"], 1, "a repetition added twice");
        let key = format!("{number}-{}", orders.len());
        orders.push(
            shopper
                .check_out(&cart, &key)
                .await
                .expect(200)
                .text_at("/order_id"),
        );
    }
    orders
}

async fn all_notified(shop: &Shop, wanted: usize) {
    let reached = async {
        loop {
            let told = read(&shop.notifications).await.remove("delivery");
            let told: Vec<String> = told
                .unwrap_or_default()
                .iter()
                .map(Value::to_string)
                .collect();
            let orders: BTreeSet<&String> = told.iter().collect();
            assert_eq!(told.len(), orders.len(), "an order was notified twice");
            if told.len() == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    // A batch claimed by the killed instance is sent again when its claim has run out.
    tokio::time::timeout(Duration::from_secs(20), reached)
        .await
        .expect("not every order was notified");
}

on_each_kind!(a_callee_that_is_gone_is_a_clear_503_and_others_go_on);
async fn a_callee_that_is_gone_is_a_clear_503_and_others_go_on() {
    let shop = Shop::open().await;
    let mut settings = shop.settings();
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.insert("ORDERS_ADDRESS", nobody.local_addr().unwrap().to_string());
    drop(nobody);
    let gateway = Process::start("gateway", &settings).await;
    let shopper = gateway.client.logged_in(1).await;
    let reply = shopper.post("/carts", Value::Null).await.expect(503);
    assert!(reply.text_at("/error").contains("orders"), "{}", reply.text);
    assert_eq!(reply.headers["retry-after"], "1");
    assert_eq!(
        gateway
            .client
            .metric("upstream_retries_total{callee=\"orders\"")
            .await,
        2
    );
    gateway.client.get("/products").await.expect(200);
    gateway.client.get("/ready").await.expect(200);
    gateway.terminate();
    let (code, log) = gateway.end().await;
    assert_eq!(code, Some(0));
    let warning = log
        .iter()
        .find(|line| line["level"] == "WARN")
        .expect("a server error is logged");
    assert_eq!(
        (warning["route"].as_str(), warning["status"].as_u64()),
        (Some("/carts"), Some(503))
    );
    assert!(
        warning["correlation"]
            .as_str()
            .is_some_and(|id| id.len() == 32),
        "{warning}"
    );
    shop.close().await;
}

// Kills the instance that drives an order while one of its callees holds its answer back; the order as
// another instance leaves it, and its charges at the bank.
async fn left_behind(slow: &'static str, delay: &'static str) -> (Shop, Value, usize) {
    let shop = Shop::open_with(&[(slow, "DELAY_MS", delay)]).await;
    let mut process = Process::start("orders", &shop.settings()).await;
    let buyer = process
        .client
        .with("x-shopper-id", "s-0001")
        .with("idempotency-key", "key-1");
    let wish = json!({ "items": [{ "product_id": "p-0110", "quantity": 2 }] }).to_string();
    let buying = tokio::spawn(async move { buyer.send(Method::POST, "/checkout", wish).await });
    let state = if slow == "catalog" {
        "pending"
    } else {
        "reserved"
    };
    let begun = Instant::now();
    while !read(&shop.orders[0]).await.contains_key("order") {
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "no order was made"
        );
    }
    at_rest(&shop.orders[0], &[state]).await;
    process.child.kill().await.unwrap();
    assert!(buying.await.unwrap().is_err(), "the answer was not lost");
    let killed = Instant::now();
    let orders = at_rest(&shop.orders[0], &["confirmed", "cancelled"]).await;
    assert!(
        killed.elapsed() < Duration::from_secs(7),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(orders.len(), 1);
    let charges = read(&shop.bank).await;
    let charges = charges.get("charge").map_or(0, Vec::len);
    (shop, orders[0].clone(), charges)
}

on_each_kind!(an_order_whose_driver_died_while_it_was_charged_is_finished_and_charged_once);
async fn an_order_whose_driver_died_while_it_was_charged_is_finished_and_charged_once() {
    let (shop, order, charges) = left_behind("payments", "900").await;
    assert_eq!(order["states"], json!(["pending", "reserved", "confirmed"]));
    assert_eq!(charges, 1);
    // The shopper asks again under the same key and hears of the same order.
    let again = shop.orders[1]
        .with("x-shopper-id", "s-0001")
        .with("idempotency-key", "key-1")
        .post(
            "/checkout",
            json!({ "items": [{ "product_id": "p-0110", "quantity": 2 }] }),
        )
        .await;
    assert_eq!(
        again.expect(200).text_at("/order_id"),
        order["id"].as_str().unwrap()
    );
    shop.close().await;
}

on_each_kind!(
    an_order_whose_driver_died_before_it_was_charged_is_cancelled_and_its_stock_given_back
);
async fn an_order_whose_driver_died_before_it_was_charged_is_cancelled_and_its_stock_given_back() {
    let (shop, order, charges) = left_behind("catalog", "900").await;
    assert_eq!(order["states"], json!(["pending", "cancelled"]));
    assert_eq!(charges, 0);
    let given_back =
        async { while read(&shop.catalog).await["stock"][109]["available"] != 1_000_000 {} };
    tokio::time::timeout(Duration::from_secs(8), given_back)
        .await
        .expect("the stock was not given back");
    shop.close().await;
}
