//! What was decided lately and may not be on the disk yet. A look at the store shows a moment that
//! has passed when an article's turn comes; what has come and gone since is here.

use std::collections::HashMap;
use std::sync::Arc;

use fjall::{Keyspace, Slice};
use parking_lot::Mutex;

use super::CommitNumber;
use super::collection::{Collection, Horizon};
use super::index::{Entry, Seq, StoryNumber, Wanted};
use super::record::{CollectionNumber, IdRecord};
use crate::analysis::StoryId;
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
}

/// What a group of commands changes: all that is written to disk and shown to readers follows from
/// it. Whatever is changed twice stands here as it is in the end.
#[derive(Default)]
pub struct Changes {
    /// The number of its commit.
    pub number: CommitNumber,
    /// Ids that are given or, with `None`, free again.
    pub ids: HashMap<(CollectionNumber, ArticleId), Option<IdRecord>>,
    /// Collections that come into being, change their settings or, with `None`, go.
    pub collections: HashMap<CollectionName, Option<(Arc<Collection>, CollectionSettings)>>,
    /// Collections that are gone, whose rows are to be removed, and whether that is done.
    pub orphans: HashMap<CollectionNumber, bool>,
    /// Stories that begin, and those that are over.
    pub stories: HashMap<(CollectionNumber, StoryId), Option<StoryNumber>>,
    /// Articles, in the order of their submissions.
    pub added: Vec<Added>,
    /// Articles that were there before the group, and some that it added itself.
    pub removed: HashMap<(CollectionNumber, Seq), Arc<Collection>>,
    /// Rows of collections that are gone.
    pub dead_rows: Vec<(Keyspace, Slice)>,
    /// What the added articles are, until they can be read from disk.
    contents: Mutex<HashMap<(CollectionNumber, Seq), Arc<StoredArticle>>>,
    places: HashMap<(CollectionNumber, Seq), usize>,
    /// The latest article under a key, by its place among the links; every link has the place in
    /// `added`, and the link of the article before it.
    latest: HashMap<(CollectionNumber, PostingKey), u32>,
    links: Vec<(u32, u32)>,
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

    pub fn add(&mut self, added: Added, content: StoredArticle) {
        let (collection, place) = (added.collection.number, self.added.len() as u32);
        self.contents.get_mut().insert((collection, added.seq), Arc::new(content));
        for &key in &added.keys {
            let link = self.links.len() as u32;
            let before = self.latest.insert((collection, key), link).unwrap_or(END);
            self.links.push((place, before));
        }
        self.places.insert((collection, added.seq), place as usize);
        self.added.push(added);
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

    /// What an added article is, if it may not be on the disk yet.
    pub fn content(&self, collection: CollectionNumber, seq: Seq) -> Option<Arc<StoredArticle>> {
        self.contents.lock().get(&(collection, seq)).cloned()
    }

    /// Says that everything is on the disk.
    pub fn drop_contents(&self) {
        *self.contents.lock() = HashMap::new();
    }

    /// Appends the added articles that may be like a wanted one, with a rank: the lower the better.
    fn candidates(
        &self,
        collection: CollectionNumber,
        wanted: &Wanted,
        found: &mut Vec<(i64, Seq)>,
    ) {
        let mut shared: HashMap<u32, i64> = HashMap::new();
        for &key in wanted.keys {
            let mut link = self.latest.get(&(collection, key)).copied().unwrap_or(END);
            for _ in 0..SAME_KEY_MAX {
                let Some(&(place, before)) = self.links.get(link as usize) else { break };
                *shared.entry(place).or_default() += 1;
                link = before;
            }
        }
        if let Some(fingerprint) = wanted.fingerprint {
            for (place, added) in self.added.iter().enumerate() {
                if added.collection.number == collection
                    && added
                        .entry
                        .fingerprint
                        .is_some_and(|other| other.distance(fingerprint) <= wanted.radius)
                {
                    shared.entry(place as u32).or_default();
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
        self.groups().find_map(|group| group.content(collection, seq))
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
