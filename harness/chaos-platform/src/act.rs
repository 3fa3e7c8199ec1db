//! Acts: the smallest things that can be done to a target, and the questions that prove them.
//!
//! Invariant: plain data without handles, so an act can be planned, shown, recorded and compared.

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
}

impl Act {
    /// The life it is done to.
    pub fn target(&self) -> &InstanceRef {
        match self {
            Self::Signal { target, .. }
            | Self::Delete { target, .. }
            | Self::Hold { target }
            | Self::Restart { target } => target,
        }
    }

    /// What a platform must be able to do for this act.
    pub fn needs(&self) -> Capability {
        match self {
            Self::Signal {
                signal: Signal::Stop,
                ..
            } => Capability::Freeze,
            Self::Signal { .. } | Self::Delete { .. } => Capability::Kill,
            Self::Hold { .. } | Self::Restart { .. } => Capability::Hold,
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

/// What a platform can do; a fault whose needs are missing is refused by `chaos plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// End an instance at once.
    Kill,
    /// Stop an instance from running without ending it.
    Freeze,
    /// End an instance in order and decide when it starts again.
    Hold,
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
}

/// The answer to a [`Probe`], with the evidence in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub holds: bool,
    /// For example `pid 4121 is gone`.
    pub seen: String,
}
