//! ab (`ApacheBench`): closed loop, HTTP/1.0 with keep-alive.
//!
//! Invariant: it never ends for having sent its number of requests, only for time.

use anyhow::{Context, Result};

use super::{Ask, Reading, Tool, count, milliseconds, number_after, printed_version};
use crate::process::Finished;
use crate::words;

/// More than any machine sends in a second through one thread of ab, which keeps 32 bytes for each.
const REQUESTS_A_SECOND_MAX: u32 = 200_000;

pub(crate) const TOOL: Tool = Tool {
    name: "ab",
    program: "ab",
    install: "apt-get install apache2-utils",
    version: |sitting, program| printed_version(sitting, program, "-V"),
    arguments: |_, ask| {
        // `-t` sets a number of its own, so `-n` has to come behind it.
        Ok(words![
            "-q",
            "-k",
            "-t",
            ask.seconds,
            "-n",
            ask.seconds * REQUESTS_A_SECOND_MAX,
            "-c",
            ask.connections,
            ask.url,
        ])
    },
    also_accepts: &[],
    read,
};

fn read(finished: &Finished, _: &Ask) -> Result<Reading> {
    let text = &finished.stdout;
    let whole = |key| number_after(text, key).map_or(0, count);
    Ok(Reading {
        requests_per_s: number_after(text, "Requests per second:")
            .context("no line `Requests per second:`")?,
        p50: number_after(text, "50%").and_then(milliseconds),
        p99: number_after(text, "99%").and_then(milliseconds),
        failures: whole("Failed requests:") + whole("Non-2xx responses:"),
        ..Reading::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn a_good_run_is_read() {
        insta::assert_debug_snapshot!(captured(&TOOL, include_str!("captured/ab.txt"), None));
    }
}
