//! The connections of one worker: slots that bound what is under way, and the lanes that are idle.
//!
//! Without `connections` in the plan a slot is the right to use a lane or to open a connection. With
//! it, [`super::keeper`] opens them, and each lane that is open brings its slot.
//! Invariant: whoever uses or makes a connection holds a slot, so that open connections never
//! exceed the slots, or what the plan asks for; those who wait for a slot are served in the order they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use chaos_record::outcome::{FailKind, Failures};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::ConnectionCounts;
use super::http1::OpenCount;
use super::lane::Lane;
use super::opening::Opening;
use super::transport::Transport;

/// Most idle lanes that one sweep looks at, so that it never holds the worker up for long.
const SWEPT_MAX: usize = 256;

/// Slots and idle lanes.
#[derive(Debug)]
pub(super) struct Pool {
    transport: Arc<Transport>,
    slots: Semaphore,
    /// Connections that keepers hold open; `None`: they are opened when a request needs them.
    kept: Option<usize>,
    idle: RefCell<VecDeque<Lane>>,
    opening: Opening,
    open: Rc<Open>,
    open_max: Cell<u64>,
    opened: Cell<u64>,
    failures: Cell<Failures>,
    /// Where the next sweep goes on.
    swept: Cell<usize>,
    room: Notify,
}

/// Connections that are open, or being opened.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) count: Cell<u64>,
    /// Told of each that is closed.
    pub(super) lost: Notify,
}

impl Pool {
    pub(super) fn new(transport: Arc<Transport>, slots: usize, kept: Option<usize>) -> Self {
        Self {
            slots: Semaphore::new(if kept.is_some() { 0 } else { slots }),
            opening: Opening::new(transport.lanes_expected()),
            transport,
            kept,
            idle: RefCell::default(),
            open: Rc::default(),
            open_max: Cell::new(0),
            opened: Cell::new(0),
            failures: Cell::default(),
            swept: Cell::new(0),
            room: Notify::new(),
        }
    }

    /// The right to use one lane if nobody waits for one.
    pub(super) fn free_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }

    /// Waits for the right to use one lane.
    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        self.slots
            .acquire()
            .await
            .expect("the slots are never closed")
    }

    pub(super) fn free_slots(&self) -> usize {
        self.slots.available_permits()
    }

    pub(super) fn idle_lanes(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Waits for [`Self::tell_of_room`]; what was told while nobody waited counts too.
    pub(super) async fn has_room(&self) {
        self.room.notified().await;
    }

    pub(super) fn tell_of_room(&self) {
        self.room.notify_one();
    }

    /// Whether connections are opened by keepers and not by requests.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// An idle lane that is not known to be closed: of kept ones each in its turn, otherwise the one
    /// used last, so that the others may be closed by the server in peace.
    pub(super) fn idle(&self) -> Option<Lane> {
        loop {
            let next = {
                let mut idle = self.idle.borrow_mut();
                if self.is_kept() {
                    idle.pop_front()
                } else {
                    idle.pop_back()
                }
            };
            let lane = next?;
            if lane.is_ready() {
                return Some(lane);
            }
            self.forget_slots(1);
        }
    }

    /// A lane for a request that found none idle: of a new connection, its own or one that is being
    /// opened already.
    pub(super) async fn connect(&self) -> Result<Lane, FailKind> {
        while self.opening.has_room() {
            self.opening.change().await?;
            if let Some(lane) = self.idle() {
                return Ok(lane);
            }
        }
        let under_way = self.opening.begin();
        match self.open_lanes().await {
            Ok(mut lanes) => {
                under_way.succeeded(lanes.len());
                let own = lanes.pop().ok_or(FailKind::ConnectOther)?;
                self.idle.borrow_mut().extend(lanes);
                Ok(own)
            }
            Err(kind) => {
                under_way.failed(kind);
                Err(kind)
            }
        }
    }

    /// Opens one more of the connections that are kept.
    pub(super) async fn open(&self) -> Result<(), FailKind> {
        let mut lanes = self.open_lanes().await?;
        // A new connection is ready only after a first look at it.
        lanes.retain_mut(Lane::is_usable);
        let count = lanes.len();
        if count == 0 {
            return Err(FailKind::ConnectOther);
        }
        self.idle.borrow_mut().extend(lanes);
        self.slots.add_permits(count);
        self.tell_of_room();
        Ok(())
    }

    async fn open_lanes(&self) -> Result<Vec<Lane>, FailKind> {
        let lanes = self
            .transport
            .open(|| OpenCount::new(Rc::clone(&self.open)))
            .await?;
        self.opened.set(self.opened.get() + 1);
        let open = self.open.count.get();
        self.open_max.set(self.open_max.get().max(open));
        Ok(lanes)
    }

    /// Whether fewer connections are open, or being opened, than are to be kept.
    pub(super) fn is_short(&self) -> bool {
        self.kept
            .is_some_and(|kept| self.open.count.get() < kept as u64)
    }

    /// Waits until a connection is closed.
    pub(super) async fn lost(&self) {
        self.open.lost.notified().await;
    }

    /// A connection that was to be kept could not be opened.
    pub(super) fn count_failure(&self, kind: FailKind) {
        let mut failures = self.failures.get();
        failures[kind as usize] += 1;
        self.failures.set(failures);
    }

    /// Keeps a lane whose exchange is over, unless it cannot carry another, together with the slot of it.
    pub(super) fn put_back(&self, mut lane: Lane, slot: SemaphorePermit<'_>) {
        if lane.is_ready() || lane.is_usable() {
            self.idle.borrow_mut().push_back(lane);
            drop(slot);
            self.opening.freed();
        } else {
            self.lose(slot);
        }
    }

    /// Ends the right to a lane that is gone: kept ones bring a slot of their own with the next connection.
    pub(super) fn lose(&self, slot: SemaphorePermit<'_>) {
        if self.is_kept() {
            slot.forget();
        }
    }

    fn forget_slots(&self, lanes: usize) {
        if self.is_kept() {
            self.slots.forget_permits(lanes);
        }
    }

    /// Drops idle lanes that the server has closed, among the next few of all.
    pub(super) fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        let mut at = self.swept.get();
        for _ in 0..idle.len().min(SWEPT_MAX) {
            if at >= idle.len() {
                at = 0;
            }
            match idle.get_mut(at).map(Lane::is_usable) {
                Some(true) => at += 1,
                Some(false) => {
                    drop(idle.remove(at));
                    self.forget_slots(1);
                }
                None => break,
            }
        }
        self.swept.set(at);
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            opened: self.opened.get(),
            open_max: self.open_max.get(),
            failed: self.failures.get(),
        }
    }
}
