//! Whether the server lives and is ready: told by gRPC, by `/livez` and `/readyz` and by metrics, from
//! a thread of its own.
//!
//! A check that runs among the work it asks about waits when the work does. One that runs apart
//! would say SERVING of a server that is stuck. So the threads that serve give a sign of life, and
//! the check is answered apart by whoever looks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::gauge;
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::api::pb::served::admin_service_server::AdminServiceServer;
use crate::api::pb::served::article_service_server::ArticleServiceServer;
use crate::api::{AdminApi, ArticleApi, EngineSlot};
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;

/// How often the threads that serve give a sign of life, and how long one counts.
const BEAT_PERIOD: Duration = Duration::from_millis(100);
const BEAT_MAX: Duration = Duration::from_secs(2);

/// The services whose health is told; the empty name stands for the whole server.
const SERVICES: [&str; 3] = [
    "",
    <ArticleServiceServer<ArticleApi> as NamedService>::NAME,
    <AdminServiceServer<AdminApi> as NamedService>::NAME,
];

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Serving,
    Draining,
    /// Streams that watch the health would keep the server up: they end now.
    Ended,
}

/// Why the server is not ready to have articles submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    Starting,
    Draining,
    /// The threads that serve give no sign of life.
    Stuck,
    StoreClosed,
    StoreUnreachable,
    DiskFull,
}

impl NotReady {
    const ALL: [NotReady; 6] = [
        NotReady::Starting,
        NotReady::Draining,
        NotReady::Stuck,
        NotReady::StoreClosed,
        NotReady::StoreUnreachable,
        NotReady::DiskFull,
    ];

    /// As metrics, `/readyz` and the log name it.
    pub fn name(self) -> &'static str {
        match self {
            NotReady::Starting => "starting",
            NotReady::Draining => "draining",
            NotReady::Stuck => "stuck",
            NotReady::StoreClosed => "store_closed",
            NotReady::StoreUnreachable => "store_unreachable",
            NotReady::DiskFull => "disk_full",
        }
    }

    fn of(error: &EngineError) -> Self {
        match error {
            EngineError::Store(StoreError::DiskFull { .. }) => NotReady::DiskFull,
            EngineError::Store(StoreError::Closed(_)) => NotReady::StoreClosed,
            _ => NotReady::StoreUnreachable,
        }
    }
}

/// What is known about the health of the server.
#[derive(Clone)]
pub struct Health {
    phase: watch::Receiver<Phase>,
    began: Instant,
    /// When the threads that serve gave their last sign of life, in milliseconds since then.
    beat: Arc<AtomicU64>,
    /// Why the store takes no articles, if it does not.
    store: Arc<Mutex<Option<NotReady>>>,
    reporter: HealthReporter,
}

impl Health {
    pub async fn new(phase: watch::Receiver<Phase>) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let store = Arc::default();
        let reporter = HealthReporter::new();
        let health = Health { phase, began: Instant::now(), beat, store, reporter };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// The service that answers what is known.
    pub fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Gives signs of life, for ever. To be run where the serving is done.
    pub async fn beat(self, engine: EngineSlot) {
        let mut period = tokio::time::interval(BEAT_PERIOD);
        loop {
            period.tick().await;
            let readiness = engine.get().map_or(Ok(()), Engine::readiness);
            *self.store.lock() = readiness.err().map(|error| NotReady::of(&error));
            self.beat.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Why articles cannot be submitted now, if they cannot.
    pub fn not_ready(&self) -> Option<NotReady> {
        match *self.phase.borrow() {
            Phase::Starting => Some(NotReady::Starting),
            Phase::Draining | Phase::Ended => Some(NotReady::Draining),
            Phase::Serving if !self.is_alive() => Some(NotReady::Stuck),
            Phase::Serving => *self.store.lock(),
        }
    }

    /// Whether the threads that serve have given a sign of life lately. If not, nothing but a new
    /// start will help.
    pub fn is_alive(&self) -> bool {
        let silent = self.now_ms().saturating_sub(self.beat.load(Ordering::Relaxed));
        Duration::from_millis(silent) < BEAT_MAX
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// Keeps what is told in step with what is known, for ever. To be run apart from the serving.
    pub async fn tell(mut self) {
        let mut period = tokio::time::interval(BEAT_PERIOD);
        let mut told = None;
        loop {
            tokio::select! {
                _ = period.tick() => {}
                changed = self.phase.changed() => if changed.is_err() { return },
            }
            let phase = *self.phase.borrow_and_update();
            if phase == Phase::Ended {
                for service in SERVICES {
                    self.reporter.clear_service_status(service).await;
                }
                return;
            }
            let not_ready = self.not_ready();
            if told == Some(not_ready) {
                continue;
            }
            measure(not_ready);
            log(not_ready, told.flatten());
            told = Some(not_ready);
            self.set(match not_ready {
                None => ServingStatus::Serving,
                Some(_) => ServingStatus::NotServing,
            })
            .await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

fn measure(not_ready: Option<NotReady>) {
    gauge!("newsprint_ready").set(if not_ready.is_none() { 1.0 } else { 0.0 });
    for reason in NotReady::ALL {
        let holds = not_ready == Some(reason);
        gauge!("newsprint_not_ready", "reason" => reason.name()).set(f64::from(u8::from(holds)));
    }
}

/// Tells of what begins and of what is over. Start and drain have lines of their own, and so has the
/// store when it closes and opens.
fn log(now: Option<NotReady>, before: Option<NotReady>) {
    match now {
        Some(NotReady::Stuck) => tracing::error!("the threads that serve give no sign of life"),
        Some(NotReady::DiskFull) => {
            tracing::error!("the disk is full: submissions are refused until there is room");
        }
        Some(NotReady::StoreUnreachable) => tracing::error!("the store cannot be reached"),
        _ => {}
    }
    match (before, now) {
        (Some(NotReady::DiskFull), None) => tracing::warn!("there is room on the disk again"),
        (Some(NotReady::StoreUnreachable), None) => {
            tracing::warn!("the store can be reached again");
        }
        (Some(NotReady::Stuck), None) => tracing::warn!("the threads that serve are back"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Told;
    use tonic_health::pb::health_server::Health as _;

    #[tokio::test]
    async fn a_server_that_gives_no_sign_of_life_is_not_said_to_serve() {
        let (phase, phases) = watch::channel(Phase::Starting);
        let health = Health::new(phases).await;
        let service = HealthService::from_health_reporter(health.reporter.clone());
        let told = async || {
            let request = tonic::Request::new(HealthCheckRequest::default());
            service.check(request).await.unwrap().into_inner().status()
        };
        let beating = tokio::spawn(health.clone().beat(EngineSlot::default()));
        tokio::spawn(health.clone().tell());
        assert_eq!(told().await, Told::NotServing);
        phase.send_replace(Phase::Serving);
        tokio::time::sleep(BEAT_PERIOD * 3).await;
        assert_eq!(told().await, Told::Serving);
        assert_eq!(health.not_ready(), None);
        *health.store.lock() = Some(NotReady::DiskFull);
        assert_eq!(health.not_ready(), Some(NotReady::DiskFull));
        beating.abort();
        tokio::time::sleep(BEAT_MAX + BEAT_PERIOD * 3).await;
        assert_eq!(told().await, Told::NotServing);
        assert_eq!(health.not_ready(), Some(NotReady::Stuck));
        assert!(!health.is_alive());
    }
}
