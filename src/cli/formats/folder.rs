//! A folder of text and HTML files, one article each.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use walkdir::{DirEntry, WalkDir};

use super::{RECORD_BYTES_MAX, Record};
use crate::cli::fields::{Mapping, Note, Notes};
use crate::cli::input::{id_of, read_file};

/// The files that are articles by their names.
const ENDINGS: [&str; 7] = ["txt", "text", "md", "html", "htm", "xhtml", "json"];

/// Every article in the folder and those below it, in the order of their names.
pub fn records(
    folder: &Path,
    mapping: &Mapping,
    each: &mut dyn FnMut(Record) -> bool,
) -> Result<()> {
    let mut number = 0;
    let files = WalkDir::new(folder).sort_by_file_name().into_iter();
    for entry in files.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry)) {
        let entry = entry.context("the folder cannot be read on")?;
        if entry.file_type().is_dir() {
            continue;
        }
        number += 1;
        let path = entry.into_path();
        let mut notes = Notes::default();
        let article = match ending(&path) {
            Some(ending) if ENDINGS.contains(&ending.as_str()) => {
                let read = read(&path, mapping, &mut notes).map(|mut article| {
                    if article.article_id.is_empty() {
                        article.article_id = id_of(&path);
                    }
                    article
                });
                Some(read.map_err(|error| format!("{error:#}")))
            }
            other => {
                let what =
                    other.map_or("files without an ending".to_owned(), |it| format!("*.{it}"));
                notes.add(Note::PassedOver { what }, "");
                None
            }
        };
        let input = path.to_string_lossy().into_owned().into_bytes();
        if !each(Record { number, input, article, notes }) {
            return Ok(());
        }
    }
    Ok(())
}

fn read(
    path: &PathBuf,
    mapping: &Mapping,
    notes: &mut Notes,
) -> Result<newsprint::api::pb::Article> {
    let bytes =
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(
        bytes.len() <= RECORD_BYTES_MAX as u64,
        "it has more than {RECORD_BYTES_MAX} bytes"
    );
    read_file(path, None, mapping, notes)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_string_lossy().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let news = folder.path().join("news");
        fs::create_dir_all(news.join("2026/.git")).unwrap();
        for (name, content) in [
            ("b.txt", &b"Tide\n\nHigh tide."[..]),
            ("a.html", b"<title>Ebb</title><p>Low tide."),
            ("2026/c.json", br#"{"id": "c", "title": "Flood", "contnet": "x"}"#),
            ("2026/d.txt", b"Bad\xff"),
            ("2026/.git/e.txt", b"Hidden"),
            ("photo.png", b"\x89PNG"),
        ] {
            fs::write(news.join(name), content).unwrap();
        }
        let (mut seen, mut all) = (Vec::new(), Notes::default());
        records(&news, &Mapping::default(), &mut |record| {
            all.merge(record.notes);
            seen.extend(record.article.map(|it| it.map(|it| (it.article_id, it.title))));
            true
        })
        .unwrap();
        let name = |name: &str| news.join(name).to_string_lossy().into_owned();
        assert_eq!(seen[0], Ok(("c".to_owned(), "Flood".to_owned())));
        assert!(seen[1].as_ref().unwrap_err().contains("UTF-8"));
        assert_eq!(seen[2], Ok((name("a.html"), "Ebb".to_owned())));
        assert_eq!(seen[3], Ok((name("b.txt"), "Tide".to_owned())));
        assert_eq!(seen.len(), 4);
        let notes: Vec<String> = all.lines().map(|(line, _)| line).collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(notes[1], "*.png passed over");
    }
}
