//! One operation between its two lines in the operation log.
//!
//! Invariant: its first line is written when it is made, so whoever holds one may send; an
//! operation whose task ends before it has no second line and is unknown.

use chaos_record::operation::OperationOutcome;
use chaos_record::outcome::Outcome;
use http::StatusCode;

use super::Shared;
use crate::client::Stamps;
use crate::clock::now_ns;
use crate::journey::Receipt;
use crate::operations::{self, Begun, Ended, OperationLog};

/// An operation that stands in the log.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    log: &'a OperationLog,
    start_ns: u64,
    key: String,
    at: u64,
}

impl<'a> Operation<'a> {
    /// Writes it into the log; `None` if none is kept.
    pub(super) fn begin(
        shared: &'a Shared,
        key: String,
        (journey, step): (usize, usize),
        now_ns: u64,
    ) -> Option<Self> {
        let log = shared.operations.as_deref()?;
        let start_ns = shared.start_ns;
        let at = now_ns.saturating_sub(start_ns);
        log.begin(Begun {
            key: key.clone(),
            journey,
            step,
            at,
        });
        Some(Self {
            log,
            start_ns,
            key,
            at,
        })
    }

    /// Writes what became of it. Only an acknowledged operation has a receipt.
    pub(super) fn end(
        self,
        outcome: Outcome,
        status: Option<StatusCode>,
        stamps: &Stamps,
        receipt: Option<Receipt>,
    ) {
        let outcome = operations::judge(outcome, status, stamps.written_ns.is_some());
        let receipt = receipt.filter(|_| outcome == OperationOutcome::Ok);
        let (order, amount) = match receipt {
            Some(Receipt { order, amount }) => (Some(order), amount),
            None => (None, None),
        };
        let ended_ns = stamps.last_byte_ns.unwrap_or_else(now_ns);
        self.log.end(Ended {
            key: self.key,
            at: self.at,
            outcome,
            order,
            amount,
            ended: ended_ns.saturating_sub(self.start_ns),
        });
    }
}
