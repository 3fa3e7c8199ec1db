//! Takes messages from the queue in small batches and acknowledges what was dealt with.
//!
//! Invariant: a message is acknowledged only after its receiver has settled it; what was delivered and
//! not acknowledged when the connection ends is delivered again. Nothing of a connection is waited for
//! once it was given up, not even that its last batch is settled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicRejectOptions,
};
use lapin::types::FieldTable;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::{PREFETCH, QUEUE, Queue, Session};
use crate::serve::stopped;
use crate::trouble::Trouble;

/// The shortest and the longest pause before a batch that could not be settled is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The name of the consumer within its channel.
const TAG: &str = "notifications";

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It was dealt with.
    Done,
    /// It never can be.
    Dead,
}

/// Deals with messages.
pub(crate) trait Receiver: Send + Sync + 'static {
    /// Settles a batch, one answer for each message; an error means that it must be tried again.
    fn settle(&self, bodies: &[&[u8]])
    -> impl Future<Output = Result<Vec<Settled>, String>> + Send;
}

/// Consumes for one process.
#[derive(Debug)]
pub(crate) struct Consumer<R> {
    queue: Queue,
    receiver: Arc<R>,
    consumed: Counter,
    redelivered: Counter,
    rejected: Counter,
}

impl<R: Receiver> Consumer<R> {
    /// A consumer over a broker.
    pub(crate) fn new(queue: Queue, receiver: Arc<R>, registry: &mut Registry) -> Self {
        let (consumed, redelivered, rejected) =
            (Counter::default(), Counter::default(), Counter::default());
        registry.register("queue_consumed", "Messages delivered", consumed.clone());
        registry.register(
            "queue_redelivered",
            "Messages delivered before to somebody who did not acknowledge them",
            redelivered.clone(),
        );
        registry.register(
            "queue_rejected",
            "Messages sent to the queue of dead letters",
            rejected.clone(),
        );
        Self {
            queue,
            receiver,
            consumed,
            redelivered,
            rejected,
        }
    }

    /// Consumes until `stop` turns true; then settles what it has in hand and gives back the rest.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut seen = 0;
        loop {
            let linked = tokio::select! {
                () = stopped(&mut stop) => break,
                linked = self.queue.connected(seen) => linked,
            };
            seen = linked.generation;
            let consumed = tokio::select! {
                consumed = self.consume(&linked.connection, &mut stop) => consumed,
                // Whatever it waits for: an acknowledgement that is under way when the connection ends may
                // never come to an end itself.
                () = self.queue.given_up(seen) => continue,
            };
            match consumed {
                Ok(()) => break,
                Err(error) => self.queue.lost(&linked, error.to_string()),
            }
        }
        self.queue.close().await;
    }

    async fn consume(
        &self,
        session: &Session,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), lapin::Error> {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let channel = &session.channel;
        let mut messages = channel
            .basic_consume(QUEUE.into(), TAG.into(), options, none)
            .await?;
        loop {
            let first = tokio::select! {
                () = stopped(stop) => break,
                first = messages.next() => first,
            };
            let Some(first) = first else {
                return Err(lapin::ErrorKind::IOError(Arc::new(
                    std::io::ErrorKind::ConnectionAborted.into(),
                ))
                .into());
            };
            let mut batch = vec![first?];
            while batch.len() < usize::from(PREFETCH)
                && let Some(Some(next)) = messages.next().now_or_never()
            {
                batch.push(next?);
            }
            self.count(&batch);
            let Some(settled) = self.settle(&batch, stop).await else {
                break;
            };
            self.answer(&batch, &settled).await?;
        }
        channel
            .basic_cancel(TAG.into(), BasicCancelOptions::default())
            .await
    }

    fn count(&self, batch: &[Delivery]) {
        let again = batch.iter().filter(|message| message.redelivered).count();
        self.consumed.inc_by(batch.len() as u64);
        self.redelivered.inc_by(again as u64);
    }

    // Tries until it works: while the database is away, giving messages back would only bring them again.
    // Nothing, if the end came first.
    async fn settle(
        &self,
        batch: &[Delivery],
        stop: &mut watch::Receiver<bool>,
    ) -> Option<Vec<Settled>> {
        let bodies: Vec<&[u8]> = batch.iter().map(|message| &*message.data).collect();
        let (mut pause, mut trouble) = (PAUSE_MIN, Trouble::default());
        loop {
            match self.receiver.settle(&bodies).await {
                Ok(settled) => return Some(settled),
                Err(error) if trouble.is_news(&error) => {
                    tracing::warn!(error, "failed to settle messages; trying again");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stopped(stop) => return None,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
            }
        }
    }

    async fn answer(&self, batch: &[Delivery], settled: &[Settled]) -> Result<(), lapin::Error> {
        let mut last_done = None;
        for (message, settled) in batch.iter().zip(settled) {
            match settled {
                Settled::Done => last_done = Some(message),
                Settled::Dead => {
                    self.rejected.inc();
                    let options = BasicRejectOptions { requeue: false };
                    message.acker.reject(options).await?;
                }
            }
        }
        if let Some(message) = last_done {
            // All before it are settled, those rejected included.
            let options = BasicAckOptions { multiple: true };
            message.acker.ack(options).await?;
        }
        Ok(())
    }
}
