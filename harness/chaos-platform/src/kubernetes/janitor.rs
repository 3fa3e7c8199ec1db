//! The janitor: a Job in the namespace that takes faults back when harness and guardian are both gone.
//!
//! Scale, drift, rollout, a lost Service and a CPU limit have no time limit of their own. So before a run
//! with such a fault the harness makes a Job that watches the lease of the namespace, and acts when that
//! has stood still for long enough.
//! Invariant: what gives it its rights is owned by the Job and goes with it. It may touch the lease and the
//! objects of the plan's faults and no others, but for the making of Services, which no Role limits by name.

mod charge;
mod manifest;
mod post;
mod serve;
mod waiting;

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::Inject;
use tokio::sync::Mutex;

pub use serve::{Served, serve};

pub(super) use charge::Charge;
pub(super) use post::{remove, remove_all};

/// Begin of the name of everything that is made for it; its holder of a lease is called so too.
const NAME: &str = "chaos-janitor";
/// Most of the end of a run's name that its own name keeps: with what Kubernetes adds, 63 bytes.
const NAME_BYTES: usize = 40;
/// Annotation of the lease: what it looks after, as JSON.
const CHARGE: &str = "chaos.dev/janitor-charge";
/// Annotation of the lease: it watches, and has read all that it looks after.
const READY: &str = "chaos.dev/janitor";

/// That a run is to have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Janitor {
    /// Its image, which holds this program; `None` is the one called `chaos` among the target's own.
    pub image: Option<String>,
    /// When nodes pull it; `None` is what the target does, or else what Kubernetes does.
    pub pull_policy: Option<String>,
}

/// One that a run has planned or made.
pub(super) struct Keeper {
    pub(super) name: String,
    image: manifest::Image,
    /// What it looks after by now.
    charge: Mutex<Charge>,
    /// It ends after this time, whatever happens.
    deadline: Duration,
}

/// Whether a fault stays until somebody takes it back.
pub fn is_needed(plan: &Plan) -> bool {
    plan.faults.iter().any(|fault| stays(&fault.inject))
}

fn stays(inject: &Inject) -> bool {
    match inject {
        Inject::Scale { .. }
        | Inject::Drift { .. }
        | Inject::Rollout { .. }
        | Inject::ServiceLost { .. }
        | Inject::Cpu { .. } => true,
        Inject::Kill { .. }
        | Inject::Evict { .. }
        | Inject::Pause { .. }
        | Inject::Stop { .. }
        | Inject::Restart { .. } => false,
    }
}

/// What the janitor of a run is called. The end of a run's name is what tells it from others.
pub(super) fn name(run: &str) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let text: Vec<char> = run
        .to_ascii_lowercase()
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    let end: String = text[text.len().saturating_sub(NAME_BYTES)..]
        .iter()
        .collect();
    format!("{NAME}-{}", end.trim_matches('-'))
}

/// Whether a lease is held by one.
pub(super) fn is_name(holder: &str) -> bool {
    holder.starts_with(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_name_is_one_that_an_object_may_have() {
        assert_eq!(
            name("20261121-101500-shop-3f9a1c"),
            "chaos-janitor-20261121-101500-shop-3f9a1c"
        );
        let long = name(&format!("20261121-{}-Ab_3f9a1c", "x".repeat(80)));
        assert!(long.len() <= 54 && long.ends_with("-ab-3f9a1c"), "{long}");
        assert!(is_name(&long) && !is_name("20261121-101500-shop-3f9a1c"));
    }
}
