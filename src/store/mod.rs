//! The memory of the service: what was submitted, what was answered, and what is needed to find it
//! again. Here is what every backend promises; each has a module of its own.
//!
//! Candidates belong to the store. What they mean is decided by [`crate::duplicates::decision`],
//! from a shelf that the backend fills: a submission is one ordered step of replay or revision,
//! decision, durable commit, findable.

mod embedded;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
pub mod transfer;

pub use embedded::{
    BackupInfo, CheckReport, EmbeddedStore, LIST_LEN_MAX, StoreOptions, backups, check, restore,
};
#[cfg(any(fuzzing, test))]
pub use embedded::{check_any_record, check_any_token};

#[cfg(feature = "redis")]
pub use embedded::Folder;
#[cfg(feature = "redis")]
pub use redis::{RedisStore, Settings as RedisSettings, StoreCosts};

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::admission::Share;
use crate::analysis::{Analysis, Classification, DuplicateReport, Fingerprint, Match, StoryId};
use crate::article::{Article, ArticleId, CollectionName, Timestamp};
use crate::duplicates::{Judge, PostingKey, Shingles, Sketch};
use crate::text::Document;

/// What a store does. Every backend passes the same suite of tests, `tests/it/store.rs`.
///
/// Whatever is read shows one committed moment: nobody sees what is not durable, nor misses what
/// is. An article that is being revised is found as it was or as it is.
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

    /// Articles, latest submission first. A listing that is followed to its end has every article
    /// that was there when it began and still is; one that is revised meanwhile may come twice, as
    /// it was and as it is.
    async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        token: &PageToken,
        page_size: PageSize,
    ) -> Result<Page, StoreError>;

    /// Forgets an article.
    async fn delete(&self, collection: &CollectionName, id: &ArticleId) -> Result<(), StoreError>;

    /// A story, and a page of its members in the order of their submission.
    async fn story(
        &self,
        collection: &CollectionName,
        story: StoryId,
        token: &PageToken,
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

    /// Whether articles can be remembered now; if not, why. It answers at once.
    fn readiness(&self) -> Result<(), StoreError>;

    /// What the operator of this store has to see to, if it is one that does not itself.
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        None
    }
}

/// What a store asks of whoever runs it, if it keeps its data on this machine.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Copies everything remembered to a folder that is not there yet.
    async fn create_backup(&self, folder: &Path) -> Result<Backup, StoreError>;

    /// When the latest backup in a folder was begun, if there is one.
    fn latest_backup(&self, folder: &Path) -> Option<SystemTime>;

    /// Removes some of what is forgotten for good; tells whether more is left.
    async fn sweep(&self) -> Result<bool, StoreError>;

    /// Takes nothing more, and waits until all that was accepted is written, and with it what
    /// makes the next start a fast one.
    async fn close(&self);

    /// What is taken up on this machine.
    fn usage(&self) -> Result<Usage, StoreError>;
}

/// What a store takes up on the machine that it keeps its data on.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub disk_used_bytes: u64,
    pub disk_journal_bytes: u64,
    pub disk_available_bytes: u64,
    /// With less left than this nothing more is remembered.
    pub disk_reserve_bytes: u64,
    pub candidate_cache_bytes: u64,
    pub counts_bytes: u64,
}

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
    pub fingerprint: Option<Fingerprint>,
    pub keys: Vec<PostingKey>,
    pub sketch: Sketch,
    /// The sketch's shingles, as long as they are at hand.
    pub shingles: Option<Shingles>,
    pub classification: Classification,
    pub judge: Arc<Judge>,
    /// The article's words, if matches are to be explained.
    pub explained: Option<Document>,
    pub matches_max: usize,
    /// Its place among the articles on their way through the store. Dropped when that is over.
    pub place: Option<Share>,
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
#[derive(Debug, Clone, PartialEq)]
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
    pub story: Option<StoryId>,
    pub submitted_from: Option<Timestamp>,
    pub submitted_before: Option<Timestamp>,
}

/// How much a page holds: so many articles, or fewer that take so many bytes, but at least one.
#[derive(Debug, Clone, Copy)]
pub struct PageSize {
    pub articles: usize,
    pub bytes: usize,
}

/// Where a page begins: what the page before gave as its `next`, or the default for the first. Only
/// the store that made it understands it, and only for the query it was made for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct PageToken(pub(crate) Vec<u8>);

impl PageToken {
    /// Reads a token as clients have it; the empty text stands for the first page.
    pub fn from_text(text: &str) -> Result<Self, &'static str> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text);
        bytes.map(PageToken).map_err(|_| "must be the next_page_token of an earlier answer")
    }

    pub fn to_text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(&self.0)
    }
}

/// Some articles, and where the next page begins if there is one.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    pub articles: Vec<StoredArticle>,
    pub next: Option<PageToken>,
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
    Fingerprint(Fingerprint),
}

/// The articles near a fingerprint.
#[derive(Debug, Default, PartialEq)]
pub struct Similar {
    pub matches: Vec<Match>,
    pub truncated: bool,
}

/// How a collection is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
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
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("article '{0}' is not in the collection")]
    NoArticle(ArticleId),
    #[error("story '{0}' is not in the collection")]
    NoStory(StoryId),
    #[error("there is no collection '{0}'")]
    NoCollection(CollectionName),
    #[error("article '{0}' has no fingerprint: its text is too short")]
    NoFingerprint(ArticleId),
    #[error("the page token is not one that an earlier answer to this query gave")]
    BadPageToken,
    #[error("there are {0} collections, as many as this server keeps")]
    TooManyCollections(usize),
    #[error("there is a backup in {0} already")]
    BackupExists(PathBuf),
    #[error("the data folder {path} cannot be used: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    #[error("{context}: {error}")]
    Io {
        context: &'static str,
        #[source]
        error: Arc<std::io::Error>,
    },
    #[error("the disk is full: only {available_mib} MiB are left, {reserve_mib} MiB are held back")]
    DiskFull { available_mib: u64, reserve_mib: u64 },
    #[error("the store is full: {0}")]
    Full(Arc<str>),
    #[error("the store takes no writes now: {0}")]
    Closed(Arc<str>),
}

impl StoreError {
    pub(crate) fn io(context: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| StoreError::Io { context, error: Arc::new(error) }
    }
}
