//! Where observations go.
//!
//! Invariant: the queue is bounded and has room for a whole deploy and a whole teardown, during
//! which nobody may be listening. If it is full all the same, the supervisor waits a moment and
//! then loses the observation with an error in the log, rather than its instances.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use super::clock::monotonic_ns;
use crate::observation::{Observation, Seen};

/// Longest wait for room.
const ROOM: Duration = Duration::from_secs(1);
const BASE: usize = 256;
const PER_INSTANCE: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Observer {
    sender: mpsc::Sender<Observation>,
}

impl Observer {
    pub(super) fn new(instances: usize) -> (Self, mpsc::Receiver<Observation>) {
        let (sender, receiver) = mpsc::channel(BASE + PER_INSTANCE * instances);
        (Self { sender }, receiver)
    }

    /// Tells what is seen now.
    pub(super) async fn tell(&self, service: &str, instance: &str, seen: Seen) {
        self.tell_at(monotonic_ns(), service, instance, seen).await;
    }

    /// Tells what was seen at an instant of `CLOCK_MONOTONIC`, in nanoseconds.
    pub(super) async fn tell_at(&self, at_ns: u64, service: &str, instance: &str, seen: Seen) {
        let observation = Observation {
            at_ns,
            service: service.to_owned(),
            instance: instance.to_owned(),
            seen,
        };
        match self.sender.send_timeout(observation, ROOM).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(lost)) => {
                tracing::error!(?lost, "nobody takes the observations");
            }
            Err(SendTimeoutError::Closed(unheard)) => {
                tracing::debug!(?unheard, "nobody listens any more");
            }
        }
    }
}
