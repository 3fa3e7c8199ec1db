//! What a caller is told when a request does not succeed.
//!
//! Invariant: `detail` is for the log only and never leaves the process.

use std::borrow::Cow;

use ::http::{HeaderValue, StatusCode, header};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::upstream::UpstreamError;

type Text = Cow<'static, str>;

/// An unsuccessful answer: `{"error": .., "field": .., "help": ..}`.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
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
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
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

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        let callee = error.callee();
        let (status, text) = match &error {
            UpstreamError::Connect { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{callee} cannot be reached"),
            ),
            UpstreamError::TimedOut { .. } => (
                StatusCode::GATEWAY_TIMEOUT,
                format!("{callee} did not answer in time"),
            ),
            UpstreamError::Broken { .. } => (
                StatusCode::BAD_GATEWAY,
                format!("{callee} broke off before its answer was complete"),
            ),
            UpstreamError::Unusable { .. } => (
                StatusCode::BAD_GATEWAY,
                format!("{callee} gave an answer that cannot be used"),
            ),
        };
        Self::new(status, text)
            .help("try again in a second; a check-out is safe to repeat with the same Idempotency-Key")
            .detail(error.to_string())
    }
}
