//! The book of a role: a `SQLite` file, or a schema of its own in a `PostgreSQL` database.
//!
//! Statements are written once for both, with values numbered `$1`; where the two differ, a statement is
//! chosen by the dialect. What a transaction has read may change until its end on `PostgreSQL` (READ
//! COMMITTED) and not on `SQLite` (it holds the only write lock), so whoever decides by what was read
//! locks it first.
//!
//! Invariant: the tables are as this program knows them before the first statement of a request, and
//! nobody writes through a reader.

mod embedded;
mod entrance;
mod migrate;
mod room;
mod server;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use sqlx::{Any, Executor, Transaction};
use tokio::sync::watch as watched;

use crate::config::Storage;
use crate::serve::{Tasks, stopped};
use entrance::Entrance;

/// How long the end of a process waits for connections that somebody still uses.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How long the probe of readiness waits for an answer.
const PROBE_WAIT: Duration = Duration::from_millis(500);

/// Why a role's database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The folder is not there and cannot be made.
    #[error("failed to make the folder `{}` (DATA_DIR)", folder.display())]
    MakeFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The lock beside the database cannot be had.
    #[error("failed to lock `{}` (in DATA_DIR): another process holds it or it cannot be written", file.display())]
    Lock {
        /// The lock file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be opened, or is not a database.
    #[error("failed to open the database `{}` (in DATA_DIR)", file.display())]
    Open {
        /// The database file.
        file: PathBuf,
        /// What `SQLite` said.
        source: sqlx::Error,
    },
    /// The tables cannot be brought to the version this program knows.
    #[error("failed to bring the tables of `{}` (in DATA_DIR) to version {version}", file.display())]
    Migrate {
        /// The database file.
        file: PathBuf,
        /// The version that failed.
        version: i64,
        /// What `SQLite` said.
        source: sqlx::Error,
    },
    /// The first rows cannot be written.
    #[error("failed to write the first rows into the database `{}` (in DATA_DIR)", file.display())]
    Seed {
        /// The database file.
        file: PathBuf,
        /// What `SQLite` said.
        source: sqlx::Error,
    },
}

/// The language a database speaks where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The statement in this language.
    pub(crate) fn pick(self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// The tables of a role, in both languages: version n is reached by the n-th script.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    /// The name of the file, and of the schema in a server's database.
    pub(crate) name: &'static str,
    pub(crate) sqlite: &'static [&'static str],
    pub(crate) postgres: &'static [&'static str],
}

/// The first rows of a role that has none.
pub(crate) async fn no_rows(_: Database) -> Result<(), sqlx::Error> {
    Ok(())
}

/// A database; one not open yet opens by itself.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    reader: Entrance,
    writer: Entrance,
    dialect: Dialect,
    /// Why the tables and first rows are not there yet, or nothing if they are.
    missing: Arc<watched::Sender<Option<String>>>,
    /// Why nothing can be written to the file now, if that is so.
    full: Arc<watched::Sender<Option<&'static str>>>,
}

impl Database {
    /// Opens the database of a role and starts what keeps it in order.
    ///
    /// A file is brought up to date before this returns. A server may be away, so its tables and first
    /// rows are made in the background, by a task that tries until it has succeeded.
    pub(crate) async fn start<F>(
        storage: &Storage,
        schema: Schema,
        rows: impl Fn(Self) -> F + Send + Sync + 'static,
        tasks: &mut Tasks,
    ) -> Result<Self, DatabaseError>
    where
        F: Future<Output = Result<(), sqlx::Error>> + Send + 'static,
    {
        let Some(server) = &storage.server else {
            let folder = &storage.folder;
            let database = Self::open(folder, schema.name, schema.sqlite).await?;
            let file = embedded::file(folder, schema.name);
            rows(database.clone())
                .await
                .map_err(|source| DatabaseError::Seed { file, source })?;
            tasks.start(|stop| database.clone().keep_log_short(stop));
            tasks.start(|stop| database.clone().watch_room(folder.clone(), stop));
            return Ok(database);
        };
        let options = server::options(server, schema.name);
        let [pool] = Entrance::to(
            [server::pool(server, options.clone())],
            server::ACQUIRE_WAIT,
        );
        let database = Self {
            reader: pool.clone(),
            writer: pool,
            dialect: Dialect::Postgres,
            missing: Arc::new(watched::Sender::new(Some(
                "its tables are being made".to_owned(),
            ))),
            full: Arc::default(),
        };
        let watch = watch::Watch::new(database.clone(), options, schema);
        tasks.start(|stop| watch.run(rows, stop));
        Ok(database)
    }

    /// Opens `<folder>/<name>.sqlite`, making it and bringing its tables up to date first; safe when
    /// several processes do so at once.
    pub(crate) async fn open(
        folder: &Path,
        name: &str,
        migrations: &[&'static str],
    ) -> Result<Self, DatabaseError> {
        let pools = embedded::open(folder, name, migrations).await?;
        let [reader, writer] = Entrance::to(pools, embedded::ACQUIRE_WAIT);
        Ok(Self {
            reader,
            writer,
            dialect: Dialect::Sqlite,
            missing: Arc::new(watched::Sender::new(None)),
            full: Arc::default(),
        })
    }

    /// The language to write statements in.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Connections for reading.
    pub(crate) fn reader(&self) -> impl Executor<'_, Database = Any> {
        &self.reader
    }

    /// Connections for a single statement that writes.
    pub(crate) fn writer(&self) -> impl Executor<'_, Database = Any> {
        &self.writer
    }

    /// A transaction that writes. On `SQLite` it holds the write lock from its first moment; on
    /// `PostgreSQL` it locks what it names, so several that lock the same rows must do so in one order.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.dialect {
            Dialect::Sqlite => self.writer.begin_with("BEGIN IMMEDIATE").await,
            Dialect::Postgres => self.writer.begin_with("BEGIN").await,
        }
    }

    /// A transaction that only reads, sees one moment, and may take as long as a request may.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.dialect {
            Dialect::Sqlite => self.reader.begin_with("BEGIN").await,
            Dialect::Postgres => server::snapshot(&self.reader).await,
        }
    }

    /// Whether the tables and first rows are there.
    pub(crate) fn is_prepared(&self) -> bool {
        self.missing.borrow().is_none()
    }

    /// Waits until the tables and first rows are there; false if `stop` turned true before.
    pub(crate) async fn prepared(&self, stop: &mut watched::Receiver<bool>) -> bool {
        let mut missing = self.missing.subscribe();
        tokio::select! {
            () = stopped(stop) => false,
            // The sender lives as long as this database.
            there = missing.wait_for(Option::is_none) => there.is_ok(),
        }
    }

    /// Why the role cannot work with this database now, if it cannot.
    pub(crate) async fn trouble(&self) -> Option<String> {
        if let Some(missing) = self.missing.borrow().as_deref() {
            return Some(format!("the database is not ready: {missing}"));
        }
        if let Some(reason) = *self.full.borrow() {
            return Some(reason.to_owned());
        }
        let answers = tokio::time::timeout(PROBE_WAIT, self.answers()).await;
        (!matches!(answers, Ok(Ok(())))).then(|| "the database does not answer".to_owned())
    }

    async fn answers(&self) -> Result<(), sqlx::Error> {
        sqlx::query_scalar::<_, i64>("SELECT 1")
            .fetch_one(&self.reader)
            .await
            .map(drop)
    }

    /// Adds the metrics of the connections.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let pools = match self.dialect {
            Dialect::Sqlite => vec![self.reader.clone(), self.writer.clone()],
            // One pool serves both.
            Dialect::Postgres => vec![self.writer.clone()],
        };
        entrance::register(pools, registry);
    }

    /// Closes all connections; those that somebody still uses are given up after a moment.
    pub(crate) async fn close(&self) {
        let closed = async {
            self.reader.pool.close().await;
            self.writer.pool.close().await;
        };
        if tokio::time::timeout(CLOSE_WAIT, closed).await.is_err() {
            tracing::warn!("connections to the database were still in use at the end and were cut");
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    const ONE: &str = "CREATE TABLE numbers (number INTEGER PRIMARY KEY) STRICT;";
    const TWO: &str = "CREATE TABLE names (name TEXT) STRICT; INSERT INTO names VALUES ('first');";

    async fn count(database: &Database, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(database.reader())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn many_openers_at_once_migrate_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut openers = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let path = folder.path().to_owned();
            openers.spawn(async move { Database::open(&path, "test", &[ONE, TWO]).await.unwrap() });
        }
        let opened = openers.join_all().await;
        assert_eq!(count(&opened[0], "SELECT count(*) FROM names").await, 1);
        assert_eq!(count(&opened[5], "PRAGMA user_version").await, 2);
    }

    #[tokio::test]
    async fn a_later_version_is_added_to_an_older_file() {
        let folder = tempfile::tempdir().unwrap();
        let old = Database::open(folder.path(), "test", &[ONE]).await.unwrap();
        sqlx::query("INSERT INTO numbers VALUES (7)")
            .execute(old.writer())
            .await
            .unwrap();
        let new = Database::open(folder.path(), "test", &[ONE, TWO])
            .await
            .unwrap();
        assert_eq!(count(&new, "SELECT number FROM numbers").await, 7);
        assert_eq!(count(&new, "SELECT count(*) FROM names").await, 1);
    }

    #[tokio::test]
    async fn a_migration_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let broken = "CREATE TABLE half (id INTEGER) STRICT; CREATE NONSENSE;";
        let error = Database::open(folder.path(), "test", &[ONE, broken])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        let database = Database::open(folder.path(), "test", &[ONE]).await.unwrap();
        assert_eq!(
            count(
                &database,
                "SELECT count(*) FROM sqlite_master WHERE name = 'half'"
            )
            .await,
            0
        );
    }

    #[tokio::test]
    async fn a_long_log_is_cut_back_while_others_have_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "test", &[ONE]).await.unwrap();
        let _other = Database::open(folder.path(), "test", &[ONE]).await.unwrap();
        let log = || {
            std::fs::metadata(folder.path().join("test.sqlite-wal"))
                .unwrap()
                .len()
        };
        for _ in 0..5 {
            // 4 MB each time, rewritten in place: the log grows, the file does not.
            let fill = "INSERT OR REPLACE INTO blobs SELECT 1, zeroblob(4000000)";
            let fill = format!(
                "CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, blob BLOB); {fill}"
            );
            sqlx::raw_sql(AssertSqlSafe(fill))
                .execute(database.writer())
                .await
                .unwrap();
        }
        assert!(log() > 16_000_000, "{}", log());
        database.shorten_log().await.unwrap();
        assert_eq!(log(), 0);
        assert_eq!(count(&database, "PRAGMA busy_timeout").await, 5000);
    }

    #[tokio::test]
    async fn connections_and_the_waits_for_them_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "test", &[ONE]).await.unwrap();
        let mut registry = Registry::default();
        database.register(&mut registry);
        let _writing = database.begin().await.unwrap();
        count(&database, "SELECT count(*) FROM numbers").await;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"database_connections{state="in_use"} "#,
            r#"database_connections{state="max"} 3"#,
            "database_acquire_seconds_count 2",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("test.sqlite"),
            "this is not a database".repeat(100),
        )
        .unwrap();
        let error = Database::open(folder.path(), "test", &[ONE])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("test.sqlite"), "{error}");
    }
}
