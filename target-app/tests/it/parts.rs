//! The servers that the store's parts are: started, used, ended in order and by force, and started again.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::skipping::skip;

/// Longest start, by far: a broker on a busy machine of two cores.
const START: Duration = Duration::from_mins(2);
/// Longest end.
const END: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Marks every process of a test.
const MARK: &str = "STORE_PART_TEST";

/// A server, and the folder that outlives it.
struct Server {
    name: &'static str,
    port: u16,
    data: TempDir,
    child: Child,
    /// The numbers of all its lives.
    lives: Vec<String>,
}

impl Server {
    /// `None` where its package is not installed, which only a run that may skip forgives.
    async fn start(name: &'static str) -> Option<Self> {
        let data = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = spawn(name, port, data.path());
        let mut server = Self {
            name,
            port,
            data,
            lives: life(&child),
            child,
        };
        if server.listens().await {
            return Some(server);
        }
        let log = server.log();
        assert!(
            log.contains("apt-get install"),
            "{name} did not start: {log}"
        );
        skip(&log);
        None
    }

    async fn again(&mut self) {
        self.child = spawn(self.name, self.port, self.data.path());
        self.lives.extend(life(&self.child));
        assert!(
            self.listens().await,
            "{} did not start again: {}",
            self.name,
            self.log()
        );
    }

    /// Whether it takes connections, waiting for it; false if it ends instead.
    async fn listens(&mut self) -> bool {
        let listening = async {
            loop {
                if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                    return true;
                }
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(START, listening)
            .await
            .unwrap_or_else(|_| {
                panic!(
                    "{} does not listen after {START:?}: {}",
                    self.name,
                    self.log()
                )
            })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("test.log")).unwrap()
    }

    /// The exit code after a signal; `None` if the signal ended it.
    async fn end(&mut self, signal: Signal) -> Option<i32> {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        let ended = tokio::time::timeout(END, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("{} is still there after {signal:?}", self.name))
            .unwrap()
            .code()
    }

    /// Nothing that was started is left but its files.
    async fn nothing_left(self) {
        let mark = mark(self.data.path());
        let gone = async {
            while let Some(left) = marked(&mark) {
                tokio::time::sleep(LOOK).await;
                drop(left);
            }
        };
        let in_time = tokio::time::timeout(END, gone).await;
        assert!(in_time.is_ok(), "{} left {:?}", self.name, marked(&mark));
        TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect_err("nobody listens");
        let shared = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        let ours = shared.lines().find(|line| {
            let maker = line.split_whitespace().nth(4);
            maker.is_some_and(|maker| self.lives.iter().any(|life| life == maker))
        });
        assert_eq!(ours, None, "shared memory is left");
    }
}

fn mark(data: &Path) -> String {
    format!("{MARK}={}", data.display())
}

fn spawn(name: &str, port: u16, data: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(data.join("test.log"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_store"))
        .args(["part", name, "--port", &port.to_string(), "--data"])
        .arg(data.join("data"))
        .env(MARK, data)
        .env("PART_PASSWORD", "not-to-be-seen")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn life(child: &Child) -> Vec<String> {
    child.id().iter().map(u32::to_string).collect()
}

/// The command of a process that bears the mark and has not ended.
fn marked(mark: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let has = |path: &Path| {
        let environ = fs::read(path.join("environ")).unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|set| set == mark.as_bytes())
    };
    let found = processes.map(|entry| entry.path()).find(|path| has(path))?;
    Some(fs::read_to_string(found.join("cmdline")).unwrap_or_default())
}

/// The password is where it must be and nowhere else that others can read.
fn not_told(server: &Server) {
    let pid = server.child.id().unwrap();
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("not-to-be-seen"), "{}: {file}", server.name);
    }
    assert!(!server.log().contains("not-to-be-seen"), "{}", server.log());
}

async fn database(port: u16) -> sqlx::PgPool {
    let address = format!("postgres://shop:not-to-be-seen@127.0.0.1:{port}/shop");
    let connected = async {
        loop {
            // It takes connections a moment before it serves them.
            match sqlx::PgPool::connect(&address).await {
                Ok(pool) => return pool,
                Err(error) => drop(error),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(END, connected)
        .await
        .expect("it serves nobody")
}

async fn rows(pool: &sqlx::PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM kept")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn postgres_keeps_what_was_committed() {
    let Some(mut server) = Server::start("postgres").await else {
        return;
    };
    let pool = database(server.port).await;
    sqlx::query("CREATE TABLE kept (id bigint)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO kept VALUES (1)")
        .execute(&pool)
        .await
        .unwrap();
    let encoding: String = sqlx::query_scalar("SHOW server_encoding")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(encoding, "UTF8");
    not_told(&server);
    let wrong = format!("postgres://shop:wrong@127.0.0.1:{}/shop", server.port);
    sqlx::PgPool::connect(&wrong)
        .await
        .expect_err("the password counts");
    // The pool is still connected: it is not waited for.
    assert_eq!(server.end(Signal::INT).await, Some(0));
    drop(pool);

    server.again().await;
    let pool = database(server.port).await;
    sqlx::query("INSERT INTO kept VALUES (2)")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(server.end(Signal::KILL).await, None);
    drop(pool);

    server.again().await;
    let pool = database(server.port).await;
    assert_eq!(rows(&pool).await, 2);
    pool.close().await;
    assert_eq!(server.end(Signal::INT).await, Some(0));
    server.nothing_left().await;
}

async fn cache(port: u16) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn cached(port: u16, name: &str) -> Option<String> {
    // Its file is read after it listens: until then it says so.
    let mut connection = cache(port).await;
    let answered = async {
        loop {
            match redis::cmd("GET")
                .arg(name)
                .query_async(&mut connection)
                .await
            {
                Ok(value) => return value,
                Err(error) => assert!(error.to_string().contains("loading"), "{error}"),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(END, answered)
        .await
        .expect("it is still loading")
}

#[tokio::test]
async fn redis_keeps_what_was_written_over_an_end_in_order() {
    let Some(mut server) = Server::start("redis").await else {
        return;
    };
    let mut connection = cache(server.port).await;
    let () = redis::cmd("SET")
        .arg("a")
        .arg("1")
        .query_async(&mut connection)
        .await
        .unwrap();
    not_told(&server);
    assert_eq!(server.end(Signal::TERM).await, Some(0));

    server.again().await;
    assert_eq!(cached(server.port, "a").await.as_deref(), Some("1"));
    assert_eq!(server.end(Signal::KILL).await, None);

    server.again().await;
    assert_eq!(cached(server.port, "a").await.as_deref(), Some("1"));
    assert_eq!(server.end(Signal::TERM).await, Some(0));
    server.nothing_left().await;
}

async fn broker(port: u16) -> lapin::Channel {
    let address = format!("amqp://shop:not-to-be-seen@127.0.0.1:{port}/%2f");
    let connection = Connection::connect(&address, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("kept".into(), durable, FieldTable::default())
        .await
        .unwrap();
    channel
}

/// Publishes a message that outlives the broker, and waits for its word that it does.
async fn publish(channel: &lapin::Channel, text: &str) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let confirm = channel.basic_publish(
        "".into(),
        "kept".into(),
        options,
        text.as_bytes(),
        persistent,
    );
    assert!(confirm.await.unwrap().await.unwrap().is_ack());
}

async fn take(channel: &lapin::Channel) -> Vec<u8> {
    let options = BasicGetOptions { no_ack: true };
    let message = channel.basic_get("kept".into(), options).await.unwrap();
    message.expect("a message is there").delivery.data
}

#[tokio::test]
async fn rabbitmq_keeps_what_it_confirmed() {
    let Some(mut server) = Server::start("rabbitmq").await else {
        return;
    };
    publish(&broker(server.port).await, "one").await;
    not_told(&server);
    assert_eq!(server.end(Signal::TERM).await, Some(0));

    server.again().await;
    let channel = broker(server.port).await;
    assert_eq!(take(&channel).await, b"one");
    publish(&channel, "two").await;
    assert_eq!(server.end(Signal::KILL).await, None);

    server.again().await;
    assert_eq!(take(&broker(server.port).await).await, b"two");
    assert_eq!(server.end(Signal::TERM).await, Some(0));
    server.nothing_left().await;
}
