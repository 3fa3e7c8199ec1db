//! Restart: every instance of a service ends in order and comes back, one after the other, as a
//! rolling restart would have it.

use std::time::Duration;

use chaos_platform::{Act, Capability, InstanceRef, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Hold];

pub const DESCRIPTION: Description = Description {
    act: "ask one instance after the other to end, and start it again; the next only when it is ready",
    undo: "nothing to undo: each is ready again before the next",
    proof: "every process is gone from the process table, and a new one runs in its place and is ready",
};

/// One restart for each target in their order, with a pause between two.
pub fn breakage(pause_between: Duration, targets: &[InstanceRef]) -> Breakage {
    let each = |make: fn(InstanceRef) -> Probe| targets.iter().cloned().map(make);
    Breakage {
        acts: targets
            .iter()
            .map(|target| Act::Restart {
                target: target.clone(),
            })
            .collect(),
        between: pause_between,
        effect: each(|target| Probe::Gone { target })
            .chain(each(|target| Probe::Back { target }))
            .collect(),
        undone: Vec::new(),
    }
}
