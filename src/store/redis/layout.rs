//! Under which keys everything stands, and what is in a posting list. `docs/cluster.md` has the
//! table.
//!
//! A collection is spread over logical shards. The keys of a shard share a hash tag, and so a slot:
//! what a script does to them is one step. An article and all that tells of it stand on the shard of
//! its id; its entries in posting lists on the shards of the lists.

use redis::cluster_routing::Slot;
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::analysis::{Fingerprint, StoryId};
use crate::article::{ArticleId, Timestamp};
use crate::duplicates::PostingKey;

/// A collection's number. It is never given twice, so that a name given again brings nothing back.
pub type CollectionNumber = u32;

/// The hash that an article's id stands by, and what everything else knows the article by.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdHash(pub u128);

impl IdHash {
    pub const BYTES: usize = 16;

    pub fn of(id: &ArticleId) -> Self {
        IdHash(xxh3_128(id.as_str().as_bytes()))
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u128::from_be_bytes).map(IdHash)
    }

    pub fn bytes(self) -> [u8; Self::BYTES] {
        self.0.to_be_bytes()
    }
}

/// The number of a submission: microseconds since 1970, never the same twice in one process.
pub type Number = u64;

/// A submission: of two, the one that was taken first is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Submission {
    pub number: Number,
    pub id: IdHash,
}

impl Submission {
    pub fn time(self) -> Timestamp {
        Timestamp::from_micros(self.number as i64)
    }
}

/// A submission's number as scripts have it.
pub fn number_text(number: Number) -> String {
    format!("{number:016}")
}

pub fn number_of(text: &[u8]) -> Option<Number> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// A collection has at most so many shards.
pub const SHARDS_MAX: u32 = 1024;

/// Where a collection's keys are.
#[derive(Debug, Clone)]
pub struct Layout {
    pub number: CollectionNumber,
    pub shards: u32,
    tags: Vec<String>,
}

impl Layout {
    pub fn new(namespace: &str, number: CollectionNumber, shards: u32) -> Self {
        let shards = shards.clamp(1, SHARDS_MAX);
        // Slots are dealt out to nodes in ranges. So that every node has as many shards as any
        // other, give or take one, every shard has its slot in a range of its own.
        let is_in_range = |tag: &String, shard: u32| {
            let slot = Slot::for_key(tag);
            (shard * SLOTS / shards..(shard + 1) * SLOTS / shards)
                .any(|number| Slot::new(number as u16) == Some(slot))
        };
        let tag = |shard| {
            let mut tags = (0_u32..).map(|salt| format!("{{{namespace}.{number}.{shard}.{salt}}}"));
            tags.find(|tag| is_in_range(tag, shard)).unwrap_or_default()
        };
        Layout { number, shards, tags: (0..shards).map(tag).collect() }
    }

    /// The key of that name on a shard.
    pub fn key(&self, shard: u32, kind: &str) -> Vec<u8> {
        format!("{}{kind}", self.tags[shard as usize]).into_bytes()
    }

    fn named(&self, shard: u32, kind: &str, name: &[u8]) -> Vec<u8> {
        let mut key = self.key(shard, kind);
        key.extend_from_slice(name);
        key
    }

    pub fn shard_of(&self, id: IdHash) -> u32 {
        (id.0 % u128::from(self.shards)) as u32
    }

    pub fn article(&self, id: IdHash) -> Vec<u8> {
        self.named(self.shard_of(id), "a:", &id.bytes())
    }

    pub fn shard_of_story(&self, story: StoryId) -> u32 {
        story.0.as_u128() as u32 % self.shards
    }

    pub fn story(&self, story: StoryId) -> Vec<u8> {
        self.named(self.shard_of_story(story), "s:", story.0.as_bytes())
    }

    /// An id for a story that stands on the shard of its first article.
    pub fn new_story(&self, first: IdHash) -> StoryId {
        let id = StoryId::generate().0.as_u128();
        let shards = u128::from(self.shards);
        // The last 32 bits of such an id are random.
        let low = id & u128::from(u32::MAX);
        let low = low - low % shards + u128::from(self.shard_of(first));
        let low = if low > u128::from(u32::MAX) { low - shards } else { low };
        StoryId(Uuid::from_u128(id >> 32 << 32 | low))
    }

    pub fn listing(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "listing")
    }

    pub fn revised(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "revised")
    }

    pub fn on_their_way(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "pending")
    }

    pub fn log(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "log")
    }

    pub fn gone(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "gone")
    }

    pub fn stories(&self, shard: u32) -> Vec<u8> {
        self.key(shard, "stories")
    }

    /// What is frame in this collection, as one of the replicas has counted it.
    pub fn counts(&self) -> Vec<u8> {
        self.key(0, "counts")
    }

    /// The posting lists that an article belongs in.
    pub fn lists(&self, postings: &Postings, fingerprint: Option<Fingerprint>) -> Vec<List> {
        let Postings { content, keys } = postings;
        let shingles = keys.iter().map(|key| ("w:", key.to_be_bytes().to_vec(), COMMON_SHINGLE));
        let fingerprints = fingerprint.into_iter().flat_map(|Fingerprint(bits)| {
            let blocks = ["1:", "2:", "3:", "4:"].into_iter().enumerate();
            blocks.map(move |(place, kind)| {
                (kind, ((bits >> (16 * place)) as u16).to_be_bytes().to_vec(), COMMON_FINGERPRINT)
            })
        });
        let content = [("c:", content.to_be_bytes().to_vec(), COMMON_FINGERPRINT)];
        let list = |(kind, name, stories_max): (&str, Vec<u8>, usize)| {
            let shard = (xxh3_64(&name) % u64::from(self.shards)) as u32;
            let tells = match name.len() {
                2 => Tells::Block,
                8 => Tells::Content,
                _ => Tells::Shingle,
            };
            List { shard, key: self.named(shard, kind, &name), stories_max, tells }
        };
        shingles.chain(fingerprints).chain(content).map(list).collect()
    }
}

/// A list with so many stories in it, settled ones, says nothing about any of them.
const COMMON_SHINGLE: usize = 32;
const COMMON_FINGERPRINT: usize = 256;

/// A posting list.
#[derive(Debug, Clone)]
pub struct List {
    pub shard: u32,
    pub key: Vec<u8>,
    pub stories_max: usize,
    pub tells: Tells,
}

/// What articles in a list have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tells {
    Shingle,
    /// A quarter of the fingerprint, which says little by itself.
    Block,
    /// All words.
    Content,
}

/// What an article is filed under beside its fingerprint: the hash of all its words, and sampled
/// shingles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postings {
    pub content: u64,
    pub keys: Vec<PostingKey>,
}

/// An article in a posting list: second of its submission, id hash, fingerprint, tag of its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub second: u32,
    pub id: IdHash,
    pub fingerprint: Fingerprint,
    pub story_tag: [u8; 4],
}

impl Entry {
    pub const BYTES: usize = 32;

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(self.second.to_be_bytes());
        bytes.extend(self.id.bytes());
        bytes.extend(self.fingerprint.0.to_be_bytes());
        bytes.extend(self.story_tag);
        bytes
    }

    pub fn all_of(list: &[u8]) -> impl Iterator<Item = Entry> {
        list.as_chunks::<{ Self::BYTES }>().0.iter().filter_map(|bytes| {
            Some(Entry {
                second: u32::from_be_bytes(bytes[..4].try_into().ok()?),
                id: IdHash::from_bytes(&bytes[4..20])?,
                fingerprint: Fingerprint(u64::from_be_bytes(bytes[20..28].try_into().ok()?)),
                story_tag: bytes[28..].try_into().ok()?,
            })
        })
    }
}

/// What tells the stories in a list apart.
pub fn story_tag(story: StoryId) -> [u8; 4] {
    (xxh3_64(story.0.as_bytes()) as u32).to_be_bytes()
}

impl Postings {
    /// As they stand in an article.
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys = self.keys.iter().flat_map(|key| key.to_be_bytes());
        self.content.to_be_bytes().into_iter().chain(keys).collect()
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (content, keys) = bytes.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let keys = keys.as_chunks::<4>().0.iter().map(|key| PostingKey::from_be_bytes(*key));
        Postings { content: u64::from_be_bytes(*content), keys: keys.collect() }
    }
}

pub fn fingerprint_to_bytes(fingerprint: Option<Fingerprint>) -> Vec<u8> {
    fingerprint.map_or_else(Vec::new, |Fingerprint(bits)| bits.to_be_bytes().to_vec())
}

pub fn fingerprint_from_bytes(bytes: &[u8]) -> Option<Fingerprint> {
    bytes.try_into().ok().map(u64::from_be_bytes).map(Fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_stands_on_the_shard_of_its_first_article() {
        for shards in [1, 3, 16, 1000] {
            let layout = Layout::new("test", 7, shards);
            for number in 0..200 {
                let id = IdHash::of(&ArticleId::new(number.to_string()).unwrap());
                let story = layout.new_story(id);
                assert_eq!(layout.shard_of_story(story), layout.shard_of(id));
                assert_eq!(story.0.get_version_num(), 7);
            }
        }
    }

    #[test]
    fn entries_come_back_from_bytes() {
        let entry = |number: u32| Entry {
            second: number,
            id: IdHash(u128::from(number) << 77),
            fingerprint: Fingerprint(u64::MAX - u64::from(number)),
            story_tag: number.to_be_bytes(),
        };
        let entries: Vec<Entry> = (0..5).map(entry).collect();
        let list: Vec<u8> = entries.iter().flat_map(Entry::bytes).collect();
        assert_eq!(Entry::all_of(&list).collect::<Vec<_>>(), entries);
    }

    #[test]
    fn lists_are_spread_over_all_shards() {
        let layout = Layout::new("test", 1, 16);
        for shard in 0..16 {
            let slot = Some(Slot::for_key(layout.key(shard, "any")));
            let range = shard as u16 * 1024..(shard as u16 + 1) * 1024;
            assert!(range.clone().any(|number| Slot::new(number) == slot), "{shard}");
        }
        let keys: Vec<PostingKey> =
            (0..16_000_u32).map(|key| key.wrapping_mul(2_654_435_761)).collect();
        let mut counts = [0; 16];
        let postings = Postings { content: 7, keys };
        assert_eq!(Postings::from_bytes(&postings.to_bytes()), postings);
        layout.lists(&postings, None).iter().for_each(|list| counts[list.shard as usize] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
