//! How long a cluster may take to follow what was done to it.
//!
//! Invariant: the grace of a pod is its own and read from it; only where it cannot be read is the longest
//! one taken. Only reads.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::KubernetesPlatform;
use crate::act::{Act, InstanceRef};
use crate::platform::Pace;

/// What the controllers of a cluster may take to follow a change.
const CONTROLLERS: Duration = Duration::from_secs(30);
/// What a kubelet may take to report that a pod has ended, beyond its grace.
const REPORTED: Duration = Duration::from_secs(15);
/// Taken where nobody can say what the grace of a pod is.
const LONGEST_GRACE: Duration = Duration::from_secs(90);
/// Grace of a pod that names none.
const GRACE_S: i64 = 30;

impl KubernetesPlatform {
    pub(super) async fn pace_of(&self, act: &Act) -> Pace {
        let once = |shows| Pace {
            shows,
            ..Pace::default()
        };
        match act {
            // Without grace its object goes with the request.
            Act::Delete {
                grace_s: Some(0), ..
            }
            | Act::Signal { .. }
            | Act::Hold { .. }
            | Act::Restart { .. } => Pace::default(),
            Act::Delete {
                grace_s: Some(grace_s),
                ..
            } => once(Duration::from_secs(u64::from(*grace_s)) + REPORTED),
            Act::Delete { target, .. } | Act::Evict { target } => {
                once(self.grace_of(target).await + REPORTED)
            }
            Act::LimitCpu { .. } | Act::Lose { .. } => Pace {
                shows: CONTROLLERS,
                comes_back: CONTROLLERS,
            },
            Act::Scale { service, .. }
            | Act::Drift { service, .. }
            | Act::RollOut { service, .. } => Pace {
                shows: CONTROLLERS,
                comes_back: CONTROLLERS + self.renewal_of(service).await,
            },
        }
    }

    async fn grace_of(&self, target: &InstanceRef) -> Duration {
        let pod = self.living(target).await;
        pod.map_or(LONGEST_GRACE, |(_, pod)| grace(&pod))
    }

    /// All pods of a service may be replaced, one after the other, the last with its whole grace.
    async fn renewal_of(&self, service: &str) -> Duration {
        let ready = self
            .description
            .service(service)
            .map_or(Duration::ZERO, |service| {
                service.ready.within * service.replicas
            });
        let pods = self.all_pods().await.ok();
        let of_it = pods.iter().flatten().filter(|pod| {
            let meant = self.shared.meant(pod);
            meant.is_some_and(|(of, _)| of == service)
        });
        ready + of_it.map(grace).max().unwrap_or(LONGEST_GRACE) + REPORTED
    }
}

fn grace(pod: &Pod) -> Duration {
    let spec = pod.spec.as_ref();
    let grace_s = spec.and_then(|spec| spec.termination_grace_period_seconds);
    Duration::from_secs(u64::try_from(grace_s.unwrap_or(GRACE_S)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::pod::tests::pod;
    use super::*;

    #[test]
    fn the_grace_of_a_pod_is_its_own() {
        let own = pod("a", &[("/spec/terminationGracePeriodSeconds", json!(45))]);
        assert_eq!(grace(&own), Duration::from_secs(45));
        assert_eq!(grace(&pod("a", &[])), Duration::from_secs(30));
    }
}
