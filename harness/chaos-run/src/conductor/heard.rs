//! What a platform tells beside its instances, as it stands in the record.
//!
//! Invariant: pure; one observation is one event.

use chaos_platform::PlatformChange as Seen;
use chaos_record::event::{Event, PlatformChange};

/// The event of what was seen. An empty `service` is none.
pub(super) fn beside(service: String, change: Seen) -> Event {
    let change = match change {
        Seen::Autoscaled {
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
        Seen::Serving { name, was, ready } => PlatformChange::Serving { name, was, ready },
        Seen::Warned {
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
        Seen::Node { node, ready, why } => PlatformChange::Node { node, ready, why },
        Seen::Unwatched { what, why } => PlatformChange::Unwatched { what, why },
    };
    Event::Platform {
        service: Some(service).filter(|service| !service.is_empty()),
        change,
    }
}
