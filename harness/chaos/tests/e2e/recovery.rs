//! Time to recovery against an outage whose end is known.

use serde_json::Value;

use crate::program::{Ended, Place, measured, scenario};
use crate::verdicts::{assert_sound, faulted_service};

const SECOND_NS: u64 = 1_000_000_000;
/// How far the told recovery may be from the end of the outage.
const TOLERANCE_NS: u64 = 250_000_000;
/// A generator that was held up for so long was not alone: it and the store share the machine, and a
/// store that is held up for 20 ms is out of band by right.
const HELD_UP_NS: u64 = 10_000_000;

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a number: {value}"))
}

/// When an instance of the service that is ready again after `since` became so.
fn ready_after(ended: &Ended, service: &str, since: u64) -> Option<u64> {
    ended.events().iter().find_map(|event| {
        let instance = &event["what"]["instance"];
        let ready = instance["service"] == service && instance["change"] == "ready";
        event["at"].as_u64().filter(|at| ready && *at > since)
    })
}

/// A run on a machine that nothing else kept busy, as far as three attempts allow.
fn undisturbed(name: &str) -> (Place, Ended) {
    let attempt = || {
        measured(|| {
            let place = Place::new();
            let ended = place.run(&["run", name]);
            (place, ended)
        })
    };
    for _ in 0..2 {
        let told = attempt();
        let lag = &told.1.result()["generator"]["lag_max"];
        if number(lag) < HELD_UP_NS {
            return told;
        }
        println!("once more: the generator was held up for {lag} ns");
    }
    attempt()
}

/// The only instance is killed and started again 3 s later.
#[test]
fn an_outage_of_three_seconds_is_told_as_what_it_was() {
    let name = scenario("outage");
    let (_place, ended) = undisturbed(&name);
    ended.assert_code(0);
    assert_sound(&ended);
    let result = ended.result();
    let fault = &result["faults"][0];
    let away_from = number(&fault["effective"]) + number(&result["load_started"]);
    let ready_again = ready_after(&ended, &faulted_service(&name), away_from)
        .expect("the supervisor starts it again");
    let outage = ready_again - away_from;
    assert!(
        (3 * SECOND_NS..4 * SECOND_NS).contains(&outage),
        "away for {outage} ns"
    );
    let told = number(&fault["recovery"]["recovered"]["after"]);
    println!("away for {outage} ns, recovery told after {told} ns");
    assert!(
        told.abs_diff(outage) <= TOLERANCE_NS,
        "away for {outage} ns, recovery told after {told} ns"
    );
    assert_eq!(fault["recovery"]["recovered"]["relapses"], 0);
}
