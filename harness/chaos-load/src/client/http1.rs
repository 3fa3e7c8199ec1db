//! One HTTP/1.1 connection: what is sent over it, what comes back, and when.
//!
//! It is polled by whoever holds it, in that task alone: a request is bytes written, an answer bytes
//! read, without a channel or a task in between.
//! Invariant: while nobody holds it nothing polls it; it can be used again only after an answer that
//! was complete, with nothing behind it, on a connection both sides keep.

mod framing;
mod head;
mod request;

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use http::header::HeaderMap;
use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::io::AsyncWrite;

use self::framing::{Framing, Part};
use self::head::{Asked, Head};
use super::body::Intake;
use super::inbox::Inbox;
use super::pool::Open;
use super::socket::Socket;
use super::{Broken, Reads, Stamps};
use crate::clock;
use crate::journey::Answer;

pub(super) use self::head::decimal;

/// Largest head of an answer.
pub(super) const HEAD_BYTES_MAX: u32 = 256 << 10;
/// Most heads before that of the answer, such as `100 Continue`.
pub(super) const INTERIM_MAX: u8 = 32;
/// A request that grew its buffer beyond this does not keep it.
const OUTBOX_BYTES_KEPT: usize = 16 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: Socket,
    inbox: Inbox,
    /// The request, and how much of it was handed to the socket.
    outbox: Vec<u8>,
    sent: usize,
    /// A TLS session may hold what it was given.
    is_flushing: bool,
    marks: Marks,
    goes_on: bool,
    /// Counts it as open.
    _open: OpenCount,
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

/// Instants of the current exchange on the raw clock.
#[derive(Debug, Default)]
struct Marks {
    /// The last write before anything was read: the instant before the system call, since the
    /// peer may have answered by the time it returns, and the target must not look faster than it is.
    written_ns: Option<u64>,
    first_read_ns: Option<u64>,
    last_read_ns: Option<u64>,
    has_head: bool,
    is_complete: bool,
}

impl Marks {
    /// A first write is marked whatever was read before it: without a mark nothing may have left.
    fn wrote(&mut self, at_ns: u64) {
        if self.first_read_ns.is_none() || self.written_ns.is_none() {
            self.written_ns = Some(at_ns);
        }
    }

    fn read(&mut self) {
        let now_ns = clock::now_ns();
        self.first_read_ns.get_or_insert(now_ns);
        self.last_read_ns = Some(now_ns);
    }
}

/// An answer as far as it was read.
#[derive(Debug)]
struct Reading<'a> {
    asked: Asked<'a>,
    interim: u8,
    /// So many bytes were looked at already and are not all of a head.
    parsed: usize,
    status: StatusCode,
    headers: HeaderMap,
    /// Both sides keep the connection.
    goes_on: bool,
    /// `None` while the head is not complete.
    framing: Option<Framing>,
    body: Intake,
}

impl Connection {
    /// Speaks HTTP/1.1 over `socket`.
    pub(super) fn over(socket: Socket, open: OpenCount) -> Self {
        Self {
            socket,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            sent: 0,
            is_flushing: false,
            marks: Marks::default(),
            goes_on: true,
            _open: open,
        }
    }

    /// Sends `request` and reads the answer to its end.
    pub(super) async fn exchange(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
        reads: Reads,
    ) -> Result<Answer, SendError> {
        self.marks = Marks::default();
        self.goes_on = false;
        let asks_for_more = request::write(&mut self.outbox, &request);
        self.sent = 0;
        let asked = Asked {
            method: request.method(),
            keeps_headers: reads.headers,
        };
        let mut reading = Reading::new(asked, reads.body);
        let result = poll_fn(|cx| self.poll(cx, &mut reading)).await;
        let Reading {
            status,
            headers,
            body,
            ..
        } = reading;
        match result {
            Ok(()) => {
                self.goes_on &= asks_for_more;
                self.marks.is_complete = true;
                self.outbox.shrink_to(OUTBOX_BYTES_KEPT);
                Ok(Answer {
                    status,
                    headers,
                    body: body.end(),
                    request: Some(request),
                })
            }
            Err(_) if self.marks.written_ns.is_none() => Err(SendError::Unsent(request)),
            Err(kind) => Err(kind.into()),
        }
    }

    /// Goes on until the answer is complete or the socket has to be waited for.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reading: &mut Reading<'_>,
    ) -> Poll<Result<(), FailKind>> {
        if self.marks.written_ns.is_none() && self.poll_read(cx).is_ready() {
            // Closed while it was idle, or bytes that answer nothing.
            return Poll::Ready(Err(FailKind::Reset));
        }
        if self.is_sending() {
            self.poll_write(cx)?;
        }
        loop {
            if reading.take(&mut self.inbox, &mut self.marks)? {
                self.goes_on = reading.goes_on && self.inbox.is_empty() && !self.is_sending();
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(reading.end_of_stream(&self.inbox));
            }
        }
    }

    /// Not all of the request has left.
    fn is_sending(&self) -> bool {
        self.sent < self.outbox.len() || self.is_flushing
    }

    /// Hands over as much of the request as the socket takes. A peer that answers without having read
    /// it all may close its side: the answer is what counts then.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), FailKind> {
        while self.sent < self.outbox.len() {
            let at_ns = clock::now_ns();
            let rest = &self.outbox[self.sent..];
            match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Ready(Ok(bytes @ 1..)) => {
                    self.marks.wrote(at_ns);
                    self.sent += bytes;
                    self.is_flushing = true;
                }
                Poll::Ready(Ok(0) | Err(_)) if self.marks.written_ns.is_none() => {
                    return Err(FailKind::Reset);
                }
                Poll::Ready(Ok(_) | Err(_)) | Poll::Pending => break,
            }
        }
        // What does not buffer is flushed already.
        self.is_flushing &= Pin::new(&mut self.socket).poll_flush(cx).is_pending();
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, FailKind>> {
        let read = ready!(self.inbox.poll_fill(&mut self.socket, cx));
        let bytes = read.map_err(|_| FailKind::Reset)?;
        // The end of the stream is marked too: for some answers it is the end.
        self.marks.read();
        Poll::Ready(Ok(bytes))
    }

    /// Stamps of the exchange that was last begun.
    pub(super) fn stamps(&self) -> Stamps {
        let marks = &self.marks;
        Stamps {
            written_ns: marks.written_ns,
            first_byte_ns: marks.first_read_ns.filter(|_| marks.has_head),
            last_byte_ns: marks.last_read_ns.filter(|_| marks.is_complete),
        }
    }

    /// Whether another request can be sent, as far as the last answer told. That the peer has closed
    /// the connection since shows when it is used, before anything is written.
    pub(super) fn is_ready(&self) -> bool {
        self.goes_on
    }

    /// The same after a look at the socket.
    ///
    /// The waker that does nothing also replaces that of a task that has ended.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.goes_on &= self
            .inbox
            .poll_fill(&mut self.socket, &mut nobody)
            .is_pending();
        self.goes_on
    }
}

impl<'a> Reading<'a> {
    fn new(asked: Asked<'a>, reads_body: bool) -> Self {
        Self {
            asked,
            interim: 0,
            parsed: 0,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            goes_on: false,
            framing: None,
            body: Intake::new(reads_body),
        }
    }

    /// Takes what has arrived; true if the answer is complete.
    fn take(&mut self, inbox: &mut Inbox, marks: &mut Marks) -> Result<bool, FailKind> {
        while self.framing.is_none() {
            let parsed = if inbox.may_end_head(self.parsed) {
                head::parse(inbox.bytes(), self.asked)?
            } else {
                None
            };
            let Some((length, head)) = parsed else {
                self.parsed = inbox.bytes().len();
                return if self.parsed < HEAD_BYTES_MAX as usize {
                    Ok(false)
                } else {
                    Err(FailKind::TooLarge)
                };
            };
            inbox.done(length);
            self.head(head, inbox, marks)?;
        }
        self.rest(inbox)
    }

    fn head(&mut self, head: Head, inbox: &Inbox, marks: &mut Marks) -> Result<(), FailKind> {
        self.parsed = 0;
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim += 1;
            if inbox.bytes().is_empty() {
                marks.first_read_ns = None;
            }
            return if self.interim <= INTERIM_MAX {
                Ok(())
            } else {
                Err(FailKind::TooLarge)
            };
        }
        marks.has_head = true;
        self.status = head.status;
        self.headers = head.headers;
        self.goes_on = head.goes_on;
        self.framing = Some(head.framing);
        Ok(())
    }

    fn rest(&mut self, inbox: &mut Inbox) -> Result<bool, FailKind> {
        let Some(framing) = &mut self.framing else {
            return Ok(false);
        };
        loop {
            let done = match framing.take(inbox.bytes())? {
                Part::Data(done, data) => {
                    self.body.take(data)?;
                    done
                }
                Part::End(done) => {
                    inbox.done(done);
                    return Ok(true);
                }
                Part::More => {
                    inbox.clear();
                    return Ok(false);
                }
            };
            inbox.done(done);
        }
    }

    /// The connection has ended: an answer only if its body ends with it.
    fn end_of_stream(&self, inbox: &Inbox) -> Result<(), FailKind> {
        match &self.framing {
            Some(framing) if framing.ends_with_connection() => Ok(()),
            Some(_) => Err(FailKind::Reset),
            // Half a head is a connection that broke; what could never become one is no HTTP.
            None => head::parse(inbox.bytes(), self.asked).and(Err(FailKind::Reset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use chaos_plan::plan::HttpVersion;
    use chaos_testkit::patience::patience;
    use chaos_testkit::server::{Certificate, Version};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector, server};

    use super::*;
    use crate::client::tls::Tls;

    /// More than the sockets take at once, and no more than a session does.
    const BODY_BYTES: usize = 60 << 10;

    fn small() -> TcpSocket {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_send_buffer_size(4 << 10).expect("a size");
        socket.set_recv_buffer_size(4 << 10).expect("a size");
        socket
    }

    /// Our side of a TLS session over sockets that take little, and the peer's.
    async fn narrow() -> (Socket, server::TlsStream<TcpStream>) {
        let listener = small();
        listener
            .bind(([127, 0, 0, 1], 0).into())
            .expect("a free port");
        let listener = listener.listen(1).expect("a listener");
        let address = listener.local_addr().expect("bound");
        let ours = small().connect(address).await.expect("a listener");
        let (theirs, _) = listener.accept().await.expect("it was dialled");
        let certificate = Certificate::of(&["127.0.0.1"]);
        let acceptor = TlsAcceptor::from(certificate.config(Version::Http1));
        let tls = Tls::new("127.0.0.1", HttpVersion::Http1, true).expect("a name");
        let connector = TlsConnector::from(tls.config);
        let (ours, theirs) =
            tokio::join!(connector.connect(tls.name, ours), acceptor.accept(theirs));
        let ours = Box::new(ours.expect("everyone is believed"));
        (Socket::Tls(ours), theirs.expect("a session"))
    }

    /// Reads a request that ends with `body` and answers it.
    async fn answer(peer: &mut server::TlsStream<TcpStream>, body: &[u8]) {
        let mut request = Vec::new();
        while !request.ends_with(body) {
            let read = peer.read_buf(&mut request).await;
            assert!(read.expect("more of it") > 0, "it ended early");
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        peer.write_all(answer).await.expect("room");
        peer.flush().await.expect("room");
    }

    #[tokio::test]
    async fn what_a_session_holds_leaves_once_the_peer_reads() {
        let (socket, mut peer) = narrow().await;
        let open = OpenCount::new(Rc::new(Open::default()));
        let mut connection = Connection::over(socket, open);
        let body = Bytes::from(vec![b'x'; BODY_BYTES]);
        for _ in 0..2 {
            let request = Request::post("/").header("host", "shop");
            let request = request.body(Full::new(body.clone()));
            let request = Box::new(request.expect("a request"));
            let mut exchange = pin!(connection.exchange(request, Reads::default()));
            let mut nobody = Context::from_waker(Waker::noop());
            assert!(exchange.as_mut().poll(&mut nobody).is_pending());
            let both = async { tokio::join!(exchange, answer(&mut peer, &body)) };
            let (answered, ()) = tokio::time::timeout(patience(), both)
                .await
                .expect("all of it leaves");
            assert_eq!(answered.expect("an answer").status, StatusCode::OK);
        }
        assert!(connection.is_ready());
    }
}
