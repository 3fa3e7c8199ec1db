//! Whose turn it is: a user goes on one journey at a time, those that wait in the order they were due.
//!
//! Invariant: whoever holds a user's turn is that user's only journey under way.

use std::collections::BTreeMap;

use chaos_plan::plan::Load;
use tokio::sync::{Mutex, MutexGuard};

use crate::pace::Slice;
use crate::users;

/// For each user of one worker, the raw instant at which the last journey ended.
#[derive(Debug)]
pub(super) struct Turns {
    freed_ns: BTreeMap<u32, Mutex<u64>>,
}

impl Turns {
    /// For the worker's share of the load's users.
    pub(super) fn new(load: &Load, slice: Slice) -> Self {
        let users = 0..users::most(load);
        let mine = users.filter(|user| slice.has_user(*user, load.connections));
        Self {
            freed_ns: mine.map(|user| (user, Mutex::new(0))).collect(),
        }
    }

    /// Waits until a user of this worker has ended every journey that was due before.
    pub(super) async fn of(&self, user: u32) -> MutexGuard<'_, u64> {
        self.freed_ns[&user].lock().await
    }
}

#[cfg(test)]
mod tests {
    use chaos_testkit::plan::{PlanBuilder, get};

    use super::*;

    #[tokio::test]
    async fn each_user_of_the_worker_has_a_turn_of_its_own() {
        let slice = Slice {
            worker: 1,
            workers: 3,
        };
        let plan = PlanBuilder::new()
            .users("s", 1.0, 9)
            .journey("j", 1.0, vec![get("g", "/")])
            .build();
        let turns = Turns::new(&plan.load, slice);
        // Users 1, 4 and 7 are at once on their way, none of them twice.
        let mut held = [turns.of(1).await, turns.of(4).await, turns.of(7).await];
        for freed_ns in turns.freed_ns.values() {
            assert!(freed_ns.try_lock().is_err());
        }
        *held[1] = 5;
        drop(held);
        assert_eq!((*turns.of(4).await, *turns.of(7).await), (5, 0));
    }
}
