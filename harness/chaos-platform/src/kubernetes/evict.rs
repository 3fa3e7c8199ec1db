//! Evict: the cluster is asked to move a pod away, as it is when a node is drained.
//!
//! Invariant: that a `PodDisruptionBudget` refuses it is a result, read again from the API server when
//! the effect is proven, and only where it was asked for: a budget would refuse what nobody asked as well.
//! Any other refusal is an error. Only the pod of the UID that is meant is evicted.

use std::sync::PoisonError;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use kube::core::Status;
use serde_json::{Value, json};

use super::slots::Life;
use super::{KubernetesPlatform, Shared, words};
use crate::act::{InstanceRef, Reading};
use crate::clock::monotonic_ns;
use crate::platform::PlatformError;

/// What the API server says of an eviction.
enum Said {
    Taken,
    /// A budget does not allow it, in the API server's words.
    Refused(String),
}

impl KubernetesPlatform {
    pub(super) async fn evict(&self, target: &InstanceRef) -> Result<u64, PlatformError> {
        let (life, _) = self.living(target).await?;
        let at_ns = monotonic_ns();
        match self.ask_to_evict(&life, false).await? {
            Said::Taken => {}
            Said::Refused(why) => {
                tracing::info!(pod = life.pod, why, "an eviction is refused");
                let refused = self.shared.refused.lock();
                let mut refused = refused.unwrap_or_else(PoisonError::into_inner);
                refused.insert(life.uid);
            }
        }
        Ok(at_ns)
    }

    async fn ask_to_evict(&self, life: &Life, dry: bool) -> Result<Said, PlatformError> {
        let Shared { once, place, .. } = &*self.shared;
        let api: Api<Pod> = Api::namespaced(once.clone(), &place.namespace);
        // Not `Api::evict`: what it sends has no UID that the API server would read.
        let mut options = json!({ "preconditions": { "uid": life.uid } });
        if dry {
            options["dryRun"] = json!(["All"]);
        }
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": { "name": life.pod, "namespace": place.namespace }, "deleteOptions": options });
        let parameters = PostParams {
            dry_run: dry,
            ..PostParams::default()
        };
        let asking = async {
            let asked = api.create_subresource::<Value, Status>(
                "eviction",
                &life.pod,
                &parameters,
                &eviction,
            );
            match asked.await {
                Ok(_) => Ok(Said::Taken),
                Err(kube::Error::Api(status)) if is_of_budget(&status) => {
                    Ok(Said::Refused(words::shortened(&refusal(&status))))
                }
                Err(error) => Err(error),
            }
        };
        place
            .answer(&format!("evict pod {}", life.pod), asking)
            .await
    }

    pub(super) async fn is_evicted(&self, target: &InstanceRef) -> Result<Reading, PlatformError> {
        let life = self.life(target)?;
        let gone = self.is_gone(target).await?;
        let pod = self.find(&life).await?;
        let stays = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none());
        if gone.holds || !stays {
            return Ok(gone);
        }
        let refused = self.shared.refused.lock();
        let was_asked = refused
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&life.uid);
        Ok(match self.ask_to_evict(&life, true).await? {
            Said::Taken => Reading {
                holds: false,
                seen: format!(
                    "pod {} is there, and nothing refuses its eviction",
                    life.pod
                ),
            },
            Said::Refused(_) if !was_asked => Reading {
                holds: false,
                seen: format!("pod {} is there, and no eviction was refused", life.pod),
            },
            Said::Refused(why) => Reading {
                holds: true,
                seen: format!(
                    "the eviction of pod {} is refused, and it stays: {why}",
                    life.pod
                ),
            },
        })
    }
}

/// Too many requests (429) is also what an API server under load says.
fn is_of_budget(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 429 && causes.any(|cause| cause.reason == "DisruptionBudget")
}

fn refusal(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<&str> = causes.map(|cause| cause.message.as_str()).collect();
    format!("{} {}", status.message, causes.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> Status {
        let status = json!({ "code": code, "message": "Cannot evict pod.",
            "details": { "causes": [{ "reason": reason, "message": "The budget api needs 2." }] } });
        serde_json::from_value(status).expect("a status")
    }

    #[test]
    fn only_a_budget_refuses_for_the_sake_of_a_service() {
        let refused = status(429, "DisruptionBudget");
        assert!(is_of_budget(&refused));
        assert_eq!(
            refusal(&refused),
            "Cannot evict pod. The budget api needs 2."
        );
        assert!(!is_of_budget(&status(429, "")), "the API server is busy");
        assert!(!is_of_budget(&status(500, "DisruptionBudget")));
    }
}
