//! chaos, by a scenario: what only scenarios have, such as journeys of several steps.
//!
//! Invariant: everything that a run records is recorded: all clocks, checks, the record on disk.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Ask, Journey, Reading, Tool, printed_version};
use crate::process::Finished;
use crate::section::over;
use crate::sitting::Sitting;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "chaos run",
    program: "chaos",
    install: "",
    version: |sitting, program| printed_version(sitting, program, "--version"),
    arguments,
    // Not held, inconclusive: the reading says which.
    also_accepts: &[1, 3],
    read,
};

fn arguments(sitting: &Sitting, ask: &Ask) -> Result<Vec<OsString>> {
    let folder = sitting.folder().join("journeys");
    std::fs::create_dir_all(folder)?;
    sitting.write("journeys/user.yaml", journey(ask.journey))?;
    let scenario = sitting.write("bench.yaml", &scenario(ask))?;
    Ok(words![
        "run",
        "--quiet",
        "--json",
        "--out",
        "runs",
        scenario.display()
    ])
}

fn scenario(ask: &Ask) -> String {
    let (arrivals, level) = match ask.rate {
        Some(rate) => {
            let journeys = rate / steps(ask.journey);
            // As many as the tools it stands beside have, and as in the closed loop.
            let connections = ask.connections;
            (
                format!("\n    arrivals: even\n    connections: {connections}"),
                format!("rate: {journeys}/s"),
            )
        }
        None => (String::new(), format!("users: {}", ask.connections)),
    };
    format!(
        "# How fast is the engine?
version: 1
name: bench
target: {{ url: \"{}\" }}
load:
  shoppers:
    journeys: {{ user: 1 }}{arrivals}
    stages:
      - {{ name: full, for: {}s, {level} }}
hypothesis:
  - expect: {{ errors: {{ max: 1% }} }}
",
        ask.url.trim_end_matches('/'),
        ask.seconds
    )
}

fn steps(journey: Journey) -> u32 {
    match journey {
        Journey::Plain | Journey::Checked => 1,
        Journey::ThreeSteps => 3,
    }
}

/// The null server answers `{"id":"abcd"}` to everything.
fn journey(journey: Journey) -> &'static str {
    match journey {
        Journey::Plain => {
            "version: 1
name: user
steps:
  - { name: look, get: / }
"
        }
        Journey::Checked => {
            "version: 1
name: user
steps:
  - name: look
    get: /
    expect: { status: [200], checks: [{ json: /id, equals: abcd }] }
    extract: { id: { json: /id } }
"
        }
        Journey::ThreeSteps => {
            "version: 1
name: user
steps:
  - { name: search, get: /search, extract: { id: { json: /id } } }
  - { name: look, get: \"/products/{id}\", headers: { x-product: \"{id}\" } }
  - { name: order, post: /orders, headers: { idempotency-key: \"{uuid.order}\" }, json: { product: \"{id}\", count: 1 } }
"
        }
    }
}

fn read(finished: &Finished, ask: &Ask) -> Result<Reading> {
    let last = finished.stdout.lines().last().unwrap_or_default();
    let said: Value = serde_json::from_str(last).context("the last line is not JSON")?;
    let requests = &said["conservation"]["requests"];
    let answered = requests["ok"]
        .as_f64()
        .context("no `conservation.requests.ok`")?;
    let planned = said["conservation"]["planned_requests"]
        .as_u64()
        .context("no `conservation.planned_requests`")?;
    let rate = answered / f64::from(ask.seconds);
    let time = |key: &str| said["generator"][key].as_u64().map(Duration::from_nanos);
    let stage = |key: &str| said["stages"][0][key].as_u64().map(Duration::from_nanos);
    let outcome = said["outcome"].as_str().unwrap_or("unknown");
    let sentence = said["sentence"].as_str().unwrap_or_default();
    let count = |key: &str| said["stages"][0][key].as_f64();
    let achieved = over(count("achieved"), count("offered"));
    Ok(Reading {
        requests_per_s: rate,
        p50: stage("p50"),
        p99: stage("p99"),
        lag_p50: time("lag_p50"),
        lag_p99: time("lag_p99"),
        achieved: ask.rate.and(achieved),
        failures: planned.saturating_sub(super::count(answered)),
        remark: (outcome != "held").then(|| format!("{outcome}: {sentence}")),
        ..Reading::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_result_is_read_from_the_last_line() {
        insta::assert_debug_snapshot!(captured(
            &TOOL,
            include_str!("captured/chaos-run.jsonl"),
            Some(10_000)
        ));
    }

    #[test]
    fn a_rate_counts_requests_whatever_the_journey() {
        let ask = Ask {
            journey: Journey::ThreeSteps,
            ..Ask::closed("http://127.0.0.1:1/".to_owned(), 64, 2).at(9_000)
        };
        let text = scenario(&ask);
        assert!(
            text.contains("rate: 3000/s")
                && text.contains("connections: 64")
                && text.contains("url: \"http://127.0.0.1:1\""),
            "{text}"
        );
    }
}
