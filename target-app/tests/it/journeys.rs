//! The three journeys of the demonstration, step by step through the gateway.

use serde_json::{Value, json};

use crate::client::Client;
use crate::kinds::on_each_kind;
use crate::shop::Shop;

on_each_kind!(browse_shows_a_list_a_search_and_a_product);
async fn browse_shows_a_list_a_search_and_a_product() {
    let shop = Shop::open().await;
    let list = shop
        .gateway
        .get("/products?page=2&size=20")
        .await
        .expect(200)
        .json();
    assert_eq!(list["items"].as_array().unwrap().len(), 20);
    assert_eq!(list["items"][0]["id"], "p-0021");

    let found = shop
        .gateway
        .get("/products/search?q=oslo%20lamp")
        .await
        .expect(200)
        .json();
    let names: Vec<&str> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Oslo Desk Lamp", "Oslo Floor Lamp"]);

    let id = found["items"][1]["id"].as_str().unwrap();
    let product = shop
        .gateway
        .get(&format!("/products/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (product["name"].as_str(), product["stock"].as_i64()),
        (Some("Oslo Floor Lamp"), Some(1_000_000))
    );
    shop.close().await;
}

on_each_kind!(cart_is_made_filled_seen_and_emptied);
async fn cart_is_made_filled_seen_and_emptied() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0001", 2).await;
    let piece = json!({ "product_id": "p-0001", "quantity": 3 });
    let added = shopper
        .post(&format!("/carts/{cart}/items"), piece)
        .await
        .expect(200)
        .json();
    assert_eq!(added["quantity"], 5);

    let seen = shopper
        .get(&format!("/carts/{cart}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        seen["total"].as_i64().unwrap(),
        5 * seen["items"][0]["unit_price"].as_i64().unwrap()
    );

    shopper
        .delete(&format!("/carts/{cart}/items/p-0001"))
        .await
        .expect(204);
    shopper
        .delete(&format!("/carts/{cart}/items/p-0001"))
        .await
        .expect(204);
    let seen = shopper
        .get(&format!("/carts/{cart}"))
        .await
        .expect(200)
        .json();
    assert_eq!((&seen["items"], &seen["total"]), (&json!([]), &json!(0)));
    shop.close().await;
}

on_each_kind!(check_out_reserves_charges_confirms_and_notifies);
async fn check_out_reserves_charges_confirms_and_notifies() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(2).await;
    let cart = shopper.cart_with("p-0007", 3).await;
    let bought = shopper
        .check_out(&cart, "purchase-1")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (bought["status"].as_str(), bought["currency"].as_str()),
        (Some("confirmed"), Some("EUR"))
    );

    let id = bought["order_id"].as_str().unwrap();
    let order = shopper
        .get(&format!("/orders/{id}"))
        .await
        .expect(200)
        .json();
    let unit_price = order["items"][0]["unit_price"].as_i64().unwrap();
    assert_eq!(
        (order["status"].as_str(), order["amount"].as_i64()),
        (Some("confirmed"), Some(3 * unit_price))
    );
    assert_eq!(stock(&shop.catalog, "p-0007").await, 1_000_000 - 3);

    let charges = shop
        .payments
        .get(&format!("/charges/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (charges.as_array().unwrap().len(), &charges[0]["amount"]),
        (1, &bought["amount"])
    );
    notified(&shop.notifications, id, 1).await;
    shop.close().await;
}

on_each_kind!(a_new_shopper_registers_and_buys_without_a_cart);
async fn a_new_shopper_registers_and_buys_without_a_cart() {
    let shop = Shop::open().await;
    let credentials = json!({ "email": "ada@example.com", "password": "analytical engine" });
    let id = shop
        .gateway
        .post("/users", credentials.clone())
        .await
        .expect(201)
        .text_at("/id");
    shop.gateway
        .post("/users", credentials.clone())
        .await
        .expect(409);
    let reply = shop.gateway.post("/login", credentials).await.expect(200);
    assert_eq!(reply.text_at("/shopper_id"), id);
    let shopper = shop.gateway.with(
        "authorization",
        &format!("Bearer {}", reply.text_at("/token")),
    );
    let wish = json!({ "items": [{ "product_id": "p-0003", "quantity": 1 }, { "product_id": "p-0004", "quantity": 2 }] });
    let bought = shopper
        .with("idempotency-key", "k")
        .post("/checkout", wish)
        .await
        .expect(200);
    assert_eq!(bought.text_at("/status"), "confirmed");
    shop.close().await;
}

on_each_kind!(journeys_of_one_shopper_do_not_disturb_each_other);
async fn journeys_of_one_shopper_do_not_disturb_each_other() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(3).await;
    let (one, two) = (
        shopper.cart_with("p-0001", 1).await,
        shopper.cart_with("p-0002", 1).await,
    );
    assert_ne!(one, two);
    shopper.check_out(&one, "first").await.expect(200);
    let seen = shopper
        .get(&format!("/carts/{two}"))
        .await
        .expect(200)
        .json();
    assert_eq!(seen["items"][0]["product_id"], "p-0002");
    shopper.check_out(&two, "second").await.expect(200);
    shop.close().await;
}

/// What the catalog has left of a product.
pub(crate) async fn stock(catalog: &Client, product: &str) -> i64 {
    catalog
        .get(&format!("/products/{product}"))
        .await
        .expect(200)
        .json()["stock"]
        .as_i64()
        .unwrap()
}

/// Waits until an order has been notified, and checks how often.
pub(crate) async fn notified(notifications: &Client, order: &str, times: usize) {
    let heard = async {
        loop {
            let seen = notifications
                .get(&format!("/notifications/{order}"))
                .await
                .expect(200)
                .json();
            let events = seen["events"].as_array().map_or(0, Vec::len);
            if events > 0 {
                return (events, seen["events"][0]["kind"].clone());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let heard = tokio::time::timeout(std::time::Duration::from_secs(15), heard).await;
    assert_eq!(
        heard.expect("no notification came"),
        (times, Value::from("order-confirmed"))
    );
}
