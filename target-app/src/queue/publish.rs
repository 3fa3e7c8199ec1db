//! Publishes events and waits until the broker has them.
//!
//! Invariant: an event counts as delivered only when the broker has confirmed it and returned it to
//! nobody; a wait for confirms ends within [`CONFIRM_LIMIT`], which is shorter than a claim of the outbox.

use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::time::{Instant, timeout_at};

use super::{EXCHANGE, Queue, Session, declare};

/// How long a batch waits for its confirms.
const CONFIRM_LIMIT: Duration = Duration::from_millis(1500);
/// The delivery mode of a message that survives the broker.
const PERSISTENT: u8 = 2;

/// One event, ready to go.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    pub(crate) id: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) body: Vec<u8>,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Published {
    /// For each message, whether the broker has it.
    pub(crate) confirmed: Vec<bool>,
    /// Why some are not confirmed.
    pub(crate) failure: Option<String>,
}

/// Publishes for one process.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    queue: Queue,
    published: Counter,
    confirmed: Counter,
    refused: Counter,
    returned: Counter,
}

impl Publisher {
    /// A publisher over a broker.
    pub(crate) fn new(queue: Queue, registry: &mut Registry) -> Self {
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            queue,
            published: counter(registry, "queue_published", "Messages sent to the broker"),
            confirmed: counter(registry, "queue_confirmed", "Messages the broker has"),
            refused: counter(
                registry,
                "queue_refused",
                "Messages the broker did not take, such as when the queue is full",
            ),
            returned: counter(
                registry,
                "queue_returned",
                "Messages the broker has no queue for",
            ),
        }
    }

    /// Whether there is a broker to publish to.
    pub(crate) fn is_connected(&self) -> bool {
        self.queue.get().is_some()
    }

    /// Waits until there is one.
    pub(crate) async fn connected(&self) {
        self.queue.clone().connected(0).await;
    }

    /// Publishes a batch and waits for its confirms.
    pub(crate) async fn publish(&self, messages: &[Message<'_>]) -> Published {
        let mut published = Published {
            confirmed: vec![false; messages.len()],
            failure: None,
        };
        let Some(linked) = self.queue.get() else {
            published.failure = Some("the broker is not connected".to_owned());
            return published;
        };
        let until = Instant::now() + CONFIRM_LIMIT;
        let sending = self.send_all(&linked.connection, messages, &mut published.confirmed);
        let broken = match timeout_at(until, sending).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no confirm came within {CONFIRM_LIMIT:?}")),
        };
        if let Some(reason) = &broken {
            // A new connection has no confirms under way.
            self.queue.lost(&linked, reason.as_str());
        }
        let missing = published.confirmed.iter().filter(|it| !**it).count();
        published.failure = broken.or_else(|| {
            (missing > 0).then(|| format!("the broker did not take {missing} messages"))
        });
        published
    }

    async fn send_all(
        &self,
        session: &Session,
        messages: &[Message<'_>],
        confirmed: &mut [bool],
    ) -> Result<(), lapin::Error> {
        let mut under_way = Vec::with_capacity(messages.len());
        for message in messages {
            under_way.push(send(session, message).await?);
            self.published.inc();
        }
        let mut homeless = false;
        for (confirm, confirmed) in under_way.into_iter().zip(confirmed) {
            match confirm.await? {
                Confirmation::Ack(None) => {
                    *confirmed = true;
                    self.confirmed.inc();
                }
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    homeless = true;
                    self.returned.inc();
                }
                Confirmation::Nack(None) | Confirmation::NotRequested => {
                    self.refused.inc();
                }
            }
        }
        if homeless {
            // Somebody has removed the queue or its binding.
            declare(&session.channel).await?;
        }
        Ok(())
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        self.queue.close().await;
    }
}

async fn send(session: &Session, message: &Message<'_>) -> Result<PublisherConfirm, lapin::Error> {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(short(message.id))
        .with_type(short(message.kind));
    let key = short(&format!("order.{}", message.kind));
    session
        .channel
        .basic_publish(EXCHANGE.into(), key, options, &message.body, properties)
        .await
}

// What is longer than the protocol allows is cut; the consumer reads the body alone.
fn short(text: &str) -> ShortString {
    let end = text.floor_char_boundary(usize::from(u8::MAX));
    text[..end].into()
}
