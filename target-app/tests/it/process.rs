//! A role as a process: settings, signals, exit codes, log lines.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Client;
use crate::shop::{Process, Settings, command, settings};

#[tokio::test]
async fn every_missing_setting_gets_a_line_of_its_own_and_the_exit_code_says_no() {
    let output = command("orders", &Settings::new()).output().await.unwrap();
    assert!(!output.status.success());
    let log = String::from_utf8(output.stdout).unwrap();
    let named: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| line["setting"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(
        named,
        [
            "PORT",
            "DATA_DIR",
            "CATALOG_ADDRESS",
            "PAYMENTS_ADDRESS",
            "NOTIFICATIONS_ADDRESS"
        ]
    );
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("NOTIFICATIONS_ADDRESS is not set"),
        "{error}"
    );
}

#[tokio::test]
async fn an_occupied_port_and_an_unwritable_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut wanted = settings(folder.path());
    wanted.insert("PORT", taken.local_addr().unwrap().port().to_string());
    let output = command("catalog", &wanted).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("(LISTEN_ADDRESS, PORT)"),
        "{error}"
    );

    let mut wanted = settings(folder.path());
    wanted.insert("DATA_DIR", "/dev/null/store".to_owned());
    let output = command("catalog", &wanted).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("DATA_DIR"),
        "{error}"
    );
}

#[tokio::test]
async fn sigterm_finishes_what_was_begun_and_ends_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = settings(folder.path());
    wanted.insert("DELAY_MS", "1500".to_owned());
    let role = Process::start("catalog", &wanted).await;
    let (client, address) = (role.client.clone(), role.address.clone());
    let running = tokio::spawn(async move { client.get("/products").await });
    in_flight(&role.client, 2).await;
    let begun = Instant::now();
    role.terminate();

    let reply = running.await.unwrap().expect(200);
    assert_eq!(reply.headers["connection"], "close");
    let (code, log) = role.end().await;
    assert_eq!(code, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(log.last().unwrap()["message"], "stopped");
    assert!(
        Client::new(&address)
            .send(http::Method::GET, "/health", String::new())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_stopping_role_is_not_ready_but_still_answers() {
    let folder = tempfile::tempdir().unwrap();
    let role = Process::start("notifications", &settings(folder.path())).await;
    role.client.get("/ready").await.expect(200);
    role.terminate();
    let unready = async {
        loop {
            let reply = role.client.get("/ready").await;
            if reply.status.as_u16() == 503 {
                return reply;
            }
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(2), unready)
        .await
        .unwrap();
    assert_eq!(reply.text_at("/error"), "this instance is stopping");
    assert_eq!(reply.headers["connection"], "close");
    assert_eq!(role.end().await.0, Some(0));
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let role = Process::start("notifications", &settings(folder.path())).await;
    let idle = tokio::net::TcpStream::connect(&role.address).await.unwrap();
    role.client.get("/health").await.expect(200);
    let begun = Instant::now();
    role.terminate();
    assert_eq!(role.end().await.0, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    drop(idle);
}

#[tokio::test]
async fn the_delay_for_demonstrations_holds_back_answers_but_not_probes() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = settings(folder.path());
    wanted.insert("DELAY_MS", "300".to_owned());
    let role = Process::start("catalog", &wanted).await;
    let begun = Instant::now();
    role.client.get("/products").await.expect(200);
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    role.client.get("/ready").await.expect(200);
    assert!(
        begun.elapsed() < Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn several_processes_share_one_folder_from_the_first_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let settings = settings(folder.path());
        starting.spawn(async move { Process::start("catalog", &settings).await });
    }
    for role in starting.join_all().await {
        let product = role.client.get("/products/p-0200").await.expect(200).json();
        assert_eq!(product["stock"], 1_000_000);
        role.terminate();
        assert_eq!(role.end().await.0, Some(0));
    }
}

#[tokio::test]
async fn a_burst_of_connections_waits_until_it_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let role = Process::start("notifications", &settings(folder.path())).await;
    role.signal(rustix::process::Signal::STOP);
    let mut burst = Vec::new();
    // A dropped connection comes again after a second; a full queue of 128 would drop most of these.
    let connecting = async {
        for _ in 0..600 {
            burst.push(tokio::net::TcpStream::connect(&role.address).await.unwrap());
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(5), connecting).await;
    role.signal(rustix::process::Signal::CONT);
    connected.expect("a connection was dropped");
    drop(burst);
    role.terminate();
    assert_eq!(role.end().await.0, Some(0));
}

/// Waits until so many requests are being worked on, this one included.
async fn in_flight(client: &Client, wanted: u64) {
    let reached = async { while client.metric("http_requests_in_flight ").await < wanted {} };
    tokio::time::timeout(Duration::from_secs(5), reached)
        .await
        .expect("the request never arrived");
}
