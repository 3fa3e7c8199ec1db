//! What is remembered: every outcome in the cell of its intended instant, sent away as deltas.
//!
//! Invariant: samples do not leave this room, and nothing that was recorded is lost: a delta that
//! cannot be sent yet grows until it can.

mod cells;
mod clocks;
mod shelf;
mod tally;

use std::sync::Arc;

use chaos_plan::Plan;
use chaos_record::outcome::Outcome;
use chaos_record::window::Delta;
use chaos_record::{CELL_NS, series::SeriesTable};

use self::cells::{Cells, Entry};
use self::clocks::StageClocks;
use crate::FaultClock;
use crate::client::Stamps;
use crate::clock::length_ns;

/// How a request or a journey ended. Instants are on the raw clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    pub(crate) intended_ns: u64,
    /// When it could begin: as intended, or later if its user was still busy with what the target
    /// had not answered. Our own delay counts from here.
    pub(crate) ready_ns: u64,
    /// When the engine began to work on it; `None` if it never did.
    pub(crate) dispatched_ns: Option<u64>,
    pub(crate) ended_ns: u64,
}

/// What part of a journey was never begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unbegun {
    pub(crate) journey: usize,
    /// The first step that was not begun; all after it were not either.
    pub(crate) from_step: usize,
    pub(crate) intended_ns: u64,
    pub(crate) outcome: Outcome,
}

/// Stages and limits of the plan, as lengths from the start of the load.
#[derive(Debug)]
struct Rules {
    start_ns: u64,
    stage_ends_ns: Vec<u64>,
    limits_ns: Vec<u64>,
    lag_budget_ns: u64,
    /// Answers alone make the next journey begin, up to the end of the load's time.
    follows_answers: bool,
}

impl Rules {
    fn new(plan: &Plan, start_ns: u64) -> Self {
        let limits_ns: Vec<u64> = plan.limits().into_iter().map(length_ns).collect();
        let load = &plan.load;
        let ends_ns = load.stages.iter().map(|stage| length_ns(stage.end()));
        Self {
            start_ns,
            // A search is one more stage, and nobody knows beforehand when it ends.
            stage_ends_ns: ends_ns
                .chain(load.search.iter().map(|_| u64::MAX))
                .collect(),
            lag_budget_ns: length_ns(plan.lag_budget()),
            follows_answers: !load.model.is_paced() && load.journeys_max.is_none(),
            limits_ns,
        }
    }

    /// The stage an instant belongs to; past the end it is the last one.
    fn stage_of(&self, at_ns: u64) -> usize {
        let at_ns = at_ns.saturating_sub(self.start_ns);
        self.stage_ends_ns
            .partition_point(|end_ns| *end_ns <= at_ns)
            .min(self.stage_ends_ns.len().saturating_sub(1))
    }

    /// Late beyond the lag budget, and whether only after the end of its stage.
    fn lateness(&self, end: &End) -> (bool, bool) {
        let late =
            |dispatched_ns: &u64| dispatched_ns.saturating_sub(end.ready_ns) > self.lag_budget_ns;
        let Some(dispatched_ns) = end.dispatched_ns.filter(late) else {
            return (false, false);
        };
        (true, self.is_over(end.intended_ns, dispatched_ns))
    }

    /// Whether the stage of `intended_ns` was over at another instant.
    fn is_over(&self, intended_ns: u64, at_ns: u64) -> bool {
        let stage_end_ns = self.stage_ends_ns.get(self.stage_of(intended_ns));
        stage_end_ns.is_some_and(|end_ns| at_ns.saturating_sub(self.start_ns) > *end_ns)
    }

    /// As expected, but only after the end of its stage.
    fn is_outlasting(&self, end: &End) -> bool {
        self.follows_answers
            && end.outcome == Outcome::Ok
            && self.is_over(end.intended_ns, end.ended_ns)
    }
}

/// One worker's memory.
#[derive(Debug)]
pub(crate) struct Recorder {
    worker: usize,
    rules: Rules,
    series: SeriesTable,
    /// Number of steps of each journey.
    steps: Vec<usize>,
    faults: Arc<FaultClock>,
    cells: Cells,
    clocks: StageClocks,
    /// Taken out of the above, but not yet sent.
    outbox: Delta,
    lag_max_ns: u64,
}

impl Recorder {
    pub(crate) fn new(worker: usize, plan: &Plan, start_ns: u64, faults: Arc<FaultClock>) -> Self {
        Self {
            worker,
            rules: Rules::new(plan, start_ns),
            series: SeriesTable::new(plan),
            steps: plan
                .load
                .journeys
                .iter()
                .map(|journey| journey.steps.len())
                .collect(),
            faults,
            cells: Cells::default(),
            clocks: StageClocks::default(),
            outbox: Delta {
                worker,
                ..Delta::default()
            },
            lag_max_ns: 0,
        }
    }

    /// A step that was begun has ended.
    pub(crate) fn request(&mut self, journey: usize, step: usize, end: &End, stamps: &Stamps) {
        let entry = Entry {
            is_written: stamps.written_ns.is_some(),
            ..self.entry(self.series.of_step(journey, step), end)
        };
        self.cells.add(
            entry,
            end.ended_ns.saturating_sub(end.intended_ns),
            &self.rules.limits_ns,
        );
        if let Some(dispatched_ns) = end.dispatched_ns {
            let stage = self.rules.stage_of(end.intended_ns);
            self.clocks
                .record(stage, end.ready_ns, dispatched_ns, stamps);
        }
    }

    /// A journey has ended after `thought_ns` of planned think time. Its lateness is that of its first step.
    pub(crate) fn journey(&mut self, journey: usize, end: &End, thought_ns: u64) {
        if let Some(dispatched_ns) = end.dispatched_ns {
            self.lag_max_ns = self
                .lag_max_ns
                .max(dispatched_ns.saturating_sub(end.ready_ns));
        }
        let entry = self.entry(self.series.of_journey(journey), end);
        let took_ns = end.ended_ns.saturating_sub(end.intended_ns);
        self.cells.add(
            entry,
            took_ns.saturating_sub(thought_ns),
            &self.rules.limits_ns,
        );
    }

    /// Steps of a journey that were never begun.
    pub(crate) fn unbegun(&mut self, rest: &Unbegun) {
        for step in rest.from_step..self.steps[rest.journey] {
            let end = End {
                outcome: rest.outcome,
                intended_ns: rest.intended_ns,
                ready_ns: rest.intended_ns,
                dispatched_ns: None,
                ended_ns: rest.intended_ns,
            };
            let entry = self.entry(self.series.of_step(rest.journey, step), &end);
            self.cells.add(entry, 0, &self.rules.limits_ns);
        }
    }

    /// A journey of which nothing was begun, all of its steps too.
    pub(crate) fn never_begun(&mut self, journey: usize, intended_ns: u64, outcome: Outcome) {
        let end = End {
            outcome,
            intended_ns,
            ready_ns: intended_ns,
            dispatched_ns: None,
            ended_ns: intended_ns,
        };
        self.journey(journey, &end, 0);
        self.unbegun(&Unbegun {
            journey,
            from_step: 0,
            intended_ns,
            outcome,
        });
    }

    /// The cell an instant lies in.
    pub(crate) fn cell_of(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.rules.start_ns) / CELL_NS
    }

    /// Latest any journey was dispatched after its intended instant.
    pub(crate) fn lag_max_ns(&self) -> u64 {
        self.lag_max_ns
    }

    /// The first cell after all that hold anything.
    pub(crate) fn cells_end(&self) -> u64 {
        self.cells.end()
    }

    /// Moves what was recorded into the delta that is to be sent next.
    pub(crate) fn collect(&mut self, closed_cells: u64, with_clocks: bool) {
        self.outbox.closed_cells = self.outbox.closed_cells.max(closed_cells);
        self.cells.drain_into(&mut self.outbox);
        if with_clocks {
            self.clocks.drain_into(&mut self.outbox);
        }
    }

    /// What is to be sent; empties the outbox.
    pub(crate) fn take(&mut self) -> Delta {
        let next = Delta {
            worker: self.worker,
            closed_cells: self.outbox.closed_cells,
            ..Delta::default()
        };
        std::mem::replace(&mut self.outbox, next)
    }

    fn entry(&self, series: usize, end: &End) -> Entry {
        let (is_late, is_overdue) = self.rules.lateness(end);
        let is_caught = match end.outcome {
            Outcome::NotReached | Outcome::Cancelled => false,
            Outcome::Ok | Outcome::Failed(_) | Outcome::Shed => {
                self.faults.any_within(end.intended_ns, end.ended_ns)
            }
        };
        Entry {
            cell: self.cell_of(end.intended_ns),
            series,
            outcome: end.outcome,
            is_written: false,
            is_late,
            is_overdue,
            is_outlasting: self.rules.is_outlasting(end),
            is_caught,
        }
    }
}

#[cfg(test)]
mod tests {
    use chaos_record::outcome::{Counts, FailKind};
    use chaos_record::window::Windows;
    use chaos_testkit::plan::{PlanBuilder, get};

    use super::*;

    const MS: u64 = 1_000_000;
    const START: u64 = 5_000 * MS;

    /// One journey of two steps; stages of 1 s and 2 s; a limit of 200 ms.
    fn recorder(faults: &Arc<FaultClock>) -> Recorder {
        let steps = vec![get("a", "/a"), get("b", "/b")];
        let plan = PlanBuilder::new()
            .stage("one", 1.0, 1.0)
            .stage("two", 2.0, 1.0)
            .limit_ms(200)
            .journey("j", 1.0, steps)
            .build();
        Recorder::new(0, &plan, START, Arc::clone(faults))
    }

    fn end(outcome: Outcome, intended_ms: u64, dispatched_ms: u64, ended_ms: u64) -> End {
        End {
            outcome,
            intended_ns: START + intended_ms * MS,
            ready_ns: START + intended_ms * MS,
            dispatched_ns: Some(START + dispatched_ms * MS),
            ended_ns: START + ended_ms * MS,
        }
    }

    fn windows(recorder: &mut Recorder) -> Windows {
        recorder.collect(0, true);
        let mut windows = Windows::default();
        windows.add(&recorder.take());
        windows
    }

    /// Counts of the first step after one request that ended so.
    fn check(end: End, expected: &Counts) {
        let mut recorder = recorder(&Arc::new(FaultClock::new(0)));
        recorder.request(0, 0, &end, &Stamps::default());
        let windows = windows(&mut recorder);
        assert_eq!(windows.sum(0, 100, |series| series == 1).counts, *expected);
    }

    #[test]
    fn a_response_is_over_its_limit_only_beyond_it() {
        check(
            end(Outcome::Ok, 100, 100, 300),
            &Counts {
                ok: 1,
                over: vec![0],
                ..Counts::default()
            },
        );
        let mut beyond = end(Outcome::Ok, 100, 100, 300);
        beyond.ended_ns += 1;
        check(
            beyond,
            &Counts {
                ok: 1,
                over: vec![1],
                ..Counts::default()
            },
        );
        let mut failed = Counts::default();
        failed.add(Outcome::Failed(FailKind::Reset));
        check(
            end(Outcome::Failed(FailKind::Reset), 100, 100, 900),
            &failed,
        );
    }

    #[test]
    fn late_is_beyond_the_budget_and_overdue_beyond_the_stage_too() {
        let counts = |late, overdue| Counts {
            shed: 1,
            late,
            overdue,
            ..Counts::default()
        };
        check(end(Outcome::Shed, 500, 510, 600), &counts(0, 0));
        check(end(Outcome::Shed, 500, 511, 600), &counts(1, 0));
        check(end(Outcome::Shed, 995, 1_004, 1_100), &counts(0, 0));
        check(end(Outcome::Shed, 995, 1_006, 1_100), &counts(1, 1));
    }

    /// Users of two stages of 1 s: how many answers of each came after its end.
    fn check_outlasting(journeys_max: Option<u64>, expected: [u64; 2]) {
        let mut plan = PlanBuilder::new()
            .users("one", 1.0, 2)
            .users("two", 1.0, 2)
            .journey("j", 1.0, vec![get("a", "/a")])
            .build();
        if let Some(journeys) = journeys_max {
            plan.end_after(journeys);
        }
        let mut recorder = Recorder::new(0, &plan, START, Arc::new(FaultClock::new(0)));
        for (outcome, intended_ms, ended_ms) in [
            (Outcome::Ok, 900, 1_000),
            (Outcome::Ok, 900, 1_100),
            (Outcome::Ok, 1_100, 1_900),
            (Outcome::Ok, 1_500, 2_001),
            (Outcome::Ok, 2_010, 2_020),
            (Outcome::Failed(FailKind::Status), 1_500, 2_001),
        ] {
            let end = end(outcome, intended_ms, intended_ms, ended_ms);
            recorder.request(0, 0, &end, &Stamps::default());
        }
        let windows = windows(&mut recorder);
        let outlasting = |cells: [u64; 2]| windows.sum(cells[0], cells[1], |_| true).counts;
        let counted = [[0, 10], [10, 100]].map(|cells| outlasting(cells).outlasting);
        assert_eq!(counted, expected);
    }

    #[test]
    fn what_comes_after_its_stage_is_told_apart_where_time_ends_the_load() {
        check_outlasting(None, [1, 2]);
        check_outlasting(Some(9), [0, 0]);
    }

    #[test]
    fn a_user_who_was_busy_does_not_make_the_generator_late() {
        let mut waited = end(Outcome::Ok, 500, 900, 910);
        waited.ready_ns = START + 899 * MS;
        let counts = |over, late| Counts {
            ok: 1,
            over: vec![over],
            late,
            ..Counts::default()
        };
        // The response counts from the intended instant all the same.
        check(waited, &counts(1, 0));
        waited.ready_ns = START + 889 * MS;
        check(waited, &counts(1, 1));
    }

    #[test]
    fn what_a_fault_caught_is_counted_once_by_how_it_ended() {
        let faults = Arc::new(FaultClock::new(2));
        faults.effective(0, START + 150 * MS);
        faults.effective(1, START + 160 * MS);
        let mut recorder = recorder(&faults);
        for outcome in [
            Outcome::Ok,
            Outcome::Failed(FailKind::Reset),
            Outcome::Shed,
            Outcome::Cancelled,
        ] {
            recorder.request(0, 0, &end(outcome, 100, 100, 200), &Stamps::default());
        }
        recorder.request(0, 0, &end(Outcome::Ok, 160, 160, 200), &Stamps::default());
        assert_eq!(
            windows(&mut recorder).sum(0, 100, |_| true).counts.caught,
            [1, 2]
        );
    }

    #[test]
    fn a_journey_is_judged_without_its_think_time() {
        let mut recorder = recorder(&Arc::new(FaultClock::new(0)));
        recorder.journey(0, &end(Outcome::Ok, 100, 103, 1_400), 1_200 * MS);
        let windows = windows(&mut recorder);
        let responses = windows.responses(0, 10, |series| series == 0);
        assert!(
            (99_900..=100_100).contains(&responses.max()),
            "{}",
            responses.max()
        );
        assert_eq!(recorder.lag_max_ns(), 3 * MS);
    }

    #[test]
    fn a_failed_journey_leaves_its_rest_in_the_cell_of_the_failing_step() {
        let mut recorder = recorder(&Arc::new(FaultClock::new(0)));
        recorder.unbegun(&Unbegun {
            journey: 0,
            from_step: 1,
            intended_ns: START + 750 * MS,
            outcome: Outcome::NotReached,
        });
        let windows = windows(&mut recorder);
        assert_eq!(
            windows.sum(7, 8, |series| series == 2).counts,
            Counts {
                not_reached: 1,
                ..Counts::default()
            }
        );
        assert_eq!(windows.sum(0, 100, |_| true).counts.total(), 1);
        assert_eq!(recorder.cells_end(), 8);
    }

    #[test]
    fn what_could_not_be_sent_is_sent_with_the_next() {
        let mut recorder = recorder(&Arc::new(FaultClock::new(0)));
        for round in 1..4 {
            recorder.request(
                0,
                1,
                &end(Outcome::Ok, round * 100, round * 100, round * 100 + 10),
                &Stamps::default(),
            );
            recorder.collect(round, false);
        }
        let delta = recorder.take();
        let mut windows = Windows::default();
        windows.add(&delta);
        assert_eq!(windows.sum(0, 100, |_| true).counts.ok, 3);
        assert_eq!(windows.responses(0, 10, |_| true).len(), 3);
        assert_eq!(delta.closed_cells, 3);
        assert_eq!(
            recorder.take(),
            Delta {
                closed_cells: 3,
                ..Delta::default()
            }
        );
    }

    #[test]
    fn clocks_go_to_the_stage_of_the_intended_instant() {
        let mut recorder = recorder(&Arc::new(FaultClock::new(0)));
        let stamps = |ms: [u64; 3]| {
            let [written_ns, first_byte_ns, last_byte_ns] = ms.map(|ms| Some(START + ms * MS));
            Stamps {
                written_ns,
                first_byte_ns,
                last_byte_ns,
            }
        };
        recorder.request(
            0,
            0,
            &end(Outcome::Ok, 999, 1_001, 1_040),
            &stamps([1_004, 1_011, 1_034]),
        );
        recorder.request(
            0,
            0,
            &end(Outcome::Shed, 9_000, 9_000, 9_010),
            &Stamps::default(),
        );
        let windows = windows(&mut recorder);
        let first = &windows.clocks[&0];
        let near = |us: u64, expected_us: u64| us.abs_diff(expected_us) * 1_000 <= expected_us;
        assert!(near(first.lag.max(), 2_000) && near(first.wait.max(), 3_000));
        assert!(near(first.first_byte.max(), 7_000) && near(first.service.max(), 30_000));
        assert_eq!(
            (windows.clocks[&1].lag.len(), windows.clocks[&1].wait.len()),
            (1, 0)
        );
    }
}
