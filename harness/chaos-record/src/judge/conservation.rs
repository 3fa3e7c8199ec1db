//! What was planned against what is accounted for, exactly.
//!
//! Invariant: the planned side is the closed-form schedule, never our own sum; in a closed model
//! without a cycle, which has none, it is what the workers began.

use std::ops::Range;

use crate::event::Event;
use crate::facts::Facts;
use crate::outcome::Counts;
use crate::verdict::Conservation;
use crate::words;

/// Compares every journey and step of a complete record; of an incomplete one the journeys of closed cells.
pub(super) fn check(facts: &Facts<'_>) -> Conservation {
    let cells = 0..facts.seen();
    let mut differences = unknown_series(facts);
    differences.extend(begun_elsewhere(facts));
    for (journey, content) in facts.plan.load.journeys.iter().enumerate() {
        let planned = due(facts, journey, &cells);
        let found = facts.journey(journey, &cells).counts;
        differences.extend(differs(
            &format!("journey {}", content.name),
            planned,
            found.total(),
        ));
        if !facts.complete {
            // Later steps lie in later cells, which may not be closed yet.
            continue;
        }
        differences.extend(unanswered_in_histograms(
            facts,
            facts.record.series.of_journey(journey),
            &content.name,
        ));
        for (step, name) in content.steps.iter().map(|step| &step.name).enumerate() {
            let series = facts.record.series.of_step(journey, step);
            let title = format!("step {name} of journey {}", content.name);
            differences.extend(differs(
                &title,
                planned,
                facts.series(series, &cells).counts.total(),
            ));
            differences.extend(unanswered_in_histograms(facts, series, &title));
        }
    }
    Conservation {
        exact: differences.is_empty(),
        cells: if facts.complete {
            last_cell(facts)
        } else {
            facts.closed
        },
        planned_journeys: due_of(
            facts,
            |from, until| facts.planned.journeys(from, until),
            &cells,
        ),
        planned_requests: due_of(
            facts,
            |from, until| facts.planned.requests(from, until),
            &cells,
        ),
        journeys: facts.journeys(&cells),
        requests: facts.requests(&cells).counts,
        differences,
    }
}

/// Without a schedule, what the workers say they began is what the counts are held against.
fn begun_elsewhere(facts: &Facts<'_>) -> Option<String> {
    if facts.is_paced() || !facts.complete {
        return None;
    }
    let reports = facts
        .record
        .events
        .iter()
        .filter_map(|event| match &event.what {
            Event::Worker(report) => Some(report.journeys),
            _ => None,
        });
    let found = facts.journeys(&(0..u64::MAX)).total();
    let (begun_by_workers, accounts) = reports.fold((0, 0), |(sum, n), one| (sum + one, n + 1));
    let (begun_text, found_text) = (words::count(begun_by_workers), words::count(found));
    (accounts >= facts.workers && begun_by_workers != found)
        .then(|| format!("journeys: {begun_text} begun, {found_text} accounted for"))
}

/// Arrivals of a journey in these cells; none if the load was never started.
fn due(facts: &Facts<'_>, journey: usize, cells: &Range<u64>) -> u64 {
    due_of(
        facts,
        |from, until| facts.planned.of_journey(journey, from, until),
        cells,
    )
}

fn due_of(facts: &Facts<'_>, count: impl Fn(u64, u64) -> u64, cells: &Range<u64>) -> u64 {
    if facts.load_started.is_some() {
        count(cells.start, cells.end)
    } else {
        0
    }
}

fn differs(title: &str, planned: u64, found: u64) -> Option<String> {
    let (planned_text, found_text) = (words::count(planned), words::count(found));
    (planned != found)
        .then(|| format!("{title}: {planned_text} planned, {found_text} accounted for"))
}

/// Every answer as expected stands in a cell and, with its response time, in a second.
fn unanswered_in_histograms(facts: &Facts<'_>, series: usize, title: &str) -> Option<String> {
    let ok = facts.series(series, &(0..u64::MAX)).counts.ok;
    let timed = facts.responses(Some(series), &(0..u64::MAX)).len();
    let (ok_text, timed_text) = (words::count(ok), words::count(timed));
    (ok != timed).then(|| {
        format!("{title}: {ok_text} answers as expected, {timed_text} with a response time")
    })
}

fn unknown_series(facts: &Facts<'_>) -> Vec<String> {
    let known = facts.record.series.len();
    let strays: Counts = facts
        .record
        .windows
        .sum(0, u64::MAX, |series| series >= known)
        .counts;
    let stray = strays.total() > 0;
    stray
        .then(|| {
            format!(
                "{} belong to no journey of the plan",
                words::counted(strays.total(), "outcome")
            )
        })
        .into_iter()
        .collect()
}

fn last_cell(facts: &Facts<'_>) -> u64 {
    facts
        .record
        .windows
        .cells
        .last_key_value()
        .map_or(0, |(cell, _)| cell + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Stamped;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::line::Line;
    use crate::record::Record;

    fn exact(record: &Record) -> bool {
        check(&Facts::of(record)).exact
    }

    #[test]
    fn a_whole_run_is_exact_whatever_became_of_its_requests() {
        let mixed = Run::kill().answer(|request| match request.number % 7 {
            0 => Answer::reset(),
            1 => Answer::Shed,
            2 => Answer::Ok(700 * MS),
            _ => Answer::Ok(MS),
        });
        let record = mixed.record();
        let conservation = check(&Facts::of(&record));
        assert_eq!(conservation.differences, Vec::<String>::new());
        assert_eq!(conservation.planned_journeys, conservation.journeys.total());
        assert_eq!(conservation.planned_requests, conservation.requests.total());
    }

    #[test]
    fn one_missing_or_doubled_count_is_found_in_every_series() {
        let record = Run::kill().record();
        for series in 0..record.series.len() {
            for more in [true, false] {
                let mut record = record.clone();
                let cell = record
                    .windows
                    .cells
                    .get_mut(&130)
                    .and_then(|cells| cells.get_mut(&series))
                    .expect("a busy cell");
                cell.counts.cancelled += u64::from(more);
                cell.counts.ok -= u64::from(!more);
                assert!(!exact(&record), "series {series}");
            }
        }
    }

    #[test]
    fn a_cut_short_load_counts_what_was_due() {
        assert!(exact(&Run::kill().cut_short(17_345 * MS).record()));
        let run = Run::kill().cut_short(17_345 * MS);
        let mut record = run.header_only();
        for mut line in run.lines().into_iter().skip(1) {
            if let Line::Event(Stamped {
                what: Event::LoadStopped { until, .. },
                ..
            }) = &mut line
            {
                *until += SEC;
            }
            record.apply(&line);
        }
        assert!(!exact(&record));
    }

    #[test]
    fn of_a_record_without_end_the_closed_cells_are_exact() {
        let mut record = Run::kill().until_cell(150).record();
        let facts = Facts::of(&record);
        let conservation = check(&facts);
        assert_eq!((conservation.exact, conservation.cells), (true, 150));
        assert!(conservation.planned_journeys > 1_000);
        record.windows.cells.remove(&90);
        assert!(!exact(&record));
    }

    #[test]
    fn a_closed_model_is_exact_with_a_cycle_and_without() {
        let half = std::time::Duration::from_millis(500);
        for cycle in [Some(half), None] {
            let record = Run::calm().users(20, cycle).record();
            let conservation = check(&Facts::of(&record));
            assert!(conservation.exact, "{:?}", conservation.differences);
            assert!(conservation.planned_journeys > 500);
            let cut = Run::calm().users(20, cycle).cut_short(17_345 * MS).record();
            assert!(exact(&cut));
        }
        let mut record = Run::calm().users(20, None).record();
        for event in &mut record.events {
            if let Event::Worker(report) = &mut event.what {
                report.journeys += 1;
            }
        }
        assert!(!exact(&record));
        // A step that is not accounted for is missed in either.
        let mut record = Run::calm().users(20, None).record();
        let series = record.series.of_step(0, 1);
        let cells = record.windows.cells.get_mut(&130).expect("a busy cell");
        cells.get_mut(&series).expect("a busy series").counts.ok -= 1;
        assert!(!exact(&record));
    }

    #[test]
    fn outcomes_of_unknown_series_are_found() {
        let mut record = Run::kill().record();
        let stray = record
            .windows
            .cells
            .entry(3)
            .or_default()
            .entry(99)
            .or_default();
        stray.counts.ok = 1;
        assert!(!exact(&record));
    }
}
