//! What a shop of these tests keeps its book in, and the `PostgreSQL` server that some of them use.
//!
//! One server is started when the first test asks for it; each shop has a database of its own there. A
//! shell keeps the server: it reads from a pipe that only this process holds, and when that ends, in
//! whichever way this process has ended, it stops the server and removes its folder.
//!
//! Invariant: nothing of a server outlives the process that started it.

use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::skipping::skip;

/// The password of the only user; the tests look for it in logs.
pub(crate) const PASSWORD: &str = "tests-only-password";
/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);
/// An ordinary user, for whom `PostgreSQL` runs if these tests run as root.
const NOBODY: u32 = 65_534;
/// Runs the server until a line names a signal for it, or the pipe ends.
const KEEP: &str = r#"
    "$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c max_connections=300 \
        -c shared_buffers=32MB -c "$4" >> "$2/log" 2>&1 &
    read -r signal && ended=told || ended=alone
    kill -"${signal:-INT}" $!
    wait $!
    [ "$ended" = told ] || rm -rf "$2"
"#;

/// What a shop keeps its book in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

tokio::task_local! {
    static KIND: Kind;
}

impl Kind {
    /// Runs a test whose shops are of this kind.
    pub(crate) async fn run(self, test: impl Future<Output = ()>) {
        if self == Self::Sqlite || may_use_postgres() {
            KIND.scope(self, test).await;
        }
    }
}

/// Makes tests of a function: one for each kind of shop.
macro_rules! on_each_kind {
    ($test:ident) => {
        mod $test {
            use crate::kinds::Kind;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                Kind::Sqlite.run(super::$test()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                Kind::Postgres.run(super::$test()).await;
            }
        }
    };
}
pub(crate) use on_each_kind;

/// Whether `PostgreSQL` is installed; without it a test is skipped, or fails where none may be.
pub(crate) fn may_use_postgres() -> bool {
    if programs().is_some() {
        return true;
    }
    skip("a shop with PostgreSQL (apt-get install postgresql)");
    false
}

/// The address of a new database for a shop of this test, if its kind has one.
pub(crate) async fn database() -> Option<String> {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    if KIND.try_with(|kind| *kind) != Ok(Kind::Postgres) {
        return None;
    }
    let server = SERVER.get_or_init(|| Postgres::start("fsync=off"));
    Some(server.database().await)
}

/// A server with its folder, on a port of its own.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    pub(crate) port: u16,
    setting: &'static str,
    keeper: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// Prepares a folder and starts a server on it, with one more setting.
    pub(crate) fn start(setting: &'static str) -> Self {
        let mut server = Self::prepare(setting);
        server.go_on();
        server
    }

    /// Prepares a folder; nothing listens at the port yet.
    pub(crate) fn prepare(setting: &'static str) -> Self {
        let programs = programs().expect("PostgreSQL is installed");
        let folder = tempfile::tempdir().unwrap().keep();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        let mut init = ordinary(&programs.join("initdb"), &folder);
        let output = init
            .args([
                "--no-sync",
                "--username=shop",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--auth=scram-sha-256", "--pwfile"])
            .arg(folder.join("password"))
            .arg("-D")
            .arg(folder.join("data"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        Self {
            programs,
            folder,
            port,
            setting,
            keeper: None,
            databases: AtomicU32::new(0),
        }
    }

    /// Starts the server, for the first time or again.
    pub(crate) fn go_on(&mut self) {
        let keeper = ordinary(Path::new("sh"), &self.folder)
            .args(["-c", KEEP, "keep"])
            .args([&self.programs, &self.folder])
            .args([&self.port.to_string(), self.setting])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        self.keeper = Some(keeper);
    }

    /// Ends the server at once, as a crash would; its connections break.
    pub(crate) fn crash(&mut self) {
        let mut keeper = self.keeper.take().expect("the server runs");
        let mut told = keeper.stdin.take().unwrap();
        writeln!(told, "QUIT").unwrap();
        keeper.wait().unwrap();
    }

    /// The address of a database by its name.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://shop:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Makes a database, once the server answers; its address.
    pub(crate) async fn database(&self) -> String {
        let name = format!("shop_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.make(&name).await;
        self.url(&name)
    }

    /// Makes a database of this name, once the server answers.
    pub(crate) async fn make(&self, name: &str) {
        let mut connection = self.connect("postgres").await;
        let make = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(make).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// A connection, once the server answers.
    pub(crate) async fn connect(&self, database: &str) -> PgConnection {
        let url = self.url(database);
        let connected = async {
            loop {
                if let Ok(connection) = PgConnection::connect(&url).await {
                    return connection;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let connected = tokio::time::timeout(START, connected).await;
        connected.unwrap_or_else(|_| {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("the server did not start: {log}")
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            drop(keeper.wait());
        }
        // The keeper has done so, unless the server was not running.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

// A program for a user that PostgreSQL runs for, in a group that Ctrl-C does not reach.
fn ordinary(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .process_group(0)
        .current_dir(folder)
        .stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        for path in [folder.to_owned(), folder.join("password")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

// The folder of the newest server's programs.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = folders
        .chain(std::env::split_paths(&on_path))
        .filter(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
        .collect();
    found.sort_unstable();
    found.pop()
}
