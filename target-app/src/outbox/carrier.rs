//! The two ways from the outbox to the consumer: requests of the outbox's own, or a broker between them.
//!
//! Invariant: what is said to be delivered is recorded by the consumer, or on the broker's disk.

use ::http::StatusCode;
use serde::Serialize;

use super::Event;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::queue::publish::{Message, Publisher};
use crate::upstream::Upstream;

/// Carries events away.
#[derive(Debug, Clone)]
pub(crate) enum Carrier {
    /// Batches posted to the consumer.
    Http(Box<Upstream>),
    /// Messages to a broker.
    Queue(Publisher),
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    pub(super) delivered: Vec<&'a Event>,
    pub(super) left: Vec<&'a Event>,
    /// Why some are left; there is a reason if and only if some are.
    pub(super) failure: Option<String>,
}

impl Carrier {
    /// Whether a delivery could succeed now, as far as is known without trying.
    pub(super) fn is_there(&self) -> bool {
        match self {
            // While the consumer is not asked, events are not even claimed.
            Self::Http(consumer) => consumer.refuses().is_none(),
            Self::Queue(publisher) => publisher.is_connected(),
        }
    }

    /// Resolves when a carrier that was away is there again.
    pub(super) async fn back(&self) {
        match self {
            Self::Queue(publisher) if !publisher.is_connected() => publisher.connected().await,
            Self::Http(_) | Self::Queue(_) => std::future::pending().await,
        }
    }

    /// Delivers a batch; ends within a few seconds.
    pub(super) async fn carry<'a>(&self, events: &'a [Event]) -> Carried<'a> {
        let (done, failure) = match self {
            Self::Http(consumer) => match post(consumer, events).await {
                Ok(()) => (vec![true; events.len()], None),
                Err(error) => (vec![false; events.len()], Some(format!("{error:?}"))),
            },
            Self::Queue(publisher) => {
                let messages: Vec<Message<'_>> = events.iter().map(message).collect();
                let published = publisher.publish(&messages).await;
                (published.confirmed, published.failure)
            }
        };
        let mut carried = Carried {
            delivered: Vec::with_capacity(events.len()),
            left: Vec::new(),
            failure,
        };
        for (event, done) in events.iter().zip(done) {
            if done {
                carried.delivered.push(event);
            } else {
                carried.left.push(event);
            }
        }
        carried
    }

    /// Ends what is open.
    pub(super) async fn close(&self) {
        if let Self::Queue(publisher) = self {
            publisher.close().await;
        }
    }
}

fn message(event: &Event) -> Message<'_> {
    Message {
        id: &event.id,
        kind: &event.kind,
        body: serde_json::to_vec(event).expect("texts and valid JSON can be written"),
    }
}

async fn post(consumer: &Upstream, events: &[Event]) -> Result<(), ApiError> {
    #[derive(Serialize)]
    struct Batch<'a> {
        events: &'a [Event],
    }
    let context = Context::background("outbox");
    let key = events.first().map_or("", |event| event.id.as_str());
    let batch = Batch { events };
    let posting = consumer.post_json("/events", key, &batch, &context);
    let answer = context.clone().scope(posting).await?;
    consumer.document::<serde_json::Value>(&answer, &[StatusCode::OK])?;
    Ok(())
}
