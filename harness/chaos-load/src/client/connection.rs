//! One connection: hyper's sender and its driver, polled together by whoever holds it.
//!
//! Invariant: while nobody holds it nothing polls it, so it makes no progress and wakes no one.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use chaos_record::outcome::FailKind;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::net::TcpStream;

use super::failure;
use super::wire::{Marks, Wire};
use super::{Broken, Stamps};
use crate::journey::Answer;

/// Largest body that is kept for checks and extraction.
pub(crate) const KEPT_BYTES_MAX: usize = 1 << 20;
/// Largest body that is read and thrown away.
const DRAINED_BYTES_MAX: usize = 16 << 20;
/// Largest head of an answer.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Driver,
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
pub(super) struct OpenCount(Rc<Cell<u64>>);

impl OpenCount {
    pub(super) fn new(open: Rc<Cell<u64>>) -> Self {
        open.set(open.get() + 1);
        Self(open)
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Connection {
    pub(super) async fn open(socket: SocketAddr, open: OpenCount) -> Result<Self, FailKind> {
        let stream = TcpStream::connect(socket)
            .await
            .map_err(|error| failure::of_connect(&error))?;
        if is_connected_to_itself(&stream) {
            return Err(FailKind::ConnectRefused);
        }
        stream
            .set_nodelay(true)
            .map_err(|error| failure::of_connect(&error))?;
        let marks = Rc::new(Marks::default());
        let wire = Wire::new(stream, Rc::clone(&marks));
        let handshake = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(wire)
            .await;
        let (sender, driver) = handshake.map_err(|_| FailKind::ConnectOther)?;
        Ok(Self {
            sender,
            driver: Driver(Some(Box::new(driver))),
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
        let body = self.driver.read(body, reads_body).await?;
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
        let driver = &mut self.driver;
        let result = poll_fn(|cx| {
            driver.poll(cx);
            response.as_mut().poll(cx)
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

    /// Whether another request can be sent, as far as is known without waiting.
    ///
    /// The waker that does nothing also replaces that of a task that has ended.
    pub(super) fn is_usable(&mut self) -> bool {
        self.driver.poll(&mut Context::from_waker(Waker::noop()));
        self.driver.0.is_some() && self.sender.is_ready()
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

    /// Reads the body to its end and keeps it if asked to.
    async fn read(&mut self, body: Incoming, keeps: bool) -> Result<Bytes, FailKind> {
        let mut body = pin!(body);
        let (mut kept, mut bytes) = (BytesMut::new(), 0_usize);
        let bytes_max = if keeps {
            KEPT_BYTES_MAX
        } else {
            DRAINED_BYTES_MAX
        };
        while let Some(frame) = poll_fn(|cx| self.poll_body(body.as_mut(), cx)).await {
            let Ok(data) = frame
                .map_err(|error| failure::of_exchange(&error))?
                .into_data()
            else {
                continue;
            };
            bytes += data.len();
            if bytes > bytes_max {
                return Err(FailKind::Protocol);
            }
            if keeps {
                kept.extend_from_slice(&data);
            }
        }
        Ok(kept.freeze())
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

/// Linux can connect a socket to itself when it draws the very port it asks for, and nobody listens there.
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}
