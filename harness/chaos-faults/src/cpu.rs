//! CPU: instances get less of it for a while, without being started again.

use chaos_platform::{Act, Capability, InstanceRef, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::LimitCpu];

pub const DESCRIPTION: Description = Description {
    act: "set the CPU limit of the instance's container (`pods/resize`)",
    undo: "set request and limit back to what they were",
    proof: "the kubelet reports that the container runs under that limit; after the undo under another",
};

/// One limit for each target.
pub fn breakage(millicores: u32, targets: &[InstanceRef]) -> Breakage {
    let each = |make: fn(InstanceRef, u32) -> Probe| {
        let targets = targets.iter().cloned();
        targets.map(|target| make(target, millicores)).collect()
    };
    let acts = targets
        .iter()
        .cloned()
        .map(|target| Act::LimitCpu { target, millicores });
    Breakage {
        acts: acts.collect(),
        between: std::time::Duration::ZERO,
        effect: each(|target, millicores| Probe::Limited { target, millicores }),
        undone: each(|target, millicores| Probe::Unlimited { target, millicores }),
    }
}
