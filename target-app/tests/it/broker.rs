//! A real `RabbitMQ` on free ports in a temporary folder, one for all tests of this binary.
//!
//! A shell keeps it: it starts and stops the server when it is told to, and when its input ends, however
//! this process ended, it kills what runs and removes the folder. Nothing outlives the tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use lapin::options::{BasicGetOptions, BasicPublishOptions, QueuePurgeOptions};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// How long the server may take to start; some 8 s on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(90);

const KEEPER: &str = r#"
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" </dev/null >/dev/null 2>&1 &
epmd=$!
end() { kill -s "$1" "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
while read -r word; do
  case "$word" in
    start) "$0" </dev/null >>"$RABBITMQ_LOG_BASE/out" 2>&1 & server=$! ;;
    *) end "$word" ;;
  esac
  echo done
done
end KILL
kill "$epmd"
rm -rf "$HOME"
"#;

/// The broker and the only right to use it.
pub(crate) type Turn = MappedMutexGuard<'static, Broker>;

static BROKER: Mutex<Option<Broker>> = Mutex::const_new(None);

/// Waits for the broker, empty and running; nothing when it is not installed and may be missed.
pub(crate) async fn broker() -> Option<Turn> {
    if !Path::new(SERVER).exists() {
        let may_skip = std::env::var("CHAOS_TESTS_MAY_SKIP").is_ok_and(|it| it == "no");
        assert!(
            !may_skip,
            "RabbitMQ is missing: apt-get install rabbitmq-server"
        );
        eprintln!("skipped: RabbitMQ is missing (apt-get install rabbitmq-server)");
        return None;
    }
    let turn = BROKER.lock().await;
    let mut turn = MutexGuard::map(turn, |broker| broker.get_or_insert_with(Broker::new));
    turn.start().await;
    turn.empty().await;
    Some(turn)
}

/// The server, running or not.
pub(crate) struct Broker {
    port: u16,
    running: bool,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _keeper: Child,
}

impl Broker {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap().keep();
        let [port, names, nodes] = free_ports();
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\ndefault_user = shop\ndefault_pass = quiet-secret\n\
             loopback_users = none\n"
        );
        std::fs::write(home.join("rabbitmq.conf"), settings).unwrap();
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, SERVER])
            .env_clear()
            .env("PATH", "/usr/lib/erlang/bin:/usr/bin:/bin")
            .env("HOME", &home)
            // The server takes the place of its script, and needs no terminal.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_MNESIA_BASE", home.join("data"))
            .env("RABBITMQ_LOG_BASE", &home)
            .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_NODENAME", format!("tests-{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", nodes.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false")
            .env("ERL_EPMD_PORT", names.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            port,
            running: false,
            orders: keeper.stdin.take().unwrap(),
            answers: BufReader::new(keeper.stdout.take().unwrap()),
            _keeper: keeper,
        }
    }

    /// Starts the server if it does not run, and waits until it takes connections.
    pub(crate) async fn start(&mut self) {
        if !self.running {
            self.order("start");
            self.running = true;
        }
        let started = async { while self.connect().await.is_err() {} };
        tokio::time::timeout(START_LIMIT, started)
            .await
            .expect("RabbitMQ did not start");
    }

    /// Ends the server in order.
    pub(crate) fn stop(&mut self) {
        self.order("TERM");
        self.running = false;
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.order("KILL");
        self.running = false;
    }

    fn order(&mut self, word: &str) {
        writeln!(self.orders, "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }

    /// The address with its secrets.
    pub(crate) fn url(&self) -> String {
        format!("amqp://shop:quiet-secret@127.0.0.1:{}/%2f", self.port)
    }

    async fn connect(&self) -> Result<(Connection, Channel), lapin::Error> {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }

    async fn empty(&self) {
        for queue in ["notifications", "notifications.dead"] {
            let (_connection, channel) = self.connect().await.unwrap();
            // An error means that the queue is not there yet.
            drop(
                channel
                    .queue_purge(queue.into(), QueuePurgeOptions::default())
                    .await,
            );
        }
    }

    /// Publishes a message as the outbox would.
    pub(crate) async fn publish(&self, body: &str) {
        let (_connection, channel) = self.connect().await.unwrap();
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let key = "order.order-confirmed".into();
        let sent = channel.basic_publish(
            "store.events".into(),
            key,
            options,
            body.as_bytes(),
            properties,
        );
        sent.await.unwrap().await.unwrap();
    }

    /// Takes the oldest message of a queue.
    pub(crate) async fn take(&self, queue: &str) -> Option<String> {
        let (_connection, channel) = self.connect().await.unwrap();
        let options = BasicGetOptions { no_ack: true };
        let got = channel.basic_get(queue.into(), options).await.unwrap();
        got.map(|message| String::from_utf8(message.delivery.data).unwrap())
    }
}

/// Ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
