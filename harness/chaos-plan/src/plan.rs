//! The plan: a scenario that has been checked, with every default filled in and every time resolved.
//!
//! Invariant: a [`Plan`] comes from [`crate::check::check`], or back out of a record that was
//! written from one. Its content can be read by everyone and changed by no one, but that a
//! search adds the stages it decided on, and that a load may end with a number of journeys.

mod claim;
mod fault;
mod load;
mod search;
mod target;

use std::ops::Deref;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{self, Share};

pub use claim::{Claim, Expect, LatencyLimit, Part, Quantile, Rule, Scope};
pub use fault::{Fault, HowMany, Inject, KillSignal, Moment, Rollout, Targets, When};
pub use load::{
    Acknowledges, Arrivals, Check, Extract, Journey, Level, Load, Method, Model, Must, Row, Stage,
    StatusRange, Step,
};
pub use search::{Role, Search, Segment};
pub use target::{
    Audit, AuditSource, Cluster, Description, Door, Find, Holding, HttpVersion, Limits, Pods,
    RANDOM, Ready, Restart, RestartPolicy, Running, Service, StopSignal, Target, Workload,
    WorkloadKind, is_object_name,
};

/// A proven scenario; dereferences to its [`Resolved`] content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan(Resolved);

impl Plan {
    /// Only `check` may call this: it vouches for the content.
    pub(crate) fn proven(content: Resolved) -> Self {
        Self(content)
    }

    /// Adds what a search decided on while the run went on: the last stage ends where the segment
    /// begins, and the segment follows as a stage of its own.
    ///
    /// # Errors
    /// The plan has no search, or the segment begins before the last stage does: nothing changed.
    pub fn unroll(&mut self, segment: &Segment) -> Result<(), NotInSearch> {
        let load = &mut self.0.load;
        let (Some(search), Some(last)) = (&load.search, load.stages.last_mut()) else {
            return Err(NotInSearch);
        };
        let length = Duration::from_nanos(segment.from)
            .checked_sub(last.start)
            .ok_or(NotInSearch)?;
        last.length = last.length.min(length);
        load.stages.extend(segment.stage(&search.name));
        Ok(())
    }

    /// The plan before anything was unrolled, which had so many stages.
    #[must_use]
    pub fn rolled_up(&self, stages: usize) -> Self {
        let mut plan = self.clone();
        plan.0.load.stages.truncate(stages);
        plan
    }

    /// Ends the last stage when so many journeys have begun in it. Nothing changes for a load that is
    /// not of users without a cycle: there a number and a rate make a length.
    pub fn end_after(&mut self, journeys: u64) {
        if !self.0.load.model.is_paced() {
            self.0.load.journeys_max = Some(journeys);
        }
    }

    /// Notes that the last stage, which ends with a number of journeys, was over at `at` of the load.
    pub fn ended(&mut self, at: Duration) {
        let load = &mut self.0.load;
        if let (Some(_), Some(last)) = (load.journeys_max, load.stages.last_mut()) {
            last.length = last.length.min(at.saturating_sub(last.start));
        }
    }
}

/// A segment that no search of the plan can have decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInSearch;

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
            .flat_map(|claim| claim.expect.latency_limits())
            .map(|limit| limit.at_most)
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

    /// The claims that decide whether a rate holds in a search: those on latency and on errors. What
    /// other claims are about shows only over longer stretches, or after a fault.
    pub fn deciding(&self) -> impl Iterator<Item = &Claim> {
        self.claims
            .iter()
            .filter(|claim| matches!(claim.expect, Expect::Latency { .. } | Expect::Errors { .. }))
    }

    pub fn fault(&self, name: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.name == name)
    }
}
