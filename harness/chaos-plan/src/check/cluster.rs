//! How a target stands in a Kubernetes cluster: its `kubernetes:` parts with defaults filled in.
//!
//! Invariant: every service of a plan for Kubernetes says how its pods are found.

use std::collections::BTreeMap;

use super::parts::Taken;
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::format::Text;
use crate::file::located::{Located, Map, Optional};
use crate::file::{cluster as form, scenario, target};
use crate::plan::{
    Cluster, Door, Find, PlatformName, Pods, RANDOM, Workload, WorkloadKind, is_object_name,
};
use crate::template::Template;

/// Secrets by name, their values as templates by key.
type Secrets = BTreeMap<String, BTreeMap<String, String>>;

/// How a target stands in a cluster: `Some(None)` on another platform, `None` if something is bad. What a
/// scenario asks of instances is refused for a target that is not applied here.
#[expect(clippy::option_option, reason = "none and unknown are not the same")]
pub(super) fn of_target(
    (target, taken): (&target::Target, Option<Taken<'_>>),
    asked: Option<&scenario::Target>,
    platform: PlatformName,
    problems: &mut Diagnostics,
) -> Option<Option<Cluster>> {
    let cluster = cluster(&target.kubernetes, &target.entry, problems);
    if platform != PlatformName::Kubernetes {
        return Some(None);
    }
    let mut cluster = cluster?;
    if let Some(manifests) = taken.and_then(manifests) {
        cluster.manifests = Some(manifests.get()?.clone());
    }
    if cluster.manifests.is_none() {
        let span = asked.and_then(|asked| Some(asked.replicas.given()?.span));
        only_of_applied(span, (codes::REPLICAS_OF_URL, "replicas"), problems);
        let span = asked.and_then(|asked| Some(asked.env.given()?.span));
        only_of_applied(span, (codes::ENV_OF_URL, "env"), problems);
    }
    Some(Some(cluster))
}

/// Whether a run starts the instances, so that it may have more of them; false of what runs already.
pub(super) fn is_started_here(
    target: &target::Target,
    taken: Option<Taken<'_>>,
    platform: PlatformName,
) -> bool {
    platform != PlatformName::Kubernetes
        || has_manifests(target)
        || taken.and_then(manifests).is_some()
}

fn has_manifests(target: &target::Target) -> bool {
    let cluster = target.kubernetes.given().and_then(Located::get);
    cluster.is_some_and(|cluster| cluster.manifests.given().is_some())
}

/// The manifests that a set of parts names.
fn manifests(taken: Taken<'_>) -> Option<&Located<String>> {
    taken.kubernetes().given()?.get()?.manifests.given()
}

/// Of a target that is applied, a set of parts says where its services are applied with it.
pub(super) fn check_parts(
    name: &Located<String>,
    parts: &Located<target::Parts>,
    (target, platform): (&target::Target, PlatformName),
    problems: &mut Diagnostics,
) {
    let (Some(text), Some(parts)) = (name.get(), parts.get()) else {
        return;
    };
    let is_needed = platform == PlatformName::Kubernetes && has_manifests(target);
    if !is_needed || parts.kubernetes.given().is_some() {
        return;
    }
    let message = format!("set of parts {} has no `kubernetes:` part", quote(text));
    let problem = codes::NO_PLATFORM_PART.at(name.span, message);
    problems.add(
        problem
            .label("cannot be applied on platform `kubernetes`")
            .help("add `kubernetes: { manifests: FILE }` with the target and these parts in it, or `kubernetes: {}` if the target's own manifests hold them"),
    );
}

/// What the target has in common; `None` if something of it is bad.
fn cluster(
    given: &Optional<form::Cluster>,
    entry: &Located<String>,
    problems: &mut Diagnostics,
) -> Option<Cluster> {
    let default = form::Cluster::default();
    let given = match given.given() {
        None => &default,
        Some(given) => given.get()?,
    };
    if let (Some(first), Some(second)) = (given.service.given(), given.url.given()) {
        both((first.span, "service"), (second.span, "url"), problems);
    }
    let door = match (given.url.given(), given.service.given()) {
        (Some(url), _) => Door::Url(url.get()?.0.0.clone()),
        (None, Some(service)) => Door::Service(service.get()?.0.0.clone()),
        (None, None) => Door::Service(entry.get()?.clone()),
    };
    Some(Cluster {
        namespace: optional(&given.namespace)?.map(|name| name.0.0),
        manifests: optional(&given.manifests)?,
        secrets: secrets(&given.secrets, problems)?,
        door,
    })
}

/// Every slot of a value has one: chance, or another key that needs no third.
fn secrets(
    given: &Optional<Map<Map<Text<Template>>>>,
    problems: &mut Diagnostics,
) -> Option<Secrets> {
    let mut secrets = Secrets::new();
    let Some(given) = given.given() else {
        return Some(secrets);
    };
    for (name, values) in given.get()?.iter() {
        let text = name.get()?;
        if !is_object_name(text) {
            let problem = codes::BAD_NAME.at(
                name.span,
                format!("{} cannot be the name of a Secret", quote(text)),
            );
            problems.add(problem.help("use small letters, digits and `-`, at most 63"));
        }
        secrets.insert(text.clone(), secret(values.get()?, problems)?);
    }
    Some(secrets)
}

fn secret(
    values: &Map<Text<Template>>,
    problems: &mut Diagnostics,
) -> Option<BTreeMap<String, String>> {
    let simple: Vec<&str> = values
        .iter()
        .filter_map(|(key, value)| Some((key.get()?.as_str(), &value.get()?.0)))
        .filter(|(_, value)| value.slots().all(|slot| slot == RANDOM))
        .map(|(key, _)| key)
        .collect();
    let mut secret = BTreeMap::new();
    for (key, value) in values.iter() {
        let template = &value.get()?.0;
        let known = simple.iter().copied().chain([RANDOM]);
        for slot in template.slots() {
            if !known.clone().any(|known| known == slot) {
                let message = format!("slot `{{{slot}}}` has no value here");
                let problem = codes::UNKNOWN_SLOT.at(value.span, message);
                problems.add(problem.choices(slot, "slots", known.clone()));
            }
        }
        secret.insert(key.get()?.clone(), template.to_string());
    }
    Some(secret)
}

/// The pods of a service; `None` if it has no such part, or a bad one.
pub(super) fn pods(
    name: &Located<String>,
    given: &Optional<form::Pods>,
    platform: PlatformName,
    problems: &mut Diagnostics,
) -> Option<Pods> {
    let Some(given) = given.given() else {
        if platform == PlatformName::Kubernetes {
            let text = name.get()?;
            let problem = codes::NO_PLATFORM_PART.at(
                name.span,
                format!("service {} has no `kubernetes:` part", quote(text)),
            );
            problems.add(
                problem
                    .label("cannot be found on platform `kubernetes`")
                    .help("add `kubernetes: { workload: deployment/NAME }`, or `kubernetes: {}` for a Deployment of its own name"),
            );
        }
        return None;
    };
    let given = given.get()?;
    if let (Some(first), Some(second)) = (given.workload.given(), given.selector.given()) {
        both(
            (first.span, "workload"),
            (second.span, "selector"),
            problems,
        );
    }
    let port = match optional(&given.port)? {
        None => None,
        Some(port) => Some(u16::try_from(port).ok()?),
    };
    Some(Pods {
        find: find(name, given, problems)?,
        container: optional(&given.container)?.map(|name| name.0.0),
        port,
    })
}

fn find(name: &Located<String>, given: &form::Pods, problems: &mut Diagnostics) -> Option<Find> {
    if let Some(labels) = given.selector.given() {
        let pairs = labels.get()?.iter();
        let labels: Option<BTreeMap<String, String>> = pairs
            .map(|(key, value)| Some((key.get()?.clone(), value.get()?.0.clone())))
            .collect();
        if labels.as_ref().is_some_and(BTreeMap::is_empty) {
            let span = given.selector.given()?.span;
            let problem = codes::EMPTY.at(span, "no label would mean every pod of the namespace");
            problems.add(problem.help("name at least one label, such as `app: api`"));
        }
        return Some(Find::Labels(labels?));
    }
    if let Some(workload) = given.workload.given() {
        return Some(Find::Workload(workload.get()?.0.clone()));
    }
    let text = name.get()?;
    if !is_object_name(text) {
        let problem = codes::BAD_NAME.at(
            name.span,
            format!("no Deployment can be named {}", quote(text)),
        );
        problems
            .add(problem.help("say which one it is: `kubernetes: { workload: deployment/NAME }`"));
    }
    Some(Find::Workload(Workload {
        kind: WorkloadKind::Deployment,
        name: text.clone(),
    }))
}

fn both((first, one): (Span, &str), (second, other): (Span, &str), problems: &mut Diagnostics) {
    let problem = codes::ONE_OF
        .at(second, format!("at most one of `{one}` and `{other}`"))
        .label("one too many")
        .related(first, "the first one is here");
    problems.add(problem.help(format!("leave `{one}` or `{other}` out")));
}

/// What was left out is `Some(None)`, what is bad is `None`.
#[expect(clippy::option_option, reason = "left out and bad are not the same")]
fn optional<T: Clone>(value: &Optional<T>) -> Option<Option<T>> {
    match value.given() {
        None => Some(None),
        Some(value) => value.get().cloned().map(Some),
    }
}

/// Refuses what only a target that is applied here can be told.
fn only_of_applied(
    given: Option<Span>,
    (code, key): (crate::diagnostic::Code, &str),
    problems: &mut Diagnostics,
) {
    if let Some(span) = given {
        let message =
            format!("a target without `manifests` runs already and has no `{key}` to set");
        problems.add(code.at(span, message).help(format!(
            "leave `{key}` out, or give the description `kubernetes: {{ manifests: FILE }}`"
        )));
    }
}
