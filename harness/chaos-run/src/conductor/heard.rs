//! What a platform tells, as it stands in the record.
//!
//! Invariant: pure; one observation is one event.

use chaos_platform::{Observation, PlatformChange as Beside, Seen};
use chaos_record::event::{Event, InstanceChange, PlatformChange};

/// The event of what was seen.
pub(super) fn event_of(observation: Observation) -> Event {
    let Observation {
        service,
        instance,
        seen,
        ..
    } = observation;
    let change = match seen {
        Seen::Started {
            incarnation,
            pid,
            address,
            place,
        } => InstanceChange::Started {
            incarnation,
            pid,
            address,
            place,
        },
        Seen::Ready => InstanceChange::Ready,
        Seen::Unready { why } => InstanceChange::Unready { why },
        Seen::Exited { status, asked } => InstanceChange::Exited { status, asked },
        Seen::Restarting { after_ns } => InstanceChange::Restarting { after: after_ns },
        Seen::Down => InstanceChange::Down,
        Seen::Stuck { why } => InstanceChange::Stuck { why },
        Seen::Withdrawn { why } => InstanceChange::Withdrawn { why },
        Seen::PlatformLost { why } => return Event::EnvironmentFailed { what: why },
        Seen::Platform(change) => return beside(service, change),
    };
    Event::Instance {
        service,
        instance,
        change,
    }
}

/// What has no instance. An empty `service` is none.
fn beside(service: String, change: Beside) -> Event {
    let change = match change {
        Beside::Autoscaled {
            autoscaler,
            was,
            wanted,
            metric,
        } => PlatformChange::Autoscaled {
            autoscaler,
            was,
            wanted,
            metric,
        },
        Beside::Serving { name, was, ready } => PlatformChange::Serving { name, was, ready },
        Beside::Warned {
            object,
            reason,
            message,
            times,
        } => PlatformChange::Warned {
            object,
            reason,
            message,
            times,
        },
        Beside::Node { node, ready, why } => PlatformChange::Node { node, ready, why },
        Beside::Unwatched { what, why } => PlatformChange::Unwatched { what, why },
    };
    Event::Platform {
        service: Some(service).filter(|service| !service.is_empty()),
        change,
    }
}
