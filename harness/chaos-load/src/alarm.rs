//! Everything a worker's tasks wait for by the clock: the end of think time, the limit of a request.
//!
//! All alarms of a worker share its one [`Timer`]; the worker's loop rings those that are due. Nearly
//! every limit is dropped unrung, and the next one is for a later instant. So an alarm takes a seat,
//! and what stands in the queue is the seat: a later instant for a seat that is queued already costs
//! nothing until its old turn comes, at which it is queued again.
//! Invariant: an alarm is over when its instant has passed or its [`Alarms`] were closed, and its
//! seat is free when it is dropped; the queue never holds more than twice the seats.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::timer::Timer;

/// Instant of a seat nobody waits in, or whose turn is not in the queue.
const NEVER: u64 = u64::MAX;
/// Turns that may be out of date before the queue is made anew, whatever the number of seats.
const SPARE_TURNS: usize = 64;

/// A set of alarms of one worker that can be ended together.
#[derive(Debug)]
pub(crate) struct Alarms {
    timer: Rc<Timer>,
    waiting: RefCell<Waiting>,
    /// Latest instant up to which alarms were rung.
    rung_ns: Cell<u64>,
    closed: Cell<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    seats: Vec<Seat>,
    free: Vec<usize>,
    /// Instant and seat, the soonest first. A turn counts only if its seat still has it as `queued_ns`.
    turns: BinaryHeap<Reverse<(u64, usize)>>,
}

#[derive(Debug)]
struct Seat {
    /// Who sits here waits for this instant.
    at_ns: u64,
    queued_ns: u64,
    waker: Option<Waker>,
}

impl Waiting {
    /// Takes a seat; the instant of its turn in the queue, which is not later.
    fn sit(&mut self, at_ns: u64, waker: &Waker) -> usize {
        // The end of time is an instant like any other: it must not look like nobody.
        let at_ns = at_ns.min(NEVER - 1);
        let number = self.free.pop().unwrap_or_else(|| {
            self.seats.push(Seat {
                at_ns: NEVER,
                queued_ns: NEVER,
                waker: None,
            });
            self.seats.len() - 1
        });
        let seat = &mut self.seats[number];
        seat.at_ns = at_ns;
        seat.waker = Some(waker.clone());
        if at_ns < seat.queued_ns {
            self.queue(number);
        }
        number
    }

    /// Frees a seat. Its turn stays in the queue for whoever sits there next.
    fn leave(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        seat.at_ns = NEVER;
        seat.waker = None;
        self.free.push(number);
    }

    fn queue(&mut self, number: usize) {
        if self.turns.len() >= 2 * self.seats.len() + SPARE_TURNS {
            let seats = self.seats.iter().enumerate();
            let current = seats.filter(|(_, seat)| seat.queued_ns != NEVER);
            self.turns = current
                .map(|(number, seat)| Reverse((seat.queued_ns, number)))
                .collect();
        }
        let seat = &mut self.seats[number];
        seat.queued_ns = seat.at_ns;
        self.turns.push(Reverse((seat.at_ns, number)));
    }

    /// The soonest instant somebody waits for, and the seat. Puts turns that are out of date in order.
    fn soonest(&mut self) -> Option<(u64, usize)> {
        while let Some(Reverse((turn_ns, number))) = self.turns.peek().copied() {
            let seat = &mut self.seats[number];
            if seat.queued_ns == turn_ns && seat.at_ns == turn_ns {
                return Some((turn_ns, number));
            }
            self.turns.pop();
            if seat.queued_ns == turn_ns {
                seat.queued_ns = NEVER;
                if seat.at_ns != NEVER {
                    self.queue(number);
                }
            }
        }
        None
    }

    /// Whoever waits for an instant up to `now_ns`, the soonest first.
    fn pop(&mut self, now_ns: u64) -> Option<Waker> {
        let (_, number) = self.soonest().filter(|(at_ns, _)| *at_ns <= now_ns)?;
        self.turns.pop();
        let seat = &mut self.seats[number];
        (seat.at_ns, seat.queued_ns) = (NEVER, NEVER);
        seat.waker.take()
    }
}

impl Alarms {
    pub(crate) fn new(timer: Rc<Timer>) -> Self {
        Self {
            timer,
            waiting: RefCell::default(),
            rung_ns: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// An alarm for `at_ns`. For an instant that has passed since the last ring it is over with the next.
    pub(crate) fn at(&self, at_ns: u64) -> Alarm<'_> {
        Alarm {
            alarms: self,
            at_ns,
            seat: None,
        }
    }

    /// What `future` gives, or `None` if the alarm for `at_ns` was over first.
    pub(crate) async fn limit<F: Future + Unpin>(
        &self,
        at_ns: u64,
        mut future: F,
    ) -> Option<F::Output> {
        let mut alarm = pin!(self.at(at_ns));
        std::future::poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Instant of the soonest alarm, `u64::MAX` if there is none.
    pub(crate) fn soonest_ns(&self) -> u64 {
        let soonest = self.waiting.borrow_mut().soonest();
        soonest.map_or(u64::MAX, |(at_ns, _)| at_ns)
    }

    /// Wakes whoever waits for an instant up to `now_ns`.
    pub(crate) fn ring(&self, now_ns: u64) {
        self.rung_ns.set(self.rung_ns.get().max(now_ns));
        loop {
            let waker = self.waiting.borrow_mut().pop(now_ns);
            let Some(waker) = waker else { return };
            waker.wake();
        }
    }

    /// Ends every alarm, those that are still to come too.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.ring(NEVER);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

/// Ready once its instant has passed; has a seat from its first poll until it is dropped.
#[derive(Debug)]
#[must_use = "an alarm that is not polled never rings"]
pub(crate) struct Alarm<'a> {
    alarms: &'a Alarms,
    at_ns: u64,
    seat: Option<usize>,
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let alarms = self.alarms;
        if alarms.closed.get() || self.at_ns <= alarms.rung_ns.get() {
            return Poll::Ready(());
        }
        let mut waiting = alarms.waiting.borrow_mut();
        if let Some(number) = self.seat {
            if let Some(waker) = &mut waiting.seats[number].waker {
                waker.clone_from(cx.waker());
            }
            return Poll::Pending;
        }
        self.seat = Some(waiting.sit(self.at_ns, cx.waker()));
        alarms.timer.arm_by(self.at_ns);
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.seat {
            self.alarms.waiting.borrow_mut().leave(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn with_alarms(test: impl AsyncFnOnce(&Alarms)) {
        tokio::runtime::LocalRuntime::new()
            .expect("a runtime")
            .block_on(async {
                let alarms = Alarms::new(Rc::new(Timer::new().expect("a timer")));
                test(&alarms).await;
            });
    }

    fn is_over(alarm: &mut Pin<&mut Alarm<'_>>) -> bool {
        alarm
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    #[test]
    fn an_alarm_is_over_when_it_was_rung() {
        with_alarms(async |alarms| {
            let due = clock::now_ns() + HOUR_NS;
            let mut early = pin!(alarms.at(due));
            let mut late = pin!(alarms.at(due + 1));
            assert!(!is_over(&mut early) && !is_over(&mut late));
            alarms.ring(due - 1);
            assert!(!is_over(&mut early));
            alarms.ring(due);
            assert!(is_over(&mut early) && !is_over(&mut late));
            assert_eq!(alarms.soonest_ns(), due + 1);
        });
    }

    #[test]
    fn closing_ends_all_alarms_for_good() {
        with_alarms(async |alarms| {
            let mut alarm = pin!(alarms.at(u64::MAX));
            assert!(!is_over(&mut alarm));
            alarms.close();
            assert!(is_over(&mut alarm));
            assert!(is_over(&mut pin!(alarms.at(u64::MAX))));
        });
    }

    #[test]
    fn a_dropped_alarm_leaves_nothing_behind() {
        with_alarms(async |alarms| {
            {
                let mut alarm = pin!(alarms.at(u64::MAX - 1));
                assert!(!is_over(&mut alarm));
            }
            assert_eq!(alarms.soonest_ns(), u64::MAX);
        });
    }

    #[test]
    fn a_limit_lets_what_is_ready_through_even_if_it_is_late() {
        with_alarms(async |alarms| {
            assert_eq!(alarms.limit(0, pin!(async { 7 })).await, Some(7));
            assert_eq!(alarms.limit(0, std::future::pending::<u8>()).await, None);
        });
    }

    #[test]
    fn limits_that_are_never_reached_do_not_fill_the_queue() {
        with_alarms(async |alarms| {
            let due = clock::now_ns() + HOUR_NS;
            for round in 0..10_000 {
                // Later and later, and each time a sooner one too: both ways to leave a turn behind.
                for at_ns in [due + round, due - round] {
                    assert!(!is_over(&mut pin!(alarms.at(at_ns))));
                }
            }
            let waiting = alarms.waiting.borrow();
            assert_eq!(waiting.seats.len(), 1);
            assert!(waiting.turns.len() <= 2 + SPARE_TURNS + 1);
        });
    }

    #[derive(Debug, Clone)]
    enum Act {
        Wait(u64),
        Drop(usize),
        Ring(u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (1_u64..1_000).prop_map(Act::Wait),
            (0_usize..8).prop_map(Act::Drop),
            (1_u64..1_000).prop_map(Act::Ring),
        ]
    }

    proptest! {
        /// Against a list of instants, whatever the order in which alarms come, go and ring.
        #[test]
        fn an_alarm_rings_at_its_instant_and_no_other(acts in prop::collection::vec(act(), 1..60)) {
            let zero = clock::now_ns() + HOUR_NS;
            with_alarms(async |alarms| {
                let mut waiting: Vec<Pin<Box<Alarm<'_>>>> = Vec::new();
                let mut rung_ns = 0;
                for act in acts {
                    match act {
                        Act::Wait(at) => {
                            let mut alarm = Box::pin(alarms.at(zero + at));
                            assert_eq!(is_over(&mut alarm.as_mut()), at <= rung_ns);
                            waiting.push(alarm);
                        }
                        Act::Drop(number) if number < waiting.len() => drop(waiting.remove(number)),
                        Act::Drop(_) => {}
                        Act::Ring(at) => {
                            rung_ns = rung_ns.max(at);
                            alarms.ring(zero + at);
                        }
                    }
                    for alarm in &mut waiting {
                        let is_due = alarm.at_ns <= zero + rung_ns;
                        assert_eq!(is_over(&mut alarm.as_mut()), is_due);
                    }
                    waiting.retain(|alarm| alarm.at_ns > zero + rung_ns);
                    let soonest = waiting.iter().map(|alarm| alarm.at_ns).min();
                    assert_eq!(alarms.soonest_ns(), soonest.unwrap_or(u64::MAX));
                }
            });
        }
    }
}
