//! Puts the service on a listener. Nothing here knows what an article is.
//!
//! `listener` takes connections in, over `tls`, `connection` serves one and knows its calls, `entry`
//! tells calls from what is none, `contract` keeps the promises that hold for every call, with the
//! `ids` it is found by, `guard` lets calls in, `calls` counts them and writes of those that failed,
//! `receive` reads requests under the budget, `grpc_web` and `origins` are for browsers; `health`
//! and `http` tell about the server from a thread of their own, where `console` is served too,
//! `housekeeping` does what has to be done now and then, and `watched` is what follows files on
//! disk.

mod calls;
mod connection;
mod console;
mod contract;
mod entry;
mod grpc_web;
mod guard;
mod health;
mod housekeeping;
mod http;
mod ids;
mod listener;
mod origins;
mod receive;
mod tls;
mod watched;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;

use self::calls::Overload;
use self::connection::{PageCalls, Port};
use self::contract::{Edge, Methods};
use self::guard::Guard;
use self::health::{Health, Phase};
use self::origins::Origins;
use self::tls::Tls;
use crate::admission::{Amount, Budget};
use crate::api::pb::served::admin_service_server::AdminServiceServer;
use crate::api::pb::served::article_service_server::ArticleServiceServer;
use crate::api::{AdminApi, ArticleApi, DESCRIPTORS, EngineSlot};
use crate::config::{Config, Security, StoreUrl};
use crate::engine::{Engine, EngineError};
use crate::store::{EmbeddedStore, StoreError, StoreOptions};
#[cfg(feature = "redis")]
use crate::store::{RedisSettings, RedisStore};
use crate::telemetry::{self, Traces};

/// Commands beside those of admitted articles that may wait for the store's writer.
const ADMIN_COMMANDS_MAX: usize = 64;

/// The time a watcher of the server's health is given to hear of the drain.
const HEALTH_GRACE: Duration = Duration::from_millis(50);

/// How often files that are followed are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// What health and reflection may take at the same time.
const ASIDE_BYTES: usize = 32 << 20;

/// Why the server stopped before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the store {0:?} cannot be used: {1}")]
    StoreUrl(StoreUrl, String),
    #[error("the address {0} for /metrics and /readyz cannot be used: {1}")]
    Http(SocketAddr, std::io::Error),
    #[error("the address {0} for AdminService cannot be used: {1}")]
    Admin(SocketAddr, std::io::Error),
    #[error("{0}")]
    Security(String),
    #[error("the server cannot start: {0}")]
    Startup(String),
}

/// What the operator wants of a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// To end: at first when the calls in work are answered, asked again at once.
    Stop,
    /// To read again what may have changed on disk.
    Reload,
}

/// Services of others, which this server serves for everybody beside its own, so that what it makes
/// of HTTP can be tested with services that were made for it: `scripts/conformance`. Their errors
/// are told as they make them, and so are the server's own meanwhile, without our details.
pub struct Guests {
    methods: &'static Methods,
    add: Box<dyn FnOnce(Routes) -> Routes + Send>,
}

impl Guests {
    /// Services with these descriptors, which are added so. They are kept as long as the process
    /// lives.
    pub fn new(
        descriptors: &'static [u8],
        add: impl FnOnce(Routes) -> Routes + Send + 'static,
    ) -> Self {
        let methods = Box::leak(Box::new(contract::guest_methods(descriptors)));
        Guests { methods, add: Box::new(add) }
    }

    /// As it is but for a test.
    pub fn none() -> Self {
        static NONE: LazyLock<Methods> = LazyLock::new(Methods::new);
        Guests { methods: &NONE, add: Box::new(|routes| routes) }
    }
}

/// Serves on the listener until it is asked to stop, then drains: health says NOT_SERVING, after
/// `config.drain_delay_seconds` new connections are refused, and calls in work are finished, for at
/// most `config.drain_seconds`.
///
/// The listener answers at once; until `open` has made the engine, on a thread that may block,
/// calls are answered UNAVAILABLE.
pub async fn run(
    listener: TcpListener,
    config: Config,
    open: impl FnOnce(Config) -> Result<Engine, ServerError> + Send + 'static,
    events: impl Stream<Item = Event>,
) -> Result<(), ServerError> {
    run_with(Guests::none(), listener, config, open, events).await
}

/// The same with guests.
pub async fn run_with(
    guests: Guests,
    listener: TcpListener,
    config: Config,
    open: impl FnOnce(Config) -> Result<Engine, ServerError> + Send + 'static,
    events: impl Stream<Item = Event>,
) -> Result<(), ServerError> {
    // What is counted before there is something to count with is lost.
    telemetry::metrics();
    let startup = |error: &dyn std::fmt::Display| ServerError::Startup(error.to_string());
    let address = listener.local_addr().map_err(|error| startup(&error))?;
    let connections = listener::within_descriptors(config.connections);
    let config = Config { connections, ..config };
    let doors = Doors::load(&config.security)?;
    let traces = Traces::start(&config.tracing).map_err(ServerError::Startup)?;
    let admin = match config.security.admin_listen {
        Some(address) => Some(listen_for_admin(address).await?),
        None => None,
    };
    for address in [Some(address), config.security.admin_listen].into_iter().flatten() {
        if let Some(warning) = config.security.warning(address) {
            tracing::warn!(%address, "{warning}");
        }
    }
    let (phase, phases) = watch::channel(Phase::Starting);
    let (drain, draining) = watch::channel(false);
    let engine = EngineSlot::default();
    let health = Health::new(phases).await;
    let _beating = AbortOnDrop(tokio::spawn(health.clone().beat(engine.clone())));
    let http = http::listen(config.http).await?;
    let is_open_to_pages = config.web.console && !config.security.asks_for_certificates_alone();
    let console = http.as_ref().map(|http| http.address).filter(|_| is_open_to_pages);
    if config.web.console && !is_open_to_pages {
        tracing::warn!("the console is not served: a page shows no certificate; set --tokens");
    }

    Edge::begin_metrics();
    let overload = Overload::default();
    let admission = config.limits.admission();
    let routes = routes(&config, &engine, &health, &draining).map_err(|error| startup(&error))?;
    let edge = Arc::new(Edge {
        aside: Budget::new(Amount { articles: usize::MAX, bytes: ASIDE_BYTES }),
        limits: config.limits,
        connections: config.connections,
        draining: draining.clone(),
        origins: Origins::new(config.web.allowed_origins.clone()),
        console,
        routes: (guests.add)(routes).prepare(),
        guests: guests.methods,
        admission: admission.clone(),
        guard: Arc::clone(&doors.guard),
        tls: doors.tls.clone(),
        has_admin_port: admin.is_some(),
        overload: overload.clone(),
        traces: traces.clone(),
    });
    let page_calls = PageCalls::new(Arc::clone(&edge));
    let _http = http::start(http, health.clone(), console.map(|_| page_calls.clone()))?;
    let serving = {
        let (edge, draining) = (Arc::clone(&edge), draining.clone());
        listener::serve(listener, Port::Service, edge, draining)
    };
    let serving_admin = async move {
        if let Some(listener) = admin {
            listener::serve(listener, Port::Admin, edge, draining).await;
        }
    };
    let serving = AbortOnDrop(tokio::spawn(async {
        tokio::join!(serving, serving_admin);
    }));
    let _watching = AbortOnDrop(tokio::spawn(doors.clone().watch()));
    tracing::info!(%address, tls = doors.tls.is_some(), "listening");

    let delay = HEALTH_GRACE.max(Duration::from_secs(config.drain_delay_seconds));
    let drain_max = Duration::from_secs(config.drain_seconds);
    let opening = tokio::task::spawn_blocking(move || open(config));
    let ready = async {
        let opened = opening.await.map_err(|error| startup(&error))??;
        let opened = opened.admitted_by(admission.clone());
        let info = opened.collections().await?;
        let articles: usize = info.iter().map(|collection| collection.article_count).sum();
        tracing::info!(articles, model = opened.analyser().version, "serving");
        engine.fill(opened);
        phase.send_replace(Phase::Serving);
        let never = housekeeping::run(&engine, &admission.budget, &overload).await;
        Ok::<Infallible, ServerError>(never)
    };
    let mut events = pin!(events);
    tokio::select! {
        failed = ready => return failed.map(|never| match never {}),
        () = asked_to_stop(events.as_mut(), &engine, &doors) => {}
    }

    tracing::info!(delay_seconds = delay.as_secs(), "draining");
    phase.send_replace(Phase::Draining);
    let drained = async {
        tokio::time::sleep(delay).await;
        phase.send_replace(Phase::Ended);
        let _ = drain.send(true);
        let ended = async { tokio::join!(serving.ended(), page_calls.ended()) };
        if tokio::time::timeout(drain_max, ended).await.is_err() {
            tracing::warn!("calls were still in work at the end of the drain; ending them");
        }
    };
    tokio::select! {
        () = drained => {}
        () = asked_to_stop(events, &engine, &doors) => {
            tracing::warn!("asked to stop again; ending the calls in work");
        }
    }
    traces.end().await;
    // Other threads may hold the store for a moment longer than this program lives.
    if let Some(engine) = engine.get() {
        engine.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Does what else the operator wants until he wants an end.
async fn asked_to_stop(
    mut events: std::pin::Pin<&mut impl Stream<Item = Event>>,
    engine: &EngineSlot,
    doors: &Doors,
) {
    while let Some(event) = events.next().await {
        match event {
            Event::Stop => return,
            Event::Reload => reload(engine, doors).await,
        }
    }
    // Nobody is left to ask.
    std::future::pending().await
}

/// Reads again what may have changed on disk. What cannot be used stays as it was.
async fn reload(engine: &EngineSlot, doors: &Doors) {
    doors.look(true).await;
    let Some(engine) = engine.get() else { return };
    match engine.reload_model().await {
        Ok(_) | Err(EngineError::NoModelFile) => {}
        Err(error) => tracing::error!(%error, "the model was not reloaded"),
    }
}

/// What decides who comes in, and follows files on disk.
#[derive(Clone)]
struct Doors {
    guard: Arc<Guard>,
    tls: Option<Arc<Tls>>,
}

impl Doors {
    fn load(settings: &Security) -> Result<Doors, ServerError> {
        let guard = Guard::load(settings).map_err(ServerError::Security)?;
        let tls = Tls::load(settings).map_err(ServerError::Security)?;
        Ok(Doors { guard, tls: tls.map(Arc::new) })
    }

    /// Looks whether the files have changed, for ever.
    async fn watch(self) {
        let mut period = tokio::time::interval(LOOK_PERIOD);
        loop {
            period.tick().await;
            self.look(false).await;
        }
    }

    async fn look(&self, is_at_once: bool) {
        let doors = self.clone();
        // Files may lie on a disk that is slow to answer.
        let look = tokio::task::spawn_blocking(move || {
            doors.guard.look(is_at_once);
            doors.tls.iter().for_each(|tls| tls.look(is_at_once));
        });
        let _ = look.await;
    }
}

async fn listen_for_admin(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let failed = |error| ServerError::Admin(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "serving AdminService");
    Ok(listener)
}

/// The store and the model that a configuration names.
pub fn engine(config: Config) -> Result<Engine, ServerError> {
    match &config.store {
        None => embedded_engine(config),
        Some(url) => {
            let store = cluster(url, config.limits.collections_max)?;
            Ok(Engine::new(store, config.model, config.backups, config.limits)?)
        }
    }
}

#[cfg(feature = "redis")]
fn cluster(url: &StoreUrl, collections_max: usize) -> Result<RedisStore, ServerError> {
    let settings = RedisSettings::from_url(url, collections_max);
    let settings = settings.map_err(|reason| ServerError::StoreUrl(url.clone(), reason))?;
    Ok(RedisStore::open(settings)?)
}

#[cfg(not(feature = "redis"))]
fn cluster(url: &StoreUrl, _: usize) -> Result<EmbeddedStore, ServerError> {
    let reason = "this newsprint was built without it; build it with --features redis";
    Err(ServerError::StoreUrl(url.clone(), reason.to_owned()))
}

/// The embedded store of a configuration, and its model.
pub fn embedded_engine(config: Config) -> Result<Engine, ServerError> {
    let options = StoreOptions {
        commands_max: config.limits.in_flight_max + ADMIN_COMMANDS_MAX,
        disk_reserve_bytes: config.disk_reserve_bytes,
        collections_max: config.limits.collections_max,
    };
    let store = EmbeddedStore::open(&config.data, options)?;
    Ok(Engine::new(store, config.model, config.backups, config.limits)?)
}

/// All services of the server.
fn routes(
    config: &Config,
    engine: &EngineSlot,
    health: &Health,
    draining: &watch::Receiver<bool>,
) -> Result<Routes, tonic_reflection::server::Error> {
    // What comes in was measured and unpacked before it comes here.
    let message_bytes_max = config.limits.message_bytes_max;
    let articles = ArticleServiceServer::new(ArticleApi::new(engine.clone(), draining.clone()))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(message_bytes_max)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let admin = AdminServiceServer::new(AdminApi::new(engine.clone(), config.connections))
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(message_bytes_max)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(articles).add_service(admin).add_service(health.service());
    let routes = match config.security.reflection {
        true => {
            routes.add_service(reflection().build_v1()?).add_service(reflection().build_v1alpha()?)
        }
        false => routes,
    };
    Ok(routes)
}

/// A task that does not outlive whoever holds this.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    async fn ended(mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
