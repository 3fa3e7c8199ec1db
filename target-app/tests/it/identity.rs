//! Who a shopper is, for how long, and what the shop lets each do.

use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::shop::{Process, Shop};

const PASSWORD: &str = "correct-horse-battery";

async fn log_in(users: &Client, email: &str, password: &str) -> Reply {
    let credentials = json!({ "email": email, "password": password });
    users.post("/login", credentials).await
}

async fn tokens_of(users: &Client, email: &str) -> (String, String) {
    let reply = log_in(users, email, PASSWORD).await.expect(200);
    (reply.text_at("/token"), reply.text_at("/refresh_token"))
}

async fn refresh(users: &Client, token: &str) -> Reply {
    let body = json!({ "refresh_token": token });
    users.post("/token/refresh", body).await
}

async fn may_shop(gateway: &Client, token: &str) -> bool {
    let shopper = gateway.with("authorization", &format!("Bearer {token}"));
    shopper.post("/carts", Value::Null).await.status == 201
}

#[tokio::test]
async fn a_log_in_is_prolonged_until_it_is_ended() {
    let shop = Shop::open().await;
    let gateway = &shop.gateway;
    let (token, first) = tokens_of(gateway, "shopper-0001@example.com").await;
    assert!(may_shop(gateway, &token).await);

    let again = refresh(gateway, &first).await.expect(200);
    let second = again.text_at("/refresh_token");
    assert_eq!(again.text_at("/scope"), "shop");
    assert_eq!(again.json()["expires_in"], 900);
    assert!(may_shop(gateway, &again.text_at("/token")).await);

    let end = json!({ "refresh_token": second });
    for _ in 0..2 {
        gateway.post("/logout", end.clone()).await.expect(204);
    }
    let refused = refresh(gateway, &second).await.expect(401);
    assert_eq!(refused.text_at("/field"), "refresh_token");
    shop.close().await;
}

#[tokio::test]
async fn a_stolen_refresh_token_helps_nobody() {
    let shop = Shop::open().await;
    let gateway = &shop.gateway;
    let (_, first) = tokens_of(gateway, "shopper-0001@example.com").await;
    let second = refresh(gateway, &first).await.expect(200);
    refresh(gateway, &first).await.expect(401);
    refresh(gateway, &second.text_at("/refresh_token"))
        .await
        .expect(401);
    for nonsense in ["x", "a.b", &first.replace('.', "")] {
        refresh(gateway, nonsense).await.expect(401);
    }
    let missing = gateway.post("/token/refresh", json!({})).await.expect(400);
    assert_eq!(missing.text_at("/field"), "refresh_token");
    shop.close().await;
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_repeated_under_its_key() {
    let shop = Shop::open().await;
    let keyed = shop.gateway.with("idempotency-key", "one-refresh");
    let (_, first) = tokens_of(&shop.gateway, "shopper-0001@example.com").await;
    refresh(&keyed, &first).await.expect(200);
    let repeated = refresh(&keyed, &first).await.expect(200);
    refresh(&shop.gateway, &repeated.text_at("/refresh_token"))
        .await
        .expect(200);
    shop.close().await;
}

/// The gateway is told the new secret first, with the old one beside it; `users` follows.
#[tokio::test]
async fn a_new_secret_is_rolled_out_without_ending_a_session() {
    const NEW: &str = "another-one-for-these-tests";
    let rolling = [
        ("gateway", "JWT_SECRET", NEW),
        ("gateway", "JWT_SECRET_PREVIOUS", "only-for-these-tests"),
    ];
    let shop = Shop::open_with(&rolling).await;
    let gateway = &shop.gateway;
    let (token, refresh_token) = tokens_of(gateway, "shopper-0001@example.com").await;
    assert!(
        may_shop(gateway, &token).await,
        "signed before, verified after"
    );

    let mut settings = shop.settings();
    settings.insert("JWT_SECRET", NEW.to_owned());
    let mut rolled = Process::start("users", &settings).await;
    let renewed = refresh(&rolled.client, &refresh_token).await.expect(200);
    assert!(
        may_shop(gateway, &renewed.text_at("/token")).await,
        "the session went on"
    );
    assert!(
        may_shop(gateway, &token).await,
        "and the token from before is good to its end"
    );

    rolled.child.kill().await.unwrap();
    shop.close().await;

    // Without the old secret, only what the new one signed is good.
    let shop = Shop::open_with(&[("gateway", "JWT_SECRET", NEW)]).await;
    assert!(!may_shop(&shop.gateway, &token).await);
    assert!(may_shop(&shop.gateway, &renewed.text_at("/token")).await);
    shop.close().await;
}

#[tokio::test]
async fn guessing_one_password_stops_nobody_else() {
    let shop = Shop::open().await;
    let gateway = &shop.gateway;
    let guess = |email| log_in(gateway, email, "not this one");
    for _ in 0..10 {
        guess("shopper-0001@example.com").await.expect(401);
        guess("nobody@example.com").await.expect(401);
    }
    // A known address and an unknown one are told the same.
    let known = guess("shopper-0001@example.com").await.expect(429);
    let unknown = guess("nobody@example.com").await.expect(429);
    assert_eq!(known.text, unknown.text);
    let wait: u64 = known.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    // Nor does the right password tell itself by another answer.
    log_in(gateway, "shopper-0001@example.com", PASSWORD)
        .await
        .expect(429);
    log_in(gateway, "shopper-0002@example.com", PASSWORD)
        .await
        .expect(200);
    shop.close().await;
}

#[tokio::test]
async fn only_the_administrator_has_the_scope_of_one() {
    let shop = Shop::open().await;
    let gateway = &shop.gateway;
    let admin = log_in(gateway, "admin@example.com", PASSWORD)
        .await
        .expect(200);
    assert_eq!(admin.text_at("/scope"), "admin shop");
    let renewed = refresh(gateway, &admin.text_at("/refresh_token"))
        .await
        .expect(200);
    assert_eq!(renewed.text_at("/scope"), "admin shop");

    let asking = json!({ "email": "eve@example.com", "password": PASSWORD, "scope": "admin shop" });
    gateway.post("/users", asking).await.expect(400);
    let body = json!({ "email": "eve@example.com", "password": PASSWORD }).to_string();
    let registered = gateway.send(Method::POST, "/users", body).await.unwrap();
    registered.expect(201);
    let eve = log_in(gateway, "eve@example.com", PASSWORD)
        .await
        .expect(200);
    assert_eq!(eve.text_at("/scope"), "shop");
    shop.close().await;
}
