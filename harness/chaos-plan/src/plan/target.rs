//! What the load is sent to: services as data, and how they can be asked what they hold.
//!
//! Invariant: nothing here knows a particular target; names of services are the description's own.

mod cluster;
mod running;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cluster::{Cluster, Door, Find, Pods, RANDOM, Workload, WorkloadKind, is_object_name};
pub use running::{HttpVersion, Running};

use super::claim::Rule;
use crate::units;

/// What the load is sent to.
#[expect(clippy::large_enum_variant, reason = "a plan has one")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Something that runs already: load only, no faults.
    Url(Running),
    /// Something the platform deploys.
    Deploy(Description),
}

/// A target description: the services a platform deploys, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub name: String,
    /// Folder of the description file, for `{here}`; empty for a bundled one.
    pub folder: String,
    /// The service shoppers reach.
    pub entry: String,
    /// The set of parts that was taken; its services stand after the target's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<String>,
    pub services: Vec<Service>,
    /// How the target can be asked what it holds; without it integrity cannot be judged.
    #[serde(default)]
    pub audit: Option<Audit>,
    /// How it stands in a cluster; on another platform `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Cluster>,
}

impl Description {
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }
}

/// One role of the target, resolved for the plan's platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: String,
    pub replicas: u32,
    /// Services it calls; each instance gets an address of its own for each of them.
    pub calls: Vec<String>,
    pub ready: Ready,
    pub restart: Restart,
    /// Grace between `stop_signal` and SIGKILL.
    #[serde(with = "units::duration_text")]
    pub stop: Duration,
    #[serde(default, skip_serializing_if = "StopSignal::is_default")]
    pub stop_signal: StopSignal,
    /// Program and arguments, templates not yet filled in; empty where its pods say what they run.
    pub command: Vec<String>,
    /// Environment, templates not yet filled in; in a cluster what its pods get beside their own.
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub limits: Limits,
    /// How its pods are found in a cluster; on another platform `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
}

impl Service {
    /// The object that makes its pods in a cluster, if they are found by it.
    pub fn workload(&self) -> Option<&Workload> {
        self.pods.as_ref()?.workload()
    }
}

/// What one instance may use; `None` is as much as the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Cores, more than 0.
    pub cpu: Option<f64>,
    /// Bytes, more than 0.
    pub memory: Option<u64>,
}

/// The signal that asks an instance to end in order. SIGTERM is the custom; some servers take another
/// one for what is meant here (`PostgreSQL` waits for its clients after SIGTERM, and not after SIGINT).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    #[default]
    Term,
    Int,
    Quit,
}

impl StopSignal {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When an instance counts as ready: `GET path` answers 2xx, or without a path: it takes a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Deploy fails if an instance is not ready after this.
    #[serde(with = "units::duration_text")]
    pub within: Duration,
    #[serde(with = "units::duration_text")]
    pub every: Duration,
    #[serde(with = "units::duration_text")]
    pub timeout: Duration,
    /// Failed probes in a row after which a ready instance is not ready.
    pub failures: u32,
}

/// What happens after an instance has exited: first restart after `delay`, then with back-off that
/// doubles from `backoff` to `backoff_max`, as a kubelet does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    pub policy: RestartPolicy,
    /// Before the first restart: what the platform needs to notice and begin.
    #[serde(with = "units::duration_text")]
    pub delay: Duration,
    #[serde(with = "units::duration_text")]
    pub backoff: Duration,
    #[serde(with = "units::duration_text")]
    pub backoff_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// How the target can be asked what it holds (docs/audit-contract.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    pub sources: Vec<AuditSource>,
    /// Allowed next states by state; a state without next ones is final.
    pub states: BTreeMap<String, Vec<String>>,
    /// The state in which an order counts as sold. An order may rest here, and still be taken back.
    pub sold: String,
    /// States in which an order stays that was sold and taken back: money and stock are as if it never was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<String>,
    /// Longest wait for the target to come to rest: every order in a final state, two readings alike.
    #[serde(with = "units::duration_text")]
    pub quiet_within: Duration,
    /// Longest time from the sale to its delivery. If set, a delivery is somebody being told, which must
    /// happen once; if not, it is an arrival, which may happen again.
    #[serde(
        default,
        with = "units::optional_duration_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub notified_within: Option<Duration>,
}

impl Audit {
    /// Whether some source tells of this.
    pub fn holds(&self, holding: Holding) -> bool {
        self.sources
            .iter()
            .any(|source| source.holds.contains(&holding))
    }

    /// Whether there is all that this rule is judged by.
    pub fn can_judge(&self, rule: Rule) -> bool {
        let is_told = rule.needs().iter().all(|holding| self.holds(*holding));
        is_told && (rule != Rule::NotifiedOnce || self.notified_within.is_some())
    }

    /// Whether nothing is under way for an order in this state: it stays there, unless it is sold and
    /// somebody takes it back.
    pub fn is_at_rest(&self, state: &str) -> bool {
        state == self.sold || self.is_final(state)
    }

    /// Whether an order in this state stays there; false for a state that is not listed.
    pub fn is_final(&self, state: &str) -> bool {
        self.states.get(state).is_some_and(Vec::is_empty)
    }
}

/// One service that answers `GET path` with lines of the audit contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditSource {
    pub service: String,
    pub path: String,
    /// What its lines tell of.
    pub holds: Vec<Holding>,
}

/// What an audit source can tell of.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// Every order ever made, with the history of its states.
    Orders,
    /// Money that moved: charges and refunds, told by whoever moved it.
    Charges,
    /// Pieces available and reserved.
    Stock,
    /// Events of sold orders that have arrived, or shoppers who were told of them.
    Deliveries,
}

impl Holding {
    pub const ALL: [Self; 4] = [Self::Orders, Self::Charges, Self::Stock, Self::Deliveries];

    /// The word a target description uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Charges => "charges",
            Self::Stock => "stock",
            Self::Deliveries => "deliveries",
        }
    }
}
