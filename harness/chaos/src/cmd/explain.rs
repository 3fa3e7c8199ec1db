//! `chaos explain`: what a diagnostic's code or an exit code means, and what to do about it.

use chaos_record::exit::{self, ExitCode};

use crate::cli::ExplainArgs;
use crate::output::{Failure, Output};

pub(super) fn explain(args: &ExplainArgs, output: &Output) -> Result<u8, Failure> {
    let Some(code) = &args.code else {
        output.give(&overview());
        return Ok(exit::HELD.code);
    };
    let text = exit_code(code)
        .or_else(|| chaos_plan::explain::explain(&code.to_uppercase()).map(str::to_owned));
    let Some(text) = text else {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!(
                "error: `{code}` is neither an exit code nor the code of a diagnostic\n\
                 help: `chaos explain` alone lists them all"
            ),
        ));
    };
    output.give(&text);
    Ok(exit::HELD.code)
}

/// By number (`3`) or by name (`inconclusive`).
fn exit_code(code: &str) -> Option<String> {
    let named = |known: &&ExitCode| known.name == code || known.code.to_string() == code;
    let known = exit::PRECEDENCE.iter().find(named)?;
    Some(format!(
        "exit code {} ({}): {}\n\n{}\n",
        known.code,
        known.name,
        known.meaning,
        advice(*known)
    ))
}

fn overview() -> String {
    let mut lines = vec![
        "Exit codes, the gravest first; where several apply, the first is returned:".to_owned(),
    ];
    let row = |code: &ExitCode| format!("  {:>3}  {:<13} {}", code.code, code.name, code.meaning);
    lines.extend(exit::PRECEDENCE.iter().map(row));
    lines.push(String::new());
    lines.push("Diagnostics of scenarios, targets and journeys:".to_owned());
    let first_line = |text: &'static str| text.lines().next().unwrap_or_default();
    let codes = chaos_plan::explain::codes();
    lines.extend(codes.map(|(code, text)| format!("  {code}  {}", first_line(text))));
    lines.push(String::new());
    lines.push("`chaos explain CODE` tells what one means and what to do.".to_owned());
    lines.join("\n")
}

/// What usually leads there, and what to do next.
fn advice(code: ExitCode) -> &'static str {
    match code {
        exit::HELD => {
            "Every claim of the hypothesis held, the evidence is complete, every fault was undone and\n\
             nothing of the run is left. In CI: let the change pass."
        }
        exit::NOT_HELD => {
            "At least one claim was judged on enough evidence and did not hold. The last lines of the run\n\
             and the first section of its report name the claim, the worst number and when it was.\n\
             In CI: stop the change. To see it again: run the command under \"reproduce\" with the same seed."
        }
        exit::BAD_INPUT => {
            "The command line, or the scenario or a file it refers to, cannot be run; every problem is listed\n\
             with its place. Nothing was started or changed. `chaos validate FILE` checks without running,\n\
             `chaos schema` prints the format."
        }
        exit::INCONCLUSIVE => {
            "Nothing contradicts the claims, but the evidence does not prove them either. Usual reasons: the\n\
             load generator was too slow (lag, see \"generator health\": use fewer requests a second or more\n\
             cores), a fault had no proven effect, the target was not steady before a fault, or there were too\n\
             few requests for a claim (p95 needs 200, 0.1 % needs 10,000). In CI: run it once more on a quieter\n\
             machine; if it stays, mend the scenario. It is never counted as held."
        }
        exit::ABORTED => {
            "A limit under `safety.abort_if` was crossed, so the load was stopped and every fault undone before\n\
             its time. Claims judged so far stand in the report. Either the target is much worse than expected,\n\
             or the limit is too tight."
        }
        exit::ENVIRONMENT => {
            "Something around the run failed: an instance did not get ready, a port or a privilege was missing,\n\
             the disk was full, or the guardian process was killed. `chaos doctor` looks for the usual reasons;\n\
             the logs of the instances are in the run's folder under `logs/`."
        }
        exit::NOT_CLEAN => {
            "An undo or the removal of the run's processes and folders could not be verified: something may be\n\
             left behind. This goes before every other code. `chaos recover` tries again and names what is left."
        }
        exit::SLOWER => {
            "Compared with the baseline it was given, the run was slower by more than chance explains."
        }
        exit::INTEGRITY => {
            "An operation that was acknowledged is missing, doubled or changed, or the target holds something\n\
             nobody asked for. The report lists the first five ids under each violated rule; look these up in\n\
             the target's own logs. This goes before every latency or error claim."
        }
        exit::BUG => {
            "chaos itself broke down. Faults were undone by the guardian. Please report it with the text that\n\
             was printed and the run's `record.jsonl`."
        }
        exit::INTERRUPTED => {
            "You stopped the run with Ctrl-C or `chaos halt`: the load was stopped, every fault undone, and what\n\
             was seen so far is in the report."
        }
        exit::TERMINATED => {
            "The run was stopped with SIGTERM, or its terminal went away: the load was stopped, every fault\n\
             undone, and what was seen so far is in the report."
        }
        _ => "No more is known about it.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_explained_by_number_and_by_name() {
        for code in exit::PRECEDENCE {
            let text = exit_code(&code.code.to_string()).expect("it is listed");
            assert_eq!(Some(&text), exit_code(code.name).as_ref());
            assert!(!text.contains("No more is known"), "{}", code.name);
        }
        assert_eq!(exit_code("9"), None);
    }

    #[test]
    fn the_overview_names_everything() {
        let text = overview();
        for code in exit::PRECEDENCE {
            assert!(text.contains(code.meaning), "{}", code.name);
        }
        for (code, _) in chaos_plan::explain::codes() {
            assert!(text.contains(code), "{code}");
        }
    }
}
