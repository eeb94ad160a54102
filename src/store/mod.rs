//! The memory of the service: what was submitted, what was answered, and what is needed to find it
//! again.
//!
//! Candidates belong to the store, and so does the second look at them: a submission is one ordered
//! step of replay or revision, candidates, verdict, durable commit, findable.

mod embedded;

pub use embedded::{CheckReport, EmbeddedStore, Key, LIST_LEN_MAX, Seq, StoreOptions, check};

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::analysis::{Analysis, Classification, DuplicateReport, Match};
use crate::article::{Article, ArticleId, CollectionName, Timestamp};
use crate::duplicates::{Judge, Sketch};
use crate::text::Document;

/// What a store does. Every backend passes the same suite of tests, `tests/it/store.rs`.
#[async_trait]
pub trait ArticleStore: Send + Sync + 'static {
    /// Takes an article to remember, and returns where the outcome will be: of two articles, the
    /// one taken first is remembered first. If the outcome is dropped before the article's turn
    /// has come nothing is remembered.
    async fn submit(&self, prepared: Prepared) -> Result<Pending, StoreError>;

    /// What a submission of this article would be told about duplicates. An article remembered
    /// under its own id does not count.
    async fn look_up(&self, prepared: &Prepared) -> Result<DuplicateReport, StoreError>;

    async fn get(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<StoredArticle, StoreError>;

    /// Articles, latest submission first. A page begins where the one before says.
    async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        begin: Option<Seq>,
        page_size: PageSize,
    ) -> Result<Page, StoreError>;

    /// Forgets an article.
    async fn delete(&self, collection: &CollectionName, id: &ArticleId) -> Result<(), StoreError>;

    /// A story, and a page of its members in the order of their submission.
    async fn story(
        &self,
        collection: &CollectionName,
        story: Uuid,
        begin: Option<Seq>,
        page_size: PageSize,
    ) -> Result<StoryPage, StoreError>;

    /// Every article within a Hamming distance, nearest first, then earliest; at most `max`.
    async fn find_similar(
        &self,
        collection: &CollectionName,
        query: &SimilarQuery,
        radius: u32,
        max: usize,
    ) -> Result<Similar, StoreError>;

    /// All collections, by name.
    async fn collections(&self) -> Result<Vec<CollectionInfo>, StoreError>;

    /// Sets a collection's settings; it comes into being if it is not there.
    async fn update_collection(
        &self,
        collection: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<CollectionInfo, StoreError>;

    /// Forgets a collection and everything in it.
    async fn delete_collection(&self, collection: &CollectionName) -> Result<(), StoreError>;

    /// Copies everything remembered to a folder that is not there yet.
    async fn create_backup(&self, folder: &Path) -> Result<Backup, StoreError>;

    /// Removes some of what is forgotten for good; tells whether more is left.
    async fn sweep(&self) -> Result<bool, StoreError>;
}

/// Commits are counted from 1.
type CommitNumber = u64;

/// Where the outcome of a submission will be.
pub type Pending = Pin<Box<dyn Future<Output = Result<Submitted, StoreError>> + Send>>;

/// An article with everything that can be said about it without looking at others.
#[derive(Debug)]
pub struct Prepared {
    pub collection: CollectionName,
    /// None if the sender gave none.
    pub article_id: Option<ArticleId>,
    pub article: Article,
    pub content_hash: u128,
    pub word_count: usize,
    pub fingerprint: Option<u64>,
    pub keys: Vec<Key>,
    pub sketch: Sketch,
    pub classification: Classification,
    pub judge: Arc<Judge>,
    /// The article's words, if matches are to be explained.
    pub explained: Option<Document>,
    pub matches_max: usize,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    pub article_id: ArticleId,
    pub revision: u32,
    pub replayed: bool,
    pub submit_time: Timestamp,
    pub analysis: Analysis,
}

/// An article as it is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredArticle {
    pub article_id: ArticleId,
    pub article: Article,
    pub revision: u32,
    pub submit_time: Timestamp,
    pub analysis: Analysis,
}

impl StoredArticle {
    /// The size of what a sender can make large.
    fn text_bytes(&self) -> usize {
        let article = &self.article;
        let attributes = article.attributes.iter().map(|(key, value)| key.len() + value.len());
        let matches = self.analysis.duplicates.matches.iter();
        let matches = matches.map(|found| found.title.len() + found.url.len());
        article.title.len()
            + article.body.len()
            + article.url.len()
            + attributes.sum::<usize>()
            + matches.sum::<usize>()
    }
}

/// Which articles to list.
#[derive(Debug, Default, Clone)]
pub struct ListFilter {
    pub topic: Option<String>,
    pub story: Option<Uuid>,
    pub submitted_from: Option<Timestamp>,
    pub submitted_before: Option<Timestamp>,
}

/// How much a page holds: so many articles, or fewer that take so many bytes, but at least one.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    pub articles: usize,
    pub bytes: usize,
}

/// Some articles, and where the next page begins if there is one.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    pub articles: Vec<StoredArticle>,
    pub next: Option<Seq>,
}

/// A story: its canonical article, and a page of the others.
#[derive(Debug, PartialEq)]
pub struct StoryPage {
    pub canonical: StoredArticle,
    pub members: Page,
}

/// What a search by fingerprint begins with.
#[derive(Debug, Clone)]
pub enum SimilarQuery {
    Article(ArticleId),
    Fingerprint(u64),
}

/// The articles near a fingerprint.
#[derive(Debug, Default, PartialEq)]
pub struct Similar {
    pub matches: Vec<Match>,
    pub truncated: bool,
}

/// How a collection is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CollectionSettings {
    pub retention: Option<Duration>,
    pub keep_bodies: bool,
    pub candidate_hamming_distance: u32,
    pub near_threshold: Option<f64>,
    pub partial_threshold: Option<f64>,
}

impl Default for CollectionSettings {
    fn default() -> Self {
        CollectionSettings {
            retention: None,
            keep_bodies: true,
            candidate_hamming_distance: 3,
            near_threshold: None,
            partial_threshold: None,
        }
    }
}

/// A collection and how much is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionInfo {
    pub name: CollectionName,
    pub settings: CollectionSettings,
    pub article_count: usize,
    pub story_count: usize,
    pub create_time: Timestamp,
}

/// A copy of everything remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    pub path: PathBuf,
    pub article_count: u64,
    pub size_bytes: u64,
    /// The moment it shows, or shortly before.
    pub snapshot_time: Timestamp,
}

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("article '{0}' is not in the collection")]
    NoArticle(ArticleId),
    #[error("story '{0}' is not in the collection")]
    NoStory(Uuid),
    #[error("there is no collection '{0}'")]
    NoCollection(CollectionName),
    #[error("article '{0}' has no fingerprint: its text is too short")]
    NoFingerprint(ArticleId),
    #[error("there is a backup in {0} already")]
    BackupExists(PathBuf),
    #[error("the data folder {path} cannot be used: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    #[error("the store cannot be reached: {0}")]
    Io(String),
    #[error("the disk is full: only {available_mib} MiB are left, {reserve_mib} MiB are held back")]
    DiskFull { available_mib: u64, reserve_mib: u64 },
    #[error("the store takes no more writes until the server is restarted: {0}")]
    Closed(String),
}
