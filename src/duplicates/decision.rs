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

use super::{Comparison, Judge, Known, MatchKind, Probe, Sketch};
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

impl Remembered {
    /// What this article repeats of another one, for counting what is frame.
    pub fn repeats<'s>(&self, other: &'s Remembered) -> Known<'s> {
        Known {
            sketch: &other.sketch,
            is_elsewhere: Outlet::of(&self.source, &self.url)
                .is_another(Outlet::of(&other.source, &other.url)),
            is_of_another_story: self.story != other.story,
        }
    }
}

/// Whose an article is, by its source or, if it names none, the host of its address.
#[derive(Debug, Clone, Copy)]
pub struct Outlet<'a>(&'a str);

impl<'a> Outlet<'a> {
    pub fn of(source: &'a str, url: &'a str) -> Self {
        if !source.is_empty() {
            return Outlet(source);
        }
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        Outlet(rest.split(['/', '?', '#']).next().unwrap_or_default())
    }

    /// Whether the two are known to be different.
    pub fn is_another(self, other: Outlet) -> bool {
        self.0 != other.0 && !self.0.is_empty() && !other.0.is_empty()
    }
}

/// Where remembered articles are found.
pub trait Shelf {
    /// Names an article on the shelf; of two, the one remembered first is less.
    type Key: Copy + Ord;
    type Error;

    /// Reads an article; `None` if it cannot be had, which is told as `truncated`.
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

    /// Of the articles compared that are known to be another outlet's, the one that has most in
    /// common, match or not; `None` if none has more than a little.
    pub fn closest_elsewhere(&self, outlet: Outlet) -> Option<Arc<Remembered>> {
        let alike = self.compared.iter().filter(|found| found.comparison.containment > 0.0);
        let wanted = alike.filter(|found| {
            outlet.is_another(Outlet::of(&found.remembered.source, &found.remembered.url))
        });
        let closest =
            wanted.max_by(|a, b| a.comparison.containment.total_cmp(&b.comparison.containment))?;
        Some(Arc::clone(&closest.remembered))
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
            let Some(remembered) = shelf.read(key)? else {
                findings.truncated = true;
                continue;
            };
            let comparison = self.judge.compare_candidate(&self.probe, &remembered.sketch);
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
                    let kind = self.judge.compare_candidate(&self.probe, &remembered.sketch).kind;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;
    use crate::analyser::Analyser;
    use crate::text::Document;

    /// Articles by number, with the number of the story they belong to.
    #[derive(Default)]
    struct Plain {
        articles: BTreeMap<u32, (u32, Arc<Remembered>)>,
        reads: Cell<usize>,
    }

    impl Plain {
        fn put(&mut self, number: u32, story: u32, title: &str, body: &str) {
            let remembered = Remembered {
                article_id: ArticleId::new(number.to_string()).unwrap(),
                title: title.to_owned(),
                url: String::new(),
                source: "Courier".to_owned(),
                submit_time: Timestamp { seconds: number.into(), nanos: 0 },
                fingerprint: None,
                story: StoryId(uuid::Uuid::from_u128(story.into())),
                sketch: Sketch::new(&Document::new(title, body)),
            };
            self.articles.insert(number, (story, Arc::new(remembered)));
        }
    }

    impl Shelf for Plain {
        type Key = u32;
        type Error = Infallible;

        fn read(&self, key: u32) -> Result<Option<Arc<Remembered>>, Infallible> {
            self.reads.set(self.reads.get() + 1);
            Ok(self.articles.get(&key).map(|(_, remembered)| Arc::clone(remembered)))
        }

        fn canonical(&self, member: u32) -> Result<Option<u32>, Infallible> {
            let Some((story, _)) = self.articles.get(&member) else { return Ok(None) };
            let mut members = self.articles.iter().filter(|(_, (other, _))| other == story);
            Ok(members.next().map(|(&number, _)| number))
        }
    }

    fn words(seed: u32, count: u32) -> String {
        let word = |place: u32| format!("w{}", (seed * 7919 + place * 104_729) % 65_521);
        (0..count).map(word).collect::<Vec<_>>().join(" ")
    }

    /// Decides about a text with these candidates.
    fn decide(shelf: &Plain, title: &str, body: &str, matches_max: usize) -> Decision<u32> {
        let document = Document::new(title, body);
        let sketch = Sketch::new(&document);
        let counts = crate::duplicates::Counts::default();
        let analyser = Analyser::built_in().unwrap();
        let question = Question {
            fingerprint: None,
            source: "Courier",
            word_count: document.word_count(),
            judge: Cow::Borrowed(&*analyser.judge),
            probe: Probe::new(&sketch, &counts),
            matches_max,
        };
        let mut findings = Findings::default();
        let candidates = shelf.articles.keys().copied();
        question.compare(shelf, candidates, &mut findings).unwrap();
        question.decide(shelf, findings).unwrap()
    }

    #[test]
    fn verdicts_follow_from_the_best_match() {
        let mut shelf = Plain::default();
        let text = words(1, 120);
        assert_eq!(decide(&shelf, "A", &text, 10).verdict, Verdict::Unique);
        assert_eq!(decide(&shelf, "", "too short", 10).verdict, Verdict::InsufficientText);
        shelf.put(1, 1, "A", &text);
        shelf.put(2, 2, "B", &words(2, 120));
        let copy = decide(&shelf, "A", &text, 10);
        assert_eq!((copy.verdict, copy.matches.len(), copy.truncated), (Verdict::Exact, 1, false));
        assert!(copy.matches[0].1.same_source);
        assert_eq!(copy.joins.unwrap().0, 1);
        let edited = decide(&shelf, "Another", &format!("{text} and a last line"), 10);
        assert_eq!((edited.verdict, edited.joins.unwrap().0), (Verdict::Near, 1));
    }

    #[test]
    fn a_story_is_joined_through_its_canonical_article_only() {
        let mut shelf = Plain::default();
        shelf.put(1, 1, "A", &words(1, 120));
        // A member whose text has moved away from the canonical article's.
        shelf.put(2, 1, "A", &words(2, 120));
        let copy = decide(&shelf, "A", &words(2, 120), 10);
        assert_eq!((copy.verdict, copy.joins), (Verdict::Exact, None));
        shelf.put(3, 3, "B", &words(2, 120));
        let copy = decide(&shelf, "A", &words(2, 120), 10);
        assert_eq!(copy.joins.unwrap().0, 3, "the other story of the text");
    }

    #[test]
    fn how_many_matches_are_wanted_changes_their_number_only() {
        let mut shelf = Plain::default();
        for number in 0..60 {
            shelf.put(number, number % 3, &format!("headline {number}"), &words(1, 120));
        }
        let all: Vec<_> = [0, 1, 8, 10, 50, 100]
            .map(|max| (max, decide(&shelf, "headline 3", &words(1, 120), max)))
            .into();
        for (max, decision) in &all {
            assert_eq!(decision.matches.len(), 60.min(*max));
            assert_eq!((decision.verdict, &decision.joins), (all[0].1.verdict, &all[0].1.joins));
            assert_eq!(decision.truncated, *max < 60);
        }
    }

    #[test]
    fn work_is_bounded_and_said_to_be() {
        let mut shelf = Plain::default();
        for number in 0..200 {
            shelf.put(number, number, "A", &words(number + 10, 120));
        }
        let decision = decide(&shelf, "A", &words(1, 120), 100);
        assert_eq!((decision.verdict, decision.truncated), (Verdict::Unique, true));
        assert_eq!(shelf.reads.get(), MISSES_MAX);
    }
}
