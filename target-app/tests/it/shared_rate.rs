//! Two gateways count a shopper's requests together while Redis is there, and each for itself if not.

use crate::client::Client;
use crate::queue::until;
use crate::server::Server;
use crate::shop::{Process, Shop};

async fn ask(client: &Client) -> u16 {
    // Nobody's order: what matters is whether the gateway let the question through.
    client.get("/orders/o-none").await.status.as_u16()
}

#[tokio::test]
async fn an_allowance_is_shared_by_the_gateways_while_redis_is_there() {
    let mut redis = Server::new("redis");
    if !redis.start().await {
        return;
    }
    let shop = Shop::open().await;
    let mut settings = shop.settings();
    settings.insert("REDIS_URL", format!("redis://127.0.0.1:{}", redis.port));
    settings.insert("RATE_LIMIT_PER_SECOND", "1".to_owned());
    settings.insert("RATE_LIMIT_BURST", "20".to_owned());
    let gateways = [
        Process::start("gateway", &settings).await,
        Process::start("gateway", &settings).await,
    ];
    let mut shoppers = Vec::new();
    for gateway in &gateways {
        until("Redis is connected", async || {
            gateway.client.metric("part_connected{part=\"redis\"").await == 1
        })
        .await;
        shoppers.push(gateway.client.logged_in(1).await);
    }
    let mut passed = 0;
    while ask(&shoppers[passed % 2]).await == 404 {
        passed += 1;
    }
    // Some time has passed, and with it a few more were allowed; alone, each would allow 20.
    assert!((20..30).contains(&passed), "{passed}");
    let refused = shoppers[passed % 2].get("/orders/o-none").await.expect(429);
    assert!(refused.headers.contains_key("retry-after"));
    redis.kill();
    for _ in 0..10 {
        assert_eq!(ask(&shoppers[0]).await, 404);
    }
    shop.close().await;
}
