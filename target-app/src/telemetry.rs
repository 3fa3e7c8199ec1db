//! JSON log lines on standard output, filtered by `LOG_LEVEL` (default `info`).
//!
//! Invariant: nothing is logged for a request that went well, except at `debug`.

use tracing_subscriber::EnvFilter;

/// Starts logging for this process; a second call changes nothing.
pub(crate) fn start() {
    let filter = std::env::var("LOG_LEVEL")
        .ok()
        .and_then(|level| EnvFilter::try_new(level).ok())
        .unwrap_or_else(|| EnvFilter::new("info"));
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(std::io::stdout)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was already started by the program around the store");
    }
}
