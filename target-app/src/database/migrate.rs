//! Brings the tables of a file to the version this program knows.
//!
//! The version is `SQLite`'s own `user_version`; version n is reached by the n-th script.
//!
//! Invariant: a script runs once and wholly, or not at all; scripts already shipped never change.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use super::DatabaseError;

/// How long one process waits for another to finish its migration.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often it looks.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(5);

/// Takes the file lock that lets one process at a time prepare a database; closing the file frees it.
pub(super) async fn lock(path: &Path) -> Result<File, DatabaseError> {
    let fail = |source| DatabaseError::Lock {
        file: path.to_owned(),
        source,
    };
    let file = File::options()
        .create(true)
        .append(true)
        .open(path)
        .map_err(fail)?;
    let locked = tokio::time::timeout(LOCK_WAIT, async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_LOOK_EVERY).await,
                Err(TryLockError::Error(source)) => return Err(source),
            }
        }
    });
    match locked.await {
        Ok(Ok(())) => Ok(file),
        Ok(Err(source)) => Err(fail(source)),
        Err(_) => Err(fail(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Runs the scripts that this file has not seen.
pub(super) async fn run(
    connection: &mut AnyConnection,
    file: &Path,
    scripts: &[&'static str],
) -> Result<(), DatabaseError> {
    let open = |source| DatabaseError::Open {
        file: file.to_owned(),
        source,
    };
    let seen: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(open)?;
    for (version, script) in (1_i64..)
        .zip(scripts)
        .filter(|(version, _)| *version > seen)
    {
        apply(connection, version, script)
            .await
            .map_err(|source| DatabaseError::Migrate {
                file: file.to_owned(),
                version,
                source,
            })?;
    }
    Ok(())
}

async fn apply(
    connection: &mut AnyConnection,
    version: i64,
    script: &'static str,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(script).execute(&mut *transaction).await?;
    // A PRAGMA takes no bound values; the version is a number of ours.
    let mark = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::raw_sql(mark).execute(&mut *transaction).await?;
    transaction.commit().await
}
