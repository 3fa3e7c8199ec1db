//! Events that cannot be recorded are kept aside and hold up no others, without a broker too.

use serde_json::{Value, json};

use crate::journeys::notified;
use crate::queue::until;
use crate::shop::{Settings, Shop, command, settings};

fn event(id: &str, payload: &Value) -> Value {
    json!({ "id": id, "kind": "order-confirmed", "payload": payload })
}

#[tokio::test]
async fn a_bad_event_in_a_batch_is_a_dead_letter_and_the_others_are_recorded() {
    let shop = Shop::open().await;
    let good = |id: &str| json!({ "order_id": id, "shopper_id": "s-1" });
    let batch = json!({ "events": [
        event("e-1", &good("o-1")),
        event("e-2", &json!("not an object")),
        event(&"x".repeat(300), &good("o-3")),
        event("e-4", &good("o-4")),
    ]});
    for _ in 0..2 {
        let answer = shop.notifications.post("/events", batch.clone()).await;
        let answer = answer.expect(200).json();
        assert_eq!(answer, json!({ "recorded": 2, "dead": 2 }));
    }
    for order in ["o-1", "o-4"] {
        notified(&shop.notifications, order, 1).await;
    }
    let letters = shop.notifications.get("/dead-letters").await.expect(200);
    let letters = letters.json()["dead_letters"].clone();
    let letters = letters.as_array().unwrap();
    assert_eq!(letters.len(), 2, "{letters:?}");
    assert!(letters[0]["reason"].as_str().unwrap().contains("`id`"));
    assert!(letters[1]["body"].as_str().unwrap().contains("e-2"));
    assert_eq!(shop.notifications.metric("dead_letters_total").await, 2);
    shop.close().await;
}

#[tokio::test]
async fn an_event_that_is_no_json_does_not_hold_up_the_outbox() {
    let shop = Shop::open().await;
    let orders = format!("sqlite://{}/orders.sqlite", shop.data.path().display());
    let orders = sqlx::SqlitePool::connect(&orders).await.unwrap();
    sqlx::query(
        "INSERT INTO outbox (event_id, kind, payload) VALUES ('e-1', 'order-confirmed', '{')",
    )
    .execute(&orders)
    .await
    .unwrap();
    let shopper = shop.gateway.logged_in(1).await;
    let cart = shopper.cart_with("p-0001", 1).await;
    let order = shopper.check_out(&cart, "key").await.expect(200);
    notified(&shop.notifications, &order.text_at("/order_id"), 1).await;
    until("the outbox is empty", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
            .fetch_one(&orders)
            .await
            .unwrap();
        left == 0
    })
    .await;
    assert_eq!(shop.notifications.metric("dead_letters_total").await, 1);
    shop.close().await;
}

#[tokio::test]
async fn an_address_of_a_part_that_makes_no_sense_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, Settings); 2] = [
        ("notifications", "AMQP_URL", settings(folder.path())),
        ("catalog", "REDIS_URL", settings(folder.path())),
    ];
    for (role, setting, mut settings) in cases {
        settings.insert(setting, "http://shop:quiet-secret@127.0.0.1:1".to_owned());
        let output = command(role, &settings).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{role}");
        assert!(error.contains(setting), "{error}");
        assert!(!error.contains("quiet-secret"), "{error}");
    }
}
