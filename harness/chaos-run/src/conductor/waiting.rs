//! What the loop waits for, each part so that it may be absent.
//!
//! Invariant: everything here is cancel safe; what was not taken is still there the next time.

use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_load::{Engine, EngineEvent};
use chaos_platform::Observation;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::control::{Asked, Control};
use crate::lease::{self, Lease};

/// An interval that does not hurry to catch up.
pub(crate) fn ticking(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits for an instant of `CLOCK_MONOTONIC`; for ever without one.
pub(super) async fn sleep_until_ns(at_ns: Option<u64>) {
    match at_ns {
        Some(at_ns) => {
            tokio::time::sleep(Duration::from_nanos(at_ns.saturating_sub(now_ns()))).await;
        }
        None => std::future::pending().await,
    }
}

pub(super) async fn next_observation(
    receiver: Option<&mut mpsc::Receiver<Observation>>,
) -> Option<Observation> {
    match receiver {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_event(engine: Option<&mut Engine>) -> Option<EngineEvent> {
    match engine {
        Some(engine) => engine.next().await,
        None => std::future::pending().await,
    }
}

pub(super) async fn next_request(control: Option<&mut Control>) -> Asked {
    match control {
        Some(control) => control.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for something while the lease is kept up and nothing is heard any more.
pub(super) async fn beating<T>(lease: &mut Lease, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    let mut beat = ticking(lease::BEAT);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beat.tick() => lease.beat().await,
        }
    }
}
