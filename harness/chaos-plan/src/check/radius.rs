//! How far faults may go: never beyond the allowed share, never the last healthy instance.
//!
//! Invariant: what the plan says is within `safety`. The run looks again, at the instances that
//! are healthy then, immediately before each act.

use std::time::Duration;

use super::target::Role;
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::format::Text;
use crate::file::located::Optional;
use crate::file::scenario::{self, Replicas};
use crate::plan::{HowMany, Inject, Safety};
use crate::units::Share;

/// How long a killed instance that is restarted counts as missing where the run cannot say yet.
const MISSING: Duration = Duration::from_secs(5);

/// How many instances a fault asks for.
pub(super) fn how_many(
    count: &Optional<Replicas>,
    share: &Optional<Text<Share>>,
    problems: &mut Diagnostics,
) -> Option<HowMany> {
    match (count.given(), share.given()) {
        (Some(first), Some(second)) => {
            let problem = codes::ONE_OF
                .at(
                    second.span,
                    "a fault has at most one of `count` and `share`",
                )
                .label("one too many");
            let problem = problem.related(first.span, "`count` is here");
            problems.add(problem.help("leave `count` or `share` out"));
            None
        }
        (None, Some(given)) => {
            let share = given.get()?.0;
            if share.ratio() <= 0.0 {
                problems.add(
                    codes::OUT_OF_RANGE
                        .at(given.span, "`share` must be more than 0%")
                        .help("for example `50%`"),
                );
                return None;
            }
            Some(HowMany::Share(share))
        }
        (_, None) => count
            .or(Replicas(scenario::COUNT))
            .map(|count| HowMany::Count(count.0)),
    }
}

/// What one fault takes from one service, and when.
#[derive(Debug)]
pub(super) struct Hit<'a> {
    pub(super) role: &'a Role,
    pub(super) inject: &'a Inject,
    /// Where the fault names its service.
    pub(super) span: Span,
    /// Begin, and end for a fault that ends; `None` where only the run will know.
    pub(super) when: Option<(Duration, Option<Duration>)>,
}

impl Hit<'_> {
    /// How many of how many instances.
    fn taken(&self) -> Option<(u32, u32)> {
        let replicas = self.role.replicas?;
        Some((self.inject.targets().how_many.of(replicas), replicas))
    }

    /// From when to when its instances may be missing.
    fn missing(&self) -> Option<(Duration, Duration)> {
        let (begin, end) = self.when?;
        let ends = if self.role.restarts {
            begin + MISSING
        } else {
            Duration::MAX
        };
        Some((begin, end.unwrap_or(ends)))
    }

    /// What would make it hit few enough of that many instances, if anything does.
    fn ways(&self, replicas: u32, safety: &Safety) -> Vec<String> {
        let raise = self.role.growth();
        match (self.inject, self.inject.targets().how_many) {
            (Inject::ServiceLost { .. }, _) => Vec::new(),
            (Inject::Scale { .. } | Inject::Drift { .. }, _) => {
                let most = safety.max_share.floor_of(u64::from(replicas));
                let least = u64::from(replicas).saturating_sub(most).max(1);
                let is_fewer = least < u64::from(replicas);
                let ask = is_fewer.then(|| format!("ask for `replicas: {least}` or more"));
                ask.into_iter().collect()
            }
            (_, HowMany::Share(share)) if share.ratio() > safety.max_share.ratio() => {
                let lower = format!("write `share: {}` or less", safety.max_share);
                (replicas > 1).then_some(lower).into_iter().collect()
            }
            (_, HowMany::Count(count)) if count > 1 => std::iter::once("hit fewer".to_owned())
                .chain(raise)
                .collect(),
            (_, HowMany::Count(_) | HowMany::Share(_)) => raise.into_iter().collect(),
        }
    }
}

/// Reports a fault that by itself goes too far; true if it does not.
pub(super) fn check_one(
    hit: &Hit<'_>,
    safety: Option<&Safety>,
    problems: &mut Diagnostics,
) -> bool {
    let (Some((taken, replicas)), Some(safety)) = (hit.taken(), safety) else {
        return false;
    };
    let service = quote(&hit.role.name);
    let name = &hit.role.name;
    let has = format!("{service} has {}", instances(replicas));
    if taken > replicas {
        let problem = codes::TOO_MANY.at(
            hit.span,
            format!("{taken} instances of {service} are to be hit, and it has {replicas}"),
        );
        let ways = std::iter::once("hit fewer".to_owned()).chain(hit.role.growth());
        problems.add(problem.related(hit.role.written, has).help(choice(ways)));
        return false;
    }
    if safety.allow_outage.contains(name) {
        return true;
    }
    let mut ways = hit.ways(replicas, safety);
    ways.push(allowance(name));
    if taken == replicas {
        let problem = codes::OUTAGE
            .at(
                hit.span,
                format!("the fault would leave no healthy instance of {service}"),
            )
            .label(format!("takes {taken} of {replicas}"));
        problems.add(problem.related(hit.role.written, has).help(choice(ways)));
        return false;
    }
    if u64::from(taken) > safety.max_share.floor_of(u64::from(replicas)) {
        let problem = codes::TOO_WIDE.at(hit.span, format!("{taken} of {replicas} instances of {service} are more than `safety.max_share` ({})", safety.max_share));
        ways.push("raise `safety.max_share`".to_owned());
        problems.add(problem.related(hit.role.written, has).help(choice(ways)));
        return false;
    }
    true
}

fn allowance(service: &str) -> String {
    format!("allow it with `safety.allow_outage: [{service}]`")
}

/// One way or several.
fn choice(ways: impl IntoIterator<Item = String>) -> String {
    let mut ways: Vec<String> = ways.into_iter().collect();
    let last = ways.pop().unwrap_or_default();
    if ways.is_empty() {
        return last;
    }
    format!("{}, or {last}", ways.join(", "))
}

fn instances(number: u32) -> String {
    if number == 1 {
        "1 instance".to_owned()
    } else {
        format!("{number} instances")
    }
}

/// Reports faults that go too far together; each by itself does not.
pub(super) fn check_together(
    hits: &[Hit<'_>],
    safety: Option<&Safety>,
    problems: &mut Diagnostics,
) {
    let Some(safety) = safety else { return };
    for (index, hit) in hits.iter().enumerate() {
        let (Some((begin, _)), Some((_, replicas))) = (hit.missing(), hit.taken()) else {
            continue;
        };
        // Those that have begun before this one, or at the same time and stand before it.
        let others = hits.iter().enumerate().filter(|(other, hit_before)| {
            let same = hit_before.role.name == hit.role.name;
            same && *other != index
                && hit_before.missing().is_some_and(|(from, to)| {
                    (from < begin || from == begin && *other < index) && begin < to
                })
        });
        let others: Vec<&Hit<'_>> = others.map(|(_, hit)| hit).collect();
        let Some(first) = others.first() else {
            continue;
        };
        let taken: u32 = others
            .iter()
            .chain([&hit])
            .filter_map(|hit| hit.taken())
            .map(|(taken, _)| taken)
            .sum();
        let too_wide =
            u64::from(taken) > safety.max_share.floor_of(u64::from(replicas)) || taken >= replicas;
        if too_wide && !safety.allow_outage.contains(&hit.role.name) {
            let name = &hit.role.name;
            let problem = codes::OVERLAP.at(
                hit.span,
                format!(
                    "faults that overlap would together hit {taken} of {replicas} instances of {}",
                    quote(name)
                ),
            );
            let problem = problem.related(first.span, "the fault that may still be felt is here");
            let ways = std::iter::once("move one of them".to_owned())
                .chain(hit.role.growth())
                .chain([allowance(name)]);
            problems.add(problem.help(choice(ways)));
        }
    }
}
