//! Counts and durations in the Prometheus text format.
//!
//! Invariant: every request that reaches a role is counted exactly once when it ends: with its status,
//! or with 499 if the caller went away before the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ::http::{HeaderValue, Method, header};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::error::ApiError;
use super::observe::is_probe;
use super::seal::BUILD;
use crate::clock;

/// Upper bounds of the duration buckets, in seconds.
const BUCKETS_S: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The status under which a request is counted whose caller did not wait; nginx uses the same.
const CALLER_WENT_AWAY: u16 = 499;

/// The pattern of a path, not the path: ids would make a time series for each product.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Route(Arc<str>);

impl Route {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(Arc::from(pattern))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: Route,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: Route,
}

/// The request metrics of one role.
#[derive(Debug, Clone)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    /// Requests that were no probes: what a load generator compares its own count with.
    served: Arc<AtomicU64>,
}

impl RequestMetrics {
    /// Adds the request metrics to a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS_S)),
            in_flight: Gauge::default(),
            served: Arc::default(),
        };
        registry.register(
            "http_requests",
            "Requests answered",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time to answer a request",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being worked on",
            metrics.in_flight.clone(),
        );
        register_process(registry);
        metrics
    }

    /// Requests that have ended, probes and `/metrics` left out.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Counts a request that has just arrived.
    pub(crate) fn begin(&self, method: &Method, route: Route) -> InFlight {
        self.in_flight.inc();
        let labels = RequestLabels {
            method: method_name(method),
            route,
            status: CALLER_WENT_AWAY,
        };
        InFlight {
            metrics: self.clone(),
            labels,
            begun: Instant::now(),
        }
    }
}

// Which program this is, and since when it runs (https://prometheus.io/docs/instrumenting/writing_clientlibs/).
fn register_process(registry: &mut Registry) {
    let build = Info::new([
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", BUILD.unwrap_or("unnamed")),
    ]);
    registry.register("build", "The program that runs here", build);
    let started = Gauge::<f64, AtomicU64>::default();
    started.set(clock::now_ms() as f64 / 1000.0);
    registry.register_with_unit(
        "process_start_time",
        "When this process began to serve, since 1970",
        Unit::Seconds,
        started,
    );
}

/// A request being worked on; dropping it counts it.
pub(crate) struct InFlight {
    metrics: RequestMetrics,
    labels: RequestLabels,
    begun: Instant,
}

impl InFlight {
    /// The request has its answer.
    pub(crate) fn end(mut self, status: u16) {
        self.labels.status = status;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        let route = RouteLabels {
            route: self.labels.route.clone(),
        };
        self.metrics
            .durations
            .get_or_create(&route)
            .observe(self.begun.elapsed().as_secs_f64());
        self.metrics.requests.get_or_create(&self.labels).inc();
        if !is_probe(self.labels.route.as_str()) {
            self.metrics.served.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// A closed set, so that callers cannot grow the metrics with made-up methods.
pub(super) fn method_name(method: &Method) -> &'static str {
    const KNOWN: [Method; 6] = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::PUT,
        Method::PATCH,
        Method::HEAD,
    ];
    let names = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"];
    KNOWN
        .iter()
        .position(|known| known == method)
        .map_or("other", |at| names[at])
}

/// The handler of `/metrics`.
pub(crate) async fn metrics(State(registry): State<Arc<Registry>>) -> Result<Response, ApiError> {
    let mut text = String::with_capacity(8 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry)
        .map_err(|error| ApiError::internal(format!("metrics: {error}")))?;
    let kind =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_request_is_counted_once_whether_it_is_answered_or_given_up() {
        let mut registry = Registry::default();
        let metrics = RequestMetrics::register(&mut registry);
        let route = Route::new("/products");
        metrics.begin(&Method::GET, route.clone()).end(200);
        drop(metrics.begin(&Method::GET, route));
        let text = text(&registry);
        for status in ["200", "499"] {
            let line = format!(
                r#"http_requests_total{{method="GET",route="/products",status="{status}"}} 1"#
            );
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("http_requests_in_flight 0"), "{text}");
    }

    #[test]
    fn made_up_methods_share_one_name() {
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), "other");
        assert_eq!(method_name(&Method::DELETE), "DELETE");
    }
}
