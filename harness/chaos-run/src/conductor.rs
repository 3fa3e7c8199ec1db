//! The conductor: one loop that hears everything and does what the [`State`] says.
//!
//! It owns the platform, the engine, the record, the ledger and the lease; nobody else acts. It runs
//! on a single-threaded runtime on the main thread: the parent-death signal of the processes it
//! starts is tied to the thread that started them.
//! Invariant: whatever ends `Conductor::play`, also a panic, `Conductor::finish` runs after it;
//! and whatever is waited for, the loop goes on hearing, so the lease is kept up.

mod deploy;
mod evidence;
mod faults;
mod game_day;
mod heard;
mod load;
mod opening;
mod queue;
mod search;
pub(crate) mod waiting;
mod wind_up;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_load::{Address, Engine, EngineEvent, FaultClock};
use chaos_plan::Plan;
use chaos_platform::{InstanceRef, Observation, Platform, Probe, Seen, Undo};
use chaos_record::event::{Event, Stamped, StopSignal};
use chaos_record::record::Record;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use crate::control::{Asked, Control};
use crate::lease::Lease;
use crate::ledger::LedgerHandle;
use crate::state::{Action, Input, State};
use crate::stop::StopSignals;
use crate::writer::Writer;

use faults::{Taken, TakingBack};
use queue::{Queue, Turn};
use waiting::{next_event, next_observation, next_request, sleep_until_ns, ticking};

pub use opening::{Cluster, RunConfig, RunError, run};
pub use wind_up::Finished;

/// Time between two looks at abort limits, waiting faults and the terminal.
const LOOK: Duration = Duration::from_millis(100);
/// Time between two looks at what instances use.
const SAMPLE: Duration = Duration::from_secs(1);

/// Somebody who watches a run, such as the terminal. Must not block.
pub trait Audience {
    /// An event was written to the record.
    fn event(&mut self, stamped: &Stamped, record: &Record);

    /// The target is up; shoppers reach it at this address.
    fn deployed(&mut self, _address: &str) {}

    /// Time went on; `load_ns` counts from the start of the load.
    fn look(&mut self, record: &Record, load_ns: Option<u64>);
}

/// A fault that is applied.
#[derive(Debug)]
struct ActiveFault {
    fault: usize,
    targets: Vec<InstanceRef>,
    undos: Vec<(u64, Undo)>,
    undone: Vec<Probe>,
    /// Longest its targets may take to be back once all is undone.
    comeback: Duration,
}

/// Everything a run consists of.
struct Conductor<'a> {
    plan: Arc<Plan>,
    run: String,
    /// Base address for shoppers, known once the target is up.
    address: String,
    /// What it resolved to, of a target that ran already: the load goes to what was looked at.
    found: Option<Address>,
    /// Time zero of the run, `CLOCK_MONOTONIC` nanoseconds.
    zero_ns: u64,
    load_start_ns: Option<u64>,
    workers: usize,
    /// Gone after a panic, whose cause it may be.
    audience: Option<&'a mut dyn Audience>,
    writer: Writer,
    ledger: LedgerHandle,
    /// The folder of state, and the outputs.
    folder: PathBuf,
    out: PathBuf,
    lease: Lease,
    lease_lost: bool,
    beat: Interval,
    stops: StopSignals,
    interrupts: u32,
    /// Second terminals speak here.
    control: Option<Control>,
    sample: Interval,
    /// Only deployed, no load: until somebody wishes to stop.
    hold: bool,
    /// Set with the first wish to stop, for whoever waits for something that is then not needed.
    stopping: CancellationToken,
    platform: Option<Arc<dyn Platform>>,
    observations: Option<mpsc::Receiver<Observation>>,
    engine: Option<Engine>,
    fault_clock: Arc<FaultClock>,
    /// What the search of the plan is about, once it has begun.
    searching: search::Searching,
    state: State,
    queue: Queue,
    /// Everything is taken back and ended: nothing is begun and no limit is watched any more.
    ending: bool,
    active: Vec<ActiveFault>,
    /// Faults that are being taken back, each by itself: none waits for the long proof of another.
    undoing: FuturesUnordered<TakingBack>,
    /// Targets whose undo failed: they count as hurt for the rest of the run.
    still_hurt: Vec<InstanceRef>,
    next_undo: u64,
    /// Faults whose recovery others may wait for and was announced.
    recovered: Vec<bool>,
    stage: Option<usize>,
    /// Panics that were caught, and which of them the record could not be told.
    panics: u32,
    untold: Vec<Stamped>,
}

/// What the loop heard.
enum Heard {
    Stop(StopSignal),
    GuardianLost,
    Beat,
    Observed(Observation),
    TakenBack(Taken),
    Engine(Option<EngineEvent>),
    Asked(Asked),
    Sample,
    Look,
}

impl Conductor<'_> {
    /// Deploys, plays load and faults, and takes every fault back.
    async fn play(&mut self) {
        let actions = self.deploy().await;
        self.take_in(actions);
        let mut look = ticking(LOOK);
        loop {
            // What is being taken back is hurt still: no further fault begins beside it.
            while self.undoing.is_empty()
                && let Some(turn) = self.queue.next()
            {
                let actions = self.perform(turn).await;
                self.take_in(actions);
            }
            if self.queue.is_over() && self.undoing.is_empty() {
                return;
            }
            let heard = self.hear(&mut look).await;
            self.follow(heard).await;
        }
    }

    /// Does or begins at once what waits for nothing else, and queues the rest. Nothing of it at the
    /// end: then everything is taken back, whatever the state says.
    fn take_in(&mut self, actions: Vec<Action>) {
        if self.ending {
            return;
        }
        for action in actions {
            match action {
                Action::StopLoad => self.stop_load(),
                Action::Skip { fault, reason } => self.skip(fault, reason),
                Action::Undo { fault } => self.undo(fault),
                Action::StartLoad => self.queue.put(Turn::StartLoad),
                Action::Inject { fault } => self.queue.put(Turn::Inject { fault }),
                Action::TearDown | Action::Finish => self.queue.end(),
            }
        }
    }

    /// What follows comes back.
    async fn perform(&mut self, turn: Turn) -> Vec<Action> {
        match turn {
            Turn::StartLoad => self.start_load().await,
            Turn::Inject { fault } => Box::pin(self.inject(fault)).await,
        }
    }

    /// Waits for something while everything else is heard.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let done = self.meanwhile_if(work, |_| true).await;
        done.expect("it was not given up")
    }

    /// The same for as long as `goes_on` says so; `None` if it was given up.
    async fn meanwhile_if<T>(
        &mut self,
        work: impl Future<Output = T>,
        goes_on: impl Fn(&Self) -> bool,
    ) -> Option<T> {
        tokio::pin!(work);
        let mut look = ticking(LOOK);
        while goes_on(self) {
            let heard = tokio::select! {
                biased;
                done = &mut work => return Some(done),
                heard = self.hear(&mut look) => heard,
            };
            self.follow(heard).await;
        }
        None
    }

    /// At the end only what still has to be written down or answered is heard.
    async fn hear(&mut self, look: &mut Interval) -> Heard {
        let ending = self.ending;
        let due = self
            .state
            .next_due()
            .zip(self.load_start_ns)
            .filter(|_| !ending)
            .map(|(due, start)| start.saturating_add(due));
        tokio::select! {
            biased;
            signal = self.stops.next() => Heard::Stop(signal),
            () = self.lease.lost(), if !self.lease_lost => Heard::GuardianLost,
            _ = self.beat.tick() => Heard::Beat,
            Some(seen) = next_observation(self.observations.as_mut()) => Heard::Observed(seen),
            Some(taken) = self.undoing.next() => Heard::TakenBack(taken),
            () = sleep_until_ns(due) => Heard::Look,
            asked = next_request(self.control.as_mut()), if !ending => Heard::Asked(asked),
            event = next_event(self.engine.as_mut()) => Heard::Engine(event),
            _ = self.sample.tick(), if self.engine.is_some() && !ending => Heard::Sample,
            _ = look.tick(), if !ending => Heard::Look,
        }
    }

    async fn follow(&mut self, heard: Heard) {
        let actions = self.react(heard).await;
        self.take_in(actions);
    }

    async fn react(&mut self, heard: Heard) -> Vec<Action> {
        match heard {
            Heard::Stop(signal) => self.interrupted(signal),
            Heard::GuardianLost => self.guardian_lost(),
            Heard::Beat => {
                self.lease.beat().await;
                Vec::new()
            }
            Heard::Observed(observation) => self.observed(observation),
            Heard::TakenBack(taken) => self.taken_back(taken),
            Heard::Engine(event) => self.engine_said(event),
            Heard::Asked(asked) => self.asked(asked),
            Heard::Sample => {
                self.sample_usage().await;
                Vec::new()
            }
            Heard::Look => self.look(),
        }
    }

    fn event(&mut self, at: u64, what: Event) {
        let stamped = self.writer.event(at, what);
        if let Some(audience) = &mut self.audience {
            audience.event(&stamped, self.writer.record());
        }
    }

    fn event_now(&mut self, what: Event) {
        let at = self.run_ns(now_ns());
        self.event(at, what);
    }

    /// From `CLOCK_MONOTONIC` to time of the run.
    fn run_ns(&self, raw_ns: u64) -> u64 {
        raw_ns.saturating_sub(self.zero_ns)
    }

    /// Time of the load now, once it has begun.
    fn load_ns(&self) -> Option<u64> {
        self.load_start_ns
            .map(|start| now_ns().saturating_sub(start))
    }

    /// The run is to wind down, for whatever reason.
    fn stop(&mut self) -> Vec<Action> {
        self.stopping.cancel();
        self.state.next(&Input::Stop)
    }

    /// Something around the run failed: it is said and the run winds down.
    fn environment_failed(&mut self, what: String) -> Vec<Action> {
        self.event_now(Event::EnvironmentFailed { what });
        self.stop()
    }

    fn interrupted(&mut self, signal: StopSignal) -> Vec<Action> {
        self.interrupts += 1;
        self.event_now(Event::Interrupted { signal });
        self.stop()
    }

    fn guardian_lost(&mut self) -> Vec<Action> {
        self.lease_lost = true;
        self.event_now(Event::GuardianLost);
        self.stop()
    }

    fn observed(&mut self, observation: Observation) -> Vec<Action> {
        let at = self.run_ns(observation.at_ns);
        let is_lost = matches!(observation.seen, Seen::PlatformLost { .. });
        self.event(at, heard::event_of(observation));
        if is_lost { self.stop() } else { Vec::new() }
    }

    /// Time went on: stages, limits, waiting faults, the terminal.
    fn look(&mut self) -> Vec<Action> {
        self.writer.flush();
        let mut actions = Vec::new();
        if let Some(why) = self.writer.take_failure() {
            actions.extend(self.environment_failed(why));
        }
        actions.extend(self.watch_load());
        let load_ns = self.load_ns();
        if let Some(audience) = &mut self.audience {
            audience.look(self.writer.record(), load_ns);
        }
        actions
    }
}
