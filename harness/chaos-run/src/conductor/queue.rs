//! What is done one after the other. Undos wait for nobody and are not here.
//!
//! Invariant: nothing is forgotten, and tearing down comes after all.

use std::collections::VecDeque;

/// What waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    StartLoad,
    Inject { fault: usize },
}

/// Bounded by the faults of the plan: each is begun once.
#[derive(Debug, Default)]
pub(super) struct Queue {
    turns: VecDeque<Turn>,
    over: bool,
}

impl Queue {
    pub(super) fn put(&mut self, turn: Turn) {
        self.turns.push_back(turn);
    }

    pub(super) fn next(&mut self) -> Option<Turn> {
        self.turns.pop_front()
    }

    /// The run is to be torn down once nothing waits any more.
    pub(super) fn end(&mut self) {
        self.over = true;
    }

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
        let turns = [Turn::StartLoad, Turn::Inject { fault: 1 }];
        queue.put(turns[0]);
        queue.end();
        queue.put(turns[1]);
        assert!(queue.is_over());
        let order: Vec<Turn> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, turns);
    }
}
