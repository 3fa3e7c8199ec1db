//! The load beside what the machine was found able to do.
//!
//! Invariant: only what this very machine was measured to do counts; without that nothing is said.

use super::judged_stages;
use crate::facts::Facts;
use crate::verdict::Headroom;
use crate::words;
use crate::{CELL_NS, SECOND_NS};

/// Cells of a second.
const CELLS: u64 = SECOND_NS / CELL_NS;

/// Peak and limit, if the machine was calibrated. Without a schedule (closed model) the peak is what was reached.
pub(super) fn headroom(facts: &Facts<'_>) -> Option<Headroom> {
    let calibration = facts.record.header.calibration.as_ref()?;
    let limit = if facts.is_paced() {
        calibration.open_rate(facts.workers)
    } else {
        calibration.closed_rate(facts.workers)
    };
    (limit > 0.0).then(|| Headroom {
        peak: peak(facts) as f64,
        limit,
        measured: calibration.measured.clone(),
    })
}

/// Most requests due in one second of the judged stages, or of the whole load if nothing is judged.
fn peak(facts: &Facts<'_>) -> u64 {
    let judged = judged_stages(facts);
    let is_judged = |cell| judged.is_empty() || judged.contains(&facts.stage_of_cell(cell));
    let seconds = (0..facts.length().div_ceil(SECOND_NS)).map(|second| second * CELLS);
    seconds
        .filter(|cell| is_judged(*cell))
        .map(|cell| facts.planned.requests(cell, cell + CELLS))
        .max()
        .unwrap_or(0)
}

/// Why the generator is judged unable, if more was due than it can send.
pub(super) fn beyond(facts: &Facts<'_>, headroom: &Headroom) -> Option<String> {
    (facts.is_paced() && headroom.peak > headroom.limit).then(|| {
        format!(
            "up to {} requests a second were due, and this machine's generator was measured to send {} to a server that does nothing ({}): use more machines or a lower rate, or measure again by `chaos doctor --calibrate`",
            words::count(round(headroom.peak)),
            words::count(round(headroom.limit)),
            headroom.measured,
        )
    })
}

/// What to say before that, from half of the limit on.
pub(super) fn narrow(facts: &Facts<'_>, headroom: &Headroom) -> Option<String> {
    let is_narrow = headroom.peak * 2.0 > headroom.limit && beyond(facts, headroom).is_none();
    is_narrow.then(|| {
        format!(
            "up to {} requests a second are {} of what this machine's generator was measured to reach against a server that does nothing ({}); above 50 % it may become the bottleneck",
            words::count(round(headroom.peak)),
            words::percent(headroom.peak / headroom.limit),
            headroom.measured,
        )
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^53"
)]
fn round(rate: f64) -> u64 {
    rate.round() as u64
}
