//! Whether a run may begin in a namespace: it is opted in, nobody else is at it, and nothing is left there.
//!
//! Invariant: only reads. A namespace that belongs to the system is refused by its name, whatever its labels.

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::manifests::{ALLOW, RUN};
use super::place::Place;
use crate::platform::PlatformError;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// There is no such namespace: the run makes it and removes it.
    Free,
    /// It is there and opted in: the run removes only what it applies.
    OptedIn,
}

/// Refuses namespaces that clusters and their add-ons live in.
pub(super) fn refuse_system(namespace: &str) -> Result<(), PlatformError> {
    let is_system = namespace.starts_with("kube-")
        || namespace.starts_with("openshift")
        || namespace.ends_with("-system")
        || namespace == "default";
    if !is_system {
        return Ok(());
    }
    Err(PlatformError::Cluster {
        act: format!("use namespace `{namespace}`"),
        why: "it belongs to the cluster itself or is everybody's; give the target a namespace of its own with `--namespace`".to_owned(),
    })
}

/// Looks at the namespace; `makes` if the run may make it.
pub(super) async fn look(
    client: &Client,
    place: &Place,
    makes: bool,
) -> Result<Ground, PlatformError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let act = format!("look at namespace `{}`", place.namespace);
    let found = place.answer(&act, api.get_opt(&place.namespace)).await?;
    judge(found.as_ref(), place, makes).map_err(|why| PlatformError::Cluster {
        act: format!("use namespace `{}`", place.namespace),
        why,
    })
}

fn judge(found: Option<&Namespace>, place: &Place, makes: bool) -> Result<Ground, String> {
    let (context, name) = (&place.context, &place.namespace);
    let Some(found) = found else {
        if makes {
            return Ok(Ground::Free);
        }
        return Err(format!(
            "there is none of that name in context `{context}`, and the target is not one that chaos applies"
        ));
    };
    if found.metadata.deletion_timestamp.is_some() {
        return Err("it is being deleted; wait until it is gone".to_owned());
    }
    let label = |key: &str| Some(found.metadata.labels.as_ref()?.get(key)?.as_str());
    if let Some(run) = label(RUN) {
        return Err(format!(
            "run `{run}` made it and has not removed it; if that run is over: `chaos recover {run}`, or `kubectl --context {context} delete namespace {name}`"
        ));
    }
    if label(ALLOW) != Some("true") {
        return Err(format!(
            "it is not opted in; to allow faults in it: `kubectl --context {context} label namespace {name} {ALLOW}=true`"
        ));
    }
    Ok(Ground::OptedIn)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place() -> Place {
        Place {
            kubeconfig: Vec::new(),
            context: "test".to_owned(),
            server: "https://10.0.0.1".to_owned(),
            namespace: "shop".to_owned(),
        }
    }

    fn check(labels: &serde_json::Value, expected: Result<Ground, &str>) {
        let object = json!({ "metadata": { "name": "shop", "labels": labels } });
        let namespace: Namespace = serde_json::from_value(object).expect("a namespace");
        match (judge(Some(&namespace), &place(), true), expected) {
            (Ok(ground), Ok(wanted)) => assert_eq!(ground, wanted),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn only_a_namespace_that_is_opted_in_and_clean_is_used() {
        check(&json!({ ALLOW: "true" }), Ok(Ground::OptedIn));
        check(
            &json!({}),
            Err("kubectl --context test label namespace shop chaos.dev/allow=true"),
        );
        check(&json!({ ALLOW: "yes" }), Err("not opted in"));
        check(
            &json!({ ALLOW: "true", RUN: "r1" }),
            Err("chaos recover r1"),
        );
    }

    #[test]
    fn a_namespace_that_is_not_there_is_made_only_for_what_is_applied() {
        assert_eq!(judge(None, &place(), true), Ok(Ground::Free));
        assert!(judge(None, &place(), false).is_err());
    }

    #[test]
    fn system_namespaces_are_refused() {
        for name in [
            "kube-system",
            "kube-public",
            "openshift-dns",
            "istio-system",
            "default",
        ] {
            assert!(refuse_system(name).is_err(), "{name}");
        }
        assert!(refuse_system("shop").is_ok());
    }
}
