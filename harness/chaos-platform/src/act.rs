//! Acts: the smallest things that can be done to a target, and the questions that prove them.
//!
//! Invariant: plain data without handles, so an act can be planned, shown, recorded and compared.

use chaos_plan::plan::Rollout;
use serde::{Deserialize, Serialize};

/// One copy of a service, in one life: after a restart the incarnation is another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InstanceRef {
    pub service: String,
    pub instance: String,
    /// Counts the lives of this instance, from 1.
    pub incarnation: u32,
}

/// Something done to the target. Faults are made of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Sends a signal to the instance's own process.
    Signal { target: InstanceRef, signal: Signal },
    /// Deletes the object that the instance runs in: what owns it makes another. It is asked to end and
    /// killed after `grace_s` seconds; `None` is its own grace, 0 kills at once.
    Delete {
        target: InstanceRef,
        grace_s: Option<u32>,
    },
    /// Ends the instance in order, and does not start it again until that is undone.
    Hold { target: InstanceRef },
    /// Ends the instance in order, starts it again and waits until it is ready.
    Restart { target: InstanceRef },
    /// Asks for the instance to be moved away. A refusal for the sake of its service is no failure.
    Evict { target: InstanceRef },
    /// Limits what a running instance gets of the CPU, in thousandths of a core.
    LimitCpu {
        target: InstanceRef,
        millicores: u32,
    },
    /// Sets how many instances a service has.
    Scale { service: String, replicas: u32 },
    /// The same in the name of nobody: whoever keeps that number is not told.
    Drift { service: String, replicas: u32 },
    /// Changes the version of a service; the platform replaces its instances as it always does.
    RollOut { service: String, to: Rollout },
    /// Removes the object `name` through which others find a service.
    Lose { service: String, name: String },
}

impl Act {
    /// The life it is done to; `None` if it is done to a service as a whole.
    pub fn target(&self) -> Option<&InstanceRef> {
        match self {
            Self::Signal { target, .. }
            | Self::Delete { target, .. }
            | Self::Hold { target }
            | Self::Restart { target }
            | Self::Evict { target }
            | Self::LimitCpu { target, .. } => Some(target),
            Self::Scale { .. } | Self::Drift { .. } | Self::RollOut { .. } | Self::Lose { .. } => {
                None
            }
        }
    }

    /// The instance or service it is done to.
    pub fn on(&self) -> &str {
        match self {
            Self::Signal { target, .. }
            | Self::Delete { target, .. }
            | Self::Hold { target }
            | Self::Restart { target }
            | Self::Evict { target }
            | Self::LimitCpu { target, .. } => &target.instance,
            Self::Scale { service, .. }
            | Self::Drift { service, .. }
            | Self::RollOut { service, .. }
            | Self::Lose { service, .. } => service,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    Kill,
    Term,
    Int,
    Quit,
    Abrt,
    Stop,
}

/// What a fault asks of a platform, for the dry run; which faults a platform has is checked with the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// End an instance at once.
    Kill,
    /// Stop an instance from running without ending it.
    Freeze,
    /// End an instance in order and decide when it starts again.
    Hold,
    /// Ask for an instance to be moved away.
    Evict,
    /// Limit the CPU of a running instance.
    LimitCpu,
    /// Set how many instances a service has.
    Scale,
    /// Change the version of a service.
    RollOut,
    /// Remove the object through which a service is found.
    Lose,
}

/// A question whose answer is read from the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Has this life of the instance ended?
    Gone { target: InstanceRef },
    /// Is the instance stopped?
    Frozen { target: InstanceRef },
    /// Is the instance free to run again, or gone and so no longer frozen?
    Thawed { target: InstanceRef },
    /// Does a later life of the instance run, and is it ready?
    Back { target: InstanceRef },
    /// Has this life been moved away, or is that refused for the sake of its service?
    Evicted { target: InstanceRef },
    /// Does the instance run under this limit?
    Limited {
        target: InstanceRef,
        millicores: u32,
    },
    /// Does it run under another limit, or is it gone and so no longer limited?
    Unlimited {
        target: InstanceRef,
        millicores: u32,
    },
    /// Has a service this many instances?
    Scaled { service: String, replicas: u32 },
    /// Is a service to have this many instances?
    Wanted { service: String, replicas: u32 },
    /// Is this the version of a service, and is there an instance of it?
    RolledOut { service: String, to: Rollout },
    /// Are all instances there that a service is to have, of its present version and ready?
    Whole { service: String },
    /// Is the object gone through which a service is found?
    Lost { service: String, name: String },
    /// Is it there, and leads to an instance that is ready?
    Found { service: String, name: String },
}

/// The answer to a [`Probe`], with the evidence in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub holds: bool,
    /// For example `pid 4121 is gone`.
    pub seen: String,
}
