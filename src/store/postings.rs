//! Posting lists: which slots a sampled shingle was seen in.

use hashbrown::HashTable;

use crate::hamming::Slot;

/// A shingle's sampled hash.
pub type Key = u32;

/// A list that has grown this long is of a shingle that says nothing: boilerplate, an agency's
/// phrase. It is kept, so that memory is bounded, but neither grown further nor read.
pub const LIST_LEN_MAX: usize = 32;

/// Posting lists, all of them in one table, eight bytes a posting.
#[derive(Debug, Default)]
pub struct PostingLists {
    postings: HashTable<(Key, Slot)>,
}

/// Keys are hashes already; the table wants entropy in the upper bits too.
fn table_hash(key: Key) -> u64 {
    u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl PostingLists {
    pub fn insert(&mut self, key: Key, slot: Slot) {
        if self.list(key).count() < LIST_LEN_MAX {
            let hash = table_hash(key);
            self.postings.insert_unique(hash, (key, slot), |&(key, _)| table_hash(key));
        }
    }

    pub fn remove(&mut self, key: Key, slot: Slot) {
        let hash = table_hash(key);
        if let Ok(posting) = self.postings.find_entry(hash, |&posting| posting == (key, slot)) {
            posting.remove();
        }
    }

    /// The slots under a key, or None if they are too many to mean anything.
    pub fn get(&self, key: Key) -> Option<impl Iterator<Item = Slot>> {
        (self.list(key).count() < LIST_LEN_MAX).then(|| self.list(key))
    }

    fn list(&self, key: Key) -> impl Iterator<Item = Slot> {
        self.postings
            .iter_hash(table_hash(key))
            .filter_map(move |&(other, slot)| (other == key).then_some(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_apart_and_bounded() {
        let mut lists = PostingLists::default();
        (0..1000).for_each(|slot| lists.insert(7, slot));
        (0..5).for_each(|slot| lists.insert(8, slot));
        assert!(lists.get(7).is_none());
        lists.remove(8, 3);
        lists.remove(8, 99);
        let mut left: Vec<Slot> = lists.get(8).into_iter().flatten().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 4]);
        lists.remove(7, 0);
        assert_eq!(lists.get(7).map(Iterator::count), Some(LIST_LEN_MAX - 1));
        assert_eq!(lists.get(9).map(Iterator::count), Some(0));
        assert_eq!(lists.postings.len(), LIST_LEN_MAX - 1 + 4);
    }
}
