//! wrk2: open loop with latency from the intended instant; must be built by hand.
//!
//! Invariant: never asked without a rate.

use anyhow::Context;

use super::{Tool, printed_version, wrk};
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "wrk2",
    program: "wrk2",
    install: "build github.com/giltene/wrk2 by hand and put it into the PATH as `wrk2` (it is in no package registry)",
    version: |sitting, program| printed_version(sitting, program, "-v"),
    arguments: |_, ask| {
        let rate = ask.rate.context("wrk2 needs a rate")?;
        Ok(words![
            "-t1",
            format!("-c{}", ask.connections),
            format!("-d{}s", ask.seconds),
            format!("-R{rate}"),
            "--latency",
            ask.url,
        ])
    },
    also_accepts: &[],
    read: wrk::read,
};
