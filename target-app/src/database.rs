//! The `SQLite` file of a role: one writer and a few readers for each process.
//!
//! Several processes may share the file, so every transaction that writes takes the write lock at its
//! start (`BEGIN IMMEDIATE`) and is short; within a process the single writer keeps its own callers in a
//! queue, where waiting costs less than `SQLite`'s busy handler. Commits do not wait for the disk
//! (`synchronous = NORMAL` in WAL mode): the death of a process loses nothing, that of the machine may.
//!
//! Invariant: nobody writes through a reader, save for the checkpoint.

mod migrate;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{Any, AnyPool, AssertSqlSafe, ConnectOptions as _, Transaction};
use tokio::sync::watch;
use url::Url;

use crate::serve::stopped;

/// Readers of one process; each is a thread and about 1 MB.
const READERS_MAX: u32 = 2;
/// How long `SQLite` itself waits for another process's write lock.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection of this process.
const ACQUIRE_WAIT: Duration = Duration::from_secs(3);
/// How often this process moves the log into the file, so that no request has to.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// Log pages after which a commit does so itself: 32 MB, reached only if the above cannot keep up.
const AUTOCHECKPOINT_PAGES: &str = "8000";
/// Log pages from which the log is cut back to nothing: 16 MB.
const LOG_PAGES_MAX: i64 = 4000;
/// Page cache of a connection, in KiB (`SQLite` reads a negative figure so).
const CACHE_KIB: &str = "-1024";

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
    #[error("failed to bring the tables of `{}` to version {version}", file.display())]
    Migrate {
        /// The database file.
        file: PathBuf,
        /// The version that failed.
        version: i64,
        /// What `SQLite` said.
        source: sqlx::Error,
    },
    /// The first rows cannot be written.
    #[error("failed to write the first rows of the database")]
    Seed {
        /// What `SQLite` said.
        source: sqlx::Error,
    },
}

/// An open database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    reader: AnyPool,
    writer: AnyPool,
}

impl Database {
    /// Opens `<folder>/<name>.sqlite`, making it and bringing its tables up to date first; safe when
    /// several processes do so at once.
    pub(crate) async fn open(
        folder: &Path,
        name: &str,
        migrations: &[&'static str],
    ) -> Result<Self, DatabaseError> {
        std::fs::create_dir_all(folder).map_err(|source| DatabaseError::MakeFolder {
            folder: folder.to_owned(),
            source,
        })?;
        let file = folder.join(format!("{name}.sqlite"));
        // Turning the log mode on is not covered by SQLite's busy handler, so one process at a time.
        let lock = migrate::lock(&folder.join(format!("{name}.lock"))).await?;
        let writer = connect(&file, 1).await?;
        migrate::run(&writer, &file, migrations).await?;
        drop(lock);
        let reader = connect(&file, READERS_MAX).await?;
        Ok(Self { reader, writer })
    }

    /// Connections for reading.
    pub(crate) fn reader(&self) -> &AnyPool {
        &self.reader
    }

    /// The connection for a single statement that writes.
    pub(crate) fn writer(&self) -> &AnyPool {
        &self.writer
    }

    /// A transaction that holds the write lock from its first moment.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// Whether the database answers a trivial question.
    pub(crate) async fn answers(&self) -> bool {
        sqlx::query_scalar::<_, i64>("SELECT 1")
            .fetch_one(&self.reader)
            .await
            .is_ok()
    }

    /// Moves the log into the file now and then until `stop` turns true.
    pub(crate) async fn keep_log_short(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(CHECKPOINT_EVERY) => {}
            }
            if let Err(error) = self.shorten_log().await {
                tracing::warn!(%error, "failed to move the database's log into its file");
            }
        }
    }

    async fn shorten_log(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.reader.acquire().await?;
        // Passive: waits for nobody and stops nobody, but lets the log grow while others write.
        let (_, pages, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)")
            .fetch_one(&mut *connection)
            .await?;
        if pages < LOG_PAGES_MAX {
            return Ok(());
        }
        // Truncating stops writers until every reader has let go of the log. What is left to move is
        // little, and one wait is short: a reader that was paused must not stop the shop.
        sqlx::query("PRAGMA busy_timeout = 50")
            .execute(&mut *connection)
            .await?;
        let truncated = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *connection)
            .await;
        let restored = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", BUSY_WAIT.as_millis()));
        sqlx::query(restored).execute(&mut *connection).await?;
        truncated.map(drop)
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

async fn connect(file: &Path, connections: u32) -> Result<AnyPool, DatabaseError> {
    install_default_drivers();
    let open = |source| DatabaseError::Open {
        file: file.to_owned(),
        source,
    };
    let options = AnyConnectOptions::from_url(&url_of(file)).map_err(open)?;
    AnyPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(AssertSqlSafe(settings()))
                    .execute(connection)
                    .await
                    .map(drop)
            })
        })
        .connect_with(options)
        .await
        .map_err(open)
}

fn url_of(file: &Path) -> Url {
    let mut url = Url::parse("sqlite:///?mode=rwc").expect("this is a URL");
    url.set_path(&file.to_string_lossy());
    url
}

// The wait comes first, since turning the log mode on may have to wait itself.
fn settings() -> String {
    format!(
        "PRAGMA busy_timeout = {}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}; PRAGMA cache_size = {CACHE_KIB}",
        BUSY_WAIT.as_millis()
    )
}

#[cfg(test)]
mod tests {
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
