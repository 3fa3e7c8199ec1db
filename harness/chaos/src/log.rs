//! Log lines on standard error: of the helpers a log file, of the program itself what `-v` asks for.

use std::io::{self, Write};

/// Rooms of others that say of every call that it failed, which is told once by whoever made it.
const TOLD_BY_US: &str = "kube_client=off";

/// Logs from `level` up; `CHAOS_LOG` overrides it, such as `chaos_proxy=debug`.
pub(crate) fn to_stderr(level: &str) {
    through(level, || Box::new(io::stderr()));
}

/// The same, with each line going through what `line` opens for it.
pub(crate) fn through(level: &str, line: impl Fn() -> Box<dyn Write> + Send + Sync + 'static) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CHAOS_LOG")
        .unwrap_or_else(|_| format!("{level},{TOLD_BY_US}").into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(line)
        .with_ansi(false)
        .init();
}
