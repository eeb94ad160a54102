//! What is frame in a collection, counted by every replica for itself: what it commits at once, and
//! what others commit as the logs of the shards tell. Now and then one writes down what it has
//! counted and how far it had read, and whoever comes later goes on from there.

use super::Shared;
use super::layout::{CANDIDATES, HEAD, Head, IdHash, Number, number_of, number_text};
use super::link::members;
use super::registry::Collection;
use crate::duplicates::Counts;
use crate::duplicates::decision::Remembered;
use crate::store::StoreError;
use crate::store::embedded::record::candidate_from_bytes;

/// Lines of a log that are kept, at least; who is further behind has counted that much less.
pub const LOG_LINES: u64 = 4096;

/// Lines that are read at once.
const LINES_MAX: u64 = 512;

/// After so many articles what was counted is written down again.
const WRITE_AFTER: u64 = 4096;

/// How far the logs are read.
#[derive(Default)]
pub struct Counting {
    /// By shard, the id of the last line that was read; empty until the counts are loaded.
    read_to: Vec<String>,
}

/// A line of a log: who committed it, the article and its number, and what it repeats.
pub fn line(replica: u64, id: IdHash, number: Number, repeats: Option<IdHash>) -> Vec<u8> {
    let mut line = replica.to_be_bytes().to_vec();
    line.extend(id.bytes());
    line.extend(number_text(number).into_bytes());
    line.extend(repeats.map_or_else(Vec::new, |repeats| repeats.bytes().to_vec()));
    line
}

struct Line {
    replica: u64,
    id: IdHash,
    number: Number,
    repeats: Option<IdHash>,
}

impl Line {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (replica, rest) = bytes.split_first_chunk()?;
        let (id, rest) = rest.split_at_checked(IdHash::BYTES)?;
        let (number, repeats) = rest.split_at_checked(16)?;
        Some(Line {
            replica: u64::from_be_bytes(*replica),
            id: IdHash::from_bytes(id)?,
            number: number_of(number)?,
            repeats: IdHash::from_bytes(repeats),
        })
    }
}

impl Shared {
    /// Reads what was counted before, unless that is done.
    pub async fn load_counts(&self, collection: &Collection) -> Result<(), StoreError> {
        let counting = &mut *collection.counting.lock().await;
        if !counting.read_to.is_empty() {
            return Ok(());
        }
        let key = collection.layout.counts();
        let mut command = redis::cmd("GET");
        command.arg(&key);
        let written = match self.link.read(&key, command).await? {
            redis::Value::BulkString(bytes) => read_written(&bytes, collection.layout.shards),
            _ => None,
        };
        counting.read_to = match written {
            Some((read_to, counts)) => {
                collection.begin_counts(counts);
                read_to
            }
            None => vec!["0-0".to_owned(); collection.layout.shards as usize],
        };
        self.follow_logs(collection, counting).await
    }

    /// Counts an article that this replica has committed.
    pub fn count(
        &self,
        collection: &Collection,
        remembered: &Remembered,
        repeats: Option<&Remembered>,
    ) {
        let known = repeats.map(|other| remembered.repeats(other));
        let mut counted = collection.counted.lock();
        collection.counts().add(&remembered.sketch, known);
        *counted += 1;
    }

    /// Counts what others have committed, and writes it down if that is worth it.
    pub async fn catch_up(&self, collection: &Collection, at_end: bool) -> Result<(), StoreError> {
        let counting = &mut *collection.counting.lock().await;
        if counting.read_to.is_empty() {
            return Ok(());
        }
        self.follow_logs(collection, counting).await?;
        let counted = *collection.counted.lock();
        if counted >= if at_end { 1 } else { WRITE_AFTER } {
            let key = collection.layout.counts();
            let mut command = redis::cmd("SET");
            command.arg(&key).arg(written(&counting.read_to, collection.counts()));
            self.link.write(&key, command).await?;
            *collection.counted.lock() -= counted;
        }
        Ok(())
    }

    async fn follow_logs(
        &self,
        collection: &Collection,
        counting: &mut Counting,
    ) -> Result<(), StoreError> {
        for shard in 0..collection.layout.shards {
            loop {
                let read_to = &mut counting.read_to[shard as usize];
                let key = collection.layout.log(shard);
                let mut command = redis::cmd("XRANGE");
                command.arg(&key).arg(format!("({read_to}")).arg("+").arg("COUNT").arg(LINES_MAX);
                let redis::Value::Array(lines) = self.link.read(&key, command).await? else {
                    break;
                };
                for line in &lines {
                    let redis::Value::Array(parts) = line else { continue };
                    let [redis::Value::BulkString(id), fields] = &parts[..] else { continue };
                    *read_to = String::from_utf8_lossy(id).into_owned();
                    let fields = members(fields.clone());
                    let line = fields.get(1).and_then(|line| Line::from_bytes(line));
                    if let Some(line) = line.filter(|line| line.replica != self.replica) {
                        self.count_line(collection, &line).await?;
                    }
                }
                if (lines.len() as u64) < LINES_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn count_line(&self, collection: &Collection, line: &Line) -> Result<(), StoreError> {
        let Some(remembered) = self.remembered(collection, line.id, Some(line.number)).await?
        else {
            return Ok(());
        };
        let repeated = match line.repeats {
            Some(id) => self.remembered(collection, id, None).await?,
            None => None,
        };
        self.count(collection, &remembered, repeated.as_ref());
        Ok(())
    }

    async fn remembered(
        &self,
        collection: &Collection,
        id: IdHash,
        number: Option<Number>,
    ) -> Result<Option<Remembered>, StoreError> {
        let key = collection.layout.article(id);
        let names = [HEAD, CANDIDATES[0], CANDIDATES[1]];
        let [head, candidates @ ..]: [Vec<u8>; 3] = self.link.fields(&key, &names).await?;
        let Some(head) = Head::from_bytes(&head) else { return Ok(None) };
        if number.is_some_and(|number| head.number != number) {
            return Ok(None);
        }
        let remembered = candidate_from_bytes(&candidates[head.place]).ok();
        Ok(remembered.map(|remembered| Remembered { story: head.story, ..remembered }))
    }
}

/// Writes down what is frame in a collection that articles were moved to, unless some were submitted
/// there: then it counts by itself.
pub async fn write(
    shared: &Shared,
    collection: &Collection,
    counts: &Counts,
) -> Result<(), StoreError> {
    for shard in 0..collection.layout.shards {
        let key = collection.layout.log(shard);
        let mut command = redis::cmd("XLEN");
        command.arg(&key);
        if !matches!(shared.link.read(&key, command).await?, redis::Value::Int(0)) {
            return Ok(());
        }
    }
    let read_to = vec!["0-0".to_owned(); collection.layout.shards as usize];
    let key = collection.layout.counts();
    let mut command = redis::cmd("SET");
    command.arg(&key).arg(written(&read_to, counts));
    shared.link.write(&key, command).await.map(drop)
}

/// The lines read to, one by shard, and the counts.
fn written(read_to: &[String], counts: &Counts) -> Vec<u8> {
    let mut bytes = (read_to.len() as u32).to_be_bytes().to_vec();
    for line in read_to {
        bytes.push(line.len() as u8);
        bytes.extend(line.as_bytes());
    }
    bytes.extend(counts.to_bytes());
    bytes
}

fn read_written(bytes: &[u8], shards: u32) -> Option<(Vec<String>, Counts)> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    if u32::from_be_bytes(*count) != shards {
        return None;
    }
    let mut read_to = Vec::new();
    for _ in 0..shards {
        let (&len, after) = rest.split_first()?;
        let (line, after) = after.split_at_checked(len.into())?;
        read_to.push(std::str::from_utf8(line).ok()?.to_owned());
        rest = after;
    }
    Some((read_to, Counts::from_bytes(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_comes_back() {
        let read_to = vec!["0-0".to_owned(), "1764-3".to_owned()];
        let bytes = written(&read_to, &Counts::default());
        let (again, counts) = read_written(&bytes, 2).unwrap();
        assert_eq!((again, counts.stories()), (read_to, 0));
        assert!(read_written(&bytes, 3).is_none());
        assert!(read_written(&bytes[..20], 2).is_none());
    }

    #[test]
    fn a_line_comes_back_from_bytes() {
        for repeats in [None, Some(IdHash(9))] {
            let read =
                Line::from_bytes(&line(7, IdHash(8), 1_764_000_000_000_000, repeats)).unwrap();
            assert_eq!((read.replica, read.id, read.repeats), (7, IdHash(8), repeats));
            assert_eq!(read.number, 1_764_000_000_000_000);
        }
    }
}
