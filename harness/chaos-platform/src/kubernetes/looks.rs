//! What can be seen of a cluster before any run, for `chaos doctor`.
//!
//! Invariant: only reads, and each look stands alone: one that fails does not hide the others.

use kube::Client;
use kube::config::Kubeconfig;

use super::ground::{self, Ground};
use super::place::{self, Chosen, Place};
use super::{lease, marks, rights};
use crate::platform::PlatformError;

/// API group by which an autoscaler learns what pods use.
const METRICS: &str = "metrics.k8s.io";

/// One thing that was looked at.
#[derive(Debug)]
pub struct Look {
    pub what: &'static str,
    pub seen: Result<String, PlatformError>,
}

/// Names of the contexts that a run could be given.
pub fn contexts(chosen: &Chosen) -> Result<Vec<String>, PlatformError> {
    let kubeconfig = place::read(&place::files(chosen)?)?;
    let named = kubeconfig.contexts.into_iter();
    Ok(named.map(|context| context.name).collect())
}

/// Looks at the cluster, and at the namespace if one is named (`Chosen::namespace` is not empty).
pub async fn look(chosen: &Chosen) -> Vec<Look> {
    let (place, kubeconfig) = match Place::find(chosen) {
        Ok(found) => found,
        Err(error) => return vec![Look::new("kubeconfig", Err(error))],
    };
    let (client, server) = match client(&place, kubeconfig).await {
        Ok(answered) => answered,
        Err(error) => return vec![Look::new("api server", Err(error))],
    };
    let mut looks = vec![
        Look::new("api server", Ok(server)),
        Look::new("metrics api", metrics(&client, &place).await),
    ];
    if !place.namespace.is_empty() {
        looks.push(Look::new("namespace", namespace(&client, &place).await));
    }
    looks
}

impl Look {
    fn new(what: &'static str, seen: Result<String, PlatformError>) -> Self {
        Self { what, seen }
    }
}

/// A client that was answered, and by whom.
async fn client(place: &Place, kubeconfig: Kubeconfig) -> Result<(Client, String), PlatformError> {
    let client = place.client_once(kubeconfig).await?;
    let act = "ask the API server for its version";
    let version = place.answer(act, client.apiserver_version()).await?;
    let seen = format!("Kubernetes {} at {}", version.git_version, place.server);
    Ok((client, seen))
}

async fn metrics(client: &Client, place: &Place) -> Result<String, PlatformError> {
    let act = "ask the API server for its groups";
    let groups = place.answer(act, client.list_api_groups()).await?;
    let is_there = groups.groups.iter().any(|group| group.name == METRICS);
    let seen = if is_there {
        format!("{METRICS} is served")
    } else {
        format!("{METRICS} is not served: no autoscaler here acts on what pods use")
    };
    Ok(seen)
}

/// Whether a run could begin in the namespace now.
async fn namespace(client: &Client, place: &Place) -> Result<String, PlatformError> {
    let name = &place.namespace;
    ground::refuse_system(name)?;
    if ground::look(client, place, true).await? == Ground::Free {
        rights::may_make(client, place).await?;
        return Ok(format!(
            "`{name}` is not there; a run that applies its target makes and removes it"
        ));
    }
    if let Some(holder) = lease::held_by(client, place, "").await? {
        return Err(lease::refuse(&holder, place));
    }
    if let Some(lease) = lease::find(client, place).await? {
        marks::refuse(&lease.metadata, place)?;
    }
    Ok(format!("`{name}` is opted in, and no run is at it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_listed_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        let text =
            "contexts: [{ name: test, context: { cluster: one, user: me } }, { name: prod }]";
        std::fs::write(&path, text).expect("ours");
        let chosen = Chosen {
            kubeconfig: Some(path),
            context: String::new(),
            namespace: String::new(),
        };
        assert_eq!(contexts(&chosen).expect("readable"), ["test", "prod"]);
    }
}
