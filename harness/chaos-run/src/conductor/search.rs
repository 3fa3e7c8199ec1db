//! The conductor's part of a search: rest, probe, look what it showed, go on or end.
//!
//! What to try next is decided by [`chaos_record::search`] alone, from the record alone; here it is
//! only turned into segments of load that begin a little ahead of now.
//! Invariant: a segment is published to the workers and written to the record, or neither; and while
//! the search goes on, the workers always know at least what is due in the next [`LEAD`].

use std::time::Duration;

use chaos_load::SearchClock;
use chaos_load::clock::length_ns;
use chaos_plan::plan::{Role, Search, Segment};
use chaos_plan::units::Rate;
use chaos_record::event::Event;
use chaos_record::search::{self, Next, SearchEnd};
use chaos_record::verdict::ProbeOutcome;
use chaos_record::{CELL_NS, SECOND_NS};

use super::Conductor;

/// How far ahead the workers know what is due: a stall of the conductor shorter than that is not felt.
const LEAD: Duration = Duration::from_millis(500);
/// A rest that was not ended goes on for so long beyond the longest one: time to decide.
const SLACK: Duration = Duration::from_secs(5);

/// Where a search is. Times are nanoseconds from the start of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Searching {
    /// The stages before it go on.
    Ahead,
    /// A rate is tried.
    Probing {
        until: u64,
    },
    /// The target rests, and what the probe showed is being found out.
    Resting {
        since: u64,
    },
    Over,
}

impl Conductor<'_> {
    /// Time went on: the search goes on with it.
    pub(super) fn search_on(&mut self, load_ns: u64) {
        let Some(search) = self.plan.load.search.clone() else {
            return;
        };
        if self.stopping.is_cancelled() {
            return;
        }
        match self.searching {
            Searching::Ahead if load_ns + length_ns(LEAD) * 2 >= length_ns(search.start) => {
                self.begin_probe(&search, load_ns, search.from);
            }
            Searching::Probing { until } => self.watch_probe(&search, load_ns, until),
            Searching::Resting { since } => self.watch_rest(&search, load_ns, since),
            Searching::Ahead | Searching::Over => {}
        }
        let goes_on = matches!(
            self.searching,
            Searching::Probing { .. } | Searching::Resting { .. }
        );
        if goes_on && let Some(clock) = self.clock() {
            clock.grant(load_ns + length_ns(LEAD));
        }
    }

    fn clock(&self) -> Option<&SearchClock> {
        self.engine.as_ref()?.search()
    }

    /// The next instant that is free, on a boundary of `unit`.
    fn ahead(&self, load_ns: u64, unit: u64) -> u64 {
        let granted = self.clock().map_or(0, SearchClock::granted_ns);
        granted
            .max(load_ns + length_ns(LEAD))
            .next_multiple_of(unit)
    }

    /// A rate that is broken for sure is not offered any longer.
    fn watch_probe(&mut self, search: &Search, load_ns: u64, until: u64) {
        let broke = search::last_probe(self.writer.record(), load_ns)
            .is_some_and(|probe| probe.outcome == ProbeOutcome::Broke);
        let early = self.ahead(load_ns, CELL_NS);
        let end = if broke { early.min(until) } else { until };
        if broke || load_ns + length_ns(LEAD) * 2 >= until {
            let rest = Segment {
                from: end,
                until: end + length_ns(Search::REST_MAX + SLACK),
                rate: search.rest_rate(),
                role: Role::Rest,
            };
            self.searching = Searching::Resting { since: end };
            self.publish(rest);
        }
    }

    /// Goes on once the probe is understood, the target has rested and answers as before.
    fn watch_rest(&mut self, search: &Search, load_ns: u64, since: u64) {
        let rested = load_ns.saturating_sub(since);
        let is_late = rested >= length_ns(Search::REST_MAX);
        let record = self.writer.record();
        let probes = search::probes(record, load_ns);
        let next = search::next(search, &search::tried(&probes));
        let is_decided = search::last_probe(record, load_ns).is_some();
        match next {
            Next::Over(end) if is_decided => self.end_search(load_ns, end),
            Next::Probe(rate)
                if is_decided
                    && rested >= length_ns(search.rest)
                    && search::is_calm(record, load_ns) =>
            {
                self.begin_probe(search, load_ns, rate);
            }
            _ if is_late => {
                self.end_search(load_ns, SearchEnd::NotRecovered);
            }
            _ => {}
        }
    }

    /// On whole seconds, so that response times, which are kept by second, are those of the probe.
    fn begin_probe(&mut self, search: &Search, load_ns: u64, rate: Rate) {
        let from = self.ahead(load_ns, SECOND_NS);
        let begin = from + length_ns(search.settle);
        let until = begin + length_ns(search.step);
        let segment = |from, until, role| Segment {
            from,
            until,
            rate,
            role,
        };
        self.searching = Searching::Probing { until };
        self.publish(segment(from, begin, Role::Settle));
        self.publish(segment(begin, until, Role::Probe));
    }

    fn end_search(&mut self, load_ns: u64, end: SearchEnd) {
        let from = self.ahead(load_ns, CELL_NS);
        self.searching = Searching::Over;
        self.publish(Segment {
            from,
            until: from,
            rate: Rate::new(0.0),
            role: Role::End,
        });
        self.event_now(Event::Searched { end });
    }

    fn publish(&mut self, segment: Segment) {
        if self.clock().is_some_and(|clock| clock.publish(segment)) {
            self.event_now(Event::Searching(segment));
        }
    }
}
