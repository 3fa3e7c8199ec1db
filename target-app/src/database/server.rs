//! How a process speaks to a `PostgreSQL` server.
//!
//! Every wait has a limit on the server's side too: a statement, a lock, and a transaction whose process
//! is gone. Connections are opened when they are needed; one that rested is asked whether it lives, so
//! that a restarted server costs no request.
//!
//! Invariant: the role sees its own schema only.

use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Transaction,
};

use super::Schema;
use super::entrance::Entrance;
use crate::config::Server;

/// How long a caller waits for a connection.
pub(super) const ACQUIRE_WAIT: Duration = Duration::from_secs(1);
/// How long it may take to make one, longer than any caller waits.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The rest after which a connection is asked whether it lives.
const RESTED: Duration = Duration::from_secs(1);
/// What a statement may take, in milliseconds: less than callers wait.
const STATEMENT_MS: u32 = 3000;
/// What a statement may wait for a row that another holds, in milliseconds.
const LOCK_MS: u32 = 2000;
/// When the server gives up a transaction that nobody goes on with, in milliseconds.
const IDLE_IN_TRANSACTION_MS: u32 = 5000;
/// What reading a whole book, or bringing the tables up to date, may take, in milliseconds.
const LONG_STATEMENT_MS: u32 = 60_000;
/// The first key of the lock under which tables are made; the second one is of the role.
const LOCK_KEY: i32 = 0x5348_4f50;

/// How to connect, with the role's schema and the limits set.
pub(super) fn options(server: &Server, schema: &str) -> AnyConnectOptions {
    install_default_drivers();
    let mut url = server.url.expose().clone();
    let settings = format!(
        "-c search_path={schema} -c statement_timeout={STATEMENT_MS} -c lock_timeout={LOCK_MS} \
         -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
    );
    url.query_pairs_mut()
        .append_pair("sslmode", "disable")
        .append_pair("application_name", &server.application)
        .append_pair("options", &settings);
    AnyConnectOptions::from_url(&url)
        .expect("any URL is taken")
        .disable_statement_logging()
}

/// A pool that connects when it is first used.
pub(super) fn pool(server: &Server, options: AnyConnectOptions) -> AnyPool {
    AnyPoolOptions::new()
        .max_connections(server.connections)
        .acquire_timeout(CONNECT_WAIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// A transaction that sees one moment and may take long.
pub(super) async fn snapshot(pool: &Entrance) -> Result<Transaction<'static, Any>, sqlx::Error> {
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    allow_long(&mut transaction).await?;
    Ok(transaction)
}

/// Makes the role's schema and runs the scripts it has not seen, one process at a time.
pub(super) async fn migrate(
    connection: &mut AnyConnection,
    schema: Schema,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    allow_long(&mut transaction).await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext($2))")
        .bind(LOCK_KEY)
        .bind(schema.name)
        .execute(&mut *transaction)
        .await?;
    let versions = format!(
        "CREATE SCHEMA IF NOT EXISTS {};
         CREATE TABLE IF NOT EXISTS schema_versions (
             version BIGINT PRIMARY KEY, made_at TIMESTAMPTZ NOT NULL DEFAULT now()
         )",
        schema.name
    );
    sqlx::raw_sql(AssertSqlSafe(versions))
        .execute(&mut *transaction)
        .await?;
    let seen: i64 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM schema_versions")
        .fetch_one(&mut *transaction)
        .await?;
    let scripts = (1_i64..).zip(schema.postgres);
    for (version, script) in scripts.filter(|(version, _)| *version > seen) {
        sqlx::raw_sql(*script).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO schema_versions (version) VALUES ($1)")
            .bind(version)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn allow_long(transaction: &mut Transaction<'_, Any>) -> Result<(), sqlx::Error> {
    let allow = AssertSqlSafe(format!("SET LOCAL statement_timeout = {LONG_STATEMENT_MS}"));
    sqlx::raw_sql(allow).execute(&mut **transaction).await?;
    Ok(())
}
