//! How many instances of a service its autoscaler wanted, and how many were ready, on the clock of the load.
//!
//! Invariant: pure. What was not told stays unknown; what was told before the load counts as its beginning,
//! and what is told after it does not count.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, InstanceChange, PlatformChange, Stamped};
use crate::verdict::{Raise, Scaling};
use crate::words;

/// Most raises of a service that are kept.
const RAISES_MAX: usize = 100;

/// A number that holds from an instant of the load, nanoseconds, until the next one.
pub type Steps = Vec<(u64, u32)>;

/// One service that has an autoscaler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicas {
    pub service: String,
    pub autoscaler: String,
    pub wanted: Steps,
    pub ready: Steps,
    /// What the autoscaler went by, from each instant on.
    pub metrics: Vec<(u64, String)>,
}

impl Replicas {
    /// The number that holds at an instant; `None` before the first.
    pub fn at(steps: &[(u64, u32)], at: u64) -> Option<u32> {
        let before = steps.iter().rev().find(|(from, _)| *from <= at);
        before.map(|(_, number)| *number)
    }

    /// First instant from `from` on at which so many were ready.
    pub fn ready_from(&self, from: u64, least: u32) -> Option<u64> {
        if Self::at(&self.ready, from).is_some_and(|ready| ready >= least) {
            return Some(from);
        }
        let mut later = self.ready.iter().filter(|(at, _)| *at > from);
        later.find(|(_, ready)| *ready >= least).map(|(at, _)| *at)
    }

    /// What the autoscaler had seen last at an instant.
    pub fn metric(&self, at: u64) -> Option<&str> {
        let before = self.metrics.iter().rev().find(|(from, _)| *from <= at);
        before.map(|(_, metric)| metric.as_str())
    }

    /// Every time it wanted more than before, once the load ran.
    pub fn raises(&self) -> Vec<Raise> {
        let pairs = self.wanted.iter().zip(self.wanted.iter().skip(1));
        let raised = pairs.filter(|((_, was), (_, wanted))| wanted > was);
        let raise = |(&(_, was), &(at, wanted)): (&(u64, u32), &(u64, u32))| Raise {
            at,
            was,
            wanted,
            metric: self.metric(at).map(str::to_owned),
            ready: self.ready_from(at, wanted),
        };
        raised.map(raise).take(RAISES_MAX).collect()
    }
}

/// All services with an autoscaler, by name.
pub fn replicas(events: &[Stamped]) -> Vec<Replicas> {
    let started = events.iter().find_map(|event| match event.what {
        Event::LoadStarted { .. } => Some(event.at),
        _ => None,
    });
    let mut all: BTreeMap<&str, Replicas> = BTreeMap::new();
    let mut ready: BTreeMap<&str, (BTreeSet<&str>, Steps)> = BTreeMap::new();
    let is_over = |event: &&Stamped| matches!(event.what, Event::LoadStopped { .. });
    for event in events.iter().take_while(|event| !is_over(event)) {
        let at = event.at.saturating_sub(started.unwrap_or(0));
        match &event.what {
            Event::Platform {
                service: Some(service),
                change:
                    PlatformChange::Autoscaled {
                        autoscaler,
                        wanted,
                        metric,
                        ..
                    },
            } => {
                let one = all.entry(service).or_default();
                (one.service, one.autoscaler) = (service.clone(), autoscaler.clone());
                step(&mut one.wanted, at, *wanted);
                one.metrics
                    .extend(metric.clone().map(|metric| (at, metric)));
            }
            Event::Instance {
                service,
                instance,
                change,
            } => {
                let (there, steps) = ready.entry(service).or_default();
                if follow(there, instance, change) {
                    step(steps, at, u32::try_from(there.len()).unwrap_or(u32::MAX));
                }
            }
            _ => {}
        }
    }
    for (service, one) in &mut all {
        one.ready = ready
            .remove(service)
            .map(|(_, steps)| steps)
            .unwrap_or_default();
    }
    all.into_values().collect()
}

/// The number from `at` on; of several at one instant the last counts.
fn step(steps: &mut Steps, at: u64, number: u32) {
    steps.retain(|(other, _)| *other != at);
    if steps.last().is_none_or(|(_, last)| *last != number) {
        steps.push((at, number));
    }
}

/// Whether the set of those that are ready has changed.
fn follow<'a>(ready: &mut BTreeSet<&'a str>, instance: &'a str, change: &InstanceChange) -> bool {
    match change {
        InstanceChange::Ready => ready.insert(instance),
        InstanceChange::Unready { .. } | InstanceChange::Exited { .. } | InstanceChange::Down => {
            ready.remove(instance)
        }
        InstanceChange::Started { .. }
        | InstanceChange::Restarting { .. }
        | InstanceChange::Stuck { .. }
        | InstanceChange::Withdrawn { .. } => false,
    }
}

/// What became of each service with an autoscaler.
pub(crate) fn summary(events: &[Stamped]) -> Vec<Scaling> {
    replicas(events).iter().map(of).collect()
}

fn of(one: &Replicas) -> Scaling {
    let raises = one.raises();
    let most = |steps: &[(u64, u32)]| steps.iter().map(|(_, number)| *number).max();
    Scaling {
        service: one.service.clone(),
        autoscaler: one.autoscaler.clone(),
        wanted_first: one.wanted.first().map(|(_, wanted)| *wanted),
        wanted_most: most(&one.wanted),
        ready_most: most(&one.ready),
        sentence: sentence(one, &raises),
        raises,
    }
}

/// `api: asked for 5 at T+18 s, ready 6 s later`, counted from the start of the load as the timeline is.
fn sentence(one: &Replicas, raises: &[Raise]) -> String {
    let service = &one.service;
    if raises.is_empty() {
        let first = one.wanted.first().map_or(0, |(_, wanted)| *wanted);
        let metric = one.metrics.last().map(|(_, metric)| format!(" ({metric})"));
        let metric = metric.unwrap_or_default();
        return format!("{service}: never asked for more than {first}{metric}");
    }
    let parts: Vec<String> = raises.iter().map(at).collect();
    format!("{service}: {}", parts.join("; "))
}

fn at(raise: &Raise) -> String {
    let ready = raise.ready.map_or_else(not_ready, |ready| {
        let later = words::duration(ready.saturating_sub(raise.at));
        format!("ready {later} later")
    });
    let asked = words::duration(raise.at);
    format!("asked for {} at T+{asked}, {ready}", raise.wanted)
}

fn not_ready() -> String {
    "not all ready before the end".to_owned()
}

/// `asked for 5 after 18 s, ready after 24 s`, counted from `from`, an instant of the load.
pub(crate) fn raised(raise: &Raise, from: u64) -> String {
    let asked = words::duration(raise.at.saturating_sub(from));
    let ready = raise.ready.map_or_else(not_ready, |ready| {
        format!(
            "ready after {}",
            words::duration(ready.saturating_sub(from))
        )
    });
    format!("asked for {} after {asked}, {ready}", raise.wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Run, SEC};

    fn autoscaled(run: Run, at: u64, was: Option<u32>, wanted: u32) -> Run {
        let change = PlatformChange::Autoscaled {
            autoscaler: "api".to_owned(),
            was,
            wanted,
            metric: Some(format!("cpu at {}0 %, 70 % is meant", at / SEC)),
        };
        run.platform(at, change)
    }

    fn ready(run: Run, at: u64, instances: &[&str]) -> Run {
        instances.iter().fold(run, |run, instance| {
            run.instance(at, instance, InstanceChange::Ready)
        })
    }

    #[test]
    fn each_raise_is_told_with_when_all_were_ready() {
        let run = autoscaled(ready(Run::calm(), 0, &["a", "b"]), 0, None, 2);
        let run = autoscaled(run, 10 * SEC, Some(2), 4);
        let run = ready(run, 14 * SEC, &["c"]);
        let run = ready(run, 16 * SEC, &["d"]);
        let run = autoscaled(run, 20 * SEC, Some(4), 5);
        let record = run.record();
        let told = summary(&record.events);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].sentence,
            "api: asked for 4 at T+10 s, ready 6 s later; asked for 5 at T+20 s, not all ready before the end"
        );
        assert_eq!(
            (told[0].wanted_first, told[0].wanted_most),
            (Some(2), Some(5))
        );
        assert_eq!(told[0].ready_most, Some(4));
        assert_eq!(
            told[0].raises[0].metric.as_deref(),
            Some("cpu at 100 %, 70 % is meant")
        );
    }

    #[test]
    fn one_that_never_asks_says_what_it_saw() {
        let run = autoscaled(ready(Run::calm(), 0, &["a"]), 3 * SEC, None, 1);
        let told = summary(&run.record().events);
        assert_eq!(
            told[0].sentence,
            "api: never asked for more than 1 (cpu at 30 %, 70 % is meant)"
        );
        assert!(summary(&Run::calm().record().events).is_empty());
    }

    #[test]
    fn whoever_stops_being_ready_is_not_counted() {
        let run = ready(Run::calm(), 0, &["a", "b"]);
        let why = "503".to_owned();
        let run = run.instance(5 * SEC, "b", InstanceChange::Unready { why });
        let run = autoscaled(ready(run, 7 * SEC, &["b"]), 8 * SEC, None, 2);
        let all = replicas(&run.record().events);
        assert_eq!(all[0].ready, [(0, 2), (5 * SEC, 1), (7 * SEC, 2)]);
        assert_eq!(all[0].ready_from(6 * SEC, 2), Some(7 * SEC));
        assert_eq!(all[0].ready_from(4 * SEC, 2), Some(4 * SEC));
        assert_eq!(all[0].ready_from(0, 3), None);
    }
}
