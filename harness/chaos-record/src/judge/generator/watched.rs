//! What the generator saw of itself and its machine while the load ran.
//!
//! Invariant: a look counts for a stage by the share of it that lies in the stage, so short stages
//! are covered as well as long ones; what no look shows is `None`.

use std::ops::Range;

use hdrhistogram::Histogram;

use crate::facts::{Facts, ns};
use crate::health::{Health, Throttled, Used, WorkerHealth};
use crate::histogram::new_histogram;
use crate::quantile;
use crate::verdict::{Hiccups, Stalls};
use crate::words;

/// The looks at some stages.
#[derive(Debug)]
pub(super) struct Watched<'a> {
    /// Each with the share of it that counts.
    looks: Vec<(&'a Health, f64)>,
    workers: usize,
}

impl<'a> Watched<'a> {
    /// Of these stages, or of the whole load if there are none.
    pub(super) fn over(facts: &Facts<'a>, stages: &[usize]) -> Self {
        let stretches: Vec<Range<u64>> = if stages.is_empty() {
            std::iter::once(0..facts.length()).collect()
        } else {
            let planned = stages.iter().map(|stage| &facts.plan.load.stages[*stage]);
            planned
                .map(|stage| ns(stage.start)..ns(stage.end()))
                .collect()
        };
        let looks = facts.record.health.iter().filter_map(|look| {
            let inside: u64 = stretches.iter().map(|stretch| overlap(look, stretch)).sum();
            (inside > 0).then(|| (look, inside as f64 / (look.until - look.from) as f64))
        });
        Self {
            looks: looks.collect(),
            workers: facts.workers,
        }
    }

    /// Nanoseconds that were looked at.
    pub(super) fn time(&self) -> f64 {
        self.sum(|look| (look.until - look.from) as f64)
    }

    fn sum(&self, of: impl Fn(&Health) -> f64) -> f64 {
        self.looks
            .iter()
            .map(|(look, share)| of(look) * share)
            .sum()
    }

    /// The largest share of the time that a worker spent in some way; `None` if it was not observed.
    fn worst(&self, of: impl Fn(&WorkerHealth) -> Option<u64>) -> Option<f64> {
        let shares = (0..self.workers).filter_map(|worker| {
            let of_worker = |look: &Health| {
                look.workers
                    .iter()
                    .find(|seen| seen.worker == worker)
                    .and_then(&of)
            };
            let is_seen = self.looks.iter().any(|(look, _)| of_worker(look).is_some());
            is_seen.then(|| self.sum(|look| of_worker(look).unwrap_or(0) as f64) / self.time())
        });
        shares.max_by(f64::total_cmp)
    }

    /// See [`crate::verdict::GeneratorHealth::waiting`].
    pub(super) fn waiting(&self) -> Option<f64> {
        self.worst(|worker| worker.waiting_ns)
    }

    /// CPU share of the busiest worker over all of it.
    pub(super) fn busiest(&self) -> Option<f64> {
        self.worst(|worker| worker.cpu_ns)
    }

    /// CPU share of one worker in one look, the largest. A last look may be very short, and then says nothing.
    pub(super) fn cpu_peak(&self) -> Option<f64> {
        let shares = self.looks.iter().flat_map(|(look, _)| {
            let span = look.until - look.from;
            let long_enough = look.workers.iter().filter(move |_| span >= 500_000_000);
            long_enough.filter_map(move |worker| Some(worker.cpu_ns? as f64 / span as f64))
        });
        shares.max_by(f64::total_cmp).map(|share| share.min(1.0))
    }

    pub(super) fn stalls(&self) -> Option<Stalls> {
        let workers = || self.looks.iter().flat_map(|(look, _)| &look.workers);
        Some(Stalls {
            share: self.worst(|worker| Some(worker.stalled_ns))?,
            longest: workers().map(|worker| worker.stall_max_ns).max()?,
            over_10ms: workers().map(|worker| worker.stalls[0]).sum(),
            over_25ms: workers().map(|worker| worker.stalls[1]).sum(),
        })
    }

    pub(super) fn hiccups(&self) -> Option<Hiccups> {
        let all = self.all_hiccups();
        let at = |over| quantile::response(&all, 0, over);
        Some(Hiccups {
            p50: at(500)?,
            p99: at(10)?,
            p999: at(1)?,
            max: all.max() * 1_000,
        })
    }

    fn all_hiccups(&self) -> Histogram<u64> {
        let mut all = new_histogram();
        for (look, _) in &self.looks {
            look.hiccups.add_to(&mut all);
        }
        all
    }

    pub(super) fn pressure(&self) -> Option<f64> {
        let is_seen = self
            .looks
            .iter()
            .any(|(look, _)| look.pressure_ns.is_some());
        is_seen.then(|| self.sum(|look| look.pressure_ns.unwrap_or(0) as f64) / self.time())
    }

    pub(super) fn throttled(&self) -> Option<Throttled> {
        let seen = self.looks.iter().filter_map(|(look, _)| look.throttled);
        seen.reduce(|sum, more| Throttled {
            periods: sum.periods + more.periods,
            ns: sum.ns + more.ns,
        })
    }

    pub(super) fn descriptors(&self) -> Option<Used> {
        most(self.looks.iter().filter_map(|(look, _)| look.descriptors))
    }

    pub(super) fn ports(&self) -> Option<Used> {
        most(self.looks.iter().filter_map(|(look, _)| look.ports))
    }

    pub(super) fn meter_cpu(&self) -> Option<f64> {
        (!self.looks.is_empty()).then(|| self.sum(|look| look.meter_cpu_ns as f64) / self.time())
    }

    /// Whose fault delays longer than `budget` were: the machine's, or the engine's own.
    pub(super) fn blame(&self, budget: u64) -> Option<String> {
        let held_up = |look: &Health| {
            look.workers
                .iter()
                .map(|worker| worker.stall_max_ns)
                .max()
                .unwrap_or(0)
        };
        let slow: Vec<&Health> = self
            .looks
            .iter()
            .map(|(look, _)| *look)
            .filter(|look| held_up(look) > budget)
            .collect();
        if slow.is_empty() {
            return None;
        }
        let shared = slow
            .iter()
            .filter(|look| longest_hiccup(look) >= held_up(look) / 2)
            .count() as u64;
        let p999 = words::duration(self.hiccups()?.p999);
        let (shared_words, slow_words) = (
            words::count(shared),
            words::counted(slow.len() as u64, "second"),
        );
        let quota = match self.throttled().filter(|throttled| throttled.periods > 0) {
            Some(throttled) => format!(
                "; a CPU quota stopped this process {}",
                words::counted(throttled.periods, "time")
            ),
            None => String::new(),
        };
        Some(if shared * 2 >= slow.len() as u64 {
            format!(
                "in {shared_words} of {slow_words} with such a delay a thread that only sleeps was held up too (hiccup p99.9 {p999}): the machine took the core away{quota}"
            )
        } else {
            format!(
                "in {shared_words} of {slow_words} with such a delay a thread that only sleeps was held up too (hiccup p99.9 {p999}): the engine itself was busy{quota}"
            )
        })
    }
}

fn longest_hiccup(look: &Health) -> u64 {
    look.hiccups.0.last().map_or(0, |(us, _)| us * 1_000)
}

fn overlap(look: &Health, stretch: &Range<u64>) -> u64 {
    look.until
        .min(stretch.end)
        .saturating_sub(look.from.max(stretch.start))
}

fn most(seen: impl Iterator<Item = Used>) -> Option<Used> {
    seen.max_by_key(|used| used.used)
}
