//! Sets of parts of a target description: which one is taken, and whether the others could be.
//!
//! Invariant: a set that nobody takes is checked like one that is taken, so a description is good or
//! bad whatever a scenario asks of it.

use super::services::Checker;
use super::{cluster, names};
use crate::diagnostic::{Diagnostics, codes, quote};
use crate::file::cluster::WithParts;
use crate::file::located::{Located, Map, Optional};
use crate::file::target::{Addition, Parts, REPLICAS, Service, Target};
use crate::plan::PlatformName;

/// Services by name, as they stand in a file.
type Services = Map<Service>;

/// The set that a scenario takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub(super) name: &'a str,
    parts: &'a Parts,
}

impl<'a> Taken<'a> {
    /// Its services.
    pub(super) fn services(self) -> Option<&'a Services> {
        self.parts.services.get()
    }

    /// What it adds to one of the target's own services.
    pub(super) fn addition(self, service: &str) -> Option<&'a Addition> {
        let with = self.parts.with.get()?;
        let mut same = with
            .iter()
            .filter(|(name, _)| name.get().is_some_and(|name| name == service));
        same.next()?.1.get()
    }

    /// What it changes of how the target stands in a cluster.
    pub(super) fn kubernetes(self) -> &'a Optional<WithParts> {
        &self.parts.kubernetes
    }
}

/// The set of that name; reported if there is none.
pub(super) fn take<'a>(
    asked: Option<&'a Optional<String>>,
    sets: &'a Optional<Map<Parts>>,
    problems: &mut Diagnostics,
) -> Option<Taken<'a>> {
    let asked = asked?.given()?;
    let all: Vec<(&str, &Located<Parts>)> = sets
        .get()
        .into_iter()
        .flat_map(Map::iter)
        .filter_map(|(name, parts)| Some((name.get()?.as_str(), parts)))
        .collect();
    let known = all.iter().map(|(name, _)| *name);
    let kind = (codes::UNKNOWN_PARTS, "set of parts");
    let (name, parts) = all[names::position(asked, kind, known, problems)?];
    let parts = parts.get()?;
    Some(Taken { name, parts })
}

/// Checks all sets: their names in full, and of those that are not taken the services as well.
pub(super) fn check(
    target: &Target,
    (own, taken): (&Services, Option<Taken<'_>>),
    platform: PlatformName,
    problems: &mut Diagnostics,
) {
    for (name, parts) in target.parts.get().into_iter().flat_map(Map::iter) {
        names::name(name, "a set of parts", problems);
        cluster::check_parts(name, parts, (target, platform), problems);
        let (Some(name), Some(parts)) = (name.get(), parts.get()) else {
            continue;
        };
        check_names(parts, own, problems);
        if taken.is_none_or(|taken| taken.name != name) {
            check_services(parts, own, platform, problems);
        }
    }
}

fn check_names(parts: &Parts, own: &Services, problems: &mut Diagnostics) {
    for (name, _) in parts.services.get().into_iter().flat_map(Map::iter) {
        let Some((first, _)) = own.iter().find(|(first, _)| first.get() == name.get()) else {
            continue;
        };
        let Some(text) = name.get() else { continue };
        let problem = codes::DUPLICATE_NAME.at(
            name.span,
            format!("the target has a service {} of its own", quote(text)),
        );
        problems.add(
            problem
                .related(first.span, "its own one is here")
                .help("give the part another name"),
        );
    }
    for (name, _) in parts.with.get().into_iter().flat_map(Map::iter) {
        let kind = (codes::UNKNOWN_SERVICE, "service of the target's own");
        names::position(name, kind, known(own).into_iter(), problems);
    }
}

/// The answers are not wanted, only the problems.
fn check_services(
    parts: &Parts,
    own: &Services,
    platform: PlatformName,
    problems: &mut Diagnostics,
) {
    let Some(services) = parts.services.get() else {
        return;
    };
    let mut all = known(own);
    all.extend(known(services));
    let mut checker = Checker {
        known: &all,
        platform,
        problems,
    };
    for (name, service) in services.iter() {
        names::name(name, "a service", checker.problems);
        if let Some(service) = service.get() {
            checker.service(name, service, Some(REPLICAS), (None, None));
        }
    }
    for (name, addition) in parts.with.get().into_iter().flat_map(Map::iter) {
        let same = own.iter().find(|(own, _)| own.get() == name.get());
        let calls = same.and_then(|(_, service)| calls(service.get()?));
        if let Some(addition) = addition.get() {
            checker.add(addition, calls.or(Some(Vec::new())));
        }
    }
}

fn calls(service: &Service) -> Option<Vec<String>> {
    let calls = service.calls.get()?;
    Some(
        calls
            .iter()
            .filter_map(|call| call.get().cloned())
            .collect(),
    )
}

/// Names of services.
pub(super) fn known(services: &Services) -> Vec<&str> {
    let names = services.iter().filter_map(|(name, _)| name.get());
    names.map(String::as_str).collect()
}
