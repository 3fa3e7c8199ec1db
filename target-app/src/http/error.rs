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
    /// Whether another transaction was in the way, so that the same work may succeed at once.
    crossed: bool,
}

/// How often work is done in all if other transactions are in its way.
const ATTEMPTS: u32 = 3;

/// Does a piece of work that changes nothing when it fails, and does it again if another transaction was
/// in its way: each time it sees what the other has written.
pub(crate) async fn again<T, F>(work: impl Fn() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(error) if error.crossed => {}
            done => return done,
        }
    }
    work().await
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
            crossed: false,
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
        let detail = format!("database: {error}");
        match Cause::of(&error) {
            Cause::Busy => Self::busy("the store is busy").detail(detail),
            Cause::Crossed => {
                let error = Self::busy("the store is busy").detail(detail);
                Self {
                    crossed: true,
                    ..error
                }
            }
            Cause::Away => Self::busy("the store cannot reach its database").detail(detail),
            Cause::Full => Self::busy("the store has no room to write").detail(format!(
                "{detail}: free space on the disk of DATA_DIR or of the server of DATABASE_URL"
            )),
            Cause::Mistake => Self::internal(detail),
        }
    }
}

/// Why a statement failed, as far as a caller can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Too much to do at this moment.
    Busy,
    /// Another transaction was in the way.
    Crossed,
    /// The database is gone, ending or starting. If a commit was under way nobody knows whether it was
    /// done; a caller finds out by sending the same request with the same key.
    Away,
    /// The disk is full.
    Full,
    /// A fault of the store.
    Mistake,
}

impl Cause {
    fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Away,
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // PostgreSQL has codes of five characters, SQLite shorter numbers.
                Some(code) if code.len() == 5 => Self::of_state(code),
                Some(code) => code.parse().map_or(Self::Mistake, Self::of_number),
                None => Self::Mistake,
            },
            _ => Self::Mistake,
        }
    }

    // https://www.postgresql.org/docs/15/errcodes-appendix.html
    fn of_state(code: &str) -> Self {
        match code {
            // Serialization failure, deadlock, unique violation.
            "40001" | "40P01" | "23505" => Self::Crossed,
            // Too many connections, lock not available, statement given up, transaction given up.
            "53300" | "55P03" | "57014" | "25P03" => Self::Busy,
            // Shutdown by the administrator, by a crash, not yet started, connection failures.
            // It does not let this process in, has no such database, takes no changes.
            "57P01" | "57P02" | "57P03" | "08000" | "08003" | "08006" | "28000" | "28P01"
            | "3D000" | "25006" => Self::Away,
            "53100" => Self::Full,
            _ => Self::Mistake,
        }
    }

    // https://www.sqlite.org/rescode.html; extended codes carry more in their upper bits.
    fn of_number(code: u32) -> Self {
        match code & 0xff {
            5 | 6 => Self::Busy,
            13 => Self::Full,
            // A quota or the limit of a file's size is hit, and no room for the index of the log: SQLite
            // calls a full disk by its name only where the system does.
            10 if matches!(code >> 8, 3 | 19) => Self::Full,
            _ => Self::Mistake,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn states_of_a_server_and_numbers_of_a_file_are_not_confused() {
        // 22021 would be 5, busy, as a number.
        assert_eq!(Cause::of_state("22021"), Cause::Mistake);
        assert_eq!(Cause::of_state("40P01"), Cause::Crossed);
        assert_eq!(Cause::of_state("57P03"), Cause::Away);
        assert_eq!(Cause::of_number(517), Cause::Busy);
        assert_eq!(Cause::of_number(13), Cause::Full);
        assert_eq!(Cause::of_number(778), Cause::Full);
        assert_eq!(Cause::of_number(266), Cause::Mistake);
        assert_eq!(Cause::of(&sqlx::Error::PoolTimedOut), Cause::Busy);
        assert_eq!(Cause::of(&sqlx::Error::RowNotFound), Cause::Mistake);
        let gone = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let answer = ApiError::from(sqlx::Error::Io(gone)).into_response();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
    }

    async fn attempts(crossed: bool) -> u32 {
        let made = Cell::new(0);
        let done: Result<(), ApiError> = again(|| async {
            made.set(made.get() + 1);
            let error = ApiError::busy("x");
            Err(ApiError { crossed, ..error })
        })
        .await;
        assert!(done.is_err());
        made.get()
    }

    #[tokio::test]
    async fn only_work_that_was_crossed_is_done_again_and_not_for_ever() {
        assert_eq!(attempts(true).await, ATTEMPTS);
        assert_eq!(attempts(false).await, 1);
    }
}
