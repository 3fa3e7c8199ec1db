//! One edge: the listener of one caller instance towards one callee service.
//!
//! Invariant: every accepted connection is either carried to an instance that took it, or reset
//! at once; no instance is tried twice for one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::balance::{Balance, Lease};
use crate::protocol::EdgeStats;
use crate::relay::{Carried, relay, reset};

/// Longest wait for an instance to take a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Connections that may wait to be accepted; the kernel holds it below its own limit.
const QUEUE: u32 = 4096;
/// Pause after `accept` failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all edges share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) tasks: TaskTracker,
    /// One permit for each connection the process may carry.
    pub(crate) room: Arc<Semaphore>,
}

impl Shared {
    /// Room for `connections` at a time.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            tasks: TaskTracker::new(),
            room: Arc::new(Semaphore::new(connections)),
        }
    }
}

/// An open listener; closing it ends its connections too.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    caller: String,
    callee: String,
    callees: Arc<Mutex<Balance>>,
    shared: Shared,
    stop: CancellationToken,
    accepted: AtomicU64,
    open: AtomicU64,
    retried: AtomicU64,
    refused: AtomicU64,
    carried: Carried,
}

impl Edge {
    /// Opens a listener at `at`, where port 0 is any free one; the pair names its ends.
    pub(crate) fn open(
        at: SocketAddr,
        (caller, callee): (&str, &str),
        callees: Arc<Mutex<Balance>>,
        shared: Shared,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let listener = listen(at)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            callees,
            shared,
            stop,
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            carried: Carried::default(),
        });
        inner
            .shared
            .tasks
            .spawn(accept(listener, Arc::clone(&inner)));
        Ok(Self { address, inner })
    }

    pub(crate) fn close(&self) {
        self.inner.stop.cancel();
    }

    pub(crate) fn stats(&self) -> EdgeStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        EdgeStats {
            caller: self.inner.caller.clone(),
            callee: self.inner.callee.clone(),
            accepted: read(&self.inner.accepted),
            open: read(&self.inner.open),
            retried: read(&self.inner.retried),
            refused: read(&self.inner.refused),
            bytes_in: read(&self.inner.carried.inward),
            bytes_out: read(&self.inner.carried.outward),
        }
    }
}

/// Opens a listener that holds a burst of connections until they are accepted: with the usual
/// queue of 128 the kernel drops the rest of the burst, and they come again a whole second later.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    let stop = inner.stop.clone();
    stop.run_until_cancelled(async {
        loop {
            match listener.accept().await {
                Ok((client, _)) => admit(client, &inner).await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(source) => {
                    tracing::warn!(%source, caller = inner.caller, callee = inner.callee, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
    .await;
}

/// Waits for room; meanwhile further connections wait in the kernel's queue.
async fn admit(client: TcpStream, inner: &Arc<Inner>) {
    let room = Arc::clone(&inner.shared.room)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let inner = Arc::clone(inner);
    inner.shared.tasks.clone().spawn(async move {
        let _room = room;
        inner.accepted.fetch_add(1, Ordering::Relaxed);
        inner.open.fetch_add(1, Ordering::Relaxed);
        carry(client, &inner).await;
        inner.open.fetch_sub(1, Ordering::Relaxed);
    });
}

async fn carry(mut client: TcpStream, inner: &Inner) {
    let Some(Some((mut server, _lease))) = inner.stop.run_until_cancelled(reach(inner)).await
    else {
        inner.refused.fetch_add(1, Ordering::Relaxed);
        return reset(client);
    };
    // Rules that bend this edge's traffic are to be asked here, before the first byte is carried.
    let carried = async {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        relay(&mut client, &mut server, &inner.carried).await
    };
    let ended = inner.stop.run_until_cancelled(carried).await;
    if !matches!(ended, Some(Ok(()))) {
        reset(client);
        reset(server);
    }
}

/// Connects to the first instance that takes the connection.
async fn reach(inner: &Inner) -> Option<(TcpStream, Lease)> {
    let mut tried = Vec::new();
    loop {
        let lease = inner
            .callees
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pick(&tried)?;
        if !tried.is_empty() {
            inner.retried.fetch_add(1, Ordering::Relaxed);
        }
        match timeout(CONNECT, TcpStream::connect(lease.address)).await {
            Ok(Ok(server)) => return Some((server, lease)),
            Ok(Err(source)) => {
                tracing::debug!(instance = lease.instance, %source, "failed to connect");
            }
            Err(_) => tracing::debug!(
                instance = lease.instance,
                "no connection within {CONNECT:?}"
            ),
        }
        tried.push(lease.instance.clone());
    }
}
