//! The second look: candidates are compared with the article at hand, and a verdict is found.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::Collection;
use super::index::Seq;
use super::record::ArticleRecord;
use crate::analysis::{DuplicateReport, Match, Story, Verdict};
use crate::duplicates::{Comparison, Judge, MatchKind, Probe, Sketch, overlaps};
use crate::simhash::{WORDS_MIN, hamming_distance};
use crate::store::{CollectionSettings, Prepared, StoreError, StoredArticle};
use crate::text::Document;

/// After so many candidates that are no match no more are looked at: the best come first, and real
/// articles have five candidates on average.
const MISSES_MAX: usize = 24;

/// After so many matches no more candidates are looked at, unless the client wants to see more.
const MATCHES_ENOUGH: usize = 8;

/// Where remembered articles are read from. `None` means that it is no longer there.
pub trait Reader {
    fn article(&self, seq: Seq) -> Result<Option<Arc<ArticleRecord>>, StoreError>;
    fn sketch(&self, seq: Seq) -> Result<Option<Arc<Sketch>>, StoreError>;
}

/// What was found.
pub struct Lookup {
    pub report: DuplicateReport,
    /// The submission that began the story to join; None if the article begins one.
    pub story: Option<Seq>,
}

struct Compared {
    seq: Seq,
    kind: MatchKind,
    comparison: Comparison,
}

/// Looks for remembered articles like this one, other than `itself`.
pub fn look_up(
    collection: &Collection,
    prepared: &Prepared,
    itself: Option<Seq>,
    reader: &impl Reader,
) -> Result<Lookup, StoreError> {
    let settings = *collection.settings.read();
    let moment = collection.forgotten_before();
    let matches_enough = prepared.matches_max.max(MATCHES_ENOUGH);
    let mut candidates = {
        let index = collection.index.read();
        let radius = settings.candidate_hamming_distance;
        let max = matches_enough + MISSES_MAX;
        let mut candidates = index.candidates(prepared.fingerprint, radius, &prepared.keys, max);
        candidates.seqs.retain(|&seq| {
            let is_remembered = |time| moment.is_none_or(|moment| time >= moment);
            Some(seq) != itself
                && index.entry(seq).is_some_and(|entry| is_remembered(entry.submit_time))
        });
        candidates
    };

    let judge = judge_for(&prepared.judge, &settings);
    let probe = Probe::new(&prepared.sketch);
    let compare = |seq: Seq| -> Result<Option<Compared>, StoreError> {
        let Some(sketch) = reader.sketch(seq)? else { return Ok(None) };
        let comparison = judge.compare(&probe, &sketch);
        Ok(comparison.kind.map(|kind| Compared { seq, kind, comparison }))
    };
    let mut compared = Vec::new();
    let mut misses = 0;
    for &seq in &candidates.seqs {
        if compared.len() == matches_enough || misses == MISSES_MAX {
            candidates.truncated = true;
            break;
        }
        match compare(seq)? {
            Some(found) => compared.push(found),
            None => misses += 1,
        }
    }
    compared.sort_by(|a, b| {
        let rank = |compared: &Compared| (compared.kind as u8, -compared.comparison.probability);
        rank(a).partial_cmp(&rank(b)).unwrap_or(std::cmp::Ordering::Equal).then(a.seq.cmp(&b.seq))
    });

    let verdict = match compared.first().map(|best| best.kind) {
        _ if prepared.word_count < WORDS_MIN => Verdict::InsufficientText,
        None => Verdict::Unique,
        Some(MatchKind::Exact) => Verdict::Exact,
        Some(MatchKind::Near) => Verdict::Near,
        Some(MatchKind::Partial) => Verdict::Partial,
    };
    let story = if matches!(verdict, Verdict::Exact | Verdict::Near) {
        find_story(collection, &compared, itself, reader, compare)?
    } else {
        None
    };

    let mut matches = Vec::new();
    for compared in compared.iter().take(prepared.matches_max) {
        if let Some(article) = reader.article(compared.seq)? {
            matches.push(describe_match(prepared, compared, &article));
        }
    }
    let report = DuplicateReport {
        verdict,
        story: story.as_ref().map(|(_, story)| story.clone()),
        matches,
        truncated: candidates.truncated,
    };
    Ok(Lookup { report, story: story.map(|(began, _)| began) })
}

/// The judge with the collection's own thresholds, where it has any.
fn judge_for<'j>(judge: &'j Judge, settings: &CollectionSettings) -> Cow<'j, Judge> {
    let mut judge = Cow::Borrowed(judge);
    if let Some(threshold) = settings.near_threshold {
        judge.to_mut().near_threshold = threshold as f32;
    }
    if let Some(threshold) = settings.partial_threshold {
        judge.to_mut().partial_threshold = threshold as f32;
    }
    judge
}

/// The story to join: the first among the matches' whose canonical article is itself a match.
/// Anything less would chain articles that have nothing in common.
fn find_story(
    collection: &Collection,
    compared: &[Compared],
    itself: Option<Seq>,
    reader: &impl Reader,
    compare: impl Fn(Seq) -> Result<Option<Compared>, StoreError>,
) -> Result<Option<(Seq, Story)>, StoreError> {
    let is_same_text = |kind: MatchKind| matches!(kind, MatchKind::Exact | MatchKind::Near);
    let mut tried = Vec::new();
    for like in compared.iter().filter(|compared| is_same_text(compared.kind)) {
        let (began, canonical) = {
            let index = collection.index.read();
            let Some(entry) = index.entry(like.seq) else { continue };
            let mut members = index.story_members(entry.story);
            let canonical = members.find(|&member| Some(member) != itself);
            (entry.story, canonical.unwrap_or(like.seq))
        };
        if tried.contains(&canonical) {
            continue;
        }
        tried.push(canonical);
        let is_matched = match compared.iter().find(|compared| compared.seq == canonical) {
            Some(compared) => is_same_text(compared.kind),
            None => compare(canonical)?.is_some_and(|compared| is_same_text(compared.kind)),
        };
        if is_matched && let Some(article) = reader.article(canonical)? {
            let id =
                article.analysis.duplicates.story.as_ref().map_or(Uuid::nil(), |story| story.id);
            return Ok(Some((began, Story { id, canonical: article.article_id.clone() })));
        }
    }
    Ok(None)
}

fn describe_match(prepared: &Prepared, compared: &Compared, article: &StoredArticle) -> Match {
    let source = &prepared.article.source;
    let same_source = !source.is_empty() && *source == article.article.source;
    let distance = prepared.fingerprint.zip(article.analysis.fingerprint);
    let mut found = Match {
        kind: Some(compared.kind),
        hamming_distance: distance.map(|(a, b)| hamming_distance(a, b)),
        similarity: compared.comparison.similarity,
        containment: compared.comparison.containment,
        ..describe(article, same_source)
    };
    if let Some(document) = &prepared.explained {
        let other = Document::new("", &article.article.body);
        found.overlaps = overlaps(document, &other);
    }
    found
}

/// A match that tells only which article it is.
pub fn describe(article: &StoredArticle, same_source: bool) -> Match {
    Match {
        article_id: article.article_id.clone(),
        kind: None,
        hamming_distance: None,
        similarity: 0.0,
        containment: 0.0,
        same_source,
        title: article.article.title.clone(),
        url: article.article.url.clone(),
        source: article.article.source.clone(),
        submit_time: article.submit_time,
        overlaps: Vec::new(),
    }
}

/// The report on an article in a collection that holds none.
pub fn nothing_remembered(prepared: &Prepared) -> DuplicateReport {
    let is_long_enough = prepared.word_count >= WORDS_MIN;
    DuplicateReport {
        verdict: if is_long_enough { Verdict::Unique } else { Verdict::InsufficientText },
        story: None,
        matches: Vec::new(),
        truncated: false,
    }
}
