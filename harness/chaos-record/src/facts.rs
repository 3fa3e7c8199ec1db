//! A record seen from the plan: which cells belong to which stage, how far the evidence reaches.
//!
//! Invariant: the judge and the functions used while the run goes on read the record only through
//! here, so they agree on every boundary. A cell belongs to the stage that holds its start; what is
//! intended after the last stage (later steps of a journey) belongs to the last stage.

use std::ops::Range;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{Part, Role, Scope};
use chaos_plan::schedule::users_at;

use crate::event::Event;
use crate::outcome::Counts;
use crate::planned::Planned;
use crate::quantile;
use crate::record::Record;
use crate::window::Cell;
use crate::{CELL_NS, SECOND_NS};

/// A record and what follows from its events at once.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) record: &'a Record,
    pub(crate) plan: &'a Plan,
    /// Distinct latency limits, ascending; requests over each are counted.
    pub(crate) limits: Vec<Duration>,
    /// Nanoseconds since the start of the run.
    pub(crate) load_started: Option<u64>,
    pub(crate) workers: usize,
    pub(crate) stopped: Option<Stopped>,
    /// Cells below this one are accounted for by every worker.
    pub(crate) closed: u64,
    /// The record was closed, nothing in it is missing, and the load it began was stopped.
    pub(crate) complete: bool,
    /// What was due: the schedule up to where the load was cut short.
    pub(crate) planned: &'a Planned,
}

/// How the load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Arrivals after this were never due, nanoseconds from the start of the load.
    pub(crate) until: u64,
    pub(crate) cut_short: bool,
}

/// A duration in nanoseconds.
pub(crate) fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Facts<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let started = record.events.iter().find_map(|event| match event.what {
            Event::LoadStarted { workers } => Some((event.at, workers)),
            _ => None,
        });
        let stopped = record.events.iter().find_map(|event| match event.what {
            Event::LoadStopped { until, cut_short } => Some(Stopped { until, cut_short }),
            _ => None,
        });
        let workers = started.map_or(0, |(_, workers)| workers);
        let closed = if workers == 0 {
            0
        } else {
            record.windows.closed_cells(workers)
        };
        let whole = record.end.is_some()
            && record.damaged_at_line.is_none()
            && !record.forgotten.anything();
        Self {
            record,
            plan: &record.header.plan,
            limits: record.header.plan.limits(),
            load_started: started.map(|(at, _)| at),
            workers,
            stopped,
            closed,
            complete: whole && (started.is_none() || stopped.is_some()),
            planned: record.due.as_ref().unwrap_or(&record.planned),
        }
    }

    /// Length of the planned load.
    pub(crate) fn length(&self) -> u64 {
        ns(self.plan.load.length())
    }

    /// How long load was offered, as far as the record shows.
    pub(crate) fn offered(&self) -> u64 {
        match self.stopped {
            Some(stopped) if stopped.cut_short => stopped.until.min(self.length()),
            Some(_) if self.complete => self.length(),
            _ => (self.closed * CELL_NS).min(self.length()),
        }
    }

    /// Cells below this one count: all of a complete record, else the closed ones.
    pub(crate) fn seen(&self) -> u64 {
        if self.complete { u64::MAX } else { self.closed }
    }

    /// Cells below this one are accounted for and lie wholly within the load that was offered.
    pub(crate) fn horizon(&self) -> u64 {
        (self.offered() / CELL_NS).min(self.seen())
    }

    /// Whether everything intended in these stages was offered and had the time to end.
    pub(crate) fn whole(&self, stages: &[usize]) -> bool {
        let ends = stages
            .iter()
            .filter_map(|stage| self.plan.load.stages.get(*stage));
        let end = ns(ends
            .map(chaos_plan::plan::Stage::end)
            .max()
            .unwrap_or_default()
            + self.plan.load.patience);
        let long_enough = self
            .stopped
            .is_some_and(|stopped| !stopped.cut_short || stopped.until >= end);
        self.complete && long_enough
    }

    /// The stage with this number by the plan, in windows of `unit` nanoseconds; the last stage is open to the end.
    fn stage_range(&self, stage: usize, unit: u64) -> Range<u64> {
        let stages = &self.plan.load.stages;
        let Some(content) = stages.get(stage) else {
            return 0..0;
        };
        let is_last = stage + 1 == stages.len();
        let end = if is_last {
            u64::MAX
        } else {
            ns(content.end()).div_ceil(unit)
        };
        ns(content.start).div_ceil(unit)..end
    }

    /// Cells of a stage, also those the record does not reach.
    pub(crate) fn planned_cells(&self, stage: usize) -> Range<u64> {
        self.stage_range(stage, CELL_NS)
    }

    /// Cells of a stage that count.
    pub(crate) fn stage_cells(&self, stage: usize) -> Range<u64> {
        let Range { start, end } = self.planned_cells(stage);
        start..end.min(self.seen())
    }

    /// How many of a stage's requests or journeys ended as expected: of `own`, the stage's, and by what
    /// `counts` counts in cells of the one before. Where answers alone make the next begin, those that came
    /// within the stage: a stage that is long over when its last answers come has no higher rate by them.
    pub(crate) fn completed(
        &self,
        stage: usize,
        own: &Counts,
        counts: impl Fn(&Range<u64>) -> Counts,
    ) -> u64 {
        let before = stage.checked_sub(1).filter(|_| !self.is_paced());
        let carried = before.map_or(0, |before| counts(&self.stage_cells(before)).outlasting);
        own.ok.saturating_sub(own.outlasting) + carried
    }

    /// Seconds of a stage that count.
    pub(crate) fn stage_seconds(&self, stage: usize) -> Range<u64> {
        let Range { start, end } = self.stage_range(stage, SECOND_NS);
        let seen = if self.complete {
            u64::MAX
        } else {
            self.closed * CELL_NS / SECOND_NS
        };
        start..end.min(seen)
    }

    /// The stage a cell belongs to; after the end of the load the last one.
    pub(crate) fn stage_of_cell(&self, cell: u64) -> usize {
        let at = Duration::from_nanos(cell.saturating_mul(CELL_NS));
        let last = self.plan.load.stages.len().saturating_sub(1);
        self.plan.load.stage_at(at).unwrap_or(last)
    }

    /// Whether a cell belongs to a probe of a search, or to what leads up to it.
    pub(crate) fn in_probe(&self, cell: u64) -> bool {
        if self.record.segments.is_empty() {
            return false;
        }
        let stage = self.stage_of_cell(cell);
        let mut segments = self.record.segments.iter();
        segments.any(|(number, segment)| *number == stage && segment.role != Role::Rest)
    }

    fn is_step(&self, series: usize) -> bool {
        self.record
            .series
            .get(series)
            .is_some_and(|series| series.step.is_some())
    }

    /// All requests together: every step series.
    pub(crate) fn requests(&self, cells: &Range<u64>) -> Cell {
        self.record.sums.requests(cells)
    }

    /// The requests of a part.
    pub(crate) fn picked(&self, part: Part, cells: &Range<u64>) -> Cell {
        match part {
            Part::All => self.requests(cells),
            _ => self
                .record
                .windows
                .sum(cells.start, cells.end, |series| self.is_of(part, series)),
        }
    }

    fn is_of(&self, part: Part, series: usize) -> bool {
        self.record.series.get(series).is_some_and(|series| {
            series
                .step
                .is_some_and(|step| part.holds(series.journey, step))
        })
    }

    /// Bad requests of a part in these cells that a fault broke in flight, with the steps never
    /// reached because of it: they were intended before the fault and say nothing about that time.
    pub(crate) fn broken_in_flight(&self, part: Part, cells: &Range<u64>) -> u64 {
        let busy = self
            .record
            .sums
            .requests
            .range(cells.start..cells.end.max(cells.start));
        let hit = busy.filter(|(_, all)| all.counts.caught[1] > 0);
        hit.map(|(cell, _)| self.picked(part, &(*cell..cell + 1)).counts)
            .filter(|counts| counts.caught[1] > 0)
            .map(|counts| (counts.caught[1] + counts.not_reached).min(counts.bad()))
            .sum()
    }

    /// One series in these cells.
    pub(crate) fn series(&self, number: usize, cells: &Range<u64>) -> Cell {
        self.record
            .windows
            .sum(cells.start, cells.end, |series| series == number)
    }

    /// One journey as a whole.
    pub(crate) fn journey(&self, journey: usize, cells: &Range<u64>) -> Cell {
        self.series(self.record.series.of_journey(journey), cells)
    }

    /// All journeys as wholes.
    pub(crate) fn journeys(&self, cells: &Range<u64>) -> Counts {
        self.record.sums.journeys(cells)
    }

    /// The first step of each journey.
    pub(crate) fn first_steps(&self, cells: &Range<u64>) -> Counts {
        self.record.sums.first_steps(cells)
    }

    /// Response time of answers as expected in these seconds; of one series, or of all requests.
    pub(crate) fn responses(
        &self,
        series: Option<usize>,
        seconds: &Range<u64>,
    ) -> hdrhistogram::Histogram<u64> {
        let keep = |number| series.map_or_else(|| self.is_step(number), |series| series == number);
        self.record
            .windows
            .responses(seconds.start, seconds.end, keep)
    }

    /// The p95 of all requests of a second; `None` if it is infinite or nothing was asked.
    pub(crate) fn p95_of_second(&self, second: u64) -> Option<u64> {
        let folded = &self.record.windows.folded;
        if folded.has(second) {
            return folded.p95(second);
        }
        let one = second..second + 1;
        let bad = self.requests(&cells_of_seconds(&one)).counts.bad();
        quantile::response(&self.responses(None, &one), bad, 50)
    }

    /// Response time of answers as expected to the requests of a part in these seconds.
    pub(crate) fn responses_of(
        &self,
        part: Part,
        seconds: &Range<u64>,
    ) -> hdrhistogram::Histogram<u64> {
        self.record
            .windows
            .responses(seconds.start, seconds.end, |series| {
                self.is_of(part, series)
            })
    }

    /// Whether journeys are due at instants known beforehand; else what was begun stands for what
    /// was planned, and a response is only a service time.
    pub(crate) fn is_paced(&self) -> bool {
        self.plan.load.model.is_paced()
    }

    /// Whether users of a closed model without a cycle are there from the begin of a second to its end.
    pub(crate) fn has_users(&self, second: u64) -> bool {
        let begin = Duration::from_secs(second);
        let last = begin.saturating_add(Duration::from_nanos(SECOND_NS - 1));
        let is_there = |at| users_at(&self.plan.load, at) > 0;
        !self.is_paced() && is_there(begin) && is_there(last)
    }

    /// Longest planned pause of a user who has an answer; none follows the last step of a journey.
    pub(crate) fn longest_think(&self) -> Duration {
        let journeys = self.plan.load.journeys.iter();
        let pauses = journeys.flat_map(|journey| journey.steps.iter().rev().skip(1));
        pauses.map(|step| step.think).max().unwrap_or_default()
    }

    /// Whether a second without data ends with all users of a closed model without a cycle waiting
    /// for answers.
    ///
    /// There a user who has an answer asks the next after the think time, so nobody asks only while
    /// all think or wait. Seconds in a row that are half a second longer than the longest think time
    /// (one, if it is below 500 ms) cannot be thought away: the last of them is one of waiting, and so
    /// is each further one. Those before it are left out, since all may have been thinking.
    pub(crate) fn is_waiting(&self, second: u64) -> bool {
        let half = Duration::from_millis(500);
        let needed = self.longest_think().saturating_add(half).as_secs();
        let is_quiet = |second: u64| {
            let cells = cells_of_seconds(&(second..second + 1));
            self.has_users(second) && self.requests(&cells).counts.total() == 0
        };
        let first = second.checked_sub(needed);
        first.is_some_and(|first| (first..=second).all(is_quiet))
    }

    /// The tightest latency limit of the claims judged on all requests of this stage: the tightest
    /// p95, or else any.
    pub(crate) fn tightest_limit(&self, stage: usize) -> Option<Duration> {
        use chaos_plan::plan::{Expect, Quantile};
        let is_here = |scope: &Scope| scope.part == Part::All && scope.stages.contains(&stage);
        let limits = self
            .plan
            .claims
            .iter()
            .filter_map(|claim| match &claim.expect {
                Expect::Latency { limits, scope } if is_here(scope) => Some(limits),
                _ => None,
            });
        let limits: Vec<_> = limits.flatten().collect();
        let p95 = limits
            .iter()
            .filter(|limit| limit.quantile == Quantile::P95)
            .map(|limit| limit.at_most)
            .min();
        p95.or_else(|| limits.iter().map(|limit| limit.at_most).min())
    }
}

/// The cells of a stretch of whole seconds.
pub(crate) fn cells_of_seconds(seconds: &Range<u64>) -> Range<u64> {
    let cells = SECOND_NS / CELL_NS;
    seconds.start.saturating_mul(cells)..seconds.end.saturating_mul(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Run;

    #[test]
    fn stages_share_no_cell_and_the_last_is_open() {
        let record = Run::calm().record();
        let facts = Facts::of(&record);
        assert_eq!(
            (facts.stage_cells(0), facts.stage_cells(1)),
            (0..20, 20..u64::MAX)
        );
        assert_eq!(
            (facts.stage_seconds(0), facts.stage_seconds(1)),
            (0..2, 2..u64::MAX)
        );
        assert_eq!(
            (
                facts.stage_of_cell(19),
                facts.stage_of_cell(20),
                facts.stage_of_cell(9_999)
            ),
            (0, 1, 1)
        );
        assert_eq!(facts.stage_cells(7), 0..0);
    }

    #[test]
    fn a_record_without_its_end_counts_its_closed_cells_only() {
        let mut record = Run::calm().record();
        record.end = None;
        let facts = Facts::of(&record);
        assert!(!facts.complete && !facts.whole(&[0]));
        assert_eq!(facts.seen(), facts.closed);
    }
}
