//! What was decided lately and may not be on the disk yet. A look at the store shows a moment that
//! has passed when an article's turn comes; what has come and gone since is here.

use std::collections::HashMap;
use std::sync::Arc;

use fjall::{Keyspace, Slice};
use parking_lot::Mutex;

use super::collection::{Collection, Horizon};
use super::index::{Entry, Seq, StoryNumber, Wanted};
use super::record::{CollectionNumber, IdRecord};
use super::{CommitNumber, memory_bytes};
use crate::analysis::{Fingerprint, StoryId};
use crate::article::{ArticleId, CollectionName};
use crate::duplicates::PostingKey;
use crate::duplicates::decision::Remembered;
use crate::store::{CollectionSettings, StoredArticle};

/// So many articles under a key are looked at: more of them are of a phrase that says nothing.
const SAME_KEY_MAX: usize = 32;

/// An article that a group adds.
pub struct Added {
    pub collection: Arc<Collection>,
    pub seq: Seq,
    pub entry: Entry,
    pub keys: Vec<PostingKey>,
    pub remembered: Arc<Remembered>,
    /// The article that it repeats: the canonical one of its story, or its earlier revision.
    pub repeats: Option<Arc<Remembered>>,
    /// What it is, until that can be read from disk.
    pub content: Mutex<Option<Arc<StoredArticle>>>,
}

/// What a group of commands changes: all that is written to disk and shown to readers follows from
/// it. Whatever is changed twice stands here as it is in the end.
#[derive(Default)]
pub struct Changes {
    /// The number of its commit.
    pub number: CommitNumber,
    /// Ids that are given or, with `None`, free again.
    pub ids: HashMap<(CollectionNumber, ArticleId), Option<IdRecord>, Quick>,
    /// Collections that come into being, change their settings or, with `None`, go.
    pub collections: HashMap<CollectionName, Option<(Arc<Collection>, CollectionSettings)>>,
    /// Collections that are gone, whose rows are to be removed, and whether that is done.
    pub orphans: HashMap<CollectionNumber, bool>,
    /// Stories that begin, and those that are over.
    pub stories: HashMap<(CollectionNumber, StoryId), Option<StoryNumber>, Quick>,
    /// Articles, in the order of their submissions.
    pub added: Vec<Added>,
    /// Articles that were there before the group, and some that it added itself.
    pub removed: HashMap<(CollectionNumber, Seq), Arc<Collection>, Quick>,
    /// Rows of collections that are gone.
    pub dead_rows: Vec<(Keyspace, Slice)>,
    /// What the added articles take of memory when they are on the disk.
    bytes: usize,
    places: HashMap<(CollectionNumber, Seq), usize, Quick>,
    /// The fingerprints of the added articles, with their places: every submission looks at all.
    fingerprints: Vec<(Fingerprint, u32)>,
    keys: Keys,
}

/// What a group takes that was decided lately.
pub struct Weight {
    pub number: CommitNumber,
    pub articles: usize,
    pub bytes: usize,
}

/// Chooses fast hashing: what stands in these tables is bounded, and nobody's choice for long.
type Quick = foldhash::fast::RandomState;

/// Which of the added articles have a key.
#[derive(Default)]
struct Keys {
    /// The latest link of every bucket; a key, which is a hash, has its bucket by its last bits.
    latest: Vec<u32>,
    /// Keys, the places of their articles in `added`, and the links before them in their buckets.
    links: Vec<(PostingKey, u32, u32)>,
}

impl Keys {
    const BUCKETS: usize = 1 << 12;

    fn bucket(key: PostingKey) -> usize {
        key as usize % Self::BUCKETS
    }

    fn add(&mut self, key: PostingKey, place: u32) {
        if self.latest.is_empty() {
            self.latest = vec![END; Self::BUCKETS];
        }
        let link = self.links.len() as u32;
        let before = std::mem::replace(&mut self.latest[Self::bucket(key)], link);
        self.links.push((key, place, before));
    }

    /// The places of the articles that have a key, the latest first.
    fn places(&self, key: PostingKey) -> impl Iterator<Item = u32> {
        let latest =
            self.latest.get(Self::bucket(key)).and_then(|&link| self.links.get(link as usize));
        std::iter::successors(latest, |(_, _, before)| self.links.get(*before as usize))
            .filter(move |(other, ..)| *other == key)
            .map(|&(_, place, _)| place)
    }
}

const END: u32 = u32::MAX;

impl Changes {
    /// Those of a commit to come.
    pub fn new(number: CommitNumber) -> Self {
        Changes { number, ..Changes::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
            && self.collections.is_empty()
            && self.orphans.is_empty()
            && self.removed.is_empty()
            && self.dead_rows.is_empty()
    }

    pub fn add(&mut self, added: Added) {
        let place = self.added.len();
        added.keys.iter().for_each(|&key| self.keys.add(key, place as u32));
        self.places.insert((added.collection.number, added.seq), place);
        let fingerprint = added.entry.fingerprint;
        self.fingerprints.extend(fingerprint.map(|fingerprint| (fingerprint, place as u32)));
        self.bytes += memory_bytes(&added.remembered);
        self.added.push(added);
    }

    pub fn weight(&self) -> Weight {
        Weight { number: self.number, articles: self.added.len(), bytes: self.bytes }
    }

    pub fn article(&self, collection: CollectionNumber, seq: Seq) -> Option<&Added> {
        self.places.get(&(collection, seq)).map(|&place| &self.added[place])
    }

    /// The articles of a story that were added.
    fn members(
        &self,
        collection: CollectionNumber,
        story: StoryNumber,
    ) -> impl Iterator<Item = &Added> {
        let is_member = move |added: &&Added| {
            added.collection.number == collection && added.entry.story == story
        };
        self.added.iter().filter(is_member)
    }

    /// Says that everything is on the disk.
    pub fn drop_contents(&self) {
        self.added.iter().for_each(|added| *added.content.lock() = None);
    }

    /// Appends the added articles that may be like a wanted one, with a rank: the lower the better.
    fn candidates(
        &self,
        collection: CollectionNumber,
        wanted: &Wanted,
        found: &mut Vec<(i64, Seq)>,
    ) {
        let mut shared: Vec<(u32, i64)> = Vec::new();
        let is_ours = |place: &u32| self.added[*place as usize].collection.number == collection;
        for &key in wanted.keys {
            for place in self.keys.places(key).filter(is_ours).take(SAME_KEY_MAX) {
                match shared.iter_mut().find(|(other, _)| *other == place) {
                    Some((_, count)) => *count += 1,
                    None => shared.push((place, 1)),
                }
            }
        }
        if let Some(fingerprint) = wanted.fingerprint {
            for &(other, place) in &self.fingerprints {
                if other.distance(fingerprint) <= wanted.radius
                    && is_ours(&place)
                    && shared.iter().all(|(other, _)| *other != place)
                {
                    shared.push((place, 0));
                }
            }
        }
        found.extend(shared.into_iter().map(|(place, count)| {
            let added = &self.added[place as usize];
            let distance = wanted.fingerprint.zip(added.entry.fingerprint);
            let distance = distance.map_or(32, |(a, b)| i64::from(a.distance(b)));
            let is_same = distance == 0 && added.entry.content_tag == wanted.content_tag;
            (if is_same { i64::MIN } else { distance - 2 * count }, added.seq)
        }));
    }
}

/// Groups of changes, in order: those since some commit, the one at hand last.
#[derive(Clone, Copy)]
pub struct Since<'r> {
    pub before: &'r [Arc<Changes>],
    pub current: &'r Changes,
}

impl<'r> Since<'r> {
    /// The latest first.
    fn groups(self) -> impl Iterator<Item = &'r Changes> {
        std::iter::once(self.current).chain(self.before.iter().rev().map(|group| &**group))
    }

    /// What has become of an id.
    pub fn id(self, collection: CollectionNumber, id: &ArticleId) -> Option<Option<IdRecord>> {
        let key = (collection, id.clone());
        self.groups().find_map(|group| group.ids.get(&key).copied())
    }

    /// What has become of a collection's name.
    pub fn collection(self, name: &CollectionName) -> Option<Option<Arc<Collection>>> {
        let change = self.groups().find_map(|group| group.collections.get(name))?;
        Some(change.as_ref().map(|(collection, _)| Arc::clone(collection)))
    }

    pub fn is_removed(self, collection: CollectionNumber, seq: Seq) -> bool {
        self.groups().any(|group| group.removed.contains_key(&(collection, seq)))
    }

    /// An article that was added, unless it was removed again.
    pub fn article(self, collection: CollectionNumber, seq: Seq) -> Option<&'r Added> {
        let added = self.groups().find_map(|group| group.article(collection, seq));
        added.filter(|_| !self.is_removed(collection, seq))
    }

    /// What an added article is, if it may not be on the disk yet.
    pub fn content(self, collection: CollectionNumber, seq: Seq) -> Option<Arc<StoredArticle>> {
        self.article(collection, seq)?.content.lock().clone()
    }

    /// The remembered articles of a story that were added, in order.
    pub fn members(
        self,
        collection: CollectionNumber,
        story: StoryNumber,
        horizon: Horizon,
    ) -> impl Iterator<Item = Seq> {
        let groups = self.before.iter().map(|group| &**group).chain([self.current]);
        groups
            .flat_map(move |group| group.members(collection, story))
            .filter(move |added| {
                horizon.keeps(added.entry.submit_time) && !self.is_removed(collection, added.seq)
            })
            .map(|added| added.seq)
    }

    /// The added articles that may be like a wanted one, most promising first.
    pub fn candidates(
        self,
        collection: CollectionNumber,
        wanted: &Wanted,
        horizon: Horizon,
    ) -> Vec<Seq> {
        let mut found = Vec::new();
        self.groups().for_each(|group| group.candidates(collection, wanted, &mut found));
        found.sort_unstable();
        let seqs = found.into_iter().map(|(_, seq)| seq);
        seqs.filter(|&seq| {
            let added = self.article(collection, seq);
            added.is_some_and(|added| horizon.keeps(added.entry.submit_time))
        })
        .take(wanted.max)
        .collect()
    }
}
