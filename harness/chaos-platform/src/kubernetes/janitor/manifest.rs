//! The objects of a janitor: the Job, and what gives its pod the rights it has.
//!
//! Invariant: pure. The pod keeps the pod security standard `restricted`; everything but the Job is owned
//! by the Job; the Job begins suspended, so that no pod of it runs before it has its rights.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Charge, Janitor};
use crate::kubernetes::manifests::{RUN, text, without_tag};
use crate::platform::PlatformError;

/// The repository by whose last word an image is known to hold this program.
const OURS: &str = "chaos";
/// Nobody in particular, as in the image's own manifests.
const USER: u32 = 65_532;
/// Pods of it that may fail before it is given up.
const FAILS: u32 = 6;
/// Grace of its pod, which ends at once; seconds.
const GRACE_S: u32 = 5;
/// Seconds after which a pod on a node that is away is made on another one.
const NODE_AWAY_S: u32 = 10;

/// An image and when it is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) reference: String,
    pub(super) pull_policy: Option<String>,
}

impl Image {
    /// The one that is asked for, otherwise that of the first of `containers` which is ours.
    pub(super) fn choose<'a>(
        asked: &Janitor,
        containers: impl IntoIterator<Item = &'a Value>,
    ) -> Result<Self, PlatformError> {
        if let Some(reference) = &asked.image {
            return Ok(Self {
                reference: reference.clone(),
                pull_policy: asked.pull_policy.clone(),
            });
        }
        let is_ours = |container: &&Value| {
            let name = without_tag(text(container, "/image"));
            name.rsplit('/').next() == Some(OURS)
        };
        let mut containers = containers.into_iter();
        let found = containers.find(is_ours).ok_or_else(none)?;
        let policy = found.get("imagePullPolicy").and_then(Value::as_str);
        Ok(Self {
            reference: text(found, "/image").to_owned(),
            pull_policy: asked.pull_policy.clone().or(policy.map(str::to_owned)),
        })
    }
}

fn none() -> PlatformError {
    PlatformError::Cluster {
        act: "plan the janitor, which takes faults back if this machine dies".to_owned(),
        why: format!(
            "no image of the target is called `{OURS}`; name one that holds this program with `--janitor-image IMAGE`, or do without: `--no-janitor`"
        ),
    }
}

/// Containers of a workload or of its manifest.
pub(super) fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    let list = workload.pointer("/spec/template/spec/containers");
    list.and_then(Value::as_array).into_iter().flatten()
}

/// The Job. It is given up after `deadline`; whatever it was, it goes as soon as it has ended.
pub(super) fn job(name: &str, run: &str, image: &Image, deadline: Duration) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "labels": labels(run) },
        "spec": {
            "suspend": true, "completions": 1, "parallelism": 1,
            "backoffLimit": FAILS, "ttlSecondsAfterFinished": 0, "activeDeadlineSeconds": deadline.as_secs(),
            // A pod that is moved away has not failed.
            "podFailurePolicy": { "rules": [{ "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] }] },
            "template": { "metadata": { "labels": labels(run) }, "spec": pod(name, run, image) },
        },
    })
}

fn pod(name: &str, run: &str, image: &Image) -> Value {
    let away = |why: &str| json!({ "key": format!("node.kubernetes.io/{why}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NODE_AWAY_S });
    let mut container = json!({
        "name": "janitor", "image": image.reference, "args": ["janitor", run],
        "resources": { "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "cpu": "250m", "memory": "128Mi" } },
        "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } },
    });
    if let Some(policy) = &image.pull_policy {
        container["imagePullPolicy"] = json!(policy);
    }
    json!({
        "restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE_S,
        "serviceAccountName": name, "automountServiceAccountToken": true, "enableServiceLinks": false,
        "securityContext": { "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "seccompProfile": { "type": "RuntimeDefault" } },
        "tolerations": [away("not-ready"), away("unreachable")],
        "containers": [container],
    })
}

/// By the first it is known to policies, by the second to whoever looks for what a run made.
fn labels(run: &str) -> Value {
    json!({ "app.kubernetes.io/name": super::NAME, RUN: run })
}

/// What gives it its rights, to be made in this order; `uid` is that of the Job.
pub(super) fn rights(name: &str, run: &str, uid: &str, charge: &Charge) -> [Value; 3] {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let metadata = json!({
        "name": name, "labels": labels(run),
        // Nobody's deletion waits for it: to say that would need one more right.
        "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid }],
    });
    let version = format!("{RBAC}/v1");
    [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false }),
        json!({ "apiVersion": version, "kind": "Role", "metadata": metadata, "rules": charge.rules() }),
        json!({ "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
            "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": name }] }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::janitor::charge::tests::charge;

    fn image() -> Image {
        Image {
            reference: "localhost/chaos:1".to_owned(),
            pull_policy: None,
        }
    }

    #[test]
    fn its_pod_keeps_the_strictest_standard_and_waits_for_its_rights() {
        let job = job("chaos-janitor-r1", "r1", &image(), Duration::from_mins(20));
        let found = |path: &str| job.pointer(path).cloned().unwrap_or_default();
        for (path, wanted) in [
            ("/spec/suspend", json!(true)),
            ("/spec/ttlSecondsAfterFinished", json!(0)),
            ("/spec/activeDeadlineSeconds", json!(1_200)),
            ("/spec/template/spec/restartPolicy", json!("Never")),
            (
                "/spec/template/spec/securityContext/runAsNonRoot",
                json!(true),
            ),
            (
                "/spec/template/spec/securityContext/seccompProfile/type",
                json!("RuntimeDefault"),
            ),
            (
                "/spec/template/spec/containers/0/args",
                json!(["janitor", "r1"]),
            ),
            (
                "/spec/template/spec/containers/0/securityContext/capabilities/drop",
                json!(["ALL"]),
            ),
            (
                "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
                json!(false),
            ),
            (
                "/spec/template/spec/containers/0/imagePullPolicy",
                json!(null),
            ),
            (
                "/metadata/labels",
                json!({ "app.kubernetes.io/name": "chaos-janitor", "chaos.dev/run": "r1" }),
            ),
        ] {
            assert_eq!(found(path), wanted, "{path}");
        }
        for part in ["requests", "limits"] {
            let all = found(&format!(
                "/spec/template/spec/containers/0/resources/{part}"
            ));
            assert!(
                all["cpu"].is_string() && all["memory"].is_string(),
                "{part}: {all}"
            );
        }
    }

    #[test]
    fn all_that_gives_it_rights_goes_with_it() {
        for object in rights("chaos-janitor-r1", "r1", "u1", &charge()) {
            assert_eq!(
                object["metadata"]["ownerReferences"][0]["uid"], "u1",
                "{object}"
            );
        }
    }

    #[test]
    fn its_image_is_the_one_asked_for_or_ours_among_the_targets() {
        let target = json!({ "spec": { "template": { "spec": { "containers": [
            { "image": "registry:5000/side:1" },
            { "image": "registry:5000/shop/chaos@sha256:0", "imagePullPolicy": "Never" } ] } } } });
        let found = Image::choose(&Janitor::default(), containers(&target)).expect("ours");
        assert_eq!(found.reference, "registry:5000/shop/chaos@sha256:0");
        assert_eq!(found.pull_policy.as_deref(), Some("Never"));
        let asked = Janitor {
            image: Some("other:1".to_owned()),
            pull_policy: None,
        };
        let found = Image::choose(&asked, containers(&target)).expect("that one");
        assert_eq!(found.reference, "other:1");
        let error = Image::choose(&Janitor::default(), []).expect_err("none");
        let text = error.to_string();
        assert!(
            text.contains("--janitor-image") && text.contains("--no-janitor"),
            "{text}"
        );
    }
}
