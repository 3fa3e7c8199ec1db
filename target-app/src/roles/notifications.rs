//! Records what shoppers are to be told about their orders.
//!
//! Events come over HTTP from the outbox, or from a broker if there is one.
//!
//! Invariant: an event is recorded once however often it is sent, and an answer of 200 means that all
//! events of the request are recorded, or kept as dead letters.

mod book;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::TryStreamExt as _;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::audit::{self, Book, Line, Lines};
use crate::bug::Bug;
use crate::bug::later::{self, Promised};
use crate::config::Storage;
use crate::database::{Database, Schema, no_rows};
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::Ids;
use crate::link;
use crate::queue::Broker;
use crate::queue::consume::Consumer;
use crate::serve::{ServeError, Started, Tasks};
use book::{Event, NotificationBook, Payload, RecordError};

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/notifications/0001_start.sql"),
    include_str!("../../migrations/notifications/0002_dead_letters.sql"),
];
pub(super) const SCHEMA: Schema = Schema {
    name: "notifications",
    sqlite: MIGRATIONS,
    postgres: &[
        include_str!("../../migrations/postgres/notifications/0001_start.sql"),
        include_str!("../../migrations/postgres/notifications/0002_dead_letters.sql"),
    ],
};
/// How long after they were taken events are written, with the planted bug.
const DELAY: Duration = Duration::from_millis(500);
/// The most events in one request.
const EVENTS_MAX: usize = 200;
/// The most dead letters in one answer.
const LETTERS_MAX: i64 = 100;

/// Prepares the role.
pub(super) async fn start(
    storage: &Storage,
    broker: Option<Broker>,
    bug: Option<Bug>,
    registry: &mut Registry,
) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let database = Database::start(storage, SCHEMA, no_rows, &mut tasks).await?;
    let (later, promised) = (bug == Some(Bug::AcknowledgeBeforeProcessing))
        .then(|| later::queue(DELAY))
        .unzip();
    let book = NotificationBook::new(database.clone(), later, registry);
    let book = Arc::new(book);
    if let Some(promised) = promised {
        tasks.start(|stop| write_later(Arc::clone(&book), promised, stop));
    }
    if let Some(broker) = broker {
        let (queue, keeper) = link::open(broker, registry);
        let consumer = Consumer::new(queue, Arc::clone(&book), registry);
        tasks.start(|stop| keeper.run(stop));
        tasks.start(|stop| consumer.run(stop));
    }
    let router = Router::new()
        .route("/events", post(record))
        .route("/notifications/{order_id}", get(show))
        .route("/dead-letters", get(dead_letters))
        .with_state(book)
        .merge(audit::route(&storage.folder, Deliveries(database.clone())));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

#[derive(Debug, Deserialize)]
struct Batch {
    events: Vec<Box<RawValue>>,
}

async fn record(
    State(book): State<Arc<NotificationBook>>,
    FromRole(batch): FromRole<Batch>,
) -> Result<Json<Value>, ApiError> {
    if batch.events.len() > EVENTS_MAX {
        return Err(ApiError::invalid(
            "events",
            format!("at most {EVENTS_MAX} events fit one request"),
        ));
    }
    let count = batch.events.len();
    if let Some(later) = &book.later {
        later.promise(batch.events).await;
        return Ok(Json(json!({ "recorded": count, "dead": 0 })));
    }
    let dead = write(&book, &batch.events).await?;
    Ok(Json(json!({ "recorded": count - dead, "dead": dead })))
}

// The planted bug `acknowledge_before_processing`: whoever sent the events has forgotten them by now.
async fn write_later(
    book: Arc<NotificationBook>,
    mut promised: Promised<Vec<Box<RawValue>>>,
    mut stop: watch::Receiver<bool>,
) {
    while let Some(events) = promised.next(&mut stop).await {
        if let Err(error) = write(&book, &events).await {
            tracing::warn!(?error, "failed to write events that were taken");
        }
    }
}

// Records what can be; says how many are dead letters.
async fn write(book: &NotificationBook, batch: &[Box<RawValue>]) -> Result<usize, ApiError> {
    let mut events = Vec::with_capacity(batch.len());
    let mut texts = Vec::with_capacity(batch.len());
    let mut dead = 0;
    for text in batch.iter().map(|event| event.get()) {
        match Event::read(text.as_bytes()) {
            Ok(event) => {
                events.push(event);
                texts.push(text);
            }
            Err(reason) => {
                book.bury(text, &reason).await?;
                dead += 1;
            }
        }
    }
    let events: Vec<&Event> = events.iter().collect();
    for (text, refusal) in texts.iter().zip(book.record_each(&events).await?) {
        if let Some(reason) = refusal {
            book.bury(text, &reason).await?;
            dead += 1;
        }
    }
    Ok(dead)
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        let (RecordError::Passing(error) | RecordError::Lasting(error)) = error;
        error.into()
    }
}

/// What could not be recorded, youngest first; for people inside.
async fn dead_letters(State(book): State<Arc<NotificationBook>>) -> Result<Json<Value>, ApiError> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT body, reason, received_at FROM dead_letters ORDER BY id DESC LIMIT $1",
    )
    .bind(LETTERS_MAX)
    .fetch_all(book.database.reader())
    .await?;
    let letters: Vec<Value> = rows
        .into_iter()
        .map(|(body, reason, at)| json!({ "body": body, "reason": reason, "received_at": at }))
        .collect();
    Ok(Json(json!({ "dead_letters": letters })))
}

async fn show(
    State(book): State<Arc<NotificationBook>>,
    ids: Ids,
) -> Result<Json<Value>, ApiError> {
    let order_id = ids.get("order_id");
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT event_id, kind, received_at FROM notifications WHERE order_id = $1 ORDER BY received_at",
    )
    .bind(order_id)
    .fetch_all(book.database.reader())
    .await?;
    let events: Vec<Value> = rows
        .into_iter()
        .map(
            |(id, kind, received_at)| json!({ "id": id, "kind": kind, "received_at": received_at }),
        )
        .collect();
    Ok(Json(json!({ "order_id": order_id, "events": events })))
}

struct Deliveries(Database);

impl Book for Deliveries {
    async fn read_out(&self, lines: &mut Lines) -> Result<(), ApiError> {
        let mut moment = self.0.snapshot().await?;
        let mut rows = sqlx::query_as::<_, (String, i64)>(
            "SELECT payload, received_at FROM notifications WHERE kind = 'order-confirmed' ORDER BY event_id",
        )
        .fetch(&mut *moment);
        while let Some((payload, received_at)) = rows.try_next().await? {
            lines.put(&delivery(&payload, received_at)?)?;
        }
        Ok(())
    }
}

fn delivery(payload: &str, received_at: i64) -> Result<Line, ApiError> {
    let payload: Payload =
        serde_json::from_str(payload).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(Line::Delivery {
        order: payload.order_id,
        after_ms: payload.at.map(|at| (received_at - at).max(0)),
    })
}
