//! Looks at every record of a data folder that no server has open, and changes nothing in it.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use fjall::Keyspace;

use super::backup::mirror;
use super::record::{
    CollectionNumber, CollectionRecord, IdRecord, IndexRecord, article_from_bytes,
    candidate_from_bytes, counts_from_bytes, id_key, number_from_bytes, parts_of_key, seq_key,
    story_key,
};
use super::tables::{CommitMark, Opened, Tables};
use super::upgrade;
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
    Tables::check_is_ours(folder)?;
    let _lock = CommitMark::lock_existing(folder)?;
    // Opening a database tidies it up, and a damaged journal is cut.
    let mirror = mirror(folder)?;
    let folder = mirror.path();
    upgrade::upgrade(folder)?;
    let Opened { db: _db, tables, mark: _mark, loss, .. } = Tables::open(folder)?;
    let mut report = CheckReport::default();
    loss.into_iter().for_each(|loss| report.problem(loss.told(None)));
    let collections = collections(&tables, &mut report);
    report.collections = collections.len();

    let gone: HashSet<CollectionNumber> = tables.orphans()?.into_iter().collect();
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
    for (table, name) in [(&tables.index, "index entry"), (&tables.candidates, "candidate")] {
        each_row(table, name, &mut report, |key, _, report| {
            if is_live(key).is_some() && !is_there(&tables.articles, key) {
                report.problem(format!("{name} {}: its article is missing", shown(key)));
            }
        });
    }
    each_row(&tables.counts, "counts", &mut report, |key, value, report| {
        if let Err(error) = counts_from_bytes(value) {
            report.problem(format!("the counts of collection {}: {error}", shown(key)));
        }
    });
    each_row(&tables.ids, "id", &mut report, |key, value, report| {
        let Some(number) = is_live(key) else { return };
        let id = String::from_utf8_lossy(&key[4..]);
        let place = || format!("id '{id}' of collection {number}");
        match IdRecord::from_bytes(value) {
            Ok(record) if is_there(&tables.articles, &seq_key(number, record.seq)) => {}
            Ok(_) => report.problem(format!("{}: its article is missing", place())),
            Err(error) => report.problem(error.at(place).to_string()),
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
        match CollectionRecord::from_bytes(value) {
            Ok(record) => {
                collections.insert(record.number, record);
            }
            Err(error) => report.problem(error.at(place).to_string()),
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
    let (_, seq) = parts_of_key(key).ok_or_else(|| wrong("its key is malformed"))?;
    let article = article_from_bytes(value).map_err(|error| wrong(&error.to_string()))?;

    let id = read(&tables.ids, &id_key(number, &article.article_id))?;
    let id = id.ok_or_else(|| wrong("its id is missing"))?;
    let id = IdRecord::from_bytes(&id).map_err(|error| wrong(&format!("its id: {error}")))?;
    if (id.seq, id.revision) != (seq, article.revision) {
        return Err(wrong("its id names another article"));
    }
    let row = read(&tables.candidates, key)?;
    let row = row.ok_or_else(|| wrong("its candidate is missing"))?;
    let candidate =
        candidate_from_bytes(&row).map_err(|error| wrong(&format!("its candidate: {error}")))?;
    let row = read(&tables.index, key)?.ok_or_else(|| wrong("its index entry is missing"))?;
    let index = IndexRecord::from_bytes(&row)
        .map_err(|error| wrong(&format!("its index entry: {error}")))?;
    let fingerprint = article.analysis.fingerprint;
    if index.entry.fingerprint != fingerprint || candidate.fingerprint != fingerprint {
        return Err(wrong("its records have different fingerprints"));
    }
    let story =
        article.analysis.duplicates.story.as_ref().ok_or_else(|| wrong("it has no story"))?;
    if candidate.story != story.id {
        return Err(wrong("its candidate is of another story"));
    }
    let began = read(&tables.stories, &story_key(number, story.id))?;
    let began = began.ok_or_else(|| wrong("its story is missing"))?;
    if number_from_bytes(&began) != Ok(index.entry.story.0) {
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
    format!("{} of collection {number}", parts_of_key(key).map_or(0, |(_, seq)| seq))
}
