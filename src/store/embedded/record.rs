//! What stands on disk, and under which keys.
//!
//! Every value begins with a byte that tells its layout; the rest is in postcard's format
//! (<https://postcard.jamesmunns.com/wire-format>). The engine below checksums every block.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::index::Seq;
use super::postings::Key;
use crate::article::{ArticleId, CollectionName, Timestamp};
use crate::store::{CollectionSettings, StoreError, StoredArticle};

/// The layout of the values below. Another one is another number.
const LAYOUT: u8 = 1;

/// Collections are numbered, so that a name given again does not bring old articles back.
pub type CollectionNumber = u32;

/// What is known about a collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CollectionRecord {
    pub number: CollectionNumber,
    pub name: CollectionName,
    pub settings: CollectionSettings,
    pub create_time: Timestamp,
}

/// What stands under an article's id.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct IdRecord {
    pub seq: Seq,
    pub revision: u32,
    pub content_hash: u128,
}

/// What the index in memory is built from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexRecord {
    pub fingerprint: Option<u64>,
    pub story: Seq,
    pub submit_time: Timestamp,
    pub keys: Vec<Key>,
}

pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    encode_into(&mut bytes, value)?;
    Ok(bytes)
}

/// The same, into a buffer that is used again and again; what was in it is gone.
pub fn encode_into<'b, T: Serialize>(
    buffer: &'b mut Vec<u8>,
    value: &T,
) -> Result<&'b [u8], StoreError> {
    buffer.clear();
    buffer.push(LAYOUT);
    postcard::to_io(value, &mut *buffer)
        .map_err(|error| StoreError::Io(format!("a record cannot be encoded: {error}")))?;
    Ok(buffer)
}

/// Decodes a value; `place` names it if it is damaged.
pub fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    place: impl FnOnce() -> String,
) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&LAYOUT, rest)) => postcard::from_bytes(rest)
            .map_err(|error| StoreError::Damaged(format!("{}: {error}", place()))),
        Some((layout, _)) => {
            Err(StoreError::Damaged(format!("{}: layout {layout} is unknown", place())))
        }
        None => Err(StoreError::Damaged(format!("{}: empty", place()))),
    }
}

/// The key of an article, and of its entry in the index: articles of a collection sort by their
/// submission.
pub fn seq_key(collection: CollectionNumber, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&collection.to_be_bytes());
    key[4..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The submission that a key made by [`seq_key`] is of.
pub fn seq_of_key(key: &[u8]) -> Option<Seq> {
    Some(Seq::from_be_bytes(key.get(4..12)?.try_into().ok()?))
}

pub fn id_key(collection: CollectionNumber, id: &ArticleId) -> Vec<u8> {
    [&collection.to_be_bytes()[..], id.as_str().as_bytes()].concat()
}

pub fn story_key(collection: CollectionNumber, story: uuid::Uuid) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&collection.to_be_bytes());
    key[4..].copy_from_slice(story.as_bytes());
    key
}

pub fn place(what: &str, collection: &CollectionName, seq: Seq) -> impl FnOnce() -> String {
    move || format!("{what} {seq} of collection '{collection}'")
}

/// An article as it stands on disk.
pub type ArticleRecord = StoredArticle;
