//! What the service finds out about an article.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::article::{ArticleId, Timestamp, new_uuid};
use crate::simhash;

/// Everything there is to say about one article.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    pub classification: Classification,
    pub duplicates: DuplicateReport,
    /// None if the text is too short for one.
    pub fingerprint: Option<Fingerprint>,
}

/// A fingerprint of the scheme [`simhash::SCHEME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// In how many bits two fingerprints differ.
    pub fn distance(self, other: Fingerprint) -> u32 {
        simhash::hamming_distance(self.0, other.0)
    }
}

/// What the article is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// Every label, most probable first.
    pub topics: Vec<TopicScore>,
    pub reliability: Reliability,
    /// A BCP 47 tag, or empty.
    pub language: String,
    pub model_version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    Reliable,
    UnsupportedLanguage,
    InsufficientText,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TopicScore {
    /// Shared by all that the model says: every answer has every topic.
    pub topic: Arc<str>,
    pub probability: f64,
    pub threshold: f64,
    pub assigned: bool,
    /// Told once, not stored.
    pub evidence: Vec<TopicEvidence>,
}

/// What one word or pair of words weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicEvidence {
    pub text: String,
    pub weight: f64,
}

/// Whether the article was seen before.
#[derive(Debug, Clone, PartialEq)]
pub struct DuplicateReport {
    pub verdict: Verdict,
    pub story: Option<Story>,
    /// Best first.
    pub matches: Vec<Match>,
    pub truncated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Unique,
    Exact,
    Near,
    Partial,
    InsufficientText,
}

/// A story as one article's report tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    pub id: StoryId,
    pub canonical: ArticleId,
}

/// The name of a story; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoryId(pub Uuid);

impl StoryId {
    pub fn generate() -> Self {
        StoryId(new_uuid())
    }
}

impl fmt::Display for StoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for StoryId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(StoryId)
    }
}

/// A remembered article like the one at hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    pub article_id: ArticleId,
    /// None if only fingerprints were compared.
    pub kind: Option<MatchKind>,
    pub hamming_distance: Option<u32>,
    pub similarity: f32,
    pub containment: f32,
    pub same_source: bool,
    pub title: String,
    pub url: String,
    pub source: String,
    pub submit_time: Timestamp,
    /// Told once, not stored.
    pub overlaps: Vec<Overlap>,
}

pub use crate::duplicates::{MatchKind, Overlap};
