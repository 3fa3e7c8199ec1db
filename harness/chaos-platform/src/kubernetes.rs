//! The Kubernetes platform: each instance is a slot that pods take (see `slots`), reached through a node
//! port or a given address, and asked for its audit through the API server.
//!
//! Nothing is installed in the cluster: it is all done with the caller's own credentials in one namespace
//! that is opted in. `prepare_deploy` and `connect` only read.
//! Invariant: a pod is deleted only by its UID; an object is removed only if it bears the mark of the run.

mod acts;
mod applied;
mod autoscaler;
mod changed;
mod deploy;
mod door;
mod evict;
mod expiry;
mod field;
mod follow;
mod ground;
mod janitor;
mod lease;
mod looks;
mod lost;
mod manifests;
mod marks;
mod nodes;
mod pace;
mod place;
mod pod;
mod pods;
mod resize;
mod restart;
mod restore;
mod rights;
mod rollout;
mod scale;
mod secrets;
mod serving;
mod slots;
mod surroundings;
mod trouble;
mod warnings;
mod watch;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use chaos_plan::Plan;
use chaos_plan::plan::{Description, Door, Pods, Target};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use serde_json::Value;
use tokio::sync::{mpsc, watch as channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use applied::{Applied, REMOVED_WITHIN};
pub use changed::Changed;
pub use janitor::{Janitor, Served, is_needed as has_faults_that_stay, serve};
pub use looks::{Look, contexts, look};
pub use lost::Lost;
pub use manifests::{Image, MAX_BYTES as MANIFEST_BYTES_MAX, ManifestError, Manifests};
pub use marks::{TakenBack, take_back};
pub use place::{Chosen, Place};
pub use restore::RESTORED_WITHIN;

pub(crate) use applied::remove;
pub(crate) use lost::recreate;
pub(crate) use restore::restore;

use self::ground::Ground;
use self::janitor::Keeper;
use self::manifests::{kind, text};
use self::pod::Seen;
use self::slots::{Slots, Told};
use self::surroundings::Watched;
use crate::act::{Act, Capability, Probe, Reading};
use crate::observation::Observation;
use crate::observer::Observer;
use crate::platform::{Deployment, InstanceState, InstanceUse, Pace, Platform, PlatformError};
use crate::undo::{self, Reverted, Undo, UndoStep};

/// Who applies, in the managed fields of every object.
const FIELD_MANAGER: &str = "chaos";
/// Least time in which something more must have become ready while a target comes up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest wait at the end for what the watch still has to tell.
const SEEN: Duration = Duration::from_secs(5);

/// What a run hands to its platform.
#[derive(Debug, Clone)]
pub struct KubernetesConfig {
    /// Its target must be a description.
    pub plan: Arc<Plan>,
    /// Id of the run: the mark of what it applies.
    pub run: String,
    pub chosen: Chosen,
    /// What is applied; `None` for a target that runs already.
    pub manifests: Option<Manifests>,
    /// The janitor that a plan gets which has faults that stay; `None` for a run that does without.
    pub janitor: Option<Janitor>,
}

/// Runs a target in a namespace of a cluster.
#[expect(
    missing_debug_implementations,
    reason = "holds a client, which holds credentials"
)]
pub struct KubernetesPlatform {
    shared: Arc<Shared>,
    description: Description,
    observations: Option<mpsc::Receiver<Observation>>,
    ground: Ground,
    /// The namespace, if it has to be made, and what is applied in it.
    namespace: Value,
    objects: Vec<Value>,
    /// Kinds of the objects by `apiVersion` and `kind`, in the order in which they are applied.
    kinds: Vec<ApiResource>,
    deployed: bool,
    /// What is watched beside the pods.
    watched: Watched,
    /// Where shoppers come in, once that is known.
    address: Option<String>,
    tasks: TaskTracker,
}

/// One service and how its pods are known.
struct ServicePods {
    name: String,
    pods: Pods,
    replicas: u32,
    /// Labels that its pods bear, known once its workload is there.
    selector: OnceLock<BTreeMap<String, String>>,
}

/// What the tasks use.
struct Shared {
    client: Client,
    /// One that repeats nothing by itself.
    once: Client,
    place: Place,
    run: String,
    /// In the order of the description.
    services: Vec<ServicePods>,
    /// Longest time without anything more being ready.
    patience: Duration,
    slots: channel::Sender<Slots>,
    observer: Observer,
    /// Ends the watch of the pods.
    stop: CancellationToken,
    /// Ends the renewals of the lease.
    release: CancellationToken,
    /// What was prepared and not applied yet: at most one undo an act.
    prepared: Mutex<Vec<(Act, Undo)>>,
    /// Takes faults back if nobody else does.
    janitor: Option<Keeper>,
    /// UIDs of pods whose eviction was asked for and refused: at most one an act.
    refused: Mutex<BTreeSet<String>>,
}

impl Shared {
    /// Which service a pod is of, and what it says.
    fn meant(&self, pod: &Pod) -> Option<(String, Seen)> {
        let labels = pod.metadata.labels.as_ref()?;
        let service = self.services.iter().find(|service| {
            let selector = service.selector.get();
            selector.is_some_and(|selector| {
                selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            })
        })?;
        Some((service.name.clone(), Seen::of(pod, &service.pods)?))
    }

    fn change(&self, change: impl FnOnce(&mut Slots) -> Vec<Told>) -> Vec<Told> {
        let mut told = Vec::new();
        self.slots.send_modify(|slots| told = change(slots));
        told
    }
}

impl KubernetesPlatform {
    /// Finds the cluster, and refuses a run that may not or cannot begin there. Only reads.
    pub async fn connect(config: KubernetesConfig) -> Result<Self, PlatformError> {
        let Target::Deploy(description) = config.plan.target.clone() else {
            return Err(PlatformError::Unable {
                act: "deploy a target that is only an address".to_owned(),
            });
        };
        ground::refuse_system(&config.chosen.namespace)?;
        let (place, kubeconfig) = Place::find(&config.chosen)?;
        expiry::check(&kubeconfig, &place.context, config.plan.load.length())?;
        let once = place.client_once(kubeconfig.clone()).await?;
        let client = place.client(kubeconfig).await?;
        let makes = config.manifests.is_some();
        let manifests = match (config.manifests, &description.kubernetes) {
            (Some(manifests), Some(cluster)) => {
                Some(manifests.with_secrets(secrets::make(cluster)?))
            }
            (manifests, _) => manifests,
        };
        let namespace = manifests.as_ref().map_or(Value::Null, |manifests| {
            manifests.namespace(&place.namespace, &config.run)
        });
        let kinds = kinds(&client, &place, manifests.as_ref()).await?;
        let applied: Vec<(String, String)> = kinds
            .iter()
            .map(|kind| (kind.group.clone(), kind.plural.clone()))
            .collect();
        let keeps = config.janitor.is_some();
        let needed = rights::needed(&config.plan, &applied, keeps);
        rights::check(&client, &place, &needed).await?;
        let watched = Watched::of(&config.plan, &applied);
        let watched = watched.with_nodes(&client, &place).await?;
        let ground = ground::look(&client, &place, makes).await?;
        if ground == Ground::Free {
            rights::may_make(&client, &place).await?;
        }
        if let Some(holder) = lease::held_by(&client, &place, &config.run).await? {
            return Err(lease::refuse(&holder, &place));
        }
        if let Some(lease) = lease::find(&client, &place).await? {
            marks::refuse(&lease.metadata, &place)?;
        }
        let objects = match manifests {
            None => Vec::new(),
            Some(manifests) => manifests
                .fitted(&description, &place.namespace, &config.run)
                .map_err(|error| PlatformError::Cluster {
                    act: "fit the manifests".to_owned(),
                    why: error.to_string(),
                })?,
        };
        let asked = (config.janitor.as_ref(), objects.as_slice());
        let ran = (&*config.plan, config.run.as_str(), ground);
        let keeper = Keeper::plan(&client, &place, ran, asked, &description).await?;
        let (mut shared, observations) = shared((client, once), place, config.run, &description);
        shared.janitor = keeper;
        Ok(Self {
            shared: Arc::new(shared),
            description,
            observations: Some(observations),
            ground,
            namespace,
            objects,
            kinds,
            deployed: false,
            watched,
            address: None,
            tasks: TaskTracker::new(),
        })
    }

    fn resource(&self, object: &Value) -> Option<&ApiResource> {
        let (version, kind) = (text(object, "/apiVersion"), kind(object));
        self.kinds
            .iter()
            .find(|known| known.api_version == version && known.kind == kind)
    }

    fn applied(&self) -> Applied {
        Applied {
            place: self.shared.place.clone(),
            namespace: self.ground == Ground::Free,
            kinds: self.kinds.clone(),
            janitor: self
                .shared
                .janitor
                .as_ref()
                .map(|keeper| keeper.name.clone()),
        }
    }

    /// Waits until the watch has seen every pod that is ready, so that what is told keeps its order.
    async fn until_seen(&self) {
        let wanted: usize = self
            .shared
            .services
            .iter()
            .map(|service| service.replicas as usize)
            .sum();
        let mut slots = self.shared.slots.subscribe();
        let all = slots.wait_for(|slots| slots.uids().len() >= wanted);
        if timeout(SEEN, all).await.is_err() {
            tracing::warn!("fewer pods are seen than are planned");
        }
    }
}

fn shared(
    (client, once): (Client, Client),
    place: Place,
    run: String,
    description: &Description,
) -> (Shared, mpsc::Receiver<Observation>) {
    let instances = description
        .services
        .iter()
        .map(|service| service.replicas as usize);
    let (observer, observations) = Observer::new(instances.sum());
    let services = description.services.iter().filter_map(|service| {
        Some(ServicePods {
            name: service.name.clone(),
            pods: service.pods.clone()?,
            replicas: service.replicas,
            selector: OnceLock::new(),
        })
    });
    let longest = description
        .services
        .iter()
        .map(|service| service.ready.within)
        .max();
    let shared = Shared {
        client,
        once,
        place,
        run,
        services: services.collect(),
        patience: longest.unwrap_or_default().max(PATIENCE),
        slots: channel::Sender::new(Slots::default()),
        observer,
        stop: CancellationToken::new(),
        release: CancellationToken::new(),
        prepared: Mutex::default(),
        janitor: None,
        refused: Mutex::default(),
    };
    (shared, observations)
}

/// The least Role with which a run of this plan works in `namespace`, as YAML. Asks no cluster: plurals
/// of kinds are taken to be regular. `keeps` if the run may make a janitor.
pub fn role(plan: &Plan, manifests: Option<&Manifests>, namespace: &str, keeps: bool) -> String {
    let mut kinds = manifests.map(Manifests::kinds).unwrap_or_default();
    let has_secrets = match &plan.target {
        Target::Deploy(Description {
            kubernetes: Some(cluster),
            ..
        }) => !cluster.secrets.is_empty(),
        Target::Deploy(_) | Target::Url(_) => false,
    };
    if manifests.is_some() && has_secrets {
        kinds.push(("v1".to_owned(), "Secret".to_owned()));
    }
    let applied: Vec<(String, String)> = kinds
        .iter()
        .map(|(version, kind)| {
            let (group, version) = version.split_once('/').unwrap_or(("", version));
            let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            (kind.group, kind.plural)
        })
        .collect();
    rights::role(namespace, &rights::needed(plan, &applied, keeps))
}

/// What the cluster calls the kinds of the manifests; refuses those of the whole cluster.
async fn kinds(
    client: &Client,
    place: &Place,
    manifests: Option<&Manifests>,
) -> Result<Vec<ApiResource>, PlatformError> {
    let mut kinds = Vec::new();
    for (version, kind) in manifests.map(Manifests::kinds).unwrap_or_default() {
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let wanted = GroupVersionKind::gvk(group, version, &kind);
        let act = format!("find the kind {kind} in the cluster");
        let (found, capabilities) = place.answer(&act, pinned_kind(client, &wanted)).await?;
        if capabilities.scope == Scope::Cluster {
            return Err(PlatformError::Cluster {
                act: "apply the manifests".to_owned(),
                why: ManifestError::ClusterWide(kind).to_string(),
            });
        }
        kinds.push(found);
    }
    Ok(kinds)
}

/// A platform that is dropped without a teardown stops watching; what it applied is in the ledger.
impl Drop for KubernetesPlatform {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.release.cancel();
    }
}

#[async_trait]
impl Platform for KubernetesPlatform {
    fn capabilities(&self) -> Vec<Capability> {
        vec![
            Capability::Kill,
            Capability::Evict,
            Capability::LimitCpu,
            Capability::Scale,
            Capability::RollOut,
            Capability::Lose,
        ]
    }

    fn observe(&mut self) -> Option<mpsc::Receiver<Observation>> {
        self.observations.take()
    }

    async fn prepare_deploy(&mut self) -> Result<Option<Undo>, PlatformError> {
        Ok(Some(Undo {
            version: undo::VERSION,
            mark: self.shared.run.clone(),
            step: UndoStep::Remove(self.applied()),
        }))
    }

    async fn deploy(&mut self) -> Result<Deployment, PlatformError> {
        Box::pin(self.deploy_all()).await
    }

    async fn instances(&self) -> Result<Vec<InstanceState>, PlatformError> {
        self.look_at_pods().await
    }

    async fn prepare(&self, act: &Act) -> Result<Undo, PlatformError> {
        Box::pin(self.prepare_act(act)).await
    }

    async fn apply(&self, act: &Act) -> Result<u64, PlatformError> {
        Box::pin(self.apply_act(act)).await
    }

    async fn probe(&self, probe: &Probe) -> Result<Reading, PlatformError> {
        Box::pin(self.read_probe(probe)).await
    }

    async fn pace(&self, act: &Act) -> Pace {
        Box::pin(self.pace_of(act)).await
    }

    async fn undo(&self, undo: &Undo) -> Reverted {
        undo::revert(undo).await
    }

    async fn address(&self, service: &str) -> Option<String> {
        let is_entry = service == self.description.entry;
        self.address.clone().filter(|_| is_entry)
    }

    async fn get(
        &self,
        service: &str,
        path: &str,
        body_max: usize,
    ) -> Result<Vec<u8>, PlatformError> {
        self.ask_pod(service, path, body_max).await
    }

    /// Not measured here: the metrics API tells averages, no counts.
    async fn usage(&self) -> Vec<InstanceUse> {
        Vec::new()
    }

    async fn restart_all(&mut self) -> Result<(), PlatformError> {
        self.roll_all().await
    }

    async fn teardown(&mut self) -> Vec<String> {
        self.shared.release.cancel();
        self.shared.slots.send_modify(|slots| slots.asked = true);
        let mut left = Vec::new();
        if self.deployed {
            let applied = self.applied();
            let removing = remove(&self.shared.run, &applied);
            let how =
                timeout(REMOVED_WITHIN, removing)
                    .await
                    .unwrap_or_else(|_| Reverted::Failed {
                        why: format!(
                            "not everything is removed after {} s",
                            REMOVED_WITHIN.as_secs()
                        ),
                    });
            if !how.is_clean() {
                left.push(how.words().to_owned());
            } else if !self.kinds.is_empty() {
                let mut slots = self.shared.slots.subscribe();
                let none = slots.wait_for(|slots| slots.uids().is_empty());
                drop(timeout(SEEN, none).await);
            }
        }
        self.shared.stop.cancel();
        self.tasks.close();
        if timeout(SEEN, self.tasks.wait()).await.is_err() {
            tracing::error!("the watch of the pods does not end");
        }
        left
    }
}

fn unable(act: &Act) -> PlatformError {
    PlatformError::Unable {
        act: format!("do that to `{}`", act.on()),
    }
}

/// The door through which the load comes in, as the plan says.
fn planned_door(description: &Description) -> Door {
    match &description.kubernetes {
        Some(cluster) => cluster.door.clone(),
        None => Door::Service(description.entry.clone()),
    }
}
