//! How far an import is, kept in a small file beside the one that is imported, so that an import
//! that was interrupted goes on where it was.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Where an import stands. It only holds for a file that begins with the same records, going to the
/// same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub addr: String,
    pub collection: String,
    /// Records from the beginning that are done with: remembered by the server, or told in the file
    /// of errors.
    pub records_done: u64,
    /// A hash of what they were read as.
    pub digest: String,
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

    /// How far an earlier import to the same place is, if there was one.
    pub fn read(&self, addr: &str, collection: &str) -> Result<Option<Progress>> {
        let bytes = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("cannot read {}", self.0.display()))?,
        };
        let earlier: Progress = serde_json::from_slice(&bytes).with_context(|| {
            format!("{} is damaged; --restart begins anew without it", self.0.display())
        })?;
        let is_same = earlier.addr == addr && earlier.collection == collection;
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
    // A folder may be written with a slash behind it.
    let mut name = OsString::from(path.components().as_path());
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            addr: "127.0.0.1:50051".to_owned(),
            collection: "default".to_owned(),
            records_done: 70,
            digest: "abc".to_owned(),
            errors: 2,
        }
    }

    #[test]
    fn an_import_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = ResumeFile::of(&folder.path().join("a.jsonl"));
        let read = || file.read("127.0.0.1:50051", "default").unwrap();
        assert_eq!(read(), None);
        file.write(&progress()).unwrap();
        let later = Progress { records_done: 80, ..progress() };
        file.write(&later).unwrap();
        assert_eq!(read(), Some(later));
        assert!(folder.path().join("a.jsonl.newsprint-resume").is_file());
        assert_eq!(beside(Path::new("news/"), ".x"), Path::new("news.x"));
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_import_to_another_place_begins_at_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let file = ResumeFile::of(&folder.path().join("a.jsonl"));
        file.write(&progress()).unwrap();
        assert_eq!(file.read("127.0.0.1:50051", "other").unwrap(), None);
        assert_eq!(file.read("127.0.0.1:50052", "default").unwrap(), None);
    }

    #[test]
    fn a_damaged_state_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let imported = folder.path().join("a.jsonl");
        fs::write(beside(&imported, ".newsprint-resume"), "{\"lines").unwrap();
        let error = ResumeFile::of(&imported).read("a", "b").unwrap_err().to_string();
        assert!(error.contains("--restart"), "{error}");
    }
}
