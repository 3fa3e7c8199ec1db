//! Why a pod does not start: image, configuration, probe, scheduling, or a program that ends.
//!
//! Invariant: pure. What may still come right by itself is given a moment; what cannot is told at once.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

use super::pod::condition;
use super::words::shortened;

/// What may be the API server's or the kubelet's own delay.
const MOMENT: Duration = Duration::from_secs(5);
/// A node may just be about to have room.
const ROOM: Duration = Duration::from_secs(15);
/// Times that a program may end before it is given up.
const ENDS: i32 = 3;

/// Something that keeps a pod from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// How long it must last before the deploy is given up.
    pub(super) patience: Duration,
    pub(super) why: String,
    /// The container whose last words are worth reading.
    pub(super) ended: Option<String>,
}

/// What keeps this pod from starting, if it is something that will not pass.
pub(super) fn of_pod(pod: &Pod) -> Option<Trouble> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if let Some((false, why)) = condition(pod, "PodScheduled") {
        return Some(Trouble {
            patience: ROOM,
            why: format!("no node takes it: {why}"),
            ended: None,
        });
    }
    let status = pod.status.as_ref()?;
    let first = status.init_container_statuses.iter().flatten();
    first
        .chain(status.container_statuses.iter().flatten())
        .find_map(of_container)
}

fn of_container(status: &ContainerStatus) -> Option<Trouble> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let trouble = |patience, why: String| {
        Some(Trouble {
            patience,
            why: shortened(&why),
            ended: None,
        })
    };
    let image = &status.image;
    match reason {
        "ErrImageNeverPull" | "InvalidImageName" => trouble(
            Duration::ZERO,
            format!("image `{image}`: {reason}: {message}"),
        ),
        "ErrImagePull" | "ImagePullBackOff" => trouble(
            MOMENT,
            format!("image `{image}` cannot be pulled: {message}"),
        ),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => trouble(
            MOMENT,
            format!("container `{}`: {reason}: {message}", status.name),
        ),
        "CrashLoopBackOff" if status.restart_count >= ENDS => {
            let last = status
                .last_state
                .as_ref()
                .and_then(|last| last.terminated.as_ref());
            let code = last.map_or(String::new(), |last| {
                format!(", last with exit code {}", last.exit_code)
            });
            Some(Trouble {
                patience: Duration::ZERO,
                why: format!(
                    "container `{}` has ended {} times{code}",
                    status.name, status.restart_count
                ),
                ended: Some(status.name.clone()),
            })
        }
        _ => None,
    }
}

/// Why a workload cannot make a pod at all: quota, limits, pod security.
pub(super) fn of_event(event: &Event) -> Option<Trouble> {
    if event.reason.as_deref() != Some("FailedCreate") {
        return None;
    }
    let object = &event.involved_object;
    let name = object.name.as_deref().unwrap_or_default();
    let kind = object
        .kind
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let message = event.message.as_deref().unwrap_or_default();
    Some(Trouble {
        patience: MOMENT,
        why: shortened(&format!("{kind}/{name} cannot make its pods: {message}")),
        ended: None,
    })
}

/// A failed probe, which is worth a word when a pod is not ready in time.
pub(super) fn of_probe(event: &Event, pod: &str) -> Option<String> {
    let is_it = event.reason.as_deref() == Some("Unhealthy")
        && event.involved_object.name.as_deref() == Some(pod);
    is_it.then(|| shortened(event.message.as_deref().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kubernetes::pod::tests::pod;

    fn waiting(reason: &str, restarts: i32) -> Option<Trouble> {
        let status = json!({ "name": "api", "image": "shop:1", "imageID": "", "ready": false, "restartCount": restarts,
            "state": { "waiting": { "reason": reason, "message": "because" } },
            "lastState": { "terminated": { "exitCode": 3 } } });
        of_pod(&pod("api-x", &[("/status/containerStatuses/0", status)]))
    }

    fn why(trouble: Option<Trouble>) -> String {
        trouble.expect("trouble").why
    }

    #[test]
    fn image_configuration_and_end_are_told_apart() {
        assert_eq!(
            why(waiting("ErrImageNeverPull", 0)),
            "image `shop:1`: ErrImageNeverPull: because"
        );
        assert_eq!(
            why(waiting("ImagePullBackOff", 0)),
            "image `shop:1` cannot be pulled: because"
        );
        assert!(why(waiting("CreateContainerConfigError", 0)).contains("because"));
        let ended = waiting("CrashLoopBackOff", ENDS).expect("trouble");
        assert_eq!(
            ended.why,
            "container `api` has ended 3 times, last with exit code 3"
        );
        assert_eq!(ended.ended.as_deref(), Some("api"));
    }

    #[test]
    fn what_passes_by_itself_is_no_trouble() {
        assert_eq!(waiting("ContainerCreating", 0), None);
        assert_eq!(waiting("CrashLoopBackOff", ENDS - 1), None);
        assert_eq!(of_pod(&pod("api-x", &[])), None);
    }

    #[test]
    fn a_pod_that_no_node_takes_says_why() {
        let conditions = json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu." }]);
        let stuck = of_pod(&pod("api-x", &[("/status/conditions", conditions)]));
        assert_eq!(
            why(stuck),
            "no node takes it: 0/2 nodes are available: 2 Insufficient cpu."
        );
    }

    fn event(reason: &str, kind: &str, message: &str) -> Event {
        let object: Value = json!({ "metadata": {}, "reason": reason, "message": message,
            "involvedObject": { "kind": kind, "name": "api-7c" } });
        serde_json::from_value(object).expect("an event")
    }

    #[test]
    fn a_quota_that_is_used_up_is_told_by_who_cannot_make_pods() {
        let quota = event("FailedCreate", "ReplicaSet", "exceeded quota: shop");
        assert_eq!(
            why(of_event(&quota)),
            "replicaset/api-7c cannot make its pods: exceeded quota: shop"
        );
        assert_eq!(of_event(&event("Unhealthy", "Pod", "503")), None);
        assert_eq!(
            of_probe(&event("Unhealthy", "Pod", "503"), "api-7c").as_deref(),
            Some("503")
        );
    }
}
