//! The book of what shoppers were told: events in it, and those that could not be.
//!
//! Invariant: an event is recorded once however often it comes; one that cannot be read or written never
//! keeps another from being recorded.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::{Any, Transaction};

use crate::bug::later::Later;
use crate::clock;
use crate::database::Database;
use crate::http::context::Context;
use crate::queue::consume::{Receiver, Settled};
use crate::trace::span::{self, Begun, Ended, Kind};

/// The longest id and kind of an event, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// The most bytes kept of a dead letter.
const BODY_BYTES_MAX: usize = 4096;
/// The most dead letters kept; then the oldest is forgotten.
const DEAD_LETTERS_MAX: i64 = 10_000;

/// An event as its sender tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    id: String,
    kind: String,
    payload: Payload,
}

/// What every event says, whatever else it says.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Payload {
    pub(super) order_id: String,
    shopper_id: String,
    #[serde(default)]
    amount: i64,
    /// When it happened, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<String>,
}

impl Event {
    /// Reads one event; the error says why it is none.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let event: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        for (name, text) in [("id", &event.id), ("kind", &event.kind)] {
            if !(1..=NAME_BYTES_MAX).contains(&text.len()) {
                return Err(format!("`{name}` must have 1 to {NAME_BYTES_MAX} bytes"));
            }
        }
        Ok(event)
    }

    // Begins work on it as a part of what it came from.
    fn begin(&self) -> (Context, Option<Begun>) {
        let Payload {
            correlation,
            traceparent,
            ..
        } = &self.payload;
        let context = Context::of_event(correlation.as_deref(), traceparent.as_deref());
        let span = span::begin(&context.trace);
        (context, span)
    }

    fn end(&self, (context, span): (Context, Option<Begun>)) {
        context.say(|| tracing::debug!(event = self.id, kind = self.kind, "recorded an event"));
        span::end(span, || Ended {
            kind: Kind::Consumer,
            name: format!("process {}", self.kind),
            attributes: vec![("messaging.message.id", self.id.clone())],
            status: None,
            failed: false,
        });
    }
}

/// Why an event is not recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The database is away or busy; the same event may be recorded later.
    #[error("the database did not take an event: {0}")]
    Passing(sqlx::Error),
    /// The database will never take this one.
    #[error("the database refuses the event: {0}")]
    Lasting(sqlx::Error),
}

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        if is_lasting(&error) {
            Self::Lasting(error)
        } else {
            Self::Passing(error)
        }
    }
}

// SQLSTATE classes 22 (the data) and 23 (a constraint), five characters long; of SQLite's codes, whose
// upper bits say more, 18 (too big), 19 (a constraint) and 20 (a type).
fn is_lasting(error: &sqlx::Error) -> bool {
    let Some(code) = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
    else {
        return false;
    };
    if code.len() == 5 {
        return code.starts_with("22") || code.starts_with("23");
    }
    code.parse::<u32>()
        .is_ok_and(|code| matches!(code & 0xff, 18..=20))
}

/// The book.
#[derive(Debug)]
pub(super) struct NotificationBook {
    pub(super) database: Database,
    /// With the bug that writes events after they were taken only.
    pub(super) later: Option<Later<Vec<Box<RawValue>>>>,
    recorded: Counter,
    duplicates: Counter,
    dead: Counter,
}

impl NotificationBook {
    pub(super) fn new(
        database: Database,
        later: Option<Later<Vec<Box<RawValue>>>>,
        registry: &mut Registry,
    ) -> Self {
        let (recorded, duplicates, dead) =
            (Counter::default(), Counter::default(), Counter::default());
        registry.register(
            "notifications_recorded",
            "Events recorded for the first time",
            recorded.clone(),
        );
        registry.register(
            "notifications_duplicates",
            "Events that came again after they were recorded",
            duplicates.clone(),
        );
        registry.register(
            "dead_letters",
            "Events that could not be read or written",
            dead.clone(),
        );
        Self {
            database,
            later,
            recorded,
            duplicates,
            dead,
        }
    }

    /// Records events, of which none or some are new; how many are.
    pub(super) async fn record(&self, events: &[&Event]) -> Result<u64, RecordError> {
        if events.is_empty() {
            return Ok(0);
        }
        // In one order, so that two with the same events do not wait for each other in a ring.
        let mut events = events.to_vec();
        events.sort_unstable_by_key(|event| &event.id);
        let mut new = 0;
        let begun: Vec<_> = events.iter().map(|event| event.begin()).collect();
        let mut transaction = self.database.begin().await?;
        for event in &events {
            new += insert(&mut transaction, event).await?;
        }
        transaction.commit().await?;
        events
            .iter()
            .zip(begun)
            .for_each(|(event, begun)| event.end(begun));
        self.recorded.inc_by(new);
        self.duplicates.inc_by(events.len() as u64 - new);
        Ok(new)
    }

    /// Records what can be recorded; for each event, why it never can be.
    ///
    /// # Errors
    ///
    /// A passing failure: some may be recorded, and all should come again.
    pub(super) async fn record_each(
        &self,
        events: &[&Event],
    ) -> Result<Vec<Option<String>>, RecordError> {
        match self.record(events).await {
            Ok(_) => return Ok(vec![None; events.len()]),
            Err(error @ RecordError::Passing(_)) => return Err(error),
            // One of them is the culprit.
            Err(RecordError::Lasting(_)) => {}
        }
        let mut refusals = Vec::with_capacity(events.len());
        for event in events {
            refusals.push(match self.record(&[event]).await {
                Ok(_) => None,
                Err(error @ RecordError::Passing(_)) => return Err(error),
                Err(error @ RecordError::Lasting(_)) => Some(error.to_string()),
            });
        }
        Ok(refusals)
    }

    /// Keeps an event that cannot be recorded.
    pub(super) async fn bury(&self, body: &str, reason: &str) -> Result<(), sqlx::Error> {
        let body = printable(body, BODY_BYTES_MAX);
        let mut transaction = self.database.begin().await?;
        // The same event may come again; it is the same dead letter.
        let there: Option<i64> = sqlx::query_scalar("SELECT 1 FROM dead_letters WHERE body = $1")
            .bind(&body)
            .fetch_optional(&mut *transaction)
            .await?;
        if there.is_some() {
            return transaction.rollback().await;
        }
        sqlx::query(
            "INSERT INTO dead_letters (id, body, reason, received_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(body)
        .bind(printable(reason, BODY_BYTES_MAX))
        .bind(clock::now_ms())
        .execute(&mut *transaction)
        .await?;
        // Ids grow with time.
        sqlx::query(
            "DELETE FROM dead_letters WHERE id NOT IN (SELECT id FROM dead_letters ORDER BY id DESC LIMIT $1)",
        )
        .bind(DEAD_LETTERS_MAX)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.count_dead(reason);
        Ok(())
    }

    fn count_dead(&self, reason: &str) {
        self.dead.inc();
        tracing::warn!(reason, "an event cannot be recorded and is a dead letter");
    }
}

// What no text column refuses: PostgreSQL takes no NUL.
fn printable(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].replace('\0', "\u{fffd}")
}

async fn insert(transaction: &mut Transaction<'_, Any>, event: &Event) -> Result<u64, sqlx::Error> {
    let payload = serde_json::to_string(&event.payload).expect("texts and numbers can be written");
    let inserted = sqlx::query(
        "INSERT INTO notifications (event_id, kind, order_id, shopper_id, payload, received_at)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id) DO NOTHING",
    )
    .bind(&event.id)
    .bind(&event.kind)
    .bind(&event.payload.order_id)
    .bind(&event.payload.shopper_id)
    .bind(payload)
    .bind(clock::now_ms())
    .execute(&mut **transaction)
    .await?;
    Ok(inserted.rows_affected())
}

/// With a broker, which keeps the dead letters itself.
impl Receiver for NotificationBook {
    async fn settle(&self, bodies: &[&[u8]]) -> Result<Vec<Settled>, String> {
        let read: Vec<Result<Event, String>> =
            bodies.iter().map(|body| Event::read(body)).collect();
        let events: Vec<&Event> = read.iter().flatten().collect();
        let refusals = self.record_each(&events).await;
        let mut refusals = refusals.map_err(|error| error.to_string())?.into_iter();
        let settled = read.iter().map(|event| {
            let reason = match event {
                Ok(_) => refusals.next().flatten(),
                Err(reason) => Some(reason.clone()),
            };
            match reason {
                None => Settled::Done,
                Some(reason) => {
                    self.count_dead(&reason);
                    Settled::Dead
                }
            }
        });
        Ok(settled.collect())
    }
}
