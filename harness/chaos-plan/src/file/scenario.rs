//! The scenario file.
//!
//! Doc comments here are the descriptions in the published schema: what a key means, its unit, its
//! range and its default.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::claim::Claim;
use super::cluster_fault;
use super::format::{After, Instant, Text, Url};
use super::located::{Located, Map, Optional};
use crate::plan::{Arrivals, HttpVersion, KillSignal, Level, Load, PlatformName};
use crate::template::Template;
use crate::units::{Rate, Share};

/// Defaults, as a user would write them.
pub(crate) const TIMEOUT: &str = "2s";
pub(crate) const PATIENCE: &str = "5s";
pub(crate) const MAX_SHARE: &str = "50%";
pub(crate) const COUNT: u32 = 1;
pub(crate) const SEED: u64 = 1;
pub(crate) const STEP: &str = "8s";
pub(crate) const FACTOR: f64 = 1.5;
pub(crate) const PRECISION: &str = "5%";
pub(crate) const REST: &str = "3s";
pub(crate) const PAUSE_BETWEEN: &str = "0s";

/// A scenario: what is put under load, what breaks meanwhile, and the claims the run is judged by.
///
/// Its first comment line is the question it answers. Every time, rate and share has its unit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "chaos scenario")]
pub(crate) struct Scenario {
    /// Version of this format; always 1.
    #[schemars(extend("const" = 1))]
    pub(crate) version: Located<u64>,
    /// Name of the scenario and of its reports: letters, digits, `-` and `_`, a letter first, at most 63.
    pub(crate) name: Located<String>,
    /// What the load is sent to.
    pub(crate) target: Located<Target>,
    /// Where the target runs; `--platform` goes before it. Default: local.
    #[serde(default)]
    #[schemars(extend("default" = "local"))]
    pub(crate) platform: Optional<PlatformName>,
    /// Everything drawn by chance is drawn from this; `--seed` goes before it. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = SEED))]
    pub(crate) seed: Optional<u64>,
    /// The load: exactly one group of shoppers, under a name of your choice.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100, "examples" = [{ "shoppers": {} }]))]
    pub(crate) load: Located<Map<Group>>,
    /// What breaks while the load runs, in any order, at most 100 faults. Default: nothing.
    #[serde(default)]
    #[schemars(extend("maxItems" = 100))]
    pub(crate) faults: Optional<Vec<Located<Fault>>>,
    /// The claims; the run holds if every one does. At least one.
    #[schemars(extend("maxItems" = 100, "examples" = [[{ "expect": { "latency": { "p95": "200ms" } } }]]))]
    pub(crate) hypothesis: Located<Vec<Located<Claim>>>,
    /// What stops the run, and how far a fault may go.
    #[serde(default)]
    pub(crate) safety: Optional<Safety>,
}

/// Either a target that chaos deploys (`app:`), or the address of one that runs already (`url:`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["app"] }, { "required": ["url"] }]))]
pub(crate) struct Target {
    /// Name of a bundled target description, or the path of one of your own.
    #[serde(default)]
    pub(crate) app: Optional<String>,
    /// Address of something that runs already, without a path. It takes load only, no faults.
    #[serde(default)]
    pub(crate) url: Optional<Text<Url>>,
    /// Only with `app`: the set of parts that is deployed beside it, as its description names it. Default: none.
    #[serde(default)]
    #[schemars(extend("examples" = ["real"]))]
    pub(crate) parts: Optional<String>,
    /// Only with `url`: version of HTTP, `1` or `2`. Default: auto, which is what both sides prefer over https, and 1 over http.
    #[serde(default)]
    #[schemars(extend("default" = "auto"))]
    pub(crate) http: Optional<Text<HttpVersion>>,
    /// Only with an `https://` address: do not check its certificate. Default: false.
    #[serde(default)]
    #[schemars(extend("default" = false))]
    pub(crate) insecure: Optional<bool>,
    /// Number of instances by service, 1 to 100; goes before the description's.
    #[serde(default)]
    pub(crate) replicas: Optional<Map<Replicas>>,
    /// Environment by service, one variable at a time; goes before the description's, with the same slots.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "api": { "DELAY_MS": 300 } }]))]
    pub(crate) env: Optional<Map<Map<Text<Template>>>>,
}

/// Number of instances of a service, 1 to 100.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline, extend("minimum" = 1, "maximum" = 100))]
pub(crate) struct Replicas(pub(crate) u32);

/// A group of shoppers: journeys arrive at the rates of its stages, or its stages say how many users there are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// Weights by journey: `{ browse: 70, checkout: 10 }`; only their proportions count.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100, "examples" = [{ "browse": 70 }]))]
    pub(crate) journeys: Located<Map<Weight>>,
    /// How arrivals are spread: evenly, or by chance as independent shoppers come (poisson). Default: poisson.
    #[serde(default)]
    #[schemars(extend("default" = "poisson"))]
    pub(crate) arrivals: Optional<Arrivals>,
    /// Only with `users`: a user's journeys are due this long after each other and measured from then; 10ms or more. Default: the next begins when the last has ended.
    #[serde(default)]
    pub(crate) cycle: Optional<Text<Duration>>,
    /// Longest time for one request, counted from when it was written. Default: 2s.
    #[serde(default)]
    #[schemars(extend("default" = TIMEOUT))]
    pub(crate) timeout: Optional<Text<Duration>>,
    /// Longest time for one request, counted from its intended instant; then it is given up. Default: 5s.
    #[serde(default)]
    #[schemars(extend("default" = PATIENCE))]
    pub(crate) patience: Optional<Text<Duration>>,
    /// Connections, opened before the load begins and kept: 1 to 25,000 in all. Default: as many as are needed, when they are.
    #[serde(default)]
    #[schemars(extend("minimum" = 1, "maximum" = Load::MOST_CONNECTIONS, "examples" = [100]))]
    pub(crate) connections: Optional<u32>,
    /// Only with HTTP/2: requests at once on one connection, 1 to 1,000; the target may allow fewer. Default: 100.
    #[serde(default)]
    #[schemars(extend("minimum" = 1, "maximum" = Load::MOST_STREAMS, "default" = Load::STREAMS))]
    pub(crate) streams: Optional<u32>,
    /// Whether each request bears the header `traceparent` (W3C trace context): a trace for each journey. Default: true.
    #[serde(default)]
    #[schemars(extend("default" = true))]
    pub(crate) traceparent: Optional<bool>,
    /// Stretches of load, one after the other.
    #[schemars(extend("minItems" = 1, "maxItems" = 1_000))]
    pub(crate) stages: Located<Vec<Located<Stage>>>,
}

/// Weight of a journey: 0 or more.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(inline, extend("minimum" = 0, "maximum" = 1_000_000))]
pub(crate) struct Weight(pub(crate) f64);

/// A named stretch of load.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["rate"] }, { "required": ["users"] }, { "required": ["search"] }]))]
pub(crate) struct Stage {
    /// Its name, distinct among the stages.
    pub(crate) name: Located<String>,
    /// How long it lasts, scaled by `--time-scale`. Needed with `rate` and `users`; a search ends by itself.
    #[serde(default, rename = "for")]
    pub(crate) lasts: Optional<Text<Duration>>,
    /// Journeys that begin in a time, whatever the answers; scaled by `--rate-scale`.
    #[serde(default)]
    pub(crate) rate: Optional<Text<Rate>>,
    /// In place of `rate`, in every stage: users that are there, each with one journey after the other; 0 to 10,000, scaled by `--rate-scale`.
    #[serde(default)]
    #[schemars(extend("minimum" = 0, "maximum" = Level::MOST_USERS, "examples" = [50]))]
    pub(crate) users: Optional<u32>,
    /// `constant`, or `linear`: from the level of the stage before (0 at first) to this one. Default: constant.
    #[serde(default)]
    #[schemars(extend("default" = "constant"))]
    pub(crate) shape: Optional<Shape>,
    /// In place of `for` and `rate`, as the last stage: raise the rate until a claim breaks, then narrow down.
    #[serde(default)]
    #[schemars(extend("examples" = [{ "from": "20/s", "to": "500/s" }]))]
    pub(crate) search: Optional<Search>,
}

/// Finds the highest rate at which the claims on latency and errors hold: `{ from: 20/s, to: 500/s }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// The first rate that is tried, and half of it between probes; scaled by `--rate-scale`.
    pub(crate) from: Located<Text<Rate>>,
    /// The highest rate that is tried, not below `from`; scaled by `--rate-scale`.
    pub(crate) to: Located<Text<Rate>>,
    /// How long each rate is judged, after one second to settle; 2s or more, scaled by `--time-scale`. Default: 8s.
    #[serde(default)]
    #[schemars(extend("default" = STEP))]
    pub(crate) step: Optional<Text<Duration>>,
    /// What the rate is multiplied by while the claims hold: 1.05 to 10. Default: 1.5.
    #[serde(default)]
    #[schemars(extend("default" = FACTOR, "minimum" = 1.05, "maximum" = 10))]
    pub(crate) factor: Optional<f64>,
    /// How far the rate that breaks may be above the one that holds: 1% to 50%. Default: 5%.
    #[serde(default)]
    #[schemars(extend("default" = PRECISION))]
    pub(crate) precision: Optional<Text<Share>>,
    /// Least time between two probes, longer while the target is not itself again, at most 30s. Default: 3s.
    #[serde(default)]
    #[schemars(extend("default" = REST))]
    pub(crate) rest: Optional<Text<Duration>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    Constant,
    Linear,
}

/// Something broken on purpose, once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["at"] }, { "required": ["after"] }, { "required": ["when"] }]))]
pub(crate) struct Fault {
    /// Its name, distinct among the faults.
    pub(crate) name: Located<String>,
    /// When it begins: `STAGE + 10s`, or `30s` from the start of the load; scaled by `--time-scale`.
    #[serde(default)]
    pub(crate) at: Optional<Text<Instant>>,
    /// Begin when another fault is `effective`, `undone` or `recovered`: `kill-api.recovered + 5s`.
    #[serde(default)]
    pub(crate) after: Optional<Text<After>>,
    /// `key`: begin when the facilitator says so.
    #[serde(default)]
    pub(crate) when: Optional<Cue>,
    /// With `after` and `when`: not begun by this instant, the run is inconclusive.
    #[serde(default)]
    pub(crate) or_by: Optional<Text<Instant>>,
    /// How long it lasts; only for faults that end, such as `pause`. Not scaled.
    #[serde(default, rename = "for")]
    pub(crate) lasts: Optional<Text<Duration>>,
    /// What is broken.
    pub(crate) inject: Located<Inject>,
}

/// What a fault waits for beside time and other faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cue {
    Key,
}

/// The faults there are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Inject {
    /// Ends processes with a signal; the target's restart policy brings them back.
    Kill(Kill),
    /// Stops processes and lets them go on after `for`.
    Pause(Pause),
    /// Ends instances in order, keeps them away and starts them again after `for`.
    Stop(Stop),
    /// Ends every instance in order and starts it again, one after the other.
    Restart(Restart),
    /// Asks the cluster to move pods away; that a `PodDisruptionBudget` refuses it is a result, not an error.
    Evict(cluster_fault::Evict),
    /// Sets how many instances a service has, and back after `for`; only on Kubernetes.
    Scale(cluster_fault::Scale),
    /// The same behind everybody's back: what else keeps the number may put it back before; only on Kubernetes.
    Drift(cluster_fault::Scale),
    /// Rolls out another version, or the same one again, and back after `for`; only on Kubernetes.
    Rollout(cluster_fault::Rollout),
    /// Deletes a Service, and makes it again as it was after `for`; only on Kubernetes.
    ServiceLost(cluster_fault::ServiceLost),
    /// Lowers or raises the CPU limit of running instances, and back after `for`; only on Kubernetes.
    Cpu(cluster_fault::Cpu),
}

/// Which processes are ended, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    /// The service whose instances are hit.
    pub(crate) service: Located<String>,
    /// Number of instances, 1 or more; which ones is drawn from the seed. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = COUNT))]
    pub(crate) count: Optional<Replicas>,
    /// In place of `count`: share of the instances, rounded down, at least one.
    #[serde(default)]
    pub(crate) share: Optional<Text<Share>>,
    /// The signal. Default: KILL.
    #[serde(default)]
    #[schemars(extend("default" = "KILL"))]
    pub(crate) signal: Optional<KillSignal>,
}

/// Which processes are stopped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// The service whose instances are hit.
    pub(crate) service: Located<String>,
    /// Number of instances, 1 or more; which ones is drawn from the seed. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = COUNT))]
    pub(crate) count: Optional<Replicas>,
    /// In place of `count`: share of the instances, rounded down, at least one.
    #[serde(default)]
    pub(crate) share: Optional<Text<Share>>,
}

/// Which instances are ended and kept away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// The service whose instances are hit.
    pub(crate) service: Located<String>,
    /// Number of instances, 1 or more; which ones is drawn from the seed. Default: 1.
    #[serde(default)]
    #[schemars(extend("default" = COUNT))]
    pub(crate) count: Optional<Replicas>,
    /// In place of `count`: share of the instances, rounded down, at least one.
    #[serde(default)]
    pub(crate) share: Optional<Text<Share>>,
}

/// Which service is restarted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restart {
    /// The service all of whose instances are restarted.
    pub(crate) service: Located<String>,
    /// From one instance being ready again to the next being asked to end. Not scaled. Default: 0s.
    #[serde(default)]
    #[schemars(extend("default" = PAUSE_BETWEEN))]
    pub(crate) pause_between: Optional<Text<Duration>>,
}

impl Inject {
    /// As it is written.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Stop(_) => "stop",
            Self::Restart(_) => "restart",
            Self::Evict(_) => "evict",
            Self::Scale(_) => "scale",
            Self::Drift(_) => "drift",
            Self::Rollout(_) => "rollout",
            Self::ServiceLost(_) => "service_lost",
            Self::Cpu(_) => "cpu",
        }
    }

    /// The service that is hit.
    pub(crate) fn service(&self) -> &Located<String> {
        match self {
            Self::Kill(kill) => &kill.service,
            Self::Pause(pause) => &pause.service,
            Self::Stop(stop) => &stop.service,
            Self::Restart(restart) => &restart.service,
            Self::Evict(evict) => &evict.service,
            Self::Scale(scale) | Self::Drift(scale) => &scale.service,
            Self::Rollout(rollout) => &rollout.service,
            Self::ServiceLost(lost) => &lost.service,
            Self::Cpu(cpu) => &cpu.service,
        }
    }
}

/// What stops the run, and how far a fault may go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Safety {
    /// Stop the run, undo and report when this is so. Default: never.
    #[serde(default)]
    pub(crate) abort_if: Optional<AbortIf>,
    /// Most instances of one service that may be unhealthy or under a fault at once. Default: 50%.
    #[serde(default)]
    #[schemars(extend("default" = MAX_SHARE))]
    pub(crate) max_share: Optional<Text<Share>>,
    /// Services that a fault may take out altogether. Default: none.
    #[serde(default)]
    #[schemars(extend("examples" = [["api"]]))]
    pub(crate) allow_outage: Optional<Vec<Located<String>>>,
}

/// `{ errors: 50%, for: 10s }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbortIf {
    /// The share of bad requests that is too much.
    pub(crate) errors: Located<Text<Share>>,
    /// How long more than that share must be bad before the run stops. Not scaled.
    #[serde(rename = "for")]
    pub(crate) lasts: Located<Text<Duration>>,
}
