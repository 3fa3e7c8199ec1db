//! Calls to another role over pooled connections, with bounded retries.
//!
//! The address of a callee is a balancing door: a new connection may reach another instance. So a call
//! that never reached anybody is tried again at once, and one whose connection broke before its answer
//! is tried again if doing it twice does no harm.
//!
//! A callee that does not answer is left alone for a while: see `breaker` for when, `budget` for how often
//! calls are tried again, and `limits` for how long they take.
//!
//! Invariant: a call ends within its limit, all tries and pauses included; a call that timed out is not
//! repeated, since that would add load where there is too much already.

mod breaker;
mod budget;
mod error;
mod gate;
pub(crate) mod limits;
mod metrics;
mod retry;
mod window;

use std::sync::Arc;
use std::time::Duration;

use ::http::uri::{Authority, PathAndQuery, Scheme};
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus_client::registry::Registry;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::context::{Context, IDEMPOTENCY_KEY};
pub(crate) use error::UpstreamError;
use gate::{Gate, Pass};
use limits::{CONNECT, PROBE_PATIENCE};
use metrics::UpstreamMetrics;
use retry::{Failure, Tries};

/// How long an unused connection is kept; servers keep it longer, so that the caller closes first.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// Unused connections kept for each callee.
const IDLE_CONNECTIONS_MAX: usize = 32;
/// Answers that say that it is not the call that is wrong, but the moment.
const NOT_NOW: [StatusCode; 3] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// One call to make.
#[derive(Debug, Clone)]
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

/// The connections of this process to its callees.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    kept: Client<HttpConnector, Full<Bytes>>,
    /// Keeps no connection. What broke one kept connection may have broken them all, so a repetition
    /// never takes another of them.
    fresh: Client<HttpConnector, Full<Bytes>>,
    metrics: UpstreamMetrics,
}

impl Connections {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let kept = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector.clone());
        let fresh = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            kept,
            fresh,
            metrics: UpstreamMetrics::register(registry),
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
            gate: Arc::new(Gate::new(callee, limit, self.metrics.of(callee))),
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
    gate: Arc<Gate>,
}

impl Upstream {
    /// Makes a call, trying again where that is safe; fails at once while the callee does not answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, UpstreamError> {
        let pass = self.gate.enter()?;
        if pass.is_probe() {
            self.probe(call, pass).await
        } else {
            self.carry(call, pass).await
        }
    }

    /// Why a call made now would fail at once, if it would: for those who would begin what they could
    /// not finish.
    pub(crate) fn refuses(&self) -> Option<UpstreamError> {
        self.gate.refuses()
    }

    async fn carry(&self, call: &Call, pass: Pass) -> Result<Answer, UpstreamError> {
        let (callee, limit) = (self.callee, self.limit);
        let came = tokio::time::timeout(limit, self.send_with_retries(call)).await;
        let came = came.unwrap_or(Err(UpstreamError::TimedOut { callee, limit }));
        pass.end(&came);
        came
    }

    // The probe takes as long as it takes; whoever made the call hears soon that it will not be done
    // now. It may be done later all the same, as after any call that timed out.
    async fn probe(&self, call: &Call, pass: Pass) -> Result<Answer, UpstreamError> {
        let not_now = pass.without_waiting();
        let (upstream, call) = (self.clone(), call.clone());
        let probing = tokio::spawn(async move { upstream.carry(&call, pass).await });
        match tokio::time::timeout(PROBE_PATIENCE, probing).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            // It failed, or goes on alone.
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(not_now),
        }
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
            let again = tries.after(&failure);
            let Some(pause) = again.filter(|_| self.gate.may_retry(failure.name())) else {
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
            if NOT_NOW.contains(&answer.status) {
                let (callee, status) = (self.callee, answer.status.as_u16());
                return Err(UpstreamError::Refused { callee, status });
            }
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(status: StatusCode, body: &'static str, wanted: &Result<Value, &str>) {
        let connections = Connections::new(&mut Registry::default());
        let address = Authority::from_static("127.0.0.1:9");
        let payments = connections.to("payments", address, Duration::from_secs(1));
        let answer = Answer {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let read = payments.document::<Value>(&answer, &[StatusCode::OK]);
        assert_eq!(read.map_err(|error| error.outcome()), *wanted, "{status}");
    }

    #[test]
    fn an_answer_that_says_not_now_is_told_from_one_without_sense() {
        let document = serde_json::json!({ "state": "charged" });
        check(StatusCode::OK, r#"{"state":"charged"}"#, &Ok(document));
        check(StatusCode::OK, "<html>", &Err("unusable"));
        check(StatusCode::INTERNAL_SERVER_ERROR, "{}", &Err("unusable"));
        for status in NOT_NOW {
            check(status, "{}", &Err("refused: by the callee"));
        }
    }
}
