//! Service lost: the object through which others find a service is gone for a while.

use chaos_platform::{Act, Capability, Probe};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Lose];

pub const DESCRIPTION: Description = Description {
    act: "delete the Service by its UID",
    undo: "make it again with the same addresses and ports",
    proof: "it is gone from the API server; after the undo it leads to a ready pod",
};

/// One act for the whole service.
pub fn breakage(service: &str, name: &str) -> Breakage {
    let both = || (service.to_owned(), name.to_owned());
    let (service, name) = both();
    let acts = vec![Act::Lose { service, name }];
    let (service, name) = both();
    let effect = vec![Probe::Lost { service, name }];
    let (service, name) = both();
    Breakage {
        acts,
        between: std::time::Duration::ZERO,
        effect,
        undone: vec![Probe::Found { service, name }],
    }
}
