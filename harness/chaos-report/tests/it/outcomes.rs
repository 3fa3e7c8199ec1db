//! A report for every way in which a run can end, and for every kind of target and fault.

use std::borrow::Cow;

use chaos_plan::Plan;
use chaos_record::event::{Event, NotInjected, Stamped, StopSignal};
use chaos_record::outcome::Counts;
use chaos_record::verdict::{Because, Exit, Recovery, RunOutcome, Status};
use chaos_record::window::Windows;
use chaos_report::html::report_html;
use chaos_report::text::closing_block;
use serde_json::{Value, json};

use crate::dom;
use crate::story::{Run, benign};

const S: u64 = 1_000_000_000;

/// Text of the page and of the last lines; the page is also written where a browser can be pointed at it.
fn outputs(name: &str, run: &Run) -> (String, String) {
    let page = report_html(&run.story()).expect("a report");
    assert!(page.len() < 500_000, "{name}: {} bytes", page.len());
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html"));
    std::fs::write(path, &page).expect("the folder for tests takes a file");
    let closing = closing_block(&run.story(), false, "report.html");
    assert!(closing.lines().count() <= 12, "{name}: {closing}");
    (dom::text(&page).replace('\u{a0}', " "), closing)
}

fn ended(run: &mut Run, outcome: RunOutcome, code: u8, name: &str, why: &str) {
    run.verdict.outcome = outcome;
    run.verdict.exit = Exit {
        code,
        name: name.to_owned(),
        because: vec![Because {
            code,
            why: why.to_owned(),
        }],
    };
}

fn event(run: &mut Run, at: u64, what: Event) {
    let zero = run.verdict.load_started.unwrap_or(0);
    run.events.push(Stamped {
        at: zero + at,
        what,
    });
}

/// The plan with some of its parts replaced.
fn replan(run: &mut Run, change: impl FnOnce(&mut Value)) {
    let mut plan = serde_json::to_value(&run.header.plan).expect("a plan is plain data");
    change(&mut plan);
    let plan: Plan = serde_json::from_value(plan).expect("the changed plan is complete");
    run.header.plan = plan;
}

/// Nothing was measured.
fn without_requests(run: &mut Run) {
    run.windows = Cow::Owned(Windows::default());
    let verdict = &mut run.verdict;
    verdict.conservation.requests = Counts::default();
    verdict.conservation.journeys = Counts::default();
    for stage in &mut verdict.stages {
        (stage.offered, stage.achieved, stage.counts) = (0, 0, Counts::default());
        (stage.p50, stage.p95, stage.p99) = (None, None, None);
    }
    verdict.series.clear();
    verdict.faults.clear();
}

#[test]
fn an_aborted_run_says_which_limit_stopped_it() {
    let mut run = benign();
    run.verdict.load_length = 52 * S;
    let why = "over 50 % of the requests were bad for 10 s";
    ended(&mut run, RunOutcome::Aborted, 4, "aborted", why);
    event(
        &mut run,
        52 * S,
        Event::Aborted {
            why: why.to_owned(),
        },
    );
    let (page, closing) = outputs("aborted", &run);
    assert!(
        page.contains("aborted by a safety limit: over 50 %"),
        "{page}"
    );
    assert!(page.contains("guard or stop"), "the strip has no guard");
    assert!(
        closing.starts_with("ABORTED") && closing.contains(why),
        "{closing}"
    );
}

#[test]
fn an_interrupted_run_says_who_stopped_it() {
    for (name, code, what, said) in [
        (
            "interrupted",
            130,
            Event::Interrupted {
                signal: StopSignal::Interrupt,
            },
            "stopped by the user (Ctrl-C)",
        ),
        (
            "halted",
            130,
            Event::Halted {
                by: "mara".to_owned(),
            },
            "stopped by `chaos halt`, mara",
        ),
    ] {
        let mut run = benign();
        run.verdict.load_length = 40 * S;
        ended(
            &mut run,
            RunOutcome::Inconclusive,
            code,
            "interrupted",
            said,
        );
        for fault in &mut run.verdict.faults {
            (fault.requested, fault.effective, fault.undone) = (None, None, None);
            fault.not_injected = Some((NotInjected::Stopping, "the run was stopping".to_owned()));
            fault.recovery = Recovery::Unknown {
                why: "it was not injected".to_owned(),
            };
        }
        event(&mut run, 40 * S, what);
        let (page, closing) = outputs(name, &run);
        assert!(page.contains(said), "{name}: {page}");
        assert!(page.contains("0 of 2 planned faults took effect"), "{name}");
        assert!(closing.contains("130"), "{closing}");
    }
}

#[test]
fn a_killed_run_is_marked_incomplete() {
    let mut run = benign();
    run.verdict.load_length = 47 * S;
    run.verdict.incomplete_after = Some(50 * S);
    run.verdict.cleanup.verified = false;
    run.verdict.cleanup.left = vec!["the record ends before the clean-up".to_owned()];
    ended(
        &mut run,
        RunOutcome::Inconclusive,
        6,
        "not-clean",
        "the record has no end",
    );
    run.events.truncate(12);
    let (page, closing) = outputs("killed", &run);
    assert!(
        page.contains("The record is incomplete: it ends 50 s"),
        "{page}"
    );
    assert!(page.contains("clean-up not verified"), "{page}");
    assert!(closing.contains("chaos recover"), "{closing}");
}

#[test]
fn a_run_of_one_second_has_every_section() {
    let mut run = benign();
    run.verdict.load_length = S;
    run.verdict.stages.truncate(1);
    run.verdict.stages[0].end = S;
    run.verdict.faults.clear();
    run.verdict.usage.clear();
    let (page, _) = outputs("one-second", &run);
    for text in [
        "Timeline",
        "Latency over time",
        "Load: offered",
        "Debrief",
        "trust",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_run_without_a_single_request_says_so() {
    let mut run = benign();
    without_requests(&mut run);
    ended(
        &mut run,
        RunOutcome::Inconclusive,
        3,
        "inconclusive",
        "no request was sent",
    );
    for claim in &mut run.verdict.claims {
        claim.status = Status::Unknown;
        claim.findings.clear();
        claim.measured = String::new();
    }
    let (page, _) = outputs("zero-requests", &run);
    assert!(page.contains("No request was sent."), "{page}");
    assert!(page.contains("no judged stage has requests"), "{page}");
    assert!(
        !page.contains("NaN") && !page.contains(" inf ") && !page.contains("infs"),
        "{page}"
    );
}

#[test]
fn a_target_that_runs_already_has_neither_faults_nor_instances() {
    let mut run = benign();
    run.verdict.faults.clear();
    run.verdict.usage.clear();
    run.verdict.integrity = None;
    run.verdict.notes.clear();
    run.verdict.claims.truncate(3);
    run.events
        .retain(|event| !matches!(event.what, Event::Fault { .. } | Event::Instance { .. }));
    replan(&mut run, |plan| {
        plan["target"] = json!({ "url": "http://me:pw@127.0.0.1:8080" });
        plan["faults"] = json!([]);
        plan["claims"].as_array_mut().expect("a list").truncate(3);
    });
    let (page, _) = outputs("url", &run);
    assert!(page.contains("No fault was planned"), "{page}");
    assert!(page.contains("http://[redacted]@127.0.0.1:8080"), "{page}");
    assert!(page.contains("no claim on integrity"), "{page}");
    assert!(!page.contains("What was broken on purpose"), "{page}");
}

#[test]
fn a_relapse_an_absorbed_and_a_never_recovered_fault_are_told_apart() {
    let mut run = benign();
    let mut third = run.verdict.faults[0].clone();
    third.recovery = Recovery::NotRecovered {
        longer_than: 40 * S,
    };
    third.name = "kill-db".to_owned();
    run.verdict.faults.push(third);
    let (page, _) = outputs("three-faults", &run);
    for text in [
        "with 1 relapse",
        "never left it",
        "> 40 s (run ended)",
        "fault C",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_broken_promise_wins_the_banner_and_names_its_orders() {
    let mut run = benign();
    ended(
        &mut run,
        RunOutcome::NotHeld,
        8,
        "integrity",
        "2 orders were charged twice",
    );
    let (page, closing) = outputs("integrity", &run);
    assert!(
        page.contains("order 8f2c of key 31aa has 2 charges"),
        "{page}"
    );
    assert!(page.contains("2 violations in 1,414 operations"), "{page}");
    assert!(closing.contains("8: integrity violated"), "{closing}");
}

#[test]
fn a_closed_model_offers_what_began() {
    let mut run = benign();
    replan(&mut run, |plan| {
        plan["load"]["model"] = json!({ "closed": { "cycle": null } });
        for stage in plan["load"]["stages"].as_array_mut().expect("a list") {
            stage["level"] = json!({ "users": { "from": 20, "to": 20 } });
        }
    });
    let (page, _) = outputs("closed", &run);
    assert!(
        page.contains("planned journeys were sent in time (100 %)"),
        "{page}"
    );
}
