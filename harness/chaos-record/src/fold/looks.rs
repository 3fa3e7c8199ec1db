//! The looks of the generator at itself: one a second, most of it how late a thread woke.
//!
//! Invariant: over the looks at any set of stages the lateness adds up to the same, and the longest of
//! each look stays its own, so that a delay is still blamed on whoever caused it.

use std::ops::Range;

use crate::SECOND_NS;
use crate::facts::ns;
use crate::health::Health;
use crate::histogram::Sparse;
use crate::record::Record;

impl Record {
    /// Of the looks that are over, gathers what is not asked of each by itself, by stage.
    pub(super) fn fold_looks(&mut self, below: u64) {
        let stages = self.header.plan.load.stages.iter();
        let stages: Vec<Range<u64>> = stages
            .map(|stage| ns(stage.start)..ns(stage.end()))
            .collect();
        let looks = &mut self.health[self.windows.folded.looks..];
        let over = looks.partition_point(|look| look.until <= below * SECOND_NS);
        self.windows.folded.looks += over;
        for stage in stages {
            gather(looks[..over].iter_mut(), &stage);
        }
    }
}

/// Moves lateness into the look with the longest of all, which hides nothing there.
fn gather<'a>(looks: impl Iterator<Item = &'a mut Health>, stage: &Range<u64>) {
    let is_inside = |look: &&mut Health| stage.start <= look.from && look.until <= stage.end;
    let mut looks: Vec<&mut Health> = looks.filter(is_inside).collect();
    let longest = |look: &&mut Health| look.hiccups.0.last().map(|(us, _)| *us);
    looks.sort_by_key(longest);
    let Some(keeper) = looks.pop() else { return };
    for look in looks {
        if let Some(longest) = look.hiccups.0.pop() {
            let own = Sparse(vec![longest]);
            let rest = std::mem::replace(&mut look.hiccups, own);
            keeper.hiccups.merge(&rest);
        }
    }
}
