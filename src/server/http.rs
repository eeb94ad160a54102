//! `/livez`, `/readyz`, `/version` and `/metrics`, and health over gRPC once more, served by a thread
//! that does nothing else: whatever goes on, they are answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::ServerError;
use super::health::Health;
use crate::config::HttpAddr;
use crate::kernel::Kernel;
use crate::{simhash, telemetry, text};

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 256;

/// How long a peer may take to send a request, or to answer a ping.
const PATIENCE: Duration = Duration::from_secs(20);

const CALLS_MAX: u32 = 32;

/// The thread, which ends when this is dropped.
pub struct HttpThread {
    _stop: oneshot::Sender<()>,
}

/// Starts the thread that tells about the server, at an address if there is one.
pub async fn start(http: HttpAddr, health: Health) -> Result<HttpThread, ServerError> {
    let listener = match http {
        HttpAddr::Off => None,
        HttpAddr::At(address) => Some(listen(address).await?),
    };
    let failed = |error: std::io::Error| ServerError::Startup(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let tell = async move {
        let telling = health.clone().tell();
        let serving = async {
            match listener {
                Some(listener) => serve(listener, health).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = stopped => {}
            ((), ()) = async { tokio::join!(telling, serving) } => {}
        }
    };
    std::thread::Builder::new()
        .name("newsprint-http".to_owned())
        .spawn(move || runtime.block_on(tell))
        .map_err(failed)?;
    Ok(HttpThread { _stop: stop })
}

async fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServerError> {
    let failed = |error| ServerError::Http(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "serving /metrics and /healthz");
    listener.into_std().map_err(failed)
}

async fn serve(listener: std::net::TcpListener, health: Health) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "serving /metrics and /healthz failed");
            return;
        }
    };
    let service = TowerToHyperService::new(router(health));
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(CALLS_MAX)
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (http, service) = (http.clone(), service.clone());
        tokio::spawn(async move {
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
    }
}

fn router(health: Health) -> Router {
    let grpc = format!("/{}/{{*method}}", <HealthServer<HealthService> as NamedService>::NAME);
    let service = health.service();
    let alive = health.clone();
    let livez = async move || match alive.is_alive() {
        true => (StatusCode::OK, "alive\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the threads that serve are stuck\n"),
    };
    let readyz = async move || match health.not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reason.name()))
        }
    };
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz.clone()))
        // What many probes ask for without being told.
        .route("/healthz", get(readyz))
        .route("/version", get(async || ([(header::CONTENT_TYPE, "application/json")], version())))
        .route(
            "/metrics",
            get(async || ([(header::CONTENT_TYPE, METRICS_TYPE)], telemetry::metrics().render())),
        )
        .route_service(&grpc, service)
}

/// The text format of Prometheus, which takes nothing for granted that does not say what it is.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What this program is, as JSON.
fn version() -> String {
    let version = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": telemetry::REVISION,
        "fingerprint_scheme": simhash::SCHEME,
        "text_pipeline": text::PIPELINE,
        "kernel": Kernel::active().name(),
    });
    format!("{version}\n")
}
