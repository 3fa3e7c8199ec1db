//! The claims: each is held, not held or unknown, by its findings.
//!
//! Invariant: unknown is where every path begins. A finding holds only if the record is complete,
//! everything planned is accounted for, and the numbers say so.

use chaos_plan::plan::{Claim, Expect, Part};
use chaos_plan::units::{ALLOWED_MIN, Share};

use super::drift::Growth;
use super::fault::JudgedFault;
use super::generator::Health;
use super::goodput::Asked;
use super::{
    availability, capacity, drift, goodput, integrity, population, recovery, requests, resources,
    scale_out,
};
use crate::binomial;
use crate::facts::Facts;
use crate::integrity::Examined;
use crate::verdict::{Capacity, ClaimVerdict, Conservation, Finding, Status};
use crate::words;

/// What claims are judged by.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) conservation: &'a Conservation,
    pub(super) health: &'a Health,
    pub(super) faults: &'a [JudgedFault<'a>],
    /// Present if the plan has an integrity claim.
    pub(super) integrity: Option<&'a Examined>,
    /// Present if the plan has a search.
    pub(super) capacity: Option<&'a Capacity>,
}

/// The share of requests that may be bad.
#[derive(Debug, Clone, Copy)]
pub(super) enum Allowance {
    /// Thousandths.
    PerMille(u64),
    Share(Share),
}

impl Allowance {
    /// Most bad ones of `n`, exactly.
    pub(super) fn of(self, n: u64) -> u64 {
        match self {
            Self::PerMille(share) => {
                u64::try_from(u128::from(n) * u128::from(share) / 1_000).unwrap_or(u64::MAX)
            }
            Self::Share(share) => share.floor_of(n),
        }
    }

    /// Fewest requests that can be judged; none are enough for an allowance of nothing.
    fn needed(self) -> Option<u64> {
        match self {
            Self::PerMille(0) => None,
            Self::PerMille(share) => Some((ALLOWED_MIN * 1_000).div_ceil(share)),
            Self::Share(share) => share.needed(),
        }
    }

    fn ratio(self) -> f64 {
        match self {
            Self::PerMille(share) => share as f64 / 1_000.0,
            Self::Share(share) => share.ratio(),
        }
    }

    fn is_nothing(self) -> bool {
        self.needed().is_none()
    }
}

/// What is weighed against an allowance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) n: u64,
    pub(super) bad: u64,
    /// What the whole plan holds, if that is known; matters if the run ended early.
    pub(super) planned: Option<u64>,
    pub(super) whole: bool,
    /// A journey by itself.
    pub(super) alone: bool,
}

/// Held, not held or unknown, with the most that was allowed and why.
///
/// Too few requests show no journey to be good, but they hide no certain breach: one that an allowed
/// share does not explain by chance (the exact binomial test of [`binomial`]) is not held.
pub(super) fn weigh(tally: Tally, allowance: Allowance) -> (Status, u64, String) {
    let Tally {
        n,
        bad,
        planned,
        whole,
        alone,
    } = tally;
    let base = if whole {
        n
    } else {
        n.max(planned.unwrap_or(n))
    };
    let allowed = allowance.of(base);
    let can_be_saved = !whole && planned.is_none();
    let one_is_too_many = allowance.is_nothing() && bad > 0;
    if allowed < ALLOWED_MIN && !one_is_too_many {
        let share = allowance.ratio();
        if alone && !can_be_saved && binomial::is_beyond_chance(bad, base, share) {
            return (
                Status::NotHeld,
                allowed,
                unexplained(bad, &words::count(base), share),
            );
        }
        let (status, why) = too_few(base, alone, allowance);
        return (status, allowed, why);
    }
    if bad > allowed && !can_be_saved {
        let why = format!(
            "{} of {} were bad, at most {} may be",
            words::count(bad),
            words::count(base),
            words::count(allowed)
        );
        return (Status::NotHeld, allowed, why);
    }
    if !whole {
        return (
            Status::Unknown,
            allowed,
            "the run ended before all of it was seen".to_owned(),
        );
    }
    (Status::Held, allowed, String::new())
}

fn too_few(base: u64, alone: bool, allowance: Allowance) -> (Status, String) {
    let needs = allowance.needed().map_or_else(
        || "no number shows it".to_owned(),
        |needed| format!("needs {}", words::count(needed)),
    );
    let (status, title) = if alone {
        (Status::NotJudged, "not judged alone: ")
    } else {
        (Status::Unknown, "")
    };
    let why = format!("{title}too few requests: {}, {needs}", words::count(base));
    (status, why)
}

/// `35 of 35 were bad, which an allowed share of 3 % does not explain`; `of` is how many, and of what.
pub(super) fn unexplained(bad: u64, of: &str, share: f64) -> String {
    const WHOLE: u64 = 1_000_000_000;
    format!(
        "{} of {of} were bad, which an allowed share of {} does not explain",
        words::count(bad),
        words::share(Share::from_ratio(share).floor_of(WHOLE), WHOLE)
    )
}

/// Judges every claim of the plan, in its order.
pub(super) fn judge(ground: &Ground<'_>) -> Vec<ClaimVerdict> {
    ground
        .facts
        .plan
        .claims
        .iter()
        .map(|claim| one(ground, claim))
        .collect()
}

fn one(ground: &Ground<'_>, claim: &Claim) -> ClaimVerdict {
    let findings: Vec<Finding> = findings(ground, &claim.expect)
        .into_iter()
        .map(|finding| match &claim.expect {
            // What was acknowledged is owed, whatever became of the numbers.
            Expect::Integrity { .. } => finding,
            _ => doubted(ground, finding),
        })
        .collect();
    let status = status(&findings);
    ClaimVerdict {
        name: claim.name.clone(),
        kind: claim.expect.kind().to_owned(),
        line: claim.line,
        status,
        target: target(ground.facts, &claim.expect) + &scope_words(ground.facts, &claim.expect),
        measured: match (&claim.expect, ground.integrity) {
            (Expect::Integrity { .. }, Some(examined)) => {
                integrity::measured(&examined.verdict, &findings)
            }
            (Expect::Resources { .. } | Expect::Drift { .. }, _) => resources::measured(&findings),
            _ => measured(&findings),
        },
        why: why(&findings, status),
        findings,
    }
}

/// The claim in words.
fn target(facts: &Facts<'_>, expect: &Expect) -> String {
    match expect {
        Expect::Latency { limits, .. } => requests::latency_target(limits),
        Expect::Errors { max, .. } => format!("errors <= {max}"),
        Expect::Availability { min, good, .. } => {
            format!("available in {min} of the seconds, {good} good in each")
        }
        Expect::Recovery { within, steady_for } => recovery::target(*within, *steady_for),
        Expect::Integrity { rules } => integrity::target(rules),
        Expect::Resources {
            cpu,
            memory,
            services,
            ..
        } => resources::target(*cpu, *memory, services),
        Expect::Goodput { .. } => {
            asked(expect).map_or_else(String::new, |asked| goodput::target(facts, &asked))
        }
        Expect::Drift { .. } => {
            growth(expect).map_or_else(String::new, |growth| drift::target(&growth))
        }
        Expect::ScaleOut {
            service,
            to,
            within,
            ..
        } => scale_out::target(service, *to, *within),
        Expect::Capacity { min } => capacity::target(*min),
    }
}

fn findings(ground: &Ground<'_>, expect: &Expect) -> Vec<Finding> {
    match expect {
        Expect::Latency { limits, scope } => requests::latency(ground, limits, scope),
        Expect::Errors { max, scope } => requests::errors(ground, *max, scope),
        Expect::Availability { min, good, scope } => {
            availability::findings(ground, *min, *good, scope)
        }
        Expect::Recovery { within, .. } => recovery::findings(ground, *within),
        Expect::Integrity { rules } => integrity::findings(ground, rules),
        Expect::Resources {
            cpu,
            memory,
            services,
            stages,
        } => resources::findings(ground, (*cpu, *memory), services, stages),
        Expect::Goodput { stages, .. } => {
            asked(expect).map_or_else(Vec::new, |asked| goodput::findings(ground, &asked, stages))
        }
        Expect::Drift { stages, .. } => {
            growth(expect).map_or_else(Vec::new, |growth| drift::findings(ground, &growth, stages))
        }
        Expect::ScaleOut {
            service,
            to,
            within,
            stages,
        } => scale_out::findings(
            ground,
            scale_out::Claimed {
                service,
                to: *to,
                within: *within,
                stages,
            },
        ),
        Expect::Capacity { min } => capacity::findings(ground, *min),
    }
}

fn asked(expect: &Expect) -> Option<Asked> {
    match expect {
        Expect::Goodput {
            journey,
            min,
            at_least,
            ..
        } => Some(Asked {
            journey: *journey,
            min: *min,
            at_least: *at_least,
        }),
        _ => None,
    }
}

fn growth(expect: &Expect) -> Option<Growth> {
    match expect {
        Expect::Drift {
            memory,
            descriptors,
            connections,
            p95,
            ..
        } => Some(Growth {
            memory: *memory,
            descriptors: *descriptors,
            connections: *connections,
            p95: *p95,
        }),
        _ => None,
    }
}

/// What speaks against believing any number of this run.
fn doubted(ground: &Ground<'_>, finding: Finding) -> Finding {
    let decided = matches!(finding.status, Status::Held | Status::NotHeld);
    let doubt = if ground.facts.load_started.is_none() {
        Some("no load was offered".to_owned())
    } else if let Some(difference) = ground.conservation.differences.first() {
        Some(format!("not everything is accounted for: {difference}"))
    } else if finding.status == Status::Held && !ground.facts.complete {
        Some("the record is incomplete".to_owned())
    } else {
        None
    };
    match doubt {
        Some(why) if decided => Finding {
            status: Status::Unknown,
            why,
            ..finding
        },
        _ => finding,
    }
}

fn status(findings: &[Finding]) -> Status {
    let any = |status| findings.iter().any(|finding| finding.status == status);
    if any(Status::NotHeld) {
        Status::NotHeld
    } else if any(Status::Unknown) || !any(Status::Held) {
        Status::Unknown
    } else {
        Status::Held
    }
}

/// What was measured over all requests together, or for each fault.
fn measured(findings: &[Finding]) -> String {
    let of_all = findings
        .iter()
        .filter(|finding| !finding.of.starts_with("journey "));
    let parts: Vec<&str> = of_all
        .map(|finding| finding.measured.as_str())
        .filter(|text| !text.is_empty())
        .collect();
    parts.join(", ")
}

fn why(findings: &[Finding], status: Status) -> String {
    if status == Status::Held {
        return String::new();
    }
    let deciding = findings.iter().filter(|finding| finding.status == status);
    let reasons: Vec<String> = deciding
        .map(|finding| format!("{}: {}", finding.of, finding.why))
        .collect();
    if reasons.is_empty() {
        "nothing to judge it by".to_owned()
    } else {
        reasons.join("; ")
    }
}

/// ` (endpoint buy/pay, baseline, spike)`: the part if it is not all, and the stages.
fn scope_words(facts: &Facts<'_>, expect: &Expect) -> String {
    let part = match expect.part() {
        Part::All => None,
        // The goodput of a journey says so itself.
        Part::Journey(_) if matches!(expect, Expect::Goodput { .. }) => None,
        part => population::of_part(facts, part).pop(),
    };
    let stages = expect
        .stages()
        .iter()
        .filter_map(|stage| facts.plan.load.stages.get(*stage))
        .map(|stage| stage.name.clone());
    let words: Vec<String> = part
        .map(|population| population.of)
        .into_iter()
        .chain(stages)
        .collect();
    if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(n: u64, bad: u64) -> Tally {
        Tally {
            n,
            bad,
            planned: Some(n),
            whole: true,
            alone: false,
        }
    }

    #[test]
    fn the_count_decides_exactly() {
        let check = |n, bad, allowance, expected| {
            assert_eq!(weigh(tally(n, bad), allowance).0, expected, "{bad} of {n}");
        };
        let p95 = Allowance::PerMille(50);
        check(200, 10, p95, Status::Held);
        check(200, 11, p95, Status::NotHeld);
        check(219, 10, p95, Status::Held);
        check(219, 11, p95, Status::NotHeld);
        check(199, 0, p95, Status::Unknown);
        check(199, 199, p95, Status::Unknown);
        check(0, 0, p95, Status::Unknown);
        let tenth = Allowance::Share(Share::parse("0.1%").expect("a share"));
        check(10_000, 10, tenth, Status::Held);
        check(10_000, 11, tenth, Status::NotHeld);
        check(9_999, 0, tenth, Status::Unknown);
        let none = Allowance::Share(Share::parse("0%").expect("a share"));
        check(1_000_000, 0, none, Status::Unknown);
        check(1_000_000, 1, none, Status::NotHeld);
    }

    #[test]
    fn a_journey_with_too_few_is_listed_only() {
        let alone = |n, bad, allowance| {
            let (status, _, why) = weigh(
                Tally {
                    alone: true,
                    ..tally(n, bad)
                },
                allowance,
            );
            (status, why)
        };
        let p95 = Allowance::PerMille(50);
        let few = "not judged alone: too few requests: 50, needs 200".to_owned();
        assert_eq!(alone(50, 0, p95), (Status::NotJudged, few.clone()));
        // Three may be bad; nine are with 0.08 %, eight with 0.3 %.
        assert_eq!(alone(50, 8, p95), (Status::NotJudged, few));
        assert_eq!(alone(50, 9, p95).0, Status::NotHeld);
        assert_eq!(alone(1, 1, p95).0, Status::NotJudged);
        let three = Allowance::Share(Share::parse("3%").expect("a share"));
        let certain = "35 of 35 were bad, which an allowed share of 3 % does not explain";
        assert_eq!(alone(35, 35, three), (Status::NotHeld, certain.to_owned()));
    }

    #[test]
    fn a_rare_journey_of_a_run_that_ended_early_is_lost_only_if_the_rest_cannot_save_it() {
        let early = |bad, planned| {
            weigh(
                Tally {
                    planned,
                    whole: false,
                    alone: true,
                    ..tally(10, bad)
                },
                Allowance::PerMille(50),
            )
            .0
        };
        assert_eq!(early(10, Some(40)), Status::NotHeld);
        assert_eq!(early(5, Some(150)), Status::NotJudged);
        assert_eq!(early(10, None), Status::NotJudged);
    }

    #[test]
    fn a_run_that_ended_early_is_not_held_only_if_the_rest_cannot_save_it() {
        let early = |n, bad| {
            weigh(
                Tally {
                    n,
                    bad,
                    planned: Some(1_000),
                    whole: false,
                    alone: false,
                },
                Allowance::PerMille(50),
            )
            .0
        };
        assert_eq!(early(100, 0), Status::Unknown);
        assert_eq!(early(100, 50), Status::Unknown);
        assert_eq!(early(100, 51), Status::NotHeld);
    }

    #[test]
    fn one_failed_part_fails_the_claim_and_nothing_judged_holds_nothing() {
        let finding = |status| Finding {
            of: String::new(),
            status,
            n: 0,
            bad: 0,
            allowed: 0,
            measured: String::new(),
            why: String::new(),
        };
        let check = |parts: &[Status], expected| {
            let findings: Vec<Finding> = parts.iter().map(|status| finding(*status)).collect();
            assert_eq!(status(&findings), expected, "{parts:?}");
        };
        check(&[], Status::Unknown);
        check(&[Status::NotJudged], Status::Unknown);
        check(&[Status::Held, Status::NotJudged], Status::Held);
        check(&[Status::Held, Status::Unknown], Status::Unknown);
        check(
            &[Status::Held, Status::Unknown, Status::NotHeld],
            Status::NotHeld,
        );
    }
}
