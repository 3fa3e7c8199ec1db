//! Stays with a database server: makes the tables once it is there, and tells when it is lost.
//!
//! Invariant: a server that is away never ends the role; each reason is logged in one line that names the
//! setting and not the password in it.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};
use tokio::sync::watch::Receiver;

use super::{Database, Schema, server};
use crate::serve::stopped;
use crate::trouble::Trouble;

/// The first wait after a failed attempt; each later one is twice as long.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const RETRY_LAST: Duration = Duration::from_secs(2);
/// How long one attempt to connect may take.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// How often a server that was there is asked whether it still is.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The part of a database that stays with its server.
pub(super) struct Watch {
    database: Database,
    options: AnyConnectOptions,
    schema: Schema,
    trouble: Trouble,
}

impl Watch {
    pub(super) fn new(database: Database, options: AnyConnectOptions, schema: Schema) -> Self {
        Self {
            database,
            options,
            schema,
            trouble: Trouble::default(),
        }
    }

    /// Makes tables and first rows, then looks after the server, until `stop` turns true.
    pub(super) async fn run<F>(
        mut self,
        rows: impl Fn(Database) -> F + Send + Sync,
        mut stop: Receiver<bool>,
    ) where
        F: Future<Output = Result<(), sqlx::Error>> + Send,
    {
        tokio::select! {
            () = stopped(&mut stop) => {}
            () = self.stay(rows) => {}
        }
    }

    async fn stay<F>(&mut self, rows: impl Fn(Database) -> F + Send + Sync)
    where
        F: Future<Output = Result<(), sqlx::Error>> + Send,
    {
        let mut wait = RETRY_FIRST;
        while let Err(reason) = self.prepare(&rows).await {
            self.tell(&reason);
            self.database.missing.send_replace(Some(reason));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_LAST);
        }
        self.database.missing.send_replace(None);
        loop {
            if self.answers().await {
                self.tell_if_over();
            } else {
                let reason = self.reason().await;
                self.tell(&reason);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn prepare<F>(&self, rows: &(impl Fn(Database) -> F + Send + Sync)) -> Result<(), String>
    where
        F: Future<Output = Result<(), sqlx::Error>> + Send,
    {
        let mut connection = self.connect().await?;
        let migrated = server::migrate(&mut connection, self.schema).await;
        migrated.map_err(|error| format!("its tables cannot be made: {}", text(&error)))?;
        // The server has ended its side by itself if this fails.
        drop(connection.close().await);
        rows(self.database.clone())
            .await
            .map_err(|error| format!("its first rows cannot be written: {}", text(&error)))
    }

    // A connection by itself: the pool would say no more than that none came free.
    async fn connect(&self) -> Result<AnyConnection, String> {
        match tokio::time::timeout(CONNECT_WAIT, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| text(&error)),
            Err(_) => Err("the server does not answer".to_owned()),
        }
    }

    // With the patience of a request, so that what answers here has a connection for requests.
    async fn answers(&self) -> bool {
        let asked = tokio::time::timeout(CONNECT_WAIT, self.database.answers()).await;
        matches!(asked, Ok(Ok(())))
    }

    async fn reason(&self) -> String {
        match self.connect().await {
            Err(reason) => reason,
            Ok(connection) => {
                drop(connection.close().await);
                "no connection of this process came free (DATABASE_CONNECTIONS)".to_owned()
            }
        }
    }

    fn tell(&mut self, reason: &str) {
        if self.trouble.is_news(reason) {
            tracing::warn!(
                setting = "DATABASE_URL",
                "the database of DATABASE_URL cannot be used: {reason}; trying on"
            );
        }
    }

    fn tell_if_over(&mut self) {
        if self.trouble.is_over() {
            tracing::info!(setting = "DATABASE_URL", "the database answers again");
        }
    }
}

// What the server said, without the words of the client library around it.
fn text(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
