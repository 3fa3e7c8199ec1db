//! Starts roles, within this process or as processes of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::AnyPool;
use target_app::{Config, Role};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::{balancer, kinds};

/// Settings of a role.
pub(crate) type Settings = BTreeMap<&'static str, String>;

/// Settings as every role of these tests has them.
pub(crate) fn settings(data: &Path) -> Settings {
    BTreeMap::from([
        ("PORT", "0".to_owned()),
        ("DATA_DIR", data.display().to_string()),
        ("JWT_SECRET", "only-for-these-tests".to_owned()),
        ("PASSWORD_MEMORY_KIB", "64".to_owned()),
    ])
}

/// A whole store within this process: one instance of each role, and two of `orders`.
pub(crate) struct Shop {
    pub(crate) gateway: Client,
    pub(crate) orders: [Client; 2],
    pub(crate) catalog: Client,
    pub(crate) payments: Client,
    pub(crate) notifications: Client,
    pub(crate) bank: Client,
    pub(crate) data: TempDir,
    addresses: Settings,
    stop: watch::Sender<bool>,
    roles: JoinSet<()>,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// Opens with more settings for some roles.
    pub(crate) async fn open_with(more: &[(&str, &'static str, &str)]) -> Self {
        Self::open_on(kinds::database().await, more).await
    }

    /// Opens on this database, or on files.
    pub(crate) async fn open_on(
        database: Option<String>,
        more: &[(&str, &'static str, &str)],
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let parts: Settings = database
            .map(|url| ("DATABASE_URL", url))
            .into_iter()
            .collect();
        let mut opening = Opening {
            more,
            data: data.path(),
            stop: watch::Sender::new(false),
            roles: JoinSet::new(),
        };
        let users = opening.start("users", &parts).await;
        let catalog = opening.start("catalog", &parts).await;
        let bank = opening.start("bank", &parts).await;
        let mut addresses = parts.clone();
        addresses.insert("BANK_ADDRESS", bank.clone());
        let payments = opening.start("payments", &addresses).await;
        let notifications = opening.start("notifications", &parts).await;
        addresses.extend([
            ("USERS_ADDRESS", users),
            ("CATALOG_ADDRESS", catalog.clone()),
            ("PAYMENTS_ADDRESS", payments.clone()),
            ("NOTIFICATIONS_ADDRESS", notifications.clone()),
        ]);
        let orders = [
            opening.start("orders", &addresses).await,
            opening.start("orders", &addresses).await,
        ];
        addresses.insert("ORDERS_ADDRESS", balancer::open(orders.to_vec()).await);
        let frontend = opening.start("frontend", &addresses).await;
        addresses.insert("FRONTEND_ADDRESS", frontend);
        let gateway = opening.start("gateway", &addresses).await;
        let Opening { stop, roles, .. } = opening;
        Self {
            gateway: Client::new(&gateway),
            orders: orders.map(|address| Client::new(&address)),
            catalog: Client::new(&catalog),
            payments: Client::new(&payments),
            notifications: Client::new(&notifications),
            bank: Client::new(&bank),
            addresses,
            data,
            stop,
            roles,
        }
    }

    /// Settings for one more process that works with this shop.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = settings(self.data.path());
        settings.extend(self.addresses.clone());
        settings
    }

    /// The book of a role, past the role.
    pub(crate) async fn book(&self, role: &str) -> AnyPool {
        sqlx::any::install_default_drivers();
        let url = match self.addresses.get("DATABASE_URL") {
            Some(url) => format!("{url}?options[search_path]={role}"),
            None => format!("sqlite://{}/{role}.sqlite", self.data.path().display()),
        };
        AnyPool::connect(&url).await.unwrap()
    }

    /// Stops every role and waits until all have ended.
    pub(crate) async fn close(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.roles.join_next().await {
            ended.unwrap();
        }
    }
}

struct Opening<'a> {
    more: &'a [(&'a str, &'static str, &'a str)],
    data: &'a Path,
    stop: watch::Sender<bool>,
    roles: JoinSet<()>,
}

impl Opening<'_> {
    async fn start(&mut self, role: &str, addresses: &Settings) -> String {
        let mut settings = settings(self.data);
        settings.extend(addresses.clone());
        let more = self.more.iter().filter(|(of, _, _)| *of == role);
        settings.extend(more.map(|(_, name, value)| (*name, (*value).to_owned())));
        let config = Config::read(role.parse::<Role>().unwrap(), &|name| {
            settings.get(name).cloned()
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut stop = self.stop.subscribe();
        self.roles.spawn(async move {
            let stop = async move { drop(stop.wait_for(|stop| *stop).await) };
            target_app::serve(config, listener, stop).await.unwrap();
        });
        Client::new(&address).ready().await;
        address
    }
}

/// A role as a process of its own.
pub(crate) struct Process {
    pub(crate) address: String,
    pub(crate) client: Client,
    pub(crate) child: Child,
    log: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a role and waits until it is ready.
    pub(crate) async fn start(role: &str, settings: &Settings) -> Self {
        let process = Self::launch(role, settings).await;
        process.client.ready().await;
        process
    }

    /// Starts a role and waits until it says that it has started.
    pub(crate) async fn launch(role: &str, settings: &Settings) -> Self {
        Self::begin(command(role, settings)).await
    }

    /// The same with a command that becomes a role.
    pub(crate) async fn begin(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = log
                .next_line()
                .await
                .unwrap()
                .expect("the role ended before it started");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "started" {
                let address = line["address"].as_str().unwrap().to_owned();
                return Self {
                    client: Client::new(&address),
                    address,
                    child,
                    log,
                };
            }
        }
    }

    /// The next log line that names a setting.
    pub(crate) async fn next_about_a_setting(&mut self) -> Value {
        let found = async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("the role ended");
                let line: Value = serde_json::from_str(&line).unwrap();
                if line["setting"].is_string() {
                    return line;
                }
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(10), found).await;
        found.expect("no setting was named in the log")
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends any signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The process itself.
    pub(crate) fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        Pid::from_raw(id).unwrap()
    }

    /// Reads the log until a line is found; that line, and all that was read.
    pub(crate) async fn log_until(mut self, wanted: impl Fn(&Value) -> bool) -> (Value, String) {
        let mut read = String::new();
        let reading = async {
            while let Some(text) = self.log.next_line().await.unwrap() {
                read.push_str(&text);
                let line = serde_json::from_str(&text).unwrap();
                if wanted(&line) {
                    return line;
                }
            }
            panic!("the role ended without that line: {read}");
        };
        let line = tokio::time::timeout(Duration::from_secs(20), reading).await;
        (line.expect("that line never came"), read)
    }

    /// Waits for the end; gives the exit code and the log lines not read yet.
    pub(crate) async fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let mut lines = Vec::new();
        while let Some(line) = self.log.next_line().await.unwrap() {
            lines.push(serde_json::from_str(&line).unwrap());
        }
        (self.child.wait().await.unwrap().code(), lines)
    }
}

/// The program for one role with these settings and no others.
pub(crate) fn command(role: &str, settings: &Settings) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store"));
    command
        .arg(role)
        .env_clear()
        .envs(settings)
        .kill_on_drop(true);
    command
}
