//! Log lines on standard error: of the helpers a log file, of the program itself what `-v` asks for.

/// Logs from `level` up; `CHAOS_LOG` overrides it, such as `chaos_proxy=debug`.
pub(crate) fn to_stderr(level: &str) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("CHAOS_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
