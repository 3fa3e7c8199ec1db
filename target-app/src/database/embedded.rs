//! The `SQLite` file of a role: one writer and a few readers for each process.
//!
//! Several processes may share the file, so every transaction that writes takes the write lock at its
//! start (`BEGIN IMMEDIATE`) and is short; within a process the single writer keeps its own callers in a
//! queue, where waiting costs less than `SQLite`'s busy handler. Commits do not wait for the disk
//! (`synchronous = NORMAL` in WAL mode): the death of a process loses nothing, that of the machine may.
//!
//! Invariant: nobody writes through a reader, save for the checkpoint.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _};
use tokio::sync::watch;
use url::Url;

use super::{Database, DatabaseError, migrate};
use crate::serve::stopped;

/// Readers of one process; each is a thread and about 1 MB.
const READERS_MAX: u32 = 2;
/// How long `SQLite` itself waits for another process's write lock.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection of this process.
pub(super) const ACQUIRE_WAIT: Duration = Duration::from_secs(3);
/// How often this process moves the log into the file, so that no request has to.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// Log pages after which a commit does so itself: 32 MB, reached only if the above cannot keep up.
const AUTOCHECKPOINT_PAGES: &str = "8000";
/// Log pages from which the log is cut back to nothing: 16 MB.
const LOG_PAGES_MAX: i64 = 4000;
/// Page cache of a connection, in KiB (`SQLite` reads a negative figure so).
const CACHE_KIB: &str = "-1024";

/// The file of a database.
pub(super) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sqlite"))
}

/// The readers and the writer of a file whose tables are up to date.
pub(super) async fn open(
    folder: &Path,
    name: &str,
    migrations: &[&'static str],
) -> Result<[AnyPool; 2], DatabaseError> {
    std::fs::create_dir_all(folder).map_err(|source| DatabaseError::MakeFolder {
        folder: folder.to_owned(),
        source,
    })?;
    let file = file(folder, name);
    // Turning the log mode on is not covered by SQLite's busy handler, so one process at a time.
    let lock = migrate::lock(&folder.join(format!("{name}.lock"))).await?;
    migrate::run(&mut first(&file).await?, &file, migrations).await?;
    drop(lock);
    let writer = connect(&file, 1).await?;
    let reader = connect(&file, READERS_MAX).await?;
    Ok([reader, writer])
}

impl Database {
    /// Moves the log into the file now and then until `stop` turns true.
    pub(super) async fn keep_log_short(self, mut stop: watch::Receiver<bool>) {
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

    pub(super) async fn shorten_log(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.reader.pool.acquire().await?;
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
}

// A connection by itself: a pool would try a file that is no database again and again.
async fn first(file: &Path) -> Result<AnyConnection, DatabaseError> {
    install_default_drivers();
    let open = |source| DatabaseError::Open {
        file: file.to_owned(),
        source,
    };
    let mut connection = AnyConnection::connect(url_of(file).as_str())
        .await
        .map_err(open)?;
    sqlx::raw_sql(AssertSqlSafe(settings()))
        .execute(&mut connection)
        .await
        .map_err(open)?;
    Ok(connection)
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
        // SQLite itself takes back a transaction that finds the disk full. The client library still counts
        // it, cannot take it back again, and would let none begin on this connection ever after.
        .before_acquire(|connection, _| {
            let is_free = !connection.is_in_transaction();
            Box::pin(async move { Ok(is_free) })
        })
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
