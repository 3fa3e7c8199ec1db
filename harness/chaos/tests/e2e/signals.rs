//! Stopping a run: Ctrl-C once and twice, SIGTERM.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::leftovers::assert_clean;
use crate::program::{Ended, Place, scenario};

pub(crate) fn pid(child: &Child) -> Pid {
    let number = i32::try_from(child.id()).ok();
    number.and_then(Pid::from_raw).expect("a process")
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(pid(child), signal).expect("our child");
}

/// Starts a run, waits for `moment` in its record, sends the signals one after the other.
fn stopped(moment: &str, signals: &[Signal]) -> (Place, Ended) {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("pause")])
        .spawn()
        .expect("the program starts");
    place.until_record_says(moment);
    for signal in signals {
        send(&child, *signal);
        place.until_record_says("interrupted");
    }
    let ended = place.wait(child);
    (place, ended)
}

#[test]
fn one_ctrl_c_undoes_judges_and_reports() {
    let (place, ended) = stopped("effective", &[Signal::INT]);
    ended.assert_code(130);
    let result = ended.result();
    assert_eq!(
        result["conservation"]["exact"], true,
        "{:#}",
        result["conservation"]
    );
    assert!(
        result["faults"][0]["undone"].is_u64(),
        "{:#}",
        result["faults"]
    );
    assert_clean(&place, "Ctrl-C");
}

#[test]
fn two_ctrl_c_undo() {
    let (place, ended) = stopped("effective", &[Signal::INT, Signal::INT]);
    ended.assert_code(130);
    assert_clean(&place, "Ctrl-C twice");
}

#[test]
fn sigterm_is_as_the_first_ctrl_c() {
    let (place, ended) = stopped("stage_started", &[Signal::TERM]);
    ended.assert_code(143);
    assert_clean(&place, "SIGTERM");
}

#[test]
fn a_stop_while_deploying_leaves_nothing() {
    let (place, ended) = stopped("deploy_started", &[Signal::INT]);
    ended.assert_code(130);
    assert_clean(&place, "Ctrl-C in deploy");
}
