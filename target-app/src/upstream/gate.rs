//! What stands before every call to one callee: its breaker, the limit of calls under way, and the
//! budget of repetitions.
//!
//! Invariant: every call that is let in is given back exactly once, whatever becomes of it; the lock is
//! held for a few instructions and never across a wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::{Breaker, Change, Fate, Ticket};
use super::budget::Budget;
use super::limits::IN_FLIGHT_MAX;
use super::metrics::CalleeMetrics;
use super::{Answer, UpstreamError};

/// The gate before one callee.
#[derive(Debug)]
pub(super) struct Gate {
    callee: &'static str,
    limit: Duration,
    begun: Instant,
    state: Mutex<GateState>,
    metrics: CalleeMetrics,
}

#[derive(Debug)]
struct GateState {
    breaker: Breaker,
    budget: Budget,
    in_flight: usize,
}

impl Gate {
    pub(super) fn new(callee: &'static str, limit: Duration, metrics: CalleeMetrics) -> Self {
        metrics.level(0);
        Self {
            callee,
            limit,
            begun: Instant::now(),
            state: Mutex::new(GateState {
                breaker: Breaker::new(),
                budget: Budget::new(),
                in_flight: 0,
            }),
            metrics,
        }
    }

    /// Lets a call in, or says at once why not.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Pass, UpstreamError> {
        let callee = self.callee;
        let now = self.begun.elapsed();
        let mut state = self.lock();
        if state.in_flight >= IN_FLIGHT_MAX {
            self.metrics.count("refused: too many under way");
            return Err(UpstreamError::Full { callee });
        }
        let ticket = state.breaker.admit(now).map_err(|wait| {
            self.metrics.count("refused: breaker open");
            UpstreamError::Open { callee, wait }
        })?;
        state.in_flight += 1;
        state.budget.call(now);
        self.metrics.level(state.breaker.level());
        self.metrics.in_flight(state.in_flight);
        Ok(Pass {
            gate: Arc::clone(self),
            ticket,
            begun: Instant::now(),
            fate: None,
        })
    }

    /// Whether a call would be refused now.
    pub(super) fn refuses(&self) -> Option<UpstreamError> {
        let wait = self.lock().breaker.wait(self.begun.elapsed())?;
        let callee = self.callee;
        Some(UpstreamError::Open { callee, wait })
    }

    /// Whether a call may be tried again; if so, it is counted.
    pub(super) fn may_retry(&self, reason: &'static str) -> bool {
        let allowed = self.lock().budget.take(self.begun.elapsed());
        if allowed {
            self.metrics.retry(reason);
        } else {
            self.metrics.count("not tried again: budget spent");
        }
        allowed
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, ticket: &Ticket, fate: Fate) {
        let now = self.begun.elapsed();
        let mut state = self.lock();
        state.in_flight -= 1;
        let change = state.breaker.learn(ticket, fate, now, rand::random());
        self.metrics.level(state.breaker.level());
        self.metrics.in_flight(state.in_flight);
        drop(state);
        let callee = self.callee;
        match change {
            Some(Change::Opened) => {
                self.metrics.opened();
                tracing::warn!(
                    callee,
                    "the breaker opened: calls fail at once until it answers again"
                );
            }
            Some(Change::OpenedAgain) => tracing::debug!(callee, "a probe failed"),
            Some(Change::Closed) => tracing::info!(callee, "the breaker closed: it answers again"),
            None => {}
        }
    }
}

/// A call that was let in; leaves when dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    ticket: Ticket,
    begun: Instant,
    fate: Option<Fate>,
}

impl Pass {
    /// Whether the call shows if the callee is back.
    pub(super) fn is_probe(&self) -> bool {
        self.ticket.probe
    }

    /// What callers hear who do not wait for this probe.
    pub(super) fn without_waiting(&self) -> UpstreamError {
        UpstreamError::Open {
            callee: self.gate.callee,
            wait: Duration::from_secs(1),
        }
    }

    /// Leaves with what came of the call.
    pub(super) fn end(mut self, came: &Result<Answer, UpstreamError>) {
        let (fate, outcome) = match came {
            Ok(_) => (Fate::Answered, "answered"),
            Err(error) => (Fate::Failed, error.outcome()),
        };
        self.fate = Some(fate);
        self.gate.metrics.count(outcome);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // Callers less patient than the limit must not hide that nothing answers.
        let fate = self.fate.unwrap_or_else(|| {
            self.gate.metrics.count("abandoned");
            if self.begun.elapsed() * 2 >= self.gate.limit {
                Fate::Failed
            } else {
                Fate::Abandoned
            }
        });
        self.gate.leave(&self.ticket, fate);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::super::metrics::UpstreamMetrics;
    use super::*;

    fn gate(limit: Duration) -> Arc<Gate> {
        let metrics = UpstreamMetrics::register(&mut Registry::default());
        Arc::new(Gate::new("payments", limit, metrics.of("payments")))
    }

    #[test]
    fn beyond_the_limit_calls_are_refused_at_once_and_each_end_makes_room() {
        let gate = gate(Duration::from_mins(1));
        let mut under_way: Vec<Pass> = (0..IN_FLIGHT_MAX).map(|_| gate.enter().unwrap()).collect();
        assert!(matches!(gate.enter(), Err(UpstreamError::Full { .. })));
        under_way.pop();
        let again = gate.enter().unwrap();
        assert!(gate.enter().is_err());
        drop((under_way, again));
        assert_eq!(gate.lock().in_flight, 0);
    }

    #[test]
    fn callers_who_give_up_late_open_the_breaker_and_those_who_give_up_early_do_not() {
        let patient = gate(Duration::from_mins(1));
        let hasty = gate(Duration::ZERO);
        for _ in 0..50 {
            drop(patient.enter());
            drop(hasty.enter());
        }
        assert!(patient.refuses().is_none());
        assert!(matches!(
            hasty.refuses(),
            Some(UpstreamError::Open { wait, .. }) if wait > Duration::ZERO
        ));
    }
}
