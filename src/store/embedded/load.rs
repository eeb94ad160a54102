//! Builds what is kept in memory from what is on disk.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::Guard;

use super::checkpoint::Checkpoint;
use super::collection::Collection;
use super::index::{Index, Seq};
use super::record::{
    CollectionRecord, IndexRecord, candidate_from_bytes, counts_from_bytes, parts_of_key, place,
    seq_key,
};
use super::tables::{Tables, next_seq_key};
use super::threads::Pieces;
use crate::article::{CollectionName, Timestamp};
use crate::store::StoreError;

/// While an index is built its progress is told so often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(2);

/// A thread that reads an index takes so many submissions at once.
const CHUNK_LEN: usize = 1 << 14;

/// All collections with their indexes, as far as possible by what was written when the store was
/// closed.
pub fn collections(
    tables: &Tables,
    checkpoint: &Checkpoint,
) -> Result<HashMap<CollectionName, Arc<Collection>>, StoreError> {
    let started = Instant::now();
    let mut collections = HashMap::new();
    let mut articles = 0;
    for (name, record) in records(tables)? {
        let index = checkpoint.index(record.number);
        let collection = collection(tables, name.clone(), record, index)?;
        articles += collection.published.read().index.article_count();
        collections.insert(name, Arc::new(collection));
    }
    let count = collections.len();
    tracing::info!(
        collections = count,
        articles,
        duration_ms = started.elapsed().as_secs_f64() * 1e3,
        "indexes built"
    );
    Ok(collections)
}

/// What stands on disk of all collections, by name.
pub fn records(tables: &Tables) -> Result<Vec<(CollectionName, CollectionRecord)>, StoreError> {
    let record = |row: fjall::Guard| {
        let (key, value) = row.into_inner()?;
        let name = String::from_utf8_lossy(&key).into_owned();
        let place = || format!("collection '{name}'");
        let record = CollectionRecord::from_bytes(&value).map_err(|error| error.at(place))?;
        let name = CollectionName::new(name.as_str())
            .map_err(|reason| StoreError::Damaged(format!("{}: its name {reason}", place())))?;
        Ok((name, record))
    };
    tables.collections.iter().map(record).collect()
}

/// A collection with its index, which is built if there is none, and with what is frame in it.
pub fn collection(
    tables: &Tables,
    name: CollectionName,
    record: CollectionRecord,
    index: Option<Index>,
) -> Result<Collection, StoreError> {
    let mut collection = Collection::new(name, record);
    let seqs = seqs(tables, &collection)?;
    let next = tables.number(next_seq_key(collection.number))?;
    let last = seqs.as_ref().map_or(0, |seqs| *seqs.end());
    let index = match (index, seqs) {
        (Some(index), _) => index,
        (None, Some(seqs)) => build(tables, &collection, seqs)?,
        (None, None) => Index::default(),
    };
    let latest_time = index.entry(last).map(|entry| entry.submit_time);
    collection.published.get_mut().index = index;
    let decided = collection.decided.get_mut();
    decided.next_seq = next.unwrap_or(1).max(last + 1);
    decided.latest_time = latest_time.unwrap_or(Timestamp::from_micros(i64::MIN));
    count(tables, &mut collection)?;
    Ok(collection)
}

/// Restores what is frame: as it was written, and counted on from there.
fn count(tables: &Tables, collection: &mut Collection) -> Result<(), StoreError> {
    let number = collection.number;
    let mut begin = 0;
    if let Some(value) = tables.counts.get(number.to_be_bytes())? {
        match counts_from_bytes(&value) {
            Ok((next, counts)) => (begin, collection.counts) = (next, counts),
            Err(error) => {
                let collection = &collection.name;
                tracing::error!(%collection, %error, "counts cannot be read, and are made anew");
            }
        }
    }
    let candidate = |value: &[u8]| candidate_from_bytes(value).ok();
    let keys = seq_key(number, begin)..seq_key(number, Seq::MAX);
    for row in tables.candidates.range(keys) {
        let (key, value) = row.into_inner()?;
        let (Some((_, seq)), Some(remembered)) = (parts_of_key(&key), candidate(&value)) else {
            continue;
        };
        let canonical = {
            let index = &collection.published.get_mut().index;
            let story = index.entry(seq).map(|entry| entry.story);
            let canonical = story.and_then(|story| index.story_members(story).next());
            canonical.filter(|&canonical| canonical != seq)
        };
        let known = match canonical {
            Some(canonical) => tables.candidates.get(seq_key(number, canonical))?,
            None => None,
        };
        let known = known.and_then(|value| candidate(&value));
        collection.count(&remembered, known.as_ref());
    }
    Ok(())
}

/// Builds an index. Of a large one some threads read and decode while another files.
fn build(
    tables: &Tables,
    collection: &Collection,
    seqs: RangeInclusive<Seq>,
) -> Result<Index, StoreError> {
    let mut index = Index::default();
    let started = Instant::now();
    let mut told = started;
    let first = *seqs.start();
    let chunk_count = (seqs.end() - first) as usize / CHUNK_LEN + 1;
    if chunk_count == 1 {
        for (seq, record) in read(tables, collection, first)? {
            index.insert(seq, record.entry, &record.keys);
        }
        return Ok(index);
    }
    let chunk =
        |(): &mut (), number: usize| read(tables, collection, first + (number * CHUNK_LEN) as Seq);
    Pieces { count: chunk_count, ahead: 1 }.in_order(
        chunk,
        |chunks| -> Result<(), StoreError> {
            for chunk in chunks {
                for (seq, record) in chunk? {
                    index.append(seq, record.entry, &record.keys);
                }
                if told.elapsed() >= PROGRESS_PERIOD {
                    told = Instant::now();
                    let articles = index.article_count();
                    tracing::info!(collection = %collection.name, articles, "building the index");
                }
            }
            Ok(())
        },
    )?;
    index.settle();
    let (articles, elapsed) = (index.article_count(), started.elapsed());
    tracing::info!(collection = %collection.name, articles, duration_ms = elapsed.as_secs_f64() * 1e3, "index built");
    Ok(index)
}

/// The first and the last submission of a collection; `None` if it is empty.
fn seqs(
    tables: &Tables,
    collection: &Collection,
) -> Result<Option<RangeInclusive<Seq>>, StoreError> {
    let mut rows = tables.index.prefix(collection.number.to_be_bytes());
    let (first, last) = (rows.next(), rows.next_back());
    let seq = |row: Guard| seq_of_key(&row.key()?);
    let Some(first) = first.map(seq).transpose()? else { return Ok(None) };
    let last = last.map(seq).transpose()?.unwrap_or(first);
    Ok(Some(first..=last))
}

/// Reads a chunk of a collection's index, in order.
fn read(
    tables: &Tables,
    collection: &Collection,
    start: Seq,
) -> Result<Vec<(Seq, IndexRecord)>, StoreError> {
    let end = start.saturating_add(CHUNK_LEN as Seq);
    let keys = seq_key(collection.number, start)..seq_key(collection.number, end);
    let entry = |row: Guard| {
        let (key, value) = row.into_inner()?;
        let seq = seq_of_key(&key)?;
        let place = place("index entry", &collection.name, seq);
        Ok((seq, IndexRecord::from_bytes(&value).map_err(|error| error.at(place))?))
    };
    tables.index.range(keys).map(entry).collect()
}

fn seq_of_key(key: &[u8]) -> Result<Seq, StoreError> {
    let malformed = || StoreError::Damaged("a key of the index is malformed".to_owned());
    parts_of_key(key).map(|(_, seq)| seq).ok_or_else(malformed)
}
