//! What was decided becomes durable, then visible, and only then is anybody told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fjall::{OwnedWriteBatch, PersistMode};
use metrics::{counter, histogram};
use parking_lot::RwLockWriteGuard;
use tokio::sync::oneshot;

use super::Core;
use super::collection::{Collection, Published};
use super::index::Seq;
use super::recent::Changes;
use super::record::{
    CollectionNumber, CollectionRecord, counts_to_bytes, id_key, index_to_bytes, number_to_bytes,
    seq_key, story_key, write_article, write_candidate,
};
use super::tables::{COMMIT, NEXT_COLLECTION, Tables, next_seq_key, orphan_key};
use super::view::{View, readable};
use crate::duplicates::PostingKey;
use crate::store::StoreError;

/// Sends an answer once it is known whether the group was committed.
pub type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A group that nothing is added to any more.
pub struct Complete {
    pub changes: Arc<Changes>,
    pub answers: Vec<Answer>,
    /// Dropped when the group is on the disk, or will never be.
    pub on_its_way: oneshot::Sender<()>,
}

impl Complete {
    /// Makes everything durable, shows it to readers, then answers. After a failure nothing more is
    /// written: whether that commit is on the disk is not known until it is opened anew.
    pub fn commit(self, core: &Core) {
        let Complete { changes, answers, on_its_way } = self;
        if !changes.is_empty() && !core.is_closed() {
            let started = Instant::now();
            match write(core, &changes) {
                Ok(()) => {
                    publish(core, &changes);
                    changes.drop_contents();
                    histogram!("newsprint_commit_seconds").record(started.elapsed().as_secs_f64());
                    histogram!("newsprint_commit_commands").record(answers.len() as f64);
                }
                Err(error) => {
                    counter!("newsprint_commit_failures_total").increment(1);
                    tracing::error!(%error, "a commit failed; the store is closed");
                    core.close(&error);
                }
            }
        }
        drop(on_its_way);
        for answer in answers {
            answer(core.open_for_writing());
        }
        // Not before: what is on the disk is answered and seen at once, and the next group waits.
        wait_for_room(core);
    }
}

fn write(core: &Core, changes: &Changes) -> Result<(), StoreError> {
    let rows = ROWS_PER_ARTICLE * changes.added.len() + changes.dead_rows.len();
    let batch = OwnedWriteBatch::with_capacity(core.db.clone(), rows);
    let mut batch = batch.durability(Some(PersistMode::SyncData));
    fill(&mut batch, &core.tables, changes)?;
    let touched: BTreeMap<CollectionNumber, &Collection> =
        changes.added.iter().map(|added| (added.collection.number, &*added.collection)).collect();
    for collection in touched.into_values() {
        add_counts(&mut batch, &core.tables, collection, COUNTED_MAX);
    }
    batch.commit()?;
    if let Err(error) = core.mark.write(changes.number) {
        tracing::warn!(%error, "the latest commit cannot be marked");
    }
    Ok(())
}

/// What was committed and is not in a table yet stays in memory. The engine begins a new piece of it
/// when its worker comes round to that, so while the worker tidies it grows with all that is written.
/// In quiet times three tables keep up to 16 MiB each and five up to 4.
const UNWRITTEN_BYTES_MAX: u64 = 104 << 20;

/// How long a commit waits for the engine to write that out: one that never does is no reason to
/// stop.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(1);

/// Waits while more than that is in memory only.
fn wait_for_room(core: &Core) {
    let began = Instant::now();
    while core.db.write_buffer_size() > UNWRITTEN_BYTES_MAX && began.elapsed() < ROOM_WAIT_MAX {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// For most articles so many rows are written.
const ROWS_PER_ARTICLE: usize = 5;

/// So many articles are counted again at most when a collection is opened.
const COUNTED_MAX: u64 = 1 << 15;

/// Puts a collection's counts into a batch, if so many articles were counted since that was last
/// done.
fn add_counts(
    batch: &mut OwnedWriteBatch,
    tables: &Tables,
    collection: &Collection,
    at_least: u64,
) {
    if collection.take_counted(at_least) {
        let next = collection.published.read().index.end();
        let bytes = counts_to_bytes(next, &collection.counts);
        batch.insert(&tables.counts, collection.number.to_be_bytes(), bytes);
    }
}

/// Writes the counts of all collections, so that nothing has to be counted again.
pub fn write_counts(core: &Core) -> Result<(), StoreError> {
    let mut batch = core.db.batch().durability(Some(PersistMode::SyncData));
    for collection in core.collections() {
        add_counts(&mut batch, &core.tables, &collection, 1);
    }
    Ok(batch.commit()?)
}

/// Puts into a batch what a group changes.
fn fill(batch: &mut OwnedWriteBatch, tables: &Tables, changes: &Changes) -> Result<(), StoreError> {
    let mut next_collection = None;
    let mut buffer = Vec::new();
    let mut next_seqs: BTreeMap<CollectionNumber, Seq> = BTreeMap::new();
    for (name, change) in &changes.collections {
        match change {
            Some((collection, settings)) => {
                let record = CollectionRecord {
                    number: collection.number,
                    settings: *settings,
                    create_time: collection.create_time,
                };
                batch.insert(&tables.collections, name.as_str(), record.to_bytes()?);
                next_collection = next_collection.max(Some(collection.number + 1));
            }
            None => batch.remove(&tables.collections, name.as_str()),
        }
    }
    for (&number, &is_done) in &changes.orphans {
        if is_done {
            batch.remove(&tables.meta, orphan_key(number));
            batch.remove(&tables.meta, next_seq_key(number));
        } else {
            batch.insert(&tables.meta, orphan_key(number), []);
            next_collection = next_collection.max(Some(number + 1));
        }
    }
    for ((number, id), change) in &changes.ids {
        let key = id_key(*number, id);
        match change {
            Some(record) => batch.insert(&tables.ids, key, &record.to_bytes()[..]),
            None => batch.remove(&tables.ids, key),
        }
    }
    for (&(number, story), change) in &changes.stories {
        let key = story_key(number, story);
        match change {
            Some(story) => batch.insert(&tables.stories, key, number_to_bytes(story.0)),
            None => batch.remove(&tables.stories, key),
        }
    }
    for &(number, seq) in changes.removed.keys() {
        if changes.article(number, seq).is_none() {
            for table in [&tables.articles, &tables.candidates, &tables.index] {
                batch.remove(table, seq_key(number, seq));
            }
        }
    }
    for added in &changes.added {
        let number = added.collection.number;
        next_seqs.insert(number, added.seq + 1);
        if changes.removed.contains_key(&(number, added.seq)) {
            continue;
        }
        let Some(article) = added.content.lock().clone() else { continue };
        let key = seq_key(number, added.seq);
        write_article(&mut buffer, &article)?;
        batch.insert(&tables.articles, key, &buffer[..]);
        write_candidate(&mut buffer, &added.remembered)?;
        batch.insert(&tables.candidates, key, &buffer[..]);
        batch.insert(&tables.index, key, index_to_bytes(added.entry, &added.keys));
    }
    for (table, key) in &changes.dead_rows {
        batch.remove(table, key.clone());
    }
    if let Some(next) = next_collection {
        let key = NEXT_COLLECTION;
        // Numbers are taken in order, so the largest was taken last.
        let known = tables.number(key)?.unwrap_or_default();
        batch.insert(&tables.meta, key, number_to_bytes(known.max(next.into())));
    }
    for (number, next) in next_seqs {
        batch.insert(&tables.meta, next_seq_key(number), number_to_bytes(next));
    }
    batch.insert(&tables.meta, COMMIT, number_to_bytes(changes.number));
    Ok(())
}

/// An article that leaves the index, with what has to be known for that.
struct Leaving {
    seq: Seq,
    keys: Vec<PostingKey>,
    stand_ins: Vec<(Seq, Vec<PostingKey>)>,
}

impl Leaving {
    /// Reads what is needed, without any lock. The committer alone changes the index, so it stays
    /// as it is until then.
    fn new(core: &Core, changes: &Changes, collection: &Collection, seq: Seq) -> Self {
        let (view, stand_ins) =
            View::with(core, collection, |published, _| published.index.stand_ins(seq));
        let keys = |seq| -> Vec<PostingKey> {
            match readable(view.index_record(seq)) {
                Ok(record) => record.map(|record| record.keys).unwrap_or_default(),
                Err(error) => {
                    tracing::error!(%error, "what an article is filed under cannot be read");
                    Vec::new()
                }
            }
        };
        let own = keys(seq);
        let vacant = collection.published.read().index.posted_keys(seq, &own);
        let stays = |seq: &Seq| !changes.removed.contains_key(&(collection.number, *seq));
        let stand_ins = if vacant.is_empty() {
            Vec::new()
        } else {
            stand_ins.into_iter().filter(stays).map(|member| (member, keys(member))).collect()
        };
        Leaving { seq, keys: own, stand_ins }
    }
}

/// Shows readers what is on the disk now: every collection that changed, at once.
fn publish(core: &Core, changes: &Changes) {
    let mut touched: BTreeMap<CollectionNumber, (&Arc<Collection>, Vec<Leaving>)> = BTreeMap::new();
    for added in &changes.added {
        touched.entry(added.collection.number).or_insert((&added.collection, Vec::new()));
    }
    for (&(number, seq), collection) in &changes.removed {
        let (_, leaving) = touched.entry(number).or_insert((collection, Vec::new()));
        if changes.article(number, seq).is_none() {
            leaving.push(Leaving::new(core, changes, collection, seq));
        }
    }
    for (collection, _) in changes.collections.values().flatten() {
        touched.entry(collection.number).or_insert((collection, Vec::new()));
    }

    let mut locked: BTreeMap<CollectionNumber, RwLockWriteGuard<Published>> = BTreeMap::new();
    for (&number, (collection, leaving)) in &mut touched {
        let mut published = collection.published.write();
        for Leaving { seq, keys, stand_ins } in leaving.drain(..) {
            published.index.remove(seq, &keys, &stand_ins);
        }
        locked.insert(number, published);
    }
    for added in &changes.added {
        let number = added.collection.number;
        if let Some(published) = locked.get_mut(&number)
            && !changes.removed.contains_key(&(number, added.seq))
        {
            published.index.insert(added.seq, added.entry, &added.keys);
        }
    }
    let mut collections = core.collections.write();
    for (name, change) in &changes.collections {
        match change {
            Some((collection, settings)) => {
                if let Some(published) = locked.get_mut(&collection.number) {
                    published.settings = *settings;
                }
                collections.insert(name.clone(), Arc::clone(collection));
            }
            None => {
                collections.remove(name);
            }
        }
    }
    *core.snapshot.write() = Arc::new(core.db.snapshot());
    drop(collections);
    drop(locked);
    core.published.store(changes.number, Ordering::Release);
    for added in &changes.added {
        let key = (added.collection.number, added.seq);
        if !changes.removed.contains_key(&key) {
            // News is mostly like other news of the day.
            core.candidates.insert(key, Arc::clone(&added.remembered));
            added.collection.count(&added.remembered, added.repeats.as_deref());
        }
    }
}
