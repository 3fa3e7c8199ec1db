//! What is still to be done, in the order that leaves the target hurt for the shortest time.
//!
//! Invariant: undos come before everything else and injections last; nothing is forgotten but what
//! the end of the run makes pointless, and tearing down comes after all.

use std::collections::VecDeque;

use crate::state::Action;

/// Actions that wait for their turn. Bounded by the faults of the plan: each has one at a time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    undos: VecDeque<Action>,
    others: VecDeque<Action>,
    over: bool,
}

impl Queue {
    pub(super) fn put(&mut self, action: Action) {
        match action {
            Action::Undo { .. } => self.undos.push_back(action),
            Action::TearDown | Action::Finish => self.over = true,
            _ => self.others.push_back(action),
        }
    }

    pub(super) fn next(&mut self) -> Option<Action> {
        self.undos.pop_front().or_else(|| self.others.pop_front())
    }

    /// Whether the run is to be torn down once nothing waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undos_come_first_and_the_end_last() {
        let mut queue = Queue::default();
        queue.put(Action::Inject { fault: 0 });
        queue.put(Action::TearDown);
        queue.put(Action::Undo { fault: 1 });
        queue.put(Action::Undo { fault: 2 });
        assert!(queue.is_over());
        let order: Vec<Action> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(
            order,
            [
                Action::Undo { fault: 1 },
                Action::Undo { fault: 2 },
                Action::Inject { fault: 0 }
            ]
        );
    }
}
