//! Everything a worker's tasks wait for by the clock: the end of think time, the limit of a request.
//!
//! All alarms of a worker share its one [`Timer`]; the worker's loop rings those that are due.
//! Invariant: an alarm is over when its instant has passed or its [`Alarms`] were closed, and the
//! memory it takes is given back when it is dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::clock;
use crate::timer::Timer;

/// A set of alarms of one worker that can be ended together.
#[derive(Debug)]
pub(crate) struct Alarms {
    timer: Rc<Timer>,
    /// By instant, then by a number that keeps equal instants apart.
    waiting: RefCell<BTreeMap<(u64, u64), Waker>>,
    last_id: Cell<u64>,
    closed: Cell<bool>,
}

impl Alarms {
    pub(crate) fn new(timer: Rc<Timer>) -> Self {
        Self {
            timer,
            waiting: RefCell::default(),
            last_id: Cell::new(0),
            closed: Cell::new(false),
        }
    }

    /// An alarm for `at_ns`.
    pub(crate) fn at(&self, at_ns: u64) -> Alarm<'_> {
        Alarm {
            alarms: self,
            at_ns,
            id: None,
        }
    }

    /// What `future` gives, or `None` if the alarm for `at_ns` was over first.
    pub(crate) async fn limit<F: Future>(&self, at_ns: u64, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut alarm = pin!(self.at(at_ns));
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => alarm.as_mut().poll(cx).map(|()| None),
        })
        .await
    }

    /// Instant of the soonest alarm, `u64::MAX` if there is none.
    pub(crate) fn soonest_ns(&self) -> u64 {
        self.waiting
            .borrow()
            .first_key_value()
            .map_or(u64::MAX, |((at_ns, _), _)| *at_ns)
    }

    /// Wakes whoever waits for an instant up to `now_ns`.
    pub(crate) fn ring(&self, now_ns: u64) {
        while self.soonest_ns() <= now_ns {
            let first = self.waiting.borrow_mut().pop_first();
            if let Some((_, waker)) = first {
                waker.wake();
            }
        }
    }

    /// Ends every alarm, those that are still to come too.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

/// Ready once its instant has passed; registered from its first poll until it is dropped.
#[derive(Debug)]
#[must_use = "an alarm that is not polled never rings"]
pub(crate) struct Alarm<'a> {
    alarms: &'a Alarms,
    at_ns: u64,
    id: Option<u64>,
}

impl Future for Alarm<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let alarms = self.alarms;
        if alarms.closed.get() {
            return Poll::Ready(());
        }
        if let Some(id) = self.id {
            return match alarms.waiting.borrow_mut().get_mut(&(self.at_ns, id)) {
                Some(waker) => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            };
        }
        if clock::now_ns() >= self.at_ns {
            return Poll::Ready(());
        }
        let id = alarms.last_id.get() + 1;
        alarms.last_id.set(id);
        self.id = Some(id);
        alarms
            .waiting
            .borrow_mut()
            .insert((self.at_ns, id), cx.waker().clone());
        alarms.timer.arm_by(self.at_ns);
        Poll::Pending
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.alarms.waiting.borrow_mut().remove(&(self.at_ns, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(alarms.limit(0, async { 7 }).await, Some(7));
            assert_eq!(alarms.limit(0, std::future::pending::<u8>()).await, None);
        });
    }
}
