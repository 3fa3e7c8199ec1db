//! What is still to be done, one after the other; undos wait for nobody and are not here.
//!
//! Invariant: nothing is forgotten but what the end of the run makes pointless, and tearing down comes after all.

use std::collections::VecDeque;

use crate::state::Action;

/// Actions that wait for their turn. Bounded by the faults of the plan: each has one at a time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    actions: VecDeque<Action>,
    over: bool,
}

impl Queue {
    pub(super) fn put(&mut self, action: Action) {
        match action {
            Action::TearDown | Action::Finish => self.over = true,
            _ => self.actions.push_back(action),
        }
    }

    pub(super) fn next(&mut self) -> Option<Action> {
        self.actions.pop_front()
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
    fn the_end_forgets_nothing() {
        let mut queue = Queue::default();
        queue.put(Action::Inject { fault: 0 });
        queue.put(Action::TearDown);
        queue.put(Action::Inject { fault: 1 });
        assert!(queue.is_over());
        let order: Vec<Action> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(
            order,
            [Action::Inject { fault: 0 }, Action::Inject { fault: 1 }]
        );
    }
}
