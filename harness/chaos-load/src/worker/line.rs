//! The journeys that are due and not begun, and the runners that begin them.
//!
//! A runner is a task that goes on one journey after the other: it takes the first that waits, and
//! parks when none does. So what a journey needs is made once and not for each arrival, whoever is
//! through takes the next without a detour, and a backlog is a list.
//! Invariant: journeys are taken in the order they were due, each by one runner; whoever is parked
//! was not called, and whoever was called looks at the line once more before it parks.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::pace::Due;

/// Most journeys under way at once, of some kilobytes each. Whoever waits for one of them to end waits
/// for us: it comes to so many by their think time and not by a slow target.
const BUSY_MAX: usize = 50_000;
/// Most that wait, of some 50 bytes each: ten seconds of 100,000 a second.
const WAITING_MAX: usize = 1_000_000;

/// A journey that nobody has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) due: Due,
    /// When it began to wait for the target to answer others; `None` if it only waits for us.
    pub(super) dispatched_ns: Option<u64>,
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    runners: Vec<Runner>,
    /// Who parks, the one who came last at the end: it is called first, since its memory is warm.
    parked: Vec<usize>,
    /// Runners that were called and have not come yet.
    called: usize,
    /// Runners on a journey.
    busy: usize,
    is_closed: bool,
}

#[derive(Debug)]
struct Runner {
    state: State,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Parked,
    Called,
    Busy,
}

impl Line {
    /// A journey is due: it waits behind all others. False if there is no room for it.
    pub(super) fn push(&mut self, due: Due) -> bool {
        let has_room = self.waiting.len() < WAITING_MAX;
        if has_room {
            self.waiting.push_back(Waiting {
                due,
                dispatched_ns: None,
            });
        }
        has_room
    }

    /// A runner more, which counts as called until it comes. Its number.
    pub(super) fn enlist(&mut self) -> usize {
        self.runners.push(Runner {
            state: State::Called,
            waker: None,
        });
        self.called += 1;
        self.runners.len() - 1
    }

    /// Calls one of those who park. False if nobody does.
    pub(super) fn call(&mut self) -> bool {
        let Some(number) = self.parked.pop() else {
            return false;
        };
        let runner = &mut self.runners[number];
        runner.state = State::Called;
        self.called += 1;
        if let Some(waker) = &runner.waker {
            waker.wake_by_ref();
        }
        true
    }

    /// The next journey for runner `number`, which has ended the one before; `None` if there will be no more.
    pub(super) fn poll_next(&mut self, number: usize, cx: &Context<'_>) -> Poll<Option<Waiting>> {
        let runner = &mut self.runners[number];
        match runner.state {
            // Woken by something that it waited for on its last journey.
            State::Parked if !self.is_closed => {
                runner.park(cx);
                return Poll::Pending;
            }
            State::Parked => return Poll::Ready(None),
            State::Called => self.called -= 1,
            State::Busy => self.busy -= 1,
        }
        if let Some(first) = self.waiting.pop_front() {
            runner.state = State::Busy;
            self.busy += 1;
            return Poll::Ready(Some(first));
        }
        runner.state = State::Parked;
        if self.is_closed {
            return Poll::Ready(None);
        }
        runner.park(cx);
        self.parked.push(number);
        Poll::Pending
    }

    /// Journeys that wait and for which nobody is on the way.
    pub(super) fn uncalled(&self) -> usize {
        self.waiting.len().saturating_sub(self.called)
    }

    /// Runners that were called and have not come yet.
    pub(super) fn called(&self) -> usize {
        self.called
    }

    /// Journeys that may be begun beside those under way.
    pub(super) fn room(&self) -> usize {
        BUSY_MAX.saturating_sub(self.busy + self.called)
    }

    /// Intended instant of the journey that has waited longest.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.waiting.front().map(|first| first.due.intended_ns)
    }

    /// How many of those that wait were intended at `until_ns` or before.
    pub(super) fn intended_by(&self, until_ns: u64) -> usize {
        self.waiting
            .partition_point(|waiting| waiting.due.intended_ns <= until_ns)
    }

    /// From now on everyone who waits is held up by the target and not by us.
    pub(super) fn held_up(&mut self, now_ns: u64) {
        let not_yet = |waiting: &&mut Waiting| waiting.dispatched_ns.is_none();
        for waiting in self.waiting.iter_mut().rev().take_while(not_yet) {
            waiting.dispatched_ns = Some(now_ns);
        }
    }

    /// Takes out all that wait.
    pub(super) fn clear(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// No journey comes any more: runners end when nothing waits.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
        for number in self.parked.drain(..) {
            if let Some(waker) = &self.runners[number].waker {
                waker.wake_by_ref();
            }
        }
    }
}

impl Runner {
    fn park(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn due(index: u64) -> Due {
        Due {
            index,
            intended_ns: index,
            journey: 0,
            user: None,
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Next {
        Journey(u64),
        Park,
        End,
    }

    fn next(line: &mut Line, number: usize) -> Next {
        match line.poll_next(number, &Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(waiting)) => Next::Journey(waiting.due.index),
            Poll::Ready(None) => Next::End,
            Poll::Pending => Next::Park,
        }
    }

    #[test]
    fn who_parks_takes_nothing_until_called() {
        let mut line = Line::default();
        let runner = line.enlist();
        assert_eq!(next(&mut line, runner), Next::Park);
        line.push(due(7));
        // A wake-up from elsewhere is no call.
        assert_eq!((next(&mut line, runner), line.uncalled()), (Next::Park, 1));
        assert!(line.call() && !line.call());
        assert_eq!(line.uncalled(), 0);
        assert_eq!(next(&mut line, runner), Next::Journey(7));
        assert_eq!(
            (line.room(), next(&mut line, runner)),
            (BUSY_MAX - 1, Next::Park)
        );
        assert_eq!(line.room(), BUSY_MAX);
    }

    #[test]
    fn many_may_wait_and_fewer_be_under_way() {
        let mut line = Line::default();
        assert!((0..WAITING_MAX as u64).all(|index| line.push(due(index))));
        assert!(!line.push(due(0)) && size_of::<Waiting>() <= 48);
        for _ in 0..BUSY_MAX {
            let runner = line.enlist();
            assert_ne!(next(&mut line, runner), Next::Park);
        }
        assert_eq!((line.room(), line.uncalled()), (0, WAITING_MAX - BUSY_MAX));
        assert!(line.push(due(0)), "those under way wait no more");
    }

    #[test]
    fn a_closed_line_is_emptied_and_left() {
        let mut line = Line::default();
        let [busy, parked] = [line.enlist(), line.enlist()];
        line.push(due(1));
        assert_eq!(next(&mut line, busy), Next::Journey(1));
        assert_eq!(next(&mut line, parked), Next::Park);
        line.push(due(2));
        line.close();
        assert_eq!(next(&mut line, parked), Next::End);
        assert_eq!(next(&mut line, busy), Next::Journey(2));
        assert_eq!(next(&mut line, busy), Next::End);
    }

    #[test]
    fn who_was_held_up_stays_dispatched_when_that_began() {
        let mut line = Line::default();
        line.push(due(1));
        line.held_up(10);
        line.push(due(2));
        line.held_up(20);
        line.push(due(3));
        assert_eq!((line.intended_by(2), line.first_ns()), (2, Some(1)));
        let stamps: Vec<_> = line
            .clear()
            .into_iter()
            .map(|waiting| waiting.dispatched_ns)
            .collect();
        assert_eq!(stamps, [Some(10), Some(20), None]);
    }

    proptest! {
        /// Whatever comes in whatever order, nobody is lost and nobody overtakes.
        #[test]
        fn every_journey_is_taken_once_and_in_order(acts in prop::collection::vec((0_u8..4, 0_usize..6), 0..300)) {
            let mut line = Line::default();
            let (mut pushed, mut taken) = (0, Vec::new());
            let mut ready = Vec::new();
            for (act, number) in acts {
                match act {
                    0 => {
                        line.push(due(pushed));
                        pushed += 1;
                    }
                    1 if line.runners.len() < 6 => ready.push(line.enlist()),
                    1 => {
                        let front = line.parked.last().copied();
                        prop_assert_eq!(line.call(), front.is_some());
                        ready.extend(front);
                    }
                    _ if ready.is_empty() => {}
                    _ => {
                        let runner = ready.swap_remove(number % ready.len());
                        if let Next::Journey(index) = next(&mut line, runner) {
                            taken.push(index);
                            ready.push(runner);
                        }
                    }
                }
                prop_assert_eq!(line.runners.len(), line.called + line.busy + line.parked.len());
            }
            taken.extend(line.clear().into_iter().map(|waiting| waiting.due.index));
            prop_assert!(taken.into_iter().eq(0..pushed));
        }
    }
}
