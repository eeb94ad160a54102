//! Whether the server serves: told by gRPC and by `/healthz`, from a thread of its own.
//!
//! A check that runs among the work it asks about waits when the work does. One that runs apart
//! would say SERVING of a server that is stuck. So the threads that serve give a sign of life, and
//! the check is answered apart by whoever looks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

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

/// What is known about the health of the server.
#[derive(Clone)]
pub struct Health {
    phase: watch::Receiver<Phase>,
    began: Instant,
    /// When the threads that serve gave their last sign of life, in milliseconds since then.
    beat: Arc<AtomicU64>,
    /// Whether the store has closed itself after a failure.
    is_closed: Arc<AtomicBool>,
    reporter: HealthReporter,
}

impl Health {
    pub async fn new(phase: watch::Receiver<Phase>) -> Self {
        let beat = Arc::new(AtomicU64::new(0));
        let is_closed = Arc::new(AtomicBool::new(false));
        let reporter = HealthReporter::new();
        let health = Health { phase, began: Instant::now(), beat, is_closed, reporter };
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
            let is_closed = matches!(readiness, Err(EngineError::Store(StoreError::Closed(_))));
            self.is_closed.store(is_closed, Ordering::Relaxed);
            self.beat.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving && self.is_alive() && !self.is_closed()
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn is_alive(&self) -> bool {
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
            let is_stuck = phase == Phase::Serving && !self.is_alive();
            let status = match phase {
                Phase::Serving if !is_stuck && !self.is_closed() => ServingStatus::Serving,
                _ => ServingStatus::NotServing,
            };
            if told == Some(status) {
                continue;
            }
            if is_stuck {
                tracing::error!("the threads that serve give no sign of life");
            }
            told = Some(status);
            self.set(status).await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
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
        assert!(health.is_serving());
        beating.abort();
        tokio::time::sleep(BEAT_MAX + BEAT_PERIOD * 3).await;
        assert_eq!(told().await, Told::NotServing);
        assert!(!health.is_serving());
    }
}
