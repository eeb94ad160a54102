//! The one thread that decides what is written. It takes what has come in, works through it in
//! order, and hands it over as a group to another thread, which commits all of it with one sync of
//! the disk and only then answers. While the disk syncs a group the next one is worked through.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use fjall::{OwnedWriteBatch, PersistMode};
use metrics::histogram;
use tokio::runtime::Runtime;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::index::{Entry, Seq};
use super::lookup::{self, Reader};
use super::postings::Key;
use super::record::{
    ArticleRecord, CollectionNumber, CollectionRecord, IdRecord, IndexRecord, encode, encode_into,
    id_key, seq_key, story_key,
};
use super::tables::{COMMIT, NEXT_COLLECTION, ORPHAN, Tables};
use super::{Collection, Shared};
use crate::analysis::{Analysis, Story};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::Sketch;
use crate::store::{CollectionSettings, Prepared, StoreError, Submitted};

/// Commands that share one commit, at most.
const GROUP_MAX: usize = 1024;

/// So many are worth a commit of their own, even if more are waiting.
const GROUP_ENOUGH: usize = 128;

/// Articles that one sweep removes, at most: the writer has better things to do.
const SWEEP_MAX: usize = 512;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer can be asked to do.
pub enum Command {
    Submit { prepared: Box<Prepared>, reply: Reply<Submitted> },
    Delete { collection: CollectionName, id: ArticleId, reply: Reply<()> },
    UpdateCollection { name: CollectionName, settings: CollectionSettings, reply: Reply<()> },
    DeleteCollection { name: CollectionName, reply: Reply<()> },
    Sweep { reply: Reply<bool> },
}

pub struct Writer {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) -> Self {
        Writer { shared, commands }
    }

    /// Works until every sender is gone and everything accepted is done.
    pub fn run(self, runtime: &Runtime) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (committer, groups) = std::sync::mpsc::channel::<Complete>();
        std::thread::scope(|scope| {
            let commit_all = move || groups.iter().for_each(|group| group.commit(&shared));
            let thread = std::thread::Builder::new().name("newsprint-commit".to_owned());
            thread.spawn_scoped(scope, commit_all)?;
            runtime.block_on(self.work(&committer));
            // Without a sender the committer ends when it has done what there is.
            drop(committer);
            Ok(())
        })
    }

    async fn work(mut self, committer: &std::sync::mpsc::Sender<Complete>) {
        let (_, done) = oneshot::channel();
        let mut before = Committing { changes: Weak::new(), done };
        while let Some(command) = self.commands.recv().await {
            let mut group = Group::new(&self.shared, Weak::clone(&before.changes));
            group.execute(command);
            // Others join as long as the disk is busy with the group before, and if there are any.
            while group.answers.len() < GROUP_ENOUGH || !before.is_done() {
                tokio::select! {
                    biased;
                    Some(command) = self.commands.recv(), if group.answers.len() < GROUP_MAX => {
                        group.execute(command);
                    }
                    _ = &mut before.done => break,
                }
            }
            let (complete, committing) = group.complete();
            before = committing;
            if committer.send(complete).is_err() {
                return;
            }
        }
    }
}

/// Sends an answer once it is known whether the group was committed.
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Commands that are committed together. Later ones see what earlier ones will have written.
struct Group<'s> {
    shared: &'s Shared,
    batch: OwnedWriteBatch,
    answers: Vec<Answer>,
    /// The room left on the disk, if that is too little to write more.
    too_little_room: Option<u64>,
    changes: Changes,
    /// What the group before changes, until it is on the disk.
    changes_before: Weak<Changes>,
    /// For encoding records.
    buffer: Vec<u8>,
}

/// What a batch changes, for reading it back: None means removed.
#[derive(Default)]
struct Changes {
    ids: HashMap<(CollectionNumber, ArticleId), Option<IdRecord>>,
    articles: HashMap<(CollectionNumber, Seq), Option<Arc<Written>>>,
}

/// A group that nothing is added to any more.
struct Complete {
    batch: OwnedWriteBatch,
    answers: Vec<Answer>,
    /// These two are dropped when the group is on the disk, or will never be.
    changes: Arc<Changes>,
    on_its_way: oneshot::Sender<()>,
}

/// The same as who comes after it sees it.
struct Committing {
    changes: Weak<Changes>,
    /// Ends when the group is on the disk, or will never be.
    done: oneshot::Receiver<()>,
}

impl Committing {
    fn is_done(&mut self) -> bool {
        !matches!(self.done.try_recv(), Err(TryRecvError::Empty))
    }
}

/// An article that the batch holds.
struct Written {
    article: Arc<ArticleRecord>,
    sketch: Arc<Sketch>,
    keys: Vec<Key>,
}

impl<'s> Group<'s> {
    fn new(shared: &'s Shared, changes_before: Weak<Changes>) -> Self {
        let batch = shared.db.batch().durability(Some(PersistMode::SyncData));
        // A disk that does not tell is taken to have room; if it has none the commit will fail.
        let available = fs4::available_space(&shared.folder).ok();
        Group {
            shared,
            batch,
            answers: Vec::new(),
            too_little_room: available.filter(|&bytes| bytes < shared.disk_reserve_bytes),
            changes: Changes::default(),
            changes_before,
            buffer: Vec::new(),
        }
    }

    fn execute(&mut self, command: Command) {
        match command {
            // A client that left before its turn wants nothing done.
            Command::Submit { prepared, reply } if !reply.is_closed() => {
                let result = self.submit(*prepared);
                self.answer(reply, result);
            }
            Command::Submit { .. } => {}
            Command::Delete { collection, id, reply } => {
                let result = self.delete(&collection, &id);
                self.answer(reply, result);
            }
            Command::UpdateCollection { name, settings, reply } => {
                let result = self.update_collection(&name, settings);
                self.answer(reply, result);
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
        self.answers.push(Box::new(move |committed| {
            // A client that left meanwhile does not hear of it.
            let _ = reply.send(committed.and(result));
        }));
    }

    fn complete(self) -> (Complete, Committing) {
        let Group { batch, answers, changes, .. } = self;
        let changes = Arc::new(changes);
        let (on_its_way, done) = oneshot::channel();
        let committing = Committing { changes: Arc::downgrade(&changes), done };
        (Complete { batch, answers, changes, on_its_way }, committing)
    }

    fn submit(&mut self, prepared: Prepared) -> Result<Submitted, StoreError> {
        if let Some(reason) = self.shared.closed.get() {
            return Err(StoreError::Closed(reason.clone()));
        }
        if let Some(available) = self.too_little_room {
            let reserve_mib = self.shared.disk_reserve_bytes >> 20;
            return Err(StoreError::DiskFull { available_mib: available >> 20, reserve_mib });
        }
        let collection = self.collection(&prepared.collection)?;
        let id = prepared.article_id.clone().unwrap_or_else(ArticleId::generate);
        let known = self.id_record(&collection, &id)?;
        let earlier = match known {
            Some(record) => self.written(&collection, record.seq)?.map(|written| (record, written)),
            None => None,
        };
        let forgotten = |written: &Written| collection.is_forgotten(written.article.submit_time);
        if let Some((record, written)) = &earlier
            && record.content_hash == prepared.content_hash
            && !forgotten(written)
        {
            return Ok(replay(&written.article, prepared.matches_max));
        }

        let itself = earlier.as_ref().map(|(record, _)| record.seq);
        let reader = GroupReader { group: self, collection: &collection };
        let found = lookup::look_up(&collection, &prepared, itself, &reader)?;
        let mut revision = 1;
        let mut own_story = None;
        // The earlier revision leaves before this one comes: what the two share must stay.
        if let Some((record, written)) = &earlier {
            if !forgotten(written) {
                revision = record.revision + 1;
            }
            own_story = self.own_story(&collection, record.seq);
            self.remove(&collection, record.seq, written);
        }
        let seq = collection.next_seq.fetch_add(1, Ordering::Relaxed);
        let began = found.story.unwrap_or(seq);
        let mut duplicates = found.report;
        if duplicates.story.is_none() {
            let story = own_story.unwrap_or_else(Uuid::now_v7);
            duplicates.story = Some(Story { id: story, canonical: id.clone() });
            let key = story_key(collection.number, story);
            self.batch.insert(&self.shared.tables.stories, key, encode(&seq)?);
        }
        let mut article = prepared.article;
        if !collection.settings.read().keep_bodies {
            article.body = String::new();
        }
        let record = Arc::new(ArticleRecord {
            article_id: id.clone(),
            article,
            revision,
            submit_time: Timestamp::now(),
            analysis: Analysis {
                classification: prepared.classification,
                duplicates,
                fingerprint: prepared.fingerprint,
            },
        });
        let id_record = IdRecord { seq, revision, content_hash: prepared.content_hash };
        let (sketch, keys) = (Arc::new(prepared.sketch), prepared.keys);
        let written = Arc::new(Written { article: record, sketch, keys });
        self.insert(&collection, seq, began, id_record, &written)?;
        Ok(outcome(&written.article, false))
    }

    /// The id of the story that a submission is the only article of.
    fn own_story(&self, collection: &Collection, seq: Seq) -> Option<Uuid> {
        let is_alone = {
            let index = collection.index.read();
            index.entry(seq).is_some_and(|entry| index.story_members(entry.story).eq([seq]))
        };
        let article = Arc::clone(&self.written(collection, seq).ok()??.article);
        is_alone.then(|| article.analysis.duplicates.story.as_ref().map(|story| story.id))?
    }

    fn insert(
        &mut self,
        collection: &Collection,
        seq: Seq,
        story: Seq,
        id_record: IdRecord,
        written: &Arc<Written>,
    ) -> Result<(), StoreError> {
        let article = &written.article;
        let index_record = IndexRecord {
            fingerprint: article.analysis.fingerprint,
            story,
            submit_time: article.submit_time,
            keys: written.keys.clone(),
        };
        let tables = &self.shared.tables;
        let key = seq_key(collection.number, seq);
        let buffer = &mut self.buffer;
        self.batch.insert(&tables.articles, key, encode_into(buffer, &**article)?);
        self.batch.insert(&tables.index, key, encode_into(buffer, &index_record)?);
        self.batch.insert(&tables.sketches, key, written.sketch.to_bytes());
        let id = &article.article_id;
        let id_bytes = encode_into(buffer, &id_record)?;
        self.batch.insert(&tables.ids, id_key(collection.number, id), id_bytes);

        self.changes.ids.insert((collection.number, id.clone()), Some(id_record));
        self.changes.articles.insert((collection.number, seq), Some(Arc::clone(written)));
        collection.index.write().insert(seq, index_record.entry(), &written.keys);
        Ok(())
    }

    fn delete(&mut self, name: &CollectionName, id: &ArticleId) -> Result<(), StoreError> {
        let not_there = || StoreError::NoArticle(id.clone());
        let collection = self.shared.collection(name).ok_or_else(not_there)?;
        let record = self.id_record(&collection, id)?.ok_or_else(not_there)?;
        let written = self.written(&collection, record.seq)?.ok_or_else(not_there)?;
        let is_forgotten = collection.is_forgotten(written.article.submit_time);
        self.forget(&collection, record.seq, &written);
        if is_forgotten { Err(not_there()) } else { Ok(()) }
    }

    /// Removes an article and its id.
    fn forget(&mut self, collection: &Collection, seq: Seq, written: &Written) {
        let id = &written.article.article_id;
        self.batch.remove(&self.shared.tables.ids, id_key(collection.number, id));
        self.changes.ids.insert((collection.number, id.clone()), None);
        self.remove(collection, seq, written);
    }

    /// Removes an article but not its id, which may go on with another revision.
    fn remove(&mut self, collection: &Collection, seq: Seq, written: &Written) {
        let tables = &self.shared.tables;
        let key = seq_key(collection.number, seq);
        for table in [&tables.articles, &tables.index, &tables.sketches] {
            self.batch.remove(table, key);
        }
        self.changes.articles.insert((collection.number, seq), None);

        let keys_of = |member| match self.written(collection, member) {
            Ok(Some(written)) => written.keys.clone(),
            Ok(None) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "a story's article cannot be read to be filed anew");
                Vec::new()
            }
        };
        let story = collection.index.read().entry(seq).map(|entry| entry.story);
        collection.index.write().remove(seq, &written.keys, keys_of);
        let is_over = story
            .is_some_and(|story| collection.index.read().story_members(story).next().is_none());
        if is_over && let Some(story) = &written.article.analysis.duplicates.story {
            self.batch.remove(&tables.stories, story_key(collection.number, story.id));
        }
    }

    /// The collection of that name, made if it is not there.
    fn collection(&mut self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        match self.shared.collection(name) {
            Some(collection) => Ok(collection),
            None => self.create_collection(name, CollectionSettings::default()),
        }
    }

    fn create_collection(
        &mut self,
        name: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<Arc<Collection>, StoreError> {
        let number = self.shared.next_collection.fetch_add(1, Ordering::Relaxed);
        self.batch.insert(&self.shared.tables.meta, NEXT_COLLECTION, encode(&(number + 1))?);
        let record = CollectionRecord {
            number,
            name: name.clone(),
            settings,
            create_time: Timestamp::now(),
        };
        self.batch.insert(&self.shared.tables.collections, name.as_str(), encode(&record)?);
        let collection = Arc::new(Collection::new(record));
        self.shared.collections.write().insert(name.clone(), Arc::clone(&collection));
        Ok(collection)
    }

    fn update_collection(
        &mut self,
        name: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<(), StoreError> {
        let Some(collection) = self.shared.collection(name) else {
            return self.create_collection(name, settings).map(drop);
        };
        let record = CollectionRecord {
            number: collection.number,
            name: name.clone(),
            settings,
            create_time: collection.create_time,
        };
        self.batch.insert(&self.shared.tables.collections, name.as_str(), encode(&record)?);
        *collection.settings.write() = settings;
        Ok(())
    }

    fn delete_collection(&mut self, name: &CollectionName) -> Result<(), StoreError> {
        let number = self.shared.existing(name)?.number;
        self.batch.remove(&self.shared.tables.collections, name.as_str());
        self.batch.insert(&self.shared.tables.meta, orphan_key(number), []);
        self.shared.collections.write().remove(name);
        Ok(())
    }

    /// Removes articles that retention has forgotten, and what deleted collections left behind;
    /// tells whether there is more.
    fn sweep(&mut self) -> Result<bool, StoreError> {
        let collections: Vec<Arc<Collection>> =
            self.shared.collections.read().values().cloned().collect();
        let mut left = SWEEP_MAX;
        for collection in &collections {
            let Some(moment) = collection.forgotten_before() else { continue };
            let forgotten = collection.index.read().oldest_before(moment, left);
            left -= forgotten.len();
            for seq in forgotten {
                if let Some(written) = self.written(collection, seq)? {
                    self.forget(collection, seq, &written);
                }
            }
        }
        for row in self.shared.tables.meta.prefix(ORPHAN) {
            let key = row.key()?;
            let removed = self.remove_rows(&key[ORPHAN.len()..], left)?;
            left -= removed;
            if left > 0 {
                self.batch.remove(&self.shared.tables.meta, key);
            }
        }
        Ok(left == 0)
    }

    /// Removes rows of a collection that is gone, at most so many, and tells how many.
    fn remove_rows(&mut self, collection: &[u8], max: usize) -> Result<usize, StoreError> {
        let Tables { articles, index, sketches, ids, stories, .. } = &self.shared.tables;
        let mut removed = 0;
        for table in [articles, index, sketches, ids, stories] {
            for row in table.prefix(collection).take(max - removed) {
                self.batch.remove(table, row.key()?);
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn id_record(
        &self,
        collection: &Collection,
        id: &ArticleId,
    ) -> Result<Option<IdRecord>, StoreError> {
        let key = (collection.number, id.clone());
        match self.changed(|changes| changes.ids.get(&key).copied()) {
            Some(record) => Ok(record),
            None => self.shared.id_record(collection, id),
        }
    }

    /// An article as it will stand after the commit.
    fn written(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<Arc<Written>>, StoreError> {
        if let Some(written) = self.changed_article(collection, seq) {
            return Ok(written);
        }
        let (Some(article), Some(sketch), Some(index)) = (
            self.shared.article(collection, seq)?,
            self.shared.sketch(collection, seq)?,
            self.shared.index_record(collection, seq)?,
        ) else {
            return Ok(None);
        };
        let (article, keys) = (Arc::new(article), index.keys);
        Ok(Some(Arc::new(Written { article, sketch, keys })))
    }

    /// What an article has become, if what is not on the disk yet changes it.
    fn changed_article(&self, collection: &Collection, seq: Seq) -> Option<Option<Arc<Written>>> {
        self.changed(|changes| changes.articles.get(&(collection.number, seq)).cloned())
    }

    /// Looks for something among what is not on the disk yet, the latest first.
    fn changed<T>(&self, find: impl Fn(&Changes) -> Option<T>) -> Option<T> {
        find(&self.changes).or_else(|| find(&*self.changes_before.upgrade()?))
    }
}

impl Complete {
    /// Makes everything durable, then answers.
    fn commit(mut self, shared: &Shared) {
        let started = Instant::now();
        if shared.closed.get().is_none() && !self.batch.is_empty() {
            let commands = self.answers.len();
            let number = shared.commit.fetch_add(1, Ordering::Relaxed) + 1;
            let committed = encode(&number).and_then(|value| {
                self.batch.insert(&shared.tables.meta, COMMIT, value);
                Ok(self.batch.commit()?)
            });
            match committed {
                Ok(()) => {
                    if let Err(error) = shared.mark.write(number) {
                        tracing::warn!(%error, "the latest commit cannot be marked");
                    }
                    histogram!("newsprint_commit_seconds").record(started.elapsed().as_secs_f64());
                    histogram!("newsprint_commit_commands").record(commands as f64);
                }
                Err(error) => {
                    // The index in memory now holds what the disk may not: only a new start, which
                    // builds it from the disk, can make them agree again.
                    tracing::error!(%error, "a commit failed; no more writes until a restart");
                    let _ = shared.closed.set(error.to_string());
                }
            }
        }
        drop((self.changes, self.on_its_way));
        for answer in self.answers {
            let closed = |reason: &String| StoreError::Closed(reason.clone());
            answer(shared.closed.get().map_or(Ok(()), |reason| Err(closed(reason))));
        }
    }
}

struct GroupReader<'g, 's> {
    group: &'g Group<'s>,
    collection: &'g Collection,
}

impl Reader for GroupReader<'_, '_> {
    fn article(&self, seq: Seq) -> Result<Option<Arc<ArticleRecord>>, StoreError> {
        match self.group.changed_article(self.collection, seq) {
            Some(written) => Ok(written.map(|written| Arc::clone(&written.article))),
            None => Ok(self.group.shared.article(self.collection, seq)?.map(Arc::new)),
        }
    }

    fn sketch(&self, seq: Seq) -> Result<Option<Arc<Sketch>>, StoreError> {
        match self.group.changed_article(self.collection, seq) {
            Some(written) => Ok(written.map(|written| Arc::clone(&written.sketch))),
            None => self.group.shared.sketch(self.collection, seq),
        }
    }
}

fn orphan_key(number: CollectionNumber) -> Vec<u8> {
    [ORPHAN.as_bytes(), &number.to_be_bytes()].concat()
}

fn replay(article: &ArticleRecord, matches_max: usize) -> Submitted {
    let mut outcome = outcome(article, true);
    let Analysis { classification, duplicates, .. } = &mut outcome.analysis;
    duplicates.matches.truncate(matches_max);
    // What is read back from disk does not have these either.
    duplicates.matches.iter_mut().for_each(|found| found.overlaps.clear());
    classification.topics.iter_mut().for_each(|score| score.evidence.clear());
    outcome
}

fn outcome(article: &ArticleRecord, replayed: bool) -> Submitted {
    Submitted {
        article_id: article.article_id.clone(),
        revision: article.revision,
        replayed,
        submit_time: article.submit_time,
        analysis: article.analysis.clone(),
    }
}

impl IndexRecord {
    pub fn entry(&self) -> Entry {
        Entry { fingerprint: self.fingerprint, story: self.story, submit_time: self.submit_time }
    }
}
