//! Drift: the replicas of a service are changed behind the back of whoever keeps them, as a hand in the
//! cluster would: what keeps them may put them back before the fault is over.

use chaos_platform::{Act, Capability, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Scale];

pub const DESCRIPTION: Description = Description {
    act: "patch the replicas of the service's workload in nobody's name",
    undo: "set them back if nobody has, and say so if somebody had",
    proof: "the workload is to have that many pods; after the undo all are ready",
};

/// One act for the whole service; proven by what is wanted, since somebody may undo it before pods follow.
pub fn breakage(service: &str, replicas: u32) -> Breakage {
    let service = || service.to_owned();
    Breakage {
        acts: vec![Act::Drift {
            service: service(),
            replicas,
        }],
        between: std::time::Duration::ZERO,
        effect: vec![Probe::Wanted {
            service: service(),
            replicas,
        }],
        undone: vec![Probe::Whole { service: service() }],
    }
}
