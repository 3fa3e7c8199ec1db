//! Browsing when Redis, or the database behind it, goes away and comes back.

use std::time::{Duration, Instant};

use crate::client::{Client, Reply};
use crate::queue::until;
use crate::server::{Server, free_ports};
use crate::shop::{Process, Settings, Shop, settings};

/// What a shopper looks at, whose answers are all cached.
const PATHS: [&str; 3] = [
    "/products?page=2",
    "/products/search?q=oslo",
    "/products/p-0007",
];

fn how(reply: &Reply) -> &str {
    reply.headers["x-cache"].to_str().unwrap()
}

async fn redis() -> Option<Server> {
    let mut redis = Server::new("redis");
    redis.start().await.then_some(redis)
}

fn with_redis(folder: &std::path::Path, port: u16) -> Settings {
    let mut settings = settings(folder);
    settings.insert("REDIS_URL", format!("redis://127.0.0.1:{port}"));
    settings
}

async fn connected(client: &Client, wanted: u64) {
    until("Redis is as wanted", async || {
        // Whether it is there is found out by asking.
        client.get("/products").await.expect(200);
        client.metric("part_connected{part=\"redis\"").await == wanted
    })
    .await;
}

#[tokio::test]
async fn with_redis_what_one_process_has_read_serves_the_other() {
    let Some(redis) = redis().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = with_redis(folder.path(), redis.port);
    let one = Process::start("catalog", &settings).await;
    let other = Process::start("catalog", &settings).await;
    for client in [&one.client, &other.client] {
        connected(client, 1).await;
    }
    let hits = async || other.client.metric("cache_answers_total{how=\"hit\"").await;
    let before = hits().await;
    for path in PATHS {
        let first = one.client.get(path).await.expect(200);
        let second = other.client.get(path).await.expect(200);
        assert_eq!((how(&first), how(&second)), ("miss", "hit"), "{path}");
        assert_eq!(first.text, second.text);
    }
    assert_eq!(hits().await - before, 3);
    one.client.get("/products/p-9999").await.expect(404);
    other.client.get("/products/p-9999").await.expect(404);
}

// Browses for a while; the slowest answer. None may fail.
async fn browse(gateway: &Client, answers: u32) -> Duration {
    let mut slowest = Duration::ZERO;
    for turn in 0..answers {
        let begun = Instant::now();
        let path = PATHS[turn as usize % PATHS.len()];
        gateway.get(path).await.expect(200);
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

#[tokio::test]
async fn redis_killed_paused_and_back_harms_no_request() {
    let Some(mut redis) = redis().await else {
        return;
    };
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let shop = Shop::open_with(&[("catalog", "REDIS_URL", &url)]).await;
    connected(&shop.catalog, 1).await;
    browse(&shop.gateway, 60).await;

    redis.kill();
    let slowest = browse(&shop.gateway, 120).await;
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    connected(&shop.catalog, 0).await;
    shop.catalog.get("/ready").await.expect(200);
    redis.start().await;
    connected(&shop.catalog, 1).await;

    // It still takes connections and answers nothing: that costs one short wait.
    redis.pause();
    let slowest = browse(&shop.gateway, 120).await;
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    redis.resume();
    connected(&shop.catalog, 1).await;
    shop.close().await;
}

#[tokio::test]
async fn while_the_database_is_away_what_was_seen_is_served_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let role = Process::start("catalog", &settings(folder.path())).await;
    let seen = role.client.get("/products/p-0007").await.expect(200);
    assert_eq!(how(&seen), "miss");
    // Its tables are gone under it, as for a role that lost its database.
    let file = format!("sqlite://{}/catalog.sqlite", folder.path().display());
    let database = sqlx::SqlitePool::connect(&file).await.unwrap();
    sqlx::query("ALTER TABLE products RENAME TO hidden")
        .execute(&database)
        .await
        .unwrap();
    let stale = role.client.get("/products/p-0007").await.expect(200);
    assert_eq!((how(&stale), &stale.text), ("stale", &seen.text));
    assert!(stale.headers.contains_key("age"));
    role.client.get("/products/p-0008").await.expect(500);
    sqlx::query("ALTER TABLE hidden RENAME TO products")
        .execute(&database)
        .await
        .unwrap();
    until("it is read again", async || {
        how(&role.client.get("/products/p-0007").await) == "miss"
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_cannot_be_used_is_named_without_its_secret() {
    let [nobody] = free_ports();
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = settings(folder.path());
    wanted.insert(
        "REDIS_URL",
        format!("redis://:quiet-secret@127.0.0.1:{nobody}"),
    );
    let role = Process::start("catalog", &wanted).await;
    role.client.get("/ready").await.expect(200);
    role.client.get("/products").await.expect(200);
    let (line, text) = role.log_until(|line| line["setting"] == "REDIS_URL").await;
    assert_eq!(line["place"], format!("127.0.0.1:{nobody}"));
    assert!(!text.contains("quiet-secret"), "{text}");
}
