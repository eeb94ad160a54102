//! Puts the service on a listener: health, reflection, limits, deadlines, the error contract, the
//! drain. Nothing here knows what an article is.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::{Layer, Service};

use crate::api::pb::admin_service_server::AdminServiceServer;
use crate::api::pb::article_service_server::ArticleServiceServer;
use crate::api::{
    AdminApi, ArticleApi, DESCRIPTORS, Deadline, EngineSlot, deadline_exceeded, framework_status,
};
use crate::config::{Config, HttpAddr};
use crate::engine::{Engine, EngineError};
use crate::store::{EmbeddedStore, StoreError, StoreOptions};
use crate::telemetry;

/// Commands beside those of admitted articles that may wait for the store's writer.
const ADMIN_COMMANDS_MAX: usize = 64;

/// How often forgotten articles are swept up and gauges are brought up to date.
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(5);

/// The time a watcher of the server's health is given to hear of the drain.
const HEALTH_GRACE: Duration = Duration::from_millis(50);

/// Why the server stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the address {0} for /metrics and /healthz cannot be used: {1}")]
    Http(SocketAddr, std::io::Error),
    #[error("serving failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("the server cannot start: {0}")]
    Startup(String),
}

/// Serves on the listener until `shutdown` completes, then drains: health says NOT_SERVING, new
/// connections are refused, calls in work are finished, for at most `config.drain_seconds`.
///
/// The listener answers at once; until the store is open calls are answered UNAVAILABLE.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServerError> {
    let startup = |error: &dyn std::fmt::Display| ServerError::Startup(error.to_string());
    let address = listener.local_addr().map_err(|error| startup(&error))?;
    let (drain, draining) = watch::channel(false);
    let engine = EngineSlot::default();
    let (mut health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::NotServing).await;
    let http = serve_http(config.http, engine.clone()).await?;

    let limits = config.limits;
    let articles = ArticleServiceServer::new(ArticleApi::new(engine.clone(), draining.clone()))
        .max_decoding_message_size(limits.message_bytes_max)
        .max_encoding_message_size(limits.message_bytes_max)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let admin = AdminServiceServer::new(AdminApi::new(engine.clone()))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let health_service = health_service
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1().map_err(|error| startup(&error))?;
    let reflection_v1alpha = reflection().build_v1alpha().map_err(|error| startup(&error))?;

    let mut stopping = draining.clone();
    let serving = Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(8 << 20)
        .max_concurrent_streams(2048)
        .http2_keepalive_interval(Some(Duration::from_secs(60)))
        .layer(ContractLayer)
        .add_service(health_service)
        .add_service(reflection_v1)
        .add_service(reflection_v1alpha)
        .add_service(articles)
        .add_service(admin)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async move {
                let _ = stopping.wait_for(|draining| *draining).await;
            },
        );
    tracing::info!(%address, "listening");

    let opening = open(config.clone());
    let ready = async {
        let opened = opening.await?;
        let info = opened.collections().await?;
        let articles: usize = info.iter().map(|collection| collection.article_count).sum();
        tracing::info!(articles, model = opened.analyser().version, "serving");
        engine.fill(opened);
        set_health(&health, ServingStatus::Serving).await;
        housekeeping(&engine).await
    };

    tokio::pin!(serving, shutdown);
    tokio::select! {
        stopped = &mut serving => return Ok(stopped?),
        failed = ready => return failed,
        () = &mut shutdown => tracing::info!("draining"),
    }

    set_health(&health, ServingStatus::NotServing).await;
    tokio::time::sleep(HEALTH_GRACE).await;
    // Without a status there is nothing to watch: streams that watch one would keep us up.
    for service in HEALTH_SERVICES {
        health.clear_service_status(service).await;
    }
    let _ = drain.send(true);
    match tokio::time::timeout(Duration::from_secs(config.drain_seconds), serving).await {
        Ok(stopped) => stopped?,
        Err(_) => tracing::warn!("calls were still in work at the end of the drain; ending them"),
    }
    if let Some(http) = http {
        http.abort();
    }
    tracing::info!("stopped");
    Ok(())
}

/// The services whose health is told; the empty name stands for the whole server.
const HEALTH_SERVICES: [&str; 3] = [
    "",
    <ArticleServiceServer<ArticleApi> as NamedService>::NAME,
    <AdminServiceServer<AdminApi> as NamedService>::NAME,
];

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in HEALTH_SERVICES {
        health.set_service_status(service, status).await;
    }
}

/// Opens the store and loads the model, on a thread that may block.
async fn open(config: Config) -> Result<Engine, ServerError> {
    let open = move || {
        let options = StoreOptions {
            commands_max: config.limits.in_flight_max + ADMIN_COMMANDS_MAX,
            disk_reserve_bytes: config.disk_reserve_bytes,
            collections_max: config.limits.collections_max,
        };
        let store = EmbeddedStore::open(&config.data, options)?;
        Ok(Engine::new(store, config.model, config.backups, config.limits)?)
    };
    let opened = tokio::task::spawn_blocking(open).await;
    opened.map_err(|error| ServerError::Startup(error.to_string()))?
}

/// Does what has to be done now and then, for ever.
async fn housekeeping(slot: &EngineSlot) -> Result<(), ServerError> {
    let mut period = tokio::time::interval(HOUSEKEEPING_PERIOD);
    loop {
        period.tick().await;
        telemetry::metrics().run_upkeep();
        let Some(engine) = slot.get() else { continue };
        let collections = engine.collections().await?;
        let articles: usize = collections.iter().map(|info| info.article_count).sum();
        let stories: usize = collections.iter().map(|info| info.story_count).sum();
        gauge!("newsprint_articles").set(articles as f64);
        gauge!("newsprint_stories").set(stories as f64);
        gauge!("newsprint_collections").set(collections.len() as f64);
        loop {
            match engine.sweep().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "forgotten articles cannot be swept up");
                    break;
                }
            }
        }
    }
}

/// Serves `/metrics` and `/healthz`.
async fn serve_http(
    http: HttpAddr,
    engine: EngineSlot,
) -> Result<Option<tokio::task::JoinHandle<()>>, ServerError> {
    use axum::http::StatusCode;
    let HttpAddr::At(address) = http else { return Ok(None) };
    let failed = |error| ServerError::Http(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let healthz = move || async move {
        match engine.get() {
            Some(_) => (StatusCode::OK, "serving\n"),
            None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        }
    };
    let router = axum::Router::new()
        .route("/metrics", axum::routing::get(|| async { telemetry::metrics().render() }))
        .route("/healthz", axum::routing::get(healthz));
    tracing::info!(%address, "serving /metrics and /healthz");
    Ok(Some(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "serving /metrics and /healthz failed");
        }
    })))
}

/// Keeps, for every call, the promises that the framework does not: the client's deadline ends in
/// DEADLINE_EXCEEDED, errors carry details, and calls are counted and timed.
#[derive(Clone, Copy)]
struct ContractLayer;

impl<S> Layer<S> for ContractLayer {
    type Service = Contract<S>;

    fn layer(&self, inner: S) -> Contract<S> {
        Contract { inner }
    }
}

#[derive(Clone)]
struct Contract<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Contract<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let started = Instant::now();
        let method = request.uri().path().to_owned();
        let deadline = grpc_timeout(request.headers()).map(|timeout| started + timeout);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline.into()));
        }
        compress_in_kind(request.headers_mut());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = match deadline {
                None => answer.await?,
                Some(deadline) if deadline <= Instant::now() => deadline_exceeded().into_http(),
                Some(deadline) => match tokio::time::timeout_at(deadline.into(), answer).await {
                    Ok(response) => response?,
                    Err(_) => deadline_exceeded().into_http(),
                },
            };
            let (response, code) = with_contract(response);
            count_call(method, code, started.elapsed());
            Ok(response)
        })
    }
}

/// Has answers compressed only for clients that compress what they send. Many say by default that
/// they could unpack, and would pay for it in time on every call without wanting to.
fn compress_in_kind(headers: &mut HeaderMap) {
    let encoding = headers.get("grpc-encoding").map(|encoding| encoding.as_bytes());
    if matches!(encoding, None | Some(b"identity")) {
        headers.remove("grpc-accept-encoding");
    }
}

/// Completes an error's details, and tells the code. What ends in trailers after a body cannot be
/// seen here and counts as OK: only streams end so.
fn with_contract(response: Response<Body>) -> (Response<Body>, Code) {
    match Status::from_header_map(response.headers()) {
        None => (response, Code::Ok),
        Some(status) if status.code() == Code::Ok => (response, Code::Ok),
        Some(status) => {
            let status = framework_status(status);
            let code = status.code();
            (status.into_http(), code)
        }
    }
}

fn count_call(method: String, code: Code, elapsed: Duration) {
    // Whatever else is asked for must not become a label of its own.
    let method = if code == Code::Unimplemented { "unknown".to_owned() } else { method };
    counter!("newsprint_calls_total", "method" => method.clone(), "code" => code_name(code))
        .increment(1);
    histogram!("newsprint_call_seconds", "method" => method).record(elapsed.as_secs_f64());
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The client's deadline: at most eight digits and a unit,
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>.
///
/// The framework keeps it too, but calls it CANCELLED. So that ours comes first it is a little
/// shorter; the client has given up by then anyway.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(timeout.saturating_sub(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        let check = |value: &str, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            let expected = expected.map(|ms| Duration::from_millis(ms.saturating_sub(1)));
            assert_eq!(grpc_timeout(&headers), expected, "{value}");
        };
        check("2S", Some(2000));
        check("1H", Some(3_600_000));
        check("250m", Some(250));
        check("3000u", Some(3));
        check("0n", Some(0));
        check("123456789S", None);
        check("S", None);
        check("", None);
        check("5x", None);
    }
}
