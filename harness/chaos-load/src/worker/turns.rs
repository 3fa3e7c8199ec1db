//! Whose turn it is: a user goes on one journey at a time, those that wait in the order they were due.
//!
//! Invariant: whoever holds a user's turn is that user's only journey under way.

use tokio::sync::{Mutex, MutexGuard};

use crate::pace::Slice;

/// For each user of one worker, the raw instant at which the last journey ended.
#[derive(Debug)]
pub(super) struct Turns {
    slice: Slice,
    freed_ns: Vec<Mutex<u64>>,
}

impl Turns {
    /// For the worker's share of this many users.
    pub(super) fn new(users: u32, slice: Slice) -> Self {
        let mine = (0..users).filter(|user| slice.has_user(*user));
        Self {
            slice,
            freed_ns: mine.map(|_| Mutex::new(0)).collect(),
        }
    }

    /// Waits until a user of this worker has ended every journey that was due before.
    pub(super) async fn of(&self, user: u32) -> MutexGuard<'_, u64> {
        let number = user as usize / self.slice.workers.max(1);
        self.freed_ns[number].lock().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_user_of_the_worker_has_a_turn_of_its_own() {
        let slice = Slice {
            worker: 1,
            workers: 3,
        };
        let turns = Turns::new(9, slice);
        // Users 1, 4 and 7 are at once on their way, none of them twice.
        let mut held = [turns.of(1).await, turns.of(4).await, turns.of(7).await];
        for freed_ns in &turns.freed_ns {
            assert!(freed_ns.try_lock().is_err());
        }
        *held[1] = 5;
        drop(held);
        assert_eq!((*turns.of(4).await, *turns.of(7).await), (5, 0));
    }
}
