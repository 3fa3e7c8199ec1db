//! The engine: starts the workers, passes on what they send, stops them.
//!
//! Invariant: every event of every worker is delivered before [`Engine::next`] says that it is
//! over; no event is dropped and no worker is ever held up by a slow listener while load runs.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use chaos_plan::Plan;
use chaos_record::event::WorkerReport;
use chaos_record::health::Health;
use chaos_record::window::Delta;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::address::{Address, AddressError};
use crate::budget::Budget;
use crate::client::{TlsError, Transport};
use crate::clock::length_ns;
use crate::fault_clock::FaultClock;
use crate::halt::{self, Switch};
use crate::health;
use crate::health::stalls::Stalls;
use crate::limits::raise_descriptor_limit;
use crate::operations::OperationLog;
use crate::pace::Slice;
use crate::prepare::{PrepareError, Prepared};
use crate::search_clock::SearchClock;
use crate::worker::{self, Assignment};

/// Events that wait for the listener; a worker sends one every 100 ms.
const EVENTS_A_WORKER: usize = 64;
/// More threads than this bring nothing to one process.
const WORKERS_MAX: usize = 64;

/// What an engine needs to play a plan's load.
#[derive(Debug)]
pub struct EngineConfig {
    pub plan: Arc<Plan>,
    pub address: Address,
    /// Number of threads, from 1 to 64.
    pub workers: usize,
    /// Instant of load time zero, raw as [`crate::clock::now_ns`] counts; may lie shortly ahead.
    pub start_ns: u64,
    /// Where the conductor notes that faults took effect.
    pub faults: Arc<FaultClock>,
    /// The operation log to be made; `None` keeps none. A file that is there already is refused.
    pub operations: Option<PathBuf>,
}

/// Why no load was started. The text completes "failed to start the load: ...".
#[derive(Debug, Error)]
pub enum EngineError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("{workers} workers were asked for: give a number from 1 to {WORKERS_MAX}")]
    Workers { workers: usize },
    #[error("the operation log `{path}` could not be made: is the folder there, and empty?")]
    OperationLog { path: PathBuf, source: io::Error },
    #[error("the thread of worker {worker} could not be made: are there too many processes?")]
    Thread { worker: usize, source: io::Error },
    #[error("the thread that watches the workers could not be made: are there too many processes?")]
    Watching { source: io::Error },
}

/// What an engine tells.
#[derive(Debug, Clone, PartialEq)]
pub enum EngineEvent {
    /// Additive counts of one worker.
    Delta(Delta),
    /// How the generator was since the last of these; about once a second.
    Health(Health),
    /// A worker has ended; its last delta came before.
    Worker(WorkerReport),
    /// The operation log is not whole, so what it holds cannot be judged. Told once a load.
    OperationLogFailed { why: String },
    /// A worker broke down: what it had in flight is not accounted for.
    Failed { worker: usize, message: String },
}

/// A running load. Dropping it stops the load.
#[derive(Debug)]
pub struct Engine {
    start_ns: u64,
    events: mpsc::Receiver<EngineEvent>,
    switch: Switch,
    threads: Vec<JoinHandle<()>>,
    search: Option<Arc<SearchClock>>,
    budget: Option<Arc<Budget>>,
}

impl Engine {
    /// Prepares every request, then starts the workers.
    pub fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig {
            plan,
            address,
            workers,
            start_ns,
            faults,
            operations,
        } = config;
        if !(1..=WORKERS_MAX).contains(&workers) {
            return Err(EngineError::Workers { workers });
        }
        let transport = Arc::new(Transport::new(&address, &plan.target, &plan.load)?);
        let prepared = Arc::new(Prepared::new(&plan, &address)?);
        // A worker without a connection could do nothing.
        let workers = workers.min(plan.load.connections.map_or(workers, |most| most as usize));
        let operations = operations.map(log_at).transpose()?;
        raise_descriptor_limit();
        let (sender, events) = mpsc::channel(workers * EVENTS_A_WORKER);
        let (switch, halt) = halt::new();
        let search = plan
            .load
            .search
            .as_ref()
            .map(SearchClock::new)
            .map(Arc::new);
        let budget = Budget::of(&plan.load, start_ns).map(Arc::new);
        let mut engine = Self {
            start_ns,
            events,
            switch,
            threads: Vec::with_capacity(workers),
            search: search.clone(),
            budget: budget.clone(),
        };
        let budget_ns = length_ns(plan.lag_budget());
        let stalls: Vec<Arc<Stalls>> = (0..workers)
            .map(|_| Arc::new(Stalls::new(budget_ns)))
            .collect();
        let assignment = |worker| Assignment {
            slice: Slice { worker, workers },
            plan: Arc::clone(&plan),
            prepared: Arc::clone(&prepared),
            transport: Arc::clone(&transport),
            start_ns,
            faults: Arc::clone(&faults),
            operations: operations.clone(),
            events: sender.clone(),
            halt: halt.clone(),
            stalls: Arc::clone(&stalls[worker]),
            search: search.clone(),
            budget: budget.clone(),
        };
        for worker in 0..workers {
            // An error drops the engine, which stops the threads that were started.
            let thread = spawn(assignment(worker));
            engine
                .threads
                .push(thread.map_err(|source| EngineError::Thread { worker, source })?);
        }
        let watching = spawn_watching(start_ns, stalls, sender);
        engine
            .threads
            .push(watching.map_err(|source| EngineError::Watching { source })?);
        Ok(engine)
    }

    /// The next event; `None` once every worker has ended and everything was delivered. Cancel safe.
    pub async fn next(&mut self) -> Option<EngineEvent> {
        let event = self.events.recv().await;
        if event.is_none() {
            // The channel closes as the last act of each thread, so this does not wait.
            for thread in self.threads.drain(..) {
                drop(thread.join());
            }
        }
        event
    }

    /// Where the rates of the plan's search are decided, if it has one.
    pub fn search(&self) -> Option<&SearchClock> {
        self.search.as_deref()
    }

    /// Stops the load: nothing is begun from now on, what is in flight ends or is cut off within a second.
    pub fn stop(&self) {
        if let Some(search) = &self.search {
            // What is due until the stop must be certain to everyone.
            search.release();
        }
        self.switch.stop();
    }

    /// When [`Engine::stop`] was called, in nanoseconds from the start of the load: arrivals
    /// intended after it were never due. `None` if it was not.
    pub fn stopped_at(&self) -> Option<u64> {
        let stopped_ns = self.switch.stopped_ns()?;
        Some(stopped_ns.saturating_sub(self.start_ns))
    }

    /// When the last journey of a load that ends with a number of them had ended, in nanoseconds from
    /// the start of the load. `None` if time or a stop ended it.
    pub fn spent_at(&self) -> Option<u64> {
        let spent_ns = self.budget.as_ref()?.spent_ns()?;
        Some(spent_ns.saturating_sub(self.start_ns))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells what would keep every request from being sent: a certificate that is not to be believed. A target that does not answer is for the load to find.
/// Blocks for some seconds at most.
pub fn look(plan: &Plan, address: &Address) -> Result<(), EngineError> {
    Transport::new(address, &plan.target, &plan.load)?.look()?;
    Ok(())
}

/// One worker for each processor this process may use.
pub fn default_workers() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(WORKERS_MAX)
}

fn log_at(path: PathBuf) -> Result<Arc<OperationLog>, EngineError> {
    match OperationLog::create(&path) {
        Ok(log) => Ok(Arc::new(log)),
        Err(source) => Err(EngineError::OperationLog { path, source }),
    }
}

fn spawn(assignment: Assignment) -> io::Result<JoinHandle<()>> {
    let worker = assignment.slice.worker;
    thread::Builder::new()
        .name(format!("load-{worker}"))
        .spawn(move || {
            let events = assignment.events.clone();
            let stalls = Arc::clone(&assignment.stalls);
            let _begun = stalls.begin();
            let message = match catch_unwind(AssertUnwindSafe(|| worker::play(assignment))) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => format!("no runtime for the worker: {error}"),
                Err(panic) => message_of(panic.as_ref()),
            };
            // An error means that the engine was dropped: nobody is left to tell.
            drop(events.blocking_send(EngineEvent::Failed { worker, message }));
        })
}

fn spawn_watching(
    start_ns: u64,
    stalls: Vec<Arc<Stalls>>,
    events: mpsc::Sender<EngineEvent>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("load-watch".to_owned())
        .spawn(move || health::watch(start_ns, &stalls, &events))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{Acknowledges, Extract};
    use chaos_testkit::plan::{PlanBuilder, get, template};

    use super::*;

    fn transport(plan: &Plan, url: &str) -> Arc<Transport> {
        let address = Address::resolve(url).expect("an address");
        Arc::new(Transport::new(&address, &plan.target, &plan.load).expect("no TLS"))
    }

    #[tokio::test]
    async fn a_worker_that_panics_is_reported_and_ends() {
        let plan = Arc::new(
            PlanBuilder::new()
                .stage("s", 10.0, 100.0)
                .journey("j", 1.0, vec![get("g", "/")])
                .build(),
        );
        let transport = transport(&plan, "http://127.0.0.1:9");
        let (sender, mut events) = mpsc::channel(8);
        let (_switch, halt) = halt::new();
        // The plan has a journey that was not prepared: the first arrival panics.
        let assignment = Assignment {
            slice: Slice {
                worker: 3,
                workers: 4,
            },
            plan,
            prepared: Arc::new(Prepared {
                journeys: Vec::new(),
            }),
            transport: Arc::clone(&transport),
            start_ns: crate::clock::now_ns(),
            faults: Arc::new(FaultClock::new(0)),
            operations: None,
            events: sender,
            halt,
            stalls: Arc::new(Stalls::new(0)),
            search: None,
            budget: None,
        };
        let thread = spawn(assignment).expect("a thread");
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = Some(event);
        }
        assert!(
            matches!(&last, Some(EngineEvent::Failed { worker: 3, message }) if message.contains("index out of bounds")),
            "{last:?}"
        );
        thread.join().expect("the panic stayed in the worker");
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_written_is_told_once_by_all_workers() {
        let server = chaos_testkit::Server::prompt();
        let mut pay = get("pay", "/");
        pay.acknowledges = Some(Acknowledges {
            key: template("{uuid}"),
            order: Extract::Json("/n".to_owned()),
            amount: None,
        });
        let plan = Arc::new(
            PlanBuilder::new()
                .stage("s", 0.5, 100.0)
                .journey("j", 1.0, vec![pay])
                .build(),
        );
        let address = Address::resolve(&server.url()).expect("an address");
        let transport = transport(&plan, &server.url());
        let prepared = Arc::new(Prepared::new(&plan, &address).expect("requests"));
        let log = Arc::new(OperationLog::broken());
        let (sender, mut events) = mpsc::channel(64);
        let (_switch, halt) = halt::new();
        let threads = [0, 1].map(|worker| {
            let assignment = Assignment {
                slice: Slice { worker, workers: 2 },
                plan: Arc::clone(&plan),
                prepared: Arc::clone(&prepared),
                transport: Arc::clone(&transport),
                start_ns: crate::clock::now_ns(),
                faults: Arc::new(FaultClock::new(0)),
                operations: Some(Arc::clone(&log)),
                events: sender.clone(),
                halt: halt.clone(),
                stalls: Arc::new(Stalls::new(0)),
                search: None,
                budget: None,
            };
            spawn(assignment).expect("a thread")
        });
        drop(sender);
        let mut failures = Vec::new();
        while let Some(event) = events.recv().await {
            if let EngineEvent::OperationLogFailed { why } = event {
                failures.push(why);
            }
        }
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!(server.seen(), 50, "the load goes on without it");
    }

    #[test]
    fn a_panic_is_told_with_its_message() {
        let caught = |panic: fn()| message_of(catch_unwind(panic).expect_err("it panics").as_ref());
        assert_eq!(caught(|| panic!("plain")), "plain");
        assert_eq!(
            caught(|| panic!("worker {}", std::hint::black_box(3))),
            "worker 3"
        );
        assert_eq!(
            caught(|| std::panic::panic_any(7)),
            "a panic without a message"
        );
    }
}
