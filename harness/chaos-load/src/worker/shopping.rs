//! One journey from its first step to its last, as a task of its worker.
//!
//! Invariant: every step of the journey and the journey itself are recorded exactly once, however
//! it ends; a step is due when the one before has ended and its think time is over, never earlier.

use std::rc::Rc;

use chaos_record::outcome::{FailKind, Outcome};

use super::Shared;
use crate::client::{Broken, Call, Stamps};
use crate::clock::now_ns;
use crate::journey::Shopper;
use crate::pace::Due;
use crate::recorder::{End, Unbegun};

/// Goes through the journey that is due.
pub(super) async fn go(shared: Rc<Shared>, due: Due) {
    let dispatched_ns = now_ns();
    let mut shopping = Shopping {
        shopper: Shopper::new(
            &shared.prepared.journeys[due.journey],
            shared.seed,
            due.index,
        ),
        shared: &shared,
        due,
        thought_ns: 0,
    };
    let (outcome, ended_ns) = shopping.all_steps().await;
    let end = End {
        outcome,
        intended_ns: due.intended_ns,
        dispatched_ns: Some(dispatched_ns),
        ended_ns,
    };
    let mut recorder = shared.recorder.borrow_mut();
    recorder.journey(due.journey, &end, shopping.thought_ns);
    let cell = recorder.cell_of(due.intended_ns);
    shared.in_flight.borrow_mut().end(cell);
}

struct Shopping<'a> {
    shared: &'a Shared,
    due: Due,
    shopper: Shopper<'a>,
    /// Planned think time so far.
    thought_ns: u64,
}

impl Shopping<'_> {
    /// How the journey ended, and when.
    async fn all_steps(&mut self) -> (Outcome, u64) {
        let steps = &self.shared.prepared.journeys[self.due.journey].steps;
        let mut intended_ns = self.due.intended_ns;
        let mut ended_ns = intended_ns;
        for (number, step) in steps.iter().enumerate() {
            if self.shared.thinking.is_closed() {
                self.give_up(number, intended_ns, Outcome::Cancelled);
                return (Outcome::Cancelled, now_ns());
            }
            let outcome;
            (outcome, ended_ns) = self.step(number, intended_ns).await;
            if outcome != Outcome::Ok {
                let rest = if outcome == Outcome::Cancelled {
                    Outcome::Cancelled
                } else {
                    Outcome::NotReached
                };
                self.give_up(number + 1, intended_ns, rest);
                return (outcome, ended_ns);
            }
            intended_ns = ended_ns;
            if number + 1 < steps.len() && step.think_ns > 0 {
                intended_ns = intended_ns.saturating_add(step.think_ns);
                self.thought_ns += step.think_ns;
                self.shared.thinking.at(intended_ns).await;
            }
        }
        (Outcome::Ok, ended_ns)
    }

    fn give_up(&self, from_step: usize, intended_ns: u64, outcome: Outcome) {
        self.shared.recorder.borrow_mut().unbegun(&Unbegun {
            journey: self.due.journey,
            from_step,
            intended_ns,
            outcome,
        });
    }

    /// Sends one step, judges its answer and records both.
    async fn step(&mut self, number: usize, intended_ns: u64) -> (Outcome, u64) {
        let dispatched_ns = now_ns();
        let (stamps, result) = self.send(number, intended_ns).await;
        let outcome = match result {
            Ok(()) => Outcome::Ok,
            Err(Broken::Failed(kind)) => Outcome::Failed(kind),
            Err(Broken::Shed) => Outcome::Shed,
            Err(Broken::Cancelled) => Outcome::Cancelled,
        };
        let ended_ns = stamps.last_byte_ns.unwrap_or_else(now_ns);
        let end = End {
            outcome,
            intended_ns,
            dispatched_ns: Some(dispatched_ns),
            ended_ns,
        };
        self.shared
            .recorder
            .borrow_mut()
            .request(self.due.journey, number, &end, &stamps);
        (outcome, ended_ns)
    }

    async fn send(&mut self, number: usize, intended_ns: u64) -> (Stamps, Result<(), Broken>) {
        let failed = |kind: FailKind| Err(Broken::Failed(kind));
        let request = match self.shopper.request(number) {
            Ok(request) => Box::new(request),
            Err(kind) => return (Stamps::default(), failed(kind)),
        };
        let call = Call {
            request,
            reads_body: self.shared.prepared.journeys[self.due.journey].steps[number].reads_body,
            patience_ns: intended_ns.saturating_add(self.shared.patience_ns),
        };
        let (stamps, answer) = self.shared.client.exchange(call).await;
        let result = answer.and_then(|answer| self.shopper.hear(number, &answer).or_else(failed));
        (stamps, result)
    }
}
