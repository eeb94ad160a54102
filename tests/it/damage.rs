//! What a damaged disk leaves: everything from before the damage, a report of it, and no panic.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::engine::{Engine, EngineError};
use newsprint::store::{EmbeddedStore, StoreError, StoreOptions, check};

use crate::durability::Random;
use crate::store::{open, submission, untitled, words};

const BACKED_UP: u64 = 60;
const ARTICLES: u64 = 120;

fn text(number: u64) -> Article {
    untitled(&words(number, 120))
}

async fn fill(engine: &Engine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let submission = submission(&CollectionName::default(), &number.to_string(), text(number));
        engine.submit(submission).await.unwrap();
    }
}

/// A data folder whose first half is in tables, as in a backup, and whose second half is in the
/// journal, every article a commit of its own.
async fn make_data(folder: &Path) -> PathBuf {
    let engine = open(&folder.join("first"));
    fill(&engine, 0..BACKED_UP).await;
    let name = newsprint::article::BackupName::new("half").unwrap();
    let backup = engine.create_backup(&name).await.unwrap();
    drop(engine);
    let engine = open(&backup.path);
    fill(&engine, BACKED_UP..ARTICLES).await;
    drop(engine);
    backup.path
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Every file with what is in it, up to the zeros at its end.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |file: PathBuf| {
        let mut bytes = fs::read(&file).unwrap();
        let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        (file, bytes)
    };
    files(folder).into_iter().map(read).collect()
}

/// Flips a bit, blanks a sector, or cuts the file off; tells where.
fn damage(file: &Path, random: &mut Random) -> String {
    let mut bytes = fs::read(file).unwrap();
    // A journal claims its room in advance.
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let place = random.below(end.max(1) as u64) as usize;
    let how = match random.below(3) {
        _ if end == 0 => "left empty",
        0 => {
            bytes[place] ^= 1 << random.below(8);
            "bit flipped"
        }
        1 => {
            bytes[place..end.min(place + 512)].fill(0);
            "blanked"
        }
        _ => {
            bytes.truncate(place);
            "cut"
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{} {how} at {place} of {end}", file.display())
}

/// The articles that are there, if the store can be opened. Each has to be what was submitted.
async fn survivors(data: &Path, damage: &str) -> Option<Vec<u64>> {
    let opened = catch_unwind(AssertUnwindSafe(|| {
        EmbeddedStore::open(data, StoreOptions::default()).map(drop)
    }));
    match opened.unwrap_or_else(|_| panic!("{damage}: opening panicked")) {
        Ok(()) => {}
        Err(StoreError::Unusable { .. } | StoreError::Damaged(_)) => return None,
        Err(error) => panic!("{damage}: {error}"),
    }
    let engine = open(data);
    let mut there = Vec::new();
    for number in 0..ARTICLES {
        let id = ArticleId::new(number.to_string()).unwrap();
        match engine.get(&CollectionName::default(), &id).await {
            Ok(stored) => {
                assert_eq!(stored.article, text(number), "{damage}");
                there.push(number);
            }
            Err(EngineError::Store(StoreError::NoArticle(_) | StoreError::Damaged(_))) => {}
            Err(error) => panic!("{damage}: {error}"),
        }
    }
    Some(there)
}

#[tokio::test]
async fn what_came_before_damage_in_the_journal_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = make_data(folder.path()).await;
    let mut random = Random(1);
    let mut losses = 0;
    for round in 0..40 {
        let copy = folder.path().join(format!("copy-{round}"));
        copy_folder(&data, &copy);
        let mut journals = files(&copy);
        journals.retain(|file| file.extension().is_some_and(|extension| extension == "jnl"));
        let damage = damage(journals.last().unwrap(), &mut random);

        let before = content(&copy);
        let report = check(&copy, |_| {}).unwrap();
        assert!(content(&copy) == before, "{damage}: checking has changed the folder");
        let there = survivors(&copy, &damage).await.unwrap_or_else(|| panic!("{damage}: refused"));
        let expected: Vec<u64> = (0..there.len() as u64).collect();
        assert_eq!(there, expected, "{damage}: what is kept has no gaps");
        assert!(there.len() as u64 >= BACKED_UP, "{damage}");
        let is_whole = there.len() as u64 == ARTICLES;
        assert_eq!(report.problems.is_empty(), is_whole, "{damage}: {:?}", report.problems);
        losses += u32::from(!is_whole);
        fs::remove_dir_all(copy).unwrap();
    }
    assert!(losses > 20, "only {losses} of the damages did any");
}

#[tokio::test]
async fn damage_anywhere_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let data = make_data(folder.path()).await;
    let mut random = Random(2);
    for round in 0..60 {
        let copy = folder.path().join(format!("copy-{round}"));
        copy_folder(&data, &copy);
        let files = files(&copy);
        let file = &files[random.below(files.len() as u64) as usize];
        let damage = damage(file, &mut random);

        let before = content(&copy);
        let checked = catch_unwind(AssertUnwindSafe(|| check(&copy, |_| {})));
        let checked = checked.unwrap_or_else(|_| panic!("{damage}: check panicked"));
        assert!(content(&copy) == before, "{damage}: checking has changed the folder");
        let there = survivors(&copy, &damage).await;
        let is_whole = there.is_some_and(|there| there.len() as u64 == ARTICLES);
        let is_reported = checked.map_or(true, |report| report.problem_count > 0);
        assert!(is_whole || is_reported, "{damage}: lost without a word");
        fs::remove_dir_all(copy).unwrap();
    }
}
