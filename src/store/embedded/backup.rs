//! A consistent copy of the store, made while it serves.

use std::fs::Metadata;
use std::path::Path;

use fjall::{Database, Readable};

use super::tables::{Opened, Tables};
use crate::article::Timestamp;
use crate::store::{Backup, StoreError};

/// Copies everything that is committed now into a folder that is not there yet. The copy is a
/// data folder like any other: a server started on it is the restore.
pub(super) fn create(db: &Database, tables: &Tables, folder: &Path) -> Result<Backup, StoreError> {
    if folder.exists() {
        return Err(StoreError::BackupExists(folder.to_owned()));
    }
    // It gets its name when it is whole, so that no half of one is ever taken for a backup.
    let partial = folder.with_extension("partial");
    let io = |error: std::io::Error| StoreError::Io(error.to_string());
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io)?;
    }
    let snapshot_time = Timestamp::now();
    let copied = copy(db, tables, &partial);
    let article_count = match copied {
        Ok(article_count) => article_count,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&partial);
            return Err(error);
        }
    };
    let size_bytes = folder_bytes(&partial).map_err(io)?;
    std::fs::rename(&partial, folder).map_err(io)?;
    Ok(Backup { path: folder.to_owned(), article_count, size_bytes, snapshot_time })
}

fn copy(db: &Database, tables: &Tables, folder: &Path) -> Result<u64, StoreError> {
    let snapshot = db.snapshot();
    let Opened { db: copy_db, tables: copy_tables, .. } = Tables::open(folder)?;
    let mut article_count = 0;
    for (table, copy_table) in tables.all().into_iter().zip(copy_tables.all()) {
        let mut ingestion = copy_table.start_ingestion()?;
        for row in snapshot.iter(table) {
            let (key, value) = row.into_inner()?;
            ingestion.write(key, value)?;
            article_count += u64::from(std::ptr::eq(table, &tables.articles));
        }
        ingestion.finish()?;
    }
    copy_db.persist(fjall::PersistMode::SyncAll)?;
    Ok(article_count)
}

/// The room that a folder's files take. What is set aside in a file but was never written takes
/// none.
fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
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
