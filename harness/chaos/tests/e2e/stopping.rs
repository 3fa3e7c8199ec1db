//! Instances that are ended in order: kept away for a time, or replaced one after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::leftovers::{self, assert_clean};
use crate::program::{Ended, Place, eventually, measured, scenario};
use crate::signals::send;

/// The instances that `rolling` replaces, in their order.
const THREE: [&str; 3] = ["orders-1", "orders-2", "orders-3"];

/// What happened to the instances that the fault hits, in order: instance and change.
fn changes(ended: &Ended, targets: &[&str]) -> Vec<(String, Value)> {
    let of_service = |event: &Value| {
        let told = &event["what"]["instance"];
        let name = told["instance"].as_str()?;
        targets
            .contains(&name)
            .then(|| (name.to_owned(), told["change"].clone()))
    };
    ended.events().iter().filter_map(of_service).collect()
}

/// What was read from the world to prove a change of the fault.
fn proofs(ended: &Ended, change: &str) -> Vec<String> {
    let events = ended.events();
    let found = events.iter().find_map(|event| {
        let proof = event["what"]["fault"]["change"][change]["proof"].as_array()?;
        Some(proof.iter().map(Value::to_string).collect())
    });
    found.unwrap_or_else(|| panic!("no `{change}` in {events:#?}"))
}

#[test]
fn a_stopped_instance_is_away_for_the_time_of_the_fault_and_back_after_it() {
    let (place, ended) = measured(|| {
        let place = Place::new();
        let ended = place.run(&["run", &scenario("stop")]);
        (place, ended)
    });
    ended.assert_code(0);
    let fault = &ended.result()["faults"][0];
    let [effective, undone] = ["effective", "undone"].map(|at| fault[at].as_u64().expect(at));
    let away = Duration::from_nanos(undone - effective);
    assert!(
        (Duration::from_secs(3)..Duration::from_secs(30)).contains(&away),
        "{away:?}"
    );
    assert!(proofs(&ended, "effective")[0].contains("is gone"));
    assert!(
        proofs(&ended, "undone")
            .iter()
            .any(|text| text.contains("runs and is ready"))
    );
    let target = fault["targets"][0].as_str().expect("a target");
    let of_target: Vec<Value> = changes(&ended, &[target])
        .into_iter()
        .map(|(_, change)| change)
        .collect();
    let exits: Vec<&Value> = of_target
        .iter()
        .filter(|change| change["exited"].is_object())
        .collect();
    // Once for the fault, once before the second audit, once at the end; each time in order.
    assert!(
        exits
            .iter()
            .all(|exit| exit["exited"]["status"] == "exit status: 0"
                && exit["exited"]["asked"] == true),
        "{exits:?}"
    );
    assert_clean(&place, "a stop");
}

/// The hold is in the memory of the harness: with it everything goes.
#[test]
fn a_harness_that_dies_while_it_keeps_an_instance_away_leaves_nothing() {
    let place = Place::new();
    let child = place
        .command(&["run", &scenario("stop")])
        .spawn()
        .expect("the program starts");
    place.until_record_says("effective");
    send(&child, Signal::KILL);
    place.wait(child);
    eventually("the guardian is done", leftovers::CLEAN_WITHIN, || {
        leftovers::state(&place).is_empty()
    });
    assert_clean(&place, "a death while an instance is kept away");
}

#[test]
fn a_rolling_restart_replaces_every_instance_and_never_two_at_a_time() {
    let (place, ended) = measured(|| {
        let place = Place::new();
        let ended = place.run(&["run", &scenario("rolling")]);
        (place, ended)
    });
    ended.assert_code(0);
    let fault = &ended.result()["faults"][0];
    assert_eq!(fault["targets"], serde_json::json!(THREE));
    let mut away: BTreeSet<String> = BTreeSet::new();
    let mut replaced = Vec::new();
    for (instance, change) in changes(&ended, &THREE) {
        if change["exited"].is_object() && replaced.len() < 3 {
            assert_eq!(change["exited"]["status"], "exit status: 0");
            away.insert(instance);
            assert_eq!(away.len(), 1, "two were away: {away:?}");
        } else if change == "ready" && away.remove(&instance) {
            replaced.push(instance);
        }
    }
    replaced.truncate(3);
    assert_eq!(replaced, THREE);
    assert_eq!(proofs(&ended, "effective").len(), 6, "gone and back, each");
    assert_clean(&place, "a rolling restart");
}

/// A fault that takes long to apply keeps no other from being taken back.
#[test]
fn a_fault_is_taken_back_in_time_while_another_is_still_being_applied() {
    let (place, ended) = measured(|| {
        let place = Place::new();
        let ended = place.run(&["run", &scenario("overlap")]);
        (place, ended)
    });
    let events = ended.events();
    let written = |name: &str, change: &str| {
        let is = |event: &&Value| {
            let told = &event["what"]["fault"];
            told["fault"] == name && told["change"][change].is_object()
        };
        let position = events.iter().position(|event| is(&event));
        position.unwrap_or_else(|| panic!("{name} {change}: {events:#?}"))
    };
    let effective = written("pause-one", "effective");
    let undone = written("pause-one", "undone");
    let restarted = written("restart-others", "effective");
    assert!(effective < undone && undone < restarted);
    assert_clean(&place, "faults that overlap");
}
