//! What the gateway does by itself: how often one shopper may pass, and what every answer bears.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::shop::Shop;

#[tokio::test]
async fn a_shopper_who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let rate = ("gateway", "RATE_LIMIT_PER_SECOND", "1");
    let shop = Shop::open_with(&[rate, ("gateway", "RATE_LIMIT_BURST", "3")]).await;
    let (eager, other) = (
        shop.gateway.logged_in(1).await,
        shop.gateway.logged_in(2).await,
    );
    for _ in 0..3 {
        eager.post("/carts", Value::Null).await.expect(201);
    }
    let refused = eager.post("/carts", Value::Null).await.expect(429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.text_at("/help").contains("Retry-After"));
    other.post("/carts", Value::Null).await.expect(201);
    // Whoever only looks is not counted.
    for _ in 0..10 {
        eager.get("/products").await.expect(200);
    }
    assert_eq!(shop.gateway.metric("gateway_rate_limited_total").await, 1);
    shop.close().await;
}

#[tokio::test]
async fn every_answer_bears_the_version_and_what_keeps_it_private() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    let answers = [
        (shop.gateway.get("/products").await, "no-cache"),
        (shop.gateway.get("/nothing").await, "no-store"),
        (shopper.post("/carts", Value::Null).await, "no-store"),
        (shop.gateway.get("/health").await, "no-store"),
    ];
    for (reply, kept) in answers {
        assert_eq!(reply.headers["cache-control"], kept, "{}", reply.text);
        assert_eq!(reply.headers["x-content-type-options"], "nosniff");
        let version = reply.headers["x-store-version"].to_str().unwrap();
        assert!(version.starts_with("0."), "{version}");
        // Promised only by whoever ends TLS.
        assert!(!reply.headers.contains_key("strict-transport-security"));
    }
    shop.close().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_others_are_served() {
    let shop = Shop::open().await;
    let mut stream = TcpStream::connect(shop.gateway.address()).await.unwrap();
    let padding = "x".repeat(100 * 1024);
    let head = format!("GET /products HTTP/1.1\r\nhost: store\r\nx-padding: {padding}\r\n\r\n");
    // The role closes before it has read all of this, and a reset may overtake its 431.
    stream.write_all(head.as_bytes()).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    let refused = answer.is_empty() || answer.starts_with("HTTP/1.1 431 ");
    assert!(refused, "{answer}");
    shop.gateway.get("/products").await.expect(200);
    shop.close().await;
}
