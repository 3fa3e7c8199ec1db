//! What a tool says the latency was when requests are due at a rate, for a server that answers in microseconds.
//!
//! Invariant: what is beyond the server's microseconds is the generator's own error, or the machine's.

use std::time::Duration;

use anyhow::Result;

use crate::contest::{self, Entrant, Outcome};
use crate::section::{Goal, Section};
use crate::server::{Server, null};
use crate::sitting::Sitting;
use crate::table::{Table, cell, milliseconds, thousands};
use crate::tool::{Ask, Journey, Reading, Tool, chaos_load, chaos_run, k6, oha, wrk2};

const CONNECTIONS: u32 = 64;
/// Requests a second.
const RATES: [u32; 2] = [5_000, 20_000];
/// What is asked for of what was reached in the closed loop, in percent.
const SHARE_OF_MAXIMUM: f64 = 0.8;
/// k6 does not reach the higher rate on one core.
const RATE_OF_K6_MAX: u32 = 5_000;

pub(super) fn answer(sitting: &Sitting) -> Result<Section> {
    let server = null::start(sitting)?;
    let mut section = Section::new(
        "How true the latency is at a given rate, one core",
        "Requests are due evenly, whatever the answers; times are the tool's own. chaos counts from the instant a request \
         was due, wrk2 likewise, oha from when it woke up for it, k6 from when it sent it. *lag* is how late a request was dispatched.",
    );
    for rate in RATES {
        let outcomes = contest::hold(sitting, &at_rate(sitting, &server, rate))?;
        section.tables.push(table(&per_second(rate), &outcomes));
        section.goals.extend(goals(rate, &outcomes));
        section.note_troubles(&outcomes);
        section.notes.extend(machine_share(rate, &outcomes));
    }
    near_the_maximum(sitting, &server, &mut section)?;
    Ok(section)
}

fn at_rate<'s>(sitting: &Sitting, server: &'s Server<'s>, rate: u32) -> Vec<Entrant<'s>> {
    let mut tools: Vec<&'static Tool> = vec![&chaos_load::TOOL, &oha::TOOL];
    // Not in any package registry, so that it is missing is not worth a word.
    if sitting.toolbox.find(wrk2::TOOL.program).is_some() {
        tools.push(&wrk2::TOOL);
    }
    if rate <= RATE_OF_K6_MAX {
        tools.push(&k6::TOOL);
    }
    let entrant = |tool: &'static Tool| Entrant {
        label: tool.name.to_owned(),
        tool,
        ask: Ask::closed(server.url(), CONNECTIONS, sitting.extent.seconds).at(rate),
        servers: vec![server],
    };
    tools.into_iter().map(entrant).collect()
}

/// Tails are the machine's as well: a thread that only sleeps tells how much.
fn machine_share(rate: u32, outcomes: &[Outcome]) -> Option<String> {
    let share = outcomes
        .first()?
        .milliseconds(|reading| reading.hiccup_p999)?;
    Some(format!(
        "At {} a thread that only sleeps woke {share:.3} ms late at its own p99.9: so much of every tail is the machine's.",
        per_second(rate)
    ))
}

fn table(title: &str, outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        title,
        "response p50, ms",
        "p99",
        "p99.9",
        "lag p50, ms",
        "p99",
        "achieved/offered",
        "failures",
    ]);
    for outcome in outcomes {
        table.row([
            outcome.label.clone(),
            milliseconds(outcome.milliseconds(|reading| reading.p50)),
            milliseconds(outcome.milliseconds(|reading| reading.p99)),
            milliseconds(outcome.milliseconds(|reading| reading.p999)),
            milliseconds(outcome.milliseconds(|reading| reading.lag_p50)),
            milliseconds(outcome.milliseconds(|reading| reading.lag_p99)),
            cell(outcome.median(|reading| reading.achieved), |share| {
                format!("{share:.4}")
            }),
            cell(outcome.failures(), thousands),
        ]);
    }
    table
}

fn goals(rate: u32, outcomes: &[Outcome]) -> Vec<Goal> {
    let find = |tool: &Tool| outcomes.iter().find(|outcome| outcome.label == tool.name);
    let Some(ours) = find(&chaos_load::TOOL) else {
        return Vec::new();
    };
    let name = |what: &str| format!("{what} at {}", per_second(rate));
    let mut goals = vec![
        Goal::at_most(
            &name("response p50 in ms"),
            0.14,
            ours.milliseconds(|one| one.p50),
        ),
        Goal::at_most(
            &name("response p99 in ms"),
            0.40,
            ours.milliseconds(|one| one.p99),
        ),
        Goal::at_most(
            &name("lag p50 in ms"),
            0.04,
            ours.milliseconds(|one| one.lag_p50),
        ),
        Goal::at_most(
            &name("lag p99 in ms"),
            0.10,
            ours.milliseconds(|one| one.lag_p99),
        ),
        Goal::at_least(
            &name("achieved/offered"),
            0.999,
            ours.median(|one| one.achieved),
        ),
    ];
    let oha = find(&oha::TOOL);
    let of_oha = |of: fn(&Reading) -> Option<Duration>| oha?.milliseconds(of);
    goals.extend(of_oha(|one| one.p99).map(|most| {
        let name = name("response p99 in ms, against oha's,");
        Goal::at_most(&name, round(most), ours.milliseconds(|one| one.p99))
    }));
    goals.extend(of_oha(|one| one.p999).map(|most| {
        let name = name("response p99.9 in ms, against oha's,");
        Goal::at_most(&name, round(most), ours.milliseconds(|one| one.p999))
    }));
    goals
}

fn per_second(rate: u32) -> String {
    format!("{}/s", thousands(rate.into()))
}

fn round(milliseconds: f64) -> f64 {
    (milliseconds * 1e4).round() / 1e4
}

/// All that a scenario can ask of a request, at most of what the core can do.
fn near_the_maximum(sitting: &Sitting, server: &Server<'_>, section: &mut Section) -> Result<()> {
    let entrant = |tool: &'static Tool, label: &str, ask: Ask| Entrant {
        label: label.to_owned(),
        tool,
        ask,
        servers: vec![server],
    };
    let closed = Ask::closed(server.url(), CONNECTIONS, sitting.extent.short_seconds());
    let maximum = contest::once(
        sitting,
        &entrant(&chaos_load::TOOL, "closed loop", closed.clone()),
    )?;
    let maximum = maximum.requests_per_s;
    let rate = whole_thousands(maximum * SHARE_OF_MAXIMUM);
    let checked = Ask {
        journey: Journey::Checked,
        ..closed.at(rate)
    };
    let share = SHARE_OF_MAXIMUM * 100.0;
    let label = format!("{}: {share:.0} % of its closed loop", per_second(rate));
    let outcomes = contest::hold(
        sitting,
        &[entrant(
            &chaos_run::TOOL,
            "chaos, a check and an extraction",
            checked,
        )],
    )?;
    section.tables.push(table(&label, &outcomes));
    let achieved = outcomes[0].median(|reading| reading.achieved);
    section.goals.push(Goal::at_least(
        &format!("achieved/offered at {}", per_second(rate)),
        0.995,
        achieved,
    ));
    section.note_troubles(&outcomes);
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that was reached, far below 2^32"
)]
fn whole_thousands(rate: f64) -> u32 {
    ((rate / 1000.0).floor().max(1.0) as u32) * 1000
}
