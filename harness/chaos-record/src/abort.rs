//! Whether the run must stop, as its safety limits say.
//!
//! Invariant: requests still in flight count as soon as they are too old to end well, and data that
//! stays away stops the run as surely as failures do.

use std::ops::Range;

use crate::facts::{Facts, cells_of_seconds, ns};
use crate::record::Record;
use crate::steady::HANDOVER_NS;
use crate::words;
use crate::{CELL_NS, SECOND_NS};

/// Seconds in a row without any data that stop a run, beside those its users may spend waiting.
const SILENT_SECONDS: u64 = 3;

/// One second of the load, by intended instant.
#[derive(Debug, Clone, Copy)]
struct Second {
    planned: u64,
    /// Ended, or too old to end well.
    known: u64,
    bad: u64,
    /// Old enough that everything in it must have ended and been handed over.
    settled: bool,
    /// A probe of a search is meant to find what is too much, and ends by itself once it has.
    in_probe: bool,
}

/// Why the run must stop, if it must.
pub fn should(record: &Record, now_load_ns: u64) -> Option<String> {
    let facts = Facts::of(record);
    facts.load_started?;
    let ended = now_load_ns.min(facts.length()) / SECOND_NS;
    silent(&facts, now_load_ns, ended).or_else(|| too_many_bad(&facts, now_load_ns, ended))
}

fn second(facts: &Facts<'_>, number: u64, now: u64) -> Second {
    let cells = cells_of_seconds(&(number..number + 1));
    let patience_over = now.saturating_sub(ns(facts.plan.load.patience) + HANDOVER_NS) / CELL_NS;
    let counts = facts.requests(&cells).counts;
    let too_old = too_old(
        facts,
        &(cells.start..cells.end.min(patience_over).max(cells.start)),
    );
    Second {
        planned: facts.planned.journeys(cells.start, cells.end),
        known: counts.judged() + too_old,
        bad: counts.bad() + too_old,
        settled: cells.end <= patience_over,
        in_probe: facts.in_probe(cells.start),
    }
}

/// Planned journeys of whose first request nothing has been heard although its patience is over.
fn too_old(facts: &Facts<'_>, cells: &Range<u64>) -> u64 {
    let planned = facts.planned.journeys(cells.start, cells.end);
    planned.saturating_sub(facts.first_steps(cells).total())
}

fn silent(facts: &Facts<'_>, now: u64, ended: u64) -> Option<String> {
    let silent = |number: u64| {
        let second = second(facts, number, now);
        let heard = facts
            .requests(&cells_of_seconds(&(number..number + 1)))
            .counts
            .total();
        let is_due = second.planned > 0 || facts.has_users(number);
        second.settled && is_due && heard == 0
    };
    // The newest settled second is at most the patience and the handover old.
    let newest = (0..ended)
        .rev()
        .find(|number| second(facts, *number, now).settled)?;
    let first = (newest + 1).checked_sub(SILENT_SECONDS + longest_wait(facts))?;
    (first..=newest).all(silent).then(|| {
        format!(
            "no request intended between {first} s and {} s of the load was heard of",
            newest + 1
        )
    })
}

/// Whole seconds for which all users may ask nothing although everything is heard of: without
/// instants that are due, one who waits for an answer or thinks asks nothing. Patience ends the wait.
fn longest_wait(facts: &Facts<'_>) -> u64 {
    if facts.is_paced() {
        return 0;
    }
    let wait = facts
        .plan
        .load
        .patience
        .saturating_add(facts.longest_think());
    ns(wait).div_ceil(SECOND_NS)
}

/// The first second that is not forgotten.
fn known_from(facts: &Facts<'_>) -> u64 {
    (facts.record.forgotten.below * CELL_NS).div_ceil(SECOND_NS)
}

/// More than the allowed share in every one of the last seconds that are known.
fn too_many_bad(facts: &Facts<'_>, now: u64, ended: u64) -> Option<String> {
    let limit = facts.plan.safety.abort_if?;
    let length = ns(limit.lasts).div_ceil(SECOND_NS).max(1);
    let newest = (known_from(facts)..ended)
        .rev()
        .find(|number| second(facts, *number, now).known > 0)?;
    let first = (newest + 1).checked_sub(length)?;
    let seconds: Vec<Second> = (first..=newest)
        .map(|number| second(facts, number, now))
        .collect();
    // A second in which nothing was planned says nothing; one that was planned and is unknown is not over the limit.
    let over = |second: &Second| {
        !second.in_probe && second.known > 0 && second.bad > limit.errors.floor_of(second.known)
    };
    let quiet = |second: &Second| !second.in_probe && second.planned == 0 && second.known == 0;
    if !seconds.iter().all(|second| over(second) || quiet(second)) {
        return None;
    }
    let (bad, known) = seconds.iter().fold((0, 0), |(bad, known), second| {
        (bad + second.bad, known + second.known)
    });
    let (share, lasts) = (
        words::share(bad, known),
        words::duration(length * SECOND_NS),
    );
    Some(format!(
        "{share} of the requests were bad for {lasts}, the limit is {}",
        limit.errors
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};

    fn at(run: Run, seen_cells: u64, now: u64) -> Option<String> {
        should(&run.until_cell(seen_cells).record(), now)
    }

    fn down(from: u64, until: u64) -> Run {
        Run::kill().answer(move |request| {
            if (from..until).contains(&request.at) {
                Answer::refused()
            } else {
                Answer::Ok(5 * MS)
            }
        })
    }

    #[test]
    fn a_good_run_goes_on() {
        assert_eq!(at(Run::kill(), 199, 20 * SEC), None);
        assert_eq!(at(Run::kill(), 0, 500 * MS), None);
    }

    #[test]
    fn failures_for_the_whole_time_stop_it() {
        // The limit is 50 % for 3 s.
        assert!(
            at(down(12 * SEC, 15 * SEC), 150, 15 * SEC)
                .is_some_and(|why| why.contains("100 %") && why.contains("50%"))
        );
        assert_eq!(at(down(12 * SEC, 14 * SEC), 150, 15 * SEC), None);
        assert!(at(down(12_400 * MS, 15 * SEC), 150, 15 * SEC).is_some());
        assert_eq!(at(down(12_600 * MS, 15 * SEC), 150, 15 * SEC), None);
    }

    #[test]
    fn what_ended_long_ago_does_not_stop_it() {
        assert_eq!(at(down(12 * SEC, 15 * SEC), 170, 17 * SEC), None);
    }

    #[test]
    fn a_stall_shorter_than_patience_does_not_stop_it() {
        assert_eq!(at(Run::kill(), 120, 15 * SEC), None);
    }

    #[test]
    fn requests_in_flight_count_once_they_are_too_old() {
        // At 20.5 s half of the second from 14 s on is older than patience and handover.
        assert!(at(Run::kill(), 120, 20_500 * MS).is_some_and(|why| why.starts_with("100 %")));
    }

    #[test]
    fn silence_beyond_patience_stops_it() {
        // Patience 5 s and 1 s to hand over: at 21 s the seconds 12, 13 and 14 are too old.
        assert_eq!(at(Run::kill(), 120, 20 * SEC), None);
        assert!(
            at(Run::kill(), 120, 21 * SEC).is_some_and(|why| why.contains("between 12 s and 15 s"))
        );
    }

    #[test]
    fn silence_of_users_stops_it_only_if_they_cannot_be_waiting() {
        // Nothing from 12 s on; patience 5 s, 3 s of silence and 1 s to hand over.
        let users = || Run::calm().users(50, None);
        let silent = |until, now| at(users().stuck(12 * SEC, until), until / CELL_NS, now);
        assert_eq!(silent(20 * SEC, 25 * SEC), None);
        let why = silent(20 * SEC, 26 * SEC).expect("stopped");
        assert!(why.contains("between 12 s and 20 s"), "{why}");
        assert_eq!(at(users(), 199, 20 * SEC), None);
    }

    #[test]
    fn a_probe_that_breaks_stops_nothing_but_what_stays_broken_does() {
        // The limit is 50 % for 3 s; the probe from 31 s to 35 s is meant to find what is too much.
        let broken = |until: u64| {
            let run = Run::calm().search(&[(400, 4), (100, 4)], None);
            let run = run.answer(move |request| {
                if (31 * SEC..until).contains(&request.at) {
                    Answer::refused()
                } else {
                    Answer::Ok(5 * MS)
                }
            });
            at(run, 10 * until / SEC, until)
        };
        assert_eq!(broken(35 * SEC), None);
        assert_eq!(broken(37 * SEC), None, "two seconds of rest");
        let plain = Run::calm().length(40 * SEC).answer(|_| Answer::refused());
        assert!(at(plain, 350, 35 * SEC).is_some());
    }

    #[test]
    fn without_load_there_is_nothing_to_stop() {
        assert_eq!(should(&Run::calm().header_only(), 30 * SEC), None);
    }
}
