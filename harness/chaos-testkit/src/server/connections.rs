//! The server's thread: accepts, answers by the law, opens and closes its port.
//!
//! Invariant: a request is in the log before anything else is done about it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::Rng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{DRAWN, Law, MEASURED, Reply, Served, Settings, Version, Window, delays};
use crate::now_ns;

/// What every connection needs.
pub(super) struct Shared {
    settings: Settings,
    tls: Option<TlsAcceptor>,
    log: Arc<Mutex<Vec<Served>>>,
    chance: Mutex<Box<dyn Rng + Send>>,
    /// When the one before is ready, if they are served one after the other.
    busy_until_ns: AtomicU64,
}

impl Shared {
    pub(super) fn new(settings: Settings, log: Arc<Mutex<Vec<Served>>>) -> Arc<Self> {
        let chance: Box<dyn Rng + Send> = Box::new(delays(settings.seed));
        let tls = settings
            .certificate
            .as_ref()
            .map(|certificate| TlsAcceptor::from(certificate.config(settings.version)));
        Arc::new(Self {
            settings,
            tls,
            log,
            chance: Mutex::new(chance),
            busy_until_ns: AtomicU64::new(0),
        })
    }

    fn log(&self) -> MutexGuard<'_, Vec<Served>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request and returns its number and the instant its answer may be ready.
    fn arrived(&self, mut served: Served) -> (usize, u64) {
        let mut log = self.log();
        let delay = self
            .settings
            .law
            .draw(&mut **self.chance.lock().unwrap_or_else(PoisonError::into_inner));
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX / 2);
        let begin_ns = match self.settings.law {
            // The log is locked: they arrive one after the other.
            Law::Queue { .. } => served
                .arrived_ns
                .max(self.busy_until_ns.load(Ordering::Relaxed)),
            _ => served.arrived_ns,
        };
        let ready_ns = begin_ns + delay_ns;
        self.busy_until_ns.store(ready_ns, Ordering::Relaxed);
        served.drawn = delay;
        log.push(served);
        (log.len() - 1, ready_ns)
    }
}

/// Runs until told to stop; blocks the calling thread.
pub(super) fn serve(
    listener: std::net::TcpListener,
    shared: &Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = listen(listener, shared) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    });
}

async fn listen(listener: std::net::TcpListener, shared: &Arc<Shared>) {
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    let mut connections = JoinSet::new();
    let listener = TcpListener::from_std(listener).expect("a listener that does not block");
    let Some(Window { from_ns, until_ns }) = shared.settings.refuse else {
        return accept(&listener, shared, &mut connections).await;
    };
    tokio::select! {
        () = accept(&listener, shared, &mut connections) => {}
        () = sleep_until(from_ns) => {}
    }
    drop(listener);
    connections.shutdown().await;
    sleep_until(until_ns).await;
    let listener = TcpListener::bind(address)
        .await
        .expect("the port that was ours");
    accept(&listener, shared, &mut connections).await;
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections: &mut JoinSet<()>) {
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                drop(connections.spawn(connection(stream, Arc::clone(shared))));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // Small answers must not wait for the peer's acknowledgement; an error shows up in the exchange.
    drop(stream.set_nodelay(true));
    let Some(tls) = &shared.tls else {
        let version = shared.settings.version;
        return speak(stream, version, shared).await;
    };
    // A client that breaks off, or believes nobody, is nothing to this server.
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        Some(_) | None => Version::Http1,
    };
    speak(stream, version, shared).await;
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    shared: Arc<Shared>,
) {
    let (stream, streams) = (TokioIo::new(stream), shared.settings.streams);
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    if version == Version::Http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(streams)
            .serve_connection(stream, service);
        drop(pin!(connection).await);
    } else {
        let connection = http1::Builder::new().serve_connection(stream, service);
        drop(pin!(connection).await);
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let arrived_ns = now_ns();
    let (head, body) = request.into_parts();
    let header = |name| {
        let value = head.headers.get(name)?.to_str();
        value.ok().map(str::to_owned)
    };
    let served = Served {
        method: head.method.to_string(),
        path: head
            .uri
            .path_and_query()
            .map_or_else(String::new, |path| path.as_str().to_owned()),
        tag: header("x-tag"),
        traceparent: header("traceparent"),
        body: body
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default(),
        arrived_ns,
        answered_ns: 0,
        drawn: Duration::ZERO,
        is_http2: head.version == hyper::Version::HTTP_2,
    };
    let reply_to = served.clone();
    let (number, ready_ns) = shared.arrived(served);
    sleep_until(ready_ns).await;
    if let Some(stall) = shared.settings.stall.filter(|stall| stall.holds(now_ns())) {
        sleep_until(stall.until_ns).await;
    }
    let Reply {
        status,
        headers,
        body,
    } = (shared.settings.answer)(&reply_to, number as u64);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let answered_ns = now_ns();
    let drawn = {
        let served = &mut shared.log()[number];
        served.answered_ns = answered_ns;
        served.drawn
    };
    let measured = Duration::from_nanos(answered_ns - arrived_ns);
    Ok(response
        .header(DRAWN, drawn.as_micros().to_string())
        .header(MEASURED, measured.as_micros().to_string())
        .body(Full::from(body))
        .expect("a test's reply is valid HTTP"))
}

/// Sleeps until an instant of the raw clock; tokio's timer makes it up to a millisecond or two later.
async fn sleep_until(at_ns: u64) {
    let left = at_ns.saturating_sub(now_ns());
    if left > 0 {
        tokio::time::sleep(Duration::from_nanos(left)).await;
    }
}
