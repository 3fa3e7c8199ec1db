//! Watches the generator while it works: what its workers get of the machine, and what the machine
//! does to a thread that wants nothing but to wake on time.
//!
//! One thread does it all. It sleeps from instant to instant of a 5 ms grid and notes how late it
//! woke (see [`hiccups`]); once a second it reads the other sources, one file each, and tells.
//! Invariant: it costs less than half a percent of a core, says what it cost, and what a source does
//! not tell is left out.

mod descriptors;
mod hiccups;
mod ports;
mod pressure;
mod schedule;
pub(crate) mod stalls;
mod throttling;

use std::sync::Arc;

use chaos_record::health::{Health, WorkerHealth};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec};
use tokio::sync::mpsc;

use self::hiccups::Hiccups;
use self::pressure::Pressure;
use self::schedule::Schedule;
use self::stalls::Stalls;
use self::throttling::Throttling;
use crate::clock::{now_ns, thread_cpu_ns};
use crate::engine::EngineEvent;

/// Between two instants at which the thread wakes: a wake-up takes some 17 us of CPU on a small
/// virtual machine, so 200 a second are a third of a percent of a core.
const PERIOD_NS: u64 = 5_000_000;
/// Between two tellings.
const TELL_NS: u64 = 1_000_000_000;

/// Watches until every worker has ended. Runs on a thread of its own.
pub(crate) fn watch(start_ns: u64, workers: &[Arc<Stalls>], events: &mpsc::Sender<EngineEvent>) {
    sleep_until(start_ns.saturating_sub(PERIOD_NS), workers);
    let mut watch = Watch::new(start_ns, workers);
    let mut due_ns = start_ns.max(now_ns());
    let mut tell_ns = due_ns + TELL_NS;
    while workers.iter().any(|worker| !worker.has_ended()) {
        nap(due_ns);
        let now_ns = now_ns();
        watch.hiccups.woke(due_ns, now_ns, PERIOD_NS);
        due_ns = (now_ns / PERIOD_NS + 1) * PERIOD_NS;
        if now_ns >= tell_ns {
            tell_ns = now_ns + TELL_NS;
            // Without room it is told with the next second, which is then longer.
            if let Ok(room) = events.try_reserve() {
                room.send(EngineEvent::Health(watch.look(now_ns)));
            }
            // What the look itself took is no hiccup.
            due_ns = due_ns.max(crate::clock::now_ns());
        }
    }
    // An error means that the engine was dropped: nobody is left to tell.
    drop(events.blocking_send(EngineEvent::Health(watch.look(now_ns()))));
}

/// Waits for the start of the load, which may lie far off, without missing that all workers ended.
fn sleep_until(until_ns: u64, workers: &[Arc<Stalls>]) {
    while now_ns() < until_ns && workers.iter().any(|worker| !worker.has_ended()) {
        nap(until_ns.min(now_ns() + 10 * PERIOD_NS));
    }
}

fn nap(until_ns: u64) {
    let part = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    let until = Timespec {
        tv_sec: part(until_ns / 1_000_000_000),
        tv_nsec: part(until_ns % 1_000_000_000),
    };
    // Interrupted by a signal it wakes early, which counts as on time.
    let _woke_early = clock_nanosleep_absolute(ClockId::Monotonic, &until).is_err();
}

/// What is remembered between two looks.
struct Watch<'a> {
    start_ns: u64,
    from_ns: u64,
    hiccups: Hiccups,
    workers: Vec<(&'a Stalls, Schedule)>,
    meter_cpu_ns: u64,
    pressure: Pressure,
    throttling: Throttling,
}

impl<'a> Watch<'a> {
    fn new(start_ns: u64, workers: &'a [Arc<Stalls>]) -> Self {
        Self {
            start_ns,
            from_ns: start_ns,
            hiccups: Hiccups::default(),
            workers: workers
                .iter()
                .map(|worker| (&**worker, Schedule::default()))
                .collect(),
            meter_cpu_ns: thread_cpu_ns(),
            pressure: Pressure::open(),
            throttling: Throttling::open(),
        }
    }

    /// Everything since the last look.
    fn look(&mut self, now_ns: u64) -> Health {
        let from_ns = std::mem::replace(&mut self.from_ns, now_ns);
        let workers = self.workers.iter_mut().enumerate();
        let workers = workers.map(|(worker, (stalls, schedule))| {
            let used = schedule.since_last(stalls.thread());
            let stalls = stalls.take();
            WorkerHealth {
                worker,
                cpu_ns: used.map(|used| used.cpu_ns),
                waiting_ns: used.map(|used| used.waiting_ns),
                stall_max_ns: stalls.max_ns,
                stalls: stalls.counts,
                stalled_ns: stalls.over_budget_ns,
            }
        });
        let workers = workers.collect();
        let pressure_ns = self.pressure.since_last();
        let throttled = self.throttling.since_last();
        let (descriptors, ports) = (descriptors::used(), ports::used());
        // Last, so that it holds what this look took.
        let meter_cpu_ns = thread_cpu_ns();
        Health {
            from: from_ns.saturating_sub(self.start_ns),
            until: now_ns.saturating_sub(self.start_ns),
            workers,
            hiccups: self.hiccups.take(),
            meter_cpu_ns: meter_cpu_ns - std::mem::replace(&mut self.meter_cpu_ns, meter_cpu_ns),
            pressure_ns,
            throttled,
            descriptors,
            ports,
        }
    }
}
