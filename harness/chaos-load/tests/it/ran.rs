//! Plays a plan through the engine and keeps what it told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::{Address, Engine, EngineConfig, EngineEvent, FaultClock, clock};
use chaos_plan::Plan;
use chaos_plan::plan::Model;
use chaos_plan::schedule::Schedule;
use chaos_record::event::WorkerReport;
use chaos_record::health::Health;
use chaos_record::outcome::{Counts, FailKind};
use chaos_record::series::SeriesTable;
use chaos_record::window::Windows;

/// Everything an engine told, added up.
pub(crate) struct Ran {
    pub(crate) plan: Arc<Plan>,
    pub(crate) windows: Windows,
    pub(crate) reports: Vec<WorkerReport>,
    pub(crate) health: Vec<Health>,
    pub(crate) broken: Vec<String>,
    /// Why the operation log is not whole, as often as it was told.
    pub(crate) log_failures: Vec<String>,
    /// From the start of the load, if it was stopped.
    pub(crate) until_ns: Option<u64>,
}

/// Time zero of a load that is about to start.
pub(crate) fn soon_ns() -> u64 {
    clock::now_ns() + 100_000_000
}

pub(crate) async fn play(plan: Plan, url: &str, workers: usize) -> Ran {
    play_from(soon_ns(), plan, url, workers).await
}

pub(crate) async fn play_from(start_ns: u64, plan: Plan, url: &str, workers: usize) -> Ran {
    Playing::start(start_ns, plan, url, workers).end().await
}

/// A load under way.
pub(crate) struct Playing {
    pub(crate) engine: Engine,
    pub(crate) faults: Arc<FaultClock>,
    ran: Ran,
    closed: BTreeMap<usize, u64>,
}

impl Playing {
    pub(crate) fn start(start_ns: u64, plan: Plan, url: &str, workers: usize) -> Self {
        Self::start_logging(start_ns, plan, url, workers, None)
    }

    /// The same with an operation log.
    pub(crate) fn start_logging(
        start_ns: u64,
        plan: Plan,
        url: &str,
        workers: usize,
        operations: Option<PathBuf>,
    ) -> Self {
        let plan = Arc::new(plan);
        let faults = Arc::new(FaultClock::new(plan.faults.len()));
        let config = EngineConfig {
            plan: Arc::clone(&plan),
            address: Address::resolve(url).expect("an address"),
            workers,
            start_ns,
            faults: Arc::clone(&faults),
            operations,
        };
        let engine = Engine::start(config).expect("an engine");
        let ran = Ran {
            plan,
            windows: Windows::default(),
            reports: Vec::new(),
            health: Vec::new(),
            broken: Vec::new(),
            log_failures: Vec::new(),
            until_ns: None,
        };
        Self {
            engine,
            faults,
            ran,
            closed: BTreeMap::new(),
        }
    }

    /// Listens until `done` holds or the load is over.
    pub(crate) async fn until(&mut self, mut done: impl FnMut(&Windows) -> bool) {
        while !done(&self.ran.windows) {
            let Some(event) = self.engine.next().await else {
                return;
            };
            self.hear(event);
        }
    }

    pub(crate) async fn end(mut self) -> Ran {
        self.until(|_| false).await;
        self.ran.until_ns = self.engine.stopped_at();
        self.ran
    }

    fn hear(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Delta(delta) => {
                let closed = self.closed.entry(delta.worker).or_default();
                let reopened: Vec<u64> = delta
                    .cells
                    .iter()
                    .map(|part| part.cell)
                    .filter(|cell| cell < closed)
                    .collect();
                assert_eq!(
                    reopened,
                    [] as [u64; 0],
                    "worker {} had closed all cells below {closed}",
                    delta.worker
                );
                assert!(
                    delta.closed_cells >= *closed,
                    "closed cells never open again"
                );
                *closed = delta.closed_cells;
                self.ran.windows.add(&delta);
            }
            EngineEvent::Health(look) => self.ran.health.push(look),
            EngineEvent::Worker(report) => self.ran.reports.push(report),
            EngineEvent::OperationLogFailed { why } => self.ran.log_failures.push(why),
            EngineEvent::Failed { worker, message } => {
                self.ran.broken.push(format!("worker {worker}: {message}"));
            }
        }
    }
}

impl Ran {
    /// Counts of the series that `keep` picks, over all time.
    pub(crate) fn counts(&self, keep: impl Fn(usize) -> bool) -> Counts {
        self.windows.sum(0, u64::MAX, keep).counts
    }

    pub(crate) fn journey(&self, journey: usize) -> Counts {
        let number = SeriesTable::new(&self.plan).of_journey(journey);
        self.counts(|series| series == number)
    }

    pub(crate) fn step(&self, journey: usize, step: usize) -> Counts {
        let number = SeriesTable::new(&self.plan).of_step(journey, step);
        self.counts(|series| series == number)
    }

    /// All requests of all journeys.
    pub(crate) fn requests(&self) -> Counts {
        let table = SeriesTable::new(&self.plan);
        self.counts(|series| {
            table
                .get(series)
                .is_some_and(|series| series.step.is_some())
        })
    }

    /// A quantile of the expected responses of the series that `keep` picks, in milliseconds.
    pub(crate) fn response_ms(&self, quantile: f64, keep: impl Fn(usize) -> bool) -> f64 {
        self.windows
            .responses(0, u64::MAX, keep)
            .value_at_quantile(quantile) as f64
            / 1e3
    }

    /// The longest delay of our own threads, in milliseconds: what no tolerance should be charged
    /// for. Next to nothing on an idle machine.
    pub(crate) fn own_delay_ms(&self) -> f64 {
        let longest_ns = self.reports.iter().map(|report| report.lag_max_ns).max();
        longest_ns.unwrap_or(0) as f64 / 1e6
    }

    /// Journeys that were to be begun, by the schedule. Users without a cycle have none: there it is
    /// what the workers say they began.
    fn planned(&self) -> Vec<u64> {
        let journeys = 0..self.plan.load.journeys.len();
        if self.plan.load.model == (Model::Closed { cycle: None }) {
            let begun: u64 = self.reports.iter().map(|report| report.journeys).sum();
            let counted: Vec<u64> = journeys
                .map(|journey| self.journey(journey).total())
                .collect();
            assert_eq!(counted.iter().sum::<u64>(), begun);
            return counted;
        }
        let until = self.until_ns.map_or(Duration::MAX, Duration::from_nanos);
        let mut planned = vec![0; journeys.len()];
        for arrival in Schedule::new(&self.plan).filter(|arrival| arrival.at <= until) {
            planned[arrival.journey] += 1;
        }
        planned
    }

    /// Asserts that every planned journey and each of its steps is accounted for exactly once.
    pub(crate) fn assert_conserved(&self) {
        assert_eq!(self.broken, [] as [String; 0]);
        let planned = self.planned();
        for (number, journey) in self.plan.load.journeys.iter().enumerate() {
            assert_eq!(
                self.journey(number).total(),
                planned[number],
                "journey {}",
                journey.name
            );
            for (step, content) in journey.steps.iter().enumerate() {
                assert_eq!(
                    self.step(number, step).total(),
                    planned[number],
                    "step {} of {}",
                    content.name,
                    journey.name
                );
            }
        }
        // Only expected answers have a response; each has one.
        let all = self.counts(|_| true);
        assert_eq!(self.windows.responses(0, u64::MAX, |_| true).len(), all.ok);
        assert_eq!(
            self.windows
                .sum(0, u64::MAX, |_| true)
                .rungs
                .values()
                .sum::<u64>(),
            all.ok
        );
    }
}

/// Asserts that of a number of requests all failed in this way.
pub(crate) fn assert_all_failed(counts: &Counts, kind: FailKind) {
    assert!(counts.total() > 0);
    assert_eq!(
        counts.failed[kind as usize],
        counts.total(),
        "{kind:?} in {counts:?}"
    );
}
