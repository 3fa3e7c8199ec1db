//! HTTP/2: one connection, which a task of its own drives, and its streams as lanes.
//!
//! Where the stamps come from: a request counts as *written* at the write to the socket that took the
//! last byte of its head (a body beyond the peer's window goes out later, so its upload counts as
//! the target's time); *first byte* and *last byte* are the reads of the socket that brought the end of
//! the answer's head and of its stream. Streams that share a read share its instant.
//! Invariant: what goes wrong on one stream leaves the others alone; a connection from which nothing
//! came while a request waited out its limit gets no new ones.

mod driver;
mod frame;
mod heading;
mod hpack;
mod outbox;
mod request;
mod session;
mod stream;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use chaos_record::outcome::FailKind;
use http::Request;
use http_body_util::Full;
use tokio::task::AbortHandle;

use self::driver::{Driver, Link};
use super::http1::{OpenCount, SendError};
use super::socket::Socket;
use super::transport::Origin;
use super::{Reads, Stamps};
use crate::clock;
use crate::journey::Answer;

/// One stream at a time of a connection.
#[derive(Debug)]
pub(super) struct Lane {
    /// Which of the session's lanes it is.
    number: usize,
    shared: Rc<Shared>,
}

/// What the lanes of one connection share.
#[derive(Debug)]
struct Shared {
    link: Rc<Link>,
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
    let link = Rc::new(Link::new(origin));
    let mut driver = Driver::new(socket, Rc::clone(&link), open);
    let allowed = poll_fn(|cx| driver.poll_allowed(cx)).await?;
    let lanes = streams_max.min(allowed);
    link.session.borrow_mut().add_lanes(lanes);
    // How it ended is told to each of its streams.
    let driver = tokio::task::spawn_local(poll_fn(move |cx| driver.poll(cx)));
    let shared = Rc::new(Shared {
        link,
        is_mute: Cell::new(false),
        driver: driver.abort_handle(),
    });
    let lane = |number| Lane {
        number,
        shared: Rc::clone(&shared),
    };
    Ok((0..lanes).map(lane).collect())
}

/// An exchange that is given up unless it has come to its end.
struct Exchange<'a> {
    link: &'a Link,
    lane: usize,
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if self
            .link
            .session
            .borrow_mut()
            .give_up(self.lane, clock::now_ns())
        {
            self.link.call();
        }
    }
}

impl Lane {
    pub(super) async fn exchange(
        &mut self,
        request: Box<Request<Full<Bytes>>>,
        reads: Reads,
    ) -> Result<Answer, SendError> {
        let (link, lane) = (&*self.shared.link, self.number);
        let session = &link.session;
        let _exchange = Exchange { link, lane };
        session.borrow_mut().forget(lane);
        if !poll_fn(|cx| session.borrow_mut().poll_turn(lane, cx)).await {
            return Err(SendError::Unsent(request));
        }
        session.borrow_mut().send(lane, &request, reads)?;
        link.call();
        match poll_fn(|cx| session.borrow_mut().poll_end(lane, cx)).await {
            Ok(received) => Ok(Answer {
                status: received.status,
                headers: received.headers,
                body: received.body,
                request: Some(request),
            }),
            Err(FailKind::Reset) if session.borrow().is_unsent(lane) => {
                Err(SendError::Unsent(request))
            }
            Err(kind) => Err(kind.into()),
        }
    }

    pub(super) fn stamps(&self) -> Stamps {
        self.shared.link.session.borrow().stamps(self.number)
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.shared.is_mute.get() && self.shared.link.session.borrow().is_usable()
    }

    /// A stream that is given up is reset by being dropped; the connection goes on unless nothing at
    /// all has come from it since the request was written, or it takes nothing.
    pub(super) fn outlives_failure(&self, is_late: bool) -> bool {
        let session = self.shared.link.session.borrow();
        let is_mute = if session.is_unsent(self.number) {
            self.shared.link.is_blocked.get()
        } else {
            let written_ns = session.stamps(self.number).written_ns;
            written_ns.is_some_and(|written_ns| self.shared.link.read_ns.get() < written_ns)
        };
        if is_late && is_mute {
            self.shared.is_mute.set(true);
        }
        drop(session);
        self.is_ready()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use chaos_testkit::raw::frame as bytes_of;

    use super::*;

    /// A lane of a connection whose task never runs.
    fn lane() -> Lane {
        let link = Rc::new(Link::new(&Origin::shop()));
        let mut session = link.session.borrow_mut();
        session.add_lanes(1);
        session.receive(&bytes_of((frame::SETTINGS, 0, 0), &[]), 1);
        let said = session.to_send().len();
        session.sent(said, 1);
        drop(session);
        let driver = tokio::task::spawn_local(std::future::pending::<()>());
        Lane {
            number: 0,
            shared: Rc::new(Shared {
                link,
                is_mute: Cell::new(false),
                driver: driver.abort_handle(),
            }),
        }
    }

    fn given_up(lane: &mut Lane) {
        let mut exchange = pin!(lane.exchange(Box::default(), Reads::default()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(exchange.as_mut().poll(&mut cx).is_pending());
    }

    #[test]
    fn who_had_no_turn_to_write_is_not_mute_and_who_is_full_is() {
        let runtime = tokio::runtime::LocalRuntime::new().expect("a runtime");
        runtime.block_on(async {
            let mut lane = lane();
            given_up(&mut lane);
            assert!(lane.outlives_failure(true));
            given_up(&mut lane);
            lane.shared.link.is_blocked.set(true);
            assert!(!lane.outlives_failure(true));
        });
    }
}
