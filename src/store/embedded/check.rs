//! Looks at every record of a data folder that no server has open.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use fjall::Keyspace;

use super::record::{
    ArticleRecord, CollectionNumber, CollectionRecord, IdRecord, IndexRecord, decode, id_key,
    seq_key, seq_of_key, story_key,
};
use super::tables::{ORPHAN, Opened, Tables};
use crate::duplicates::Sketch;
use crate::store::StoreError;

/// Problems that are told one by one; more are only counted.
const PROBLEMS_TOLD_MAX: usize = 1000;

/// What was found.
#[derive(Debug, Default, serde::Serialize)]
pub struct CheckReport {
    pub collections: usize,
    pub articles: u64,
    pub problem_count: u64,
    /// What is wrong, and where.
    pub problems: Vec<String>,
}

impl CheckReport {
    fn problem(&mut self, problem: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_TOLD_MAX {
            self.problems.push(problem);
        }
    }
}

/// Reads every record of a data folder and checks that all parts of an article are there and
/// agree. `progress` is told of every article.
pub fn check(folder: &Path, mut progress: impl FnMut(u64)) -> Result<CheckReport, StoreError> {
    let Opened { db: _db, tables, mark: _mark, loss, .. } = Tables::open_existing(folder)?;
    let mut report = CheckReport::default();
    loss.into_iter().for_each(|loss| report.problem(loss));
    let collections = collections(&tables, &mut report);
    report.collections = collections.len();

    let mut gone = HashSet::new();
    each_row(&tables.meta, "meta", &mut report, |key, _, _| {
        let number = key.strip_prefix(ORPHAN.as_bytes());
        gone.extend(number.and_then(|number| number.try_into().ok()).map(u32::from_be_bytes));
    });
    let is_live = |key: &[u8]| {
        let number = key.first_chunk().map(|number| CollectionNumber::from_be_bytes(*number));
        number.filter(|number| !gone.contains(number))
    };

    each_row(&tables.articles, "article", &mut report, |key, value, report| {
        let Some(number) = is_live(key) else { return };
        report.articles += 1;
        progress(report.articles);
        if let Err(problem) = check_article(&tables, &collections, number, key, value) {
            report.problem(problem);
        }
    });
    for (table, name) in [(&tables.index, "index entry"), (&tables.sketches, "sketch")] {
        each_row(table, name, &mut report, |key, _, report| {
            if is_live(key).is_some() && !is_there(&tables.articles, key) {
                report.problem(format!("{name} {}: its article is missing", shown(key)));
            }
        });
    }
    each_row(&tables.ids, "id", &mut report, |key, value, report| {
        let Some(number) = is_live(key) else { return };
        let id = String::from_utf8_lossy(&key[4..]);
        let place = || format!("id '{id}' of collection {number}");
        match decode::<IdRecord>(value, place) {
            Ok(record) if is_there(&tables.articles, &seq_key(number, record.seq)) => {}
            Ok(_) => report.problem(format!("{}: its article is missing", place())),
            Err(error) => report.problem(error.to_string()),
        }
    });
    Ok(report)
}

fn collections(
    tables: &Tables,
    report: &mut CheckReport,
) -> BTreeMap<CollectionNumber, CollectionRecord> {
    let mut collections = BTreeMap::new();
    each_row(&tables.collections, "collection", report, |key, value, report| {
        let place = || format!("collection '{}'", String::from_utf8_lossy(key));
        match decode::<CollectionRecord>(value, place) {
            Ok(record) => {
                collections.insert(record.number, record);
            }
            Err(error) => report.problem(error.to_string()),
        }
    });
    collections
}

/// Checks that an article can be read and that its other records are there and agree with it.
fn check_article(
    tables: &Tables,
    collections: &BTreeMap<CollectionNumber, CollectionRecord>,
    number: CollectionNumber,
    key: &[u8],
    value: &[u8],
) -> Result<(), String> {
    let place = || format!("article {}", shown(key));
    let wrong = |what: &str| format!("{}: {what}", place());
    if !collections.contains_key(&number) {
        return Err(wrong("its collection is missing"));
    }
    let seq = seq_of_key(key).ok_or_else(|| wrong("its key is malformed"))?;
    let article: ArticleRecord = decode(value, place).map_err(|error| error.to_string())?;

    let id = read(&tables.ids, &id_key(number, &article.article_id))?;
    let id = id.ok_or_else(|| wrong("its id is missing"))?;
    let id: IdRecord = decode(&id, place).map_err(|error| error.to_string())?;
    if (id.seq, id.revision) != (seq, article.revision) {
        return Err(wrong("its id names another article"));
    }
    let sketch = read(&tables.sketches, key)?.ok_or_else(|| wrong("its sketch is missing"))?;
    Sketch::from_bytes(&sketch).ok_or_else(|| wrong("its sketch is malformed"))?;
    let index = read(&tables.index, key)?.ok_or_else(|| wrong("its index entry is missing"))?;
    let index: IndexRecord = decode(&index, place).map_err(|error| error.to_string())?;
    if index.fingerprint != article.analysis.fingerprint {
        return Err(wrong("its index entry has another fingerprint"));
    }
    let story =
        article.analysis.duplicates.story.as_ref().ok_or_else(|| wrong("it has no story"))?;
    let began = read(&tables.stories, &story_key(number, story.id))?;
    let began = began.ok_or_else(|| wrong("its story is missing"))?;
    if decode::<u64>(&began, place).map_err(|error| error.to_string())? != index.story {
        return Err(wrong("its story is another one's"));
    }
    Ok(())
}

/// Visits every row that can be read. Behind one that cannot, none can be.
fn each_row(
    table: &Keyspace,
    name: &str,
    report: &mut CheckReport,
    mut visit: impl FnMut(&[u8], &[u8], &mut CheckReport),
) {
    for (number, row) in table.iter().enumerate() {
        match row.into_inner() {
            Ok((key, value)) => visit(&key, &value, report),
            Err(error) => {
                let what = format!("{name} row {number} and what follows cannot be read: {error}");
                return report.problem(what);
            }
        }
    }
}

fn read(table: &Keyspace, key: &[u8]) -> Result<Option<fjall::UserValue>, String> {
    table.get(key).map_err(|error| format!("a record of {} cannot be read: {error}", shown(key)))
}

fn is_there(table: &Keyspace, key: &[u8]) -> bool {
    table.contains_key(key).unwrap_or(false)
}

/// A key made by [`seq_key`], for people.
fn shown(key: &[u8]) -> String {
    let number = key.first_chunk().map_or(0, |number| CollectionNumber::from_be_bytes(*number));
    format!("{} of collection {number}", seq_of_key(key).unwrap_or_default())
}
