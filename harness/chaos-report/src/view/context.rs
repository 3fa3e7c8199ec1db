//! What happened when, and how to do it again.
//!
//! Invariant: secrets of the command and the scenario do not pass ([`crate::clean::redact`]).

use chaos_plan::plan::{HttpVersion, PlatformName, Running, Target};
use chaos_record::event::Stamped;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Story;
use super::faults::Fact;
use crate::clean::{clean, clean_lines, redact};
use crate::plan_text::plan_yaml;
use crate::text::event_text;
use crate::words;

/// Most events a report lists.
const EVENTS_MAX: usize = 150;

/// One event on the load's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// `00:41.3`, with a minus before the load.
    pub at: String,
    /// Wall clock, UTC.
    pub clock: String,
    pub what: String,
}

/// What another person needs to see the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reproduce {
    pub command: String,
    pub facts: Vec<Fact>,
    /// The scenario as written, without secrets.
    pub scenario: String,
    /// The plan it became, as YAML, without secrets; empty if it cannot be written.
    pub plan: String,
}

/// The events worth a line, and how many more there are.
pub fn event_rows(story: &Story<'_>) -> (Vec<EventRow>, u64) {
    let zero = story.verdict.load_started.unwrap_or(0);
    let clock = |at: u64| {
        if at >= zero {
            words::clock(at - zero)
        } else {
            format!("-{}", words::clock(zero - at))
        }
    };
    // Written when heard; read in the order in which it happened.
    let mut events: Vec<&Stamped> = story.events.iter().collect();
    events.sort_by_key(|event| event.at);
    let told = events.into_iter().filter_map(|event| {
        Some(EventRow {
            at: clock(event.at),
            clock: wall(story, event.at),
            what: event_text(&event.what, story.plan())?,
        })
    });
    let mut rows: Vec<EventRow> = told.collect();
    let left_out = rows.len().saturating_sub(EVENTS_MAX);
    rows.truncate(EVENTS_MAX);
    (rows, left_out as u64)
}

pub(super) fn reproduce(story: &Story<'_>) -> Reproduce {
    let (header, plan) = (story.header, story.plan());
    let fact = |label: &str, value: String| Fact {
        label: label.to_owned(),
        value,
    };
    let end = story.events.iter().map(|event| event.at).max();
    let mut facts = vec![
        fact("Scenario", redact(&clean(&plan.source.path))),
        fact("Began", super::wall_clock(&header.started)),
        fact(
            "Ended",
            end.map_or_else(|| "not known".to_owned(), |at| wall(story, at)),
        ),
        fact("Seed", plan.seed.to_string()),
        fact("Platform", platform(plan.platform).to_owned()),
        fact("Target", target(&plan.target)),
        fact("chaos", clean(&header.chaos)),
        fact(
            "Machine",
            format!(
                "{} CPUs, {} MiB, {}",
                header.host.cpus,
                words::count(header.host.memory_mib),
                clean(&header.host.kernel)
            ),
        ),
        fact(
            "Scale",
            format!("time x {}, rate x {}", plan.scale.time, plan.scale.rate),
        ),
    ];
    facts.extend(
        plan.source
            .overrides
            .iter()
            .map(|set| fact("Set", redact(&clean(set)))),
    );
    let command = header
        .command
        .iter()
        .map(|word| shell_word(&redact(&clean(word))))
        .collect::<Vec<_>>()
        .join(" ");
    Reproduce {
        command,
        facts,
        scenario: clean_lines(&plan.source.text),
        plan: clean_lines(&plan_yaml(plan).unwrap_or_default()),
    }
}

/// Wall clock `at` nanoseconds after the start of the run: `09:31:02 UTC`.
pub(super) fn wall(story: &Story<'_>, at: u64) -> String {
    let started: Result<Timestamp, _> = story.header.started.parse();
    let after = SignedDuration::from_nanos(i64::try_from(at).unwrap_or(i64::MAX));
    started
        .ok()
        .and_then(|started| started.checked_add(after).ok())
        .map_or_else(
            || "not known".to_owned(),
            |at| at.strftime("%H:%M:%S UTC").to_string(),
        )
}

/// The scenario as `chaos run` takes it.
pub fn scenario(story: &Story<'_>) -> String {
    let path = redact(&clean(&story.plan().source.path));
    path.strip_prefix("bundled:")
        .map_or_else(|| path.clone(), str::to_owned)
}

/// The word the scenario uses for a platform.
pub fn platform(name: PlatformName) -> &'static str {
    match name {
        PlatformName::Local => "local",
        PlatformName::Compose => "compose",
        PlatformName::Kubernetes => "kubernetes",
    }
}

/// What the load is sent to, in words.
pub fn target(target: &Target) -> String {
    match target {
        Target::Url(running) => running_target(running),
        Target::Deploy(description) => {
            let services: Vec<String> = description
                .services
                .iter()
                .map(|service| format!("{} x {}", clean(&service.name), service.replicas))
                .collect();
            format!("{}: {}", clean(&description.name), services.join(", "))
        }
    }
}

/// An address and what was said of how it is spoken to.
pub(crate) fn running_target(running: &Running) -> String {
    let mut words = redact(&clean(&running.url));
    match running.http {
        HttpVersion::Auto => {}
        HttpVersion::Http1 => words.push_str(" by HTTP/1.1"),
        HttpVersion::Http2 => words.push_str(" by HTTP/2"),
    }
    if running.insecure {
        words.push_str(", certificate not checked");
    }
    words
}

/// A word as a POSIX shell reads it back.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,%+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchecked_certificate_is_told() {
        let mut running = Running::new("https://user:word@shop.example");
        assert!(!running_target(&running).contains("word@"));
        running.http = HttpVersion::Http2;
        running.insecure = true;
        assert!(
            running_target(&running).ends_with("shop.example by HTTP/2, certificate not checked")
        );
    }

    #[test]
    fn a_command_can_be_pasted_back() {
        let check = |word: &str, expected: &str| assert_eq!(shell_word(word), expected);
        check("--seed=42", "--seed=42");
        check("", "''");
        check("a b", "'a b'");
        check("it's", r"'it'\''s'");
        check("$(x)", "'$(x)'");
    }
}
