//! A claim in words, for one without a name of its own.
//!
//! Invariant: the words name every limit, so that two claims read alike only if they claim alike.

use crate::check::load::LoadFacts;
use crate::plan::{Expect, Part, Rule};
use crate::units::{bytes_to_text, duration_to_text};

pub(super) fn of(expect: &Expect, load: &LoadFacts) -> String {
    let words = match expect {
        Expect::Latency { limits, .. } => joined(limits.iter().map(|limit| {
            let (quantile, most) = (limit.quantile.name(), duration_to_text(limit.at_most));
            format!("{quantile} at most {most}")
        })),
        Expect::Errors { max, .. } => format!("errors at most {max}"),
        Expect::Availability { min, .. } => format!("availability at least {min}"),
        Expect::Recovery { within, .. } => format!("recovery within {}", duration_to_text(*within)),
        Expect::Integrity { rules } if rules.len() == Rule::ALL.len() => {
            "nothing lost, doubled or invented".to_owned()
        }
        Expect::Integrity { rules } => joined(rules.iter().map(|rule| rule.words().to_owned())),
        Expect::Resources { cpu, memory, .. } => joined(
            [("cpu", cpu), ("memory", memory)]
                .into_iter()
                .filter_map(|(what, most)| Some(format!("{what} at most {}", (*most)?))),
        ),
        Expect::Goodput { min, at_least, .. } => joined(
            [
                min.map(|min| format!("goodput at least {min} of that before")),
                at_least.map(|rate| format!("goodput at least {rate}")),
            ]
            .into_iter()
            .flatten(),
        ),
        Expect::Drift {
            memory,
            descriptors,
            connections,
            p95,
            ..
        } => joined(
            [
                memory.map(|most| ("memory", bytes_to_text(most))),
                descriptors.map(|most| ("descriptors", most.to_string())),
                connections.map(|most| ("connections", most.to_string())),
                p95.map(|most| ("p95", duration_to_text(most))),
            ]
            .into_iter()
            .flatten()
            .map(|(what, most)| format!("{what} grows at most {most} an hour")),
        ),
        Expect::ScaleOut {
            service,
            to,
            within,
            ..
        } => {
            let within = duration_to_text(*within);
            match to {
                Some(to) => format!("{service} scales out to {to} within {within}"),
                None => format!("{service} scales out within {within}"),
            }
        }
        Expect::Capacity { min: Some(min) } => format!("capacity at least {min}"),
        Expect::Capacity { min: None } => "the capacity is found".to_owned(),
    };
    words + &part(expect.part(), load).unwrap_or_default()
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// ` (checkout/pay)` for a claim about a part only.
fn part(part: Part, load: &LoadFacts) -> Option<String> {
    let name = |journey: usize| Some(load.journeys.as_ref()?.get(journey)?.name.clone());
    match part {
        Part::All => None,
        Part::Journey(journey) => Some(format!(" ({})", name(journey)?)),
        Part::Endpoint { journey, step } => {
            let steps = load.journeys.as_ref()?.get(journey)?.steps.as_ref()?;
            Some(format!(" ({}/{})", name(journey)?, steps.get(step)?.name))
        }
    }
}
