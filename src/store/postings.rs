//! Posting lists: which slots a sampled shingle was seen in.

use crate::hamming::{Slot, push_tightly, remove_tightly};

/// A shingle's sampled hash.
pub type Key = u32;

/// A list that has grown this long is of a shingle that says nothing: boilerplate, an agency's
/// phrase. It is kept, so that memory is bounded, but neither grown further nor read.
pub const LIST_LEN_MAX: usize = 32;

/// Postings a bucket holds on average when the next one is split.
const BUCKET_LEN: usize = 24;

/// Posting lists, eight bytes a posting, in buckets addressed by the last bits of the key. There
/// is one more bucket whenever the postings have become too many for those there are (Litwin,
/// "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980): no insertion ever waits
/// for a whole table to be moved, and no table is half empty.
#[derive(Debug)]
pub struct PostingLists {
    buckets: Vec<Vec<Posting>>,
    len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Posting {
    key: Key,
    slot: Slot,
}

impl Default for PostingLists {
    fn default() -> Self {
        PostingLists { buckets: vec![Vec::new()], len: 0 }
    }
}

impl PostingLists {
    /// Adds a slot under a key, unless one that `stands_for_it` is there already.
    pub fn insert(&mut self, key: Key, slot: Slot, stands_for_it: impl Fn(Slot) -> bool) {
        let mut len = 0;
        for other in self.list(key) {
            if stands_for_it(other) {
                return;
            }
            len += 1;
        }
        if len >= LIST_LEN_MAX {
            return;
        }
        let bucket = self.bucket(key);
        push_tightly(&mut self.buckets[bucket], Posting { key, slot });
        self.len += 1;
        if self.len > self.buckets.len() * BUCKET_LEN {
            self.split();
        }
    }

    /// Adds many slots at once, neighbouring buckets together: many times faster than in the order
    /// they come in, where each has to wait for memory.
    pub fn insert_all(&mut self, postings: &[(Key, Slot)]) {
        // As in the last pass of a radix sort: a group's buckets fit into the processor's cache.
        const GROUPS: usize = 2048;
        let buckets = self.buckets.len();
        let group = |key: Key| self.bucket(key) * GROUPS / buckets;
        let mut places = [0; GROUPS + 1];
        postings.iter().for_each(|&(key, _)| places[group(key) + 1] += 1);
        (0..GROUPS).for_each(|group| places[group + 1] += places[group]);
        let mut grouped = vec![(0, 0); postings.len()];
        for &(key, slot) in postings {
            let place = &mut places[group(key)];
            grouped[*place] = (key, slot);
            *place += 1;
        }
        for (key, slot) in grouped {
            self.insert(key, slot, |_| false);
        }
    }

    /// Reads a little of what will be needed of these keys' buckets. Done at once, the processor
    /// waits for memory once; done bucket by bucket, it would wait for each in turn.
    pub fn touch(&self, keys: &[Key]) {
        const POSTINGS_PER_CACHE_LINE: usize = 8;
        let buckets = keys.iter().map(|&key| &self.buckets[self.bucket(key)]);
        let touched = buckets.flat_map(|bucket| bucket.iter().step_by(POSTINGS_PER_CACHE_LINE));
        std::hint::black_box(touched.fold(0, |all, posting| all ^ posting.slot));
    }

    /// Removes a posting; tells whether it was there.
    pub fn remove(&mut self, key: Key, slot: Slot) -> bool {
        let bucket = self.bucket(key);
        let bucket = &mut self.buckets[bucket];
        let place = bucket.iter().position(|&posting| posting == Posting { key, slot });
        if let Some(place) = place {
            remove_tightly(bucket, place);
            self.len -= 1;
        }
        place.is_some()
    }

    /// The slots under a key, or None if they are too many to mean anything.
    pub fn get(&self, key: Key) -> Option<impl Iterator<Item = Slot>> {
        (self.list(key).count() < LIST_LEN_MAX).then(|| self.list(key))
    }

    fn list(&self, key: Key) -> impl Iterator<Item = Slot> {
        let bucket = self.buckets[self.bucket(key)].iter();
        bucket.filter(move |posting| posting.key == key).map(|posting| posting.slot)
    }

    /// The bucket of a key: its number is the last bits of the key, as many as all buckets' numbers
    /// need, or one fewer where that bucket is still to come.
    fn bucket(&self, key: Key) -> usize {
        let numbers = self.buckets.len().next_power_of_two();
        let number = key as usize & (numbers - 1);
        if number < self.buckets.len() { number } else { number - numbers / 2 }
    }

    /// Adds a bucket, and moves there what belongs there from the one that stood in for it.
    fn split(&mut self) {
        let added = self.buckets.len();
        let stand_in = added - (1 << added.ilog2());
        self.buckets.push(Vec::new());
        let mut postings = std::mem::take(&mut self.buckets[stand_in]);
        let is_moved = |posting: &mut Posting| self.bucket(posting.key) == added;
        let mut moved: Vec<Posting> = postings.extract_if(.., is_moved).collect();
        moved.shrink_to_fit();
        postings.shrink_to_fit();
        self.buckets[stand_in] = postings;
        self.buckets[added] = moved;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_kept_apart_and_bounded() {
        let mut lists = PostingLists::default();
        (0..1000).for_each(|slot| lists.insert(7, slot, |_| false));
        (0..5).for_each(|slot| lists.insert(8, slot, |_| false));
        lists.insert(8, 5, |other| other == 4);
        assert!(lists.get(7).is_none());
        lists.remove(8, 3);
        lists.remove(8, 99);
        let mut left: Vec<Slot> = lists.get(8).into_iter().flatten().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 4]);
        lists.remove(7, 0);
        assert_eq!(lists.get(7).map(Iterator::count), Some(LIST_LEN_MAX - 1));
        assert_eq!(lists.get(9).map(Iterator::count), Some(0));
        assert_eq!(lists.len, LIST_LEN_MAX - 1 + 4);
    }

    #[test]
    fn every_posting_is_found_however_many_buckets_there_are() {
        let mut lists = PostingLists::default();
        let key = |number: u32| (number / 3).wrapping_mul(0x9e37_79b9);
        for number in 0..20_000 {
            lists.insert(key(number), number, |_| false);
            for known in [0, number / 2, number] {
                assert!(lists.get(key(known)).unwrap().any(|slot| slot == known), "{number}");
            }
        }
        assert!(lists.buckets.len() > 800);
        let mut together = PostingLists::default();
        let all: Vec<(Key, Slot)> = (0..20_000).map(|number| (key(number), number)).collect();
        all.chunks(7000).for_each(|chunk| together.insert_all(chunk));
        for number in 0..20_000 {
            assert!(together.get(key(number)).unwrap().any(|slot| slot == number));
        }
        let longest = lists.buckets.iter().map(Vec::len).max().unwrap();
        assert!(longest < 3 * BUCKET_LEN, "{longest}");
        for number in 0..20_000 {
            let mut found: Vec<Slot> = lists.get(key(number)).unwrap().collect();
            found.sort_unstable();
            let first = number / 3 * 3;
            assert_eq!(found, (first..(first + 3).min(20_000)).collect::<Vec<_>>());
        }
        assert!((0..20_000).all(|number| lists.remove(key(number), number)));
        assert_eq!(lists.len, 0);
    }
}
