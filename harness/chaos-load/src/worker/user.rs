//! One user of the closed model without a cycle, as a task of its worker: a journey, and when it
//! has ended the next, for as long as the user is there.
//!
//! What is measured is service time: a user who waits for a slow answer asks nothing meanwhile, so
//! what others would have felt in that time is not seen.
//! Invariant: a user has one journey at a time, begins none outside its stays or the load's budget,
//! and ends each it has begun.

use std::rc::Rc;

use super::Shared;
use super::shopping::{self, Begin};
use crate::clock::now_ns;
use crate::pace::Due;
use crate::users::User;

/// Shortest time from the end of a journey that failed without an answer to the next: a target that
/// refuses at once must not be asked in a busy loop.
const PAUSE_NS: u64 = 10_000_000;

/// Lives through all the user's stays.
pub(super) async fn live(shared: Rc<Shared>, user: User) {
    let mut next_journey = user.journeys(shared.seed);
    let mut ready_ns = 0;
    for stay in &user.stays {
        ready_ns = shared.start_ns.saturating_add(stay.from_ns).max(ready_ns);
        let until_ns = shared.start_ns.saturating_add(stay.until_ns);
        loop {
            // In this order, as `halt` asks for: what is begun was due by the instant of a stop.
            let mut intended_ns = now_ns();
            if intended_ns < ready_ns {
                shared.thinking.at(ready_ns).await;
                intended_ns = now_ns();
            }
            if intended_ns >= until_ns || shared.halt.is_ordered() {
                break;
            }
            let budget = shared.budget.as_deref();
            if budget.is_some_and(|budget| !budget.take(intended_ns)) {
                return;
            }
            let (index, journey) = next_journey();
            let due = Due {
                index,
                intended_ns,
                journey,
                user: None,
            };
            shared.begin(due);
            let begin = Begin {
                ready_ns,
                dispatched_ns: intended_ns,
                now_ns: intended_ns,
            };
            let ended = shopping::shop(&shared, due, begin).await;
            if let Some(budget) = budget {
                budget.ended(ended.at_ns);
            }
            let pause_ns = if ended.is_answered { 0 } else { PAUSE_NS };
            ready_ns = ended.at_ns.saturating_add(pause_ns);
        }
    }
}
