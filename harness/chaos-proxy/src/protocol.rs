//! What is said to the proxy process on its standard input and answered on its standard output:
//! one JSON value a line.
//!
//! Invariant: every request is answered once, under its id, after it has taken effect.

use serde::{Deserialize, Serialize};

/// A numbered command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Opens a listener on a free loopback port for one caller instance towards one callee service.
    Listen { caller: String, callee: String },
    /// Closes the listeners of a caller that is gone, and its connections.
    Forget { caller: String },
    /// Sets the instances of `service` that new connections may go to.
    Route {
        service: String,
        instances: Vec<Route>,
    },
    /// Takes one instance out at once.
    Eject { service: String, instance: String },
    /// Counters of every edge.
    Stats,
}

/// A callee instance and where it listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    pub instance: String,
    /// `host:port`.
    pub address: String,
}

/// The answer to the request with the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    pub id: u64,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The listener's `host:port`.
    Listening {
        address: String,
    },
    Done,
    Stats {
        edges: Vec<EdgeStats>,
    },
    Failed {
        why: String,
    },
}

/// Counters of one edge since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeStats {
    pub caller: String,
    pub callee: String,
    pub accepted: u64,
    pub open: u64,
    /// Connects that failed on one instance and went to the next.
    pub retried: u64,
    /// Connections closed because no instance could be reached.
    pub refused: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}
