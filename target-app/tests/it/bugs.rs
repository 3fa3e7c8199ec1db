//! Each planted bug does its harm when its process ends, and what a sound process does instead.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::balancer;
use crate::client::Client;
use crate::journeys::stock;
use crate::kinds::on_each_kind;
use crate::shop::{Process, Settings, Shop, settings};

/// States in which an order stays.
const FINAL: [&str; 4] = ["confirmed", "refused", "cancelled", "refunded"];

fn with_bug(shop: &Shop, bug: Option<&str>) -> Settings {
    let mut settings = shop.settings();
    settings.extend(bug.map(|bug| ("BUG", bug.to_owned())));
    settings
}

// Buys one piece straight at an instance; fails as the connection does.
async fn buy(orders: &Client, key: &str) -> Result<String, String> {
    let body = json!({ "items": [{ "product_id": "p-0070", "quantity": 1 }] }).to_string();
    let buyer = orders
        .with("x-shopper-id", "s-0001")
        .with("idempotency-key", key);
    let bought = async {
        loop {
            let reply = buyer
                .send(http::Method::POST, "/checkout", body.clone())
                .await?;
            // A machine at its limit may say so; under its key it stays one purchase.
            if !matches!(reply.status.as_u16(), 502..=504) {
                return Ok(reply.expect(200).text_at("/order_id"));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), bought)
        .await
        .expect("the store stayed busy")
}

// Buys from an instance, kills it at once, and says whether what it acknowledged is sold in the end.
async fn sold_after_a_kill(bug: Option<&str>) -> bool {
    let shop = Shop::open().await;
    let mut process = Process::start("orders", &with_bug(&shop, bug)).await;
    let id = buy(&process.client, "key-1").await.unwrap();
    process.child.kill().await.unwrap();
    let orders = at_rest(&shop.orders[0], &FINAL).await;
    let order = orders.iter().find(|order| order["id"] == *id).unwrap();
    let states = order["states"].as_array().unwrap();
    let sold = states.last().unwrap() == "confirmed";
    assert_eq!(read(&shop.bank).await["charge"].len(), 1);
    shop.close().await;
    sold
}

on_each_kind!(an_order_acknowledged_before_its_commit_is_lost_with_its_process);
async fn an_order_acknowledged_before_its_commit_is_lost_with_its_process() {
    assert!(!sold_after_a_kill(Some("acknowledge_before_commit")).await);
    assert!(sold_after_a_kill(None).await);
}

// Kills a payments instance that the bank has not answered yet; the charges of the one order.
async fn charges_after_a_kill(bug: Option<&str>) -> usize {
    let shop = Shop::open_with(&[("bank", "BANK_DELAY_MS", "300")]).await;
    let mut settings = with_bug(&shop, bug);
    let mut payments = [
        Process::start("payments", &settings).await,
        Process::start("payments", &settings).await,
    ];
    settings.remove("BUG");
    let door = payments.iter().map(|process| process.address.clone());
    settings.insert("PAYMENTS_ADDRESS", balancer::open(door.collect()).await);
    let orders = Process::start("orders", &settings).await;
    let buyer = orders.client.clone();
    let buying = tokio::spawn(async move { buy(&buyer, "key-1").await });
    let charged = async { while !read(&shop.bank).await.contains_key("charge") {} };
    tokio::time::timeout(Duration::from_secs(5), charged)
        .await
        .unwrap();
    // The door gave the first connection to the first instance.
    payments[0].child.kill().await.unwrap();
    let id = buying.await.unwrap().unwrap();
    let charges = read(&shop.bank).await.remove("charge").unwrap();
    assert!(charges.iter().all(|charge| charge["order"] == *id));
    shop.close().await;
    charges.len()
}

on_each_kind!(a_charge_asked_for_again_is_made_twice_only_under_a_fresh_key);
async fn a_charge_asked_for_again_is_made_twice_only_under_a_fresh_key() {
    assert_eq!(charges_after_a_kill(Some("charge_twice_on_retry")).await, 2);
    assert_eq!(charges_after_a_kill(None).await, 1);
}

// Sells some orders, ends their process in order, and counts those whose event never arrived.
async fn undelivered_after_a_stop(bug: Option<&str>) -> usize {
    let shop = Shop::open().await;
    let process = Process::start("orders", &with_bug(&shop, bug)).await;
    let mut buying = JoinSet::new();
    for number in 0..10 {
        let client = process.client.clone();
        buying.spawn(async move { buy(&client, &format!("key-{number}")).await.unwrap() });
    }
    let sold = buying.join_all().await;
    process.terminate();
    assert_eq!(process.end().await.0, Some(0));
    let arrived = async || {
        let told = read(&shop.notifications).await;
        told.get("delivery").map_or(0, Vec::len)
    };
    if bug.is_none() {
        // Another instance delivers what is in the database.
        while arrived().await < sold.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let left = sold.len() - arrived().await;
    assert_eq!(at_rest(&shop.orders[0], &FINAL).await.len(), sold.len());
    shop.close().await;
    left
}

on_each_kind!(events_kept_in_memory_are_lost_when_their_process_stops);
async fn events_kept_in_memory_are_lost_when_their_process_stops() {
    assert!(undelivered_after_a_stop(Some("lose_outbox")).await > 0);
    assert_eq!(undelivered_after_a_stop(None).await, 0);
}

on_each_kind!(a_planted_bug_is_announced_in_the_log);
async fn a_planted_bug_is_announced_in_the_log() {
    let shop = Shop::open().await;
    let settings = with_bug(&shop, Some("lose_outbox"));
    let child = crate::shop::command("orders", &settings)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let log = first_line(child).await;
    assert_eq!(
        (log["level"].as_str(), log["bug"].as_str()),
        (Some("WARN"), Some("lose_outbox"))
    );
    shop.close().await;
}

async fn first_line(mut child: tokio::process::Child) -> Value {
    use tokio::io::AsyncBufReadExt as _;
    let log = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let line = log.lines().next_line().await.unwrap().unwrap();
    serde_json::from_str(&line).unwrap()
}

// Two orders of one piece at the same moment; the pieces that are gone.
async fn gone_after_two_at_once(bug: &str) -> i64 {
    let shop = Shop::open_with(&[("catalog", "BUG", bug)]).await;
    let mut asking = JoinSet::new();
    for order in ["o-1", "o-2"] {
        let catalog = shop.catalog.clone();
        let wish =
            json!({ "order_id": order, "lines": [{ "product_id": "p-0070", "quantity": 1 }] });
        asking.spawn(async move { catalog.post("/reservations", wish).await.expect(200).json() });
    }
    asking.join_all().await;
    let gone = 1_000_000 - stock(&shop.catalog, "p-0070").await;
    shop.close().await;
    gone
}

on_each_kind!(two_sales_that_meet_take_one_piece_only_if_stock_is_written_back_as_it_was_read);
async fn two_sales_that_meet_take_one_piece_only_if_stock_is_written_back_as_it_was_read() {
    assert_eq!(gone_after_two_at_once("stock_race").await, 1);
    assert_eq!(gone_after_two_at_once("").await, 2);
}

// Buys while payments hold their answer back for too long; the state of the order.
async fn state_without_an_answer(bug: &str) -> String {
    let slow = ("payments", "DELAY_MS", "1500");
    let shop = Shop::open_with(&[slow, ("orders", "BUG", bug)]).await;
    drop(buy_anyhow(&shop.orders[0], "key-1").await);
    let orders = read(&shop.orders[0]).await.remove("order").unwrap();
    let state = orders[0]["states"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(stock(&shop.catalog, "p-0070").await, 999_999);
    assert_eq!(read(&shop.bank).await["charge"].len(), 1);
    shop.close().await;
    state.as_str().unwrap().to_owned()
}

// Buys, whatever the answer is.
async fn buy_anyhow(orders: &Client, key: &str) -> Result<u16, String> {
    let body = json!({ "items": [{ "product_id": "p-0070", "quantity": 1 }] }).to_string();
    let buyer = orders
        .with("x-shopper-id", "s-0001")
        .with("idempotency-key", key);
    let reply = buyer.send(http::Method::POST, "/checkout", body).await?;
    Ok(reply.status.as_u16())
}

on_each_kind!(an_order_without_word_of_its_charge_is_refused_at_once_only_if_nothing_is_given_back);
async fn an_order_without_word_of_its_charge_is_refused_at_once_only_if_nothing_is_given_back() {
    assert_eq!(
        state_without_an_answer("forget_compensation").await,
        "refused"
    );
    assert_eq!(state_without_an_answer("").await, "reserved");
}

on_each_kind!(a_sale_told_before_its_commit_is_told_again_after_a_kill);
async fn a_sale_told_before_its_commit_is_told_again_after_a_kill() {
    let shop = Shop::open().await;
    let mut process =
        Process::start("orders", &with_bug(&shop, Some("publish_before_commit"))).await;
    let buyer = process.client.clone();
    let buying = tokio::spawn(async move { buy_anyhow(&buyer, "key-1").await });
    let told = async { while !read(&shop.notifications).await.contains_key("delivery") {} };
    tokio::time::timeout(Duration::from_secs(5), told)
        .await
        .unwrap();
    process.child.kill().await.unwrap();
    assert!(buying.await.unwrap().is_err());
    let orders = at_rest(&shop.orders[0], &FINAL).await;
    assert_eq!(
        orders[0]["states"].as_array().unwrap().last().unwrap(),
        "confirmed"
    );
    let twice = async { while read(&shop.notifications).await["delivery"].len() < 2 {} };
    tokio::time::timeout(Duration::from_secs(5), twice)
        .await
        .unwrap();
    shop.close().await;
}

// Sends an event to a process of its own, kills that, and counts what its successor knows of.
async fn known_after_a_kill(bug: Option<&str>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.extend(bug.map(|bug| ("BUG", bug.to_owned())));
    let mut process = Process::start("notifications", &settings).await;
    let event = json!({ "events": [{
        "id": "e-1", "kind": "order-confirmed", "payload": { "order_id": "o-1", "shopper_id": "s-0001" },
    }] });
    process.client.post("/events", event).await.expect(200);
    process.child.kill().await.unwrap();
    settings.remove("BUG");
    let process = Process::start("notifications", &settings).await;
    let told = read(&process.client).await;
    told.get("delivery").map_or(0, Vec::len)
}

#[tokio::test]
async fn an_event_taken_before_it_is_written_dies_with_its_process() {
    assert_eq!(
        known_after_a_kill(Some("acknowledge_before_processing")).await,
        0
    );
    assert_eq!(known_after_a_kill(None).await, 1);
}

// What a piece is shown and sold for after its price went down to 1234.
async fn prices_after_a_change(bug: &str) -> (Value, Value) {
    let shop = Shop::open_with(&[("catalog", "BUG", bug)]).await;
    let product = async || {
        shop.catalog
            .get("/products/p-0070")
            .await
            .expect(200)
            .json()
    };
    product().await;
    let database = shop.book("catalog").await;
    sqlx::query("UPDATE products SET price = 1234 WHERE id = 'p-0070'")
        .execute(&database)
        .await
        .unwrap();
    let shown = product().await["price"].clone();
    let wish = json!({ "order_id": "o-1", "lines": [{ "product_id": "p-0070", "quantity": 1 }] });
    let sold = shop
        .catalog
        .post("/reservations", wish)
        .await
        .expect(200)
        .json();
    shop.close().await;
    (shown, sold["amount"].clone())
}

on_each_kind!(a_price_is_stale_only_if_the_first_one_is_kept);
async fn a_price_is_stale_only_if_the_first_one_is_kept() {
    let (shown, sold) = prices_after_a_change("stale_price").await;
    assert!(shown == sold && shown != 1234, "{shown} {sold}");
    assert_eq!(prices_after_a_change("").await, (json!(1234), json!(1234)));
}

// A token that was good until 2001, signed with the secret of these tests.
const OLD_TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJzdG9yZSIsInN1YiI6InMtMDAwMSIsIml\
     hdCI6OTk5OTk2NDAwLCJleHAiOjEwMDAwMDAwMDB9.EZ8TVgsnQnzAdVceM4VaAIWAfyMwA8OXCGnuaB\
     ksb9s";

async fn status_with_an_old_token(bug: &str) -> u16 {
    let shop = Shop::open_with(&[("gateway", "BUG", bug)]).await;
    let bearer = format!("Bearer {OLD_TOKEN}");
    let shopper = shop.gateway.with("authorization", &bearer);
    let reply = shopper.post("/carts", Value::Null).await;
    shop.close().await;
    reply.status.as_u16()
}

on_each_kind!(an_old_token_opens_the_door_only_if_nobody_looks_at_the_time);
async fn an_old_token_opens_the_door_only_if_nobody_looks_at_the_time() {
    assert_eq!(status_with_an_old_token("accept_expired_token").await, 201);
    assert_eq!(status_with_an_old_token("").await, 401);
}

// Kills the orders instance that works on a check-out, behind a gateway; the orders there are in the end.
async fn orders_after_a_kill(bug: Option<&str>) -> usize {
    let shop = Shop::open_with(&[("bank", "BANK_DELAY_MS", "300")]).await;
    let mut orders = Process::start("orders", &shop.settings()).await;
    let mut settings = with_bug(&shop, bug);
    let door = vec![orders.address.clone(), shop.orders[0].address().to_owned()];
    settings.insert("ORDERS_ADDRESS", balancer::open(door).await);
    let gateway = Process::start("gateway", &settings).await;
    let shopper = gateway
        .client
        .logged_in(1)
        .await
        .with("idempotency-key", "key-1");
    let items = json!({ "items": [{ "product_id": "p-0070", "quantity": 1 }] });
    let buying = tokio::spawn(async move { shopper.post("/checkout", items).await });
    let charged = async { while !read(&shop.bank).await.contains_key("charge") {} };
    tokio::time::timeout(Duration::from_secs(5), charged)
        .await
        .unwrap();
    orders.child.kill().await.unwrap();
    buying.await.unwrap().expect(200);
    let count = at_rest(&shop.orders[0], &FINAL).await.len();
    shop.close().await;
    count
}

on_each_kind!(a_check_out_tried_again_is_a_second_order_only_under_a_new_key);
async fn a_check_out_tried_again_is_a_second_order_only_under_a_new_key() {
    assert_eq!(
        orders_after_a_kill(Some("repeat_checkout_with_new_key")).await,
        2
    );
    assert_eq!(orders_after_a_kill(None).await, 1);
}

// Has a charge refunded by a process that is killed at once; the refunds of the bank.
async fn refunds_after_a_kill(bug: Option<&str>) -> usize {
    let shop = Shop::open().await;
    let mut payments = Process::start("payments", &with_bug(&shop, bug)).await;
    let wish = json!({ "order_id": "o-1", "shopper_id": "s", "amount": 990, "card": "card-demo" });
    let charger = payments.client.with("idempotency-key", "k-1");
    let charge = charger
        .post("/charges", wish)
        .await
        .expect(200)
        .text_at("/charge_id");
    let refunder = payments.client.with("idempotency-key", "k-2");
    let wish = json!({ "order_id": "o-1", "charge_id": charge });
    refunder.post("/refunds", wish).await.expect(200);
    payments.child.kill().await.unwrap();
    let refunds = read(&shop.bank).await.get("refund").map_or(0, Vec::len);
    shop.close().await;
    refunds
}

on_each_kind!(a_refund_promised_before_the_bank_was_asked_dies_with_its_process);
async fn a_refund_promised_before_the_bank_was_asked_dies_with_its_process() {
    assert_eq!(refunds_after_a_kill(Some("lose_refund")).await, 0);
    assert_eq!(refunds_after_a_kill(None).await, 1);
}

on_each_kind!(states_written_late_run_backwards);
async fn states_written_late_run_backwards() {
    let shop = Shop::open_with(&[("orders", "BUG", "reorder_states")]).await;
    buy(&shop.orders[0], "key-1").await.unwrap();
    let set_back = async {
        loop {
            let orders = read(&shop.orders[0]).await.remove("order").unwrap();
            if orders[0]["states"].as_array().unwrap().len() > 2 {
                return orders[0]["states"].clone();
            }
        }
    };
    let states = tokio::time::timeout(Duration::from_secs(5), set_back)
        .await
        .unwrap();
    assert_eq!(states, json!(["pending", "confirmed", "reserved"]));
    shop.close().await;
}
