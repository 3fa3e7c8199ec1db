//! A worker's memory without its network: answers are made up, what remembers them is the real thing.
//!
//! For measuring what hours of load leave behind in minutes.
//! Invariant: what is handed over is what a worker would hand over that had seen these answers.

use std::sync::Arc;

use chaos_plan::Plan;
use chaos_record::outcome::Outcome;
use chaos_record::window::Delta;

use crate::FaultClock;
use crate::client::Stamps;
use crate::recorder::{End, Recorder};

/// Between the intended instant and the first byte written.
const DISPATCH_NS: u64 = 30_000;

/// The one worker of a load that starts at instant 0.
#[derive(Debug)]
pub struct Rehearsal {
    recorder: Recorder,
}

impl Rehearsal {
    pub fn new(plan: &Plan) -> Self {
        let faults = Arc::new(FaultClock::new(plan.faults.len()));
        Self {
            recorder: Recorder::new(0, plan, 0, faults),
        }
    }

    /// A journey intended at `intended_ns`, whose steps are answered as expected one after the other
    /// after `responses_ns` each.
    pub fn journey(&mut self, journey: usize, intended_ns: u64, responses_ns: &[u64]) {
        let mut at_ns = intended_ns;
        for (step, response_ns) in responses_ns.iter().enumerate() {
            let end = answered(at_ns, at_ns + DISPATCH_NS + response_ns);
            let stamps = Stamps {
                written_ns: end.dispatched_ns,
                first_byte_ns: Some(end.ended_ns),
                last_byte_ns: Some(end.ended_ns),
            };
            self.recorder.request(journey, step, &end, &stamps);
            at_ns = end.ended_ns;
        }
        self.recorder
            .journey(journey, &answered(intended_ns, at_ns), 0);
    }

    /// What happened since the last time; all intended in cells below `closed_cells` has ended.
    pub fn hand_over(&mut self, closed_cells: u64, with_clocks: bool) -> Delta {
        self.recorder.collect(closed_cells, with_clocks);
        self.recorder.take()
    }
}

fn answered(intended_ns: u64, ended_ns: u64) -> End {
    End {
        outcome: Outcome::Ok,
        intended_ns,
        ready_ns: intended_ns,
        dispatched_ns: Some(intended_ns + DISPATCH_NS),
        ended_ns,
    }
}
