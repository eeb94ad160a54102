//! The data folder: what marks it as ours, and the tables in it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fjall::config::{CompressionPolicy, FilterPolicy, PartitioningPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, LsmError,
};
use serde::{Deserialize, Serialize};

use super::CommitNumber;
use super::integrity::{self, CutJournal};
use super::record::{CollectionNumber, number_from_bytes};
use crate::store::StoreError;
use crate::{simhash, text};

/// The file that says what a data folder is.
pub(super) const FORMAT_FILE: &str = "newsprint.json";

/// The same while it is written.
const NEW_FORMAT_FILE: &str = "newsprint.new";

/// The folder of the LSM tree within the data folder.
pub(super) const DATABASE_FOLDER: &str = "tables";

/// The folder within the data folder for what damaged journals could not be read of.
const DAMAGED_FOLDER: &str = "damaged";

/// The file of [`CommitMark`].
const COMMIT_MARK_FILE: &str = "newsprint.commit";

/// Journals may grow to this in all before what they hold is written out to the tables.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;

/// Memory for blocks of tables that were read lately.
const CACHE_BYTES: u64 = 64 << 20;

/// Tables are written out when so much is in memory: little to read again at the next start. Those
/// of short rows fill slowly, and what they keep would be there all the time.
const MEMTABLE_BYTES: u64 = 16 << 20;
const SMALL_MEMTABLE_BYTES: u64 = 4 << 20;

/// Threads that write tables out and tidy them. With more than one, fjall 3.1 has the first of them
/// ask for work all the time while another one tidies: a seventh of all processor time.
const WORKER_THREADS: usize = 1;

/// Key in [`Tables::meta`] of the number of the latest commit.
pub(super) const COMMIT: &str = "commit";

/// Key in [`Tables::meta`] of the number of the next collection.
pub(super) const NEXT_COLLECTION: &str = "next-collection";

/// Beginning of a key in [`Tables::meta`], followed by a collection's number: the collection is
/// gone, and what it left behind is to be removed.
const ORPHAN: &str = "orphan";

pub(super) fn orphan_key(number: CollectionNumber) -> Vec<u8> {
    [ORPHAN.as_bytes(), &number.to_be_bytes()].concat()
}

pub(super) fn is_orphan_key(key: &[u8]) -> bool {
    key.starts_with(ORPHAN.as_bytes())
}

/// Key in [`Tables::meta`] of the number of a collection's next submission: a number is not given
/// again when the articles at the end are deleted.
pub(super) fn next_seq_key(number: CollectionNumber) -> Vec<u8> {
    [b"next-submission", &number.to_be_bytes()[..]].concat()
}

/// What a data folder is. Data of another kind is refused, never mixed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Format {
    pub format: u32,
    pub fingerprint_scheme: String,
    pub text_pipeline: String,
}

impl Format {
    pub fn current() -> Self {
        Format {
            format: 2,
            fingerprint_scheme: simhash::SCHEME.to_owned(),
            text_pipeline: text::PIPELINE.to_owned(),
        }
    }
}

/// The tables, with what stands in them.
pub(super) struct Tables {
    /// Numbers, under the keys above.
    pub meta: Keyspace,
    /// Collection name: `CollectionRecord`.
    pub collections: Keyspace,
    /// Collection, submission: an article as its sender sent it and what was answered.
    pub articles: Keyspace,
    /// Collection, submission: what it is compared and described by.
    pub candidates: Keyspace,
    /// Collection, submission: `IndexRecord`.
    pub index: Keyspace,
    /// Collection, article id: `IdRecord`.
    pub ids: Keyspace,
    /// Collection, story id: the number of the story.
    pub stories: Keyspace,
    /// Collection: what is frame in it, by the articles before some submission.
    pub counts: Keyspace,
}

/// An open data folder.
pub(super) struct Opened {
    pub db: Database,
    pub tables: Tables,
    pub mark: CommitMark,
    /// The latest commit that is there.
    pub commit: CommitNumber,
    /// What is known to be missing.
    pub loss: Option<Loss>,
}

impl Tables {
    /// Opens the tables in a folder; both are made if they are not there.
    pub(super) fn open(folder: &Path) -> Result<Opened, StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: folder.to_owned(), reason };
        check_format(folder).map_err(unusable)?;
        let mark = CommitMark::open(folder).map_err(unusable)?;
        let database = folder.join(DATABASE_FOLDER);
        integrity::check_manifests(&database)
            .map_err(|error| unusable(format!("{error}; restore a backup")))?;
        let cut = integrity::cut_journals(&database, &folder.join(DAMAGED_FOLDER))
            .map_err(|error| unusable(format!("its journal cannot be read: {error}")))?;
        let (db, tables) =
            Self::open_database(&database).map_err(|error| unusable(error.to_string()))?;
        let commit = tables.number(COMMIT)?.unwrap_or(0);
        let loss = Loss::of(mark.read().saturating_sub(commit), cut);
        Ok(Opened { db, tables, mark, commit, loss })
    }

    pub(super) fn open_database(folder: &Path) -> Result<(Database, Tables), fjall::Error> {
        let db = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .worker_threads(WORKER_THREADS)
            .journal_compression(CompressionType::None)
            .open()?;
        let small = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(SMALL_MEMTABLE_BYTES)
                .data_block_compression_policy(CompressionPolicy::disabled())
                // Of a file's index, and of its filter, only the part is read that is asked for:
                // the whole of them take hundreds of kilobytes.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        // Submissions are numbered, so every file holds a range of them of its own, and no filter
        // is needed to tell whether one is in it.
        let numbered =
            || small().max_memtable_size(MEMTABLE_BYTES).filter_policy(FilterPolicy::disabled());
        // Articles are large and seldom read: apart from their keys they are not moved about when
        // the tree is tidied.
        let separated = KvSeparationOptions::default().compression(CompressionType::None);
        let separated = Some(separated);
        let tables = Tables {
            meta: db.keyspace("meta", small)?,
            collections: db.keyspace("collections", small)?,
            articles: db
                .keyspace("articles", || numbered().with_kv_separation(separated.clone()))?,
            candidates: db.keyspace("candidates", numbered)?,
            index: db.keyspace("index", numbered)?,
            ids: db.keyspace("ids", small)?,
            stories: db.keyspace("stories", small)?,
            counts: db.keyspace("counts", small)?,
        };
        Ok((db, tables))
    }

    /// A number of [`Tables::meta`].
    pub(super) fn number(&self, key: impl AsRef<[u8]>) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.meta.get(&key)? else { return Ok(None) };
        let place = || String::from_utf8_lossy(key.as_ref()).into_owned();
        number_from_bytes(&value).map(Some).map_err(|error| error.at(place))
    }

    /// The collections that are gone and left something behind.
    pub(super) fn orphans(&self) -> Result<Vec<CollectionNumber>, StoreError> {
        let mut orphans = Vec::new();
        for row in self.meta.prefix(ORPHAN) {
            let key = row.key()?;
            let number = key[ORPHAN.len()..].try_into();
            let number = number.map_err(|_| {
                StoreError::Damaged("the key of a collection that is gone".to_owned())
            })?;
            orphans.push(CollectionNumber::from_be_bytes(number));
        }
        Ok(orphans)
    }

    /// Checks that a folder is one of ours already.
    pub(super) fn check_is_ours(folder: &Path) -> Result<(), StoreError> {
        if folder.join(FORMAT_FILE).is_file() {
            return Ok(());
        }
        let reason = format!("there is no {FORMAT_FILE} in it: not a newsprint folder");
        Err(StoreError::Unusable { path: folder.to_owned(), reason })
    }

    /// All of them, always in the same order.
    pub(super) fn all(&self) -> [&Keyspace; 8] {
        let Tables { meta, collections, articles, candidates, index, ids, stories, counts } = self;
        [meta, collections, articles, candidates, index, ids, stories, counts]
    }
}

/// What of the commits that were answered for is missing.
#[derive(Debug)]
pub(super) struct Loss {
    commits: u64,
    cut: Vec<CutJournal>,
}

impl Loss {
    /// What was cut off a journal while no commit is missing was being written when the process or
    /// the machine went down: nobody was told that it was there, and it is removed.
    fn of(commits: u64, cut: Vec<CutJournal>) -> Option<Loss> {
        if commits > 0 {
            return Some(Loss { commits, cut });
        }
        for journal in cut {
            let _ = std::fs::remove_file(&journal.set_aside);
        }
        None
    }

    /// The loss in words, with where the rest of a journal is if that is in a data folder.
    pub(super) fn told(&self, folder: Option<&Path>) -> String {
        let mut told = match self.commits {
            1 => "the latest commit is missing".to_owned(),
            count => format!("the latest {count} commits are missing"),
        };
        for CutJournal { set_aside, offset } in &self.cut {
            told += &format!("; a journal is damaged at byte {offset}");
            if folder.is_some() {
                told += &format!(", the rest of it is in {}", set_aside.display());
            }
        }
        told
    }
}

/// A file that names the latest commit answered for, so that its absence is noticed. It is not
/// synced, and so after a loss of power it may name an earlier one, but never a later.
///
/// Whoever has it open has the data folder to himself.
#[derive(Debug)]
pub(super) struct CommitMark {
    file: File,
}

impl CommitMark {
    fn open(folder: &Path) -> Result<Self, String> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(folder.join(COMMIT_MARK_FILE)).map_err(cannot_write)?;
        Self::lock(file)
    }

    /// Locks a folder that is only read, if it has a mark: nobody else may have it open.
    pub(super) fn lock_existing(folder: &Path) -> Result<Option<Self>, StoreError> {
        let unusable = |reason| StoreError::Unusable { path: folder.to_owned(), reason };
        match File::open(folder.join(COMMIT_MARK_FILE)) {
            Ok(file) => Self::lock(file).map(Some).map_err(unusable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("the data folder cannot be read")(error)),
        }
    }

    fn lock(file: File) -> Result<Self, String> {
        match file.try_lock() {
            Ok(()) => Ok(CommitMark { file }),
            Err(TryLockError::WouldBlock) => Err("another process has it open".to_owned()),
            Err(TryLockError::Error(error)) => Err(format!("it cannot be locked: {error}")),
        }
    }

    /// The commit it names; 0 if it names none.
    fn read(&self) -> CommitNumber {
        let mut text = String::new();
        let read = (&self.file)
            .seek(SeekFrom::Start(0))
            .and_then(|_| (&self.file).read_to_string(&mut text));
        read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
    }

    pub(super) fn write(&self, commit: CommitNumber) -> io::Result<()> {
        (&self.file).seek(SeekFrom::Start(0))?;
        (&self.file).write_all(format!("{commit:020}\n").as_bytes())
    }
}

impl Drop for CommitMark {
    fn drop(&mut self) {
        // Closing the file would do, were it not for other processes that this one has just
        // started: until they run their own program they have all its files open too.
        let _ = self.file.unlock();
    }
}

fn cannot_write(error: io::Error) -> String {
    format!("it cannot be written to: {error}")
}

/// What a folder says that it is; `None` if it does not.
pub(super) fn format_of(folder: &Path) -> Result<Option<Format>, String> {
    let file = folder.join(FORMAT_FILE);
    if !file.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let found = serde_json::from_str(&text);
    found.map(Some).map_err(|error| format!("{FORMAT_FILE} cannot be read: {error}"))
}

/// Checks that a folder is ours to use, or empty, and marks it.
fn check_format(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("it cannot be made: {error}"))?;
    let current = Format::current();
    if let Some(found) = format_of(folder)? {
        if found == current {
            return Ok(());
        }
        return Err(format!(
            "it was written with format {}, {}, {}; this version uses format {}, {}, {}",
            found.format,
            found.fingerprint_scheme,
            found.text_pipeline,
            current.format,
            current.fingerprint_scheme,
            current.text_pipeline
        ));
    }
    for entry in folder.read_dir().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_name() != NEW_FORMAT_FILE {
            return Err(format!(
                "it is not empty and has no {FORMAT_FILE}: not a newsprint folder"
            ));
        }
    }
    mark_format(folder).map_err(cannot_write)
}

/// Marks a folder as one of the current format. The mark appears whole or not at all, and stays.
pub(super) fn mark_format(folder: &Path) -> io::Result<()> {
    let new_file = folder.join(NEW_FORMAT_FILE);
    let mut file = File::create(&new_file)?;
    serde_json::to_writer_pretty(&mut file, &Format::current())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(new_file, folder.join(FORMAT_FILE))?;
    sync_folder(folder)
}

/// The file that [`try_to_write`] writes.
const TRIAL_FILE: &str = "newsprint.trial";

/// Tries whether a folder can be written to: with as much as a table takes, and with as many files
/// open as opening the tables needs at least.
pub(super) fn try_to_write(folder: &Path) -> io::Result<()> {
    const FILES: usize = 64;
    let path = folder.join(TRIAL_FILE);
    let tried = || {
        let mut file = File::create(&path)?;
        let _many = (0..FILES).map(|_| File::open(&path)).collect::<io::Result<Vec<File>>>()?;
        let block = vec![1; 1 << 20];
        for _ in 0..MEMTABLE_BYTES >> 20 {
            file.write_all(&block)?;
        }
        file.sync_all()
    };
    let tried = tried();
    let removed = std::fs::remove_file(&path);
    tried.and(removed)
}

/// Writes the journals of a data folder anew, as they can be read now.
pub(super) fn write_journals_anew(folder: &Path) -> io::Result<()> {
    integrity::write_journals_anew(&folder.join(DATABASE_FOLDER))?;
    sync_folder(&folder.join(DATABASE_FOLDER))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => StoreError::Closed("an earlier write failed".into()),
            fjall::Error::Storage(LsmError::Io(error)) if is_out_of_reach(&error) => {
                StoreError::io("the tables cannot be reached")(error)
            }
            fjall::Error::Io(error) => StoreError::io("the tables cannot be reached")(error),
            error => StoreError::Damaged(error.to_string()),
        }
    }
}

/// Whether an error is the machine's rather than that of what a file holds: a table that is cut off
/// ends too early.
fn is_out_of_reach(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}
