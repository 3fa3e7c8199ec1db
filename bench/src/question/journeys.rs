//! What it costs that a request is a step of a journey: extraction, templating, a body.
//!
//! Invariant: both sides are scenarios, run and recorded alike.

use anyhow::Result;

use crate::contest::{self, Entrant, Outcome};
use crate::section::{Goal, Section, over};
use crate::server::null;
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, ratio, thousands};
use crate::tool::{Ask, Journey, chaos_run};

const USERS: u32 = 64;
const GOAL: f64 = 0.7;

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = null::start(sitting)?;
    let entrant = |label: &str, journey| Entrant {
        label: label.to_owned(),
        tool: &chaos_run::TOOL,
        ask: Ask {
            journey,
            ..Ask::closed(server.url(), USERS, sitting.extent.short_seconds())
        },
        servers: vec![&server],
    };
    let entrants = [
        entrant("one endpoint", Journey::Plain),
        entrant("three steps", Journey::ThreeSteps),
    ];
    let outcomes = contest::hold(sitting, &entrants)?;
    let mut section = Section::new(
        "Journeys, one core",
        format!(
            "{USERS} users by `chaos run`. The first of three steps takes a value from the JSON of the answer; it stands in path and \
             header of the second and in the body of the third, which bears a key of its own."
        ),
    );
    section.tables.push(table(&outcomes));
    let [one, three] = [outcomes[0].rate(), outcomes[1].rate()];
    section.goals = vec![Goal::at_least(
        "three steps over one endpoint",
        GOAL,
        over(three, one),
    )];
    section.note_troubles(&outcomes);
    Ok(section)
}

fn table(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        "",
        "requests/s",
        "x one endpoint",
        "service p50, ms",
        "p99",
        "failures",
    ]);
    let one = outcomes.first().and_then(Outcome::rate);
    for outcome in outcomes {
        table.row([
            outcome.label.clone(),
            cell(outcome.rate(), thousands),
            ratio(outcome.rate(), one),
            milliseconds(outcome.milliseconds(|reading| reading.p50)),
            milliseconds(outcome.milliseconds(|reading| reading.p99)),
            cell(outcome.failures(), thousands),
        ]);
    }
    table
}
