//! The planted bug `lose_refund`: the bank is asked for a refund after the refund was promised.
//!
//! Invariant: refunds are asked for in the order of their promises; the end of the process loses those that
//! wait, and one that fails is not asked for again. Without the bug nothing of this file runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Payments;
use super::bank::MoneyBack;
use crate::bug::Bug;
use crate::bug::later::{self, Later, Promised};
use crate::http::context::Context;

/// How long after its promise the bank is asked.
const DELAY: Duration = Duration::from_millis(500);

/// A refund that somebody was promised: its key and its charge.
#[derive(Debug)]
struct Refund(String, String);

/// Takes refunds.
#[derive(Debug)]
pub(super) struct Forgetful(Later<Refund>);

/// Asks the bank for them.
#[derive(Debug)]
pub(super) struct Asking(Promised<Refund>);

/// The two ends, with the bug.
pub(super) fn queue(bug: Option<Bug>) -> (Option<Forgetful>, Option<Asking>) {
    (bug == Some(Bug::LoseRefund))
        .then(|| {
            let (later, promised) = later::queue(DELAY);
            (Forgetful(later), Asking(promised))
        })
        .unzip()
}

impl Forgetful {
    /// Promises a refund, as if the bank had made it.
    pub(super) async fn promise(&self, key: &str, charge: &str, amount: i64) -> MoneyBack {
        let refund = Refund(key.to_owned(), charge.to_owned());
        self.0.promise(refund).await;
        MoneyBack {
            id: format!("promised-{}", uuid::Uuid::now_v7().simple()),
            charge: charge.to_owned(),
            amount,
        }
    }
}

impl Asking {
    /// Asks until `stop` turns true, and then forgets what is left.
    pub(super) async fn run(mut self, payments: Arc<Payments>, mut stop: watch::Receiver<bool>) {
        while let Some(Refund(key, charge)) = self.0.next(&mut stop).await {
            if *stop.borrow() {
                return;
            }
            let context = Context::background("refund");
            if let Err(error) = payments.bank.refund(&key, &charge, &context).await {
                tracing::warn!(key, ?error, "failed to ask for a refund that was promised");
            }
        }
    }
}
