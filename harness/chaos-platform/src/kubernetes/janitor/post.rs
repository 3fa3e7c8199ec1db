//! The harness's part of the janitor: plans it, makes it, tells it what it looks after, and removes it.
//!
//! Invariant: it is made after its removal stands in the ledger, and removed only while no fault of its run
//! stands on what it looks after. What it gets a right to, it gets before the fault.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::plan::Description;
use chaos_plan::{Plan, units};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::api::{Preconditions, PropagationPolicy};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::manifest::{self, Image};
use super::{CHARGE, Charge, Janitor, Keeper, NAME, READY, is_needed, name, serve};
use crate::kubernetes::changed::{self, Kind};
use crate::kubernetes::ground::Ground;
use crate::kubernetes::manifests::RUN;
use crate::kubernetes::place::Place;
use crate::kubernetes::trouble::{self, Trouble};
use crate::kubernetes::{FIELD_MANAGER, KubernetesPlatform, Shared, lease, words};
use crate::platform::PlatformError;
use crate::undo::Undo;

/// Longest time until it watches: its image may have to be pulled.
const READY_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(250);
/// It stays for so long after the load should be over: by then all is taken back, or it has acted itself.
const MARGIN: Duration = Duration::from_mins(15);
/// Longest wait for it to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Lines of its log that are told where it does not become ready.
const LOG_LINES: i64 = 3;

fn api<K>(client: &Client, place: &Place) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), &place.namespace)
}

impl Keeper {
    /// The janitor of a run, if the run is to have one and its plan has a fault that stays. Where the namespace
    /// is there already, the API server is asked whether it would take the Job.
    pub(in crate::kubernetes) async fn plan(
        client: &Client,
        place: &Place,
        (plan, run, ground): (&Plan, &str, Ground),
        (asked, objects): (Option<&Janitor>, &[Value]),
        description: &Description,
    ) -> Result<Option<Self>, PlatformError> {
        let Some(asked) = asked.filter(|_| is_needed(plan)) else {
            return Ok(None);
        };
        let found = match objects {
            [] if asked.image.is_none() => running(client, place, description).await?,
            _ => Vec::new(),
        };
        let image = Image::choose(
            asked,
            objects.iter().chain(&found).flat_map(manifest::containers),
        )?;
        let keeper = Self {
            name: name(run),
            image,
            charge: Mutex::new(Charge::of(plan)),
            deadline: plan.load.length() + MARGIN,
        };
        if ground == Ground::OptedIn {
            keeper.rehearse(client, place, run).await?;
        }
        Ok(Some(keeper))
    }

    fn job(&self, run: &str) -> Result<Job, PlatformError> {
        read(&manifest::job(&self.name, run, &self.image, self.deadline))
    }

    async fn rehearse(
        &self,
        client: &Client,
        place: &Place,
        run: &str,
    ) -> Result<(), PlatformError> {
        let parameters = PostParams {
            dry_run: true,
            field_manager: Some(FIELD_MANAGER.to_owned()),
        };
        make(client, place, (&self.job(run)?, "job"), &parameters).await?;
        Ok(())
    }
}

/// The workloads of a target that runs already.
async fn running(
    client: &Client,
    place: &Place,
    description: &Description,
) -> Result<Vec<Value>, PlatformError> {
    let mut found = Vec::new();
    for service in &description.services {
        if let Some(workload) = service.workload() {
            let kind = Kind::of(workload.kind);
            found.extend(changed::version(client, place, (kind, &workload.name)).await?);
        }
    }
    Ok(found)
}

fn read<K: DeserializeOwned>(object: &Value) -> Result<K, PlatformError> {
    serde_json::from_value(object.clone()).map_err(|error| PlatformError::Cluster {
        act: "plan the janitor".to_owned(),
        why: error.to_string(),
    })
}

async fn make<K>(
    client: &Client,
    place: &Place,
    (object, what): (&K, &str),
    parameters: &PostParams,
) -> Result<K, PlatformError>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug,
    K: DeserializeOwned + serde::Serialize,
    K::DynamicType: Default,
{
    let act = format!("make the janitor's {what} (without one: `--no-janitor`)");
    let api: Api<K> = api(client, place);
    place.answer(&act, api.create(parameters, object)).await
}

impl KubernetesPlatform {
    /// Makes the janitor, where the run is to have one, and waits until it watches.
    pub(in crate::kubernetes) async fn post_janitor(&self) -> Result<(), PlatformError> {
        let Shared {
            client, place, run, ..
        } = &*self.shared;
        let Some(keeper) = &self.shared.janitor else {
            return Ok(());
        };
        let charge = keeper.charge.lock().await.clone();
        note_charge(client, place, &charge).await?;
        let parameters = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let job = make(client, place, (&keeper.job(run)?, "job"), &parameters).await?;
        let uid = job.metadata.uid.unwrap_or_default();
        let [account, role, binding] = manifest::rights(&keeper.name, run, &uid, &charge);
        let account: ServiceAccount = read(&account)?;
        make(client, place, (&account, "service account"), &parameters).await?;
        let role: Role = read(&role)?;
        make(client, place, (&role, "role"), &parameters).await?;
        let binding: RoleBinding = read(&binding)?;
        make(client, place, (&binding, "role binding"), &parameters).await?;
        let go = json!({ "spec": { "suspend": false } });
        let jobs: Api<Job> = api(client, place);
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&go);
        let going = jobs.patch(&keeper.name, &parameters, &patch);
        place.answer("start the janitor", going).await?;
        self.until_janitor_watches(keeper).await
    }

    async fn until_janitor_watches(&self, keeper: &Keeper) -> Result<(), PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let begun = Instant::now();
        let mut stuck: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            match lease::find(client, place).await {
                Ok(Some(lease)) if lease::annotated(&lease, READY) == Some(&keeper.name) => {
                    tracing::info!(janitor = keeper.name, "the janitor watches");
                    return Ok(());
                }
                Ok(_) | Err(PlatformError::Unreachable { .. }) => {}
                Err(error) => return Err(error),
            }
            let troubles = match self.janitor_troubles(keeper).await {
                Ok(troubles) => troubles,
                Err(PlatformError::Unreachable { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            stuck.retain(|why, _| troubles.iter().any(|trouble| trouble.why == *why));
            for Trouble { patience, why, .. } in troubles {
                let since = stuck.entry(why.clone()).or_insert_with(Instant::now);
                if since.elapsed() >= patience {
                    return Err(self.no_janitor(keeper, &why).await);
                }
            }
            if begun.elapsed() >= READY_WITHIN {
                let why = format!(
                    "it does not watch after {}; may its pod reach the API server?",
                    units::duration_to_text(READY_WITHIN)
                );
                return Err(self.no_janitor(keeper, &why).await);
            }
            sleep(LOOK).await;
        }
    }

    async fn janitor_pods(&self, keeper: &Keeper) -> Result<Vec<Pod>, PlatformError> {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Pod> = api(client, place);
        let parameters =
            ListParams::default().labels(&format!("batch.kubernetes.io/job-name={}", keeper.name));
        let act = "look at the janitor";
        Ok(place.answer(act, api.list(&parameters)).await?.items)
    }

    /// What keeps it from starting: of its pod, or of whoever cannot make one.
    async fn janitor_troubles(&self, keeper: &Keeper) -> Result<Vec<Trouble>, PlatformError> {
        let pods = self.janitor_pods(keeper).await?;
        let mut troubles: Vec<Trouble> = pods.iter().filter_map(trouble::of_pod).collect();
        troubles.extend(pods.iter().filter_map(ended));
        if pods.is_empty() {
            let events = self.warnings().await?;
            let of_it = events
                .iter()
                .filter(|event| event.involved_object.name.as_ref() == Some(&keeper.name));
            troubles.extend(of_it.filter_map(trouble::of_event));
        }
        Ok(troubles)
    }

    async fn no_janitor(&self, keeper: &Keeper, why: &str) -> PlatformError {
        let Shared { client, place, .. } = &*self.shared;
        let api: Api<Pod> = api(client, place);
        let parameters = LogParams {
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        let mut said = String::new();
        for pod in self.janitor_pods(keeper).await.unwrap_or_default() {
            let name = pod.metadata.name.unwrap_or_default();
            let asking = api.logs(&name, &parameters);
            if let Ok(text) = place.answer("read its log", asking).await {
                said = text;
            }
        }
        let log = match words::shortened(&said) {
            text if text.is_empty() => text,
            text => format!("; its log ends with: {text}"),
        };
        PlatformError::Start {
            instance: NAME.to_owned(),
            why: format!("{why}{log}; the run can do without: `--no-janitor`"),
        }
    }

    /// Before a fault: nobody has taken the namespace over, and the janitor may take it back.
    pub(in crate::kubernetes) async fn charge_janitor(
        &self,
        undo: &Undo,
    ) -> Result<(), PlatformError> {
        let Shared {
            client, place, run, ..
        } = &*self.shared;
        let Some(keeper) = &self.shared.janitor else {
            return Ok(());
        };
        if !lease::is_of(client, place, run).await? {
            return Err(PlatformError::Cluster {
                act: "begin a fault".to_owned(),
                why: "the lease of the namespace is gone or another's".to_owned(),
            });
        }
        let mut charge = keeper.charge.lock().await;
        let mut more = charge.clone();
        more.take(undo);
        if more == *charge {
            return Ok(());
        }
        let patch = json!({ "rules": more.rules() });
        let roles: Api<Role> = api(client, place);
        let parameters = PatchParams::default();
        let patch = Patch::Merge(&patch);
        let patching = roles.patch(&keeper.name, &parameters, &patch);
        place
            .answer("give the janitor a right to one more object", patching)
            .await?;
        note_charge(client, place, &more).await?;
        *charge = more;
        Ok(())
    }
}

/// A pod that has ended, though nobody asked it to.
fn ended(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Failed") {
        return None;
    }
    let states = status.container_statuses.iter().flatten();
    let mut ends = states.filter_map(|one| one.state.as_ref()?.terminated.as_ref());
    let why = ends.next().map_or_else(
        || status.reason.clone().unwrap_or_default(),
        |end| {
            let (reason, message) = (end.reason.as_deref(), end.message.as_deref());
            format!(
                "exit code {} {} {}",
                end.exit_code,
                reason.unwrap_or_default(),
                message.unwrap_or_default()
            )
        },
    );
    Some(Trouble {
        patience: Duration::ZERO,
        why: words::shortened(&format!("its pod has ended: {why}")),
        ended: None,
    })
}

async fn note_charge(client: &Client, place: &Place, charge: &Charge) -> Result<(), PlatformError> {
    let text = serde_json::to_string(charge).expect("plain data");
    lease::annotate(client, place, CHARGE, &text).await
}

/// Removes the janitor of a run and waits until its pod is gone. Refused while a fault of the run stands:
/// then it is what still takes that back.
pub(in crate::kubernetes) async fn remove(
    client: &Client,
    place: &Place,
    (run, name): (&str, &str),
) -> Result<bool, PlatformError> {
    let act = format!("remove the janitor, job/{name}");
    let api: Api<Job> = api(client, place);
    let Some(found) = place.answer(&act, api.get_opt(name)).await? else {
        return Ok(false);
    };
    let labels = found.metadata.labels.as_ref();
    if labels
        .and_then(|labels| labels.get(RUN))
        .map(String::as_str)
        != Some(run)
    {
        return Ok(false);
    }
    if let Some(object) = serve::still_stands(client, place, run).await? {
        return Err(PlatformError::Cluster {
            act,
            why: format!(
                "a fault of the run stands on {object}; the janitor stays and takes it back {} s after the last sign of life",
                lease::LASTS.as_secs()
            ),
        });
    }
    delete(&api, place, (&found, &act)).await?;
    let deadline = Instant::now() + GONE_WITHIN;
    while place.answer(&act, api.get_opt(name)).await?.is_some() {
        if Instant::now() >= deadline {
            return Err(PlatformError::Cluster {
                act,
                why: format!("it is still there after {} s", GONE_WITHIN.as_secs()),
            });
        }
        sleep(LOOK).await;
    }
    Ok(true)
}

/// In the foreground: it is there until its pods are gone, so its absence proves both.
async fn delete(
    api: &Api<Job>,
    place: &Place,
    (job, act): (&Job, &str),
) -> Result<(), PlatformError> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: job.metadata.uid.clone(),
            resource_version: None,
        }),
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    match api.delete(name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(place.failed(act.to_owned(), &error)),
    }
}

/// Removes the janitors of dead runs in a namespace; `run` for only one. Who may not see Jobs leaves them to
/// their deadline.
pub(in crate::kubernetes) async fn remove_all(
    client: &Client,
    place: &Place,
    run: Option<&str>,
) -> Result<(), PlatformError> {
    let api: Api<Job> = api(client, place);
    let of_run = run.map(|run| format!(",{RUN}={run}")).unwrap_or_default();
    let label = format!("app.kubernetes.io/name={NAME}{of_run}");
    let parameters = ListParams::default().labels(&label);
    let found = match place
        .answer("list the janitors", api.list(&parameters))
        .await
    {
        Ok(found) => found.items,
        Err(error @ PlatformError::Cluster { .. }) => {
            tracing::warn!("janitors are left to their deadline: failed to {error}");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for job in &found {
        delete(&api, place, (job, "remove a janitor")).await?;
    }
    Ok(())
}
