//! The embedded store: an LSM tree (fjall) owns the truth, an index in memory finds candidates.
//!
//! One thread, [`writer`], decides all that is written, and another, [`commit`], makes it durable
//! and then visible. Readers see the latest committed moment: a [`view`] of the tree together with
//! the index that belongs to it.

mod backup;
mod check;
mod checkpoint;
mod collection;
mod commit;
mod index;
mod integrity;
mod lines;
mod load;
mod page;
mod postings;
mod recent;
pub(super) mod record;
mod tables;
mod threads;
#[cfg(feature = "redis")]
mod transfer;
mod upgrade;
mod view;
mod writer;

#[cfg(any(fuzzing, test))]
pub use {page::check_any_token, record::check_any_bytes as check_any_record};

pub use backup::{BackupInfo, backups, restore};
pub use check::{CheckReport, check};
pub use postings::LIST_LEN_MAX;

#[cfg(feature = "redis")]
pub use transfer::Folder;

#[cfg(feature = "redis")]
pub(super) use collection::Horizon;
#[cfg(feature = "redis")]
pub(super) use page::{Query, Start};
#[cfg(feature = "redis")]
pub(super) use view::{question, readable, report_on_nothing};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{JoinHandle, available_parallelism};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use fjall::Database;
use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, mpsc, oneshot};

use checkpoint::Checkpoint;
use collection::{Collection, CommittedSnapshot};
use index::{Entry, NearestSearch, Seq};
use record::CollectionNumber;
use tables::{CommitMark, Opened, Tables};
use view::{Looked, View};
use writer::{Command, Reply, Turn};

use super::{
    ArticleStore, Backup, CollectionInfo, CollectionSettings, ListFilter, Page, PageSize,
    PageToken, Pending, Prepared, Similar, SimilarQuery, StoreError, StoredArticle, StoryPage,
    Upkeep, Usage,
};
use crate::analysis::{DuplicateReport, Match, StoryId};
use crate::article::{ArticleId, CollectionName};
use crate::duplicates::decision::Remembered;
use crate::duplicates::overlaps;
use crate::text::Document;

/// Commits are counted from 1.
type CommitNumber = u64;

/// Memory for candidates that were read lately: some 25,000 of them.
const CANDIDATE_CACHE_BYTES: usize = 32 << 20;

/// A longer article is looked for off the threads that serve calls: comparing it with others takes
/// over a millisecond.
const INLINE_WORDS_MAX: usize = 4096;

/// After a failure the store is opened again after this time, and then after twice as long, and so
/// on up to the longest.
const REOPEN_AFTER: Duration = Duration::from_millis(250);
const REOPEN_AFTER_MAX: Duration = Duration::from_secs(10);

/// How much the store takes on.
#[derive(Debug, Clone, Copy)]
pub struct StoreOptions {
    /// So many commands wait for the writer; more wait to be taken.
    pub commands_max: usize,
    /// With less room than this on the disk nothing more is remembered: tidying up needs room too.
    pub disk_reserve_bytes: u64,
    /// So many collections are kept at most.
    pub collections_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { commands_max: 4096, disk_reserve_bytes: 256 << 20, collections_max: 20_000 }
    }
}

/// A handle on the open store. Closing or dropping it waits until everything accepted is written.
///
/// A write that fails closes the store for writing: what the disk has is not known then. As soon as
/// its folder can be written to, it is opened again by itself. That is safe whatever the failure
/// was: everything is read back with its checksums, and journals are first written anew, since after
/// a sync that failed their pages may count as written without being on the disk.
pub struct EmbeddedStore {
    state: Arc<State>,
    /// `None` when the store is being closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Listings and wide searches that are done at the same time.
    reads: Semaphore,
    /// Turns at what long articles take beside.
    long: Arc<Semaphore>,
    backing_up: tokio::sync::Mutex<()>,
}

/// The open store, or why it is closed.
type State = RwLock<Result<Arc<Core>, StoreError>>;

/// Tells the cache of candidates how much memory each takes.
#[derive(Clone)]
struct CandidateBytes;

impl Weighter<(CollectionNumber, Seq), Arc<Remembered>> for CandidateBytes {
    fn weight(&self, _: &(CollectionNumber, Seq), remembered: &Arc<Remembered>) -> u64 {
        memory_bytes(remembered) as u64
    }
}

fn memory_bytes(remembered: &Remembered) -> usize {
    let Remembered { title, url, source, sketch, .. } = remembered;
    sketch.memory_bytes() + title.len() + url.len() + source.len() + 200
}

/// A store that is open: what its writer, its committer and its readers share.
struct Core {
    folder: PathBuf,
    options: StoreOptions,
    db: Database,
    tables: Tables,
    mark: CommitMark,
    /// The latest commit when it was opened.
    commit: CommitNumber,
    /// The latest commit that readers see.
    published: AtomicU64,
    snapshot: CommittedSnapshot,
    collections: RwLock<HashMap<CollectionName, Arc<Collection>>>,
    /// Collections that there are, those not on the disk yet included, and the next one's number.
    decided_collections: Mutex<(usize, CollectionNumber)>,
    /// What was read lately. What everybody copies is read again and again.
    candidates: Cache<(CollectionNumber, Seq), Arc<Remembered>, CandidateBytes>,
    /// Why nothing more can be written.
    closed: OnceLock<Arc<str>>,
}

impl Core {
    /// Opens the store in a folder, which is made if it is not there, and reads or builds the index.
    fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let started = Instant::now();
        upgrade::upgrade(folder)?;
        let Opened { db, tables, mark, commit, loss } = Tables::open(folder)?;
        if let Some(loss) = loss {
            let loss = loss.told(Some(folder));
            tracing::error!(folder = %folder.display(), "stored data is damaged: {loss}");
        }
        tracing::info!(folder = %folder.display(), duration_ms = started.elapsed().as_secs_f64() * 1e3, "tables open");
        let candidates = Cache::with_weighter(
            CANDIDATE_CACHE_BYTES >> 10,
            CANDIDATE_CACHE_BYTES as u64,
            CandidateBytes,
        );
        let checkpoint = Checkpoint::open(folder, &tables, commit)?;
        let collections = load::collections(&tables, &checkpoint)?;
        let next_number = tables.number(tables::NEXT_COLLECTION)?.unwrap_or(1);
        Ok(Core {
            folder: folder.to_owned(),
            options,
            snapshot: RwLock::new(Arc::new(db.snapshot())),
            db,
            tables,
            mark,
            commit,
            published: AtomicU64::new(commit),
            decided_collections: Mutex::new((collections.len(), next_number as CollectionNumber)),
            collections: RwLock::new(collections),
            candidates,
            closed: OnceLock::new(),
        })
    }

    fn published(&self) -> CommitNumber {
        self.published.load(Ordering::Acquire)
    }

    fn close(&self, error: &StoreError) {
        let _ = self.closed.set(error.to_string().into());
    }

    fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// Whether it can be written to.
    fn open_for_writing(&self) -> Result<(), StoreError> {
        match self.closed.get() {
            Some(reason) => Err(StoreError::Closed(Arc::clone(reason))),
            None => Ok(()),
        }
    }

    /// Whether there is room on the disk. A disk that does not tell is taken to have room; if it
    /// has none the commit will fail.
    fn room(&self) -> Result<(), StoreError> {
        self.room_for(0)
    }

    /// Whether there is room for so many bytes more.
    fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        let reserve = self.options.disk_reserve_bytes;
        match fs4::available_space(&self.folder) {
            Ok(available) if available < reserve + bytes => Err(StoreError::DiskFull {
                available_mib: available >> 20,
                reserve_mib: reserve >> 20,
            }),
            _ => Ok(()),
        }
    }

    fn collection(&self, name: &CollectionName) -> Option<Arc<Collection>> {
        self.collections.read().get(name).cloned()
    }

    fn collections(&self) -> Vec<Arc<Collection>> {
        self.collections.read().values().cloned().collect()
    }

    /// The number of a collection that is about to come into being.
    fn take_collection_number(&self) -> Result<CollectionNumber, StoreError> {
        let (count, next) = &mut *self.decided_collections.lock();
        if *count >= self.options.collections_max {
            return Err(StoreError::TooManyCollections(*count));
        }
        let number = *next;
        *count += 1;
        *next += 1;
        Ok(number)
    }

    fn give_collection_back(&self) {
        self.decided_collections.lock().0 -= 1;
    }
}

impl EmbeddedStore {
    /// Opens the store in a folder, which is made if it is not there, and reads or builds the index.
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let core = Arc::new(Core::open(folder, options)?);
        let state = Arc::new(RwLock::new(Ok(core)));
        let (commands, receiver) = mpsc::channel(options.commands_max);
        let cannot_start = StoreError::io("the store's thread cannot be started");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(StoreError::io("the store's thread cannot be started"))?;
        let keeper = Keeper { state: Arc::clone(&state), commands: receiver };
        let (folder, name) = (folder.to_owned(), "newsprint-writer".to_owned());
        let writer = std::thread::Builder::new()
            .name(name)
            .spawn(move || runtime.block_on(keeper.run(&folder, options)))
            .map_err(cannot_start)?;
        let reads = available_parallelism().map_or(2, usize::from).max(2);
        Ok(EmbeddedStore {
            state,
            commands: Mutex::new(Some(commands)),
            writer: Mutex::new(Some(writer)),
            reads: Semaphore::new(reads),
            long: Arc::new(Semaphore::new(reads)),
            backing_up: tokio::sync::Mutex::default(),
        })
    }

    fn core(&self) -> Result<Arc<Core>, StoreError> {
        self.state.read().clone()
    }

    async fn command<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        outcome(self.send(command).await?).await
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.lock().clone().ok_or_else(writer_gone)?;
        commands.send(command(reply)).await.map_err(|_| writer_gone())?;
        Ok(answer)
    }

    /// Takes no more commands, and returns the thread that does those that there are, if nobody
    /// waits for it yet.
    fn end(&self) -> Option<JoinHandle<()>> {
        self.commands.lock().take();
        self.writer.lock().take()
    }

    /// Does what may take long on a thread that may block, a few at a time.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.reads.acquire().await.map_err(|_| writer_gone())?;
        let core = self.core()?;
        blocking(move || read(&core)).await
    }
}

/// Runs the writer, and opens the store again after a failure.
struct Keeper {
    state: Arc<State>,
    commands: mpsc::Receiver<Command>,
}

impl Keeper {
    async fn run(mut self, folder: &Path, options: StoreOptions) {
        loop {
            let Ok(core) = self.state.read().clone() else { return };
            self.work(&core).await;
            let Err(closed) = core.open_for_writing() else {
                if let Err(error) = commit::write_counts(&core) {
                    tracing::warn!(%error, "what is frame has to be counted again at the next start");
                }
                if let Err(error) = checkpoint::write(&core) {
                    tracing::warn!(%error, "the index has to be built anew at the next start");
                }
                return;
            };
            let mut wait = REOPEN_AFTER;
            // Articles can be read until the disk seems fit to be written to again.
            while let Err(error) = tables::try_to_write(folder) {
                tracing::warn!(%error, "the store stays closed: its folder cannot be written to");
                wait = REOPEN_AFTER_MAX.min(2 * wait);
                if !self.refuse_for(wait, &closed).await {
                    return;
                }
            }
            *self.state.write() = Err(closed.clone());
            let in_use = Arc::downgrade(&core);
            drop(core);
            wait = REOPEN_AFTER;
            while !self.reopen(&in_use, folder, options) {
                if !self.refuse_for(wait, &closed).await {
                    return;
                }
                wait = REOPEN_AFTER_MAX.min(2 * wait);
            }
        }
    }

    /// Opens the store again, unless somebody still reads from what was open before.
    fn reopen(&self, in_use: &Weak<Core>, folder: &Path, options: StoreOptions) -> bool {
        if in_use.strong_count() > 0 {
            return false;
        }
        let reopened = tables::write_journals_anew(folder)
            .map_err(StoreError::io("the journal cannot be written anew"))
            .and_then(|()| Core::open(folder, options));
        match reopened {
            Ok(core) => {
                tracing::warn!("the store is open again");
                *self.state.write() = Ok(Arc::new(core));
                true
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot be opened again yet");
                false
            }
        }
    }

    /// Decides and commits until no more commands come, or the store is closed by a failure.
    async fn work(&mut self, core: &Arc<Core>) {
        let (committer, groups) = std::sync::mpsc::channel::<commit::Complete>();
        let committing = Arc::clone(core);
        let thread = std::thread::Builder::new()
            .name("newsprint-commit".to_owned())
            .spawn(move || groups.iter().for_each(|group| group.commit(&committing)));
        match thread {
            Ok(thread) => {
                writer::work(core, &mut self.commands, &committer).await;
                // Without a sender the committer ends when it has done what there is.
                drop(committer);
                if thread.join().is_err() {
                    core.close(&StoreError::Closed("the committer ended by a panic".into()));
                }
            }
            Err(error) => core.close(&StoreError::io("a thread cannot be started")(error)),
        }
    }

    /// Refuses commands for some time; tells whether more may come.
    async fn refuse_for(&mut self, time: Duration, closed: &StoreError) -> bool {
        let until = tokio::time::Instant::now() + time;
        loop {
            match tokio::time::timeout_at(until, self.commands.recv()).await {
                Ok(Some(command)) => command.refuse(closed.clone()),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }
}

#[async_trait]
impl ArticleStore for EmbeddedStore {
    async fn submit(&self, mut prepared: Prepared) -> Result<Pending, StoreError> {
        let core = self.core()?;
        core.open_for_writing()?;
        let explained = prepared.explained.take();
        let turn = if prepared.word_count <= INLINE_WORDS_MAX {
            turn(&core, prepared)?
        } else {
            let core = Arc::clone(&core);
            long(&self.long, move || turn(&core, prepared)).await?
        };
        let turns = Arc::clone(&self.long);
        let (core, collection) = (Arc::downgrade(&core), turn.prepared.collection.clone());
        let answer = self.send(|reply| Command::Submit { turn: Box::new(turn), reply }).await?;
        Ok(Box::pin(async move {
            let (mut submitted, matched) = outcome(answer).await?.submitted();
            if let Some(document) = explained
                && let Some(core) = core.upgrade()
                && !matched.is_empty()
            {
                let matches = std::mem::take(&mut submitted.analysis.duplicates.matches);
                let explain = move || explain(&core, &collection, &document, matches, &matched);
                submitted.analysis.duplicates.matches = long(&turns, explain).await?;
            }
            Ok(submitted)
        }))
    }

    async fn look_up(&self, prepared: &Prepared) -> Result<DuplicateReport, StoreError> {
        let core = self.core()?;
        let Some(collection) = core.collection(&prepared.collection) else {
            return view::report_on_nothing(prepared);
        };
        let (mut report, matched) = view::report(&core, &collection, prepared)?;
        if let Some(document) = prepared.explained.clone()
            && !matched.is_empty()
        {
            let name = prepared.collection.clone();
            let matches = std::mem::take(&mut report.matches);
            report.matches =
                blocking(move || explain(&core, &name, &document, matches, &matched)).await?;
        }
        Ok(report)
    }

    async fn get(
        &self,
        collection: &CollectionName,
        id: &ArticleId,
    ) -> Result<StoredArticle, StoreError> {
        let not_there = || StoreError::NoArticle(id.clone());
        let core = self.core()?;
        let collection = core.collection(collection).ok_or_else(not_there)?;
        let view = View::new(&core, &collection);
        let record = view.id(id)?.ok_or_else(not_there)?;
        view.article(record.seq)?.ok_or_else(not_there)
    }

    async fn list(
        &self,
        collection: &CollectionName,
        filter: &ListFilter,
        token: &PageToken,
        page_size: PageSize,
    ) -> Result<Page, StoreError> {
        let query = page::Query::list(collection, filter);
        let start = page::Start::of(token, &query)?;
        let (collection, filter) = (collection.clone(), filter.clone());
        self.read(move |core| match core.collection(&collection) {
            Some(collection) => page::list(core, &collection, &filter, start, page_size, &query),
            None => Ok(Page::default()),
        })
        .await
    }

    async fn delete(&self, collection: &CollectionName, id: &ArticleId) -> Result<(), StoreError> {
        let (collection, id) = (collection.clone(), id.clone());
        self.command(|reply| Command::Delete { collection, id, reply }).await
    }

    async fn story(
        &self,
        collection: &CollectionName,
        story: StoryId,
        token: &PageToken,
        page_size: PageSize,
    ) -> Result<StoryPage, StoreError> {
        let query = page::Query::story(collection, story);
        let start = page::Start::of(token, &query)?;
        let collection = collection.clone();
        self.read(move |core| {
            let collection = core.collection(&collection).ok_or(StoreError::NoStory(story))?;
            page::story(core, &collection, story, start, page_size, &query)
        })
        .await
    }

    async fn find_similar(
        &self,
        collection: &CollectionName,
        query: &SimilarQuery,
        radius: u32,
        max: usize,
    ) -> Result<Similar, StoreError> {
        let (collection, query) = (collection.clone(), query.clone());
        self.read(move |core| find_similar(core, &collection, &query, radius, max)).await
    }

    async fn collections(&self) -> Result<Vec<CollectionInfo>, StoreError> {
        let mut infos: Vec<CollectionInfo> =
            self.core()?.collections().iter().map(|collection| collection.info()).collect();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }

    async fn update_collection(
        &self,
        collection: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<CollectionInfo, StoreError> {
        let name = collection.clone();
        self.command(|reply| Command::UpdateCollection { name, settings, reply }).await
    }

    async fn delete_collection(&self, collection: &CollectionName) -> Result<(), StoreError> {
        let name = collection.clone();
        self.command(|reply| Command::DeleteCollection { name, reply }).await
    }

    fn readiness(&self) -> Result<(), StoreError> {
        let core = self.core()?;
        core.open_for_writing()?;
        core.room()
    }

    fn upkeep(&self) -> Option<&dyn Upkeep> {
        Some(self)
    }
}

#[async_trait]
impl Upkeep for EmbeddedStore {
    async fn create_backup(&self, folder: &Path) -> Result<Backup, StoreError> {
        let _one_at_a_time = self.backing_up.lock().await;
        let (core, folder) = (self.core()?, folder.to_owned());
        blocking(move || backup::create(&core, &folder)).await
    }

    fn latest_backup(&self, folder: &Path) -> Option<SystemTime> {
        backup::latest(folder)
    }

    async fn close(&self) {
        let writer = self.end();
        let waited = tokio::task::spawn_blocking(|| wait_for(writer)).await;
        if let Err(error) = waited {
            tracing::error!(%error, "the store was not waited for");
        }
    }

    async fn sweep(&self) -> Result<bool, StoreError> {
        self.command(|reply| Command::Sweep { reply }).await
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let core = self.core()?;
        let counts = core.collections().iter().map(|it| it.counts.memory_bytes() as u64).sum();
        let cannot_ask = StoreError::io("the disk does not say how much room it has");
        Ok(Usage {
            disk_used_bytes: core.db.disk_space()?,
            disk_journal_bytes: core.db.journal_disk_space()?,
            disk_available_bytes: fs4::available_space(&core.folder).map_err(cannot_ask)?,
            disk_reserve_bytes: core.options.disk_reserve_bytes,
            candidate_cache_bytes: core.candidates.weight(),
            counts_bytes: counts,
        })
    }
}

/// Runs what may take long on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::io("a read was broken off")(error.into()))?
}

/// The same in a turn, which lasts until the work is done, whoever waits for it: a hundred long
/// articles at once would take a hundred threads, and their memory.
async fn long<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let turn = Arc::clone(turns).acquire_owned().await.map_err(|_| writer_gone())?;
    blocking(move || {
        let done = work();
        drop(turn);
        done
    })
    .await
}

async fn outcome<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.map_err(|_| writer_gone())?
}

fn writer_gone() -> StoreError {
    StoreError::Closed("the writer has stopped".into())
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        wait_for(self.end());
    }
}

fn wait_for(writer: Option<JoinHandle<()>>) {
    if writer.map(JoinHandle::join).is_some_and(|ended| ended.is_err()) {
        tracing::error!("the writer ended by a panic");
    }
}

/// Takes the look at the store that an article needs before its turn.
fn turn(core: &Core, mut prepared: Prepared) -> Result<Turn, StoreError> {
    let commit = core.published();
    let looked = match core.collection(&prepared.collection) {
        Some(collection) => Looked::new(core, &collection, &prepared, |_| false)?,
        None => Looked::nothing(commit),
    };
    // They are large, and few articles are compared with any others when their turn comes.
    prepared.shingles = None;
    Ok(Turn { prepared, looked, new_story: StoryId::generate() })
}

/// Finds the passages that an article shares with those it matched. One that is gone by now has
/// none to show.
fn explain(
    core: &Core,
    collection: &CollectionName,
    document: &Document,
    mut matches: Vec<Match>,
    seqs: &[Seq],
) -> Result<Vec<Match>, StoreError> {
    let Some(collection) = core.collection(collection) else { return Ok(matches) };
    for (found, &seq) in matches.iter_mut().zip(seqs) {
        if let Some(other) = view::readable(View::new(core, &collection).article(seq))?
            && other.article_id == found.article_id
        {
            found.overlaps = overlaps(document, &Document::new("", &other.article.body));
        }
    }
    Ok(matches)
}

fn find_similar(
    core: &Core,
    name: &CollectionName,
    query: &SimilarQuery,
    radius: u32,
    max: usize,
) -> Result<Similar, StoreError> {
    let collection = core.collection(name);
    let (fingerprint, itself, source) = match query {
        SimilarQuery::Fingerprint(fingerprint) => (*fingerprint, None, String::new()),
        SimilarQuery::Article(id) => {
            let not_there = || StoreError::NoArticle(id.clone());
            let collection = collection.as_ref().ok_or_else(not_there)?;
            let view = View::new(core, collection);
            let seq = view.id(id)?.ok_or_else(not_there)?.seq;
            let article = view.remembered(seq)?.ok_or_else(not_there)?;
            if !view.horizon.keeps(article.submit_time) {
                return Err(not_there());
            }
            let fingerprint = article.fingerprint;
            let fingerprint = fingerprint.ok_or_else(|| StoreError::NoFingerprint(id.clone()))?;
            (fingerprint, Some(id), article.source.clone())
        }
    };
    let Some(collection) = collection else { return Ok(Similar::default()) };
    let (view, mut search) = View::with(core, &collection, |published, _| {
        // One more, for the article itself, which does not count. It is told by its id: it may
        // have been revised since its fingerprint was read.
        NearestSearch::begin(&published.index, fingerprint, radius, max + 1)
    });
    let is_wanted = |_, entry: Entry| view.horizon.keeps(entry.submit_time);
    while !search.step(&collection.published.read().index, is_wanted) {}
    let (nearest, mut truncated) = search.finish();
    let mut matches = Vec::with_capacity(nearest.len());
    for near in nearest {
        match view::readable(view.remembered(near.seq))? {
            Some(other) if Some(&other.article_id) == itself => {}
            Some(other) => matches
                .push(Match { hamming_distance: Some(near.distance), ..other.describe(&source) }),
            // It is there, but cannot be told of.
            None => truncated = true,
        }
    }
    truncated |= matches.len() > max;
    matches.truncate(max);
    Ok(Similar { matches, truncated })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::analyser::{Analyser, Submission};
    use crate::analysis::Verdict;
    use crate::article::Article;

    pub(super) fn prepared(id: &str, body: &str) -> Prepared {
        static ANALYSER: LazyLock<Analyser> = LazyLock::new(|| Analyser::built_in().unwrap());
        let article = Article { body: body.to_owned(), ..Article::default() };
        ANALYSER.prepare(Submission {
            collection: CollectionName::default(),
            article_id: Some(ArticleId::new(id).unwrap()),
            article,
            explain: false,
            matches_max: 10,
        })
    }

    pub(super) async fn submit(store: &EmbeddedStore, id: &str, body: &str) -> DuplicateReport {
        let pending = store.submit(prepared(id, body)).await.unwrap();
        pending.await.unwrap().analysis.duplicates
    }

    /// Writes something over a row, as a fault below the checksums would.
    fn spoil(store: &EmbeddedStore, table: impl Fn(&Tables) -> &fjall::Keyspace, seq: Seq) {
        let core = store.core().unwrap();
        table(&core.tables).insert(record::seq_key(1, seq), b"spoilt").unwrap();
        core.candidates.clear();
        *core.snapshot.write() = Arc::new(core.db.snapshot());
    }

    const TEXT: &str = "The ferry between the islands will not run on Sunday, for the crew has asked \
        for a day of rest that they were promised in spring and were never given.";

    #[tokio::test]
    async fn what_cannot_be_read_hides_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            EmbeddedStore::open(&folder.path().join("data"), StoreOptions::default()).unwrap();
        for id in ["a", "b", "c"] {
            submit(&store, id, TEXT).await;
        }
        spoil(&store, |tables| &tables.candidates, 1);
        spoil(&store, |tables| &tables.articles, 2);

        // One of its lookalikes cannot be compared, the others can.
        let report = submit(&store, "d", TEXT).await;
        assert_eq!((report.verdict, report.truncated), (Verdict::Exact, true));
        let matched: Vec<&str> =
            report.matches.iter().map(|found| found.article_id.as_str()).collect();
        assert_eq!(matched, ["b", "c"]);

        // A listing goes past what cannot be read; who asks for it is told.
        let (name, size) = (CollectionName::default(), PageSize { articles: 10, bytes: 1 << 20 });
        let (filter, token) = (ListFilter::default(), PageToken::default());
        let page = store.list(&name, &filter, &token, size).await.unwrap();
        let listed: Vec<String> =
            page.articles.iter().map(|stored| stored.article_id.to_string()).collect();
        assert_eq!(listed, ["d", "c", "a"]);
        let get = store.get(&name, &ArticleId::new("b").unwrap()).await;
        assert!(matches!(get, Err(StoreError::Damaged(_))), "{get:?}");

        // Retention goes on behind it, and so do deletions.
        store.delete(&name, &ArticleId::new("b").unwrap()).await.unwrap();
        let settings = CollectionSettings {
            retention: Some(Duration::from_secs(1)),
            ..CollectionSettings::default()
        };
        store.update_collection(&name, settings).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        while store.sweep().await.unwrap() {}
        assert_eq!(store.collections().await.unwrap()[0].article_count, 0);
    }
}
