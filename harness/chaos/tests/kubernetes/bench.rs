//! The cluster of the tests: credentials for it, a small target, and an independent look by `kubectl`.
//!
//! Invariant: each test has a namespace of its own name and removes it when it is over.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Place, eventually};

/// Longest any single wait may take: an image has to be unpacked and a pod to start.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

const TARGET: &str = "
# Two small servers of somebody's own.
version: 1
name: two
entry: front
kubernetes: { manifests: two.k8s.yaml }
services:
  front: { replicas: 2, ready: { path: / }, kubernetes: {} }
  api: { replicas: 2, ready: { path: / }, kubernetes: {} }
";

const JOURNEY: &str = "
# One page.
version: 1
name: look
steps: [{ name: page, get: / }]
";

/// All of them stand from the 11th second of the load to the 29th.
const LASTING: &str = "# Does anything stay when the harness dies?
version: 1
name: mine
target: { app: two }
load:
  people:
    journeys: { look: 1 }
    arrivals: even
    stages: [{ name: steady, for: 45s, rate: 10/s }]
faults:
  - { name: nowhere, at: steady + 7s, for: 30s, inject: { service_lost: { service: side } } }
  - { name: none-left, at: steady + 8s, for: 26s, inject: { scale: { service: api, replicas: 0 } } }
  - { name: starved, at: steady + 9s, for: 20s, inject: { cpu: { service: front, limit: 0.05 } } }
  - { name: another, at: steady + 10s, for: 20s, inject: { rollout: { service: front, image: 'localhost/never-built:1' } } }
hypothesis: [{ expect: { errors: { max: 20% } } }]
safety: { allow_outage: [api, front, side] }
";

/// A namespace of the cluster that the environment names.
pub(crate) struct Cluster {
    kubeconfig: String,
    pub(crate) context: String,
    pub(crate) namespace: String,
    image: String,
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// `None`, said on standard output, where the environment names no cluster and that is allowed.
pub(crate) fn cluster() -> Option<Cluster> {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    let named = variable("CHAOS_TEST_KUBECONFIG").zip(variable("CHAOS_TEST_IMAGE"));
    let Some((kubeconfig, image)) = named else {
        let is = |name: &str, wanted: &str| variable(name).as_deref() == Some(wanted);
        let must = is("CHAOS_TESTS_MAY_SKIP", "no") && is("CHAOS_TEST_CLUSTER", "yes");
        assert!(
            !must,
            "CHAOS_TEST_KUBECONFIG and CHAOS_TEST_IMAGE name the cluster"
        );
        println!("skipped: CHAOS_TEST_KUBECONFIG and CHAOS_TEST_IMAGE name no cluster");
        return None;
    };
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    let mut cluster = Cluster {
        kubeconfig,
        context: String::new(),
        namespace: format!("chaos-p{}-{number}", std::process::id()),
        image,
    };
    cluster.context = cluster.kubectl(&["config", "current-context"]);
    Some(cluster)
}

impl Cluster {
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let program = variable("CHAOS_TEST_KUBECTL").unwrap_or_else(|| "kubectl".to_owned());
        let mut command = Command::new(program);
        command.args(["--kubeconfig", &self.kubeconfig]).args(args);
        command
    }

    /// What `kubectl` answers, which must succeed.
    #[track_caller]
    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("kubectl starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// What `kubectl get` answers of the namespace.
    #[track_caller]
    pub(crate) fn get(&self, args: &[&str]) -> String {
        self.kubectl(&[&["-n", &self.namespace, "get"], args].concat())
    }

    /// `kubectl ... -f -` with this text.
    #[track_caller]
    pub(crate) fn feed(&self, args: &[&str], text: &str) {
        let mut child = self
            .command(args)
            .args(["-n", &self.namespace, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("kubectl starts");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        assert!(
            child.wait().expect("our child").success(),
            "kubectl {args:?}"
        );
    }

    pub(crate) fn has_namespace(&self) -> bool {
        let name = format!("namespace/{}", self.namespace);
        let all = self.kubectl(&["get", "namespaces", "-o", "name"]);
        all.lines().any(|line| line == name)
    }

    pub(crate) fn make_namespace(&self, labels: &[&str]) {
        self.kubectl(&["create", "namespace", &self.namespace]);
        for label in labels {
            self.kubectl(&["label", "namespace", &self.namespace, label]);
        }
    }

    pub(crate) fn remove_namespace(&self) {
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        eventually("the namespace is gone", PATIENCE, || !self.has_namespace());
    }

    /// A copy of the kubeconfig with `change`, for whoever is to see the cluster otherwise.
    pub(crate) fn changed(&self, place: &Place, change: impl FnOnce(&mut Value)) -> String {
        let text = self.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        change(&mut config);
        write(place.path(), "kubeconfig", &config.to_string());
        place.path().join("kubeconfig").display().to_string()
    }

    /// Address of the API server, `host:port`.
    pub(crate) fn server(&self) -> String {
        let path = "-o=jsonpath={.clusters[0].cluster.server}";
        let url = self.kubectl(&["config", "view", path]);
        url.trim_start_matches("https://").to_owned()
    }

    /// A place with the target and a scenario of `seconds` with `faults`, each `name: seconds`.
    pub(crate) fn place(&self, seconds: u32, faults: &[(&str, u32)]) -> Place {
        let kill = |(name, at): &(&str, u32)| {
            format!("name: {name}, at: steady + {at}s, inject: {{ kill: {{ service: api }} }}")
        };
        let faults: Vec<String> = faults.iter().map(kill).collect();
        self.place_with(seconds, &faults)
    }

    /// The same with faults as they stand in a scenario.
    pub(crate) fn place_with(&self, seconds: u32, faults: &[String]) -> Place {
        let place = Place::new();
        write(place.path(), "targets/two.yaml", TARGET);
        let manifests = manifests(&self.image);
        write(place.path(), "targets/two.k8s.yaml", &manifests);
        write(place.path(), "journeys/look.yaml", JOURNEY);
        write(place.path(), "mine.yaml", &scenario(seconds, faults));
        place
    }

    /// Another like `api`: no fault is done to instances on which one stands.
    pub(crate) fn apply_side(&self) {
        let all = manifests(&self.image).replace("\"api\"", "\"side\"");
        let of_it = all.split("\n---\n").filter(|one| one.contains("\"side\""));
        let documents: Vec<&str> = of_it.collect();
        self.feed(&["apply"], &documents.join("\n---\n"));
        let namespace = self.namespace.as_str();
        let wait = ["rollout", "status", "deployment/side", "--timeout=60s"];
        self.kubectl(&[&["-n", namespace][..], &wait[..]].concat());
    }

    /// A place with the target and a scenario of faults that stay, all at the same time.
    pub(crate) fn place_with_lasting_faults(&self) -> Place {
        let place = self.place(30, &[]);
        let target =
            format!("{TARGET}  side: {{ replicas: 2, ready: {{ path: / }}, kubernetes: {{}} }}\n");
        write(place.path(), "targets/two.yaml", &target);
        write(place.path(), "mine.yaml", LASTING);
        place
    }

    /// Everything in the namespace that somebody asked for, without what the API server counts; `without`
    /// those whose names begin so.
    pub(crate) fn objects(&self, without: &[&str]) -> BTreeMap<String, Value> {
        let kinds =
            "deployments,services,configmaps,serviceaccounts,roles,rolebindings,jobs,leases";
        let text = self.kubectl(&["-n", &self.namespace, "get", kinds, "-o", "json"]);
        let found: Value = serde_json::from_str(&text).expect("JSON");
        let items = found["items"].as_array().cloned().unwrap_or_default();
        let named = items.into_iter().map(|mut one| {
            let counted = [
                "resourceVersion",
                "generation",
                "uid",
                "creationTimestamp",
                "managedFields",
            ];
            let metadata = one["metadata"].as_object_mut().expect("each has it");
            metadata.retain(|key, _| !counted.contains(&key.as_str()));
            if let Some(notes) = metadata
                .get_mut("annotations")
                .and_then(Value::as_object_mut)
            {
                notes.retain(|key, _| key != "deployment.kubernetes.io/revision");
            }
            one.as_object_mut().expect("an object").remove("status");
            let name = format!("{}/{}", one["kind"], one["metadata"]["name"]).replace('"', "");
            (name, one)
        });
        named
            .filter(|(name, _)| !without.iter().any(|part| name.contains(part)))
            .collect()
    }

    /// CPU limits and marks of the pods that stay.
    pub(crate) fn limits(&self) -> Vec<String> {
        let path = r#"-o=jsonpath={range .items[?(@.metadata.labels.app)]}{.metadata.labels.app} {.spec.containers[0].resources.limits.cpu} {.metadata.annotations}{"\n"}{end}"#;
        let text = self.kubectl(&["-n", &self.namespace, "get", "pods", path]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Flags that lead a run to the namespace.
    pub(crate) fn flags<'a>(&'a self, kubeconfig: &'a str) -> Vec<&'a str> {
        vec![
            "--platform",
            "kubernetes",
            "--context",
            &self.context,
            "--namespace",
            &self.namespace,
            "--kubeconfig",
            kubeconfig,
        ]
    }

    /// `chaos run` of the place's scenario as the cluster's own administrator.
    pub(crate) fn run_flags(&self) -> Vec<&str> {
        let mut args = vec!["run", "mine.yaml"];
        args.extend(self.flags(&self.kubeconfig));
        args
    }

    /// As somebody would who does not know of chaos; returns when all of it is up.
    pub(crate) fn apply_by_hand(&self) {
        self.feed(&["apply"], &manifests(&self.image));
        for name in ["deployment/front", "deployment/api"] {
            self.kubectl(&[
                "-n",
                &self.namespace,
                "rollout",
                "status",
                name,
                "--timeout=60s",
            ]);
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("in our folder"))
        .and_then(|()| std::fs::write(path, text))
        .expect("our folder");
}

fn scenario(seconds: u32, faults: &[String]) -> String {
    let each = |fault: &String| format!("  - {{ {fault} }}");
    let faults = faults.iter().map(each).collect::<Vec<_>>().join("\n");
    format!(
        "# Does my page stay up when a server behind it dies?
version: 1
name: mine
target: {{ app: two }}
load:
  people:
    journeys: {{ look: 1 }}
    arrivals: even
    stages:
      - {{ name: steady, for: {seconds}s, rate: 40/s }}
faults:
{faults}
hypothesis:
  - {{ name: fast, expect: {{ latency: {{ p95: 500ms }} }} }}
  - {{ name: soon back, expect: {{ recovery: {{ within: 8s, steady_for: 2s }} }} }}
safety: {{ allow_outage: [api] }}
"
    )
}

/// Two Deployments of the harness's own small server, and their Services.
fn manifests(image: &str) -> String {
    let both = [("front", "NodePort"), ("api", "ClusterIP")];
    let objects = both.into_iter().flat_map(|(name, kind)| {
        let container = json!({
            "name": "server", "image": image, "imagePullPolicy": "IfNotPresent",
            "args": ["internal", "null-server", "--listen", "0.0.0.0:8080"],
            "ports": [{ "containerPort": 8080 }],
            "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" } },
            "readinessProbe": { "httpGet": { "path": "/", "port": 8080 }, "periodSeconds": 1 },
        });
        let pod = json!({ "metadata": { "labels": { "app": name } },
            "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] } });
        [
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
                "spec": { "replicas": 2, "selector": { "matchLabels": { "app": name } }, "template": pod } }),
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
                "spec": { "type": kind, "selector": { "app": name }, "ports": [{ "port": 8080 }] } }),
        ]
    });
    let documents: Vec<String> = objects.map(|object| object.to_string()).collect();
    documents.join("\n---\n")
}
