//! The conductor: one loop that hears everything and does what the [`State`] says.
//!
//! It owns the platform, the engine, the record, the ledger and the lease; nobody else acts. It runs
//! on a single-threaded runtime on the main thread: the parent-death signal of the processes it
//! starts is tied to the thread that started them.
//! Invariant: whatever ends [`Conductor::play`], also a panic, [`Conductor::finish`] runs after it.

mod faults;
mod opening;
mod wind_up;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_load::{Engine, EngineConfig, EngineEvent, FaultClock};
use chaos_plan::Plan;
use chaos_plan::plan::Moment;
use chaos_platform::{
    Deployment, InstanceRef, Observation, Platform, PlatformError, Probe, Seen, Undo,
};
use chaos_record::event::{Event, InstanceChange, Stamped, StopSignal};
use chaos_record::record::Record;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::failpoint;
use crate::lease::{self, Lease};
use crate::ledger::Ledger;
use crate::state::{Action, Input, Phase, State};
use crate::stop::StopSignals;
use crate::writer::Writer;

pub use opening::{RunConfig, RunError, run};

/// Time between two looks at abort limits, waiting faults and the terminal.
const LOOK: Duration = Duration::from_millis(100);
/// Between the start of the workers and time zero of the schedule.
const HEAD_START: Duration = Duration::from_millis(100);

/// Somebody who watches a run, such as the terminal. Must not block.
pub trait Audience {
    /// An event was written to the record.
    fn event(&mut self, stamped: &Stamped, record: &Record);

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
}

/// Everything a run consists of.
struct Conductor<'a> {
    plan: Arc<Plan>,
    run: String,
    /// Base address for shoppers, known once the target is up.
    address: String,
    /// Time zero of the run, `CLOCK_MONOTONIC` nanoseconds.
    zero_ns: u64,
    load_start_ns: Option<u64>,
    workers: usize,
    audience: &'a mut dyn Audience,
    writer: Writer,
    ledger: Ledger,
    work: PathBuf,
    lease: Lease,
    lease_lost: bool,
    beat: Interval,
    stops: StopSignals,
    interrupts: u32,
    platform: Option<Box<dyn Platform>>,
    observations: Option<mpsc::Receiver<Observation>>,
    engine: Option<Engine>,
    fault_clock: Arc<FaultClock>,
    state: State,
    active: Vec<ActiveFault>,
    next_undo: u64,
    /// Faults whose recovery others may wait for and was announced.
    recovered: Vec<bool>,
    stage: Option<usize>,
}

/// What the loop heard.
enum Heard {
    Stop(StopSignal),
    GuardianLost,
    Beat,
    Observed(Observation),
    Engine(Option<EngineEvent>),
    Look,
}

impl Conductor<'_> {
    /// Deploys, plays load and faults, and takes every fault back.
    async fn play(&mut self) {
        let mut actions = self.deploy().await;
        let mut look = ticking(LOOK);
        loop {
            while !actions.is_empty() {
                if actions.contains(&Action::TearDown) {
                    return;
                }
                actions = self.perform(actions).await;
            }
            let heard = self.hear(&mut look).await;
            actions = self.react(heard).await;
        }
    }

    /// Does each action; what follows from them comes back.
    async fn perform(&mut self, actions: Vec<Action>) -> Vec<Action> {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::StartLoad => next.extend(self.start_load()),
                Action::StopLoad => self.stop_load(),
                Action::Inject { fault } => next.extend(self.inject(fault).await),
                Action::Skip { fault, reason } => self.skip(fault, reason),
                Action::Undo { fault } => next.extend(self.undo(fault).await),
                Action::TearDown | Action::Finish => next.push(action),
            }
        }
        next
    }

    async fn hear(&mut self, look: &mut Interval) -> Heard {
        let due = self
            .state
            .next_due()
            .zip(self.load_start_ns)
            .map(|(due, start)| start + due);
        tokio::select! {
            biased;
            signal = self.stops.next() => Heard::Stop(signal),
            () = self.lease.lost(), if !self.lease_lost => Heard::GuardianLost,
            _ = self.beat.tick() => Heard::Beat,
            Some(seen) = next_observation(self.observations.as_mut()) => Heard::Observed(seen),
            () = sleep_until_ns(due) => Heard::Look,
            event = next_event(self.engine.as_mut()) => Heard::Engine(event),
            _ = look.tick() => Heard::Look,
        }
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
            Heard::Engine(event) => self.engine_said(event),
            Heard::Look => self.look(),
        }
    }

    fn event(&mut self, at: u64, what: Event) {
        let stamped = self.writer.event(at, what);
        self.audience.event(&stamped, self.writer.record());
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

    async fn deploy(&mut self) -> Vec<Action> {
        self.event_now(Event::DeployStarted);
        failpoint::reach("deploy.started");
        let Some(mut platform) = self.platform.take() else {
            return self.state.next(&Input::Deployed);
        };
        let deployed = self.while_deploying(platform.deploy()).await;
        self.platform = Some(platform);
        match deployed {
            None => vec![Action::TearDown],
            Some(Ok(_)) => {
                self.hear_what_was_seen();
                self.event_now(Event::Deployed);
                failpoint::reach("deploy.done");
                self.state.next(&Input::Deployed)
            }
            Some(Err(error)) => {
                self.event_now(Event::EnvironmentFailed {
                    what: format!("failed to {error}"),
                });
                self.state.next(&Input::DeployFailed)
            }
        }
    }

    /// Writes down what was seen before the deploy was done, so that the record keeps its order.
    fn hear_what_was_seen(&mut self) {
        while let Some(seen) = self
            .observations
            .as_mut()
            .and_then(|seen| seen.try_recv().ok())
        {
            drop(self.observed(seen));
        }
    }

    /// Waits for the deploy while everything else is heard; `None` if the run is to stop before it is done.
    async fn while_deploying(
        &mut self,
        deploy: impl Future<Output = Result<Deployment, PlatformError>>,
    ) -> Option<Result<Deployment, PlatformError>> {
        tokio::pin!(deploy);
        let mut look = ticking(LOOK);
        loop {
            let heard = tokio::select! {
                deployed = &mut deploy => return Some(deployed.inspect(|deployment| self.address.clone_from(&deployment.address))),
                heard = self.hear(&mut look) => heard,
            };
            // Before the load nothing but a stop can follow from what is heard.
            drop(self.react(heard).await);
            if self.state.phase() != Phase::Deploy {
                return None;
            }
        }
    }

    fn start_load(&mut self) -> Vec<Action> {
        let start_ns = now_ns() + u64::try_from(HEAD_START.as_nanos()).unwrap_or(0);
        let config = EngineConfig {
            plan: Arc::clone(&self.plan),
            address: self.address.clone(),
            workers: self.workers,
            start_ns,
            faults: Arc::clone(&self.fault_clock),
        };
        match Engine::start(config) {
            Ok(engine) => {
                self.engine = Some(engine);
                self.load_start_ns = Some(start_ns);
                let workers = self.workers;
                self.event(self.run_ns(start_ns), Event::LoadStarted { workers });
                Vec::new()
            }
            Err(error) => {
                self.event_now(Event::EnvironmentFailed {
                    what: format!("failed to {error}"),
                });
                self.state.next(&Input::LoadOver)
            }
        }
    }

    fn stop_load(&mut self) {
        if let Some(engine) = &self.engine {
            engine.stop();
        }
    }

    fn interrupted(&mut self, signal: StopSignal) -> Vec<Action> {
        self.interrupts += 1;
        self.event_now(Event::Interrupted { signal });
        self.state.next(&Input::Stop)
    }

    fn guardian_lost(&mut self) -> Vec<Action> {
        self.lease_lost = true;
        self.event_now(Event::GuardianLost);
        self.state.next(&Input::Stop)
    }

    fn observed(&mut self, observation: Observation) -> Vec<Action> {
        let at = self.run_ns(observation.at_ns);
        let change = match observation.seen {
            Seen::Started {
                incarnation,
                pid,
                address,
            } => InstanceChange::Started {
                incarnation,
                pid,
                address,
            },
            Seen::Ready => InstanceChange::Ready,
            Seen::Unready { why } => InstanceChange::Unready { why },
            Seen::Exited { status, asked } => InstanceChange::Exited { status, asked },
            Seen::Restarting { after_ns } => InstanceChange::Restarting { after: after_ns },
            Seen::Down => InstanceChange::Down,
            Seen::PlatformLost { why } => {
                self.event(at, Event::EnvironmentFailed { what: why });
                return self.state.next(&Input::Stop);
            }
        };
        self.event(
            at,
            Event::Instance {
                service: observation.service,
                instance: observation.instance,
                change,
            },
        );
        Vec::new()
    }

    fn engine_said(&mut self, event: Option<EngineEvent>) -> Vec<Action> {
        match event {
            Some(EngineEvent::Delta(delta)) => {
                self.writer.delta(delta);
                Vec::new()
            }
            Some(EngineEvent::Worker(report)) => {
                self.event_now(Event::Worker(report));
                Vec::new()
            }
            Some(EngineEvent::Failed { worker, message }) => {
                self.event_now(Event::Panicked {
                    message: format!("worker {worker}: {message}"),
                });
                self.state.next(&Input::Stop)
            }
            None => self.load_over(),
        }
    }

    fn load_over(&mut self) -> Vec<Action> {
        if let Some(engine) = self.engine.take() {
            let length = u64::try_from(self.plan.load.length().as_nanos()).unwrap_or(u64::MAX);
            let until = engine.stopped_at().unwrap_or(length).min(length);
            self.event_now(Event::LoadStopped {
                until,
                cut_short: until < length,
            });
        }
        self.state.next(&Input::LoadOver)
    }

    /// Time went on: stages, limits, waiting faults, the terminal.
    fn look(&mut self) -> Vec<Action> {
        self.writer.flush();
        let mut actions = Vec::new();
        if let Some(why) = self.writer.take_failure() {
            self.event_now(Event::EnvironmentFailed { what: why });
            actions.extend(self.state.next(&Input::Stop));
        }
        if let Some(load_ns) = self.load_ns().filter(|_| self.state.phase() == Phase::Load) {
            self.announce_stage(load_ns);
            actions.extend(self.check_limits(load_ns));
            actions.extend(self.announce_recoveries(load_ns));
            actions.extend(self.state.next(&Input::Tick { load_ns }));
        }
        let load_ns = self.load_ns();
        self.audience.look(self.writer.record(), load_ns);
        actions
    }

    fn announce_stage(&mut self, load_ns: u64) {
        let stage = self.plan.load.stage_at(Duration::from_nanos(load_ns));
        if stage.is_some() && stage != self.stage {
            self.stage = stage;
            if let (Some(stage), Some(start)) = (stage, self.load_start_ns) {
                let planned =
                    u64::try_from(self.plan.load.stages[stage].start.as_nanos()).unwrap_or(0);
                self.event(self.run_ns(start + planned), Event::StageStarted { stage });
            }
        }
    }

    fn check_limits(&mut self, load_ns: u64) -> Vec<Action> {
        match chaos_record::abort::should(self.writer.record(), load_ns) {
            Some(why) => {
                self.event_now(Event::Aborted { why });
                self.state.next(&Input::Stop)
            }
            None => Vec::new(),
        }
    }

    /// Tells faults that wait for another one's recovery.
    fn announce_recoveries(&mut self, load_ns: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for fault in 0..self.recovered.len() {
            if !self.recovered[fault]
                && chaos_record::live::recovered(
                    self.writer.record(),
                    &self.plan.faults[fault].name,
                )
                .is_some()
            {
                self.recovered[fault] = true;
                actions.extend(self.state.next(&Input::Reached {
                    fault,
                    moment: Moment::Recovered,
                    load_ns,
                }));
            }
        }
        actions
    }
}

/// An interval that does not hurry to catch up.
fn ticking(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for an instant of `CLOCK_MONOTONIC`; for ever without one.
async fn sleep_until_ns(at_ns: Option<u64>) {
    match at_ns {
        Some(at_ns) => {
            tokio::time::sleep(Duration::from_nanos(at_ns.saturating_sub(now_ns()))).await;
        }
        None => std::future::pending().await,
    }
}

async fn next_observation(
    receiver: Option<&mut mpsc::Receiver<Observation>>,
) -> Option<Observation> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn next_event(engine: Option<&mut Engine>) -> Option<EngineEvent> {
    match engine {
        Some(engine) => engine.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for something while the lease is kept up.
async fn beating<T>(lease: &mut Lease, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let mut beat = ticking(lease::BEAT);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beat.tick() => lease.beat().await,
        }
    }
}
