//! One question over HTTP, on a connection of its own.
//!
//! Invariant: no connection is kept, so an answer never comes from a life that has ended, and what
//! is read of it is bounded.

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};

/// An answer; its body may be too long or broken off where its status is known.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, String>,
}

/// Asks `GET path` of `address`, which is `host:port`; an error tells in words why there is no answer.
pub(crate) async fn get(
    address: impl ToSocketAddrs + ToString,
    path: &str,
    body_max: usize,
) -> Result<Answer, String> {
    let host = address.to_string();
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("no connection: {error}"))?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("`{path}` cannot be asked: {error}"))?;
    let broken = |error: hyper::Error| format!("`{path}` gave no answer: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        // Read to its end, so that the service sees a caller that took its answer.
        let collected = Limited::new(response.into_body(), body_max).collect().await;
        let body = collected
            .map(Collected::to_bytes)
            .map_err(|error| error.to_string());
        Ok(Answer { status, body })
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        biased;
        answer = &mut answer => answer.map_err(broken),
        _ = &mut connection => answer.await.map_err(broken),
    }
}
