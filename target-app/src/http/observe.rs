//! What surrounds every handler: correlation, time limit, counting, and the delay for demonstrations.
//!
//! Invariant: a request that went well writes no log line above `debug`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::http::StatusCode;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;

use super::body::read_whole;
use super::context::{CORRELATION, Context};
use super::error::{ApiError, ErrorDetail};
use super::metrics::{RequestMetrics, Route};
use super::seal::seal;

/// How long a role works on one request before it gives up; callers give up sooner.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Server errors logged in one second; the rest are only counted.
const WARNINGS_PER_SECOND_MAX: u64 = 20;

/// What surrounds the handlers of one role.
#[derive(Debug)]
pub(crate) struct Observer {
    metrics: RequestMetrics,
    delay: Option<Duration>,
    warnings: WarningBudget,
}

impl Observer {
    pub(crate) fn new(metrics: RequestMetrics, delay: Option<Duration>) -> Self {
        Self {
            metrics,
            delay,
            warnings: WarningBudget::new(),
        }
    }
}

/// The middleware itself.
pub(crate) async fn observe(
    State(observer): State<Arc<Observer>>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = Context::from_headers(request.headers());
    let route = route_of(&request);
    let counted = observer.metrics.begin(request.method(), route.clone());
    request.extensions_mut().insert(context.clone());

    let answered = tokio::time::timeout(REQUEST_LIMIT, async {
        match read_whole(request).await {
            Ok(request) => finished(next.run(request)).await,
            Err(error) => error.into_response(),
        }
    })
    .await;
    let mut response = answered.unwrap_or_else(|_| too_slow().into_response());
    if let Some(delay) = observer.delay.filter(|_| !is_probe(route.as_str())) {
        tokio::time::sleep(delay).await;
    }
    let headers = response.headers_mut();
    headers.insert(CORRELATION, context.correlation.clone());
    seal(headers);
    observer.log(route.as_str(), &context, &response);
    counted.end(response.status().as_u16());
    response
}

impl Observer {
    fn log(&self, route: &str, context: &Context, response: &Response) {
        let (status, correlation) = (response.status().as_u16(), context.correlation());
        if !response.status().is_server_error() || is_probe(route) {
            tracing::debug!(correlation, route, status, "answered");
            return;
        }
        if let Some(unlogged) = self.warnings.take(Instant::now()) {
            let detail = response
                .extensions()
                .get::<ErrorDetail>()
                .map_or("", |detail| detail.0.as_str());
            tracing::warn!(
                correlation,
                route,
                status,
                detail,
                unlogged,
                "answered with a server error"
            );
        }
    }
}

// A handler that panics is a mistake of the store and no reason to break its caller's connection. What it
// said goes to standard error, never into the answer.
async fn finished(handling: impl Future<Output = Response>) -> Response {
    let finished = AssertUnwindSafe(handling).catch_unwind().await;
    finished.unwrap_or_else(|_| ApiError::internal("the handler panicked").into_response())
}

fn too_slow() -> ApiError {
    ApiError::new(
        StatusCode::GATEWAY_TIMEOUT,
        "the store did not finish in time",
    )
    .help("try again in a second")
}

fn route_of(request: &Request) -> Route {
    let matched = request.extensions().get::<MatchedPath>();
    Route::new(matched.map_or("none", MatchedPath::as_str))
}

// Probes must tell the truth about the instance, also when its answers are delayed.
pub(super) fn is_probe(route: &str) -> bool {
    matches!(route, "/health" | "/ready" | "/metrics")
}

/// Keeps a failing peer from filling the disk with warnings.
#[derive(Debug)]
struct WarningBudget {
    start: Instant,
    second: AtomicU64,
    taken: AtomicU64,
}

impl WarningBudget {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            second: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    // Whether one more may be logged, and if so how many were not in the second before.
    fn take(&self, now: Instant) -> Option<u64> {
        let second = now.saturating_duration_since(self.start).as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            let before = self.taken.swap(1, Ordering::Relaxed);
            return Some(before.saturating_sub(WARNINGS_PER_SECOND_MAX));
        }
        (self.taken.fetch_add(1, Ordering::Relaxed) < WARNINGS_PER_SECOND_MAX).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_that_does_not_tell_of_it() {
        let answer = finished(async { panic!("at 127.0.0.1:5432 with secret") }).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(answer.into_body(), 1024).await;
        let body = String::from_utf8(body.unwrap().to_vec()).unwrap();
        assert!(
            body.contains("the store made a mistake") && !body.contains("secret"),
            "{body}"
        );
    }

    #[test]
    fn warnings_are_limited_by_the_second_and_the_rest_is_counted() {
        let budget = WarningBudget::new();
        let now = budget.start;
        let logged = (0..50).filter(|_| budget.take(now).is_some()).count();
        assert_eq!(logged as u64, WARNINGS_PER_SECOND_MAX);
        assert_eq!(budget.take(now + Duration::from_secs(1)), Some(30));
        assert_eq!(budget.take(now + Duration::from_secs(1)), Some(0));
    }
}
