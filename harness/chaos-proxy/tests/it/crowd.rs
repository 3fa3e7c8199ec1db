//! Many connections, and much in flight on them.

use std::net::TcpStream as Blocking;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::bench::{Proxy, connect, echo, greeted, soon};

/// What slow readers get, in bytes for each.
const LENGTH: usize = 8 << 20;
const SLOW_READERS: usize = 16;
/// Taken by every reader between two turns of the proxy: far less than the proxy could move.
const SIP: usize = 64 << 10;

#[tokio::test]
async fn a_burst_waits_to_be_accepted_and_is_not_dropped() {
    // More than the 128 that a listener's queue usually holds.
    const BURST: usize = 300;
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let api = echo("a").await;
    proxy.route("api", &[("api-1", api)]).await;
    // Nothing yields here, so the proxy, which runs on this thread, accepts none of them meanwhile;
    // a connection that the kernel dropped would come again only after a second.
    let waiting: Vec<Blocking> = (0..BURST)
        .map(|_| Blocking::connect_timeout(&address, Duration::from_millis(900)))
        .collect::<Result<_, _>>()
        .expect("room in the queue");
    soon(async { while proxy.stats().await[0].accepted < BURST as u64 {} }).await;
    drop(waiting);
    assert_eq!(greeted(address).await.1, "a");
}

#[tokio::test]
async fn readers_that_are_slow_cost_no_memory() {
    let mut proxy = Proxy::start();
    let address = proxy.listen("front-1", "api").await;
    let callee = narrow();
    let to = callee.local_addr().expect("an address");
    proxy.route("api", &[("api-1", to)]).await;
    let mut readers = Vec::new();
    let mut writers = JoinSet::new();
    for _ in 0..SLOW_READERS {
        let client = connect(address).await;
        writers.spawn(pour(client));
        readers.push(soon(callee.accept()).await.expect("a connection").0);
    }
    let (mut taken, mut most) = (0, 0);
    let before = resident();
    let mut sip = vec![0; SIP];
    while taken < SLOW_READERS * LENGTH {
        for reader in &mut readers {
            taken += soon(reader.read(&mut sip)).await.expect("bytes");
        }
        proxy.stats().await;
        most = most.max(resident().saturating_sub(before));
    }
    soon(writers.join_all()).await;
    // All that was poured is 128 MiB, the proxy's own share two chunks of 32 KiB a connection; the
    // rest of the bound is for the other tests that run in this process.
    assert!(most < 40 << 20, "{most} bytes more than before");
}

/// A listener whose connections hold little in the kernel, so that the rest is the proxy's problem.
fn narrow() -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("an option");
    let any = "127.0.0.1:0".parse().expect("an address");
    socket.bind(any).expect("a port");
    socket.listen(64).expect("a listener")
}

async fn pour(mut client: TcpStream) {
    static DROP: [u8; 64 << 10] = [7; 64 << 10];
    for _ in 0..LENGTH / DROP.len() {
        client.write_all(&DROP).await.expect("open");
    }
    client.shutdown().await.expect("half closed");
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = status
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * rustix::param::page_size()
}
