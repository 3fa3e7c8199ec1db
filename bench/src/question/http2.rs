//! How many requests a second one core sends over HTTP/2 and TLS.
//!
//! Invariant: everybody gets the same server, certificate, connections and streams.

use anyhow::Result;

use super::rates;
use crate::contest::{self, Entrant};
use crate::section::Section;
use crate::server::nghttpd;
use crate::sitting::Sitting;
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
    section.tables.push(rates::table(&outcomes, &h2load::TOOL));
    section.goals = rates::goals(&outcomes, &GOALS);
    section.note_troubles(&outcomes);
    Ok(section)
}
