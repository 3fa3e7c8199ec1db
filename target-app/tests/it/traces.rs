//! One request is one trace, from the gateway to the bank and to what shoppers are told.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::client::Client;
use crate::fleet::Fleet;
use crate::queue::until;
use crate::shop::Settings;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CORRELATION: &str = "one-purchase";
/// Every role that a purchase reaches.
const REACHED: [&str; 6] = [
    "gateway",
    "orders",
    "catalog",
    "payments",
    "bank",
    "notifications",
];

fn trace_parent(flags: &str) -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-{flags}")
}

/// A purchase that is one trace, and its notification.
async fn buy(fleet: &Fleet, flags: &str) {
    let shopper = fleet.at("gateway").logged_in(1).await;
    let cart = shopper.cart_with("p-0001", 1).await;
    let traced: Client = shopper
        .with("traceparent", &trace_parent(flags))
        .with("x-correlation-id", CORRELATION);
    let order = traced.check_out(&cart, "one").await.expect(200);
    let path = format!("/notifications/{}", order.text_at("/order_id"));
    let told = fleet.at("notifications");
    until("the order is notified", async || {
        let events = told.get(&path).await.expect(200).json();
        events["events"]
            .as_array()
            .is_some_and(|events| !events.is_empty())
    })
    .await;
}

#[tokio::test]
async fn every_role_logs_the_trace_and_the_correlation_of_a_purchase() {
    let more = Settings::from([("LOG_LEVEL", "target_app=debug".to_owned())]);
    let fleet = Fleet::start_with(more).await;
    buy(&fleet, "01").await;
    let malformed = fleet.at("gateway").with("traceparent", "00-none-at-all-01");
    malformed.get("/products/p-0001").await.expect(200);
    let logs = fleet.end().await;

    let mut spans = BTreeSet::new();
    for role in REACHED {
        let lines: Vec<&Value> = logs[role]
            .iter()
            .filter(|line| line["trace_id"] == TRACE)
            .collect();
        assert!(!lines.is_empty(), "{role} says nothing of the trace");
        assert!(
            lines.iter().all(|line| line["correlation"] == CORRELATION),
            "{lines:#?}"
        );
        let ids: BTreeSet<&str> = lines
            .iter()
            .map(|line| line["span_id"].as_str().unwrap())
            .collect();
        assert!(ids.is_disjoint(&spans), "{role} has no span of its own");
        spans.extend(ids);
    }
    let own = |role| {
        let answered = logs[role]
            .iter()
            .filter(|line| line["route"] == "/products/{id}");
        let ids: Vec<&str> = answered
            .map(|line| line["trace_id"].as_str().unwrap())
            .collect();
        ids.last().copied().unwrap_or_default().to_owned()
    };
    assert_eq!(
        own("gateway"),
        own("catalog"),
        "a trace made by the gateway goes on"
    );
    assert_eq!(own("gateway").len(), 32);
}

#[cfg(feature = "otlp")]
mod exported {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::routing::post;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Spans by the service that reported them.
    type Spans = BTreeMap<String, Vec<Span>>;

    /// A collector that keeps what it is sent.
    async fn collector() -> (String, Arc<Mutex<Spans>>) {
        let spans = Arc::new(Mutex::new(Spans::new()));
        let kept = Arc::clone(&spans);
        let take = move |body: Bytes| {
            let sent = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
            for resource in sent.resource_spans {
                let service = service_of(resource.resource.as_ref().expect("a resource"));
                let all = resource
                    .scope_spans
                    .into_iter()
                    .flat_map(|scope| scope.spans);
                kept.lock().unwrap().entry(service).or_default().extend(all);
            }
            std::future::ready(())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, spans)
    }

    fn service_of(resource: &opentelemetry_proto::tonic::resource::v1::Resource) -> String {
        use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
        let named = resource
            .attributes
            .iter()
            .find(|pair| pair.key == "service.name");
        let value = named.and_then(|pair| pair.value.as_ref()?.value.as_ref());
        match value {
            Some(StringValue(name)) => name.clone(),
            other => panic!("no name of a service: {other:?}"),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        let number = bytes
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        format!("{number:0width$x}", width = 2 * bytes.len())
    }

    async fn reported(flags: &str) -> Spans {
        let (address, spans) = collector().await;
        let fleet =
            Fleet::start_with(Settings::from([("OTEL_EXPORTER_OTLP_ENDPOINT", address)])).await;
        buy(&fleet, flags).await;
        // What was not sent by now is sent at the end.
        fleet.end().await;
        let mut spans = std::mem::take(&mut *spans.lock().unwrap());
        for spans in spans.values_mut() {
            spans.retain(|span| hex(&span.trace_id) == TRACE);
        }
        spans.retain(|_, spans| !spans.is_empty());
        spans
    }

    /// Whether a span of `role` with this name was asked for by a span of `caller`.
    fn asked(spans: &Spans, caller: &str, role: &str, name: &str) -> bool {
        let callers: BTreeSet<&[u8]> = spans[caller].iter().map(|span| &span.span_id[..]).collect();
        let named = spans[role].iter().find(|span| span.name == name);
        named.is_some_and(|span| callers.contains(&span.parent_span_id[..]))
    }

    #[tokio::test]
    async fn a_collector_sees_one_trace_from_the_gateway_to_the_bank() {
        let spans = reported("01").await;
        let services: Vec<&str> = spans.keys().map(String::as_str).collect();
        assert_eq!(services, {
            let mut reached = REACHED;
            reached.sort_unstable();
            reached
        });
        let first = spans["gateway"]
            .iter()
            .find(|span| span.name == "POST /checkout")
            .unwrap();
        assert_eq!(hex(&first.parent_span_id), "00f067aa0ba902b7");
        assert!(first.end_time_unix_nano > first.start_time_unix_nano);
        for (caller, role, name) in [
            ("gateway", "gateway", "POST orders"),
            ("gateway", "orders", "POST /checkout"),
            ("orders", "catalog", "POST /reservations"),
            ("orders", "payments", "POST /charges"),
            ("payments", "bank", "POST /charges"),
            ("orders", "notifications", "process order-confirmed"),
        ] {
            assert!(
                asked(&spans, caller, role, name),
                "{caller} {role} {name}: {spans:#?}"
            );
        }
    }

    #[tokio::test]
    async fn a_trace_that_is_not_sampled_is_not_reported() {
        assert_eq!(reported("00").await, Spans::new());
    }

    #[tokio::test]
    async fn without_a_collector_the_shop_sells() {
        // Nobody listens at a port that was just given back.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let fleet =
            Fleet::start_with(Settings::from([("OTEL_EXPORTER_OTLP_ENDPOINT", address)])).await;
        buy(&fleet, "01").await;
        let logs = fleet.end().await;
        let said = |line: &&Value| {
            let text = line["message"].as_str().unwrap_or_default();
            text.contains("OTEL_EXPORTER_OTLP_ENDPOINT")
        };
        let lines = logs["gateway"].iter().filter(said).count();
        assert!((1..=4).contains(&lines), "{lines}: {:#?}", logs["gateway"]);
    }
}
