//! What instances use of the machine, as the platform saw it now and then.
//!
//! Invariant: CPU time is a counter from the start of one incarnation; a new incarnation begins at 0.

use serde::{Deserialize, Serialize};

/// One look at every running instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Nanoseconds since the start of the run.
    pub at: u64,
    pub instances: Vec<InstanceUsage>,
}

/// What one instance uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUsage {
    pub service: String,
    pub instance: String,
    pub incarnation: u32,
    /// CPU time since its start.
    pub cpu_ns: u64,
    /// Resident bytes.
    pub memory: u64,
    /// Open file descriptors.
    pub descriptors: u32,
    /// Open connections.
    pub connections: u32,
}
