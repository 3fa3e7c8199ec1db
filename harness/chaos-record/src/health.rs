//! How the load generator and its machine were, second by second, as the generator saw itself.
//!
//! Invariant: what could not be observed is absent, never 0; every length is nanoseconds.

use serde::{Deserialize, Serialize};

use crate::histogram::Sparse;

/// Longest gaps of a worker's loop that are counted apart.
pub const STALLS_NS: [u64; 2] = [10_000_000, 25_000_000];

/// One look, about a second after the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The stretch it covers, from the start of the load.
    pub from: u64,
    pub until: u64,
    pub workers: Vec<WorkerHealth>,
    /// How late a thread woke that does nothing but sleep, weighted by time: what anybody who wanted
    /// a core at an instant of this stretch had to wait for it.
    pub hiccups: Sparse,
    /// CPU time of the thread that looks.
    pub meter_cpu_ns: u64,
    /// Time in which some task of the machine wanted a core and had none (`/proc/pressure/cpu`, some).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure_ns: Option<u64>,
    /// How the CPU quota of our control groups held us up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Throttled>,
    /// Open descriptors of the process, and how many it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<Used>,
    /// TCP sockets open or in `TIME_WAIT` on the machine, and the ports there are for outgoing ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Used>,
}

/// One worker in that stretch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHealth {
    pub worker: usize,
    /// CPU time of its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// Time in which its thread could have run and had no core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_ns: Option<u64>,
    /// Longest time by which its loop came round too late.
    pub stall_max_ns: u64,
    /// How often that was longer than each of [`STALLS_NS`].
    pub stalls: [u64; 2],
    /// Time of the stalls that were longer than the plan's lag budget.
    pub stalled_ns: u64,
}

/// Held up by a CPU quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttled {
    /// Periods of the quota in which it was used up.
    pub periods: u64,
    pub ns: u64,
}

/// How much of something there is a limit to is in use.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Used {
    pub used: u64,
    pub limit: u64,
}
