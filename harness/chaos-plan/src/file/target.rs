//! The target description: what a platform deploys, as data.
//!
//! Doc comments here are the descriptions in the published schema.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::amount::Bytes;
use super::cluster::{Cluster, Pods, WithParts};
use super::format::{Path, Text};
use super::located::{Located, Map, Optional};
use super::scenario::Replicas;
use super::value::Plain;
use crate::plan::{Holding, RestartPolicy, StopSignal};
use crate::template::Template;

/// Defaults, as a user would write them.
pub(crate) const REPLICAS: u32 = 1;
pub(crate) const READY_WITHIN: &str = "10s";
pub(crate) const READY_EVERY: &str = "100ms";
pub(crate) const READY_TIMEOUT: &str = "1s";
pub(crate) const READY_FAILURES: u32 = 3;
pub(crate) const RESTART_DELAY: &str = "0s";
pub(crate) const BACKOFF: &str = "1s";
pub(crate) const BACKOFF_MAX: &str = "5m";
pub(crate) const STOP: &str = "10s";
pub(crate) const QUIET_WITHIN: &str = "10s";

/// A target: services, how they find each other, and how each platform runs them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "chaos target description")]
pub(crate) struct Target {
    /// Version of this format; always 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: Located<u64>,
    /// Name of the target: letters, digits, `-` and `_`, a letter first, at most 63.
    pub(crate) name: Located<String>,
    /// The service that takes the load.
    pub(crate) entry: Located<String>,
    /// The services by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    pub(crate) services: Located<Map<Service>>,
    /// How the target can be asked what it holds; needed by the claim `integrity`.
    #[serde(default)]
    pub(crate) audit: Optional<Audit>,
    /// Sets of further services by name; a scenario takes one with `target: { app: ..., parts: NAME }`. Default: none is taken.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 20))]
    pub(crate) parts: Optional<Map<Parts>>,
    /// How it stands in a Kubernetes cluster. Default: the load comes in through a Service of the entry service's name.
    #[serde(default)]
    pub(crate) kubernetes: Optional<Cluster>,
}

/// Services that are there only when this set is taken, and what the others are told of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parts {
    /// The services by name, none of them a name of the target's own.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    pub(crate) services: Located<Map<Service>>,
    /// What the target's own services get beside what they have.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100))]
    pub(crate) with: Optional<Map<Addition>>,
    /// How the target stands in a Kubernetes cluster when this set is taken. Required there where the target names `manifests`; `{}` if those hold the services of this set as well.
    #[serde(default)]
    pub(crate) kubernetes: Optional<WithParts>,
}

/// What a service gets when a set of parts is taken.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Addition {
    /// Further services it sends requests to.
    #[serde(default)]
    #[schemars(extend("maxItems" = 100, "examples" = [["db"]]))]
    pub(crate) calls: Optional<Vec<Located<String>>>,
    /// Environment; goes before the service's own.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "DB": "{calls.db}" }]))]
    pub(crate) env: Optional<Map<Text<Template>>>,
}

/// Services that answer the audit contract (docs/audit-contract.md), and the states of an order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audit {
    /// Who tells of what.
    #[schemars(extend("minItems" = 1, "maxItems" = 20))]
    pub(crate) sources: Located<Vec<Located<AuditSource>>>,
    /// The states that may follow each state of an order; `[]` for a final one.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100, "examples" = [{ "pending": ["sold"], "sold": [] }]))]
    pub(crate) states: Located<Map<Vec<Located<String>>>>,
    /// The state in which an order counts as sold.
    #[schemars(extend("examples" = ["sold"]))]
    pub(crate) sold: Located<String>,
    /// Final states of orders that were sold and taken back: their money and stock went back.
    #[serde(default)]
    #[schemars(extend("maxItems" = 100, "examples" = [["refunded"]]))]
    pub(crate) returned: Optional<Vec<Located<String>>>,
    /// Longest wait after the load until every order is sold or in a final state. Default: 10s. Not scaled.
    #[serde(default)]
    #[schemars(extend("default" = QUIET_WITHIN))]
    pub(crate) quiet_within: Optional<Text<Duration>>,
    /// Longest time from a sale until the shopper was told of it. With it the rule `notified_once` is judged, and a delivery is one telling, not one arrival.
    #[serde(default)]
    #[schemars(extend("examples" = ["30s"]))]
    pub(crate) notified_within: Optional<Text<Duration>>,
}

/// One service that answers `GET path` with lines of the audit contract.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditSource {
    /// The service that is asked.
    pub(crate) service: Located<String>,
    /// The path that answers.
    #[schemars(extend("examples" = ["/audit"]))]
    pub(crate) path: Located<Text<Path>>,
    /// What its lines tell of.
    #[schemars(extend("minItems" = 1, "maxItems" = 4, "examples" = [["stock"]]))]
    pub(crate) holds: Located<Vec<Located<Holding>>>,
}

/// One role of the target. Instances of it are alike.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Service {
    /// Number of instances, 1 to 100; a scenario may set it. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = REPLICAS))]
    pub(crate) replicas: Optional<Replicas>,
    /// Services it sends requests to; `{calls.NAME}` is the address at which it reaches one.
    #[serde(default)]
    #[schemars(extend("maxItems" = 100, "examples" = [["api"]]))]
    pub(crate) calls: Optional<Vec<Located<String>>>,
    /// When an instance may be sent requests.
    pub(crate) ready: Located<Ready>,
    /// What happens when an instance has exited.
    #[serde(default)]
    pub(crate) restart: Optional<Restart>,
    /// Time between `stop_signal` and SIGKILL. Default: 10s.
    #[serde(default)]
    #[schemars(extend("default" = STOP))]
    pub(crate) stop: Optional<Text<Duration>>,
    /// The signal that asks an instance to end in order: `TERM`, `INT` or `QUIT`. Default: TERM.
    #[serde(default)]
    #[schemars(extend("default" = "TERM"))]
    pub(crate) stop_signal: Optional<StopSignal>,
    /// Environment on every platform; a scenario may set more of it. Values may hold `{port}`, `{address}`, `{calls.NAME}`, `{instance}`, `{data}`, `{chaos}` and `{here}`.
    #[serde(default)]
    pub(crate) env: Optional<Map<Text<Template>>>,
    /// Labels of your own, kept in the record.
    #[serde(default)]
    pub(crate) labels: Optional<Map<Plain>>,
    /// What one instance may use; the claim `resources` goes by it. Default: as much as the machine has.
    #[serde(default)]
    pub(crate) limits: Optional<Limits>,
    /// How it runs as a process of this machine.
    #[serde(default)]
    pub(crate) local: Optional<Local>,
    /// How its pods are found in a Kubernetes cluster.
    #[serde(default)]
    pub(crate) kubernetes: Optional<Pods>,
}

/// An instance is ready when `GET path` answers 2xx, or for one that does not speak HTTP: when it takes connections.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["path"] }, { "required": ["connect"] }]))]
pub(crate) struct Ready {
    /// Path that answers 2xx when the instance can serve.
    #[serde(default)]
    #[schemars(extend("examples" = ["/ready"]))]
    pub(crate) path: Optional<Text<Path>>,
    /// In place of `path`, always `true`: ready when its port takes a TCP connection.
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub(crate) connect: Optional<bool>,
    /// Deploying fails if an instance is not ready after this. Default: 10s.
    #[serde(default)]
    #[schemars(extend("default" = READY_WITHIN))]
    pub(crate) within: Optional<Text<Duration>>,
    /// Time between two probes. Default: 100ms.
    #[serde(default)]
    #[schemars(extend("default" = READY_EVERY))]
    pub(crate) every: Optional<Text<Duration>>,
    /// Longest time for one probe. Default: 1s.
    #[serde(default)]
    #[schemars(extend("default" = READY_TIMEOUT))]
    pub(crate) timeout: Optional<Text<Duration>>,
    /// Failed probes in a row, 1 to 100, after which an instance is not ready. Default: 3.
    #[serde(default)]
    #[schemars(extend("default" = READY_FAILURES, "minimum" = 1, "maximum" = 100))]
    pub(crate) failures: Optional<u32>,
}

/// The first restart comes after `delay`; the next ones wait `backoff`, doubled each time up to `backoff_max`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restart {
    /// `always`, `on_failure` (exit code or signal) or `never`. Default: always.
    #[serde(default)]
    #[schemars(extend("default" = "always"))]
    pub(crate) policy: Optional<RestartPolicy>,
    /// Wait before the first restart: what a platform needs to notice an exit and begin. Default: 0s.
    #[serde(default)]
    #[schemars(extend("default" = RESTART_DELAY))]
    pub(crate) delay: Optional<Text<Duration>>,
    /// Wait before the second restart. Default: 1s.
    #[serde(default)]
    #[schemars(extend("default" = BACKOFF))]
    pub(crate) backoff: Optional<Text<Duration>>,
    /// Longest wait. Default: 5m.
    #[serde(default)]
    #[schemars(extend("default" = BACKOFF_MAX))]
    pub(crate) backoff_max: Optional<Text<Duration>>,
}

/// Limits of one instance.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Cores, 0.01 to 1024.
    #[serde(default)]
    #[schemars(extend("minimum" = 0.01, "maximum" = 1024, "examples" = [0.5]))]
    pub(crate) cpu: Optional<f64>,
    /// Memory, 1MiB or more.
    #[serde(default)]
    pub(crate) memory: Optional<Text<Bytes>>,
}

/// A process of this machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Local {
    /// Program and arguments; no shell. `{chaos}` is this program, `{here}` the description's folder.
    #[schemars(extend("minItems" = 1, "maxItems" = 1_000, "examples" = [["{here}/server", "--port", "{port}"]]))]
    pub(crate) command: Located<Vec<Located<Text<Template>>>>,
    /// Environment beside the service's own; goes before it.
    #[serde(default)]
    pub(crate) env: Optional<Map<Text<Template>>>,
}
