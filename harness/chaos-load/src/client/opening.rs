//! Those who wait for a connection that somebody else is opening: one of HTTP/2 serves many.
//!
//! Invariant: nobody waits unless a connection under way is expected to have room for them too.

use std::cell::Cell;

use chaos_record::outcome::FailKind;
use tokio::sync::Notify;

/// Connections that are being opened because a request needs them.
#[derive(Debug)]
pub(super) struct Opening {
    under_way: Cell<usize>,
    waiting: Cell<usize>,
    /// Requests at once that one connection carries: expected at first, then as the last one did.
    lanes_each: Cell<usize>,
    changed: Notify,
    failures: Cell<u64>,
    last_failure: Cell<FailKind>,
}

/// A connection is being opened for as long as this lives.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Opening);

impl Opening {
    pub(super) fn new(lanes_each: usize) -> Self {
        Self {
            under_way: Cell::new(0),
            waiting: Cell::new(0),
            lanes_each: Cell::new(lanes_each),
            changed: Notify::new(),
            failures: Cell::new(0),
            last_failure: Cell::new(FailKind::ConnectOther),
        }
    }

    pub(super) fn begin(&self) -> UnderWay<'_> {
        self.under_way.set(self.under_way.get() + 1);
        UnderWay(self)
    }

    /// Whether what is under way has room for one more than those who wait for it.
    pub(super) fn has_room(&self) -> bool {
        let expected = self.under_way.get() * self.lanes_each.get().saturating_sub(1);
        expected > self.waiting.get()
    }

    /// Waits until a lane may be there. An opening that failed meanwhile failed for those who waited too.
    pub(super) async fn change(&self) -> Result<(), FailKind> {
        let failures = self.failures.get();
        let waiting = Waiting::new(&self.waiting);
        self.changed.notified().await;
        drop(waiting);
        if self.failures.get() == failures {
            Ok(())
        } else {
            Err(self.last_failure.get())
        }
    }

    /// A lane has become free.
    pub(super) fn freed(&self) {
        if self.waiting.get() > 0 {
            self.changed.notify_one();
        }
    }
}

impl UnderWay<'_> {
    pub(super) fn succeeded(&self, lanes: usize) {
        self.0.lanes_each.set(lanes);
    }

    pub(super) fn failed(&self, kind: FailKind) {
        self.0.failures.set(self.0.failures.get() + 1);
        self.0.last_failure.set(kind);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.changed.notify_waiters();
    }
}

struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
