//! The objects that a target is made of, read from YAML and made fit for one run.
//!
//! Invariant: pure. Every object that comes out stands in the run's namespace and bears its mark; none
//! is of the whole cluster, but for the namespace itself, whose labels are kept.

use std::collections::BTreeMap;

use chaos_plan::plan::{Description, Service, Workload};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Which run applied an object; teardown removes only what bears its own.
pub(super) const RUN: &str = "chaos.dev/run";
/// The label by which a namespace is opted in.
pub(super) const ALLOW: &str = "chaos.dev/allow";
/// Longest text of manifests, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Most objects.
const MAX_OBJECTS: usize = 1_000;
/// What others refer to comes first; kinds that are not listed come before the first workload.
const ORDER: [&str; 9] = [
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "Service",
];
const LAST: [&str; 6] = [
    "StatefulSet",
    "Deployment",
    "DaemonSet",
    "Job",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
];

/// Why manifests cannot be used; completes "failed to ...".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ManifestError {
    #[error("read the manifests: they have {0} bytes or more, and may have {MAX_BYTES}")]
    TooLarge(usize),
    #[error("read the manifests: {0}")]
    Yaml(String),
    #[error("read the manifests: object {number} has no `{key}`")]
    Incomplete { number: usize, key: &'static str },
    #[error(
        "use the manifests: `{0}` belongs to the whole cluster, and chaos applies only what stands in one namespace"
    )]
    ClusterWide(String),
    #[error(
        "use the manifests: no container has the image `{0}`; images are named without a tag, as in `{0}=registry/image:tag`"
    )]
    NoSuchImage(String),
    #[error("use the manifests: service `{service}` is `{workload}`, and there is no such object")]
    NoWorkload { service: String, workload: String },
}

/// An image that is to be taken in place of the one the manifests name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name in the manifests, without a tag; `None` is the image of the entry service.
    pub name: Option<String>,
    pub reference: String,
}

/// Objects as they were read.
#[derive(Clone, PartialEq)]
pub struct Manifests {
    objects: Vec<Value>,
    /// Labels of the namespace they come with.
    labels: Map<String, Value>,
}

/// A Secret may be among them, so only their number is shown.
impl std::fmt::Debug for Manifests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Manifests({} objects)", self.objects.len())
    }
}

impl Manifests {
    /// Reads YAML of one or more documents.
    pub fn read(text: &str) -> Result<Self, ManifestError> {
        if text.len() > MAX_BYTES {
            return Err(ManifestError::TooLarge(text.len()));
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            // Its own words may show the lines around the place, and those may be a Secret.
            .map_err(|error| ManifestError::Yaml(place_of(&error)))?;
        let mut manifests = Self {
            objects: Vec::new(),
            labels: Map::new(),
        };
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            manifests.add(document)?;
        }
        if manifests.objects.is_empty() {
            return Err(ManifestError::Yaml("they hold no object".to_owned()));
        }
        if manifests.objects.len() > MAX_OBJECTS {
            return Err(ManifestError::Yaml(format!(
                "they hold more than {MAX_OBJECTS} objects"
            )));
        }
        manifests.objects.sort_by_key(rank);
        Ok(manifests)
    }

    fn add(&mut self, object: Value) -> Result<(), ManifestError> {
        let number = self.objects.len() + 1;
        for key in ["/apiVersion", "/kind", "/metadata/name"] {
            if object.pointer(key).and_then(Value::as_str).is_none() {
                return Err(ManifestError::Incomplete {
                    number,
                    key: &key[1..],
                });
            }
        }
        if kind(&object) != "Namespace" {
            self.objects.push(object);
            return Ok(());
        }
        if let Some(Value::Object(labels)) = object.pointer("/metadata/labels") {
            self.labels.extend(labels.clone());
        }
        Ok(())
    }

    /// Adds Secrets that are made for this run alone.
    pub(super) fn with_secrets(mut self, secrets: Vec<Value>) -> Self {
        self.objects.extend(secrets);
        self.objects.sort_by_key(rank);
        self
    }

    /// `apiVersion` and `kind` of what is among them, each once.
    pub(super) fn kinds(&self) -> Vec<(String, String)> {
        let mut kinds: Vec<(String, String)> = self
            .objects
            .iter()
            .map(|object| {
                (
                    text(object, "/apiVersion").to_owned(),
                    kind(object).to_owned(),
                )
            })
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Takes other images, and says how they are pulled.
    pub fn with_images(
        mut self,
        images: &[Image],
        pull_policy: Option<&str>,
        description: &Description,
    ) -> Result<Self, ManifestError> {
        for image in images {
            let name = match &image.name {
                Some(name) => name.clone(),
                None => self.image_of(description, &description.entry)?,
            };
            let mut found = false;
            for container in self.objects.iter_mut().flat_map(containers) {
                let is_it = container["image"]
                    .as_str()
                    .is_some_and(|image| without_tag(image) == name);
                if is_it {
                    container["image"] = json!(image.reference);
                    found = true;
                }
            }
            if !found {
                return Err(ManifestError::NoSuchImage(name));
            }
        }
        if let Some(policy) = pull_policy {
            for container in self.objects.iter_mut().flat_map(containers) {
                container["imagePullPolicy"] = json!(policy);
            }
        }
        Ok(self)
    }

    fn image_of(&mut self, description: &Description, name: &str) -> Result<String, ManifestError> {
        let none = || ManifestError::NoSuchImage(name.to_owned());
        let service = description.service(name).ok_or_else(none)?;
        let container = self.container_of(service)?;
        let image = container["image"].as_str().ok_or_else(none)?;
        Ok(without_tag(image).to_owned())
    }

    /// The container that is meant by a service.
    fn container_of(&mut self, service: &Service) -> Result<&mut Value, ManifestError> {
        let missing = ManifestError::NoWorkload {
            service: service.name.clone(),
            workload: service
                .workload()
                .map_or_else(|| "found by its labels".to_owned(), Workload::to_string),
        };
        let wanted = service
            .pods
            .as_ref()
            .and_then(|pods| pods.container.clone());
        let Some(object) = self.workload(service) else {
            return Err(missing);
        };
        containers(object)
            .into_iter()
            .find(|container| {
                wanted
                    .as_ref()
                    .is_none_or(|name| container["name"] == json!(name))
            })
            .ok_or(missing)
    }

    fn workload(&mut self, service: &Service) -> Option<&mut Value> {
        let workload = service.workload()?;
        self.objects.iter_mut().find(|object| {
            kind(object).eq_ignore_ascii_case(workload.kind.name())
                && text(object, "/metadata/name") == workload.name
        })
    }

    /// Makes them fit for a run of `description` in `namespace`: instances and environment as planned.
    pub(super) fn fitted(
        mut self,
        description: &Description,
        namespace: &str,
        run: &str,
    ) -> Result<Vec<Value>, ManifestError> {
        for service in &description.services {
            if service.workload().is_some() {
                set_environment(self.container_of(service)?, &service.env);
                self.set_replicas(service);
            }
        }
        for object in &mut self.objects {
            stand_in(object, namespace, run);
        }
        Ok(self.objects)
    }

    /// An autoscaler of the workload begins at that number, so that it does not take any away.
    fn set_replicas(&mut self, service: &Service) {
        let Some(object) = self.workload(service) else {
            return;
        };
        object["spec"]["replicas"] = json!(service.replicas);
        let (of_kind, name) = (
            kind(object).to_owned(),
            text(object, "/metadata/name").to_owned(),
        );
        let scalers = self.objects.iter_mut().filter(|object| {
            kind(object) == "HorizontalPodAutoscaler"
                && text(object, "/spec/scaleTargetRef/kind") == of_kind
                && text(object, "/spec/scaleTargetRef/name") == name
        });
        for scaler in scalers {
            let most = scaler["spec"]["maxReplicas"].as_u64().unwrap_or(0);
            scaler["spec"]["minReplicas"] = json!(service.replicas);
            scaler["spec"]["maxReplicas"] = json!(most.max(u64::from(service.replicas)));
        }
    }

    /// The namespace itself, opted in, for a run that makes it.
    pub(super) fn namespace(&self, namespace: &str, run: &str) -> Value {
        let mut labels = self.labels.clone();
        labels.remove("kubernetes.io/metadata.name");
        labels.insert(ALLOW.to_owned(), json!("true"));
        labels.insert(RUN.to_owned(), json!(run));
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace, "labels": labels } })
    }
}

fn place_of(error: &serde_saphyr::Error) -> String {
    match error.location() {
        Some(at) => format!(
            "they are not YAML at line {}, column {}",
            at.line(),
            at.column()
        ),
        None => "they are not YAML".to_owned(),
    }
}

fn rank(object: &Value) -> usize {
    let kind = kind(object);
    if let Some(at) = ORDER.iter().position(|known| *known == kind) {
        return at;
    }
    match LAST.iter().position(|known| *known == kind) {
        Some(at) => ORDER.len() + 1 + at,
        None => ORDER.len(),
    }
}

pub(super) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// All containers of a workload, those that run first among them.
fn containers(object: &mut Value) -> Vec<&mut Value> {
    let pod = match kind(object) {
        "CronJob" => object.pointer_mut("/spec/jobTemplate/spec/template/spec"),
        "Pod" => object.pointer_mut("/spec"),
        _ => object.pointer_mut("/spec/template/spec"),
    };
    let Some(Value::Object(pod)) = pod else {
        return Vec::new();
    };
    let lists = pod
        .iter_mut()
        .filter(|(key, _)| matches!(key.as_str(), "containers" | "initContainers"));
    lists
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .collect()
}

/// `registry:5000/name` of `registry:5000/name:tag@sha256:...`.
pub(super) fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn set_environment(container: &mut Value, env: &BTreeMap<String, String>) {
    if env.is_empty() {
        return;
    }
    let mut settings = container["env"].as_array().cloned().unwrap_or_default();
    for (name, value) in env {
        settings.retain(|setting| setting["name"] != json!(name));
        settings.push(json!({ "name": name, "value": value }));
    }
    container["env"] = Value::Array(settings);
}

/// Puts an object and those it refers to into the namespace, and marks it.
fn stand_in(object: &mut Value, namespace: &str, run: &str) {
    let own = text(object, "/metadata/namespace").to_owned();
    object["metadata"]["namespace"] = json!(namespace);
    if !object["metadata"]["labels"].is_object() {
        object["metadata"]["labels"] = json!({});
    }
    object["metadata"]["labels"][RUN] = json!(run);
    // Not by index: that would add the key to objects that have none.
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if subject["namespace"] == json!(own) {
            subject["namespace"] = json!(namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { pod-security.kubernetes.io/enforce: restricted } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: api, namespace: shop }
spec: { minReplicas: 1, maxReplicas: 3, scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: api } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: api, namespace: shop, labels: { app: api } }
spec:
  replicas: 1
  template:
    spec:
      initContainers: [{ name: wait, image: registry:5000/shop }]
      containers:
        - { name: api, image: \"registry:5000/shop:1.0\", env: [{ name: LEVEL, value: debug }, { name: PORT, value: \"80\" }] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: r, namespace: shop }
subjects: [{ kind: ServiceAccount, name: s, namespace: shop }, { kind: ServiceAccount, name: t, namespace: other }]
---
apiVersion: v1
kind: Secret
metadata: { name: s }
stringData: { password: s3cret }
";

    fn description() -> Description {
        let json = json!({ "name": "shop", "folder": "", "entry": "api", "audit": null, "services": [{
            "name": "api", "replicas": 4, "calls": [], "stop": "10s", "command": [], "labels": {},
            "ready": { "path": "/ready", "within": "10s", "every": "1s", "timeout": "1s", "failures": 3 },
            "restart": { "policy": "always", "delay": "0s", "backoff": "1s", "backoff_max": "1s" },
            "env": { "LEVEL": "info", "MORE": "1" },
            "pods": { "find": { "workload": { "kind": "deployment", "name": "api" } } },
        }] });
        serde_json::from_value(json).expect("a description")
    }

    fn fitted() -> Vec<Value> {
        let manifests = Manifests::read(TEXT).expect("good");
        manifests
            .fitted(&description(), "mine", "r1")
            .expect("fits")
    }

    fn of_kind<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
        objects
            .iter()
            .find(|object| kind(object) == wanted)
            .expect("it is there")
    }

    #[test]
    fn every_object_stands_in_the_namespace_and_bears_the_mark_of_the_run() {
        let objects = fitted();
        let kinds: Vec<&str> = objects.iter().map(kind).collect();
        assert_eq!(
            kinds,
            [
                "RoleBinding",
                "Secret",
                "Deployment",
                "HorizontalPodAutoscaler"
            ]
        );
        for object in &objects {
            assert_eq!(text(object, "/metadata/namespace"), "mine");
            assert_eq!(object["metadata"]["labels"][RUN], "r1");
        }
        let keys = of_kind(&objects, "Secret")
            .as_object()
            .expect("an object")
            .keys();
        assert_eq!(
            keys.collect::<Vec<_>>(),
            ["apiVersion", "kind", "metadata", "stringData"]
        );
        let subjects = &of_kind(&objects, "RoleBinding")["subjects"];
        assert_eq!(
            (&subjects[0]["namespace"], &subjects[1]["namespace"]),
            (&json!("mine"), &json!("other"))
        );
    }

    #[test]
    fn instances_and_environment_are_as_planned() {
        let objects = fitted();
        let deployment = of_kind(&objects, "Deployment");
        assert_eq!(deployment["spec"]["replicas"], 4);
        let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
        let expected = json!([{ "name": "PORT", "value": "80" }, { "name": "LEVEL", "value": "info" }, { "name": "MORE", "value": "1" }]);
        assert_eq!(*env, expected);
        let scaler = of_kind(&objects, "HorizontalPodAutoscaler");
        assert_eq!(
            (
                &scaler["spec"]["minReplicas"],
                &scaler["spec"]["maxReplicas"]
            ),
            (&json!(4), &json!(4))
        );
    }

    #[test]
    fn images_are_named_without_their_tag() {
        let image = |name: Option<&str>| Image {
            name: name.map(str::to_owned),
            reference: "localhost/new:2".to_owned(),
        };
        let with = |name| {
            let manifests = Manifests::read(TEXT).expect("good");
            manifests.with_images(&[image(name)], Some("Never"), &description())
        };
        for name in [None, Some("registry:5000/shop")] {
            let objects = with(name).expect("known").objects;
            let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
            assert_eq!(pod["containers"][0]["image"], "localhost/new:2");
            assert_eq!(pod["initContainers"][0]["image"], "localhost/new:2");
            assert_eq!(pod["containers"][0]["imagePullPolicy"], "Never");
        }
        assert_eq!(
            with(Some("nginx")),
            Err(ManifestError::NoSuchImage("nginx".to_owned()))
        );
    }

    #[test]
    fn the_namespace_keeps_its_labels_and_is_opted_in() {
        let namespace = Manifests::read(TEXT).expect("good").namespace("mine", "r1");
        let labels = &namespace["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(
            (&labels[ALLOW], &labels[RUN]),
            (&json!("true"), &json!("r1"))
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused_without_its_text() {
        let refused = |text: &str| Manifests::read(text).expect_err("refused").to_string();
        let text = refused("kind: Secret\nstringData: { password: s3cret\n");
        assert!(text.contains("line") && !text.contains("s3cret"), "{text}");
        assert!(refused("a: 1").contains("object 1 has no `apiVersion`"));
        assert!(refused("---\n").contains("no object"));
        let shown = format!("{:?}", Manifests::read(TEXT).expect("good"));
        assert_eq!(shown, "Manifests(4 objects)");
    }

    #[test]
    fn a_service_without_its_workload_is_refused() {
        let text = TEXT.replace(
            "metadata: { name: api, namespace: shop, labels",
            "metadata: { name: other, labels",
        );
        let manifests = Manifests::read(&text).expect("good");
        let error = manifests
            .fitted(&description(), "mine", "r1")
            .expect_err("no such workload");
        assert!(
            error
                .to_string()
                .contains("service `api` is `deployment/api`"),
            "{error}"
        );
    }
}
