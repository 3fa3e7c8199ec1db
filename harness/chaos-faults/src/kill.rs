//! Kill: ends instances with a signal; the platform's restart policy brings them back.

use chaos_plan::plan::KillSignal;
use chaos_platform::{Act, Capability, InstanceRef, Probe, Signal};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Kill];

pub const DESCRIPTION: Description = Description {
    act: "send the signal to the instance's process",
    undo: "nothing to undo: the restart policy brings it back",
    proof: "the process is gone from the process table",
};

/// One signal for each target; proven when that life of the instance has ended.
pub fn breakage(signal: KillSignal, targets: &[InstanceRef]) -> Breakage {
    let signal = match signal {
        KillSignal::Kill => Signal::Kill,
        KillSignal::Term => Signal::Term,
        KillSignal::Int => Signal::Int,
        KillSignal::Quit => Signal::Quit,
        KillSignal::Abrt => Signal::Abrt,
    };
    Breakage {
        acts: targets
            .iter()
            .map(|target| Act::Signal {
                target: target.clone(),
                signal,
            })
            .collect(),
        between: std::time::Duration::ZERO,
        effect: targets
            .iter()
            .map(|target| Probe::Gone {
                target: target.clone(),
            })
            .collect(),
        undone: Vec::new(),
    }
}
