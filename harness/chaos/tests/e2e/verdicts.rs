//! Runs against the bundled store, and what is said about them.

use serde_json::Value;

use crate::leftovers;
use crate::program::{Ended, Place, measured, scenario};

/// Resolution of recovery.
const CELL_NS: u64 = 100_000_000;

pub(crate) fn planned(scenario: &str) -> Value {
    let ended = Place::new().run(&["plan", scenario, "--json"]);
    serde_json::from_str(&ended.assert_code(0).stdout).expect("a plan")
}

/// The service that a scenario's first fault hits.
pub(crate) fn faulted_service(scenario: &str) -> String {
    let plan = planned(scenario);
    let inject = plan["faults"][0]["inject"].as_object().expect("a fault");
    let kind = inject.values().next().expect("one kind");
    kind["targets"]["service"]
        .as_str()
        .expect("a name")
        .to_owned()
}

/// What the record says of every run that ended by itself: exact conservation, verified clean-up.
pub(crate) fn assert_sound(ended: &Ended) {
    let result = ended.result();
    assert_eq!(
        result["conservation"]["exact"], true,
        "{:#}",
        result["conservation"]
    );
    assert_eq!(
        result["cleanup"]["verified"], true,
        "{:#}",
        result["cleanup"]
    );
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("not a number: {value}"))
}

/// A run in a place of its own that could measure.
fn run(args: &[&str]) -> (Place, Ended) {
    measured(|| {
        let place = Place::new();
        let ended = place.run(args);
        (place, ended)
    })
}

#[test]
fn smoke_holds_and_leaves_nothing() {
    let (place, ended) = run(&["run", "smoke"]);
    ended.assert_code(0);
    assert_sound(&ended);
    assert_eq!(ended.result()["outcome"], "held");
    for file in [
        "plan.yaml",
        "record.jsonl",
        "result.json",
        "report.html",
        "terminal.txt",
    ] {
        assert!(
            ended.out.as_ref().expect("a run").join(file).is_file(),
            "{file}"
        );
    }
    assert_eq!(leftovers::all(&place), Vec::<String>::new());
}

/// The only instance is killed: shoppers notice, and their recovery is the supervisor's, not later.
#[test]
fn recovery_follows_the_instance_that_is_ready_again() {
    let (_place, ended) = run(&["run", &scenario("lone-kill")]);
    ended.assert_code(1);
    assert_sound(&ended);
    assert_eq!(ended.result()["outcome"], "not-held");
    let result = ended.result();
    let fault = &result["faults"][0];
    let effective = number(&fault["effective"]) + number(&result["load_started"]);
    let recovered = effective + number(&fault["recovery"]["recovered"]["after"]);
    let service = faulted_service(&scenario("lone-kill"));
    let ready_again = ended.events().iter().find_map(|event| {
        let instance = &event["what"]["instance"];
        let ready = instance["service"] == service.as_str() && instance["change"] == "ready";
        event["at"].as_u64().filter(|at| ready && *at > effective)
    });
    let ready_again = ready_again.expect("the supervisor starts it again");
    // Recovery is the end of a cell. Requests that were due shortly before the instance was ready again
    // are saved by the caller's retries, so the cell that holds this instant may be in band already.
    assert!(
        (ready_again - CELL_NS..=ready_again + 500_000_000).contains(&recovered),
        "ready again at {ready_again}, recovered at {recovered}"
    );
}

/// p95 of the same target, answering at once and 300 ms late.
#[test]
fn a_delay_of_every_answer_is_measured_as_what_it_is() {
    let service = planned(&scenario("slow"))["target"]["deploy"]["entry"]
        .as_str()
        .expect("a name")
        .to_owned();
    let p95 = |delay: &str, code| {
        let (_place, ended) = run(&[
            "run",
            &scenario("slow"),
            "--set",
            &format!("target.env.{service}.DELAY_MS={delay}"),
        ]);
        ended.assert_code(code);
        assert_sound(&ended);
        number(&ended.result()["stages"][1]["p95"])
    };
    let (at_once, late) = (p95("0", 0), p95("300", 1));
    assert!(
        (300_000_000..=303_000_000 + at_once).contains(&late),
        "p95 {late} ns against {at_once} ns"
    );
}

/// Only the service behind the last step of one journey is slow: the claim names that journey.
#[test]
fn a_slow_dependency_of_one_journey_is_not_hidden_by_the_others() {
    let (_place, ended) = run(&["run", &scenario("slow-dependency")]);
    ended.assert_code(1);
    let result = ended.result();
    let findings = result["claims"][0]["findings"]
        .as_array()
        .expect("findings");
    let missed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding["status"] == "not-held")
        .filter_map(|finding| finding["of"].as_str())
        .collect();
    assert!(
        missed.iter().any(|of| of.contains("checkout")),
        "{findings:#?}"
    );
}

#[test]
fn a_copied_record_gives_the_same_result_byte_for_byte() {
    let place = Place::new();
    let ended = place.run(&["run", "smoke"]);
    let out = ended.out.as_ref().expect("a run");
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("our folder");
    std::fs::copy(out.join("record.jsonl"), elsewhere.join("record.jsonl")).expect("a copy");
    let again = place.run(&["report", &elsewhere.display().to_string()]);
    assert_eq!(again.status.code(), ended.status.code());
    for file in ["result.json", "report.html", "plan.yaml", "terminal.txt"] {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(file)).expect(file);
        assert!(read(out) == read(&elsewhere), "{file} differs");
    }
}

/// What the store counted against what was written to it, and against the schedule.
#[test]
fn the_store_served_exactly_what_was_sent() {
    let (_place, ended) = run(&["run", &scenario("steady")]);
    ended.assert_code(0);
    assert_sound(&ended);
    let result = ended.result();
    let sent = number(&result["conservation"]["requests"]["written"]);
    let entry = planned(&scenario("steady"))["target"]["deploy"]["entry"]
        .as_str()
        .expect("a name")
        .to_owned();
    let log = ended
        .out
        .as_ref()
        .expect("a run")
        .join(format!("logs/{entry}-1.log"));
    let log = std::fs::read_to_string(log).expect("the only entry instance has a log");
    let stopped = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|line| line["message"] == "stopped");
    assert_eq!(number(&stopped.expect("it ended in order")["served"]), sent);
}
