//! The run at a glance while it goes on.
//!
//! Invariant: the same counts and rules as the judge's, over what is known so far.

use std::ops::Range;

use crate::course;
use crate::facts::{Facts, ns};
use crate::judge::fault;
use crate::life::Life;
use crate::outcome::Counts;
use crate::quantile;
use crate::record::Record;
use crate::steady;
use crate::window::ladder;
use crate::{CELL_NS, SECOND_NS};

/// How far back rates and shares look, in cells.
const LOOK_BACK: u64 = 50;

/// What the terminal shows. Times are nanoseconds from the start of the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// The load has stopped: what is still to come is undone, asked and restarted without it.
    pub is_over: bool,
    pub now: u64,
    /// Length of the planned load; of a search what it usually takes, until it is over.
    pub length: u64,
    pub stage: usize,
    pub stage_name: String,
    /// Journeys a second by the schedule, over the last 5 s in which all requests have ended.
    pub offered: f64,
    /// Of these, sent in time.
    pub achieved: f64,
    /// Over the same 5 s, failures as infinitely slow; absent where that is infinite or nothing was asked.
    pub p95: Option<u64>,
    /// The tightest latency limit of this stage.
    pub limit: Option<u64>,
    /// Bad among judged requests over the same 5 s; absent if there were none.
    pub bad_share: Option<f64>,
    /// Requests of the run that have ended, and the bad ones among them.
    pub requests: u64,
    pub bad: u64,
    pub active: Vec<ActiveFault>,
}

/// A fault that is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveFault {
    pub name: String,
    /// Until its planned undo; absent for a one-shot fault that shoppers still feel.
    pub remaining: Option<u64>,
}

/// A look at the run at `now_load_ns`.
pub fn glance(record: &Record, now_load_ns: u64) -> Glance {
    let facts = Facts::of(record);
    let look = Look::back(&facts, now_load_ns, LOOK_BACK);
    let Look { now, stage, cells } = &look;
    let (now, stage) = (*now, *stage);
    let recent = facts.requests(cells);
    let judged = recent.counts.judged();
    let all = &record.sums.total;
    Glance {
        is_over: facts.stopped.is_some(),
        now,
        length: length(&facts),
        stage,
        stage_name: facts
            .plan
            .load
            .stages
            .get(stage)
            .map_or_else(String::new, |stage| stage.name.clone()),
        offered: look.a_second(facts.planned.journeys(cells.start, cells.end)),
        achieved: look.a_second(sent_in_time(&facts, cells)),
        p95: quantile::p95_rung(&recent).map(rung_ns),
        limit: facts.tightest_limit(stage).map(ns),
        bad_share: (judged > 0).then(|| recent.counts.bad() as f64 / judged as f64),
        requests: all.judged(),
        bad: all.bad(),
        active: active(&facts, now_load_ns),
    }
}

/// The last cells in which all requests have ended.
struct Look {
    /// At most the length of the load.
    now: u64,
    stage: usize,
    cells: Range<u64>,
}

impl Look {
    /// At most `back` cells, and none that is still to come.
    fn back(facts: &Facts<'_>, now_load_ns: u64, back: u64) -> Self {
        let now = now_load_ns.min(facts.length());
        let until = steady::settled(facts, now_load_ns).min(now / CELL_NS);
        Self {
            now,
            stage: facts.stage_of_cell(now / CELL_NS),
            cells: until.saturating_sub(back)..until,
        }
    }

    /// How many of `n` in these cells that is a second.
    fn a_second(&self, n: u64) -> f64 {
        let seconds = ((self.cells.end - self.cells.start) * CELL_NS) as f64 / SECOND_NS as f64;
        if seconds > 0.0 {
            n as f64 / seconds
        } else {
            0.0
        }
    }
}

/// How far back a pulse looks, in cells: what is seen is now, not an average of a while ago.
const PULSE: u64 = 10;

/// A load by itself at this moment. Times are nanoseconds from the start of the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Pulse {
    pub now: u64,
    /// Length of the planned load.
    pub length: u64,
    pub stage: usize,
    /// Over the last second in which all requests have ended, or what there is of it: requests that
    /// ended a second, and journeys due a second (`None` where none are planned).
    pub rate: f64,
    pub offered: Option<f64>,
    /// Percentiles of that second, failures as infinitely slow; absent where that is infinite or nothing was asked.
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
    /// The tightest latency limit of this stage.
    pub limit: Option<u64>,
    /// Of that second.
    pub recent: Counts,
    /// Of the load so far.
    pub total: Counts,
}

/// A look at a load by itself at `now_load_ns`.
pub fn pulse(record: &Record, now_load_ns: u64) -> Pulse {
    let facts = Facts::of(record);
    let look = Look::back(&facts, now_load_ns, PULSE);
    let cells = &look.cells;
    let recent = facts.requests(cells);
    let at = |over| quantile::rung(&recent, over).map(rung_ns);
    Pulse {
        now: look.now,
        length: facts.length(),
        stage: look.stage,
        rate: look.a_second(recent.counts.judged()),
        offered: facts
            .is_paced()
            .then(|| look.a_second(facts.planned.journeys(cells.start, cells.end))),
        p50: at(500),
        p95: at(50),
        p99: at(10),
        limit: facts.tightest_limit(look.stage).map(ns),
        recent: recent.counts,
        total: record.sums.total.clone(),
    }
}

/// The time of the load at which shoppers were back in band after a fault, once they have stayed
/// there long enough; for an absorbed fault its effect or undo.
pub fn recovered(record: &Record, fault: &str) -> Option<u64> {
    let facts = Facts::of(record);
    recovered_from(&facts, facts.plan.fault(fault)?)
}

fn recovered_from(facts: &Facts<'_>, fault: &chaos_plan::plan::Fault) -> Option<u64> {
    if let Some(at) = facts.record.back_in_band.get(&fault.name) {
        return Some(*at);
    }
    let life = Life::of(facts, fault);
    // A steady stretch further back would have been seen by an earlier look.
    let since = (facts.horizon() * CELL_NS).saturating_sub(course::live_look_ns(facts));
    let (_, course) = fault::course(facts, &life, None, since);
    course.ok()?.recovered_at()
}

fn length(facts: &Facts<'_>) -> u64 {
    let is_over =
        |event: &crate::event::Stamped| matches!(event.what, crate::event::Event::Searched { .. });
    match &facts.plan.load.search {
        Some(search) if !facts.record.events.iter().any(is_over) => {
            ns(search.start + search.usual()).max(facts.length())
        }
        _ => facts.length(),
    }
}

fn sent_in_time(facts: &Facts<'_>, cells: &Range<u64>) -> u64 {
    let first = facts.first_steps(cells);
    first
        .total()
        .saturating_sub(first.overdue + first.cancelled)
}

fn active(facts: &Facts<'_>, now: u64) -> Vec<ActiveFault> {
    let at_work = facts.plan.faults.iter().filter_map(|fault| {
        let life = Life::of(facts, fault);
        let effective = life.effective?;
        let remaining = match fault.lasts {
            Some(_) if life.undone.is_some() || life.undo_failed.is_some() => return None,
            Some(lasts) => Some((effective + ns(lasts)).saturating_sub(now)),
            None if recovered_from(facts, fault).is_some() => return None,
            None => None,
        };
        Some(ActiveFault {
            name: fault.name.clone(),
            remaining,
        })
    });
    at_work.collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rungs end at an hour"
)]
fn rung_ns(rung: u16) -> u64 {
    (ladder::top_us(rung) * 1e3) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};

    #[test]
    fn a_glance_shows_the_last_five_closed_seconds() {
        let run = Run::kill().answer(|request| match request.at {
            at if at < 15 * SEC => Answer::Ok(20 * MS),
            _ if request.number % 50 == 0 => Answer::reset(),
            _ => Answer::Ok(60 * MS),
        });
        let glance = glance(&run.until_cell(200).record(), 20_300 * MS);
        assert_eq!(
            (glance.stage, glance.stage_name.as_str(), glance.length),
            (1, "main", 30 * SEC)
        );
        assert!(
            (glance.offered - 100.0).abs() < 1.0 && (glance.achieved - glance.offered).abs() < 1e-9,
            "{glance:?}"
        );
        assert!(
            glance
                .p95
                .is_some_and(|p95| (60 * MS..63 * MS).contains(&p95)),
            "{glance:?}"
        );
        assert!(
            glance
                .bad_share
                .is_some_and(|share| share > 0.015 && share < 0.06),
            "{glance:?}"
        );
        assert_eq!(glance.limit, Some(200 * MS));
        assert!(glance.requests > 3_000 && glance.bad > 0);
    }

    #[test]
    fn it_is_over_once_the_load_has_stopped() {
        assert!(!glance(&Run::kill().until_cell(200).record(), 20_300 * MS).is_over);
        assert!(glance(&Run::kill().record(), 31 * SEC).is_over);
    }

    #[test]
    fn before_anything_ended_nothing_is_claimed() {
        let glance = glance(&Run::kill().until_cell(0).record(), 200 * MS);
        assert_eq!(
            (glance.p95, glance.bad_share, glance.requests),
            (None, None, 0)
        );
    }

    #[test]
    fn a_pulse_is_of_the_last_second_and_its_failures_are_slow() {
        let run = Run::kill().answer(|request| match request.at {
            at if at < 19 * SEC => Answer::reset(),
            _ if request.number % 50 == 0 => Answer::reset(),
            _ => Answer::Ok(20 * MS),
        });
        let pulse = pulse(&run.until_cell(200).record(), 20_300 * MS);
        assert!(
            pulse
                .p95
                .is_some_and(|p95| (20 * MS..21 * MS).contains(&p95)),
            "{pulse:?}"
        );
        assert_eq!((pulse.p99, pulse.limit), (None, Some(200 * MS)));
        assert!(
            pulse.rate > 100.0
                && pulse
                    .offered
                    .is_some_and(|offered| (offered - 100.0).abs() < 2.0),
            "{pulse:?}"
        );
        assert!(pulse.recent.bad() < pulse.total.bad());
    }

    #[test]
    fn a_recovery_is_known_once_it_was_steady() {
        let down = || {
            Run::kill().answer(|request| {
                if (12 * SEC..14 * SEC).contains(&request.at) {
                    Answer::refused()
                } else {
                    Answer::Ok(5 * MS)
                }
            })
        };
        let at = |cell: u64| recovered(&down().until_cell(cell).record(), "kill-api");
        assert_eq!(at(169), None);
        assert!(
            at(180).is_some_and(|at| at.abs_diff(14 * SEC) <= 500 * MS),
            "{:?}",
            at(180)
        );
        assert_eq!(recovered(&down().until_cell(180).record(), "another"), None);
        let active = |cell: u64| {
            glance(&down().until_cell(cell).record(), cell * CELL_NS)
                .active
                .len()
        };
        assert_eq!((active(110), active(150), active(190)), (0, 1, 0));
    }

    #[test]
    fn a_fault_that_lasts_counts_down() {
        let glance = glance(&Run::pause().until_cell(125).record(), 13 * SEC);
        assert_eq!(
            glance.active,
            [ActiveFault {
                name: "stall-api".to_owned(),
                remaining: Some(2 * SEC)
            }]
        );
    }
}
