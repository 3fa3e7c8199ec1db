//! `chaos validate`: every problem of every file, nothing touched.

use chaos_plan::check::Outcome;
use chaos_record::exit;
use serde_json::json;

use crate::cli::{ScenarioArgs, ValidateArgs};
use crate::output::Output;

pub(super) fn validate(args: &ValidateArgs, output: &Output) -> u8 {
    let mut code = exit::HELD.code;
    let mut all = Vec::new();
    for scenario in &args.scenarios {
        match super::examined(&as_written(scenario)) {
            Ok(Outcome { plan, diagnostics }) => {
                if !diagnostics.problems.is_empty() {
                    output.say(diagnostics.render(output.color).trim_end());
                }
                if plan.is_some() {
                    output.tell(&format!("{scenario}: valid"));
                } else {
                    code = exit::BAD_INPUT.code;
                }
                all.push(json!({ "scenario": scenario, "valid": plan.is_some(), "problems": diagnostics }));
            }
            Err(failure) => {
                output.failure(&failure);
                code = failure.code.code;
                all.push(json!({ "scenario": scenario, "valid": false, "error": failure.text }));
            }
        }
    }
    if args.json {
        output.give(&serde_json::to_string_pretty(&all).expect("diagnostics are plain data"));
    }
    code
}

/// Checks the file at `path` and all it refers to.
#[cfg(test)]
pub(super) fn examine_file(path: &str) -> Result<Outcome, crate::output::Failure> {
    super::examined(&as_written(path))
}

fn as_written(scenario: &str) -> ScenarioArgs {
    ScenarioArgs {
        scenario: scenario.to_owned(),
        platform: None,
        seed: None,
        overrides: Vec::new(),
        time_scale: 1.0,
        rate_scale: 1.0,
    }
}
