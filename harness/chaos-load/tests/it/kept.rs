//! Connections that the plan asks for: opened beforehand, used in turn, opened again when lost.

use std::time::Duration;

use chaos_plan::plan::{HttpVersion, Running, Target};
use chaos_record::outcome::FailKind;
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::raw::{Act, frame};
use chaos_testkit::server::Window;
use chaos_testkit::{Law, RawServer, Server, Settings};

use crate::ran::{Ran, play, play_from, soon_ns};

const SECOND_NS: u64 = 1_000_000_000;

fn opened(ran: &Ran) -> (u64, u64) {
    let sum = |of: fn(&chaos_record::event::WorkerReport) -> u64| ran.reports.iter().map(of).sum();
    (
        sum(|report| report.connections_opened),
        sum(|report| report.connections_max),
    )
}

#[tokio::test]
async fn all_of_them_are_open_although_few_would_do() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .connections(501)
        .stage("s", 1.0, 50.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(ran.step(0, 0).ok, 50);
    assert_eq!(opened(&ran), (501, 501));
}

/// Two connections and ten at once: the others wait, each for its turn.
#[tokio::test]
async fn there_are_never_more_and_those_beyond_wait() {
    let server = Server::start(Settings::new(Law::Fixed(Duration::from_millis(20))));
    let plan = PlanBuilder::new()
        .connections(2)
        .users("s", 0.5, 10)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 4).await;
    ran.assert_conserved();
    assert_eq!(
        ran.reports.len(),
        2,
        "a worker without a connection could do nothing"
    );
    assert_eq!(opened(&ran), (2, 2));
    assert_eq!(server.at_once_max(), 2);
    assert_eq!(ran.requests().failed_total(), 0);
}

/// For a second nobody listens: requests wait for a connection, and their wait is told.
#[tokio::test]
async fn while_they_are_opened_again_requests_wait_on_their_own_clock() {
    let start_ns = soon_ns();
    let refuse = Window {
        from_ns: start_ns + SECOND_NS,
        until_ns: start_ns + 2 * SECOND_NS,
    };
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).refuse(refuse));
    let plan = PlanBuilder::new()
        .connections(4)
        .stage("s", 4.0, 50.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play_from(start_ns, plan, &server.url(), 1).await;
    ran.assert_conserved();
    let counts = ran.step(0, 0);
    assert_eq!(
        counts.failed[FailKind::ConnectRefused as usize],
        0,
        "{counts:?}"
    );
    // What was on its way when the port closed may be lost, one for each connection.
    assert!(counts.ok >= 196, "{counts:?}");
    // A quarter came while nobody listened: half of a second at the median of them, nearly all at most.
    let waited_ms = ran.response_ms(0.875, |series| series == 1);
    assert!(waited_ms > 400.0, "{waited_ms} ms");
    assert!(ran.response_ms(1.0, |series| series == 1) > 900.0);
    // Four keepers, each after 10, 20, 40 ... ms at most: some tens of attempts in a second, not thousands.
    let failed = ran.reports[0].connections_failed;
    assert!((4..=80).contains(&failed), "{failed} attempts");
}

/// Settings and a farewell in one: the connection opens, and carries nothing.
#[tokio::test]
async fn who_goes_away_at_once_is_not_asked_without_a_pause() {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let both = [frame((SETTINGS, 0, 0), &[]), frame((GOAWAY, 0, 0), &[0; 8])];
    let server = RawServer::start(vec![Act::Write(both.concat()), Act::Hang]);
    let target = Target::Url(Running {
        http: HttpVersion::Http2,
        ..Running::new(server.url())
    });
    let plan = PlanBuilder::new()
        .target(target)
        .connections(2)
        .timeout_ms(200)
        .patience_ms(300)
        .stage("s", 1.0, 10.0)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    let failed: u64 = ran
        .reports
        .iter()
        .map(|report| report.connections_failed)
        .sum();
    let (opened, _) = opened(&ran);
    assert!(
        failed > 0 && opened < 200,
        "{failed} failed, {opened} opened"
    );
}
