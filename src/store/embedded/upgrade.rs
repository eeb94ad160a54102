//! Data folders of earlier formats are brought up to the present one when they are opened. What is
//! new is written beside what is there, which goes only when the new is whole and marked: an
//! upgrade that is broken off begins again.
//!
//! Format 1 had the words of articles read by an earlier text pipeline. Fingerprints, posting keys
//! and sketches are made anew from the bodies; verdicts, stories and topics stay as they were
//! answered.

use std::path::Path;
use std::time::{Duration, Instant};

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, Readable};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::index::{Entry, Seq, StoryNumber, content_tag};
use super::integrity;
use super::record::{
    CollectionNumber, CollectionRecord, IdRecord, IndexRecord, index_to_bytes, number_to_bytes,
    parts_of_key, write_article, write_candidate,
};
use super::tables::{
    COMMIT, DATABASE_FOLDER, Format, NEXT_COLLECTION, Tables, format_of, is_orphan_key, mark_format,
};
use crate::analysis::{
    Analysis, Classification, DuplicateReport, Fingerprint, Match, Reliability, Story, StoryId,
    TopicScore, Verdict,
};
use crate::article::{Article, ArticleId, Timestamp};
use crate::duplicates::decision::Remembered;
use crate::duplicates::{self, MatchKind, Sketch};
use crate::simhash;
use crate::store::{CollectionSettings, StoreError, StoredArticle};
use crate::text::Document;

/// The folder of the LSM tree in format 1.
const OLD_DATABASE_FOLDER: &str = "db";

/// How often progress is told.
const PROGRESS_PERIOD: Duration = Duration::from_secs(2);

/// Whether this version can open a folder of a format.
pub(super) fn usable(format: &Format) -> Result<(), String> {
    if format.format == 1 || *format == Format::current() {
        return Ok(());
    }
    let Format { format, fingerprint_scheme, text_pipeline } = format;
    Err(format!(
        "it was written with format {format}, {fingerprint_scheme}, {text_pipeline}, which this \
         version does not read"
    ))
}

/// Brings a data folder up to the present format.
pub(super) fn upgrade(folder: &Path) -> Result<(), StoreError> {
    let unusable = |reason: String| StoreError::Unusable { path: folder.to_owned(), reason };
    let Some(format) = format_of(folder).map_err(unusable)? else { return Ok(()) };
    let (old, new) = (folder.join(OLD_DATABASE_FOLDER), folder.join(DATABASE_FOLDER));
    let cannot = || StoreError::io("the upgraded data folder cannot be written");
    if format == Format::current() {
        // The last step of an upgrade that was broken off.
        return if old.exists() { std::fs::remove_dir_all(&old).map_err(cannot()) } else { Ok(()) };
    }
    if format.format != 1 {
        return Ok(());
    }
    let started = Instant::now();
    tracing::warn!(folder = %folder.display(), "bringing the data folder up to format 2");
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(cannot())?;
    }
    integrity::check_manifests(&old)
        .map_err(|error| unusable(format!("{error}; restore a backup")))?;
    integrity::cut_journals(&old, &folder.join("damaged"))
        .map_err(|error| unusable(format!("its journal cannot be read: {error}")))?;
    let articles = rewrite(&old, &new)?;
    mark_format(folder).map_err(cannot())?;
    std::fs::remove_dir_all(&old).map_err(cannot())?;
    tracing::warn!(
        articles,
        duration_ms = started.elapsed().as_secs_f64() * 1e3,
        "the data folder is up to format 2"
    );
    Ok(())
}

/// The tables of format 1 that are read here.
struct Old {
    db: Database,
    meta: Keyspace,
    collections: Keyspace,
    articles: Keyspace,
    index: Keyspace,
    ids: Keyspace,
    stories: Keyspace,
}

impl Old {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let db = Database::builder(folder).journal_compression(CompressionType::None).open()?;
        // A keyspace that is there keeps the options it was made with.
        let table = |name| db.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Old {
            meta: table("meta")?,
            collections: table("collections")?,
            articles: table("articles")?,
            index: table("index")?,
            ids: table("ids")?,
            stories: table("stories")?,
            db,
        })
    }
}

/// Writes everything that is in the old tables into new ones; tells how many articles there are.
fn rewrite(old: &Path, new: &Path) -> Result<u64, StoreError> {
    let old = Old::open(old)?;
    let (new_db, tables) = Tables::open_database(new)?;
    for row in old.meta.iter() {
        let (key, value) = row.into_inner()?;
        match &*key {
            key if key == COMMIT.as_bytes() => {
                let commit: u64 = decode(&value, "the latest commit")?;
                tables.meta.insert(COMMIT, number_to_bytes(commit))?;
            }
            key if key == NEXT_COLLECTION.as_bytes() => {
                let next: CollectionNumber = decode(&value, "the next collection")?;
                tables.meta.insert(NEXT_COLLECTION, number_to_bytes(next.into()))?;
            }
            key if is_orphan_key(key) => tables.meta.insert(key, [])?,
            _ => {}
        }
    }
    for row in old.collections.iter() {
        let (key, value) = row.into_inner()?;
        let record: OldCollection = decode(&value, "a collection")?;
        tables.collections.insert(key, CollectionRecord::from(record).to_bytes()?)?;
    }

    let mut ids = tables.ids.start_ingestion()?;
    for row in old.ids.iter() {
        let (key, value) = row.into_inner()?;
        let OldId { seq, revision, content_hash } = decode(&value, "an id")?;
        ids.write(key, &IdRecord { seq, revision, first: seq, content_hash }.to_bytes()[..])?;
    }
    ids.finish()?;
    let mut stories = tables.stories.start_ingestion()?;
    for row in old.stories.iter() {
        let (key, value) = row.into_inner()?;
        let number: Seq = decode(&value, "a story")?;
        stories.write(key, number_to_bytes(number))?;
    }
    stories.finish()?;

    let mut articles = tables.articles.start_ingestion()?;
    let mut candidates = tables.candidates.start_ingestion()?;
    let mut index = tables.index.start_ingestion()?;
    let (mut count, mut without_text) = (0, 0_u64);
    let mut buffer = Vec::new();
    let mut told = Instant::now();
    let snapshot = old.db.snapshot();
    for row in snapshot.iter(&old.articles) {
        let (key, value) = row.into_inner()?;
        let place = || {
            let (collection, seq) = parts_of_key(&key).unwrap_or_default();
            format!("article {seq} of collection {collection}")
        };
        let stored: OldArticle = decode(&value, &place())?;
        let Some(entry) = snapshot.get(&old.index, &key)? else { continue };
        let entry: OldIndex = decode(&entry, &place())?;
        let new = Upgraded::new(stored, &entry)
            .map_err(|what| StoreError::Damaged(format!("{}: {what}", place())))?;
        without_text += u64::from(new.index.keys.is_empty() && !entry.keys.is_empty());
        write_article(&mut buffer, &new.stored)?;
        articles.write(key.clone(), &buffer[..])?;
        write_candidate(&mut buffer, &new.remembered)?;
        candidates.write(key.clone(), &buffer[..])?;
        index.write(key, index_to_bytes(new.index.entry, &new.index.keys))?;
        count += 1;
        if told.elapsed() >= PROGRESS_PERIOD {
            told = Instant::now();
            tracing::info!(articles = count, "bringing the data folder up to format 2");
        }
    }
    articles.finish()?;
    candidates.finish()?;
    index.finish()?;
    new_db.persist(fjall::PersistMode::SyncAll)?;
    for table in tables.all() {
        table.rotate_memtable_and_wait()?;
    }
    if without_text > 0 {
        tracing::warn!(
            articles = without_text,
            "articles whose bodies were not kept are no longer found as duplicates"
        );
    }
    Ok(count)
}

/// The records of an article in the present format.
struct Upgraded {
    stored: StoredArticle,
    remembered: Remembered,
    index: IndexRecord,
}

impl Upgraded {
    fn new(old: OldArticle, entry: &OldIndex) -> Result<Self, &'static str> {
        let mut stored = StoredArticle::try_from(old)?;
        let Article { title, body, url, source, .. } = &stored.article;
        let document = Document::new(title, body);
        let fingerprint = simhash::fingerprint(&document).map(Fingerprint);
        let sketch = Sketch::new(&document);
        let story = stored.analysis.duplicates.story.as_ref().ok_or("it has no story")?.id;
        let index = IndexRecord {
            entry: Entry {
                fingerprint,
                story: StoryNumber(entry.story),
                submit_time: stored.submit_time,
                content_tag: content_tag(sketch.content()),
                is_revised: stored.revision > 1,
            },
            keys: duplicates::posting_keys(&document),
        };
        let remembered = Remembered {
            article_id: stored.article_id.clone(),
            title: title.clone(),
            url: url.clone(),
            source: source.clone(),
            submit_time: stored.submit_time,
            fingerprint,
            story,
            sketch,
        };
        stored.analysis.fingerprint = fingerprint;
        Ok(Upgraded { stored, remembered, index })
    }
}

/// Reads a value of format 1: a byte that tells its layout, 1, and what is in postcard's format.
fn decode<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, StoreError> {
    let value = bytes.strip_prefix(&[1]).and_then(|bytes| postcard::from_bytes(bytes).ok());
    value.ok_or_else(|| StoreError::Damaged(format!("{place} cannot be read")))
}

#[derive(Deserialize)]
struct OldCollection {
    number: CollectionNumber,
    _name: String,
    settings: OldSettings,
    create_time: OldTime,
}

#[derive(Deserialize)]
struct OldSettings {
    retention: Option<Duration>,
    keep_bodies: bool,
    candidate_hamming_distance: u32,
    near_threshold: Option<f64>,
    partial_threshold: Option<f64>,
}

#[derive(Deserialize)]
struct OldId {
    seq: Seq,
    revision: u32,
    content_hash: u128,
}

#[derive(Deserialize)]
struct OldIndex {
    _fingerprint: Option<u64>,
    story: Seq,
    _submit_time: OldTime,
    keys: Vec<u32>,
}

#[derive(Deserialize)]
struct OldTime {
    seconds: i64,
    nanos: u32,
}

#[derive(Deserialize)]
struct OldArticle {
    article_id: String,
    article: OldContent,
    revision: u32,
    submit_time: OldTime,
    classification: OldClassification,
    duplicates: OldDuplicates,
    _fingerprint: Option<u64>,
}

#[derive(Deserialize)]
struct OldContent {
    title: String,
    body: String,
    url: String,
    source: String,
    publish_time: Option<OldTime>,
    language: String,
    attributes: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct OldClassification {
    topics: Vec<OldTopic>,
    reliability: OldReliability,
    language: String,
    model_version: String,
}

#[derive(Deserialize)]
enum OldReliability {
    Reliable,
    UnsupportedLanguage,
    InsufficientText,
}

#[derive(Deserialize)]
struct OldTopic {
    topic: String,
    probability: f64,
    threshold: f64,
    assigned: bool,
}

#[derive(Deserialize)]
struct OldDuplicates {
    verdict: OldVerdict,
    story: Option<(Uuid, String)>,
    matches: Vec<OldMatch>,
    truncated: bool,
}

#[derive(Deserialize)]
enum OldVerdict {
    Unique,
    Exact,
    Near,
    Partial,
    InsufficientText,
}

#[derive(Deserialize)]
enum OldKind {
    Exact,
    Near,
    Partial,
}

#[derive(Deserialize)]
struct OldMatch {
    article_id: String,
    kind: Option<OldKind>,
    hamming_distance: Option<u32>,
    similarity: f32,
    containment: f32,
    same_source: bool,
    title: String,
    url: String,
    source: String,
    submit_time: OldTime,
}

impl From<OldTime> for Timestamp {
    fn from(OldTime { seconds, nanos }: OldTime) -> Self {
        Timestamp { seconds, nanos }
    }
}

impl From<OldCollection> for CollectionRecord {
    fn from(old: OldCollection) -> Self {
        let settings = old.settings;
        CollectionRecord {
            number: old.number,
            settings: CollectionSettings {
                retention: settings.retention,
                keep_bodies: settings.keep_bodies,
                candidate_hamming_distance: settings.candidate_hamming_distance,
                near_threshold: settings.near_threshold,
                partial_threshold: settings.partial_threshold,
            },
            create_time: old.create_time.into(),
        }
    }
}

impl TryFrom<OldArticle> for StoredArticle {
    type Error = &'static str;

    fn try_from(old: OldArticle) -> Result<Self, &'static str> {
        let (content, classification) = (old.article, old.classification);
        let topics = classification.topics.into_iter().map(|old| TopicScore {
            topic: old.topic.into(),
            probability: old.probability,
            threshold: old.threshold,
            assigned: old.assigned,
            evidence: Vec::new(),
        });
        let story = match old.duplicates.story {
            Some((id, canonical)) => {
                Some(Story { id: StoryId(id), canonical: ArticleId::new(canonical)? })
            }
            None => None,
        };
        let matches = old.duplicates.matches.into_iter().map(Match::try_from);
        Ok(StoredArticle {
            article_id: ArticleId::new(old.article_id)?,
            article: Article {
                title: content.title,
                body: content.body,
                url: content.url,
                source: content.source,
                publish_time: content.publish_time.map(Into::into),
                language: content.language,
                attributes: content.attributes,
            },
            revision: old.revision,
            submit_time: old.submit_time.into(),
            analysis: Analysis {
                classification: Classification {
                    topics: topics.collect(),
                    reliability: match classification.reliability {
                        OldReliability::Reliable => Reliability::Reliable,
                        OldReliability::UnsupportedLanguage => Reliability::UnsupportedLanguage,
                        OldReliability::InsufficientText => Reliability::InsufficientText,
                    },
                    language: classification.language,
                    model_version: classification.model_version,
                },
                duplicates: DuplicateReport {
                    verdict: match old.duplicates.verdict {
                        OldVerdict::Unique => Verdict::Unique,
                        OldVerdict::Exact => Verdict::Exact,
                        OldVerdict::Near => Verdict::Near,
                        OldVerdict::Partial => Verdict::Partial,
                        OldVerdict::InsufficientText => Verdict::InsufficientText,
                    },
                    story,
                    matches: matches.collect::<Result<_, _>>()?,
                    truncated: old.duplicates.truncated,
                },
                fingerprint: None,
            },
        })
    }
}

impl TryFrom<OldMatch> for Match {
    type Error = &'static str;

    fn try_from(old: OldMatch) -> Result<Self, &'static str> {
        Ok(Match {
            article_id: ArticleId::new(old.article_id)?,
            kind: old.kind.map(|kind| match kind {
                OldKind::Exact => MatchKind::Exact,
                OldKind::Near => MatchKind::Near,
                OldKind::Partial => MatchKind::Partial,
            }),
            hamming_distance: old.hamming_distance,
            similarity: old.similarity,
            containment: old.containment,
            same_source: old.same_source,
            title: old.title,
            url: old.url,
            source: old.source,
            submit_time: old.submit_time.into(),
            overlaps: Vec::new(),
        })
    }
}
