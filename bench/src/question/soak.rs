//! Whether memory grows with the number of samples, in simulated time.
//!
//! Invariant: what is played goes through the real recorder, the real record on disk and the real readers of it;
//! the program that does so is a test of `chaos-run`, which checks the same bounds by itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::output;
use crate::process::Launch;
use crate::section::{Goal, Section};
use crate::sitting::Sitting;
use crate::table::{Table, thousands};
use crate::words;

/// A billion samples take minutes.
const WITHIN: Duration = Duration::from_mins(20);
/// Nothing is compared with the first look: by the second everything has been kept once.
const SETTLED: usize = 1;

/// Resident memory after so many samples.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Look {
    samples: f64,
    load_s: f64,
    megabytes: f64,
}

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let samples = sitting.extent.samples;
    output::progress("  building the soak");
    let launch = Launch {
        program: "env".into(),
        arguments: words![
            format!("CHAOS_SOAK_SAMPLES={samples}"),
            program(&sitting.toolbox.repository)?.display(),
            "--nocapture",
        ],
        core: Some(sitting.cores.generator),
    };
    output::progress(&format!("  playing {} samples", thousands(samples as f64)));
    let finished = launch.start(sitting)?.finish(WITHIN)?;
    let looks: Vec<_> = finished.stdout.lines().filter_map(look).collect();
    ensure!(
        looks.len() > SETTLED,
        "it told no memory: {}",
        finished.last_words()
    );
    let mut section = Section::new(
        "Memory over a long run",
        "Hours of load in simulated time, ten series in three journeys, through recorder, record on disk and everything that is asked \
         of it meanwhile. *Growth* is against the second look.",
    );
    section.tables.push(table(&looks));
    section.goals = goals(&looks);
    section.notes.extend(judged(&finished.stdout));
    section.is_broken = finished.code != Some(0);
    if section.is_broken {
        section
            .notes
            .push(format!("its own check failed: {}", finished.last_words()));
    }
    Ok(section)
}

/// Builds the test that plays, and gives its path.
fn program(repository: &Path) -> Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "test",
            "--release",
            "--locked",
            "--quiet",
            "-p",
            "chaos-run",
            "--test",
            "soak",
        ])
        .args(["--no-run", "--message-format=json"])
        .current_dir(repository)
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "the soak could not be built: {}",
            said.lines().next_back().unwrap_or_default()
        );
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages).context("cargo named no program for the soak")
}

/// Of cargo's messages, the program of the test.
fn executable(messages: &str) -> Option<PathBuf> {
    let of = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_soak = message["target"]["name"] == "soak";
        let path = message["executable"].as_str().filter(|_| is_soak)?;
        Some(PathBuf::from(path))
    };
    messages.lines().find_map(of)
}

/// `    100000000 samples,   2880 s of load: 41.2 MB resident after 3s`.
fn look(line: &str) -> Option<Look> {
    let (samples, rest) = line.split_once(" samples,")?;
    let (load, rest) = rest.split_once(" s of load:")?;
    let (megabytes, _) = rest.split_once(" MB resident")?;
    Some(Look {
        // The harness may have written its own words before the first one.
        samples: samples.split_whitespace().next_back()?.parse().ok()?,
        load_s: load.trim().parse().ok()?,
        megabytes: megabytes.trim().parse().ok()?,
    })
}

fn table(looks: &[Look]) -> Table {
    let mut table = Table::new(&["samples", "hours of load", "resident, MB", "growth"]);
    for (at, look) in looks.iter().enumerate() {
        let growth =
            (at > SETTLED).then(|| format!("{:+.1} %", (growth(looks, *look) - 1.0) * 100.0));
        let known = [
            thousands(look.samples),
            format!("{:.1}", look.load_s / 3_600.0),
            format!("{:.1}", look.megabytes),
        ];
        table.row(known.into_iter().chain(growth));
    }
    table
}

/// `judged in 2.1s: 301.2 MB resident`: what the program says of judging the record afterwards.
fn judged(printed: &str) -> Option<String> {
    let said = printed
        .lines()
        .find_map(|line| line.strip_prefix("judged in "))?;
    Some(format!(
        "A record of all of it was judged in {said}, what was read of it included."
    ))
}

fn growth(looks: &[Look], look: Look) -> f64 {
    look.megabytes / looks[SETTLED].megabytes
}

fn goals(looks: &[Look]) -> Vec<Goal> {
    let most = |of: &dyn Fn(Look) -> f64| {
        looks[SETTLED..]
            .iter()
            .map(|look| of(*look))
            .reduce(f64::max)
    };
    vec![
        Goal::at_most(
            "resident memory over that at the second look",
            1.05,
            most(&|look| growth(looks, look)),
        ),
        Goal::at_most("resident memory in MB", 200.0, most(&|look| look.megabytes)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_read_and_growth_is_against_the_second() {
        let printed = "running 1 test\n\
            test a ...    100 samples,   2880 s of load: 40.0 MB resident after 3s\n\
            \u{20}  200 samples,   5760 s of load: 50.0 MB resident after 6s\n\
            \u{20}  300 samples,   8640 s of load: 53.0 MB resident after 9s\n\
            \u{20}  300 samples,   8640 s of load read: 70.0 MB resident after 9s\n\
            judged in 2.1s: 80.0 MB resident\n";
        assert!(judged(printed).is_some_and(|note| note.contains("2.1s: 80.0 MB")));
        let looks: Vec<_> = printed.lines().filter_map(look).collect();
        let text = table(&looks).markdown();
        assert!(text.contains("| 200 | 1.6 | 50.0 | – |"), "{text}");
        assert!(text.ends_with("| 300 | 2.4 | 53.0 | +6.0 % |"), "{text}");
        assert_eq!(
            goals(&looks)[0],
            Goal::at_most(
                "resident memory over that at the second look",
                1.05,
                Some(1.06)
            )
        );
    }

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"soak"},"executable":"/t/soak-1"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some("/t/soak-1".into()));
        assert_eq!(
            executable(r#"{"target":{"name":"it"},"executable":"/t/it-1"}"#),
            None
        );
    }
}
