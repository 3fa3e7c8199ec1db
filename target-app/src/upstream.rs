//! Calls to another role over pooled connections, with bounded retries.
//!
//! The address of a callee is a balancing door: a new connection may reach another instance. So a call
//! that never reached anybody is tried again at once, and one whose connection broke before its answer
//! is tried again if doing it twice does no harm.
//!
//! Invariant: a call ends within its limit, all tries and pauses included; a call that timed out is not
//! repeated, since that would add load where there is too much already.

mod retry;

use std::time::Duration;

use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::context::{Context, IDEMPOTENCY_KEY};
use retry::{Failure, Tries};

/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// How long an unused connection is kept; servers keep it longer, so that the caller closes first.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// Unused connections kept for each callee.
const IDLE_CONNECTIONS_MAX: usize = 32;
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("failed to reach `{callee}` in {tries} tries: {text}")]
    Connect {
        callee: &'static str,
        tries: u32,
        text: String,
    },
    #[error("failed to get an answer of `{callee}` in {tries} tries: {text}")]
    Broken {
        callee: &'static str,
        tries: u32,
        text: String,
    },
    #[error("failed to get an answer of `{callee}` within {limit:?}")]
    TimedOut {
        callee: &'static str,
        limit: Duration,
    },
    #[error("failed to use the answer of `{callee}`: {text}")]
    Unusable { callee: &'static str, text: String },
}

impl UpstreamError {
    /// The role that was called.
    pub(crate) fn callee(&self) -> &'static str {
        match self {
            Self::Connect { callee, .. }
            | Self::Broken { callee, .. }
            | Self::TimedOut { callee, .. }
            | Self::Unusable { callee, .. } => callee,
        }
    }
}

/// One call to make.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether doing it twice has the effect of doing it once.
    pub(crate) repeatable: bool,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RetryLabels {
    callee: &'static str,
    reason: &'static str,
}

/// The connections of this process to its callees.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    kept: Client<HttpConnector, Full<Bytes>>,
    /// Keeps no connection. What broke one kept connection may have broken them all, so a repetition
    /// never takes another of them.
    fresh: Client<HttpConnector, Full<Bytes>>,
    retries: Family<RetryLabels, Counter>,
}

impl Connections {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_LIMIT));
        let kept = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector.clone());
        let fresh = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        let retries = Family::default();
        registry.register("upstream_retries", "Calls tried again", retries.clone());
        Self {
            kept,
            fresh,
            retries,
        }
    }

    /// A callee at an address; each call to it ends within `limit`.
    pub(crate) fn to(
        &self,
        callee: &'static str,
        authority: Authority,
        limit: Duration,
    ) -> Upstream {
        Upstream {
            callee,
            authority,
            limit,
            connections: self.clone(),
        }
    }
}

/// A role as seen by a caller.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    callee: &'static str,
    authority: Authority,
    limit: Duration,
    connections: Connections,
}

impl Upstream {
    /// Makes a call, trying again where that is safe.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, UpstreamError> {
        let (callee, limit) = (self.callee, self.limit);
        let answered = tokio::time::timeout(limit, self.send_with_retries(call)).await;
        answered.unwrap_or(Err(UpstreamError::TimedOut { callee, limit }))
    }

    async fn send_with_retries(&self, call: &Call) -> Result<Answer, UpstreamError> {
        let callee = self.callee;
        let mut tries = Tries::new(call.repeatable);
        let mut client = &self.connections.kept;
        loop {
            let failure = match self.send_once(client, call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(pause) = tries.after(&failure) else {
                let tries = tries.made();
                return Err(match failure {
                    Failure::NotSent(text) => UpstreamError::Connect {
                        callee,
                        tries,
                        text,
                    },
                    Failure::Broken(text) => UpstreamError::Broken {
                        callee,
                        tries,
                        text,
                    },
                    Failure::Unusable(text) => UpstreamError::Unusable { callee, text },
                });
            };
            let labels = RetryLabels {
                callee,
                reason: failure.name(),
            };
            self.connections.retries.get_or_create(&labels).inc();
            tokio::time::sleep(pause).await;
            client = &self.connections.fresh;
        }
    }

    async fn send_once(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        call: &Call,
    ) -> Result<Answer, Failure> {
        let request = self.request(call)?;
        let response = client
            .request(request)
            .await
            .map_err(|error| Failure::of(&error))?;
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = collected
            .map_err(|error| Failure::of_body(error.as_ref()))?
            .to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(call.path.clone())
            .build()
            .map_err(|error| Failure::Unusable(error.to_string()))?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&call.headers);
        Ok(request)
    }

    /// Gets a JSON document.
    pub(crate) async fn get_json(
        &self,
        path: &str,
        context: &Context,
    ) -> Result<Answer, UpstreamError> {
        let mut headers = HeaderMap::new();
        context.write_to(&mut headers);
        let path = self.path(path)?;
        self.send(&Call {
            method: Method::GET,
            path,
            headers,
            body: Bytes::new(),
            repeatable: true,
        })
        .await
    }

    /// Posts a JSON document to a path that does nothing twice for one key.
    pub(crate) async fn post_json(
        &self,
        path: &str,
        key: &str,
        document: &impl Serialize,
        context: &Context,
    ) -> Result<Answer, UpstreamError> {
        let mut headers = HeaderMap::new();
        context.write_to(&mut headers);
        let key = HeaderValue::try_from(key).map_err(|error| self.unusable(&error))?;
        headers.insert(IDEMPOTENCY_KEY, key);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let body = serde_json::to_vec(document)
            .map_err(|error| self.unusable(&error))?
            .into();
        let path = self.path(path)?;
        self.send(&Call {
            method: Method::POST,
            path,
            headers,
            body,
            repeatable: true,
        })
        .await
    }

    /// Reads the document of an answer that must have one of these statuses.
    pub(crate) fn document<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        statuses: &[StatusCode],
    ) -> Result<T, UpstreamError> {
        if !statuses.contains(&answer.status) {
            let start: String = String::from_utf8_lossy(&answer.body)
                .chars()
                .take(200)
                .collect();
            return Err(self.unusable(&format!("status {} with `{start}`", answer.status.as_u16())));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.unusable(&error))
    }

    fn path(&self, path: &str) -> Result<PathAndQuery, UpstreamError> {
        PathAndQuery::try_from(path).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, text: &impl ToString) -> UpstreamError {
        UpstreamError::Unusable {
            callee: self.callee,
            text: text.to_string(),
        }
    }
}
