//! Tells the workers at which rate a search goes on.
//!
//! Invariant: lock-free, of fixed size, and only ever added to. A segment never begins before an
//! instant that was granted already, so that what workers hand out by then is certain: the arrivals are
//! a function of the list of segments alone, however late anyone reads it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use chaos_plan::plan::{Search, Segment};

/// Segments of one probe: what leads up to it, itself, and the rest after it.
const SEGMENTS_A_PROBE: usize = 3;

/// The segments of a search, shared by the conductor (writes) and the workers (read). All times
/// are nanoseconds from the start of the load.
#[derive(Debug)]
pub struct SearchClock {
    slots: Box<[OnceLock<Segment>]>,
    published: AtomicUsize,
    granted_ns: AtomicU64,
}

impl SearchClock {
    /// With room for every segment the search may need; what is before its start is granted.
    pub fn new(search: &Search) -> Self {
        let room = (search.probes_max() + 2) * SEGMENTS_A_PROBE + 1;
        Self {
            slots: (0..room).map(|_| OnceLock::new()).collect(),
            published: AtomicUsize::new(0),
            granted_ns: AtomicU64::new(u64::try_from(search.start.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    /// Before this instant nothing changes any more.
    pub fn granted_ns(&self) -> u64 {
        self.granted_ns.load(Ordering::Acquire)
    }

    /// Adds a segment. Only the conductor's thread may call this.
    ///
    /// False if it begins before what was granted, or if there is no room: then nothing has changed.
    #[must_use]
    pub fn publish(&self, segment: Segment) -> bool {
        let number = self.published.load(Ordering::Relaxed);
        let is_ahead = segment.from >= self.granted_ns();
        let slot = self.slots.get(number).filter(|_| is_ahead);
        let is_new = slot.is_some_and(|slot| slot.set(segment).is_ok());
        self.published
            .store(number + usize::from(is_new), Ordering::Relaxed);
        is_new
    }

    /// Whatever is published from now on begins at this instant or later.
    pub fn grant(&self, until_ns: u64) {
        self.granted_ns.fetch_max(until_ns, Ordering::Release);
    }

    /// Nothing is published any more: the last segment goes on to its end.
    pub fn release(&self) {
        self.grant(u64::MAX);
    }

    /// The segment with this number, if it was published. Read after [`Self::granted_ns`], it shows
    /// every segment that begins before that instant.
    pub(crate) fn segment(&self, number: usize) -> Option<&Segment> {
        self.slots.get(number)?.get()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_plan::plan::Role;
    use chaos_plan::units::{Rate, Share};

    use super::*;

    fn clock() -> SearchClock {
        SearchClock::new(&Search {
            name: "find".to_owned(),
            start: Duration::from_secs(10),
            from: Rate::new(10.0),
            to: Rate::new(10.0),
            step: Duration::from_secs(8),
            settle: Search::SETTLE,
            factor: 2.0,
            precision: Share::from_ratio(0.05),
            rest: Duration::from_secs(3),
        })
    }

    fn segment(from: u64) -> Segment {
        Segment {
            from,
            until: from + 1,
            rate: Rate::new(1.0),
            role: Role::Probe,
        }
    }

    #[test]
    fn nothing_is_published_behind_what_was_granted() {
        let clock = clock();
        assert_eq!(clock.granted_ns(), 10_000_000_000);
        assert!(!clock.publish(segment(9_999_999_999)));
        assert!(clock.publish(segment(10_000_000_000)));
        clock.grant(20_000_000_000);
        clock.grant(15_000_000_000);
        assert!(!clock.publish(segment(19_000_000_000)));
        assert!(clock.publish(segment(20_000_000_000)));
        let from: Vec<Option<u64>> = (0..3).map(|n| clock.segment(n).map(|it| it.from)).collect();
        assert_eq!(from, [Some(10_000_000_000), Some(20_000_000_000), None]);
        clock.release();
        assert!(!clock.publish(segment(30_000_000_000)));
    }

    #[test]
    fn its_room_is_bounded() {
        let clock = clock();
        let published = (0..1_000).filter(|_| clock.publish(segment(u64::MAX / 2)));
        assert_eq!(published.count(), clock.slots.len());
    }
}
