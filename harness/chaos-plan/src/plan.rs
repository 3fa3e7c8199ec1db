//! The plan: a scenario that has been checked, with every default filled in and every time resolved.
//!
//! Invariant: a [`Plan`] comes from [`crate::check::check`], or back out of a record that was
//! written from one. Its content can be read by everyone and changed by no one.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::template::Template;
use crate::units::{self, Rate, Share};

/// A proven scenario; dereferences to its [`Resolved`] content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan(Resolved);

impl Plan {
    /// Only `check` may call this: it vouches for the content.
    pub(crate) fn proven(content: Resolved) -> Self {
        Self(content)
    }
}

impl Deref for Plan {
    type Target = Resolved;

    fn deref(&self) -> &Resolved {
        &self.0
    }
}

/// What a plan holds. Times are counted from the start of the load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// The scenario's name, fit for a folder name.
    pub name: String,
    /// The question the scenario answers: its first comment line.
    pub question: String,
    pub platform: PlatformName,
    /// Everything drawn by chance is drawn from this.
    pub seed: u64,
    pub scale: Scale,
    pub target: Target,
    pub load: Load,
    pub faults: Vec<Fault>,
    pub claims: Vec<Claim>,
    pub safety: Safety,
    pub source: Source,
}

/// Where the scenario came from, so that a report can show it and point at its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The path as the user gave it, or `bundled:NAME`.
    pub path: String,
    pub text: String,
    /// `key=value` of each `--set`, in order.
    pub overrides: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlatformName {
    Local,
    Compose,
    Kubernetes,
}

/// Factors of `--time-scale` (stage lengths and offsets) and `--rate-scale`; 1 is as written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    pub time: f64,
    pub rate: f64,
}

impl Scale {
    /// Whether the run is something other than the scenario as written.
    pub fn is_scaled(self) -> bool {
        (self.time - 1.0).abs() > f64::EPSILON || (self.rate - 1.0).abs() > f64::EPSILON
    }
}

/// What the load is sent to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Something that runs already: load only, no faults.
    Url(String),
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
    pub services: Vec<Service>,
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
    /// Grace between SIGTERM and SIGKILL.
    #[serde(with = "units::duration_text")]
    pub stop: Duration,
    /// Program and arguments, templates not yet filled in.
    pub command: Vec<String>,
    /// Environment, templates not yet filled in.
    pub env: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

/// When an instance counts as ready: `GET path` answers 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    pub path: String,
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

/// The load: one group of shoppers whose journeys arrive at a planned rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// The name the scenario gives the group.
    pub name: String,
    pub arrivals: Arrivals,
    /// Limit of one request, counted from when it was written.
    #[serde(with = "units::duration_text")]
    pub timeout: Duration,
    /// Limit of one request, counted from its intended instant; then it is shed.
    #[serde(with = "units::duration_text")]
    pub patience: Duration,
    pub journeys: Vec<Journey>,
    pub stages: Vec<Stage>,
}

impl Load {
    /// End of the last stage.
    pub fn length(&self) -> Duration {
        self.stages.last().map_or(Duration::ZERO, Stage::end)
    }

    /// Index of the stage that holds the instant `at`; an instant on a boundary belongs to the later stage.
    pub fn stage_at(&self, at: Duration) -> Option<usize> {
        self.stages
            .iter()
            .position(|stage| stage.start <= at && at < stage.end())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    Even,
    Poisson,
}

/// A named stretch of load whose rate goes from `from` to `to` in a straight line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    #[serde(with = "units::duration_text")]
    pub start: Duration,
    #[serde(with = "units::duration_text")]
    pub length: Duration,
    pub from: Rate,
    pub to: Rate,
}

impl Stage {
    pub fn end(&self) -> Duration {
        self.start + self.length
    }

    pub fn is_constant(&self) -> bool {
        (self.from.per_second() - self.to.per_second()).abs() < f64::EPSILON
    }
}

/// What one shopper does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    pub name: String,
    /// Share among all journeys, relative to the sum of the weights.
    pub weight: f64,
    /// Inline lists; one row of each is drawn for each journey.
    pub data: BTreeMap<String, Vec<Row>>,
    pub steps: Vec<Step>,
}

/// One row of a data list: a plain value, or named fields (`{shopper.email}`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Row {
    Value(String),
    Fields(BTreeMap<String, String>),
}

/// One request of a journey.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub method: Method,
    pub path: Template,
    pub headers: Vec<(String, Template)>,
    pub body: Option<Template>,
    /// Statuses that count as an answer as expected.
    pub statuses: Vec<StatusRange>,
    pub checks: Vec<Check>,
    pub extract: BTreeMap<String, Extract>,
    /// Planned pause after this step.
    #[serde(with = "units::duration_text")]
    pub think: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
}

/// Statuses from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    pub from: u16,
    pub to: u16,
}

/// Where a value is found in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// A JSON pointer (RFC 6901) into the body.
    Json(String),
    /// A response header, by lower-case name.
    Header(String),
}

/// What an answer must fulfil beside its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub of: Extract,
    pub must: Must,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Must {
    Exist,
    Equal(String),
    Contain(String),
}

/// Something broken on purpose, once, at a planned instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    pub name: String,
    pub when: When,
    /// How long it lasts; `None` for a one-shot fault such as kill.
    #[serde(with = "units::optional_duration_text")]
    pub lasts: Option<Duration>,
    pub inject: Inject,
    /// Line of the scenario that holds it, from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At this time of the load.
    At(#[serde(with = "units::duration_text")] Duration),
    /// When another fault has reached `moment`, plus `offset`; not begun by `or_by`: inconclusive.
    After {
        fault: String,
        moment: Moment,
        #[serde(with = "units::duration_text")]
        offset: Duration,
        #[serde(with = "units::duration_text")]
        or_by: Duration,
    },
}

impl When {
    /// The latest time of the load at which the fault may begin.
    pub fn latest(&self) -> Duration {
        match self {
            Self::At(at) => *at,
            Self::After { or_by, .. } => *or_by,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    Effective,
    Undone,
    Recovered,
}

/// The faults there are; one file each in `chaos-faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Inject {
    /// Ends processes with a signal; the platform's restart policy brings them back.
    Kill {
        targets: Targets,
        signal: KillSignal,
    },
    /// Stops processes (SIGSTOP) and lets them go on (SIGCONT) when the fault's time is over.
    Pause { targets: Targets },
}

impl Inject {
    pub fn targets(&self) -> &Targets {
        match self {
            Self::Kill { targets, .. } | Self::Pause { targets } => targets,
        }
    }

    /// The word the scenario uses.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum KillSignal {
    Kill,
    Term,
    Int,
    Quit,
    Abrt,
}

/// How many instances of which service a fault hits; which ones is drawn from the seed at the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    pub service: String,
    pub how_many: HowMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HowMany {
    Count(u32),
    /// Rounded down, at least one.
    Share(Share),
}

impl HowMany {
    /// The number of instances out of `all`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a u32 fits a u32"
    )]
    pub fn of(self, all: u32) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => ((f64::from(all) * share.ratio()).floor() as u32).max(1),
        }
    }
}

/// One claim of the hypothesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub name: String,
    pub expect: Expect,
    /// Line of the scenario that holds it, from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// At most `1 - quantile` of the requests are bad or slower than the limit, for each limit.
    Latency {
        limits: Vec<LatencyLimit>,
        stages: Vec<usize>,
    },
    /// At most this share of the requests is bad.
    Errors { max: Share, stages: Vec<usize> },
    /// At least this share of the one-second windows is good: `good` of its requests answered as expected.
    Availability {
        min: Share,
        good: Share,
        stages: Vec<usize>,
    },
    /// After each fault, back in band within this time, and in band for `steady_for`.
    Recovery {
        #[serde(with = "units::duration_text")]
        within: Duration,
        #[serde(with = "units::duration_text")]
        steady_for: Duration,
    },
}

impl Expect {
    /// The word the scenario uses.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::Errors { .. } => "errors",
            Self::Availability { .. } => "availability",
            Self::Recovery { .. } => "recovery",
        }
    }

    /// Indices of the stages the claim is judged on; empty for recovery, which goes by faults.
    pub fn stages(&self) -> &[usize] {
        match self {
            Self::Latency { stages, .. }
            | Self::Errors { stages, .. }
            | Self::Availability { stages, .. } => stages,
            Self::Recovery { .. } => &[],
        }
    }
}

/// `p95 <= 200ms` is `quantile` 0.95 and `at_most` 200 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyLimit {
    /// As written: `p95`, `p99.9`.
    pub quantile: Quantile,
    #[serde(with = "units::duration_text")]
    pub at_most: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quantile {
    #[serde(rename = "p50")]
    P50,
    #[serde(rename = "p90")]
    P90,
    #[serde(rename = "p95")]
    P95,
    #[serde(rename = "p99")]
    P99,
    #[serde(rename = "p99.9")]
    P999,
}

impl Quantile {
    /// Every quantile a claim may name, ascending.
    pub const ALL: [Self; 5] = [Self::P50, Self::P90, Self::P95, Self::P99, Self::P999];

    /// The share of requests that may be over the limit, in thousandths: 50 for p95. Exact, unlike a float.
    pub fn over_per_mille(self) -> u64 {
        match self {
            Self::P50 => 500,
            Self::P90 => 100,
            Self::P95 => 50,
            Self::P99 => 10,
            Self::P999 => 1,
        }
    }

    /// The word the scenario uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }
}

/// What stops a run, and how far a fault may go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Safety {
    pub abort_if: Option<AbortIf>,
    /// Most instances of one service that may be unhealthy or under a fault at once.
    pub max_share: Share,
    /// Services that a fault may take out altogether; lifts `max_share` for them.
    pub allow_outage: Vec<String>,
}

/// Stops the run when more than `errors` of the requests were bad for this long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AbortIf {
    pub errors: Share,
    #[serde(with = "units::duration_text", rename = "for")]
    pub lasts: Duration,
}

impl Resolved {
    /// Distinct latency limits of all claims, ascending: requests over each are counted exactly.
    pub fn limits(&self) -> Vec<Duration> {
        let mut limits: Vec<Duration> = self
            .claims
            .iter()
            .flat_map(|claim| match &claim.expect {
                Expect::Latency { limits, .. } => {
                    limits.iter().map(|limit| limit.at_most).collect()
                }
                Expect::Errors { .. } | Expect::Availability { .. } | Expect::Recovery { .. } => {
                    Vec::new()
                }
            })
            .collect();
        limits.sort_unstable();
        limits.dedup();
        limits
    }

    /// How late after its intended instant a request may be dispatched before the generator counts
    /// as late: 10 ms, or 5 % of the tightest limit if that is more.
    pub fn lag_budget(&self) -> Duration {
        let tightest = self.limits().first().copied().unwrap_or_default();
        (tightest / 20).max(Duration::from_millis(10))
    }

    /// Indices of the stages that at least one claim is judged on, ascending.
    pub fn judged_stages(&self) -> Vec<usize> {
        let mut stages: Vec<usize> = self
            .claims
            .iter()
            .flat_map(|claim| claim.expect.stages().to_vec())
            .collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    pub fn fault(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.name == name)
    }
}
