//! The embedded store: an LSM tree (fjall) owns the truth, an index in memory finds candidates.
//!
//! One thread, [`writer`], decides all that is written. Readers share the index with it
//! under a lock that is held for microseconds, and read records straight from the tree.

mod backup;
mod check;
mod index;
mod integrity;
mod lookup;
mod postings;
mod record;
mod tables;
mod writer;

pub use check::{CheckReport, check};
pub use index::Seq;
pub use postings::{Key, LIST_LEN_MAX};

use std::collections::HashMap;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fjall::{Database, Guard};
use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{
    ArticleStore, Backup, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize, Pending,
    Prepared, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage,
};
use crate::analysis::{DuplicateReport, Match};
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::duplicates::Sketch;
use index::{Entry, Index};
use lookup::Reader;
use record::{
    ArticleRecord, CollectionNumber, CollectionRecord, IdRecord, IndexRecord, decode, id_key,
    place, seq_key, seq_of_key, story_key,
};
use tables::{CommitMark, NEXT_COLLECTION, Opened, Tables};
use writer::{Command, Writer};

/// A listing that filters by topic reads at most so many articles for a page.
const LIST_READS_MAX: usize = 10_000;

/// While the index is built its progress is told so often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(2);

/// At the start the index is read by so many threads at most, each of which takes so many
/// submissions at once.
const LOADERS_MAX: usize = 8;
const LOAD_CHUNK_LEN: usize = 1 << 14;

/// Memory for sketches that were read lately: some 25,000 of them.
const SKETCH_CACHE_BYTES: usize = 32 << 20;

/// How much the store takes on.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// So many commands wait for the writer; more wait to be taken.
    pub commands_max: usize,
    /// With less room than this on the disk nothing more is remembered: tidying up needs room too.
    pub disk_reserve_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { commands_max: 4096, disk_reserve_bytes: 256 << 20 }
    }
}

/// A handle on the open store. Dropping it waits until everything accepted is written.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

/// Tells the cache of sketches how much memory each takes.
#[derive(Clone)]
struct SketchBytes;

impl Weighter<(CollectionNumber, Seq), Arc<Sketch>> for SketchBytes {
    fn weight(&self, _: &(CollectionNumber, Seq), sketch: &Arc<Sketch>) -> u64 {
        sketch.memory_bytes() as u64
    }
}

/// What the writer and the readers share.
struct Shared {
    pub db: Database,
    pub tables: Tables,
    pub mark: CommitMark,
    /// The latest commit.
    pub commit: AtomicU64,
    pub collections: RwLock<HashMap<CollectionName, Arc<Collection>>>,
    /// Sketches that were read lately. What everybody copies is read again and again.
    sketches: Cache<(CollectionNumber, Seq), Arc<Sketch>, SketchBytes>,
    /// Why nothing can be written any more.
    pub closed: OnceLock<String>,
    pub folder: PathBuf,
    pub disk_reserve_bytes: u64,
    pub next_collection: AtomicU32,
}

/// A collection as it is held in memory.
struct Collection {
    pub number: CollectionNumber,
    pub name: CollectionName,
    pub create_time: Timestamp,
    pub settings: RwLock<CollectionSettings>,
    pub index: RwLock<Index>,
    pub next_seq: AtomicU64,
}

impl Collection {
    pub fn new(record: CollectionRecord) -> Self {
        Collection {
            number: record.number,
            name: record.name,
            create_time: record.create_time,
            settings: RwLock::new(record.settings),
            index: RwLock::default(),
            next_seq: AtomicU64::new(1),
        }
    }

    /// Articles submitted before this moment are no longer remembered.
    pub fn forgotten_before(&self) -> Option<Timestamp> {
        let retention = self.settings.read().retention?;
        let now = Timestamp::now();
        Some(Timestamp { seconds: now.seconds.saturating_sub_unsigned(retention.as_secs()), ..now })
    }

    pub fn is_forgotten(&self, submit_time: Timestamp) -> bool {
        self.forgotten_before().is_some_and(|moment| submit_time < moment)
    }

    fn info(&self) -> CollectionInfo {
        let index = self.index.read();
        CollectionInfo {
            name: self.name.clone(),
            settings: *self.settings.read(),
            article_count: index.article_count(),
            story_count: index.story_count(),
            create_time: self.create_time,
        }
    }
}

impl EmbeddedStore {
    /// Opens the store in a folder, which is made if it is not there, and builds the index.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let started = Instant::now();
        let Opened { db, tables, mark, commit, loss } = Tables::open(folder)?;
        if let Some(loss) = loss {
            tracing::error!(folder = %folder.display(), "stored data is damaged: {loss}");
        }
        tracing::info!(folder = %folder.display(), elapsed = ?started.elapsed(), "tables open");
        let shared = Arc::new(Shared {
            db,
            tables,
            mark,
            commit: AtomicU64::new(commit),
            collections: RwLock::default(),
            sketches: Cache::with_weighter(
                SKETCH_CACHE_BYTES >> 10,
                SKETCH_CACHE_BYTES as u64,
                SketchBytes,
            ),
            closed: OnceLock::new(),
            folder: folder.to_owned(),
            disk_reserve_bytes: options.disk_reserve_bytes,
            next_collection: AtomicU32::new(1),
        });
        shared.load()?;

        let (commands, receiver) = mpsc::channel(options.commands_max);
        let writer = Writer::new(Arc::clone(&shared), receiver);
        let cannot_start = |error: io::Error| StoreError::Io(error.to_string());
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().map_err(cannot_start)?;
        let writer = std::thread::Builder::new()
            .name("newsprint-writer".to_owned())
            .spawn(move || writer.run(&runtime))
            .map_err(cannot_start)?;
        Ok(EmbeddedStore { shared, commands: Some(commands), writer: Some(writer) })
    }

    async fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<T, StoreError> {
        outcome(self.send(command).await?).await
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Command,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.as_ref().ok_or_else(writer_gone)?;
        commands.send(command(reply)).await.map_err(|_| writer_gone())?;
        Ok(answer)
    }

    /// Reads articles until a page is full. `next_begin` tells where a page begins whose first
    /// article would be the given one.
    fn page(
        &self,
        collection: &Collection,
        seqs: &[Seq],
        page_size: PageSize,
        is_wanted: impl Fn(&StoredArticle) -> bool,
        next_begin: impl Fn(Seq) -> Seq,
    ) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut bytes = 0;
        for (reads, &seq) in seqs.iter().enumerate() {
            if page.articles.len() == page_size.articles || reads == LIST_READS_MAX {
                page.next = Some(next_begin(seq));
                break;
            }
            let article = self.shared.live_article(collection, seq)?;
            let Some(article) = article.filter(&is_wanted) else { continue };
            bytes += article.text_bytes();
            if bytes > page_size.bytes && !page.articles.is_empty() {
                page.next = Some(next_begin(seq));
                break;
            }
            page.articles.push(article);
        }
        Ok(page)
    }
}

#[async_trait]
impl ArticleStore for EmbeddedStore {
    async fn submit(&self, prepared: Prepared) -> Result<Pending, StoreError> {
        let answer =
            self.send(|reply| Command::Submit { prepared: Box::new(prepared), reply }).await?;
        Ok(Box::pin(outcome(answer)))
    }

    async fn delete(&self, collection: &CollectionName, id: &ArticleId) -> Result<(), StoreError> {
        let (collection, id) = (collection.clone(), id.clone());
        self.command(|reply| Command::Delete { collection, id, reply }).await
    }

    async fn update_collection(
        &self,
        collection: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<CollectionInfo, StoreError> {
        let name = collection.clone();
        self.command(|reply| Command::UpdateCollection { name, settings, reply }).await?;
        Ok(self.shared.existing(collection)?.info())
    }

    async fn delete_collection(&self, collection: &CollectionName) -> Result<(), StoreError> {
        let name = collection.clone();
        self.command(|reply| Command::DeleteCollection { name, reply }).await
    }

    async fn create_backup(&self, folder: &Path) -> Result<Backup, StoreError> {
        let (shared, folder) = (Arc::clone(&self.shared), folder.to_owned());
        let copied = tokio::task::spawn_blocking(move || {
            backup::create(&shared.db, &shared.tables, &folder)
        });
        copied.await.map_err(|error| StoreError::Io(error.to_string()))?
    }

    async fn sweep(&self) -> Result<bool, StoreError> {
        self.command(|reply| Command::Sweep { reply }).await
    }

    async fn look_up(&self, prepared: &Prepared) -> Result<DuplicateReport, StoreError> {
        let Some(collection) = self.shared.collection(&prepared.collection) else {
            return Ok(lookup::nothing_remembered(prepared));
        };
        let itself = match &prepared.article_id {
            Some(id) => self.shared.id_record(&collection, id)?.map(|record| record.seq),
            None => None,
        };
        let reader = CommittedReader { shared: &self.shared, collection: &collection };
        Ok(lookup::look_up(&collection, prepared, itself, &reader)?.report)
    }

    async fn get(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<StoredArticle, StoreError> {
        let not_there = || StoreError::NoArticle(id.clone());
        let collection = self.shared.collection(collection).ok_or_else(not_there)?;
        let record = self.shared.id_record(&collection, id)?.ok_or_else(not_there)?;
        self.shared.live_article(&collection, record.seq)?.ok_or_else(not_there)
    }

    async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        begin: Option<Seq>,
        page_size: PageSize,
    ) -> Result<Page, StoreError> {
        let Some(collection) = self.shared.collection(collection) else {
            return Ok(Page::default());
        };
        let end = begin.unwrap_or(Seq::MAX);
        let from = filter.submitted_from.max(collection.forgotten_before());
        let seqs: Vec<Seq> = match filter.story {
            Some(story) => {
                let in_time = |entry: Entry| {
                    from.is_none_or(|from| entry.submit_time >= from)
                        && filter.submitted_before.is_none_or(|before| entry.submit_time < before)
                };
                let Some(story) = self.shared.story(&collection, story)? else {
                    return Ok(Page::default());
                };
                let index = collection.index.read();
                let is_listed = |seq: &Seq| *seq < end && index.entry(*seq).is_some_and(in_time);
                index.story_members(story).rev().filter(is_listed).collect()
            }
            None => {
                let reads =
                    if filter.topic.is_some() { LIST_READS_MAX } else { page_size.articles };
                let index = collection.index.read();
                index.latest(end, from, filter.submitted_before).take(reads + 1).collect()
            }
        };
        let is_wanted = |article: &StoredArticle| {
            filter.topic.as_ref().is_none_or(|topic| {
                let topics = &article.analysis.classification.topics;
                topics.iter().any(|score| score.assigned && score.topic == *topic)
            })
        };
        self.page(&collection, &seqs, page_size, is_wanted, |seq| seq + 1)
    }

    async fn story(
        &self,
        collection: &CollectionName,
        story: Uuid,
        begin: Option<Seq>,
        page_size: PageSize,
    ) -> Result<StoryPage, StoreError> {
        let not_there = || StoreError::NoStory(story);
        let collection = self.shared.collection(collection).ok_or_else(not_there)?;
        let began = self.shared.story(&collection, story)?.ok_or_else(not_there)?;
        let moment = collection.forgotten_before();
        let members: Vec<Seq> = {
            let index = collection.index.read();
            let is_remembered = |seq: &Seq| {
                let entry = index.entry(*seq);
                entry.is_some_and(|entry| moment.is_none_or(|moment| entry.submit_time >= moment))
            };
            index.story_members(began).filter(is_remembered).collect()
        };
        let (&canonical, members) = members.split_first().ok_or_else(not_there)?;
        let canonical = self.shared.live_article(&collection, canonical)?.ok_or_else(not_there)?;
        let from = members.partition_point(|&seq| seq < begin.unwrap_or(0));
        let members = self.page(&collection, &members[from..], page_size, |_| true, |seq| seq)?;
        Ok(StoryPage { canonical, members })
    }

    async fn find_similar(
        &self,
        collection: &CollectionName,
        query: &SimilarQuery,
        radius: u32,
        max: usize,
    ) -> Result<Similar, StoreError> {
        let found = self.shared.collection(collection);
        let (fingerprint, itself, source) = match query {
            SimilarQuery::Fingerprint(fingerprint) => (*fingerprint, None, String::new()),
            SimilarQuery::Article(id) => {
                let article = self.get(collection, id).await?;
                let fingerprint = article.analysis.fingerprint;
                let fingerprint =
                    fingerprint.ok_or_else(|| StoreError::NoFingerprint(id.clone()))?;
                let seq = match &found {
                    Some(collection) => {
                        self.shared.id_record(collection, id)?.map(|record| record.seq)
                    }
                    None => None,
                };
                (fingerprint, seq, article.article.source)
            }
        };
        let Some(collection) = found else { return Ok(Similar::default()) };
        let moment = collection.forgotten_before();
        let is_wanted = |seq: Seq, entry: Entry| {
            Some(seq) != itself && moment.is_none_or(|moment| entry.submit_time >= moment)
        };
        let (nearest, truncated) =
            index::nearest(&collection.index, fingerprint, radius, max, is_wanted);
        let mut matches = Vec::with_capacity(nearest.len());
        for near in nearest {
            let Some(article) = self.shared.live_article(&collection, near.seq)? else { continue };
            let same_source = !source.is_empty() && source == article.article.source;
            matches.push(Match {
                kind: None,
                hamming_distance: Some(near.distance),
                similarity: 0.0,
                containment: 0.0,
                ..lookup::describe(&article, same_source)
            });
        }
        Ok(Similar { matches, truncated })
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, StoreError> {
        let mut infos: Vec<CollectionInfo> =
            self.shared.collections.read().values().map(|collection| collection.info()).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }
}

async fn outcome<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.map_err(|_| writer_gone())?
}

fn writer_gone() -> StoreError {
    StoreError::Closed("the writer has stopped".to_owned())
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.commands.take();
        match self.writer.take().map(JoinHandle::join) {
            Some(Err(_)) => tracing::error!("the writer ended by a panic"),
            Some(Ok(Err(error))) => tracing::error!(%error, "the writer could not start"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

impl Shared {
    /// Builds the collections and their indexes from what is on disk.
    fn load(&self) -> Result<(), StoreError> {
        let mut collections = HashMap::new();
        for row in self.tables.collections.iter() {
            let (key, value) = row.into_inner()?;
            let name = || format!("collection '{}'", String::from_utf8_lossy(&key));
            let record: CollectionRecord = decode(&value, name)?;
            let collection = Collection::new(record);
            self.load_index(&collection)?;
            collections.insert(collection.name.clone(), Arc::new(collection));
        }
        *self.collections.write() = collections;
        if let Some(value) = self.tables.meta.get(NEXT_COLLECTION)? {
            let next = decode(&value, || NEXT_COLLECTION.to_owned())?;
            self.next_collection.store(next, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Builds the index of a collection. Some threads read and decode while another inserts.
    fn load_index(&self, collection: &Collection) -> Result<(), StoreError> {
        let Some(seqs) = self.seqs(collection)? else { return Ok(()) };
        let started = Instant::now();
        let mut told = started;
        let mut index = collection.index.write();
        let chunk_count = (seqs.end() - seqs.start()) as usize / LOAD_CHUNK_LEN + 1;
        let loaders = available_parallelism().map_or(1, usize::from);
        let loaders = loaders.min(LOADERS_MAX).min(chunk_count);
        std::thread::scope(|scope| -> Result<(), StoreError> {
            // The loaders take turns, and so their chunks are taken in turns.
            let chunks: Vec<Receiver<_>> = (0..loaders)
                .map(|loader| {
                    let (sender, chunks) = std::sync::mpsc::sync_channel(1);
                    let first = *seqs.start();
                    // Nobody takes them any more if one of them could not be read.
                    scope.spawn(move || {
                        (loader..chunk_count).step_by(loaders).try_for_each(|number| {
                            let start = first + (number * LOAD_CHUNK_LEN) as Seq;
                            sender.send(self.read_index(collection, start))
                        })
                    });
                    chunks
                })
                .collect();
            for number in 0..chunk_count {
                // A loader that is gone has panicked, and so will the scope.
                let Ok(chunk) = chunks[number % loaders].recv() else { break };
                for (seq, record) in chunk? {
                    index.append(seq, record.entry(), &record.keys);
                }
                if told.elapsed() >= PROGRESS_PERIOD {
                    told = Instant::now();
                    let articles = index.article_count();
                    tracing::info!(collection = %collection.name, articles, "building the index");
                }
            }
            Ok(())
        })?;
        index.settle();
        collection.next_seq.store(seqs.end() + 1, Ordering::Relaxed);
        let (articles, elapsed) = (index.article_count(), started.elapsed());
        tracing::info!(collection = %collection.name, articles, ?elapsed, "index built");
        Ok(())
    }

    /// The first and the last submission of a collection; None if it is empty.
    fn seqs(&self, collection: &Collection) -> Result<Option<RangeInclusive<Seq>>, StoreError> {
        let mut rows = self.tables.index.prefix(collection.number.to_be_bytes());
        let (first, last) = (rows.next(), rows.next_back());
        let seq = |row: Guard| entry_seq(&row.key()?);
        let Some(first) = first.map(seq).transpose()? else { return Ok(None) };
        let last = last.map(seq).transpose()?.unwrap_or(first);
        Ok(Some(first..=last))
    }

    /// Reads a chunk of a collection's index, in order.
    fn read_index(
        &self,
        collection: &Collection,
        start: Seq,
    ) -> Result<Vec<(Seq, IndexRecord)>, StoreError> {
        let end = start.saturating_add(LOAD_CHUNK_LEN as Seq);
        let keys = seq_key(collection.number, start)..seq_key(collection.number, end);
        let entry = |row: Guard| {
            let (key, value) = row.into_inner()?;
            let seq = entry_seq(&key)?;
            Ok((seq, decode(&value, place("index entry", &collection.name, seq))?))
        };
        self.tables.index.range(keys).map(entry).collect()
    }

    pub fn collection(&self, name: &CollectionName) -> Option<Arc<Collection>> {
        self.collections.read().get(name).cloned()
    }

    pub fn existing(&self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        self.collection(name).ok_or_else(|| StoreError::NoCollection(name.clone()))
    }

    pub fn id_record(
        &self,
        collection: &Collection,
        id: &ArticleId,
    ) -> Result<Option<IdRecord>, StoreError> {
        let value = self.tables.ids.get(id_key(collection.number, id))?;
        let place = || format!("the id '{id}' of collection '{}'", collection.name);
        value.map(|value| decode(&value, place)).transpose()
    }

    pub fn index_record(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<IndexRecord>, StoreError> {
        let value = self.tables.index.get(seq_key(collection.number, seq))?;
        let place = place("index entry", &collection.name, seq);
        value.map(|value| decode(&value, place)).transpose()
    }

    pub fn article(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<ArticleRecord>, StoreError> {
        let value = self.tables.articles.get(seq_key(collection.number, seq))?;
        let place = place("article", &collection.name, seq);
        value.map(|value| decode(&value, place)).transpose()
    }

    pub fn sketch(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<Arc<Sketch>>, StoreError> {
        let key = (collection.number, seq);
        if let Some(sketch) = self.sketches.get(&key) {
            return Ok(Some(sketch));
        }
        let Some(value) = self.tables.sketches.get(seq_key(collection.number, seq))? else {
            return Ok(None);
        };
        let damaged = || StoreError::Damaged(place("sketch", &collection.name, seq)());
        let sketch = Arc::new(Sketch::from_bytes(&value).ok_or_else(damaged)?);
        self.sketches.insert(key, Arc::clone(&sketch));
        Ok(Some(sketch))
    }

    /// The submission that began a story.
    pub fn story(&self, collection: &Collection, story: Uuid) -> Result<Option<Seq>, StoreError> {
        let value = self.tables.stories.get(story_key(collection.number, story))?;
        let place = || format!("story {story} of collection '{}'", collection.name);
        value.map(|value| decode(&value, place)).transpose()
    }

    /// An article, unless retention has it forgotten.
    fn live_article(
        &self,
        collection: &Collection,
        seq: Seq,
    ) -> Result<Option<StoredArticle>, StoreError> {
        let article = self.article(collection, seq)?;
        Ok(article.filter(|article| !collection.is_forgotten(article.submit_time)))
    }
}

/// The submission that an entry of the index is of, by its key.
fn entry_seq(key: &[u8]) -> Result<Seq, StoreError> {
    let malformed = || StoreError::Damaged("a key of the index is malformed".to_owned());
    seq_of_key(key).ok_or_else(malformed)
}

/// Reads what is committed.
struct CommittedReader<'s> {
    shared: &'s Shared,
    collection: &'s Collection,
}

impl Reader for CommittedReader<'_> {
    fn article(&self, seq: Seq) -> Result<Option<Arc<ArticleRecord>>, StoreError> {
        Ok(self.shared.article(self.collection, seq)?.map(Arc::new))
    }

    fn sketch(&self, seq: Seq) -> Result<Option<Arc<Sketch>>, StoreError> {
        self.shared.sketch(self.collection, seq)
    }
}
