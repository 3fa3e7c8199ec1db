//! `chaos recover`: finish what a killed run left.

mod cluster;

use chaos_record::exit;
use chaos_run::recover::{self, Recovered, Report};
use chaos_run::state_folder;

use crate::cli::RecoverArgs;
use crate::output::{Failure, Output};

pub(super) fn recover(args: &RecoverArgs, output: &Output) -> Result<u8, Failure> {
    if let Some(chosen) = cluster::chosen(args) {
        return cluster::recover(&chosen, args, output);
    }
    let root = state_folder::root().map_err(Failure::environment)?;
    // A run is named by its folder there, never by a path.
    let is_there = |run: &String| {
        !run.is_empty() && !run.starts_with('.') && !run.contains('/') && root.join(run).is_dir()
    };
    if let Some(run) = args.run.as_ref().filter(|run| !is_there(run)) {
        return Err(Failure::new(
            exit::BAD_INPUT,
            format!("error: no run `{run}` has anything to recover"),
        ));
    }
    let runtime = super::runtime()?;
    let found = runtime
        .block_on(recover::recover(&root, args.run.as_deref()))
        .map_err(Failure::environment)?;
    if args.json {
        output.give(&serde_json::to_string_pretty(&found).expect("reports are plain data"));
    }
    if found.is_empty() {
        output.tell("nothing to recover");
    }
    let mut code = exit::HELD.code;
    for recovered in &found {
        match recovered {
            Recovered::Finished(report) => {
                output.tell(&words(report));
                if !report.left.is_empty() {
                    code = exit::NOT_CLEAN.code;
                }
            }
            Recovered::Failed { run, why } => {
                output.say(&format!("error: {run}: {why}; something of it may be left"));
                code = exit::NOT_CLEAN.code;
            }
            Recovered::Alive { run } if args.run.is_some() => {
                return Err(Failure::new(
                    exit::ENVIRONMENT,
                    format!("error: run `{run}` is alive; stop it with Ctrl-C or SIGTERM"),
                ));
            }
            Recovered::CleanedByGuardian { run } if args.run.is_some() => {
                return Err(Failure::new(
                    exit::ENVIRONMENT,
                    format!(
                        "error: run `{run}` is still being cleaned up by its guardian; wait a moment"
                    ),
                ));
            }
            Recovered::Alive { run } => output.tell(&format!("{run}: alive, left alone")),
            Recovered::CleanedByGuardian { run } => {
                output.tell(&format!(
                    "{run}: being cleaned up by its guardian, left alone"
                ));
            }
        }
    }
    Ok(code)
}

fn words(report: &Report) -> String {
    let mut lines = vec![format!(
        "{}: {}",
        report.run,
        if report.left.is_empty() {
            "clean"
        } else {
            "NOT clean"
        }
    )];
    lines.extend(
        report
            .undone
            .iter()
            .map(|(fault, how)| format!("  {fault}: {}", how.words())),
    );
    lines.extend(
        report
            .left
            .iter()
            .map(|left| format!("  left behind: {left}")),
    );
    lines.join("\n")
}
