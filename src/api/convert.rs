//! Between the messages of the contract and our own types. Requests are checked here, every field
//! at once; what passes needs no more checking.

use std::time::Duration;

use super::error::Violations;
use super::pb;
use crate::analyser::{Submission, to_f64};
use crate::analysis::{
    Analysis, Classification, DuplicateReport, Fingerprint, Match, Reliability, StoryId,
    TopicScore, Verdict,
};
use crate::article::{Article, ArticleId, CollectionName, Timestamp};
use crate::config::Limits;
use crate::duplicates::{MatchKind, Overlap};
use crate::simhash;
use crate::store::{
    CollectionInfo, CollectionSettings, ListFilter, PageToken, SimilarQuery, StoredArticle,
    Submitted,
};

const MATCHES_DEFAULT: usize = 10;
const SIMILAR_DEFAULT: usize = 100;
const PAGE_SIZE_DEFAULT: usize = 100;
const CANDIDATE_HAMMING_DISTANCE_MAX: i32 = 16;

/// A minute, and the 10,000 years or so that google.protobuf.Duration allows.
const RETENTION_SECONDS: std::ops::RangeInclusive<i64> = 60..=315_576_000_000;

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

/// How much of a remembered article an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Everything but the body.
    Basic,
    Full,
}

impl View {
    pub fn of(self, mut stored: StoredArticle) -> pb::StoredArticle {
        if self == View::Basic {
            stored.article.body.clear();
        }
        stored.into()
    }
}

impl TryFrom<i32> for View {
    type Error = &'static str;

    fn try_from(view: i32) -> Result<Self, &'static str> {
        match pb::ArticleView::try_from(view) {
            Ok(pb::ArticleView::Basic) => Ok(View::Basic),
            Ok(pb::ArticleView::Unspecified | pb::ArticleView::Full) => Ok(View::Full),
            Err(_) => Err("must be an ArticleView that the server knows"),
        }
    }
}

/// What a list request asks for.
pub struct ListQuery {
    pub collection: CollectionName,
    pub filter: ListFilter,
    pub token: PageToken,
    pub page_size: usize,
    pub view: View,
}

impl TryFrom<pb::ListArticlesRequest> for ListQuery {
    type Error = Violations;

    fn try_from(request: pb::ListArticlesRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let collection = violations.note("collection", CollectionName::new(request.collection));
        let page_size = violations.note("page_size", page_size(request.page_size));
        let token = violations.note("page_token", PageToken::from_text(&request.page_token));
        let story = (!request.story_id.is_empty())
            .then(|| violations.note("story_id", story_id(&request.story_id)))
            .flatten();
        let mut time = |field: &str, time: Option<prost_types::Timestamp>| {
            time.and_then(|time| violations.note(field, timestamp_from(time)))
        };
        let submitted_from = time("submitted_from", request.submitted_from);
        let submitted_before = time("submitted_before", request.submitted_before);
        let view = violations.note("view", View::try_from(request.view));
        let topic = (!request.topic.is_empty()).then_some(request.topic);
        let filter = ListFilter { topic, story, submitted_from, submitted_before };
        violations.check()?;
        Ok(ListQuery {
            collection: collection.unwrap_or_default(),
            filter,
            token: token.unwrap_or_default(),
            page_size: page_size.unwrap_or(PAGE_SIZE_DEFAULT),
            view: view.unwrap_or(View::Full),
        })
    }
}

/// What a story request asks for.
pub struct StoryQuery {
    pub collection: CollectionName,
    pub story: StoryId,
    pub token: PageToken,
    pub page_size: usize,
    pub view: View,
}

impl TryFrom<pb::GetStoryRequest> for StoryQuery {
    type Error = Violations;

    fn try_from(request: pb::GetStoryRequest) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let collection = violations.note("collection", CollectionName::new(request.collection));
        let story = violations.note("story_id", story_id(&request.story_id));
        let page_size = violations.note("page_size", page_size(request.page_size));
        let view = violations.note("view", View::try_from(request.view));
        let token = violations.note("page_token", PageToken::from_text(&request.page_token));
        let (Some(collection), Some(story), Some(page_size), Some(view), Some(token)) =
            (collection, story, page_size, view, token)
        else {
            return Err(violations);
        };
        Ok(StoryQuery { collection, story, token, page_size, view })
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
            Some(Query::Simhash(simhash)) => Some(SimilarQuery::Fingerprint(Fingerprint(simhash))),
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

pub fn story_id(id: &str) -> Result<StoryId, &'static str> {
    id.parse().map_err(|_| "must be a story's id as an analysis tells it")
}

pub fn page_token(next: Option<PageToken>) -> String {
    next.unwrap_or_default().to_text()
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
                simhash: analysis.fingerprint.map(|fingerprint| fingerprint.0),
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
            topic: score.topic.to_string(),
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
    if !RETENTION_SECONDS.contains(&retention.seconds) {
        return Err("must be at least 1 minute and at most 315576000000 seconds");
    }
    match u32::try_from(retention.nanos) {
        Ok(nanos) if nanos < 1_000_000_000 => {
            Ok(Duration::new(retention.seconds.unsigned_abs(), nanos))
        }
        _ => Err("must be a valid duration"),
    }
}

pub fn duration_to(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: duration.as_secs() as i64,
        nanos: duration.subsec_nanos() as i32,
    }
}

impl From<CollectionInfo> for pb::Collection {
    fn from(info: CollectionInfo) -> Self {
        let settings = info.settings;
        pb::Collection {
            collection: info.name.to_string(),
            settings: Some(pb::CollectionSettings {
                retention: settings.retention.map(duration_to),
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

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::StatusExt;

    use super::*;

    /// Which fields are said to be at fault.
    fn fields<T>(checked: Result<T, Violations>) -> Vec<String> {
        let Err(violations) = checked else { return Vec::new() };
        let status = Status::from(violations);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        violations.iter().map(|violation| violation.field.clone()).collect()
    }

    fn article() -> pb::Article {
        pb::Article { title: "Ferries stay in port".into(), ..pb::Article::default() }
    }

    fn submit(article: pb::Article) -> Result<Submission, Violations> {
        submission_at("article", String::new(), Some(article), None, Limits::default())
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let submission = submit(article()).unwrap();
        assert_eq!(submission.collection, CollectionName::default());
        assert_eq!(submission.collection.as_str(), "default");
        assert_eq!(submission.article_id, None);
        assert_eq!((submission.explain, submission.matches_max), (false, 10));
        assert_eq!(submission.article.publish_time, None);

        let list = ListQuery::try_from(pb::ListArticlesRequest::default()).unwrap();
        let first = PageToken::default();
        assert_eq!((list.token, list.page_size, list.view), (first, 100, View::Full));
        let ListFilter { topic, story, submitted_from, submitted_before } = list.filter;
        assert_eq!((topic, story, submitted_from, submitted_before), (None, None, None, None));

        let settings = settings_from(Some(pb::CollectionSettings::default())).unwrap();
        assert_eq!(settings, CollectionSettings::default());
    }

    #[test]
    fn lengths_are_limited_inclusively_and_in_bytes() {
        let limits = Limits::default();
        let check = |field: &str, len: usize, with: fn(String) -> pb::Article| {
            // "é" has two bytes.
            let (fits, over) =
                ("é".repeat(len / 2) + &"x".repeat(len % 2), "é".repeat(len / 2 + 1));
            assert_eq!(fields(submit(with(fits))), [""; 0], "{field} of {len}");
            assert_eq!(fields(submit(with(over))), [format!("article.{field}")], "{field}");
        };
        check("article_id", 256, |article_id| pb::Article { article_id, ..article() });
        check("title", limits.title_bytes_max, |title| pb::Article { title, ..article() });
        check("body", limits.body_bytes_max, |body| pb::Article { body, ..article() });
        check("url", 2048, |url| pb::Article { url, ..article() });
        check("source", 256, |source| pb::Article { source, ..article() });
        check("attributes[\"desk\"]", 4096, |value| pb::Article {
            attributes: [("desk".into(), value)].into(),
            ..article()
        });
        check("attributes", 128, |key| pb::Article {
            attributes: [(key, String::new())].into(),
            ..article()
        });
        let attributes = |count: usize| pb::Article {
            attributes: (0..count).map(|n| (n.to_string(), String::new())).collect(),
            ..article()
        };
        assert!(submit(attributes(64)).is_ok());
        assert_eq!(fields(submit(attributes(65))), ["article.attributes"]);
    }

    #[test]
    fn an_articles_fields_are_kept_as_they_are() {
        let sent = pb::Article {
            article_id: " spaced ".into(),
            title: "<b>Ferries</b> &amp; tides\r\n".into(),
            body: "\u{feff}Caf\u{65}\u{301}".into(),
            url: "not an address".into(),
            source: "Harbour Gazette".into(),
            publish_time: Some(prost_types::Timestamp { seconds: -1, nanos: 999_999_999 }),
            language: "pt-BR".into(),
            attributes: [("desk".to_owned(), "port".to_owned())].into(),
        };
        let submission = submit(sent.clone()).unwrap();
        let stored = StoredArticle {
            article_id: submission.article_id.unwrap(),
            article: submission.article,
            revision: 3,
            submit_time: Timestamp { seconds: 7, nanos: 5 },
            analysis: analysis(),
        };
        let full = View::Full.of(stored.clone());
        assert_eq!(full.article.as_ref(), Some(&sent));
        assert_eq!(full.revision, 3);
        assert_eq!(full.submit_time, Some(prost_types::Timestamp { seconds: 7, nanos: 5 }));
        let basic = View::Basic.of(stored);
        let without_body = pb::Article { body: String::new(), ..sent };
        assert_eq!(basic, pb::StoredArticle { article: Some(without_body), ..full });
    }

    #[test]
    fn language_tags_are_of_the_form_of_bcp_47() {
        for tag in ["", "en", "pt-BR", "zh-Hant-TW", "sl-rozaj-biske-1994", "x-private"] {
            assert!(is_language_tag(tag), "{tag:?}");
        }
        for tag in ["-", "en-", "-en", "e n", "en_US", "1en", "abcdefghi", "en--US", "日本"] {
            assert!(!is_language_tag(tag), "{tag:?}");
        }
    }

    #[test]
    fn counts_and_pages_have_bounds() {
        assert_eq!(count(0, 10, 100), Ok(10));
        assert_eq!(count(100, 10, 100), Ok(100));
        assert!(count(101, 10, 100).is_err() && count(-1, 10, 100).is_err());
        assert_eq!((page_size(0), page_size(1)), (Ok(100), Ok(1)));
        assert_eq!((page_size(1000), page_size(i32::MAX)), (Ok(1000), Ok(1000)));
        assert!(page_size(-1).is_err());
        assert_eq!((radius(0), radius(64)), (Ok(0), Ok(64)));
        assert!(radius(65).is_err() && radius(-1).is_err());
    }

    #[test]
    fn times_are_of_the_years_1_to_9999() {
        let check = |seconds, nanos, is_valid| {
            let time = timestamp_from(prost_types::Timestamp { seconds, nanos });
            assert_eq!(time.is_ok(), is_valid, "{seconds} {nanos}");
            if let Ok(time) = time {
                assert_eq!(timestamp_to(time), prost_types::Timestamp { seconds, nanos });
            }
        };
        check(0, 0, true);
        check(-62_135_596_800, 0, true);
        check(-62_135_596_801, 999_999_999, false);
        check(253_402_300_799, 999_999_999, true);
        check(253_402_300_800, 0, false);
        check(0, -1, false);
        check(0, 1_000_000_000, false);
        check(i64::MAX, 0, false);
        check(i64::MIN, 0, false);
    }

    #[test]
    fn a_search_asks_for_an_article_or_for_any_fingerprint() {
        use pb::find_similar_request::Query;
        let search = |query| {
            SimilarRequest::try_from(pb::FindSimilarRequest { query, ..Default::default() })
        };
        for simhash in [0, 1, 1 << 53 | 1, u64::MAX] {
            let found = search(Some(Query::Simhash(simhash))).unwrap();
            assert!(matches!(found.query, SimilarQuery::Fingerprint(same) if same.0 == simhash));
            assert_eq!((found.radius, found.max), (0, 100));
        }
        let found = search(Some(Query::ArticleId("tide-7".into()))).unwrap();
        assert!(matches!(found.query, SimilarQuery::Article(id) if id.to_string() == "tide-7"));
        assert_eq!(fields(search(Some(Query::ArticleId(String::new())))), ["article_id"]);
        assert_eq!(fields(search(None)), ["query"]);
    }

    #[test]
    fn views_are_those_of_the_contract() {
        assert_eq!(View::try_from(0), Ok(View::Full));
        assert_eq!(View::try_from(1), Ok(View::Basic));
        assert_eq!(View::try_from(2), Ok(View::Full));
        assert!(View::try_from(3).is_err() && View::try_from(-1).is_err());
    }

    #[test]
    fn a_collections_settings_have_bounds() {
        let check = |settings: pb::CollectionSettings, expected: &[&str]| {
            let expected: Vec<String> =
                expected.iter().map(|field| format!("settings.{field}")).collect();
            assert_eq!(fields(settings_from(Some(settings))), expected, "{settings:?}");
        };
        let default = pb::CollectionSettings::default();
        let retention = |seconds, nanos| pb::CollectionSettings {
            retention: Some(prost_types::Duration { seconds, nanos }),
            ..default
        };
        check(retention(60, 0), &[]);
        check(retention(59, 999_999_999), &["retention"]);
        check(retention(-60, 0), &["retention"]);
        check(retention(60, -1), &["retention"]);
        check(retention(60, 1_000_000_000), &["retention"]);
        check(retention(315_576_000_000, 999_999_999), &[]);
        check(retention(i64::MAX, 0), &["retention"]);
        let distance = |distance| pb::CollectionSettings {
            candidate_hamming_distance: Some(distance),
            ..default
        };
        check(distance(0), &[]);
        check(distance(16), &[]);
        check(distance(17), &["candidate_hamming_distance"]);
        check(distance(-1), &["candidate_hamming_distance"]);
        for threshold in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            let (near, partial) = (Some(threshold), Some(threshold));
            let settings = pb::CollectionSettings {
                near_threshold: near,
                partial_threshold: partial,
                ..default
            };
            check(settings, &["near_threshold", "partial_threshold"]);
        }
        assert_eq!(fields(settings_from(None)), ["settings"]);
    }

    #[test]
    fn settings_come_back_as_they_were_set() {
        let set = pb::CollectionSettings {
            retention: Some(prost_types::Duration { seconds: 86_400, nanos: 500_000_000 }),
            keep_bodies: Some(false),
            candidate_hamming_distance: Some(0),
            near_threshold: Some(0.5),
            partial_threshold: None,
        };
        let info = CollectionInfo {
            name: CollectionName::default(),
            settings: settings_from(Some(set)).unwrap(),
            article_count: 0,
            story_count: 0,
            create_time: Timestamp { seconds: 0, nanos: 0 },
        };
        assert_eq!(pb::Collection::from(info).settings, Some(set));
    }

    fn analysis() -> Analysis {
        let found = Match {
            article_id: ArticleId::new("tide-1").unwrap(),
            kind: None,
            hamming_distance: None,
            similarity: 0.1,
            containment: 1.0,
            same_source: true,
            title: "Ferries".into(),
            url: String::new(),
            source: String::new(),
            submit_time: Timestamp { seconds: 1, nanos: 2 },
            overlaps: vec![Overlap { a: 1..2, b: 3..4 }],
        };
        Analysis {
            classification: Classification {
                topics: Vec::new(),
                reliability: Reliability::InsufficientText,
                language: "en".into(),
                model_version: "np-topics-1-0".into(),
            },
            duplicates: DuplicateReport {
                verdict: Verdict::InsufficientText,
                story: None,
                matches: vec![
                    found.clone(),
                    Match { kind: Some(MatchKind::Exact), hamming_distance: Some(0), ..found },
                ],
                truncated: false,
            },
            fingerprint: Some(Fingerprint(0)),
        }
    }

    /// Zero is a value like others, and not set is not zero.
    #[test]
    fn what_is_not_known_is_not_set() {
        let told = pb::Analysis::from(analysis());
        assert_eq!(told.fingerprint.as_ref().unwrap().simhash, Some(0));
        assert_eq!(told.fingerprint.unwrap().scheme, simhash::SCHEME);
        let unknown = pb::Analysis::from(Analysis { fingerprint: None, ..analysis() });
        assert_eq!(unknown.fingerprint.unwrap().simhash, None);

        let report = told.duplicates.unwrap();
        assert_eq!((report.story_id.as_str(), report.canonical_article_id.as_str()), ("", ""));
        let [first, second] = &report.matches[..] else { panic!("{report:?}") };
        assert_eq!((first.kind(), first.hamming_distance), (pb::MatchKind::Unspecified, None));
        assert_eq!((second.kind(), second.hamming_distance), (pb::MatchKind::Exact, Some(0)));
        assert_eq!(first.similarity, 0.1, "not the 0.10000000149 that an f32 becomes");
        let overlap = pb::Overlap { start: 1, end: 2, matched_start: 3, matched_end: 4 };
        assert_eq!(first.overlaps, [overlap]);
    }
}
