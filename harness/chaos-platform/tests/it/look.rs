//! What every platform is looked at with, whichever bench it stands on.

use std::time::Duration;

use chaos_platform::{InstanceRef, Observation, Platform, Seen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::bench::PATIENCE;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !holds().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| unreachable!("never: {what}"));
}

/// Hears the observations of a platform.
pub(crate) struct Watcher {
    receiver: mpsc::Receiver<Observation>,
}

impl Watcher {
    pub(crate) fn of(platform: &mut impl Platform) -> Self {
        Self {
            receiver: platform.observe().expect("nobody else observes"),
        }
    }

    pub(crate) async fn next(&mut self) -> Observation {
        soon(self.receiver.recv())
            .await
            .expect("the platform is there")
    }

    /// The next observation of an instance that fits; those before it are passed over.
    pub(crate) async fn wait(
        &mut self,
        instance: &str,
        fits: impl Fn(&Seen) -> bool,
    ) -> Observation {
        loop {
            let observation = self.next().await;
            if observation.instance == instance && fits(&observation.seen) {
                return observation;
            }
        }
    }

    /// Everything that has been seen and not been heard yet.
    pub(crate) fn so_far(&mut self) -> Vec<Observation> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }
}

/// The current life of an instance.
pub(crate) async fn life(platform: &impl Platform, instance: &str) -> InstanceRef {
    let instances = platform.instances().await.expect("readable");
    instances
        .into_iter()
        .map(|state| state.target)
        .find(|target| target.instance == instance)
        .expect("known")
}

/// Body of a successful `GET`, or why there is none.
pub(crate) async fn get(base: &str, path: &str) -> std::io::Result<String> {
    let address = base.strip_prefix("http://").unwrap_or(base);
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(format!("answered `{answer}`"))),
    }
}
