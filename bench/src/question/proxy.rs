//! What a proxy in the path costs, with no rule set.
//!
//! Invariant: every proxy has the same core, shared with the server behind it, and no other.

use anyhow::Result;

use crate::contest::{self, Entrant, Outcome};
use crate::interrupt::is_interrupt;
use crate::section::{Goal, Section, over};
use crate::server::{Server, chaos_proxy, haproxy, null, toxiproxy};
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, ratio, thousands};
use crate::tool::{Ask, chaos_load, go_version, printed_version, wrk};

const CONNECTIONS: u32 = 32;
/// Requests a second at which the added time is measured.
const RATE: u32 = 2_000;
const AT_RATE: &str = "at 2,000/s";
const DIRECT: &str = "direct";
const OURS: &str = "chaos proxy";
const TOXIPROXY: &str = "toxiproxy";

/// A way from generator to server.
struct Path<'s> {
    label: &'static str,
    proxy: Option<Server<'s>>,
}

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = null::start(sitting)?;
    let mut section = Section::new(
        "A proxy in the path, no fault set",
        format!(
            "wrk over {CONNECTIONS} connections, then `chaos load` {AT_RATE}; proxy and server share one core, the generator has \
             the other. Core time is the proxy's own for each request, at full speed."
        ),
    );
    let paths = paths(sitting, &server, &mut section)?;
    let full = contest::hold(sitting, &entrants(sitting, &server, &paths, None))?;
    let calm = contest::hold(sitting, &entrants(sitting, &server, &paths, Some(RATE)))?;
    section.tables.push(table(&full, &calm));
    section.goals = goals(&full, &calm);
    section.note_troubles(&full);
    section.note_troubles(&calm);
    Ok(section)
}

/// The direct one first; those that are not installed are left out, with a note.
fn paths<'s>(
    sitting: &'s Sitting,
    server: &Server<'_>,
    section: &mut Section,
) -> Result<Vec<Path<'s>>> {
    let mut paths = vec![Path {
        label: DIRECT,
        proxy: None,
    }];
    let to = server.address();
    let started = [
        (OURS, chaos_proxy::start(sitting, to)),
        ("HAProxy, TCP mode", haproxy::start(sitting, to)),
        (TOXIPROXY, toxiproxy::start(sitting, to)),
    ];
    for (label, proxy) in started {
        match proxy {
            Ok(proxy) => paths.push(Path {
                label,
                proxy: Some(proxy),
            }),
            Err(error) if is_interrupt(&error) => return Err(error),
            Err(error) => {
                section.is_broken |= label == OURS;
                section.notes.push(format!("{label}: {error:#}"));
            }
        }
    }
    if let Some(program) = sitting.toolbox.find("haproxy") {
        contest::note_version(sitting, "HAProxy", printed_version(sitting, &program, "-v"))?;
    }
    if let Some(program) = sitting.toolbox.find("toxiproxy-server") {
        contest::note_version(sitting, "toxiproxy", go_version(sitting, &program))?;
    }
    Ok(paths)
}

fn entrants<'s>(
    sitting: &Sitting,
    server: &'s Server<'s>,
    paths: &'s [Path<'s>],
    rate: Option<u32>,
) -> Vec<Entrant<'s>> {
    let seconds = sitting.extent.short_seconds();
    let entrant = |path: &'s Path<'s>| {
        let front = path.proxy.as_ref().unwrap_or(server);
        let ask = Ask::closed(front.url(), CONNECTIONS, seconds);
        Entrant {
            label: path.label.to_owned(),
            tool: if rate.is_some() {
                &chaos_load::TOOL
            } else {
                &wrk::TOOL
            },
            ask: Ask { rate, ..ask },
            servers: path.proxy.iter().chain([server]).collect(),
        }
    };
    paths.iter().map(entrant).collect()
}

fn find<'o>(outcomes: &'o [Outcome], label: &str) -> Option<&'o Outcome> {
    outcomes.iter().find(|outcome| outcome.label == label)
}

/// Milliseconds that a path adds to the p99 of the direct one.
fn added(calm: &[Outcome], label: &str) -> Option<f64> {
    let p99 = |label| find(calm, label)?.milliseconds(|reading| reading.p99);
    Some(p99(label)? - p99(DIRECT)?)
}

fn table(full: &[Outcome], calm: &[Outcome]) -> Table {
    let added_title = format!("added to p99 {AT_RATE}, ms");
    let mut table = Table::new(&[
        "",
        "requests/s",
        "x direct",
        "core time, us",
        &added_title,
        "failures",
    ]);
    let direct = find(full, DIRECT).and_then(Outcome::rate);
    for outcome in full {
        let is_direct = outcome.label == DIRECT;
        let core_us = outcome.milliseconds(|reading| reading.front_cpu_per_request);
        let of_proxy = |value: Option<f64>| if is_direct { None } else { value };
        let calm_one = find(calm, &outcome.label).and_then(Outcome::failures);
        let failures = outcome
            .failures()
            .zip(calm_one)
            .map(|(full, calm)| full + calm);
        table.row([
            outcome.label.clone(),
            cell(outcome.rate(), thousands),
            ratio(outcome.rate(), direct),
            cell(of_proxy(core_us), |ms| format!("{:.2}", ms * 1e3)),
            milliseconds(of_proxy(added(calm, &outcome.label))),
            cell(failures, thousands),
        ]);
    }
    table
}

fn goals(full: &[Outcome], calm: &[Outcome]) -> Vec<Goal> {
    let rate = |label| find(full, label)?.rate();
    vec![
        Goal::at_least(
            "chaos over toxiproxy, both on one core,",
            1.0,
            over(rate(OURS), rate(TOXIPROXY)),
        ),
        Goal::at_most(
            &format!("added to p99 {AT_RATE} in ms"),
            0.5,
            added(calm, OURS),
        ),
    ]
}
