//! The planted bug `lose_outbox`: events wait for their delivery in memory instead of the database.
//!
//! Invariant: events are delivered in their order, each once [`DELAY`] has passed; the end of the
//! process, in order or not, loses those that wait. Without the bug nothing of this file runs.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Event, send};
use crate::serve::stopped;
use crate::upstream::Upstream;

/// How long an event waits: longer than a stopping process still takes requests, so that some of what
/// came in before the wish to stop is lost too.
const DELAY: Duration = Duration::from_millis(1500);
/// The most events that wait; then writing one waits.
const EVENTS_MAX: usize = 1024;
/// How long to wait after a failed delivery.
const REST: Duration = Duration::from_millis(200);

/// Takes events.
#[derive(Debug)]
pub(crate) struct MemoryOutbox(mpsc::Sender<(Instant, Event)>);

/// Delivers them.
#[derive(Debug)]
pub(crate) struct MemoryDelivery {
    events: mpsc::Receiver<(Instant, Event)>,
    consumer: Upstream,
}

/// The two ends of an outbox in memory.
pub(crate) fn open(consumer: Upstream) -> (MemoryOutbox, MemoryDelivery) {
    let (sender, events) = mpsc::channel(EVENTS_MAX);
    (MemoryOutbox(sender), MemoryDelivery { events, consumer })
}

impl MemoryOutbox {
    /// Puts an event.
    pub(crate) async fn put(&self, event_id: &str, kind: &str, payload: &serde_json::Value) {
        let event = Event {
            sequence: 0,
            id: event_id.to_owned(),
            kind: kind.to_owned(),
            payload: payload.to_string(),
        };
        // An error means that the process is ending: the event is lost, as the bug has it.
        drop(self.0.send((Instant::now() + DELAY, event)).await);
    }
}

impl MemoryDelivery {
    /// Delivers until `stop` turns true, and then forgets what is left.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let delivering = async {
            while let Some((due, event)) = self.events.recv().await {
                tokio::time::sleep_until(due).await;
                let events = [event];
                while let Err(error) = send(&self.consumer, &events).await {
                    tracing::warn!(?error, "failed to deliver an event");
                    tokio::time::sleep(REST).await;
                }
            }
        };
        tokio::select! {
            () = stopped(&mut stop) => {}
            () = delivering => {}
        }
    }
}
