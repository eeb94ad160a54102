//! A data folder as one end of a transfer to or from a store of another kind. No server has it open.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use fjall::{Database, PersistMode};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::backup::mirror;
use super::index::{Entry, Seq, StoryNumber, content_tag};
use super::load;
use super::record::{
    CollectionNumber, CollectionRecord, IdRecord, IndexRecord, article_from_bytes,
    candidate_from_bytes, counts_to_bytes, id_key, index_to_bytes, number_from_bytes,
    number_to_bytes, parts_of_key, place, seq_key, story_key, write_article, write_candidate,
};
use super::tables::{CommitMark, NEXT_COLLECTION, Opened, Tables, next_seq_key};
use super::upgrade;
use crate::article::{ArticleId, CollectionName};
use crate::duplicates::Counts;
use crate::store::StoreError;
use crate::store::transfer::{Kept, Mark, Moved, Source, Target, Version};

/// An open data folder.
pub struct Folder {
    db: Database,
    tables: Tables,
    _mark: CommitMark,
    /// The copy that is read instead of the folder, and what keeps others from the folder.
    _mirror: Option<(TempDir, Option<CommitMark>)>,
    /// The next submission's number, by collection.
    next_seqs: Mutex<HashMap<CollectionNumber, Seq>>,
}

impl Folder {
    /// Opens a data folder or a backup to read, and changes nothing in it.
    pub fn to_read(folder: &Path) -> Result<Self, StoreError> {
        Tables::check_is_ours(folder)?;
        let lock = CommitMark::lock_existing(folder)?;
        // Opening a database tidies it up.
        let mirror = mirror(folder)?;
        upgrade::upgrade(mirror.path())?;
        let opened = Tables::open(mirror.path())?;
        if let Some(loss) = &opened.loss {
            return Err(StoreError::Damaged(loss.told(None)));
        }
        Ok(Folder::new(opened, Some((mirror, lock))))
    }

    /// Opens a data folder to write; it is made if it is not there.
    pub fn to_write(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(StoreError::io("the folder cannot be made"))?;
        upgrade::upgrade(folder)?;
        Ok(Folder::new(Tables::open(folder)?, None))
    }

    fn new(opened: Opened, mirror: Option<(TempDir, Option<CommitMark>)>) -> Self {
        let Opened { db, tables, mark, .. } = opened;
        Folder { db, tables, _mark: mark, _mirror: mirror, next_seqs: Mutex::default() }
    }

    fn record(&self, name: &CollectionName) -> Result<Option<CollectionRecord>, StoreError> {
        let row = self.tables.collections.get(name.as_str())?;
        let place = || format!("collection '{name}'");
        row.map(|row| CollectionRecord::from_bytes(&row).map_err(|error| error.at(place)))
            .transpose()
    }

    fn number(&self, name: &CollectionName) -> Result<CollectionNumber, StoreError> {
        let record = self.record(name)?;
        record.map(|record| record.number).ok_or_else(|| StoreError::NoCollection(name.clone()))
    }

    /// The number of a collection's next submission.
    fn next_seq(&self, number: CollectionNumber) -> Result<Seq, StoreError> {
        if let Some(&next) = self.next_seqs.lock().get(&number) {
            return Ok(next);
        }
        let written = self.tables.number(next_seq_key(number))?.unwrap_or(1);
        let mut rows = self.tables.articles.range(seq_key(number, 0)..=seq_key(number, Seq::MAX));
        let last = match rows.next_back() {
            Some(row) => parts_of_key(&row.key()?).map_or(0, |(_, seq)| seq),
            None => 0,
        };
        Ok(written.max(last + 1))
    }

    fn id(&self, number: CollectionNumber, id: &ArticleId) -> Result<Option<IdRecord>, StoreError> {
        let row = self.tables.ids.get(id_key(number, id))?;
        let place = || format!("id '{id}'");
        row.map(|row| IdRecord::from_bytes(&row).map_err(|error| error.at(place))).transpose()
    }

    /// What is kept of an article.
    fn kept(
        &self,
        name: &CollectionName,
        number: CollectionNumber,
        seq: Seq,
        row: &[u8],
    ) -> Result<Kept, StoreError> {
        let at = |what: &'static str| place(what, name, seq);
        let missing =
            |what: &'static str| StoreError::Damaged(format!("{} is missing", at(what)()));
        let key = seq_key(number, seq);
        let stored = article_from_bytes(row).map_err(|error| error.at(at("article")))?;
        let candidate = self.tables.candidates.get(key)?.ok_or_else(|| missing("candidate"))?;
        let remembered =
            candidate_from_bytes(&candidate).map_err(|error| error.at(at("candidate")))?;
        let index = self.tables.index.get(key)?.ok_or_else(|| missing("index entry"))?;
        let index = IndexRecord::from_bytes(&index).map_err(|error| error.at(at("index entry")))?;
        let id = self.id(number, &stored.article_id)?.ok_or_else(|| missing("id"))?;
        Ok(Kept { stored, remembered, keys: index.keys, content_hash: id.content_hash })
    }
}

#[async_trait]
impl Source for Folder {
    async fn collections(&self) -> Result<Vec<Moved>, StoreError> {
        let moved = |(name, record): (CollectionName, CollectionRecord)| {
            let CollectionRecord { settings, create_time, .. } = record;
            Moved { name, settings, create_time }
        };
        Ok(load::records(&self.tables)?.into_iter().map(moved).collect())
    }

    async fn articles(
        &self,
        collection: &CollectionName,
        from: Mark,
        max: usize,
    ) -> Result<(Vec<Kept>, Option<Mark>), StoreError> {
        let number = self.number(collection)?;
        let mut articles = Vec::new();
        let rows = self.tables.articles.range(seq_key(number, from.0)..=seq_key(number, Seq::MAX));
        for row in rows {
            let (key, row) = row.into_inner()?;
            let Some((_, seq)) = parts_of_key(&key) else { continue };
            if articles.len() == max {
                return Ok((articles, Some(Mark(seq))));
            }
            articles.push(self.kept(collection, number, seq, &row)?);
        }
        Ok((articles, None))
    }

    async fn counts(&self, collection: &CollectionName) -> Result<Counts, StoreError> {
        // They are written now and then; what came since is counted on, as when a server opens it.
        let record = self.record(collection)?;
        let record = record.ok_or_else(|| StoreError::NoCollection(collection.clone()))?;
        Ok(load::collection(&self.tables, collection.clone(), record, None)?.counts)
    }
}

#[async_trait]
impl Target for Folder {
    async fn begin(&self, collection: &Moved) -> Result<(), StoreError> {
        let Moved { name, settings, create_time } = collection;
        let known = self.record(name)?.map(|record| record.number);
        let next = self.tables.number(NEXT_COLLECTION)?.unwrap_or(1);
        let number = known.unwrap_or(next as CollectionNumber);
        let record = CollectionRecord { number, settings: *settings, create_time: *create_time };
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.tables.collections, name.as_str(), record.to_bytes()?);
        let next = next.max(u64::from(number) + 1);
        batch.insert(&self.tables.meta, NEXT_COLLECTION, number_to_bytes(next));
        Ok(batch.commit()?)
    }

    async fn versions(
        &self,
        collection: &CollectionName,
        ids: &[&ArticleId],
    ) -> Result<Vec<Option<Version>>, StoreError> {
        let number = self.number(collection)?;
        let version = |id: &&ArticleId| {
            let Some(IdRecord { seq, revision, content_hash, .. }) = self.id(number, id)? else {
                return Ok(None);
            };
            let Some(row) = self.tables.index.get(seq_key(number, seq))? else { return Ok(None) };
            let at = place("index entry", collection, seq);
            let record = IndexRecord::from_bytes(&row).map_err(|error| error.at(at))?;
            let submit_time = record.entry.submit_time;
            Ok(Some(Version { revision, submit_time, content_hash }))
        };
        ids.iter().map(version).collect()
    }

    async fn put(
        &self,
        collection: &CollectionName,
        articles: &[Kept],
        _: &[ArticleId],
    ) -> Result<(), StoreError> {
        let number = self.number(collection)?;
        let tables = &self.tables;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        let mut buffer = Vec::new();
        let mut next = self.next_seq(number)?;
        // Stories that begin in this batch.
        let mut begun = HashMap::new();
        for Kept { stored, remembered, keys, content_hash } in articles {
            let (seq, key) = (next, seq_key(number, next));
            next += 1;
            if let Some(earlier) = self.id(number, &stored.article_id)? {
                for table in [&tables.articles, &tables.candidates, &tables.index] {
                    batch.remove(table, seq_key(number, earlier.seq));
                }
            }
            let story_key = story_key(number, remembered.story);
            let known = match begun.get(&remembered.story.0) {
                Some(&known) => Some(known),
                None => {
                    let row = tables.stories.get(story_key)?;
                    let at = || format!("story {} of collection '{collection}'", remembered.story);
                    row.map(|row| number_from_bytes(&row).map_err(|error| error.at(at)))
                        .transpose()?
                }
            };
            let story = known.unwrap_or(seq);
            if known.is_none() {
                batch.insert(&tables.stories, story_key, number_to_bytes(story));
                begun.insert(remembered.story.0, story);
            }
            let entry = Entry {
                fingerprint: remembered.fingerprint,
                story: StoryNumber(story),
                submit_time: stored.submit_time,
                content_tag: content_tag(remembered.sketch.content()),
                is_revised: stored.revision > 1,
            };
            let id = IdRecord {
                seq,
                revision: stored.revision,
                first: seq,
                content_hash: *content_hash,
            };
            write_article(&mut buffer, stored)?;
            batch.insert(&tables.articles, key, &buffer[..]);
            write_candidate(&mut buffer, remembered)?;
            batch.insert(&tables.candidates, key, &buffer[..]);
            batch.insert(&tables.index, key, index_to_bytes(entry, keys));
            batch.insert(&tables.ids, id_key(number, &stored.article_id), id.to_bytes());
        }
        batch.insert(&tables.meta, next_seq_key(number), number_to_bytes(next));
        batch.commit()?;
        self.next_seqs.lock().insert(number, next);
        Ok(())
    }

    async fn put_counts(
        &self,
        collection: &CollectionName,
        counts: &Counts,
    ) -> Result<(), StoreError> {
        let number = self.number(collection)?;
        let bytes = counts_to_bytes(self.next_seq(number)?, counts);
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.tables.counts, number.to_be_bytes(), bytes);
        Ok(batch.commit()?)
    }
}
