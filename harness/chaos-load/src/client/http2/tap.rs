//! The socket of an HTTP/2 connection with a note of when something passed.
//!
//! Invariant: it changes nothing of what is read or written.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::socket::Socket;
use crate::clock;

/// When the socket was last used, on the raw clock.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// 0: never.
    read_ns: Cell<u64>,
    /// Stamps of requests that were handed over and have not gone out yet.
    unwritten: RefCell<Vec<Rc<Cell<u64>>>>,
}

impl Marks {
    /// `stamp` gets the instant of the next write.
    pub(super) fn await_write(&self, stamp: &Rc<Cell<u64>>) {
        self.unwritten.borrow_mut().push(Rc::clone(stamp));
    }

    /// The last time something was read.
    pub(super) fn read_ns(&self) -> Option<u64> {
        Some(self.read_ns.get()).filter(|ns| *ns != 0)
    }

    /// `at_ns` is from before the system call: the peer may have answered by the time it returns.
    fn wrote(&self, at_ns: u64) {
        for stamp in self.unwritten.borrow_mut().drain(..) {
            stamp.set(at_ns);
        }
    }
}

/// A socket and the marks it leaves.
#[derive(Debug)]
pub(super) struct Tap {
    socket: Socket,
    marks: Rc<Marks>,
}

impl Tap {
    pub(super) fn new(socket: Socket, marks: Rc<Marks>) -> Self {
        Self { socket, marks }
    }

    fn mark_write(&self, at_ns: u64, result: &Poll<io::Result<usize>>) {
        if matches!(result, Poll::Ready(Ok(bytes)) if *bytes > 0) {
            self.marks.wrote(at_ns);
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.marks.read_ns.set(clock::now_ns());
        }
        result
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let at_ns = clock::now_ns();
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.mark_write(at_ns, &result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let at_ns = clock::now_ns();
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.mark_write(at_ns, &result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
