//! One connection: hyper's sender and its driver, polled together by whoever holds it.
//!
//! Sender, driver and body wake each other while one poll hands a message from one to the other. Woken
//! so, the task would run once more for nothing after every request. They get a waker that only
//! leaves a note ([`Nudges`]); the task itself is woken by the socket alone.
//! Invariant: while nobody holds it nothing polls it, so it makes no progress.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};

use super::body::Intake;
use super::failure;
use super::pool::Open;
use super::socket::Socket;
use super::wire::{Marks, Wire};
use super::{Broken, Stamps};
use crate::journey::Answer;

/// Largest head of an answer.
pub(super) const HEAD_BYTES_MAX: u32 = 256 << 10;
/// Times that hyper is polled again at once because it asked for it, before other tasks get their turn.
const ROUNDS_MAX: usize = 8;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
    nudges: Nudges,
    marks: Rc<Marks>,
    /// The head of the current answer has arrived.
    has_head: bool,
    is_complete: bool,
    /// Counts it as open.
    _open: OpenCount,
}

/// hyper's side of the connection, boxed since a connection is moved often; `None` once it has ended.
#[derive(Debug)]
struct Driver(Option<Box<http1::Connection<Wire, Full<Bytes>>>>);

/// Whether the parts of a connection have asked to be polled again.
#[derive(Debug)]
struct Nudges {
    note: Arc<Note>,
    /// Leaves the note.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Note(AtomicBool);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Nudges {
    fn new() -> Self {
        let note = Arc::<Note>::default();
        Self {
            waker: Waker::from(Arc::clone(&note)),
            note,
        }
    }

    fn clear(&self) -> bool {
        // Everything happens on one thread: a swap would be a locked instruction for nothing.
        let is_set = self.note.0.load(Ordering::Relaxed);
        self.note.0.store(false, Ordering::Relaxed);
        is_set
    }

    /// Polls the parts until they are ready or wait for the socket, which wakes the task of `cx`.
    fn poll<T>(
        &self,
        marks: &Marks,
        cx: &mut Context<'_>,
        mut parts: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        marks.wake(cx.waker());
        self.clear();
        for _ in 0..ROUNDS_MAX {
            let polled = parts(&mut Context::from_waker(&self.waker));
            if polled.is_ready() || !self.clear() {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Why a connection gave no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// It was closed before anything of the request was written: here it is again.
    Unsent(Box<Request<Full<Bytes>>>),
    Broken(Broken),
}

impl From<FailKind> for SendError {
    fn from(kind: FailKind) -> Self {
        Self::Broken(Broken::Failed(kind))
    }
}

/// One open connection among those counted.
#[derive(Debug)]
pub(super) struct OpenCount(Rc<Open>);

impl OpenCount {
    pub(super) fn new(open: Rc<Open>) -> Self {
        open.count.set(open.count.get() + 1);
        Self(open)
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.lost.notify_one();
    }
}

impl Connection {
    /// Speaks HTTP/1.1 over `socket`.
    pub(super) async fn over(socket: Socket, open: OpenCount) -> Result<Self, FailKind> {
        let marks = Rc::new(Marks::default());
        let wire = Wire::new(socket, Rc::clone(&marks));
        // A request is small: copied into one buffer it is cheaper to send than as a list of parts.
        let handshake = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX as usize)
            .writev(false)
            .handshake(wire)
            .await;
        let (sender, driver) = handshake.map_err(|_| FailKind::ConnectOther)?;
        Ok(Self {
            sender,
            driver: Driver(Some(Box::new(driver))),
            nudges: Nudges::new(),
            marks,
            has_head: false,
            is_complete: false,
            _open: open,
        })
    }

    /// Sends `request` and reads the answer to its end.
    pub(super) async fn exchange(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
        reads_body: bool,
    ) -> Result<Answer, SendError> {
        self.marks.reset();
        (self.has_head, self.is_complete) = (false, false);
        let (head, body) = self.head_of_answer(request).await?.into_parts();
        self.has_head = true;
        self.marks.end_head();
        let body = self.read(body, reads_body).await?;
        self.is_complete = true;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    async fn head_of_answer(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut response = pin!(self.sender.try_send_request(*request));
        let (driver, nudges, marks) = (&mut self.driver, &self.nudges, &self.marks);
        let result = poll_fn(|cx| {
            nudges.poll(marks, cx, |cx| {
                driver.poll(cx);
                response.as_mut().poll(cx)
            })
        });
        result.await.map_err(|error| self.send_error(error))
    }

    fn send_error(&self, mut error: TrySendError<Request<Full<Bytes>>>) -> SendError {
        match error.take_message() {
            Some(request) if self.marks.written_ns().is_none() => {
                SendError::Unsent(Box::new(request))
            }
            Some(_) | None => failure::of_exchange(error.error()).into(),
        }
    }

    /// Stamps of the exchange that was last begun.
    pub(super) fn stamps(&self) -> Stamps {
        Stamps {
            written_ns: self.marks.written_ns(),
            first_byte_ns: self.marks.first_read_ns().filter(|_| self.has_head),
            last_byte_ns: self.marks.last_read_ns().filter(|_| self.is_complete),
        }
    }

    /// Whether another request can be sent, as far as hyper knows. That the peer has closed the
    /// connection since shows when it is used, before anything is written.
    pub(super) fn is_ready(&self) -> bool {
        self.driver.0.is_some() && self.sender.is_ready()
    }

    /// The same after a look at the socket.
    ///
    /// The waker that does nothing also replaces that of a task that has ended.
    pub(super) fn is_usable(&mut self) -> bool {
        self.marks.wake(Waker::noop());
        self.driver
            .poll(&mut Context::from_waker(&self.nudges.waker));
        self.is_ready()
    }

    /// Reads the body to its end and keeps it if asked to.
    async fn read(&mut self, body: Incoming, keeps: bool) -> Result<Bytes, FailKind> {
        let mut body = pin!(body);
        let mut intake = Intake::new(keeps);
        let (driver, nudges, marks) = (&mut self.driver, &self.nudges, &self.marks);
        while !body.is_end_stream() {
            let frame =
                poll_fn(|cx| nudges.poll(marks, cx, |cx| driver.poll_body(body.as_mut(), cx)));
            let Some(frame) = frame.await else { break };
            let Ok(data) = frame
                .map_err(|error| failure::of_exchange(&error))?
                .into_data()
            else {
                continue;
            };
            intake.take(data)?;
        }
        Ok(intake.end())
    }
}

impl Driver {
    /// Lets the connection do what it can. An ended one is dropped at once: that answers the request it still holds.
    fn poll(&mut self, cx: &mut Context<'_>) {
        if self
            .0
            .as_mut()
            .is_some_and(|driver| Pin::new(driver).poll(cx).is_ready())
        {
            self.0 = None;
        }
    }

    /// The body asks before the driver is polled, since hyper reads only what was asked for, and again after.
    fn poll_body(
        &mut self,
        mut body: Pin<&mut Incoming>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<BodyFrame>> {
        let frame = body.as_mut().poll_frame(cx);
        if frame.is_ready() {
            return frame;
        }
        self.poll(cx);
        body.as_mut().poll_frame(cx)
    }
}

type BodyFrame = Result<http_body::Frame<Bytes>, hyper::Error>;
