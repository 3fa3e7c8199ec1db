//! Claims: what the run is judged by.
//!
//! Invariant: every claim could fail, and says on which part of the load it is judged.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::Holding;
use crate::units::{self, Rate, Share};

/// One claim of the hypothesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub name: String,
    pub expect: Expect,
    /// Line of the scenario that holds it, from 1.
    pub line: usize,
}

/// What a claim is judged on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Indices of the stages, ascending; never empty.
    pub stages: Vec<usize>,
    pub part: Part,
}

/// Which requests of the stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All together, and each journey by itself.
    All,
    /// Those of one journey, by its index.
    Journey(usize),
    /// One step of a journey.
    Endpoint { journey: usize, step: usize },
}

impl Part {
    /// Whether it holds the requests of a step.
    pub fn holds(self, journey: usize, step: usize) -> bool {
        match self {
            Self::All => true,
            Self::Journey(own) => own == journey,
            Self::Endpoint {
                journey: own,
                step: own_step,
            } => (own, own_step) == (journey, step),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// At most `1 - quantile` of the requests are bad or slower than the limit, for each limit.
    Latency {
        limits: Vec<LatencyLimit>,
        scope: Scope,
    },
    /// At most this share of the requests is bad.
    Errors { max: Share, scope: Scope },
    /// At least this share of the one-second windows is good: `good` of its requests answered as expected.
    Availability {
        min: Share,
        good: Share,
        scope: Scope,
    },
    /// After each fault, back in band within this time, and in band for `steady_for`.
    Recovery {
        #[serde(with = "units::duration_text")]
        within: Duration,
        #[serde(with = "units::duration_text")]
        steady_for: Duration,
    },
    /// No acknowledged operation is lost, doubled or invented: these rules, in the order of [`Rule::ALL`].
    Integrity { rules: Vec<Rule> },
    /// Every instance, over the judged stages: mean CPU share and highest memory share of its limit,
    /// or of the machine where it has none. At least one of the two is there.
    Resources {
        cpu: Option<Share>,
        memory: Option<Share>,
        /// Services whose instances are judged; never empty.
        services: Vec<String>,
        stages: Vec<usize>,
    },
    /// Completed journeys a second; at least one of `min` and `at_least` is there.
    Goodput {
        /// One journey by its index, or all together.
        journey: Option<usize>,
        /// Share of the reference before each fault.
        min: Option<Share>,
        /// Over the stages.
        at_least: Option<Rate>,
        stages: Vec<usize>,
    },
    /// Highest slope over the stages, per hour, robust (Theil-Sen): of each instance, and for `p95`
    /// of all requests. At least one is there.
    Drift {
        /// Bytes an hour.
        memory: Option<u64>,
        /// Open descriptors an hour.
        descriptors: Option<f64>,
        /// Open connections an hour.
        connections: Option<f64>,
        /// Growth of the p95 in an hour.
        #[serde(with = "units::optional_duration_text")]
        p95: Option<Duration>,
        stages: Vec<usize>,
    },
    /// From the start of the first of the stages, within this time, so many instances of the service are
    /// ready: `to`, or one more than there were then.
    ScaleOut {
        service: String,
        to: Option<u32>,
        #[serde(with = "units::duration_text")]
        within: Duration,
        stages: Vec<usize>,
    },
    /// A search finds a rate that holds: at least this one, or any from its lowest on.
    Capacity { min: Option<Rate> },
}

impl Expect {
    /// The word the scenario uses.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Errors { .. } => "errors",
            Self::Availability { .. } => "availability",
            Self::Recovery { .. } => "recovery",
            Self::Integrity { .. } => "integrity",
            Self::Resources { .. } => "resources",
            Self::Goodput { .. } => "goodput",
            Self::Drift { .. } => "drift",
            Self::ScaleOut { .. } => "scale_out",
            Self::Capacity { .. } => "capacity",
        }
    }

    /// Indices of the stages the claim is judged on; empty for recovery, which goes by faults, and
    /// for integrity, which goes by operations, and for capacity, which goes by the probes of a search.
    pub fn stages(&self) -> &[usize] {
        match self {
            Self::Latency { scope, .. }
            | Self::Errors { scope, .. }
            | Self::Availability { scope, .. } => &scope.stages,
            Self::Resources { stages, .. }
            | Self::Goodput { stages, .. }
            | Self::Drift { stages, .. }
            | Self::ScaleOut { stages, .. } => stages,
            Self::Recovery { .. } | Self::Integrity { .. } | Self::Capacity { .. } => &[],
        }
    }

    /// Which requests the claim is judged on; all of them for claims that are not scoped by part.
    pub fn part(&self) -> Part {
        match self {
            Self::Latency { scope, .. }
            | Self::Errors { scope, .. }
            | Self::Availability { scope, .. } => scope.part,
            Self::Goodput {
                journey: Some(journey),
                ..
            } => Part::Journey(*journey),
            Self::Recovery { .. }
            | Self::Integrity { .. }
            | Self::Resources { .. }
            | Self::Goodput { .. }
            | Self::Drift { .. }
            | Self::ScaleOut { .. }
            | Self::Capacity { .. } => Part::All,
        }
    }

    /// The limits of a latency claim; none for the others.
    pub fn latency_limits(&self) -> &[LatencyLimit] {
        match self {
            Self::Latency { limits, .. } => limits,
            _ => &[],
        }
    }
}

/// What must be true of what the target holds, once everything is undone and quiet.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// What was acknowledged is in the store, sold, with the same id and amount.
    AcknowledgedIsStored,
    /// The store holds nothing that no shopper asked for.
    StoredIsKnown,
    /// What was refused is not sold.
    RefusedIsNotStored,
    /// One order for a key and one net charge for an order.
    OneOrderOneCharge,
    /// Pieces before = pieces after + pieces sold, and never fewer than none.
    StockConserved,
    /// Money taken = amounts of what was sold.
    MoneyConserved,
    /// States go only along the allowed ways, and a history never changes afterwards.
    StatesForward,
    /// The event of each sold order has arrived.
    EventsDelivered,
    /// Of each order that was sold somebody was told, once and in time; of no other.
    NotifiedOnce,
}

impl Rule {
    /// Every rule, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::AcknowledgedIsStored,
        Self::StoredIsKnown,
        Self::RefusedIsNotStored,
        Self::OneOrderOneCharge,
        Self::StockConserved,
        Self::MoneyConserved,
        Self::StatesForward,
        Self::EventsDelivered,
        Self::NotifiedOnce,
    ];

    /// The word the scenario uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcknowledgedIsStored => "acknowledged_is_stored",
            Self::StoredIsKnown => "stored_is_known",
            Self::RefusedIsNotStored => "refused_is_not_stored",
            Self::OneOrderOneCharge => "one_order_one_charge",
            Self::StockConserved => "stock_conserved",
            Self::MoneyConserved => "money_conserved",
            Self::StatesForward => "states_forward",
            Self::EventsDelivered => "events_delivered",
            Self::NotifiedOnce => "notified_once",
        }
    }

    /// Plain words for reports, without a full stop.
    pub fn words(self) -> &'static str {
        match self {
            Self::AcknowledgedIsStored => "every purchase the shop confirmed is still there",
            Self::StoredIsKnown => "the shop holds no purchase that nobody made",
            Self::RefusedIsNotStored => "nothing the shop refused was sold",
            Self::OneOrderOneCharge => "one order for each purchase, and one charge for each order",
            Self::StockConserved => "no piece of stock appeared or vanished",
            Self::MoneyConserved => "money taken equals what was sold",
            Self::StatesForward => "orders only ever moved forward",
            Self::EventsDelivered => "the event of every sold order arrived",
            Self::NotifiedOnce => "of every sold order the shopper was told, once and in time",
        }
    }

    /// What audit sources must tell of for the rule to be checked.
    pub fn needs(self) -> &'static [Holding] {
        match self {
            Self::AcknowledgedIsStored
            | Self::StoredIsKnown
            | Self::RefusedIsNotStored
            | Self::StatesForward => &[Holding::Orders],
            Self::OneOrderOneCharge | Self::MoneyConserved => &[Holding::Orders, Holding::Charges],
            Self::StockConserved => &[Holding::Orders, Holding::Stock],
            Self::EventsDelivered | Self::NotifiedOnce => &[Holding::Orders, Holding::Deliveries],
        }
    }
}

/// `p95 <= 200ms` is `quantile` 0.95 and `at_most` 200 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyLimit {
    /// As written: `p95`, `p99.9`.
    pub quantile: Quantile,
    #[serde(with = "units::duration_text")]
    pub at_most: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quantile {
    #[serde(rename = "p50")]
    P50,
    #[serde(rename = "p90")]
    P90,
    #[serde(rename = "p95")]
    P95,
    #[serde(rename = "p99")]
    P99,
    #[serde(rename = "p99.9")]
    P999,
}

impl Quantile {
    /// Every quantile a claim may name, ascending.
    pub const ALL: [Self; 5] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P999];

    /// The share of requests that may be over the limit, in thousandths: 50 for p95. Exact, unlike a float.
    pub fn over_per_mille(self) -> u64 {
        match self {
            Self::P50 => 500,
            Self::P90 => 100,
            Self::P95 => 50,
            Self::P99 => 10,
            Self::P999 => 1,
        }
    }

    /// The word the scenario uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }
}
