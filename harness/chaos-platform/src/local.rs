//! The local platform: each instance is a process of this machine, reached through the proxy.
//!
//! Processes are started from the thread that runs the platform's tasks and die with that thread
//! (see [`wrapper`]), so the platform belongs on a single-threaded runtime on the main thread.
//! `limits` of a service are not enforced here: they are what its use is compared with.
//! Invariant: a process is signalled only after it was identified as the life that was meant.

mod deploy;
mod family;
mod group;
mod hold;
mod instance;
mod launch;
mod logs;
mod mark;
mod ports;
mod power;
pub mod process;
mod proxy;
mod ready;
mod restart;
mod routes;
pub mod signal;
mod supervisor;
pub mod sweep;
mod teardown;
mod usage;
pub mod wrapper;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chaos_plan::Plan;
use chaos_plan::plan::{Description, Target};
use rustix::process::Signal as Number;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use mark::{INSTANCE, RUN};

use self::family::Family;
use self::instance::KILLED;
use self::ports::Ports;
use self::power::Power;
use self::process::ProcessId;
use self::supervisor::{Shared, Status};
use self::teardown::SLACK;
use crate::act::{Act, Capability, InstanceRef, Probe, Reading, Signal};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::platform::{Deployment, InstanceState, InstanceUse, Pace, Platform, PlatformError};
use crate::undo::{self, Reverted, Undo, UndoStep};

/// What a run hands to its local platform.
#[derive(Debug, Clone)]
pub struct LocalConfig {
    /// Its target must be a description; without one nothing is deployed.
    pub plan: Arc<Plan>,
    /// Id of the run: the mark of its processes.
    pub run: String,
    /// Work folder of the run, made by the caller and removed by `teardown`.
    pub work: PathBuf,
    /// Folder for one log file an instance.
    pub logs: PathBuf,
    /// The executable that holds `exec` and `proxy`: our own.
    pub chaos: PathBuf,
    /// Added to the environment of every process.
    pub env: Vec<(String, String)>,
}

impl LocalConfig {
    fn description(&self) -> Option<&Description> {
        match &self.plan.target {
            Target::Deploy(description) => Some(description),
            Target::Url(_) => None,
        }
    }
}

/// Runs a target as processes of this machine.
#[derive(Debug)]
pub struct LocalPlatform {
    shared: Arc<Shared>,
    observations: Option<mpsc::Receiver<Observation>>,
    /// In the order of the description.
    members: Vec<Member>,
    /// A deploy has begun; there is only one.
    deployed: bool,
    /// The tasks of the instances.
    tasks: TaskTracker,
    /// The tasks of the proxy process, which must outlive the instances.
    proxy_tasks: TaskTracker,
    proxy_close: CancellationToken,
}

#[derive(Debug)]
struct Member {
    service: String,
    instance: String,
    ready_within: Duration,
    /// Between being asked to end and being killed.
    stop: Duration,
    status: watch::Receiver<Status>,
    /// True as long as it is kept away.
    hold: watch::Sender<bool>,
}

impl Member {
    /// Its present life, or the last one.
    fn target(&self) -> InstanceRef {
        InstanceRef {
            service: self.service.clone(),
            instance: self.instance.clone(),
            incarnation: self.status.borrow().incarnation,
        }
    }

    fn pace(&self, act: &Act) -> Pace {
        let ended = self.stop + KILLED + SLACK;
        let (shows, comes_back) = match act {
            Act::Signal {
                signal: Signal::Term | Signal::Int | Signal::Quit | Signal::Abrt,
                ..
            } => (self.stop, Duration::ZERO),
            // Released while it still ends, it ends first.
            Act::Hold { .. } => (ended, ended + self.ready_within),
            Act::Restart { .. } => (ended + self.ready_within, Duration::ZERO),
            _ => (Duration::ZERO, Duration::ZERO),
        };
        Pace { shows, comes_back }
    }
}

impl LocalPlatform {
    pub fn new(config: LocalConfig) -> Self {
        let services = config
            .description()
            .map(|description| description.services.as_slice())
            .unwrap_or_default();
        let instances: usize = services
            .iter()
            .map(|service| service.replicas as usize)
            .sum();
        let (observer, observations) = Observer::new(instances);
        let shared = Shared {
            config,
            observer,
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
            ports: Ports::default(),
            power: Power::default(),
        };
        Self {
            shared: Arc::new(shared),
            observations: Some(observations),
            members: Vec::new(),
            deployed: false,
            tasks: TaskTracker::new(),
            proxy_tasks: TaskTracker::new(),
            proxy_close: CancellationToken::new(),
        }
    }

    fn member(&self, target: &InstanceRef) -> Result<&Member, PlatformError> {
        let found = self
            .members
            .iter()
            .find(|member| member.instance == target.instance && member.service == target.service);
        found.ok_or_else(|| PlatformError::Missing {
            what: format!("an instance `{}`", target.instance),
        })
    }

    fn family<'a>(
        &'a self,
        target: &'a InstanceRef,
        leader: &'a ProcessId,
        until: Option<u64>,
    ) -> Family<'a> {
        Family {
            run: &self.shared.config.run,
            instance: &target.instance,
            leader,
            until,
        }
    }

    /// The process of exactly this life, which must not have ended.
    fn living(&self, target: &InstanceRef) -> Result<ProcessId, PlatformError> {
        let status = self.member(target)?.status.borrow();
        let InstanceRef {
            instance,
            incarnation,
            ..
        } = target;
        let missing = |why: String| PlatformError::Missing {
            what: format!("life {incarnation} of `{instance}`: {why}"),
        };
        if status.incarnation != *incarnation {
            return Err(missing(format!("it is in life {}", status.incarnation)));
        }
        status
            .process
            .clone()
            .ok_or_else(|| missing("it has ended".to_owned()))
    }

    /// Signals exactly this life; the instant right after.
    fn send(&self, target: &InstanceRef, signal: Signal) -> Result<u64, PlatformError> {
        let process = self.living(target)?;
        let InstanceRef {
            instance,
            incarnation,
            ..
        } = target;
        match signal::send_all(self.family(target, &process, None), number(signal)) {
            Ok(Some(at_ns)) => Ok(at_ns),
            Ok(None) => Err(PlatformError::Missing {
                what: format!("life {incarnation} of `{instance}`: {process} has just ended"),
            }),
            Err(source) => Err(PlatformError::Io {
                act: format!("signal `{instance}` ({process})"),
                source,
            }),
        }
    }

    /// The process of exactly this life, whether or not it has ended, and when the next one began.
    fn lived(&self, target: &InstanceRef) -> Result<(ProcessId, Option<u64>), PlatformError> {
        let status = self.member(target)?.status.borrow();
        let next = status.life_after(target.incarnation);
        let until = next.map(|process| process.start);
        status
            .life(target.incarnation)
            .map(|process| (process.clone(), until))
            .ok_or_else(|| PlatformError::Missing {
                what: format!(
                    "life {} of `{}`: it is in life {}",
                    target.incarnation, target.instance, status.incarnation
                ),
            })
    }
}

/// A platform that is dropped without a teardown asks its processes to end, as far as the runtime
/// still gives its tasks the time.
impl Drop for LocalPlatform {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.proxy_close.cancel();
    }
}

#[async_trait]
impl Platform for LocalPlatform {
    fn capabilities(&self) -> Vec<Capability> {
        vec![Capability::Kill, Capability::Freeze, Capability::Hold]
    }

    fn observe(&mut self) -> Option<mpsc::Receiver<Observation>> {
        self.observations.take()
    }

    async fn deploy(&mut self) -> Result<Deployment, PlatformError> {
        self.deploy_all().await
    }

    async fn instances(&self) -> Result<Vec<InstanceState>, PlatformError> {
        let state = |member: &Member| {
            let target = member.target();
            let status = member.status.borrow();
            InstanceState {
                target,
                ready: status.ready_since.is_some(),
                pid: status.process.as_ref().map(|process| process.pid),
            }
        };
        Ok(self.members.iter().map(state).collect())
    }

    async fn prepare(&self, act: &Act) -> Result<Undo, PlatformError> {
        let target = act.target().ok_or_else(|| unable(act))?;
        let process = self.living(target)?;
        let instance = target.instance.clone();
        let step = match act {
            Act::Signal {
                signal: Signal::Stop,
                ..
            } => UndoStep::Resume { instance, process },
            Act::Hold { .. } => UndoStep::Release { instance },
            Act::Signal { .. } | Act::Restart { .. } => UndoStep::Nothing { instance },
            _ => return Err(unable(act)),
        };
        Ok(Undo {
            version: undo::VERSION,
            mark: self.shared.config.run.clone(),
            step,
        })
    }

    async fn apply(&self, act: &Act) -> Result<u64, PlatformError> {
        match act {
            Act::Signal { target, signal } => self.send(target, *signal),
            Act::Hold { target } => self.hold(target),
            Act::Restart { target } => self.restart_one(target).await,
            _ => Err(unable(act)),
        }
    }

    async fn probe(&self, probe: &Probe) -> Result<Reading, PlatformError> {
        let target = match probe {
            Probe::Gone { target } | Probe::Frozen { target } | Probe::Thawed { target } => target,
            Probe::Back { target } => return self.back(target),
            // What only a cluster can do is asked only of one.
            _ => {
                return Err(PlatformError::Unable {
                    act: "look into a cluster".to_owned(),
                });
            }
        };
        let (process, until) = self.lived(target)?;
        read(probe, self.family(target, &process, until)).map_err(|source| PlatformError::Io {
            act: format!("read in /proc how `{}` ({process}) is", target.instance),
            source,
        })
    }

    async fn pace(&self, act: &Act) -> Pace {
        let member = act.target().and_then(|target| self.member(target).ok());
        member.map_or(Pace::default(), |member| member.pace(act))
    }

    async fn undo(&self, undo: &Undo) -> Reverted {
        match &undo.step {
            UndoStep::Release { instance }
                if undo.version == undo::VERSION && undo.mark == self.shared.config.run =>
            {
                self.release(instance)
            }
            _ => undo::revert(undo).await,
        }
    }

    /// Directly, not through the proxy: whatever bends the traffic, what is asked here is not bent.
    async fn address(&self, service: &str) -> Option<String> {
        self.members
            .iter()
            .filter(|member| member.service == service)
            .find_map(|member| member.status.borrow().ready_at())
            .map(|address| format!("http://{address}"))
    }

    async fn usage(&self) -> Vec<InstanceUse> {
        self.look_at_usage().await
    }

    async fn restart_all(&mut self) -> Result<(), PlatformError> {
        self.cycle_power().await
    }

    async fn teardown(&mut self) -> Vec<String> {
        self.teardown_all().await
    }
}

/// What needs an object of a cluster: a process has none.
fn unable(act: &Act) -> PlatformError {
    PlatformError::Unable {
        act: format!("do that to `{}`", act.on()),
    }
}

/// A life is gone, frozen or thawed only if every process of it is.
fn read(probe: &Probe, family: Family<'_>) -> std::io::Result<Reading> {
    let leader = family.leader;
    if !leader.is_alive()? {
        let left = signal::survivors(family)?;
        return Ok(Reading {
            holds: match probe {
                Probe::Gone { .. } => left.is_empty(),
                Probe::Thawed { .. } => !signal::any_stopped(&left)?,
                _ => false,
            },
            seen: left.first().map_or_else(
                || format!("{leader} is gone"),
                |other| format!("{leader} is gone, but not {other} of its life"),
            ),
        });
    }
    let members = signal::members(family)?;
    let running = signal::first_running(&members)?;
    let holds = match probe {
        Probe::Frozen { .. } => running.is_none() && leader.is_stopped()?,
        Probe::Thawed { .. } => !signal::any_stopped(&members)?,
        _ => false,
    };
    let seen = match running {
        None => format!("{leader} is stopped"),
        Some(running) if running == leader => format!("{leader} runs"),
        Some(other) => format!("{leader} is stopped, but {other} of its life runs"),
    };
    Ok(Reading { holds, seen })
}

fn number(signal: Signal) -> Number {
    match signal {
        Signal::Kill => Number::KILL,
        Signal::Term => Number::TERM,
        Signal::Int => Number::INT,
        Signal::Quit => Number::QUIT,
        Signal::Abrt => Number::ABORT,
        Signal::Stop => Number::STOP,
    }
}
