//! The W3C trace context of each request: `traceparent` (Trace Context, W3C Recommendation, section 3.2).
//!
//! All requests of a journey belong to one trace, each as a span of its own, and are sampled. Ids come
//! from the plan's seed and, so that a second run with the same seed makes other traces, from the
//! instant the load starts; they change nothing of what is asked of the target.
//!
//! Invariant: a header costs no allocation of its own, no two journeys of a load have one trace, and
//! no id is zero.

use bytes::{BufMut as _, BytesMut};
use chaos_plan::chance;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use rand::RngExt;

/// The header.
const NAME: HeaderName = HeaderName::from_static("traceparent");
/// Length of its value: version, trace id, span id and flags in hexadecimal digits, and dashes.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;
/// Values are cut from one piece of memory of this size, which is used again once all are gone.
const ROOM: usize = 16 * 1024;

/// Makes the headers of one worker.
#[derive(Debug)]
pub(crate) struct Traces {
    /// What the two halves of trace ids, and span ids, are made from.
    keys: [u64; 3],
    room: BytesMut,
}

impl Traces {
    pub(crate) fn new(seed: u64, start_ns: u64) -> Self {
        let mut chance = chance::stream(seed, "traces");
        Self {
            keys: [(); 3].map(|()| chance.random::<u64>() ^ mix(start_ns)),
            room: BytesMut::with_capacity(ROOM),
        }
    }

    /// Marks the request of a step of the arrival `index`, unless it bears a trace context already.
    pub(crate) fn mark(&mut self, headers: &mut HeaderMap, index: u64, step: usize) {
        if !headers.contains_key(NAME) {
            let value = self.value(index, step as u64);
            headers.insert(NAME, value);
        }
    }

    fn value(&mut self, index: u64, step: u64) -> HeaderValue {
        let [high, low, span] = self.keys;
        if self.room.capacity() < LENGTH {
            self.room.reserve(ROOM);
        }
        self.room.put_slice(b"00-");
        // The low half differs for each index, since mixing is one to one.
        put_hex(&mut self.room, mix(high ^ index.rotate_left(32)));
        put_hex(&mut self.room, mix(low ^ index));
        self.room.put_slice(b"-");
        put_hex(&mut self.room, mix(mix(span ^ index).wrapping_add(step)));
        self.room.put_slice(b"-01");
        HeaderValue::from_maybe_shared(self.room.split().freeze())
            .expect("digits and dashes are a header value")
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
/// OOPSLA 2014): one to one, and each bit of the result depends on all bits given.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Sixteen digits, of which not all are 0: an id of zeros would not be one.
fn put_hex(room: &mut BytesMut, number: u64) {
    let number = number.max(1);
    for at in (0..16).rev() {
        let digit = number >> (4 * at) & 0xf;
        room.put_u8(b"0123456789abcdef"[digit as usize]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn value(traces: &mut Traces, index: u64, step: usize) -> String {
        let mut headers = HeaderMap::new();
        traces.mark(&mut headers, index, step);
        headers[NAME].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn a_value_has_the_form_of_version_00() {
        let value = value(&mut Traces::new(1, 2), 3, 0);
        let parts: Vec<&str> = value.split('-').collect();
        assert_eq!(
            parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
            [2, 32, 16, 2]
        );
        assert_eq!((parts[0], parts[3]), ("00", "01"));
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        assert!(
            parts.iter().all(|part| part.bytes().all(is_lower_hex)),
            "{value}"
        );
    }

    #[test]
    fn a_journey_is_one_trace_and_each_step_a_span() {
        let mut traces = Traces::new(1, 2);
        let [first, second] = [0, 1].map(|step| value(&mut traces, 7, step));
        assert_eq!(first[..35], second[..35]);
        assert_ne!(first, second);
    }

    #[test]
    fn no_two_journeys_share_a_trace_and_no_two_requests_a_span() {
        let mut traces = Traces::new(1, 2);
        let all: Vec<String> = (0..10_000)
            .map(|index| value(&mut traces, index, 0))
            .collect();
        let ids: BTreeSet<&str> = all.iter().map(|value| &value[3..35]).collect();
        let spans: BTreeSet<&str> = all.iter().map(|value| &value[36..52]).collect();
        assert_eq!((ids.len(), spans.len()), (10_000, 10_000));
    }

    #[test]
    fn the_same_seed_and_start_make_the_same_traces_and_another_start_others() {
        let of = |seed, start_ns| value(&mut Traces::new(seed, start_ns), 7, 0);
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
    }

    #[test]
    fn a_step_with_a_context_of_its_own_keeps_it() {
        let mut headers = HeaderMap::new();
        headers.insert(NAME, HeaderValue::from_static("mine"));
        Traces::new(1, 2).mark(&mut headers, 3, 0);
        assert_eq!(headers[NAME], "mine");
    }
}
