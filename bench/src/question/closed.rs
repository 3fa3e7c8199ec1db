//! How many requests a second one core sends when each connection sends its next as soon as it can.
//!
//! Invariant: everybody gets the same server, core, connections and time.

use anyhow::Result;

use crate::contest::{self, Entrant, Outcome};
use crate::section::{Goal, Section, over};
use crate::server::null;
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, ratio, thousands};
use crate::tool::{Ask, Tool, ab, chaos_load, floor, hey, k6, oha, wrk};

const CONNECTIONS: u32 = 64;
const TOOLS: [&Tool; 7] = [
    &floor::TOOL,
    &chaos_load::TOOL,
    &wrk::TOOL,
    &oha::TOOL,
    &ab::TOOL,
    &hey::TOOL,
    &k6::TOOL,
];
/// At least this many times the rate of that tool.
const GOALS: [(&Tool, f64); 4] = [
    (&wrk::TOOL, 0.95),
    (&oha::TOOL, 1.05),
    (&hey::TOOL, 2.3),
    (&k6::TOOL, 4.5),
];

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = null::start(sitting)?;
    let ask = Ask::closed(server.url(), CONNECTIONS, sitting.extent.seconds);
    let entrants = TOOLS.map(|tool| Entrant {
        label: tool.name.to_owned(),
        tool,
        ask: ask.clone(),
        servers: vec![&server],
    });
    let outcomes = contest::hold(sitting, &entrants)?;
    let mut section = Section::new(
        "As fast as possible, one core",
        format!(
            "{CONNECTIONS} connections kept alive, 13 bytes of body; each sends its next request when it has its answer. \
             Core time is the generator's own, for each request."
        ),
    );
    section.tables.push(table(&outcomes));
    let rate = |tool: &Tool| rate_of(&outcomes, tool);
    section.goals = GOALS
        .map(|(peer, least)| {
            let seen = over(rate(&chaos_load::TOOL), rate(peer));
            Goal::at_least(&format!("chaos over {}", peer.name), least, seen)
        })
        .to_vec();
    section.note_troubles(&outcomes);
    Ok(section)
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "",
        "requests/s",
        "x wrk",
        "core time, us",
        "p50, ms",
        "p99, ms",
        "failures",
    ]);
    let wrk = rate_of(outcomes, &wrk::TOOL);
    for outcome in outcomes {
        let core_us = outcome.milliseconds(|reading| reading.cpu_per_request);
        table.row([
            outcome.label.clone(),
            cell(outcome.rate(), thousands),
            ratio(outcome.rate(), wrk),
            cell(core_us, |ms| format!("{:.2}", ms * 1e3)),
            milliseconds(outcome.milliseconds(|reading| reading.p50)),
            milliseconds(outcome.milliseconds(|reading| reading.p99)),
            cell(outcome.failures(), thousands),
        ]);
    }
    table
}

fn rate_of(outcomes: &[Outcome], tool: &Tool) -> Option<f64> {
    outcomes
        .iter()
        .find(|outcome| outcome.label == tool.name)?
        .rate()
}
