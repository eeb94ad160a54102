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
use super::layout::{
    CANDIDATES, Entry, HEAD, Head, IdHash, List, Number, ON_ITS_WAY, Submission, Tells, number_of,
    number_text,
};
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

/// How often an article is asked that changes meanwhile.
const ASKED_AGAIN_MAX: usize = 4;

/// An article that was seen in posting lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub id: IdHash,
    /// The second of its last submission that is known to have been entered; 0 if none is.
    second: u32,
    /// The fingerprints that were entered in that second, two of them at most.
    fingerprints: [Fingerprint; 2],
    /// The hash of its words, if it was entered in that second under those of the reader.
    content: Option<u64>,
}

impl From<IdHash> for Seen {
    fn from(id: IdHash) -> Self {
        Seen { id, second: 0, fingerprints: [Fingerprint(0); 2], content: None }
    }
}

impl Seen {
    /// Whether lists tell of more than what is remembered under its id, and not from so long ago that
    /// it is given up.
    fn is_to_come(&self, head: Option<&Head>, lease: Number) -> bool {
        let Some(head) = head else { return u64::from(self.second) > lease / 1_000_000 };
        let committed = head.number / 1_000_000;
        let fingerprint = head.fingerprint.unwrap_or(Fingerprint(0));
        // Of two revisions in one second the entries say the same second.
        let is_other = || {
            self.fingerprints.iter().any(|&entered| entered != fingerprint)
                || self.content.is_some_and(|content| content != head.postings.content)
        };
        u64::from(self.second) > committed
            || (u64::from(self.second) == committed && head.number > lease && is_other())
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

/// A look into an article's lists, which may enter it there: a call a shard, and what they answer.
pub struct Looking<'a> {
    collection: &'a Collection,
    entry: &'a Entry,
    access: Access,
    by_shard: BTreeMap<u32, Vec<&'a List>>,
    arguments: [Vec<u8>; 6],
}

impl<'a> Looking<'a> {
    pub fn new(
        collection: &'a Collection,
        lists: &'a [List],
        entry: &'a Entry,
        access: Access,
    ) -> Self {
        let mut by_shard: BTreeMap<u32, Vec<&List>> = BTreeMap::new();
        lists.iter().for_each(|list| by_shard.entry(list.shard).or_default().push(list));
        let number = |number: u64| number.to_string().into_bytes();
        let mode: &[u8] = if access == Access::Write { b"enter" } else { b"look" };
        let arguments = [
            entry.bytes(),
            number(entry.second.saturating_sub(UNSETTLED_SECONDS).into()),
            number(horizon_number(collection.horizon()) / 1_000_000),
            number(collection.ttl_ms()),
            number(collection.ttl_changed().into()),
            mode.to_vec(),
        ];
        Looking { collection, entry, access, by_shard, arguments }
    }

    fn lists(&self, shard: u32) -> &[&'a List] {
        self.by_shard.get(&shard).map_or(&[], Vec::as_slice)
    }

    /// The lists of a shard.
    pub fn keys(&self, shard: u32) -> impl Iterator<Item = Vec<u8>> {
        self.lists(shard).iter().map(|list| list.key.clone())
    }

    /// Of so many of them, the first ones, shingles are told.
    pub fn shingles(&self, shard: u32) -> String {
        let lists = self.lists(shard).iter();
        lists.filter(|list| list.tells == Tells::Shingle).count().to_string()
    }

    /// What the scripts ask for beside the lists and how many are of shingles.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments.iter().map(Vec::as_slice)
    }

    /// Looks on all shards but one, which is asked by another script.
    pub async fn ask(
        &self,
        shared: &Arc<Shared>,
        but: Option<u32>,
    ) -> Result<Vec<(u32, Answer)>, StoreError> {
        let shards = self.by_shard.keys().copied().filter(|&shard| Some(shard) != but);
        let calls = shards.map(|shard| async move {
            let (keys, shingles) = (self.keys(shard).collect::<Vec<_>>(), self.shingles(shard));
            let arguments: Vec<&[u8]> = self.arguments().chain([shingles.as_bytes()]).collect();
            let call = shared.link.call_as(Call::Publish, self.access, &keys, &arguments).await;
            Ok::<_, StoreError>((shard, call?))
        });
        try_join_all(calls).await
    }

    /// Ranks what is in the lists, as they were answered shard by shard.
    pub fn rank<'b>(
        &self,
        answers: impl IntoIterator<Item = (u32, &'b [u8])>,
        (fingerprint, matches_max): (Option<Fingerprint>, usize),
        content: u64,
    ) -> Found {
        let radius = self.collection.settings().candidate_hamming_distance;
        let is_near = |other: &Entry| {
            fingerprint.is_some_and(|own| own.distance(other.fingerprint) <= radius)
        };
        let mut found = Found { candidates: Vec::new(), truncated: false, added: Vec::new() };
        let mut hits: HashMap<IdHash, Hit> = HashMap::new();
        for (shard, mut answer) in answers {
            for list in self.lists(shard) {
                let Some((&[how, what, high, low], rest)) = answer.split_first_chunk() else {
                    break;
                };
                let len = usize::from(u16::from_be_bytes([high, low])) * Entry::BYTES;
                let (others, rest) = rest.split_at(len.min(rest.len()));
                answer = rest;
                if how == b'a' {
                    found.added.push((*list).clone());
                }
                if what == b'c' || others.is_empty() {
                    continue;
                }
                let mut stories: HashMap<[u8; 4], usize> = HashMap::new();
                let others = Entry::all_of(others).filter(|other| other.id != self.entry.id);
                for other in others.filter(|other| list.tells != Tells::Block || is_near(other)) {
                    let members = stories.entry(other.story_tag).or_default();
                    *members += 1;
                    // There may be others, which the list has no room for.
                    found.truncated |= *members >= STORY_MEMBERS_MAX;
                    let hit = hits.entry(other.id).or_insert_with(|| Hit::new(other));
                    hit.add(other, list.tells);
                }
            }
        }
        let mut ranked: Vec<(i64, u32, Seen)> = hits
            .into_values()
            .map(|hit| {
                let distance = fingerprint.map_or(32, |own| own.distance(hit.latest.fingerprint));
                let rank = match distance {
                    _ if hit.same.is_some() => i64::MIN,
                    0 => i64::MIN + 1,
                    _ => i64::from(distance) - 2 * hit.count,
                };
                let second = hit.latest.second;
                let seen = Seen {
                    id: hit.latest.id,
                    second,
                    fingerprints: [hit.latest.fingerprint, hit.also],
                    content: hit.same.filter(|&same| same == second).map(|_| content),
                };
                (rank, second, seen)
            })
            .collect();
        ranked.sort_unstable_by_key(|&(rank, second, Seen { id, .. })| (rank, second, id));
        let max = CANDIDATES_MAX.max(matches_max);
        found.truncated |= ranked.len() > max;
        found.candidates = ranked.into_iter().take(max).map(|(.., seen)| seen).collect();
        found
    }
}

/// An article in lists.
struct Hit {
    /// Its latest entry.
    latest: Entry,
    /// The fingerprint of another entry of that second; the same if there is none.
    also: Fingerprint,
    /// How many lists it is in.
    count: i64,
    /// The second in which it had the same words.
    same: Option<u32>,
}

impl Hit {
    fn new(entry: Entry) -> Self {
        Hit { latest: entry, also: entry.fingerprint, count: 0, same: None }
    }

    fn add(&mut self, entry: Entry, tells: Tells) {
        self.count += 1;
        if tells == Tells::Content {
            self.same = self.same.max(Some(entry.second));
        }
        if entry.second > self.latest.second {
            (self.latest, self.also) = (entry, entry.fingerprint);
        } else if entry.second == self.latest.second && entry.fingerprint != self.latest.fingerprint
        {
            self.also = entry.fingerprint;
        }
    }
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
    let key = [collection.layout.article(id)];
    let known = shared.known(collection, id);
    let names = [HEAD, ON_ITS_WAY, CANDIDATES[0], CANDIDATES[1]];
    // What is known already need not come again.
    let names = if known.is_some() { &names[..2] } else { &names[..] };
    let [head, way, candidates @ ..]: [Vec<u8>; 4] = shared.link.fields(&key[0], names).await?;
    let mut head = Head::from_bytes(&head);
    let mut candidate = head.as_ref().map_or(&[][..], |head| &candidates[head.place]).to_vec();
    let is_known = |head: &Head| known.as_ref().is_some_and(|&(number, _)| number == head.number);
    let has_changed = known.is_some() && head.as_ref().is_some_and(|head| !is_known(head));
    let mut pending = (Vec::new(), Vec::new());
    let mut is_asked = reader.is_some() && !way.is_empty();
    for _ in 0..ASKED_AGAIN_MAX {
        let lease = LEASE.before(super::now());
        let is_to_come = reader.is_some() && seen.is_to_come(head.as_ref(), lease);
        if !(std::mem::take(&mut is_asked) || is_to_come || (has_changed && candidate.is_empty())) {
            break;
        }
        let number = |number: Number| number_text(number).into_bytes();
        let (own, own_id, comes_first) = match reader {
            Some(reader) => (number(reader.number), reader.id.bytes().to_vec(), reader.id < id),
            None => (Vec::new(), Vec::new(), false),
        };
        let told = head.as_ref().map_or_else(Vec::new, |head| number(head.number));
        let arguments = [
            &known.as_ref().map_or_else(Vec::new, |&(known, _)| number(known))[..],
            &own,
            &own_id,
            if comes_first { b"1" } else { b"0" },
            &number(lease),
            if is_to_come { &told } else { b"-" },
            BEGUN_KEPT_MS,
        ];
        // It writes if it asks to be looked at; that need not outlive anybody.
        let access = if reader.is_some() { Access::Tidy } else { Access::Read };
        let answer = shared.link.call_as(Call::Read, access, &key, &arguments).await?;
        let is_answered = head.as_ref().map(|head| head.number);
        head = Head::from_bytes(answer.bytes(0));
        candidate = answer.bytes(1).to_vec();
        pending = (answer.bytes(2).to_vec(), answer.bytes(3).to_vec());
        // If another one stands there now, lists may tell of more than of that.
        if head.as_ref().map(|head| head.number) == is_answered || !pending.0.is_empty() {
            break;
        }
    }
    let place = || format!("an article of collection '{}'", collection.name);
    let decode = |bytes: &[u8]| {
        readable(candidate_from_bytes(bytes).map(Some).map_err(|error| error.at(place)))
    };
    let mut read = Read::default();
    if let Some(head) = head {
        let submission = head.submission(id);
        let remembered = match known.filter(|&(known, _)| known == head.number) {
            Some((_, remembered)) => Some(remembered),
            None => decode(&candidate)?
                .map(|remembered| Arc::new(Remembered { story: head.story, ..remembered })),
        };
        let horizon = collection.horizon();
        if let Some(remembered) = remembered.filter(|_| horizon.keeps(submission.time())) {
            shared.keep(collection, submission, &remembered);
            read.committed = Some(Candidate { submission, remembered, canonical: head.canonical });
        }
    }
    if let Some(number) = number_of(&pending.0)
        && let Some(remembered) = decode(&pending.1)?
    {
        read.pending = Some((Submission { number, id }, Arc::new(remembered)));
    }
    Ok(read)
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
    let looking = Looking::new(&collection, &place.lists, &place.entry, Access::Read);
    let answers = looking.ask(shared, None).await?;
    let answers = answers.iter().map(|(shard, answer)| (*shard, answer.bytes(0)));
    let found = looking.rank(answers, wanted, prepared.sketch.content());
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
