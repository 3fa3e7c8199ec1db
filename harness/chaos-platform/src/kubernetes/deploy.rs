//! Applies a target and waits until it is up, or says why it does not come up.
//!
//! Invariant: nothing is applied over an object of somebody else, and nothing before the caller had
//! the undo of it in hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaos_plan::plan::{Workload, WorkloadKind};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::applied::dynamic;
use super::ground::Ground;
use super::manifests::{RUN, kind, text};
use super::trouble::{self, Trouble};
use super::{FIELD_MANAGER, KubernetesPlatform, Shared, lease, watch};
use crate::platform::{Deployment as Deployed, PlatformError};

/// Between two looks at what starts.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of a log's end that are shown.
const LOG_BYTES: i64 = 2_000;
/// Lines of it.
const LOG_LINES: i64 = 5;

/// How far a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) wanted: i32,
    /// Pods that there are, whatever their state.
    pub(super) made: i32,
    pub(super) ready: i32,
    /// The controller has seen the last change, and no pod of an older version is left.
    pub(super) current: bool,
}

impl Progress {
    pub(super) fn is_up(self) -> bool {
        self.current && self.ready >= self.wanted
    }
}

impl KubernetesPlatform {
    pub(super) async fn deploy_all(&mut self) -> Result<Deployed, PlatformError> {
        if self.deployed {
            return Err(PlatformError::Unable {
                act: "deploy a second time".to_owned(),
            });
        }
        self.deployed = true;
        let objects = std::mem::take(&mut self.objects);
        if self.ground == Ground::Free {
            self.make_namespace().await?;
        }
        let Shared {
            client, place, run, ..
        } = &*self.shared;
        lease::take(client, place, run).await?;
        self.tasks.spawn(watch::lease(Arc::clone(&self.shared)));
        let begun = Instant::now();
        for object in &objects {
            self.apply_one(object).await?;
        }
        self.find_selectors().await?;
        self.tasks.spawn(watch::pods(Arc::clone(&self.shared)));
        self.tasks.spawn(watch::places(Arc::clone(&self.shared)));
        let mut workloads = workloads(&objects);
        workloads.extend(self.own_workloads());
        workloads.sort_by_key(ToString::to_string);
        workloads.dedup();
        self.until_up(&workloads, begun, !objects.is_empty())
            .await?;
        self.until_seen().await;
        self.watch_surroundings().await;
        let address = self.door().await?;
        self.post_janitor().await?;
        self.address = Some(address.clone());
        Ok(Deployed { address })
    }

    async fn make_namespace(&self) -> Result<(), PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Namespace> = Api::all(client.clone());
        let namespace = serde_json::from_value(self.namespace.clone()).map_err(|error| {
            PlatformError::Cluster {
                act: "make the namespace".to_owned(),
                why: format!("its labels cannot be read: {error}"),
            }
        })?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let act = format!("make namespace `{}`", place.namespace);
        place
            .answer(&act, api.create(&parameters, &namespace))
            .await?;
        Ok(())
    }

    /// Server-side apply of one object that is not there yet, or is this run's.
    async fn apply_one(&self, object: &Value) -> Result<(), PlatformError> {
        let Shared {
            client, place, run, ..
        } = &*self.shared;
        let (kind, name) = (kind(object), text(object, "/metadata/name"));
        let act = format!("apply {}/{name}", kind.to_ascii_lowercase());
        let resource = self
            .resource(object)
            .ok_or_else(|| PlatformError::Missing {
                what: format!("the kind {kind} in the cluster"),
            })?;
        let api = dynamic(client, place, resource);
        if let Some(found) = place.answer(&act, api.get_metadata_opt(name)).await? {
            let labels = found.metadata.labels.unwrap_or_default();
            // A ServiceAccount `default` is there from the beginning.
            let is_made = kind == "ServiceAccount" && name == "default";
            if labels.get(RUN) != Some(run) && !is_made {
                return Err(PlatformError::Cluster {
                    act,
                    why: "it is there already and not this run's; to use a target that runs already, add `--existing`".to_owned(),
                });
            }
        }
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let patch = Patch::Apply(object);
        let applying = api.patch(name, &parameters, &patch);
        match place.answer(&act, applying).await {
            Ok(_) => Ok(()),
            // What the API server says of a Secret may quote it.
            Err(_) if kind == "Secret" => Err(PlatformError::Cluster {
                act,
                why: "the API server does not take it".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    fn own_workloads(&self) -> impl Iterator<Item = Workload> {
        let services = self.shared.services.iter();
        services.filter_map(|service| service.pods.workload().cloned())
    }

    /// Waits until every workload is up. Given up when nothing more became ready for as long as a
    /// service may take, or when a pod cannot start.
    async fn until_up(
        &self,
        workloads: &[Workload],
        begun: Instant,
        applied: bool,
    ) -> Result<(), PlatformError> {
        let mut stuck: BTreeMap<String, Instant> = BTreeMap::new();
        let mut last = (-1, begun);
        loop {
            let mut missing = None;
            let mut ready = 0;
            let mut short = Vec::new();
            for workload in workloads {
                let told = self.progress_if_told(workload).await?;
                let progress = told.unwrap_or_default();
                ready += progress.ready;
                if told.is_some() && progress.made < progress.wanted {
                    short.push(workload.name.as_str());
                }
                if !progress.is_up() {
                    missing = missing.or(Some((workload, progress)));
                }
            }
            let Some((workload, progress)) = missing else {
                return Ok(());
            };
            if applied {
                match self.fail_if_stuck(&mut stuck, &short).await {
                    Ok(()) | Err(PlatformError::Unreachable { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if ready > last.0 {
                tracing::info!(ready, waiting_for = %workload, "pods are ready");
                last = (ready, Instant::now());
            }
            if last.1.elapsed() >= self.shared.patience {
                return Err(self.too_late(workload, progress, applied).await);
            }
            sleep(LOOK).await;
        }
    }

    /// The same, where an API server that is away for a moment is waited for: nothing is known then.
    pub(super) async fn progress_if_told(
        &self,
        workload: &Workload,
    ) -> Result<Option<Progress>, PlatformError> {
        match self.progress(workload).await {
            Ok(progress) => Ok(Some(progress)),
            Err(PlatformError::Unreachable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many of a workload's pods there are to be, and are ready.
    pub(super) async fn progress(&self, workload: &Workload) -> Result<Progress, PlatformError> {
        self.shared.progress(workload).await
    }

    async fn fail_if_stuck(
        &self,
        stuck: &mut BTreeMap<String, Instant>,
        short: &[&str],
    ) -> Result<(), PlatformError> {
        let pods = self.all_pods().await?;
        let mut found: Vec<(String, Trouble)> = pods
            .iter()
            .filter_map(|pod| Some((pod.metadata.name.clone()?, trouble::of_pod(pod)?)))
            .collect();
        let events = self.warnings().await?;
        // An event stays when what it tells of is long over.
        let still = events.iter().filter(|event| {
            let name = event.involved_object.name.as_deref().unwrap_or_default();
            short.iter().any(|workload| name.starts_with(workload))
        });
        let of_events = still.filter_map(trouble::of_event);
        found.extend(of_events.map(|trouble| (trouble.why.clone(), trouble)));
        stuck.retain(|name, _| found.iter().any(|(other, _)| other == name));
        for (name, trouble) in found {
            let since = stuck.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= trouble.patience {
                let log = match &trouble.ended {
                    Some(container) => self.last_words(&name, container).await,
                    None => String::new(),
                };
                let instance = if trouble.why.contains(&name) {
                    "the target".to_owned()
                } else {
                    name
                };
                let why = format!("{}{log}", trouble.why);
                return Err(PlatformError::Start { instance, why });
            }
        }
        Ok(())
    }

    pub(super) async fn all_pods(&self) -> Result<Vec<Pod>, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
        let parameters = ListParams::default();
        Ok(place
            .answer("list the pods", api.list(&parameters))
            .await?
            .items)
    }

    pub(super) async fn warnings(&self) -> Result<Vec<Event>, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Event> = Api::namespaced(client.clone(), &place.namespace);
        let parameters = ListParams::default().fields("type=Warning").limit(500);
        Ok(place
            .answer("list the events", api.list(&parameters))
            .await?
            .items)
    }

    /// The end of what a container wrote before it ended.
    async fn last_words(&self, pod: &str, container: &str) -> String {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Pod> = Api::namespaced(client.clone(), &place.namespace);
        let parameters = LogParams {
            container: Some(container.to_owned()),
            previous: true,
            limit_bytes: Some(LOG_BYTES),
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        match place
            .answer("read its log", api.logs(pod, &parameters))
            .await
        {
            Ok(text) if !text.trim().is_empty() => {
                format!("; its log ends with: {}", super::words::shortened(&text))
            }
            Ok(_) => "; its log is empty".to_owned(),
            Err(error) => format!("; failed to {error}"),
        }
    }

    async fn too_late(
        &self,
        workload: &Workload,
        Progress { wanted, ready, .. }: Progress,
        applied: bool,
    ) -> PlatformError {
        let mut why = format!("{ready} of {wanted} pods are ready");
        if applied && let (Ok(pods), Ok(events)) = (self.all_pods().await, self.warnings().await) {
            let names = pods.iter().filter_map(|pod| pod.metadata.name.as_deref());
            let of_it = names.filter(|name| name.starts_with(&workload.name));
            let probe = of_it.filter_map(|pod| {
                let said = events
                    .iter()
                    .rev()
                    .find_map(|event| trouble::of_probe(event, pod))?;
                Some(format!("; {pod}: {said}"))
            });
            why += &probe.take(1).collect::<String>();
        }
        PlatformError::NotReady {
            instance: workload.to_string(),
            within: chaos_plan::units::duration_to_text(self.shared.patience),
            why,
        }
    }
}

impl Shared {
    /// How many of a workload's pods there are to be, and are ready.
    pub(super) async fn progress(&self, workload: &Workload) -> Result<Progress, PlatformError> {
        let Self { client, place, .. } = self;
        let (name, namespace) = (&workload.name, &place.namespace);
        let act = format!("look at {workload}");
        match workload.kind {
            WorkloadKind::Deployment => {
                let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                let found = place.answer(&act, api.get(name)).await?;
                Ok(of_deployment(&found))
            }
            WorkloadKind::StatefulSet => {
                let api: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
                let found = place.answer(&act, api.get(name)).await?;
                Ok(of_stateful_set(&found))
            }
        }
    }
}

/// The workloads among these objects.
fn workloads(objects: &[Value]) -> Vec<Workload> {
    let workload = |object: &Value| {
        let kind = match kind(object) {
            "Deployment" => WorkloadKind::Deployment,
            "StatefulSet" => WorkloadKind::StatefulSet,
            _ => return None,
        };
        Some(Workload {
            kind,
            name: text(object, "/metadata/name").to_owned(),
        })
    };
    objects.iter().filter_map(workload).collect()
}

fn of_deployment(found: &Deployment) -> Progress {
    let wanted = found
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = found.status.clone().unwrap_or_default();
    Progress {
        wanted,
        made: status.replicas.unwrap_or(0),
        ready: status.ready_replicas.unwrap_or(0),
        current: status.observed_generation >= found.metadata.generation
            && status.updated_replicas.unwrap_or(0) >= wanted
            && status.replicas.unwrap_or(0) <= wanted.max(status.updated_replicas.unwrap_or(0)),
    }
}

fn of_stateful_set(found: &StatefulSet) -> Progress {
    let wanted = found
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = found.status.clone().unwrap_or_default();
    Progress {
        wanted,
        made: status.replicas,
        ready: status.ready_replicas.unwrap_or(0),
        current: status.observed_generation >= found.metadata.generation
            && status.updated_replicas.unwrap_or(0) >= wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(generation: i64, status: &Value) -> Progress {
        let object = json!({ "metadata": { "generation": generation }, "spec": { "replicas": 3,
            "selector": {}, "template": {} }, "status": status });
        of_deployment(&serde_json::from_value(object).expect("a deployment"))
    }

    #[test]
    fn a_workload_is_up_when_all_pods_of_its_last_version_are_ready() {
        let all = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3 });
        assert!(deployment(2, &all).is_up());
        assert!(
            !deployment(3, &all).is_up(),
            "its controller has not seen the change"
        );
        let old = json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 3, "readyReplicas": 4 });
        assert!(
            !deployment(2, &old).is_up(),
            "one of the old version is left"
        );
        let few = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 2 });
        assert!(!deployment(2, &few).is_up());
        assert!(!deployment(1, &json!({})).is_up());
    }
}
