//! Every role is restarted under load, one process after the other, and no shopper notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::fleet::Fleet;
use crate::journeys::notified;

/// Shoppers who buy at the same time.
const SHOPPERS: u32 = 6;
/// Roles in the order of their restart. The bank is no part of the shop: it is alone with its ledger.
const ROLES: [&str; 6] = [
    "users",
    "catalog",
    "payments",
    "notifications",
    "orders",
    "gateway",
];

/// What shoppers have done so far.
#[derive(Debug, Default)]
struct Load {
    enough: AtomicBool,
    requests: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarting_every_role_under_load_loses_no_request() {
    let mut fleet = Fleet::start().await;
    let load = Arc::new(Load::default());
    let mut shopping = JoinSet::new();
    for number in 1..=SHOPPERS {
        let (gateway, load) = (fleet.at("gateway"), Arc::clone(&load));
        shopping.spawn(async move { shop_until_enough(&gateway, number, &load).await });
    }
    for role in ROLES {
        for _ in 0..2 {
            let before = load.requests.load(Ordering::Relaxed);
            fleet.add(role).await;
            fleet.retire(role).await;
            // The new process has seen load before the next one goes.
            let seen = async {
                while load.requests.load(Ordering::Relaxed) < before + 50 {
                    assert!(shopping.try_join_next().is_none(), "a shopper gave up");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let seen = tokio::time::timeout(Duration::from_secs(30), seen).await;
            seen.expect("the load stands still");
        }
    }
    load.enough.store(true, Ordering::Relaxed);
    let orders: Vec<String> = shopping.join_all().await.into_iter().flatten().collect();
    let requests = load.requests.load(Ordering::Relaxed);
    let closed = fleet.closed_doors();
    println!(
        "{requests} requests, {} orders, none failed; {closed} connections met a closed door",
        orders.len()
    );
    // Who stops waits until the balancer knows.
    assert_eq!(closed, 0);
    assert!(!orders.is_empty());
    // What was sold before its process went is told all the same.
    for id in [orders.first(), orders.last()].into_iter().flatten() {
        notified(&fleet.at("notifications"), id, 1).await;
    }
}

// Every answer must be the one expected. The ids of the orders.
async fn shop_until_enough(gateway: &Client, number: u32, load: &Load) -> Vec<String> {
    let mut orders = Vec::new();
    while !load.enough.load(Ordering::Relaxed) {
        let shopper = gateway.logged_in(number).await;
        shopper.get("/products?size=5").await.expect(200);
        shopper.get("/products/p-0100").await.expect(200);
        let cart = shopper.post("/carts", Value::Null).await.expect(201);
        let cart = cart.text_at("/id");
        let piece = json!({ "product_id": "p-0100", "quantity": 1 });
        let items = format!("/carts/{cart}/items");
        shopper.post(&items, piece).await.expect(200);
        let key = format!("{number}-{}", orders.len());
        let bought = shopper.check_out(&cart, &key).await.expect(200);
        let id = bought.text_at("/order_id");
        shopper.get(&format!("/orders/{id}")).await.expect(200);
        orders.push(id);
        load.requests.fetch_add(7, Ordering::Relaxed);
    }
    orders
}
