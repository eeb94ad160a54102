//! Looks over the files of the database that the database (fjall 3.x) trusts more than it should,
//! before it opens them. Tables need no such look: their blocks are checked whenever they are read.
//!
//! Where a journal is damaged, the database does not open at all, or drops everything from there on
//! without a word. Here what follows the damage is set aside, and the database opens with what came
//! before. Where a manifest is damaged, lengths are read from it that no memory suffices for; here
//! its checksum is compared first.
//!
//! A manifest is named by the file `current` beside it: its number `u64`, XXH3-128 of it, and the
//! kind of checksum `u8`, 0. A journal is a sequence of batches, all numbers little-endian:
//!
//! | entry | layout |
//! |---|---|
//! | start | tag 1, number of entries `u32`, sequence number `u64` |
//! | item | tag 2, kind `u8`, compression `u8`, keyspace `u64`, length of key `u16`, of the value `u32`, of the value as stored `u32`, key, stored value |
//! | clearing | tag 4, keyspace `u64` |
//! | end | tag 3, XXH3-64 of the items and clearings `u64`, trailer |
//!
//! Behind the last batch there may be zeros: the room is claimed in advance.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

const TRAILER: [u8; 4] = *b"FJL\x03";

/// Compares the manifests of all keyspaces of a database with their checksums. The error names the
/// one that is damaged.
pub fn check_manifests(database: &Path) -> io::Result<()> {
    let keyspaces = database.join("keyspaces");
    if !keyspaces.exists() {
        return Ok(());
    }
    for keyspace in keyspaces.read_dir()? {
        let folder = keyspace?.path();
        let current = folder.join("current");
        // Without one the keyspace was never made whole, and is made anew.
        if !current.exists() {
            continue;
        }
        let damaged =
            || io::Error::other(format!("the manifest of {} is damaged", folder.display()));
        let bytes: [u8; 25] = fs::read(&current)?.try_into().map_err(|_| damaged())?;
        let [number @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = bytes;
        let [_, _, _, _, _, _, _, _, checksum @ .., kind] = bytes;
        let manifest = folder.join(format!("v{}", u64::from_le_bytes(number)));
        let content = fs::read(&manifest).map_err(|_| damaged())?;
        if (xxh3_128(&content), 0) != (u128::from_le_bytes(checksum), kind) {
            return Err(damaged());
        }
    }
    Ok(())
}

/// A journal that could not be read to its end.
#[derive(Debug)]
pub struct CutJournal {
    /// What follows the damage, or the remains of a batch that was never finished.
    pub set_aside: PathBuf,
    pub offset: u64,
}

/// Cuts the journals in a folder where they can be read no further, and sets what follows aside in
/// another.
pub fn cut_journals(journals: &Path, set_aside: &Path) -> io::Result<Vec<CutJournal>> {
    let mut cut = Vec::new();
    for path in journals_in(journals)? {
        let mut file = File::options().read(true).write(true).open(&path)?;
        let offset = readable_bytes(&mut BufReader::with_capacity(1 << 20, &file))?;
        file.seek(SeekFrom::Start(offset))?;
        let rest = bytes_before_zeros(&mut BufReader::with_capacity(1 << 20, &file))?;
        if rest == 0 {
            continue;
        }
        fs::create_dir_all(set_aside)?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let target = set_aside.join(format!("journal-{stem}-from-{offset}"));
        file.seek(SeekFrom::Start(offset))?;
        let mut copy = File::create(&target)?;
        io::copy(&mut (&file).take(rest), &mut copy)?;
        copy.sync_all()?;
        file.set_len(offset)?;
        file.sync_all()?;
        cut.push(CutJournal { set_aside: target, offset });
    }
    Ok(cut)
}

/// The journals of a database, if it is there.
fn journals_in(database: &Path) -> io::Result<Vec<PathBuf>> {
    if !database.exists() {
        return Ok(Vec::new());
    }
    let paths = database.read_dir()?.map(|entry| Ok(entry?.path()));
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jnl");
    paths.filter(|path| path.as_ref().map_or(true, is_journal)).collect()
}

/// Puts copies in the place of the journals, and makes them durable. After a sync that failed, what
/// can be read of a file is not what the disk has, and another sync does not write it.
pub fn write_journals_anew(database: &Path) -> io::Result<()> {
    for journal in journals_in(database)? {
        let copy_path = journal.with_extension("copy");
        let mut original = File::open(&journal)?;
        let written = bytes_before_zeros(&mut BufReader::with_capacity(1 << 20, &original))?;
        original.seek(SeekFrom::Start(0))?;
        let mut copy = File::create(&copy_path)?;
        io::copy(&mut (&original).take(written), &mut copy)?;
        // The room behind is claimed in advance, but not written.
        copy.set_len(original.metadata()?.len())?;
        copy.sync_all()?;
        fs::rename(copy_path, journal)?;
    }
    Ok(())
}

/// Sequence numbers that a batch is ahead of the one before, at most.
const SEQUENCE_GAP_MAX: u64 = 1 << 32;

/// The length of the batches that can be read, from the first on. The checksum of a batch leaves
/// its sequence number out, but they ascend; a wrong one would hide or bring back what other
/// batches wrote.
fn readable_bytes(journal: &mut impl Read) -> io::Result<u64> {
    let mut position = 0;
    // Sequence number and place of the latest batch, and the sequence number of the one before.
    let (mut latest, mut earlier): (Option<(u64, u64)>, Option<u64>) = (None, None);
    loop {
        let begin = position;
        let sequence = match read_batch(journal, &mut position) {
            Ok(Some(sequence)) => sequence,
            Ok(None) => return Ok(begin),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(begin),
            Err(error) => return Err(error),
        };
        if let Some((latest, latest_begin)) = latest {
            if sequence > latest.saturating_add(SEQUENCE_GAP_MAX) {
                return Ok(begin);
            }
            if sequence <= latest {
                // The one of the two is damaged that does not fit what came before both.
                let fits = earlier.is_none_or(|earlier| sequence > earlier);
                return Ok(if fits { latest_begin } else { begin });
            }
            earlier = Some(latest);
        }
        latest = Some((sequence, begin));
    }
}

/// Reads a batch, and tells its sequence number; none if it is none that its writer finished.
fn read_batch(journal: &mut impl Read, position: &mut u64) -> io::Result<Option<u64>> {
    let mut start = [0; 13];
    journal.read_exact(&mut start[..1])?;
    if start[0] != 1 {
        return Ok(None);
    }
    journal.read_exact(&mut start[1..])?;
    let [_, count @ .., _, _, _, _, _, _, _, _] = start;
    let [_, _, _, _, _, sequence @ ..] = start;
    let mut bytes = start.len() as u64;
    let mut checksum = Xxh3Default::new();
    for _ in 0..u32::from_le_bytes(count) {
        let mut tag = [0];
        journal.read_exact(&mut tag)?;
        checksum.update(&tag);
        let body = match tag {
            [2] => {
                let mut head = [0; 20];
                journal.read_exact(&mut head)?;
                checksum.update(&head);
                let [_, _, _, _, _, _, _, _, _, _, key @ .., _, _, _, _, _, _, _, _] = head;
                let [.., a, b, c, d] = head;
                bytes += head.len() as u64;
                u64::from(u16::from_le_bytes(key)) + u64::from(u32::from_le_bytes([a, b, c, d]))
            }
            [4] => 8,
            _ => return Ok(None),
        };
        let copied = io::copy(&mut journal.by_ref().take(body), &mut Hasher(&mut checksum))?;
        if copied < body {
            return Ok(None);
        }
        bytes += 1 + body;
    }
    let mut end = [0; 13];
    journal.read_exact(&mut end)?;
    let expected = [&[3][..], &checksum.digest().to_le_bytes(), &TRAILER].concat();
    *position += bytes + end.len() as u64;
    Ok((end[..] == expected).then(|| u64::from_le_bytes(sequence)))
}

/// Takes whatever is written to it into a checksum.
struct Hasher<'c>(&'c mut Xxh3Default);

impl io::Write for Hasher<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of what is there, but for zeros at its end.
fn bytes_before_zeros(rest: &mut impl io::BufRead) -> io::Result<u64> {
    let (mut before, mut read) = (0, 0);
    loop {
        let chunk = rest.fill_buf()?;
        if chunk.is_empty() {
            return Ok(before);
        }
        if let Some(last) = chunk.iter().rposition(|&byte| byte != 0) {
            before = read + last as u64 + 1;
        }
        let len = chunk.len();
        read += len as u64;
        rest.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    /// Guards what is said above of the layout: another version of the database may have another.
    #[test]
    fn files_are_found_whole_or_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let journals = folder.path().join("db");
        let db = Database::builder(&journals).open().unwrap();
        let table = db.keyspace("table", KeyspaceCreateOptions::default).unwrap();
        for number in 0..100u32 {
            let mut batch = db.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&table, number.to_le_bytes(), vec![number as u8; 10_000]);
            batch.insert(&table, [7], []);
            batch.remove(&table, [8]);
            batch.commit().unwrap();
        }
        table.clear().unwrap();
        drop((table, db));
        let set_aside = folder.path().join("aside");
        assert!(cut_journals(&journals, &set_aside).unwrap().is_empty());
        check_manifests(&journals).unwrap();
        let journal = journals.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let journal = journal.filter(|path| path.extension().is_some_and(|name| name == "jnl"));
        let journal = journal.last().unwrap();
        let mut bytes = fs::read(&journal).unwrap();
        let end = readable_bytes(&mut &bytes[..]).unwrap() as usize;
        assert!(end > 10_000);

        bytes[end - 40] ^= 1;
        fs::write(&journal, &bytes).unwrap();
        let cut = cut_journals(&journals, &set_aside).unwrap();
        assert_eq!(cut.len(), 1);
        let offset = cut[0].offset as usize;
        assert!(offset < end - 40);
        assert_eq!(fs::read(&journal).unwrap(), bytes[..offset]);
        let rest = fs::read(&cut[0].set_aside).unwrap();
        assert_eq!(rest, bytes[offset..][..rest.len()]);
        assert!(bytes[offset + rest.len()..].iter().all(|&byte| byte == 0));
        assert!(cut_journals(&journals, &set_aside).unwrap().is_empty());
        drop(Database::builder(&journals).open().unwrap());

        // The fourth batch's sequence number: too high, and so low that it is the third's.
        let whole = fs::read(&journal).unwrap();
        let mut places = vec![0];
        while let Some(&place) = places.last()
            && places.len() < 5
        {
            let mut next = place;
            read_batch(&mut &whole[place as usize..], &mut next).unwrap().unwrap();
            places.push(next);
        }
        let fourth = places[3] as usize;
        for (byte, sequence) in [(fourth + 6, 0xff), (fourth + 12, 0x40), (fourth + 5, 0)] {
            let mut bytes = whole.clone();
            bytes[byte] = sequence;
            assert_eq!(readable_bytes(&mut &bytes[..]).unwrap(), places[3], "byte {byte}");
        }

        let current = fs::read(journals.join("keyspaces/1/current")).unwrap();
        let manifest = journals.join(format!("keyspaces/1/v{}", current[0]));
        let mut bytes = fs::read(&manifest).unwrap();
        bytes[3] ^= 1;
        fs::write(&manifest, &bytes).unwrap();
        let damaged = check_manifests(&journals).unwrap_err().to_string();
        assert!(damaged.contains("keyspaces/1 is damaged"), "{damaged}");
    }
}
