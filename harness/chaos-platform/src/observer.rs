//! Where observations go.
//!
//! Invariant: the queue is bounded and has room for a whole deploy and a whole teardown, during
//! which nobody may be listening. If it is full all the same, a platform waits a moment and
//! then loses the observation with an error in the log, rather than its instances.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use crate::clock::monotonic_ns;
use crate::observation::{Observation, Seen};

/// Longest wait for room.
const ROOM: Duration = Duration::from_secs(1);
const BASE: usize = 256;
const PER_INSTANCE: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Observer {
    sender: mpsc::Sender<Observation>,
}

impl Observer {
    pub(crate) fn new(instances: usize) -> (Self, mpsc::Receiver<Observation>) {
        let (sender, receiver) = mpsc::channel(BASE + PER_INSTANCE * instances);
        (Self { sender }, receiver)
    }

    /// Tells what is seen now.
    pub(crate) async fn tell(&self, service: &str, instance: &str, seen: Seen) {
        self.tell_at(monotonic_ns(), service, instance, seen).await;
    }

    /// Tells what was seen at an instant of `CLOCK_MONOTONIC`, in nanoseconds.
    pub(crate) async fn tell_at(&self, at_ns: u64, service: &str, instance: &str, seen: Seen) {
        self.pass_on(Observation {
            at_ns,
            service: service.to_owned(),
            instance: instance.to_owned(),
            seen,
        })
        .await;
    }

    /// Tells an observation as it is.
    pub(crate) async fn pass_on(&self, observation: Observation) {
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
