//! Faults: what is broken on purpose, when, and how far.
//!
//! Invariant: times are those of the load; which instances are hit is drawn in the run.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{self, Share};

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
    /// When the facilitator says so; not begun by `or_by`: inconclusive.
    Key {
        #[serde(with = "units::duration_text")]
        or_by: Duration,
    },
}

impl When {
    /// The latest time of the load at which the fault may begin.
    pub fn latest(&self) -> Duration {
        match self {
            Self::At(at) => *at,
            Self::After { or_by, .. } | Self::Key { or_by } => *or_by,
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
    /// Ends instances in order, keeps them away and starts them again when the fault's time is over.
    Stop { targets: Targets },
    /// Ends every instance in order and starts it again, one after the other; the number of its targets
    /// is how many are away at a time.
    Restart {
        targets: Targets,
        /// From one being ready to the next being asked to end.
        #[serde(with = "units::duration_text")]
        pause_between: Duration,
    },
    /// Sets how many instances a service has, and back when the fault's time is over; the number of its
    /// targets is how many that takes away.
    Scale { targets: Targets, replicas: u32 },
    /// The same, done as somebody would whom nobody asked: what else keeps that number may put it back.
    Drift { targets: Targets, replicas: u32 },
    /// Asks the cluster to move instances away, which a budget of theirs may refuse.
    Evict { targets: Targets },
    /// Gives a service another version, its instances one after the other, and the old one back when the
    /// fault's time is over.
    Rollout { targets: Targets, to: Rollout },
    /// Removes the object through which others find a service, and makes it again as it was.
    ServiceLost {
        targets: Targets,
        /// Name of the object.
        name: String,
    },
    /// Limits what instances get of the CPU.
    Cpu {
        targets: Targets,
        /// Thousandths of a core.
        millicores: u32,
    },
}

/// What a version differs in; nothing is the same version in new instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Variables that are set, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl Inject {
    pub fn targets(&self) -> &Targets {
        match self {
            Self::Kill { targets, .. }
            | Self::Pause { targets }
            | Self::Stop { targets }
            | Self::Restart { targets, .. }
            | Self::Scale { targets, .. }
            | Self::Drift { targets, .. }
            | Self::Evict { targets }
            | Self::Rollout { targets, .. }
            | Self::ServiceLost { targets, .. }
            | Self::Cpu { targets, .. } => targets,
        }
    }

    /// How many of `all` instances it may take away at a time.
    pub fn takes(&self, all: u32) -> u32 {
        match self {
            Self::Scale { replicas, .. } | Self::Drift { replicas, .. } => {
                all.saturating_sub(*replicas)
            }
            _ => self.targets().how_many.of(all),
        }
    }

    /// Whether it is done to a service as a whole, not to instances that are drawn.
    pub fn is_of_service(&self) -> bool {
        matches!(
            self,
            Self::Scale { .. }
                | Self::Drift { .. }
                | Self::Rollout { .. }
                | Self::ServiceLost { .. }
        )
    }

    /// Whether only the API of a cluster can do it.
    pub fn is_of_cluster(&self) -> bool {
        self.is_of_service() || matches!(self, Self::Evict { .. } | Self::Cpu { .. })
    }

    /// The word the scenario uses.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { .. } => "pause",
            Self::Stop { .. } => "stop",
            Self::Restart { .. } => "restart",
            Self::Scale { .. } => "scale",
            Self::Drift { .. } => "drift",
            Self::Evict { .. } => "evict",
            Self::Rollout { .. } => "rollout",
            Self::ServiceLost { .. } => "service_lost",
            Self::Cpu { .. } => "cpu",
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
