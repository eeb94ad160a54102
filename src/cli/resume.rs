//! How far an import is, kept in a small file beside the one that is imported, so that an import
//! that was interrupted goes on where it was.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Where an import stands. It only holds for the same file going to the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub addr: String,
    pub collection: String,
    /// The size of the file. It may grow meanwhile, not shrink.
    pub file_bytes: u64,
    /// Lines from the beginning that are done with: remembered by the server, or told in the file
    /// of errors.
    pub lines_done: u64,
    /// How many of them are told in the file of errors.
    pub errors: u64,
}

/// The file that tells how far an import is.
#[derive(Debug, Clone)]
pub struct ResumeFile(PathBuf);

impl ResumeFile {
    /// The one that belongs to an imported file.
    pub fn of(imported: &Path) -> Self {
        ResumeFile(beside(imported, ".newsprint-resume"))
    }

    /// How far an earlier import of the same file to the same place is, if there was one.
    pub fn read(&self, now: &Progress) -> Result<Option<Progress>> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let earlier: Progress = serde_json::from_slice(&bytes).with_context(|| {
            format!("{} is damaged; --restart begins anew without it", self.0.display())
        })?;
        let is_same = earlier.addr == now.addr
            && earlier.collection == now.collection
            && earlier.file_bytes <= now.file_bytes;
        Ok(is_same.then_some(earlier))
    }

    pub fn write(&self, progress: &Progress) -> Result<()> {
        let context = || format!("cannot write {}", self.0.display());
        let json = serde_json::to_vec(progress)?;
        // In one step, so that an interruption leaves the old state or the new one.
        let draft = beside(&self.0, ".new");
        fs::write(&draft, json).with_context(context)?;
        fs::rename(&draft, &self.0).with_context(context)
    }

    /// Removes the file: the import is finished, or begins anew.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("cannot remove {}", self.0.display())),
        }
    }
}

/// A path with something added to its last part.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            addr: "http://127.0.0.1:50051".to_owned(),
            collection: "default".to_owned(),
            file_bytes: 1000,
            lines_done: 70,
            errors: 2,
        }
    }

    #[test]
    fn an_import_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = ResumeFile::of(&folder.path().join("a.jsonl"));
        assert_eq!(file.read(&progress()).unwrap(), None);
        file.write(&progress()).unwrap();
        let later = Progress { lines_done: 80, ..progress() };
        file.write(&later).unwrap();
        assert_eq!(file.read(&progress()).unwrap(), Some(later));
        assert!(folder.path().join("a.jsonl.newsprint-resume").is_file());
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn another_import_begins_at_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let file = ResumeFile::of(&folder.path().join("a.jsonl"));
        file.write(&progress()).unwrap();
        let check = |now: Progress, goes_on: bool| {
            assert_eq!(file.read(&now).unwrap().is_some(), goes_on, "{now:?}");
        };
        check(Progress { file_bytes: 2000, ..progress() }, true);
        check(Progress { file_bytes: 999, ..progress() }, false);
        check(Progress { collection: "other".to_owned(), ..progress() }, false);
        check(Progress { addr: "http://127.0.0.1:50052".to_owned(), ..progress() }, false);
    }

    #[test]
    fn a_damaged_state_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let imported = folder.path().join("a.jsonl");
        fs::write(beside(&imported, ".newsprint-resume"), "{\"lines").unwrap();
        let error = ResumeFile::of(&imported).read(&progress()).unwrap_err().to_string();
        assert!(error.contains("--restart"), "{error}");
    }
}
