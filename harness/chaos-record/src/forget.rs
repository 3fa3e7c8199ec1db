//! What a run that goes on may forget, so that its memory does not grow with its length.
//!
//! While load runs, the record in memory answers four questions: must the run stop, is the target
//! steady enough for a fault, are shoppers back in band after one, and how does it go right now. All
//! of them look at the last minutes and at the stretch before each fault that is not over. What is
//! older stands in the file, and the file is what is judged.
//! Invariant: nothing that a question may still be about is forgotten, and a record that has
//! forgotten anything does not count as complete.

use std::ops::Range;

use crate::facts::{Facts, ns};
use crate::life::Life;
use crate::record::Record;
use crate::{CELL_NS, SECOND_NS, course, live, steady};

/// Cells kept at least: 2 minutes. A run of up to 3 minutes forgets none.
const KEEP_CELLS: u64 = 2 * 60 * SECOND_NS / CELL_NS;
/// Cells that are forgotten at a time: a minute of them.
const AT_A_TIME: u64 = 60 * SECOND_NS / CELL_NS;
/// Response times held in memory at most, as pairs of value and count of 16 bytes. Nobody asks for
/// them while load runs; they are held for runs so short that all of it fits in memory.
const PAIRS_MAX: usize = 1_000_000;
/// Kept beyond what the plan's own limits look back.
const SLACK_NS: u64 = 60 * SECOND_NS;

/// Which cells of a record were forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// Those below this one.
    pub(crate) below: u64,
    /// But not these: what was normal before faults that are not over.
    except: Vec<Range<u64>>,
    /// Response times of seconds below this one.
    seconds_below: u64,
    /// The second of the load at which recoveries were noted last.
    noted: u64,
}

impl Forgotten {
    /// Whether a cell is still known.
    pub(crate) fn keeps(&self, cell: u64) -> bool {
        cell >= self.below || self.except.iter().any(|kept| kept.contains(&cell))
    }

    /// Whether response times of a second are still known.
    pub(crate) fn keeps_second(&self, second: u64) -> bool {
        second >= self.seconds_below
    }

    /// Whether there is anything that is no longer known.
    pub(crate) fn anything(&self) -> bool {
        self.below > 0 || self.seconds_below > 0
    }
}

impl Record {
    /// Forgets what no question that is asked at `now_load_ns` or later looks at. To be called at
    /// least once a second as the load goes on; it does something once a minute.
    pub fn forget(&mut self, now_load_ns: u64) {
        self.note_recoveries(now_load_ns / SECOND_NS);
        if self.windows.pairs > PAIRS_MAX {
            self.forgotten.seconds_below = now_load_ns / SECOND_NS;
            self.windows.keep(&self.forgotten);
        }
        let now = now_load_ns / CELL_NS;
        let due = self.forgotten.below + AT_A_TIME;
        if now < due + KEEP_CELLS {
            return;
        }
        let facts = Facts::of(self);
        let below = now.saturating_sub(cells_kept(&facts));
        if below >= due {
            let except = references(&facts);
            (self.forgotten.below, self.forgotten.except) = (below, except);
            let seconds = below * CELL_NS / SECOND_NS;
            self.forgotten.seconds_below = self.forgotten.seconds_below.max(seconds);
            self.drop_forgotten();
        }
    }

    /// Remembers who is back in band: what shows it may be forgotten, and looking it up again with
    /// every glance costs more the longer it is ago.
    fn note_recoveries(&mut self, second: u64) {
        if second <= self.forgotten.noted {
            return;
        }
        self.forgotten.noted = second;
        let facts = Facts::of(self);
        let open = facts
            .plan
            .faults
            .iter()
            .filter(|fault| !self.back_in_band.contains_key(&fault.name));
        let back: Vec<(String, u64)> = open
            .filter_map(|fault| Some((fault.name.clone(), live::recovered(self, &fault.name)?)))
            .collect();
        self.back_in_band.extend(back);
    }

    fn drop_forgotten(&mut self) {
        let forgotten = &self.forgotten;
        self.windows.keep(forgotten);
        self.sums.keep(forgotten);
        self.planned.keep(forgotten);
        let started = Facts::of(self).load_started.unwrap_or(0);
        let from = started + forgotten.below * CELL_NS;
        self.usage.retain(|usage| usage.at >= from);
        let below_ns = forgotten.below * CELL_NS;
        self.health.retain(|health| health.until > below_ns);
    }
}

/// The stretches before the faults that are not over.
fn references(facts: &Facts<'_>) -> Vec<Range<u64>> {
    let back = &facts.record.back_in_band;
    let open = facts
        .plan
        .faults
        .iter()
        .filter(|fault| !back.contains_key(&fault.name));
    let begun = open.filter_map(|fault| {
        let life = Life::of(facts, fault);
        let may_show = life.not_injected.is_none();
        // Until it is proven, an effect is as old as the request at most.
        life.effective.or(life.requested.filter(|_| may_show))
    });
    begun
        .map(|at| steady::stretch_before(facts, facts.stage_of_cell(at / CELL_NS), at))
        .collect()
}

/// How far back the questions look, in cells.
fn cells_kept(facts: &Facts<'_>) -> u64 {
    let load = &facts.plan.load;
    let limit = facts
        .plan
        .safety
        .abort_if
        .map_or(0, |limit| ns(limit.lasts));
    let wait = ns(load.patience.saturating_add(facts.longest_think()));
    let looks_back = limit.saturating_add(wait).max(course::live_look_ns(facts));
    (looks_back.saturating_add(SLACK_NS) / CELL_NS).max(KEEP_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abort;
    use crate::event::{Event, FaultChange};
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::histogram::Sparse;
    use crate::judge::judge;
    use crate::line::Line;
    use crate::window::{Delta, SecondDelta};

    /// Plays a run into a record that forgets and one that does not, and asks both the same.
    fn play(run: &Run, length: u64) -> (Record, Record) {
        play_proven_after(0, run, length)
    }

    /// The same where the effect of the fault is proven so long after its first act.
    fn play_proven_after(proof: u64, run: &Run, length: u64) -> (Record, Record) {
        let (mut all, mut short) = (run.header_only(), run.header_only());
        let is_effect = |line: &Line| {
            matches!(line, Line::Event(event)
                if matches!(event.what, Event::Fault { change: FaultChange::Effective { .. }, .. }))
        };
        let timed = |line| {
            let late = if is_effect(&line) { proof } else { 0 };
            let (at, line) = timed(line);
            (at + late, line)
        };
        let mut lines: Vec<(u64, Line)> = run.lines().into_iter().skip(1).map(timed).collect();
        lines.sort_by_key(|(at, _)| *at);
        let mut lines = lines.into_iter().peekable();
        for second in 1..=length / SEC {
            while let Some((_, line)) = lines.next_if(|(at, _)| *at <= second * SEC) {
                all.apply(&line);
                short.apply(&line);
            }
            short.forget(second * SEC);
            if second % 7 == 0 {
                assert_same(&all, &short, second * SEC);
            }
        }
        for (_, line) in lines {
            all.apply(&line);
            short.apply(&line);
        }
        (all, short)
    }

    /// A line and when it is written, a time of the load.
    fn timed(line: Line) -> (u64, Line) {
        let at = match &line {
            Line::Event(event) => event.at.saturating_sub(SEC),
            Line::Delta(delta) => delta.closed_cells * CELL_NS,
            _ => u64::MAX,
        };
        (at, line)
    }

    fn assert_same(all: &Record, short: &Record, now: u64) {
        let ask = |record: &Record| {
            (
                abort::should(record, now),
                steady::before(record, 0, now),
                live::recovered(record, "kill-api").is_some(),
                live::glance(record, now),
            )
        };
        assert_eq!(ask(short), ask(all), "at {} s", now / SEC);
    }

    fn down(length: u64, from: u64, until: u64) -> Run {
        Run::kill().length(length).rate(20).answer(move |request| {
            if (from..until).contains(&request.at) {
                Answer::refused()
            } else {
                Answer::Ok(5 * MS)
            }
        })
    }

    #[test]
    fn questions_are_answered_as_if_nothing_were_forgotten() {
        let length = 900 * SEC;
        for until in [12 * SEC, 14 * SEC, 700 * SEC] {
            let (all, short) = play(&down(length, 12 * SEC, until), length);
            let at = live::recovered(&short, "kill-api").expect("shoppers are back in band");
            assert!(at.abs_diff(until) <= 4 * SEC, "{} s", at / SEC);
            let kept = 2 * KEEP_CELLS + AT_A_TIME + steady::REFERENCE_MAX_NS / CELL_NS;
            assert!(short.windows.cells.len() as u64 <= kept);
            assert!(short.sums.requests.len() < all.sums.requests.len());
            assert_eq!(short.sums.total, all.sums.total);
        }
    }

    /// Such as a rolling restart with long pauses.
    #[test]
    fn what_was_normal_is_kept_while_the_effect_is_still_to_be_proven() {
        let length = 900 * SEC;
        let run = down(length, 12 * SEC, 14 * SEC);
        let (_, short) = play_proven_after(600 * SEC, &run, length);
        let at = live::recovered(&short, "kill-api");
        assert!(at.is_some(), "shoppers are back in band");
    }

    #[test]
    fn a_record_that_has_forgotten_is_not_complete() {
        let length = 600 * SEC;
        let (all, short) = play(&down(length, 0, 0), length);
        assert_eq!(judge(&all).incomplete_after, None);
        let verdict = judge(&short);
        assert!(verdict.incomplete_after.is_some());
        assert!(
            verdict.exit.because.iter().all(|reason| reason.code != 1),
            "{verdict:#?}"
        );
    }

    #[test]
    fn response_times_beyond_the_limit_are_forgotten_and_counts_are_not() {
        let length = 60 * SEC;
        let (_, mut short) = play(&down(length, 0, 0), length);
        assert!(Facts::of(&short).complete);
        let most = u64::try_from(PAIRS_MAX).expect("a count");
        short.windows.add(&Delta {
            seconds: vec![SecondDelta {
                second: 50,
                series: 1,
                response: Sparse((1..=most).map(|us| (us, 1)).collect()),
            }],
            ..Delta::default()
        });
        let cells = short.windows.cells.len();
        short.forget(length);
        assert_eq!((short.windows.pairs, short.windows.seconds.len()), (0, 0));
        assert_eq!(short.windows.cells.len(), cells);
        assert!(!Facts::of(&short).complete);
    }

    #[test]
    fn a_short_run_forgets_nothing() {
        let length = 180 * SEC;
        let (all, short) = play(&down(length, 0, 0), length);
        assert_eq!(short.windows.cells.len(), all.windows.cells.len());
        assert_eq!(judge(&short), judge(&all));
    }
}
