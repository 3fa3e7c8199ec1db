//! A disk that fills up while a role works, and has room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Client, Reply};
use crate::shop::{Process, settings};
use crate::skipping::skip;

/// The size of the disk, in MiB: the tables, their log, and little more.
const DISK_MIB: u32 = 8;
/// More orders than fit on it.
const ORDERS_MAX: u32 = 20_000;
/// How long it may take until a role has noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(5);
/// A disk of its own, seen by no other process, that is gone with the last that uses it.
const ON_A_DISK: &str = "mount -t tmpfs -o size=$0m tmpfs \"$DATA_DIR\" && exec \"$1\" catalog";

/// Whether this user may have a disk of its own here; says what is skipped if not and that is allowed.
async fn may_mount() -> bool {
    let mut unshare = tokio::process::Command::new("unshare");
    unshare.args([
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "none",
        "/mnt",
    ]);
    let tried = unshare.stderr(Stdio::null()).status().await;
    if tried.is_ok_and(|status| status.success()) {
        return true;
    }
    skip("a disk that fills up (unshare --map-root-user --mount)");
    false
}

// The catalog, and its folder as seen from outside its namespace.
async fn catalog_on_a_disk(folder: &Path) -> (Process, PathBuf) {
    let mut command = tokio::process::Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c", ON_A_DISK])
        .arg(DISK_MIB.to_string())
        .arg(env!("CARGO_BIN_EXE_store"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(settings(folder))
        .kill_on_drop(true);
    let role = Process::begin(command).await;
    role.client.ready().await;
    let root = format!("/proc/{}/root", role.pid().as_raw_nonzero());
    let inside = Path::new(&root).join(folder.strip_prefix("/").unwrap());
    (role, inside)
}

// Writes until nothing more can be.
fn fill(file: &Path) {
    let mut filler = fs::File::create(file).unwrap();
    for size in [64 * 1024, 1024, 1] {
        while std::io::Write::write_all(&mut filler, &vec![b'.'; size]).is_ok() {}
    }
}

async fn reserve(catalog: &Client, order: u32) -> Reply {
    let wish = json!({ "order_id": format!("o-{order}"), "lines": [{ "product_id": "p-0120", "quantity": 1 }] });
    catalog.post("/reservations", wish).await
}

async fn until_ready_answers(catalog: &Client, status: u16) -> Reply {
    let answered = async {
        loop {
            let reply = catalog.get("/ready").await;
            if reply.status.as_u16() == status {
                return reply;
            }
        }
    };
    let answered = tokio::time::timeout(NOTICED_WITHIN, answered).await;
    answered.unwrap_or_else(|_| panic!("never {status}"))
}

async fn available(catalog: &Client) -> i64 {
    let product = catalog.get("/products/p-0120").await.expect(200).json();
    product["stock"].as_i64().unwrap()
}

#[tokio::test]
async fn a_disk_that_fills_up_refuses_changes_loses_nothing_and_is_noticed_to_have_room_again() {
    if !may_mount().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (role, disk) = catalog_on_a_disk(folder.path()).await;
    let (catalog, pid) = (role.client.clone(), role.pid());
    // Its log is read all the time, so that it never waits for a reader.
    let ended = tokio::spawn(role.end());
    let before = available(&catalog).await;
    reserve(&catalog, 0).await.expect(200);

    fill(&disk.join("filler"));
    let not_ready = until_ready_answers(&catalog, 503).await;
    assert_eq!(
        not_ready.text_at("/error"),
        "the disk of DATA_DIR has no room left"
    );
    // The log of the database has room of its own for a while.
    let (mut taken, mut refused) = (1, None);
    for order in 1..ORDERS_MAX {
        let reply = reserve(&catalog, order).await;
        if reply.status.as_u16() != 200 {
            refused = Some((order, reply.expect(503)));
            break;
        }
        taken += 1;
    }
    let (order, reply) = refused.expect("the disk took everything");
    assert_eq!(reply.text_at("/error"), "the store has no room to write");
    assert_eq!(reply.headers["retry-after"], "1");
    catalog.get("/health").await.expect(200);
    assert_eq!(available(&catalog).await, before - taken);

    fs::remove_file(disk.join("filler")).unwrap();
    until_ready_answers(&catalog, 200).await;
    reserve(&catalog, order).await.expect(200);
    reserve(&catalog, 0).await.expect(200);
    assert_eq!(available(&catalog).await, before - taken - 1);
    kill_process(pid, Signal::TERM).unwrap();
    let (code, log) = ended.await.unwrap();
    assert_eq!(code, Some(0));
    let about: Vec<&Value> = log
        .iter()
        .filter(|line| line["setting"] == "DATA_DIR")
        .collect();
    let levels: Vec<&str> = about
        .iter()
        .filter_map(|line| line["level"].as_str())
        .collect();
    assert_eq!(levels, ["ERROR", "INFO"], "{about:#?}");
    let told = about[0]["message"].as_str().unwrap();
    let place = folder.path().display().to_string();
    assert!(told.contains("DATA_DIR") && told.contains(&place), "{told}");
}
