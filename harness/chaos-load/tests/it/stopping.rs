//! A load that is stopped in the middle: everything is accounted for up to one shared instant.

use std::time::Duration;

use chaos_plan::plan::Arrivals;
use chaos_testkit::plan::{PlanBuilder, get, get_then_think};
use chaos_testkit::{Law, Server, Settings, eventually, now_ns};

use crate::ran::{Playing, Ran, soon_ns};

const DRAIN_NS: u64 = 1_000_000_000;

/// Plays half a minute of load but stops it when the server has seen `seen` requests.
async fn stopped(builder: PlanBuilder, delay_ms: u64, seen: u64) -> (Ran, Server) {
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(delay_ms))));
    let playing = Playing::start(soon_ns(), builder.build(), &server.url(), 2);
    eventually!(server.seen() >= seen);
    playing.engine.stop();
    let until_ns = playing.engine.stopped_at();
    playing.engine.stop();
    assert_eq!(
        playing.engine.stopped_at(),
        until_ns,
        "the first stop stands"
    );
    let ran = playing.end().await;
    assert!(ran.until_ns.is_some());
    ran.assert_conserved();
    (ran, server)
}

fn load() -> PlanBuilder {
    PlanBuilder::new()
        .arrivals(Arrivals::Poisson)
        .stage("s", 30.0, 200.0)
}

#[tokio::test]
async fn what_can_end_within_the_drain_does() {
    let (ran, server) = stopped(
        load().journey("j", 1.0, vec![get("a", "/a"), get("b", "/b")]),
        50,
        100,
    )
    .await;
    let requests = ran.requests();
    assert_eq!(
        (requests.ok, requests.written, requests.bad()),
        (server.seen(), server.seen(), 0),
        "{requests:?}"
    );
    // A step that ended after the stop is followed by none.
    assert!(
        ran.journey(0).ok > 0 && ran.journey(0).cancelled > 0,
        "{:?}",
        ran.journey(0)
    );
}

#[tokio::test]
async fn what_cannot_is_cut_off_and_counted_as_cancelled() {
    let (ran, server) = stopped(
        load().timeout_ms(60_000).patience_ms(60_000).journey(
            "j",
            1.0,
            vec![get("a", "/a"), get("b", "/b")],
        ),
        40_000,
        50,
    )
    .await;
    let (first, second) = (ran.step(0, 0), ran.step(0, 1));
    assert_eq!(
        (first.cancelled, second.cancelled),
        (first.total(), first.total())
    );
    // What the server saw was written; a request may have been written just as it was cut off.
    assert!(
        first.written >= server.seen() && first.written <= first.total(),
        "{first:?}"
    );
    let until_ns = ran.until_ns.expect("it was stopped");
    assert!(
        ran.reports
            .iter()
            .all(|report| report.wall_ns >= until_ns + DRAIN_NS),
        "the drain was cut short: {:?}",
        ran.reports
    );
}

#[tokio::test]
async fn shoppers_who_think_are_sent_home() {
    let steps = vec![get_then_think("a", "/a", 60_000), get("b", "/b")];
    let before_ns = now_ns();
    let (ran, server) = stopped(load().journey("j", 1.0, steps), 0, 50).await;
    assert!(now_ns() - before_ns < 30_000_000_000);
    assert_eq!(
        (ran.step(0, 0).ok, ran.step(0, 1).cancelled),
        (server.seen(), ran.step(0, 1).total())
    );
    assert_eq!(ran.journey(0).cancelled, ran.journey(0).total());
}

#[tokio::test]
async fn a_load_stopped_before_its_start_sends_nothing() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .stage("s", 30.0, 200.0)
        .journey("j", 1.0, vec![get("a", "/a")])
        .build();
    let playing = Playing::start(now_ns() + 60_000_000_000, plan, &server.url(), 2);
    playing.engine.stop();
    let ran = playing.end().await;
    ran.assert_conserved();
    assert_eq!(
        (ran.until_ns, ran.requests().total(), server.seen()),
        (Some(0), 0, 0)
    );
}

#[tokio::test]
async fn a_dropped_engine_stops_sending() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .stage("s", 3_600.0, 100.0)
        .journey("j", 1.0, vec![get("a", "/a")])
        .build();
    let playing = Playing::start(soon_ns(), plan, &server.url(), 2);
    eventually!(server.seen() >= 10);
    drop(playing);
    let mut last = (server.seen(), now_ns());
    eventually!({
        if server.seen() != last.0 {
            last = (server.seen(), now_ns());
        }
        // At 100/s a pause of 300 ms is no accident.
        now_ns() - last.1 > 300_000_000
    });
}
