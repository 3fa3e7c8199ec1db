//! How many requests a second one core sends over HTTP/2 and TLS.
//!
//! Invariant: everybody gets the same server, certificate, connections and streams.

use anyhow::Result;

use crate::contest::{self, Entrant, Outcome};
use crate::section::{Goal, Section, over};
use crate::server::nghttpd;
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, ratio, thousands};
use crate::tool::{Ask, Tool, chaos_load, h2load, oha};

const CONNECTIONS: u32 = 16;
const STREAMS: u32 = 8;
const TOOLS: [&Tool; 3] = [&chaos_load::TOOL, &h2load::TOOL, &oha::TOOL];
const GOALS: [(&Tool, f64); 2] = [(&oha::TOOL, 1.0), (&h2load::TOOL, 0.8)];

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = nghttpd::start(sitting)?;
    let ask = Ask {
        streams: STREAMS,
        tls: true,
        ..Ask::closed(server.url(), CONNECTIONS, sitting.extent.short_seconds())
    };
    let entrants = TOOLS.map(|tool| Entrant {
        label: tool.name.to_owned(),
        tool,
        ask: ask.clone(),
        servers: vec![&server],
    });
    let outcomes = contest::hold(sitting, &entrants)?;
    let mut section = Section::new(
        "HTTP/2 over TLS, one core",
        format!(
            "{CONNECTIONS} connections with {STREAMS} requests at once on each, against nghttpd with one worker, which may be the slower side: \
             then core time tells the generators apart."
        ),
    );
    section.tables.push(table(&outcomes));
    let rate = |tool: &Tool| {
        outcomes
            .iter()
            .find(|outcome| outcome.label == tool.name)?
            .rate()
    };
    let goal = |(peer, least): (&Tool, f64)| {
        let seen = over(rate(&chaos_load::TOOL), rate(peer));
        Goal::at_least(&format!("chaos over {}", peer.name), least, seen)
    };
    section.goals = GOALS.map(goal).to_vec();
    section.note_troubles(&outcomes);
    Ok(section)
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "",
        "requests/s",
        "x h2load",
        "core time, us",
        "p50, ms",
        "p99",
        "failures",
    ]);
    let h2load = outcomes
        .iter()
        .find(|outcome| outcome.label == h2load::TOOL.name);
    let to = h2load.and_then(Outcome::rate);
    for outcome in outcomes {
        let core_us = outcome.milliseconds(|reading| reading.cpu_per_request);
        table.row([
            outcome.label.clone(),
            cell(outcome.rate(), thousands),
            ratio(outcome.rate(), to),
            cell(core_us, |ms| format!("{:.2}", ms * 1e3)),
            milliseconds(outcome.milliseconds(|reading| reading.p50)),
            milliseconds(outcome.milliseconds(|reading| reading.p99)),
            cell(outcome.failures(), thousands),
        ]);
    }
    table
}
