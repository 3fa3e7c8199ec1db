//! Wrong input gets an answer that says what is wrong, in which field, and what to do.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Reply};
use crate::kinds::on_each_kind;
use crate::shop::Shop;

fn check(reply: &Reply, status: u16, field: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    assert_eq!(reply.text_at("/field"), field, "{}", reply.text);
    assert!(!reply.text_at("/error").is_empty());
    assert_eq!(reply.headers["content-type"], "application/json");
}

async fn post_raw(client: &Client, path: &str, body: &str) -> Reply {
    client
        .send(Method::POST, path, body.to_owned())
        .await
        .unwrap()
}

on_each_kind!(what_anybody_may_send_is_checked);
async fn what_anybody_may_send_is_checked() {
    let shop = Shop::open().await;
    let gateway = &shop.gateway;
    check(&gateway.get("/products?page=0").await, 400, "page");
    check(&gateway.get("/products?page=two").await, 400, "page");
    check(&gateway.get("/products?size=101").await, 400, "size");
    check(&gateway.get("/products/search").await, 400, "q");
    check(
        &gateway
            .get(&format!("/products/search?q={}", "x".repeat(65)))
            .await,
        400,
        "q",
    );
    check(&gateway.get("/products/p-9999").await, 404, "id");
    check(&gateway.get("/products/%2e%2e%2fetc").await, 400, "id");
    check(&gateway.get("/nothing/here").await, 404, "path");
    check(&gateway.delete("/products").await, 405, "method");
    check(&post_raw(gateway, "/login", "{").await, 400, "body");
    check(&post_raw(gateway, "/login", "[]").await, 400, "body");
    check(
        &gateway
            .post("/login", json!({ "password": "long enough" }))
            .await,
        400,
        "email",
    );
    check(
        &gateway
            .post(
                "/users",
                json!({ "email": "nobody", "password": "long enough" }),
            )
            .await,
        400,
        "email",
    );
    check(
        &gateway
            .post("/users", json!({ "email": "a@b.c", "password": "short" }))
            .await,
        400,
        "password",
    );
    let extra = json!({ "email": "a@b.c", "password": "long enough", "admin": true });
    check(&gateway.post("/users", extra).await, 400, "admin");
    let wrong = json!({ "email": "shopper-0001@example.com", "password": "not this one" });
    check(&gateway.post("/login", wrong).await, 401, "password");
    let unknown = json!({ "email": "nobody@example.com", "password": "not this one" });
    check(&gateway.post("/login", unknown).await, 401, "password");
    let huge = json!({ "email": "x".repeat(70_000) });
    check(&gateway.post("/login", huge).await, 413, "body");
    let found = gateway
        .get("/products/search?q=%22%20OR%20name%3A*%20--")
        .await
        .expect(200)
        .json();
    assert!(found["items"].is_array());
    shop.close().await;
}

on_each_kind!(what_shoppers_send_is_checked);
async fn what_shoppers_send_is_checked() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0001", 1).await;
    let items = format!("/carts/{cart}/items");
    for quantity in [
        json!(0),
        json!(-1),
        json!(101),
        json!(1.5),
        json!("1"),
        Value::Null,
    ] {
        check(
            &shopper
                .post(
                    &items,
                    json!({ "product_id": "p-0001", "quantity": quantity }),
                )
                .await,
            400,
            "quantity",
        );
    }
    check(
        &shopper
            .post(&items, json!({ "product_id": "p-9999", "quantity": 1 }))
            .await,
        404,
        "product_id",
    );
    check(
        &shopper
            .post(&items, json!({ "product_id": "a/b", "quantity": 1 }))
            .await,
        400,
        "product_id",
    );
    check(
        &shopper
            .post(&items, json!({ "product_id": "p-0001", "quantity": 100 }))
            .await,
        409,
        "quantity",
    );
    shop.close().await;
}

on_each_kind!(what_shoppers_send_to_buy_is_checked);
async fn what_shoppers_send_to_buy_is_checked() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0001", 1).await;
    check(&shopper.get("/carts/c-none").await, 404, "cart_id");
    check(&shopper.get("/orders/o-none").await, 404, "id");
    check(
        &shopper.post("/checkout", json!({ "cart_id": cart })).await,
        400,
        "Idempotency-Key",
    );
    check(
        &shopper
            .with("idempotency-key", "two words")
            .post("/checkout", json!({ "cart_id": cart }))
            .await,
        400,
        "Idempotency-Key",
    );
    let keyed = shopper.with("idempotency-key", "k");
    check(&keyed.post("/checkout", json!({})).await, 400, "cart_id");
    check(
        &keyed.post("/checkout", json!({ "items": [] })).await,
        400,
        "items",
    );
    let list = json!({ "items": [{ "product_id": "p-0001", "quantity": 1 }, { "product_id": "p-0002", "quantity": 0 }] });
    check(
        &keyed.post("/checkout", list).await,
        400,
        "items[1].quantity",
    );
    shop.close().await;
}

on_each_kind!(strangers_see_nothing_of_a_shopper);
async fn strangers_see_nothing_of_a_shopper() {
    let shop = Shop::open().await;
    let (owner, other) = (
        shop.gateway.logged_in(1).await,
        shop.gateway.logged_in(2).await,
    );
    let cart = owner.cart_with("p-0001", 1).await;
    let order = owner
        .check_out(&cart, "k")
        .await
        .expect(200)
        .text_at("/order_id");
    other.get(&format!("/carts/{cart}")).await.expect(404);
    other.get(&format!("/orders/{order}")).await.expect(404);
    other.check_out(&cart, "k").await.expect(404);
    for client in [
        shop.gateway.clone(),
        shop.gateway.with("x-shopper-id", "s-0001"),
        shop.gateway.with("authorization", "Bearer x"),
    ] {
        check(
            &client.get(&format!("/orders/{order}")).await,
            401,
            "Authorization",
        );
        check(
            &client.post("/carts", Value::Null).await,
            401,
            "Authorization",
        );
    }
    shop.close().await;
}

on_each_kind!(the_correlation_id_of_a_caller_comes_back_and_others_are_made);
async fn the_correlation_id_of_a_caller_comes_back_and_others_are_made() {
    let shop = Shop::open().await;
    let reply = shop
        .gateway
        .with("x-correlation-id", "run-7.step-3")
        .get("/products")
        .await;
    assert_eq!(reply.headers["x-correlation-id"], "run-7.step-3");
    let reply = shop
        .gateway
        .with("x-correlation-id", "not \"one\" of ours")
        .get("/products")
        .await;
    assert_eq!(reply.headers["x-correlation-id"].len(), 32);
    shop.close().await;
}

on_each_kind!(every_role_tells_its_health_and_counts_its_requests);
async fn every_role_tells_its_health_and_counts_its_requests() {
    let shop = Shop::open().await;
    for client in [
        &shop.gateway,
        &shop.catalog,
        &shop.payments,
        &shop.notifications,
        &shop.orders[0],
    ] {
        client.get("/health").await.expect(200);
        client.get("/ready").await.expect(200);
    }
    for _ in 0..7 {
        shop.gateway.get("/products").await.expect(200);
    }
    shop.gateway.get("/products?page=x").await.expect(400);
    for client in [&shop.gateway, &shop.catalog] {
        let route = "http_requests_total{method=\"GET\",route=\"/products\"";
        assert_eq!(client.metric(&format!("{route},status=\"200\"")).await, 7);
        assert_eq!(client.metric(route).await, 8);
        assert_eq!(
            client
                .metric("http_request_seconds_count{route=\"/products\"")
                .await,
            8
        );
    }
    shop.close().await;
}

on_each_kind!(an_answer_before_the_body_has_come_does_not_cost_the_connection);
async fn an_answer_before_the_body_has_come_does_not_cost_the_connection() {
    let shop = Shop::open().await;
    let mut stream = tokio::net::TcpStream::connect(shop.gateway.address())
        .await
        .unwrap();
    for _ in 0..3 {
        // The role could refuse at the head already: nobody is logged in.
        let head = "POST /carts HTTP/1.1\r\nhost: store\r\ncontent-length: 4\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(b"null").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    shop.close().await;
}
