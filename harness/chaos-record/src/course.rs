//! What shoppers felt after a fault: groups of cells in and out of band, and what follows from them.
//!
//! Besides each group by itself, stretches of `steady_for` are compared: a few bad requests in each
//! group may be chance, and so many over seconds are not. What is slow counts only where it is
//! more than one stall: a stall, however short, touches two neighbouring cells.
//! Invariant: a recovery is only ever read from cells that are accounted for, and instants lie on
//! cell boundaries, so they are right to within one group.

mod chance;

use std::ops::Range;

use chaos_plan::plan::Expect;

use crate::CELL_NS;
use crate::band::{Band, GROUP_MIN, Out};
use crate::facts::{Facts, ns};
use crate::window::Cell;

/// In band for this long counts as recovered where no claim says otherwise.
const STEADY_FOR_NS: u64 = 3_000_000_000;
/// Looked at beside twice the steady stretch while the run goes on.
const LIVE_SLACK_NS: u64 = 60_000_000_000;
/// Cells with slow requests that a stretch needs to be more than one stall shorter than a cell.
const SLOW_CELLS: u64 = 3;

/// Consecutive cells with enough requests to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) cells: Range<u64>,
    pub(crate) out: Option<Out>,
    judged: u64,
    bad: u64,
    /// Cells with a slow request, where the group is out of band for being slow.
    slow_cells: u64,
}

/// The course of things from a fault's effect to the end of what was seen.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) groups: Vec<Group>,
    /// Where recovery is counted from, from the start of the load.
    pub(crate) origin: u64,
    /// First cell that is not known.
    pub(crate) horizon: u64,
    pub(crate) steady_for: u64,
    /// The cell of the next fault's effect, or the horizon.
    next: u64,
}

/// From where on is looked: from when a fault took effect; where its recovery is counted from, and when the next one took effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instants {
    pub(crate) from: u64,
    pub(crate) origin: u64,
    pub(crate) next: Option<u64>,
}

impl Course {
    pub(crate) fn after(facts: &Facts<'_>, band: &Band, instants: Instants) -> Self {
        let horizon = facts.horizon();
        let steady_for = steady_for(facts);
        let groups = groups(facts, instants.from / CELL_NS..horizon);
        let judged = groups
            .into_iter()
            .map(|(cells, sum)| Group::judged(facts, band, cells, &sum));
        let mut groups: Vec<Group> = judged.collect();
        mark_lasting(band, &mut groups, steady_for);
        pardon_stalls(&mut groups);
        Self {
            groups,
            origin: instants.origin,
            horizon,
            steady_for,
            next: instants.next.map_or(horizon, |next| next / CELL_NS),
        }
    }

    /// First cell of the first stretch in band that is long enough, from the origin on.
    pub(crate) fn steady_from(&self) -> Option<u64> {
        let origin = self.origin / CELL_NS;
        let mut begin = None;
        for group in self.groups.iter().filter(|group| group.cells.end > origin) {
            if group.out.is_some() {
                begin = None;
                continue;
            }
            let from = *begin.get_or_insert(group.cells.start.max(origin));
            if (group.cells.end - from) * CELL_NS >= self.steady_for {
                return Some(from);
            }
        }
        None
    }

    /// Time of the load at which it was back in band; never before the origin.
    pub(crate) fn recovered_at(&self) -> Option<u64> {
        self.steady_from()
            .map(|cell| (cell * CELL_NS).max(self.origin))
    }

    /// What this fault can have caused ends here: at the next fault, if this one was over by then.
    fn attributed_until(&self) -> u64 {
        let steady_until = self
            .steady_from()
            .map(|from| from + self.steady_for.div_ceil(CELL_NS));
        if steady_until.is_some_and(|until| until <= self.next) {
            self.next
        } else {
            self.horizon
        }
    }

    fn attributed_out(&self) -> impl Iterator<Item = &Group> {
        let until = self.attributed_until();
        self.groups
            .iter()
            .filter(move |group| group.out.is_some() && group.cells.start < until)
    }

    /// Start of the first group out of band, a time of the load.
    pub(crate) fn symptom_at(&self) -> Option<u64> {
        self.attributed_out()
            .next()
            .map(|group| group.cells.start * CELL_NS)
    }

    /// End of the last group out of band, a time of the load.
    pub(crate) fn last_out_until(&self) -> Option<u64> {
        self.attributed_out()
            .last()
            .map(|group| group.cells.end * CELL_NS)
    }

    /// Stretches out of band after the recovery: `(from, until)`, times of the load.
    pub(crate) fn relapses(&self) -> Vec<(u64, u64)> {
        let Some(steady_from) = self.steady_from() else {
            return Vec::new();
        };
        let mut stretches: Vec<(u64, u64)> = Vec::new();
        for group in self
            .attributed_out()
            .filter(|group| group.cells.start >= steady_from)
        {
            let (from, until) = (group.cells.start * CELL_NS, group.cells.end * CELL_NS);
            match stretches.last_mut() {
                Some(last) if last.1 == from => last.1 = until,
                _ => stretches.push((from, until)),
            }
        }
        stretches
    }
}

impl Group {
    fn judged(facts: &Facts<'_>, band: &Band, cells: Range<u64>, sum: &Cell) -> Self {
        let out = band.out(facts, &cells, sum);
        let slow_cells = match out {
            Some(Out::Slow) => band.slow_cells(facts, &cells),
            _ => 0,
        };
        Self {
            cells,
            out,
            judged: sum.counts.judged(),
            bad: sum.counts.bad(),
            slow_cells,
        }
    }
}

/// Where bad requests add up over a stretch in band that is long enough to count as recovered, the groups
/// that hold more of them than the reference are out of band.
fn mark_lasting(band: &Band, groups: &mut [Group], steady_for: u64) {
    let mut lasting: Vec<Range<usize>> = Vec::new();
    for first in 0..groups.len() {
        let Some(last) = steady_until(&groups[first..], steady_for) else {
            continue;
        };
        let stretch = first..first + last + 1;
        let sum = |count: fn(&Group) -> u64| groups[stretch.clone()].iter().map(count).sum::<u64>();
        if band.is_bad(sum(|group| group.bad), sum(|group| group.judged)) {
            lasting.push(stretch);
        }
    }
    for group in lasting.into_iter().flatten() {
        let group = &mut groups[group];
        if group.bad as f64 > band.expected_bad(group.judged) {
            group.out = Some(Out::Bad);
        }
    }
}

/// The group with which these, from the first, have been in band for `steady_for`.
fn steady_until(groups: &[Group], steady_for: u64) -> Option<usize> {
    let from = groups.first()?.cells.start;
    let in_band = groups.iter().take_while(|group| group.out.is_none());
    let mut ends = in_band.map(|group| (group.cells.end - from) * CELL_NS);
    ends.position(|lasted| lasted >= steady_for)
}

/// A stretch that is only slow, and in too few cells, is in band after all.
fn pardon_stalls(groups: &mut [Group]) {
    for stretch in groups.chunk_by_mut(|one, next| one.out.is_some() == next.out.is_some()) {
        let only_slow = stretch.iter().all(|group| group.out == Some(Out::Slow));
        let cells: u64 = stretch.iter().map(|group| group.slow_cells).sum();
        if only_slow && cells < SLOW_CELLS {
            for group in stretch {
                group.out = None;
            }
        }
    }
}

/// The longest `steady_for` of the recovery claims, nanoseconds.
pub(crate) fn steady_for(facts: &Facts<'_>) -> u64 {
    let claimed = facts
        .plan
        .claims
        .iter()
        .filter_map(|claim| match &claim.expect {
            Expect::Recovery { steady_for, .. } => Some(ns(*steady_for)),
            _ => None,
        });
    claimed.max().unwrap_or(STEADY_FOR_NS)
}

/// How far back a look at a running load goes to find the recovery from a fault, in nanoseconds:
/// far enough for a stretch that is long enough to begin and to end in it.
pub(crate) fn live_look_ns(facts: &Facts<'_>) -> u64 {
    steady_for(facts)
        .saturating_mul(2)
        .saturating_add(LIVE_SLACK_NS)
}

/// Consecutive cells merged until each group has enough requests; a rest joins the last group.
fn groups(facts: &Facts<'_>, cells: Range<u64>) -> Vec<(Range<u64>, Cell)> {
    let mut groups: Vec<(Range<u64>, Cell)> = Vec::new();
    let mut open: Option<(Range<u64>, Cell)> = None;
    for cell in cells {
        let one = facts.requests(&(cell..cell + 1));
        let (range, sum) = open.get_or_insert_with(|| (cell..cell, Cell::default()));
        range.end = cell + 1;
        sum.merge(&one);
        if sum.counts.judged() >= GROUP_MIN {
            groups.extend(open.take());
        }
    }
    match (open, groups.last_mut()) {
        (Some((rest, sum)), Some((last, total))) => {
            last.end = rest.end;
            total.merge(&sum);
        }
        (Some(rest), None) => groups.push(rest),
        (None, _) => {}
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: u64 = 1_000_000_000;

    /// A course from cell 100 on: `#` out of band, `.` in band, a group for each cell.
    fn course(drawn: &str, origin: u64, next: Option<u64>) -> Course {
        let groups = (100..).zip(drawn.chars()).map(|(cell, drawn)| Group {
            cells: cell..cell + 1,
            out: (drawn == '#').then_some(Out::Bad),
            judged: GROUP_MIN,
            bad: if drawn == '#' { GROUP_MIN } else { 0 },
            slow_cells: 0,
        });
        let groups: Vec<Group> = groups.collect();
        let horizon = 100 + groups.len() as u64;
        Course {
            groups,
            origin,
            horizon,
            steady_for: SEC,
            next: next.unwrap_or(horizon),
        }
    }

    #[test]
    fn recovery_is_the_end_of_the_last_cell_out_of_band() {
        let check = |drawn: &str, recovered: Option<u64>, relapses: usize| {
            let course = course(drawn, 10 * SEC, None);
            assert_eq!(
                course.recovered_at().map(|at| (at - 10 * SEC) / CELL_NS),
                recovered,
                "{drawn}"
            );
            assert_eq!(course.relapses().len(), relapses, "{drawn}");
        };
        check("###..........", Some(3), 0);
        check("#..#..........", Some(4), 0);
        check("..#..........", Some(3), 0);
        check("#..........##.#", Some(1), 2);
        check("...........", Some(0), 0);
        check("##########", None, 0);
        check("##.........", None, 0); // nine cells in band are too few
        check("", None, 0);
    }

    #[test]
    fn a_fault_that_lasts_is_counted_from_its_undo() {
        let drawn = "####..########.............";
        let after = |origin: u64| course(drawn, origin, None).recovered_at();
        assert_eq!(after(11 * SEC), Some(11 * SEC + 4 * CELL_NS));
        // Undone inside a cell: the recovery is not before it.
        assert_eq!(after(11 * SEC + 450_000_000), Some(11 * SEC + 450_000_000));
        assert_eq!(course(drawn, 11 * SEC, None).symptom_at(), Some(10 * SEC));
    }

    #[test]
    fn what_comes_after_the_next_fault_is_not_put_on_this_one() {
        let drawn = "#...........####";
        assert_eq!(course(drawn, 10 * SEC, Some(112)).relapses(), []);
        assert_eq!(course(drawn, 10 * SEC, None).relapses().len(), 1);
        // The next fault came before this one was over: both share the blame.
        assert_eq!(
            course(drawn, 10 * SEC, Some(105)).last_out_until(),
            Some(116 * CELL_NS)
        );
    }
}
