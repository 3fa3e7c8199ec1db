//! What the harness must be allowed to do in the namespace, and whether it is.
//!
//! Invariant: asks only about itself (`SelfSubjectAccessReview`) and changes nothing. Every call this
//! room makes is covered by a right that is asked about before the run begins.

use chaos_plan::Plan;
use chaos_plan::plan::{Description, Expect, Inject, Target, WorkloadKind};
use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::janitor;
use super::manifests::ALLOW;
use super::place::Place;
use super::surroundings::Watched;
use crate::platform::PlatformError;

/// Verbs on one kind of object in the namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    /// Empty for the core group.
    pub(super) group: String,
    /// Plural, with the part behind a slash if only that is meant: `pods/proxy`.
    pub(super) resource: String,
    pub(super) verbs: Vec<&'static str>,
}

impl Right {
    pub(super) fn new(group: &str, resource: &str, verbs: &[&'static str]) -> Self {
        Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
            verbs: verbs.to_vec(),
        }
    }
}

/// What a run of this plan needs, each kind of object once; `applied` are the kinds of its manifests.
/// `keeps` if the run makes a janitor where its plan has a fault that stays.
pub(super) fn needed(plan: &Plan, applied: &[(String, String)], keeps: bool) -> Vec<Right> {
    let mut rights = vec![
        Right::new("", "namespaces", &["get"]),
        Right::new("", "pods", &["get", "list", "watch"]),
        Right::new("", "services", &["get"]),
        Right::new(
            "coordination.k8s.io",
            "leases",
            &["get", "create", "patch", "delete"],
        ),
    ];
    let Target::Deploy(description) = &plan.target else {
        return rights;
    };
    let services = description.services.iter();
    let workloads = services.filter_map(|service| Some(plural(service.workload()?.kind)));
    let is_integrity = |expect: &Expect| matches!(expect, Expect::Integrity { .. });
    let audited = plan.claims.iter().any(|claim| is_integrity(&claim.expect));
    for resource in workloads {
        let verbs: &[&str] = if audited { &["get", "patch"] } else { &["get"] };
        rights.push(Right::new("apps", resource, verbs));
    }
    if audited {
        rights.push(Right::new("", "pods/proxy", &["get"]));
    }
    for fault in &plan.faults {
        rights.extend(of_fault(&fault.inject, description));
    }
    if keeps && janitor::is_needed(plan) {
        rights.extend(of_janitor());
    }
    rights.extend(Watched::of(plan, applied).rights());
    if !applied.is_empty() {
        rights.push(Right::new("", "pods/log", &["get"]));
        rights.push(Right::new("", "events", &["list"]));
    }
    for (group, resource) in applied {
        let verbs = &["get", "list", "create", "patch", "delete"];
        rights.push(Right::new(group, resource, verbs));
    }
    merged(rights)
}

/// What making, starting and removing a janitor needs, and to say why it does not start. Who grants a
/// right by a Role must have it: these are the rights of the faults themselves.
fn of_janitor() -> [Right; 6] {
    const RBAC: &str = "rbac.authorization.k8s.io";
    [
        Right::new("batch", "jobs", &["get", "create", "patch", "delete"]),
        Right::new("", "serviceaccounts", &["create"]),
        Right::new(RBAC, "roles", &["create", "patch"]),
        Right::new(RBAC, "rolebindings", &["create"]),
        Right::new("", "events", &["list"]),
        Right::new("", "pods/log", &["get"]),
    ]
}

/// What one fault and its undo need beside what every run does.
fn of_fault(inject: &Inject, description: &Description) -> Vec<Right> {
    let workload = || {
        let service = description.service(&inject.targets().service);
        Some(plural(service?.workload()?.kind))
    };
    let patch = |resource| Right::new("apps", resource, &["get", "patch"]);
    match inject {
        Inject::Kill { .. } => vec![Right::new("", "pods", &["delete"])],
        Inject::Evict { .. } => vec![Right::new("", "pods/eviction", &["create"])],
        Inject::Scale { .. } | Inject::Drift { .. } => {
            let autoscalers = ("autoscaling", "horizontalpodautoscalers");
            let autoscalers = Right::new(autoscalers.0, autoscalers.1, &["get", "list"]);
            workload()
                .map(patch)
                .into_iter()
                .chain([autoscalers])
                .collect()
        }
        Inject::Rollout { .. } => workload().map(patch).into_iter().collect(),
        Inject::ServiceLost { .. } => vec![
            Right::new("", "services", &["create", "delete"]),
            Right::new("discovery.k8s.io", "endpointslices", &["list"]),
        ],
        Inject::Cpu { .. } => vec![
            Right::new("", "pods", &["patch"]),
            Right::new("", "pods/resize", &["patch"]),
        ],
        Inject::Pause { .. } | Inject::Stop { .. } | Inject::Restart { .. } => Vec::new(),
    }
}

pub(super) fn plural(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::Deployment => "deployments",
        WorkloadKind::StatefulSet => "statefulsets",
    }
}

/// Each kind of object once, with all of its verbs in order.
fn merged(mut rights: Vec<Right>) -> Vec<Right> {
    rights.sort();
    let mut merged: Vec<Right> = Vec::new();
    for right in rights {
        match merged.last_mut() {
            Some(last) if (&last.group, &last.resource) == (&right.group, &right.resource) => {
                last.verbs.extend(right.verbs);
            }
            _ => merged.push(right),
        }
    }
    for right in &mut merged {
        right.verbs.sort_unstable();
        right.verbs.dedup();
    }
    merged
}

/// Asks about every verb; names all that are missing.
pub(super) async fn check(
    client: &Client,
    place: &Place,
    rights: &[Right],
) -> Result<(), PlatformError> {
    let asked = rights
        .iter()
        .flat_map(|right| right.verbs.iter().map(move |verb| (right, *verb)));
    let answers = join_all(asked.map(|(right, verb)| async move {
        let inside = Some(place.namespace.clone());
        let allowed = is_allowed(client, place, inside, right, verb).await?;
        Ok::<_, PlatformError>((!allowed).then(|| words(right, verb)))
    }));
    let mut missing = Vec::new();
    for answer in answers.await {
        missing.extend(answer?);
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(PlatformError::Cluster {
        act: format!("begin in namespace `{}`", place.namespace),
        why: format!(
            "you may not {}; `chaos rbac` prints the Role that a run needs",
            missing.join(", ")
        ),
    })
}

fn words(right: &Right, verb: &str) -> String {
    let Right {
        group, resource, ..
    } = right;
    if group.is_empty() {
        format!("{verb} {resource}")
    } else {
        format!("{verb} {resource}.{group}")
    }
}

/// Whether the namespace of the run may be made, which no Role grants.
pub(super) async fn may_make(client: &Client, place: &Place) -> Result<(), PlatformError> {
    let right = Right::new("", "namespaces", &["create"]);
    if is_allowed(client, place, None, &right, "create").await? {
        return Ok(());
    }
    let Place {
        context, namespace, ..
    } = place;
    Err(PlatformError::Cluster {
        act: format!("make namespace `{namespace}`"),
        why: format!(
            "you may not create namespaces; have somebody make it: `kubectl --context {context} create namespace {namespace}` and `kubectl --context {context} label namespace {namespace} {ALLOW}=true`"
        ),
    })
}

/// `inside` is the namespace; `None` asks about the whole cluster.
pub(super) async fn is_allowed(
    client: &Client,
    place: &Place,
    inside: Option<String>,
    right: &Right,
    verb: &str,
) -> Result<bool, PlatformError> {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, part)) => (resource, Some(part.to_owned())),
        None => (right.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(right.group.clone()),
                namespace: inside,
                resource: Some(resource.to_owned()),
                subresource,
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let parameters = PostParams::default();
    let asking = api.create(&parameters, &review);
    let answer = place.answer("ask what you may do", asking).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// The Role that grants exactly these rights, as YAML for `kubectl apply`.
pub(super) fn role(namespace: &str, rights: &[Right]) -> String {
    let head = format!(
        "# What chaos may do. To whom it is given: kubectl -n {namespace} create rolebinding chaos --role=chaos --serviceaccount={namespace}:NAME\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{ name: chaos, namespace: {namespace} }}\nrules:\n"
    );
    let rules = rights.iter().map(|right| {
        let (group, resource) = (&right.group, &right.resource);
        let verbs = right.verbs.join(", ");
        format!("  - {{ apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verbs}] }}\n")
    });
    std::iter::once(head).chain(rules).collect()
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{HowMany, Targets};

    use super::*;

    #[test]
    fn a_fault_needs_what_it_and_its_undo_do_and_no_more() {
        let description = Description {
            name: "two".to_owned(),
            folder: String::new(),
            entry: "api".to_owned(),
            parts: None,
            services: Vec::new(),
            audit: None,
            kubernetes: None,
        };
        let targets = || Targets {
            service: "api".to_owned(),
            how_many: HowMany::Count(1),
        };
        let check = |inject: &Inject, expected: &[(&str, &[&str])]| {
            let rights = of_fault(inject, &description);
            let found: Vec<(&str, &[&str])> = rights
                .iter()
                .map(|right| (right.resource.as_str(), right.verbs.as_slice()))
                .collect();
            assert_eq!(found, expected, "{}", inject.kind());
        };
        let evict = Inject::Evict { targets: targets() };
        check(&evict, &[("pods/eviction", &["create"])]);
        let cpu = Inject::Cpu {
            targets: targets(),
            millicores: 50,
        };
        check(&cpu, &[("pods", &["patch"]), ("pods/resize", &["patch"])]);
        let lost = Inject::ServiceLost {
            targets: targets(),
            name: "api".to_owned(),
        };
        check(
            &lost,
            &[
                ("services", &["create", "delete"]),
                ("endpointslices", &["list"]),
            ],
        );
    }

    #[test]
    fn a_kind_of_object_stands_once_with_all_its_verbs() {
        let rights = merged(vec![
            Right::new("", "pods", &["get", "watch"]),
            Right::new("apps", "deployments", &["get"]),
            Right::new("", "pods", &["get", "delete"]),
        ]);
        assert_eq!(
            rights,
            [
                Right::new("", "pods", &["delete", "get", "watch"]),
                Right::new("apps", "deployments", &["get"]),
            ]
        );
        let role = role("shop", &rights);
        assert!(
            role.contains("resources: [pods], verbs: [delete, get, watch] }"),
            "{role}"
        );
    }
}
