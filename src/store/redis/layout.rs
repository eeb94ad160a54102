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
        self.named(shard, kind, &[])
    }

    fn named(&self, shard: u32, kind: &str, name: &[u8]) -> Vec<u8> {
        [self.tags[shard as usize].as_bytes(), kind.as_bytes(), name].concat()
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

    /// The posting lists that an article belongs in, those of shingles first.
    pub fn lists(&self, postings: &Postings, fingerprint: Option<Fingerprint>) -> Vec<List> {
        let Postings { content, keys } = postings;
        let shingles = keys.iter().map(|key| ("w:", key.to_be_bytes().to_vec()));
        let fingerprints = fingerprint.into_iter().flat_map(|Fingerprint(bits)| {
            let blocks = ["1:", "2:", "3:", "4:"].into_iter().enumerate();
            blocks.map(move |(place, kind)| {
                (kind, ((bits >> (16 * place)) as u16).to_be_bytes().to_vec())
            })
        });
        let content = [("c:", content.to_be_bytes().to_vec())];
        let list = |(kind, name): (&str, Vec<u8>)| {
            let shard = (xxh3_64(&name) % u64::from(self.shards)) as u32;
            let tells = match name.len() {
                2 => Tells::Block,
                8 => Tells::Content,
                _ => Tells::Shingle,
            };
            List { shard, key: self.named(shard, kind, &name), tells }
        };
        shingles.chain(fingerprints).chain(content).map(list).collect()
    }
}

/// A posting list.
#[derive(Debug, Clone)]
pub struct List {
    pub shard: u32,
    pub key: Vec<u8>,
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

pub fn fingerprint_to_bytes(fingerprint: Option<Fingerprint>) -> Vec<u8> {
    fingerprint.map_or_else(Vec::new, |Fingerprint(bits)| bits.to_be_bytes().to_vec())
}

pub fn fingerprint_from_bytes(bytes: &[u8]) -> Option<Fingerprint> {
    bytes.try_into().ok().map(u64::from_be_bytes).map(Fingerprint)
}

/// What is remembered under an id, but for the texts: the field `head` of its hash. Scripts know
/// where in it things stand (`head.lua`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub number: Number,
    pub story: StoryId,
    /// The article that stood for its story when it joined.
    pub canonical: IdHash,
    pub content_hash: u128,
    /// The number of the first revision.
    pub first: Number,
    pub revision: u32,
    pub fingerprint: Option<Fingerprint>,
    pub postings: Postings,
    pub id: String,
    /// Which of two fields has what it is compared by; a revision on its way has the other one.
    pub place: usize,
}

/// The fields of an article's hash.
pub const HEAD: &str = "head";
pub const ON_ITS_WAY: &str = "p";
pub const ARTICLE: &str = "article";
pub const CANDIDATES: [&str; 2] = ["c0", "c1"];

/// A submission that was begun and not committed: the field `p`.
pub struct OnItsWay {
    pub number: Number,
    /// When it was begun, in microseconds.
    pub began: Number,
}

impl OnItsWay {
    /// `None` if none is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (number, began) = (number_of(bytes.get(..16)?)?, number_of(bytes.get(16..32)?)?);
        Some(OnItsWay { number, began })
    }
}

impl Head {
    pub fn submission(&self, id: IdHash) -> Submission {
        Submission { number: self.number, id }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let Head { number, story, canonical, content_hash, first, revision, .. } = self;
        let mut bytes = number_text(*number).into_bytes();
        bytes.push(b'0' + self.place as u8);
        bytes.extend(story.0.as_bytes());
        bytes.extend(canonical.bytes());
        bytes.extend(content_hash.to_be_bytes());
        bytes.extend(first.to_be_bytes());
        bytes.extend(revision.to_be_bytes());
        bytes.push(self.fingerprint.is_some().into());
        bytes.extend(self.fingerprint.map_or(0, |Fingerprint(bits)| bits).to_be_bytes());
        bytes.push(self.postings.keys.len() as u8);
        bytes.extend(self.postings.content.to_be_bytes());
        bytes.extend(self.postings.keys.iter().flat_map(|key| key.to_be_bytes()));
        bytes.extend(self.id.as_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (taken, after) = rest.split_at_checked(count)?;
            rest = after;
            Some(taken)
        };
        let number = number_of(take(16)?)?;
        let place = usize::from(take(1)? == b"1");
        let story = StoryId(Uuid::from_slice(take(16)?).ok()?);
        let canonical = IdHash::from_bytes(take(16)?)?;
        let content_hash = u128::from_be_bytes(take(16)?.try_into().ok()?);
        let first = u64::from_be_bytes(take(8)?.try_into().ok()?);
        let revision = u32::from_be_bytes(take(4)?.try_into().ok()?);
        let has_fingerprint = take(1)? == [1];
        let bits = u64::from_be_bytes(take(8)?.try_into().ok()?);
        let count = take(1)?[0];
        let content = u64::from_be_bytes(take(8)?.try_into().ok()?);
        let keys = take(4 * usize::from(count))?;
        let keys = keys.as_chunks::<4>().0.iter().map(|key| PostingKey::from_be_bytes(*key));
        let postings = Postings { content, keys: keys.collect() };
        let id = std::str::from_utf8(rest).ok()?.to_owned();
        let fingerprint = has_fingerprint.then_some(Fingerprint(bits));
        Some(Head {
            number,
            story,
            canonical,
            content_hash,
            first,
            revision,
            fingerprint,
            postings,
            id,
            place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts and other replicas read it: a change of this is a change of what stands in clusters.
    #[test]
    fn a_head_comes_back_from_bytes_that_stay_as_they_are() {
        let head = Head {
            number: 1_764_000_000_000_001,
            story: StoryId(Uuid::from_u128(2)),
            canonical: IdHash(3),
            content_hash: 4,
            first: 5,
            revision: 6,
            fingerprint: Some(Fingerprint(7)),
            postings: Postings { content: 8, keys: vec![9, 10] },
            id: "the id".to_owned(),
            place: 1,
        };
        let bytes = head.to_bytes();
        assert_eq!(Head::from_bytes(&bytes), Some(head.clone()));
        let golden = "31373634303030303030303030303031\
                      31\
                      00000000000000000000000000000002\
                      00000000000000000000000000000003\
                      00000000000000000000000000000004\
                      0000000000000005\
                      00000006\
                      01\
                      0000000000000007\
                      02\
                      0000000000000008\
                      000000090000000a\
                      746865206964";
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(written, golden);
        let none = Head { fingerprint: None, ..head };
        assert_eq!(Head::from_bytes(&none.to_bytes()), Some(none));
        assert_eq!(Head::from_bytes(&bytes[..90]), None);
    }

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
        layout.lists(&postings, None).iter().for_each(|list| counts[list.shard as usize] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
