//! What clients read: articles, listings, stories, fingerprints, collections.
//!
//! A listing merges those of the shards. Between reading where an article stands and the article
//! itself it may be revised; then it is told of as it is. Revisions committed since a listing began
//! come at its end, from a second on before it: so much the clocks of replicas and nodes may differ.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::Shared;
use super::layout::{ARTICLE, HEAD, Head, IdHash, Number, fingerprint_from_bytes};
use super::link::{malformed, members};
use super::look::read_all;
use super::registry::{Collection, horizon_number};
use crate::analysis::{Match, StoryId};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::store::embedded::record::{article_from_bytes, write_article};
use crate::store::embedded::{Query, Start, readable};
use crate::store::{
    CollectionInfo, ListFilter, Page, PageSize, PageToken, Similar, SimilarQuery, StoreError,
    StoredArticle, StoryPage,
};

/// By so many microseconds clocks may differ without a revision being missed.
const CLOCKS_DIFFER: Number = 1_000_000;

/// In a story articles stand by when they were taken, and may have been on their way so long.
const ON_THEIR_WAY_MAX: Number = 20_000_000;

/// A listing that filters by topic reads at most so many articles for a page.
const READS_MAX: usize = 10_000;

/// Articles that are read at once.
const AT_ONCE: usize = 64;

/// Fingerprints that are read at once from one shard.
const FINGERPRINTS_AT_ONCE: usize = 4096;

/// A later number than any.
pub const NUMBER_END: Number = 1 << 53;

thread_local! {
    /// Kept, for what it works in is larger than most articles.
    static COMPRESSOR: RefCell<zstd::bulk::Compressor<'static>> = RefCell::default();
}

/// How an article is written: compressed, behind its length.
pub fn encode(stored: &StoredArticle) -> Result<Vec<u8>, StoreError> {
    let mut row = Vec::new();
    write_article(&mut row, stored)?;
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.set_compression_level(1)?;
        compressor.compress(&row)
    });
    let compressed = compressed.map_err(StoreError::io("an article cannot be compressed"))?;
    Ok([&(row.len() as u32).to_be_bytes()[..], &compressed].concat())
}

pub fn decode(bytes: &[u8], collection: &Collection) -> Result<StoredArticle, StoreError> {
    let place = || format!("an article of collection '{}'", collection.name);
    let damaged = || malformed(&format!("{} cannot be read", place()));
    let (len, compressed) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let row = zstd::bulk::decompress(compressed, u32::from_be_bytes(*len) as usize);
    article_from_bytes(&row.map_err(|_| damaged())?).map_err(|error| error.at(place))
}

/// What is remembered under an id, if it is this submission.
pub async fn stored(
    shared: &Arc<Shared>,
    collection: &Collection,
    id: IdHash,
    number: Option<Number>,
) -> Result<Option<StoredArticle>, StoreError> {
    let key = collection.layout.article(id);
    let [head, article] = shared.link.fields(&key, &[HEAD, ARTICLE]).await?;
    let Some(head) = Head::from_bytes(&head) else { return Ok(None) };
    let is_remembered = collection.horizon().keeps(head.submission(id).time());
    if !is_remembered || number.is_some_and(|number| number != head.number) {
        return Ok(None);
    }
    decode(&article, collection).map(Some)
}

pub async fn get(
    shared: &Arc<Shared>,
    name: &CollectionName,
    id: &ArticleId,
) -> Result<StoredArticle, StoreError> {
    let not_there = || StoreError::NoArticle(id.clone());
    let collection = shared.registry.find(&shared.link, name).await?.ok_or_else(not_there)?;
    let stored = stored(shared, &collection, IdHash::of(id), None).await?;
    stored.filter(|stored| stored.article_id == *id).ok_or_else(not_there)
}

/// Where articles are listed.
#[derive(Clone, Copy)]
pub enum Source {
    Listing,
    Revised,
    Story(StoryId),
}

impl Source {
    fn keys(self, collection: &Collection) -> Vec<Vec<u8>> {
        let layout = &collection.layout;
        let shards = 0..layout.shards;
        match self {
            Source::Listing => shards.map(|shard| layout.listing(shard)).collect(),
            Source::Revised => shards.map(|shard| layout.revised(shard)).collect(),
            Source::Story(story) => vec![layout.story(story)],
        }
    }
}

/// The articles of a source whose numbers are from `from` on and before `end`, in order; at most so
/// many.
pub async fn listed(
    shared: &Arc<Shared>,
    collection: &Collection,
    source: Source,
    (from, end): (Number, Number),
    latest_first: bool,
    max: usize,
) -> Result<Vec<(Number, IdHash)>, StoreError> {
    if from >= end {
        return Ok(Vec::new());
    }
    let reads = source.keys(collection).into_iter().map(|key| async move {
        let (from, end) = (from.to_string(), format!("({end}"));
        let mut command = if latest_first {
            let mut command = redis::cmd("ZREVRANGEBYSCORE");
            command.arg(&key).arg(end).arg(from);
            command
        } else {
            let mut command = redis::cmd("ZRANGEBYSCORE");
            command.arg(&key).arg(from).arg(end);
            command
        };
        command.arg("WITHSCORES").arg("LIMIT").arg(0).arg(max);
        shared.link.read(&key, command).await.map(scored)
    });
    let mut all: Vec<(Number, IdHash)> = try_join_all(reads)
        .await?
        .into_iter()
        .flatten()
        .filter_map(|(number, member)| Some((number, IdHash::from_bytes(member.get(..16)?)?)))
        .collect();
    all.sort_unstable();
    if latest_first {
        all.reverse();
    }
    // Those of one microsecond stay together, so that the next ones can be asked for by number.
    if let Some(&(last, _)) = all.get(max.saturating_sub(1)) {
        let same = all[max..].iter().take_while(|&&(number, _)| number == last).count();
        all.truncate(max + same);
    }
    Ok(all)
}

/// Members with their scores, as numbers.
fn scored(value: redis::Value) -> Vec<(Number, Vec<u8>)> {
    let flat = members(value);
    let (pairs, _) = flat.as_chunks::<2>();
    let number = |score: &[u8]| -> Option<Number> {
        let score: f64 = std::str::from_utf8(score).ok()?.parse().ok()?;
        Some(score as Number)
    };
    pairs.iter().filter_map(|[member, score]| Some((number(score)?, member.clone()))).collect()
}

pub async fn list(
    shared: &Arc<Shared>,
    name: &CollectionName,
    filter: &ListFilter,
    token: &PageToken,
    page_size: PageSize,
) -> Result<Page, StoreError> {
    let query = Query::list(name, filter);
    let start = Start::of(token, &query)?;
    let Some(collection) = shared.registry.find(&shared.link, name).await? else {
        return Ok(Page::default());
    };
    let number = |time: Timestamp| time.micros().max(0) as Number;
    let from = filter.submitted_from.map_or(0, number).max(horizon_number(collection.horizon()));
    let until = filter.submitted_before.map_or(NUMBER_END, number);
    let slack = if filter.story.is_some() { ON_THEIR_WAY_MAX } else { CLOCKS_DIFFER };
    let (end, begin, since) = match start {
        Start::First | Start::Members { .. } => {
            let since = shared.next_number();
            (NUMBER_END, since.saturating_sub(slack), since)
        }
        Start::Before { end, since } => (end, since.saturating_sub(slack), since),
        Start::Revised { begin, since } => (0, begin, since),
    };
    let (earlier, later) = match filter.story {
        Some(story) => (Source::Story(story), Source::Story(story)),
        None => (Source::Listing, Source::Revised),
    };
    let mut filling =
        Filling { page: Page::default(), bytes: 0, reads: 0, query: &query, page_size };
    let (mut end, mut begin) = (end.min(until), begin.max(from));
    let chunk = match filter.topic {
        Some(_) => AT_ONCE,
        None => page_size.articles.saturating_add(1).min(AT_ONCE),
    };
    loop {
        let listed = listed(shared, &collection, earlier, (from, end), true, chunk).await?;
        let is_last = listed.len() < chunk;
        if let Some(&(number, _)) = listed.last() {
            end = number;
        }
        let start = |number| Start::Before { end: number + 1, since };
        if filling.fill(shared, &collection, filter, &listed, start, None).await? {
            return Ok(filling.page);
        }
        if is_last {
            break;
        }
    }
    loop {
        let listed = listed(shared, &collection, later, (begin, until), false, chunk).await?;
        let is_last = listed.len() < chunk;
        if let Some(&(number, _)) = listed.last() {
            begin = number + 1;
        }
        let start = |number| Start::Revised { begin: number, since };
        if filling.fill(shared, &collection, filter, &listed, start, Some(since)).await? || is_last
        {
            return Ok(filling.page);
        }
    }
}

/// A page that is being filled.
struct Filling<'q> {
    page: Page,
    bytes: usize,
    reads: usize,
    query: &'q Query,
    page_size: PageSize,
}

impl Filling<'_> {
    /// Adds what was listed; tells whether the page is full. `since` is when a listing began that is
    /// at its revisions: articles that came later are not part of it.
    async fn fill(
        &mut self,
        shared: &Arc<Shared>,
        collection: &Collection,
        filter: &ListFilter,
        listed: &[(Number, IdHash)],
        start: impl Fn(Number) -> Start,
        since: Option<Number>,
    ) -> Result<bool, StoreError> {
        let reads = listed.iter().map(|&(_, id)| revision(shared, collection, id));
        for (&(number, _), read) in listed.iter().zip(try_join_all(reads).await?) {
            if self.page.articles.len() == self.page_size.articles || self.reads == READS_MAX {
                self.page.next = Some(start(number).token(self.query)?);
                return Ok(true);
            }
            self.reads += 1;
            let Some((stored, first)) = read else { continue };
            let is_new = since.is_some_and(|since| first >= since || stored.revision == 1);
            let has_topic = filter.topic.as_ref().is_none_or(|topic| {
                let topics = &stored.analysis.classification.topics;
                topics.iter().any(|score| score.assigned && *score.topic == **topic)
            });
            let is_of_story = filter.story.is_none_or(|story| {
                stored.analysis.duplicates.story.as_ref().is_some_and(|of| of.id == story)
            });
            let is_there_already = since.is_some()
                && self.page.articles.iter().any(|other| {
                    other.article_id == stored.article_id && other.revision == stored.revision
                });
            if is_new || !has_topic || !is_of_story || is_there_already {
                continue;
            }
            self.bytes += stored.text_bytes();
            if self.bytes > self.page_size.bytes && !self.page.articles.is_empty() {
                self.page.next = Some(start(number).token(self.query)?);
                return Ok(true);
            }
            self.page.articles.push(stored);
        }
        Ok(false)
    }
}

/// An article as it is, with the number of its first revision. One that cannot be read is
/// passed over and told of in the log.
async fn revision(
    shared: &Arc<Shared>,
    collection: &Collection,
    id: IdHash,
) -> Result<Option<(StoredArticle, Number)>, StoreError> {
    let key = collection.layout.article(id);
    let [head, article] = shared.link.fields(&key, &[HEAD, ARTICLE]).await?;
    let Some(head) = Head::from_bytes(&head) else { return Ok(None) };
    if !collection.horizon().keeps(head.submission(id).time()) {
        return Ok(None);
    }
    let stored = readable(decode(&article, collection).map(Some))?;
    Ok(stored.map(|stored| (stored, head.first)))
}

pub async fn story(
    shared: &Arc<Shared>,
    name: &CollectionName,
    story: StoryId,
    token: &PageToken,
    page_size: PageSize,
) -> Result<StoryPage, StoreError> {
    let query = Query::story(name, story);
    let start = Start::of(token, &query)?;
    let not_there = || StoreError::NoStory(story);
    let collection = shared.registry.find(&shared.link, name).await?.ok_or_else(not_there)?;
    let source = Source::Story(story);
    let mut canonical = None;
    let mut from = 0;
    while canonical.is_none() {
        let ids =
            listed(shared, &collection, source, (from, NUMBER_END), false, AT_ONCE / 4).await?;
        let Some(&(last, _)) = ids.last() else { return Err(not_there()) };
        from = last + 1;
        let reads = ids.iter().map(|&(_, id)| revision(shared, &collection, id));
        let found = ids.iter().zip(try_join_all(reads).await?).find_map(|(&(number, id), read)| {
            let (stored, ..) = read?;
            is_of(&stored, story).then_some((number, id, stored))
        });
        canonical = found;
    }
    let (number, id, canonical) = canonical.ok_or_else(not_there)?;
    let mut from = match start {
        Start::Members { begin } => begin,
        _ => number,
    };
    let filter = ListFilter { story: Some(story), ..ListFilter::default() };
    let mut filling =
        Filling { page: Page::default(), bytes: 0, reads: 0, query: &query, page_size };
    loop {
        let chunk = page_size.articles.saturating_add(2).min(AT_ONCE);
        let mut ids = listed(shared, &collection, source, (from, NUMBER_END), false, chunk).await?;
        let is_last = ids.len() < chunk;
        if let Some(&(last, _)) = ids.last() {
            from = last + 1;
        }
        ids.retain(|&(_, other)| other != id);
        let start = |begin| Start::Members { begin };
        if filling.fill(shared, &collection, &filter, &ids, start, None).await? || is_last {
            return Ok(StoryPage { canonical, members: filling.page });
        }
    }
}

fn is_of(stored: &StoredArticle, story: StoryId) -> bool {
    stored.analysis.duplicates.story.as_ref().is_some_and(|of| of.id == story)
}

/// Reads the fingerprints of all articles, shard by shard, and keeps the nearest.
pub async fn find_similar(
    shared: &Arc<Shared>,
    name: &CollectionName,
    query: &SimilarQuery,
    radius: u32,
    max: usize,
) -> Result<Similar, StoreError> {
    let collection = shared.registry.find(&shared.link, name).await?;
    let (fingerprint, itself, source) = match query {
        SimilarQuery::Fingerprint(fingerprint) => (*fingerprint, None, String::new()),
        SimilarQuery::Article(id) => {
            let not_there = || StoreError::NoArticle(id.clone());
            let collection = collection.as_ref().ok_or_else(not_there)?;
            let reads = read_all(shared, collection, &[IdHash::of(id)], None).await?;
            let read = reads.into_iter().next().and_then(|read| read.committed);
            let article = read.ok_or_else(not_there)?.remembered;
            let fingerprint = article.fingerprint;
            let fingerprint = fingerprint.ok_or_else(|| StoreError::NoFingerprint(id.clone()))?;
            (fingerprint, Some(IdHash::of(id)), article.source.clone())
        }
    };
    let Some(collection) = collection else { return Ok(Similar::default()) };
    let horizon = horizon_number(collection.horizon());
    let shards = (0..collection.layout.shards).map(|shard| {
        let (key, shared) = (collection.layout.listing(shard), Arc::clone(shared));
        async move {
            let mut nearest: BTreeSet<(u32, Number, IdHash)> = BTreeSet::new();
            let mut where_found: HashMap<IdHash, (u32, Number)> = HashMap::new();
            let mut from = horizon;
            loop {
                let mut command = redis::cmd("ZRANGEBYSCORE");
                command.arg(&key).arg(from).arg("+inf").arg("WITHSCORES");
                command.arg("LIMIT").arg(0).arg(FINGERPRINTS_AT_ONCE);
                let listed = scored(shared.link.read(&key, command).await?);
                for (number, member) in &listed {
                    let Some((id, code)) = member.split_at_checked(IdHash::BYTES) else { continue };
                    let (Some(id), Some(code)) =
                        (IdHash::from_bytes(id), fingerprint_from_bytes(code))
                    else {
                        continue;
                    };
                    // One that was revised meanwhile comes again.
                    if let Some((distance, number)) = where_found.remove(&id) {
                        nearest.remove(&(distance, number, id));
                    }
                    let distance = code.distance(fingerprint);
                    if distance <= radius && Some(id) != itself {
                        nearest.insert((distance, *number, id));
                        where_found.insert(id, (distance, *number));
                    }
                    if nearest.len() > max + 1
                        && let Some((_, _, id)) = nearest.pop_last()
                    {
                        where_found.remove(&id);
                    }
                }
                match listed.last() {
                    // Of the same microsecond there may be more, so that one is read again.
                    Some(&(last, _)) if listed.len() == FINGERPRINTS_AT_ONCE && last > from => {
                        from = last;
                    }
                    _ => return Ok::<_, StoreError>(nearest),
                }
            }
        }
    });
    let mut nearest: BTreeSet<(u32, Number, IdHash)> = BTreeSet::new();
    try_join_all(shards).await?.into_iter().for_each(|found| nearest.extend(found));
    let ids: Vec<IdHash> = nearest.iter().take(max + 1).map(|&(.., id)| id).collect();
    let mut matches = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        for read in read_all(shared, &collection, ids, None).await? {
            let Some(other) = read.committed.map(|candidate| candidate.remembered) else {
                continue;
            };
            let distance = other.fingerprint.map(|code| code.distance(fingerprint));
            if distance.is_some_and(|distance| distance <= radius) {
                matches.push(Match { hamming_distance: distance, ..other.describe(&source) });
            }
        }
    }
    matches.sort_by_key(|found| (found.hamming_distance, found.submit_time));
    let truncated = matches.len() > max;
    matches.truncate(max);
    Ok(Similar { matches, truncated })
}

pub async fn collections(shared: &Arc<Shared>) -> Result<Vec<CollectionInfo>, StoreError> {
    shared.registry.refresh(&shared.link).await?;
    let collections = shared.registry.all();
    let infos = collections.iter().map(|collection| info(shared, collection));
    let mut infos = try_join_all(infos).await?;
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(infos)
}

pub async fn info(
    shared: &Arc<Shared>,
    collection: &Collection,
) -> Result<CollectionInfo, StoreError> {
    let layout = &collection.layout;
    let horizon = horizon_number(collection.horizon());
    let count = |key: Vec<u8>| async move {
        let mut command = redis::cmd("ZCOUNT");
        command.arg(&key).arg(horizon).arg("+inf");
        match shared.link.read(&key, command).await? {
            redis::Value::Int(count) => Ok::<_, StoreError>(count.max(0) as usize),
            _ => Ok(0),
        }
    };
    let articles = (0..layout.shards).map(|shard| count(layout.listing(shard)));
    let stories = (0..layout.shards).map(|shard| count(layout.stories(shard)));
    let (articles, stories) = tokio::try_join!(try_join_all(articles), try_join_all(stories))?;
    Ok(CollectionInfo {
        name: collection.name.clone(),
        settings: collection.settings(),
        article_count: articles.into_iter().sum(),
        story_count: stories.into_iter().sum(),
        create_time: collection.create_time,
    })
}
