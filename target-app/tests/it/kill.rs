//! Instances that die under load.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use crate::balancer;
use crate::client::Client;
use crate::shop::{Process, Shop};

/// How long shoppers go on buying.
const LOAD: Duration = Duration::from_secs(4);
/// How many buy at the same time.
const SHOPPERS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    assert!(bought.len() > 50, "only {} orders were made", bought.len());
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
    let database = format!(
        "sqlite://{}/notifications.sqlite",
        shop.data.path().display()
    );
    let database = sqlx::SqlitePool::connect(&database).await.unwrap();
    let reached = async {
        loop {
            let (all, orders): (i64, i64) =
                sqlx::query_as("SELECT count(*), count(DISTINCT order_id) FROM notifications")
                    .fetch_one(&database)
                    .await
                    .unwrap();
            assert_eq!(all, orders, "an order was notified twice");
            if usize::try_from(all).unwrap() == wanted {
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

#[tokio::test]
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
