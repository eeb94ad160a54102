//! The data folder: what marks it as ours, and the tables in it.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::{simhash, text};

/// The file that says what a data folder is.
const FORMAT_FILE: &str = "newsprint.json";

/// The folder of the LSM tree within the data folder.
const DATABASE_FOLDER: &str = "db";

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
    /// [`NEXT_COLLECTION`] and [`ORPHAN`].
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

impl Tables {
    /// Opens the tables in a folder; both are made if they are not there.
    pub(super) fn open(folder: &Path) -> Result<(Database, Tables), StoreError> {
        let unusable = |reason: String| StoreError::Unusable { path: folder.to_owned(), reason };
        check_format(folder).map_err(unusable)?;
        let db = Database::builder(folder.join(DATABASE_FOLDER)).open();
        let db = db.map_err(|error| match error {
            fjall::Error::Locked => unusable("another process has it open".to_owned()),
            error => unusable(error.to_string()),
        })?;
        let small = KeyspaceCreateOptions::default;
        // Articles are large and seldom read: apart from their keys they are not moved about when
        // the tree is tidied.
        let separated = Some(KvSeparationOptions::default());
        let tables = Tables {
            meta: db.keyspace("meta", small)?,
            collections: db.keyspace("collections", small)?,
            articles: db.keyspace("articles", || small().with_kv_separation(separated.clone()))?,
            index: db.keyspace("index", small)?,
            sketches: db.keyspace("sketches", small)?,
            ids: db.keyspace("ids", small)?,
            stories: db.keyspace("stories", small)?,
        };
        Ok((db, tables))
    }

    /// Opens the tables of a folder that is one of ours already.
    pub(super) fn open_existing(folder: &Path) -> Result<(Database, Tables), StoreError> {
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

/// Checks that a folder is ours to use, or empty, and marks it.
fn check_format(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
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
    std::fs::write(&new_file, text).map_err(|error| error.to_string())?;
    std::fs::rename(new_file, file).map_err(|error| error.to_string())
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
