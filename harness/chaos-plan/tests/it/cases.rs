//! Golden cases: each `tests/cases/*.yaml` with its plan or its problems. A new case is a new file.
//!
//! A comment line `# options: --set a.b=1 --time-scale 0.5` gives options.

use std::collections::BTreeSet;

use chaos_plan::check::{Options, Outcome};
use chaos_plan::diagnostic::codes::ALL;

use crate::corpus;
use crate::folder::Folder;

#[test]
fn every_case_gives_what_its_snapshot_says() {
    let folder = Folder::cases();
    let names = folder.names(".");
    let mut seen = BTreeSet::new();
    for name in names {
        let file = folder.read(&format!("{name}.yaml")).expect("a case");
        let options = options(&file.text);
        let Outcome { plan, diagnostics } = folder.examine(file, &options);
        seen.extend(diagnostics.problems.iter().map(|problem| problem.code.id));
        let mut text = if diagnostics.problems.is_empty() {
            String::new()
        } else {
            diagnostics.render(false)
        };
        if let Some(plan) = plan {
            let mut plan = serde_json::to_value(&plan).expect("a plan is JSON");
            plan["source"]["text"] = "...".into();
            text += &serde_json::to_string_pretty(&plan).expect("JSON");
        }
        for problem in &diagnostics.problems {
            assert!(problem.help.is_some(), "{name}: a fix for {problem:?}");
        }
        for problem in diagnostics.render(false).split("\n\n") {
            assert!(
                problem.lines().count() <= 8,
                "{name}: at most eight lines a problem:\n{problem}"
            );
        }
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../cases/expected", omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
    for (_, said) in corpus::all() {
        seen.extend(said.problems.iter().map(|problem| problem.code.id));
    }
    // Limits have tests of their own, and no text is known that leads to E119.
    let missing: Vec<&str> = ALL
        .iter()
        .map(|code| code.id)
        .filter(|id| !seen.contains(id) && !["E100", "E119"].contains(id))
        .collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
}

#[test]
fn ten_mistakes_give_ten_problems() {
    let folder = Folder::cases();
    let file = folder.read("ten-mistakes.yaml").expect("the case");
    let outcome = folder.examine(file, &Options::default());
    assert!(outcome.plan.is_none());
    let lines: Vec<usize> = outcome
        .diagnostics
        .problems
        .iter()
        .filter_map(|problem| Some(outcome.diagnostics.place(problem.span?)?.line))
        .collect();
    for line in [3, 5, 8, 9, 10, 13, 14, 17, 18, 20] {
        assert!(lines.contains(&line), "line {line} is reported: {lines:?}");
    }
}

fn options(text: &str) -> Options {
    let mut options = Options::default();
    let words = text
        .lines()
        .find_map(|line| line.strip_prefix("# options: "))
        .unwrap_or_default();
    let mut words = words.split_whitespace();
    while let Some(word) = words.next() {
        let value = words.next().expect("a value");
        match word {
            "--set" => {
                let (key, value) = value.split_once('=').expect("key=value");
                options.overrides.push((key.to_owned(), value.to_owned()));
            }
            "--time-scale" => options.time_scale = value.parse().expect("a factor"),
            "--rate-scale" => options.rate_scale = value.parse().expect("a factor"),
            "--seed" => options.seed = value.parse().ok(),
            _ => assert_eq!(word, "", "an option this test knows"),
        }
    }
    options
}

#[test]
fn schemas_are_what_their_snapshots_say() {
    use chaos_plan::schema::{journey_schema, scenario_schema, target_schema};

    for (name, text) in [
        ("schema-scenario", scenario_schema()),
        ("schema-target", target_schema()),
        ("schema-journey", journey_schema()),
    ] {
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "../cases/expected", omit_expression => true }, {
            insta::assert_snapshot!(name, text);
        });
    }
}
