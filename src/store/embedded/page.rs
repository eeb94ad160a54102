//! Listings, page by page. Every page shows one committed moment; a token says where the next one
//! begins, and is bound to its query.
//!
//! Articles are listed by their submission, latest first, and a revision is a new submission. So
//! that none is missed that moves up while a listing goes on, the listing ends with the revisions
//! made since it began, in their order: one that is revised once more stays ahead of it.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Core;
use super::collection::{Collection, Horizon, Published};
use super::index::{Entry, Seq, StoryNumber};
use super::view::{View, members, readable};
use crate::analysis::StoryId;
use crate::article::CollectionName;
use crate::store::{ListFilter, Page, PageSize, PageToken, StoreError, StoredArticle, StoryPage};

/// A listing that filters by topic reads at most so many articles for a page.
const READS_MAX: usize = 10_000;

/// What a token is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query(u64);

impl Query {
    pub fn list(collection: &CollectionName, filter: &ListFilter) -> Self {
        Query(xxh3_64(format!("list {collection} {filter:?}").as_bytes()))
    }

    pub fn story(collection: &CollectionName, story: StoryId) -> Self {
        Query(xxh3_64(format!("story {collection} {story}").as_bytes()))
    }
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    First,
    /// A listing that began when `since` was the next submission: those before `end`, the latest
    /// first, and then the revisions.
    Before {
        end: Seq,
        since: Seq,
    },
    /// The revisions from `begin` on of what had been submitted before `since`.
    Revised {
        begin: Seq,
        since: Seq,
    },
    /// The members of a story from this one on.
    Members {
        begin: Seq,
    },
}

#[derive(Serialize, Deserialize)]
struct Token {
    query: u64,
    start: Start,
}

impl Start {
    /// Reads a token of this query.
    pub fn of(token: &PageToken, query: &Query) -> Result<Self, StoreError> {
        if token.0.is_empty() {
            return Ok(Start::First);
        }
        match postcard::take_from_bytes(&token.0) {
            Ok((Token { query: of, start }, [])) if of == query.0 => Ok(start),
            _ => Err(StoreError::BadPageToken),
        }
    }

    pub fn token(self, query: &Query) -> Result<PageToken, StoreError> {
        let token = postcard::to_stdvec(&Token { query: query.0, start: self });
        let token = token.map_err(|_| StoreError::BadPageToken)?;
        Ok(PageToken(token))
    }
}

/// What a page may hold, in order, with where a page begins that begins with it.
type Listed = Vec<(Seq, Start)>;

/// The articles to read for a page of a listing: one more than it may need.
fn listed(
    published: &Published,
    horizon: Horizon,
    filter: &ListFilter,
    story: Option<StoryNumber>,
    start: Start,
    max: usize,
) -> Listed {
    let index = &published.index;
    let from = filter.submitted_from.max(horizon.0);
    let until = filter.submitted_before;
    let (end, begin, since) = match start {
        Start::First | Start::Members { .. } => (index.end(), index.end(), index.end()),
        Start::Before { end, since } => (end, since, since),
        Start::Revised { begin, since } => (0, begin, since),
    };
    let before = |seq| (seq, Start::Before { end: seq + 1, since });
    let revised = |seq| (seq, Start::Revised { begin: seq, since });
    match story {
        Some(story) => {
            let is_in_time = |_, entry: Entry| entry.is_within(from, until);
            let all: Vec<Seq> = members(index, story, is_in_time).collect();
            let earlier = all.iter().rev().copied().filter(|&seq| seq < end);
            let is_revised = |seq: &Seq| index.entry(*seq).is_some_and(|entry| entry.is_revised);
            let later = all.iter().copied().filter(|&seq| seq >= begin).filter(is_revised);
            earlier.map(before).chain(later.map(revised)).take(max + 1).collect()
        }
        None => {
            let earlier = index.latest(end, from, until).map(before);
            let later = index.revised_since(begin, from, until).map(revised);
            earlier.chain(later).take(max + 1).collect()
        }
    }
}

/// A page of the articles of a collection.
pub fn list(
    core: &Core,
    collection: &Collection,
    filter: &ListFilter,
    start: Start,
    page_size: PageSize,
    query: &Query,
) -> Result<Page, StoreError> {
    let max = if filter.topic.is_some() { READS_MAX } else { page_size.articles };
    let list = |story| {
        View::with(core, collection, |published, horizon| {
            listed(published, horizon, filter, story, start, max)
        })
    };
    let (view, listed) = match filter.story {
        None => list(None),
        Some(story) => match of_story(core, collection, story, |number| list(Some(number)))? {
            Some(found) => found,
            None => return Ok(Page::default()),
        },
    };
    page(&view, &listed, page_size, max, query, |view, article, start| {
        let is_wanted = filter.topic.as_ref().is_none_or(|topic| {
            let topics = &article.analysis.classification.topics;
            topics.iter().any(|score| score.assigned && *score.topic == **topic)
        });
        Ok(is_wanted
            && match start {
                // What came into being since the listing began is not part of it.
                Start::Revised { since, .. } => {
                    view.id(&article.article_id)?.is_some_and(|record| record.first < since)
                }
                _ => true,
            })
    })
}

/// A story, and a page of its members.
pub fn story(
    core: &Core,
    collection: &Collection,
    story: StoryId,
    start: Start,
    page_size: PageSize,
    query: &Query,
) -> Result<StoryPage, StoreError> {
    let found = of_story(core, collection, story, |number| {
        View::with(core, collection, |published, horizon| {
            let is_remembered = |_, entry: Entry| horizon.keeps(entry.submit_time);
            members(&published.index, number, is_remembered).collect::<Vec<Seq>>()
        })
    })?;
    let (view, all) = found.ok_or(StoreError::NoStory(story))?;
    let (&canonical, others) = all.split_first().ok_or(StoreError::NoStory(story))?;
    let canonical = view.article(canonical)?.ok_or(StoreError::NoStory(story))?;
    let begin = match start {
        Start::Members { begin } => begin,
        _ => 0,
    };
    let others = others.iter().filter(|&&seq| seq >= begin).take(page_size.articles + 1);
    let listed: Listed = others.map(|&seq| (seq, Start::Members { begin: seq })).collect();
    let members = page(&view, &listed, page_size, page_size.articles, query, |_, _, _| Ok(true))?;
    Ok(StoryPage { canonical, members })
}

/// A view in which a story has the number that was looked up for it: an article that is revised
/// alone may go on with its story under another.
fn of_story<'c, T>(
    core: &'c Core,
    collection: &'c Collection,
    story: StoryId,
    view: impl Fn(StoryNumber) -> (View<'c>, T),
) -> Result<Option<(View<'c>, T)>, StoreError> {
    let mut number = View::new(core, collection).story(story)?;
    while let Some(looked_up) = number {
        let found = view(looked_up);
        number = found.0.story(story)?;
        if number == Some(looked_up) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Reads articles until a page is full. One that cannot be read is passed over and told of in the
/// log: whoever asks for it by its id is told what is wrong.
fn page(
    view: &View,
    listed: &[(Seq, Start)],
    page_size: PageSize,
    reads_max: usize,
    query: &Query,
    is_wanted: impl Fn(&View, &StoredArticle, Start) -> Result<bool, StoreError>,
) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut bytes = 0;
    for (reads, &(seq, start)) in listed.iter().enumerate() {
        if page.articles.len() == page_size.articles || reads == reads_max {
            page.next = Some(start.token(query)?);
            break;
        }
        let Some(article) = readable(view.article(seq))? else { continue };
        if !is_wanted(view, &article, start)? {
            continue;
        }
        bytes += article.text_bytes();
        if bytes > page_size.bytes && !page.articles.is_empty() {
            page.next = Some(start.token(query)?);
            break;
        }
        page.articles.push(article);
    }
    Ok(page)
}

/// Any bytes are refused as a token, or a page of a small collection begins where they say.
#[cfg(any(fuzzing, test))]
pub fn check_any_token(bytes: &[u8]) {
    let text = PageToken(bytes.to_vec()).to_text();
    assert_eq!(PageToken::from_text(&text), Ok(PageToken(bytes.to_vec())));
    let query = Query(0);
    let Ok(start) = Start::of(&PageToken(bytes.to_vec()), &query) else { return };
    let again = start.token(&query).and_then(|token| Start::of(&token, &query));
    assert!(again.is_ok_and(|again| again == start));

    let mut published = Published { settings: Default::default(), index: Default::default() };
    for seq in 1..=20 {
        let entry = Entry {
            fingerprint: None,
            story: StoryNumber(1 + seq / 3),
            submit_time: crate::article::Timestamp::from_micros(seq as i64),
            content_tag: 0,
            is_revised: seq % 2 == 0,
        };
        published.index.insert(seq, entry, &[]);
    }
    let horizon = Horizon::of(&published.settings);
    for story in [None, Some(StoryNumber(2))] {
        let filter = ListFilter::default();
        let page = listed(&published, horizon, &filter, story, start, 5);
        assert!(page.len() <= 6 && page.iter().all(|(seq, _)| (1..=20).contains(seq)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::article::Timestamp;

    #[test]
    fn a_token_is_read_for_its_own_query_only() {
        let collection = CollectionName::default();
        let query = Query::list(&collection, &ListFilter::default());
        let start = Start::Before { end: 300, since: 1 << 40 };
        let token = start.token(&query).unwrap();
        assert_eq!(Start::of(&token, &query).unwrap(), start);
        assert_eq!(Start::of(&PageToken::default(), &query).unwrap(), Start::First);

        let other = ListFilter { topic: Some("trade".to_owned()), ..ListFilter::default() };
        let elsewhere = CollectionName::new("elsewhere").unwrap();
        let later = ListFilter {
            submitted_from: Some(Timestamp { seconds: 1, nanos: 0 }),
            ..ListFilter::default()
        };
        for query in [
            Query::list(&collection, &other),
            Query::list(&collection, &later),
            Query::list(&elsewhere, &ListFilter::default()),
            Query::story(&collection, StoryId::generate()),
        ] {
            assert!(matches!(Start::of(&token, &query), Err(StoreError::BadPageToken)));
        }
        assert_eq!(PageToken::from_text(&token.to_text()).unwrap(), token);
        for garbage in ["abc", "AAAA", &token.to_text()[4..], &format!("{}AAAA", token.to_text())] {
            let read = PageToken::from_text(garbage).map(|token| Start::of(&token, &query));
            assert!(!matches!(read, Ok(Ok(_))), "{garbage}");
        }
    }
}
