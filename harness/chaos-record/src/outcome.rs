//! How a request or a journey ended, and the counters of it.
//!
//! Invariant (conservation): what was planned is `ok`, or failed by one kind, or `not_reached`,
//! or `shed`, or `cancelled`: exactly one of them, exactly once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words;

/// Why a request that was begun did not end as expected.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailKind {
    /// Nobody listens there.
    ConnectRefused,
    /// No connection within the timeout.
    ConnectTimeout,
    /// Any other failure to connect.
    ConnectOther,
    /// No TLS session: a certificate that is not believed, or a peer that does not speak it.
    Tls,
    /// The server sent the request back without having looked at it (HTTP/2).
    Refused,
    /// The connection ended before the answer was complete.
    Reset,
    /// No complete answer within the timeout.
    Timeout,
    /// What came back is not HTTP as we know it.
    Protocol,
    /// The answer's head or body is larger than we read.
    TooLarge,
    /// An answer with a status the step does not expect.
    Status,
    /// An answer that fails a check.
    Check,
    /// An answer that lacks a value to extract.
    Extract,
    /// Our own lack of ports or descriptors: the generator's fault, not the target's.
    Exhausted,
}

impl FailKind {
    /// Every kind, in the order of [`Counts::failed`].
    pub const ALL: [Self; 13] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectOther,
        Self::Tls,
        Self::Refused,
        Self::Reset,
        Self::Timeout,
        Self::Protocol,
        Self::TooLarge,
        Self::Status,
        Self::Check,
        Self::Extract,
        Self::Exhausted,
    ];

    /// Words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connection refused",
            Self::ConnectTimeout => "connect timed out",
            Self::ConnectOther => "could not connect",
            Self::Tls => "no TLS session",
            Self::Refused => "sent back unread",
            Self::Reset => "connection broke",
            Self::Timeout => "no answer in time",
            Self::Protocol => "not valid HTTP",
            Self::TooLarge => "answer too large",
            Self::Status => "unexpected status",
            Self::Check => "failed check",
            Self::Extract => "value missing in the answer",
            Self::Exhausted => "generator out of ports or descriptors",
        }
    }
}

/// How one planned request or journey ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Failed(FailKind),
    /// A step that was never sent because an earlier one of its journey failed.
    NotReached,
    /// Given up unsent or unanswered because patience, counted from the intended instant, was over, or
    /// because more waited for the target than a worker lets wait.
    Shed,
    /// Cut off by the end of the run.
    Cancelled,
}

/// Counters of one series in one cell; adding them is associative and commutative.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    #[serde(skip_serializing_if = "is_zero")]
    pub ok: u64,
    /// By kind, in the order of [`FailKind::ALL`].
    #[serde(skip_serializing_if = "all_zero", with = "sparse")]
    #[schemars(with = "std::collections::BTreeMap<FailKind, u64>")]
    pub failed: Failures,
    #[serde(skip_serializing_if = "is_zero")]
    pub not_reached: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub shed: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub cancelled: u64,
    /// Of `ok`: slower than each of the plan's limits, in their order. May be shorter than the limits: the rest is 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<u64>,
    /// Requests of which the first byte was written: what the server may have seen.
    #[serde(skip_serializing_if = "is_zero")]
    pub written: u64,
    /// Dispatched later than the lag budget after the intended instant: the generator's own delay.
    #[serde(skip_serializing_if = "is_zero")]
    pub late: u64,
    /// Dispatched only after the end of the stage the intended instant belongs to.
    #[serde(skip_serializing_if = "is_zero")]
    pub overdue: u64,
    /// Of `ok`: ended only after the end of the stage the intended instant belongs to. Counted where the
    /// stages are of users without a cycle and end with their time.
    #[serde(skip_serializing_if = "is_zero")]
    pub outlasting: u64,
    /// Begun before a fault took effect and ended after it: caught in flight (ended as expected, bad).
    #[serde(skip_serializing_if = "is_none_caught")]
    pub caught: [u64; 2],
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde calls"
)]
pub(crate) fn is_zero(n: &u64) -> bool {
    *n == 0
}

pub(crate) fn all_zero(counts: &Failures) -> bool {
    counts.iter().all(|n| *n == 0)
}

fn is_none_caught(caught: &[u64; 2]) -> bool {
    *caught == [0, 0]
}

/// Of each kind how many, in the order of [`FailKind::ALL`].
pub type Failures = [u64; FailKind::ALL.len()];

impl Counts {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ok => self.ok += 1,
            Outcome::Failed(kind) => self.failed[kind as usize] += 1,
            Outcome::NotReached => self.not_reached += 1,
            Outcome::Shed => self.shed += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }

    /// Failures alone.
    pub fn of_failures(failed: Failures) -> Self {
        Self {
            failed,
            ..Self::default()
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        for (mine, theirs) in self.failed.iter_mut().zip(other.failed) {
            *mine += theirs;
        }
        self.not_reached += other.not_reached;
        self.shed += other.shed;
        self.cancelled += other.cancelled;
        if self.over.len() < other.over.len() {
            self.over.resize(other.over.len(), 0);
        }
        for (mine, theirs) in self.over.iter_mut().zip(&other.over) {
            *mine += theirs;
        }
        self.written += other.written;
        self.late += other.late;
        self.overdue += other.overdue;
        self.outlasting += other.outlasting;
        self.caught[0] += other.caught[0];
        self.caught[1] += other.caught[1];
    }

    /// Sum over the kinds of failure.
    pub fn failed_total(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Everything planned that is accounted for here.
    pub fn total(&self) -> u64 {
        self.ok + self.bad() + self.cancelled
    }

    /// What counts against a claim on errors: failed, not reached, shed. Cut off by the end of the run is not judged.
    pub fn bad(&self) -> u64 {
        self.failed_total() + self.not_reached + self.shed
    }

    /// What claims are judged on: all but what the end of the run cut off.
    pub fn judged(&self) -> u64 {
        self.ok + self.bad()
    }

    /// What was bad, of which kind and how often, most frequent first.
    pub fn kinds(&self) -> Vec<(&'static str, u64)> {
        let failed = FailKind::ALL
            .into_iter()
            .map(FailKind::words)
            .zip(self.failed);
        let others = [("never reached", self.not_reached), ("given up", self.shed)];
        let mut all: Vec<_> = failed.chain(others).filter(|(_, n)| *n > 0).collect();
        all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        all
    }

    /// The same as a list: `connection broke 12, given up 3`.
    pub fn kinds_in_words(&self) -> String {
        let kinds = self.kinds().into_iter();
        let kinds = kinds.map(|(kind, n)| format!("{kind} {}", words::count(n)));
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// Bad, or as expected but slower than the limit with number `limit`.
    pub fn bad_or_over(&self, limit: usize) -> u64 {
        self.bad() + self.over.get(limit).copied().unwrap_or(0)
    }
}

/// Failure counts as `{"timeout": 3}`: only what is not zero.
pub(crate) mod sparse {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{FailKind, Failures};

    pub(crate) fn serialize<S: Serializer>(
        counts: &Failures,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named: BTreeMap<FailKind, u64> = FailKind::ALL
            .into_iter()
            .zip(*counts)
            .filter(|(_, n)| *n > 0)
            .collect();
        named.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Failures, D::Error> {
        let mut counts = [0; FailKind::ALL.len()];
        for (kind, n) in BTreeMap::<FailKind, u64>::deserialize(deserializer)? {
            counts[kind as usize] = n;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_json_and_leave_zeros_out() {
        let mut counts = Counts {
            over: vec![1, 0],
            written: 3,
            ..Counts::default()
        };
        counts.add(Outcome::Ok);
        counts.add(Outcome::Failed(FailKind::Timeout));
        let text = serde_json::to_string(&counts).expect("counts are plain data");
        assert_eq!(
            text,
            r#"{"ok":1,"failed":{"timeout":1},"over":[1,0],"written":3}"#
        );
        assert_eq!(
            serde_json::from_str::<Counts>(&text).expect("what was written"),
            counts
        );
    }

    #[test]
    fn every_outcome_is_counted_once() {
        let mut counts = Counts::default();
        let all = [
            Outcome::Ok,
            Outcome::NotReached,
            Outcome::Shed,
            Outcome::Cancelled,
        ];
        for outcome in all.into_iter().chain(FailKind::ALL.map(Outcome::Failed)) {
            counts.add(outcome);
        }
        assert_eq!(counts.total(), 17);
        assert_eq!(counts.bad(), 15);
    }
}
