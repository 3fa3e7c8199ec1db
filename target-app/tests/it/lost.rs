//! A database that is away, comes back, or cannot be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::audit::{at_rest, read};
use crate::client::{Client, Reply};
use crate::kinds::{PASSWORD, Postgres, may_use_postgres};
use crate::shop::{Process, Settings, Shop, command, settings};

/// How many buy at the same time.
const SHOPPERS: u32 = 4;
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_order_is_lost_with_a_server_that_crashes_and_returns() {
    if !may_use_postgres() {
        return;
    }
    // What is on the disk counts here.
    let mut server = Postgres::start("fsync=on");
    let shop = Shop::open_on(Some(server.database().await), &[]).await;
    let (stop, sold) = (watch::Sender::new(false), watch::Sender::new(0_usize));
    let mut buying = JoinSet::new();
    for number in 1..=SHOPPERS {
        let shopper = shop.gateway.logged_in(number).await;
        buying.spawn(buy(shopper, number, stop.subscribe(), sold.clone()));
    }
    until(&sold, 20).await;
    server.crash();
    for role in [
        &shop.orders[0],
        &shop.orders[1],
        &shop.catalog,
        &shop.payments,
    ] {
        is_not_ready(role).await;
        role.get("/health").await.expect(200);
    }
    server.go_on();
    drop(server.connect("postgres").await);
    for role in [
        &shop.orders[0],
        &shop.orders[1],
        &shop.catalog,
        &shop.payments,
    ] {
        role.ready().await;
    }
    let before = *sold.borrow();
    until(&sold, before + 20).await;
    stop.send_replace(true);
    let sold: BTreeSet<String> = buying.join_all().await.into_iter().flatten().collect();

    // Each order that was told of is there, paid once, and the shopper hears of it once.
    let orders = at_rest(&shop.orders[0], &["confirmed", "cancelled", "refused"]).await;
    let confirmed: Vec<String> = orders
        .iter()
        .filter(|order| {
            order["states"]
                .as_array()
                .unwrap()
                .contains(&json!("confirmed"))
        })
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(confirmed.iter().cloned().collect::<BTreeSet<_>>(), sold);
    assert_eq!(
        charged(&shop).await,
        confirmed.iter().map(|id| (id.clone(), 1)).collect()
    );
    all_delivered(&shop, &sold).await;
    let left = read(&shop.catalog).await["stock"][69]["available"].clone();
    assert_eq!(left, 1_000_000 - sold.len());
    shop.close().await;
}

// Buys until told to stop; the ids of the orders that were acknowledged. What was not answered is asked
// again under its key, until it is known how it ended.
async fn buy(
    shopper: Client,
    number: u32,
    stop: watch::Receiver<bool>,
    sold: watch::Sender<usize>,
) -> Vec<String> {
    let mut orders = Vec::new();
    for turn in 0.. {
        if *stop.borrow() {
            break;
        }
        let asking = shopper.with("idempotency-key", &format!("{number}-{turn}"));
        let reply = answered(&asking).await;
        // An order that nobody worked on for a while is given up, and its key with it.
        if reply.status.as_u16() == 200 {
            orders.push(reply.text_at("/order_id"));
            sold.send_modify(|sold| *sold += 1);
        } else {
            reply.expect(409);
        }
    }
    orders
}

async fn answered(shopper: &Client) -> Reply {
    let wish = json!({ "items": [{ "product_id": "p-0070", "quantity": 1 }] });
    let answered = async {
        loop {
            let reply = shopper.post("/checkout", wish.clone()).await;
            match reply.status.as_u16() {
                502..=504 => tokio::time::sleep(Duration::from_millis(20)).await,
                500 => panic!("a lost database is no mistake of the store: {}", reply.text),
                _ => return reply,
            }
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("no end of an order was ever told")
}

async fn until(sold: &watch::Sender<usize>, wanted: usize) {
    let mut sold = sold.subscribe();
    let reached = sold.wait_for(|sold| *sold >= wanted);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .expect("too few were sold")
        .unwrap();
}

async fn is_not_ready(role: &Client) {
    let unready = async { while role.get("/ready").await.status.as_u16() != 503 {} };
    tokio::time::timeout(Duration::from_secs(5), unready)
        .await
        .expect("the role stayed ready");
}

// How often each order was charged.
async fn charged(shop: &Shop) -> BTreeMap<String, u32> {
    let mut charged = BTreeMap::new();
    for charge in read(&shop.bank).await.remove("charge").unwrap_or_default() {
        *charged
            .entry(charge["order"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    charged
}

async fn all_delivered(shop: &Shop, sold: &BTreeSet<String>) {
    let delivered = async {
        loop {
            let told = read(&shop.notifications)
                .await
                .remove("delivery")
                .unwrap_or_default();
            let orders: BTreeSet<String> = told
                .iter()
                .map(|told| told["order"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(told.len(), orders.len(), "an order was notified twice");
            if orders == *sold {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, delivered)
        .await
        .expect("not every order was notified");
}

// A role that cannot use its database: it lives, says why in one line, and answers 503.
async fn launched(url: &str, reason: &str) -> Process {
    let mut wanted = Settings::from([("DATABASE_URL", url.to_owned())]);
    wanted.insert("PORT", "0".to_owned());
    let mut role = Process::launch("catalog", &wanted).await;
    let line = role.next_about_a_setting().await;
    assert_eq!(
        (&line["level"], &line["setting"]),
        (&json!("WARN"), &json!("DATABASE_URL"))
    );
    let told = line["message"].as_str().unwrap().to_owned();
    assert!(told.contains(reason), "{told}");
    assert!(!line.to_string().contains(PASSWORD), "{line}");
    role.client.get("/health").await.expect(200);
    let unready = role.client.get("/ready").await.expect(503);
    let told = unready.text_at("/error");
    assert!(told.contains(reason) && !told.contains(PASSWORD), "{told}");
    let starting = role.client.get("/products").await.expect(503);
    assert_eq!(starting.headers["retry-after"], "1");
    role
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_and_used_once_it_can_be() {
    if !may_use_postgres() {
        return;
    }
    let mut server = Postgres::prepare("fsync=off");
    let early = launched(&server.url("postgres"), "refused").await;
    server.go_on();
    early.client.ready().await;
    early.client.get("/products/p-0200").await.expect(200);

    let nowhere = launched(&server.url("shop_later"), "\"shop_later\" does not exist").await;
    server.make("shop_later").await;
    nowhere.client.ready().await;

    let stranger = server
        .url("postgres")
        .replace(PASSWORD, &format!("{PASSWORD}-not"));
    let stranger = launched(&stranger, "password authentication failed").await;
    for role in [early, nowhere, stranger] {
        role.terminate();
        let (code, log) = role.end().await;
        assert_eq!(code, Some(0));
        assert!(!json!(log).to_string().contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_named_and_does_not_hold_up_the_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://shop:{PASSWORD}@127.0.0.1:{port}/shop");
    let role = launched(&url, "does not answer").await;
    let begun = Instant::now();
    role.terminate();
    assert_eq!(role.end().await.0, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

// The end of a role that cannot start: its exit code is not 0 and one line says why.
async fn refused_line(mut role: tokio::process::Command) -> String {
    let output = role.output().await.unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).unwrap();
    let errors: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    errors[0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_corrupt_file_is_named_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.sqlite");
    let garbage = "this is not a database".repeat(1000);
    std::fs::write(&file, &garbage).unwrap();
    let line = refused_line(command("catalog", &settings(folder.path()))).await;
    assert!(
        line.contains("DATA_DIR") && line.contains("catalog.sqlite"),
        "{line}"
    );
    assert!(line.contains("not a database"), "{line}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), garbage);
}

#[tokio::test]
async fn a_disk_without_room_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // The system refuses what grows beyond 32 blocks of 512 bytes, as a full disk does.
    let mut role = tokio::process::Command::new("sh");
    role.args([
        "-c",
        "trap '' XFSZ; ulimit -f 32; exec \"$0\" catalog",
        env!("CARGO_BIN_EXE_store"),
    ]);
    role.env_clear()
        .envs(settings(folder.path()))
        .kill_on_drop(true);
    let line = refused_line(role).await;
    assert!(
        line.contains("DATA_DIR") && line.contains("catalog.sqlite"),
        "{line}"
    );
    // With room again it starts, and all is there.
    let role = Process::start("catalog", &settings(folder.path())).await;
    role.client.get("/products/p-0200").await.expect(200);
    role.terminate();
    assert_eq!(role.end().await.0, Some(0));
}
