//! The socket with a stamp on what passes: when the request went out and when its answer came in.
//!
//! It wakes the task that was named last, whoever polls it.
//! Invariant: it changes nothing of what is read or written; a head without end is an error.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;

use super::socket::Socket;
use crate::clock;

/// Largest head of an answer together with the preliminary ones (1xx) before it.
const HEADS_BYTES_MAX: usize = 1 << 20;

/// Instants of the current exchange on the raw clock; zero means not yet.
#[derive(Debug)]
pub(super) struct Marks {
    task: RefCell<Waker>,
    /// The last write before anything was read: the instant before the system call, since the
    /// peer may have answered by the time it returns, and the target must not look faster than it is.
    written_ns: Cell<u64>,
    first_read_ns: Cell<u64>,
    last_read_ns: Cell<u64>,
    /// What may still come before the head of an answer is complete.
    head_bytes_left: Cell<usize>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            task: RefCell::new(Waker::noop().clone()),
            written_ns: Cell::default(),
            first_read_ns: Cell::default(),
            last_read_ns: Cell::default(),
            head_bytes_left: Cell::new(HEADS_BYTES_MAX),
        }
    }
}

impl Marks {
    /// From now on the socket wakes this one.
    pub(super) fn wake(&self, task: &Waker) {
        self.task.borrow_mut().clone_from(task);
    }

    /// Forgets the exchange before.
    pub(super) fn reset(&self) {
        self.written_ns.set(0);
        self.first_read_ns.set(0);
        self.last_read_ns.set(0);
        self.head_bytes_left.set(HEADS_BYTES_MAX);
    }

    /// What comes from now on is the body, which has limits of its own.
    pub(super) fn end_head(&self) {
        self.head_bytes_left.set(usize::MAX);
    }

    pub(super) fn written_ns(&self) -> Option<u64> {
        set(&self.written_ns)
    }

    pub(super) fn first_read_ns(&self) -> Option<u64> {
        set(&self.first_read_ns)
    }

    pub(super) fn last_read_ns(&self) -> Option<u64> {
        set(&self.last_read_ns)
    }

    /// A first write is marked whatever was read before it: without a mark nothing may have left.
    fn wrote(&self, at_ns: u64) {
        if self.first_read_ns.get() == 0 || self.written_ns.get() == 0 {
            self.written_ns.set(at_ns);
        }
    }

    /// # Errors
    /// More has come than an answer's head and all that may stand before it take up: hyper would go
    /// on reading preliminary answers for as long as they come.
    fn read(&self, bytes: usize) -> io::Result<()> {
        let left = self.head_bytes_left.get().checked_sub(bytes);
        self.head_bytes_left
            .set(left.ok_or(io::ErrorKind::FileTooLarge)?);
        let now_ns = clock::now_ns();
        self.last_read_ns.set(now_ns);
        if self.first_read_ns.get() == 0 {
            self.first_read_ns.set(now_ns);
        }
        Ok(())
    }
}

fn set(mark: &Cell<u64>) -> Option<u64> {
    Some(mark.get()).filter(|ns| *ns != 0)
}

/// A socket and the marks it leaves.
#[derive(Debug)]
pub(super) struct Wire {
    socket: TokioIo<Socket>,
    marks: Rc<Marks>,
}

impl Wire {
    pub(super) fn new(socket: Socket, marks: Rc<Marks>) -> Self {
        Self {
            socket: TokioIo::new(socket),
            marks,
        }
    }

    fn with_socket<T>(
        &mut self,
        act: impl FnOnce(Pin<&mut TokioIo<Socket>>, &mut Context<'_>) -> T,
    ) -> T {
        let task = self.marks.task.borrow();
        act(Pin::new(&mut self.socket), &mut Context::from_waker(&task))
    }

    fn mark_write(&self, at_ns: u64, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(bytes)) if *bytes > 0) {
            self.marks.wrote(at_ns);
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let result = self.with_socket(|socket, cx| socket.poll_read(cx, buffer));
        // The end of the stream is marked too; an answer's head tells whether anything was read.
        if matches!(result, Poll::Ready(Ok(()))) {
            self.marks.read(self.socket.inner().last_read())?;
        }
        result
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let at_ns = clock::now_ns();
        let result = self.with_socket(|socket, cx| socket.poll_write(cx, bytes));
        self.mark_write(at_ns, &result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let at_ns = clock::now_ns();
        let result = self.with_socket(|socket, cx| socket.poll_write_vectored(cx, parts));
        self.mark_write(at_ns, &result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_socket(Write::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_socket(Write::poll_shutdown)
    }
}
