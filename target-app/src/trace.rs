//! The W3C trace context of what is being worked on (Trace Context, W3C Recommendation 2021, section 3.2).
//!
//! Every request, and every call made for it, is a span: a stretch of work with an id of its own and that
//! of the span it was asked by. A caller's trace is gone on with; without one, or with one that is no
//! trace, a new one begins.
//!
//! Invariant: what goes out is always a context of version 00 whose ids are not zero, whatever came in.

pub(crate) mod span;

#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
#[path = "trace/no_export.rs"]
mod export;

use std::fmt;

use ::http::{HeaderName, HeaderValue};

pub(crate) use export::{end, start};

/// The header that carries it.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// Length of a context of version 00: version, trace id, span id and flags, and the dashes between.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;
/// The flag that says that the caller may have recorded its part.
const SAMPLED: u128 = 1;

/// Where a piece of work stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    id: u128,
    span: u64,
    /// The span that asked for it; 0 if it began the trace.
    parent: u64,
    sampled: bool,
}

impl Trace {
    /// The beginning of a new trace.
    pub(crate) fn begin() -> Self {
        Self {
            id: random().max(1),
            span: random_span(),
            parent: 0,
            sampled: true,
        }
    }

    /// The part that was asked for by whoever sent this text, or a new trace if it is no trace context.
    pub(crate) fn asked_by(sent: Option<&[u8]>) -> Self {
        sent.and_then(Self::read)
            .map_or_else(Self::begin, |sent| sent.child())
    }

    /// A part of this work.
    pub(crate) fn child(&self) -> Self {
        Self {
            span: random_span(),
            parent: self.span,
            ..*self
        }
    }

    // The span is the sender's own. Versions after 00 may say more at the end (section 4.3).
    fn read(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let more_fits = more.is_empty() || (!known.starts_with(b"00") && more[0] == b'-');
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        if !more_fits || !dashes || hex(&known[..2])? == 0xff {
            return None;
        }
        let id = hex(&known[3..35])?;
        let span = u64::try_from(hex(&known[36..52])?).ok()?;
        let sampled = hex(&known[53..])? & SAMPLED != 0;
        (id != 0 && span != 0).then_some(Self {
            id,
            span,
            parent: 0,
            sampled,
        })
    }

    /// The trace's id as 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> impl fmt::Display + use<> {
        Hex(self.id, 32)
    }

    /// The id of this span as 16 hexadecimal digits.
    pub(crate) fn span_id(&self) -> impl fmt::Display + use<> {
        Hex(u128::from(self.span), 16)
    }

    /// The value of the header that hands this span on.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::try_from(self.to_string()).expect("digits and dashes are a header value")
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span, flags) = (self.trace_id(), self.span_id(), u8::from(self.sampled));
        write!(formatter, "00-{trace}-{span}-{flags:02x}")
    }
}

struct Hex(u128, usize);

impl fmt::Display for Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:0width$x}", self.0, width = self.1)
    }
}

// Digits in lower case only, as the recommendation has it.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

fn random() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

// The lower half of a random UUID has 62 random bits, and its two others are not both zero.
fn random_span() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn check(sent: &str, goes_on: bool) {
        let trace = Trace::asked_by(Some(sent.as_bytes()));
        let same = trace.trace_id().to_string() == SENT[3..35];
        assert_eq!(same, goes_on, "{sent}");
        assert_eq!(trace.parent == 0x00f0_67aa_0ba9_02b7, goes_on, "{sent}");
        assert_ne!(trace.span_id().to_string(), SENT[36..52]);
    }

    #[test]
    fn only_a_trace_context_is_gone_on_with() {
        check(SENT, true);
        check(&SENT.replace("00-4", "cc-4"), true);
        check(&format!("cc{}-what.will.be", &SENT[2..]), true);
        for wrong in [
            "",
            "00",
            &SENT[..54],
            &format!("{SENT}-more"),
            &format!("cc{}.more", &SENT[2..]),
            &format!("ff{}", &SENT[2..]),
            &SENT.to_uppercase(),
            &SENT.replace('-', "_"),
            &SENT.replace("00f067aa0ba902b7", "0000000000000000"),
            &format!("00-{:032}-00f067aa0ba902b7-01", 0),
            &SENT.replace("4bf9", "4bg9"),
        ] {
            check(wrong, false);
        }
    }

    #[test]
    fn whether_a_trace_is_sampled_is_the_callers_choice() {
        let sampled = |flags: &str| {
            let sent = format!("{}{flags}", &SENT[..53]);
            Trace::asked_by(Some(sent.as_bytes())).to_string()[53..].to_owned()
        };
        assert_eq!(sampled("01"), "01");
        assert_eq!(
            sampled("03"),
            "01",
            "flags that are not known are not passed on"
        );
        assert_eq!(sampled("00"), "00");
        assert_eq!(sampled("02"), "00");
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace() {
        let trace = Trace::begin();
        let child = trace.child();
        assert_eq!((child.id, child.parent), (trace.id, trace.span));
        assert!(child.span != trace.span && child.span != 0);
        assert_eq!(
            Trace::read(child.to_string().as_bytes()).unwrap().span,
            child.span
        );
    }
}
