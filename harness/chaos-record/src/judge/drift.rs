//! The claim on drift: nothing grows over a long load.
//!
//! Invariant: a slope is compared with its limit only over enough time and samples, and a growth
//! that chance alone could show is not held against anyone.

use std::time::Duration;

use chaos_plan::units::duration_to_text;

use super::claims::Ground;
use super::resources::unseen;
use crate::consumption::{self, Track, services};
use crate::facts::{Facts, ns};
use crate::slope;
use crate::usage::InstanceUsage;
use crate::verdict::{Finding, Status};
use crate::words;

/// Least time and samples of a run at its own pace; a scaled one is only tried out.
const TIME_MIN_NS: u64 = 60_000_000_000;
const SAMPLES_MIN: usize = 20;
const SAMPLES_MIN_SCALED: usize = 5;
const HOUR_NS: f64 = 3_600e9;

/// Most growth an hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Bytes.
    pub(super) memory: Option<u64>,
    pub(super) descriptors: Option<f64>,
    pub(super) connections: Option<f64>,
    pub(super) p95: Option<Duration>,
}

/// What grows, and how it is read.
#[derive(Debug, Clone, Copy)]
enum What {
    Bytes,
    Number,
    Nanoseconds,
}

impl What {
    fn text(self, an_hour: f64) -> String {
        let (sign, size) = (if an_hour < 0.0 { "-" } else { "+" }, an_hour.abs());
        let size = match self {
            Self::Bytes => words::bytes(whole(size)),
            Self::Number => words::decimal(size),
            Self::Nanoseconds => words::duration(whole(size)),
        };
        format!("{sign}{size} an hour")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "for the text only; it is not negative"
)]
fn whole(size: f64) -> u64 {
    size.round() as u64
}

/// The claim in words.
pub(super) fn target(growth: &Growth) -> String {
    let limits = [
        growth
            .memory
            .map(|bytes| format!("memory <= +{}", words::bytes(bytes))),
        growth
            .descriptors
            .map(|n| format!("descriptors <= +{}", words::decimal(n))),
        growth
            .connections
            .map(|n| format!("connections <= +{}", words::decimal(n))),
        growth
            .p95
            .map(|p95| format!("p95 <= +{}", duration_to_text(p95))),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    format!("{} an hour", words::list(&limits))
}

/// A finding for each instance and kind, and one for the p95.
pub(super) fn findings(ground: &Ground<'_>, growth: &Growth, stages: &[usize]) -> Vec<Finding> {
    let facts = ground.facts;
    let tracks = consumption::tracks(facts, &consumption::stretches(facts, stages));
    let kinds = kinds(growth);
    let mut findings = Vec::new();
    if !kinds.is_empty() {
        let all: Vec<String> = services(facts)
            .iter()
            .map(|service| service.name.clone())
            .collect();
        findings.extend(unseen(facts, &tracks, &all));
    }
    for kind in kinds {
        findings.extend(tracks.iter().map(|track| {
            let title = format!("{} of {}", kind.name, track.instance);
            let points = points(track, kind.read);
            decide(ground, stages, &title, kind.what, kind.limit, &points)
        }));
    }
    if let Some(limit) = growth.p95 {
        let points = p95_points(facts, stages);
        let limit = ns(limit) as f64;
        let mut finding = decide(
            ground,
            stages,
            "p95 of all requests",
            What::Nanoseconds,
            limit,
            &points,
        );
        if let (Status::Held | Status::NotHeld, Some(sick)) =
            (finding.status, ground.health.sick(stages))
        {
            (finding.status, finding.why) = (Status::Unknown, super::requests::unbelievable(&sick));
        }
        findings.push(finding);
    }
    findings
}

/// Something each instance has of which it may not have more and more.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    what: What,
    limit: f64,
    read: fn(&InstanceUsage) -> f64,
}

/// Those the claim limits.
fn kinds(growth: &Growth) -> Vec<Kind> {
    let kind = |name, what, limit: Option<f64>, read| {
        limit.map(|limit| Kind {
            name,
            what,
            limit,
            read,
        })
    };
    let memory = growth.memory.map(|bytes| bytes as f64);
    let kinds = [
        kind("memory", What::Bytes, memory, |seen: &InstanceUsage| {
            seen.memory as f64
        }),
        kind("descriptors", What::Number, growth.descriptors, |seen| {
            f64::from(seen.descriptors)
        }),
        kind("connections", What::Number, growth.connections, |seen| {
            f64::from(seen.connections)
        }),
    ];
    kinds.into_iter().flatten().collect()
}

fn points(track: &Track<'_>, of: fn(&InstanceUsage) -> f64) -> Vec<(f64, f64)> {
    let life = track.longest_life().iter();
    life.map(|(at, seen)| (*at as f64 / HOUR_NS, of(seen)))
        .collect()
}

/// The p95 of each second of the stages; a second in which it is infinite or nothing was asked has none.
fn p95_points(facts: &Facts<'_>, stages: &[usize]) -> Vec<(f64, f64)> {
    let last = facts.length() / crate::SECOND_NS;
    let seconds = stages.iter().flat_map(|stage| {
        let seconds = facts.stage_seconds(*stage);
        seconds.start..seconds.end.min(last)
    });
    let point = |second: u64| {
        let p95 = facts.p95_of_second(second)?;
        Some(((second * crate::SECOND_NS) as f64 / HOUR_NS, p95 as f64))
    };
    seconds.filter_map(point).collect()
}

fn decide(
    ground: &Ground<'_>,
    stages: &[usize],
    of: &str,
    what: What,
    limit: f64,
    points: &[(f64, f64)],
) -> Finding {
    let slope = slope::of(points);
    let gap = too_little(ground.facts, points).or_else(|| {
        let whole = ground.facts.whole(stages);
        (!whole).then(|| "the run ended before all of it was seen".to_owned())
    });
    let (status, why) = match (slope, gap) {
        (_, Some(gap)) => (Status::Unknown, gap),
        (None, None) => (Status::Unknown, "it was not seen often enough".to_owned()),
        (Some(slope), None) if slope.median <= limit => (Status::Held, String::new()),
        (Some(slope), None) if slope.at_least > limit => {
            let (found, limit) = (what.text(slope.median), what.text(limit));
            (
                Status::NotHeld,
                format!("it grew by {found}, {limit} may be"),
            )
        }
        (Some(slope), None) => {
            let found = what.text(slope.median);
            (
                Status::Unknown,
                format!("{found} cannot be told from chance over so short a time"),
            )
        }
    };
    Finding {
        of: of.to_owned(),
        status,
        n: points.len() as u64,
        bad: u64::from(status == Status::NotHeld),
        allowed: 0,
        measured: slope.map_or_else(
            || "not measured".to_owned(),
            |slope| what.text(slope.median),
        ),
        why,
    }
}

fn too_little(facts: &Facts<'_>, points: &[(f64, f64)]) -> Option<String> {
    let span = match points {
        [first, .., last] => (last.0 - first.0) * HOUR_NS,
        _ => 0.0,
    };
    let scaled = facts.plan.scale.is_scaled();
    // The first and last second of a minute are 59 s apart.
    let is_short = !scaled && span + 2.0 * crate::SECOND_NS as f64 <= TIME_MIN_NS as f64;
    let needed = if scaled {
        SAMPLES_MIN_SCALED
    } else {
        SAMPLES_MIN
    };
    (is_short || points.len() < needed).then(|| {
        format!(
            "too little was seen: {} over {}, at least {needed} over 60 s are needed",
            words::counted(points.len() as u64, "sample"),
            words::duration(whole(span))
        )
    })
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::Expect;

    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge;
    use crate::line::Line;
    use crate::usage::Usage;
    use crate::verdict::ClaimVerdict;

    const MIB: u64 = 1024 * 1024;

    fn claimed(seconds: u64) -> Run {
        Run::calm()
            .rate(20)
            .length(seconds * SEC)
            .claims(vec![Expect::Drift {
                memory: Some(60 * MIB),
                descriptors: Some(10.0),
                connections: None,
                p95: Some(Duration::from_millis(100)),
                stages: vec![1],
            }])
    }

    /// Looks every second at three instances, of which the third uses `memory` and `descriptors`.
    fn judged(
        run: Run,
        seconds: u64,
        memory: impl Fn(u64) -> u64,
        descriptors: impl Fn(u64) -> u32,
    ) -> ClaimVerdict {
        let run = (0..seconds).fold(run, |run, second| {
            let seen = |number: u64| InstanceUsage {
                service: "api".to_owned(),
                instance: format!("api-{number}"),
                incarnation: 1,
                cpu_ns: 0,
                memory: if number == 3 {
                    memory(second)
                } else {
                    20 * MIB
                },
                descriptors: if number == 3 { descriptors(second) } else { 12 },
                connections: 4,
            };
            run.line(Line::Usage(Usage {
                at: SEC + second * SEC,
                instances: (1..=3).map(seen).collect(),
            }))
        });
        judge(&run.record()).claims.remove(0)
    }

    #[test]
    fn growth_beyond_the_limit_is_found_in_its_instance() {
        let check =
            |memory: &dyn Fn(u64) -> u64, descriptors: &dyn Fn(u64) -> u32, expected: Status| {
                let claim = judged(claimed(90), 90, memory, descriptors);
                assert_eq!(claim.status, expected, "{}", claim.why);
                claim
            };
        let noise = |second: u64| (second * 7 % 5) * 1_000;
        check(&|second| 20 * MIB + noise(second), &|_| 12, Status::Held);
        // 36 MiB and 72 MiB an hour.
        check(
            &|second| 20 * MIB + second * MIB / 100 + noise(second),
            &|_| 12,
            Status::Held,
        );
        let leak = check(
            &|second| 20 * MIB + second * MIB / 50 + noise(second),
            &|_| 12,
            Status::NotHeld,
        );
        assert!(
            leak.why.starts_with("memory of api-3: it grew by +7"),
            "{}",
            leak.why
        );
        let leak = check(
            &|_| MIB,
            &|second| 12 + u32::try_from(second / 20).expect("small"),
            Status::NotHeld,
        );
        assert!(leak.why.contains("descriptors of api-3"), "{}", leak.why);
        // Two jumps to and fro are no growth.
        check(
            &|_| MIB,
            &|second| if second % 9 == 0 { 300 } else { 12 },
            Status::Held,
        );
    }

    #[test]
    fn slower_and_slower_answers_are_found() {
        let slower = |step: u64| {
            claimed(90).answer(move |request| Answer::Ok(5 * MS + request.at / SEC * step))
        };
        // 180 ms an hour are 50 us a second; 72 ms an hour are 20.
        assert_eq!(
            judged(slower(50_000), 90, |_| MIB, |_| 12).status,
            Status::NotHeld
        );
        assert_eq!(
            judged(slower(20_000), 90, |_| MIB, |_| 12).status,
            Status::Held
        );
    }

    #[test]
    fn too_little_is_unknown() {
        let status = |run, seconds| judged(run, seconds, |_| MIB, |_| 12).status;
        assert_eq!(status(claimed(90), 90), Status::Held);
        assert_eq!(status(claimed(40), 40), Status::Unknown);
        assert_eq!(status(claimed(90), 30), Status::Unknown);
        assert_eq!(status(claimed(90), 0), Status::Unknown);
        assert_eq!(status(claimed(90).cut_short(80 * SEC), 80), Status::Unknown);
    }
}
