//! Between the messages of the contract and our own types. Requests are checked here, every field
//! at once; what passes needs no more checking.

use std::time::Duration;

use uuid::Uuid;

use super::error::Violations;
use super::pb;
use crate::analyser::{Submission, to_f64};
use crate::analysis::{
    Analysis, Classification, DuplicateReport, Match, Reliability, TopicScore, Verdict,
};
use crate::article::{Article, ArticleId, CollectionName, Timestamp};
use crate::config::Limits;
use crate::duplicates::{MatchKind, Overlap};
use crate::simhash;
use crate::store::{
    CollectionInfo, CollectionSettings, ListFilter, Seq, SimilarQuery, StoredArticle, Submitted,
};

const MATCHES_DEFAULT: usize = 10;
const SIMILAR_DEFAULT: usize = 100;
const PAGE_SIZE_DEFAULT: usize = 100;
const CANDIDATE_HAMMING_DISTANCE_MAX: i32 = 16;
const RETENTION_SECONDS_MIN: i64 = 60;

/// About 10,000 years, as google.protobuf.Duration has it.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// The years 1 to 9999, as google.protobuf.Timestamp demands.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An article to submit or analyse, which stands in a field of that name.
pub fn submission_at(
    field: &str,
    collection: String,
    article: Option<pb::Article>,
    options: Option<pb::AnalysisOptions>,
    limits: Limits,
) -> Result<Submission, Violations> {
    let mut violations = Violations::default();
    let collection = violations.note("collection", CollectionName::new(collection));
    let options = options.unwrap_or_default();
    let matches_max = violations.note(
        "options.max_matches",
        count(options.max_matches, MATCHES_DEFAULT, Limits::MATCHES_MAX),
    );
    let Some(article) = article else {
        violations.add(field, "must be set");
        return Err(violations);
    };
    let id = (!article.article_id.is_empty())
        .then(|| {
            violations
                .note(&format!("{field}.article_id"), ArticleId::new(article.article_id.as_str()))
        })
        .flatten();
    let article = check_article(field, article, limits, &mut violations);
    violations.check()?;
    Ok(Submission {
        collection: collection.unwrap_or_default(),
        article_id: id,
        article,
        explain: options.explain,
        matches_max: matches_max.unwrap_or(MATCHES_DEFAULT),
    })
}

fn check_article(
    field: &str,
    article: pb::Article,
    limits: Limits,
    violations: &mut Violations,
) -> Article {
    let mut at_most = |name: &str, len: usize, max: usize| {
        if len > max {
            violations.add(
                format!("{field}.{name}"),
                format!("has {len} bytes; at most {max} are allowed"),
            );
        }
    };
    at_most("title", article.title.len(), limits.title_bytes_max);
    at_most("body", article.body.len(), limits.body_bytes_max);
    at_most("url", article.url.len(), Limits::URL_BYTES_MAX);
    at_most("source", article.source.len(), Limits::SOURCE_BYTES_MAX);
    at_most("language", article.language.len(), Limits::LANGUAGE_BYTES_MAX);
    for (key, value) in &article.attributes {
        let key_start: String = key.chars().take(40).collect();
        at_most(
            &format!("attributes[\"{key_start}\"]"),
            value.len(),
            Limits::ATTRIBUTE_VALUE_BYTES_MAX,
        );
    }
    if article.title.trim().is_empty() && article.body.trim().is_empty() {
        violations.add(format!("{field}.title"), "must not be blank if the body is");
        violations.add(format!("{field}.body"), "must not be blank if the title is");
    }
    if article.attributes.len() > Limits::ATTRIBUTES_MAX {
        let (found, max) = (article.attributes.len(), Limits::ATTRIBUTES_MAX);
        violations.add(
            format!("{field}.attributes"),
            format!("has {found} entries; at most {max} are allowed"),
        );
    }
    let key_range = 1..=Limits::ATTRIBUTE_KEY_BYTES_MAX;
    if article.attributes.keys().any(|key| !key_range.contains(&key.len())) {
        violations.add(format!("{field}.attributes"), "must have keys of 1 to 128 bytes");
    }
    if !is_language_tag(&article.language) {
        violations
            .add(format!("{field}.language"), "must be a BCP 47 tag such as \"en\" or \"pt-BR\"");
    }
    let publish_time = article
        .publish_time
        .and_then(|time| violations.note(&format!("{field}.publish_time"), timestamp_from(time)));
    Article {
        title: article.title,
        body: article.body,
        url: article.url,
        source: article.source,
        publish_time,
        language: article.language,
        attributes: article.attributes.into_iter().collect(),
    }
}

/// Empty, or subtags of 1 to 8 letters and digits joined by hyphens, the first of letters only:
/// <https://www.rfc-editor.org/rfc/rfc5646#section-2.1>. Whether they are registered is not asked.
fn is_language_tag(tag: &str) -> bool {
    let is_subtag = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let primary = tag.split('-').next().unwrap_or_default();
    tag.is_empty()
        || tag.split('-').all(is_subtag) && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// A count of which 0 means the default.
fn count(value: i32, default: usize, max: usize) -> Result<usize, String> {
    match usize::try_from(value) {
        Ok(0) => Ok(default),
        Ok(value) if value <= max => Ok(value),
        _ => Err(format!("must be between 0 and {max}")),
    }
}

fn page_size(value: i32) -> Result<usize, &'static str> {
    match usize::try_from(value) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(value) => Ok(value.min(Limits::PAGE_SIZE_MAX)),
        Err(_) => Err("must not be negative"),
    }
}

/// An article by its names.
pub fn article_name(
    collection: String,
    article_id: String,
) -> Result<(CollectionName, ArticleId), Violations> {
    let mut violations = Violations::default();
    let collection = violations.note("collection", CollectionName::new(collection));
    let id = violations.note("article_id", ArticleId::new(article_id));
    collection.zip(id).ok_or(violations)
}

pub fn collection_name(collection: String) -> Result<CollectionName, Violations> {
    CollectionName::new(collection)
        .map_err(|description| Violations::one("collection", description))
}

/// What a list request asks for.
pub struct ListQuery {
    pub collection: CollectionName,
    pub filter: ListFilter,
    pub begin: Option<Seq>,
    pub page_size: usize,
}

impl TryFrom<pb::ListArticlesRequest> for ListQuery {
    type Error = Violations;

    fn try_from(request: pb::ListArticlesRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let collection = violations.note("collection", CollectionName::new(request.collection));
        let page_size = violations.note("page_size", page_size(request.page_size));
        let begin = violations.note("page_token", begin_from(&request.page_token));
        let story = (!request.story_id.is_empty())
            .then(|| violations.note("story_id", story_id(&request.story_id)))
            .flatten();
        let mut time = |field: &str, time: Option<prost_types::Timestamp>| {
            time.and_then(|time| violations.note(field, timestamp_from(time)))
        };
        let submitted_from = time("submitted_after", request.submitted_after);
        let submitted_before = time("submitted_before", request.submitted_before);
        let topic = (!request.topic.is_empty()).then_some(request.topic);
        let filter = ListFilter { topic, story, submitted_from, submitted_before };
        violations.check()?;
        Ok(ListQuery {
            collection: collection.unwrap_or_default(),
            filter,
            begin: begin.flatten(),
            page_size: page_size.unwrap_or(PAGE_SIZE_DEFAULT),
        })
    }
}

/// What a story request asks for.
pub struct StoryQuery {
    pub collection: CollectionName,
    pub story: Uuid,
    pub begin: Option<Seq>,
    pub page_size: usize,
}

impl TryFrom<pb::GetStoryRequest> for StoryQuery {
    type Error = Violations;

    fn try_from(request: pb::GetStoryRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let collection = violations.note("collection", CollectionName::new(request.collection));
        let story = violations.note("story_id", story_id(&request.story_id));
        let page_size = violations.note("page_size", page_size(request.page_size));
        let begin = violations.note("page_token", begin_from(&request.page_token));
        let (Some(collection), Some(story), Some(begin), Some(page_size)) =
            (collection, story, begin, page_size)
        else {
            return Err(violations);
        };
        Ok(StoryQuery { collection, story, begin, page_size })
    }
}

/// What a search by fingerprint asks for.
pub struct SimilarRequest {
    pub collection: CollectionName,
    pub query: SimilarQuery,
    pub radius: u32,
    pub max: usize,
}

impl TryFrom<pb::FindSimilarRequest> for SimilarRequest {
    type Error = Violations;

    fn try_from(request: pb::FindSimilarRequest) -> Result<Self, Violations> {
        use pb::find_similar_request::Query;
        let mut violations = Violations::default();
        let collection = violations.note("collection", CollectionName::new(request.collection));
        let query = match request.query {
            Some(Query::ArticleId(id)) => {
                violations.note("article_id", ArticleId::new(id)).map(SimilarQuery::Article)
            }
            Some(Query::Simhash(simhash)) => Some(SimilarQuery::Fingerprint(simhash)),
            None => {
                violations.add("query", "must be set: article_id or simhash");
                None
            }
        };
        let radius = violations.note("max_hamming_distance", radius(request.max_hamming_distance));
        let max = count(request.max_matches, SIMILAR_DEFAULT, Limits::SIMILAR_MAX);
        let max = violations.note("max_matches", max);
        let (Some(collection), Some(query), Some(radius), Some(max)) =
            (collection, query, radius, max)
        else {
            return Err(violations);
        };
        Ok(SimilarRequest { collection, query, radius, max })
    }
}

fn radius(value: i32) -> Result<u32, &'static str> {
    u32::try_from(value).ok().filter(|&radius| radius <= 64).ok_or("must be between 0 and 64")
}

pub fn story_id(id: &str) -> Result<Uuid, &'static str> {
    Uuid::parse_str(id).map_err(|_| "must be a story's id as an analysis tells it")
}

/// A page token is the submission that the page begins at.
fn begin_from(token: &str) -> Result<Option<Seq>, &'static str> {
    if token.is_empty() {
        return Ok(None);
    }
    let seq = Seq::from_str_radix(token, 16);
    seq.map(Some).map_err(|_| "must be the next_page_token of an earlier answer")
}

pub fn page_token(next: Option<Seq>) -> String {
    next.map(|seq| format!("{seq:x}")).unwrap_or_default()
}

fn timestamp_from(time: prost_types::Timestamp) -> Result<Timestamp, &'static str> {
    match u32::try_from(time.nanos) {
        Ok(nanos) if nanos < 1_000_000_000 && TIMESTAMP_SECONDS.contains(&time.seconds) => {
            Ok(Timestamp { seconds: time.seconds, nanos })
        }
        _ => Err("must be a valid timestamp of the years 1 to 9999"),
    }
}

pub fn timestamp_to(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.seconds, nanos: time.nanos as i32 }
}

pub fn submitted_to(
    collection: &CollectionName,
    submitted: Submitted,
) -> pb::SubmitArticleResponse {
    pb::SubmitArticleResponse {
        collection: collection.to_string(),
        article_id: submitted.article_id.to_string(),
        revision: submitted.revision as i32,
        replayed: submitted.replayed,
        submit_time: Some(timestamp_to(submitted.submit_time)),
        analysis: Some(submitted.analysis.into()),
    }
}

impl From<Analysis> for pb::Analysis {
    fn from(analysis: Analysis) -> Self {
        pb::Analysis {
            classification: Some(analysis.classification.into()),
            duplicates: Some(analysis.duplicates.into()),
            fingerprint: Some(pb::Fingerprint {
                simhash: analysis.fingerprint,
                scheme: simhash::SCHEME.to_owned(),
            }),
        }
    }
}

impl From<Classification> for pb::Classification {
    fn from(classification: Classification) -> Self {
        let reliability = match classification.reliability {
            Reliability::Reliable => pb::Reliability::Reliable,
            Reliability::UnsupportedLanguage => pb::Reliability::UnsupportedLanguage,
            Reliability::InsufficientText => pb::Reliability::InsufficientText,
        };
        pb::Classification {
            topics: classification.topics.into_iter().map(Into::into).collect(),
            reliability: reliability.into(),
            detected_language: classification.language,
            model_version: classification.model_version,
        }
    }
}

impl From<TopicScore> for pb::TopicScore {
    fn from(score: TopicScore) -> Self {
        let evidence = score.evidence.into_iter();
        pb::TopicScore {
            topic: score.topic,
            probability: score.probability,
            threshold: score.threshold,
            assigned: score.assigned,
            evidence: evidence
                .map(|evidence| pb::TopicEvidence { text: evidence.text, weight: evidence.weight })
                .collect(),
        }
    }
}

impl From<DuplicateReport> for pb::DuplicateReport {
    fn from(report: DuplicateReport) -> Self {
        let verdict = match report.verdict {
            Verdict::Unique => pb::Verdict::Unique,
            Verdict::Exact => pb::Verdict::ExactDuplicate,
            Verdict::Near => pb::Verdict::NearDuplicate,
            Verdict::Partial => pb::Verdict::PartialDuplicate,
            Verdict::InsufficientText => pb::Verdict::InsufficientText,
        };
        let (story_id, canonical_article_id) = match report.story {
            Some(story) => (story.id.to_string(), story.canonical.to_string()),
            None => (String::new(), String::new()),
        };
        pb::DuplicateReport {
            verdict: verdict.into(),
            story_id,
            canonical_article_id,
            matches: report.matches.into_iter().map(Into::into).collect(),
            truncated: report.truncated,
        }
    }
}

impl From<Match> for pb::Match {
    fn from(found: Match) -> Self {
        let kind = match found.kind {
            None => pb::MatchKind::Unspecified,
            Some(MatchKind::Exact) => pb::MatchKind::Exact,
            Some(MatchKind::Near) => pb::MatchKind::Near,
            Some(MatchKind::Partial) => pb::MatchKind::Partial,
        };
        pb::Match {
            article_id: found.article_id.to_string(),
            kind: kind.into(),
            hamming_distance: found.hamming_distance.map(|distance| distance as i32),
            similarity: to_f64(found.similarity),
            containment: to_f64(found.containment),
            same_source: found.same_source,
            title: found.title,
            url: found.url,
            source: found.source,
            submit_time: Some(timestamp_to(found.submit_time)),
            overlaps: found.overlaps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Overlap> for pb::Overlap {
    fn from(overlap: Overlap) -> Self {
        pb::Overlap {
            start: overlap.a.start as i32,
            end: overlap.a.end as i32,
            matched_start: overlap.b.start as i32,
            matched_end: overlap.b.end as i32,
        }
    }
}

impl From<StoredArticle> for pb::StoredArticle {
    fn from(stored: StoredArticle) -> Self {
        let article = stored.article;
        pb::StoredArticle {
            article: Some(pb::Article {
                article_id: stored.article_id.to_string(),
                title: article.title,
                body: article.body,
                url: article.url,
                source: article.source,
                publish_time: article.publish_time.map(timestamp_to),
                language: article.language,
                attributes: article.attributes.into_iter().collect(),
            }),
            revision: stored.revision as i32,
            submit_time: Some(timestamp_to(stored.submit_time)),
            analysis: Some(stored.analysis.into()),
        }
    }
}

pub fn settings_from(
    settings: Option<pb::CollectionSettings>,
) -> Result<CollectionSettings, Violations> {
    let Some(settings) = settings else {
        return Err(Violations::one("settings", "must be set"));
    };
    let defaults = CollectionSettings::default();
    let mut violations = Violations::default();
    let retention = settings
        .retention
        .and_then(|retention| violations.note("settings.retention", retention_from(retention)));
    let radius =
        settings.candidate_hamming_distance.unwrap_or(defaults.candidate_hamming_distance as i32);
    if !(0..=CANDIDATE_HAMMING_DISTANCE_MAX).contains(&radius) {
        violations.add("settings.candidate_hamming_distance", "must be between 0 and 16");
    }
    let mut threshold = |field: &str, value: Option<f64>| {
        if value.is_some_and(|value| !(value > 0.0 && value < 1.0)) {
            violations.add(field, "must be greater than 0 and less than 1");
        }
        value
    };
    let near_threshold = threshold("settings.near_threshold", settings.near_threshold);
    let partial_threshold = threshold("settings.partial_threshold", settings.partial_threshold);
    violations.check()?;
    Ok(CollectionSettings {
        retention,
        keep_bodies: settings.keep_bodies.unwrap_or(defaults.keep_bodies),
        candidate_hamming_distance: radius as u32,
        near_threshold,
        partial_threshold,
    })
}

fn retention_from(retention: prost_types::Duration) -> Result<Duration, &'static str> {
    if retention.seconds > DURATION_SECONDS_MAX || !(0..1_000_000_000).contains(&retention.nanos) {
        return Err("must be a valid duration of at most 10,000 years");
    }
    if retention.seconds < RETENTION_SECONDS_MIN {
        return Err("must be at least 1 minute");
    }
    Ok(Duration::from_secs(retention.seconds.unsigned_abs()))
}

impl From<CollectionInfo> for pb::Collection {
    fn from(info: CollectionInfo) -> Self {
        let settings = info.settings;
        pb::Collection {
            collection: info.name.to_string(),
            settings: Some(pb::CollectionSettings {
                retention: settings.retention.map(|retention| prost_types::Duration {
                    seconds: retention.as_secs() as i64,
                    nanos: 0,
                }),
                keep_bodies: Some(settings.keep_bodies),
                candidate_hamming_distance: Some(settings.candidate_hamming_distance as i32),
                near_threshold: settings.near_threshold,
                partial_threshold: settings.partial_threshold,
            }),
            article_count: info.article_count as i64,
            story_count: info.story_count as i64,
            create_time: Some(timestamp_to(info.create_time)),
        }
    }
}

/// What a request for the collections asks for: those after a name, so many.
pub fn collections_page(
    request: pb::ListCollectionsRequest,
) -> Result<(Option<CollectionName>, usize), Violations> {
    let mut violations = Violations::default();
    let page_size = violations.note("page_size", page_size(request.page_size));
    let after = (!request.page_token.is_empty())
        .then(|| {
            let name = CollectionName::new(request.page_token);
            let name = name.map_err(|_| "must be the next_page_token of an earlier answer");
            violations.note("page_token", name)
        })
        .flatten();
    violations.check()?;
    Ok((after, page_size.unwrap_or(PAGE_SIZE_DEFAULT)))
}
