//! Pause: stops instances without ending them: open connections stay open and nobody answers.

use chaos_platform::{Act, Capability, InstanceRef, Probe, Signal};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Freeze];

pub const DESCRIPTION: Description = Description {
    act: "stop the instance's processes (SIGSTOP)",
    undo: "let them go on (SIGCONT)",
    proof: "the process table shows them stopped, and running again after the undo",
};

/// One stop for each target; proven by the state in the process table.
pub fn breakage(targets: &[InstanceRef]) -> Breakage {
    let each = |make: fn(InstanceRef) -> Probe| targets.iter().cloned().map(make).collect();
    Breakage {
        acts: targets
            .iter()
            .map(|target| Act::Signal {
                target: target.clone(),
                signal: Signal::Stop,
            })
            .collect(),
        between: std::time::Duration::ZERO,
        effect: each(|target| Probe::Frozen { target }),
        undone: each(|target| Probe::Thawed { target }),
    }
}
