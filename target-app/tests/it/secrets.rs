//! What is wrong inside the store is told to its log and to nobody else.

use serde_json::json;
use sqlx::any::{AnyPoolOptions, install_default_drivers};

use crate::client::Reply;
use crate::shop::{Process, Shop};

/// An answer that says what to do and nothing of the inside.
fn check(reply: &Reply, status: u16) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    let error = reply.text_at("/error");
    assert!(!error.is_empty() && reply.headers.contains_key("x-correlation-id"));
    let text = reply.text.to_lowercase();
    for inside in [
        "sql",
        "table",
        "127.0.0.1",
        "/tmp",
        ".rs",
        "panick",
        "backtrace",
        "shoppers",
        "secret",
    ] {
        assert!(!text.contains(inside), "{inside} in {text}");
    }
}

async fn break_book(shop: &Shop, book: &str, table: &str) {
    install_default_drivers();
    let file = shop.data.path().join(format!("{book}.sqlite"));
    let pool = AnyPoolOptions::new().max_connections(1);
    let pool = pool
        .connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    let break_it = format!("ALTER TABLE {table} RENAME TO gone");
    sqlx::raw_sql(sqlx::AssertSqlSafe(break_it))
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
}

#[tokio::test]
async fn a_mistake_of_the_store_shows_nothing_of_its_inside() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(1).await;
    for (book, table) in [("users", "shoppers"), ("orders", "carts")] {
        break_book(&shop, book, table).await;
    }
    let someone = json!({ "email": "ada@example.com", "password": "analytical engine" });
    check(&shop.gateway.post("/login", someone.clone()).await, 500);
    check(&shop.gateway.post("/users", someone).await, 500);
    check(&shopper.post("/carts", json!(null)).await, 500);
    shop.close().await;
}

#[tokio::test]
async fn a_callee_that_is_away_is_told_by_name_and_not_by_address() {
    let shop = Shop::open().await;
    let mut settings = shop.settings();
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    settings.insert("CATALOG_ADDRESS", nobody.to_string());
    settings.insert("ORDERS_ADDRESS", nobody.to_string());
    let mut gateway = Process::start("gateway", &settings).await;
    let away = gateway.client.get("/products/p-0001").await;
    check(&away, 503);
    assert!(away.text_at("/error").contains("catalog"), "{}", away.text);
    gateway.child.kill().await.unwrap();
    shop.close().await;
}
