//! What a tool says the latency was when requests are due at a rate, for a server that answers in microseconds.
//!
//! Invariant: what is beyond the server's microseconds is the generator's own error, or the machine's.

use std::time::Duration;

use anyhow::Result;

use crate::awake;
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
         was due, wrk2 likewise, oha from when it woke up for it, k6 from when it sent it. *lag* is how late a request was dispatched, \
         *service* counts from when it was sent: a stall of the generator's own core before that is not in it, nor in oha's. \
         A core that sleeps between two requests takes its time to wake, at the server too, and of evenly spread requests each meets that; \
         so the same is measured once more while all cores are kept awake, for everybody (what `chaos load --keep-awake` does).",
    );
    for rate in RATES {
        let outcomes = contest::hold(sitting, &at_rate(sitting, &server, rate))?;
        let name = per_second(rate);
        section.goals.extend(goals(&name, &outcomes));
        section.goals.extend(goals_beside_oha(&name, &outcomes));
        tell(&mut section, &name, &outcomes);
    }
    kept_awake(sitting, &server, &mut section)?;
    near_the_maximum(sitting, &server, &mut section)?;
    Ok(section)
}

/// The same while no core sleeps: what is left is the tools' own.
fn kept_awake(sitting: &Sitting, server: &Server<'_>, section: &mut Section) -> Result<()> {
    let _awake = match awake::keep() {
        Ok(awake) => awake,
        Err(error) => {
            let note = format!("Cores could not be kept awake: {error}; it takes root.");
            section.notes.push(note);
            return Ok(());
        }
    };
    for rate in RATES {
        let outcomes = contest::hold(sitting, &at_rate(sitting, server, rate))?;
        let name = format!("{}, cores kept awake", per_second(rate));
        section.goals.extend(goals_beside_oha(&name, &outcomes));
        tell(section, &name, &outcomes);
    }
    Ok(())
}

/// What a contest showed, but for its goals.
fn tell(section: &mut Section, name: &str, outcomes: &[Outcome]) {
    section.tables.push(table(name, outcomes));
    section.note_troubles(outcomes);
    section.notes.extend(machine_share(name, outcomes));
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
fn machine_share(at: &str, outcomes: &[Outcome]) -> Option<String> {
    let share = outcomes
        .first()?
        .milliseconds(|reading| reading.hiccup_p999)?;
    Some(format!(
        "At {at} a thread that only sleeps woke {share:.3} ms late at its own p99.9: so much of every tail is the machine's."
    ))
}

fn table(title: &str, outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(&[
        title,
        "response p50, ms",
        "p99",
        "p99.9",
        "service p99, ms",
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
            milliseconds(outcome.milliseconds(|reading| reading.service_p99)),
            milliseconds(outcome.milliseconds(|reading| reading.service_p999)),
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

/// One figure of a reading.
type Of = fn(&Reading) -> Option<Duration>;

fn find<'o>(outcomes: &'o [Outcome], tool: &Tool) -> Option<&'o Outcome> {
    outcomes.iter().find(|outcome| outcome.label == tool.name)
}

fn goals(at: &str, outcomes: &[Outcome]) -> Vec<Goal> {
    let Some(ours) = find(outcomes, &chaos_load::TOOL) else {
        return Vec::new();
    };
    let at_most = |what: &str, most: f64, of: Of| {
        Goal::at_most(
            &format!("{what} in ms at {at}"),
            most,
            ours.milliseconds(of),
        )
    };
    vec![
        at_most("response p50", 0.14, |one| one.p50),
        at_most("response p99", 0.40, |one| one.p99),
        at_most("lag p50", 0.04, |one| one.lag_p50),
        at_most("lag p99", 0.10, |one| one.lag_p99),
        Goal::at_least(
            &format!("achieved/offered at {at}"),
            0.999,
            ours.median(|one| one.achieved),
        ),
    ]
}

fn goals_beside_oha(at: &str, outcomes: &[Outcome]) -> Vec<Goal> {
    let both = find(outcomes, &chaos_load::TOOL).zip(find(outcomes, &oha::TOOL));
    let Some((ours, oha)) = both else {
        return Vec::new();
    };
    let beside = |what: &str, mine: Of, theirs: Of| {
        let name = format!("{what} in ms, against oha's, at {at}");
        let most = round(oha.milliseconds(theirs)?);
        Some(Goal::at_most(&name, most, ours.milliseconds(mine)))
    };
    let goals = [
        beside("response p99", |one| one.p99, |one| one.p99),
        beside("response p99.9", |one| one.p999, |one| one.p999),
        beside("service p99", |one| one.service_p99, |one| one.p99),
        beside("service p99.9", |one| one.service_p999, |one| one.p999),
    ];
    goals.into_iter().flatten().collect()
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
