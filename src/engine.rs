//! The use cases. Everything a client can ask for is one method here, in terms of our own types;
//! whoever speaks a protocol translates to and from them and does nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metrics::{counter, histogram};
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use uuid::Uuid;

use crate::analysis::{Analysis, Classification, Reliability, TopicEvidence, TopicScore, Verdict};
use crate::article::{Article, ArticleId, BackupName, CollectionName, Timestamp};
use crate::config::Limits;
use crate::language;
use crate::model::{Model, ModelError};
use crate::simhash;
use crate::store::{
    ArticleStore, Backup, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize, Pending,
    Prepared, Seq, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage, Submitted,
};
use crate::text::Document;
use crate::topics::{self, TopicModel};
use crate::verify::{self, Judge, Sketch};

/// The model in the binary.
static BUILT_IN_MODEL: &[u8] = include_bytes!("../models/topics.bin");

/// A text of which the model knows a smaller share of the words is in a language that it was not
/// trained on: in a language it was, the share is about .9, in others .1 to .56.
const KNOWN_SHARE_MIN: f32 = 0.6;

/// Such a text is in a language that the model was trained on, or very like it.
const MOSTLY_KNOWN_SHARE: f32 = 0.75;

/// Words and pairs of words that an explanation lists per topic.
const EVIDENCE_MAX: usize = 10;

/// Longer bodies are analysed off the threads that serve calls: it takes over a millisecond.
const INLINE_BYTES_MAX: usize = 128 << 10;

/// What a client asks to have analysed.
#[derive(Debug, Clone)]
pub struct Submission {
    pub collection: CollectionName,
    /// None if the client gave none.
    pub article_id: Option<ArticleId>,
    pub article: Article,
    pub explain: bool,
    pub matches_max: usize,
}

/// What the engine answers when it cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the server has as much in work as it takes on; try again shortly")]
    Overloaded,
    #[error("the server runs on its built-in model; start it with a model file to reload one")]
    NoModelFile,
    #[error("the model file {path} cannot be used: {reason}")]
    ModelRefused { path: PathBuf, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an analysis ended by a panic")]
    Panicked,
}

/// A model ready to serve.
pub struct Serving {
    pub topics: TopicModel,
    pub judge: Arc<Judge>,
    pub version: String,
}

impl Serving {
    /// The built-in model.
    pub fn built_in() -> Result<Self, String> {
        Self::from_bytes(BUILT_IN_MODEL)
    }

    /// Reads a model file. What it lacks, such as the judge of a model trained on topics only, is
    /// taken from the built-in model.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let reason = |error: ModelError| error.to_string();
        let model = Model::from_bytes(bytes).map_err(reason)?;
        let version = model.version();
        let built_in = || Model::from_bytes(BUILT_IN_MODEL).map_err(reason);
        let topics = match model.topics {
            Some(topics) => topics,
            None => built_in()?.topics.ok_or("the built-in model has no topics")?,
        };
        let judge = match model.judge {
            Some(judge) => judge,
            None => built_in()?.judge.ok_or("the built-in model has no judge")?,
        };
        let judge = serde_json::from_slice(&judge)
            .map_err(|error| format!("its judge cannot be used: {error}"))?;
        Ok(Serving { topics, judge: Arc::new(judge), version })
    }

    /// Finds out all that can be said of an article without looking at others.
    pub fn prepare(&self, submission: Submission) -> Prepared {
        let started = std::time::Instant::now();
        let Submission { collection, article_id, article, explain, matches_max } = submission;
        let document = Document::new(&article.title, &article.body);
        let prepared = Prepared {
            collection,
            article_id,
            content_hash: article.content_hash(),
            fingerprint: simhash::fingerprint(&document),
            keys: verify::posting_keys(&document),
            sketch: Sketch::new(&document),
            classification: self.classify(&article, &document, explain),
            judge: Arc::clone(&self.judge),
            article,
            word_count: document.word_count(),
            explained: explain.then_some(document),
            matches_max,
        };
        histogram!("newsprint_prepare_seconds").record(started.elapsed().as_secs_f64());
        for score in prepared.classification.topics.iter().filter(|score| score.assigned) {
            counter!("newsprint_topics_total", "topic" => score.topic.clone()).increment(1);
        }
        prepared
    }

    /// What the article is about.
    pub fn classify(
        &self,
        article: &Article,
        document: &Document,
        explain: bool,
    ) -> Classification {
        let said = self.topics.classify(document);
        let reliability = if !said.enough_text() {
            Reliability::InsufficientText
        } else if said.known_share < KNOWN_SHARE_MIN {
            Reliability::UnsupportedLanguage
        } else {
            Reliability::Reliable
        };
        let explanations = if explain {
            self.topics.explain(document, &article.title, &article.body, EVIDENCE_MAX)
        } else {
            Vec::new()
        };
        let score = |score: topics::TopicScore| TopicScore {
            topic: score.label.to_owned(),
            probability: to_f64(score.probability),
            threshold: to_f64(score.threshold),
            assigned: score.assigned && reliability == Reliability::Reliable,
            evidence: explanations
                .iter()
                .find(|explanation| explanation.label == score.label)
                .map(evidence)
                .unwrap_or_default(),
        };
        let language = if article.language.is_empty() {
            let text = if article.body.is_empty() { &article.title } else { &article.body };
            let is_known = said.known_share >= MOSTLY_KNOWN_SHARE;
            let detect = if is_known { language::detect_known } else { language::detect };
            detect(text).to_owned()
        } else {
            article.language.clone()
        };
        Classification {
            topics: said.topics.into_iter().map(score).collect(),
            reliability,
            language,
            model_version: self.version.clone(),
        }
    }
}

/// The shortest number that is this one to six places, rather than one with noise behind them.
pub fn to_f64(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

fn evidence(explanation: &topics::Explanation) -> Vec<TopicEvidence> {
    let constant = |text: &str, weight| topics::Evidence { text: text.to_owned(), weight };
    let words = explanation.evidence.iter().cloned();
    words
        .chain([constant("(bias)", explanation.bias), constant("(rest)", explanation.rest)])
        .map(|evidence| TopicEvidence { text: evidence.text, weight: to_f64(evidence.weight) })
        .collect()
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
    serving: RwLock<Arc<Serving>>,
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
        let serving = load_model(model_file.as_deref())?;
        Ok(Engine {
            store: Box::new(store),
            serving: RwLock::new(Arc::new(serving)),
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

    pub fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.serving.read())
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
        let serving = self.serving();
        if submission.article.body.len() <= INLINE_BYTES_MAX {
            return Ok(serving.prepare(submission));
        }
        let prepared = tokio::task::spawn_blocking(move || serving.prepare(submission));
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
        begin: Option<Seq>,
        page_size: usize,
    ) -> Result<Page, EngineError> {
        Ok(self.store.list(collection, filter, begin, self.page(page_size)).await?)
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
        story: Uuid,
        begin: Option<Seq>,
        page_size: usize,
    ) -> Result<StoryPage, EngineError> {
        Ok(self.store.story(collection, story, begin, self.page(page_size)).await?)
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
    pub async fn reload_model(&self) -> Result<(Arc<Serving>, Arc<Serving>), EngineError> {
        let path = self.model_file.clone().ok_or(EngineError::NoModelFile)?;
        let loaded = tokio::task::spawn_blocking(move || load_model(Some(&path)));
        let new = Arc::new(loaded.await.map_err(|_| EngineError::Panicked)??);
        let old = std::mem::replace(&mut *self.serving.write(), Arc::clone(&new));
        tracing::info!(model = new.version, previous = old.version, "model reloaded");
        Ok((new, old))
    }

    /// Copies everything remembered to a new folder of that name among the backups.
    pub async fn create_backup(&self, name: &BackupName) -> Result<Backup, EngineError> {
        let folder = self.backups.join(name.as_str());
        let backup = self.store.create_backup(&folder).await?;
        tracing::info!(path = %backup.path.display(), articles = backup.article_count, "backup made");
        Ok(backup)
    }

    /// Removes from disk some of what is forgotten; tells whether more is left.
    pub async fn sweep(&self) -> Result<bool, EngineError> {
        Ok(self.store.sweep().await?)
    }
}

fn load_model(file: Option<&Path>) -> Result<Serving, EngineError> {
    let path = file.unwrap_or(Path::new("(built in)")).to_owned();
    let loaded = file.map_or_else(Serving::built_in, Serving::from_file);
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
