//! A consistent copy of the store, made while it serves, and the way back from it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fjall::{Keyspace, Readable, Snapshot};
use tempfile::TempDir;

use super::Core;
use super::record::{CollectionNumber, CollectionRecord};
use super::tables::{FORMAT_FILE, Opened, Tables, format_of, is_orphan_key, sync_folder};
use super::upgrade;
use crate::article::Timestamp;
use crate::store::{Backup, StoreError};

/// Copies everything that is committed now into a folder that is not there yet. The copy is a
/// data folder like any other; [`restore`] makes one to be served of it.
pub(super) fn create(core: &Core, folder: &Path) -> Result<Backup, StoreError> {
    if folder.exists() {
        return Err(StoreError::BackupExists(folder.to_owned()));
    }
    let partial = partial_of(folder)?;
    let cannot_write = StoreError::io("the backup cannot be written");
    let snapshot_time = Timestamp::now();
    let snapshot = Arc::clone(&core.snapshot.read());
    let copied = copy(&snapshot, &core.tables, &partial)
        .and_then(|count| Ok((count, folder_bytes(&partial).map_err(cannot_write)?)))
        .and_then(|copied| finish(&partial, folder).map(|()| copied));
    match copied {
        Ok((article_count, size_bytes)) => {
            Ok(Backup { path: folder.to_owned(), article_count, size_bytes, snapshot_time })
        }
        Err(error) => {
            let _ = fs::remove_dir_all(&partial);
            Err(error)
        }
    }
}

/// Where a folder is put together: it gets its name when it is whole, so that no half of one is
/// ever taken for a backup. No backup's name begins with a dot, so each has a place of its own.
fn partial_of(folder: &Path) -> Result<PathBuf, StoreError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.with_file_name(format!(".{name}.partial"));
    if partial.exists() {
        let cannot = StoreError::io("what an earlier attempt left behind cannot be removed");
        fs::remove_dir_all(&partial).map_err(cannot)?;
    }
    Ok(partial)
}

/// Gives a folder that is whole its name, for good.
fn finish(partial: &Path, folder: &Path) -> Result<(), StoreError> {
    let finish = || {
        fs::rename(partial, folder)?;
        folder.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
    };
    finish().map_err(StoreError::io("the finished copy cannot be given its name"))
}

fn copy(snapshot: &Snapshot, tables: &Tables, folder: &Path) -> Result<u64, StoreError> {
    let live = live_collections(snapshot, tables)?;
    let is_live = |key: &[u8]| {
        let number = key.first_chunk().map(|number| CollectionNumber::from_be_bytes(*number));
        number.is_some_and(|number| live.contains(&number))
    };
    let Opened { db: copy_db, tables: copy_tables, .. } = Tables::open(folder)?;
    copy_table(snapshot, &tables.meta, &copy_tables.meta, |key| !is_orphan_key(key))?;
    copy_table(snapshot, &tables.collections, &copy_tables.collections, |_| true)?;
    let article_count = copy_table(snapshot, &tables.articles, &copy_tables.articles, is_live)?;
    for (table, copy) in [
        (&tables.candidates, &copy_tables.candidates),
        (&tables.index, &copy_tables.index),
        (&tables.ids, &copy_tables.ids),
        (&tables.stories, &copy_tables.stories),
        (&tables.counts, &copy_tables.counts),
    ] {
        copy_table(snapshot, table, copy, is_live)?;
    }
    copy_db.persist(fjall::PersistMode::SyncAll)?;
    Ok(article_count)
}

/// The collections that are there, not those that were deleted and still leave rows behind.
fn live_collections(
    snapshot: &Snapshot,
    tables: &Tables,
) -> Result<HashSet<CollectionNumber>, StoreError> {
    let number = |row: fjall::Guard| {
        let (key, value) = row.into_inner()?;
        let place = || format!("collection '{}'", String::from_utf8_lossy(&key));
        let record = CollectionRecord::from_bytes(&value).map_err(|error| error.at(place))?;
        Ok(record.number)
    };
    snapshot.iter(&tables.collections).map(number).collect()
}

/// Copies the rows of a table that are wanted, and tells how many.
fn copy_table(
    snapshot: &Snapshot,
    table: &Keyspace,
    copy: &Keyspace,
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<u64, StoreError> {
    let mut count = 0;
    let mut ingestion = copy.start_ingestion()?;
    for row in snapshot.iter(table) {
        let (key, value) = row.into_inner()?;
        if is_wanted(&key) {
            ingestion.write(key, value)?;
            count += 1;
        }
    }
    ingestion.finish()?;
    Ok(count)
}

/// When the latest backup in a folder was begun, if there is one. That it can be used is not said.
pub(super) fn latest(folder: &Path) -> Option<SystemTime> {
    let begun = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let is_whole = !entry.file_name().to_string_lossy().starts_with('.');
        // What tells its format is the first thing to be written of it.
        is_whole.then(|| fs::metadata(entry.path().join(FORMAT_FILE)).ok()?.modified().ok())?
    };
    folder.read_dir().ok()?.filter_map(begun).max()
}

/// A backup in a folder of backups.
#[derive(Debug, Clone, serde::Serialize)]
pub struct BackupInfo {
    pub name: String,
    pub path: PathBuf,
    pub size_bytes: u64,
    /// Why it cannot be restored by this version, if it cannot.
    pub unusable: Option<String>,
}

/// The backups in a folder, by name.
pub fn backups(folder: &Path) -> Result<Vec<BackupInfo>, StoreError> {
    let read = || -> io::Result<Vec<BackupInfo>> {
        let mut backups = Vec::new();
        for entry in folder.read_dir()? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let unusable = match format_of(&path) {
                Ok(None) => continue,
                _ if name.starts_with('.') => continue,
                Ok(Some(format)) => upgrade::usable(&format).err(),
                Err(reason) => Some(reason),
            };
            let size_bytes = folder_bytes(&path)?;
            backups.push(BackupInfo { name, path, size_bytes, unusable });
        }
        backups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(backups)
    };
    read().map_err(StoreError::io("the folder of backups cannot be read"))
}

/// Copies a backup to where a data folder is to be, which must not be there yet or be empty. The
/// backup stays as it is.
pub fn restore(backup: &Path, data: &Path, told: impl Fn(u64, u64)) -> Result<(), StoreError> {
    Tables::check_is_ours(backup)?;
    let is_taken = data.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_taken || data.is_file() {
        let reason = "there is something in it already".to_owned();
        return Err(StoreError::Unusable { path: data.to_owned(), reason });
    }
    let partial = partial_of(data)?;
    let done = Cell::new(0);
    let copied = folder_bytes(backup).and_then(|all| {
        copy_folder(backup, &partial, &|from, to| {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()?;
            done.set(done.get() + file_bytes(&from.metadata()?));
            told(done.get(), all);
            Ok(())
        })
    });
    let copied = copied.map_err(StoreError::io("the backup cannot be copied"));
    let restored = copied.and_then(|()| {
        // An empty folder gives way.
        let _ = fs::remove_dir(data);
        finish(&partial, data)
    });
    restored.inspect_err(|_| drop(fs::remove_dir_all(&partial)))
}

/// A data folder with the same content, to be done with as one likes. Files that are only ever
/// written once are linked rather than copied, where that can be.
pub(super) fn mirror(folder: &Path) -> Result<TempDir, StoreError> {
    let prefix = ".newsprint-mirror-";
    let make = |mirror: io::Result<TempDir>| {
        let mirror = mirror?;
        copy_folder(folder, mirror.path(), &|from, to| {
            // Tables and blobs of a keyspace: `keyspaces/0/tables/12`.
            let mut above = from.ancestors().skip(1).map(Path::file_name);
            let kind = above.next().flatten();
            let is_written_once = kind.is_some_and(|kind| kind == "tables" || kind == "blobs")
                && above.nth(1).flatten().is_some_and(|folder| folder == "keyspaces");
            if is_written_once && fs::hard_link(from, to).is_ok() {
                return Ok(());
            }
            fs::copy(from, to).map(drop)
        })?;
        Ok(mirror)
    };
    let beside = || {
        let folder = folder.canonicalize()?;
        let beside = folder.parent().unwrap_or(&folder);
        tempfile::Builder::new().prefix(prefix).tempdir_in(beside)
    };
    // There may be no room beside it, or no right to write.
    make(beside())
        .or_else(|_| make(tempfile::Builder::new().prefix(prefix).tempdir()))
        .map_err(StoreError::io("the data folder cannot be read"))
}

/// Copies a folder, file by file.
fn copy_folder(
    from: &Path,
    to: &Path,
    copy_file: &impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, copy_file)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    sync_folder(to)
}

/// The room that a folder's files take. What is set aside in a file but was never written takes
/// none.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes +=
            if metadata.is_dir() { folder_bytes(&entry.path())? } else { file_bytes(&metadata) };
    }
    Ok(bytes)
}

#[cfg(unix)]
fn file_bytes(metadata: &Metadata) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    std::os::unix::fs::MetadataExt::blocks(metadata) * BLOCK_BYTES
}

#[cfg(not(unix))]
fn file_bytes(metadata: &Metadata) -> u64 {
    metadata.len()
}
