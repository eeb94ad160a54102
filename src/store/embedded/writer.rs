//! The one thread that decides. It takes what has come in, works through it in order, and hands it
//! over as a group of changes to the committer, which makes it durable, shows it to readers, and
//! only then answers. While the disk syncs a group the next one is worked through.
//!
//! What takes long was done before, on other threads: an article comes with what was found for it
//! at some moment. Here that is completed by what has come and gone since.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc as async_mpsc, oneshot};
use tokio::time::timeout;

use super::collection::{Collection, Horizon};
use super::commit::{Answer, Complete};
use super::index::{Entry, Seq, StoryNumber, Wanted, content_tag};
use super::recent::{Added, Changes, Since, Weight};
use super::record::{CollectionNumber, CollectionRecord, IdRecord};
use super::tables::Tables;
use super::view::{Looked, View, members, question, readable, reported};
use super::{CommitNumber, Core};
use crate::analysis::{Analysis, Story, StoryId};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::decision::{Outlet, Remembered, Shelf};
use crate::store::{
    CollectionInfo, CollectionSettings, Prepared, StoreError, StoredArticle, Submitted,
};

/// Commands that share one commit, at most.
const GROUP_MAX: usize = 1024;

/// So many are worth a commit of their own, even if more are waiting.
const GROUP_ENOUGH: usize = 128;

/// So many bytes of articles are too: they are in memory twice while they are written.
const GROUP_BYTES_ENOUGH: usize = 8 << 20;

/// Articles that one sweep removes, at most: the writer has better things to do.
const SWEEP_MAX: usize = 512;

/// Articles decided lately that are kept, at least, for those whose look at the store was earlier.
const RECENT_MIN: usize = 8192;

/// What those may take of memory: of long articles, whose sketches are hundreds of kilobytes, fewer
/// are kept, and whoever looked before them looks again.
const RECENT_BYTES_MAX: usize = 32 << 20;

/// Articles decided lately that are compared with one at most.
const RECENT_CANDIDATES_MAX: usize = 32;

/// How long commands gather while the disk is busy, at most.
const GATHER: Duration = Duration::from_millis(1);

pub type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer can be asked to do.
pub enum Command {
    Submit {
        turn: Box<Turn>,
        reply: Reply<Outcome>,
    },
    Delete {
        collection: CollectionName,
        id: ArticleId,
        reply: Reply<()>,
    },
    UpdateCollection {
        name: CollectionName,
        settings: CollectionSettings,
        reply: Reply<CollectionInfo>,
    },
    DeleteCollection {
        name: CollectionName,
        reply: Reply<()>,
    },
    Sweep {
        reply: Reply<bool>,
    },
}

impl Command {
    /// Answers that it cannot be done.
    pub fn refuse(self, error: StoreError) {
        match self {
            Command::Submit { reply, .. } => drop(reply.send(Err(error))),
            Command::Delete { reply, .. } => drop(reply.send(Err(error))),
            Command::UpdateCollection { reply, .. } => drop(reply.send(Err(error))),
            Command::DeleteCollection { reply, .. } => drop(reply.send(Err(error))),
            Command::Sweep { reply } => drop(reply.send(Err(error))),
        }
    }
}

/// An article whose turn comes, with what was found for it.
pub struct Turn {
    pub prepared: Prepared,
    pub looked: Looked,
    /// The story that it begins if it joins none: to make an id takes a system call.
    pub new_story: StoryId,
}

/// What became of a submission, and the articles that its matches are.
pub struct Outcome {
    article: Arc<StoredArticle>,
    replayed: bool,
    matched: Vec<Seq>,
}

impl Outcome {
    /// What is answered of it, without its text. By now nobody else needs the article, so nothing
    /// is copied.
    pub fn submitted(self) -> (Submitted, Vec<Seq>) {
        let StoredArticle { article_id, revision, submit_time, analysis, .. } =
            Arc::unwrap_or_clone(self.article);
        let replayed = self.replayed;
        (Submitted { article_id, revision, replayed, submit_time, analysis }, self.matched)
    }
}

/// Works until every sender is gone and everything accepted is done, or until a commit has failed.
pub async fn work(
    core: &Core,
    commands: &mut async_mpsc::Receiver<Command>,
    committer: &mpsc::Sender<Complete>,
) {
    let mut recent = Recent::new(core.commit);
    let (_, mut done) = oneshot::channel();
    while let Some(command) = commands.recv().await {
        let mut group = Group::new(core, &recent);
        group.execute(command);
        // Others join as long as the disk is busy with the group before, and if there are any. What
        // has come meanwhile is taken together: to be woken for every single one takes as long as
        // to decide about it.
        let mut is_done = false;
        loop {
            while group.has_room()
                && !(group.is_enough() && is_done)
                && let Ok(command) = commands.try_recv()
            {
                group.execute(command);
            }
            if is_done {
                break;
            }
            is_done = timeout(GATHER, &mut done).await.is_ok();
        }
        let Group { changes, answers, .. } = group;
        let (on_its_way, next_done) = oneshot::channel();
        done = next_done;
        let changes = Arc::new(changes);
        recent.add(core, &changes);
        // The committer ends before us only by a panic, which ends the store.
        if committer.send(Complete { changes, answers, on_its_way }).is_err() || core.is_closed() {
            return;
        }
    }
}

/// How many of the groups, the first ones, are not needed any more.
fn retired(groups: impl Iterator<Item = Weight> + Clone, published: CommitNumber) -> usize {
    let mut articles: usize = groups.clone().map(|group| group.articles).sum();
    let mut bytes: usize = groups.clone().map(|group| group.bytes).sum();
    let retired = groups.take_while(|group| {
        let is_too_much = bytes > RECENT_BYTES_MAX;
        articles -= group.articles;
        bytes -= group.bytes;
        (is_too_much || articles >= RECENT_MIN) && group.number <= published
    });
    retired.count()
}

/// Groups decided lately, in order.
struct Recent {
    groups: Vec<Arc<Changes>>,
    /// All groups after this one are here.
    retired: CommitNumber,
}

impl Recent {
    fn new(retired: CommitNumber) -> Self {
        Recent { groups: Vec::new(), retired }
    }

    fn next_number(&self) -> CommitNumber {
        self.groups.last().map_or(self.retired, |group| group.number) + 1
    }

    fn add(&mut self, core: &Core, changes: &Arc<Changes>) {
        if changes.is_empty() {
            return;
        }
        self.groups.push(Arc::clone(changes));
        let weights = self.groups.iter().map(|group| group.weight());
        let retired = retired(weights, core.published());
        if let Some(last) = self.groups.drain(..retired).next_back() {
            self.retired = last.number;
        }
    }

    /// The groups after a commit; `None` if not all of them are here any more.
    fn since(&self, commit: CommitNumber) -> Option<&[Arc<Changes>]> {
        let first = self.groups.partition_point(|group| group.number <= commit);
        (commit >= self.retired).then(|| &self.groups[first..])
    }
}

/// Commands that are committed together. Later ones see what earlier ones will have written.
struct Group<'s> {
    core: &'s Core,
    recent: &'s Recent,
    /// The groups before that were not published when this one began.
    unpublished: &'s [Arc<Changes>],
    changes: Changes,
    answers: Vec<Answer>,
    /// Of all articles that are added.
    bytes: usize,
    /// Why no articles are taken, if there is too little room on the disk.
    no_room: Option<StoreError>,
}

impl<'s> Group<'s> {
    fn new(core: &'s Core, recent: &'s Recent) -> Self {
        let unpublished = recent.since(core.published()).unwrap_or(&recent.groups);
        let changes = Changes::new(recent.next_number());
        let no_room = core.room().err();
        Group { core, recent, unpublished, changes, answers: Vec::new(), bytes: 0, no_room }
    }

    fn is_enough(&self) -> bool {
        self.answers.len() >= GROUP_ENOUGH || self.bytes >= GROUP_BYTES_ENOUGH
    }

    fn has_room(&self) -> bool {
        self.answers.len() < GROUP_MAX && self.bytes < GROUP_BYTES_ENOUGH
    }

    fn execute(&mut self, command: Command) {
        match command {
            // A client that left before its turn wants nothing done.
            Command::Submit { mut turn, reply } if !reply.is_closed() => {
                let place = turn.prepared.place.take();
                let result = self.submit(*turn);
                self.answer_later(reply, result, |outcome| {
                    drop(place);
                    outcome
                });
            }
            Command::Submit { .. } => {}
            Command::Delete { collection, id, reply } => {
                let result = self.delete(&collection, &id);
                self.answer(reply, result);
            }
            Command::UpdateCollection { name, settings, reply } => {
                let result = self.update_collection(&name, settings);
                self.answer_later(reply, result, |collection| collection.info());
            }
            Command::DeleteCollection { name, reply } => {
                let result = self.delete_collection(&name);
                self.answer(reply, result);
            }
            Command::Sweep { reply } => {
                let result = self.sweep();
                self.answer(reply, result);
            }
        }
    }

    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, result: Result<T, StoreError>) {
        self.answer_later(reply, result, |value| value);
    }

    /// Answers, when the group is on the disk, with what is made of the result then.
    fn answer_later<T: Send + 'static, U: Send + 'static>(
        &mut self,
        reply: Reply<U>,
        result: Result<T, StoreError>,
        finish: impl FnOnce(T) -> U + Send + 'static,
    ) {
        self.answers.push(Box::new(move |committed| {
            // A client that left meanwhile does not hear of it.
            let _ = reply.send(committed.and(result).map(finish));
        }));
    }

    /// Everything that may not be on the disk yet.
    fn pending(&self) -> Since<'_> {
        Since { before: self.unpublished, current: &self.changes }
    }

    fn submit(&mut self, turn: Turn) -> Result<Outcome, StoreError> {
        if let Some(error) = &self.no_room {
            return Err(error.clone());
        }
        let Turn { prepared, mut looked, new_story } = turn;
        let collection = self.collection(&prepared.collection)?;
        let number = collection.number;
        let id = prepared.article_id.clone().unwrap_or_else(ArticleId::generate);
        let settings = collection.decided.lock().settings;
        let horizon = Horizon::of(&settings);

        let look = |looked: &mut Looked| -> Result<(), StoreError> {
            let is_gone = |seq| self.pending().is_removed(number, seq);
            *looked = Looked::new(self.core, &collection, &prepared, is_gone)?;
            Ok(())
        };
        if !looked.is_of(&collection) || self.recent.since(looked.commit).is_none() {
            look(&mut looked)?;
        }
        let before = self.recent.since(looked.commit).unwrap_or(&self.recent.groups);
        let since = Since { before, current: &self.changes };
        let known = match since.id(number, &id) {
            None => looked.id,
            Some(changed) => changed,
        };
        let earlier = match known {
            Some(record) => self.entry(&collection, record.seq).map(|entry| (record, entry)),
            None => None,
        };
        let kept = earlier.filter(|(_, entry)| horizon.keeps(entry.submit_time));
        if let Some((record, _)) = kept
            && record.content_hash == prepared.content_hash
        {
            let same = looked.same.take().filter(|_| known == looked.id);
            let same = match same {
                Some(article) => Some(article),
                None => self.stored(&collection, record.seq)?,
            };
            if let Some(article) = same {
                return Ok(replay(article, prepared.matches_max));
            }
        }
        let itself = earlier.map(|(record, _)| record.seq);
        // What was looked for less than now is needed, or matched and went, is looked for again.
        let has_lost_a_match =
            looked.findings.matched().any(|(seq, _)| since.is_removed(number, seq));
        if looked.same.is_some() || has_lost_a_match {
            look(&mut looked)?;
        }

        let view = View::new(self.core, &collection);
        let shelf = TurnShelf { view: &view, pending: self.pending(), horizon, itself };
        let question = question(&prepared, &settings, &collection.counts, itself.is_some());
        let mut findings = looked.findings;
        findings.retain(|seq, remembered| {
            Some(seq) != itself
                && horizon.keeps(remembered.submit_time)
                && !shelf.pending.is_removed(number, seq)
        });
        let wanted = Wanted {
            fingerprint: prepared.fingerprint,
            radius: settings.candidate_hamming_distance,
            keys: &prepared.keys,
            content_tag: content_tag(prepared.sketch.content()),
            max: RECENT_CANDIDATES_MAX,
        };
        let came = since.candidates(number, &wanted, horizon).into_iter();
        question.compare(&shelf, came.filter(|&seq| Some(seq) != itself), &mut findings)?;
        let outlet = Outlet::of(&prepared.article.source, &prepared.article.url);
        let elsewhere = findings.closest_elsewhere(outlet);
        let decision = question.decide(&shelf, findings)?;
        let joined = decision.joins.as_ref().and_then(|(canonical, _)| shelf.story(*canonical));
        // What the article repeats makes no second story of it, nor what it shares with one of
        // another outlet, match or not.
        let repeats = match (&decision.joins, itself) {
            (Some((canonical, _)), _) => shelf.read(*canonical)?,
            (None, Some(itself)) => self.remembered(&collection, itself)?,
            (None, None) => elsewhere,
        };
        let (mut duplicates, matched) = reported(decision);

        let own_story = match earlier {
            Some((record, _)) if duplicates.story.is_none() => {
                self.own_story(&collection, record.seq)?
            }
            _ => None,
        };
        // The earlier revision leaves before this one comes: what the two share must stay.
        if let Some((record, entry)) = earlier {
            self.remove(&collection, record.seq, entry)?;
        }
        let (seq, submit_time) = collection.decided.lock().next();
        let story = duplicates.story.get_or_insert_with(|| Story {
            id: own_story.unwrap_or(new_story),
            canonical: id.clone(),
        });
        let story_id = story.id;
        let story = joined.unwrap_or(StoryNumber(seq));
        if story.0 == seq {
            self.changes.stories.insert((number, story_id), Some(story));
        }
        let Prepared {
            mut article, classification, fingerprint, content_hash, sketch, keys, ..
        } = prepared;
        if !settings.keep_bodies {
            article.body = String::new();
        }
        let body_bytes = article.body.len();
        let tag = content_tag(sketch.content());
        let remembered = Arc::new(Remembered {
            article_id: id.clone(),
            title: article.title.clone(),
            url: article.url.clone(),
            source: article.source.clone(),
            submit_time,
            fingerprint,
            story: story_id,
            sketch,
        });
        let entry =
            Entry { fingerprint, story, submit_time, content_tag: tag, is_revised: kept.is_some() };
        let revision = kept.map_or(1, |(record, _)| record.revision.saturating_add(1));
        let first = kept.map_or(seq, |(record, _)| record.first);
        let stored = Arc::new(StoredArticle {
            article_id: id.clone(),
            article,
            revision,
            submit_time,
            analysis: Analysis { classification, duplicates, fingerprint },
        });
        self.changes
            .ids
            .insert((number, id), Some(IdRecord { seq, revision, first, content_hash }));
        let content = Mutex::new(Some(Arc::clone(&stored)));
        let added = Added { collection, seq, entry, keys, remembered, repeats, content };
        self.bytes += body_bytes;
        self.changes.add(added);
        Ok(Outcome { article: stored, replayed: false, matched })
    }

    /// What the index says of an article, as it will be after the commit.
    fn entry(&self, collection: &Collection, seq: Seq) -> Option<Entry> {
        let pending = self.pending();
        if pending.is_removed(collection.number, seq) {
            return None;
        }
        match pending.article(collection.number, seq) {
            Some(added) => Some(added.entry),
            None => collection.published.read().index.entry(seq),
        }
    }

    /// An article as it will be after the commit.
    fn stored(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<StoredArticle>, StoreError> {
        match self.pending().content(collection.number, seq) {
            Some(article) => Ok(Some(StoredArticle::clone(&article))),
            None => View::new(self.core, collection).article(seq),
        }
    }

    fn remembered(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<Arc<Remembered>>, StoreError> {
        match self.pending().article(collection.number, seq) {
            Some(added) => Ok(Some(Arc::clone(&added.remembered))),
            None => readable(View::new(self.core, collection).remembered(seq)),
        }
    }

    /// Whether an article is the only one of its story.
    fn is_alone(&self, collection: &Collection, seq: Seq, story: StoryNumber) -> bool {
        let (number, pending) = (collection.number, self.pending());
        let everything = Horizon(None);
        let mut added = pending.members(number, story, everything);
        let published = collection.published.read();
        let mut there = published.index.story_members(story);
        let is_other = |member: &Seq| *member != seq;
        !added.any(|member| is_other(&member))
            && !there.any(|member| is_other(&member) && !pending.is_removed(number, member))
    }

    /// The id of the story that an article is the only one of.
    fn own_story(&self, collection: &Collection, seq: Seq) -> Result<Option<StoryId>, StoreError> {
        let Some(entry) = self.entry(collection, seq) else { return Ok(None) };
        if !self.is_alone(collection, seq, entry.story) {
            return Ok(None);
        }
        Ok(self.remembered(collection, seq)?.map(|remembered| remembered.story))
    }

    fn delete(&mut self, name: &CollectionName, id: &ArticleId) -> Result<(), StoreError> {
        let not_there = || StoreError::NoArticle(id.clone());
        let collection = self.existing(name).ok_or_else(not_there)?;
        let record = match self.pending().id(collection.number, id) {
            Some(changed) => changed,
            None => View::new(self.core, &collection).id(id)?,
        };
        let record = record.ok_or_else(not_there)?;
        let horizon = Horizon::of(&collection.decided.lock().settings);
        let entry = self.entry(&collection, record.seq);
        self.changes.ids.insert((collection.number, id.clone()), None);
        let entry = entry.ok_or_else(not_there)?;
        self.remove(&collection, record.seq, entry)?;
        if horizon.keeps(entry.submit_time) { Ok(()) } else { Err(not_there()) }
    }

    /// Removes an article but not its id, which may go on with another revision.
    fn remove(
        &mut self,
        collection: &Arc<Collection>,
        seq: Seq,
        entry: Entry,
    ) -> Result<(), StoreError> {
        if self.is_alone(collection, seq, entry.story)
            && let Some(remembered) = self.remembered(collection, seq)?
        {
            self.changes.stories.insert((collection.number, remembered.story), None);
        }
        self.changes.removed.insert((collection.number, seq), Arc::clone(collection));
        Ok(())
    }

    /// The collection of that name, as it will be after the commit.
    fn existing(&self, name: &CollectionName) -> Option<Arc<Collection>> {
        match self.pending().collection(name) {
            Some(changed) => changed,
            None => self.core.collection(name),
        }
    }

    /// The collection of that name, made if it is not there.
    fn collection(&mut self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        match self.existing(name) {
            Some(collection) => Ok(collection),
            None => self.create_collection(name, CollectionSettings::default()),
        }
    }

    fn create_collection(
        &mut self,
        name: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<Arc<Collection>, StoreError> {
        let number = self.core.take_collection_number()?;
        let record = CollectionRecord { number, settings, create_time: Timestamp::now() };
        let collection = Arc::new(Collection::new(name.clone(), record));
        let change = (Arc::clone(&collection), settings);
        self.changes.collections.insert(name.clone(), Some(change));
        Ok(collection)
    }

    fn update_collection(
        &mut self,
        name: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<Arc<Collection>, StoreError> {
        let Some(collection) = self.existing(name) else {
            return self.create_collection(name, settings);
        };
        collection.decided.lock().settings = settings;
        let change = (Arc::clone(&collection), settings);
        self.changes.collections.insert(name.clone(), Some(change));
        Ok(collection)
    }

    fn delete_collection(&mut self, name: &CollectionName) -> Result<(), StoreError> {
        let collection =
            self.existing(name).ok_or_else(|| StoreError::NoCollection(name.clone()))?;
        self.changes.collections.insert(name.clone(), None);
        self.changes.orphans.insert(collection.number, false);
        self.core.give_collection_back();
        Ok(())
    }

    /// Removes articles that retention has forgotten, and what deleted collections left behind;
    /// tells whether there is more.
    fn sweep(&mut self) -> Result<bool, StoreError> {
        let mut left = SWEEP_MAX;
        for collection in self.core.collections() {
            let forgotten = {
                let published = collection.published.read();
                let Horizon(Some(moment)) = Horizon::of(&published.settings) else { continue };
                published.index.oldest_before(moment, left)
            };
            for seq in forgotten {
                let Some(entry) = self.entry(&collection, seq) else { continue };
                // The id of one that cannot be read stays, and leads to nothing.
                if let Some(remembered) = self.remembered(&collection, seq)? {
                    let id = (collection.number, remembered.article_id.clone());
                    self.changes.ids.insert(id, None);
                }
                self.remove(&collection, seq, entry)?;
                left -= 1;
            }
        }
        for number in self.core.tables.orphans()? {
            let removed = self.remove_rows(number, left)?;
            left -= removed;
            if left > 0 {
                self.changes.orphans.insert(number, true);
            }
        }
        Ok(left == 0)
    }

    /// Removes rows of a collection that is gone, at most so many, and tells how many.
    fn remove_rows(&mut self, number: CollectionNumber, max: usize) -> Result<usize, StoreError> {
        let Tables { articles, candidates, index, ids, stories, counts, .. } = &self.core.tables;
        let mut removed = 0;
        for table in [articles, candidates, index, ids, stories, counts] {
            for row in table.prefix(number.to_be_bytes()).take(max - removed) {
                self.changes.dead_rows.push((table.clone(), row.key()?));
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// Articles as they will be after the commit.
struct TurnShelf<'t, 'c> {
    view: &'t View<'c>,
    pending: Since<'t>,
    horizon: Horizon,
    /// The article's own earlier revision, which does not count.
    itself: Option<Seq>,
}

impl TurnShelf<'_, '_> {
    /// The story that an article belongs to.
    fn story(&self, member: Seq) -> Option<StoryNumber> {
        let collection = self.view.collection;
        let entry = match self.pending.article(collection.number, member) {
            Some(added) => Some(added.entry),
            None => collection.published.read().index.entry(member),
        };
        entry.map(|entry| entry.story)
    }
}

impl Shelf for TurnShelf<'_, '_> {
    type Key = Seq;
    type Error = StoreError;

    fn read(&self, seq: Seq) -> Result<Option<Arc<Remembered>>, StoreError> {
        let number = self.view.collection.number;
        if self.pending.is_removed(number, seq) {
            return Ok(None);
        }
        match self.pending.article(number, seq) {
            Some(added) => Ok(Some(Arc::clone(&added.remembered))),
            None => readable(self.view.remembered(seq)),
        }
    }

    fn canonical(&self, member: Seq) -> Result<Option<Seq>, StoreError> {
        let Some(story) = self.story(member) else { return Ok(None) };
        let collection = self.view.collection;
        let number = collection.number;
        let is_other = |seq: &Seq| Some(*seq) != self.itself;
        let published = collection.published.read();
        let there = members(&published.index, story, |seq, entry: Entry| {
            self.horizon.keeps(entry.submit_time) && !self.pending.is_removed(number, seq)
        });
        let there = { there }.find(is_other);
        let mut added = self.pending.members(number, story, self.horizon);
        Ok(there.or_else(|| added.find(is_other)))
    }
}

fn replay(mut article: StoredArticle, matches_max: usize) -> Outcome {
    let Analysis { classification, duplicates, .. } = &mut article.analysis;
    duplicates.matches.truncate(matches_max);
    // What is read back from disk does not have these either.
    duplicates.matches.iter_mut().for_each(|found| found.overlaps.clear());
    classification.topics.iter_mut().for_each(|score| score.evidence.clear());
    Outcome { article: Arc::new(article), replayed: true, matched: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_lately_is_kept_in_bounded_memory() {
        let retired = |count: u64, articles: usize, bytes: usize, published| {
            let bytes = articles * bytes;
            retired((1..=count).map(|number| Weight { number, articles, bytes }), published)
        };
        // Of short articles the last so many stay, of long ones what there is room for.
        assert_eq!(retired(100, 128, 1500, 100), 100 - RECENT_MIN / 128);
        assert_eq!(retired(100, 8, 1 << 20, 100), 100 - RECENT_BYTES_MAX / (8 << 20));
        // What readers do not see yet stays in any case, and so does the latest.
        assert_eq!(retired(100, 8, 1 << 20, 3), 3);
        assert_eq!(retired(1, 1, 0, 1), 0);
        assert_eq!(retired(0, 0, 0, 1), 0);
    }
}
