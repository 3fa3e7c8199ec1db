//! `RabbitMQ` between the outbox and its consumer: the connection, and what stands in the broker.
//!
//! Both sides declare the same exchanges and queues when they connect, so neither has to be first. The
//! queue is durable and so are its messages: what was confirmed is on disk. When it is full it refuses
//! more instead of forgetting, so that events wait in the outbox. A message that was refused by the
//! consumer goes to the queue of dead letters.
//!
//! It is a classic queue. One of the quorum kind would count deliveries itself, but `RabbitMQ` 3.10
//! writes the names of those to disk minutes after they were declared, and after a kill before that the
//! queue has no leader for ever.
//!
//! Invariant: a process has one connection with one channel; a connection that is handed out has all
//! that is declared, confirms what is published and delivers at most [`PREFETCH`] messages ahead.

pub(crate) mod consume;
pub(crate) mod publish;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Event, ExchangeKind};

use crate::config::PartUrl;
use crate::link::{Link, Part};

/// Where events are published; the routing key is `order.` and the kind of the event.
const EXCHANGE: &str = "store.events";
/// What the consumer hears of.
const BINDING: &str = "order.#";
/// The consumer's queue.
const QUEUE: &str = "notifications";
/// The most messages in it; more are refused and wait in the outbox.
const QUEUE_MESSAGES_MAX: i64 = 100_000;
/// Where dead letters go, and the queue that keeps them.
const DEAD_EXCHANGE: &str = "store.dead";
const DEAD_QUEUE: &str = "notifications.dead";
/// The most dead letters kept; then the oldest is forgotten.
const DEAD_MESSAGES_MAX: i64 = 10_000;
/// Messages delivered and not yet acknowledged.
const PREFETCH: u16 = 50;
/// How long a connection may take, all that is declared included. Long, since an attempt that is given
/// up at a broker that hangs leaves a thread behind until the broker lets go of it.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// What is added to the address: a dead peer is noticed after two missed beats of these seconds, a
/// connection is open after so many milliseconds, and frames are small, since buffers hold 32 of them.
const PARAMETERS: &str = "heartbeat=5&connection_timeout=1000&frame_max=16384";
/// How often a connection of which nothing is heard is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the last words on a connection may take.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// How this process reaches the broker.
#[derive(Debug)]
pub(crate) struct Broker {
    url: PartUrl,
    instance: String,
}

impl Broker {
    /// A broker at an address, to which this process gives its name.
    pub(crate) fn new(url: PartUrl, instance: &str) -> Self {
        Self {
            url,
            instance: instance.to_owned(),
        }
    }

    async fn open(&self) -> Result<Session, lapin::Error> {
        let mut url = self.url.expose().clone();
        url.set_query(Some(PARAMETERS));
        let properties =
            ConnectionProperties::default().with_connection_name(self.instance.as_str().into());
        let connection = Connection::connect(url.as_str(), properties).await?;
        let channel = connection.create_channel().await?;
        declare(&channel).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        channel
            .basic_qos(PREFETCH, BasicQosOptions::default())
            .await?;
        Ok(Session {
            connection: Arc::new(connection),
            channel,
        })
    }
}

/// A connection on which everything is declared.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    connection: Arc<Connection>,
    channel: Channel,
}

/// The broker as its users hold it.
pub(crate) type Queue = Link<Session>;

impl Part for Broker {
    type Connection = Session;
    const NAME: &'static str = "rabbitmq";
    const SETTING: &'static str = "AMQP_URL";

    fn place(&self) -> String {
        self.url.place()
    }

    async fn connect(&self) -> Result<Session, String> {
        match tokio::time::timeout(CONNECT_LIMIT, self.open()).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no connection within {CONNECT_LIMIT:?}")),
        }
    }

    async fn ended(&self, session: &Session) -> String {
        let mut events = session.connection.events_listener();
        // What happened before there was a listener, and an end in order, are no events.
        while session.connection.status().connected() {
            match tokio::time::timeout(LOOK_EVERY, events.next()).await {
                Ok(Some(Event::Error(error))) => return error.to_string(),
                Ok(Some(Event::ConnectionBlocked(reason))) => {
                    tracing::warn!(part = Self::NAME, reason, "the broker takes no messages");
                }
                _ => {}
            }
        }
        "the connection was closed".to_owned()
    }
}

impl Queue {
    /// Says goodbye to the broker, within a bound, so that it gives what was not acknowledged to others.
    pub(crate) async fn close(&self) {
        if let Some(linked) = self.get() {
            let closing = linked.connection.connection.close(200, "OK".into());
            // An error means that the connection is gone, which was the aim.
            drop(tokio::time::timeout(CLOSE_LIMIT, closing).await);
        }
    }
}

async fn declare(channel: &Channel) -> Result<(), lapin::Error> {
    exchange(channel, DEAD_EXCHANGE, ExchangeKind::Fanout).await?;
    let arguments = [
        ("x-max-length", AMQPValue::LongLongInt(DEAD_MESSAGES_MAX)),
        ("x-overflow", AMQPValue::LongString("drop-head".into())),
    ];
    queue(channel, DEAD_QUEUE, table(arguments)).await?;
    bind(channel, DEAD_QUEUE, DEAD_EXCHANGE, "").await?;

    exchange(channel, EXCHANGE, ExchangeKind::Topic).await?;
    let arguments = [
        ("x-max-length", AMQPValue::LongLongInt(QUEUE_MESSAGES_MAX)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        (
            "x-dead-letter-exchange",
            AMQPValue::LongString(DEAD_EXCHANGE.into()),
        ),
    ];
    queue(channel, QUEUE, table(arguments)).await?;
    bind(channel, QUEUE, EXCHANGE, BINDING).await
}

fn table<const N: usize>(arguments: [(&'static str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> Result<(), lapin::Error> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let none = FieldTable::default();
    channel
        .exchange_declare(name.into(), kind, options, none)
        .await
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) -> Result<(), lapin::Error> {
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(name.into(), options, arguments)
        .await
        .map(drop)
}

async fn bind(channel: &Channel, queue: &str, to: &str, key: &str) -> Result<(), lapin::Error> {
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel
        .queue_bind(queue.into(), to.into(), key.into(), options, none)
        .await
}
