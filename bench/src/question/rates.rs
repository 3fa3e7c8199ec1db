//! What the questions about requests a second have in common: a table of rates beside a peer's, and goals on them.
//!
//! Invariant: chaos and its peers are looked up by the tool's name, and a tool without a rate meets no goal.

use crate::contest::Outcome;
use crate::section::{Goal, over};
use crate::table::{Table, cell, milliseconds, ratio, thousands};
use crate::tool::{Tool, chaos_load};

/// A row for each tool, with its rate in multiples of `peer`'s.
pub(super) fn table(outcomes: &[Outcome], peer: &Tool) -> Table {
    let beside = format!("x {}", peer.name);
    let mut table = Table::new(&[
        "",
        "requests/s",
        &beside,
        "core time, us",
        "p50, ms",
        "p99, ms",
        "failures",
    ]);
    let to = rate_of(outcomes, peer);
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

/// That chaos sends at least so many times what each peer does.
pub(super) fn goals(outcomes: &[Outcome], least: &[(&Tool, f64)]) -> Vec<Goal> {
    let ours = rate_of(outcomes, &chaos_load::TOOL);
    let goal = |(peer, least): &(&Tool, f64)| {
        let seen = over(ours, rate_of(outcomes, peer));
        Goal::at_least(&format!("chaos over {}", peer.name), *least, seen)
    };
    least.iter().map(goal).collect()
}

fn rate_of(outcomes: &[Outcome], tool: &Tool) -> Option<f64> {
    outcomes
        .iter()
        .find(|outcome| outcome.label == tool.name)?
        .rate()
}
