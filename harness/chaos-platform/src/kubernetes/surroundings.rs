//! What is watched beside the pods: autoscalers, endpoints, warnings, nodes.
//!
//! Invariant: only what the plan uses is watched, and every right that takes is in [`Watched::rights`];
//! nodes, which are the whole cluster's, are watched only by whoever may.

use std::sync::Arc;

use chaos_plan::Plan;
use chaos_plan::plan::{Expect, Find, Inject};
use kube::{Api, Client};

use super::autoscaler::Autoscalers;
use super::follow::follow;
use super::nodes::Nodes;
use super::place::Place;
use super::rights::{self, Right};
use super::serving::Services;
use super::warnings::Warnings;
use super::{KubernetesPlatform, Shared};
use crate::observation::{PlatformChange, Seen};
use crate::platform::PlatformError;

/// Which objects are watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Watched {
    autoscalers: bool,
    /// Endpoints, warnings and nodes: what tells of a fault.
    signs: bool,
    /// The caller may see nodes.
    nodes: bool,
}

impl Watched {
    /// What a plan uses; `applied` are the kinds of its manifests.
    pub(super) fn of(plan: &Plan, applied: &[(String, String)]) -> Self {
        let claims: Vec<&Expect> = plan.claims.iter().map(|claim| &claim.expect).collect();
        let faults: Vec<&Inject> = plan.faults.iter().map(|fault| &fault.inject).collect();
        let brings = applied.iter().any(|(_, kind)| kind == AUTOSCALERS.1);
        Self::by(&claims, &faults, brings)
    }

    /// `brings` is that autoscalers are among what is applied.
    fn by(claims: &[&Expect], faults: &[&Inject], brings: bool) -> Self {
        let is_claimed = claims
            .iter()
            .any(|expect| matches!(expect, Expect::ScaleOut { .. }));
        let changes_how_many = faults
            .iter()
            .any(|inject| matches!(inject, Inject::Scale { .. } | Inject::Drift { .. }));
        Self {
            autoscalers: brings || is_claimed || changes_how_many,
            signs: is_claimed || !faults.is_empty(),
            nodes: false,
        }
    }

    /// What whoever runs must be allowed in the namespace.
    pub(super) fn rights(self) -> Vec<Right> {
        let seeing = |group, resource| Right::new(group, resource, &["list", "watch"]);
        let mut rights = Vec::new();
        if self.autoscalers {
            rights.push(seeing(AUTOSCALERS.0, AUTOSCALERS.1));
        }
        if self.signs {
            rights.push(seeing("", "events"));
            rights.push(seeing("discovery.k8s.io", "endpointslices"));
        }
        rights
    }

    /// The same, with nodes if the caller may see them, which no run requires.
    pub(super) async fn with_nodes(
        self,
        client: &Client,
        place: &Place,
    ) -> Result<Self, PlatformError> {
        let nodes = Right::new("", "nodes", &["list", "watch"]);
        let may = async |verb| rights::is_allowed(client, place, None, &nodes, verb).await;
        let nodes = self.signs && may("list").await? && may("watch").await?;
        Ok(Self { nodes, ..self })
    }
}

const AUTOSCALERS: (&str, &str) = ("autoscaling", "horizontalpodautoscalers");

impl KubernetesPlatform {
    /// Begins to watch; what was there before is not told.
    pub(super) async fn watch_surroundings(&self) {
        let Shared {
            client,
            place,
            observer,
            ..
        } = &*self.shared;
        let namespace = &place.namespace;
        let shared = || Arc::clone(&self.shared);
        if self.watched.autoscalers {
            let api = Api::namespaced(client.clone(), namespace);
            self.tasks
                .spawn(follow(shared(), api, Autoscalers::default()));
        }
        if !self.watched.signs {
            return;
        }
        let api = Api::namespaced(client.clone(), namespace);
        self.tasks.spawn(follow(shared(), api, Services::default()));
        let api = Api::namespaced(client.clone(), namespace);
        self.tasks.spawn(follow(shared(), api, Warnings::default()));
        if self.watched.nodes {
            let api = Api::all(client.clone());
            self.tasks.spawn(follow(shared(), api, Nodes::default()));
        } else {
            let seen = PlatformChange::Unwatched {
                what: "whether nodes are ready".to_owned(),
                why: "you may not list and watch nodes, which no run requires".to_owned(),
            };
            observer.tell("", "", Seen::Platform(seen)).await;
        }
    }
}

impl Shared {
    /// The service that a pod is of, by its UID.
    pub(super) fn whose(&self, uid: &str) -> Option<String> {
        self.slots.borrow().whose(uid)
    }

    /// The service of a workload, or of a set of pods that a workload made, as `kind/name`.
    pub(super) fn whose_workload(&self, object: &str) -> Option<String> {
        let (kind, name) = object.split_once('/')?;
        let is_of = |find: &Find| match find {
            Find::Workload(workload) if kind == "replicaset" => name
                .rsplit_once('-')
                .is_some_and(|(made_by, _)| made_by == workload.name),
            Find::Workload(workload) => workload.to_string() == object,
            Find::Labels(_) => false,
        };
        let service = self
            .services
            .iter()
            .find(|service| is_of(&service.pods.find));
        service.map(|service| service.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_plan::plan::{HowMany, KillSignal, Targets};

    use super::*;

    fn resources(claims: &[&Expect], faults: &[&Inject], brings: bool) -> Vec<String> {
        let rights = Watched::by(claims, faults, brings).rights();
        rights.into_iter().map(|right| right.resource).collect()
    }

    #[test]
    fn what_a_plan_does_not_use_needs_no_right() {
        let targets = || Targets {
            service: "api".to_owned(),
            how_many: HowMany::Count(1),
        };
        let kill = Inject::Kill {
            targets: targets(),
            signal: KillSignal::Kill,
        };
        let drift = Inject::Drift {
            targets: targets(),
            replicas: 1,
        };
        let scale_out = Expect::ScaleOut {
            service: "api".to_owned(),
            to: None,
            within: Duration::from_secs(45),
            stages: vec![0],
        };
        let signs = ["events", "endpointslices"];
        let all = ["horizontalpodautoscalers", "events", "endpointslices"];
        assert!(resources(&[], &[], false).is_empty());
        assert_eq!(resources(&[], &[&kill], false), signs);
        assert_eq!(resources(&[], &[&kill, &drift], false), all);
        assert_eq!(resources(&[&scale_out], &[], false), all);
        assert_eq!(resources(&[], &[], true), [all[0]]);
    }
}
