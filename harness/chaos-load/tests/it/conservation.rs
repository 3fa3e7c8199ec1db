//! Planned = ok + failed + not reached + shed + cancelled, exactly, and what was written is what the server saw.

use std::time::Duration;

use chaos_plan::plan::Arrivals;
use chaos_testkit::plan::{PlanBuilder, get, get_then_think};
use chaos_testkit::server::Reply;
use chaos_testkit::{Law, Server, Settings};

use crate::ran::{Playing, play, soon_ns};

#[tokio::test]
async fn a_healthy_run_is_the_schedule_and_what_the_server_saw() {
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(3))));
    let plan = PlanBuilder::new()
        .arrivals(Arrivals::Poisson)
        .seed(11)
        .stage("low", 0.5, 40.0)
        .ramp("climb", 1.0, (40.0, 200.0))
        .stage("quiet", 0.3, 0.0)
        .limit_ms(200)
        .journey(
            "browse",
            70.0,
            vec![
                get("list", "/list"),
                get_then_think("page", "/page", 30),
                get("more", "/more"),
            ],
        )
        .journey(
            "cart",
            20.0,
            vec![get_then_think("add", "/add", 20), get("view", "/view")],
        )
        .journey("pay", 10.0, vec![get("pay", "/pay")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    let requests = ran.requests();
    assert_eq!((requests.bad(), requests.cancelled), (0, 0), "{requests:?}");
    assert_eq!(requests.written, server.seen());
    assert_eq!(ran.reports.len(), 2);
    let begun: u64 = ran.reports.iter().map(|report| report.journeys).sum();
    assert_eq!(
        begun,
        (0..3).map(|journey| ran.journey(journey).ok).sum::<u64>()
    );
    // The quiet stage is part of the load: no worker may end before it.
    assert!(
        ran.reports
            .iter()
            .all(|report| report.wall_ns >= 1_800_000_000 && report.cpu_ns > 0),
        "{:?}",
        ran.reports
    );
}

#[tokio::test]
async fn a_failing_step_leaves_the_rest_unreached() {
    let status = |path: &str| if path == "/bad" { 503 } else { 200 };
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).answer(
        move |served, _| Reply {
            status: status(&served.path),
            ..Reply::json("{}")
        },
    ));
    let steps = vec![
        get("a", "/a"),
        get("bad", "/bad"),
        get("c", "/c"),
        get("d", "/d"),
    ];
    let plan = PlanBuilder::new()
        .stage("s", 1.0, 50.0)
        .journey("j", 1.0, steps)
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(
        (
            ran.journey(0).failed_total(),
            ran.step(0, 0).ok,
            ran.step(0, 1).failed_total()
        ),
        (50, 50, 50)
    );
    assert_eq!(
        (ran.step(0, 2).not_reached, ran.step(0, 3).not_reached),
        (50, 50)
    );
    assert_eq!(ran.requests().written, server.seen());
    // An unexpected status is a complete answer: its connection is used again.
    assert!(
        ran.reports
            .iter()
            .all(|report| report.connections_opened < 20),
        "{:?}",
        ran.reports
    );
}

#[tokio::test]
async fn a_slow_listener_loses_nothing() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .stage("s", 1.0, 200.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let playing = Playing::start(soon_ns(), plan, &server.url(), 1);
    // Nobody listens while the whole load runs; the worker must neither wait nor drop anything.
    chaos_testkit::eventually!(server.seen() == 200);
    let ran = playing.end().await;
    ran.assert_conserved();
    assert_eq!(ran.requests().ok, 200);
}

#[tokio::test]
async fn what_a_fault_catches_in_flight_is_told_apart() {
    let start_ns = soon_ns();
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(100))));
    let plan = PlanBuilder::new()
        .stage("s", 2.0, 100.0)
        .kill("kill", "api", 1_000)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let playing = Playing::start(start_ns, plan, &server.url(), 2);
    playing.faults.effective(0, start_ns + 1_000_000_000);
    let ran = playing.end().await;
    ran.assert_conserved();
    // 100/s and at least 100 ms each: those intended in the last 100 ms before the fault, or a few more.
    let [ok, bad] = ran.step(0, 0).caught;
    assert!((10..=40).contains(&ok) && bad == 0, "{ok} and {bad}");
    assert_eq!(ran.journey(0).caught, [ok, bad]);
}
