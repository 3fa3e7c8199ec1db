//! Carries bytes between two connections until both directions have ended.
//!
//! Bytes go from one socket to the other within one turn of the task, through a buffer that all
//! connections share: a message costs one `recv` and one `send`, no allocation, and no wait in between.
//! Invariant: the end of one side becomes the same end of the other: a FIN stays a FIN (the other
//! direction goes on), anything broken becomes a reset. Bytes that cannot be passed on at once are
//! at most one chunk for each direction; nothing more is read before they are gone.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes moved at a time.
const CHUNK: usize = 32 * 1024;
/// Most chunks moved in one direction before other connections get their turn: with more, a large
/// transfer is felt in the latency of all others.
const TURN: usize = 4;

thread_local! {
    /// One buffer serves all connections of a thread: it is filled and emptied without a pause.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into_boxed_slice());
}

/// Bytes carried, since the edge was opened.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// From the caller.
    pub(crate) inward: AtomicU64,
    /// To the caller.
    pub(crate) outward: AtomicU64,
}

/// Carries both directions; an error means that one side broke and both must be reset.
pub(crate) async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    carried: &Carried,
) -> io::Result<()> {
    let mut inward = Way::default();
    let mut outward = Way::default();
    poll_fn(|context| {
        let inward = inward.carry(context, client, server, &carried.inward)?;
        let outward = outward.carry(context, server, client, &carried.outward)?;
        ready!(inward);
        outward.map(Ok)
    })
    .await
}

/// Ends a connection with a reset, so that the other side sees at once that it failed.
pub(crate) fn reset(stream: TcpStream) {
    if let Err(source) = stream.set_zero_linger() {
        tracing::debug!(%source, "no reset on this connection, it is closed instead");
    }
    drop(stream);
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Read, but the receiver had no room for it yet. Empty nearly always, and then no allocation.
    rest: Vec<u8>,
    /// Of `rest`, passed on since.
    gone: usize,
    /// The end was read.
    ended: bool,
    /// The end was passed on.
    over: bool,
}

impl Way {
    /// Moves what can be moved now; ready when the end has been passed on.
    fn carry(
        &mut self,
        context: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            if self.over {
                return Poll::Ready(Ok(()));
            }
            ready!(self.flush(context, to, count))?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                self.over = true;
            } else {
                ready!(self.shift(context, from, to, count))?;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Passes on what is left of the last chunk.
    fn flush(
        &mut self,
        context: &mut Context<'_>,
        to: &mut TcpStream,
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        while self.gone < self.rest.len() {
            let more = ready!(Pin::new(&mut *to).poll_write(context, &self.rest[self.gone..]))?;
            count.fetch_add(more as u64, Ordering::Relaxed);
            self.gone += more;
        }
        if self.gone > 0 {
            // A slow receiver does not keep the memory that it once needed.
            (self.rest, self.gone) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Moves one chunk, and keeps what the receiver has no room for.
    fn shift(
        &mut self,
        context: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        count: &AtomicU64,
    ) -> Poll<io::Result<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut chunk = ReadBuf::new(scratch);
            // A read that does not fill the buffer tells the runtime that the socket is empty, so
            // that no further `recv` is spent to find that out; `try_read` would spend it.
            ready!(Pin::new(from).poll_read(context, &mut chunk))?;
            let bytes = chunk.filled();
            if bytes.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let moved = match Pin::new(to).poll_write(context, bytes)? {
                Poll::Ready(moved) => moved,
                Poll::Pending => 0,
            };
            count.fetch_add(moved as u64, Ordering::Relaxed);
            self.rest.extend_from_slice(&bytes[moved..]);
            Poll::Ready(Ok(()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Two ends of a loopback connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let near = TcpStream::connect(address).await.expect("a connection");
        (near, listener.accept().await.expect("a connection").0)
    }

    /// Writes until the connection takes no more; gives how much that was.
    async fn fill(stream: &TcpStream) -> usize {
        stream.writable().await.expect("open");
        let (sevens, mut filled) = (vec![7; CHUNK], 0);
        while let Ok(more) = stream.try_write(&sevens) {
            filled += more;
        }
        filled
    }

    #[tokio::test]
    async fn a_large_transfer_lets_others_have_their_turn() {
        let (caller, mut client) = pair().await;
        let (mut server, _callee) = pair().await;
        assert!(fill(&caller).await > 2 * TURN * CHUNK, "too small a test");
        client.readable().await.expect("open");
        let (mut way, count) = (Way::default(), AtomicU64::new(0));
        let polled =
            poll_fn(|context| Poll::Ready(way.carry(context, &mut client, &mut server, &count)));
        assert!(polled.await.is_pending());
        let moved = count.load(Ordering::Relaxed);
        assert_eq!(moved, (TURN * CHUNK) as u64);
    }

    #[tokio::test]
    async fn what_the_receiver_has_no_room_for_is_one_chunk_and_is_kept_whole() {
        let (caller, mut client) = pair().await;
        let (mut server, callee) = pair().await;
        let full = fill(&server).await;
        assert!(fill(&caller).await > CHUNK, "too small a test");
        client.readable().await.expect("open");
        let (mut way, count) = (Way::default(), AtomicU64::new(0));
        // The kernel may find room for a little more after it said that there was none.
        while way.rest.is_empty() {
            let polled = poll_fn(|context| {
                Poll::Ready(way.carry(context, &mut client, &mut server, &count))
            });
            assert!(polled.await.is_pending());
        }
        assert!(way.rest.len() <= CHUNK, "{way:?}");
        let kept = way.rest.len() - way.gone;
        let mut sink = vec![0; CHUNK];
        let mut taken = 0;
        // The callee takes what filled its way, and then gets the rest of the chunk.
        while taken < full + usize::try_from(count.load(Ordering::Relaxed)).expect("small") {
            callee.readable().await.expect("open");
            taken += callee.try_read(&mut sink).unwrap_or(0);
        }
        poll_fn(|context| way.flush(context, &mut server, &count))
            .await
            .expect("room again");
        assert_eq!((way.rest.capacity(), way.gone), (0, 0));
        assert!(count.load(Ordering::Relaxed) >= kept as u64);
    }
}
