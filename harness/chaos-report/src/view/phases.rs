//! Every step before, during and after the faults, the worst damage first.
//!
//! Invariant: phases are whole seconds and no second is in two of them. "During" is from each
//! effect until shoppers were back to normal; "before" and "after" are the rest of the same stages.

use std::ops::Range;

use chaos_record::histogram::new_histogram;
use chaos_record::outcome::Counts;
use chaos_record::series::SeriesTable;
use chaos_record::{CELL_NS, SECOND_NS, quantile};
use serde::Serialize;

use super::{Story, spans};
use crate::clean::clean;
use crate::words;

const CELLS_PER_SECOND: u64 = SECOND_NS / CELL_NS;
/// Most rows: the worst damage stands first.
const ROWS_MAX: usize = 40;
/// Over p95: 50 of 1,000.
const P95_OVER: u64 = 50;

/// The steps of all journeys by phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phases {
    pub rows: Vec<PhaseRow>,
    /// Which seconds each phase holds.
    pub explained: String,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseRow {
    pub journey: String,
    pub step: String,
    pub before: PhaseCell,
    pub during: PhaseCell,
    pub after: PhaseCell,
}

/// One step in one phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PhaseCell {
    pub bad: String,
    pub any_bad: bool,
    pub p95: String,
    /// p95 against before; empty where that cannot be said.
    pub delta: String,
    /// Whether p95 is clearly slower than before.
    pub slower: bool,
}

/// What is known of one step in one phase.
struct Measured {
    counts: Counts,
    p95: Option<u64>,
}

/// The table, if a fault took effect.
pub(super) fn phases(story: &Story<'_>) -> Option<Phases> {
    let phases = Seconds::of(story)?;
    let table = SeriesTable::new(story.plan());
    let steps = table
        .iter()
        .filter_map(|(number, series)| Some((number, series.journey, series.step?)));
    let mut rows: Vec<((u64, u64), PhaseRow)> = steps
        .map(|(number, journey, step)| row(story, &phases, number, (journey, step)))
        .collect();
    rows.sort_by_key(|(damage, _)| std::cmp::Reverse(*damage));
    Some(Phases {
        rows: rows
            .into_iter()
            .take(ROWS_MAX)
            .map(|(_, row)| row)
            .collect(),
        explained: phases.explained(),
    })
}

/// A row with its damage: bad requests during, then how much slower p95 was.
fn row(
    story: &Story<'_>,
    phases: &Seconds,
    number: usize,
    (journey, step): (usize, usize),
) -> ((u64, u64), PhaseRow) {
    let [before, during, after] = [&phases.before, &phases.during, &phases.after]
        .map(|ranges| measure(story, ranges, number));
    let slower = during
        .p95
        .unwrap_or(u64::MAX)
        .saturating_sub(before.p95.unwrap_or(0));
    let journey = &story.plan().load.journeys[journey];
    let row = PhaseRow {
        journey: clean(&journey.name),
        step: clean(&journey.steps[step].name),
        during: cell(&during, Some(&before)),
        after: cell(&after, Some(&before)),
        before: cell(&before, None),
    };
    ((during.counts.bad(), slower), row)
}

fn measure(story: &Story<'_>, ranges: &[Range<u64>], number: usize) -> Measured {
    let (mut counts, mut answered) = (Counts::default(), new_histogram());
    for range in ranges {
        let (from, until) = (range.start * CELLS_PER_SECOND, range.end * CELLS_PER_SECOND);
        let own = |series| series == number;
        counts.merge(&story.windows.sum(from, until, own).counts);
        let part = story.windows.responses(range.start, range.end, own);
        answered
            .add(&part)
            .expect("all histograms have the same bounds");
    }
    let p95 = quantile::response(&answered, counts.bad(), P95_OVER);
    Measured { counts, p95 }
}

fn cell(measured: &Measured, before: Option<&Measured>) -> PhaseCell {
    let judged = measured.counts.judged();
    let both = before.and_then(|before| Some((before.p95?, measured.p95?)));
    let delta = both.map_or_else(String::new, |(before, now)| {
        let difference = words::duration(now.abs_diff(before));
        match now.cmp(&before) {
            std::cmp::Ordering::Equal => "same".to_owned(),
            std::cmp::Ordering::Greater => format!("+{difference}"),
            std::cmp::Ordering::Less => format!("-{difference}"),
        }
    });
    PhaseCell {
        bad: words::percent_of(measured.counts.bad(), judged),
        any_bad: measured.counts.bad() > 0,
        p95: words::duration_or(measured.p95, if judged == 0 { "-" } else { "no answer" }),
        delta,
        slower: both.is_some_and(|(before, now)| now > before + before / 2)
            || (judged > 0 && measured.p95.is_none()),
    }
}

/// The seconds of each phase.
struct Seconds {
    before: Vec<Range<u64>>,
    during: Vec<Range<u64>>,
    after: Vec<Range<u64>>,
}

impl Seconds {
    fn of(story: &Story<'_>) -> Option<Self> {
        let spans = spans(story);
        let first = spans.iter().map(|span| span.from).min()? / SECOND_NS;
        let end = story.verdict.load_length / SECOND_NS;
        let during = |second: u64| {
            spans.iter().any(|span| {
                let until = span.until.max(span.from + 1).div_ceil(SECOND_NS);
                (span.from / SECOND_NS..until).contains(&second)
            })
        };
        let touched = |second: u64| {
            story.verdict.stages.iter().any(|stage| {
                let holds = |ns: u64| stage.start <= ns && ns < stage.end;
                holds(second * SECOND_NS) && spans.iter().any(|span| holds(span.from))
            })
        };
        let collect = |keep: &dyn Fn(u64) -> bool| ranges((0..end).filter(|second| keep(*second)));
        Some(Self {
            before: collect(&|second| second < first && touched(second)),
            during: collect(&during),
            after: collect(&|second| second > first && touched(second) && !during(second)),
        })
    }

    fn explained(&self) -> String {
        let [before, during, after] = [&self.before, &self.during, &self.after].map(|ranges| {
            let seconds: u64 = ranges.iter().map(|range| range.end - range.start).sum();
            words::duration(seconds * SECOND_NS)
        });
        format!(
            "During: from each effect until back to normal, {during} in all. Before and after: the rest of the same stages, {before} and {after}. Differences are against before."
        )
    }
}

/// Ascending numbers as ranges.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_one_range() {
        assert_eq!(ranges([1, 2, 3, 7, 9, 10].into_iter()), [1..4, 7..8, 9..11]);
        assert!(ranges(std::iter::empty()).is_empty());
    }
}
