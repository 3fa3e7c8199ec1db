//! The clocks beside the response: how late we were, how long we waited, what the wire took; by stage.
//!
//! Invariant: a clock counts every request that has both of its stamps, however it ended.

use chaos_record::window::{ClockDelta, Delta};

use super::tally::Tally;
use crate::client::Stamps;

/// What was recorded since the last drain, by stage.
#[derive(Debug, Default)]
pub(super) struct StageClocks {
    /// By number; `None` if nothing was recorded in it.
    stages: Vec<Option<Clocks>>,
}

#[derive(Debug, Default)]
struct Clocks {
    lag: Tally,
    wait: Tally,
    first_byte: Tally,
    service: Tally,
}

impl StageClocks {
    pub(super) fn record(
        &mut self,
        stage: usize,
        ready_ns: u64,
        dispatched_ns: u64,
        stamps: &Stamps,
    ) {
        if self.stages.len() <= stage {
            self.stages.resize_with(stage + 1, || None);
        }
        let clocks = self.stages[stage].get_or_insert_default();
        clocks.lag.record_ns(dispatched_ns.saturating_sub(ready_ns));
        let Some(written_ns) = stamps.written_ns else {
            return;
        };
        clocks
            .wait
            .record_ns(written_ns.saturating_sub(dispatched_ns));
        if let Some(first_byte_ns) = stamps.first_byte_ns {
            clocks
                .first_byte
                .record_ns(first_byte_ns.saturating_sub(written_ns));
        }
        if let Some(last_byte_ns) = stamps.last_byte_ns {
            clocks
                .service
                .record_ns(last_byte_ns.saturating_sub(written_ns));
        }
    }

    /// Adds everything to `delta` and forgets it.
    pub(super) fn drain_into(&mut self, delta: &mut Delta) {
        let stages = self.stages.iter_mut().enumerate();
        let used = stages.filter_map(|(stage, clocks)| Some((stage, clocks.take()?)));
        delta
            .clocks
            .extend(used.map(|(stage, mut clocks)| ClockDelta {
                stage,
                lag: clocks.lag.drain(),
                wait: clocks.wait.drain(),
                first_byte: clocks.first_byte.drain(),
                service: clocks.service.drain(),
            }));
    }
}
