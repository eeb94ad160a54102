//! What is made of files on disk, and made anew when they change, while it is used.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use metrics::counter;
use parking_lot::{Mutex, RwLock};

/// What the files held, in their order.
pub type Contents = Vec<Vec<u8>>;

/// Something that is made of files.
pub struct Watched<T> {
    /// What it is, for the log and the metric.
    what: &'static str,
    files: Vec<PathBuf>,
    make: Make<T>,
    current: RwLock<Arc<T>>,
    looks: Mutex<Looks>,
}

type Make<T> = Box<dyn Fn(&Contents) -> Result<T, String> + Send + Sync>;

struct Looks {
    /// What was there when something was last made of it, or could not be.
    tried: Look,
    /// What was there at the last look.
    seen: Look,
}

/// What the files held, or why one could not be read.
type Look = Result<Contents, String>;

impl<T> Watched<T> {
    /// Reads the files; what is wrong with them is told in words.
    pub fn new<E: Display>(
        what: &'static str,
        files: Vec<PathBuf>,
        make: impl Fn(&Contents) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let make = move |contents: &Contents| make(contents).map_err(|error| error.to_string());
        let contents = read(&files)?;
        let made = make(&contents).map_err(|error| told(what, &files, &error))?;
        let looks = Looks { tried: Ok(contents.clone()), seen: Ok(contents) };
        Ok(Watched {
            what,
            files,
            make: Box::new(make),
            current: RwLock::new(Arc::new(made)),
            looks: Mutex::new(looks),
        })
    }

    /// What was made of the files last.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }

    /// Looks whether the files have changed, and if so makes it anew. What cannot be used is told
    /// once, and what was there before stays. Somebody may be in the middle of writing, so unless
    /// it is to be at once, a change counts when it is still the same at the next look.
    pub fn look(&self, is_at_once: bool) {
        let mut looks = self.looks.lock();
        let look = read(&self.files);
        let is_settled = is_at_once || look == looks.seen;
        looks.seen.clone_from(&look);
        if !is_settled || look == looks.tried {
            return;
        }
        looks.tried.clone_from(&look);
        let make =
            |contents| (self.make)(&contents).map_err(|error| told(self.what, &self.files, &error));
        let made = look.and_then(make);
        let outcome = match made {
            Ok(made) => {
                *self.current.write() = Arc::new(made);
                tracing::info!(what = self.what, "read again, and in force from now on");
                "ok"
            }
            Err(error) => {
                tracing::error!(what = self.what, error, "cannot be used; what was there stays");
                "failed"
            }
        };
        counter!("newsprint_file_reloads_total", "what" => self.what, "outcome" => outcome)
            .increment(1);
    }
}

fn read(files: &[PathBuf]) -> Result<Contents, String> {
    let read = |file: &PathBuf| {
        std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
    };
    files.iter().map(read).collect()
}

fn told(what: &str, files: &[PathBuf], error: &str) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("the {what} in {} cannot be used: {error}", files.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled_and_a_bad_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let parse = |contents: &Contents| String::from_utf8_lossy(&contents[0]).parse::<u32>();
        assert!(Watched::new("number", vec![file.clone()], parse).is_err());
        write("one");
        let refused = Watched::new("number", vec![file.clone()], parse).err().unwrap();
        assert!(refused.contains("number in ") && refused.contains("invalid digit"), "{refused}");

        write("1");
        let number = Watched::new("number", vec![file.clone()], parse).unwrap();
        write("2");
        number.look(false);
        assert_eq!(*number.get(), 1, "somebody may be writing still");
        number.look(false);
        assert_eq!(*number.get(), 2);
        write("x");
        number.look(true);
        assert_eq!(*number.get(), 2);
        std::fs::remove_file(&file).unwrap();
        number.look(true);
        assert_eq!(*number.get(), 2);
        write("3");
        number.look(true);
        assert_eq!(*number.get(), 3);
    }
}
