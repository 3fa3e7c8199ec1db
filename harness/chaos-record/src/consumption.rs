//! What each instance used, by stretches of the load.
//!
//! Invariant: CPU time is only compared within one incarnation; a stretch in which nobody looked
//! counts as not seen, never as idle.

use std::collections::BTreeMap;
use std::ops::Range;

use chaos_plan::plan::{Limits, Service, Target};

use crate::facts::{Facts, ns};
use crate::usage::InstanceUsage;

/// Looks further apart than this leave what lies between them unseen.
const APART_MAX_NS: u64 = 10_000_000_000;

/// One instance over some stretches.
#[derive(Debug)]
pub(crate) struct Track<'a> {
    pub(crate) service: &'a str,
    pub(crate) instance: &'a str,
    /// By incarnation, in order of time: time of the load, and what was seen.
    lives: BTreeMap<u32, Vec<(u64, &'a InstanceUsage)>>,
}

/// The stretches of these stages, nanoseconds from the start of the load; neighbours are joined.
pub(crate) fn stretches(facts: &Facts<'_>, stages: &[usize]) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for stage in stages
        .iter()
        .filter_map(|stage| facts.plan.load.stages.get(*stage))
    {
        let (start, end) = (ns(stage.start), ns(stage.end()));
        match stretches.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => stretches.push(start..end),
        }
    }
    stretches
}

/// When somebody looked, nanoseconds from the start of the load.
fn looks(facts: &Facts<'_>) -> Vec<u64> {
    let Some(start) = facts.load_started else {
        return Vec::new();
    };
    let looks = facts.record.usage.iter();
    looks
        .filter_map(|usage| usage.at.checked_sub(start))
        .collect()
}

/// Whether the looks leave no part of the stretches unseen.
pub(crate) fn is_covered(facts: &Facts<'_>, stretches: &[Range<u64>]) -> bool {
    let looks = looks(facts);
    stretches.iter().all(|stretch| {
        let inside = looks.iter().copied().filter(|at| stretch.contains(at));
        let mut last = stretch.start;
        let mut any = false;
        let gaps = inside.chain([stretch.end]).all(|at| {
            let is_near = at.saturating_sub(last) <= APART_MAX_NS;
            any |= at < stretch.end;
            last = at;
            is_near
        });
        gaps && any
    })
}

/// Every instance seen in the stretches, by service and name.
pub(crate) fn tracks<'a>(facts: &Facts<'a>, stretches: &[Range<u64>]) -> Vec<Track<'a>> {
    let mut tracks: BTreeMap<(&str, &str), Track<'a>> = BTreeMap::new();
    let start = facts.load_started.unwrap_or(u64::MAX);
    for usage in &facts.record.usage {
        let Some(at) = usage.at.checked_sub(start) else {
            continue;
        };
        if !stretches.iter().any(|stretch| stretch.contains(&at)) {
            continue;
        }
        for seen in &usage.instances {
            let track = tracks
                .entry((&seen.service, &seen.instance))
                .or_insert_with(|| Track {
                    service: &seen.service,
                    instance: &seen.instance,
                    lives: BTreeMap::new(),
                });
            track
                .lives
                .entry(seen.incarnation)
                .or_default()
                .push((at, seen));
        }
    }
    tracks.into_values().collect()
}

/// The services that should have been seen.
pub(crate) fn services<'a>(facts: &Facts<'a>) -> &'a [Service] {
    match &facts.plan.target {
        Target::Deploy(description) => &description.services,
        Target::Url(_) => &[],
    }
}

/// What an instance may use: its limits, or else all the machine has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Absent if neither is known.
    pub(crate) cores: Option<f64>,
    pub(crate) memory: Option<u64>,
    /// Whether they are limits of its own.
    pub(crate) own_cores: bool,
    pub(crate) own_memory: bool,
}

impl Room {
    pub(crate) fn of(facts: &Facts<'_>, service: &str) -> Self {
        let own = services(facts).iter().find(|own| own.name == service);
        let limits = own.map_or(Limits::default(), |own| own.limits);
        let host = &facts.record.header.host;
        let cores = f64::from(host.cpus);
        let memory = host.memory_mib * 1024 * 1024;
        Self {
            cores: limits.cpu.or((cores > 0.0).then_some(cores)),
            memory: limits.memory.or((memory > 0).then_some(memory)),
            own_cores: limits.cpu.is_some(),
            own_memory: limits.memory.is_some(),
        }
    }
}

impl<'a> Track<'a> {
    /// Mean and highest CPU use in cores; `None` if it was never seen twice in one life.
    pub(crate) fn cores(&self, stretches: &[Range<u64>]) -> Option<(f64, f64)> {
        let together = |from: u64, until: u64| {
            let same = stretches
                .iter()
                .any(|one| one.contains(&from) && one.contains(&until));
            same && until > from && until - from <= APART_MAX_NS
        };
        let (mut used, mut time, mut peak) = (0.0, 0.0, 0.0_f64);
        for life in self.lives.values() {
            for pair in life.windows(2) {
                let [(from, before), (until, after)] = pair else {
                    continue;
                };
                if together(*from, *until) {
                    let cpu = after.cpu_ns.saturating_sub(before.cpu_ns) as f64;
                    let wall = (until - from) as f64;
                    (used, time, peak) = (used + cpu, time + wall, peak.max(cpu / wall));
                }
            }
        }
        (time > 0.0).then(|| (used / time, peak))
    }

    /// Everything seen of it.
    pub(crate) fn seen(&self) -> impl Iterator<Item = &'a InstanceUsage> {
        self.lives.values().flatten().map(|(_, seen)| *seen)
    }

    /// Its longest life: time of the load, and what was seen.
    pub(crate) fn longest_life(&self) -> &[(u64, &'a InstanceUsage)] {
        let longest = self.lives.values().max_by_key(|life| life.len());
        longest.map_or(&[], Vec::as_slice)
    }

    pub(crate) fn memory_max(&self) -> u64 {
        self.seen().map(|seen| seen.memory).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{MS, Run, SEC};
    use crate::line::Line;
    use crate::usage::Usage;

    fn seen(instance: &str, incarnation: u32, cpu_ns: u64) -> InstanceUsage {
        InstanceUsage {
            service: "api".to_owned(),
            instance: instance.to_owned(),
            incarnation,
            cpu_ns,
            memory: 1_000 * u64::from(incarnation),
            descriptors: 10,
            connections: 3,
        }
    }

    fn look(load_s: u64, instances: Vec<InstanceUsage>) -> Line {
        let at = SEC + load_s * SEC;
        Line::Usage(Usage { at, instances })
    }

    #[test]
    fn cpu_is_compared_within_one_life_and_one_stretch() {
        let record = Run::calm()
            .line(look(1, vec![seen("api-1", 1, 0)]))
            .line(look(3, vec![seen("api-1", 1, 900 * MS)]))
            .line(look(4, vec![seen("api-1", 1, 1_400 * MS)]))
            .line(look(5, vec![seen("api-1", 1, 1_500 * MS)]))
            // A new life begins at 0 again.
            .line(look(6, vec![seen("api-1", 2, 10 * MS)]))
            .line(look(7, vec![seen("api-1", 2, 310 * MS)]))
            .record();
        let facts = Facts::of(&record);
        let main = stretches(&facts, &[1]);
        assert_eq!((main.len(), main[0].clone()), (1, 2 * SEC..30 * SEC));
        let tracks = tracks(&facts, &main);
        assert_eq!(tracks.len(), 1);
        let (mean, peak) = tracks[0].cores(&main).expect("seen more than once");
        assert!(
            (mean - 0.3).abs() < 1e-9 && (peak - 0.5).abs() < 1e-9,
            "{mean} {peak}"
        );
        assert_eq!(tracks[0].memory_max(), 2_000);
        assert_eq!(tracks[0].longest_life().len(), 3);
    }

    #[test]
    fn looks_that_are_far_apart_do_not_cover() {
        let every = |seconds: u64| {
            let run = (2..30)
                .filter(|at| (at - 2) % seconds == 0)
                .fold(Run::calm(), |run, at| run.line(look(at, Vec::new())));
            let record = run.record();
            let facts = Facts::of(&record);
            is_covered(&facts, &stretches(&facts, &[1]))
        };
        assert!(every(1) && every(5));
        assert!(!every(12));
        let record = Run::calm().record();
        let facts = Facts::of(&record);
        assert!(!is_covered(&facts, &stretches(&facts, &[1])));
    }
}
