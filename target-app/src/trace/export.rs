//! Sends spans to a collector: OTLP over HTTP, as protobuf.
//!
//! Invariant: whoever ends a span waits for nothing: spans wait in a queue of [`QUEUE_MAX`], and what does
//! not fit is dropped. The end of the process waits at most [`END_LIMIT`] for what is left.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::span::{Begun, Ended, Kind};
use crate::clock;
use crate::trouble::Trouble;

/// Spans that wait to be sent.
const QUEUE_MAX: usize = 4096;
/// Spans sent together.
const BATCH_MAX: usize = 512;
/// How long a span waits for company.
const GATHER: Duration = Duration::from_secs(1);
/// How long the collector may take to take a batch.
const SEND_LIMIT: Duration = Duration::from_secs(2);
/// How long the end of the process may wait for the last batch.
const END_LIMIT: Duration = Duration::from_secs(3);
/// The longest answer of the collector that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A process plays one role and has one collector.
static SENDER: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// Begins to send to a collector, for the rest of this process's life.
pub(crate) fn start(role: &'static str, instance: &str, collector: &Url) {
    match sender(role, instance, collector) {
        Ok(sender) => drop(SENDER.set(sender)),
        Err(error) => {
            tracing::warn!(%error, "failed to prepare the sending of traces; none is sent");
        }
    }
}

/// Sends what is left.
pub(crate) fn end() {
    let Some(Err(error)) = SENDER
        .get()
        .map(|sender| sender.shutdown_with_timeout(END_LIMIT))
    else {
        return;
    };
    tracing::warn!(%error, "failed to send the last traces");
}

pub(super) fn is_on() -> bool {
    SENDER.get().is_some()
}

pub(super) fn report(begun: &Begun, ended: Ended) {
    if let Some(sender) = SENDER.get() {
        sender.on_end(span(begun, ended));
    }
}

fn sender(
    role: &'static str,
    instance: &str,
    collector: &Url,
) -> Result<BatchSpanProcessor, Box<dyn std::error::Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sending::new()?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.as_str())
        .with_timeout(SEND_LIMIT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(GATHER)
        .build();
    let mut sender = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name(role)
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    opentelemetry_sdk::trace::SpanProcessor::set_resource(&mut sender, &resource);
    Ok(sender)
}

fn span(begun: &Begun, ended: Ended) -> SpanData {
    let trace = &begun.trace;
    let context = SpanContext::new(
        TraceId::from(trace.id),
        SpanId::from(trace.span),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let texts = ended.attributes.into_iter();
    let attributes = texts.map(|(name, text)| KeyValue::new(name, text));
    let status = ended
        .status
        .map(|status| KeyValue::new("http.response.status_code", Value::I64(i64::from(status))));
    SpanData {
        span_context: context,
        parent_span_id: SpanId::from(trace.parent),
        parent_span_is_remote: ended.kind == Kind::Server || ended.kind == Kind::Consumer,
        span_kind: match ended.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: ended.name.into(),
        start_time: begun.at,
        end_time: clock::now(),
        attributes: attributes.chain(status).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if ended.failed {
            Status::error("")
        } else {
            Status::Unset
        },
        instrumentation_scope: InstrumentationScope::builder("store").build(),
    }
}

/// How batches travel: on the sender's own thread, so on a runtime of its own.
#[derive(Debug)]
struct Sending {
    runtime: Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
    trouble: Mutex<Trouble>,
}

impl Sending {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            // Nothing drives a connection between two batches, so none is kept.
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build_http(),
            trouble: Mutex::default(),
        })
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new)).await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    fn tell(&self, came: &Result<Response<Bytes>, HttpError>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = match came {
            Ok(answer) if answer.status().is_success() => {
                if trouble.is_over() {
                    tracing::info!("traces are sent again");
                }
                return;
            }
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(error) => error.to_string(),
        };
        if trouble.is_news(&reason) {
            tracing::warn!(
                reason,
                "failed to send traces (OTEL_EXPORTER_OTLP_ENDPOINT); those of this time are lost"
            );
        }
    }
}

#[async_trait]
impl HttpClient for Sending {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let came = self.runtime.block_on(async {
            let sent = tokio::time::timeout(SEND_LIMIT, self.send(request));
            sent.await.map_err(HttpError::from).flatten()
        });
        self.tell(&came);
        came
    }
}
