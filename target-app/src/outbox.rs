//! Brings events from the outbox to their consumer over HTTP, at least once each.
//!
//! Several processes share the outbox: a process claims a batch for a while, sends it, and deletes it
//! when the consumer has it. If it dies in between, the batch is sent again by its successor of the same
//! name, or by another process when the claim has run out; so the consumer must know events by their id.
//!
//! Invariant: an event leaves the outbox only after the consumer has answered that it is recorded.

pub(crate) mod memory;

use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::any::AnyRow;
use sqlx::{Any, FromRow, Row as _, Transaction};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::database::Database;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::serve::stopped;
use crate::trouble::Trouble;
use crate::upstream::Upstream;

/// Events in one request to the consumer.
const BATCH: i64 = 50;
/// How long a claim lasts: longer than a delivery takes as a rule. One that takes longer may be made
/// twice, which the consumer sees through.
const CLAIM_MS: i64 = 3000;
/// How long a failed batch rests before any process tries again.
const REST_MS: i64 = 1000;
/// How often the outbox is looked at without being told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait after being told, so that events are sent together.
const GATHER: Duration = Duration::from_millis(50);

/// The sender of one process.
#[derive(Debug)]
pub(crate) struct Outbox {
    database: Database,
    consumer: Upstream,
    instance: String,
    owner: String,
    told: Arc<Notify>,
    delivered: Counter,
}

#[derive(Debug, Serialize)]
struct Event {
    #[serde(skip)]
    sequence: i64,
    id: String,
    kind: String,
    #[serde(serialize_with = "as_json")]
    payload: String,
}

impl FromRow<'_, AnyRow> for Event {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let (sequence, id) = (row.try_get("sequence")?, row.try_get("id")?);
        Ok(Self {
            sequence,
            id,
            kind: row.try_get("kind")?,
            payload: row.try_get("payload")?,
        })
    }
}

/// Writes an event in the transaction of what it tells; an event already there is left alone.
pub(crate) async fn put(
    transaction: &mut Transaction<'_, Any>,
    event_id: &str,
    kind: &str,
    payload: &serde_json::Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO outbox (event_id, kind, payload) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(event_id)
    .bind(kind)
    .bind(payload.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Outbox {
    /// A sender whose claims bear a name of this process alone.
    pub(crate) fn new(
        database: Database,
        consumer: Upstream,
        instance: &str,
        registry: &mut Registry,
    ) -> Self {
        let delivered = Counter::default();
        registry.register(
            "outbox_delivered",
            "Events the consumer has recorded",
            delivered.clone(),
        );
        let owner = format!("{instance}-{}", uuid::Uuid::new_v4().simple());
        Self {
            database,
            consumer,
            instance: instance.to_owned(),
            owner,
            told: Arc::default(),
            delivered,
        }
    }

    /// What to notify when an event was committed.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.told)
    }

    /// Delivers until `stop` turns true; what is left stays in the database.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        if !self.database.prepared(&mut stop).await {
            return;
        }
        let mut trouble = Trouble::default();
        if let Err(error) = self.take_over().await {
            tracing::warn!(%error, "failed to take over the claims of the process before this one");
        }
        loop {
            match self.deliver_all().await {
                Ok(()) => drop(trouble.is_over()),
                Err(error) => {
                    if trouble.is_news(&format!("{error:?}")) {
                        tracing::warn!(?error, "failed to deliver events; they stay in the outbox");
                    }
                }
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = self.told.notified() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    // What the process before this one of the same name had claimed, it will not deliver any more.
    async fn take_over(&self) -> Result<(), sqlx::Error> {
        let claims: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM outbox WHERE claimed_until > $2 AND claimed_by LIKE $1 || '-%' LIMIT 1",
        )
        .bind(&self.instance)
        .bind(clock::now_ms())
        .fetch_optional(self.database.reader())
        .await?;
        if claims.is_some() {
            sqlx::query("UPDATE outbox SET claimed_until = 0 WHERE claimed_by LIKE $1 || '-%'")
                .bind(&self.instance)
                .execute(self.database.writer())
                .await?;
        }
        Ok(())
    }

    async fn deliver_all(&self) -> Result<(), ApiError> {
        // While the consumer is not asked, events are not even claimed.
        while self.consumer.refuses().is_none() && self.anything_due().await? {
            let events = self.claim().await?;
            if events.is_empty() {
                return Ok(());
            }
            if let Err(error) = send(&self.consumer, &events).await {
                self.rest(&events).await?;
                return Err(error);
            }
            self.forget(&events).await?;
            self.delivered.inc_by(events.len() as u64);
        }
        Ok(())
    }

    // A look through a reader, so that idle processes do not take the write lock.
    async fn anything_due(&self) -> Result<bool, sqlx::Error> {
        let due: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM outbox WHERE claimed_until <= $1 LIMIT 1")
                .bind(clock::now_ms())
                .fetch_optional(self.database.reader())
                .await?;
        Ok(due.is_some())
    }

    async fn claim(&self) -> Result<Vec<Event>, sqlx::Error> {
        let now = clock::now_ms();
        let mut events: Vec<Event> = sqlx::query_as(self.database.dialect().pick(
            "UPDATE outbox SET claimed_by = $1, claimed_until = $2
             WHERE sequence IN (SELECT sequence FROM outbox WHERE claimed_until <= $3 ORDER BY sequence LIMIT $4)
             RETURNING sequence, event_id AS id, kind, payload",
            "WITH due AS MATERIALIZED
               (SELECT sequence FROM outbox WHERE claimed_until <= $3 ORDER BY sequence LIMIT $4
                FOR UPDATE SKIP LOCKED)
             UPDATE outbox SET claimed_by = $1, claimed_until = $2 FROM due WHERE outbox.sequence = due.sequence
             RETURNING outbox.sequence, event_id AS id, kind, payload",
        ))
        .bind(&self.owner)
        .bind(now + CLAIM_MS)
        .bind(now)
        .bind(BATCH)
        .fetch_all(self.database.writer())
        .await?;
        events.sort_unstable_by_key(|event| event.sequence);
        Ok(events)
    }

    async fn forget(&self, events: &[Event]) -> Result<(), sqlx::Error> {
        sqlx::query(self.database.dialect().pick(
            "DELETE FROM outbox WHERE claimed_by = $1 AND sequence IN (SELECT value FROM json_each($2))",
            "DELETE FROM outbox WHERE claimed_by = $1
             AND sequence IN (SELECT value::bigint FROM json_array_elements_text($2::json))",
        ))
            .bind(&self.owner)
            .bind(sequences(events))
            .execute(self.database.writer())
            .await?;
        Ok(())
    }

    async fn rest(&self, events: &[Event]) -> Result<(), sqlx::Error> {
        sqlx::query(self.database.dialect().pick(
            "UPDATE outbox SET claimed_until = $3
             WHERE claimed_by = $1 AND sequence IN (SELECT value FROM json_each($2))",
            "UPDATE outbox SET claimed_until = $3 WHERE claimed_by = $1
             AND sequence IN (SELECT value::bigint FROM json_array_elements_text($2::json))",
        ))
        .bind(&self.owner)
        .bind(sequences(events))
        .bind(clock::now_ms() + REST_MS)
        .execute(self.database.writer())
        .await?;
        Ok(())
    }
}

async fn send(consumer: &Upstream, events: &[Event]) -> Result<(), ApiError> {
    #[derive(Serialize)]
    struct Batch<'a> {
        events: &'a [Event],
    }
    let context = Context::background("outbox");
    let key = events.first().map_or("", |event| event.id.as_str());
    let answer = consumer
        .post_json("/events", key, &Batch { events }, &context)
        .await?;
    consumer.document::<serde_json::Value>(&answer, &[StatusCode::OK])?;
    Ok(())
}

fn sequences(events: &[Event]) -> String {
    let numbers: Vec<i64> = events.iter().map(|event| event.sequence).collect();
    serde_json::json!(numbers).to_string()
}

// The payload is JSON already; it goes out as it was written.
fn as_json<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let raw: &RawValue = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    raw.serialize(serializer)
}
