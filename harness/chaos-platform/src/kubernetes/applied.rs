//! What a run applied to a cluster, and its removal: also by the guardian and a later process.
//!
//! Invariant: only what bears the mark of the run is removed, each object by its UID. A namespace is
//! removed only if the run made it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ListParams, Preconditions, PropagationPolicy};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::manifests::RUN;
use super::place::Place;
use super::{janitor, lease};
use crate::platform::PlatformError;
use crate::undo::Reverted;

/// Longest time until everything is gone: pods may take their grace.
pub const REMOVED_WITHIN: Duration = Duration::from_mins(3);
/// The part of it in which removals are waited for; the rest is for asking.
const WAIT: Duration = Duration::from_secs(150);
/// The part of that in which a namespace waits to be removed for its pods.
const PODS: Duration = Duration::from_secs(75);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What a run applies, known before it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub place: Place,
    /// The run makes the namespace, so it goes as a whole.
    pub namespace: bool,
    /// Kinds of the objects; empty for a target that is only found.
    pub kinds: Vec<ApiResource>,
    /// The Job that takes faults back, if the run makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub janitor: Option<String>,
}

/// Removes what bears the mark of the run, waits until it is gone and gives the lease back. Tried again
/// as long as the API server does not answer and there is time.
pub(crate) async fn remove(run: &str, applied: &Applied) -> Reverted {
    let deadline = Instant::now() + WAIT;
    loop {
        let error = match try_remove(run, applied, deadline).await {
            Ok(done) => return done,
            Err(error) => error,
        };
        let may_pass = matches!(error, PlatformError::Unreachable { .. });
        if !may_pass || Instant::now() >= deadline {
            return Reverted::Failed {
                why: format!("failed to {error}; by hand: {}", by_hand(run, applied)),
            };
        }
        sleep(LOOK).await;
    }
}

/// The exact lines that do it without chaos.
fn by_hand(run: &str, applied: &Applied) -> String {
    let Place {
        context, namespace, ..
    } = &applied.place;
    if applied.namespace {
        return format!("`kubectl --context {context} delete namespace {namespace}`");
    }
    let names = applied.kinds.iter().map(|kind| match kind.group.as_str() {
        "" => kind.plural.clone(),
        group => format!("{}.{group}", kind.plural),
    });
    let jobs = applied.janitor.iter().map(|_| "jobs.batch".to_owned());
    let kinds = names.chain(jobs).collect::<Vec<_>>().join(",");
    if kinds.is_empty() {
        return format!(
            "`kubectl --context {context} -n {namespace} delete lease {}`",
            lease::NAME
        );
    }
    format!("`kubectl --context {context} -n {namespace} delete {kinds},lease -l {RUN}={run}`")
}

async fn try_remove(
    run: &str,
    applied: &Applied,
    deadline: Instant,
) -> Result<Reverted, PlatformError> {
    let place = &applied.place;
    let client = place.reach().await?;
    if applied.namespace {
        return remove_namespace(&client, applied, run, deadline).await;
    }
    let kinds = || applied.kinds.iter();
    let mut removed = remove_kinds(&client, place, run, kinds, deadline).await?;
    // It ends while the lease is the run's: what still stands is its to take back.
    if let Some(name) = &applied.janitor {
        removed += usize::from(janitor::remove(&client, place, (run, name)).await?);
        // It may have taken the lease over and not come to its end.
        lease::release(&client, place, name).await?;
    }
    lease::release(&client, place, run).await?;
    let Place { namespace, .. } = place;
    Ok(match removed {
        0 => Reverted::Clean {
            proof: format!("nothing of the run stands in namespace {namespace}"),
        },
        _ => Reverted::Restored {
            proof: format!("{removed} objects are gone from namespace {namespace}"),
        },
    })
}

async fn remove_namespace(
    client: &Client,
    applied: &Applied,
    run: &str,
    deadline: Instant,
) -> Result<Reverted, PlatformError> {
    let place = &applied.place;
    let api: Api<Namespace> = Api::all(client.clone());
    let name = &place.namespace;
    let act = format!("remove namespace `{name}`");
    let gone = format!("namespace {name} is gone");
    let Some(found) = place.answer(&act, api.get_opt(name)).await? else {
        return Ok(Reverted::Clean { proof: gone });
    };
    let labels = found.metadata.labels.as_ref();
    if labels
        .and_then(|labels| labels.get(RUN))
        .map(String::as_str)
        != Some(run)
    {
        return Ok(Reverted::Foreign {
            why: format!("namespace {name} is not the one that the run made; left"),
        });
    }
    if found.metadata.deletion_timestamp.is_none() {
        let pods = deadline.min(Instant::now() + PODS);
        // Whoever deletes a namespace that has pods looks at it again only after half of the longest
        // grace that any of them has, however soon they are gone: so they go first.
        let workloads = || applied.kinds.iter().filter(|kind| kind.group == "apps");
        if let Err(error) = remove_kinds(client, place, run, workloads, pods).await {
            tracing::debug!(%error, "the namespace takes its workloads along");
        }
        let parameters = only(found.metadata.uid.as_deref(), None);
        place.answer(&act, api.delete(name, &parameters)).await?;
    }
    loop {
        let Some(still) = place.answer(&act, api.get_opt(name)).await? else {
            return Ok(Reverted::Restored { proof: gone });
        };
        if still.metadata.uid != found.metadata.uid {
            return Ok(Reverted::Restored { proof: gone });
        }
        if Instant::now() >= deadline {
            return Err(PlatformError::Cluster {
                act,
                why: format!(
                    "after {} s it is still there: {}",
                    WAIT.as_secs(),
                    holds_up(&still)
                ),
            });
        }
        sleep(LOOK).await;
    }
}

/// All are asked to go before any is waited for; how many there were.
async fn remove_kinds<'a, I: Iterator<Item = &'a ApiResource>>(
    client: &Client,
    place: &Place,
    run: &str,
    kinds: impl Fn() -> I,
    deadline: Instant,
) -> Result<usize, PlatformError> {
    let mut removed = 0;
    for kind in kinds() {
        removed += remove_kind(client, place, kind, run).await?;
    }
    for kind in kinds() {
        wait_for_kind(client, place, kind, run, deadline).await?;
    }
    Ok(removed)
}

/// What a namespace that is being deleted waits for.
fn holds_up(namespace: &Namespace) -> String {
    let conditions = namespace
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let messages = conditions
        .into_iter()
        .flatten()
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone());
    let text = messages.collect::<Vec<_>>().join("; ");
    super::words::shortened(&text)
}

/// Deletes exactly one object.
fn only(uid: Option<&str>, propagation: Option<PropagationPolicy>) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: uid.map(str::to_owned),
            resource_version: None,
        }),
        propagation_policy: propagation,
        ..DeleteParams::default()
    }
}

async fn list(
    client: &Client,
    place: &Place,
    kind: &ApiResource,
    run: &str,
) -> Result<Vec<PartialObjectMeta<DynamicObject>>, PlatformError> {
    let api = dynamic(client, place, kind);
    let parameters = ListParams::default().labels(&format!("{RUN}={run}"));
    let act = format!("list {}", kind.plural);
    Ok(place
        .answer(&act, api.list_metadata(&parameters))
        .await?
        .items)
}

pub(super) fn dynamic(client: &Client, place: &Place, kind: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &place.namespace, kind)
}

async fn remove_kind(
    client: &Client,
    place: &Place,
    kind: &ApiResource,
    run: &str,
) -> Result<usize, PlatformError> {
    let api = dynamic(client, place, kind);
    let found = list(client, place, kind, run).await?;
    let mut removed = 0;
    for object in &found {
        let Some(name) = &object.metadata.name else {
            continue;
        };
        // In the foreground: the object is there until its pods are gone, so its absence proves both.
        let parameters = only(
            object.metadata.uid.as_deref(),
            Some(PropagationPolicy::Foreground),
        );
        let act = format!("remove {}/{name}", kind.plural);
        match api.delete(name, &parameters).await {
            Ok(_) => removed += 1,
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(place.failed(act, &error)),
        }
    }
    Ok(removed)
}

async fn wait_for_kind(
    client: &Client,
    place: &Place,
    kind: &ApiResource,
    run: &str,
    deadline: Instant,
) -> Result<(), PlatformError> {
    loop {
        let left = list(client, place, kind, run).await?;
        let Some(one) = left.first() else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            let name = one.metadata.name.as_deref().unwrap_or_default();
            return Err(PlatformError::Cluster {
                act: format!("remove {}/{name}", kind.plural),
                why: format!("it is still there after {} s", WAIT.as_secs()),
            });
        }
        sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(namespace: bool, kinds: &[(&str, &str)]) -> Applied {
        let kind = |(group, plural): &(&str, &str)| ApiResource {
            group: (*group).to_owned(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: String::new(),
            plural: (*plural).to_owned(),
        };
        Applied {
            place: Place {
                kubeconfig: vec!["/none".into()],
                context: "test".to_owned(),
                server: "https://10.0.0.1".to_owned(),
                namespace: "shop".to_owned(),
            },
            namespace,
            kinds: kinds.iter().map(kind).collect(),
            janitor: None,
        }
    }

    #[tokio::test]
    async fn what_cannot_be_removed_is_told_with_the_lines_that_do_it() {
        let how = remove("r1", &applied(true, &[])).await;
        assert!(!how.is_clean());
        assert!(
            how.words()
                .contains("`kubectl --context test delete namespace shop`"),
            "{how:?}"
        );
        let how = remove(
            "r1",
            &applied(false, &[("", "services"), ("apps", "deployments")]),
        )
        .await;
        let line = "`kubectl --context test -n shop delete services,deployments.apps,lease -l chaos.dev/run=r1`";
        assert!(how.words().contains(line), "{how:?}");
        let how = remove("r1", &applied(false, &[])).await;
        assert!(how.words().contains("delete lease chaos`"), "{how:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_never_answers_is_given_up_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        // Nobody listens at port 1.
        let text = r#"{ "clusters": [{ "name": "c", "cluster": { "server": "https://127.0.0.1:1" } }],
            "users": [{ "name": "u", "user": { "token": "s3cret" } }],
            "contexts": [{ "name": "test", "context": { "cluster": "c", "user": "u" } }] }"#;
        std::fs::write(&path, text).expect("ours");
        let mut applied = applied(true, &[]);
        applied.place.kubeconfig = vec![path];
        applied.place.server = "https://127.0.0.1:1".to_owned();
        let begun = Instant::now();
        let how = remove("r1", &applied).await;
        assert!(
            begun.elapsed() >= WAIT && begun.elapsed() < REMOVED_WITHIN,
            "{:?}",
            begun.elapsed()
        );
        let words = how.words();
        assert!(
            !how.is_clean() && words.contains("delete namespace shop`"),
            "{words}"
        );
        assert!(!words.contains("s3cret"), "{words}");
    }

    #[test]
    fn the_data_fits_a_ledger_and_an_annotation() {
        let applied = applied(false, &[("apps", "deployments")]);
        let text = serde_json::to_string(&applied).expect("plain data");
        assert_eq!(
            serde_json::from_str::<Applied>(&text).expect("the same"),
            applied
        );
        assert!(text.len() < 1_000, "{text}");
    }
}
