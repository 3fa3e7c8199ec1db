//! Memory over a long run: hours of load in simulated time through the real recorder, the real
//! record on disk and everything that the conductor asks meanwhile.
//!
//! `CHAOS_SOAK_SAMPLES=1000000000 cargo test --release -p chaos-run --test soak -- --nocapture` plays
//! 8 hours of 35,000 requests a second; without the variable it is an hour of 2,800, and of 500 where
//! the program is not optimised. A binary of its own, so that the memory it measures is nobody else's.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_load::Rehearsal;
use chaos_plan::Plan;
use chaos_plan::schedule::Schedule;
use chaos_record::event::Event;
use chaos_record::line::{Header, Host, VERSION};
use chaos_record::record::Record;
use chaos_record::{CELL_NS, SECOND_NS, abort, live};
use chaos_run::writer::Writer;
use chaos_testkit::plan::{PlanBuilder, get};

/// Samples of the short form.
const SAMPLES: u64 = if cfg!(debug_assertions) {
    1_800_000
} else {
    10_000_000
};
/// Three journeys: ten series.
const STEPS: [usize; 3] = [2, 3, 2];
/// Parts of the run after which memory is looked at.
const LOOKS: u64 = 10;
/// The look that later ones are compared with: by then everything has been kept once.
const SETTLED: usize = 1;
/// Most resident memory, in bytes.
const RESIDENT_MAX: u64 = 200_000_000;

fn samples() -> u64 {
    std::env::var("CHAOS_SOAK_SAMPLES").map_or(SAMPLES, |text| text.parse().expect("a number"))
}

/// So many requests, spread over one hour or over eight.
fn plan(samples: u64) -> Arc<Plan> {
    let hours = if samples > SAMPLES { 8.0 } else { 1.0 };
    let each = STEPS.iter().sum::<usize>() as f64 / STEPS.len() as f64;
    let rate = samples as f64 / each / (hours * 3_600.0);
    let names = ["a", "b", "c"];
    let mut builder = PlanBuilder::new().stage("soak", hours * 3_600.0, rate);
    for (journey, steps) in names.iter().zip(STEPS) {
        let steps = names[..steps].iter().map(|name| get(name, "/")).collect();
        builder = builder.journey(journey, 1.0, steps);
    }
    Arc::new(builder.limit_ms(200).build())
}

fn record(plan: &Arc<Plan>) -> Record {
    Record::new(Header {
        calibration: None,
        version: VERSION,
        run: "soak".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        chaos: "0".to_owned(),
        command: Vec::new(),
        host: Host::default(),
        plan: Plan::clone(plan),
    })
}

/// Response times between 1 and 30 ms, most of them small; the same in every run.
struct Law(u64);

impl Law {
    fn draw_ns(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let uniform = 1.0 + (self.0 >> 44) as f64;
        let beyond = Duration::from_secs_f64((20.0 - uniform.log2()) * 1.5e-3);
        1_000_000 + u64::try_from(beyond.as_nanos()).expect("milliseconds")
    }
}

/// What is done once a cell of the load is over, as the conductor does it.
struct Consumer {
    writer: Writer,
    path: PathBuf,
    plan: Arc<Plan>,
}

impl Consumer {
    fn new(plan: &Arc<Plan>, folder: &Path) -> Self {
        let path = folder.join("record.jsonl");
        let mut writer = Writer::create(&path, record(plan)).expect("room");
        writer.event(0, Event::LoadStarted { workers: 1 });
        Self {
            writer,
            path,
            plan: Arc::clone(plan),
        }
    }

    fn cell_over(&mut self, rehearsal: &mut Rehearsal, cells: u64) {
        let a_second = SECOND_NS / CELL_NS;
        let second_over = cells.is_multiple_of(a_second);
        self.writer.delta(rehearsal.hand_over(cells, second_over));
        if second_over {
            self.look(cells * CELL_NS);
        }
        if cells.is_multiple_of(300 * a_second) {
            self.give_back_disk();
        }
    }

    fn look(&mut self, now_ns: u64) {
        let record = self.writer.record();
        assert_eq!(abort::should(record, now_ns), None);
        let glance = live::glance(record, now_ns);
        assert!(
            glance.p95.is_some() || now_ns < 10 * SECOND_NS,
            "{glance:?}"
        );
        for fault in &self.plan.faults {
            live::recovered(record, &fault.name);
        }
        self.writer.flush();
        self.writer.forget(now_ns);
    }

    /// The file of the long form would be some 10 GB; what is measured is memory.
    fn give_back_disk(&self) {
        let file = OpenOptions::new().write(true).open(&self.path);
        file.and_then(|file| file.set_len(0)).expect("our file");
    }
}

#[test]
fn a_soak_takes_no_more_memory_the_longer_it_lasts() {
    let (samples, began) = (samples(), Instant::now());
    let folder = tempfile::tempdir().expect("a folder");
    let plan = plan(samples);
    let mut consumer = Consumer::new(&plan, folder.path());
    let mut rehearsal = Rehearsal::new(&plan);
    let (mut law, mut cells, mut played) = (Law(1), 0, 0);
    let mut resident = Vec::new();
    for arrival in Schedule::new(&plan) {
        let at_ns = u64::try_from(arrival.at.as_nanos()).expect("hours");
        while at_ns >= (cells + 1) * CELL_NS {
            cells += 1;
            consumer.cell_over(&mut rehearsal, cells);
        }
        let responses = [law.draw_ns(), law.draw_ns(), law.draw_ns()];
        let steps = STEPS[arrival.journey];
        rehearsal.journey(arrival.journey, at_ns, &responses[..steps]);
        played += steps as u64;
        if played >= (resident.len() as u64 + 1) * samples / LOOKS {
            resident.push(resident_bytes());
            println!(
                "{played:>13} samples, {:>6} s of load: {:.1} MB resident after {:.0?}",
                at_ns / SECOND_NS,
                resident[resident.len() - 1] as f64 / 1e6,
                began.elapsed()
            );
        }
    }
    let settled = resident[SETTLED] as f64;
    let most = *resident[SETTLED..].iter().max().expect("looks") as f64;
    assert!(most <= settled * 1.05, "memory grew: {resident:?}");
    assert!(most < RESIDENT_MAX as f64, "{resident:?}");
}

/// Resident memory of this process in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split_whitespace().nth(1).expect("a second number");
    let pages: u64 = pages.parse().expect("a number");
    pages * rustix::param::page_size() as u64
}
