//! An HTTP server whose latency law is known, on a thread and port of its own.
//!
//! It notes for every request when it arrived and when its answer was ready, so that a test can
//! compare with what really happened instead of with what was asked for. Each answer carries the delay
//! that was drawn for it and the one that was measured, in microseconds, as [`DRAWN`] and [`MEASURED`].
//! Invariant: an answer is never ready before its drawn delay is over, nor during a stall.

mod connections;
mod speech;

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chaos_plan::chance;
use rand::{Rng, RngExt};
use tokio::sync::watch;

use self::connections::Shared;
pub use self::speech::{Certificate, Version};

/// Headers of every answer: the delay that the law gave, and how long it really took.
pub const DRAWN: &str = "x-delay-drawn-us";
pub const MEASURED: &str = "x-delay-measured-us";

/// How long an answer takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Law {
    Fixed(Duration),
    /// `slow` for this share of the requests, `fast` for the others.
    TwoPoint {
        fast: Duration,
        slow: Duration,
        slow_share: f64,
    },
    /// `median` times e to the power of a normal variable with standard deviation `sigma`.
    LogNormal {
        median: Duration,
        sigma: f64,
    },
    /// One at a time in the order they arrive, each for so long: serves exactly `1 / service` a second.
    Queue {
        service: Duration,
    },
}

impl Law {
    fn draw(self, chance: &mut dyn Rng) -> Duration {
        match self {
            Self::Fixed(delay) | Self::Queue { service: delay } => delay,
            Self::TwoPoint {
                fast,
                slow,
                slow_share,
            } => {
                if chance.random::<f64>() < slow_share {
                    slow
                } else {
                    fast
                }
            }
            Self::LogNormal { median, sigma } => median.mul_f64((sigma * normal(chance)).exp()),
        }
    }
}

/// A standard normal variable (Box and Muller 1958).
fn normal(chance: &mut dyn Rng) -> f64 {
    let radius = (-2.0 * (1.0 - chance.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * chance.random::<f64>()).cos()
}

/// A stretch of time on the raw clock: `from_ns..until_ns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from_ns: u64,
    pub until_ns: u64,
}

impl Window {
    fn holds(self, at_ns: u64) -> bool {
        (self.from_ns..self.until_ns).contains(&at_ns)
    }
}

/// One request as the server saw it; instants on the raw clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Value of the header `x-tag`, if there was one.
    pub tag: Option<String>,
    /// Value of the header `traceparent`, if there was one.
    pub traceparent: Option<String>,
    pub body: Vec<u8>,
    pub arrived_ns: u64,
    /// When its answer was ready; 0 if it never was.
    pub answered_ns: u64,
    /// What was drawn for it by the law.
    pub drawn: Duration,
    pub is_http2: bool,
}

/// What is sent back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// Status 200 and a JSON body.
    pub fn json(body: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }
}

type Answer = dyn Fn(&Served, u64) -> Reply + Send + Sync;

/// How a server behaves.
#[derive(Clone)]
#[must_use = "settings do nothing until a server starts with them"]
pub struct Settings {
    law: Law,
    seed: u64,
    stall: Option<Window>,
    refuse: Option<Window>,
    version: Version,
    certificate: Option<Certificate>,
    streams: u32,
    answer: Arc<Answer>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("law", &self.law)
            .field("stall", &self.stall)
            .field("refuse", &self.refuse)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Answers `{"n": NUMBER}` by this law.
    pub fn new(law: Law) -> Self {
        Self {
            law,
            seed: 1,
            stall: None,
            refuse: None,
            version: Version::Http1,
            certificate: None,
            streams: 100,
            answer: Arc::new(|_, number| Reply::json(format!("{{\"n\": {number}}}"))),
        }
    }

    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Speaks this version of HTTP.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Speaks under TLS.
    pub fn tls(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Allows so many HTTP/2 requests at once on one connection; 100 if nothing is said.
    pub fn streams(mut self, streams: u32) -> Self {
        self.streams = streams;
        self
    }

    /// Answers nothing within this window, then goes on.
    pub fn stall(mut self, window: Window) -> Self {
        self.stall = Some(window);
        self
    }

    /// Closes its port and every connection at the beginning of this window, and opens the port again at its end.
    pub fn refuse(mut self, window: Window) -> Self {
        self.refuse = Some(window);
        self
    }

    /// Makes each answer from the request and its number, counted from 0.
    pub fn answer(
        mut self,
        answer: impl Fn(&Served, u64) -> Reply + Send + Sync + 'static,
    ) -> Self {
        self.answer = Arc::new(answer);
        self
    }
}

/// A running server; dropping it closes it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    log: Arc<Mutex<Vec<Served>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of the loopback interface.
    pub fn start(settings: Settings) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener
            .set_nonblocking(true)
            .expect("a listener can be set so");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let log: Arc<Mutex<Vec<Served>>> = Arc::default();
        let (stop, stopped) = watch::channel(false);
        let scheme = if settings.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let shared = Shared::new(settings, Arc::clone(&log));
        let thread = std::thread::Builder::new()
            .name("known-server".to_owned())
            .spawn(move || connections::serve(listener, &shared, stopped));
        Self {
            address,
            scheme,
            log,
            stop,
            thread: Some(thread.expect("a thread")),
        }
    }

    /// One that answers at once.
    pub fn prompt() -> Self {
        Self::start(Settings::new(Law::Fixed(Duration::ZERO)))
    }

    /// `http://127.0.0.1:PORT`, or `https://` under TLS.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Every request so far, in the order of arrival.
    pub fn log(&self) -> Vec<Served> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether every request came by HTTP/2; false if some did not.
    pub fn spoke_http2(&self) -> bool {
        self.log().iter().all(|served| served.is_http2)
    }

    /// Most requests that were under way at the same time.
    pub fn at_once_max(&self) -> usize {
        let log = self.log();
        let at_once = |at: &Served| {
            let is_under_way =
                |other: &&Served| (other.arrived_ns..other.answered_ns).contains(&at.arrived_ns);
            log.iter().filter(is_under_way).count()
        };
        log.iter().map(at_once).max().unwrap_or(0)
    }

    /// Number of requests that have arrived.
    pub fn seen(&self) -> u64 {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Chance for the delays: one draw a request, in the order of arrival.
fn delays(seed: u64) -> impl Rng + Send {
    chance::stream(seed, "delays")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(law: Law, quantile: usize, expected_ms: f64) {
        let mut chance = delays(3);
        let mut drawn: Vec<f64> = (0..20_000)
            .map(|_| law.draw(&mut chance).as_secs_f64() * 1e3)
            .collect();
        drawn.sort_by(f64::total_cmp);
        let found = drawn[quantile * drawn.len() / 100];
        assert!(
            (found / expected_ms - 1.0).abs() < 0.05,
            "p{quantile} of {law:?} is {found} ms, not {expected_ms}"
        );
    }

    #[test]
    fn delays_follow_their_law() {
        let ms = Duration::from_millis;
        check(Law::Fixed(ms(7)), 50, 7.0);
        let two = Law::TwoPoint {
            fast: ms(1),
            slow: ms(100),
            slow_share: 0.1,
        };
        check(two, 88, 1.0);
        check(two, 92, 100.0);
        let log_normal = Law::LogNormal {
            median: ms(10),
            sigma: 0.5,
        };
        check(log_normal, 50, 10.0);
        check(log_normal, 95, 10.0 * (1.6449 * 0.5_f64).exp());
    }
}
