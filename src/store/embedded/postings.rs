//! Posting lists: which slots a sampled shingle was seen in.

use std::thread::available_parallelism;

use parking_lot::Mutex;

use crate::duplicates::PostingKey;
use crate::hamming::{SLOT_MAX, Slot, push_tightly, remove_tightly};
use crate::kernel::prefetch;

/// A list that has grown this long is of a shingle that says nothing: boilerplate, an agency's
/// phrase. It is kept, so that memory is bounded, but neither grown further nor read.
pub const LIST_LEN_MAX: usize = 32;

/// Postings a bucket holds on average when the next one is split.
const BUCKET_LEN: usize = 32;

/// So many postings are worth another thread when all of them are settled.
const POSTINGS_PER_THREAD: usize = 1 << 18;

/// The fewest buckets there are. The bits of a key that they tell are not kept in the postings.
const BUCKETS_MIN: usize = 1 << BUCKETS_MIN_LOG2;
const BUCKETS_MIN_LOG2: u32 = 8;

/// Posting lists, six bytes a posting, in buckets addressed by the last bits of the key. There
/// is one more bucket whenever the postings have become too many for those there are (Litwin,
/// "Linear Hashing: A New Tool for File and Table Addressing", VLDB 1980): no insertion ever waits
/// for a whole table to be moved, and no table is half empty.
#[derive(Debug)]
pub struct PostingLists {
    buckets: Vec<Bucket>,
    len: usize,
}

/// Postings in no particular order.
pub type Bucket = Vec<Posting>;

/// The first 24 bits of a key, which with those that the bucket tells are all of it, and a slot of
/// 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting([u8; 6]);

const SLOT_BITS: u32 = Slot::BITS - SLOT_MAX.leading_zeros();

impl Posting {
    fn new(key: PostingKey, slot: Slot) -> Self {
        Self::from_bits(u64::from(key >> BUCKETS_MIN_LOG2) << SLOT_BITS | u64::from(slot))
    }

    fn from_bits(bits: u64) -> Self {
        let [a, b, c, d, e, f, ..] = bits.to_le_bytes();
        Posting([a, b, c, d, e, f])
    }

    fn bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    fn slot(self) -> Slot {
        self.bits() as Slot & SLOT_MAX
    }

    /// The key, in a bucket of this number.
    fn key(self, bucket: usize) -> PostingKey {
        let known = bucket & (BUCKETS_MIN - 1);
        ((self.bits() >> SLOT_BITS) as PostingKey) << BUCKETS_MIN_LOG2 | known as PostingKey
    }

    fn has_key_of(self, other: Posting) -> bool {
        (self.bits() ^ other.bits()) >> SLOT_BITS == 0
    }
}

impl Default for PostingLists {
    fn default() -> Self {
        PostingLists { buckets: vec![Vec::new(); BUCKETS_MIN], len: 0 }
    }
}

impl PostingLists {
    /// Adds a slot under a key, unless one that `stands_for_it` is there already.
    pub fn insert(&mut self, key: PostingKey, slot: Slot, stands_for_it: impl Fn(Slot) -> bool) {
        let mut len = 0;
        for other in self.list(key) {
            if stands_for_it(other) {
                return;
            }
            len += 1;
        }
        if len < LIST_LEN_MAX {
            self.append(key, slot);
            if self.len > self.buckets.len() * BUCKET_LEN {
                self.split();
            }
        }
    }

    /// Adds a slot under a key without a look at what is there: [`Self::settle`] is to follow.
    pub fn append(&mut self, key: PostingKey, slot: Slot) {
        debug_assert!(slot <= SLOT_MAX);
        let bucket = self.bucket(key);
        push_tightly(&mut self.buckets[bucket], Posting::new(key, slot));
        self.len += 1;
    }

    /// Makes of what was appended what inserting it in the order of the slots would have made.
    /// `stands_for` tells whether a slot is not needed under a key where an earlier one is.
    ///
    /// Appending to few buckets and then cutting each of them up at once is many times faster than
    /// inserting, where every posting has to wait for memory. Several threads share the work.
    pub fn settle(&mut self, stands_for: impl Fn(Slot, Slot) -> bool + Sync) {
        let count = BUCKETS_MIN.max(self.len / BUCKET_LEN);
        let threads = available_parallelism().map_or(1, usize::from);
        let threads = threads.min(1 + self.len / POSTINGS_PER_THREAD);
        let few = std::mem::replace(&mut self.buckets, vec![Vec::new(); count]);
        self.len = 0;
        let few = Mutex::new(few.into_iter().enumerate());
        std::thread::scope(|scope| {
            let (sender, all_settled) = std::sync::mpsc::sync_channel(0);
            for _ in 0..threads {
                let (sender, few, stands_for) = (sender.clone(), &few, &stands_for);
                scope.spawn(move || {
                    let mut parts: Vec<Vec<u64>> = vec![Vec::new(); count.div_ceil(BUCKETS_MIN)];
                    let next = || few.lock().next();
                    while let Some((number, bucket)) = next() {
                        // All buckets that postings of this one go to have its number as their
                        // last bits.
                        for posting in bucket {
                            let part = bucket_number(posting.key(number), count) / BUCKETS_MIN;
                            parts[part].push(posting.bits());
                        }
                        let cut: Vec<_> =
                            parts.iter_mut().map(|part| settled(part, stands_for)).collect();
                        if sender.send((number, cut)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (number, parts) in all_settled {
                for (part, postings) in parts.into_iter().enumerate() {
                    if !postings.is_empty() {
                        self.len += postings.len();
                        self.buckets[part * BUCKETS_MIN + number] = postings;
                    }
                }
            }
        });
    }

    /// Has these keys' buckets fetched. Done at once, the processor waits for memory once; done
    /// bucket by bucket, it would wait for each in turn.
    pub fn fetch(&self, keys: &[PostingKey]) {
        const POSTINGS_PER_CACHE_LINE: usize = 64 / size_of::<Posting>();
        for bucket in keys.iter().map(|&key| &self.buckets[self.bucket(key)]) {
            bucket.iter().step_by(POSTINGS_PER_CACHE_LINE).for_each(prefetch);
        }
    }

    /// Removes a posting; tells whether it was there.
    pub fn remove(&mut self, key: PostingKey, slot: Slot) -> bool {
        let bucket = self.bucket(key);
        let bucket = &mut self.buckets[bucket];
        let place = bucket.iter().position(|&posting| posting == Posting::new(key, slot));
        if let Some(place) = place {
            remove_tightly(bucket, place);
            self.len -= 1;
        }
        place.is_some()
    }

    pub fn contains(&self, key: PostingKey, slot: Slot) -> bool {
        self.buckets[self.bucket(key)].contains(&Posting::new(key, slot))
    }

    /// Appends the slots under a key, unless they are too many to mean anything.
    pub fn find(&self, key: PostingKey, found: &mut Vec<Slot>) {
        let start = found.len();
        found.extend(self.list(key));
        if found.len() - start >= LIST_LEN_MAX {
            found.truncate(start);
        }
    }

    pub fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// Appends a bucket to bytes: how many postings it has, in four bytes, and six for each.
    pub fn write_bucket(&self, number: usize, bytes: &mut Vec<u8>) {
        let bucket = &self.buckets[number];
        bytes.extend((bucket.len() as u32).to_le_bytes());
        bytes.extend(bucket.iter().flat_map(|posting| posting.0));
    }

    /// All buckets that were written one behind the other; `None` if that is no such thing.
    pub fn read_buckets(mut bytes: &[u8]) -> Option<Vec<Bucket>> {
        let mut buckets = Vec::new();
        while !bytes.is_empty() {
            let (len, rest) = bytes.split_first_chunk()?;
            let len = (u32::from_le_bytes(*len) as usize).checked_mul(size_of::<Posting>())?;
            let (postings, rest) = rest.split_at_checked(len)?;
            buckets.push(postings.as_chunks().0.iter().copied().map(Posting).collect());
            bytes = rest;
        }
        Some(buckets)
    }

    /// The lists that have these buckets; `None` if these are none.
    pub fn from_buckets(buckets: Vec<Bucket>) -> Option<Self> {
        let len = buckets.iter().map(Vec::len).sum();
        (buckets.len() >= BUCKETS_MIN).then_some(PostingLists { buckets, len })
    }

    fn list(&self, key: PostingKey) -> impl Iterator<Item = Slot> {
        let wanted = Posting::new(key, 0);
        let bucket = self.buckets[self.bucket(key)].iter();
        bucket.filter(move |posting| posting.has_key_of(wanted)).map(|posting| posting.slot())
    }

    fn bucket(&self, key: PostingKey) -> usize {
        bucket_number(key, self.buckets.len())
    }

    /// Adds a bucket, and moves there what belongs there from the one that stood in for it.
    fn split(&mut self) {
        let added = self.buckets.len();
        let stand_in = added - (1 << added.ilog2());
        self.buckets.push(Vec::new());
        let mut postings = std::mem::take(&mut self.buckets[stand_in]);
        let is_moved = |posting: &mut Posting| self.bucket(posting.key(stand_in)) == added;
        let mut moved: Vec<Posting> = postings.extract_if(.., is_moved).collect();
        moved.shrink_to_fit();
        postings.shrink_to_fit();
        self.buckets[stand_in] = postings;
        self.buckets[added] = moved;
    }
}

/// The bucket of a key, of so many: its number is the last bits of the key, as many as all buckets'
/// numbers need, or one fewer where that bucket is still to come.
fn bucket_number(key: PostingKey, count: usize) -> usize {
    let numbers = count.next_power_of_two();
    let number = key as usize & (numbers - 1);
    if number < count { number } else { number - numbers / 2 }
}

/// Takes a bucket's postings, and gives what is left where equal keys have been looked at.
fn settled(postings: &mut Vec<u64>, stands_for: impl Fn(Slot, Slot) -> bool) -> Bucket {
    postings.sort_unstable();
    let mut kept: Vec<Posting> = Vec::with_capacity(postings.len());
    // Where the list of the key at hand begins.
    let mut first = 0;
    for &bits in postings.iter() {
        let posting = Posting::from_bits(bits);
        if kept.get(first).is_some_and(|other| !other.has_key_of(posting)) {
            first = kept.len();
        }
        let list = &kept[first..];
        let is_needed = !list.iter().any(|kept| stands_for(kept.slot(), posting.slot()));
        if is_needed && list.len() < LIST_LEN_MAX {
            kept.push(posting);
        }
    }
    postings.clear();
    kept.shrink_to_fit();
    kept
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
        let found = |lists: &PostingLists, key| {
            let mut slots = vec![];
            lists.find(key, &mut slots);
            slots.sort_unstable();
            slots
        };
        assert!(found(&lists, 7).is_empty());
        lists.remove(8, 3);
        lists.remove(8, 99);
        assert_eq!(found(&lists, 8), [0, 1, 2, 4]);
        lists.remove(7, 0);
        assert_eq!(found(&lists, 7), (1..LIST_LEN_MAX as Slot).collect::<Vec<_>>());
        assert!(found(&lists, 9).is_empty());
        assert_eq!(lists.len, LIST_LEN_MAX - 1 + 4);
    }

    #[test]
    fn every_posting_is_found_however_many_buckets_there_are() {
        let mut lists = PostingLists::default();
        let key = |number: u32| (number / 3).wrapping_mul(0x9e37_79b9);
        for number in 0..20_000 {
            lists.insert(key(number), number, |_| false);
            for known in [0, number / 2, number] {
                assert!(lists.list(key(known)).any(|slot| slot == known), "{number}");
            }
        }
        assert!(lists.buckets.len() > 2 * BUCKETS_MIN);
        let longest = lists.buckets.iter().map(Vec::len).max().unwrap();
        assert!(longest < 3 * BUCKET_LEN, "{longest}");
        for number in 0..20_000 {
            let mut found: Vec<Slot> = lists.list(key(number)).collect();
            found.sort_unstable();
            let first = number / 3 * 3;
            assert_eq!(found, (first..(first + 3).min(20_000)).collect::<Vec<_>>());
        }
        assert!((0..20_000).all(|number| lists.remove(key(number), number)));
        assert_eq!(lists.len, 0);
    }

    /// Under a key in every three there are more slots than a list may have, and every other slot
    /// stands for the one after it.
    #[test]
    fn settling_equals_inserting() {
        let keys = |slot: u32| [slot.wrapping_mul(0x9e37_79b9), slot / 100, slot % 7, slot / 2];
        let stands_for = |earlier: Slot, slot: Slot| earlier + 1 == slot && slot % 2 == 1;
        let (mut inserted, mut settled) = (PostingLists::default(), PostingLists::default());
        for slot in 0..30_000 {
            for key in keys(slot) {
                inserted.insert(key, slot, |earlier| stands_for(earlier, slot));
                settled.append(key, slot);
            }
        }
        settled.settle(stands_for);
        assert_eq!(settled.len, inserted.len);
        for key in (0..30_000).flat_map(keys) {
            let list = |lists: &PostingLists| {
                let mut slots: Vec<Slot> = lists.list(key).collect();
                slots.sort_unstable();
                slots
            };
            assert_eq!(list(&settled), list(&inserted), "{key}");
        }
        settled.insert(1 << 31, 7, |_| false);
        assert!(settled.list(1 << 31).eq([7]));
    }
}
