//! Admins change the list of products; shoppers see it, and nobody else can.

use http::Method;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::shop::Shop;

/// A caller with a token as the users' role would sign one.
pub(crate) fn with_scope(client: &Client, scope: &str) -> Client {
    let claims = json!({ "sub": "s-admin", "exp": 4_000_000_000_u64, "scope": scope });
    let key = EncodingKey::from_secret(b"only-for-these-tests");
    let token = encode(&Header::default(), &claims, &key).unwrap();
    client.with("authorization", &format!("Bearer {token}"))
}

fn lamp(price: i64) -> Value {
    json!({ "name": "Quito Test Lamp", "category": "lighting", "description": "For a test.", "price": price })
}

async fn put(client: &Client, path: &str, document: &Value) -> Reply {
    client
        .send(Method::PUT, path, document.to_string())
        .await
        .unwrap()
}

async fn made(admin: &Client) -> String {
    let mut product = lamp(1000);
    product["stock"] = json!(10);
    let admin = admin.with("idempotency-key", "lamp-1");
    let reply = admin.post("/products", product.clone()).await.expect(201);
    let id = reply.text_at("/id");
    assert_eq!(reply.headers["location"], format!("/products/{id}"));
    // Sent again, it makes no second one.
    assert_eq!(
        admin
            .post("/products", product)
            .await
            .expect(201)
            .text_at("/id"),
        id
    );
    id
}

#[tokio::test]
async fn a_product_is_made_sold_changed_and_taken_off() {
    let shop = Shop::open().await;
    let admin = with_scope(&shop.gateway, "shop admin");
    let found = async || {
        let reply = shop
            .gateway
            .get("/products/search?q=quito")
            .await
            .expect(200);
        reply.json()["items"].as_array().unwrap().len()
    };
    assert_eq!(found().await, 0);
    let id = made(&admin).await;
    let place = format!("/products/{id}");
    assert_eq!(found().await, 1);

    let shopper = shop.gateway.logged_in(1).await;
    let first = shopper.cart_with(&id, 2).await;
    let order = shopper.check_out(&first, "key-1").await.expect(200);
    assert_eq!(order.json()["amount"], 2000);

    let waiting = shopper.cart_with(&id, 1).await;
    put(&admin, &place, &lamp(1500)).await.expect(200);
    assert_eq!(
        shop.gateway.get(&place).await.expect(200).json()["price"],
        1500
    );
    let order_id = order.text_at("/order_id");
    let kept = shopper
        .get(&format!("/orders/{order_id}"))
        .await
        .expect(200);
    assert_eq!(kept.json()["amount"], 2000, "an order keeps its prices");
    let later = shopper.check_out(&waiting, "key-2").await.expect(200);
    assert_eq!(
        later.json()["amount"],
        1500,
        "a check-out takes those of its moment"
    );

    admin.delete(&place).await.expect(204);
    admin.delete(&place).await.expect(204);
    shop.gateway.get(&place).await.expect(404);
    put(&admin, &place, &lamp(1500)).await.expect(404);
    assert_eq!(found().await, 0);
    let book = shop.catalog.get("/audit").await.expect(200).text;
    let stock = book.lines().find(|line| line.contains(&id)).unwrap();
    assert!(stock.contains("\"available\":7"), "{stock}");
    shop.close().await;
}

#[tokio::test]
async fn only_an_admins_token_changes_products() {
    let shop = Shop::open().await;
    let shopper = shop.gateway.logged_in(2).await;
    let callers = [
        (shop.gateway.clone(), 401),
        (shop.gateway.with("x-shopper-scope", "admin"), 401),
        (shopper.clone(), 403),
        (shopper.with("x-shopper-scope", "admin"), 403),
        (with_scope(&shop.gateway, "administrator"), 403),
    ];
    for (caller, status) in callers {
        caller.post("/products", lamp(1000)).await.expect(status);
        put(&caller, "/products/p-0001", &lamp(1))
            .await
            .expect(status);
        caller.delete("/products/p-0001").await.expect(status);
    }
    shop.catalog.delete("/products/p-0001").await.expect(403);
    let price = shop.gateway.get("/products/p-0001").await.expect(200);
    assert_eq!(price.text_at("/name"), "Oslo Desk Lamp");
    shop.close().await;
}

#[tokio::test]
async fn pages_do_not_shift_when_a_product_is_taken_off() {
    let shop = Shop::open().await;
    let admin = with_scope(&shop.gateway, "admin");
    admin.delete("/products/p-0003").await.expect(204);
    let ids = async |page: u32| {
        let reply = shop
            .gateway
            .get(&format!("/products?size=10&page={page}"))
            .await
            .expect(200);
        let page = reply.json();
        let ids: Vec<String> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].to_string())
            .collect();
        (ids, page["more"] == true)
    };
    let (first, more) = ids(1).await;
    let (second, _) = ids(2).await;
    assert!(
        more && first.len() == 9 && second[0] == "\"p-0011\"",
        "{first:?} {second:?}"
    );
    let (last, more) = ids(20).await;
    assert_eq!((last.len(), more), (10, false));
    shop.close().await;
}
