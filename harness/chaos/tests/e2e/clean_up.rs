//! Nothing is left behind, whoever dies when.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::leftovers::{self, assert_clean};
use crate::program::{Place, eventually, scenario};
use crate::signals::send;

/// Starts `pause` with the harness killing (or stopping) itself at a named point.
fn run_to(point: &str) -> (Place, Child) {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("pause")])
        .env("CHAOS_FAILPOINT", point)
        .spawn()
        .expect("the program starts");
    (place, child)
}

/// A run of `pause` that has come to `moment` of its record.
fn running(moment: &str) -> (Place, Child) {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("pause")])
        .spawn()
        .expect("the program starts");
    place.until_record_says(moment);
    (place, child)
}

/// The guardian of the only run of this place.
fn guardian(place: &Place) -> Pid {
    let mut found = None;
    eventually("a guardian", Duration::from_secs(10), || {
        let line = leftovers::processes(place)
            .into_iter()
            .find(|line| line.contains(" guardian "));
        found = line.and_then(|line| Pid::from_raw(line.split(':').next()?.parse().ok()?));
        found.is_some()
    });
    found.expect("just found")
}

/// Named points: between fsync and apply, while paused, in the undo, in teardown and report ...
#[test]
fn a_kill_at_every_named_point_leaves_nothing() {
    let points = [
        "guardian.started",
        "deploy.started",
        "deploy.done",
        "ledger.written",
        "fault.applied",
        "fault.effective",
        "undo.started",
        "undo.done",
        "teardown.started",
        "record.closed",
    ];
    for point in points {
        let (place, child) = run_to(point);
        let ended = place.wait(child);
        assert_eq!(
            ended.status.signal(),
            Some(9),
            "the point {point} was never reached: {}",
            ended.stderr
        );
        assert_clean(&place, point);
    }
}

/// Moments of the record, a random part of a second later.
#[test]
fn a_kill_at_any_moment_leaves_nothing() {
    let moments = [
        "deploy_started",
        "instance",
        "deployed",
        "load_started",
        "stage_started",
        "requested",
        "effective",
        "undone",
        "load_stopped",
        "cleaned_up",
    ];
    let mut killed: BTreeMap<&str, u32> = BTreeMap::new();
    for round in 0..2_u64 {
        for (number, moment) in (0_u64..).zip(moments) {
            let (place, mut child) = running(moment);
            // Spread over a third of a second without a source of chance: any fixed set of delays will do.
            let delay = Duration::from_millis((number * 37 + round * 113) % 331);
            let until = std::time::Instant::now() + delay;
            eventually("the delay", Duration::from_secs(5), || {
                std::time::Instant::now() >= until
            });
            if child.try_wait().expect("our child").is_none() {
                send(&child, Signal::KILL);
                *killed.entry(moment).or_default() += 1;
            }
            place.wait(child);
            assert_clean(&place, moment);
        }
    }
    println!("killed by moment: {killed:?}");
    assert!(killed.values().sum::<u32>() >= 18, "{killed:?}");
}

#[test]
fn a_run_whose_guardian_dies_ends_undone() {
    let (place, child) = running("effective");
    kill_process(guardian(&place), Signal::KILL).expect("ours");
    let ended = place.wait(child);
    ended.assert_code(5);
    assert!(ended.result()["faults"][0]["undone"].is_u64());
    assert_clean(&place, "the guardian's death");
}

/// A stopped harness loses its lease, is fenced, and its fault is undone once.
#[test]
fn a_stopped_harness_is_fenced_and_its_fault_undone() {
    let (place, child) = running("effective");
    send(&child, Signal::STOP);
    eventually(
        "clean although the harness was stopped",
        leftovers::CLEAN_WITHIN,
        || leftovers::state(&place).is_empty(),
    );
    // Gone for good: continuing it changes nothing.
    let harness = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a process");
    kill_process(harness, Signal::CONT).expect("a zombie until we ask for it");
    let ended = place.wait(child);
    assert_eq!(ended.status.signal(), Some(9));
    assert_clean(&place, "a stopped harness");
}

/// A bug anywhere, with a fault about to be applied, applied, or being taken back.
#[test]
fn a_panic_undoes_and_is_a_bug() {
    let points = [
        "deploy.started",
        "ledger.written",
        "fault.applied",
        "undo.started",
        "teardown.started",
    ];
    for point in points {
        let (place, child) = run_to(&format!("{point}:panic"));
        let ended = place.wait(child);
        ended.assert_code(70);
        assert_eq!(ended.result()["cleanup"]["verified"], true, "{point}");
        assert_clean(&place, point);
    }
}

/// The others, applied or about to be, are taken back as if nothing had happened.
#[test]
fn a_panic_in_one_undo_leaves_the_others_to_be_done() {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("overlap")])
        .env("CHAOS_FAILPOINT", "undo.started:panic")
        .spawn()
        .expect("the program starts");
    let ended = place.wait(child);
    ended.assert_code(70);
    let result = ended.result();
    assert_eq!(
        result["cleanup"]["verified"], true,
        "{:#}",
        result["cleanup"]
    );
    let failed = ended
        .events()
        .into_iter()
        .find(|event| event["what"]["fault"]["change"]["undo_failed"].is_object());
    assert_eq!(failed, None);
    assert_clean(&place, "a panic beside other faults");
}

/// What nobody was left to write down is added by the guardian.
#[test]
fn the_record_of_a_killed_run_says_that_it_was_cleaned_up() {
    let (place, child) = run_to("fault.effective");
    let ended = place.wait(child);
    assert_clean(&place, "a kill");
    let events = ended.events();
    let cleaned_up = &events.last().expect("events")["what"]["cleaned_up"];
    assert_eq!(cleaned_up["verified"], true, "{events:#?}");
    let out = ended.out.as_ref().expect("a run");
    let log = std::fs::read_to_string(out.join("logs/guardian.log")).expect("the guardian's log");
    assert!(log.contains("taking over"), "{log}");
    let report = place.run(&["report", &out.display().to_string()]);
    assert!(report.stderr.contains("incomplete"), "{}", report.stderr);
}

#[test]
fn a_run_that_cannot_make_its_folder_leaves_nothing() {
    let place = Place::new();
    std::fs::write(place.path().join("in-the-way"), "a file").expect("our folder");
    let ended = place.run(&["run", "smoke", "--out", "in-the-way/runs"]);
    ended.assert_code(5);
    assert_clean(&place, "a failed start");
}

#[test]
fn recover_finishes_what_both_left() {
    let (place, child) = running("effective");
    kill_process(guardian(&place), Signal::KILL).expect("ours");
    send(&child, Signal::KILL);
    place.wait(child);
    assert!(
        !leftovers::state(&place).is_empty(),
        "the ledger must tell what to do"
    );
    let refused = place.run(&["run", "smoke"]);
    refused.assert_code(5);
    assert!(
        refused.stderr.contains("chaos recover"),
        "{}",
        refused.stderr
    );
    place.run(&["recover"]).assert_code(0);
    assert_clean(&place, "recover");
    place.run(&["recover"]).assert_code(0);
}

#[test]
fn a_live_run_cannot_be_recovered() {
    let (place, child) = running("stage_started");
    let name = place.run_name();
    let other = std::process::Command::new(crate::program::chaos())
        .args(["recover", &name])
        .env("XDG_STATE_HOME", place.path().join("state"))
        .output()
        .expect("the program starts");
    assert_eq!(
        other.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&other.stderr)
    );
    send(&child, Signal::INT);
    place.wait(child).assert_code(130);
}
