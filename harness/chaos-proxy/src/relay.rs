//! Carries bytes between two connections until both directions have ended.
//!
//! Invariant: the end of one side becomes the same end of the other: a FIN stays a FIN (the other
//! direction goes on), anything broken becomes a reset. Bytes that cannot be passed on at once are
//! at most one chunk for each direction; nothing more is read before they are gone.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::coop::consume_budget;

/// Most bytes moved at a time.
const CHUNK: usize = 32 * 1024;

thread_local! {
    /// One buffer serves all connections of a thread: it is filled and emptied without a pause.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
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
    let (from_client, mut to_client) = client.split();
    let (from_server, mut to_server) = server.split();
    let inward = pump(&from_client, &mut to_server, &carried.inward);
    let outward = pump(&from_server, &mut to_client, &carried.outward);
    tokio::try_join!(inward, outward)?;
    Ok(())
}

/// Ends a connection with a reset, so that the other side sees at once that it failed.
pub(crate) fn reset(stream: TcpStream) {
    if let Err(source) = stream.set_zero_linger() {
        tracing::debug!(%source, "no reset on this connection, it is closed instead");
    }
    drop(stream);
}

async fn pump(from: &ReadHalf<'_>, to: &mut WriteHalf<'_>, count: &AtomicU64) -> io::Result<()> {
    loop {
        from.readable().await?;
        match shift(from, to)? {
            Shifted::Nothing => {}
            Shifted::End => return to.shutdown().await,
            Shifted::Bytes { moved, rest } => {
                to.write_all(&rest).await?;
                count.fetch_add(moved as u64 + rest.len() as u64, Ordering::Relaxed);
            }
        }
        consume_budget().await;
    }
}

enum Shifted {
    /// Woken for nothing.
    Nothing,
    End,
    /// `rest` was read but could not be written yet; empty nearly always, and then no allocation.
    Bytes {
        moved: usize,
        rest: Vec<u8>,
    },
}

fn shift(from: &ReadHalf<'_>, to: &WriteHalf<'_>) -> io::Result<Shifted> {
    SCRATCH.with_borrow_mut(|scratch| {
        let read = match from.try_read(scratch) {
            Ok(0) => return Ok(Shifted::End),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Shifted::Nothing),
            Err(error) => return Err(error),
        };
        let moved = match to.try_write(&scratch[..read]) {
            Ok(moved) => moved,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        Ok(Shifted::Bytes {
            moved,
            rest: scratch[moved..read].to_vec(),
        })
    })
}
