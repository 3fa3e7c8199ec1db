//! What the engine says the latency was, against what it really was.

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::schedule::Schedule;
use chaos_record::outcome::FailKind;
use chaos_record::series::SeriesTable;
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::server::Window;
use chaos_testkit::{Law, Server, Settings};

use crate::ran::{Ran, play, play_from, soon_ns};

const SECOND_NS: u64 = 1_000_000_000;

/// A quantile of what the server measured between arrival and answer, in milliseconds.
pub(crate) fn served_ms(server: &Server, quantile: f64) -> f64 {
    let mut took: Vec<u64> = server
        .log()
        .iter()
        .map(|served| served.answered_ns - served.arrived_ns)
        .collect();
    took.sort_unstable();
    let rank = (quantile * took.len() as f64).ceil().max(1.0);
    took.into_iter()
        .enumerate()
        .find(|(i, _)| (i + 1) as f64 >= rank)
        .map_or(0.0, |(_, ns)| ns as f64 / 1e6)
}

async fn check_law(law: Law) {
    let server = Server::start(Settings::new(law));
    let plan = PlanBuilder::new()
        .stage("steady", 4.0, 100.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    for quantile in [0.5, 0.95, 0.99] {
        let (told, real) = (
            ran.response_ms(quantile, |series| series == 1),
            served_ms(&server, quantile),
        );
        // Within 1 % and half a millisecond of the wire; the longest delay of our own
        // threads is reported apart and allowed for.
        let tolerance = 0.01 * real + 0.5 + ran.own_delay_ms();
        assert!(
            told >= real && told - real <= tolerance,
            "p{} of {law:?}: {told} ms, the server measured {real} ms",
            quantile * 100.0
        );
    }
}

#[tokio::test]
async fn a_known_delay_is_told_as_it_is() {
    let ms = Duration::from_millis;
    let two_point = Law::TwoPoint {
        fast: ms(20),
        slow: ms(300),
        slow_share: 0.08,
    };
    let log_normal = Law::LogNormal {
        median: ms(30),
        sigma: 0.6,
    };
    tokio::join!(
        check_law(Law::Fixed(ms(200))),
        check_law(two_point),
        check_law(log_normal)
    );
}

/// Plays six seconds during which the server stalls from 3.0 s to 3.6 s. Returns with it how long
/// after the stall everyone who had come by then was through, in milliseconds: read from the
/// server's log of `last`, the path that ends a journey.
async fn with_stall(plan: Plan, last: &str) -> (Ran, f64) {
    let start_ns = soon_ns();
    let until = Duration::from_millis(3_600);
    let stall = Window {
        from_ns: start_ns + 3 * SECOND_NS,
        until_ns: start_ns + 3_600_000_000,
    };
    let came = Schedule::new(&plan).take_while(|arrival| arrival.at < until);
    let came = came.count();
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).stall(stall));
    let ran = play_from(start_ns, plan, &server.url(), 1).await;
    ran.assert_conserved();
    let log = server.log().into_iter();
    let mut through_ns: Vec<u64> = log
        .filter(|served| served.path == last)
        .map(|served| served.answered_ns)
        .collect();
    through_ns.sort_unstable();
    let drain_ns = through_ns[came - 1].saturating_sub(stall.until_ns);
    (ran, drain_ns as f64 / 1e6)
}

/// `told` lies within 3 % of `expected`, plus what the drain and our own threads took.
fn assert_near(told_ms: f64, expected_ms: f64, extra_ms: f64) {
    assert!(
        told_ms >= 0.97 * expected_ms && told_ms <= 1.03 * expected_ms + extra_ms,
        "{told_ms} ms, expected {expected_ms} ms + {extra_ms} ms"
    );
}

/// 10 % of the arrivals fall into a stall of 0.6 s and wait for its end: their responses are even
/// between 0 and 0.6 s. So 5 % exceed 0.30 s and 1 % exceed 0.54 s.
#[tokio::test]
async fn a_stalled_server_shows_with_everyone_who_waited() {
    let plan = PlanBuilder::new()
        .stage("steady", 6.0, 200.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let (ran, drain_ms) = with_stall(plan, "/g").await;
    let extra_ms = drain_ms + ran.own_delay_ms();
    assert_near(ran.response_ms(0.95, |series| series == 1), 300.0, extra_ms);
    assert_near(ran.response_ms(0.99, |series| series == 1), 540.0, extra_ms);
}

/// The same stall and the same rate from 20 users with a cycle of 100 ms each: whoever is due
/// meanwhile waits for the answer its user is waiting for, and is measured from when it was due.
#[tokio::test]
async fn users_with_a_cycle_tell_the_stall_as_everyone_felt_it() {
    let plan = PlanBuilder::new()
        .cycle_ms(100)
        .users("steady", 6.0, 20)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let (ran, drain_ms) = with_stall(plan, "/g").await;
    let extra_ms = drain_ms + ran.own_delay_ms();
    assert_near(ran.response_ms(0.95, |series| series == 1), 300.0, extra_ms);
    assert_near(ran.response_ms(0.99, |series| series == 1), 540.0, extra_ms);
    // That users were kept waiting is the target's doing and none of ours.
    assert!(ran.own_delay_ms() < 500.0, "{} ms", ran.own_delay_ms());
}

/// The same stall without a cycle: each of the 5 users waits once and asks nothing meanwhile, so
/// 5 of a thousand answers are slow and no percentile up to p99 shows it.
#[tokio::test]
async fn users_without_a_cycle_tell_service_time_only() {
    let start_ns = soon_ns();
    let stall = Window {
        from_ns: start_ns + 3 * SECOND_NS,
        until_ns: start_ns + 3_600_000_000,
    };
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(20))).stall(stall));
    let plan = PlanBuilder::new()
        .users("steady", 6.0, 5)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play_from(start_ns, plan, &server.url(), 1).await;
    ran.assert_conserved();
    let told = |quantile| ran.response_ms(quantile, |series| series == 1);
    let slow = ran.step(0, 0).ok as f64 * (1.0 - 0.99);
    assert!(slow > 6.0, "{slow} answers may be slower than the p99");
    // About the 20 ms of a good day: half of the stall is far above what a busy machine adds.
    assert!(told(0.99) < 300.0, "p99 {} ms", told(0.99));
    // Those who were there when it stalled did wait, all of it or nearly so.
    assert!(told(1.0) > 550.0, "longest {} ms", told(1.0));
}

/// The same shoppers in five steps each without think time: whichever step the stall hits, the
/// journey waits for the same time. 40 journeys/s are 25 ms apart, so the p95 lies between ranks of 287.5 and 312.5 ms.
#[tokio::test]
async fn a_stalled_server_shows_in_the_journey_whichever_step_it_hits() {
    let steps = (0..5)
        .map(|i| get(&format!("s{i}"), &format!("/{i}")))
        .collect();
    let plan = PlanBuilder::new()
        .stage("steady", 6.0, 40.0)
        .journey("j", 1.0, steps)
        .build();
    let (ran, drain_ms) = with_stall(plan, "/4").await;
    assert_near(
        ran.response_ms(0.95, |series| series == 0),
        287.5,
        25.0 + drain_ms + ran.own_delay_ms(),
    );
    // Each step alone looks five times better, which is why journeys are judged too.
    let steps_p95_ms = ran.response_ms(0.95, |series| series > 0);
    assert!(steps_p95_ms < 100.0, "{steps_p95_ms}");
}

/// The server answers nobody: 60,000 come to wait for it, more than may be under way at once. That
/// is the server's doing, and they are given up as their patience ends.
#[tokio::test]
async fn who_waits_for_a_dead_server_did_not_want_for_ports() {
    let start_ns = soon_ns();
    let stall = Window {
        from_ns: 0,
        until_ns: start_ns + 8 * SECOND_NS,
    };
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).stall(stall));
    let plan = PlanBuilder::new()
        .connections(4)
        .timeout_ms(3_000)
        .patience_ms(3_000)
        .stage("steady", 3.0, 20_000.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play_from(start_ns, plan, &server.url(), 1).await;
    ran.assert_conserved();
    let counts = ran.step(0, 0);
    assert_eq!(counts.failed[FailKind::Exhausted as usize], 0, "{counts:?}");
    assert!(counts.shed > 55_000, "{counts:?}");
}

#[tokio::test]
async fn refused_connections_are_failures_and_never_fast_answers() {
    let start_ns = soon_ns();
    let refuse = Window {
        from_ns: start_ns + 2 * SECOND_NS,
        until_ns: start_ns + 3 * SECOND_NS,
    };
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(5))).refuse(refuse));
    let plan = PlanBuilder::new()
        .stage("steady", 6.0, 100.0)
        .limit_ms(200)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play_from(start_ns, plan, &server.url(), 1).await;
    ran.assert_conserved();
    let step = SeriesTable::new(&ran.plan).of_step(0, 0);
    let shut = ran.windows.sum(22, 28, |series| series == step).counts;
    assert_eq!(
        (shut.failed[FailKind::ConnectRefused as usize], shut.ok),
        (60, 0),
        "{shut:?}"
    );
    let all = ran.step(0, 0);
    assert_eq!(all.ok + all.failed_total(), 600);
    assert!(
        all.failed[FailKind::ConnectRefused as usize] >= 60 && all.ok >= 400,
        "{all:?}"
    );
    // The claim `p95 <= 200 ms` allows 30 of 600 and is missed, though every answer that came was fast.
    assert!(all.bad_or_over(0) > 30);
    assert!(ran.response_ms(0.95, |series| series == step) < 200.0);
}
