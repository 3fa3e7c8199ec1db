//! Kill: ends instances with a signal; the platform's restart policy brings them back. A pod is not
//! signalled from outside: it is deleted, and what owns it makes another.

use chaos_plan::plan::{KillSignal, PlatformName};
use chaos_platform::{Act, Capability, InstanceRef, Probe, Signal};

use crate::fault::{Breakage, Description};

pub const NEEDS: &[Capability] = &[Capability::Kill];

pub const DESCRIPTION: Description = Description {
    act: "send the signal to the instance's process",
    undo: "nothing to undo: the restart policy brings it back",
    proof: "the process is gone from the process table",
};

pub const OF_A_POD: Description = Description {
    act: "delete the instance's pod by its UID, without grace (KILL) or with its own (TERM)",
    undo: "nothing to undo: what owns the pod makes another",
    proof: "no pod of that UID is in the API server any more",
};

/// One act for each target; proven when that life of the instance has ended.
pub fn breakage(signal: KillSignal, platform: PlatformName, targets: &[InstanceRef]) -> Breakage {
    let act = |target: &InstanceRef| match platform {
        PlatformName::Kubernetes => Act::Delete {
            target: target.clone(),
            // Only KILL and TERM are planned for a pod.
            grace_s: (signal == KillSignal::Kill).then_some(0),
        },
        PlatformName::Local | PlatformName::Compose => Act::Signal {
            target: target.clone(),
            signal: of_process(signal),
        },
    };
    Breakage {
        acts: targets.iter().map(act).collect(),
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

fn of_process(signal: KillSignal) -> Signal {
    match signal {
        KillSignal::Kill => Signal::Kill,
        KillSignal::Term => Signal::Term,
        KillSignal::Int => Signal::Int,
        KillSignal::Quit => Signal::Quit,
        KillSignal::Abrt => Signal::Abrt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act(signal: KillSignal, platform: PlatformName) -> Act {
        let target = InstanceRef {
            service: "api".to_owned(),
            instance: "api-1".to_owned(),
            incarnation: 1,
        };
        breakage(signal, platform, &[target]).acts.remove(0)
    }

    #[test]
    fn a_process_is_signalled_and_a_pod_is_deleted() {
        let signalled = act(KillSignal::Kill, PlatformName::Local);
        assert!(
            matches!(
                signalled,
                Act::Signal {
                    signal: Signal::Kill,
                    ..
                }
            ),
            "{signalled:?}"
        );
        let at_once = act(KillSignal::Kill, PlatformName::Kubernetes);
        assert!(
            matches!(
                at_once,
                Act::Delete {
                    grace_s: Some(0),
                    ..
                }
            ),
            "{at_once:?}"
        );
        let asked = act(KillSignal::Term, PlatformName::Kubernetes);
        assert!(
            matches!(asked, Act::Delete { grace_s: None, .. }),
            "{asked:?}"
        );
    }
}
