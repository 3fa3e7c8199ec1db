//! Golden texts: the last lines, the lines of events, `result.json`, the plan in words and as YAML.

use chaos_plan::Plan;
use chaos_plan::plan::Resolved;
use chaos_record::verdict::{Because, Cleanup, Recovery, RunOutcome};
use chaos_report::plan_text::{FaultDetail, plan_text, plan_yaml};
use chaos_report::result::result_json;
use chaos_report::text::{EventLines, closing_block};

use crate::story::{Run, benign, run};

fn closing(run: &Run) -> String {
    closing_block(&run.story(), false, "reports/runs/7f3a/report.html")
}

#[test]
fn the_last_lines_say_all_in_twelve() {
    let text = closing(&benign());
    assert!(text.lines().count() <= 12, "{text}");
    insta::assert_snapshot!("closing", text);
}

#[test]
fn the_last_lines_of_a_run_that_left_something_name_it_and_the_way_out() {
    let mut run = benign();
    run.verdict.outcome = RunOutcome::Aborted;
    run.verdict.exit.code = 6;
    run.verdict.exit.name = "not-clean".to_owned();
    let because = |code, why: &str| Because {
        code,
        why: why.to_owned(),
    };
    run.verdict
        .exit
        .because
        .insert(0, because(4, "over 50 % of the requests were bad for 10 s"));
    run.verdict
        .exit
        .because
        .insert(0, because(6, "the pause of db-1 could not be undone"));
    run.verdict.cleanup = Cleanup {
        verified: false,
        left: vec!["pid 4009 of db-1 is stopped".to_owned()],
    };
    for fault in &mut run.verdict.faults {
        fault.recovery = Recovery::NotRecovered {
            longer_than: 40_000_000_000,
        };
    }
    for extra in 0..4 {
        let mut fault = run.verdict.faults[0].clone();
        fault.name = format!("kill-{extra}");
        run.verdict.faults.push(fault);
        run.verdict.claims.push(run.verdict.claims[1].clone());
    }
    let text = closing(&run);
    assert!(text.lines().count() <= 12, "{text}");
    insta::assert_snapshot!("closing_not_clean", text);
}

#[test]
fn every_event_that_matters_has_its_line() {
    let run = benign();
    let lines: Vec<String> = run
        .events
        .iter()
        .scan(EventLines::new(true), |lines, event| {
            Some(lines.line(event, &run.header.plan))
        })
        .flatten()
        .collect();
    insta::assert_snapshot!("events", lines.join("\n"));
}

#[test]
fn the_result_is_stable() {
    let (first, again) = (benign(), benign());
    let text = result_json(&first.story());
    assert_eq!(text, result_json(&again.story()));
    insta::assert_snapshot!("result", text);
}

#[test]
fn the_result_holds_no_command_and_no_path() {
    let text = result_json(&benign().story());
    assert!(
        !text.contains("scenarios/") && !text.contains("--seed"),
        "{text}"
    );
}

fn details() -> Vec<FaultDetail> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    vec![
        FaultDetail {
            fault: "kill-api".to_owned(),
            acts: texts(&["send SIGKILL to the process of 1 of 3 api instances"]),
            undo: texts(&["nothing to undo: the restart policy brings it back"]),
            proof: texts(&["the process is gone", "fewer instances are ready"]),
            needs: texts(&["signals to own processes"]),
        },
        FaultDetail {
            fault: "pause-db".to_owned(),
            acts: texts(&["send SIGSTOP"]),
            undo: texts(&["send SIGCONT"]),
            proof: texts(&["state T"]),
            needs: Vec::new(),
        },
    ]
}

#[test]
fn a_plan_reads_as_what_will_happen() {
    insta::assert_snapshot!("plan", plan_text(&benign().header.plan, &details()));
}

#[test]
fn a_plan_as_yaml_is_clean_and_reads_back() {
    let plan = benign().header.plan;
    let yaml = plan_yaml(&plan).expect("a plan is plain data");
    let back: Plan = serde_saphyr::from_str(&yaml).expect("what was written");
    assert_eq!(back, plan);
    insta::assert_snapshot!("plan_yaml", yaml);
}

#[test]
fn hostile_texts_survive_the_way_through_yaml() {
    for suffix in crate::hostile::TEXTS {
        let plan = run(suffix).header.plan;
        let yaml = plan_yaml(&plan).expect("a plan is plain data");
        let back: Resolved = serde_saphyr::from_str(&yaml)
            .unwrap_or_else(|error| panic!("{suffix:?}: {error}\n{yaml}"));
        assert_eq!(back, *plan, "{suffix:?}");
    }
}
