//! chaos, by `chaos load`: the engine on its own.
//!
//! Invariant: it is asked for nothing that it does not do in every run: all clocks, checked status, full recording.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Ask, Reading, Tool, printed_version};
use crate::process::Finished;
use crate::section::over;
use crate::words;

pub(crate) const TOOL: Tool = Tool {
    name: "chaos",
    program: "chaos",
    install: "",
    version: |sitting, program| printed_version(sitting, program, "--version"),
    arguments: |_, ask| {
        let mut words = words![
            "load",
            ask.url,
            "--json",
            "--connections",
            ask.connections,
            "--duration",
            format!("{}s", ask.seconds),
            "--threads",
            1,
        ];
        if let Some(rate) = ask.rate {
            words.extend(words!["--rate", format!("{rate}/s"), "--arrivals", "even"]);
        }
        if ask.streams > 1 {
            words.extend(words!["--http", 2, "--streams", ask.streams]);
        }
        if ask.tls {
            words.extend(words!["--insecure"]);
        }
        Ok(words)
    },
    // Its own verdict that the generator was too slow; the figures stand beside it.
    also_accepts: &[3],
    read,
};

fn read(finished: &Finished, ask: &Ask) -> Result<Reading> {
    let said: Value = serde_json::from_str(&finished.stdout).context("this is not JSON")?;
    let measured = &said["measured"];
    let requests = &said["conservation"]["requests"];
    let answered = requests["ok"]
        .as_u64()
        .context("no `conservation.requests.ok`")?;
    let planned = said["conservation"]["planned_requests"].as_u64();
    let cut_off = requests["cancelled"].as_u64().unwrap_or(0);
    let time = |clock: &str, at: &str| measured[clock][at].as_u64().map(Duration::from_nanos);
    // What was sent in time: late answers are the server's.
    let achieved = over(measured["achieved"].as_f64(), measured["offered"].as_f64());
    Ok(Reading {
        requests_per_s: measured["good_per_second"]
            .as_f64()
            .context("no `measured.good_per_second`")?,
        p50: time("all", "p50"),
        p99: time("all", "p99"),
        p999: time("all", "p99.9"),
        service_p99: time("service", "p99"),
        service_p999: time("service", "p99.9"),
        lag_p50: time("lag", "p50"),
        lag_p99: time("lag", "p99"),
        achieved: ask.rate.and(achieved),
        hiccup_p999: hiccup(&said),
        failures: planned.unwrap_or(0).saturating_sub(answered + cut_off),
        requests: Some(answered),
        remark: complaint(&said),
        ..Reading::default()
    })
}

fn hiccup(said: &Value) -> Option<Duration> {
    let nanos = said["generator"]["hiccups"]["p999"].as_u64()?;
    Some(Duration::from_nanos(nanos))
}

/// Why it does not trust its own figures, if so.
fn complaint(said: &Value) -> Option<String> {
    if said["exit"]["code"] == 0 {
        return None;
    }
    let complaints = said["generator"]["complaints"].as_array()?;
    let complaints: Vec<_> = complaints.iter().filter_map(Value::as_str).collect();
    let name = said["exit"]["name"].as_str().unwrap_or("no verdict");
    Some(format!("{name}: {}", complaints.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::captured;

    #[test]
    fn an_open_loop_is_read() {
        insta::assert_debug_snapshot!(captured(
            &TOOL,
            include_str!("captured/chaos-load.json"),
            Some(5_000)
        ));
    }

    #[test]
    fn what_was_cut_off_at_the_end_has_not_failed() {
        let text = r#"{"measured": {"good_per_second": 90.0},
            "conservation": {"planned_requests": 100, "requests": {"ok": 90, "cancelled": 4}},
            "generator": {"complaints": ["the generator was late"], "hiccups": {"p999": 2000}}, "exit": {"code": 3, "name": "inconclusive"}}"#;
        let reading = captured(&TOOL, text, None);
        assert_eq!(reading.failures, 6);
        assert_eq!(reading.hiccup_p999, Some(Duration::from_micros(2)));
        assert_eq!(
            reading.remark.as_deref(),
            Some("inconclusive: the generator was late")
        );
    }
}
