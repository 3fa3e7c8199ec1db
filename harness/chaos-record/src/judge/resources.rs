//! The claim on resources: what each instance used of what it may.
//!
//! Invariant: it holds only if every instance of its services was looked at over all of the stages.

use chaos_plan::units::Share;

use super::claims::Ground;
use crate::consumption::{self, Room, Track, services};
use crate::facts::Facts;
use crate::verdict::{Finding, Status};
use crate::words;

/// The claim in words.
pub(super) fn target(cpu: Option<Share>, memory: Option<Share>, of: &[String]) -> String {
    let limits = [("cpu", cpu), ("memory", memory)];
    let limits: Vec<String> = limits
        .iter()
        .filter_map(|(what, limit)| Some(format!("{what} <= {}", (*limit)?)))
        .collect();
    format!(
        "{} of each instance of {}",
        words::list(&limits),
        words::list(of)
    )
}

/// Findings for each instance, and for each service of which instances were not seen.
pub(super) fn findings(
    ground: &Ground<'_>,
    limits: (Option<Share>, Option<Share>),
    of: &[String],
    stages: &[usize],
) -> Vec<Finding> {
    let facts = ground.facts;
    let stretches = consumption::stretches(facts, stages);
    let tracks = consumption::tracks(facts, &stretches);
    let gap = if !facts.whole(stages) {
        Some("the run ended before all of it was seen")
    } else if !consumption::is_covered(facts, &stretches) {
        Some("nobody looked at the instances for more than 10 s")
    } else {
        None
    };
    let mut findings = unseen(facts, &tracks, of);
    for track in tracks
        .iter()
        .filter(|track| of.iter().any(|own| own == track.service))
    {
        let room = Room::of(facts, track.service);
        if let Some(limit) = limits.0 {
            let cores = track.cores(&stretches).map(|(mean, _)| mean);
            let share = cores.zip(room.cores).map(|(used, room)| used / room);
            let of_what = room.cores.map_or(String::new(), |cores| {
                let machine = if room.own_cores {
                    ""
                } else {
                    ", the machine's"
                };
                format!("{} cores{machine}", words::decimal(cores))
            });
            findings.push(one(("cpu", track), share, limit, &of_what, gap));
        }
        if let Some(limit) = limits.1 {
            let share = room
                .memory
                .map(|room| track.memory_max() as f64 / room as f64);
            let of_what = room.memory.map_or(String::new(), |memory| {
                let machine = if room.own_memory {
                    ""
                } else {
                    ", the machine's"
                };
                format!("{}{machine}", words::bytes(memory))
            });
            findings.push(one(("memory", track), share, limit, &of_what, None));
            if let Some(last) = findings.last_mut() {
                // The highest was seen, a higher one may not have been.
                held_needs_all(last, gap);
            }
        }
    }
    findings
}

fn one(
    (what, track): (&str, &Track<'_>),
    share: Option<f64>,
    limit: Share,
    of_what: &str,
    gap: Option<&str>,
) -> Finding {
    let n = track.seen().count() as u64;
    let (status, why) = match (share, gap) {
        (None, _) => (Status::Unknown, "it was not seen often enough".to_owned()),
        (_, Some(gap)) => (Status::Unknown, gap.to_owned()),
        (Some(share), None) if share > limit.ratio() => {
            let share = words::percent(share);
            (
                Status::NotHeld,
                format!("{share} of {of_what} were used, {limit} may be"),
            )
        }
        _ => (Status::Held, String::new()),
    };
    Finding {
        of: format!("{what} of {}", track.instance),
        status,
        n,
        bad: u64::from(status == Status::NotHeld),
        allowed: 0,
        measured: share.map_or_else(
            || "not measured".to_owned(),
            |share| format!("{} of {of_what}", words::percent(share)),
        ),
        why,
    }
}

fn held_needs_all(finding: &mut Finding, gap: Option<&str>) {
    if let (Status::Held, Some(gap)) = (finding.status, gap) {
        (finding.status, finding.why) = (Status::Unknown, gap.to_owned());
    }
}

/// A finding for each service of which fewer instances were seen than it has.
pub(super) fn unseen(facts: &Facts<'_>, tracks: &[Track<'_>], of: &[String]) -> Vec<Finding> {
    let services = services(facts)
        .iter()
        .filter(|service| of.contains(&service.name));
    let missing = services.filter_map(|service| {
        let seen = tracks.iter().filter(|track| track.service == service.name);
        let seen = seen.count();
        (seen < service.replicas as usize).then(|| Finding {
            of: service.name.clone(),
            status: Status::Unknown,
            n: seen as u64,
            bad: 0,
            allowed: 0,
            measured: String::new(),
            why: format!("{seen} of its {} instances were seen", service.replicas),
        })
    });
    missing.collect()
}

/// The highest of each kind, or what was not seen.
pub(super) fn measured(findings: &[Finding]) -> String {
    let measured = findings
        .iter()
        .filter(|finding| !finding.measured.is_empty());
    let worst: Vec<&Finding> = measured
        .clone()
        .filter(|finding| finding.status == Status::NotHeld)
        .collect();
    let shown: Vec<&Finding> = if worst.is_empty() {
        measured.collect()
    } else {
        worst
    };
    let texts: Vec<String> = shown
        .iter()
        .map(|finding| format!("{} {}", finding.of, finding.measured))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{Expect, Limits};

    use super::*;
    use crate::fixture::{MS, Run, SEC};
    use crate::judge::judge;
    use crate::line::Line;
    use crate::usage::{InstanceUsage, Usage};
    use crate::verdict::ClaimVerdict;

    const MIB: u64 = 1024 * 1024;

    fn claimed() -> Run {
        let share = |text| Share::parse(text).expect("a share");
        Run::calm()
            .claims(vec![Expect::Resources {
                cpu: Some(share("80%")),
                memory: Some(share("50%")),
                services: vec!["api".to_owned()],
                stages: vec![1],
            }])
            .limits(Limits {
                cpu: Some(0.5),
                memory: Some(100 * MIB),
            })
    }

    /// Looks every second; each instance uses so many thousandths of a core and bytes.
    fn used(run: Run, instances: &[(&str, u64, u64)], until: u64) -> ClaimVerdict {
        let run = (0..until).fold(run, |run, second| {
            let seen = |(name, milli, memory): &(&str, u64, u64)| InstanceUsage {
                service: "api".to_owned(),
                instance: (*name).to_owned(),
                incarnation: 1,
                cpu_ns: second * milli * MS,
                memory: *memory,
                descriptors: 12,
                connections: 4,
            };
            run.line(Line::Usage(Usage {
                at: SEC + second * SEC,
                instances: instances.iter().map(seen).collect(),
            }))
        });
        judge(&run.record()).claims.remove(0)
    }

    const FINE: (&str, u64, u64) = ("api-1", 300, 20 * MIB);

    #[test]
    fn every_instance_must_stay_below_both() {
        let check = |third: (&str, u64, u64), expected: Status| {
            let all = [FINE, ("api-2", 100, MIB), third];
            let claim = used(claimed(), &all, 30);
            assert_eq!(claim.status, expected, "{}", claim.why);
            claim
        };
        check(("api-3", 390, 50 * MIB), Status::Held);
        let hot = check(("api-3", 410, MIB), Status::NotHeld);
        assert_eq!(hot.measured, "cpu of api-3 82 % of 0.5 cores");
        let fat = check(("api-3", 10, 51 * MIB), Status::NotHeld);
        assert_eq!(fat.measured, "memory of api-3 51 % of 100 MiB");
    }

    #[test]
    fn what_was_not_seen_is_unknown() {
        let all = [FINE, ("api-2", 100, MIB), ("api-3", 100, MIB)];
        assert_eq!(used(claimed(), &all[..2], 30).status, Status::Unknown);
        assert_eq!(used(claimed(), &all, 10).status, Status::Unknown);
        assert_eq!(used(claimed(), &[], 0).status, Status::Unknown);
        let cut = claimed().cut_short(20 * SEC);
        assert_eq!(used(cut, &all, 20).status, Status::Unknown);
        // Memory above the limit was above it, whatever came later.
        let fat = [FINE, ("api-2", 100, 60 * MIB), ("api-3", 100, MIB)];
        let cut = claimed().cut_short(20 * SEC);
        assert_eq!(used(cut, &fat, 20).status, Status::NotHeld);
    }
}
