//! Opens the connections a load wants to have, before it begins, and again whenever one is lost.
//!
//! At most [`OPENING_MAX`] are being opened at once; a failure is counted by its kind, and its keeper waits
//! before the next attempt. Requests wait meanwhile, and their wait is part of what is measured.
//! Invariant: never more connections than were asked for.

use std::pin::pin;
use std::rc::Rc;

use chaos_plan::chance;
use chaos_record::outcome::FailKind;

use super::backoff::Backoff;
use super::pool::Pool;
use crate::alarm::Alarms;
use crate::clock;

/// Most connects of one worker at once.
const OPENING_MAX: usize = 128;

/// What a keeper needs.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    pub(super) pool: Rc<Pool>,
    pub(super) alarms: Rc<Alarms>,
    /// Limit of one attempt.
    pub(super) timeout_ns: u64,
    /// For the spread of what is tried again.
    pub(super) seed: u64,
}

impl Keeper {
    /// Starts as many keepers as may be busy at once; they live as long as the runtime of the worker.
    pub(super) fn start(&self, connections: usize) {
        for number in 0..connections.min(OPENING_MAX) {
            tokio::task::spawn_local(self.clone().keep(number));
        }
    }

    async fn keep(self, number: usize) {
        let mut chance = chance::stream(self.seed, &format!("keeper {number}"));
        let mut backoff = Backoff::default();
        loop {
            while self.pool.is_short() {
                if self.opens_one().await {
                    backoff = Backoff::default();
                    continue;
                }
                if self.alarms.is_closed() {
                    return;
                }
                let wait_ns = backoff.after_failure(&mut chance);
                self.alarms
                    .at(clock::now_ns().saturating_add(wait_ns))
                    .await;
            }
            self.pool.lost().await;
        }
    }

    async fn opens_one(&self) -> bool {
        let limit_ns = clock::now_ns().saturating_add(self.timeout_ns);
        let opening = pin!(self.pool.open());
        let failed = match self.alarms.limit(limit_ns, opening).await {
            Some(Ok(())) => return true,
            Some(Err(kind)) => kind,
            None if self.alarms.is_closed() => return false,
            None => FailKind::ConnectTimeout,
        };
        self.pool.count_failure(failed);
        false
    }
}
