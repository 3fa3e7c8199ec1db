//! Rollout: a service gets another version, good or bad, and then the one it had.

use chaos_plan::plan::Rollout;
use chaos_platform::{Act, Capability, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::RollOut];

pub const DESCRIPTION: Description = Description {
    act: "change the template of the service's Deployment, which replaces its pods as it always does",
    undo: "give the template back what was changed of it, which replaces them again",
    proof: "a pod of the new version is made; after the undo all are of the former one and ready",
};

/// One act for the whole service.
pub fn breakage(service: &str, to: &Rollout) -> Breakage {
    let service = || service.to_owned();
    Breakage {
        acts: vec![Act::RollOut {
            service: service(),
            to: to.clone(),
        }],
        between: std::time::Duration::ZERO,
        effect: vec![Probe::RolledOut {
            service: service(),
            to: to.clone(),
        }],
        undone: vec![Probe::Whole { service: service() }],
    }
}
