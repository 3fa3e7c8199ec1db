//! What one Pod object says of the container that is meant.
//!
//! Invariant: pure; reads nothing but the object.

use chaos_plan::plan::Pods;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStateTerminated, Pod};

use super::trouble;
use super::words::shortened;

/// A pod as it is by one version of its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) uid: String,
    /// Times that the container was started again.
    pub(super) restarts: i32,
    /// The container runs.
    pub(super) running: bool,
    pub(super) ready: bool,
    /// Its object is marked for deletion, or all of it has ended for good.
    pub(super) leaving: bool,
    /// It is being deleted without grace: nothing is to be seen of it but its end.
    pub(super) at_once: bool,
    /// Why it is not ready, or about to go.
    pub(super) why: String,
    /// Why it cannot start, if it is something that will hardly pass by itself.
    pub(super) stuck: Option<String>,
    /// How the container ended last, if it did.
    pub(super) ended: Option<String>,
    pub(super) node: Option<String>,
    /// Address at which it answers, `host:port`.
    pub(super) address: Option<String>,
    /// Address of its node.
    pub(super) host: Option<String>,
}

impl Seen {
    /// `None` for an object without a name or UID, which no API server hands out.
    pub(super) fn of(pod: &Pod, meant: &Pods) -> Option<Self> {
        let spec = pod.spec.as_ref();
        let containers = spec.map_or(&[][..], |spec| &spec.containers);
        let container = containers.iter().find(|container| {
            meant
                .container
                .as_ref()
                .is_none_or(|name| container.name == *name)
        });
        let status = pod.status.as_ref();
        let states = status.and_then(|status| status.container_statuses.as_deref());
        let state = states
            .unwrap_or_default()
            .iter()
            .find(|state| container.is_some_and(|container| container.name == state.name));
        let now = state.and_then(|state| state.state.as_ref());
        let last = state.and_then(|state| state.last_state.as_ref());
        let phase = status.and_then(|status| status.phase.as_deref());
        let is_over = matches!(phase, Some("Succeeded" | "Failed"));
        let deleted = pod.metadata.deletion_timestamp.is_some();
        Some(Self {
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
            restarts: state.map_or(0, |state| state.restart_count),
            running: now.is_some_and(|now| now.running.is_some()),
            ready: !deleted && !is_over && condition(pod, "Ready").is_some_and(|(holds, _)| holds),
            leaving: deleted || is_over,
            at_once: deleted && pod.metadata.deletion_grace_period_seconds == Some(0),
            why: why_not(pod, now, deleted),
            stuck: trouble::of_pod(pod).map(|trouble| trouble.why),
            ended: [now, last]
                .into_iter()
                .flatten()
                .find_map(|state| state.terminated.as_ref())
                .map(how_it_ended),
            node: spec.and_then(|spec| spec.node_name.clone()),
            address: status
                .and_then(|status| status.pod_ip.clone())
                .zip(container.and_then(|container| port(container, meant)))
                .map(|(ip, port)| join(&ip, port)),
            host: status.and_then(|status| status.host_ip.clone()),
        })
    }

    /// Pod and node, as a person would name them.
    pub(super) fn place(&self) -> String {
        match &self.node {
            Some(node) => format!("{} on {node}", self.name),
            None => self.name.clone(),
        }
    }
}

/// An address of an IP, which for version 6 stands in brackets.
pub(super) fn join(ip: &str, port: u16) -> String {
    if ip.contains(':') {
        format!("[{ip}]:{port}")
    } else {
        format!("{ip}:{port}")
    }
}

fn port(container: &Container, meant: &Pods) -> Option<u16> {
    let declared = container.ports.as_deref().unwrap_or_default().first();
    meant
        .port
        .or_else(|| u16::try_from(declared?.container_port).ok())
}

/// Whether a condition holds, and in words what it says.
pub(super) fn condition(pod: &Pod, kind: &str) -> Option<(bool, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    let words = found.message.as_ref().or(found.reason.as_ref());
    Some((
        found.status == "True",
        shortened(words.map_or("", String::as_str)),
    ))
}

fn why_not(pod: &Pod, now: Option<&ContainerState>, deleted: bool) -> String {
    if deleted {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        return format!("its pod is being deleted, with {grace} s of grace");
    }
    if let Some(waiting) = now.and_then(|now| now.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        return match &waiting.message {
            Some(message) => shortened(&format!("{reason}: {message}")),
            None => reason.to_owned(),
        };
    }
    if let Some(ended) = now.and_then(|now| now.terminated.as_ref()) {
        return how_it_ended(ended);
    }
    match condition(pod, "Ready") {
        Some((false, why)) if !why.is_empty() => why,
        _ => "its readiness probe fails".to_owned(),
    }
}

fn how_it_ended(ended: &ContainerStateTerminated) -> String {
    let code = ended.exit_code;
    match (ended.signal, ended.reason.as_deref()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some("Completed" | "Error") | None) => format!("exit code {code}"),
        (None, Some(reason)) => format!("{reason}, exit code {code}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chaos_plan::plan::Find;
    use serde_json::{Value, json};

    use super::*;

    pub(in crate::kubernetes) fn meant() -> Pods {
        Pods {
            find: Find::Labels(std::iter::once(("app".to_owned(), "api".to_owned())).collect()),
            container: None,
            port: None,
        }
    }

    /// A pod of `app: api` that runs and is ready, with `changes` to its JSON.
    pub(in crate::kubernetes) fn pod(name: &str, changes: &[(&str, Value)]) -> Pod {
        let mut object = json!({
            "metadata": { "name": name, "uid": format!("uid-{name}"), "labels": { "app": "api" },
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-1", "uid": "r", "controller": true }] },
            "spec": { "nodeName": "node1", "containers": [{ "name": "api", "ports": [{ "containerPort": 8080 }] }] },
            "status": { "phase": "Running", "podIP": "10.0.0.7", "hostIP": "10.250.0.1",
                "conditions": [{ "type": "Ready", "status": "True" }],
                "containerStatuses": [{ "name": "api", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                    "state": { "running": {} } }] },
        });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            let parent = object.pointer_mut(parent).expect("it is there");
            match parent {
                Value::Object(entries) => drop(entries.insert(key.to_owned(), value.clone())),
                Value::Array(items) => {
                    items[key.parse::<usize>().expect("a number")] = value.clone();
                }
                other => panic!("{other} holds nothing"),
            }
        }
        serde_json::from_value(object).expect("a pod")
    }

    fn seen(changes: &[(&str, Value)]) -> Seen {
        Seen::of(&pod("api-x", changes), &meant()).expect("a name and a UID")
    }

    const STATE: &str = "/status/containerStatuses/0/state";

    #[test]
    fn a_pod_that_runs_is_ready_at_its_first_port() {
        let pod = seen(&[]);
        assert!(pod.ready && pod.running && !pod.leaving);
        assert_eq!(pod.address.as_deref(), Some("10.0.0.7:8080"));
        assert_eq!(pod.place(), "api-x on node1");
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_never_ready() {
        let pod = seen(&[
            ("/metadata/deletionTimestamp", json!("2026-11-21T10:00:00Z")),
            ("/metadata/deletionGracePeriodSeconds", json!(30)),
        ]);
        assert!(pod.leaving && !pod.ready);
        assert_eq!(pod.why, "its pod is being deleted, with 30 s of grace");
        assert!(seen(&[("/status/phase", json!("Failed"))]).leaving);
    }

    #[test]
    fn why_a_container_does_not_run_is_said() {
        let unready = (
            "/status/conditions",
            json!([{ "type": "Ready", "status": "False", "reason": "ContainersNotReady" }]),
        );
        let why = |state: Value| seen(&[unready.clone(), (STATE, state)]).why;
        assert_eq!(
            why(json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } })),
            "ImagePullBackOff: no such image"
        );
        let ended = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        assert_eq!(why(ended), "OOMKilled, exit code 137");
        assert_eq!(why(json!({ "running": {} })), "ContainersNotReady");
    }

    #[test]
    fn a_port_and_an_address_of_version_6_are_joined_as_written() {
        let pod = pod("api-x", &[("/status/podIP", json!("fd00::7"))]);
        let meant = Pods {
            port: Some(9_000),
            ..meant()
        };
        let seen = Seen::of(&pod, &meant).expect("a pod");
        assert_eq!(seen.address.as_deref(), Some("[fd00::7]:9000"));
    }
}
