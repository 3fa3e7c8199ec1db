//! One harness at a time in a namespace: a Lease object that is renewed while a run lives.
//!
//! Invariant: a lease that somebody else renews is never taken. Whoever loses it ends the run.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::json;

use super::FIELD_MANAGER;
use super::janitor;
use super::manifests::RUN;
use super::marks;
use super::place::Place;
use crate::platform::PlatformError;

/// Name of the object.
pub(super) const NAME: &str = "chaos";
/// A lease that was not renewed for so long is nobody's.
pub(super) const LASTS: Duration = Duration::from_secs(30);
/// Time between two renewals.
pub(super) const RENEW: Duration = Duration::from_secs(5);

fn api(client: &Client, place: &Place) -> Api<Lease> {
    Api::namespaced(client.clone(), &place.namespace)
}

/// Whether somebody else holds the namespace now; who, then.
pub(super) async fn held_by(
    client: &Client,
    place: &Place,
    run: &str,
) -> Result<Option<String>, PlatformError> {
    let found = find(client, place).await?;
    Ok(found.and_then(|lease| holder(&lease, run, Timestamp::now())))
}

pub(super) async fn find(client: &Client, place: &Place) -> Result<Option<Lease>, PlatformError> {
    let api = api(client, place);
    place
        .answer("read the lease of the namespace", api.get_opt(NAME))
        .await
}

/// Who but `run` holds it at `now`.
pub(super) fn holder(lease: &Lease, run: &str, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec
        .holder_identity
        .as_deref()
        .filter(|holder| *holder != run)?;
    let renewed = spec.renew_time.as_ref()?.0;
    let age = Duration::try_from(now.duration_since(renewed)).unwrap_or_default();
    (age < LASTS).then(|| holder.to_owned())
}

/// Refuses if another run holds it.
pub(super) fn refuse(holder: &str, place: &Place) -> PlatformError {
    PlatformError::Cluster {
        act: format!("begin in namespace `{}`", place.namespace),
        why: if janitor::is_name(holder) {
            cleaning(holder)
        } else {
            format!(
                "run `{holder}` is at it; wait until it is over, or end it with `chaos halt {holder}`"
            )
        },
    }
}

/// Why nobody else is needed where a janitor holds the lease.
pub(super) fn cleaning(holder: &str) -> String {
    format!("job/{holder} takes back what a dead run left there; wait a moment")
}

/// Takes the lease; one that has run out is removed first.
pub(super) async fn take(client: &Client, place: &Place, run: &str) -> Result<(), PlatformError> {
    if let Some(lease) = find(client, place).await? {
        if let Some(holder) = holder(&lease, run, Timestamp::now()) {
            return Err(refuse(&holder, place));
        }
        marks::refuse(&lease.metadata, place)?;
        remove(client, place, &lease).await?;
    }
    let now = Timestamp::now();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": { "name": NAME, "labels": { RUN: run } },
        "spec": { "holderIdentity": run, "leaseDurationSeconds": LASTS.as_secs(), "acquireTime": micro(now), "renewTime": micro(now) },
    });
    let lease: Lease = serde_json::from_value(lease).expect("a lease");
    let api = api(client, place);
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    // Of two that take it at once, the second is told that it exists.
    let creating = api.create(&parameters, &lease);
    place
        .answer("take the lease of the namespace", creating)
        .await?;
    Ok(())
}

fn micro(at: Timestamp) -> String {
    format!("{at:.6}")
}

/// Says that the run lives. `Ok(false)` if the lease is another's by now, or gone.
pub(super) async fn renew(
    client: &Client,
    place: &Place,
    run: &str,
) -> Result<bool, PlatformError> {
    let patch = json!({ "spec": { "renewTime": micro(Timestamp::now()) } });
    let api = api(client, place);
    let Some(lease) = find(client, place).await? else {
        return Ok(false);
    };
    let spec = lease.spec.as_ref();
    if spec.and_then(|spec| spec.holder_identity.as_deref()) != Some(run) {
        return Ok(false);
    }
    let parameters = PatchParams::default();
    let patch = Patch::Merge(&patch);
    let renewing = api.patch(NAME, &parameters, &patch);
    place
        .answer("renew the lease of the namespace", renewing)
        .await?;
    Ok(true)
}

/// Whether `holder` has it.
pub(super) async fn is_of(
    client: &Client,
    place: &Place,
    holder: &str,
) -> Result<bool, PlatformError> {
    let found = find(client, place).await?;
    let spec = found.and_then(|lease| lease.spec);
    Ok(spec.and_then(|spec| spec.holder_identity).as_deref() == Some(holder))
}

/// Takes exactly this version of somebody's lease; false if it has a newer one, or is gone.
pub(super) async fn take_over(
    client: &Client,
    place: &Place,
    lease: &Lease,
    holder: &str,
) -> Result<bool, PlatformError> {
    let patch = json!({
        "metadata": { "resourceVersion": lease.metadata.resource_version, "uid": lease.metadata.uid },
        "spec": { "holderIdentity": holder, "renewTime": micro(Timestamp::now()) },
    });
    let api = api(client, place);
    let parameters = PatchParams::default();
    let patch = Patch::Merge(&patch);
    let taking = async {
        match api.patch(NAME, &parameters, &patch).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    };
    place
        .answer("take the lease of the namespace over", taking)
        .await
}

/// Writes an annotation of the lease.
pub(super) async fn annotate(
    client: &Client,
    place: &Place,
    key: &str,
    value: &str,
) -> Result<(), PlatformError> {
    let patch = json!({ "metadata": { "annotations": { key: value } } });
    let api = api(client, place);
    let parameters = PatchParams::default();
    let patch = Patch::Merge(&patch);
    let patching = api.patch(NAME, &parameters, &patch);
    let act = "write onto the lease of the namespace";
    place.answer(act, patching).await?;
    Ok(())
}

pub(super) fn annotated<'a>(lease: &'a Lease, key: &str) -> Option<&'a String> {
    lease.metadata.annotations.as_ref()?.get(key)
}

/// Gives it back if it is this run's.
pub(super) async fn release(
    client: &Client,
    place: &Place,
    run: &str,
) -> Result<(), PlatformError> {
    let Some(lease) = find(client, place).await? else {
        return Ok(());
    };
    let spec = lease.spec.as_ref();
    if spec.and_then(|spec| spec.holder_identity.as_deref()) == Some(run) {
        // Whoever makes again what was deleted reads from here how.
        marks::refuse(&lease.metadata, place)?;
        remove(client, place, &lease).await?;
    }
    Ok(())
}

/// Removes it if it is nobody's and no undo stands on it.
pub(super) async fn forget(client: &Client, place: &Place) -> Result<(), PlatformError> {
    match find(client, place).await? {
        Some(lease) if marks::is_dead(&lease, Timestamp::now()) => {
            remove(client, place, &lease).await
        }
        _ => Ok(()),
    }
}

/// Exactly this version of it: whoever renewed it meanwhile keeps it.
async fn remove(client: &Client, place: &Place, lease: &Lease) -> Result<(), PlatformError> {
    let parameters = DeleteParams {
        preconditions: Some(Preconditions {
            uid: lease.metadata.uid.clone(),
            resource_version: lease.metadata.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let api = api(client, place);
    let removing = api.delete(NAME, &parameters);
    place
        .answer("give back the lease of the namespace", removing)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_somebodys_only_while_it_is_renewed() {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let lease = json!({ "metadata": {}, "spec": { "holderIdentity": "other", "renewTime": "2026-11-21T10:00:00.000000Z" } });
        let lease: Lease = serde_json::from_value(lease).expect("a lease");
        let soon = at("2026-11-21T10:00:29Z");
        assert_eq!(holder(&lease, "mine", soon).as_deref(), Some("other"));
        assert_eq!(holder(&lease, "other", soon), None);
        assert_eq!(holder(&lease, "mine", at("2026-11-21T10:00:31Z")), None);
        let before = at("2026-11-21T09:59:00Z");
        assert!(
            holder(&lease, "mine", before).is_some(),
            "their clock is ahead of ours"
        );
    }
}
