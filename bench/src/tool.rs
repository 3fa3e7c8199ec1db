//! Load generators, each in a module of the same shape: find, version, arguments, reading.
//!
//! Invariant: a tool is data; it is run, pinned and timed by [`crate::contest`], the same way for all.

pub(crate) mod ab;
pub(crate) mod chaos_load;
pub(crate) mod chaos_run;
pub(crate) mod floor;
pub(crate) mod h2load;
pub(crate) mod hey;
pub(crate) mod k6;
pub(crate) mod oha;
pub(crate) mod wrk;
pub(crate) mod wrk2;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Finished;
use crate::sitting::Sitting;

/// What a generator is asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub url: String,
    pub connections: u32,
    /// Requests in flight on each connection; more than 1 means HTTP/2.
    pub streams: u32,
    pub seconds: u32,
    /// Requests a second whatever the answers; `None` sends the next when the last is answered.
    pub rate: Option<u32>,
    /// Over TLS, with a certificate that nobody signed.
    pub tls: bool,
    /// What is sent; only scenarios can send more than the same request.
    pub journey: Journey,
}

/// What a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Journey {
    /// One GET, its answer not looked at.
    Plain,
    /// One GET; its body is checked, and a value taken from it.
    Checked,
    /// Three requests: what the first answers goes into path, header and body of the next two.
    ThreeSteps,
}

impl Ask {
    /// As fast as possible over HTTP/1.1.
    pub(crate) fn closed(url: String, connections: u32, seconds: u32) -> Self {
        Self {
            url,
            connections,
            streams: 1,
            seconds,
            rate: None,
            tls: false,
            journey: Journey::Plain,
        }
    }

    pub(crate) fn at(self, rate: u32) -> Self {
        Self {
            rate: Some(rate),
            ..self
        }
    }
}

/// What a generator said it saw, in its own words' meaning; `None` is what it does not tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    pub requests_per_s: f64,
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    pub p999: Option<Duration>,
    /// From when it was sent, where response counts from when it was due.
    pub service_p99: Option<Duration>,
    pub service_p999: Option<Duration>,
    /// How late requests were dispatched.
    pub lag_p50: Option<Duration>,
    pub lag_p99: Option<Duration>,
    /// How late a thread of the tool woke that only sleeps: the machine's own share of every tail.
    pub hiccup_p999: Option<Duration>,
    /// Share of the offered requests that were answered.
    pub achieved: Option<f64>,
    /// Requests without an answer, and answers other than 200.
    pub failures: u64,
    /// Worth a footnote.
    pub remark: Option<String>,
    /// All that were answered, where the tool tells it exactly.
    pub requests: Option<u64>,
    /// Core time of the generator for each request; set by whoever ran it.
    pub cpu_per_request: Option<Duration>,
    /// The same of what it sent them to: the server, or the proxy before it.
    pub front_cpu_per_request: Option<Duration>,
}

/// A load generator.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name in tables.
    pub name: &'static str,
    /// Its file name.
    pub program: &'static str,
    /// How to get it.
    pub install: &'static str,
    pub version: fn(&Sitting, &Path) -> Result<String>,
    /// Files it needs are written into the sitting's folder.
    pub arguments: fn(&Sitting, &Ask) -> Result<Vec<OsString>>,
    /// Exit codes besides 0 with which it still has something to say.
    pub also_accepts: &'static [i32],
    pub read: fn(&Finished, &Ask) -> Result<Reading>,
}

/// Words on a command line, some of them numbers.
#[macro_export]
macro_rules! words {
    ($($word:expr),* $(,)?) => { vec![$(std::ffi::OsString::from($word.to_string())),*] };
}

/// The first word that looks like a version in what the program prints when asked with `argument`.
pub(crate) fn printed_version(sitting: &Sitting, program: &Path, argument: &str) -> Result<String> {
    let launch = crate::process::Launch {
        program: program.to_owned(),
        arguments: words![argument],
        core: None,
    };
    let finished = launch.start(sitting)?.finish(Duration::from_secs(20))?;
    let text = format!("{}\n{}", finished.stdout, finished.stderr);
    first_version(&text).with_context(|| format!("`{}` told no version", program.display()))
}

fn first_version(text: &str) -> Option<String> {
    let clean = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let word = word.rsplit('/').next().unwrap_or(word);
        word.strip_prefix('v').unwrap_or(word).to_owned()
    };
    text.split_whitespace()
        .map(clean)
        .find(|word| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit()))
}

/// The version of a Go program as its build noted it, for those that do not print one.
pub(crate) fn go_version(sitting: &Sitting, program: &Path) -> Result<String> {
    let launch = crate::process::Launch {
        program: "go".into(),
        arguments: words!["version", "-m", program.display()],
        core: None,
    };
    let finished = launch.start(sitting)?.finish(Duration::from_secs(20))?;
    let line = finished
        .stdout
        .lines()
        .find_map(|line| line.trim_start().strip_prefix("mod\t"));
    line.and_then(first_version)
        .context("`go version -m` told no version")
}

/// A length as these tools write it: `1.25ms`, `310us`, `2.0s`, `0.0012 secs`.
fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "s" | "secs" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        "m" => 60.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()
}

/// What stands behind `key` on the first line that begins with it.
fn after<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines()
        .find_map(|line| Some(line.trim_start().strip_prefix(key)?.trim()))
}

/// The first number behind `key`.
fn number_after(text: &str, key: &str) -> Option<f64> {
    let word = after(text, key)?.split_ascii_whitespace().next()?;
    word.trim_end_matches(',').parse().ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count that a program printed as a number"
)]
fn count(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

fn milliseconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value / 1000.0).ok()
}

/// What a tool reads from the output that was captured from a real run of it.
#[cfg(test)]
fn captured(tool: &Tool, stdout: &str, rate: Option<u32>) -> Reading {
    let finished = Finished {
        stdout: stdout.to_owned(),
        ..Finished::default()
    };
    let ask = Ask {
        rate,
        ..Ask::closed(String::new(), 64, 1)
    };
    (tool.read)(&finished, &ask).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let check = |said: &str, expected: &str| {
            assert_eq!(first_version(said).as_deref(), Some(expected), "{said}");
        };
        check(
            "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012",
            "4.1.0-3+b2",
        );
        check("This is ApacheBench, Version 2.3 <$Revision$>", "2.3");
        check("k6 v1.8.1 (go1.26.8, linux/amd64)", "1.8.1");
        check("h2load nghttp2/1.52.0", "1.52.0");
        check("github.com/rakyll/hey\tv0.1.5\th1:oc3Q=", "0.1.5");
        assert_eq!(first_version("no version here."), None);
    }

    #[test]
    fn lengths_bear_their_units() {
        let check = |text: &str, micros: Option<u64>| {
            assert_eq!(length(text), micros.map(Duration::from_micros), "{text}");
        };
        check("1.25ms", Some(1250));
        check("310.00us", Some(310));
        check("0.0012 secs", Some(1200));
        check("2.00s", Some(2_000_000));
        check("-nan", None);
        check("12", None);
    }
}
