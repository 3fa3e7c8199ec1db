//! What the engine says of a server whose law is known, against what that server measured itself.
//!
//! Optimised builds on a quiet machine only: the tolerance is that of the engine, and what other
//! processes take is not loosened for but tried again.

use std::time::Duration;

use chaos_plan::plan::HttpVersion;
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::server::Version;
use chaos_testkit::{Law, Server, Settings};

use crate::http2::target;
use crate::ran::{Ran, play};
use crate::truth::served_ms;

const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 0.999];
/// Attempts until one is right: others on the machine only ever add to a delay, each time elsewhere, and
/// what the engine gets wrong is wrong every time.
const ATTEMPTS: usize = 8;
/// Quantiles that differ by more than 0.2 % or 150 us, if that is more.
fn wrong(ran: &Ran, server: &Server) -> Vec<String> {
    let compare = |quantile: f64| {
        let told = ran.response_ms(quantile, |series| series == 1);
        let real = served_ms(server, quantile);
        let tolerance = (0.002 * real).max(0.15);
        ((told - real).abs() > tolerance).then(|| {
            let quantile = quantile * 100.0;
            format!("p{quantile} told {told:.3} ms, served {real:.3} ms")
        })
    };
    QUANTILES.into_iter().filter_map(compare).collect()
}

async fn attempt(law: Law, version: Version, http: HttpVersion) -> (Vec<String>, f64) {
    let server = Server::start(Settings::new(law).version(version));
    let plan = PlanBuilder::new()
        .target(target(&server, http, false))
        .timeout_ms(5_000)
        .stage("steady", 6.0, 100.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    assert_eq!(ran.step(0, 0).ok, 600);
    (wrong(&ran, &server), ran.own_delay_ms())
}

async fn check(law: Law) {
    for (version, http) in [
        (Version::Http1, HttpVersion::Http1),
        (Version::Http2, HttpVersion::Http2),
    ] {
        let mut said = Vec::new();
        for _ in 0..ATTEMPTS {
            let (wrong, lag_ms) = attempt(law, version, http).await;
            if wrong.is_empty() {
                said.clear();
                break;
            }
            said.push(format!("{wrong:?} with a lag of {lag_ms} ms"));
        }
        assert!(
            said.is_empty(),
            "{law:?} by {http:?}, or too busy a machine: {said:#?}"
        );
    }
}

#[tokio::test]
#[cfg_attr(
    debug_assertions,
    ignore = "the tolerance is that of the optimised engine"
)]
async fn known_a_fixed_delay() {
    check(Law::Fixed(Duration::from_millis(200))).await;
}

#[tokio::test]
#[cfg_attr(
    debug_assertions,
    ignore = "the tolerance is that of the optimised engine"
)]
async fn known_two_delays() {
    let law = Law::TwoPoint {
        fast: Duration::from_millis(200),
        slow: Duration::from_millis(600),
        slow_share: 0.08,
    };
    check(law).await;
}

#[tokio::test]
#[cfg_attr(
    debug_assertions,
    ignore = "the tolerance is that of the optimised engine"
)]
async fn known_a_log_normal_delay() {
    let law = Law::LogNormal {
        median: Duration::from_millis(200),
        sigma: 0.4,
    };
    check(law).await;
}
