//! What a request carries from hop to hop: its correlation id and W3C trace context.
//!
//! What works for a request works within its scope, so that every log line and every call it causes bears
//! both.
//!
//! Invariant: a correlation id is at most 64 of the characters `A-Z a-z 0-9 . _ -`, so it can stand in
//! any log or header.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::task::futures::TaskLocalFuture;

use crate::trace::{TRACE_PARENT, Trace};

/// The header of the correlation id, in requests and answers.
pub(crate) const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
/// The header by which the gateway tells who the shopper is.
pub(crate) const SHOPPER: HeaderName = HeaderName::from_static("x-shopper-id");
/// The header by which the gateway tells that the shopper is an admin.
pub(crate) const SCOPE: HeaderName = HeaderName::from_static("x-shopper-scope");
/// The header that makes a request safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest correlation id that is taken over.
const CORRELATION_BYTES_MAX: usize = 64;

/// What this request passes on to the callees.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) correlation: HeaderValue,
    pub(crate) trace: Trace,
}

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    /// Takes over what the caller sent, or makes a new correlation id.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let sent = headers
            .get(CORRELATION)
            .filter(|value| is_correlation(value.as_bytes()));
        let correlation = sent.cloned().unwrap_or_else(|| fresh(""));
        Self {
            correlation,
            trace: Trace::asked_by(headers.get(TRACE_PARENT).map(HeaderValue::as_bytes)),
        }
    }

    /// The context of work that no request asked for, such as `outbox`.
    pub(crate) fn background(prefix: &str) -> Self {
        Self {
            correlation: fresh(prefix),
            trace: Trace::begin(),
        }
    }

    /// The context of work on an event, which tells where it comes from as far as its sender knew.
    pub(crate) fn of_event(correlation: Option<&str>, trace_parent: Option<&str>) -> Self {
        let sent = correlation.filter(|sent| is_correlation(sent.as_bytes()));
        let sent = sent.and_then(|sent| HeaderValue::from_str(sent).ok());
        Self {
            correlation: sent.unwrap_or_else(|| fresh("event")),
            trace: Trace::asked_by(trace_parent.map(str::as_bytes)),
        }
    }

    /// What the present work belongs to, if anything was said about that.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Work that belongs to this.
    pub(crate) fn scope<F: Future>(self, work: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, work)
    }

    /// The same for work that does not wait.
    pub(crate) fn say<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// A part of this with a span of its own.
    pub(crate) fn child(&self) -> Self {
        Self {
            correlation: self.correlation.clone(),
            trace: self.trace.child(),
        }
    }

    /// The correlation id as text.
    pub(crate) fn correlation(&self) -> &str {
        self.correlation.to_str().unwrap_or_default()
    }

    /// Adds the headers that carry this context on.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(CORRELATION, self.correlation.clone());
        headers.insert(TRACE_PARENT, self.trace.header());
    }
}

fn fresh(prefix: &str) -> HeaderValue {
    let id = uuid::Uuid::new_v4().simple();
    let text = if prefix.is_empty() {
        id.to_string()
    } else {
        format!("{prefix}-{id}")
    };
    HeaderValue::try_from(text).expect("hexadecimal digits and a word of ours are a header value")
}

fn is_correlation(value: &[u8]) -> bool {
    let fits = (1..=CORRELATION_BYTES_MAX).contains(&value.len());
    fits && value
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sent: &str, taken: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(CORRELATION, HeaderValue::from_str(sent).unwrap());
        let context = Context::from_headers(&headers);
        assert_eq!(context.correlation() == sent, taken, "{sent}");
        assert!(is_correlation(context.correlation.as_bytes()));
    }

    #[test]
    fn only_harmless_correlation_ids_are_taken_over() {
        check("run-7.journey_12", true);
        check("", false);
        check("two words", false);
        check("\"quoted\"", false);
        check(&"x".repeat(64), true);
        check(&"x".repeat(65), false);
    }

    #[test]
    fn the_trace_is_gone_on_with_in_a_span_of_its_own() {
        let sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_PARENT, HeaderValue::from_static(sent));
        let mut onward = HeaderMap::new();
        Context::from_headers(&headers).write_to(&mut onward);
        let passed_on = onward.get(TRACE_PARENT).unwrap().to_str().unwrap();
        assert_eq!(passed_on[..36], sent[..36]);
        assert_ne!(passed_on[36..52], sent[36..52]);
        assert_eq!(
            passed_on[52..],
            sent[52..],
            "not sampled, as the caller had it"
        );
        assert!(onward.contains_key(CORRELATION));
    }
}
