//! The use cases. Everything a client can ask for is one method here, in terms of our own types;
//! whoever speaks a protocol translates to and from them and does nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metrics::counter;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::analyser::{Analyser, Submission};
use crate::analysis::{Analysis, StoryId, Verdict};
use crate::article::{ArticleId, BackupName, CollectionName, Timestamp};
use crate::config::Limits;
use crate::store::{
    ArticleStore, Backup, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize,
    PageToken, Pending, Prepared, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage,
    Submitted,
};

/// Longer bodies are analysed off the threads that serve calls: it takes over a millisecond.
const INLINE_BYTES_MAX: usize = 128 << 10;

/// What the engine answers when it cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the server has as much in work as it takes on; try again shortly")]
    Overloaded,
    #[error("the server runs on its built-in model; start it with a model file to reload one")]
    NoModelFile,
    #[error("the store keeps its data elsewhere; back it up there")]
    NoBackups,
    #[error("the model file {path} cannot be used: {reason}")]
    ModelRefused { path: PathBuf, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an analysis ended by a panic")]
    Panicked,
}

/// A submission on its way: its place in the order of submissions is settled.
pub struct Submitting {
    pending: Pending,
    _permit: OwnedSemaphorePermit,
}

impl Submitting {
    pub async fn outcome(self) -> Result<Submitted, EngineError> {
        let submitted = self.pending.await?;
        count_verdict(submitted.analysis.duplicates.verdict, submitted.replayed);
        Ok(submitted)
    }
}

/// The service, whatever protocol it is spoken to in.
pub struct Engine {
    store: Box<dyn ArticleStore>,
    analyser: RwLock<Arc<Analyser>>,
    model_file: Option<PathBuf>,
    /// The folder that backups are made in.
    backups: PathBuf,
    permits: Arc<Semaphore>,
    limits: Limits,
    start_time: Timestamp,
}

impl Engine {
    /// An engine on an open store, with the model of a file or the built-in one.
    pub fn new(
        store: impl ArticleStore,
        model_file: Option<PathBuf>,
        backups: PathBuf,
        limits: Limits,
    ) -> Result<Self, EngineError> {
        let analyser = load_model(model_file.as_deref())?;
        Ok(Engine {
            store: Box::new(store),
            analyser: RwLock::new(Arc::new(analyser)),
            model_file,
            backups,
            permits: Arc::new(Semaphore::new(limits.in_flight_max)),
            limits,
            start_time: Timestamp::now(),
        })
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn start_time(&self) -> Timestamp {
        self.start_time
    }

    pub fn analyser(&self) -> Arc<Analyser> {
        Arc::clone(&self.analyser.read())
    }

    /// Analyses an article and remembers it.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let permit = self.permit()?;
        self.begin(submission, permit).await?.outcome().await
    }

    /// Admits several submissions at once, or none of them.
    pub fn admit(&self, submissions: usize) -> Result<Vec<OwnedSemaphorePermit>, EngineError> {
        (0..submissions).map(|_| self.permit()).collect()
    }

    /// Waits until one more submission is admitted, for callers that can be made to wait.
    pub async fn wait_for_permit(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let permits = Arc::clone(&self.permits);
        permits.acquire_owned().await.map_err(|_| EngineError::Overloaded)
    }

    /// Analyses an article and hands it to the store. Of two submissions, the one whose `begin`
    /// ended first comes first.
    pub async fn begin(
        &self,
        submission: Submission,
        permit: OwnedSemaphorePermit,
    ) -> Result<Submitting, EngineError> {
        let prepared = self.prepare(submission).await?;
        let pending = self.store.submit(prepared).await?;
        Ok(Submitting { pending, _permit: permit })
    }

    /// Analyses an article as [`Self::submit`] does, and remembers nothing.
    pub async fn analyze(&self, submission: Submission) -> Result<Analysis, EngineError> {
        let _permit = self.permit()?;
        let prepared = self.prepare(submission).await?;
        let duplicates = self.store.look_up(&prepared).await?;
        let Prepared { classification, fingerprint, .. } = prepared;
        Ok(Analysis { classification, duplicates, fingerprint })
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let permits = Arc::clone(&self.permits);
        permits.try_acquire_owned().map_err(|_: TryAcquireError| {
            counter!("newsprint_overloaded_total").increment(1);
            EngineError::Overloaded
        })
    }

    async fn prepare(&self, submission: Submission) -> Result<Prepared, EngineError> {
        let analyser = self.analyser();
        if submission.article.body.len() <= INLINE_BYTES_MAX {
            return Ok(analyser.prepare(submission));
        }
        let prepared = tokio::task::spawn_blocking(move || analyser.prepare(submission));
        prepared.await.map_err(|_| EngineError::Panicked)
    }

    pub async fn get(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<StoredArticle, EngineError> {
        Ok(self.store.get(collection, id).await?)
    }

    /// Articles, latest submission first. A page begins where the one before says.
    pub async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        token: &PageToken,
        page_size: usize,
    ) -> Result<Page, EngineError> {
        Ok(self.store.list(collection, filter, token, self.page(page_size)).await?)
    }

    pub async fn delete(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<(), EngineError> {
        Ok(self.store.delete(collection, id).await?)
    }

    /// A story and a page of its members, in the order of their submission.
    pub async fn story(
        &self,
        collection: &CollectionName,
        story: StoryId,
        token: &PageToken,
        page_size: usize,
    ) -> Result<StoryPage, EngineError> {
        Ok(self.store.story(collection, story, token, self.page(page_size)).await?)
    }

    /// A page has to fit into a message, with room to spare for what is not text.
    fn page(&self, articles: usize) -> PageSize {
        PageSize { articles, bytes: self.limits.message_bytes_max / 4 }
    }

    /// Every article within a Hamming distance, nearest first, at most `max`.
    pub async fn find_similar(
        &self,
        collection: &CollectionName,
        query: &SimilarQuery,
        radius: u32,
        max: usize,
    ) -> Result<Similar, EngineError> {
        Ok(self.store.find_similar(collection, query, radius, max).await?)
    }

    /// All collections, by name.
    pub async fn collections(&self) -> Result<Vec<CollectionInfo>, EngineError> {
        Ok(self.store.collections().await?)
    }

    pub async fn update_collection(
        &self,
        collection: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<CollectionInfo, EngineError> {
        Ok(self.store.update_collection(collection, settings).await?)
    }

    pub async fn delete_collection(&self, collection: &CollectionName) -> Result<(), EngineError> {
        Ok(self.store.delete_collection(collection).await?)
    }

    /// Loads the model file again. Until the new model is ready, and if it is refused, the old one
    /// goes on serving.
    pub async fn reload_model(&self) -> Result<(Arc<Analyser>, Arc<Analyser>), EngineError> {
        let path = self.model_file.clone().ok_or(EngineError::NoModelFile)?;
        let loaded = tokio::task::spawn_blocking(move || load_model(Some(&path)));
        let new = Arc::new(loaded.await.map_err(|_| EngineError::Panicked)??);
        let old = std::mem::replace(&mut *self.analyser.write(), Arc::clone(&new));
        tracing::info!(model = new.version, previous = old.version, "model reloaded");
        Ok((new, old))
    }

    /// Copies everything remembered to a new folder of that name among the backups.
    pub async fn create_backup(&self, name: &BackupName) -> Result<Backup, EngineError> {
        let folder = self.backups.join(name.as_str());
        let upkeep = self.store.upkeep().ok_or(EngineError::NoBackups)?;
        let backup = upkeep.create_backup(&folder).await?;
        tracing::info!(path = %backup.path.display(), articles = backup.article_count, "backup made");
        Ok(backup)
    }

    /// Whether articles can be remembered now; if not, why.
    pub fn readiness(&self) -> Result<(), EngineError> {
        Ok(self.store.readiness()?)
    }

    /// Removes from disk some of what is forgotten; tells whether more is left.
    pub async fn sweep(&self) -> Result<bool, EngineError> {
        match self.store.upkeep() {
            Some(upkeep) => Ok(upkeep.sweep().await?),
            None => Ok(false),
        }
    }
}

fn load_model(file: Option<&Path>) -> Result<Analyser, EngineError> {
    let path = file.unwrap_or(Path::new("(built in)")).to_owned();
    let loaded = file.map_or_else(Analyser::built_in, Analyser::from_file);
    loaded.map_err(|reason| EngineError::ModelRefused { path, reason })
}

fn count_verdict(verdict: Verdict, replayed: bool) {
    let verdict = match verdict {
        _ if replayed => "replayed",
        Verdict::Unique => "unique",
        Verdict::Exact => "exact_duplicate",
        Verdict::Near => "near_duplicate",
        Verdict::Partial => "partial_duplicate",
        Verdict::InsufficientText => "insufficient_text",
    };
    counter!("newsprint_verdicts_total", "verdict" => verdict).increment(1);
}
