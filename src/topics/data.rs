//! Labelled articles as JSON Lines, plain or compressed.
//!
//! One article a line: `{"id", "source", "language", "title", "text", "labels", "unknown",
//! "lexneg"}`, all of them optional, others ignored. A label in `labels` applies, one in `unknown` is not settled, any
//! other does not apply. With `labels` null or missing nothing is settled. A label in `lexneg` is
//! not settled either, but none of its vocabulary occurs, so it very probably does not apply.

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub struct Article {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub source: String,
    /// BCP 47; empty if the file does not say.
    #[serde(default)]
    pub language: String,
    #[serde(default)]
    pub title: String,
    #[serde(default, alias = "body")]
    pub text: String,
    labels: Option<Vec<String>>,
    #[serde(default)]
    unknown: Vec<String>,
    #[serde(default)]
    lexneg: Vec<String>,
}

/// What is known about one article and one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    Positive,
    Negative,
    /// Not settled, but very probably negative.
    LikelyNegative,
    Unknown,
}

impl Article {
    pub fn cell(&self, label: &str) -> Cell {
        let holds = |names: &[String]| names.iter().any(|name| name == label);
        match &self.labels {
            _ if holds(&self.lexneg) => Cell::LikelyNegative,
            _ if holds(&self.unknown) => Cell::Unknown,
            None => Cell::Unknown,
            Some(labels) if holds(labels) => Cell::Positive,
            Some(_) => Cell::Negative,
        }
    }

    /// Labels of an article whose text stands elsewhere, under the same id.
    pub fn is_reference(&self) -> bool {
        !self.id.is_empty() && self.title.is_empty() && self.text.is_empty()
    }

    /// This article with what another one says about its labels.
    pub fn with_labels_of(self, other: &Article) -> Article {
        let Article { labels, unknown, lexneg, .. } = other.clone();
        Article { labels, unknown, lexneg, ..self }
    }

    /// The labels this article has something to say about, as written.
    pub fn labels_named(&self) -> impl Iterator<Item = &str> {
        let labels = self.labels.iter().flatten();
        labels.chain(&self.unknown).chain(&self.lexneg).map(String::as_str)
    }
}
