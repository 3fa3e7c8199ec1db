//! `/health` says that the process lives, `/ready` that it can do its own part.
//!
//! Invariant: neither asks another role; a lost peer must not close the whole shop.

use std::borrow::Cow;
use std::sync::Arc;

use ::http::StatusCode;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::server::Phase;
use crate::database::Database;

/// What `/ready` looks at.
#[derive(Debug)]
pub(crate) struct Readiness {
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) database: Option<Database>,
}

pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

pub(crate) async fn ready(State(readiness): State<Arc<Readiness>>) -> (StatusCode, Json<Value>) {
    match reason_not_ready(&readiness).await {
        None => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        Some(reason) => {
            let body = json!({ "status": "not ready", "error": reason });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}

async fn reason_not_ready(readiness: &Readiness) -> Option<Cow<'static, str>> {
    if *readiness.phase.borrow() != Phase::Serving {
        return Some("this instance is stopping".into());
    }
    let database = readiness.database.as_ref()?;
    database.trouble().await.map(Cow::Owned)
}
