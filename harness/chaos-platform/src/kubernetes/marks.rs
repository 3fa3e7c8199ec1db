//! Faults that stand in a namespace: found by the annotations on its objects, without any ledger, so that
//! another machine can take them back.
//!
//! Invariant: nothing is taken back beside a run that renews its lease. What is done is what the ledger
//! would have said: the same data, and the same compare-and-swap.

use jiff::Timestamp;
use kube::Client;
use kube::api::{ListParams, ObjectMeta};

use super::changed::Kind;
use super::place::{Chosen, Place};
use super::{applied, janitor, lease};
use crate::platform::PlatformError;
use crate::undo::{self, Reverted, Undo, UndoStep};

/// Begin of every annotation that holds an undo.
const UNDO: &str = "chaos.dev/undo-";

/// One fault that was left, and what came of taking it back.
#[derive(Debug)]
pub struct TakenBack {
    pub run: String,
    pub how: Reverted,
}

/// Takes back every fault that a dead run left in a namespace; `run` for only one of them.
pub async fn take_back(
    chosen: &Chosen,
    run: Option<&str>,
) -> Result<Vec<TakenBack>, PlatformError> {
    let (place, kubeconfig) = Place::find(chosen)?;
    let client = place.client(kubeconfig).await?;
    if let Some(holder) = lease::held_by(&client, &place, "").await? {
        return Err(PlatformError::Cluster {
            act: format!("take back what stands in namespace `{}`", place.namespace),
            why: if janitor::is_name(&holder) {
                lease::cleaning(&holder)
            } else {
                format!(
                    "run `{holder}` is alive there, or was 30 s ago; end it with `chaos halt {holder}`, or wait"
                )
            },
        });
    }
    let mut taken = Vec::new();
    for undo in find(&client, &place).await? {
        if run.is_none_or(|run| run == undo.mark) {
            let how = undo::revert(&undo).await;
            taken.push(TakenBack {
                run: undo.mark,
                how,
            });
        }
    }
    if taken.iter().all(|one| one.how.is_clean()) {
        janitor::remove_all(&client, &place, run).await?;
        lease::forget(&client, &place).await?;
    }
    Ok(taken)
}

/// Every undo that stands on an object, with the place it is reached at from here.
async fn find(client: &Client, place: &Place) -> Result<Vec<Undo>, PlatformError> {
    let mut found = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::Pod] {
        let resource = kind.resource();
        let api = applied::dynamic(client, place, &resource);
        let parameters = ListParams::default();
        let act = format!("list {}", resource.plural);
        let all = place.answer(&act, api.list_metadata(&parameters)).await?;
        found.extend(all.items.iter().flat_map(|one| of(&one.metadata, place)));
    }
    if let Some(lease) = lease::find(client, place).await? {
        found.extend(of(&lease.metadata, place));
    }
    Ok(found)
}

/// The undos that an object bears. What cannot be read is no undo of this version, and told.
pub(super) fn of(metadata: &ObjectMeta, place: &Place) -> Vec<Undo> {
    let annotations = metadata.annotations.iter().flatten();
    let texts = annotations.filter(|(key, _)| key.starts_with(UNDO));
    let undos = texts.filter_map(|(key, text)| {
        let read = serde_json::from_str::<Undo>(text);
        if let Err(error) = &read {
            tracing::warn!(key, %error, "an annotation holds no undo that this program reads");
        }
        read.ok()
    });
    undos.map(|undo| placed(undo, place)).collect()
}

/// The same, through this machine's own way to the cluster.
fn placed(mut undo: Undo, place: &Place) -> Undo {
    match &mut undo.step {
        UndoStep::Restore(changed) => changed.place = place.clone(),
        UndoStep::Recreate(lost) => lost.place = place.clone(),
        UndoStep::Nothing { .. }
        | UndoStep::Resume { .. }
        | UndoStep::Release { .. }
        | UndoStep::Remove(_) => {}
    }
    undo
}

/// Refuses to begin over an object that bears the undo of a run.
pub(super) fn refuse(metadata: &ObjectMeta, place: &Place) -> Result<(), PlatformError> {
    let Some(undo) = of(metadata, place).into_iter().next() else {
        return Ok(());
    };
    let Place {
        context, namespace, ..
    } = place;
    let run = undo.mark;
    Err(PlatformError::Cluster {
        act: format!("begin in namespace `{namespace}`"),
        why: format!(
            "a fault of run `{run}` stands on `{}`; if that run is over: `chaos recover {run}` where it ran, or `chaos recover --context {context} --namespace {namespace}` anywhere",
            metadata.name.as_deref().unwrap_or_default()
        ),
    })
}

/// Whether a lease of this age may be removed: nobody renews it and no undo stands on it.
pub(super) fn is_dead(lease: &k8s_openapi::api::coordination::v1::Lease, now: Timestamp) -> bool {
    let mut annotations = lease.metadata.annotations.iter().flatten();
    let bears = annotations.any(|(key, _)| key.starts_with(UNDO));
    !bears && lease::holder(lease, "", now).is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place(context: &str) -> Place {
        Place {
            kubeconfig: vec!["/none".into()],
            context: context.to_owned(),
            server: "https://10.0.0.1".to_owned(),
            namespace: "shop".to_owned(),
        }
    }

    fn bearing(key: &str, text: &str) -> ObjectMeta {
        serde_json::from_value(json!({ "name": "api", "annotations": { key: text, "other": "x" } }))
            .expect("metadata")
    }

    fn undo() -> String {
        let lost = json!({ "place": place("theirs"), "name": "api", "uid": "u1", "manifest": {} });
        json!({ "version": 1, "mark": "r1", "step": { "recreate": lost } }).to_string()
    }

    #[test]
    fn an_undo_is_found_on_its_object_and_reached_from_here() {
        let found = of(
            &bearing("chaos.dev/undo-service-api", &undo()),
            &place("mine"),
        );
        let [Undo { mark, step, .. }] = &found[..] else {
            unreachable!("{found:?}")
        };
        let UndoStep::Recreate(lost) = step else {
            unreachable!("{step:?}")
        };
        assert_eq!((mark.as_str(), lost.place.context.as_str()), ("r1", "mine"));
        assert_eq!(of(&bearing("chaos.dev/undo-cpu", "{}"), &place("mine")), []);
        assert_eq!(of(&bearing("team/undo-cpu", &undo()), &place("mine")), []);
    }

    #[test]
    fn nobody_begins_over_a_fault_that_stands() {
        let metadata = bearing("chaos.dev/undo-service-api", &undo());
        let error = refuse(&metadata, &place("mine")).expect_err("it stands");
        let text = error.to_string();
        assert!(
            text.contains("run `r1`") && text.contains("--context mine --namespace shop"),
            "{text}"
        );
        assert!(refuse(&bearing("team/note", "x"), &place("mine")).is_ok());
    }

    #[test]
    fn a_lease_that_bears_an_undo_is_kept() {
        let now = Timestamp::UNIX_EPOCH;
        let lease = |metadata: ObjectMeta| k8s_openapi::api::coordination::v1::Lease {
            metadata,
            spec: None,
        };
        assert!(is_dead(&lease(ObjectMeta::default()), now));
        let bears = lease(bearing("chaos.dev/undo-service-api", &undo()));
        assert!(!is_dead(&bears, now));
    }
}
