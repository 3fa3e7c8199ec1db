//! The wall clock, for what is stored and for the life of tokens; durations use `Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

/// This moment.
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Milliseconds since 1970, never negative.
pub(crate) fn now_ms() -> i64 {
    let since = now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
