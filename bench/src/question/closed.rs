//! How many requests a second one core sends when each connection sends its next as soon as it can.
//!
//! Invariant: everybody gets the same server, core, connections and time.

use anyhow::Result;

use super::rates;
use crate::contest::{self, Entrant};
use crate::section::Section;
use crate::server::null;
use crate::sitting::Sitting;
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
    section.tables.push(rates::table(&outcomes, &wrk::TOOL));
    section.goals = rates::goals(&outcomes, &GOALS);
    section.note_troubles(&outcomes);
    Ok(section)
}
