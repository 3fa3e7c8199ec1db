//! hey: closed loop, in Go.
//!
//! Invariant: an answer other than 200 is a failure, as is none.

use anyhow::{Context, Result};

use super::{Ask, Reading, Tool, go_version, length, number_after};
use crate::process::Finished;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "hey",
    program: "hey",
    install: "go install github.com/rakyll/hey@v0.1.5",
    version: go_version,
    arguments: |_, ask| {
        Ok(words![
            "-z",
            format!("{}s", ask.seconds),
            "-c",
            ask.connections,
            ask.url
        ])
    },
    also_accepts: &[],
    read,
};

fn read(finished: &Finished, _: &Ask) -> Result<Reading> {
    let text = &finished.stdout;
    Ok(Reading {
        requests_per_s: number_after(text, "Requests/sec:").context("no line `Requests/sec:`")?,
        p50: percentile(text, "50%"),
        p99: percentile(text, "99%"),
        failures: failures(text),
        ..Reading::default()
    })
}

/// `  99% in 0.0031 secs`; some versions write `99%%`.
fn percentile(text: &str, key: &str) -> Option<std::time::Duration> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix(key)?.trim_start_matches('%');
        length(rest.trim().strip_prefix("in")?)
    })
}

/// Lines `[500] 12 responses` and, of requests without an answer, `[3] Get "http...": connection refused`.
fn failures(text: &str) -> u64 {
    let line = |line: &str| {
        let (code, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
        let first = rest.split_ascii_whitespace().next()?;
        match rest.trim_end().strip_suffix(" responses") {
            Some(_) if code == "200" => None,
            Some(_) => first.parse::<u64>().ok(),
            None => code.parse().ok(),
        }
    };
    text.lines().filter_map(line).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_good_run_is_read() {
        insta::assert_debug_snapshot!(captured(&TOOL, include_str!("captured/hey.txt"), None));
    }

    #[test]
    fn refused_and_wrong_answers_are_failures() {
        let text = "Status code distribution:\n  [200]\t90 responses\n  [500]\t7 responses\n\n\
                    Error distribution:\n  [3]\tGet \"http://127.0.0.1:1/\": dial tcp: connection refused\n";
        assert_eq!(failures(text), 10);
    }
}
