//! The look for remembered articles like one at hand: from posting lists to candidates, to what the
//! judge says of them.
//!
//! The decision itself is [`crate::duplicates::decision`]'s. It is pure and asks a shelf; whatever
//! it asks for that was not read yet is read, and it is asked again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use parking_lot::Mutex;

use super::Shared;
use super::layout::{Entry, IdHash, List, Number, Submission, Tells, number_of, number_text};
use super::link::{Access, Answer, Call, members};
use super::registry::{Collection, horizon_number};
use super::submit::{BEGUN_KEPT_MS, LEASE, Place};
use crate::analysis::{DuplicateReport, Fingerprint, StoryId};
use crate::duplicates::decision::{Decision, Findings, Outlet, Remembered, Shelf};
use crate::duplicates::overlaps;
use crate::store::embedded::record::candidate_from_bytes;
use crate::store::embedded::{question, readable, report_on_nothing};
use crate::store::{CollectionSettings, Prepared, StoreError};
use crate::text::Document;

/// Candidates that are read; more only if more matches are wanted. Real articles have five.
const CANDIDATES_MAX: usize = 16;

/// So many articles of one story may be in a list.
pub const STORY_MEMBERS_MAX: usize = 16;

/// An entry of an article whose story is not known for so many seconds is not waited for: whoever
/// made it has left it.
const UNSETTLED_SECONDS: u32 = 10;

/// An article that was seen in posting lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub id: IdHash,
    /// The second of its last submission that is known to have been entered; 0 if none is.
    pub second: u32,
}

impl From<IdHash> for Seen {
    fn from(id: IdHash) -> Self {
        Seen { id, second: 0 }
    }
}

/// What was found in posting lists.
pub struct Found {
    /// Most promising first.
    pub candidates: Vec<Seen>,
    /// Whether there were more.
    pub truncated: bool,
    /// The lists that the article was not in before.
    pub added: Vec<List>,
}

/// A candidate as it was read.
#[derive(Clone)]
pub struct Candidate {
    pub submission: Submission,
    pub remembered: Arc<Remembered>,
    /// The article that stood for its story when it joined.
    canonical: IdHash,
}

/// What there is under an id.
#[derive(Clone, Default)]
pub struct Read {
    /// What is remembered.
    pub committed: Option<Candidate>,
    /// What will be, if it comes first.
    pub pending: Option<(Submission, Arc<Remembered>)>,
}

/// Enters an article in its lists, or only looks, and ranks what else is in them.
pub async fn look_in_lists(
    shared: &Arc<Shared>,
    collection: &Collection,
    lists: &[List],
    entry: &Entry,
    access: Access,
    wanted: (Option<Fingerprint>, usize),
) -> Result<Found, StoreError> {
    let mut by_shard: BTreeMap<u32, Vec<&List>> = BTreeMap::new();
    lists.iter().for_each(|list| by_shard.entry(list.shard).or_default().push(list));
    let horizon = horizon_number(collection.horizon()) / 1_000_000;
    let bytes = entry.bytes();
    let settled = entry.second.saturating_sub(UNSETTLED_SECONDS).to_string();
    let (forgotten, ttl) = (horizon.to_string(), collection.ttl_ms().to_string());
    let changed = collection.ttl_changed().to_string();
    let mode: &[u8] = if access == Access::Write { b"enter" } else { b"look" };
    let calls = by_shard.values().map(|lists| {
        let keys: Vec<Vec<u8>> = lists.iter().map(|list| list.key.clone()).collect();
        let limits: Vec<String> = lists.iter().map(|list| list.stories_max.to_string()).collect();
        let entry = &bytes[..];
        let [settled, forgotten, ttl, changed] =
            [&settled, &forgotten, &ttl, &changed].map(|text| text.as_bytes());
        async move {
            let mut arguments: Vec<&[u8]> = vec![entry, settled, forgotten, ttl, changed, mode];
            arguments.extend(limits.iter().map(|limit| limit.as_bytes()));
            shared.link.call_as(Call::Publish, access, &keys, &arguments).await
        }
    });
    let answers: Vec<Answer> = try_join_all(calls).await?;

    let (fingerprint, matches_max) = wanted;
    let radius = collection.settings().candidate_hamming_distance;
    let is_near =
        |other: &Entry| fingerprint.is_some_and(|own| own.distance(other.fingerprint) <= radius);
    let mut found = Found { candidates: Vec::new(), truncated: false, added: Vec::new() };
    // By article, how many lists it is in, and whether it says the same.
    let mut hits: HashMap<IdHash, (Entry, i64, bool)> = HashMap::new();
    for (lists, answer) in by_shard.values().zip(&answers) {
        for (place, list) in lists.iter().enumerate() {
            let Some((&[how, what], others)) = answer.bytes(place).split_first_chunk() else {
                continue;
            };
            if how == b'a' {
                found.added.push((*list).clone());
            }
            if what == b'c' {
                continue;
            }
            let mut stories: HashMap<[u8; 4], usize> = HashMap::new();
            let others = Entry::all_of(others).filter(|other| other.id != entry.id);
            for other in others.filter(|other| list.tells != Tells::Block || is_near(other)) {
                let members = stories.entry(other.story_tag).or_default();
                *members += 1;
                // There may be others, which the list has no room for.
                found.truncated |= *members >= STORY_MEMBERS_MAX;
                let hit = hits.entry(other.id).or_insert((other, 0, false));
                hit.0.second = hit.0.second.max(other.second);
                hit.1 += 1;
                hit.2 |= list.tells == Tells::Content;
            }
        }
    }
    let mut ranked: Vec<(i64, u32, Seen)> = hits
        .into_values()
        .map(|(other, count, is_same)| {
            let distance = fingerprint.map_or(32, |own| own.distance(other.fingerprint));
            let rank = match distance {
                _ if is_same => i64::MIN,
                0 => i64::MIN + 1,
                _ => i64::from(distance) - 2 * count,
            };
            (rank, other.second, Seen { id: other.id, second: other.second })
        })
        .collect();
    ranked.sort_unstable();
    let max = CANDIDATES_MAX.max(matches_max);
    found.truncated |= ranked.len() > max;
    found.candidates = ranked.into_iter().take(max).map(|(.., seen)| seen).collect();
    Ok(found)
}

/// Reads articles, each from its own shard.
pub async fn read_all(
    shared: &Arc<Shared>,
    collection: &Collection,
    ids: &[IdHash],
    reader: Option<Submission>,
) -> Result<Vec<Read>, StoreError> {
    try_join_all(ids.iter().map(|&id| read(shared, collection, id.into(), reader))).await
}

/// Reads an article. One that is on its way, or in lists and about to be, is asked to look at the
/// reader before it is committed, unless it comes first.
pub async fn read(
    shared: &Arc<Shared>,
    collection: &Collection,
    seen: Seen,
    reader: Option<Submission>,
) -> Result<Read, StoreError> {
    let id = seen.id;
    let key = collection.layout.article(id);
    let known = shared.known(collection, id);
    let names = ["at", "story", "canonical", "p.at", "candidate"];
    // What is known already need not come again.
    let names = if known.is_some() { &names[..4] } else { &names[..] };
    let [at, story, canonical, pending, candidate] = shared.link.fields(&key, names).await?;
    let committed = number_of(&at);
    let has_changed =
        committed.is_some() && known.as_ref().is_some_and(|&(number, _)| Some(number) != committed);
    let lease = LEASE.before(super::now());
    let is_to_come = u64::from(seen.second) > committed.unwrap_or(lease) / 1_000_000;
    let mut answer = Answer::of_bytes([at, story, canonical, candidate]);
    if has_changed || (reader.is_some() && (is_to_come || !pending.is_empty())) {
        let known = known.as_ref().map_or_else(String::new, |&(number, _)| number_text(number));
        let (number, own_id, comes_first) = match reader {
            Some(reader) => {
                (number_text(reader.number), reader.id.bytes().to_vec(), reader.id < id)
            }
            None => (String::new(), Vec::new(), false),
        };
        let (lease, second) = (lease.to_string(), seen.second.to_string());
        let comes_first: &[u8] = if comes_first { b"1" } else { b"0" };
        let arguments = [
            known.as_bytes(),
            number.as_bytes(),
            &own_id,
            comes_first,
            lease.as_bytes(),
            second.as_bytes(),
            BEGUN_KEPT_MS,
        ];
        // It writes if it asks to be looked at; that need not outlive anybody.
        let access = if reader.is_some() { Access::Tidy } else { Access::Read };
        answer = shared.link.call_as(Call::Read, access, &[key], &arguments).await?;
    }
    let place = || format!("an article of collection '{}'", collection.name);
    let decode = |bytes: &[u8]| {
        readable(candidate_from_bytes(bytes).map(Some).map_err(|error| error.at(place)))
    };
    let mut read = Read::default();
    if let Some(number) = number_of(answer.bytes(0)) {
        let submission = Submission { number, id };
        let remembered = match known.filter(|&(known, _)| known == number) {
            Some((_, remembered)) => Some(remembered),
            None => decode(answer.bytes(3))?.map(|remembered| {
                let story = story_of(answer.bytes(1)).unwrap_or(remembered.story);
                Arc::new(Remembered { story, ..remembered })
            }),
        };
        let horizon = collection.horizon();
        if let Some(remembered) = remembered.filter(|_| horizon.keeps(submission.time())) {
            shared.keep(collection, submission, &remembered);
            let canonical = IdHash::from_bytes(answer.bytes(2)).unwrap_or(id);
            read.committed = Some(Candidate { submission, remembered, canonical });
        }
    }
    if let Some(number) = number_of(answer.bytes(4))
        && let Some(remembered) = decode(answer.bytes(5))?
    {
        read.pending = Some((Submission { number, id }, Arc::new(remembered)));
    }
    Ok(read)
}

pub fn story_of(bytes: &[u8]) -> Option<StoryId> {
    uuid::Uuid::from_slice(bytes).ok().map(StoryId)
}

impl Shared {
    fn known(&self, collection: &Collection, id: IdHash) -> Option<(Number, Arc<Remembered>)> {
        self.candidates.get(&(collection.layout.number, id))
    }

    fn keep(&self, collection: &Collection, submission: Submission, remembered: &Arc<Remembered>) {
        let key = (collection.layout.number, submission.id);
        if self.candidates.get(&key).is_none_or(|(number, _)| number != submission.number) {
            self.candidates.insert(key, (submission.number, Arc::clone(remembered)));
        }
    }
}

/// What was read for one article: the shelf that its decision is made from.
#[derive(Default)]
pub struct Table {
    /// The article itself, which does not count, and what is not found under its own id.
    itself: IdHash,
    /// Whether something is remembered under its id.
    is_revision: bool,
    candidates: HashMap<IdHash, Option<Candidate>>,
    /// The first articles of stories.
    firsts: HashMap<StoryId, Option<IdHash>>,
    /// What was asked for and not there.
    missing: Mutex<Option<Missing>>,
}

#[derive(Debug, Clone, Copy)]
enum Missing {
    Article(IdHash),
    Story(StoryId),
}

impl Table {
    pub fn new(itself: IdHash, is_revision: bool) -> Self {
        Table { itself, is_revision, ..Table::default() }
    }

    pub fn put(&mut self, id: IdHash, candidate: Option<Candidate>) {
        self.candidates.insert(id, candidate);
    }

    pub fn get(&self, id: IdHash) -> Option<&Candidate> {
        self.candidates.get(&id)?.as_ref()
    }

    fn missing<T>(&self, missing: Missing) -> Result<T, StoreError> {
        *self.missing.lock() = Some(missing);
        Err(StoreError::Closed("something has to be read first".into()))
    }
}

impl Shelf for Table {
    type Key = Submission;
    type Error = StoreError;

    fn read(&self, key: Submission) -> Result<Option<Arc<Remembered>>, StoreError> {
        let candidate = self.get(key.id).filter(|candidate| candidate.submission == key);
        Ok(candidate.map(|candidate| Arc::clone(&candidate.remembered)))
    }

    fn canonical(&self, member: Submission) -> Result<Option<Submission>, StoreError> {
        let Some(candidate) = self.get(member.id) else { return Ok(None) };
        let story = candidate.remembered.story;
        let stands_for = |id: IdHash| match self.candidates.get(&id) {
            None => self.missing(Missing::Article(id)),
            Some(other) => Ok(other
                .as_ref()
                .filter(|other| other.remembered.story == story)
                .map(|other| other.submission)),
        };
        let canonical = candidate.canonical;
        if canonical != self.itself
            && let Some(other) = stands_for(canonical)?
            && other <= member
        {
            return Ok(Some(other));
        }
        // It was deleted or revised since: the next one of the story stands for it.
        match self.firsts.get(&story) {
            None => self.missing(Missing::Story(story)),
            Some(None) => Ok(None),
            Some(Some(first)) => stands_for(*first),
        }
    }
}

/// What is said of an article, and the article of another outlet that has most in common with it.
pub type Decided = (Decision<Submission>, Option<Arc<Remembered>>);

/// Decides about an article from what is on the table, and reads what is missing there.
pub async fn decide(
    shared: &Arc<Shared>,
    collection: &Collection,
    prepared: &Prepared,
    found: &Found,
    table: &mut Table,
) -> Result<Decided, StoreError> {
    loop {
        let settings = collection.settings();
        let decision = decide_now(collection, &settings, prepared, found, table);
        let Some(missing) = table.missing.lock().take() else { return decision };
        shared.link.costs.count_wait();
        match missing {
            Missing::Article(id) => {
                let read = read(shared, collection, id.into(), None).await?;
                table.put(id, read.committed);
            }
            Missing::Story(story) => {
                let first = first_of(shared, collection, story, table.itself).await?;
                table.firsts.insert(story, first);
            }
        }
    }
}

fn decide_now(
    collection: &Collection,
    settings: &CollectionSettings,
    prepared: &Prepared,
    found: &Found,
    table: &Table,
) -> Result<Decided, StoreError> {
    let question = question(prepared, settings, collection.counts(), table.is_revision);
    let mut findings = Findings::default();
    findings.truncated = found.truncated;
    let candidates = found.candidates.iter().filter(|seen| seen.id != table.itself);
    let candidates = candidates.filter_map(|seen| Some(table.get(seen.id)?.submission));
    question.compare(table, candidates, &mut findings)?;
    let outlet = Outlet::of(&prepared.article.source, &prepared.article.url);
    let elsewhere = findings.closest_elsewhere(outlet);
    Ok((question.decide(table, findings)?, elsewhere))
}

/// Whether an article would be a match of the one at hand.
pub fn would_match(
    collection: &Collection,
    prepared: &Prepared,
    table: &Table,
    other: &Remembered,
) -> bool {
    let settings = collection.settings();
    let question = question(prepared, &settings, collection.counts(), table.is_revision);
    question.judge.compare(&question.probe, &other.sketch).kind.is_some()
}

/// The first article of a story that is remembered and belongs to it, other than this one.
async fn first_of(
    shared: &Arc<Shared>,
    collection: &Collection,
    story: StoryId,
    other_than: IdHash,
) -> Result<Option<IdHash>, StoreError> {
    const AT_ONCE: usize = 16;
    let key = collection.layout.story(story);
    let mut from = 0;
    loop {
        let mut command = redis::cmd("ZRANGE");
        command.arg(&key).arg(from).arg(from + AT_ONCE - 1);
        let ids = members(shared.link.read(&key, command).await?);
        let all: Vec<IdHash> = ids.iter().filter_map(|id| IdHash::from_bytes(id)).collect();
        let ids: Vec<IdHash> = all.iter().copied().filter(|&id| id != other_than).collect();
        for (id, read) in ids.iter().zip(read_all(shared, collection, &ids, None).await?) {
            if read.committed.is_some_and(|candidate| candidate.remembered.story == story) {
                return Ok(Some(*id));
            }
        }
        if all.len() < AT_ONCE {
            return Ok(None);
        }
        from += AT_ONCE;
    }
}

/// What a submission of this article would be told.
pub async fn report(
    shared: &Arc<Shared>,
    prepared: &Prepared,
) -> Result<DuplicateReport, StoreError> {
    let Some(collection) = shared.registry.find(&shared.link, &prepared.collection).await? else {
        return report_on_nothing(prepared);
    };
    collection.touch();
    shared.load_counts(&collection).await?;
    // Without an id it is like no other, and nothing is under its id.
    let id = prepared.article_id.as_ref().map_or(IdHash(0), IdHash::of);
    let place = Place::new(&collection, prepared, Submission { number: super::now(), id });
    let wanted = (prepared.fingerprint, prepared.matches_max);
    let found =
        look_in_lists(shared, &collection, &place.lists, &place.entry, Access::Read, wanted)
            .await?;
    let mut ids: Vec<IdHash> = found.candidates.iter().map(|seen| seen.id).collect();
    ids.extend(prepared.article_id.as_ref().map(|_| id));
    let read = read_all(shared, &collection, &ids, None).await?;
    let is_revision = ids.iter().zip(&read).any(|(&of, read)| of == id && read.committed.is_some());
    let mut table = Table::new(id, is_revision);
    for (id, read) in ids.into_iter().zip(read) {
        table.put(id, read.committed);
    }
    let (decision, _) = decide(shared, &collection, prepared, &found, &mut table).await?;
    let (ids, mut matches): (Vec<Submission>, Vec<_>) = decision.matches.into_iter().unzip();
    if let Some(document) = &prepared.explained {
        explain(shared, &collection, document, &ids, &mut matches).await?;
    }
    let story = decision.joins.map(|(_, story)| story);
    let Decision { verdict, truncated, .. } = decision;
    Ok(DuplicateReport { verdict, story, matches, truncated })
}

/// Finds the passages that an article shares with those it matched. One that is gone by now has
/// none to show.
pub async fn explain(
    shared: &Arc<Shared>,
    collection: &Collection,
    document: &Document,
    submissions: &[Submission],
    matches: &mut [crate::analysis::Match],
) -> Result<(), StoreError> {
    for (found, submission) in matches.iter_mut().zip(submissions) {
        let stored = super::read::stored(shared, collection, submission.id, None).await?;
        if let Some(stored) = stored.filter(|stored| stored.article_id == found.article_id) {
            found.overlaps = overlaps(document, &Document::new("", &stored.article.body));
        }
    }
    Ok(())
}
