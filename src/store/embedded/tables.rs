//! The data folder: what marks it as ours, and the tables in it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use fjall::config::{CompressionPolicy, FilterPolicy, PartitioningPolicy};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use serde::{Deserialize, Serialize};

use super::integrity::{self, CutJournal};
use super::record::decode;
use crate::store::{CommitNumber, StoreError};
use crate::{simhash, text};

/// The file that says what a data folder is.
const FORMAT_FILE: &str = "newsprint.json";

/// The folder of the LSM tree within the data folder.
const DATABASE_FOLDER: &str = "db";

/// The folder within the data folder for what damaged journals could not be read of.
const DAMAGED_FOLDER: &str = "damaged";

/// The file of [`CommitMark`].
const COMMIT_MARK_FILE: &str = "newsprint.commit";

/// Journals may grow to this in all before what they hold is written out to the tables.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;

/// Memory for blocks of tables that were read lately.
const CACHE_BYTES: u64 = 64 << 20;

/// Tables are written out when so much is in memory: little to read again at the next start.
const MEMTABLE_BYTES: u64 = 16 << 20;

/// Key in [`Tables::meta`] of the number of the latest commit.
pub(super) const COMMIT: &str = "commit";

/// Key in [`Tables::meta`] of the number of the next collection.
pub(super) const NEXT_COLLECTION: &str = "next-collection";

/// Beginning of a key in [`Tables::meta`], followed by a collection's number: the collection is
/// gone, and what it left behind is to be removed.
pub(super) const ORPHAN: &str = "orphan";

/// What a data folder is. Data of another kind is refused, never mixed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Format {
    format: u32,
    fingerprint_scheme: String,
    text_pipeline: String,
}

impl Format {
    fn current() -> Self {
        Format {
            format: 1,
            fingerprint_scheme: simhash::SCHEME.to_owned(),
            text_pipeline: text::PIPELINE.to_owned(),
        }
    }
}

/// The tables, with what stands in them.
pub(super) struct Tables {
    /// [`COMMIT`], [`NEXT_COLLECTION`] and [`ORPHAN`].
    pub meta: Keyspace,
    /// Collection name: `CollectionRecord`.
    pub collections: Keyspace,
    /// Collection, submission: `ArticleRecord`.
    pub articles: Keyspace,
    /// Collection, submission: `IndexRecord`.
    pub index: Keyspace,
    /// Collection, submission: the bytes of a `Sketch`.
    pub sketches: Keyspace,
    /// Collection, article id: `IdRecord`.
    pub ids: Keyspace,
    /// Collection, story id: the submission that began the story.
    pub stories: Keyspace,
}

/// An open data folder.
pub(super) struct Opened {
    pub db: Database,
    pub tables: Tables,
    pub mark: CommitMark,
    /// The latest commit that is there.
    pub commit: CommitNumber,
    /// What is known to be missing.
    pub loss: Option<String>,
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
        let commit = match tables.meta.get(COMMIT)? {
            Some(value) => decode(&value, || COMMIT.to_owned())?,
            None => 0,
        };
        let loss = loss(mark.read().saturating_sub(commit), &cut);
        Ok(Opened { db, tables, mark, commit, loss })
    }

    fn open_database(folder: &Path) -> Result<(Database, Tables), fjall::Error> {
        let db = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .open()?;
        let small = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .data_block_compression_policy(CompressionPolicy::disabled())
                // Of a file's index, and of its filter, only the part is read that is asked for:
                // the whole of them take hundreds of kilobytes.
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        // Submissions are numbered, so every file holds a range of them of its own, and no filter
        // is needed to tell whether one is in it.
        let numbered = || small().filter_policy(FilterPolicy::disabled());
        // Articles are large and seldom read: apart from their keys they are not moved about when
        // the tree is tidied.
        let separated = KvSeparationOptions::default().compression(CompressionType::None);
        let separated = Some(separated);
        let tables = Tables {
            meta: db.keyspace("meta", small)?,
            collections: db.keyspace("collections", small)?,
            articles: db
                .keyspace("articles", || numbered().with_kv_separation(separated.clone()))?,
            index: db.keyspace("index", numbered)?,
            sketches: db.keyspace("sketches", numbered)?,
            ids: db.keyspace("ids", small)?,
            stories: db.keyspace("stories", small)?,
        };
        Ok((db, tables))
    }

    /// Opens the tables of a folder that is one of ours already.
    pub(super) fn open_existing(folder: &Path) -> Result<Opened, StoreError> {
        if folder.join(FORMAT_FILE).is_file() {
            return Tables::open(folder);
        }
        let reason = format!("there is no {FORMAT_FILE} in it: not a newsprint folder");
        Err(StoreError::Unusable { path: folder.to_owned(), reason })
    }

    /// All of them, always in the same order.
    pub(super) fn all(&self) -> [&Keyspace; 7] {
        let Tables { meta, collections, articles, index, sketches, ids, stories } = self;
        [meta, collections, articles, index, sketches, ids, stories]
    }
}

/// Says what of the commits that were answered for is missing. What was cut off a journal while
/// none of them is was being written when the process or the machine went down: nobody was told
/// that it was there, and it is removed.
fn loss(missing_commits: u64, cut: &[CutJournal]) -> Option<String> {
    if missing_commits == 0 {
        for journal in cut {
            let _ = std::fs::remove_file(&journal.set_aside);
        }
        return None;
    }
    let mut loss = match missing_commits {
        1 => "the latest commit is missing".to_owned(),
        count => format!("the latest {count} commits are missing"),
    };
    for CutJournal { set_aside, offset } in cut {
        let set_aside = set_aside.display();
        loss +=
            &format!("; a journal is damaged at byte {offset}, the rest of it is in {set_aside}");
    }
    Some(loss)
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

/// Checks that a folder is ours to use, or empty, and marks it.
fn check_format(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("it cannot be made: {error}"))?;
    let file = folder.join(FORMAT_FILE);
    let current = Format::current();
    if file.exists() {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let found: Format = serde_json::from_str(&text)
            .map_err(|error| format!("{FORMAT_FILE} cannot be read: {error}"))?;
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
    let new_file = folder.join(FORMAT_FILE).with_extension("new");
    for entry in folder.read_dir().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.path() != new_file {
            return Err(format!(
                "it is not empty and has no {FORMAT_FILE}: not a newsprint folder"
            ));
        }
    }
    // The file appears whole or not at all.
    let text = serde_json::to_string_pretty(&current).map_err(|error| error.to_string())? + "\n";
    std::fs::write(&new_file, text).map_err(cannot_write)?;
    std::fs::rename(new_file, file).map_err(cannot_write)
}

impl From<fjall::Error> for StoreError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Poisoned => StoreError::Closed("an earlier write failed".to_owned()),
            fjall::Error::Io(error) => StoreError::Io(error.to_string()),
            error => StoreError::Damaged(error.to_string()),
        }
    }
}
