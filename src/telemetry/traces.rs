//! Traces for a collector of OpenTelemetry, sent by OTLP over gRPC: a span for each call of ours, with
//! its method, its collection and how it ended, never with a text.
//!
//! Spans wait in a queue of fixed length for a thread that sends them. What a collector does not
//! take is dropped; no call waits for it.

use std::net::SocketAddr;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};
use tonic::Code;

use crate::config::Tracing;

/// How long a collector may take for what it is sent, and in all at the end.
const EXPORT_MAX: Duration = Duration::from_secs(5);
const END_MAX: Duration = Duration::from_secs(2);

/// Where spans go; nowhere by default.
#[derive(Clone, Default)]
pub struct Traces(Option<(SdkTracerProvider, SdkTracer)>);

impl Traces {
    /// To be called on the runtime that is to send them.
    pub fn start(settings: &Tracing) -> Result<Traces, String> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Traces(None)) };
        let unusable = |error: &dyn std::fmt::Display| format!("otlp-endpoint: {error}");
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint.as_str())
            .with_timeout(EXPORT_MAX);
        if endpoint.starts_with("https:") {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        let exporter = exporter.build().map_err(|error| unusable(&error))?;
        let resource = Resource::builder_empty()
            .with_service_name(settings.otlp_service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // Whoever calls decides; of those who do not say, so many.
        let sampler = Sampler::TraceIdRatioBased(settings.otlp_sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("newsprint");
        tracing::info!(endpoint, ratio = settings.otlp_sample_ratio, "calls are traced");
        Ok(Traces(Some((provider, tracer))))
    }

    /// Begins the span of a call, below that of its caller, if it has told one: the ids of trace and
    /// span, and flags.
    pub fn begin(
        &self,
        method: &str,
        parent: Option<(&str, &str, &str)>,
        request_id: &str,
        peer: SocketAddr,
    ) -> CallSpan {
        let Some((_, tracer)) = &self.0 else { return CallSpan::default() };
        let parent = parent.and_then(|(trace, span, flags)| {
            let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
            let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
            Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
        });
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let (service, name) = method.split_once('/').unwrap_or_default();
        let span = tracer
            .span_builder(method.to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", service.to_owned()),
                KeyValue::new("rpc.method", name.to_owned()),
                KeyValue::new("client.address", peer.ip().to_string()),
                KeyValue::new("client.port", i64::from(peer.port())),
                KeyValue::new("newsprint.request_id", request_id.to_owned()),
            ])
            .start_with_context(tracer, &context);
        CallSpan(span.is_recording().then(|| Box::new(span)))
    }

    /// Sends what is waiting, as far as the collector takes it in time.
    pub async fn end(&self) {
        let Some((provider, _)) = self.0.clone() else { return };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(END_MAX));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last traces were not taken");
        }
    }
}

/// The span of a call, if it is traced.
#[derive(Default)]
pub struct CallSpan(Option<Box<Span>>);

impl CallSpan {
    pub fn is_traced(&self) -> bool {
        self.0.is_some()
    }

    /// The trace's id and the span's.
    pub fn ids(&self) -> Option<(String, String)> {
        let context = self.0.as_ref()?.span_context();
        Some((context.trace_id().to_string(), context.span_id().to_string()))
    }

    pub fn end(&mut self, code: Code, reason: Option<&'static str>, collection: &str) {
        let Some(mut span) = self.0.take() else { return };
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", code as i64));
        if !collection.is_empty() {
            span.set_attribute(KeyValue::new("newsprint.collection", collection.to_owned()));
        }
        if let Some(reason) = reason {
            span.set_attribute(KeyValue::new("error.type", reason));
        }
        // A client's mistake is no error of the server, says OpenTelemetry of spans of gRPC.
        if matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ) {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
