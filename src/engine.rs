//! The use cases. Everything a client can ask for is one method here, in terms of our own types;
//! whoever speaks a protocol translates to and from them and does nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use metrics::counter;
use parking_lot::RwLock;
use tokio::sync::Mutex;

use crate::admission::{Admission, Amount, Client, Overloaded, Share};
use crate::analyser::{Analyser, Submission};
use crate::analysis::{Analysis, StoryId, Verdict};
use crate::article::{ArticleId, BackupName, CollectionName, Timestamp};
use crate::config::Limits;
use crate::store::{
    ArticleStore, Backup, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize,
    PageToken, Pending, Prepared, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage,
    Submitted, Usage,
};

/// Articles that cost more, in bytes of plain text, are analysed off the threads that serve calls:
/// it takes over a millisecond.
const INLINE_COST_MAX: usize = 128 << 10;

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

impl From<Overloaded> for EngineError {
    fn from(_: Overloaded) -> Self {
        EngineError::Overloaded
    }
}

/// A submission on its way: its place in the order of submissions is settled.
pub struct Submitting {
    pending: Pending,
    share: Share,
}

impl Submitting {
    pub async fn outcome(self) -> Result<Submitted, EngineError> {
        Ok(self.outcome_and_share().await?.0)
    }

    /// The outcome, with what is left of the submission's share: the store has answered, so only
    /// the answer is still there.
    pub async fn outcome_and_share(self) -> Result<(Submitted, Share), EngineError> {
        let Submitting { pending, mut share } = self;
        let submitted = pending.await?;
        share.give_back_articles();
        count_verdict(submitted.analysis.duplicates.verdict, submitted.replayed);
        Ok((submitted, share))
    }
}

/// The version of a model that was loaded, and of the one before.
#[derive(Debug, Clone)]
pub struct Reloaded {
    pub version: String,
    pub previous_version: String,
}

/// The service, whatever protocol it is spoken to in.
pub struct Engine {
    store: Arc<dyn ArticleStore>,
    analyser: RwLock<Arc<Analyser>>,
    model_file: Option<PathBuf>,
    /// The folder that backups are made in.
    backups: PathBuf,
    admission: Admission,
    /// The engine itself as a client, for callers in the same process.
    itself: Client,
    /// When the latest reload began and what came of it.
    reloaded: Mutex<Option<(Instant, Reloaded)>>,
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
        let admission = limits.admission();
        Ok(Engine {
            store: Arc::new(store),
            analyser: RwLock::new(Arc::new(analyser)),
            model_file,
            backups,
            itself: admission.budget.client(),
            admission,
            reloaded: Mutex::default(),
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

    /// Has the engine's work admitted together with other work.
    pub fn admitted_by(self, admission: Admission) -> Self {
        Engine { itself: admission.budget.client(), admission, ..self }
    }

    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Analyses an article and remembers it.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, EngineError> {
        let share = self.itself.try_take(Amount::ARTICLE)?;
        self.begin(submission, share).await?.outcome().await
    }

    /// Waits until one more submission is admitted, for callers that can be made to wait.
    pub async fn wait_for_permit(&self) -> Result<Share, EngineError> {
        Ok(self.itself.take(Amount::ARTICLE).await)
    }

    /// Analyses an article and hands it to the store. Of two submissions, the one whose `begin`
    /// ended first comes first.
    pub async fn begin(
        &self,
        submission: Submission,
        share: Share,
    ) -> Result<Submitting, EngineError> {
        let place = self.admission.place(share.client()).await;
        let analyser = self.analyser();
        let (mut prepared, share) = if cost(&submission) <= INLINE_COST_MAX {
            let _turn = self.admission.turn(share.client()).await;
            (analyser.prepare(submission), share)
        } else {
            // The share goes along: a client that leaves does not end what was begun.
            let client = share.client().clone();
            let prepare = move || (analyser.prepare(submission), share);
            self.admission.blocking(&client, prepare).await.map_err(|_| EngineError::Panicked)?
        };
        prepared.place = Some(place);
        let pending = self.store.submit(prepared).await?;
        Ok(Submitting { pending, share })
    }

    /// Analyses an article as [`Self::submit`] does, and remembers nothing.
    pub async fn analyze(&self, submission: Submission) -> Result<Analysis, EngineError> {
        let share = self.itself.try_take(Amount::ARTICLE)?;
        Ok(self.analyze_with(submission, share).await?.0)
    }

    /// The same on a share, which is returned.
    pub async fn analyze_with(
        &self,
        submission: Submission,
        mut share: Share,
    ) -> Result<(Analysis, Share), EngineError> {
        let (analyser, store) = (self.analyser(), Arc::clone(&self.store));
        let client = share.client().clone();
        let analyze = async move |submission| {
            let prepared = analyser.prepare(submission);
            let duplicates = store.look_up(&prepared).await?;
            let Prepared { classification, fingerprint, .. } = prepared;
            share.give_back_articles();
            Ok((Analysis { classification, duplicates, fingerprint }, share))
        };
        if cost(&submission) <= INLINE_COST_MAX {
            let _turn = self.admission.turn(&client).await;
            return analyze(submission).await;
        }
        let runtime = tokio::runtime::Handle::current();
        let analyze = move || runtime.block_on(analyze(submission));
        self.admission.blocking(&client, analyze).await.map_err(|_| EngineError::Panicked)?
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
    /// goes on serving. Of those who ask while a model is being loaded, one loads it once more and
    /// the others are told of that.
    pub async fn reload_model(&self) -> Result<Reloaded, EngineError> {
        let path = self.model_file.clone().ok_or(EngineError::NoModelFile)?;
        let reloaded = self.reload_model_from(path).await;
        count_result("newsprint_model_reloads_total", &reloaded);
        reloaded
    }

    async fn reload_model_from(&self, path: PathBuf) -> Result<Reloaded, EngineError> {
        let asked = Instant::now();
        let mut latest = self.reloaded.lock().await;
        if let Some((began, reloaded)) = &*latest
            && *began >= asked
        {
            return Ok(reloaded.clone());
        }
        let began = Instant::now();
        let loaded = tokio::task::spawn_blocking(move || load_model(Some(&path)));
        let new = Arc::new(loaded.await.map_err(|_| EngineError::Panicked)??);
        let version = new.version.clone();
        let old = std::mem::replace(&mut *self.analyser.write(), new);
        let reloaded = Reloaded { version, previous_version: old.version.clone() };
        tracing::info!(model = reloaded.version, previous = old.version, "model reloaded");
        *latest = Some((began, reloaded.clone()));
        Ok(reloaded)
    }

    /// Copies everything remembered to a new folder of that name among the backups.
    pub async fn create_backup(&self, name: &BackupName) -> Result<Backup, EngineError> {
        let folder = self.backups.join(name.as_str());
        let upkeep = self.store.upkeep().ok_or(EngineError::NoBackups)?;
        let began = Instant::now();
        let made = upkeep.create_backup(&folder).await;
        count_result("newsprint_backups_total", &made);
        match &made {
            Ok(backup) => tracing::info!(
                path = %backup.path.display(),
                articles = backup.article_count,
                bytes = backup.size_bytes,
                duration_s = began.elapsed().as_secs_f64(),
                "backup made"
            ),
            Err(error) => {
                tracing::error!(path = %folder.display(), %error, "the backup was not made");
            }
        }
        Ok(made?)
    }

    /// When the latest of the backups was begun, if there is one. It asks the disk.
    pub fn latest_backup(&self) -> Option<SystemTime> {
        self.store.upkeep()?.latest_backup(&self.backups)
    }

    /// What the store takes up here, if it keeps its data on this machine. It asks the disk.
    pub fn usage(&self) -> Option<Usage> {
        self.store.upkeep()?.usage().ok()
    }

    /// Whether articles can be remembered now; if not, why.
    pub fn readiness(&self) -> Result<(), EngineError> {
        Ok(self.store.readiness()?)
    }

    /// Takes nothing more to remember, and waits until all that was accepted is on disk.
    pub async fn close(&self) {
        if let Some(upkeep) = self.store.upkeep() {
            upkeep.close().await;
        }
    }

    /// Removes from disk some of what is forgotten; tells whether more is left.
    pub async fn sweep(&self) -> Result<bool, EngineError> {
        match self.store.upkeep() {
            Some(upkeep) => Ok(upkeep.sweep().await?),
            None => Ok(false),
        }
    }
}

/// What an analysis costs, in bytes of plain ASCII text that cost as much: most characters beyond
/// it take longer, and one presentation form, such as U+FDFA, may stand for a whole sentence.
fn cost(submission: &Submission) -> usize {
    const PER_OTHER_BYTE: usize = 24;
    const PER_PRESENTATION_FORM: usize = 1500;
    const EXPLAINED: usize = 8;
    let of = |text: &str| {
        // Every byte of a character but its first.
        let others = text.len() - text.chars().count();
        let forms = if others == 0 { 0 } else { presentation_forms(text) };
        text.len() + others * PER_OTHER_BYTE + forms * PER_PRESENTATION_FORM
    };
    let plain = of(&submission.article.title) + of(&submission.article.body);
    if submission.explain { plain * EXPLAINED } else { plain }
}

/// The characters from U+FB00 to U+FDFF: no others begin with these bytes.
fn presentation_forms(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_form = |&start: &usize| matches!(bytes.get(start + 1), Some(0xac..=0xb7));
    memchr::memchr_iter(0xef, bytes).filter(is_form).count()
}

fn load_model(file: Option<&Path>) -> Result<Analyser, EngineError> {
    let path = file.unwrap_or(Path::new("(built in)")).to_owned();
    let loaded = file.map_or_else(Analyser::built_in, Analyser::from_file);
    loaded.map_err(|reason| EngineError::ModelRefused { path, reason })
}

fn count_result<T, E>(name: &'static str, result: &Result<T, E>) {
    let result = if result.is_ok() { "ok" } else { "failed" };
    counter!(name, "result" => result).increment(1);
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
