//! Memory over a long run: hours of load in simulated time through the real recorder, the real
//! record on disk and everything that the conductor asks meanwhile; and then of judging it.
//!
//! `CHAOS_SOAK_SAMPLES=1000000000 cargo test --release -p chaos-run --test soak -- --nocapture` plays
//! 24 hours of 11,600 requests a second; without the variable it is two hours of 1,400, and of 250 where
//! the program is not optimised. `CHAOS_SOAK_HOURS` spreads them over another time. A binary of its own, so
//! that the memory it measures is nobody else's.

#![expect(clippy::print_stdout, reason = "it says how memory went")]

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_load::Rehearsal;
use chaos_plan::Plan;
use chaos_plan::schedule::Schedule;
use chaos_record::event::{Event, Stamped};
use chaos_record::health::{Health, WorkerHealth};
use chaos_record::histogram::Sparse;
use chaos_record::judge::judge;
use chaos_record::line::{Header, Host, Line, VERSION};
use chaos_record::record::Record;
use chaos_record::{CELL_NS, SECOND_NS, abort, live};
use chaos_run::writer::Writer;
use chaos_testkit::plan::{PlanBuilder, get};

/// The one of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Set where the part that reads the record is played.
const JUDGING: &str = "CHAOS_SOAK_JUDGING";
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
/// Most resident memory of the run and of who judges its record, in bytes.
const RESIDENT_MAX: u64 = 200_000_000;
const JUDGING_MAX: u64 = 200_000_000;

fn samples() -> u64 {
    std::env::var("CHAOS_SOAK_SAMPLES").map_or(SAMPLES, |text| text.parse().expect("a number"))
}

/// Two hours or a day, unless the variable says another time.
fn hours(samples: u64) -> f64 {
    let usual = if samples > SAMPLES { 24.0 } else { 2.0 };
    std::env::var("CHAOS_SOAK_HOURS").map_or(usual, |text| text.parse().expect("a number"))
}

/// So many requests, spread over these hours.
fn plan(samples: u64) -> Arc<Plan> {
    let hours = hours(samples);
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

/// Plays the whole load: every cell that is over is handed to `cell_over`, and every tenth of the samples
/// to `look`, with the second of the load. Gives what is not handed over yet, and the cells that are.
fn play(
    plan: &Plan,
    samples: u64,
    mut cell_over: impl FnMut(&mut Rehearsal, u64),
    mut look: impl FnMut(u64, u64),
) -> (Rehearsal, u64) {
    let mut rehearsal = Rehearsal::new(plan);
    let (mut law, mut cells, mut played, mut looks) = (Law(1), 0, 0, 0);
    for arrival in Schedule::new(plan) {
        let at_ns = u64::try_from(arrival.at.as_nanos()).expect("hours");
        while at_ns >= (cells + 1) * CELL_NS {
            cells += 1;
            cell_over(&mut rehearsal, cells);
        }
        let responses = [law.draw_ns(), law.draw_ns(), law.draw_ns()];
        let steps = STEPS[arrival.journey];
        rehearsal.journey(arrival.journey, at_ns, &responses[..steps]);
        played += steps as u64;
        if played >= (looks + 1) * samples / LOOKS {
            looks += 1;
            look(played, at_ns / SECOND_NS);
        }
    }
    (rehearsal, cells)
}

/// Each part in a process of its own, since what is measured is all that a process holds, also what it would use again.
#[test]
fn a_soak_takes_no_more_memory_the_longer_it_lasts() {
    let samples = samples();
    let plan = plan(samples);
    if std::env::var_os(JUDGING).is_some() {
        return judging(&plan, samples);
    }
    running(&plan, samples);
    let itself = std::env::current_exe().expect("a program that runs");
    let judging = Command::new(itself)
        .arg("--nocapture")
        .env(JUDGING, "yes")
        .output()
        .expect("a program that runs twice");
    println!("{}", String::from_utf8_lossy(&judging.stdout));
    let said = String::from_utf8_lossy(&judging.stderr);
    assert!(judging.status.success(), "{said}");
}

fn running(plan: &Arc<Plan>, samples: u64) {
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let mut consumer = Consumer::new(plan, folder.path());
    let mut resident = Vec::new();
    let cell_over = |rehearsal: &mut Rehearsal, cells| consumer.cell_over(rehearsal, cells);
    play(plan, samples, cell_over, |played, second| {
        resident.push(resident_bytes());
        println!(
            "{played:>13} samples, {second:>6} s of load: {:.1} MB resident after {:.0?}",
            resident[resident.len() - 1] as f64 / 1e6,
            began.elapsed()
        );
    });
    let settled = resident[SETTLED] as f64;
    let most = *resident[SETTLED..].iter().max().expect("looks") as f64;
    assert!(most <= settled * 1.05, "memory grew: {resident:?}");
    assert!(most < RESIDENT_MAX as f64, "{resident:?}");
}

/// What the generator tells of itself each second: one worker, and a thread that woke sixty times a little late.
fn look(until: u64) -> Health {
    let second = until / SECOND_NS;
    Health {
        from: until - SECOND_NS,
        until,
        workers: vec![WorkerHealth {
            cpu_ns: Some(SECOND_NS / 4),
            waiting_ns: Some(0),
            ..WorkerHealth::default()
        }],
        hiccups: Sparse((0..60).map(|i| (55 + 3 * i + second % 3, 3)).collect()),
        pressure_ns: Some(0),
        ..Health::default()
    }
}

/// Adds the lines up as somebody does who reads the record's file, and judges it.
fn judging(plan: &Arc<Plan>, samples: u64) {
    let began = Instant::now();
    let mut record = record(plan);
    let event = |at, what| Line::Event(Stamped { at, what });
    record.apply(&event(0, Event::LoadStarted { workers: 1 }));
    let mut cell_over = |rehearsal: &mut Rehearsal, cells: u64| {
        let second_over = cells.is_multiple_of(SECOND_NS / CELL_NS);
        record.apply(&Line::Delta(rehearsal.hand_over(cells, second_over)));
        if second_over {
            record.apply(&Line::Health(look(cells * CELL_NS)));
        }
        record.fold();
    };
    let (mut rest, cells) = play(plan, samples, &mut cell_over, |played, second| {
        println!(
            "{played:>13} samples, {second:>6} s of load read: {:.1} MB resident after {:.0?}",
            resident_bytes() as f64 / 1e6,
            began.elapsed()
        );
    });
    // What was under way at the end belongs to the cells behind it.
    cell_over(&mut rest, cells.next_multiple_of(10) + 100);
    let until = u64::try_from(plan.load.length().as_nanos()).expect("hours");
    let cut_short = false;
    record.apply(&event(until, Event::LoadStopped { until, cut_short }));
    let end = record.end_line(until);
    record.apply(&end);
    let judging = Instant::now();
    let verdict = judge(&record);
    let resident = resident_bytes();
    println!(
        "judged in {:.1?}: {:.1} MB resident",
        judging.elapsed(),
        resident as f64 / 1e6
    );
    assert!(
        verdict.conservation.exact,
        "{:?}",
        verdict.conservation.differences
    );
    assert_eq!(
        verdict.conservation.requests.ok,
        verdict.conservation.planned_requests
    );
    assert!(resident < JUDGING_MAX, "{resident} bytes");
}

/// Resident memory of this process in bytes.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split_whitespace().nth(1).expect("a second number");
    let pages: u64 = pages.parse().expect("a number");
    pages * rustix::param::page_size() as u64
}
