//! The trace context of requests as the target sees it.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_plan::plan::HttpVersion;
use chaos_testkit::plan::{PlanBuilder, get};
use chaos_testkit::server::{Served, Version};
use chaos_testkit::{Law, Server, Settings};

use crate::http2::target;
use crate::ran::play;

/// Twenty journeys of two steps, by two workers.
async fn served(plan: PlanBuilder, version: Version, http: HttpVersion) -> Vec<Served> {
    let server = Server::start(Settings::new(Law::Fixed(Duration::ZERO)).version(version));
    let plan = plan
        .target(target(&server, http, false))
        .stage("s", 0.5, 40.0)
        .journey("j", 1.0, vec![get("first", "/a"), get("second", "/b")])
        .build();
    let ran = play(plan, &server.url(), 2).await;
    ran.assert_conserved();
    assert_eq!(ran.journey(0).ok, 20);
    server.log()
}

#[tokio::test]
async fn each_journey_is_a_trace_and_each_request_a_span_of_it() {
    for (version, http) in [
        (Version::Http1, HttpVersion::Auto),
        (Version::Http2, HttpVersion::Http2),
    ] {
        let served = served(PlanBuilder::new().traceparent(), version, http).await;
        let parts: Vec<(&str, &str)> = served
            .iter()
            .map(|served| {
                let value = served.traceparent.as_deref().expect("a trace context");
                assert!(
                    value.starts_with("00-") && value.ends_with("-01"),
                    "{value}"
                );
                (&value[3..35], &value[36..52])
            })
            .collect();
        let traces: BTreeSet<&str> = parts.iter().map(|(trace, _)| *trace).collect();
        let spans: BTreeSet<&str> = parts.iter().map(|(_, span)| *span).collect();
        assert_eq!((traces.len(), spans.len()), (20, 40));
    }
}

#[tokio::test]
async fn a_plan_without_traces_sends_none() {
    let served = served(PlanBuilder::new(), Version::Http1, HttpVersion::Auto).await;
    assert!(served.iter().all(|served| served.traceparent.is_none()));
}
