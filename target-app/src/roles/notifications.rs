//! Records what shoppers are to be told about their orders.
//!
//! Invariant: an event is recorded once however often it is sent, and an answer of 200 means that all
//! events of the request are recorded.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::audit::{self, Book, Line, Lines};
use crate::bug::Bug;
use crate::bug::later::{self, Later, Promised};
use crate::clock;
use crate::config::Storage;
use crate::database::{Database, Schema, no_rows};
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::Ids;
use crate::serve::{ServeError, Started, Tasks};

const MIGRATIONS: &[&str] = &[include_str!(
    "../../migrations/notifications/0001_start.sql"
)];
pub(super) const SCHEMA: Schema = Schema {
    name: "notifications",
    sqlite: MIGRATIONS,
    postgres: &[include_str!(
        "../../migrations/postgres/notifications/0001_start.sql"
    )],
};
/// How long after they were taken events are written, with the planted bug.
const DELAY: Duration = Duration::from_millis(500);
/// The most events in one request.
const EVENTS_MAX: usize = 200;

/// Prepares the role.
pub(super) async fn start(storage: &Storage, bug: Option<Bug>) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let database = Database::start(storage, SCHEMA, no_rows, &mut tasks).await?;
    let (later, promised) = (bug == Some(Bug::AcknowledgeBeforeProcessing))
        .then(|| later::queue(DELAY))
        .unzip();
    if let Some(promised) = promised {
        tasks.start(|stop| write_later(database.clone(), promised, stop));
    }
    let notebook = Notebook {
        database: database.clone(),
        later,
    };
    let router = Router::new()
        .route("/events", post(record))
        .route("/notifications/{order_id}", get(show))
        .with_state(Arc::new(notebook))
        .merge(audit::route(
            &storage.folder,
            NotificationBook(database.clone()),
        ));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

#[derive(Debug, Deserialize)]
struct Batch {
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    id: String,
    kind: String,
    payload: Payload,
}

/// What every event says, whatever else it says.
#[derive(Debug, Deserialize, serde::Serialize)]
struct Payload {
    order_id: String,
    shopper_id: String,
    #[serde(default)]
    amount: i64,
    /// When it happened, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
}

/// What all handlers share.
#[derive(Debug)]
struct Notebook {
    database: Database,
    /// With the bug that writes events after they were taken only.
    later: Option<Later<Batch>>,
}

async fn record(
    State(notebook): State<Arc<Notebook>>,
    FromRole(batch): FromRole<Batch>,
) -> Result<Json<Value>, ApiError> {
    if batch.events.len() > EVENTS_MAX {
        return Err(ApiError::invalid(
            "events",
            format!("at most {EVENTS_MAX} events fit one request"),
        ));
    }
    let recorded = batch.events.len();
    let new = match &notebook.later {
        None => write(&notebook.database, batch).await?,
        Some(later) => {
            later.promise(batch).await;
            0
        }
    };
    Ok(Json(json!({ "recorded": recorded, "new": new })))
}

// The planted bug `acknowledge_before_processing`: whoever sent the events has forgotten them by now.
async fn write_later(
    database: Database,
    mut promised: Promised<Batch>,
    mut stop: watch::Receiver<bool>,
) {
    while let Some(batch) = promised.next(&mut stop).await {
        if let Err(error) = write(&database, batch).await {
            tracing::warn!(?error, "failed to write events that were taken");
        }
    }
}

// Writes what is new of a batch; says how many that were.
async fn write(database: &Database, mut batch: Batch) -> Result<u64, ApiError> {
    // In one order, so that two requests with the same events do not wait for each other in a ring.
    batch
        .events
        .sort_unstable_by(|one, other| one.id.cmp(&other.id));
    let mut new = 0;
    let mut transaction = database.begin().await?;
    for Event { id, kind, payload } in &batch.events {
        let text = serde_json::to_string(payload)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        new += sqlx::query(
            "INSERT INTO notifications (event_id, kind, order_id, shopper_id, payload, received_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id) DO NOTHING",
        )
        .bind(id)
        .bind(kind)
        .bind(&payload.order_id)
        .bind(&payload.shopper_id)
        .bind(text)
        .bind(clock::now_ms())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    }
    transaction.commit().await?;
    Ok(new)
}

async fn show(State(notebook): State<Arc<Notebook>>, ids: Ids) -> Result<Json<Value>, ApiError> {
    let order_id = ids.get("order_id");
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT event_id, kind, received_at FROM notifications WHERE order_id = $1 ORDER BY received_at",
    )
    .bind(order_id)
    .fetch_all(notebook.database.reader())
    .await?;
    let events: Vec<Value> = rows
        .into_iter()
        .map(
            |(id, kind, received_at)| json!({ "id": id, "kind": kind, "received_at": received_at }),
        )
        .collect();
    Ok(Json(json!({ "order_id": order_id, "events": events })))
}

struct NotificationBook(Database);

impl Book for NotificationBook {
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
