//! What a verdict says of the load generator itself.
//!
//! Invariant: what was not observed is `None`, never 0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::Used;

/// Most late requests of a judged stage, in percent of those sent.
pub const LATE_MAX_PERCENT: u32 = 1;
/// Least achieved of the offered journeys of a judged stage, in percent.
pub const ACHIEVED_MIN_PERCENT: u32 = 99;

/// Whether the generator can be believed. What is said of a machine or a worker covers the judged
/// stages, or the whole load if no claim names a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorHealth {
    pub healthy: bool,
    pub workers: usize,
    /// Lag above which a request counts as late, nanoseconds.
    pub lag_budget: u64,
    pub lag_p50: Option<u64>,
    pub lag_p99: Option<u64>,
    pub lag_p999: Option<u64>,
    pub lag_max: Option<u64>,
    /// CPU time of the workers over their wall time, 0 to 1 for each worker added up.
    pub cpu: f64,
    /// The same of one worker in one second: the busiest of all, 0 to 1.
    pub cpu_peak: Option<f64>,
    /// Share of the time in which a worker could have run and had no core; of the worker that waited most.
    pub waiting: Option<f64>,
    pub stalls: Option<Stalls>,
    pub hiccups: Option<Hiccups>,
    /// Share of the time in which some task of the machine had no core (Linux PSI, cpu some).
    pub pressure: Option<f64>,
    /// Periods in which a CPU quota of our control groups was used up.
    pub throttled: Option<u64>,
    /// Open descriptors of the process, most at once, of those it may have.
    pub descriptors: Option<Used>,
    /// TCP sockets of the machine, open or in `TIME_WAIT`, most at once, of the ports for outgoing ones.
    pub ports: Option<Used>,
    pub connections_max: u64,
    /// What this load is of what the machine was found able to do; only where that was measured.
    pub headroom: Option<Headroom>,
    /// CPU time of the thread that observes all this, of one core.
    pub meter_cpu: Option<f64>,
    /// What is wrong, by stage, in words.
    pub complaints: Vec<String>,
    /// What is not wrong yet, in words.
    pub warnings: Vec<String>,
}

/// How late the loops of the workers came round to what they waited for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stalls {
    /// The longest, nanoseconds.
    pub longest: u64,
    pub over_10ms: u64,
    pub over_25ms: u64,
    /// Share of the time in stalls longer than the lag budget, of the worker that had most of them.
    pub share: f64,
}

/// How late a thread woke that does nothing but sleep: the machine's share of every delay. Nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hiccups {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// The load beside what `chaos doctor --calibrate` measured on the same machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headroom {
    /// Most requests a second that were due, over one second.
    pub peak: f64,
    /// Most that these workers could send to a server that does nothing.
    pub limit: f64,
    /// When that was measured, RFC 3339.
    pub measured: String,
}
