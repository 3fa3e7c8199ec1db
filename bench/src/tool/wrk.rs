//! wrk: the one that everybody measures against; closed loop only.
//!
//! Invariant: failures are counted, never folded into the rate.

use anyhow::{Context, Result};

use super::{Ask, Reading, Tool, after, length, number_after, printed_version};
use crate::process::Finished;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "wrk",
    program: "wrk",
    install: "apt-get install wrk",
    version: |sitting, program| printed_version(sitting, program, "-v"),
    arguments: |_, ask| {
        Ok(words![
            "-t1",
            format!("-c{}", ask.connections),
            format!("-d{}s", ask.seconds),
            "--latency",
            ask.url,
        ])
    },
    also_accepts: &[],
    read,
};

/// Also what wrk2 prints, with its finer percentiles.
pub(super) fn read(finished: &Finished, ask: &Ask) -> Result<Reading> {
    let text = &finished.stdout;
    let rate = number_after(text, "Requests/sec:").context("no line `Requests/sec:`")?;
    let percentile = |key: &str| after(text, key).and_then(length);
    let refused = number_after(text, "Non-2xx or 3xx responses:").unwrap_or(0.0);
    Ok(Reading {
        requests_per_s: rate,
        p50: percentile("50%").or_else(|| percentile("50.000%")),
        p99: percentile("99%").or_else(|| percentile("99.000%")),
        p999: percentile("99.900%"),
        achieved: ask.rate.map(|offered| rate / f64::from(offered)),
        failures: super::count(refused) + socket_errors(text),
        requests: requests(text),
        ..Reading::default()
    })
}

/// `75177 requests in 1.01s, 5.59MB read`.
fn requests(text: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())
}

/// `Socket errors: connect 0, read 3, write 0, timeout 12`.
fn socket_errors(text: &str) -> u64 {
    let line = after(text, "Socket errors:").unwrap_or_default();
    let words = line.split([',', ' ']);
    words.filter_map(|word| word.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_good_run_is_read() {
        insta::assert_debug_snapshot!(captured(&TOOL, include_str!("captured/wrk.txt"), None));
    }

    #[test]
    fn errors_of_all_kinds_are_failures() {
        let reading = captured(&TOOL, include_str!("captured/wrk-errors.txt"), None);
        assert_eq!(reading.failures, 64 + 17);
    }
}
