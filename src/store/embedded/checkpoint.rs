//! The indexes of collections in one file, written when the store is closed, so that it opens as
//! fast as that can be read. It stands for the tables' state at one commit and is of no use after the
//! next; without it the indexes are built from the tables.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fjall::PersistMode;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::collection::Collection;
use super::index::{Index, Piece};
use super::record::{CollectionNumber, number_to_bytes};
use super::tables::{Tables, sync_folder};
use super::threads::Pieces;
use super::{CommitNumber, Core};
use crate::store::StoreError;

/// The file within the data folder, and its name while it is written.
const FILE: &str = "newsprint.index";
const NEW_FILE: &str = "newsprint.index.new";

/// Key in [`Tables::meta`] of the checksum of the contents of the file that was written last.
const KEY: &str = "checkpoint";

/// The index of a collection with fewer articles is built from the tables in no time.
const ARTICLES_MIN: usize = if cfg!(test) { 1 } else { 1024 };

/// An article takes up to some 135 bytes of the file, most in a small collection.
const BYTES_PER_ARTICLE: u64 = 160;

/// Counted on whenever the pieces, or what has to be in them, change.
const FORMAT: u32 = 2;

/// Each thread that reads goes so many pieces ahead.
const PIECES_AHEAD: usize = 4;

/// What is in a file: pieces one behind the other, then this, then its length and checksum in eight
/// bytes each.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Contents {
    format: u32,
    /// The latest commit that the indexes show.
    commit: CommitNumber,
    collections: Vec<(CollectionNumber, Vec<PieceAt>)>,
}

/// Where a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct PieceAt {
    offset: u64,
    len: u32,
    checksum: u64,
}

const TRAILER_BYTES: usize = 16;

/// Writes the indexes of a store to which nothing is written any more.
pub(super) fn write(core: &Core) -> Result<(), StoreError> {
    let started = Instant::now();
    let article_count = |one: &Arc<Collection>| one.published.read().index.article_count();
    let mut collections = core.collections();
    collections.retain(|one| article_count(one) >= ARTICLES_MIN);
    if collections.is_empty() {
        return Ok(());
    }
    let articles: usize = collections.iter().map(article_count).sum();
    core.room_for(articles as u64 * BYTES_PER_ARTICLE)?;
    let new_file = core.folder.join(NEW_FILE);
    let write = || -> io::Result<u64> {
        let mut file = Hashed { file: BufWriter::new(File::create(&new_file)?), offset: 0 };
        let mut contents =
            Contents { format: FORMAT, commit: core.published(), collections: vec![] };
        for collection in collections {
            let mut pieces = Vec::new();
            collection.published.read().index.write(|bytes| {
                pieces.push(file.write(bytes)?);
                Ok(())
            })?;
            contents.collections.push((collection.number, pieces));
        }
        let checksum = file.finish(&contents)?;
        fs::rename(&new_file, core.folder.join(FILE))?;
        sync_folder(&core.folder)?;
        Ok(checksum)
    };
    let checksum = write().map_err(StoreError::io("the index cannot be written"));
    let checksum = checksum.inspect_err(|_| drop(fs::remove_file(&new_file)))?;
    let mut batch = core.db.batch().durability(Some(PersistMode::SyncData));
    batch.insert(&core.tables.meta, KEY, number_to_bytes(checksum));
    batch.commit()?;
    let duration_ms = started.elapsed().as_secs_f64() * 1e3;
    tracing::info!(articles, duration_ms, "index written");
    Ok(())
}

/// A file that is written piece by piece.
struct Hashed {
    file: BufWriter<File>,
    offset: u64,
}

impl Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<PieceAt> {
        self.file.write_all(bytes)?;
        let piece =
            PieceAt { offset: self.offset, len: bytes.len() as u32, checksum: xxh3_64(bytes) };
        self.offset += bytes.len() as u64;
        Ok(piece)
    }

    /// Writes what is in the file, and has it on the disk. Gives the checksum of that.
    fn finish(mut self, contents: &Contents) -> io::Result<u64> {
        let contents = postcard::to_stdvec(contents).map_err(io::Error::other)?;
        let checksum = xxh3_64(&contents);
        self.file.write_all(&contents)?;
        self.file.write_all(&(contents.len() as u64).to_le_bytes())?;
        self.file.write_all(&checksum.to_le_bytes())?;
        self.file.into_inner()?.sync_all()?;
        Ok(checksum)
    }
}

/// The indexes as they were written. The file goes with this: it is soon behind, and takes room.
pub(super) struct Checkpoint {
    path: PathBuf,
    collections: HashMap<CollectionNumber, Vec<PieceAt>>,
}

impl Checkpoint {
    /// What there is in a data folder, if it shows the latest commit.
    pub fn open(folder: &Path, tables: &Tables, commit: CommitNumber) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let mut checkpoint = Checkpoint { path, collections: HashMap::new() };
        let written = tables.number(KEY)?;
        match contents(&checkpoint.path) {
            Ok((contents, checksum)) => {
                if Some(checksum) == written
                    && (contents.format, contents.commit) == (FORMAT, commit)
                {
                    checkpoint.collections = contents.collections.into_iter().collect();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => told(&error),
        }
        Ok(checkpoint)
    }

    /// The index of a collection; `None` if it is not there or cannot be read.
    pub fn index(&self, collection: CollectionNumber) -> Option<Index> {
        let started = Instant::now();
        let pieces = self.collections.get(&collection)?;
        let read = |reader: &mut Reader, number: usize| reader.read(&self.path, pieces[number]);
        let all = Pieces { count: pieces.len(), ahead: PIECES_AHEAD };
        let index = all.in_order(read, |pieces| {
            let mut failed = None;
            let pieces = pieces.map_while(|piece| piece.map_err(|error| failed = Some(error)).ok());
            let index = Index::from_pieces(pieces);
            failed.map_or(index.ok_or_else(damaged), Err)
        });
        let index = index.inspect_err(told).ok()?;
        let (articles, elapsed) = (index.article_count(), started.elapsed());
        tracing::info!(
            collection,
            articles,
            duration_ms = elapsed.as_secs_f64() * 1e3,
            "index read"
        );
        Some(index)
    }
}

fn told(error: &io::Error) {
    tracing::warn!(%error, "the written index cannot be read; it is built from the tables");
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_file_name(NEW_FILE));
    }
}

/// What is in a file, with its checksum.
fn contents(path: &Path) -> io::Result<(Contents, u64)> {
    let mut file = BufReader::new(File::open(path)?);
    let mut trailer = [0; TRAILER_BYTES];
    let end = file.seek(SeekFrom::End(-(TRAILER_BYTES as i64)))?;
    file.read_exact(&mut trailer)?;
    let [len, checksum] = trailer.as_chunks().0 else { return Err(damaged()) };
    let (len, checksum) = (u64::from_le_bytes(*len), u64::from_le_bytes(*checksum));
    let start = end.checked_sub(len).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; len as usize];
    file.read_exact(&mut bytes)?;
    if xxh3_64(&bytes) != checksum {
        return Err(damaged());
    }
    Ok((postcard::from_bytes(&bytes).map_err(io::Error::other)?, checksum))
}

/// What a thread that reads pieces keeps from one to the next.
#[derive(Default)]
struct Reader {
    file: Option<File>,
    bytes: Vec<u8>,
}

impl Reader {
    fn read(&mut self, path: &Path, piece: PieceAt) -> io::Result<Piece> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(path)?),
        };
        file.seek(SeekFrom::Start(piece.offset))?;
        self.bytes.resize(piece.len as usize, 0);
        file.read_exact(&mut self.bytes)?;
        let is_whole = xxh3_64(&self.bytes) == piece.checksum;
        is_whole.then(|| Piece::from_bytes(&self.bytes)).flatten().ok_or_else(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::super::EmbeddedStore;
    use super::super::tables::Opened;
    use super::super::tests::{prepared, submit};
    use super::*;
    use crate::analysis::DuplicateReport;
    use crate::article::{ArticleId, CollectionName};
    use crate::random::SplitMix64;
    use crate::store::{
        ArticleStore, ListFilter, PageSize, PageToken, StoreOptions, StoredArticle,
    };

    const ARTICLES: usize = 90;

    /// Every third article is a copy of the one before, but for its end.
    fn text(number: usize) -> String {
        let mut random = SplitMix64(number as u64 / 3 * 3);
        let words: Vec<String> = (0..60).map(|_| format!("word{}", random.below(5000))).collect();
        format!("{} {}", words.join(" "), if number % 3 == 1 { "and so on" } else { "" })
    }

    fn open(folder: &Path) -> EmbeddedStore {
        EmbeddedStore::open(folder, StoreOptions::default()).unwrap()
    }

    /// A folder that was closed, with articles of which some are gone again.
    async fn closed(folder: &Path) {
        let store = open(folder);
        for number in 0..ARTICLES {
            submit(&store, &format!("a{number}"), &text(number)).await;
        }
        for number in (0..ARTICLES).step_by(7).chain([ARTICLES - 1]) {
            let id = ArticleId::new(format!("a{number}")).unwrap();
            store.delete(&CollectionName::default(), &id).await.unwrap();
        }
    }

    async fn listed(store: &EmbeddedStore) -> Vec<StoredArticle> {
        let (name, size) = (CollectionName::default(), PageSize { articles: 1000, bytes: 1 << 20 });
        let (filter, token) = (ListFilter::default(), PageToken::default());
        store.list(&name, &filter, &token, size).await.unwrap().articles
    }

    /// What is said of copies of all articles.
    async fn reports(store: &EmbeddedStore) -> Vec<DuplicateReport> {
        let mut reports = Vec::new();
        for number in 0..ARTICLES {
            reports.push(store.look_up(&prepared("other", &text(number))).await.unwrap());
        }
        reports
    }

    fn copy(from: &Path, to: &Path) {
        for entry in walkdir::WalkDir::new(from) {
            let entry = entry.unwrap();
            let to = to.join(entry.path().strip_prefix(from).unwrap());
            match entry.file_type().is_dir() {
                true => fs::create_dir_all(to).unwrap(),
                false => drop(fs::copy(entry.path(), to).unwrap()),
            }
        }
    }

    fn index(folder: &Path) -> Option<Index> {
        let Opened { tables, commit, .. } = Tables::open(folder).unwrap();
        Checkpoint::open(folder, &tables, commit).unwrap().index(1)
    }

    #[tokio::test]
    async fn what_was_written_answers_as_what_is_built() {
        let folder = tempfile::tempdir().unwrap();
        let [data, built, read] = ["data", "built", "read"].map(|name| folder.path().join(name));
        closed(&data).await;
        copy(&data, &built);
        copy(&data, &read);
        assert!(index(&read).is_some_and(|index| index.article_count() == ARTICLES - 14));
        assert!(!read.join(FILE).exists(), "it is used once");
        fs::remove_file(built.join(FILE)).unwrap();
        let (by_index, by_tables) = (open(&data), open(&built));
        assert_eq!(listed(&by_index).await.len(), ARTICLES - 14);
        assert_eq!(listed(&by_index).await, listed(&by_tables).await);
        assert_eq!(reports(&by_index).await, reports(&by_tables).await);
    }

    #[tokio::test]
    async fn what_is_damaged_is_built_anew() {
        let folder = tempfile::tempdir().unwrap();
        let [data, damaged] = ["data", "damaged"].map(|name| folder.path().join(name));
        closed(&data).await;
        let bytes = fs::read(data.join(FILE)).unwrap();
        let expected = listed(&open(&data)).await;
        let mut random = SplitMix64(1);
        for round in 0..60 {
            let mut spoilt = bytes.clone();
            let place = random.below(bytes.len() as u64) as usize;
            match round % 3 {
                0 => spoilt[place] ^= 1 << random.below(8),
                1 => spoilt.truncate(place),
                _ => spoilt.drain(..place).for_each(drop),
            }
            copy(&data, &damaged);
            fs::write(damaged.join(FILE), spoilt).unwrap();
            assert!(index(&damaged).is_none(), "round {round}, at {place}");
            assert_eq!(listed(&open(&damaged)).await, expected);
            fs::remove_dir_all(&damaged).unwrap();
        }
    }

    #[tokio::test]
    async fn what_is_behind_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        closed(&data).await;
        let behind = fs::read(data.join(FILE)).unwrap();
        let store = open(&data);
        submit(&store, "new", "A text that was not there when the index was written.").await;
        drop(store);
        fs::write(data.join(FILE), behind).unwrap();
        assert!(index(&data).is_none());
        assert_eq!(listed(&open(&data)).await.len(), ARTICLES - 13);
    }
}
