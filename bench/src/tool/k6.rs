//! k6: closed and open loop, scripted in JavaScript, in Go.
//!
//! Invariant: iterations that it dropped for want of users are failures.

use std::ffi::OsString;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Ask, Reading, Tool, count, milliseconds, printed_version};
use crate::process::Finished;
use crate::sitting::Sitting;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "k6",
    program: "k6",
    install: "go install go.k6.io/k6@v1.8.1",
    version: |sitting, program| printed_version(sitting, program, "version"),
    arguments,
    also_accepts: &[],
    read,
};

fn arguments(sitting: &Sitting, ask: &Ask) -> Result<Vec<OsString>> {
    let script = sitting.write("k6.js", &script(ask))?;
    Ok(words![
        "run",
        "--quiet",
        "--no-usage-report",
        script.display()
    ])
}

/// The least that k6 can be made to do: one request, its body thrown away, the metrics as JSON.
fn script(ask: &Ask) -> String {
    let Ask {
        url,
        connections,
        seconds,
        ..
    } = ask;
    let executor = match ask.rate {
        None => format!("executor: 'constant-vus', vus: {connections}"),
        Some(rate) => format!(
            "executor: 'constant-arrival-rate', rate: {rate}, timeUnit: '1s', \
             preAllocatedVUs: {connections}, maxVUs: {}",
            connections * 4
        ),
    };
    format!(
        "import http from 'k6/http';
export const options = {{
  scenarios: {{ all: {{ {executor}, duration: '{seconds}s', gracefulStop: '2s' }} }},
  discardResponseBodies: true,
  summaryTrendStats: ['p(50)', 'p(99)', 'p(99.9)'],
}};
export default function () {{ http.get('{url}'); }}
export function handleSummary(data) {{ return {{ stdout: JSON.stringify(data.metrics) }}; }}
"
    )
}

fn read(finished: &Finished, ask: &Ask) -> Result<Reading> {
    let said: Value = serde_json::from_str(&finished.stdout).context("this is not JSON")?;
    let value = |metric: &str, key: &str| said[metric]["values"][key].as_f64();
    let rate = value("http_reqs", "rate").context("no metric `http_reqs`")?;
    let percentile = |key: &str| value("http_req_duration", key).and_then(milliseconds);
    // Of this metric the "passes" are the requests that failed.
    let failed = value("http_req_failed", "passes").unwrap_or(0.0);
    let dropped = value("dropped_iterations", "count").unwrap_or(0.0);
    Ok(Reading {
        requests_per_s: rate,
        p50: percentile("p(50)"),
        p99: percentile("p(99)"),
        p999: percentile("p(99.9)"),
        achieved: ask.rate.map(|offered| rate / f64::from(offered)),
        failures: count(failed) + count(dropped),
        ..Reading::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_good_run_is_read() {
        insta::assert_debug_snapshot!(captured(&TOOL, include_str!("captured/k6.json"), None));
    }

    #[test]
    fn a_rate_asks_for_arrivals_and_what_was_dropped_is_a_failure() {
        let ask = Ask::closed("http://127.0.0.1:1/".to_owned(), 64, 1);
        assert!(script(&ask).contains("constant-vus"));
        assert!(script(&ask.at(5_000)).contains("constant-arrival-rate', rate: 5000"));
        let text = r#"{"http_reqs": {"values": {"rate": 4000.0}},
            "http_req_failed": {"values": {"passes": 3}}, "dropped_iterations": {"values": {"count": 34}}}"#;
        let reading = captured(&TOOL, text, Some(5_000));
        assert_eq!((reading.failures, reading.achieved), (37, Some(0.8)));
    }
}
