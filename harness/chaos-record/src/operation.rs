//! Operations: requests whose answer promises something, as the operation log holds them.
//!
//! Invariant: an operation stands in the log before its request is sent, so that a promise the
//! target made can never be missing from it; what became of it is never guessed.

use serde::{Deserialize, Serialize};

/// One operation, from its `begun` and, if there is one, its `ended` line in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Made by the shopper, told to the target, and found again in its orders.
    pub key: String,
    /// Index into `plan.load.journeys`.
    pub journey: usize,
    /// Index into the journey's steps.
    pub step: usize,
    /// When it was dispatched, nanoseconds since the start of the load.
    pub at: u64,
    /// When its answer was complete or given up, nanoseconds since the start of the load.
    pub ended: Option<u64>,
    pub outcome: OperationOutcome,
    /// The order's id as the answer told it.
    pub order: Option<String>,
    /// The order's amount as the answer told it, in the smallest unit of money.
    pub amount: Option<i64>,
}

/// What the shopper knows about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// Acknowledged: answered as expected, with everything the step extracts.
    Ok,
    /// Refused: before the first byte was written, shed, or by a 4xx other than 408, 409, 425 and 429.
    Fail,
    /// Anything else: it may have been done or not.
    Unknown,
}
