//! How: one worker's connections, of HTTP/1.1 or HTTP/2, and one exchange over one of them. The only
//! door to rustls.
//!
//! A request takes a slot of the pool (first come, first served), then an idle lane (a connection of
//! HTTP/1.1, a stream of HTTP/2) or a new one. A connection of HTTP/1.1 is polled in the request's own
//! task: no driver task, no wake-up in between. There are no retries: a connect that is refused fails
//! its request, as a shopper would see it, unless the plan asks for connections that are kept.
//! Invariant: never more connections than slots; a connection that did not carry its exchange to
//! the last byte is closed and never used again.

mod backoff;
mod body;
mod failure;
mod http1;
mod http2;
mod inbox;
mod keeper;
mod lane;
mod opening;
mod pool;
mod socket;
mod tls;
mod transport;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use chaos_record::outcome::{FailKind, Failures};
use http::Request;
use http_body_util::Full;
use tokio::sync::SemaphorePermit;

use self::http1::SendError;
use self::keeper::Keeper;
use self::lane::Lane;
use self::pool::Pool;
use crate::alarm::Alarms;
use crate::clock;
use crate::journey::Answer;

pub use self::tls::TlsError;
pub(crate) use self::transport::Transport;

/// How a client is made.
#[derive(Debug)]
pub(crate) struct ClientConfig {
    pub(crate) transport: Arc<Transport>,
    /// Most requests under way at once, if no connections are kept.
    pub(crate) slots: usize,
    /// Connections that are opened at once and kept.
    pub(crate) kept: Option<usize>,
    /// For the spread of what is tried again.
    pub(crate) seed: u64,
    /// Length of the limit for a connect, and for an exchange from when it is written.
    pub(crate) timeout_ns: u64,
}

/// One worker's client.
#[derive(Debug)]
pub(crate) struct Client {
    timeout_ns: u64,
    pool: Rc<Pool>,
    /// Ends what takes too long; closing it ends everything as cancelled.
    alarms: Rc<Alarms>,
    returned_ns: Cell<u64>,
}

/// One request to be sent; boxed since it passes through several futures.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Box<Request<Full<Bytes>>>,
    pub(crate) reads: Reads,
    /// Now, as the caller has just read it.
    pub(crate) now_ns: u64,
    /// Given up at this instant: patience, counted from the intended instant, is over.
    pub(crate) patience_ns: u64,
}

/// What of an answer is kept, since somebody looks into it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) headers: bool,
    /// Up to [`body::KEPT_BYTES_MAX`].
    pub(crate) body: bool,
}

/// Instants of one exchange on the raw clock, as far as it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub(crate) struct Stamps {
    /// The last byte of the request was handed to the socket. If it is not there, not even the first was.
    pub(crate) written_ns: Option<u64>,
    /// The head of the answer began to arrive.
    pub(crate) first_byte_ns: Option<u64>,
    /// The answer was complete.
    pub(crate) last_byte_ns: Option<u64>,
}

/// Why there is no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Failed(FailKind),
    /// Patience was over first.
    Shed,
    /// The run ended first.
    Cancelled,
}

/// When an exchange is given up: the timeout, and patience.
#[derive(Debug, Clone, Copy)]
struct Limits {
    limit_ns: u64,
    patience_ns: u64,
}

/// Connections so far and at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionCounts {
    pub(crate) opened: u64,
    pub(crate) open_max: u64,
    /// That were to be kept and could not be opened.
    pub(crate) failed: Failures,
}

impl Client {
    /// Must be called inside the runtime of the worker.
    pub(crate) fn new(config: ClientConfig, alarms: Rc<Alarms>) -> Self {
        let pool = Rc::new(Pool::new(config.transport, config.slots, config.kept));
        let keeper = Keeper {
            pool: Rc::clone(&pool),
            alarms: Rc::clone(&alarms),
            timeout_ns: config.timeout_ns,
            seed: config.seed,
        };
        keeper.start(config.kept.unwrap_or(0));
        Self {
            timeout_ns: config.timeout_ns,
            pool,
            alarms,
            returned_ns: Cell::new(0),
        }
    }

    /// Sends one request and reads its answer; the stamps tell how far it came in either case.
    pub(crate) async fn exchange(&self, call: Call) -> (Stamps, Result<Answer, Broken>) {
        let mut stamps = Stamps::default();
        let result = self.attempt(call, &mut stamps).await;
        (stamps, result)
    }

    /// Closes idle connections that the server has closed.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }

    pub(crate) fn connections(&self) -> ConnectionCounts {
        self.pool.counts()
    }

    /// Requests that could be under way besides those that are.
    pub(crate) fn free_slots(&self) -> usize {
        self.pool.free_slots()
    }

    /// Lanes on which a request could be sent at once.
    pub(crate) fn idle_lanes(&self) -> usize {
        self.pool.idle_lanes()
    }

    /// When a lane was last given back after an answer; 0 if none ever was.
    pub(crate) fn lane_returned_ns(&self) -> u64 {
        self.returned_ns.get()
    }

    /// Waits until a slot may be free that nobody takes by itself.
    pub(crate) async fn has_room(&self) {
        self.pool.has_room().await;
    }

    /// A slot may be free that nobody takes by itself.
    pub(crate) fn tell_of_room(&self) {
        self.pool.tell_of_room();
    }

    async fn attempt(&self, call: Call, stamps: &mut Stamps) -> Result<Answer, Broken> {
        let Call {
            mut request,
            reads,
            mut now_ns,
            patience_ns,
        } = call;
        if now_ns >= patience_ns {
            return Err(Broken::Shed);
        }
        let mut slot = match self.pool.free_slot() {
            Some(slot) => slot,
            None => self.wait_for_slot(&mut now_ns, patience_ns).await?,
        };
        // An idle lane that turns out to be closed before anything was written is as good as none: the
        // request goes over another. Each round takes one away, so this ends.
        loop {
            let (mut lane, is_fresh) = match self.pool.idle() {
                Some(idle) => (idle, false),
                None if self.pool.is_kept() => {
                    self.pool.lose(slot);
                    slot = self.wait_for_slot(&mut now_ns, patience_ns).await?;
                    continue;
                }
                None => (self.connect(&mut now_ns, patience_ns).await?, true),
            };
            if now_ns >= patience_ns {
                // Slot or connection came with the end of its patience: nobody waits for an answer.
                self.pool.put_back(lane, slot);
                return Err(self.over(FailKind::Timeout, u64::MAX, patience_ns));
            }
            let limits = Limits {
                limit_ns: now_ns.saturating_add(self.timeout_ns),
                patience_ns,
            };
            let sent = self.send(&mut lane, request, reads, limits).await;
            *stamps = lane.stamps();
            match sent {
                Err(SendError::Unsent(unsent)) if !is_fresh => request = unsent,
                Err(SendError::Unsent(_)) => {
                    self.pool.lose(slot);
                    return Err(Broken::Failed(FailKind::Reset));
                }
                Ok(answer) => {
                    self.pool.put_back(lane, slot);
                    self.returned_ns.set(stamps.last_byte_ns.unwrap_or(now_ns));
                    return Ok(answer);
                }
                Err(SendError::Broken(broken)) => {
                    let is_late =
                        matches!(broken, Broken::Failed(FailKind::Timeout) | Broken::Shed);
                    if lane.outlives_failure(is_late) {
                        self.pool.put_back(lane, slot);
                    } else {
                        self.pool.lose(slot);
                    }
                    return Err(broken);
                }
            }
        }
    }

    async fn wait_for_slot(
        &self,
        now_ns: &mut u64,
        patience_ns: u64,
    ) -> Result<SemaphorePermit<'_>, Broken> {
        let slot = pin!(self.pool.slot());
        let slot = self.alarms.limit(patience_ns, slot).await;
        *now_ns = clock::now_ns();
        slot.ok_or_else(|| self.over(FailKind::Timeout, u64::MAX, patience_ns))
    }

    async fn connect(&self, now_ns: &mut u64, patience_ns: u64) -> Result<Lane, Broken> {
        let limit_ns = now_ns.saturating_add(self.timeout_ns);
        let connecting = pin!(self.pool.connect());
        let connected = self
            .alarms
            .limit(limit_ns.min(patience_ns), connecting)
            .await;
        *now_ns = clock::now_ns();
        connected
            .ok_or_else(|| self.over(FailKind::ConnectTimeout, limit_ns, patience_ns))?
            .map_err(Broken::Failed)
    }

    async fn send(
        &self,
        lane: &mut Lane,
        request: Box<Request<Full<Bytes>>>,
        reads: Reads,
        limits: Limits,
    ) -> Result<Answer, SendError> {
        let Limits {
            limit_ns,
            patience_ns,
        } = limits;
        let exchange = pin!(lane.exchange(request, reads));
        let result = self.alarms.limit(limit_ns.min(patience_ns), exchange).await;
        result.unwrap_or_else(|| {
            let broken = self.over(FailKind::Timeout, limit_ns, patience_ns);
            Err(SendError::Broken(broken))
        })
    }

    /// Which of two limits was reached, or neither because the run ended.
    fn over(&self, kind: FailKind, limit_ns: u64, patience_ns: u64) -> Broken {
        if self.alarms.is_closed() {
            Broken::Cancelled
        } else if patience_ns <= limit_ns {
            Broken::Shed
        } else {
            Broken::Failed(kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_testkit::{Law, Server, Settings};
    use http_body_util::Full;

    use super::*;
    use crate::timer::Timer;

    const HOUR_NS: u64 = 3_600_000_000_000;

    fn with_client(server: &Server, slots: usize, test: impl AsyncFnOnce(&Client)) {
        let plan = chaos_testkit::plan::PlanBuilder::new()
            .stage("s", 1.0, 1.0)
            .build();
        let address = crate::address::Address::resolve(&server.url()).expect("an address");
        let transport = Transport::new(&address, &plan.target, &plan.load).expect("no TLS");
        tokio::runtime::LocalRuntime::new()
            .expect("a runtime")
            .block_on(async {
                let alarms = Rc::new(Alarms::new(Rc::new(Timer::new().expect("a timer"))));
                test(&Client::new(
                    ClientConfig {
                        transport: Arc::new(transport),
                        slots,
                        kept: None,
                        seed: 1,
                        timeout_ns: HOUR_NS,
                    },
                    alarms,
                ))
                .await;
            });
    }

    fn call() -> Call {
        let mut request = Request::new(Full::default());
        request
            .headers_mut()
            .insert("host", http::HeaderValue::from_static("test"));
        Call {
            request: Box::new(request),
            reads: Reads {
                headers: true,
                body: true,
            },
            now_ns: clock::now_ns(),
            patience_ns: clock::now_ns() + HOUR_NS,
        }
    }

    #[test]
    fn those_beyond_the_slots_wait_for_their_turn() {
        let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(20))));
        with_client(&server, 1, async |client| {
            let both = tokio::join!(client.exchange(call()), client.exchange(call()));
            let [first, second] =
                [both.0, both.1].map(|(stamps, answer)| answer.map(|_| stamps).expect("an answer"));
            assert!(second.written_ns >= first.last_byte_ns);
            assert_eq!(
                client.connections(),
                ConnectionCounts {
                    opened: 1,
                    open_max: 1,
                    failed: Failures::default()
                }
            );
        });
    }

    #[test]
    fn whose_turn_comes_after_its_patience_sends_nothing() {
        let server = Server::prompt();
        with_client(&server, 1, async |client| {
            let slot = client.pool.free_slot().expect("the only one");
            let patience_ns = clock::now_ns() + 1_000_000;
            let late = Call {
                patience_ns,
                ..call()
            };
            let mut late = pin!(client.exchange(late));
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(late.as_mut().poll(&mut cx).is_pending());
            while clock::now_ns() <= patience_ns {}
            drop(slot);
            let (stamps, answer) = late.await;
            assert!(matches!(answer, Err(Broken::Shed)) && stamps.written_ns.is_none());
            assert!(
                client.exchange(call()).await.1.is_ok(),
                "its slot is free again"
            );
            assert_eq!((server.seen(), client.connections().opened), (1, 1));
        });
    }

    #[test]
    fn stamps_are_in_order_and_belong_to_one_exchange() {
        let server = Server::prompt();
        with_client(&server, 2, async |client| {
            let mut before_ns = Some(clock::now_ns());
            for _ in 0..3 {
                let (stamps, answer) = client.exchange(call()).await;
                assert!(answer.expect("an answer").body.starts_with(b"{\"n\""));
                let in_order = [
                    before_ns,
                    stamps.written_ns,
                    stamps.first_byte_ns,
                    stamps.last_byte_ns,
                ];
                assert!(
                    in_order.is_sorted() && in_order.iter().all(Option::is_some),
                    "{stamps:?}"
                );
                before_ns = stamps.last_byte_ns;
            }
            assert_eq!(client.connections().opened, 1);
        });
    }

    #[test]
    fn a_connection_that_was_given_up_is_not_used_again() {
        let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(30))));
        with_client(&server, 2, async |client| {
            {
                let mut cut_off = std::pin::pin!(client.exchange(call()));
                let seen =
                    async { assert!(chaos_testkit::patience::holds(|| server.seen() == 1).await) };
                tokio::select! {
                    _ = &mut cut_off => panic!("nobody was cut off"),
                    () = seen => {}
                }
            }
            assert!(client.exchange(call()).await.1.is_ok());
            assert_eq!(
                client.connections(),
                ConnectionCounts {
                    opened: 2,
                    open_max: 1,
                    failed: Failures::default()
                }
            );
        });
    }
}
