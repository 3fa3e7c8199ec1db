//! What was acknowledged against what is stored: planted mistakes are found by name, and a store
//! without them is never accused, whatever breaks.

use serde_json::Value;

use crate::leftovers;
use crate::program::{Ended, Place, measured, scenario};
use crate::verdicts::{assert_sound, planned};

/// A run that could measure, and of which nothing is left.
fn run(name: &str) -> (Place, Ended) {
    let (place, ended) = measured(|| {
        let place = Place::new();
        let ended = place.run(&["run", &scenario(name)]);
        (place, ended)
    });
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
    (place, ended)
}

fn count(of: &Value, name: &str) -> u64 {
    of[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no `{name}` in {of:#}"))
}

/// What the run says of integrity, and the rules that are violated.
fn integrity(ended: &Ended) -> (Value, Vec<String>) {
    let integrity = ended.result()["integrity"].clone();
    let rules = integrity["rules"].as_array().expect("rules").clone();
    let violated = rules.iter().filter(|rule| rule["status"] == "not-held");
    let names = violated.filter_map(|rule| rule["rule"].as_str().map(str::to_owned));
    (integrity.clone(), names.collect())
}

/// The mistake is found under its own name, with ids to look for.
#[track_caller]
fn check_bug(scenario: &str, rule: &str) {
    let (_place, ended) = run(scenario);
    ended.assert_code(8);
    assert_sound(&ended);
    let (integrity, violated) = integrity(&ended);
    assert!(
        violated.iter().any(|name| name == rule),
        "{rule} is not among {violated:?}: {integrity:#}"
    );
    let rules = integrity["rules"].as_array().expect("rules");
    let found = rules.iter().find(|found| found["rule"] == rule);
    let found = found.expect("just found");
    assert!(count(found, "violations") > 0, "{found:#}");
    assert!(found["examples"][0].is_string(), "{found:#}");
    assert!(
        ended.stderr.contains("integrity violated"),
        "{}",
        ended.stderr
    );
    println!("{scenario}: {} x {rule}", found["violations"]);
}

#[test]
fn an_order_acknowledged_before_it_was_written_is_missed() {
    check_bug("bug-acknowledge", "acknowledged_is_stored");
}

#[test]
fn a_charge_made_twice_is_seen() {
    check_bug("bug-charge-twice", "one_order_one_charge");
}

#[test]
fn an_event_lost_at_a_stop_is_missed() {
    check_bug("bug-outbox", "events_delivered");
}

#[test]
fn a_piece_sold_twice_is_missed() {
    check_bug("bug-stock-race", "stock_conserved");
}

#[test]
fn stock_that_was_never_given_back_is_missed() {
    check_bug("bug-forget-compensation", "stock_conserved");
}

#[test]
fn a_shopper_told_twice_is_seen() {
    check_bug("bug-publish", "notified_once");
}

#[test]
fn a_shopper_never_told_is_seen() {
    check_bug("bug-consumer", "notified_once");
}

#[test]
fn an_order_that_the_door_made_of_its_own_accord_is_seen() {
    check_bug("bug-door-retry", "stored_is_known");
}

#[test]
fn a_refund_that_was_promised_and_not_made_is_missed() {
    check_bug("bug-refund", "money_conserved");
}

#[test]
fn a_history_that_runs_backwards_is_seen() {
    check_bug("bug-reorder", "states_forward");
}

/// The setting that takes a scenario's mistake out of the service that has it.
fn without_its_bug(name: &str) -> String {
    let plan = planned(&scenario(name));
    let services = plan["target"]["deploy"]["services"].as_array();
    let mut of = services.expect("services").iter();
    let of = of.find(|service| service["env"]["BUG"].is_string());
    let of = of.and_then(|service| service["name"].as_str());
    format!("target.env.{}.BUG=''", of.expect("a mistake is planted"))
}

/// What no rule can see, a check of a journey sees: without the mistake the claim holds.
#[track_caller]
fn check_journey(name: &str, why: &str) {
    let (_place, ended) = run(name);
    ended.assert_code(1);
    assert_sound(&ended);
    let claim = &ended.result()["claims"][0];
    assert_eq!(claim["status"], "not-held", "{claim:#}");
    let said = claim["why"].as_str().unwrap_or_default();
    assert!(said.contains(why), "{said}");
    let (_place, ended) = measured(|| {
        let place = Place::new();
        let ended = place.run(&["run", &scenario(name), "--set", &without_its_bug(name)]);
        (place, ended)
    });
    ended.assert_code(0);
}

#[test]
fn an_old_token_that_opens_the_door_fails_its_journey() {
    check_journey("bug-expired-token", "unexpected status");
}

#[test]
fn a_price_of_before_is_seen_by_who_pays_it() {
    check_journey("bug-stale-price", "failed check");
}

/// Kills and a pause, of the one who moves the money as well.
#[test]
fn a_store_without_mistakes_is_not_accused() {
    let (_place, ended) = run("integrity-clean");
    assert_sound(&ended);
    let (integrity, violated) = integrity(&ended);
    assert_eq!(violated, Vec::<String>::new());
    assert_eq!(integrity["status"], "held", "{integrity:#}");
    assert!(count(&integrity, "ok") > 500, "{integrity:#}");
}

/// The orders are made, only their answers are lost: nobody was promised anything.
#[test]
fn a_lost_answer_is_unknown_and_no_loss() {
    let (_place, ended) = run("lost-answer");
    ended.assert_code(0);
    assert_sound(&ended);
    let (integrity, _) = integrity(&ended);
    assert_eq!(integrity["status"], "held", "{integrity:#}");
    let unknown = count(&integrity, "unknown");
    assert!(unknown > 0, "{integrity:#}");
    assert!(count(&integrity, "unknown_stored") > 0, "{integrity:#}");
    assert_eq!(
        unknown,
        count(&integrity, "unknown_stored") + count(&integrity, "unknown_absent")
    );
    println!("{integrity}");
}

#[test]
fn an_audit_that_nobody_answers_makes_the_claim_unknown() {
    let (_place, ended) = run("audit-broken");
    ended.assert_code(3);
    assert_sound(&ended);
    let result = ended.result();
    assert_eq!(result["claims"][0]["status"], "unknown");
    assert_eq!(result["integrity"]["status"], "unknown");
    let why = result["claims"][0]["why"].as_str().expect("a reason");
    assert!(why.contains("404"), "{why}");
}
