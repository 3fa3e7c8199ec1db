//! Never a false `held`: acts and undos replaced by nothing, a slowed harness, missing evidence.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use crate::leftovers::assert_clean;
use crate::program::{Ended, Place, eventually, scenario};
use crate::signals::send;

/// `pidfd_send_signal` has this number on every architecture.
const PIDFD_SEND_SIGNAL: i64 = 424;

/// Runs the program where sending `signal` does nothing and says that it worked.
fn without_signal(signal: Signal, args: &[&str]) -> (Place, Ended) {
    let place = Place::new();
    let ended = std::thread::scope(|scope| {
        // A filter holds for the thread that sets it and for what it starts.
        let run = scope.spawn(|| {
            seccompiler::apply_filter(&nothing_on(signal)).expect("filters need no privilege");
            place.run(args)
        });
        run.join().expect("the run ends")
    });
    (place, ended)
}

/// Answers 0 without doing anything when the second argument is the signal.
fn nothing_on(signal: Signal) -> BpfProgram {
    let number = u64::try_from(signal.as_raw()).expect("signals are positive");
    let is_signal = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, number)
        .expect("a valid condition");
    let rules = [(
        PIDFD_SEND_SIGNAL,
        vec![SeccompRule::new(vec![is_signal]).expect("a valid rule")],
    )];
    let arch = std::env::consts::ARCH
        .try_into()
        .expect("an architecture with filters");
    let filter = SeccompFilter::new(
        rules.into(),
        SeccompAction::Allow,
        SeccompAction::Errno(0),
        arch,
    );
    filter.and_then(TryInto::try_into).expect("a valid filter")
}

#[test]
fn a_pause_that_does_nothing_is_inconclusive() {
    let (place, ended) = without_signal(Signal::STOP, &["run", &scenario("pause")]);
    ended.assert_code(3);
    assert!(
        ended.result()["faults"][0]["trouble"].is_string(),
        "{:#}",
        ended.result()["faults"]
    );
    assert_clean(&place, "a fault without effect");
}

#[test]
fn a_kill_that_does_nothing_is_inconclusive() {
    let (place, ended) = without_signal(Signal::KILL, &["run", "smoke"]);
    ended.assert_code(3);
    assert_clean(&place, "a fault without effect");
}

#[test]
fn an_undo_that_does_nothing_is_not_clean() {
    let (_place, ended) = without_signal(Signal::CONT, &["run", &scenario("pause")]);
    ended.assert_code(6);
}

/// The harness gets a fifth of its time: what it measured is its own delay.
#[test]
fn a_slowed_harness_is_inconclusive() {
    let place = Place::new();
    let mut child = place
        .command(&["run", &scenario("steady")])
        .spawn()
        .expect("the program starts");
    place.until_record_says("load_started");
    let started = Instant::now();
    while child.try_wait().expect("our child").is_none()
        && started.elapsed() < Duration::from_mins(1)
        && !place.record_says("load_stopped")
    {
        send(&child, Signal::STOP);
        wait(Duration::from_millis(160));
        send(&child, Signal::CONT);
        wait(Duration::from_millis(40));
    }
    let ended = place.wait(child);
    ended.assert_code(3);
    assert_eq!(ended.result()["generator"]["healthy"], false);
    assert_clean(&place, "a slowed harness");
}

fn wait(time: Duration) {
    let until = Instant::now() + time;
    eventually("time passes", time + Duration::from_secs(5), || {
        Instant::now() >= until
    });
}

#[test]
fn too_few_requests_are_refused_before_anything_starts() {
    let place = Place::new();
    let ended = place.run(&["run", "smoke", "--rate-scale", "0.01"]);
    ended.assert_code(2);
    assert!(ended.out.is_none());
}

/// A record cut anywhere is judged incomplete, never held.
#[test]
fn a_cut_record_is_never_held() {
    let place = Place::new();
    let ended = place.run(&["run", "smoke"]);
    ended.assert_code(0);
    let record = std::fs::read_to_string(ended.out.as_ref().expect("a run").join("record.jsonl"))
        .expect("a record");
    let lines: Vec<&str> = record.split_inclusive('\n').collect();
    let cut = place.path().join("cut");
    std::fs::create_dir(&cut).expect("our folder");
    let step = (lines.len() / 40).max(1);
    let last = lines.len() - 1;
    for kept in (1..last).step_by(step).chain([last]) {
        std::fs::write(cut.join("record.jsonl"), lines[..kept].concat()).expect("our folder");
        let again = place.run(&["report", &cut.display().to_string(), "--json"]);
        assert!(
            !matches!(again.status.code(), Some(0 | 2 | 70)),
            "cut after line {kept}: {:?}\n{}",
            again.status,
            again.stderr
        );
        assert!(
            !again.stdout.contains("\"outcome\": \"held\""),
            "cut after line {kept}"
        );
    }
}
