//! Stop: ends instances in order and keeps them away, as `docker stop` or `systemctl stop` would.

use chaos_platform::{Act, Capability, InstanceRef, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Hold];

pub const DESCRIPTION: Description = Description {
    act: "ask the instance to end, kill it after its stop time, and do not start it again",
    undo: "start it again",
    proof: "the process is gone from the process table; after the undo a new one runs and is ready",
};

/// One hold for each target; proven when that life has ended, taken back when a later one is ready.
pub fn breakage(targets: &[InstanceRef]) -> Breakage {
    let each = |make: fn(InstanceRef) -> Probe| targets.iter().cloned().map(make).collect();
    Breakage {
        acts: targets
            .iter()
            .map(|target| Act::Hold {
                target: target.clone(),
            })
            .collect(),
        between: std::time::Duration::ZERO,
        effect: each(|target| Probe::Gone { target }),
        undone: each(|target| Probe::Back { target }),
    }
}
