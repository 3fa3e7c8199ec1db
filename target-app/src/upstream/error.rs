//! Why a call has no answer that can be used.
//!
//! Invariant: what a shopper hears of it names the role and what to do, and never its address.

use std::time::Duration;

use ::http::StatusCode;

use crate::http::error::ApiError;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("failed to reach `{callee}` in {tries} tries: {text}")]
    Connect {
        callee: &'static str,
        tries: u32,
        text: String,
    },
    #[error("failed to get an answer of `{callee}` in {tries} tries: {text}")]
    Broken {
        callee: &'static str,
        tries: u32,
        text: String,
    },
    #[error("failed to get an answer of `{callee}` within {limit:?}")]
    TimedOut {
        callee: &'static str,
        limit: Duration,
    },
    #[error("failed to use the answer of `{callee}`: {text}")]
    Unusable { callee: &'static str, text: String },
    #[error("`{callee}` cannot do it now: it answered {status}")]
    Refused { callee: &'static str, status: u16 },
    #[error("`{callee}` was not asked: it has not answered lately, and is asked again in {wait:?}")]
    Open {
        callee: &'static str,
        wait: Duration,
    },
    #[error("`{callee}` was not asked: too many calls to it are under way")]
    Full { callee: &'static str },
}

impl UpstreamError {
    /// The role that was called.
    pub(crate) fn callee(&self) -> &'static str {
        match self {
            Self::Connect { callee, .. }
            | Self::Broken { callee, .. }
            | Self::TimedOut { callee, .. }
            | Self::Unusable { callee, .. }
            | Self::Refused { callee, .. }
            | Self::Open { callee, .. }
            | Self::Full { callee } => callee,
        }
    }

    /// The name of the kind in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "not reached",
            Self::Broken { .. } => "broken",
            Self::TimedOut { .. } => "timed out",
            Self::Unusable { .. } => "unusable",
            Self::Refused { .. } => "refused: by the callee",
            Self::Open { .. } => "refused: breaker open",
            Self::Full { .. } => "refused: too many under way",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Connect { .. } | Self::Refused { .. } | Self::Open { .. } | Self::Full { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Broken { .. } | Self::Unusable { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "cannot be reached",
            Self::TimedOut { .. } => "did not answer in time",
            Self::Broken { .. } => "broke off before its answer was complete",
            Self::Unusable { .. } => "gave an answer that cannot be used",
            Self::Refused { .. } => "cannot do this now",
            Self::Open { .. } => "does not answer at the moment and is not asked",
            Self::Full { .. } => "has too much to do at the moment and is not asked",
        }
    }
}

impl From<UpstreamError> for ApiError {
    fn from(error: UpstreamError) -> Self {
        let text = format!("{} {}", error.callee(), error.words());
        let answer = Self::new(error.status(), text)
            .help("try again in a second; a check-out is safe to repeat with the same Idempotency-Key")
            .detail(error.to_string());
        match error {
            UpstreamError::Open { wait, .. } => answer.retry_after(wait),
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use ::http::header::RETRY_AFTER;
    use axum::response::IntoResponse as _;

    use super::*;

    fn check(error: UpstreamError, status: u16, retry_after: Option<&str>) {
        let text = format!("{error:?}");
        let answer = ApiError::from(error).into_response();
        assert_eq!(answer.status().as_u16(), status, "{text}");
        let said = answer.headers().get(RETRY_AFTER);
        let said = said.map(|value| value.to_str().unwrap());
        assert_eq!(said, retry_after, "{text}");
    }

    #[test]
    fn whoever_may_come_back_is_told_when() {
        let callee = "payments";
        let wait = Duration::from_millis(1200);
        check(UpstreamError::Open { callee, wait }, 503, Some("2"));
        check(UpstreamError::Full { callee }, 503, Some("1"));
        let status = 504;
        check(UpstreamError::Refused { callee, status }, 503, Some("1"));
        let limit = wait;
        check(UpstreamError::TimedOut { callee, limit }, 504, None);
    }
}
