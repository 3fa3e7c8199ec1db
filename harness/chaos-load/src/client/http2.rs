//! HTTP/2: one connection, which a task of its own drives, and its streams as lanes.
//!
//! Where the stamps come from: a request counts as *written* at the first write to the socket after
//! its head was handed over (a body beyond the peer's window goes out later, so its upload counts as
//! the target's time); *first byte* and *last byte* are the last read of the socket before the
//! stream's task saw its head and the end of its body. Streams that share a read share its instant.
//! Invariant: what goes wrong on one stream leaves the others alone; a connection from which nothing
//! came while a request waited out its limit gets no new ones.

mod tap;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, Parts, Uri};
use http::{HeaderValue, Request};
use http_body::Body;
use http_body_util::Full;
use tokio::task::AbortHandle;

use self::tap::{Marks, Tap};
use super::body::Intake;
use super::failure;
use super::http1::{HEAD_BYTES_MAX, OpenCount, SendError};
use super::socket::Socket;
use super::transport::Origin;
use super::{Reads, Stamps};
use crate::journey::Answer;

/// What a peer may send unasked: on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// What HTTP/2 has no place for (RFC 9113, section 8.2.2).
const OF_HTTP1: [HeaderName; 4] = [CONNECTION, TRANSFER_ENCODING, UPGRADE, TE];

/// One stream at a time of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    sender: SendRequest<Bytes>,
    shared: Rc<Shared>,
    /// Set by the connection when the current request goes out; 0 before.
    written_ns: Rc<Cell<u64>>,
    first_byte_ns: Option<u64>,
    last_byte_ns: Option<u64>,
}

/// What the lanes of one connection share.
#[derive(Debug)]
struct Shared {
    marks: Rc<Marks>,
    origin: Origin,
    /// Nothing came from it while a request waited out its limit.
    is_mute: Cell<bool>,
    driver: AbortHandle,
}

impl Drop for Shared {
    /// The last lane is gone: nobody waits for anything of this connection any more.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Speaks HTTP/2 over `socket`: waits for the peer's settings, then gives at most `streams_max` lanes.
pub(super) async fn open(
    socket: Socket,
    streams_max: usize,
    origin: &Origin,
    open: OpenCount,
) -> Result<Vec<Lane>, FailKind> {
    let marks = Rc::new(Marks::default());
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_max_send_streams(0)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake::<_, Bytes>(Tap::new(socket, Rc::clone(&marks)))
        .await
        .map_err(|error| failure::of_http2(&error))?;
    let allowed = poll_fn(|cx| settings(&mut connection, cx)).await?;
    let driver = tokio::task::spawn_local(async move {
        // How it ended is told to each of its streams.
        drop(connection.await);
        drop(open);
    });
    let shared = Rc::new(Shared {
        marks,
        origin: origin.clone(),
        is_mute: Cell::new(false),
        driver: driver.abort_handle(),
    });
    let lane = || Lane {
        sender: sender.clone(),
        shared: Rc::clone(&shared),
        written_ns: Rc::default(),
        first_byte_ns: None,
        last_byte_ns: None,
    };
    Ok((0..streams_max.min(allowed)).map(|_| lane()).collect())
}

/// How many streams the peer allows, once it has said so. One that allows none may allow some later.
fn settings(
    connection: &mut Connection<Tap, Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, FailKind>> {
    if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
        let kind = |error: h2::Error| failure::of_http2(&error);
        return Poll::Ready(Err(ended.err().map_or(FailKind::Reset, kind)));
    }
    match connection.max_concurrent_send_streams() {
        0 => Poll::Pending,
        allowed => Poll::Ready(Ok(allowed)),
    }
}

impl Lane {
    pub(super) async fn exchange(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
        reads: Reads,
    ) -> Result<Answer, SendError> {
        self.forget();
        let ready = poll_fn(|cx| self.sender.poll_ready(cx)).await;
        if ready.is_err() {
            return Err(SendError::Unsent(request));
        }
        let (head, body) = self.head_and_body(*request)?;
        let ended = body.is_empty();
        let sent = self.sender.send_request(head, ended);
        let (answer, mut upload) = sent.map_err(|error| failure::of_http2(&error))?;
        if !ended {
            let sent = upload.send_data(body, true);
            sent.map_err(|error| failure::of_http2(&error))?;
        }
        self.shared.marks.await_write(&self.written_ns);
        let answer = answer.await.map_err(|error| failure::of_http2(&error))?;
        self.first_byte_ns = self.shared.marks.read_ns();
        let (head, body) = answer.into_parts();
        let body = read(body, reads.body).await?;
        self.last_byte_ns = self.shared.marks.read_ns();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            request: None,
        })
    }

    /// Forgets the exchange before. A stamp that its connection still holds is left to it.
    fn forget(&mut self) {
        if Rc::strong_count(&self.written_ns) > 1 {
            self.written_ns = Rc::default();
        }
        self.written_ns.set(0);
        (self.first_byte_ns, self.last_byte_ns) = (None, None);
    }

    /// The request as HTTP/2 has it: no `host`, nothing about the connection, a scheme and an authority.
    fn head_and_body(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Request<()>, Bytes), FailKind> {
        let (mut head, body) = request.into_parts();
        let body = whole(body);
        // A look costs less than taking out what is hardly ever there.
        if head.headers.keys().any(|name| OF_HTTP1.contains(name)) {
            for name in OF_HTTP1 {
                head.headers.remove(name);
            }
        }
        let mut parts = Parts::default();
        parts.authority = Some(self.authority(&mut head.headers)?);
        parts.scheme = Some(self.shared.origin.scheme.clone());
        parts.path_and_query = head.uri.path_and_query().cloned();
        head.uri = Uri::from_parts(parts).map_err(|_| FailKind::Protocol)?;
        if !body.is_empty() && !head.headers.contains_key(CONTENT_LENGTH) {
            let length = HeaderValue::from(body.len());
            head.headers.insert(CONTENT_LENGTH, length);
        }
        Ok((Request::from_parts(head, ()), body))
    }

    fn authority(&self, headers: &mut HeaderMap) -> Result<Authority, FailKind> {
        let origin = &self.shared.origin;
        match headers.remove(HOST) {
            Some(host) if host != origin.host => {
                Authority::try_from(host.as_bytes()).map_err(|_| FailKind::Protocol)
            }
            Some(_) | None => Ok(origin.authority.clone()),
        }
    }

    pub(super) fn stamps(&self) -> Stamps {
        Stamps {
            written_ns: Some(self.written_ns.get()).filter(|ns| *ns != 0),
            first_byte_ns: self.first_byte_ns,
            last_byte_ns: self.last_byte_ns,
        }
    }

    pub(super) fn is_usable(&mut self) -> bool {
        let ready = self
            .sender
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        self.is_ready() && matches!(ready, Poll::Ready(Ok(())))
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.shared.is_mute.get() && !self.shared.driver.is_finished()
    }

    /// A stream that is given up is reset by being dropped; the connection goes on unless nothing at
    /// all has come from it since the request was written.
    pub(super) fn outlives_failure(&self, is_late: bool) -> bool {
        let written_ns = self.written_ns.get();
        if is_late && self.shared.marks.read_ns().unwrap_or(0) < written_ns {
            self.shared.is_mute.set(true);
        }
        self.is_ready()
    }
}

/// All of a body that is in memory already.
fn whole(body: Full<Bytes>) -> Bytes {
    let mut body = pin!(body);
    match body
        .as_mut()
        .poll_frame(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Poll::Ready(_) | Poll::Pending => Bytes::new(),
    }
}

/// Reads the body to its end and keeps it if asked to.
async fn read(mut body: RecvStream, keeps: bool) -> Result<Bytes, FailKind> {
    let mut intake = Intake::new(keeps);
    if body.is_end_stream() {
        return Ok(intake.end());
    }
    while let Some(part) = body.data().await {
        let part = match part {
            Ok(part) => part,
            // The peer has said all it has to say and wants no more of the request (RFC 9113, section 8.1).
            Err(error) if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() => break,
            Err(error) => return Err(failure::of_http2(&error)),
        };
        intake.take(&part)?;
        // Nothing follows, no trailers either, and the end of the stream gives its window back.
        if body.is_end_stream() {
            return Ok(intake.end());
        }
        let released = body.flow_control().release_capacity(part.len());
        released.map_err(|error| failure::of_http2(&error))?;
    }
    // Trailers are read so that the stream is at its end; nothing here looks into them.
    body.trailers()
        .await
        .map_err(|error| failure::of_http2(&error))?;
    Ok(intake.end())
}
