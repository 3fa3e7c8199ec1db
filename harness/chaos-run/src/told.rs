//! What the load engine tells, as it stands in a record: for a run and for a load by itself alike.
//!
//! Invariant: nothing the engine tells is dropped here.

use std::time::Duration;

use chaos_load::clock::length_ns;
use chaos_load::{Engine, EngineEvent};
use chaos_plan::Plan;
use chaos_record::event::Event;
use chaos_record::health::Health;
use chaos_record::window::Delta;

/// Between the start of the workers and time zero of the schedule.
pub(crate) const HEAD_START: Duration = Duration::from_millis(100);

/// What an engine told.
#[derive(Debug)]
pub(crate) enum Told {
    Delta(Delta),
    Health(Health),
    Event(Event),
    /// A worker broke down: the load cannot go on as planned.
    Broken(Event),
}

impl From<EngineEvent> for Told {
    fn from(event: EngineEvent) -> Self {
        match event {
            EngineEvent::Delta(delta) => Self::Delta(delta),
            EngineEvent::Health(look) => Self::Health(look),
            EngineEvent::Worker(report) => Self::Event(Event::Worker(report)),
            EngineEvent::OperationLogFailed { why } => {
                Self::Event(Event::OperationLogFailed { why })
            }
            EngineEvent::Failed { worker, message } => Self::Broken(Event::Panicked {
                message: format!("worker {worker}: {message}"),
            }),
        }
    }
}

/// How the load of an engine ended, once it has told everything.
pub(crate) fn load_stopped(engine: &Engine, plan: &Plan) -> Event {
    let length = length_ns(plan.load.length());
    let until = engine.stopped_at().unwrap_or(length).min(length);
    Event::LoadStopped {
        until,
        cut_short: until < length,
    }
}
