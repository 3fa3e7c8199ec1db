//! The way to a connection of a pool, with the wait for it measured.
//!
//! Invariant: every connection a request uses comes through here, and the wait for it is counted once,
//! whether it came or not.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, TryFutureExt as _, TryStreamExt as _};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Either, Execute, Executor, SqlStr, Transaction};

/// Upper bounds of the buckets of waits, in seconds.
const BUCKETS_S: [f64; 10] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0];

/// A pool whose callers are timed.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) pool: AnyPool,
    patience: Duration,
    waits: Arc<Histogram>,
}

impl Entrance {
    /// Entrances to these pools, with one measure of their waits; a caller waits so long at most.
    pub(super) fn to<const N: usize>(pools: [AnyPool; N], patience: Duration) -> [Self; N] {
        let waits = Arc::new(Histogram::new(BUCKETS_S));
        pools.map(|pool| Self {
            pool,
            patience,
            waits: Arc::clone(&waits),
        })
    }

    async fn acquire(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        let _wait = Wait(&self.waits, Instant::now());
        let came = tokio::time::timeout(self.patience, self.come()).await;
        came.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    // A connection that has to be made is made to its end even if the caller goes away meanwhile: on a
    // busy machine, or to a server just started, logging in may take longer than any caller waits, and
    // if each of them took its attempt along, none would ever succeed. The pool bounds their number.
    async fn come(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        let most = self.pool.options().get_max_connections();
        if self.pool.num_idle() > 0 || self.pool.size() >= most {
            return self.pool.acquire().await;
        }
        let pool = self.pool.clone();
        let made = tokio::spawn(async move { pool.acquire().await });
        made.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }

    /// A transaction that begins with this statement.
    ///
    /// It begins in a task of its own, which a caller that goes away does not cut: the client library
    /// counts a transaction only when the server has answered, so one cut before would go back into the
    /// pool open, and what others write there would be lost with it.
    pub(super) async fn begin_with(
        &self,
        statement: &'static str,
    ) -> Result<Transaction<'static, Any>, sqlx::Error> {
        let connection = self.acquire().await?;
        let statement = Some(SqlStr::from_static(statement));
        let begun = tokio::spawn(Transaction::begin(connection, statement));
        begun.await.unwrap_or(Err(sqlx::Error::PoolClosed))
    }
}

// Counts also callers that went away while they waited.
struct Wait<'a>(&'a Histogram, Instant);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.observe(self.1.elapsed().as_secs_f64());
    }
}

impl<'p> Executor<'p> for &'p Entrance {
    type Database = Any;

    // Rows are gathered first: what a request asks for is bounded, and its connection is free sooner.
    // Whoever reads a whole book does so in a transaction.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let gathered = async move {
            let mut connection = self.acquire().await?;
            let rows: Vec<_> = connection.fetch_many(query).try_collect().await?;
            Ok(stream::iter(rows.into_iter().map(Ok)))
        };
        Box::pin(gathered.try_flatten_stream())
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        async move { self.acquire().await?.fetch_optional(query).await }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        async move { self.acquire().await?.prepare_with(sql, parameters).await }.boxed()
    }
}

/// Adds the metrics of these pools, which share one measure of waits.
pub(super) fn register(pools: Vec<Entrance>, registry: &mut Registry) {
    if let Some(first) = pools.first() {
        registry.register(
            "database_acquire_seconds",
            "Time until a caller had a connection to the database",
            Histogram::clone(&first.waits),
        );
    }
    registry.register_collector(Box::new(Connections(pools)));
}

/// How many connections there are, read when somebody asks.
struct Connections(Vec<Entrance>);

impl fmt::Debug for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connections")
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let (mut open, mut idle, mut most) = (0_u32, 0_u32, 0_u32);
        for Entrance { pool, .. } in &self.0 {
            // Connections come and go between the two questions.
            let size = pool.size();
            open += size;
            idle += u32::try_from(pool.num_idle()).unwrap_or(size).min(size);
            most += pool.options().get_max_connections();
        }
        let mut family = encoder.encode_descriptor(
            "database_connections",
            "Connections to the database: in use, idle, and the most there may be",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in [("in_use", open - idle), ("idle", idle), ("max", most)] {
            let gauge = ConstGauge::new(i64::from(count));
            gauge.encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
