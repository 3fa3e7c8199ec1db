//! How a target can be asked what it holds.
//!
//! Invariant: an audit that passes here tells of orders, its states lead somewhere, and an order
//! can come to rest.

use std::collections::BTreeMap;

use super::names;
use crate::diagnostic::{Diagnostics, codes, quote};
use crate::file::located::{Located, Map, Optional};
use crate::file::target as form;
use crate::plan::{Audit, AuditSource, Holding};

/// The audit of a description; `Some(None)` if it has none, `None` if it is bad.
#[expect(clippy::option_option, reason = "left out and bad are not the same")]
pub(super) fn resolve(
    audit: &Optional<form::Audit>,
    services: &[&str],
    problems: &mut Diagnostics,
) -> Option<Option<Audit>> {
    let Some(given) = audit.given() else {
        return Some(None);
    };
    let given = given.get()?;
    let sources = sources(&given.sources, services, problems);
    let states = states(&given.states, problems);
    let known = given.states.get().map(state_names);
    let sold = known
        .as_ref()
        .and_then(|known| position(&given.sold, known, problems));
    let returned = known.and_then(|known| returned(given, &known, problems));
    let quiet_within = names::positive_or(
        &given.quiet_within,
        form::QUIET_WITHIN,
        "`quiet_within`",
        problems,
    );
    let notified_within = match given.notified_within.given() {
        None => Some(None),
        Some(time) => names::positive(time, "`notified_within`", problems).map(Some),
    };
    Some(Some(Audit {
        sources: sources?,
        states: states?,
        sold: sold.and(given.sold.get())?.clone(),
        returned: returned?,
        quiet_within: quiet_within?,
        notified_within: notified_within?,
    }))
}

/// The states of orders that were taken back, each a final one.
fn returned(
    given: &form::Audit,
    known: &[&str],
    problems: &mut Diagnostics,
) -> Option<Vec<String>> {
    let Some(named) = given.returned.given() else {
        return Some(Vec::new());
    };
    let states = given.states.get()?;
    let is_final = |name: &str| {
        let next = states
            .iter()
            .find(|(state, _)| state.get().is_some_and(|state| state == name));
        next.and_then(|(_, next)| next.get())
            .is_none_or(Vec::is_empty)
    };
    let resolved = named.get()?.iter().map(|state| {
        position(state, known, problems)?;
        let name = state.get()?;
        if given.sold.get() == Some(name) || !is_final(name) {
            let problem = codes::NOT_RETURNED.at(
                state.span,
                format!("{} is no state of an order that was taken back", quote(name)),
            );
            problems.add(problem.help(
                "name states in which such an order stays: they have no next ones and are not `sold`",
            ));
            return None;
        }
        Some(name.clone())
    });
    let resolved: Vec<Option<String>> = resolved.collect();
    resolved.into_iter().collect()
}

fn sources(
    given: &Located<Vec<Located<form::AuditSource>>>,
    services: &[&str],
    problems: &mut Diagnostics,
) -> Option<Vec<AuditSource>> {
    let mut sources: Vec<AuditSource> = Vec::new();
    let mut all_good = true;
    for located in given.get()? {
        let Some(source) = located
            .get()
            .and_then(|given| source(given, services, problems))
        else {
            all_good = false;
            continue;
        };
        let is_same =
            |other: &AuditSource| other.service == source.service && other.path == source.path;
        if sources.iter().any(is_same) {
            let problem =
                codes::DUPLICATE_NAME.at(located.span, "two sources are the same address");
            problems.add(problem.help("ask each address once, with all that it holds"));
        }
        sources.push(source);
    }
    let tells = sources
        .iter()
        .any(|source| source.holds.contains(&Holding::Orders));
    if all_good && !sources.is_empty() && !tells {
        let problem = codes::NO_ORDERS.at(given.span, "no source holds what was ordered");
        let name = Holding::Orders.name();
        problems.add(problem.help(format!(
            "add a source with `holds: [{name}]`: every rule compares with it"
        )));
        return None;
    }
    all_good.then_some(sources)
}

fn source(
    given: &form::AuditSource,
    services: &[&str],
    problems: &mut Diagnostics,
) -> Option<AuditSource> {
    let known = services.iter().copied();
    let found = names::position(
        &given.service,
        (codes::UNKNOWN_SERVICE, "service"),
        known,
        problems,
    );
    let holds: Option<Vec<Holding>> = given
        .holds
        .get()?
        .iter()
        .map(|holding| holding.get().copied())
        .collect();
    let mut holds = holds?;
    holds.sort_unstable();
    holds.dedup();
    found.and(Some(AuditSource {
        service: given.service.get()?.clone(),
        path: given.path.get()?.0.0.clone(),
        holds,
    }))
}

fn state_names(states: &Map<Vec<Located<String>>>) -> Vec<&str> {
    states
        .iter()
        .filter_map(|(name, _)| name.get().map(String::as_str))
        .collect()
}

fn states(
    given: &Located<Map<Vec<Located<String>>>>,
    problems: &mut Diagnostics,
) -> Option<BTreeMap<String, Vec<String>>> {
    let map = given.get()?;
    let known = state_names(map);
    let mut states = Some(BTreeMap::new());
    for (name, next) in map.iter() {
        let followers = next.get().and_then(|next| {
            next.iter()
                .map(|state| position(state, &known, problems).and(state.get().cloned()))
                .collect::<Option<Vec<String>>>()
        });
        let name = names::name(name, "a state", problems);
        states = states
            .zip(name.zip(followers))
            .map(|(mut states, (name, followers))| {
                states.insert(name.to_owned(), followers);
                states
            });
    }
    let is_endless = |states: &BTreeMap<String, Vec<String>>| {
        !states.is_empty() && states.values().all(|next| !next.is_empty())
    };
    if states.as_ref().is_some_and(is_endless) {
        let problem = codes::NO_FINAL_STATE.at(
            given.span,
            "no state is final, so an order would never come to rest",
        );
        problems
            .add(problem.help("give the states in which an order stays no next ones: `sold: []`"));
    }
    states
}

fn position(state: &Located<String>, known: &[&str], problems: &mut Diagnostics) -> Option<usize> {
    names::position(
        state,
        (codes::UNKNOWN_STATE, "state"),
        known.iter().copied(),
        problems,
    )
}
