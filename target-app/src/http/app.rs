//! Puts the routes of a role together with those every role has.

use std::sync::Arc;

use ::http::{StatusCode, Uri};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

use super::error::ApiError;
use super::health::{Readiness, health, ready};
use super::metrics::metrics;
use super::observe::{Observer, observe};
use crate::database::Database;

/// The whole service of a role.
pub(crate) fn build(
    role: Router,
    registry: Registry,
    readiness: Readiness,
    observer: Observer,
) -> Router {
    gated(role, readiness.database.clone())
        .merge(
            Router::new()
                .route("/metrics", get(metrics))
                .with_state(Arc::new(registry)),
        )
        .merge(
            Router::new()
                .route("/ready", get(ready))
                .with_state(Arc::new(readiness)),
        )
        .route("/health", get(health))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(observer), observe))
}

// A database in a file is prepared before anything is served; one on a server may come later.
fn gated(role: Router, database: Option<Database>) -> Router {
    match database {
        Some(database) if !database.is_prepared() => role.layer(from_fn_with_state(database, gate)),
        _ => role,
    }
}

async fn gate(State(database): State<Database>, request: Request, next: Next) -> Response {
    if database.is_prepared() {
        return next.run(request).await;
    }
    ApiError::busy("the store is starting").into_response()
}

async fn no_such_path(uri: Uri) -> ApiError {
    let path: String = uri.path().chars().take(100).collect();
    ApiError::not_found(format!("nothing is served at `{path}`")).field("path")
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path takes other methods",
    )
    .field("method")
}
