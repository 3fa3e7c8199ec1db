//! Runners, and one journey from its first step to its last.
//!
//! Invariant: every step of the journey and the journey itself are recorded exactly once, however
//! it ends; a step is due when the one before has ended and its think time is over, never earlier.

use std::future::poll_fn;
use std::rc::Rc;

use chaos_record::outcome::Outcome;
use tokio::task::consume_budget;

use super::Shared;
use super::line::Waiting;
use super::operation::Operation;
use crate::client::{Broken, Call, Stamps};
use crate::clock::now_ns;
use crate::journey::Shopper;
use crate::pace::Due;
use crate::recorder::{End, Unbegun};

/// Goes on the journeys of the line, one after the other, until it is closed.
pub(super) async fn run(shared: Rc<Shared>, number: usize) {
    while let Some(waiting) = poll_fn(|cx| shared.line.borrow_mut().poll_next(number, cx)).await {
        go(&shared, waiting).await;
        // Journeys that end at once must not keep everyone else waiting.
        consume_budget().await;
    }
}

/// Goes through a journey that is due, once the user whose journey it is, if any, is free for it.
async fn go(shared: &Shared, Waiting { due, dispatched_ns }: Waiting) {
    shared.begin(due);
    let mut turn = match due.user {
        Some(user) => Some(shared.turns.of(user).await),
        None => None,
    };
    let ready_ns = due.intended_ns.max(turn.as_deref().copied().unwrap_or(0));
    let now_ns = now_ns();
    let begin = Begin {
        ready_ns,
        dispatched_ns: dispatched_ns.unwrap_or(now_ns).max(ready_ns),
        now_ns,
    };
    let ended = shop(shared, due, begin).await;
    if let Some(freed_ns) = turn.as_deref_mut() {
        *freed_ns = ended.at_ns;
    }
}

/// Instants at which a step begins.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub(super) struct Begin {
    /// It could have begun.
    pub(super) ready_ns: u64,
    /// We were ready for it: what it waited for from then on was the target.
    pub(super) dispatched_ns: u64,
    /// It does.
    pub(super) now_ns: u64,
}

/// The end of a journey.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) at_ns: u64,
    /// Its last step was answered, as expected or not.
    pub(super) is_answered: bool,
}

/// Goes through a journey that stands among those in flight, and takes it out.
pub(super) async fn shop(shared: &Shared, due: Due, begin: Begin) -> Ended {
    let mut shopping = Shopping {
        shopper: Shopper::new(
            &shared.prepared.journeys[due.journey],
            shared.seed,
            due.index,
        ),
        shared,
        due,
        thought_ns: 0,
        is_answered: false,
    };
    let (outcome, ended_ns) = shopping.all_steps(begin).await;
    let end = End {
        outcome,
        intended_ns: due.intended_ns,
        ready_ns: begin.ready_ns,
        dispatched_ns: Some(begin.dispatched_ns),
        ended_ns,
    };
    let mut recorder = shared.recorder.borrow_mut();
    recorder.journey(due.journey, &end, shopping.thought_ns);
    let cell = recorder.cell_of(due.intended_ns);
    shared.in_flight.borrow_mut().end(cell);
    Ended {
        at_ns: ended_ns,
        is_answered: shopping.is_answered,
    }
}

struct Shopping<'a> {
    shared: &'a Shared,
    due: Due,
    shopper: Shopper<'a>,
    /// Planned think time so far.
    thought_ns: u64,
    /// The step that was last begun got its answer.
    is_answered: bool,
}

/// How one request ended.
struct Sent {
    stamps: Stamps,
    outcome: Outcome,
}

impl Shopping<'_> {
    /// How the journey ended, and when.
    async fn all_steps(&mut self, mut begin: Begin) -> (Outcome, u64) {
        let steps = &self.shared.prepared.journeys[self.due.journey].steps;
        let mut intended_ns = self.due.intended_ns;
        let mut ended_ns = intended_ns;
        for (number, step) in steps.iter().enumerate() {
            if self.shared.thinking.is_closed() {
                self.give_up(number, intended_ns, Outcome::Cancelled);
                return (Outcome::Cancelled, now_ns());
            }
            let outcome;
            (outcome, ended_ns) = self.step(number, intended_ns, begin).await;
            if outcome != Outcome::Ok {
                let rest = if outcome == Outcome::Cancelled {
                    Outcome::Cancelled
                } else {
                    Outcome::NotReached
                };
                self.give_up(number + 1, intended_ns, rest);
                return (outcome, ended_ns);
            }
            if number + 1 == steps.len() {
                break;
            }
            intended_ns = ended_ns;
            if step.think_ns > 0 {
                intended_ns = intended_ns.saturating_add(step.think_ns);
                self.thought_ns += step.think_ns;
                // Others may use the lane meanwhile.
                self.shared.client.tell_of_room();
                self.shared.thinking.at(intended_ns).await;
            }
            let now_ns = now_ns();
            begin = Begin {
                ready_ns: intended_ns,
                dispatched_ns: now_ns,
                now_ns,
            };
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
    async fn step(&mut self, number: usize, intended_ns: u64, begin: Begin) -> (Outcome, u64) {
        let sent = self.send(number, intended_ns, begin.now_ns).await;
        self.is_answered = sent.stamps.last_byte_ns.is_some();
        let ended_ns = sent.stamps.last_byte_ns.unwrap_or_else(now_ns);
        let end = End {
            outcome: sent.outcome,
            intended_ns,
            ready_ns: begin.ready_ns,
            dispatched_ns: Some(begin.dispatched_ns),
            ended_ns,
        };
        self.shared
            .recorder
            .borrow_mut()
            .request(self.due.journey, number, &end, &sent.stamps);
        (sent.outcome, ended_ns)
    }

    /// What cannot be built is never sent, and never stands in the operation log.
    async fn send(&mut self, number: usize, intended_ns: u64, now_ns: u64) -> Sent {
        let spare = self.shared.spares.take();
        let built = (
            self.shopper.request(number, spare),
            self.shopper.key(number),
        );
        let (mut request, key) = match built {
            (Ok(request), Ok(key)) => (request, key),
            (Err(kind), _) | (_, Err(kind)) => {
                return Sent {
                    stamps: Stamps::default(),
                    outcome: Outcome::Failed(kind),
                };
            }
        };
        if let Some(traces) = self.shared.traces.borrow_mut().as_mut() {
            traces.mark(request.headers_mut(), self.due.index, number);
        }
        let call = Call {
            request,
            reads: self.shared.prepared.journeys[self.due.journey].steps[number].reads,
            now_ns,
            patience_ns: intended_ns.saturating_add(self.shared.patience_ns),
        };
        let operation = key
            .and_then(|key| Operation::begin(self.shared, key, (self.due.journey, number), now_ns));
        let (stamps, answer) = self.shared.client.exchange(call).await;
        let status = answer.as_ref().ok().map(|answer| answer.status);
        let outcome = match answer {
            Ok(answer) => {
                let heard = self.shopper.hear(number, &answer);
                self.shared.spares.keep(answer.into_spare());
                heard.map_or_else(Outcome::Failed, |()| Outcome::Ok)
            }
            Err(broken) => outcome_of(broken),
        };
        if let Some(operation) = operation {
            operation.end(outcome, status, &stamps, self.shopper.receipt(number));
        }
        Sent { stamps, outcome }
    }
}

fn outcome_of(broken: Broken) -> Outcome {
    match broken {
        Broken::Failed(kind) => Outcome::Failed(kind),
        Broken::Shed => Outcome::Shed,
        Broken::Cancelled => Outcome::Cancelled,
    }
}
