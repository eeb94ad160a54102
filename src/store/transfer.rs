//! From a store of one kind into one of another: every article goes as it is remembered, with its
//! time, revision, verdict and story. Nothing is judged anew.
//!
//! A transfer that was broken off is begun again and goes on where it was: what the target has
//! already is passed over. At its end both sides are read and compared.

use async_trait::async_trait;
use xxhash_rust::xxh3::xxh3_128;

use super::embedded::Horizon;
use super::embedded::record::{write_article, write_candidate};
use super::{CollectionSettings, StoreError, StoredArticle};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::decision::Remembered;
use crate::duplicates::{Counts, PostingKey};

/// Articles that are moved at once.
const AT_ONCE: usize = 64;

/// A collection, without its articles.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    pub name: CollectionName,
    pub settings: CollectionSettings,
    pub create_time: Timestamp,
}

/// An article with all that a store keeps of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub stored: StoredArticle,
    /// What it is compared and described by, with the story it is in.
    pub remembered: Remembered,
    pub keys: Vec<PostingKey>,
    pub content_hash: u128,
}

impl Kept {
    fn version(&self) -> Version {
        let StoredArticle { revision, submit_time, .. } = self.stored;
        Version { revision, submit_time, content_hash: self.content_hash }
    }

    /// A hash of all of it.
    fn checksum(&self) -> Result<u128, StoreError> {
        let (mut bytes, mut candidate) = (Vec::new(), Vec::new());
        write_article(&mut bytes, &self.stored)?;
        write_candidate(&mut candidate, &self.remembered)?;
        bytes.extend(candidate);
        bytes.extend(self.keys.iter().flat_map(|key| key.to_be_bytes()));
        bytes.extend(self.content_hash.to_be_bytes());
        Ok(xxh3_128(&bytes))
    }
}

/// What of an article stands under its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub revision: u32,
    pub submit_time: Timestamp,
    pub content_hash: u128,
}

/// Where the next articles are read: what the ones before gave.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mark(pub u64);

/// A store that is read.
#[async_trait]
pub trait Source: Send + Sync {
    /// All collections, by name.
    async fn collections(&self) -> Result<Vec<Moved>, StoreError>;

    /// Articles in the order of their submission; some more than `max` if they cannot be told
    /// apart by their marks. None are left if there are none.
    async fn articles(
        &self,
        collection: &CollectionName,
        from: Mark,
        max: usize,
    ) -> Result<(Vec<Kept>, Option<Mark>), StoreError>;

    /// What is frame in a collection.
    async fn counts(&self, collection: &CollectionName) -> Result<Counts, StoreError>;
}

/// A store that is written to.
#[async_trait]
pub trait Target: Source {
    /// Makes a collection, or gives the one that is there the same settings.
    async fn begin(&self, collection: &Moved) -> Result<(), StoreError>;

    /// Which versions of articles are there.
    async fn versions(
        &self,
        collection: &CollectionName,
        ids: &[&ArticleId],
    ) -> Result<Vec<Option<Version>>, StoreError>;

    /// Takes articles in place of whatever is under their ids; under those that are `replaced`
    /// there was another version. It may be done twice.
    async fn put(
        &self,
        collection: &CollectionName,
        articles: &[Kept],
        replaced: &[ArticleId],
    ) -> Result<(), StoreError>;

    /// Takes what is frame, after all articles of a collection.
    async fn put_counts(
        &self,
        collection: &CollectionName,
        counts: &Counts,
    ) -> Result<(), StoreError>;
}

/// How many articles a store has, and a sum of their hashes in which no order counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sum {
    pub articles: u64,
    #[serde(serialize_with = "hexadecimal")]
    pub checksum: u128,
}

fn hexadecimal<S: serde::Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:032x}"))
}

impl Sum {
    fn add(&mut self, article: &Kept) -> Result<(), StoreError> {
        self.articles += 1;
        self.checksum = self.checksum.wrapping_add(article.checksum()?);
        Ok(())
    }
}

/// What became of a collection.
#[derive(Debug, Clone, serde::Serialize)]
pub struct CollectionReport {
    pub collection: String,
    /// Articles that were written now; the others were there.
    pub written: u64,
    pub source: Sum,
    pub target: Sum,
}

impl CollectionReport {
    /// Whether both sides have the same.
    pub fn is_same(&self) -> bool {
        self.source == self.target
    }
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Copied(u64),
    Compared(u64),
}

/// Moves everything, and compares.
pub async fn transfer(
    source: &dyn Source,
    target: &dyn Target,
    mut progress: impl FnMut(Step),
) -> Result<Vec<CollectionReport>, StoreError> {
    let mut reports = Vec::new();
    let (mut copied, mut compared) = (0, 0);
    for collection in source.collections().await? {
        let name = &collection.name;
        // What retention has forgotten stays behind.
        let horizon = Horizon::of(&collection.settings);
        let is_kept = |article: &Kept| horizon.keeps(article.stored.submit_time);
        target.begin(&collection).await?;
        let (mut written, mut of_source, mut of_target) = (0, Sum::default(), Sum::default());
        let mut next = Some(Mark::default());
        while let Some(from) = next {
            let (mut articles, after) = source.articles(name, from, AT_ONCE).await?;
            articles.retain(is_kept);
            let ids: Vec<&ArticleId> =
                articles.iter().map(|article| &article.stored.article_id).collect();
            let there = target.versions(name, &ids).await?;
            let (mut new, mut replaced) = (Vec::new(), Vec::new());
            for (article, there) in articles.iter().zip(there) {
                if there != Some(article.version()) {
                    let id = there.map(|_| article.stored.article_id.clone());
                    replaced.extend(id);
                    new.push(article.clone());
                }
            }
            target.put(name, &new, &replaced).await?;
            written += new.len() as u64;
            articles.iter().try_for_each(|article| of_source.add(article))?;
            copied += articles.len() as u64;
            progress(Step::Copied(copied));
            next = after;
        }
        target.put_counts(name, &source.counts(name).await?).await?;
        let mut next = Some(Mark::default());
        while let Some(from) = next {
            let (mut articles, after) = target.articles(name, from, AT_ONCE).await?;
            articles.retain(is_kept);
            articles.iter().try_for_each(|article| of_target.add(article))?;
            compared += articles.len() as u64;
            progress(Step::Compared(compared));
            next = after;
        }
        reports.push(CollectionReport {
            collection: name.as_str().to_owned(),
            written,
            source: of_source,
            target: of_target,
        });
    }
    Ok(reports)
}
