//! What `/audit` tells, and that it adds up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::journeys::notified;
use crate::kinds::on_each_kind;
use crate::shop::Shop;

/// The lines of an audit between the first and the last, by their kind.
pub(crate) async fn read(client: &Client) -> BTreeMap<String, Vec<Value>> {
    let reply = client.get("/audit").await.expect(200);
    assert_eq!(reply.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = reply
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, before) = lines.split_last().unwrap();
    assert_eq!(*last, json!({ "end": { "lines": before.len() } }));
    assert_eq!(before[0], json!({ "audit": { "version": 1 } }));
    let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in &before[1..] {
        let line = line.as_object().unwrap();
        assert_eq!(line.len(), 1, "{line:?}");
        for (kind, value) in line {
            kinds.entry(kind.clone()).or_default().push(value.clone());
        }
    }
    kinds
}

/// Reads orders again and again until each is in one of these states.
pub(crate) async fn at_rest(orders: &Client, states: &[&str]) -> Vec<Value> {
    let rested = async {
        loop {
            let told = read(orders).await.remove("order").unwrap_or_default();
            let done = |order: &Value| {
                let state = order["states"].as_array().and_then(|states| states.last());
                states.contains(&state.and_then(Value::as_str).unwrap_or_default())
            };
            if told.iter().all(done) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rested)
        .await
        .expect("the orders did not come to rest")
}

on_each_kind!(a_sale_and_a_refusal_stand_in_every_book);
async fn a_sale_and_a_refusal_stand_in_every_book() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0002", 3).await;
    let sold = shopper
        .check_out(&cart, "key-sold")
        .await
        .expect(200)
        .json();
    let cart = shopper.cart_with("p-0003", 1).await;
    shopper
        .with("idempotency-key", "key-refused")
        .post(
            "/checkout",
            json!({ "cart_id": cart, "card": "card-declined" }),
        )
        .await
        .expect(402);
    let id = sold["order_id"].as_str().unwrap();
    notified(&shop.notifications, id, 1).await;

    let orders = read(&shop.orders[1]).await.remove("order").unwrap();
    assert_eq!(orders.len(), 2);
    assert_eq!(
        orders[0],
        json!({
            "id": id, "key": "key-sold", "amount": sold["amount"],
            "states": ["pending", "reserved", "confirmed"],
            "items": [{ "sku": "p-0002", "quantity": 3 }],
        })
    );
    assert_eq!(
        orders[1]["states"],
        json!(["pending", "reserved", "refused"])
    );

    let charges = read(&shop.bank).await;
    let wanted = json!({ "id": "ch-1", "order": id, "amount": sold["amount"] });
    assert_eq!(
        charges,
        BTreeMap::from([("charge".to_owned(), vec![wanted])])
    );

    let stock = read(&shop.catalog).await.remove("stock").unwrap();
    assert_eq!(stock.len(), 200);
    assert_eq!(
        stock[1],
        json!({ "sku": "p-0002", "available": 999_997, "reserved": 0 })
    );
    assert_eq!(stock[2]["available"], 1_000_000);

    let told = read(&shop.notifications).await;
    let [delivery] = told["delivery"].as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!((told.len(), delivery["order"].as_str()), (1, Some(id)));
    let after_ms = delivery["after_ms"].as_i64().unwrap();
    assert!((0..10_000).contains(&after_ms), "{after_ms}");
    shop.close().await;
}

on_each_kind!(shoppers_cannot_ask_and_many_can_ask_at_once);
async fn shoppers_cannot_ask_and_many_can_ask_at_once() {
    let shop = Shop::open().await;
    shop.gateway.get("/audit").await.expect(404);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let catalog = shop.catalog.clone();
        asking.spawn(async move { read(&catalog).await["stock"].len() });
    }
    assert_eq!(asking.join_all().await, [200; 10]);
    shop.close().await;
}
