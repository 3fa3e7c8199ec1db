//! The task of an HTTP/2 connection: what the socket gives goes to the session, what the session says to the socket.
//!
//! All that the lanes have said since it last ran leaves in one write, and all that one read brought
//! is taken before anybody is let run: streams of one connection share its system calls and its TLS records.
//! Invariant: it never waits while it could go on, and gives way to others after some reads.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use chaos_record::outcome::FailKind;
use tokio::io::AsyncWrite;

use super::session::Session;
use crate::client::http1::OpenCount;
use crate::client::inbox::Inbox;
use crate::client::socket::Socket;
use crate::client::transport::Origin;
use crate::clock;

/// Most reads before the other tasks of the worker have their turn.
const READS_MAX: usize = 16;

/// What a connection's task shares with its lanes.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: RefCell<Session>,
    /// When something was last read, on the raw clock; 0: never.
    pub(super) read_ns: Cell<u64>,
    /// The socket takes nothing more for now.
    pub(super) is_blocked: Cell<bool>,
    driver: RefCell<Waker>,
    is_called: Cell<bool>,
}

impl Link {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            session: RefCell::new(Session::new(origin)),
            read_ns: Cell::new(0),
            is_blocked: Cell::new(false),
            driver: RefCell::new(Waker::noop().clone()),
            is_called: Cell::new(false),
        }
    }

    /// The session has something to say: the driver has its turn after those that are ready now, who may
    /// have something to say as well.
    pub(super) fn call(&self) {
        if !self.is_called.replace(true) {
            self.driver.borrow().wake_by_ref();
        }
    }
}

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Driver {
    socket: Socket,
    inbox: Inbox,
    link: Rc<Link>,
    /// A TLS session may hold what it was given.
    is_flushing: bool,
    /// Counts it as open.
    _open: OpenCount,
}

impl Driver {
    pub(super) fn new(socket: Socket, link: Rc<Link>, open: OpenCount) -> Self {
        Self {
            socket,
            inbox: Inbox::default(),
            link,
            is_flushing: false,
            _open: open,
        }
    }

    /// How many streams the peer allows, once it allows any.
    pub(super) fn poll_allowed(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, FailKind>> {
        let is_over = self.poll(cx).is_ready();
        let session = self.link.session.borrow();
        match session.allowed() {
            _ if is_over => Poll::Ready(Err(session.ended().unwrap_or(FailKind::Reset))),
            Some(allowed) => Poll::Ready(Ok(allowed)),
            None => Poll::Pending,
        }
    }

    /// Goes on until the socket has to be waited for; ready at the end of the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let link = Rc::clone(&self.link);
        link.driver.borrow_mut().clone_from(cx.waker());
        link.is_called.set(false);
        let mut session = link.session.borrow_mut();
        loop {
            if self.read(&mut session, cx).is_break() {
                // Whatever were written now would look as if it had left, and could not go over another connection.
                return Poll::Ready(());
            }
            let was_choked = session.is_choked();
            self.write(&mut session, cx);
            if !was_choked || session.is_choked() {
                break;
            }
        }
        if session.is_over() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Breaks once the peer says nothing more.
    fn read(&mut self, session: &mut Session, cx: &mut Context<'_>) -> ControlFlow<()> {
        for _ in 0..READS_MAX {
            if session.is_choked() || session.ended().is_some() {
                return ControlFlow::Continue(());
            }
            match self.inbox.poll_fill(&mut self.socket, cx) {
                Poll::Ready(Ok(1..)) => {
                    let now_ns = clock::now_ns();
                    self.link.read_ns.set(now_ns);
                    let taken = session.receive(self.inbox.bytes(), now_ns);
                    self.inbox.done(taken);
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    session.end(FailKind::Reset);
                    return ControlFlow::Break(());
                }
                Poll::Pending => return ControlFlow::Continue(()),
            }
        }
        cx.waker().wake_by_ref();
        ControlFlow::Continue(())
    }

    fn write(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        self.link.is_blocked.set(false);
        while !session.to_send().is_empty() {
            let at_ns = clock::now_ns();
            match Pin::new(&mut self.socket).poll_write(cx, session.to_send()) {
                Poll::Ready(Ok(bytes @ 1..)) => {
                    session.sent(bytes, at_ns);
                    self.is_flushing = true;
                }
                Poll::Ready(Ok(0) | Err(_)) => return session.end(FailKind::Reset),
                Poll::Pending => return self.link.is_blocked.set(true),
            }
        }
        if self.is_flushing {
            match Pin::new(&mut self.socket).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_flushing = false,
                Poll::Ready(Err(_)) => session.end(FailKind::Reset),
                Poll::Pending => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use chaos_testkit::raw::frame;
    use http::Request;
    use http_body_util::Full;

    use super::*;
    use crate::client::Reads;
    use crate::client::http2::frame::SETTINGS;
    use crate::client::pool::Open;

    /// A connection whose peer has sent its settings and gone.
    async fn left_alone() -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let ours = TcpStream::connect(address).expect("a listener");
        let (mut peer, _) = listener.accept().expect("it was dialled");
        peer.write_all(&frame((SETTINGS, 0, 0), &[])).expect("room");
        drop(peer);
        ours.set_nonblocking(true).expect("ours");
        let ours = tokio::net::TcpStream::from_std(ours).expect("a runtime");
        ours.readable().await.expect("settings");
        Socket::Clear(ours)
    }

    #[tokio::test]
    async fn what_waits_as_the_peer_leaves_was_not_sent() {
        let link = Rc::new(Link::new(&Origin::shop()));
        let open = OpenCount::new(Rc::new(Open::default()));
        let mut driver = Driver::new(left_alone().await, Rc::clone(&link), open);
        let request = Request::new(Full::default());
        link.session.borrow_mut().add_lanes(1);
        let sent = link
            .session
            .borrow_mut()
            .send(0, &request, Reads::default());
        sent.expect("a request");
        std::future::poll_fn(|cx| driver.poll(cx)).await;
        let mut session = link.session.borrow_mut();
        assert!(session.is_unsent(0));
        let mut nobody = Context::from_waker(Waker::noop());
        let Poll::Ready(ended) = session.poll_end(0, &mut nobody) else {
            panic!("it is still open");
        };
        assert_eq!(ended.err(), Some(FailKind::Reset));
    }
}
