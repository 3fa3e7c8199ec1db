//! What a caller is told when a request does not succeed.
//!
//! Invariant: `detail` is for the log only and never leaves the process.

use std::borrow::Cow;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

type Text = Cow<'static, str>;

/// An unsuccessful answer: `{"error": .., "field": .., "help": ..}`.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    /// Whole seconds after which to come back.
    retry_after_s: Option<u64>,
    detail: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct ErrorBody {
    error: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Text>,
}

/// The cause of a server error, handed to the log beside the answer.
#[derive(Debug, Clone)]
pub(crate) struct ErrorDetail(pub(crate) String);

impl ApiError {
    /// An answer with any status.
    pub(crate) fn new(status: StatusCode, error: impl Into<Text>) -> Self {
        let body = ErrorBody {
            error: error.into(),
            field: None,
            help: None,
        };
        Self {
            status,
            body,
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
            detail: None,
        }
    }

    /// 400: a field of the request cannot be used.
    pub(crate) fn invalid(field: impl Into<Text>, error: impl Into<Text>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error).field(field)
    }

    /// 401: the caller must log in.
    pub(crate) fn unauthorized(error: impl Into<Text>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error)
            .field("Authorization")
            .help("send `Authorization: Bearer TOKEN` with a token from POST /login")
    }

    /// 404: there is no such thing, or it is not the caller's.
    pub(crate) fn not_found(error: impl Into<Text>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    /// 409: the request does not fit the present state.
    pub(crate) fn conflict(error: impl Into<Text>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// 503: not now.
    pub(crate) fn busy(error: impl Into<Text>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error).help("try again in a second")
    }

    /// 500: a fault of the store, whose cause goes to the log only.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the store made a mistake",
        )
        .detail(detail)
    }

    /// Names the field the error is about.
    pub(crate) fn field(mut self, field: impl Into<Text>) -> Self {
        self.body.field = Some(field.into());
        self
    }

    /// Says what to do next.
    pub(crate) fn help(mut self, help: impl Into<Text>) -> Self {
        self.body.help = Some(help.into());
        self
    }

    /// Says when to come back, in whole seconds, at least one.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        let started = u64::from(wait.subsec_nanos() > 0);
        self.retry_after_s = Some((wait.as_secs() + started).max(1));
        self
    }

    /// Keeps the cause for the log.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The status the caller gets.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(detail) = self.detail {
            response.extensions_mut().insert(ErrorDetail(detail));
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_busy(&error) {
            return Self::busy("the store is busy").detail(format!("database: {error}"));
        }
        Self::internal(format!("database: {error}"))
    }
}

// SQLITE_BUSY (5) and SQLITE_LOCKED (6) carry more in their upper bits.
fn is_busy(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => database
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6)),
        _ => false,
    }
}
