//! Evict: the cluster is asked to move instances away, as it is when a node is drained.

use chaos_platform::{Act, Capability, InstanceRef, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Evict];

pub const DESCRIPTION: Description = Description {
    act: "ask for the eviction of the instance's pod; a PodDisruptionBudget may refuse it",
    undo: "nothing to undo: what owns the pod makes another",
    proof: "no pod of that UID is in the API server any more, or a budget refuses its eviction",
};

/// One eviction for each target.
pub fn breakage(targets: &[InstanceRef]) -> Breakage {
    let acts = targets.iter().cloned().map(|target| Act::Evict { target });
    let effect = targets
        .iter()
        .cloned()
        .map(|target| Probe::Evicted { target });
    Breakage {
        acts: acts.collect(),
        between: std::time::Duration::ZERO,
        effect: effect.collect(),
        undone: Vec::new(),
    }
}
