//! Spans as they are reported to a collector.
//!
//! Invariant: a span that nobody collects costs no more than looking that up.

use std::time::SystemTime;

use super::{Trace, export};
use crate::clock;

/// A span that has begun and will be reported.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "only read by the exporter")
)]
pub(crate) struct Begun {
    pub(super) trace: Trace,
    pub(super) at: SystemTime,
}

/// What kind of work a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Answering a request.
    Server,
    /// Waiting for the answer of another role.
    Client,
    /// Working on an event.
    Consumer,
}

/// How a span ended.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "otlp"),
    expect(dead_code, reason = "only read by the exporter")
)]
pub(crate) struct Ended {
    pub(crate) kind: Kind,
    /// What was done, with few values: no ids.
    pub(crate) name: String,
    /// Named as in OpenTelemetry's semantic conventions.
    pub(crate) attributes: Vec<(&'static str, String)>,
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    pub(crate) failed: bool,
}

/// Begins a span, if it is to be reported at all.
pub(crate) fn begin(trace: &Trace) -> Option<Begun> {
    (trace.sampled && export::is_on()).then(|| Begun {
        trace: *trace,
        at: clock::now(),
    })
}

/// Ends a span; `describe` is called only if it is reported.
pub(crate) fn end(begun: Option<Begun>, describe: impl FnOnce() -> Ended) {
    if let Some(begun) = begun {
        export::report(&begun, describe());
    }
}
