//! Wakes a worker at an instant, to some tens of microseconds. Linux only: this file holds the timerfd.
//!
//! tokio's own timer counts in milliseconds and rounds up, which would put a millisecond of our own
//! delay into every response.
//! Invariant: one timer a worker, armed for the soonest thing the worker waits for.

use std::cell::Cell;
use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timerfd on `CLOCK_MONOTONIC`; belongs to one thread.
#[derive(Debug)]
pub(crate) struct Timer {
    fd: AsyncFd<OwnedFd>,
    /// What it is set to; `u64::MAX` if to nothing.
    armed_ns: Cell<u64>,
}

impl Timer {
    /// Must be called inside the runtime of the thread.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe; with an `OwnedFd`, which stays open as long as it lives, this one is sound"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let fd = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self {
            fd: AsyncFd::with_interest(fd, Interest::READABLE)?,
            armed_ns: Cell::new(u64::MAX),
        })
    }

    /// Sets it to `at_ns`; an instant that has passed fires at once.
    pub(crate) fn arm(&self, at_ns: u64) {
        if at_ns == self.armed_ns.get() {
            return;
        }
        self.armed_ns.set(at_ns);
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: never,
            it_value: timespec(at_ns),
        };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec)
            .expect("a timerfd takes every instant in range");
    }

    /// Sets it to `at_ns` if it is set to anything later.
    pub(crate) fn arm_by(&self, at_ns: u64) {
        if at_ns < self.armed_ns.get() {
            self.arm(at_ns);
        }
    }

    /// Waits until it fires. May wake too early, never too late; the caller looks at the clock.
    pub(crate) async fn fired(&self) {
        // The count of expirations is not read: setting the timer again resets it.
        if let Ok(mut ready) = self.fd.readable().await {
            ready.clear_ready();
        }
        self.armed_ns.set(u64::MAX);
    }
}

/// Zero would switch the timer off, and so would nothing: both ends are kept within what it takes.
fn timespec(at_ns: u64) -> Timespec {
    let at_ns = i64::try_from(at_ns).unwrap_or(i64::MAX).max(1);
    Timespec {
        tv_sec: at_ns / 1_000_000_000,
        tv_nsec: at_ns % 1_000_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn on_a_worker(test: impl Future<Output = ()>) {
        tokio::runtime::LocalRuntime::new()
            .expect("a runtime")
            .block_on(test);
    }

    #[test]
    fn it_fires_at_its_instant_and_not_before() {
        on_a_worker(async {
            let timer = Timer::new().expect("a timer");
            for wait_ns in [0, 300_000, 5_000_000] {
                let due = clock::now_ns() + wait_ns;
                timer.arm(due);
                while clock::now_ns() < due {
                    timer.fired().await;
                }
            }
        });
    }

    #[test]
    fn an_earlier_instant_replaces_a_later_one_only() {
        on_a_worker(async {
            let timer = Timer::new().expect("a timer");
            let soon = clock::now_ns() + 1_000_000;
            timer.arm_by(soon + 3_600_000_000_000);
            timer.arm_by(soon);
            timer.arm_by(soon + 1);
            assert_eq!(timer.armed_ns.get(), soon);
            timer.fired().await;
            assert!(clock::now_ns() >= soon);
        });
    }
}
