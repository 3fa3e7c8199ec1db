//! Events on their way through a real broker that is stopped, killed, and given poison.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::audit::read;
use crate::broker::{Broker, broker};
use crate::client::Client;
use crate::journeys::notified;
use crate::races::post;
use crate::server::free_ports;
use crate::shop::{Process, Shop};

/// How many buy at the same time.
const SHOPPERS: u32 = 4;
/// How often each of them does: the broker needs the machine too.
const PACE: Duration = Duration::from_millis(50);

async fn shop_with(url: &str) -> Shop {
    Shop::open_with(&[
        ("orders", "AMQP_URL", url),
        ("notifications", "AMQP_URL", url),
    ])
    .await
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFnMut() -> bool) {
    assert!(came(so).await, "it never came that {what}");
}

// Whether something is so within a minute.
async fn came(mut so: impl AsyncFnMut() -> bool) -> bool {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), waiting)
        .await
        .is_ok()
}

async fn connected(client: &Client) {
    until("the broker is connected", async || {
        client.metric("part_connected{part=\"rabbitmq\"").await == 1
    })
    .await;
}

// Asks again with the same key while the store is too busy, as a machine with much else to do makes it.
// Check-outs that need a broker would show all the same: none would succeed while there is none.
async fn buy(shopper: &Client, key: &str) -> String {
    let wish = json!({ "items": [{ "product_id": "p-0100", "quantity": 1 }] });
    let shopper = shopper.with("idempotency-key", key);
    let (status, order) = post(shopper, "/checkout".to_owned(), wish).await;
    assert_eq!(status, 200, "{order}");
    order["order_id"].as_str().unwrap().to_owned()
}

// Shoppers who buy until they are told to stop; every purchase must succeed.
struct Buying {
    stop: tokio::sync::watch::Sender<bool>,
    shoppers: JoinSet<Vec<String>>,
}

impl Buying {
    async fn begin(shop: &Shop) -> Self {
        let stop = tokio::sync::watch::Sender::new(false);
        let mut shoppers = JoinSet::new();
        for number in 1..=SHOPPERS {
            let shopper = shop.gateway.logged_in(number).await;
            let stop = stop.subscribe();
            shoppers.spawn(async move {
                let mut bought = Vec::new();
                let mut pace = tokio::time::interval(PACE);
                while !*stop.borrow() {
                    pace.tick().await;
                    bought.push(buy(&shopper, &format!("{number}-{}", bought.len())).await);
                }
                bought
            });
        }
        Self { stop, shoppers }
    }

    async fn end(self) -> Vec<String> {
        self.stop.send_replace(true);
        self.shoppers
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

// Every order is told once, as the book of notifications has it.
async fn all_notified_once(shop: &Shop, broker: &Broker, mut bought: Vec<String>) {
    bought.sort_unstable();
    let mut told = Vec::new();
    let all = came(async || {
        told = orders_told(shop).await;
        told.len() >= bought.len()
    });
    if !all.await {
        let missing: Vec<&String> = bought.iter().filter(|it| !told.contains(it)).collect();
        let place = whereabouts(shop, broker).await;
        panic!("never notified: {missing:?} of {}; {place}", bought.len());
    }
    assert_eq!(told, bought);
}

async fn orders_told(shop: &Shop) -> Vec<String> {
    let mut book = read(&shop.notifications).await;
    let deliveries = book.remove("delivery").unwrap_or_default();
    let order = |it: &Value| it["order"].as_str().unwrap().to_owned();
    let mut told: Vec<String> = deliveries.iter().map(order).collect();
    told.sort_unstable();
    told
}

// Where events are that did not arrive: in the outbox, in the broker, or with the consumer.
async fn whereabouts(shop: &Shop, broker: &Broker) -> String {
    let waiting: Vec<(String, i64)> = sqlx::query_as("SELECT payload, claimed_until FROM outbox")
        .fetch_all(&shop.book("orders").await)
        .await
        .unwrap();
    let mut told = format!("outbox: {waiting:?}; broker: {}", broker.depth().await);
    for client in [&shop.orders[0], &shop.orders[1], &shop.notifications] {
        let text = client.get("/metrics").await.expect(200).text;
        let about = |line: &&str| {
            ["queue_", "part_", "outbox_", "notifications_"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        let lines: Vec<&str> = text.lines().filter(about).collect();
        write!(told, "; {}: {}", client.address(), lines.join(", ")).unwrap();
    }
    told
}

#[tokio::test]
async fn events_pass_through_the_broker_and_leave_the_outbox_when_it_has_them() {
    let Some(broker) = broker().await else { return };
    let shop = shop_with(&broker.url()).await;
    let shopper = shop.gateway.logged_in(1).await;
    for number in 0..5 {
        let order = buy(&shopper, &format!("key-{number}")).await;
        notified(&shop.notifications, &order, 1).await;
    }
    let mut confirmed = 0;
    for orders in &shop.orders {
        until("the outbox is empty", async || {
            orders.metric("outbox_depth").await == 0
        })
        .await;
        confirmed += orders.metric("queue_confirmed_total").await;
    }
    assert_eq!(confirmed, 5);
    let notifications = &shop.notifications;
    assert_eq!(notifications.metric("queue_consumed_total").await, 5);
    assert_eq!(
        notifications.metric("notifications_recorded_total").await,
        5
    );
    assert_eq!(
        notifications
            .metric("http_requests_total{method=\"POST\"")
            .await,
        0
    );
    shop.close().await;
    assert_eq!(broker.take("notifications").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_stopped_under_check_outs_harms_none_and_every_event_arrives_once() {
    let Some(mut broker) = broker().await else {
        return;
    };
    let shop = shop_with(&broker.url()).await;
    let buying = Buying::begin(&shop).await;
    connected(&shop.notifications).await;
    bought_more(&shop, 10).await;
    broker.stop();
    bought_more(&shop, 20).await;
    for client in [&shop.orders[0], &shop.notifications] {
        assert_eq!(client.metric("part_connected").await, 0);
        client.get("/ready").await.expect(200);
    }
    broker.start().await;
    bought_more(&shop, 10).await;
    all_notified_once(&shop, &broker, buying.end().await).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_under_check_outs_loses_nothing_it_had_confirmed() {
    let Some(mut broker) = broker().await else {
        return;
    };
    let shop = shop_with(&broker.url()).await;
    let buying = Buying::begin(&shop).await;
    connected(&shop.notifications).await;
    for _ in 0..2 {
        bought_more(&shop, 10).await;
        broker.kill();
        bought_more(&shop, 10).await;
        broker.start().await;
    }
    all_notified_once(&shop, &broker, buying.end().await).await;
    shop.close().await;
}

// Waits for so many more check-outs.
async fn bought_more(shop: &Shop, more: u64) {
    let count = async || {
        let line = "http_requests_total{method=\"POST\",route=\"/checkout\",status=\"200\"}";
        shop.gateway.metric(line).await
    };
    let wanted = count().await + more;
    until("more is bought", async || count().await >= wanted).await;
}

#[tokio::test]
async fn an_event_confirmed_but_not_deleted_is_sent_again_and_recorded_once() {
    let Some(broker) = broker().await else { return };
    let shop = shop_with(&broker.url()).await;
    let shopper = shop.gateway.logged_in(1).await;
    let order = buy(&shopper, "key").await;
    notified(&shop.notifications, &order, 1).await;
    // As a process leaves it that dies between the confirm and its own commit.
    let event = shop
        .notifications
        .get(&format!("/notifications/{order}"))
        .await
        .json();
    let event = event["events"][0]["id"].as_str().unwrap().to_owned();
    let orders = format!("sqlite://{}/orders.sqlite", shop.data.path().display());
    let orders = sqlx::SqlitePool::connect(&orders).await.unwrap();
    let payload = json!({ "order_id": order, "shopper_id": "s-0001", "amount": 1 });
    sqlx::query("INSERT INTO outbox (event_id, kind, payload) VALUES (?, 'order-confirmed', ?)")
        .bind(event)
        .bind(payload.to_string())
        .execute(&orders)
        .await
        .unwrap();
    until("it came again", async || {
        shop.notifications
            .metric("notifications_duplicates_total")
            .await
            == 1
    })
    .await;
    notified(&shop.notifications, &order, 1).await;
    shop.close().await;
}

#[tokio::test]
async fn a_consumer_killed_before_it_acknowledged_leaves_the_events_to_the_next() {
    let Some(broker) = broker().await else { return };
    let url = broker.url();
    let shop = Shop::open_with(&[("orders", "AMQP_URL", &url)]).await;
    let mut settings = shop.settings();
    settings.insert("AMQP_URL", url);
    let mut first = Process::start("notifications", &settings).await;
    connected(&first.client).await;

    // Nobody else can write to its book, so it has the event and cannot acknowledge it.
    let book = format!(
        "sqlite://{}/notifications.sqlite",
        shop.data.path().display()
    );
    let book = sqlx::SqlitePool::connect(&book).await.unwrap();
    let lock = book.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let shopper = shop.gateway.logged_in(1).await;
    let order = buy(&shopper, "key").await;
    until("the event is delivered", async || {
        first.client.metric("queue_consumed_total").await == 1
    })
    .await;
    first.child.kill().await.unwrap();
    lock.rollback().await.unwrap();

    let second = Process::start("notifications", &settings).await;
    notified(&second.client, &order, 1).await;
    assert_eq!(second.client.metric("queue_redelivered_total").await, 1);
    second.terminate();
    let begun = Instant::now();
    assert_eq!(second.end().await.0, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_leaves_a_connection_that_is_lost_whatever_it_waits_for() {
    let Some(mut broker) = broker().await else {
        return;
    };
    let shop = shop_with(&broker.url()).await;
    let notifications = &shop.notifications;
    connected(notifications).await;
    // Nobody else can write to its book, so it has the event and does not come to acknowledge it.
    let book = shop.book("notifications").await;
    let lock = book.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let shopper = shop.gateway.logged_in(1).await;
    let order = buy(&shopper, "key").await;
    let delivered = async || notifications.metric("queue_consumed_total").await;
    until("the event is delivered", async || delivered().await == 1).await;
    broker.kill();
    broker.start().await;
    until("it comes again", async || delivered().await > 1).await;
    lock.rollback().await.unwrap();
    notified(notifications, &order, 1).await;
    shop.close().await;
}

#[tokio::test]
async fn poison_becomes_a_dead_letter_and_the_others_are_recorded() {
    let Some(broker) = broker().await else { return };
    let shop = shop_with(&broker.url()).await;
    connected(&shop.notifications).await;
    for body in [
        "not JSON",
        r#"{"id":"e-1","kind":"order-confirmed","payload":{"order_id":"o-1","shopper_id":"s-1"}}"#,
        r#"{"id":"e-2","kind":"order-confirmed","payload":"a text"}"#,
    ] {
        broker.publish(body).await;
    }
    notified(&shop.notifications, "o-1", 1).await;
    let mut dead = Vec::new();
    until("two are dead", async || {
        dead.extend(broker.take("notifications.dead").await);
        dead.len() == 2
    })
    .await;
    assert_eq!(dead[0], "not JSON");
    assert_eq!(shop.notifications.metric("queue_rejected_total").await, 2);
    shop.close().await;
}

// What a role says about a broker it cannot use; it serves and is ready all the while.
async fn complaint(url: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = crate::shop::settings(folder.path());
    settings.insert("AMQP_URL", url.to_owned());
    let role = Process::start("notifications", &settings).await;
    role.client.get("/ready").await.expect(200);
    let (log, text) = role.log_until(|line| line["setting"] == "AMQP_URL").await;
    assert!(!text.contains("quiet-secret"), "{text}");
    log
}

#[tokio::test]
async fn a_broker_that_cannot_be_used_is_named_without_its_secret() {
    let [nobody] = free_ports();
    let line = complaint(&format!("amqp://shop:quiet-secret@127.0.0.1:{nobody}/%2f")).await;
    assert_eq!(line["place"], format!("127.0.0.1:{nobody}"));
    assert!(
        line["message"].as_str().unwrap().contains("refused"),
        "{line}"
    );

    let Some(broker) = broker().await else { return };
    let wrong = broker.url().replace("shop:", "nobody:");
    let line = complaint(&wrong).await;
    assert!(
        line["message"].as_str().unwrap().contains("ACCESS_REFUSED"),
        "{line}"
    );
    drop(broker);
}
