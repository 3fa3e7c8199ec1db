//! A namespace of a real cluster, a target for it and a platform over both.
//!
//! Invariant: each test has namespaces of its own names and removes them, also when it fails: what a
//! test leaves is removed by the next one that draws the same name, and named by CI.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::check::{Library, Options, SourceFile, Sources, check};
use chaos_plan::plan::PlatformName;
use chaos_platform::kubernetes::{
    Chosen, Janitor, KubernetesConfig, KubernetesPlatform, Manifests,
};
use chaos_platform::{Act, Deployment, InstanceRef, PlatformError, Probe};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use kube::{Api, Client, Config};
use serde_json::json;

use crate::contract::{Builder, Lasting};
use crate::look::{get, until};

/// Longest any single wait may take: an image has to be unpacked and a pod to start.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const SCENARIO: &str = "# Does it hold?
version: 1
name: contract
platform: kubernetes
target: { app: two }
load: { shoppers: { journeys: { look: 1 }, stages: [{ name: steady, for: 60s, rate: 20/s }] } }
faults: [{ name: kill, at: steady + 10s, inject: { kill: { service: api } } }]
hypothesis: [{ expect: { errors: { max: 5% } } }]
";

/// The faults of it, and others in their place that stay until they are taken back.
const KILL: &str = "kill: { service: api }";
const LASTING: &str = "scale: { service: api, replicas: 1 } }, for: 5s }, { name: slow, at: steady + 20s, for: 5s, inject: { cpu: { service: api, limit: 0.05 }";

const TARGET: &str = "version: 1
name: two
entry: front
services:
  front: { replicas: 2, ready: { path: / }, kubernetes: {} }
  api: { replicas: 2, ready: { path: / }, kubernetes: {} }
";

const JOURNEY: &str = "# Looks.
version: 1
name: look
steps: [{ name: look, get: / }]
";

/// A cluster that a test may use.
pub(crate) struct Bench {
    pub(crate) client: Client,
    kubeconfig: PathBuf,
    context: String,
    image: String,
    pub(crate) namespace: String,
    run: String,
}

/// The cluster that is named by the environment; `None`, said on standard output, where none is.
pub(crate) async fn bench() -> Option<Bench> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = variable("CHAOS_TEST_KUBECONFIG").zip(variable("CHAOS_TEST_IMAGE"));
    let Some((kubeconfig, image)) = named else {
        let yes = |name: &str, wanted: &str| variable(name).as_deref() == Some(wanted);
        let must = yes("CHAOS_TESTS_MAY_SKIP", "no") && yes("CHAOS_TEST_CLUSTER", "yes");
        assert!(
            !must,
            "CHAOS_TEST_KUBECONFIG and CHAOS_TEST_IMAGE name the cluster"
        );
        let said = "skipped: CHAOS_TEST_KUBECONFIG and CHAOS_TEST_IMAGE name no cluster";
        writeln!(std::io::stdout(), "{said}").expect("somebody listens");
        return None;
    };
    let read = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
    let context = read.current_context.clone().expect("a current context");
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let name = format!(
        "t{}-{}",
        std::process::id(),
        NAMES.fetch_add(1, Ordering::Relaxed)
    );
    Some(Bench {
        client: Client::try_from(config.expect("a cluster")).expect("a client"),
        kubeconfig: kubeconfig.into(),
        context,
        image,
        namespace: format!("chaos-{name}"),
        run: format!("run-{name}"),
    })
}

struct Files;

impl Library for Files {
    fn target(&self, _: &str) -> Option<SourceFile> {
        Some(file("two", TARGET))
    }

    fn journey(&self, _: &str) -> Option<SourceFile> {
        Some(file("look", JOURNEY))
    }

    fn targets(&self) -> Vec<String> {
        Vec::new()
    }

    fn journeys(&self) -> Vec<String> {
        Vec::new()
    }
}

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        folder: String::new(),
        text: text.to_owned(),
    }
}

fn plan(scenario: &str) -> Plan {
    let sources = Sources {
        scenario: file("contract", scenario),
        library: &Files,
    };
    let options = Options {
        platform: Some(PlatformName::Kubernetes),
        ..Options::default()
    };
    check(&sources, &options).unwrap_or_else(|problems| unreachable!("{}", problems.render(false)))
}

/// Two Deployments of the harness's own small server, and their Services.
pub(crate) fn manifests(image: &str) -> String {
    let service = |name: &str, kind: &str| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "type": kind, "selector": { "app": name }, "ports": [{ "port": 8080 }] } })
    };
    let deployment = |name: &str| {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
            "spec": { "replicas": 1, "selector": { "matchLabels": { "app": name } }, "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "terminationGracePeriodSeconds": 2, "containers": [{
                    "name": "server", "image": image, "imagePullPolicy": "Never",
                    "args": ["internal", "null-server", "--listen", "0.0.0.0:8080"],
                    "ports": [{ "containerPort": 8080 }],
                    "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" } },
                    "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 } }] } } } })
    };
    let objects = [
        service("front", "NodePort"),
        service("api", "ClusterIP"),
        deployment("front"),
        deployment("api"),
    ];
    let documents = objects.map(|object| object.to_string());
    documents.join("\n---\n")
}

impl Bench {
    pub(crate) fn own_manifests(&self) -> String {
        manifests(&self.image)
    }

    pub(crate) async fn connect(
        &self,
        manifests: Option<&str>,
    ) -> Result<KubernetesPlatform, PlatformError> {
        self.connect_run(manifests, (SCENARIO, &self.run), None)
            .await
    }

    /// A run with faults that stay, and with a janitor of this image.
    pub(crate) async fn connect_with_janitor(
        &self,
        image: Option<&str>,
    ) -> Result<KubernetesPlatform, PlatformError> {
        let janitor = Janitor {
            image: image.map(str::to_owned),
            pull_policy: None,
        };
        let scenario = SCENARIO.replace(KILL, LASTING);
        self.connect_run(None, (&scenario, &self.run), Some(janitor))
            .await
    }

    /// Another harness that comes to the same namespace.
    pub(crate) async fn connect_as(&self, run: &str) -> Result<KubernetesPlatform, PlatformError> {
        self.connect_run(Some(&self.own_manifests()), (SCENARIO, run), None)
            .await
    }

    async fn connect_run(
        &self,
        manifests: Option<&str>,
        (scenario, run): (&str, &str),
        janitor: Option<Janitor>,
    ) -> Result<KubernetesPlatform, PlatformError> {
        let manifests = manifests.map(|text| Manifests::read(text).expect("good manifests"));
        KubernetesPlatform::connect(KubernetesConfig {
            plan: Arc::new(plan(scenario)),
            run: run.to_owned(),
            chosen: self.chosen(),
            manifests,
            janitor,
        })
        .await
    }

    pub(crate) fn chosen(&self) -> Chosen {
        Chosen {
            kubeconfig: Some(self.kubeconfig.clone()),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        }
    }

    /// The platform over the target that is applied.
    pub(crate) async fn platform(&self) -> KubernetesPlatform {
        let platform = self.connect(Some(&self.own_manifests())).await;
        platform.expect("a cluster that may be used")
    }

    fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    pub(crate) async fn make_namespace(&self, labels: &serde_json::Value) {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": self.namespace, "labels": labels } });
        let parameters = PatchParams::apply("test");
        let namespaces = self.namespaces();
        let patch = Patch::Apply(&object);
        let made = namespaces.patch(&self.namespace, &parameters, &patch).await;
        made.expect("a namespace");
    }

    /// As somebody would who does not know of chaos.
    pub(crate) async fn apply_by_hand(&self) {
        for text in self.own_manifests().split("\n---\n") {
            let mut object: DynamicObject = serde_json::from_str(text).expect("an object");
            let types = object.types.clone().expect("it says what it is");
            let kind = GroupVersionKind::try_from(&types).expect("a kind");
            if types.kind == "Deployment" {
                object.data["spec"]["replicas"] = json!(2);
            }
            let resource = ApiResource::from_gvk(&kind);
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            let made = api.create(&PostParams::default(), &object).await;
            made.expect("it is made");
        }
    }

    /// Number of pods that stay.
    pub(crate) async fn pods(&self) -> usize {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods = api.list(&ListParams::default()).await.expect("an answer");
        let stay = pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        stay.count()
    }

    pub(crate) async fn has_namespace(&self) -> bool {
        let found = self.namespaces().get_opt(&self.namespace).await;
        found.expect("an answer").is_some()
    }

    pub(crate) async fn remove_namespace(&self) {
        let parameters = DeleteParams::default();
        drop(self.namespaces().delete(&self.namespace, &parameters).await);
        until("the namespace is gone", async || {
            !self.has_namespace().await
        })
        .await;
    }
}

impl Builder for Bench {
    type Built = KubernetesPlatform;

    async fn build(&self) -> KubernetesPlatform {
        self.platform().await
    }

    async fn left(&self) -> Vec<String> {
        let name = self.namespace.clone();
        let is_left = self.has_namespace().await;
        is_left.then_some(name).into_iter().collect()
    }

    fn kill(&self, target: &InstanceRef) -> Act {
        kill(target, Some(0))
    }

    fn lasting(&self, target: &InstanceRef) -> Lasting {
        let (target, millicores) = (|| target.clone(), 50);
        Lasting {
            act: Act::LimitCpu {
                target: target(),
                millicores,
            },
            effect: Probe::Limited {
                target: target(),
                millicores,
            },
            undone: Probe::Unlimited {
                target: target(),
                millicores,
            },
        }
    }

    fn acts(&self, target: &InstanceRef) -> Vec<Act> {
        let evict = Act::Evict {
            target: target.clone(),
        };
        let limit = self.lasting(target).act;
        vec![kill(target, Some(0)), kill(target, None), evict, limit]
    }

    async fn reached(
        &self,
        deployment: &Deployment,
        _: &str,
        count: usize,
    ) -> Option<BTreeSet<String>> {
        for _ in 0..count {
            get(&deployment.address, "/").await.expect("an answer");
        }
        None
    }
}

pub(crate) fn kill(target: &InstanceRef, grace_s: Option<u32>) -> Act {
    Act::Delete {
        target: target.clone(),
        grace_s,
    }
}
