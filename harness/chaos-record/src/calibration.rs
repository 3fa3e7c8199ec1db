//! What a machine's load generator can do, as `chaos doctor --calibrate` measured it.
//!
//! Invariant: figures say nothing about any other machine than the one they name.

use serde::{Deserialize, Serialize};

/// The limits of a machine, and when they were measured. Times are nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    pub machine: Machine,
    /// RFC 3339.
    pub measured: String,
    /// Version of the program that measured.
    pub chaos: String,
    /// Workers the figures for "all" were measured with.
    pub workers: usize,
    /// Requests a second as fast as it goes (closed model), one worker.
    pub closed_one: f64,
    /// The same with all workers.
    pub closed_all: f64,
    /// Highest rate tried, in requests a second, that all workers sent with a lag p99 within 10 ms.
    pub open_all: f64,
    /// Response to an idle null server: what the generator, the kernel and the loopback add.
    pub floor_p50: u64,
    pub floor_p99: u64,
    /// How late a thread wakes that does nothing but sleep.
    pub hiccup_p999: u64,
}

/// What makes figures comparable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
}

impl Calibration {
    /// Highest rate, in requests a second, that `workers` workers can be relied on to send.
    pub fn open_rate(&self, workers: usize) -> f64 {
        self.open_all.min(self.closed_one * workers as f64)
    }

    /// Requests a second of `workers` workers in the closed model.
    pub fn closed_rate(&self, workers: usize) -> f64 {
        self.closed_all.min(self.closed_one * workers as f64)
    }
}
