//! `Redis` as the roles use it: asked if it is there, and done without if not.
//!
//! Invariant: a question costs at most [`ANSWER_LIMIT`], and nothing at all while Redis is away; no role
//! needs an answer to do its work.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};

use crate::config::PartUrl;
use crate::link::{Link, Linked, Part};

/// How long an answer may take; then the connection is given up, since answers come in order.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// How long a connection may take to open, and to answer for the first time.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);

/// How this process reaches Redis.
#[derive(Debug)]
pub(crate) struct RedisPart(PartUrl);

impl RedisPart {
    /// Redis at an address.
    pub(crate) fn new(url: PartUrl) -> Self {
        Self(url)
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let client = Client::open(self.0.expose().clone())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        // A server that hangs still accepts connections, and one that starts still reads its data.
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await?;
        Ok(connection)
    }
}

impl Part for RedisPart {
    type Connection = MultiplexedConnection;
    const NAME: &'static str = "redis";
    const SETTING: &'static str = "REDIS_URL";

    fn place(&self) -> String {
        self.0.place()
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        match tokio::time::timeout(CONNECT_LIMIT * 2, self.open()).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", CONNECT_LIMIT * 2)),
        }
    }

    // The first question after its end finds out, without waiting.
    async fn ended(&self, _: &MultiplexedConnection) -> String {
        std::future::pending().await
    }
}

/// Redis as its users hold it.
pub(crate) type Redis = Link<MultiplexedConnection>;

impl Redis {
    /// Asks, if Redis is there; nothing if it is not, or gave no answer that can be used.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.ask_within(ANSWER_LIMIT, command).await
    }

    /// Asks with a limit of its own, at most [`ANSWER_LIMIT`].
    pub(crate) async fn ask_within<T: FromRedisValue>(
        &self,
        limit: Duration,
        command: &Cmd,
    ) -> Option<T> {
        let mut linked = self.get()?;
        let asked = command.query_async(&mut linked.connection);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.judge(&linked, &error);
                None
            }
            Err(_) => {
                self.lost(&linked, format!("no answer within {limit:?}"));
                None
            }
        }
    }

    // An answer that says no leaves the connection as good as it was.
    fn judge(&self, linked: &Linked<MultiplexedConnection>, error: &RedisError) {
        if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() {
            self.lost(linked, error.to_string());
        } else {
            tracing::debug!(%error, "Redis refused a question");
        }
    }
}
