//! The store in a Redis or Valkey Cluster: any number of replicas of newsprint share one memory.
//!
//! There is no order of all submissions here, and nobody who could wait for one. Instead:
//!
//! - An article is entered in its posting lists before they are read, and reading is part of the
//!   same step. Of two copies on their way at least one sees the other ([`submit`]).
//! - Every submission has a number, and of two on their way the one with the higher number looks
//!   at the other one. If it cannot have seen it, it is asked to before it is committed. So one of
//!   any number of copies is unique here too.
//! - What is remembered becomes so by one step of one script on one slot. Lists and stories point to
//!   it, and count only as far as it confirms them: what a replica leaves undone, because it is
//!   killed or the cluster cannot be reached, is seen by nobody and mended by anybody ([`tend`]).
//!
//! `docs/cluster.md` has the keys, the costs, and what may be lost under which settings.

mod address;
mod counting;
mod layout;
mod link;
mod look;
mod read;
mod registry;
mod submit;
mod tend;
mod transfer;

pub use address::Settings;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::runtime::Runtime;

use layout::{CollectionNumber, IdHash, Number};
use link::Link;
use registry::Registry;

use super::{
    ArticleStore, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize, PageToken,
    Pending, Prepared, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage,
};
use crate::analysis::{DuplicateReport, StoryId};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::decision::Remembered;

/// Memory for candidates that were read lately.
const CANDIDATE_CACHE_BYTES: usize = 32 << 20;

/// How long closing the store waits for what was begun.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A handle on the store. Dropping it waits until everything accepted is decided.
pub struct RedisStore {
    shared: Arc<Shared>,
    /// The threads that drive the connections, compare articles and keep things in order.
    runtime: Option<Runtime>,
}

/// What all that is done in the store shares.
pub struct Shared {
    link: Arc<Link>,
    registry: Registry,
    /// What tells this replica's lines in the logs from others'.
    replica: u64,
    latest: AtomicU64,
    candidates: Cache<(CollectionNumber, IdHash), (Number, Arc<Remembered>), CandidateBytes>,
    order: Order,
    /// Whether the cluster was fit to be written to when it was last tried.
    fitness: RwLock<Result<(), StoreError>>,
    in_work: AtomicUsize,
}

/// Tells the cache of candidates how much memory each takes.
#[derive(Clone)]
struct CandidateBytes;

type CachedCandidate = (Number, Arc<Remembered>);

impl Weighter<(CollectionNumber, IdHash), CachedCandidate> for CandidateBytes {
    fn weight(&self, _: &(CollectionNumber, IdHash), (_, remembered): &CachedCandidate) -> u64 {
        let Remembered { title, url, source, .. } = &**remembered;
        (remembered.sketch.memory_bytes() + title.len() + url.len() + source.len() + 200) as u64
    }
}

/// What is being done to one article, one thing after the other, in the order it was asked for.
#[derive(Default)]
struct Order(Mutex<HashMap<(CollectionName, IdHash), ArticleTurn>>);

type ArticleTurn = Arc<tokio::sync::Mutex<()>>;

/// A place in that order; dropping it lets the next one go on.
struct Turn {
    turn: Option<tokio::sync::OwnedMutexGuard<()>>,
    key: (CollectionName, IdHash),
    shared: Arc<Shared>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turn.take();
        let mut turns = self.shared.order.0.lock();
        // Whoever waits holds it too.
        if turns.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.key);
        }
    }
}

impl Shared {
    /// Takes a place in the order of what is done to an article; the future that is returned ends
    /// when its turn comes.
    async fn queue(
        self: &Arc<Self>,
        collection: &CollectionName,
        id: IdHash,
    ) -> impl Future<Output = Turn> + Send + 'static {
        let key = (collection.clone(), id);
        let mutex = Arc::clone(self.order.0.lock().entry(key.clone()).or_default());
        let mut turn = Box::pin(tokio::task::unconstrained(mutex.lock_owned()));
        // Polled once, it has its place.
        let first = futures_util::future::poll_immediate(&mut turn).await;
        let shared = Arc::clone(self);
        async move {
            let turn = match first {
                Some(turn) => turn,
                None => turn.await,
            };
            Turn { turn: Some(turn), key, shared }
        }
    }

    /// A number that is higher than any before it.
    fn next_number(&self) -> Number {
        let now = now();
        let next = |latest: Number| Some(now.max(latest + 1));
        let updated = self.latest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        now.max(updated.unwrap_or_default() + 1)
    }

    /// Has the numbers to come be higher than this one.
    fn observe(&self, number: Number) {
        self.latest.fetch_max(number, Ordering::Relaxed);
    }

    fn open_for_writing(&self) -> Result<(), StoreError> {
        self.fitness.read().clone()
    }
}

/// Microseconds since 1970.
fn now() -> Number {
    Timestamp::now().micros().max(0) as Number
}

/// Something that is done on the store's threads, counted for as long as it is.
struct InWork(Arc<Shared>);

impl InWork {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.in_work.fetch_add(1, Ordering::AcqRel);
        InWork(Arc::clone(shared))
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What the store has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreCosts {
    pub commands: u64,
    pub pipelines: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Times that submissions waited for answers before they could go on.
    pub waits: u64,
}

impl RedisStore {
    /// Connects to a cluster. It returns when the cluster can be written to.
    pub fn open(settings: Settings) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("newsprint-store")
            .enable_all()
            .build()
            .map_err(StoreError::io("the store's threads cannot be started"))?;
        let connect = async {
            let link = Link::connect(&settings).await?;
            let registry = Registry::new(&settings);
            registry.refresh(&link).await?;
            Ok(Shared {
                link,
                registry,
                replica: crate::article::new_uuid().as_u128() as u64,
                latest: AtomicU64::new(0),
                candidates: Cache::with_weighter(
                    CANDIDATE_CACHE_BYTES >> 10,
                    CANDIDATE_CACHE_BYTES as u64,
                    CandidateBytes,
                ),
                order: Order::default(),
                fitness: RwLock::new(Ok(())),
                in_work: AtomicUsize::new(0),
            })
        };
        // Whoever opens it may be on a thread of another runtime, which must not be blocked on.
        let connected = std::thread::scope(|scope| {
            let connecting = scope.spawn(|| runtime.block_on(connect));
            let panicked =
                || StoreError::Closed("connecting to the cluster ended by a panic".into());
            connecting.join().unwrap_or_else(|_| Err(panicked()))
        });
        let shared = match connected {
            Ok(shared) => Arc::new(shared),
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        runtime.spawn(tend::run(Arc::downgrade(&shared)));
        Ok(RedisStore { shared, runtime: Some(runtime) })
    }

    /// What was sent to the cluster since the store was opened.
    pub fn costs(&self) -> StoreCosts {
        let link::Costs { commands, pipelines, bytes_sent, bytes_received, waits } =
            &self.shared.link.costs;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        StoreCosts {
            commands: read(commands),
            pipelines: read(pipelines),
            bytes_sent: read(bytes_sent),
            bytes_received: read(bytes_received),
            waits: read(waits),
        }
    }

    /// Does something on the store's own threads.
    async fn on_threads<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let in_work = InWork::new(&self.shared);
        let work = async move {
            let _in_work = in_work;
            work.await
        };
        let runtime = self.runtime.as_ref().ok_or_else(closing)?;
        runtime.spawn(work).await.map_err(|_| closing())?
    }
}

fn closing() -> StoreError {
    StoreError::Closed("the store is closing".into())
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let until = Instant::now() + CLOSE_MAX;
        let shared = Arc::clone(&self.shared);
        let (done, is_done) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            while shared.in_work.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for collection in shared.registry.all() {
                if let Err(error) = shared.catch_up(&collection, true).await {
                    tracing::warn!(%error, "what is frame is not written down");
                }
            }
            let _ = done.send(());
        });
        if is_done.recv_timeout(until.saturating_duration_since(Instant::now())).is_err() {
            tracing::warn!("the cluster has not answered everything; closing all the same");
        }
        runtime.shutdown_background();
    }
}

#[async_trait]
impl ArticleStore for RedisStore {
    async fn submit(&self, prepared: Prepared) -> Result<Pending, StoreError> {
        self.shared.open_for_writing()?;
        let id = prepared.article_id.clone().unwrap_or_else(ArticleId::generate);
        let turn = self.shared.queue(&prepared.collection, IdHash::of(&id)).await;
        let number = self.shared.next_number();
        let (wanted, is_wanted) = tokio::sync::watch::channel(());
        let shared = Arc::clone(&self.shared);
        let in_work = InWork::new(&shared);
        let runtime = self.runtime.as_ref().ok_or_else(closing)?;
        let working = runtime.spawn(async move {
            let in_work = in_work;
            let turn = turn.await;
            // Whoever left before the turn came wants nothing remembered.
            if is_wanted.has_changed().is_err() {
                return Err(closing());
            }
            submit::submit(&shared, prepared, id, number, turn, in_work).await
        });
        Ok(Box::pin(async move {
            let _wanted = wanted;
            working.await.map_err(|_| closing())?
        }))
    }

    async fn look_up(&self, prepared: &Prepared) -> Result<DuplicateReport, StoreError> {
        look::report(&self.shared, prepared).await
    }

    async fn get(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<StoredArticle, StoreError> {
        read::get(&self.shared, collection, id).await
    }

    async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        token: &PageToken,
        page_size: PageSize,
    ) -> Result<Page, StoreError> {
        read::list(&self.shared, collection, filter, token, page_size).await
    }

    async fn delete(&self, collection: &CollectionName, id: &ArticleId) -> Result<(), StoreError> {
        self.shared.open_for_writing()?;
        let turn = self.shared.queue(collection, IdHash::of(id)).await;
        let (shared, collection, id) = (Arc::clone(&self.shared), collection.clone(), id.clone());
        self.on_threads(async move {
            let _turn = turn.await;
            submit::delete(&shared, &collection, &id).await
        })
        .await
    }

    async fn story(
        &self,
        collection: &CollectionName,
        story: StoryId,
        token: &PageToken,
        page_size: PageSize,
    ) -> Result<StoryPage, StoreError> {
        read::story(&self.shared, collection, story, token, page_size).await
    }

    async fn find_similar(
        &self,
        collection: &CollectionName,
        query: &SimilarQuery,
        radius: u32,
        max: usize,
    ) -> Result<Similar, StoreError> {
        let (shared, collection, query) =
            (Arc::clone(&self.shared), collection.clone(), query.clone());
        self.on_threads(async move {
            read::find_similar(&shared, &collection, &query, radius, max).await
        })
        .await
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.on_threads(async move { read::collections(&shared).await }).await
    }

    async fn update_collection(
        &self,
        collection: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<CollectionInfo, StoreError> {
        let collection =
            self.shared.registry.update(&self.shared.link, collection, settings).await?;
        read::info(&self.shared, &collection).await
    }

    async fn delete_collection(&self, collection: &CollectionName) -> Result<(), StoreError> {
        self.shared.registry.remove(&self.shared.link, collection).await
    }

    fn readiness(&self) -> Result<(), StoreError> {
        self.shared.open_for_writing()
    }
}
