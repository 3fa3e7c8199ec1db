//! oha: closed and open loop, HTTP/1.1 and HTTP/2, in Rust on hyper.
//!
//! Invariant: in the open loop its own correction for coordinated omission is on, so that it is compared at its best.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Ask, Reading, Tool, printed_version};
use crate::process::Finished;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "oha",
    program: "oha",
    install: "cargo install oha@1.16.0 --locked",
    version: |sitting, program| printed_version(sitting, program, "--version"),
    arguments: |_, ask| {
        let mut words = words![
            "--no-tui",
            "--output-format",
            "json",
            "-w",
            "-c",
            ask.connections,
            "-z",
            format!("{}s", ask.seconds),
        ];
        if let Some(rate) = ask.rate {
            words.extend(words!["-q", rate, "--latency-correction"]);
        }
        if ask.streams > 1 {
            words.extend(words!["--http2", "-p", ask.streams]);
        }
        if ask.tls {
            words.extend(words!["--insecure"]);
        }
        words.extend(words![ask.url]);
        Ok(words)
    },
    also_accepts: &[],
    read,
};

fn read(finished: &Finished, ask: &Ask) -> Result<Reading> {
    let said: Value = serde_json::from_str(&finished.stdout).context("this is not JSON")?;
    let rate = said["summary"]["requestsPerSec"]
        .as_f64()
        .context("no `summary.requestsPerSec`")?;
    let percentile = |key: &str| {
        let seconds = said["latencyPercentiles"][key].as_f64()?;
        std::time::Duration::try_from_secs_f64(seconds).ok()
    };
    let refused = sum(&said["statusCodeDistribution"], |code| code != "200");
    Ok(Reading {
        requests_per_s: rate,
        p50: percentile("p50"),
        p99: percentile("p99"),
        p999: percentile("p99.9"),
        achieved: ask.rate.map(|offered| rate / f64::from(offered)),
        failures: refused + sum(&said["errorDistribution"], |_| true),
        ..Reading::default()
    })
}

fn sum(counts: &Value, of: impl Fn(&str) -> bool) -> u64 {
    let counts = counts.as_object().into_iter().flatten();
    counts
        .filter(|(key, _)| of(key))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn an_open_loop_is_read() {
        insta::assert_debug_snapshot!(captured(
            &TOOL,
            include_str!("captured/oha.json"),
            Some(5_000)
        ));
    }

    #[test]
    fn refused_and_wrong_answers_are_failures() {
        let text = r#"{"summary": {"requestsPerSec": 9.0}, "latencyPercentiles": {"p50": null},
            "statusCodeDistribution": {"200": 5, "503": 2}, "errorDistribution": {"connection refused": 4}}"#;
        let reading = captured(&TOOL, text, None);
        assert_eq!((reading.failures, reading.p50), (6, None));
    }
}
