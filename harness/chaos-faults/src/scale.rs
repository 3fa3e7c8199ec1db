//! Scale: a service has another number of instances for a while, down to none.

use chaos_platform::{Act, Capability, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Scale];

pub const DESCRIPTION: Description = Description {
    act: "set the replicas of the service's workload",
    undo: "set them back to what they were, and no lower than the minimum of its autoscaler",
    proof: "as many pods stay in the API server; after the undo all are ready",
};

/// One act for the whole service.
pub fn breakage(service: &str, replicas: u32) -> Breakage {
    let service = || service.to_owned();
    Breakage {
        acts: vec![Act::Scale {
            service: service(),
            replicas,
        }],
        between: std::time::Duration::ZERO,
        effect: vec![Probe::Scaled {
            service: service(),
            replicas,
        }],
        undone: vec![Probe::Whole { service: service() }],
    }
}
