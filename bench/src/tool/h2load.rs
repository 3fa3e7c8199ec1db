//! h2load: closed loop over HTTP/2, in C; nghttp2's own.
//!
//! Invariant: never asked for HTTP/1.1.

use anyhow::{Context, Result};

use super::{Ask, Reading, Tool, after, count, printed_version};
use crate::process::Finished;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "h2load",
    program: "h2load",
    install: "apt-get install nghttp2-client",
    version: |sitting, program| printed_version(sitting, program, "--version"),
    // It takes any certificate without being asked to.
    arguments: |_, ask| {
        Ok(words![
            "-t1",
            format!("-c{}", ask.connections),
            format!("-m{}", ask.streams),
            format!("-D{}", ask.seconds),
            ask.url,
        ])
    },
    also_accepts: &[],
    read,
};

fn read(finished: &Finished, _: &Ask) -> Result<Reading> {
    let text = &finished.stdout;
    let line = after(text, "finished in").context("no line `finished in`")?;
    let rate = number_before(line, "req/s").context("no rate on the line `finished in`")?;
    let line = after(text, "requests:").context("no line `requests:`")?;
    let lost =
        ["failed", "errored", "timeout"].map(|word| number_before(line, word).unwrap_or(0.0));
    let codes = after(text, "status codes:").unwrap_or_default();
    let wrong = ["3xx", "4xx", "5xx"].map(|word| number_before(codes, word).unwrap_or(0.0));
    // What it failed for its status is counted in both.
    let failures = lost.iter().sum::<f64>().max(wrong.iter().sum());
    Ok(Reading {
        requests_per_s: rate,
        failures: count(failures),
        ..Reading::default()
    })
}

/// Of `1 total, 2 started`, the number before `word`.
fn number_before(line: &str, word: &str) -> Option<f64> {
    let part = line
        .split(',')
        .find_map(|part| part.trim().strip_suffix(word))?;
    part.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_good_run_is_read() {
        insta::assert_debug_snapshot!(captured(&TOOL, include_str!("captured/h2load.txt"), None));
    }

    #[test]
    fn failures_are_counted_once() {
        let text = "finished in 1.00s, 90.00 req/s, 1KB/s\n\
            requests: 100 total, 100 started, 100 done, 90 succeeded, 10 failed, 2 errored, 0 timeout\n\
            status codes: 90 2xx, 0 3xx, 0 4xx, 8 5xx\n";
        assert_eq!(captured(&TOOL, text, None).failures, 12);
    }
}
