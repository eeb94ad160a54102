//! What the service finds out about an article.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::article::{ArticleId, Timestamp};

/// Everything there is to say about one article.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    pub classification: Classification,
    pub duplicates: DuplicateReport,
    /// None if the text is too short for one.
    pub fingerprint: Option<u64>,
}

/// What the article is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Every label, most probable first.
    pub topics: Vec<TopicScore>,
    pub reliability: Reliability,
    /// A BCP 47 tag, or empty.
    pub language: String,
    pub model_version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reliability {
    Reliable,
    UnsupportedLanguage,
    InsufficientText,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicScore {
    pub topic: String,
    pub probability: f64,
    pub threshold: f64,
    pub assigned: bool,
    /// Told once, not stored.
    #[serde(skip)]
    pub evidence: Vec<TopicEvidence>,
}

/// What one word or pair of words weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicEvidence {
    pub text: String,
    pub weight: f64,
}

/// Whether the article was seen before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DuplicateReport {
    pub verdict: Verdict,
    pub story: Option<Story>,
    /// Best first.
    pub matches: Vec<Match>,
    pub truncated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Unique,
    Exact,
    Near,
    Partial,
    InsufficientText,
}

/// A story as one article's report tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    pub id: Uuid,
    pub canonical: ArticleId,
}

/// A remembered article like the one at hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(skip)]
    pub overlaps: Vec<Overlap>,
}

pub use crate::duplicates::{MatchKind, Overlap};
