//! JSON log lines on standard output, filtered by `LOG_LEVEL` (default: [`USUAL`]).
//!
//! Lines of work that a request or an event caused say which: `trace_id`, `span_id`, `correlation`.
//!
//! Invariant: nothing is logged for a request that went well, except at `debug`.

use std::fmt::{self, Write as _};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::http::context::Context;

/// Where `LOG_LEVEL` says nothing. What these libraries say of a part that is away, again and again, we say once.
const USUAL: &str = "info,lapin=off,sqlx_core::pool=off,sqlx::postgres::notice=off";

/// Starts logging for this process; a second call changes nothing.
pub(crate) fn start() {
    let filter = std::env::var("LOG_LEVEL")
        .ok()
        .and_then(|level| EnvFilter::try_new(level).ok())
        .unwrap_or_else(|| EnvFilter::new(USUAL));
    if tracing::subscriber::set_global_default(lines(filter, std::io::stdout)).is_err() {
        tracing::debug!("logging was already started by the program around the store");
    }
}

fn lines(
    filter: EnvFilter,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .map_event_format(Marked)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// A format of JSON lines, with what the present work belongs to at the end of each.
struct Marked<F>(F);

impl<S, N, F> FormatEvent<S, N> for Marked<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        about: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(context) = Context::current() else {
            return self.0.format_event(about, writer, event);
        };
        let mut line = String::with_capacity(512);
        self.0.format_event(about, Writer::new(&mut line), event)?;
        // All three are of characters that JSON takes as they are.
        line.truncate(line.rfind('}').ok_or(fmt::Error)?);
        let (trace, correlation) = (context.trace, context.correlation());
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        write!(
            line,
            r#","trace_id":"{trace_id}","span_id":"{span_id}","correlation":"{correlation}"}}"#
        )?;
        writeln!(writer, "{line}")
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_a_request_say_which_and_others_are_as_they_were() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = lines(EnvFilter::new("info"), move || writer.clone());
        let context = Context::background("test");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            context.say(|| tracing::info!(text = "a \"quoted\" } text", "within"));
            tracing::info!("after");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].get("trace_id").is_none() && lines[2].get("correlation").is_none());
        assert_eq!(lines[1]["message"], "within");
        assert_eq!(lines[1]["text"], "a \"quoted\" } text");
        assert_eq!(lines[1]["trace_id"], context.trace.trace_id().to_string());
        assert_eq!(lines[1]["span_id"], context.trace.span_id().to_string());
        assert_eq!(lines[1]["correlation"], context.correlation());
    }
}
