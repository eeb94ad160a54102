//! What stands on disk, and under which keys.
//!
//! Every value begins with a byte that tells its layout; each kind of record has a number of its
//! own, counted up when it changes. What is written here is independent of the types that the rest
//! of the program uses: those may change, stored data stays what it is. Variable parts are in
//! postcard's format (<https://postcard.jamesmunns.com/wire-format>); the engine below checksums
//! every block.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::index::{Entry, Seq, StoryNumber};
use crate::analysis::{
    Analysis, Classification, DuplicateReport, Fingerprint, Match, Reliability, Story, StoryId,
    TopicScore, Verdict,
};
use crate::article::{Article, ArticleId, CollectionName, Timestamp};
use crate::duplicates::decision::Remembered;
use crate::duplicates::{Counts, MatchKind, PostingKey, Sketch};
use crate::store::{CollectionSettings, StoreError, StoredArticle};

/// The layouts of this version, by kind of record.
mod layout {
    pub const COLLECTION: u8 = 2;
    pub const ID: u8 = 2;
    pub const INDEX: u8 = 2;
    pub const CANDIDATE: u8 = 1;
    pub const ARTICLE: u8 = 2;
    pub const NUMBER: u8 = 1;
    pub const COUNTS: u8 = 1;
}

/// Collections are numbered, so that a name given again does not bring old articles back.
pub type CollectionNumber = u32;

/// Why a record cannot be read; whoever reads it knows which one it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("its layout {0} is unknown")]
    UnknownLayout(u8),
    #[error("it is malformed")]
    Content,
}

impl Malformed {
    /// The same as an error of the store, with the place of the record.
    pub fn at(self, place: impl FnOnce() -> String) -> StoreError {
        StoreError::Damaged(format!("{}: {self}", place()))
    }
}

/// What is known about a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionRecord {
    pub number: CollectionNumber,
    pub settings: CollectionSettings,
    pub create_time: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredCollection {
    number: CollectionNumber,
    retention_seconds: Option<u64>,
    keep_bodies: bool,
    candidate_hamming_distance: u32,
    near_threshold: Option<f64>,
    partial_threshold: Option<f64>,
    create_time_micros: i64,
}

impl CollectionRecord {
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        let settings = &self.settings;
        let stored = StoredCollection {
            number: self.number,
            retention_seconds: settings.retention.map(|retention| retention.as_secs()),
            keep_bodies: settings.keep_bodies,
            candidate_hamming_distance: settings.candidate_hamming_distance,
            near_threshold: settings.near_threshold,
            partial_threshold: settings.partial_threshold,
            create_time_micros: self.create_time.micros(),
        };
        let mut bytes = vec![layout::COLLECTION];
        encode(&mut bytes, &stored)?;
        Ok(bytes)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let stored: StoredCollection = decode(body(bytes, layout::COLLECTION)?)?;
        Ok(CollectionRecord {
            number: stored.number,
            settings: CollectionSettings {
                retention: stored.retention_seconds.map(Duration::from_secs),
                keep_bodies: stored.keep_bodies,
                candidate_hamming_distance: stored.candidate_hamming_distance,
                near_threshold: stored.near_threshold,
                partial_threshold: stored.partial_threshold,
            },
            create_time: Timestamp::from_micros(stored.create_time_micros),
        })
    }
}

/// What stands under an article's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRecord {
    pub seq: Seq,
    pub revision: u32,
    /// The submission of the first revision.
    pub first: Seq,
    pub content_hash: u128,
}

impl IdRecord {
    const BYTES: usize = 1 + 8 + 4 + 8 + 16;

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = layout::ID;
        bytes[1..9].copy_from_slice(&self.seq.to_le_bytes());
        bytes[9..13].copy_from_slice(&self.revision.to_le_bytes());
        bytes[13..21].copy_from_slice(&self.first.to_le_bytes());
        bytes[21..].copy_from_slice(&self.content_hash.to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(body(bytes, layout::ID)?);
        let record = IdRecord {
            seq: Seq::from_le_bytes(fields.take()?),
            revision: u32::from_le_bytes(fields.take()?),
            first: Seq::from_le_bytes(fields.take()?),
            content_hash: u128::from_le_bytes(fields.take()?),
        };
        fields.end(record)
    }
}

/// What the index in memory is built from.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexRecord {
    pub entry: Entry,
    pub keys: Vec<PostingKey>,
}

impl IndexRecord {
    const HAS_FINGERPRINT: u8 = 1;
    const IS_REVISED: u8 = 2;

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(body(bytes, layout::INDEX)?);
        let [flags] = fields.take()?;
        let fingerprint = Fingerprint(u64::from_le_bytes(fields.take()?));
        let entry = Entry {
            fingerprint: (flags & Self::HAS_FINGERPRINT != 0).then_some(fingerprint),
            story: StoryNumber(Seq::from_le_bytes(fields.take()?)),
            submit_time: Timestamp::from_micros(i64::from_le_bytes(fields.take()?)),
            content_tag: u16::from_le_bytes(fields.take()?),
            is_revised: flags & Self::IS_REVISED != 0,
        };
        let (keys, []) = fields.0.as_chunks() else { return Err(Malformed::Content) };
        let keys = keys.iter().map(|key| PostingKey::from_le_bytes(*key)).collect();
        Ok(IndexRecord { entry, keys })
    }
}

/// The bytes of an [`IndexRecord`]: flags (1 byte), fingerprint (8), story (8), submit time in
/// microseconds (8), content tag (2), posting keys (4 each).
pub fn index_to_bytes(entry: Entry, keys: &[PostingKey]) -> Vec<u8> {
    let Entry { fingerprint, story, submit_time, content_tag, is_revised } = entry;
    let mut flags = 0;
    if fingerprint.is_some() {
        flags |= IndexRecord::HAS_FINGERPRINT;
    }
    if is_revised {
        flags |= IndexRecord::IS_REVISED;
    }
    let mut bytes = Vec::with_capacity(28 + 4 * keys.len());
    bytes.extend([layout::INDEX, flags]);
    bytes.extend(fingerprint.map_or(0, |fingerprint| fingerprint.0).to_le_bytes());
    bytes.extend(story.0.to_le_bytes());
    bytes.extend(submit_time.micros().to_le_bytes());
    bytes.extend(content_tag.to_le_bytes());
    bytes.extend(keys.iter().flat_map(|key| key.to_le_bytes()));
    bytes
}

#[derive(Serialize, Deserialize)]
struct StoredHead<'h> {
    #[serde(borrow)]
    article_id: Cow<'h, str>,
    #[serde(borrow)]
    title: Cow<'h, str>,
    #[serde(borrow)]
    url: Cow<'h, str>,
    #[serde(borrow)]
    source: Cow<'h, str>,
    submit_time_micros: i64,
    fingerprint: Option<u64>,
    story: u128,
}

/// The row of an article as others are compared with it: the length of its head (4 bytes), the
/// head, and the bytes of its sketch.
///
/// Whatever was in `bytes` is gone, here and in [`write_article`]: one buffer serves for many rows.
pub fn write_candidate(bytes: &mut Vec<u8>, remembered: &Remembered) -> Result<(), StoreError> {
    let head = StoredHead {
        article_id: remembered.article_id.as_str().into(),
        title: remembered.title.as_str().into(),
        url: remembered.url.as_str().into(),
        source: remembered.source.as_str().into(),
        submit_time_micros: remembered.submit_time.micros(),
        fingerprint: remembered.fingerprint.map(|fingerprint| fingerprint.0),
        story: remembered.story.0.as_u128(),
    };
    begin_two_parts(bytes, layout::CANDIDATE, &head)?;
    remembered.sketch.write_to(bytes);
    Ok(())
}

pub fn candidate_from_bytes(bytes: &[u8]) -> Result<Remembered, Malformed> {
    let (head, sketch) = two_parts(body(bytes, layout::CANDIDATE)?)?;
    let head: StoredHead = decode(head)?;
    Ok(Remembered {
        article_id: article_id(head.article_id)?,
        title: head.title.into_owned(),
        url: head.url.into_owned(),
        source: head.source.into_owned(),
        submit_time: Timestamp::from_micros(head.submit_time_micros),
        fingerprint: head.fingerprint.map(Fingerprint),
        story: StoryId(Uuid::from_u128(head.story)),
        sketch: Sketch::from_bytes(sketch).ok_or(Malformed::Content)?,
    })
}

#[derive(Serialize, Deserialize)]
struct StoredContent<'c> {
    #[serde(borrow)]
    article_id: Cow<'c, str>,
    #[serde(borrow)]
    title: Cow<'c, str>,
    #[serde(borrow)]
    body: Cow<'c, str>,
    #[serde(borrow)]
    url: Cow<'c, str>,
    #[serde(borrow)]
    source: Cow<'c, str>,
    /// Seconds and nanoseconds.
    publish_time: Option<(i64, u32)>,
    #[serde(borrow)]
    language: Cow<'c, str>,
    attributes: Cow<'c, BTreeMap<String, String>>,
}

#[derive(Serialize, Deserialize)]
struct StoredOutcome<'o> {
    revision: u32,
    submit_time_micros: i64,
    fingerprint: Option<u64>,
    #[serde(borrow)]
    topics: Vec<StoredTopic<'o>>,
    reliability: u8,
    #[serde(borrow)]
    language: Cow<'o, str>,
    #[serde(borrow)]
    model_version: Cow<'o, str>,
    verdict: u8,
    #[serde(borrow)]
    story: Option<(u128, Cow<'o, str>)>,
    #[serde(borrow)]
    matches: Vec<StoredMatch<'o>>,
    truncated: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredTopic<'o> {
    #[serde(borrow)]
    topic: Cow<'o, str>,
    probability: f64,
    threshold: f64,
    assigned: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredMatch<'o> {
    #[serde(borrow)]
    article_id: Cow<'o, str>,
    kind: u8,
    hamming_distance: Option<u32>,
    similarity: f32,
    containment: f32,
    same_source: bool,
    #[serde(borrow)]
    title: Cow<'o, str>,
    #[serde(borrow)]
    url: Cow<'o, str>,
    #[serde(borrow)]
    source: Cow<'o, str>,
    submit_time_micros: i64,
}

/// The row of an article: the length of what its sender said (4 bytes), that, and what was found
/// out about it.
pub fn write_article(bytes: &mut Vec<u8>, stored: &StoredArticle) -> Result<(), StoreError> {
    let StoredArticle { article_id, article, revision, submit_time, analysis } = stored;
    let content = StoredContent {
        article_id: article_id.as_str().into(),
        title: article.title.as_str().into(),
        body: article.body.as_str().into(),
        url: article.url.as_str().into(),
        source: article.source.as_str().into(),
        publish_time: article.publish_time.map(|time| (time.seconds, time.nanos)),
        language: article.language.as_str().into(),
        attributes: Cow::Borrowed(&article.attributes),
    };
    begin_two_parts(bytes, layout::ARTICLE, &content)?;
    let Analysis { classification, duplicates, fingerprint } = analysis;
    fn topic(score: &TopicScore) -> StoredTopic<'_> {
        StoredTopic {
            topic: Cow::Borrowed(&score.topic),
            probability: score.probability,
            threshold: score.threshold,
            assigned: score.assigned,
        }
    }
    fn found(found: &Match) -> StoredMatch<'_> {
        StoredMatch {
            article_id: found.article_id.as_str().into(),
            kind: MATCH_KINDS.code(&found.kind),
            hamming_distance: found.hamming_distance,
            similarity: found.similarity,
            containment: found.containment,
            same_source: found.same_source,
            title: found.title.as_str().into(),
            url: found.url.as_str().into(),
            source: found.source.as_str().into(),
            submit_time_micros: found.submit_time.micros(),
        }
    }
    let story = duplicates.story.as_ref();
    let outcome = StoredOutcome {
        revision: *revision,
        submit_time_micros: submit_time.micros(),
        fingerprint: fingerprint.map(|fingerprint| fingerprint.0),
        topics: classification.topics.iter().map(topic).collect(),
        reliability: RELIABILITIES.code(&classification.reliability),
        language: classification.language.as_str().into(),
        model_version: classification.model_version.as_str().into(),
        verdict: VERDICTS.code(&duplicates.verdict),
        story: story.map(|story| (story.id.0.as_u128(), story.canonical.as_str().into())),
        matches: duplicates.matches.iter().map(found).collect(),
        truncated: duplicates.truncated,
    };
    encode(bytes, &outcome)
}

pub fn article_from_bytes(bytes: &[u8]) -> Result<StoredArticle, Malformed> {
    let (content, outcome) = two_parts(body(bytes, layout::ARTICLE)?)?;
    let content: StoredContent = decode(content)?;
    let outcome: StoredOutcome = decode(outcome)?;
    let topic = |stored: StoredTopic| TopicScore {
        topic: Arc::from(stored.topic),
        probability: stored.probability,
        threshold: stored.threshold,
        assigned: stored.assigned,
        evidence: Vec::new(),
    };
    let found = |stored: StoredMatch| -> Result<Match, Malformed> {
        Ok(Match {
            article_id: article_id(stored.article_id)?,
            kind: MATCH_KINDS.value(stored.kind)?,
            hamming_distance: stored.hamming_distance,
            similarity: stored.similarity,
            containment: stored.containment,
            same_source: stored.same_source,
            title: stored.title.into_owned(),
            url: stored.url.into_owned(),
            source: stored.source.into_owned(),
            submit_time: Timestamp::from_micros(stored.submit_time_micros),
            overlaps: Vec::new(),
        })
    };
    let story = match outcome.story {
        Some((id, canonical)) => {
            Some(Story { id: StoryId(Uuid::from_u128(id)), canonical: article_id(canonical)? })
        }
        None => None,
    };
    Ok(StoredArticle {
        article_id: article_id(content.article_id)?,
        article: Article {
            title: content.title.into_owned(),
            body: content.body.into_owned(),
            url: content.url.into_owned(),
            source: content.source.into_owned(),
            publish_time: content.publish_time.map(|(seconds, nanos)| Timestamp { seconds, nanos }),
            language: content.language.into_owned(),
            attributes: content.attributes.into_owned(),
        },
        revision: outcome.revision,
        submit_time: Timestamp::from_micros(outcome.submit_time_micros),
        analysis: Analysis {
            classification: Classification {
                topics: outcome.topics.into_iter().map(topic).collect(),
                reliability: RELIABILITIES.value(outcome.reliability)?,
                language: outcome.language.into_owned(),
                model_version: outcome.model_version.into_owned(),
            },
            duplicates: DuplicateReport {
                verdict: VERDICTS.value(outcome.verdict)?,
                story,
                matches: outcome.matches.into_iter().map(found).collect::<Result<_, _>>()?,
                truncated: outcome.truncated,
            },
            fingerprint: outcome.fingerprint.map(Fingerprint),
        },
    })
}

/// Which number stands for which value. A number is for good.
struct Codes<T: 'static>(&'static [(u8, T)]);

const VERDICTS: Codes<Verdict> = Codes(&[
    (1, Verdict::Unique),
    (2, Verdict::Exact),
    (3, Verdict::Near),
    (4, Verdict::Partial),
    (5, Verdict::InsufficientText),
]);

const MATCH_KINDS: Codes<Option<MatchKind>> = Codes(&[
    (0, None),
    (1, Some(MatchKind::Exact)),
    (2, Some(MatchKind::Near)),
    (3, Some(MatchKind::Partial)),
]);

const RELIABILITIES: Codes<Reliability> = Codes(&[
    (1, Reliability::Reliable),
    (2, Reliability::UnsupportedLanguage),
    (3, Reliability::InsufficientText),
]);

impl<T: Copy + PartialEq> Codes<T> {
    /// 255, which nothing is read as, for a value that has no number: a test sees to it that all do.
    fn code(&self, value: &T) -> u8 {
        self.0.iter().find(|(_, known)| known == value).map_or(u8::MAX, |&(code, _)| code)
    }

    fn value(&self, code: u8) -> Result<T, Malformed> {
        let known = self.0.iter().find(|&&(known, _)| known == code);
        known.map(|&(_, value)| value).ok_or(Malformed::Content)
    }
}

/// Counts of a collection, by its articles before a submission.
pub fn counts_to_bytes(next: Seq, counts: &Counts) -> Vec<u8> {
    [&[layout::COUNTS][..], &next.to_le_bytes(), &counts.to_bytes()].concat()
}

pub fn counts_from_bytes(bytes: &[u8]) -> Result<(Seq, Counts), Malformed> {
    let mut fields = Fields(body(bytes, layout::COUNTS)?);
    let next = Seq::from_le_bytes(fields.take()?);
    Ok((next, Counts::from_bytes(fields.0).ok_or(Malformed::Content)?))
}

/// A number as a record of its own.
pub fn number_to_bytes(number: u64) -> [u8; 9] {
    let mut bytes = [layout::NUMBER; 9];
    bytes[1..].copy_from_slice(&number.to_le_bytes());
    bytes
}

pub fn number_from_bytes(bytes: &[u8]) -> Result<u64, Malformed> {
    let mut fields = Fields(body(bytes, layout::NUMBER)?);
    let number = u64::from_le_bytes(fields.take()?);
    fields.end(number)
}

fn article_id(id: impl Into<String>) -> Result<ArticleId, Malformed> {
    ArticleId::new(id).map_err(|_| Malformed::Content)
}

/// What follows the byte that tells the layout.
fn body(bytes: &[u8], expected: u8) -> Result<&[u8], Malformed> {
    match bytes.split_first() {
        Some((&layout, body)) if layout == expected => Ok(body),
        Some((&layout, _)) => Err(Malformed::UnknownLayout(layout)),
        None => Err(Malformed::Content),
    }
}

/// Cuts what has the length of its first part, in 4 bytes, before it.
fn two_parts(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut fields = Fields(bytes);
    let len = u32::from_le_bytes(fields.take()?) as usize;
    fields.0.split_at_checked(len).ok_or(Malformed::Content)
}

/// Begins a record with its layout, and the first of its two parts.
fn begin_two_parts<T: Serialize>(
    bytes: &mut Vec<u8>,
    layout: u8,
    first: &T,
) -> Result<(), StoreError> {
    const START: usize = 1 + size_of::<u32>();
    bytes.clear();
    bytes.extend([layout, 0, 0, 0, 0]);
    encode(bytes, first)?;
    let len = (bytes.len() - START) as u32;
    bytes[1..START].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

fn encode<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), StoreError> {
    postcard::to_io(value, bytes)
        .map(drop)
        .map_err(|error| StoreError::Damaged(format!("a record cannot be written: {error}")))
}

fn decode<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Malformed::Content),
    }
}

/// Fixed fields, one after another.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::Content)?;
        self.0 = rest;
        Ok(*field)
    }

    fn end<T>(self, record: T) -> Result<T, Malformed> {
        if self.0.is_empty() { Ok(record) } else { Err(Malformed::Content) }
    }
}

/// The key of an article's rows: articles of a collection sort by their submission.
pub fn seq_key(collection: CollectionNumber, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&collection.to_be_bytes());
    key[4..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The collection and the submission that a key made by [`seq_key`] is of.
pub fn parts_of_key(key: &[u8]) -> Option<(CollectionNumber, Seq)> {
    let (collection, seq) = key.split_first_chunk()?;
    Some((CollectionNumber::from_be_bytes(*collection), Seq::from_be_bytes(seq.try_into().ok()?)))
}

pub fn id_key(collection: CollectionNumber, id: &ArticleId) -> Vec<u8> {
    [&collection.to_be_bytes()[..], id.as_str().as_bytes()].concat()
}

pub fn story_key(collection: CollectionNumber, story: StoryId) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&collection.to_be_bytes());
    key[4..].copy_from_slice(story.0.as_bytes());
    key
}

/// Names a row for people.
pub fn place(what: &str, collection: &CollectionName, seq: Seq) -> impl FnOnce() -> String {
    move || format!("{what} {seq} of collection '{collection}'")
}

/// Any bytes are refused, or they are a record that stands the same after it is written again.
#[cfg(any(fuzzing, test))]
pub fn check_any_bytes(bytes: &[u8]) {
    fn check<T>(
        bytes: &[u8],
        read: impl Fn(&[u8]) -> Result<T, Malformed>,
        write: impl Fn(&T) -> Vec<u8>,
    ) {
        if let Ok(record) = read(bytes) {
            let written = write(&record);
            let again = read(&written).map(|record| write(&record));
            assert!(again.is_ok_and(|again| again == written));
        }
    }
    let in_buffer = |write: &dyn Fn(&mut Vec<u8>) -> Result<(), StoreError>| {
        let mut buffer = Vec::new();
        assert!(write(&mut buffer).is_ok());
        buffer
    };
    check(bytes, CollectionRecord::from_bytes, |record| record.to_bytes().unwrap_or_default());
    check(bytes, IdRecord::from_bytes, |record| record.to_bytes().to_vec());
    check(bytes, IndexRecord::from_bytes, |record| index_to_bytes(record.entry, &record.keys));
    check(bytes, candidate_from_bytes, |record| {
        in_buffer(&|buffer| write_candidate(buffer, record))
    });
    check(bytes, article_from_bytes, |record| in_buffer(&|buffer| write_article(buffer, record)));
    check(bytes, counts_from_bytes, |(next, counts)| counts_to_bytes(*next, counts));
    check(bytes, number_from_bytes, |number| number_to_bytes(*number).to_vec());
    parts_of_key(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::Document;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn stored() -> StoredArticle {
        let found = Match {
            article_id: ArticleId::new("tolls").unwrap(),
            kind: Some(MatchKind::Near),
            hamming_distance: Some(3),
            similarity: 0.75,
            containment: 0.5,
            same_source: true,
            title: "Tolls".to_owned(),
            url: "u".to_owned(),
            source: "Courier".to_owned(),
            submit_time: Timestamp::from_micros(1_000_001),
            overlaps: Vec::new(),
        };
        StoredArticle {
            article_id: ArticleId::new("id").unwrap(),
            article: Article {
                title: "Title".to_owned(),
                body: "Body".to_owned(),
                url: "url".to_owned(),
                source: "source".to_owned(),
                publish_time: Some(Timestamp { seconds: -1, nanos: 999 }),
                language: "en".to_owned(),
                attributes: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
            },
            revision: 7,
            submit_time: Timestamp::from_micros(1_700_000_000_000_000),
            analysis: Analysis {
                classification: Classification {
                    topics: vec![TopicScore {
                        topic: "trade".into(),
                        probability: 0.5,
                        threshold: 0.25,
                        assigned: true,
                        evidence: Vec::new(),
                    }],
                    reliability: Reliability::Reliable,
                    language: "en".to_owned(),
                    model_version: "m".to_owned(),
                },
                duplicates: DuplicateReport {
                    verdict: Verdict::Near,
                    story: Some(Story {
                        id: StoryId(Uuid::from_u128(0x0123_4567_89ab_cdef)),
                        canonical: ArticleId::new("tolls").unwrap(),
                    }),
                    matches: vec![found],
                    truncated: true,
                },
                fingerprint: Some(Fingerprint(0xfedc_ba98)),
            },
        }
    }

    fn entry() -> Entry {
        Entry {
            fingerprint: Some(Fingerprint(0x0102_0304_0506_0708)),
            story: StoryNumber(9),
            submit_time: Timestamp::from_micros(1_700_000_000_000_000),
            content_tag: 0xabcd,
            is_revised: true,
        }
    }

    /// These bytes stand on disks: another layout needs another number, and this one still has to
    /// be read.
    #[test]
    fn layouts_stay_what_they_are() {
        let id = IdRecord { seq: 1, revision: 2, first: 3, content_hash: 4 };
        assert_eq!(
            hex(&id.to_bytes()),
            "02010000000000000002000000030000000000000004000000000000000000000000000000"
        );
        assert_eq!(IdRecord::from_bytes(&id.to_bytes()), Ok(id));

        let index = IndexRecord { entry: entry(), keys: vec![1, 0xff00_00ff] };
        assert_eq!(
            hex(&index_to_bytes(index.entry, &index.keys)),
            "02030807060504030201090000000000000000401e18240a0600cdab01000000ff0000ff"
        );
        assert_eq!(IndexRecord::from_bytes(&index_to_bytes(index.entry, &index.keys)), Ok(index));

        let collection = CollectionRecord {
            number: 300,
            settings: CollectionSettings {
                retention: Some(Duration::from_secs(60)),
                keep_bodies: false,
                candidate_hamming_distance: 5,
                near_threshold: Some(0.5),
                partial_threshold: None,
            },
            create_time: Timestamp::from_micros(-1),
        };
        let bytes = collection.to_bytes().unwrap();
        assert_eq!(hex(&bytes), "02ac02013c000501000000000000e03f0001");
        assert_eq!(CollectionRecord::from_bytes(&bytes), Ok(collection));

        assert_eq!(hex(&number_to_bytes(258)), "010201000000000000");
        assert_eq!(number_from_bytes(&number_to_bytes(258)), Ok(258));

        let stored = stored();
        let mut bytes = Vec::new();
        write_article(&mut bytes, &stored).unwrap();
        assert_eq!(
            hex(&bytes),
            "022b000000026964055469746c6504426f64790375726c06736f757263650101e70702656e01036b\
             65790576616c7565078080f281838985060198f5f2f60f01057472616465000000000000e03f0000\
             00000000d03f010102656e016d0301ef9bafcdf8acd1910105746f6c6c730105746f6c6c73020103\
             0000403f0000003f0105546f6c6c73017507436f757269657282897a01"
        );
        assert_eq!(article_from_bytes(&bytes), Ok(stored));

        let remembered = Remembered {
            article_id: ArticleId::new("id").unwrap(),
            title: "Title".to_owned(),
            url: String::new(),
            source: "s".to_owned(),
            submit_time: Timestamp::from_micros(2),
            fingerprint: None,
            story: StoryId(Uuid::from_u128(1)),
            sketch: Sketch::new(&Document::default()),
        };
        write_candidate(&mut bytes, &remembered).unwrap();
        assert_eq!(
            hex(&bytes),
            "010f000000026964055469746c65000173040001618db07938f4d1e0000000000000"
        );
        assert_eq!(candidate_from_bytes(&bytes), Ok(remembered));
    }

    #[test]
    fn every_value_has_a_code_of_its_own() {
        use {Reliability as R, Verdict as V};
        for verdict in [V::Unique, V::Exact, V::Near, V::Partial, V::InsufficientText] {
            assert_eq!(VERDICTS.value(VERDICTS.code(&verdict)), Ok(verdict));
        }
        for reliability in [R::Reliable, R::UnsupportedLanguage, R::InsufficientText] {
            assert_eq!(RELIABILITIES.value(RELIABILITIES.code(&reliability)), Ok(reliability));
        }
        let kinds = [MatchKind::Exact, MatchKind::Near, MatchKind::Partial].map(Some);
        for kind in kinds.into_iter().chain([None]) {
            assert_eq!(MATCH_KINDS.value(MATCH_KINDS.code(&kind)), Ok(kind));
        }
    }

    #[test]
    fn other_layouts_are_told_apart_from_damage() {
        assert_eq!(IdRecord::from_bytes(&[9, 0]), Err(Malformed::UnknownLayout(9)));
        assert_eq!(IdRecord::from_bytes(&[]), Err(Malformed::Content));
        let mut whole = Vec::new();
        write_article(&mut whole, &stored()).unwrap();
        for len in 1..whole.len() {
            assert_eq!(article_from_bytes(&whole[..len]), Err(Malformed::Content), "{len}");
        }
        assert_eq!(article_from_bytes(&[&whole[..], &[0]].concat()), Err(Malformed::Content));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(layout in 0..4_u8, rest in prop::collection::vec(any::<u8>(), 0..120)) {
            let bytes = [&[layout][..], &rest].concat();
            let _ = (article_from_bytes(&bytes), candidate_from_bytes(&bytes));
            let _ = (CollectionRecord::from_bytes(&bytes), number_from_bytes(&bytes));
            if let Ok(record) = IndexRecord::from_bytes(&bytes) {
                prop_assert_eq!(IndexRecord::from_bytes(&index_to_bytes(record.entry, &record.keys)), Ok(record));
            }
            if let Ok(record) = IdRecord::from_bytes(&bytes) {
                prop_assert_eq!(&record.to_bytes()[..], &bytes[..]);
            }
        }
    }
}
