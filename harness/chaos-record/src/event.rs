//! Everything that can happen in a run, as one enum.
//!
//! Invariant: the conductor writes events, everyone else only reads them. Each carries the time at
//! which it happened, not when it was heard.

use chaos_plan::plan::Segment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::Reading;
use crate::outcome::{FailKind, Failures, all_zero, is_zero, sparse};
use crate::search::SearchEnd;

/// An event and when it happened: nanoseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stamped {
    pub at: u64,
    pub what: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The platform begins to deploy the target.
    DeployStarted,
    /// Every instance is ready.
    Deployed,
    /// A copy of a service: see [`InstanceChange`].
    Instance {
        service: String,
        instance: String,
        change: InstanceChange,
    },
    /// What the platform tells beside its instances; of a service where it is known of which: see [`PlatformChange`].
    Platform {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        change: PlatformChange,
    },
    /// Time zero of the schedule: all cells, seconds and plan times count from here.
    LoadStarted {
        workers: usize,
    },
    StageStarted {
        stage: usize,
    },
    /// A search decided at which rate the load goes on, from an instant that still lay ahead.
    Searching(Segment),
    /// A search decided that it is over.
    Searched {
        end: SearchEnd,
    },
    /// A fault: see [`FaultChange`].
    Fault {
        fault: String,
        change: FaultChange,
    },
    /// The load ended: by itself, or cut short. Arrivals intended after `until` (from load start) were never due.
    LoadStopped {
        until: u64,
        cut_short: bool,
    },
    /// What a worker measured about itself over the whole load.
    Worker(WorkerReport),
    /// A safety limit was crossed; the run winds down.
    Aborted {
        why: String,
    },
    /// The user asked to stop.
    Interrupted {
        signal: StopSignal,
    },
    /// Something outside chaos failed: port, privilege, disk, deploy.
    EnvironmentFailed {
        what: String,
    },
    /// The second process that undoes faults is gone.
    GuardianLost,
    /// A bug in chaos: a panic was caught.
    Panicked {
        message: String,
    },
    /// `chaos halt`: the user asked to stop from another terminal.
    Halted {
        by: String,
    },
    /// The target is being asked what it holds.
    AuditStarted {
        reading: Reading,
    },
    /// It answered in full; `quiet` if it had come to rest: every order in a final state, two answers alike.
    AuditRead {
        reading: Reading,
        quiet: bool,
        orders: u64,
    },
    /// It did not answer, or not as the contract says.
    AuditFailed {
        reading: Reading,
        why: String,
    },
    /// The operation log was read back: this many operations follow as lines.
    OperationsLogged {
        count: u64,
    },
    /// The operation log is not whole.
    OperationLogFailed {
        why: String,
    },
    /// Every instance is being restarted for the last reading.
    Restarting,
    /// Every instance is ready again after it.
    Restarted,
    /// What someone who watched has to say.
    Note {
        kind: NoteKind,
        text: String,
        by: String,
    },
    /// A fault waits for the facilitator.
    KeyAwaited {
        fault: String,
    },
    /// The facilitator let a fault begin.
    KeyPressed {
        fault: String,
    },
    /// All undos and the teardown were tried; `left` names what may remain.
    CleanedUp {
        verified: bool,
        left: Vec<String>,
    },
}

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceChange {
    Started {
        incarnation: u32,
        pid: Option<u32>,
        address: String,
        /// What it runs in and where, such as a pod and its node, if that is not this machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    Ready,
    /// Its readiness probe failed too often in a row.
    Unready {
        why: String,
    },
    /// `asked` if the run itself was taking it down.
    Exited {
        status: String,
        asked: bool,
    },
    /// It will be started again after this many nanoseconds.
    Restarting {
        after: u64,
    },
    /// It exited and its restart policy leaves it down.
    Down,
    /// It is to be one more, and cannot start; it counts as no instance.
    Stuck {
        why: String,
    },
    /// It is gone, and without it there are as many as are wanted.
    Withdrawn {
        why: String,
    },
}

/// What a platform tells beside what becomes of its instances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlatformChange {
    /// How many instances the autoscaler of a service wants, or what it goes by, has changed.
    Autoscaled {
        autoscaler: String,
        /// What it wanted before; absent when it is first seen.
        was: Option<u32>,
        wanted: u32,
        /// What it goes by, in words; absent while it has seen nothing.
        metric: Option<String>,
    },
    /// How many endpoints take traffic for a Service.
    Serving {
        name: String,
        /// How many did before; absent when it is first seen.
        was: Option<u32>,
        ready: u32,
    },
    /// A warning; told once of an object and a reason, and again when it was seen twice as often.
    Warned {
        /// Such as `pod/api-7c`.
        object: String,
        reason: String,
        message: String,
        /// How often it was seen, at least.
        times: u32,
    },
    /// A node is ready again, or no longer.
    Node {
        node: String,
        ready: bool,
        why: String,
    },
    /// Something that would be worth seeing is not looked at.
    Unwatched { what: String, why: String },
}

/// The life of a fault. `at` of the event is the time of the act itself where the platform can tell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultChange {
    /// Its time has come; these instances were drawn.
    Requested { targets: Vec<String> },
    /// It was applied, and what was read from the world proves that it took effect.
    Effective { proof: Vec<String> },
    /// It was applied, but nothing read from the world shows an effect.
    Unproven { why: String },
    /// It was never applied.
    NotInjected { reason: NotInjected, why: String },
    /// Its undo ran and what was read from the world proves it; for one-shot faults there is nothing to undo.
    Undone { proof: Vec<String> },
    /// Its undo could not be done or not be proven.
    UndoFailed { why: String },
}

/// Why a fault was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotInjected {
    /// The claims were not met before the fault: nothing could be learned from it.
    NotSteady,
    /// It would have gone beyond the blast radius at that moment.
    BlastRadius,
    /// What it waits for had not happened in time.
    TooLate,
    /// The platform could not apply it.
    Failed,
    /// The run was winding down.
    Stopping,
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    Observation,
    Surprise,
    Decision,
    Action,
}

impl NoteKind {
    /// Every kind, in the order a report lists them.
    pub const ALL: [Self; 4] = [
        Self::Observation,
        Self::Surprise,
        Self::Decision,
        Self::Action,
    ];

    /// The word the command line uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observation => "observation",
            Self::Surprise => "surprise",
            Self::Decision => "decision",
            Self::Action => "action",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopSignal {
    Interrupt,
    Terminate,
}

/// A worker's own account, for the verdict on the generator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerReport {
    pub worker: usize,
    /// CPU time of its thread.
    pub cpu_ns: u64,
    /// Wall time from load start to its end.
    pub wall_ns: u64,
    /// Latest it ever dispatched a due arrival.
    pub lag_max_ns: u64,
    pub connections_opened: u64,
    /// Most connections open at once.
    pub connections_max: u64,
    /// Attempts to open one of the connections that the plan keeps that failed.
    #[serde(default)]
    pub connections_failed: u64,
    /// The same by kind, in the order of [`FailKind::ALL`].
    #[serde(default, skip_serializing_if = "all_zero", with = "sparse")]
    #[schemars(with = "std::collections::BTreeMap<FailKind, u64>")]
    pub connect_failures: Failures,
    /// Journeys that had been dispatched when it ended.
    pub journeys: u64,
    /// Journeys given up as they came due, since as many waited for the target already as it lets wait.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub turned_away: u64,
}
