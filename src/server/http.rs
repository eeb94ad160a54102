//! `/livez`, `/readyz`, `/version` and `/metrics`, and health over gRPC once more, served by a thread
//! that does nothing else: whatever goes on, they are answered. The console is served here too; the
//! calls that its page makes are only received and sent here, and answered where all others are.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::Service;

use super::connection::{
    CallsEnd, Connection, HTTP1_BUFFER_BYTES_MAX, PageCalls, Peer, Port, STREAM_WINDOW_BYTES,
};
use super::grpc_web::Protocol;
use super::health::Health;
use super::{ServerError, console};
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

/// What is listened on, before the thread is there that serves it.
pub struct Listener {
    listener: std::net::TcpListener,
    pub address: SocketAddr,
}

/// Listens at an address, if there is one.
pub async fn listen(http: HttpAddr) -> Result<Option<Listener>, ServerError> {
    let HttpAddr::At(address) = http else { return Ok(None) };
    let failed = |error| ServerError::Http(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "serving /metrics and /healthz");
    let listener = listener.into_std().map_err(failed)?;
    Ok(Some(Listener { listener, address }))
}

/// Starts the thread that tells about the server.
pub fn start(
    listener: Option<Listener>,
    health: Health,
    calls: Option<PageCalls>,
) -> Result<HttpThread, ServerError> {
    let failed = |error: std::io::Error| ServerError::Startup(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let tell = async move {
        let telling = health.clone().tell();
        let serving = async {
            match listener {
                Some(Listener { listener, .. }) => serve(listener, health, calls).await,
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

async fn serve(listener: std::net::TcpListener, health: Health, calls: Option<PageCalls>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "serving /metrics and /healthz failed");
            return;
        }
    };
    let mut router = router(health);
    if calls.is_some() {
        router = router.merge(console::routes());
    }
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HTTP1_BUFFER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_MAX)
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (http, router, calls) = (http.clone(), router.clone(), calls.clone());
        tokio::spawn(async move {
            serve_connection(&http, stream, address, router, calls).await;
            drop(place);
        });
    }
}

async fn serve_connection(
    http: &auto::Builder<TokioExecutor>,
    stream: TcpStream,
    address: SocketAddr,
    router: Router,
    calls: Option<PageCalls>,
) {
    let io = TokioIo::new(stream);
    let Some(calls) = calls else {
        let _ = http.serve_connection(io, TowerToHyperService::new(router)).await;
        return;
    };
    let peer = Peer { address, port: Port::Service, names: Arc::from([]) };
    let connection = Connection::new(&calls.edge, peer);
    let _calls_end = CallsEnd(Arc::clone(&connection));
    let edge = Arc::clone(&calls.edge);
    let service = service_fn({
        let connection = Arc::clone(&connection);
        move |request| answer(Arc::clone(&connection), calls.clone(), router.clone(), request)
    });
    tokio::select! {
        _ = http.serve_connection(io, service) => {}
        () = connection.untaken(&edge) => {}
    }
}

async fn answer(
    connection: Arc<Connection>,
    calls: PageCalls,
    mut router: Router,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if !is_of_a_page(&request) {
        return router.call(request).await;
    }
    let is_draining = *calls.edge.draining.borrow();
    let answered = if is_draining { None } else { connection.answer_page(calls, request).await };
    Ok(match answered {
        Some(response) => response.map(Body::new),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down\n").into_response(),
    })
}

/// Whether a request is a call, or asks whether it may be sent.
fn is_of_a_page(request: &Request<Incoming>) -> bool {
    let protocol = Protocol::of(request.headers());
    let is_call = matches!(protocol, Some(Protocol::Web | Protocol::WebText));
    is_call || request.method() == Method::OPTIONS
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
