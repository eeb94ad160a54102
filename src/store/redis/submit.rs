//! The way of an article into the cluster, in three steps that wait for each other:
//!
//! 1. It is entered in its posting lists, which tells what else is in them, and begun under its id;
//!    on the shard of its id both are one call.
//! 2. What it may be like is read. If something is on its way as well and comes first, and would be
//!    a match, its end is waited for; what comes later is asked to look at this article.
//! 3. It is committed, and enters its story. If somebody has asked to be looked at, it is not, and
//!    is decided once more.
//!
//! What is left to do afterwards, nobody waits for: entries in lists learn of their story, what a
//! revision no longer says leaves its lists. A mark is kept until then, see `tend`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::layout::{
    Entry, HEAD, Head, IdHash, Layout, List, Number, Postings, Submission, number_of, number_text,
    story_tag,
};
use super::link::{Access, Answer, Call, malformed, members};
use super::look::{
    Decided, Found, Looking, STORY_MEMBERS_MAX, Seen, Table, decide, explain, read, read_all,
    would_match,
};
use super::registry::{Collection, horizon_number};
use super::{InWork, Shared, Turn, counting, read as stored};
use crate::analysis::{Analysis, DuplicateReport, Fingerprint, Story, StoryId};
use crate::article::{ArticleId, CollectionName};
use crate::duplicates::decision::{Decision, Remembered};
use crate::store::embedded::record::write_candidate;
use crate::store::{Prepared, StoreError, StoredArticle, Submitted};

/// For how long whatever is on its way is waited for: whoever has not committed by then has to begin
/// anew.
pub struct Lease(Duration);

pub const LEASE: Lease = Lease(Duration::from_secs(10));

impl Lease {
    /// What was begun before this moment is waited for no longer.
    pub fn before(&self, now: Number) -> Number {
        now.saturating_sub(self.0.as_micros() as Number)
    }
}

/// A new article that was begun and not committed is gone by itself after this time, two leases.
pub const BEGUN_KEPT_MS: &[u8] = b"20000";

/// How often a submission is begun anew, at most.
const ATTEMPTS_MAX: usize = 16;

/// How long to wait before asking again about something that is on its way.
const ASK_AGAIN: Duration = Duration::from_millis(2);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(50);

/// Where an article is found.
pub struct Place {
    pub lists: Vec<List>,
    pub entry: Entry,
    /// The story that it begins if it joins none.
    pub story: StoryId,
}

impl Place {
    pub fn new(collection: &Collection, prepared: &Prepared, submission: Submission) -> Self {
        let layout = &collection.layout;
        let story = layout.new_story(submission.id);
        Place {
            lists: layout.lists(&postings(prepared), prepared.fingerprint),
            entry: entry(submission, prepared.fingerprint, story),
            story,
        }
    }
}

fn postings(prepared: &Prepared) -> Postings {
    Postings { content: prepared.sketch.content(), keys: prepared.keys.clone() }
}

pub fn entry(submission: Submission, fingerprint: Option<Fingerprint>, story: StoryId) -> Entry {
    Entry {
        second: (submission.number / 1_000_000) as u32,
        id: submission.id,
        fingerprint: fingerprint.unwrap_or(Fingerprint(0)),
        story_tag: story_tag(story),
    }
}

/// What an attempt came to.
enum Made {
    Remembered(Box<(Submitted, Leftover)>),
    Replayed(Box<Submitted>, Vec<List>),
    /// The stored revision has a higher number.
    Behind(Number),
    /// Somebody thought it had been given up.
    Lost,
    /// The collection is gone.
    Gone,
}

/// What is left to do after a commit.
#[derive(Default)]
struct Leftover {
    /// Lists whose entries are to learn of the story.
    settled: Option<(Vec<List>, StoryId)>,
    /// Lists that an earlier revision was in.
    left: Vec<List>,
    /// Stories that the article is not in, or not any more.
    left_stories: Vec<StoryId>,
}

impl Leftover {
    fn is_nothing(&self) -> bool {
        self.settled.is_none() && self.left.is_empty() && self.left_stories.is_empty()
    }
}

/// Remembers an article.
pub async fn submit(
    shared: &Arc<Shared>,
    prepared: Prepared,
    id: ArticleId,
    mut number: Number,
    turn: Turn,
    in_work: InWork,
) -> Result<Submitted, StoreError> {
    let hash = IdHash::of(&id);
    for _ in 0..ATTEMPTS_MAX {
        let collection = shared.registry.ensure(&shared.link, &prepared.collection).await?;
        collection.touch();
        shared.load_counts(&collection).await?;
        let submission = Submission { number, id: hash };
        let place = Place::new(&collection, &prepared, submission);
        let attempt = Attempt {
            shared,
            collection: &collection,
            prepared: &prepared,
            id: &id,
            submission,
            place,
        };
        match attempt.make().await {
            Ok(Made::Remembered(made)) => {
                let (submitted, leftover) = *made;
                if !leftover.is_nothing() {
                    let shared = Arc::clone(shared);
                    tokio::spawn(async move {
                        let _held = (turn, in_work);
                        finish(&shared, &collection, submission, &leftover).await;
                    });
                }
                return Ok(submitted);
            }
            Ok(Made::Replayed(submitted, added)) => {
                settle(shared, &collection.layout, hash, &added, None).await?;
                return Ok(*submitted);
            }
            Ok(Made::Behind(latest)) => shared.observe(latest),
            Ok(Made::Gone) => shared.registry.forget(&collection),
            Ok(Made::Lost) => {}
            Err(error) => {
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    let _held = (turn, in_work);
                    take_back(&shared, &collection, submission).await;
                });
                return Err(error);
            }
        }
        number = shared.next_number();
    }
    Err(StoreError::Closed(format!("article '{id}' is being submitted everywhere at once").into()))
}

struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    collection: &'a Collection,
    prepared: &'a Prepared,
    id: &'a ArticleId,
    submission: Submission,
    place: Place,
}

/// What is remembered under the article's id.
struct Earlier {
    revision: u32,
    first: Number,
    story: StoryId,
    lists: Vec<List>,
    remembered: Option<Arc<Remembered>>,
}

/// Where in the answer of a beginning stands what the lists tell.
const BEGUN_LISTS: usize = 2;

enum Begun {
    Yes(Option<Earlier>),
    Same(Vec<u8>),
    Behind(Number),
    Gone,
}

impl Attempt<'_> {
    async fn make(&self) -> Result<Made, StoreError> {
        let Attempt { shared, collection, prepared, submission, place, .. } = self;
        let wanted = (prepared.fingerprint, prepared.matches_max);
        let looking = Looking::new(collection, &place.lists, &place.entry, Access::Write);
        let own_shard = collection.layout.shard_of(submission.id);
        shared.link.costs.count_wait();
        let (begun, others) =
            tokio::join!(self.begin(&looking), looking.ask(shared, Some(own_shard)));
        let ((begun, own), others) = (begun?, others?);
        let answers = others.iter().map(|(shard, answer)| (*shard, answer.bytes(0)));
        let answers = answers.chain([(own_shard, own.bytes(BEGUN_LISTS))]);
        let found = looking.rank(answers, wanted, prepared.sketch.content());
        let (earlier, mut found) = match (begun, found) {
            (Begun::Yes(earlier), found) => (earlier, found),
            (Begun::Same(article), found) => {
                return Ok(Made::Replayed(Box::new(self.replay(&article)?), found.added));
            }
            (Begun::Behind(latest), _) => return Ok(Made::Behind(latest)),
            (Begun::Gone, found) => {
                settle(shared, &collection.layout, submission.id, &found.added, None).await?;
                return Ok(Made::Gone);
            }
        };

        found.candidates.retain(|seen| seen.id != submission.id);
        let mut table = Table::new(submission.id, earlier.is_some());
        let mut on_their_way: Vec<(Submission, Arc<Remembered>)> = Vec::new();
        if !found.candidates.is_empty() {
            shared.link.costs.count_wait();
        }
        let reads = found.candidates.iter();
        let reads = reads.map(|&seen| read(shared, collection, seen, Some(*submission)));
        for (seen, read) in found.candidates.iter().zip(try_join_all(reads).await?) {
            table.put(seen.id, read.committed);
            on_their_way.extend(read.pending);
        }
        let mut looked_at: Vec<u8> = Vec::new();
        let mut left_stories: Vec<StoryId> = Vec::new();
        loop {
            let decided = self.decide(&found, &mut table, &mut on_their_way).await?;
            let outcome = self.outcome(decided, earlier.as_ref(), &table).await?;
            shared.link.costs.count_wait();
            let (word, asked) = self.commit(&outcome, earlier.as_ref(), &looked_at).await?;
            match word {
                Word::Done => {
                    return self.finish(outcome, earlier, left_stories).await;
                }
                Word::Lost => return Ok(Made::Lost),
                Word::Gone => return Ok(Made::Gone),
                Word::Asked => {}
            }
            if outcome.joins {
                left_stories.push(outcome.story);
            }
            for reader in asked.as_chunks::<32>().0 {
                looked_at.extend(reader);
                let Some(id) = IdHash::from_bytes(&reader[..IdHash::BYTES]) else { continue };
                let candidate = Seen::from(id);
                let read = read(shared, collection, candidate, Some(*submission)).await?;
                table.put(id, read.committed);
                on_their_way.extend(read.pending);
                if found.candidates.iter().all(|other| other.id != id) {
                    found.candidates.insert(0, candidate);
                }
            }
        }
    }

    /// Begins under the article's id; the answer also has what the lists on that shard tell.
    async fn begin(&self, looking: &Looking<'_>) -> Result<(Begun, Answer), StoreError> {
        let Attempt { shared, collection, prepared, id, submission, place } = self;
        let layout = &collection.layout;
        let shard = layout.shard_of(submission.id);
        let mut keys =
            vec![layout.article(submission.id), layout.on_their_way(shard), layout.gone(shard)];
        keys.extend(looking.keys(shard));
        let shingles = looking.shingles(shard);
        let mut candidate = Vec::new();
        write_candidate(&mut candidate, &self.remembered(place.story))?;
        let mut wait = ASK_AGAIN;
        let until = tokio::time::Instant::now() + 2 * LEASE.0;
        loop {
            let now = super::now();
            let (lease, now) = (LEASE.before(now).to_string(), number_text(now));
            let number = number_text(submission.number);
            let horizon = horizon_number(collection.horizon()).to_string();
            let (hash, content) = (submission.id.bytes(), prepared.content_hash.to_be_bytes());
            let own: [&[u8]; 9] = [
                id.as_str().as_bytes(),
                &hash,
                number.as_bytes(),
                &content,
                &candidate,
                lease.as_bytes(),
                horizon.as_bytes(),
                now.as_bytes(),
                BEGUN_KEPT_MS,
            ];
            let arguments: Vec<&[u8]> =
                own.into_iter().chain(looking.arguments()).chain([shingles.as_bytes()]).collect();
            let answer = shared.link.call(Call::Begin, &keys, &arguments).await?;
            let begun = match answer.word() {
                b"begun" if answer.bytes(1).is_empty() => Begun::Yes(None),
                b"begun" => {
                    let head = Head::from_bytes(answer.bytes(1));
                    let head = head.ok_or_else(|| malformed("what stands under an id"))?;
                    Begun::Yes(Some(Earlier {
                        revision: head.revision,
                        first: head.first,
                        story: head.story,
                        lists: layout.lists(&head.postings, head.fingerprint),
                        remembered: read(shared, collection, submission.id.into(), None)
                            .await?
                            .committed
                            .map(|candidate| candidate.remembered),
                    }))
                }
                b"same" => Begun::Same(answer.bytes(1).to_vec()),
                b"behind" => Begun::Behind(number_of(answer.bytes(1)).unwrap_or_default()),
                b"gone" => Begun::Gone,
                b"busy" if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(wait).await;
                    wait = ASK_AGAIN_MAX.min(2 * wait);
                    continue;
                }
                b"busy" => {
                    let reason = format!("article '{id}' is being submitted elsewhere");
                    return Err(StoreError::Closed(reason.into()));
                }
                _ => return Err(malformed("another article's id has the same hash")),
            };
            return Ok((begun, answer));
        }
    }

    fn remembered(&self, story: StoryId) -> Remembered {
        let Attempt { prepared, id, submission, .. } = self;
        let article = &prepared.article;
        Remembered {
            article_id: (*id).clone(),
            title: article.title.clone(),
            url: article.url.clone(),
            source: article.source.clone(),
            submit_time: submission.time(),
            fingerprint: prepared.fingerprint,
            story,
            sketch: prepared.sketch.clone(),
        }
    }

    /// Decides, and waits for those that come first and may change the decision.
    async fn decide(
        &self,
        found: &Found,
        table: &mut Table,
        on_their_way: &mut Vec<(Submission, Arc<Remembered>)>,
    ) -> Result<Decided, StoreError> {
        let Attempt { shared, collection, prepared, .. } = self;
        let mut wait = ASK_AGAIN;
        loop {
            let decided = decide(shared, collection, prepared, found, table).await?;
            if decided.0.joins.is_some() {
                return Ok(decided);
            }
            on_their_way.retain(|(_, other)| would_match(collection, prepared, table, other));
            if on_their_way.is_empty() {
                return Ok(decided);
            }
            tokio::time::sleep(wait).await;
            wait = ASK_AGAIN_MAX.min(2 * wait);
            let ids: Vec<IdHash> = on_their_way.iter().map(|(other, _)| other.id).collect();
            on_their_way.clear();
            let reads = read_all(shared, collection, &ids, Some(self.submission)).await?;
            for (&id, read) in ids.iter().zip(reads) {
                table.put(id, read.committed);
                on_their_way.extend(read.pending);
            }
        }
    }

    async fn outcome(
        &self,
        (decision, elsewhere): Decided,
        earlier: Option<&Earlier>,
        table: &Table,
    ) -> Result<Outcome, StoreError> {
        let Attempt { collection, prepared, id, submission, place, .. } = self;
        let Decision { verdict, joins, matches, truncated } = decision;
        let (story, canonical, canonical_id, repeats) = match joins {
            Some((canonical, story)) => {
                let remembered =
                    table.get(canonical.id).map(|candidate| Arc::clone(&candidate.remembered));
                (story.id, canonical.id, story.canonical, remembered)
            }
            None => {
                let own = self.own_story(earlier).await?;
                let repeats = match earlier {
                    Some(earlier) => earlier.remembered.clone(),
                    None => elsewhere,
                };
                (own.unwrap_or(place.story), submission.id, (*id).clone(), repeats)
            }
        };
        let mut article = prepared.article.clone();
        if !collection.settings().keep_bodies {
            article.body = String::new();
        }
        let (submissions, matches) = matches.into_iter().unzip();
        let duplicates = DuplicateReport {
            verdict,
            story: Some(Story { id: story, canonical: canonical_id }),
            matches,
            truncated,
        };
        let stored = StoredArticle {
            article_id: (*id).clone(),
            article,
            revision: earlier.map_or(1, |earlier| earlier.revision.saturating_add(1)),
            submit_time: submission.time(),
            analysis: Analysis {
                classification: prepared.classification.clone(),
                duplicates,
                fingerprint: prepared.fingerprint,
            },
        };
        let joins = canonical != submission.id || story != place.story;
        Ok(Outcome { stored, submissions, story, canonical, joins, repeats })
    }

    /// The story that the article's earlier revision is the only one of.
    async fn own_story(&self, earlier: Option<&Earlier>) -> Result<Option<StoryId>, StoreError> {
        let Some(earlier) = earlier else { return Ok(None) };
        let key = self.collection.layout.story(earlier.story);
        let mut command = redis::cmd("ZRANGE");
        command.arg(&key).arg(0).arg(1);
        let ids = members(self.shared.link.read(&key, command).await?);
        let is_alone = ids.len() == 1 && IdHash::from_bytes(&ids[0]) == Some(self.submission.id);
        Ok(is_alone.then_some(earlier.story))
    }

    async fn commit(
        &self,
        outcome: &Outcome,
        earlier: Option<&Earlier>,
        looked_at: &[u8],
    ) -> Result<(Word, Vec<u8>), StoreError> {
        let Attempt { shared, collection, prepared, submission, .. } = self;
        let Outcome { stored, story, canonical, joins, repeats, .. } = outcome;
        let layout = &collection.layout;
        let shard = layout.shard_of(submission.id);
        let mut keys = vec![
            layout.article(submission.id),
            layout.listing(shard),
            layout.revised(shard),
            layout.on_their_way(shard),
            layout.log(shard),
            layout.gone(shard),
        ];
        if !joins {
            keys.extend([layout.stories(shard), layout.story(*story)]);
        }
        let head = Head {
            number: submission.number,
            story: *story,
            canonical: *canonical,
            content_hash: prepared.content_hash,
            first: earlier.map_or(submission.number, |earlier| earlier.first),
            revision: stored.revision,
            fingerprint: prepared.fingerprint,
            postings: postings(prepared),
            id: stored.article_id.as_str().to_owned(),
            // Where it is was settled when it was begun; the script knows.
            place: 0,
        };
        let (hash, head) = (submission.id.bytes(), head.to_bytes());
        let article = stored::encode(stored)?;
        let ttl = collection.ttl_ms().to_string();
        let horizon = horizon_number(collection.horizon()).to_string();
        let has_leftover: &[u8] = if *joins || earlier.is_some() { b"1" } else { b"0" };
        let repeated = repeats.as_ref().map(|repeats| IdHash::of(&repeats.article_id));
        let line = counting::line(shared.replica, submission.id, submission.number, repeated);
        let log_lines = counting::LOG_LINES.to_string();
        let arguments: [&[u8]; 9] = [
            &hash,
            &head,
            looked_at,
            &article,
            ttl.as_bytes(),
            horizon.as_bytes(),
            has_leftover,
            &line,
            log_lines.as_bytes(),
        ];
        let commit = shared.link.call(Call::Commit, &keys, &arguments);
        let answer = if *joins {
            let join = join(shared, collection, *submission, *story);
            let (answer, is_there) = tokio::try_join!(commit, join)?;
            if !is_there {
                return Ok((Word::Gone, Vec::new()));
            }
            answer
        } else {
            commit.await?
        };
        match answer.word() {
            b"done" => Ok((Word::Done, Vec::new())),
            b"asked" => Ok((Word::Asked, answer.bytes(1).to_vec())),
            b"lost" => Ok((Word::Lost, Vec::new())),
            _ => Ok((Word::Gone, Vec::new())),
        }
    }

    /// Counts what was committed, and puts its answer together.
    async fn finish(
        &self,
        outcome: Outcome,
        earlier: Option<Earlier>,
        mut left_stories: Vec<StoryId>,
    ) -> Result<Made, StoreError> {
        let Attempt { shared, collection, prepared, place, .. } = self;
        let Outcome { mut stored, submissions, story, joins, repeats, .. } = outcome;
        shared.count(collection, &self.remembered(story), repeats.as_deref());
        if let Some(document) = &prepared.explained {
            let matches = &mut stored.analysis.duplicates.matches;
            explain(shared, collection, document, &submissions, matches).await?;
        }
        let mut left = Vec::new();
        if let Some(earlier) = earlier {
            left = earlier.lists;
            left.retain(|list| place.lists.iter().all(|kept| kept.key != list.key));
            left_stories.push(earlier.story);
        }
        left_stories.retain(|&other| other != story);
        let settled = joins.then(|| (place.lists.clone(), story));
        let submitted = submitted(stored, false);
        let leftover = Leftover { settled, left, left_stories };
        Ok(Made::Remembered(Box::new((submitted, leftover))))
    }

    fn replay(&self, article: &[u8]) -> Result<Submitted, StoreError> {
        let stored = stored::decode(article, self.collection)?;
        let mut submitted = submitted(stored, true);
        submitted.analysis.duplicates.matches.truncate(self.prepared.matches_max);
        Ok(submitted)
    }
}

/// What a commit is answered with.
enum Word {
    Done,
    Asked,
    Lost,
    Gone,
}

/// What is to be committed.
struct Outcome {
    stored: StoredArticle,
    /// The articles that the matches are.
    submissions: Vec<Submission>,
    story: StoryId,
    canonical: IdHash,
    /// Whether the story was there before.
    joins: bool,
    /// What it repeats: the canonical article of its story, its earlier revision, or the article of
    /// another outlet that has most in common with it.
    repeats: Option<Arc<Remembered>>,
}

fn submitted(stored: StoredArticle, replayed: bool) -> Submitted {
    let StoredArticle { article_id, revision, submit_time, analysis, .. } = stored;
    Submitted { article_id, revision, replayed, submit_time, analysis }
}

/// Enters an article in a story; tells whether the collection is still there.
pub async fn join(
    shared: &Arc<Shared>,
    collection: &Collection,
    submission: Submission,
    story: StoryId,
) -> Result<bool, StoreError> {
    let layout = &collection.layout;
    let shard = layout.shard_of_story(story);
    let keys = [layout.story(story), layout.stories(shard), layout.gone(shard)];
    let (number, ttl) = (number_text(submission.number), collection.ttl_ms().to_string());
    let horizon = horizon_number(collection.horizon()).to_string();
    let hash = submission.id.bytes();
    let arguments: [&[u8]; 5] =
        [story.0.as_bytes(), &hash, number.as_bytes(), ttl.as_bytes(), horizon.as_bytes()];
    let answer = shared.link.call(Call::Join, &keys, &arguments).await?;
    Ok(answer.word() == b"done")
}

/// Takes an article out of a story.
pub async fn leave(
    shared: &Arc<Shared>,
    layout: &Layout,
    id: IdHash,
    story: StoryId,
) -> Result<(), StoreError> {
    let keys = [layout.story(story), layout.stories(layout.shard_of_story(story))];
    let arguments: [&[u8]; 2] = [story.0.as_bytes(), &id.bytes()];
    shared.link.call(Call::Leave, &keys, &arguments).await.map(drop)
}

/// Has an article's entries in lists tell its story, or takes them out.
pub async fn settle(
    shared: &Arc<Shared>,
    layout: &Layout,
    id: IdHash,
    lists: &[List],
    story: Option<StoryId>,
) -> Result<(), StoreError> {
    let (hash, tag) = (id.bytes(), story.map_or_else(Vec::new, |story| story_tag(story).to_vec()));
    let members_max = STORY_MEMBERS_MAX.to_string();
    let calls = (0..layout.shards).filter_map(|shard| {
        let keys: Vec<Vec<u8>> =
            lists.iter().filter(|list| list.shard == shard).map(|list| list.key.clone()).collect();
        let arguments: [&[u8]; 3] = [&hash, &tag, members_max.as_bytes()];
        let is_needed = !keys.is_empty();
        let call = async move { shared.link.call(Call::Settle, &keys, &arguments).await };
        is_needed.then_some(call)
    });
    try_join_all(calls).await.map(drop)
}

/// Does what is left to do after a commit, and takes the mark away. If it cannot be done now, the
/// mark stays and somebody does it later.
async fn finish(
    shared: &Arc<Shared>,
    collection: &Collection,
    submission: Submission,
    leftover: &Leftover,
) {
    let (layout, id) = (&collection.layout, submission.id);
    let work = async {
        if let Some((lists, story)) = &leftover.settled {
            settle(shared, layout, id, lists, Some(*story)).await?;
        }
        settle(shared, layout, id, &leftover.left, None).await?;
        for &story in &leftover.left_stories {
            leave(shared, layout, id, story).await?;
        }
        unmark(shared, layout, id).await
    };
    if let Err(error) = work.await {
        tracing::debug!(%error, "an article is finished later");
    }
}

/// Says that an article's way is at its end.
pub async fn unmark(shared: &Arc<Shared>, layout: &Layout, id: IdHash) -> Result<(), StoreError> {
    let key = layout.on_their_way(layout.shard_of(id));
    let mut command = redis::cmd("ZREM");
    command.arg(&key).arg(&id.bytes()[..]);
    shared.link.write(&key, command).await.map(drop)
}

/// Takes back what was begun and cannot be brought to its end.
async fn take_back(shared: &Arc<Shared>, collection: &Collection, submission: Submission) {
    if let Err(error) = abort(shared, &collection.layout, submission).await {
        tracing::debug!(%error, "what was begun is given up, and found out later");
    }
}

pub async fn abort(
    shared: &Arc<Shared>,
    layout: &Layout,
    submission: Submission,
) -> Result<(), StoreError> {
    let keys = [layout.article(submission.id), layout.on_their_way(layout.shard_of(submission.id))];
    let (hash, number) = (submission.id.bytes(), number_text(submission.number));
    let arguments: [&[u8]; 2] = [&hash, number.as_bytes()];
    shared.link.call(Call::Abort, &keys, &arguments).await.map(drop)
}

/// Forgets an article.
pub async fn delete(
    shared: &Arc<Shared>,
    name: &CollectionName,
    id: &ArticleId,
) -> Result<(), StoreError> {
    let not_there = || StoreError::NoArticle(id.clone());
    let collection = shared.registry.find(&shared.link, name).await?.ok_or_else(not_there)?;
    let (layout, hash) = (&collection.layout, IdHash::of(id));
    if let Some(article) = read(shared, &collection, hash.into(), None).await?.committed {
        enter_heirs(shared, &collection, hash, article.remembered.story).await?;
    }
    let shard = layout.shard_of(hash);
    let keys = [
        layout.article(hash),
        layout.listing(shard),
        layout.revised(shard),
        layout.on_their_way(shard),
    ];
    let mut wait = ASK_AGAIN;
    let until = tokio::time::Instant::now() + 2 * LEASE.0;
    let answer = loop {
        let horizon = horizon_number(collection.horizon()).to_string();
        let lease = LEASE.before(super::now()).to_string();
        let arguments: [&[u8]; 3] = [&hash.bytes(), horizon.as_bytes(), lease.as_bytes()];
        let answer = shared.link.call(Call::Delete, &keys, &arguments).await?;
        if answer.word() != b"busy" {
            break answer;
        }
        if tokio::time::Instant::now() > until {
            let reason = format!("article '{id}' is being submitted elsewhere");
            return Err(StoreError::Closed(reason.into()));
        }
        tokio::time::sleep(wait).await;
        wait = ASK_AGAIN_MAX.min(2 * wait);
    };
    if answer.word() != b"deleted" {
        return Err(not_there());
    }
    let head = Head::from_bytes(answer.bytes(1));
    let head = head.ok_or_else(|| malformed("what stood under an id"))?;
    let lists = layout.lists(&head.postings, head.fingerprint);
    // From here on it is forgotten; that lists and its story still tell of it is seen by nobody.
    let tidy = async {
        settle(shared, layout, hash, &lists, None).await?;
        leave(shared, layout, hash, head.story).await
    };
    if let Err(error) = tidy.await {
        tracing::debug!(%error, "a deleted article stays in lists");
    }
    Ok(())
}

/// Lists have room for some articles of a story only. Before one of them goes, others are entered
/// that were left out.
async fn enter_heirs(
    shared: &Arc<Shared>,
    collection: &Collection,
    leaving: IdHash,
    story: StoryId,
) -> Result<(), StoreError> {
    let layout = &collection.layout;
    let key = layout.story(story);
    let mut command = redis::cmd("ZRANGE");
    command.arg(&key).arg(0).arg(2 * STORY_MEMBERS_MAX);
    let ids = members(shared.link.read(&key, command).await?);
    if ids.len() <= STORY_MEMBERS_MAX {
        return Ok(());
    }
    let heirs = ids.iter().filter_map(|id| IdHash::from_bytes(id)).filter(|&id| id != leaving);
    for heir in heirs.take(STORY_MEMBERS_MAX / 2) {
        let key = layout.article(heir);
        let [head] = shared.link.fields(&key, &[HEAD]).await?;
        let Some(head) = Head::from_bytes(&head).filter(|head| head.story == story) else {
            continue;
        };
        let lists = layout.lists(&head.postings, head.fingerprint);
        let entry = entry(head.submission(heir), head.fingerprint, story);
        Looking::new(collection, &lists, &entry, Access::Write).ask(shared, None).await?;
    }
    Ok(())
}
