//! Accepts connections, serves them, and ends in order.
//!
//! Ending: first every answer closes its connection and `/ready` says no, for a moment, so that callers
//! move away by themselves; then nothing new is accepted, what is being worked on is finished, and what
//! is left at the end of the grace is cut.
//!
//! Invariant: at most [`CONNECTIONS_MAX`] connections and so as many requests at once; the end takes at
//! most [`GRACE`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::{HeaderValue, Request, Response, header};
use axum::Router;
use axum::body::Body;
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

/// Connections served at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 1024;
/// Connections that may wait to be accepted; the kernel holds it below its own limit. With the usual 128
/// it drops the rest of a burst, and they come again a whole second later.
const QUEUE: u32 = 4096;
/// From the wish to stop until the last request is cut.
const GRACE: Duration = Duration::from_secs(7);
/// How long callers are told to move away before the door closes. A balancer asks `/ready` every 100 ms
/// and believes the third no; what it still sends here in the meantime must be answered.
const LINGER: Duration = Duration::from_secs(1);
/// How long a caller may take to send the head of a request, and an idle connection may stay.
const HEAD_LIMIT: Duration = Duration::from_mins(1);
/// The age from which a busy connection is closed, so that callers spread over new instances.
const AGE_MAX: Duration = Duration::from_secs(15);
/// The head of a request is refused from so many bytes on, and at the latest at twice as many: it is read
/// in pieces of up to this size.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The wait after a failed accept, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Taking requests.
    Serving,
    /// Still taking requests, but asking callers to move away.
    Lingering,
    /// Finishing what was begun.
    Closing,
}

/// Opens a listener that holds a burst of connections until they are accepted.
pub(crate) fn listen(place: SocketAddr) -> io::Result<TcpListener> {
    let socket = match place {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port is free again at once when its process has ended.
    socket.set_reuseaddr(true)?;
    socket.bind(place)?;
    socket.listen(QUEUE)
}

/// Serves until `stop` resolves, then ends in order; says whether all requests were finished.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    phase: watch::Sender<Phase>,
    stop: impl Future<Output = ()>,
) -> bool {
    let mut server = Server::new(router, phase.subscribe());
    server.accept_until(&listener, stop).await;
    let grace_ends = tokio::time::Instant::now() + GRACE;
    phase.send_replace(Phase::Lingering);
    server
        .accept_until(&listener, tokio::time::sleep(LINGER))
        .await;
    server.accept_waiting(&listener);
    drop(listener);
    phase.send_replace(Phase::Closing);
    tokio::time::timeout_at(grace_ends, server.finish())
        .await
        .is_ok()
}

struct Server {
    router: Router,
    phase: watch::Receiver<Phase>,
    permits: Arc<Semaphore>,
    connections: JoinSet<()>,
    accepted: u64,
}

impl Server {
    fn new(router: Router, phase: watch::Receiver<Phase>) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self {
            router,
            phase,
            permits,
            connections: JoinSet::new(),
            accepted: 0,
        }
    }

    async fn accept_until(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                (stream, permit) = accept(listener, &self.permits) => self.serve(stream, permit),
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    // Connections that are complete in the system's queue would be reset with the listener, and with
    // them requests that were sent already.
    fn accept_waiting(&mut self, listener: &TcpListener) {
        while let Some((stream, permit)) = accept(listener, &self.permits).now_or_never() {
            self.serve(stream, permit);
        }
    }

    fn serve(&mut self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        self.accepted += 1;
        let connection = Connection {
            router: self.router.clone(),
            phase: self.phase.clone(),
            // Spread, so that connections opened together do not all close together.
            close_at: Instant::now()
                + AGE_MAX
                + Duration::from_millis(self.accepted * 777 % 10_000),
            _permit: permit,
        };
        self.connections.spawn(connection.serve(stream));
    }

    async fn finish(&mut self) {
        while self.connections.join_next().await.is_some() {}
    }
}

// Dropping this future loses no connection: nothing is awaited after one was accepted.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn closing(phase: &mut watch::Receiver<Phase>) {
    // An error means that the sender is gone, and with it the server.
    drop(phase.wait_for(|phase| *phase == Phase::Closing).await);
}

struct Connection {
    router: Router,
    phase: watch::Receiver<Phase>,
    close_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        // Small answers must not wait for more; a socket that refuses is already dead.
        stream.set_nodelay(true).unwrap_or_default();
        let mut phase = self.phase.clone();
        let service = service_fn(|request| self.answer(request));
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_LIMIT)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closing(&mut phase) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let mut response = self.router.clone().oneshot(request.map(Body::new)).await?;
        if *self.phase.borrow() != Phase::Serving || Instant::now() >= self.close_at {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response)
    }
}
