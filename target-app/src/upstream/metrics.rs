//! What is counted of calls, for each callee.
//!
//! Invariant: every call is counted once under its outcome, also one that was refused; repetitions are
//! counted apart. Labels come from this program alone, so their number is bounded.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    callee: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    callee: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CalleeLabels {
    callee: &'static str,
}

/// The metrics of all callees of a process.
#[derive(Debug, Clone)]
pub(super) struct UpstreamMetrics {
    calls: Family<OutcomeLabels, Counter>,
    retries: Family<RetryLabels, Counter>,
    opened: Family<CalleeLabels, Counter>,
    level: Family<CalleeLabels, Gauge>,
    in_flight: Family<CalleeLabels, Gauge>,
}

impl UpstreamMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            calls: Family::default(),
            retries: Family::default(),
            opened: Family::default(),
            level: Family::default(),
            in_flight: Family::default(),
        };
        let calls = metrics.calls.clone();
        registry.register("upstream_calls", "Calls by what became of them", calls);
        let retries = metrics.retries.clone();
        registry.register("upstream_retries", "Calls tried again", retries);
        let opened = metrics.opened.clone();
        registry.register("upstream_breaker_opened", "Times a breaker opened", opened);
        let level = "State of the breaker: 0 closed, 1 half-open, 2 open";
        registry.register("upstream_breaker_state", level, metrics.level.clone());
        let in_flight = metrics.in_flight.clone();
        registry.register("upstream_calls_in_flight", "Calls under way", in_flight);
        metrics
    }

    /// The metrics of one callee.
    pub(super) fn of(&self, callee: &'static str) -> CalleeMetrics {
        let labels = CalleeLabels { callee };
        CalleeMetrics {
            opened: self.opened.get_or_create(&labels).clone(),
            level: self.level.get_or_create(&labels).clone(),
            in_flight: self.in_flight.get_or_create(&labels).clone(),
            callee,
            all: self.clone(),
        }
    }
}

/// The metrics of one callee; what changes at every call is looked up once.
#[derive(Debug)]
pub(super) struct CalleeMetrics {
    callee: &'static str,
    opened: Counter,
    level: Gauge,
    in_flight: Gauge<i64, AtomicI64>,
    all: UpstreamMetrics,
}

impl CalleeMetrics {
    /// A call ended so, or was refused so.
    pub(super) fn count(&self, outcome: &'static str) {
        let callee = self.callee;
        let labels = OutcomeLabels { callee, outcome };
        self.all.calls.get_or_create(&labels).inc();
    }

    /// A call is tried again.
    pub(super) fn retry(&self, reason: &'static str) {
        let callee = self.callee;
        let labels = RetryLabels { callee, reason };
        self.all.retries.get_or_create(&labels).inc();
    }

    /// The breaker opened from being closed.
    pub(super) fn opened(&self) {
        self.opened.inc();
    }

    /// The state of the breaker.
    pub(super) fn level(&self, level: i64) {
        self.level.set(level);
    }

    /// Calls under way.
    pub(super) fn in_flight(&self, count: usize) {
        self.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
