//! A real `RabbitMQ`, one for all tests of this binary, which take turns: it takes some seconds to start.

use std::time::Duration;

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::server::Server;

/// From the first connection it takes to the first log-in it lets in.
const BOOT_LIMIT: Duration = Duration::from_secs(30);

/// The broker and the only right to use it.
pub(crate) type Turn = MappedMutexGuard<'static, Broker>;

static BROKER: Mutex<Option<Broker>> = Mutex::const_new(None);

/// Waits for the broker, empty and running; nothing when it is not installed and may be missed.
pub(crate) async fn broker() -> Option<Turn> {
    let turn = BROKER.lock().await;
    let mut turn = MutexGuard::map(turn, |broker| {
        broker.get_or_insert_with(|| Broker(Server::new("rabbitmq")))
    });
    if !turn.start().await {
        return None;
    }
    turn.empty().await;
    Some(turn)
}

pub(crate) struct Broker(Server);

impl Broker {
    /// Starts the server if it does not run, and waits until it can be used.
    pub(crate) async fn start(&mut self) -> bool {
        if !self.0.start().await {
            return false;
        }
        let usable = async {
            while self.connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(BOOT_LIMIT, usable)
            .await
            .expect("RabbitMQ lets nobody in");
        true
    }

    /// Ends the server in order.
    pub(crate) fn stop(&mut self) {
        self.0.stop();
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        self.0.kill();
    }

    /// The address with its secrets.
    pub(crate) fn url(&self) -> String {
        format!("amqp://shop:quiet-secret@127.0.0.1:{}/%2f", self.0.port)
    }

    async fn connect(&self) -> Result<(Connection, Channel), lapin::Error> {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }

    async fn empty(&self) {
        for queue in ["notifications", "notifications.dead"] {
            let (_connection, channel) = self.connect().await.unwrap();
            let options = QueuePurgeOptions::default();
            // An error means that the queue is not there yet.
            drop(channel.queue_purge(queue.into(), options).await);
        }
    }

    /// Publishes a message as the outbox would.
    pub(crate) async fn publish(&self, body: &str) {
        let (_connection, channel) = self.connect().await.unwrap();
        let properties = BasicProperties::default().with_delivery_mode(2);
        let (exchange, key) = ("store.events".into(), "order.order-confirmed".into());
        let options = BasicPublishOptions::default();
        let sent = channel.basic_publish(exchange, key, options, body.as_bytes(), properties);
        sent.await.unwrap().await.unwrap();
    }

    /// How many messages wait for how many consumers in the queue of notifications, as a text.
    pub(crate) async fn depth(&self) -> String {
        let (_connection, channel) = self.connect().await.unwrap();
        let options = QueueDeclareOptions::default().passive();
        let none = FieldTable::default();
        let queue = channel.queue_declare("notifications".into(), options, none);
        format!("{:?}", queue.await)
    }

    /// Takes the oldest message of a queue.
    pub(crate) async fn take(&self, queue: &str) -> Option<String> {
        let (_connection, channel) = self.connect().await.unwrap();
        let options = BasicGetOptions { no_ack: true };
        let got = channel.basic_get(queue.into(), options).await.unwrap();
        got.map(|message| String::from_utf8(message.delivery.data).unwrap())
    }
}
