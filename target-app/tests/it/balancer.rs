//! A door in front of several instances, as the platform's proxy is: each new connection goes to the
//! next instance that can be reached, bytes pass through untouched.
//!
//! Like the platform it can ask each instance every 100 ms whether it is ready; three times no in a row
//! and no new connection goes there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;

/// How often an instance is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long it may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// Failures in a row after which it is not ready.
const FAILURES: u32 = 3;

/// A door whose instances come and go.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) address: String,
    instances: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

/// Opens a door to instances that are never asked; it stays open as long as the test's runtime.
pub(crate) async fn open(instances: Vec<String>) -> String {
    let door = Door::new().await;
    door.instances.lock().unwrap().extend(instances);
    door.address
}

impl Door {
    /// Opens a door that leads nowhere yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Self {
            address: listener.local_addr().unwrap().to_string(),
            instances: Arc::default(),
            turn: Arc::default(),
            closed: Arc::default(),
        };
        tokio::spawn(door.clone().serve(listener));
        door
    }

    /// Lets an instance in as soon as it is ready, and out again when it is not.
    pub(crate) async fn admit(&self, instance: &str) {
        Client::new(instance).get("/ready").await.expect(200);
        self.instances.lock().unwrap().push(instance.to_owned());
        tokio::spawn(self.clone().attend(instance.to_owned()));
    }

    /// Connections that were sent to an instance whose own door was closed already.
    pub(crate) fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    async fn attend(self, instance: String) {
        let mut failures = 0;
        while failures < FAILURES {
            tokio::time::sleep(ASK_EVERY).await;
            // Each question has a connection of its own.
            let client = Client::new(&instance);
            let asked = client.send(http::Method::GET, "/ready", String::new());
            match tokio::time::timeout(ASK_LIMIT, asked).await {
                Ok(Ok(reply)) if reply.status.is_success() => failures = 0,
                _ => failures += 1,
            }
        }
        self.instances
            .lock()
            .unwrap()
            .retain(|other| *other != instance);
        // It may come back, as one that was paused does.
        let client = Client::new(&instance);
        while let Ok(reply) = client
            .send(http::Method::GET, "/ready", String::new())
            .await
        {
            if reply.status.is_success() {
                return Box::pin(self.readmit(instance)).await;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    async fn readmit(self, instance: String) {
        self.instances.lock().unwrap().push(instance.clone());
        self.attend(instance).await;
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().pass(stream));
        }
    }

    async fn pass(self, mut caller: TcpStream) {
        caller.set_nodelay(true).unwrap();
        let instances = self.instances.lock().unwrap().clone();
        // One turn for each caller: others who come at the same moment must not make this one skip any.
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for offset in 0..instances.len() {
            let instance = &instances[(first + offset) % instances.len()];
            if let Ok(mut callee) = TcpStream::connect(instance).await {
                callee.set_nodelay(true).unwrap();
                // Either side may go away at any time; that is what these tests are about.
                drop(copy_bidirectional(&mut caller, &mut callee).await);
                return;
            }
            self.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
