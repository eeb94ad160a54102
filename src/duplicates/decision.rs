//! From an article and a shelf of remembered ones to a verdict, a story, and the matches: the same
//! for every store. It is pure; what stands on the shelf, and where it is read from, is the
//! store's to say.
//!
//! A decision is made in two steps. [`Question::compare`] takes the second look at candidates; it
//! is most of the work, and may be done on any thread against a view of the store.
//! [`Question::decide`] makes up its mind, when the article's turn has come, from what was found.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::{Comparison, Judge, MatchKind, Probe, Sketch};
use crate::analysis::{Fingerprint, Match, Story, StoryId, Verdict};
use crate::article::{ArticleId, Timestamp};
use crate::simhash::WORDS_MIN;

/// After so many candidates that are no match no more are looked at: the best come first, and real
/// articles have five candidates on average.
const MISSES_MAX: usize = 24;

/// After so many matches, one of which is the same text, no more are needed to decide.
const MATCHES_ENOUGH: usize = 8;

/// After so many matches no more are looked at, even if none of them is the same text.
const PARTS_ENOUGH: usize = 24;

/// A remembered article: what it is judged and described by.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    pub article_id: ArticleId,
    pub title: String,
    pub url: String,
    pub source: String,
    pub submit_time: Timestamp,
    pub fingerprint: Option<Fingerprint>,
    pub story: StoryId,
    pub sketch: Sketch,
}

/// Where remembered articles are found.
pub trait Shelf {
    /// Names an article on the shelf; of two, the one remembered first is less.
    type Key: Copy + Ord;
    type Error;

    /// Reads an article; `None` if it is no longer there.
    fn read(&self, key: Self::Key) -> Result<Option<Arc<Remembered>>, Self::Error>;

    /// The article that stands for the story which this one belongs to: the first of its articles
    /// that is still remembered.
    fn canonical(&self, member: Self::Key) -> Result<Option<Self::Key>, Self::Error>;
}

/// An article that remembered ones are to be compared with.
pub struct Question<'q> {
    pub fingerprint: Option<Fingerprint>,
    pub source: &'q str,
    pub word_count: usize,
    pub judge: Cow<'q, Judge>,
    pub probe: Probe<'q>,
    /// So many matches are wanted. The verdict and the story do not depend on it.
    pub matches_max: usize,
}

/// What was found by comparing.
#[derive(Debug, Clone)]
pub struct Findings<K> {
    compared: Vec<Compared<K>>,
    /// Whether candidates were left out.
    pub truncated: bool,
}

impl<K> Default for Findings<K> {
    fn default() -> Self {
        Findings { compared: Vec::new(), truncated: false }
    }
}

#[derive(Debug, Clone)]
struct Compared<K> {
    key: K,
    comparison: Comparison,
    remembered: Arc<Remembered>,
    /// Whether it counts, or is there only because more matches are wanted than decide.
    decides: bool,
}

impl<K: Copy + Ord> Findings<K> {
    /// The articles that matched.
    pub fn matched(&self) -> impl Iterator<Item = (K, &Remembered)> {
        let matched = self.compared.iter().filter(|found| found.comparison.kind.is_some());
        matched.map(|found| (found.key, &*found.remembered))
    }

    /// Drops what is no longer remembered.
    pub fn retain(&mut self, is_remembered: impl Fn(K, &Remembered) -> bool) {
        self.compared.retain(|found| is_remembered(found.key, &found.remembered));
    }

    fn find(&self, key: K) -> Option<&Compared<K>> {
        self.compared.iter().find(|found| found.key == key)
    }
}

/// What is said of an article.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<K> {
    pub verdict: Verdict,
    /// The story to join, and its canonical article; `None` if the article begins a story.
    pub joins: Option<(K, Story)>,
    /// Best first.
    pub matches: Vec<(K, Match)>,
    pub truncated: bool,
}

impl Question<'_> {
    /// Compares candidates, the most promising first, until enough is known, and adds what it
    /// found. How many are looked at to decide does not depend on how many matches are wanted:
    /// those looked at only to be listed are marked.
    pub fn compare<S: Shelf>(
        &self,
        shelf: &S,
        candidates: impl IntoIterator<Item = S::Key>,
        findings: &mut Findings<S::Key>,
    ) -> Result<(), S::Error> {
        let (mut matches, mut misses, mut has_same_text) = (0, 0, false);
        for key in candidates {
            let decides = matches < if has_same_text { MATCHES_ENOUGH } else { PARTS_ENOUGH };
            let is_wanted = decides || (has_same_text && matches < self.matches_max);
            if misses == MISSES_MAX || !is_wanted {
                findings.truncated = true;
                break;
            }
            if findings.find(key).is_some() {
                continue;
            }
            let Some(remembered) = shelf.read(key)? else { continue };
            let comparison = self.judge.compare(&self.probe, &remembered.sketch);
            match comparison.kind {
                Some(kind) => {
                    matches += 1;
                    has_same_text |= is_same_text(kind);
                }
                None => misses += 1,
            }
            findings.compared.push(Compared { key, comparison, remembered, decides });
        }
        Ok(())
    }

    /// Decides from what was found.
    pub fn decide<S: Shelf>(
        &self,
        shelf: &S,
        mut findings: Findings<S::Key>,
    ) -> Result<Decision<S::Key>, S::Error> {
        findings.compared.sort_by(|a, b| {
            // What is no match comes last.
            let rank = |kind: Option<MatchKind>| kind.map_or(u8::MAX, |kind| kind as u8);
            let (first, second) = (a.comparison, b.comparison);
            rank(first.kind)
                .cmp(&rank(second.kind))
                .then(second.probability.partial_cmp(&first.probability).unwrap_or(Ordering::Equal))
                .then(a.key.cmp(&b.key))
        });
        let best = findings.compared.iter().find(|found| found.decides);
        let verdict = match best.and_then(|best| best.comparison.kind) {
            _ if self.word_count < WORDS_MIN => Verdict::InsufficientText,
            None => Verdict::Unique,
            Some(MatchKind::Exact) => Verdict::Exact,
            Some(MatchKind::Near) => Verdict::Near,
            Some(MatchKind::Partial) => Verdict::Partial,
        };
        let joins = match verdict {
            Verdict::Exact | Verdict::Near => self.story_to_join(shelf, &findings)?,
            _ => None,
        };
        let matches = findings.compared.iter().filter_map(|found| {
            let kind = found.comparison.kind?;
            Some((found.key, self.describe(kind, found.comparison, &found.remembered)))
        });
        Ok(Decision {
            verdict,
            joins,
            matches: matches.take(self.matches_max).collect(),
            truncated: findings.truncated,
        })
    }

    /// The first story among the matches' whose canonical article is itself a match. Anything less
    /// would chain articles that have nothing in common.
    fn story_to_join<S: Shelf>(
        &self,
        shelf: &S,
        findings: &Findings<S::Key>,
    ) -> Result<Option<(S::Key, Story)>, S::Error> {
        let mut tried = Vec::new();
        let likes = findings.compared.iter().filter(|found| found.decides);
        for like in likes.filter(|found| found.comparison.kind.is_some_and(is_same_text)) {
            let Some(canonical) = shelf.canonical(like.key)? else { continue };
            if tried.contains(&canonical) {
                continue;
            }
            tried.push(canonical);
            let (remembered, kind) = match findings.find(canonical) {
                Some(found) => (Arc::clone(&found.remembered), found.comparison.kind),
                None => {
                    let Some(remembered) = shelf.read(canonical)? else { continue };
                    let kind = self.judge.compare(&self.probe, &remembered.sketch).kind;
                    (remembered, kind)
                }
            };
            if kind.is_some_and(is_same_text) {
                let canonical_id = remembered.article_id.clone();
                let story = Story { id: remembered.story, canonical: canonical_id };
                return Ok(Some((canonical, story)));
            }
        }
        Ok(None)
    }

    fn describe(&self, kind: MatchKind, comparison: Comparison, other: &Remembered) -> Match {
        let distance = self.fingerprint.zip(other.fingerprint);
        Match {
            kind: Some(kind),
            hamming_distance: distance.map(|(a, b)| a.distance(b)),
            similarity: comparison.similarity,
            containment: comparison.containment,
            ..other.describe(self.source)
        }
    }
}

impl Remembered {
    /// A match that tells only which article it is; `source` is the outlet of the other one.
    pub fn describe(&self, source: &str) -> Match {
        Match {
            article_id: self.article_id.clone(),
            kind: None,
            hamming_distance: None,
            similarity: 0.0,
            containment: 0.0,
            same_source: !source.is_empty() && source == self.source,
            title: self.title.clone(),
            url: self.url.clone(),
            source: self.source.clone(),
            submit_time: self.submit_time,
            overlaps: Vec::new(),
        }
    }
}

fn is_same_text(kind: MatchKind) -> bool {
    matches!(kind, MatchKind::Exact | MatchKind::Near)
}
