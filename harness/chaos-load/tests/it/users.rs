//! The closed model: so many users as planned, each with one journey at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::Row;
use chaos_plan::schedule::Schedule;
use chaos_record::outcome::FailKind;
use chaos_testkit::plan::{PlanBuilder, get, get_then_think};
use chaos_testkit::server::{Reply, Served};
use chaos_testkit::{Law, Server, Settings, eventually, now_ns};

use crate::ran::{Playing, play, play_from, soon_ns};

const MS: u64 = 1_000_000;

fn slow(ms: u64) -> Server {
    Server::start(Settings::new(Law::Fixed(Duration::from_millis(ms))))
}

fn plan_of(cycle_ms: Option<u64>, stages: &[(f64, u32)]) -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    for (number, (seconds, users)) in stages.iter().enumerate() {
        plan = plan.users(&format!("s{number}"), *seconds, *users);
    }
    match cycle_ms {
        Some(ms) => plan.cycle_ms(ms),
        None => plan,
    }
}

/// Most requests the server had at once that arrived within `from_ns..until_ns`, as far as it can
/// tell: the client had an answer only after the server had it ready.
fn most_at_once(log: &[Served], from_ns: u64, until_ns: u64) -> usize {
    let arrived = log
        .iter()
        .filter(|served| (from_ns..until_ns).contains(&served.arrived_ns));
    let there = arrived.map(|first| {
        let at_ns = first.arrived_ns;
        log.iter()
            .filter(|served| served.arrived_ns <= at_ns && at_ns < served.answered_ns)
            .count()
    });
    there.max().unwrap_or(0)
}

/// However many users and workers: what was begun before the last stage does not count.
#[tokio::test]
async fn a_load_of_a_number_of_journeys_begins_exactly_so_many() {
    for (journeys, users, before) in [(500, 8, 0), (3, 8, 0), (40, 5, 2)] {
        let server = slow(2);
        let mut plan = plan_of(None, &[(0.2, before), (3_600.0, users)])
            .journey("j", 1.0, vec![get("a", "/a"), get("b", "/b")])
            .build();
        plan.end_after(journeys);
        let mut playing = Playing::start(soon_ns(), plan, &server.url(), 2);
        playing.until(|_| false).await;
        let spent_ns = playing.engine.spent_at().expect("all have begun");
        assert!((200 * MS..20_000 * MS).contains(&spent_ns), "{spent_ns} ns");
        let ran = playing.end().await;
        ran.assert_conserved();
        let counted = ran.windows.sum(2, u64::MAX, |series| series == 0).counts;
        assert_eq!(counted.total(), journeys);
        assert_eq!(ran.requests().written, server.seen());
    }
}

#[tokio::test]
async fn there_are_as_many_users_as_the_stage_says() {
    let server = slow(40);
    let start_ns = soon_ns();
    let plan = plan_of(None, &[(1.0, 2), (1.0, 7), (1.0, 1), (0.5, 0)])
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play_from(start_ns, plan, &server.url(), 3).await;
    ran.assert_conserved();
    let requests = ran.requests();
    assert_eq!((requests.bad(), requests.cancelled), (0, 0), "{requests:?}");
    assert_eq!(requests.written, server.seen());
    let log = server.log();
    // A user whose time is up ends its journey, which takes 40 ms and a little more.
    let until_next = |from_ms: u64, until_ms: u64| {
        most_at_once(&log, start_ns + from_ms * MS, start_ns + until_ms * MS)
    };
    assert_eq!(
        [
            until_next(0, 1_000),
            until_next(1_000, 2_000),
            until_next(2_500, 3_000)
        ],
        [2, 7, 1]
    );
    assert_eq!(until_next(3_300, 9_000), 0, "who is begun after the end?");
    // Each user has a connection of its own and never a second one.
    let connections: u64 = ran
        .reports
        .iter()
        .map(|report| report.connections_opened)
        .sum();
    assert_eq!(connections, 7, "{:?}", ran.reports);
}

#[tokio::test]
async fn the_next_journey_begins_when_the_last_has_ended() {
    let server = slow(20);
    let steps = vec![
        get_then_think("a", "/a", 30),
        get_then_think("b", "/b", 500),
    ];
    let plan = plan_of(None, &[(2.0, 4)]).journey("j", 1.0, steps).build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    // 70 ms a journey, and no pause after its last step: 28.6 for each user if nothing took longer.
    let journeys = ran.journey(0).ok;
    assert!((30..=4 * 29).contains(&journeys), "{journeys}");
    assert_eq!(ran.step(0, 0).total(), ran.step(0, 1).total());
    // Its two answers and not the pause between them.
    let took_ms = ran.response_ms(0.5, |series| series == 0);
    let extra_ms = 2.0 * ran.own_delay_ms();
    assert!((40.0..100.0 + extra_ms).contains(&took_ms), "{took_ms}");
}

#[tokio::test]
async fn a_dead_target_is_not_asked_in_a_busy_loop() {
    let url = Server::prompt().url();
    let plan = plan_of(None, &[(1.0, 3)])
        .journey("j", 1.0, vec![get("a", "/a"), get("b", "/b")])
        .build();
    let ran = play(plan, &url, 2).await;
    ran.assert_conserved();
    let first = ran.step(0, 0);
    assert_eq!(
        first.failed[FailKind::ConnectRefused as usize],
        first.total()
    );
    assert!((3..=3 * 101).contains(&first.total()), "{first:?}");
    assert_eq!(ran.step(0, 1).not_reached, first.total());
}

#[tokio::test]
async fn whoever_was_answered_goes_on_at_once_whatever_the_answer() {
    let refuse = Settings::new(Law::Fixed(Duration::ZERO)).answer(|_, _| Reply {
        status: 503,
        ..Reply::json("")
    });
    let server = Server::start(refuse);
    let plan = plan_of(None, &[(1.0, 1)])
        .journey("j", 1.0, vec![get("a", "/a")])
        .build();
    let ran = play(plan, &server.url(), 1).await;
    ran.assert_conserved();
    let counts = ran.step(0, 0);
    assert_eq!(counts.failed[FailKind::Status as usize], counts.total());
    assert!(counts.total() > 300, "{counts:?}");
}

#[tokio::test]
async fn a_cycle_is_a_schedule_that_is_kept() {
    let server = slow(5);
    let plan = plan_of(Some(200), &[(1.0, 10), (1.0, 20), (1.0, 5)])
        .journey("a", 3.0, vec![get("a", "/a"), get("b", "/b")])
        .journey("c", 1.0, vec![get("c", "/c")])
        .build();
    let planned = Schedule::new(&plan).count();
    // 35 users, each for one second with five cycles in it, give or take one at each end.
    assert!(planned.abs_diff(175) <= 35, "{planned}");
    let ran = play(plan, &server.url(), 3).await;
    ran.assert_conserved();
    assert_eq!(ran.journey(0).ok + ran.journey(1).ok, planned as u64);
    assert_eq!(ran.requests().written, server.seen());
}

#[tokio::test]
async fn who_is_behind_begins_late_and_is_measured_from_when_it_was_due() {
    // Twice as long as the cycle: of six users none may have two requests at once.
    let server = slow(100);
    let plan = plan_of(Some(50), &[(2.0, 6)])
        .patience_ms(600)
        .journey("j", 1.0, vec![get("g", "/g")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(most_at_once(&server.log(), 0, u64::MAX), 6);
    let step = ran.step(0, 0);
    // Half of what is due can be answered, so users fall behind until patience is over; from then on
    // each begins when there is no time left for an answer.
    assert!(step.ok >= 20 && step.shed >= 30, "{step:?}");
    let told_ms = |quantile| ran.response_ms(quantile, |series| series == 1);
    assert!(
        told_ms(0.9) > 500.0 && told_ms(1.0) < 750.0 + ran.own_delay_ms(),
        "{}",
        told_ms(0.9)
    );
    // None of that is the generator's delay.
    assert!(ran.own_delay_ms() < 450.0, "{} ms", ran.own_delay_ms());
}

#[tokio::test]
async fn a_user_who_thinks_begins_nothing_else() {
    // Longer than the cycle, and most of it no request is under way: connections hold nobody back.
    let server = slow(5);
    let steps = vec![
        get_then_think("a", "/a/{uuid.journey}", 80),
        get("b", "/b/{uuid.journey}"),
    ];
    let plan = plan_of(Some(40), &[(1.0, 6)])
        .patience_ms(20_000)
        .journey("j", 1.0, steps)
        .build();
    let planned = Schedule::new(&plan).count();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(ran.journey(0).ok, planned as u64);
    let log = server.log();
    let arrived = |path: String| log.iter().find(|served| served.path == path);
    let journeys: Vec<(u64, u64)> = log
        .iter()
        .filter_map(|first| {
            let last = arrived(format!("/b/{}", first.path.strip_prefix("/a/")?))?;
            Some((first.arrived_ns, last.arrived_ns))
        })
        .collect();
    assert_eq!(journeys.len(), planned);
    let at_once = journeys.iter().map(|(at_ns, _)| {
        let under_way = |(from_ns, until_ns): &&(u64, u64)| from_ns <= at_ns && at_ns < until_ns;
        journeys.iter().filter(under_way).count()
    });
    assert_eq!(at_once.max(), Some(6));
}

#[tokio::test]
async fn a_cycle_sends_the_same_requests_whatever_the_number_of_workers() {
    let sent = async |workers, seed| {
        let server = Server::prompt();
        let rows = |rows: &[&str]| {
            rows.iter()
                .map(|row| Row::Value((*row).to_owned()))
                .collect()
        };
        let data = BTreeMap::from([("item".to_owned(), rows(&["a", "b", "c", "d"]))]);
        let plan = plan_of(Some(100), &[(1.0, 9)])
            .seed(seed)
            .journey_with_data("j", 2.0, data, vec![get("item", "/items/{item}/{uuid}")])
            .journey("k", 1.0, vec![get("other", "/other/{uuid}")])
            .build();
        play(plan, &server.url(), workers).await.assert_conserved();
        let mut paths: Vec<String> = server.log().into_iter().map(|served| served.path).collect();
        paths.sort();
        paths
    };
    let one = sent(1, 7).await;
    assert!(one.len() > 50);
    assert_eq!(one, sent(2, 7).await);
    assert_eq!(one, sent(4, 7).await);
    assert_ne!(one, sent(1, 8).await);
}

/// Stops half a minute of users after a moment; everything begun is accounted for.
async fn check_stop(plan: Plan) {
    let server = slow(30);
    let playing = Playing::start(soon_ns(), plan, &server.url(), 2);
    eventually!(server.seen() >= 8);
    playing.engine.stop();
    let before_ns = now_ns();
    let ran = playing.end().await;
    assert!(now_ns() - before_ns < 10_000 * MS);
    ran.assert_conserved();
    let requests = ran.requests();
    assert_eq!(
        (requests.bad(), requests.ok),
        (0, server.seen()),
        "{requests:?}"
    );
    // All eight were thinking; with a cycle more of their journeys were due meanwhile.
    assert!(ran.journey(0).cancelled >= 8, "{:?}", ran.journey(0));
    // Nothing that counts was intended after the stop.
    let until_cell = ran.until_ns.expect("it was stopped") / (100 * MS);
    let after = ran
        .windows
        .sum(until_cell + 1, u64::MAX, |series| series == 0);
    assert_eq!(after.counts.total(), 0);
}

#[tokio::test]
async fn users_who_are_stopped_end_what_they_have_begun() {
    let steps = || vec![get_then_think("a", "/a", 60_000), get("b", "/b")];
    let load = |cycle_ms| plan_of(cycle_ms, &[(30.0, 8)]).journey("j", 1.0, steps());
    check_stop(load(None).build()).await;
    check_stop(load(Some(100)).build()).await;
}
