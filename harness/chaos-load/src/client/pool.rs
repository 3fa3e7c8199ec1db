//! The connections of one worker: slots that bound them, and those that are idle.
//!
//! Invariant: whoever uses or makes a connection holds a slot, so open connections never exceed
//! the slots; those who wait for a slot are served in the order they came.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use chaos_record::outcome::FailKind;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ConnectionCounts;
use super::connection::{Connection, OpenCount};

/// Slots and idle connections.
#[derive(Debug)]
pub(super) struct Pool {
    slots: Semaphore,
    /// The one used last is taken first: the others may be closed by the server in peace.
    #[expect(clippy::vec_box, reason = "they go in and out with every request")]
    idle: RefCell<Vec<Box<Connection>>>,
    open: Rc<Cell<u64>>,
    open_max: Cell<u64>,
    opened: Cell<u64>,
}

impl Pool {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: Semaphore::new(slots),
            idle: RefCell::new(Vec::with_capacity(slots)),
            open: Rc::default(),
            open_max: Cell::new(0),
            opened: Cell::new(0),
        }
    }

    /// The right to use one connection if nobody waits for one.
    pub(super) fn free_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.try_acquire().ok()
    }

    /// Waits for the right to use one connection.
    pub(super) async fn slot(&self) -> SemaphorePermit<'_> {
        self.slots
            .acquire()
            .await
            .expect("the slots are never closed")
    }

    /// An idle connection that is not known to be closed.
    pub(super) fn idle(&self) -> Option<Box<Connection>> {
        loop {
            let connection = self.idle.borrow_mut().pop()?;
            if connection.is_ready() {
                return Some(connection);
            }
        }
    }

    /// A new connection to the first of `sockets` that takes one.
    pub(super) async fn connect(
        &self,
        sockets: &[SocketAddr],
    ) -> Result<Box<Connection>, FailKind> {
        let mut last = FailKind::ConnectOther;
        for socket in sockets {
            match Connection::open(*socket, OpenCount::new(Rc::clone(&self.open))).await {
                Ok(connection) => {
                    self.opened.set(self.opened.get() + 1);
                    self.open_max.set(self.open_max.get().max(self.open.get()));
                    return Ok(Box::new(connection));
                }
                Err(kind) => last = kind,
            }
        }
        Err(last)
    }

    /// Keeps a connection whose exchange is complete, unless it is about to close.
    pub(super) fn put_back(&self, mut connection: Box<Connection>) {
        if connection.is_ready() || connection.is_usable() {
            self.idle.borrow_mut().push(connection);
        }
    }

    /// Drops idle connections that the server has closed.
    pub(super) fn sweep(&self) {
        self.idle
            .borrow_mut()
            .retain_mut(|connection| connection.is_usable());
    }

    pub(super) fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            opened: self.opened.get(),
            open_max: self.open_max.get(),
        }
    }
}
