//! What a request carries from hop to hop: its correlation id and W3C trace context.
//!
//! Invariant: a correlation id is at most 64 of the characters `A-Z a-z 0-9 . _ -`, so it can stand in
//! any log or header.

use ::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of the correlation id, in requests and answers.
pub(crate) const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");
/// The header by which the gateway tells who the shopper is.
pub(crate) const SHOPPER: HeaderName = HeaderName::from_static("x-shopper-id");
/// The header by which the gateway tells that the shopper is an admin.
pub(crate) const SCOPE: HeaderName = HeaderName::from_static("x-shopper-scope");
/// The header that makes a request safe to repeat.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of the W3C trace context.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest correlation id that is taken over.
const CORRELATION_BYTES_MAX: usize = 64;

/// What this request passes on to the callees.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) correlation: HeaderValue,
    trace_parent: Option<HeaderValue>,
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
            trace_parent: headers.get(TRACE_PARENT).cloned(),
        }
    }

    /// The context of work that no request asked for, such as `outbox`.
    pub(crate) fn background(prefix: &str) -> Self {
        Self {
            correlation: fresh(prefix),
            trace_parent: None,
        }
    }

    /// The correlation id as text.
    pub(crate) fn correlation(&self) -> &str {
        self.correlation.to_str().unwrap_or_default()
    }

    /// Adds the headers that carry this context on.
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(CORRELATION, self.correlation.clone());
        if let Some(trace_parent) = &self.trace_parent {
            headers.insert(TRACE_PARENT, trace_parent.clone());
        }
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
    fn the_trace_context_is_passed_on_as_it_came() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_PARENT, HeaderValue::from_static("00-abc-def-01"));
        let mut onward = HeaderMap::new();
        Context::from_headers(&headers).write_to(&mut onward);
        assert_eq!(onward.get(TRACE_PARENT).unwrap(), "00-abc-def-01");
        assert!(onward.contains_key(CORRELATION));
    }
}
