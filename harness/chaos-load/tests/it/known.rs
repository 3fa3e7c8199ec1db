//! What the engine says of servers whose law is known, against what they measured themselves.
//!
//! Laws are played one after the other, since engines that share a core make each other wait. The server
//! keeps to one core, the engine to another, both are kept [`Awake`], and a [`Meter`] runs on both: a difference beyond
//! the tolerance is the engine's own unless the machine made threads wait just then. Optimised builds
//! only: the tolerance is that of the engine people get.
//! Invariant: no difference is let pass unseen. On a core that was not disturbed the first one fails;
//! what was disturbed is played again, and must at last lie within tolerance and hiccups together.

#![expect(clippy::print_stdout, reason = "it says what was seen of each law")]

use std::fmt;
use std::time::Duration;

use chaos_plan::plan::HttpVersion;
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::server::Version;
use chaos_testkit::{Law, Server, Settings};

use crate::awake::Awake;
use crate::hiccup::{Hiccups, Meter, stay_on, two_cores};
use crate::http2::target;
use crate::ran::{Ran, play};
use crate::truth::served_ms;

const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, LAST_QUANTILE];
const LAST_QUANTILE: f64 = 0.999;
/// Times that a law is played while the machine is disturbed.
const ATTEMPTS: usize = 4;
const SECONDS: u32 = 6;
/// Each second and law: the largest of them is not yet the p99.9.
const RATE: u32 = 400;
/// Hiccups up to this much are the wake-ups of an undisturbed machine, and excuse nothing.
const CALM_MS: f64 = 0.15;
/// Wake-ups between the server's two stamps and ours: due, arrived, answered.
const WAKE_UPS: f64 = 3.0;

/// A law, and the version of HTTP it is asked by.
#[derive(Debug, Clone, Copy)]
struct Known {
    law: Law,
    version: Version,
}

impl Known {
    fn http(self) -> HttpVersion {
        if self.version == Version::Http2 {
            HttpVersion::Http2
        } else {
            HttpVersion::Http1
        }
    }
}

fn all() -> Vec<Known> {
    let ms = Duration::from_millis;
    let laws = [
        Law::Fixed(ms(200)),
        Law::TwoPoint {
            fast: ms(200),
            slow: ms(600),
            slow_share: 0.08,
        },
        Law::LogNormal {
            median: ms(200),
            sigma: 0.4,
        },
    ];
    let versions = [Version::Http1, Version::Http2];
    let both = |law| versions.map(|version| Known { law, version });
    laws.into_iter().flat_map(both).collect()
}

/// One quantile of one attempt, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Seen {
    quantile: f64,
    told: f64,
    served: f64,
    /// What one wake-up adds to this quantile by the machine's doing.
    hiccups: f64,
    /// The same of the quantile of this attempt to which it adds most: a stop of some milliseconds moves
    /// all of them, and by more than its share of the time where it falls on few samples.
    worst: f64,
}

/// What is to be said of one quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Right,
    /// Wrong, while the machine made threads wait.
    Disturbed,
    Wrong,
}

impl Seen {
    fn new(quantile: f64, (ran, server): (&Ran, &Server), hiccups: &Hiccups) -> Self {
        Self {
            quantile,
            told: ran.response_ms(quantile, |series| series == 1),
            served: served_ms(server, quantile),
            // Where a law is smooth, those delayed past a quantile move it by what all wait on average.
            hiccups: added_ms(hiccups, quantile).max(hiccups.mean_ms()),
            worst: added_ms(hiccups, LAST_QUANTILE),
        }
    }

    fn error(&self) -> f64 {
        (self.told - self.served).abs()
    }

    fn tolerance(&self) -> f64 {
        (0.002 * self.served).max(0.15)
    }

    fn say(&self) -> Said {
        if self.error() <= self.tolerance() {
            Said::Right
        } else if self.worst <= CALM_MS {
            Said::Wrong
        } else {
            Said::Disturbed
        }
    }

    /// The same where nothing is left to be tried.
    fn say_at_last(&self) -> Said {
        let explained = self.tolerance() + WAKE_UPS * self.hiccups;
        match self.say() {
            Said::Disturbed if self.error() <= explained => Said::Right,
            Said::Disturbed => Said::Wrong,
            said => said,
        }
    }
}

/// What one wake-up adds to a quantile: each is late beyond this for a sixth of those above it, so together
/// they move at most half of them.
fn added_ms(hiccups: &Hiccups, quantile: f64) -> f64 {
    hiccups.beyond_ms((1.0 - quantile) / (2.0 * WAKE_UPS))
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p{} told {:.3} ms, served {:.3} ms, off by {:.3} of {:.3} ms, hiccups {:.3} ms",
            self.quantile * 100.0,
            self.told,
            self.served,
            self.error(),
            self.tolerance(),
            self.hiccups
        )
    }
}

/// Plays a law by itself, server and engine on a core each, and tells its quantiles.
async fn attempt(known: Known, cores: [usize; 2]) -> [Seen; QUANTILES.len()] {
    let [of_server, of_engine] = cores;
    stay_on(of_server);
    let server = Server::start(Settings::new(known.law).version(known.version));
    stay_on(of_engine);
    let plan = PlanBuilder::new()
        .target(target(&server, known.http(), false))
        .timeout_ms(5_000)
        .stage("steady", f64::from(SECONDS), f64::from(RATE))
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let meter = Meter::start(cores);
    let ran = play(plan, &server.url(), 1).await;
    let hiccups = meter.end();
    ran.assert_conserved();
    assert_eq!(ran.step(0, 0).ok, u64::from(SECONDS * RATE));
    QUANTILES.map(|quantile| Seen::new(quantile, (&ran, &server), &hiccups))
}

/// Prints what was seen of a law, fails if any of it is wrong, and says whether it is to be played again.
fn is_disturbed(attempts: usize, known: Known, told: &[Seen]) -> bool {
    let (mut wrong, mut disturbed) = (Vec::new(), false);
    for seen in told {
        let said = if attempts == ATTEMPTS {
            seen.say_at_last()
        } else {
            seen.say()
        };
        let line = format!("{attempts}. {known:?}: {seen}: {said:?}");
        println!("{line}");
        disturbed |= said == Said::Disturbed;
        if said == Said::Wrong {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    disturbed
}

#[tokio::test]
#[cfg_attr(
    debug_assertions,
    ignore = "the tolerance is that of the optimised engine"
)]
async fn known_latencies_are_told_as_the_server_measured_them() {
    let cores = two_cores();
    let _awake = Awake::keep(cores);
    for known in all() {
        let mut attempts = 1;
        while is_disturbed(attempts, known, &attempt(known, cores).await) {
            attempts += 1;
        }
    }
}

#[test]
fn what_the_machine_did_not_do_is_wrong_at_once() {
    let check = |(off, hiccups), expected| {
        let seen = Seen {
            quantile: 0.99,
            told: 200.0 + off,
            served: 200.0,
            hiccups,
            worst: hiccups,
        };
        assert_eq!((seen.say(), seen.say_at_last()), expected, "{seen}");
    };
    check((0.39, 0.0), (Said::Right, Said::Right));
    check((-0.41, 0.1), (Said::Wrong, Said::Wrong));
    check((0.5, CALM_MS), (Said::Wrong, Said::Wrong));
    check((0.7, 0.2), (Said::Disturbed, Said::Right));
    check((1.1, 0.2), (Said::Disturbed, Said::Wrong));
}
