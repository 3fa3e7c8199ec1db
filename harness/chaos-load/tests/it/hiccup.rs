//! A hiccup meter for tests that judge to a fraction of a millisecond: a thread a core that does
//! nothing but wake, and notes how late it did.
//!
//! Invariant: every instant of the grid stands once, with how long after it the thread ran, so a
//! quantile is a share of time: one stop of a millisecond counts as the ten instants it covered.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use chaos_load::clock::now_ns;
use rustix::thread::{
    CpuSet, clock_nanosleep_absolute, sched_getaffinity, sched_setaffinity, set_current_timer_slack,
};
use rustix::time::{ClockId, Timespec};

/// Between two instants of the grid: a stop of the core is seen to within this.
const PERIOD_NS: u64 = 100_000;

/// Two cores that this thread may use, or the same one twice if it may use but one.
pub(crate) fn two_cores() -> [usize; 2] {
    let allowed = sched_getaffinity(None).expect("a thread may ask for its own cores");
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let first = cores.next().expect("a thread that runs has a core");
    [first, cores.next().unwrap_or(first)]
}

/// Keeps this thread, and those it starts from now on, on `core`.
pub(crate) fn stay_on(core: usize) {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).expect("a core this thread may use");
}

/// Meters under way.
pub(crate) struct Meter {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<u64>>>,
}

impl Meter {
    /// One thread for each of these cores; a core named twice has one.
    pub(crate) fn start(cores: [usize; 2]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut cores = cores.to_vec();
        cores.dedup();
        let start = |core| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || lateness_ns(core, &stop))
        };
        let threads = cores.into_iter().map(start).collect();
        Self { stop, threads }
    }

    pub(crate) fn end(self) -> Hiccups {
        self.stop.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        let mut late_ns: Vec<u64> = threads
            .flat_map(|thread| thread.join().expect("a meter that ended in order"))
            .collect();
        late_ns.sort_unstable();
        Hiccups(late_ns)
    }
}

fn lateness_ns(core: usize, stop: &AtomicBool) -> Vec<u64> {
    stay_on(core);
    // Else the kernel takes 50 us more to wake it, to save wake-ups.
    set_current_timer_slack(NonZeroU64::new(1)).expect("a thread's own timer slack");
    let mut late_ns = Vec::new();
    let mut due_ns = now_ns() + PERIOD_NS;
    while !stop.load(Ordering::Relaxed) {
        nap_until(due_ns);
        let now_ns = now_ns();
        while due_ns <= now_ns {
            late_ns.push(now_ns - due_ns);
            due_ns += PERIOD_NS;
        }
    }
    late_ns
}

fn nap_until(at_ns: u64) {
    let part = |ns: u64| i64::try_from(ns).expect("nanoseconds since the machine started");
    let at = Timespec {
        tv_sec: part(at_ns / 1_000_000_000),
        tv_nsec: part(at_ns % 1_000_000_000),
    };
    // Woken early by a signal it sleeps on: nothing was due yet.
    let _woke_early = clock_nanosleep_absolute(ClockId::Monotonic, &at).is_err();
}

/// How late the meters woke in nanoseconds, ascending.
pub(crate) struct Hiccups(Vec<u64>);

impl Hiccups {
    /// Mean over the time.
    pub(crate) fn mean_ms(&self) -> f64 {
        self.0.iter().sum::<u64>() as f64 / self.0.len().max(1) as f64 / 1e6
    }

    /// How late they woke in all but this share of the time, in milliseconds.
    pub(crate) fn beyond_ms(&self, share: f64) -> f64 {
        let rank = (1.0 - share) * self.0.len() as f64;
        let mut ranks = (1_usize..).zip(&self.0);
        let late_ns = ranks.find(|(number, _)| *number as f64 >= rank);
        late_ns.map_or(f64::INFINITY, |(_, late_ns)| *late_ns as f64 / 1e6)
    }
}

/// A stop of 1.05 ms on a grid of a tenth covers ten or eleven instants: the longest waited for all of it.
#[test]
fn a_stop_counts_for_every_instant_it_covers() {
    let stop_ns = (0..=10).map(|missed| 1_050_000 - missed * PERIOD_NS);
    let mut late_ns = vec![10_000; 989];
    late_ns.extend(stop_ns);
    late_ns.sort_unstable();
    let hiccups = Hiccups(late_ns);
    let near = |share, ms: f64| (hiccups.beyond_ms(share) - ms).abs() < 1e-9;
    assert!(near(0.5, 0.01) && near(0.0125, 0.01), "what was on time");
    assert!(
        near(0.0055, 0.55) && near(0.0, 1.05),
        "half of it, all of it"
    );
    assert!((hiccups.mean_ms() - (9.89 + 6.05) / 1e3).abs() < 1e-9);
    assert!(Hiccups(Vec::new()).beyond_ms(0.5).is_infinite());
}
