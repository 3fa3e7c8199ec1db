//! Each planted bug does its harm when its process ends, and what a sound process does instead.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::balancer;
use crate::client::Client;
use crate::kinds::on_each_kind;
use crate::shop::{Process, Settings, Shop};

/// States in which an order stays.
const FINAL: [&str; 3] = ["confirmed", "refused", "cancelled"];

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
