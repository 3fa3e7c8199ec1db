//! The generator watches itself while it works.

use chaos_testkit::Server;
use chaos_testkit::plan::{PlanBuilder, get};

use crate::ran::play;

#[tokio::test]
async fn the_whole_load_is_watched_and_every_source_that_linux_has_is_told() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .stage("s", 2.2, 200.0)
        .journey("j", 1.0, vec![get("g", "/")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    let looks = &ran.health;
    // Two full seconds and the rest; fewer only if the machine held this thread up.
    assert!(looks.len() <= 4, "{looks:?}");
    assert_eq!(looks[0].from, 0);
    assert!(
        looks.windows(2).all(|pair| pair[0].until == pair[1].from),
        "{looks:?}"
    );
    let end = looks.last().map(|look| look.until).expect("a last look");
    assert!(end >= 2_200_000_000, "{end}");
    // One wake-up for each 5 ms, those missed while asleep added.
    let woke: u64 = looks
        .iter()
        .flat_map(|look| &look.hiccups.0)
        .map(|(_, count)| count)
        .sum();
    let expected = end / 5_000_000;
    assert!(
        woke.abs_diff(expected) <= expected / 10 + 5,
        "{woke} of {expected}"
    );
    for look in looks {
        assert_eq!(look.workers.len(), 2);
        assert!(look.meter_cpu_ns > 0 && look.descriptors.is_some() && look.ports.is_some());
    }
    let worked: u64 = looks
        .iter()
        .flat_map(|look| &look.workers)
        .filter_map(|worker| worker.cpu_ns)
        .sum();
    let reported: u64 = ran.reports.iter().map(|report| report.cpu_ns).sum();
    // What a worker used after the last look at it is missing.
    assert!(worked > 0 && worked <= reported, "{worked} of {reported}");
}

#[tokio::test]
async fn a_load_that_is_stopped_before_it_began_is_not_waited_for() {
    let server = Server::prompt();
    let plan = PlanBuilder::new()
        .stage("s", 1.0, 10.0)
        .journey("j", 1.0, vec![get("g", "/")])
        .build();
    let far_ns = chaos_load::clock::now_ns() + 3_600_000_000_000;
    let playing = crate::ran::Playing::start(far_ns, plan, &server.url(), 1);
    playing.engine.stop();
    let ran = playing.end().await;
    assert_eq!(
        (ran.health.len(), ran.reports.len()),
        (1, 1),
        "it ends within an hour"
    );
}
