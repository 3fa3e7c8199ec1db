//! Check-out when requests are repeated, refused, and left behind.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::journeys::{notified, stock};
use crate::kinds::on_each_kind;
use crate::races::post;
use crate::shop::Shop;

on_each_kind!(the_same_key_twice_is_one_order_and_one_charge);
async fn the_same_key_twice_is_one_order_and_one_charge() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0010", 1).await;
    let first = shopper.check_out(&cart, "key-1").await.expect(200).json();
    let again = shopper.check_out(&cart, "key-1").await.expect(200).json();
    assert_eq!(first, again);
    assert_eq!(stock(&shop.catalog, "p-0010").await, 999_999);

    let id = first["order_id"].as_str().unwrap();
    let charges = shop
        .payments
        .get(&format!("/charges/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(charges.as_array().unwrap().len(), 1);

    let other = shopper.check_out(&cart, "key-2").await.expect(409);
    assert_eq!(other.text_at("/field"), "cart_id");
    let cart = shopper.cart_with("p-0011", 1).await;
    shopper.check_out(&cart, "key-1").await.expect(422);
    // Keys belong to the shopper: another may use the same.
    let neighbour = shop.gateway.logged_in(2).await;
    let cart = neighbour.cart_with("p-0012", 1).await;
    let neighbours = neighbour.check_out(&cart, "key-1").await.expect(200).json();
    assert_ne!(neighbours["order_id"], first["order_id"]);
    shop.close().await;
}

on_each_kind!(one_key_at_two_instances_at_once_is_one_order);
async fn one_key_at_two_instances_at_once_is_one_order() {
    let shop = Shop::open().await;
    for round in 0..5 {
        let key = format!("race-{round}");
        let mut buying = JoinSet::new();
        for turn in 0..12 {
            let client = shop.orders[turn % 2]
                .with("x-shopper-id", "s-0005")
                .with("idempotency-key", &key);
            let wish = json!({ "items": [{ "product_id": "p-0020", "quantity": 1 }] });
            // A machine with much else to do may be too busy for some of them at first.
            buying.spawn(post(client, "/checkout".to_owned(), wish));
        }
        let bought = buying.join_all().await;
        assert_eq!(bought[0].0, 200, "{bought:#?}");
        assert!(
            bought.iter().all(|order| *order == bought[0]),
            "{bought:#?}"
        );
        let id = bought[0].1["order_id"].as_str().unwrap();
        let charges = shop
            .payments
            .get(&format!("/charges/{id}"))
            .await
            .expect(200)
            .json();
        assert_eq!(charges.as_array().unwrap().len(), 1);
        notified(&shop.notifications, id, 1).await;
    }
    assert_eq!(stock(&shop.catalog, "p-0020").await, 1_000_000 - 5);
    shop.close().await;
}

on_each_kind!(a_refused_card_gives_the_stock_and_the_cart_back);
async fn a_refused_card_gives_the_stock_and_the_cart_back() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0030", 4).await;
    let wish = json!({ "cart_id": cart, "card": "card-declined" });
    for _ in 0..2 {
        let refused = shopper
            .with("idempotency-key", "key-1")
            .post("/checkout", wish.clone())
            .await
            .expect(402);
        assert_eq!(refused.text_at("/field"), "card");
    }
    assert_eq!(stock(&shop.catalog, "p-0030").await, 1_000_000);
    shopper.check_out(&cart, "key-2").await.expect(200);
    assert_eq!(stock(&shop.catalog, "p-0030").await, 1_000_000 - 4);
    shop.close().await;
}

on_each_kind!(what_cannot_be_filled_is_refused_and_nothing_is_charged);
async fn what_cannot_be_filled_is_refused_and_nothing_is_charged() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let wish = json!({ "items": [{ "product_id": "p-0040", "quantity": 1 }, { "product_id": "p-9999", "quantity": 1 }] });
    let refused = shopper
        .with("idempotency-key", "key-1")
        .post("/checkout", wish)
        .await
        .expect(409);
    assert!(
        refused.text_at("/error").contains("p-9999"),
        "{}",
        refused.text
    );
    assert_eq!(stock(&shop.catalog, "p-0040").await, 1_000_000);
    assert_eq!(
        shop.payments
            .metric("http_requests_total{method=\"POST\"")
            .await,
        0
    );
    let empty = shopper
        .post("/carts", Value::Null)
        .await
        .expect(201)
        .text_at("/id");
    shopper.check_out(&empty, "key-2").await.expect(409);
    shop.close().await;
}

on_each_kind!(requests_repeated_with_their_key_change_nothing_more);
async fn requests_repeated_with_their_key_change_nothing_more() {
    let shop = Shop::open().await;
    let shopper = shop
        .gateway
        .logged_in(1)
        .await
        .with("idempotency-key", "one-key");
    let cart = shopper
        .post("/carts", Value::Null)
        .await
        .expect(201)
        .text_at("/id");
    assert_eq!(
        shopper
            .post("/carts", Value::Null)
            .await
            .expect(201)
            .text_at("/id"),
        cart
    );
    let piece = json!({ "product_id": "p-0001", "quantity": 2 });
    for _ in 0..2 {
        let added = shopper
            .post(&format!("/carts/{cart}/items"), piece.clone())
            .await
            .expect(200)
            .json();
        assert_eq!(added["quantity"], 2);
    }
    let credentials = json!({ "email": "grace@example.com", "password": "compiler!" });
    let id = shopper
        .post("/users", credentials.clone())
        .await
        .expect(201)
        .text_at("/id");
    assert_eq!(
        shopper
            .post("/users", credentials)
            .await
            .expect(201)
            .text_at("/id"),
        id
    );
    shop.close().await;
}

on_each_kind!(an_order_whose_payment_did_not_answer_stays_open_and_is_told_so);
async fn an_order_whose_payment_did_not_answer_stays_open_and_is_told_so() {
    // Payments does its work and holds the answer back for longer than orders waits.
    let shop = Shop::open_with(&[("payments", "DELAY_MS", "2300")]).await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0050", 1).await;
    let slow = shopper.check_out(&cart, "key-1").await.expect(504);
    assert!(slow.text_at("/error").contains("payments"), "{}", slow.text);
    shopper.check_out(&cart, "other-key").await.expect(409);
    // The stock stays set aside while the outcome of the charge is open.
    assert_eq!(stock(&shop.catalog, "p-0050").await, 999_999);
    shop.close().await;
}

on_each_kind!(an_order_left_behind_is_finished_by_another_instance);
async fn an_order_left_behind_is_finished_by_another_instance() {
    let shop = Shop::open().await;
    let database = shop.book("orders").await;
    // As a process leaves them that dies between two steps, long ago.
    for (id, state, lines) in [("o-reserved", "reserved", 1), ("o-pending", "pending", 2)] {
        let wish =
            json!({ "order_id": id, "lines": [{ "product_id": "p-0060", "quantity": lines }] });
        let reserved = shop
            .catalog
            .post("/reservations", wish.clone())
            .await
            .expect(200)
            .json();
        sqlx::query(
            "INSERT INTO orders (id, shopper_id, request_key, fingerprint, card, lines, amount, state, due,
                                 created_at, updated_at)
             VALUES ($1, 's-0001', $1, 'x', 'card-demo', $2, $3, $4, 1, 0, 0)",
        )
        .bind(id)
        .bind(wish["lines"].to_string())
        .bind(reserved["amount"].as_i64())
        .bind(state)
        .execute(&database)
        .await
        .unwrap();
    }
    let shopper = shop.orders[0].with("x-shopper-id", "s-0001");
    let ended = async {
        loop {
            let forward = shopper
                .get("/orders/o-reserved")
                .await
                .expect(200)
                .text_at("/status");
            let back = shopper
                .get("/orders/o-pending")
                .await
                .expect(200)
                .text_at("/status");
            let left = stock(&shop.catalog, "p-0060").await;
            if (forward.as_str(), back.as_str(), left) == ("confirmed", "cancelled", 999_999) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .expect("the orders were not brought to their end");
    notified(&shop.notifications, "o-reserved", 1).await;
    shop.close().await;
}
