//! Posting lists: which slots a sampled shingle was seen in.

use std::thread::available_parallelism;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::lines::{LINE_BYTES, LISTS_FETCHED, Lines, List};
use crate::duplicates::PostingKey;
use crate::hamming::{SLOT_MAX, Slot};
use crate::kernel::prefetch;

/// A list that has grown this long is of a shingle that says nothing: boilerplate, an agency's
/// phrase. It is kept, so that memory is bounded, but neither grown further nor read.
pub const LIST_LEN_MAX: usize = 32;

/// Postings a bucket holds on average when the next one is split.
const BUCKET_LEN: usize = 24;

/// So many postings are worth another thread when all of them are settled.
const POSTINGS_PER_THREAD: usize = 1 << 18;

/// The fewest buckets there are.
const BUCKETS_MIN: usize = 1 << 8;

/// From so many buckets on a posting takes five bytes instead of six.
const BUCKETS_MANY: usize = 1 << 16;

/// Posting lists in buckets addressed by the last bits of the key. There is one more bucket
/// whenever the postings have become too many for those there are (Litwin, "Linear Hashing: A New
/// Tool for File and Table Addressing", VLDB 1980): no table is half empty, and no insertion waits
/// for a whole table to be moved but the one, in the life of a collection, that makes postings
/// narrower.
#[derive(Debug)]
pub struct PostingLists {
    packing: Packing,
    buckets: Vec<List>,
    lines: Lines,
    len: usize,
    /// What was appended and is not settled, by the last bits of its keys. Mostly there is none.
    appended: Vec<Vec<Appended>>,
}

/// What is kept of a key: the bits that not every bucket's number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packing {
    /// The last bits of the key, which are told.
    told_bits: u32,
}

impl Packing {
    /// For so many buckets.
    fn of(bucket_count: usize) -> Self {
        let told = if bucket_count < BUCKETS_MANY { BUCKETS_MIN } else { BUCKETS_MANY };
        Packing { told_bits: told.ilog2() }
    }

    fn lines(self) -> Lines {
        Lines::new((PostingKey::BITS - self.told_bits).div_ceil(u8::BITS) as usize)
    }

    fn kept(self, key: PostingKey) -> u32 {
        key >> self.told_bits
    }

    /// The key of which this is kept in a bucket of this number.
    fn key(self, kept: u32, bucket: usize) -> PostingKey {
        kept << self.told_bits | (bucket & ((1 << self.told_bits) - 1)) as PostingKey
    }
}

/// The first 24 bits of a key, and a slot.
#[derive(Debug, Clone, Copy)]
struct Appended([u8; 6]);

impl Appended {
    fn new(kept: u32, slot: Slot) -> Self {
        let [a, b, c, d, e, f, ..] = (u64::from(kept) << SLOT_BITS | u64::from(slot)).to_le_bytes();
        Appended([a, b, c, d, e, f])
    }

    /// Orders by key, then by slot.
    fn posting(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

const SLOT_BITS: u32 = Slot::BITS - SLOT_MAX.leading_zeros();

/// What is kept of the key of an appended posting, and its slot.
fn kept_and_slot(posting: u64) -> (u32, Slot) {
    ((posting >> SLOT_BITS) as u32, posting as Slot & SLOT_MAX)
}

impl Default for PostingLists {
    fn default() -> Self {
        PostingLists::with_buckets(BUCKETS_MIN)
    }
}

impl PostingLists {
    fn with_buckets(count: usize) -> Self {
        let packing = Packing::of(count);
        PostingLists {
            packing,
            buckets: vec![List::EMPTY; count],
            lines: packing.lines(),
            len: 0,
            appended: Vec::new(),
        }
    }

    /// Adds a slot under a key, unless one that `stands_for_it` is there already.
    pub fn insert(&mut self, key: PostingKey, slot: Slot, stands_for_it: impl Fn(Slot) -> bool) {
        debug_assert!(slot <= SLOT_MAX);
        let mut len = 0;
        for other in self.list(key) {
            if stands_for_it(other) {
                return;
            }
            len += 1;
        }
        if len < LIST_LEN_MAX {
            self.put(self.bucket(key), key, slot);
            if self.len > self.buckets.len() * BUCKET_LEN {
                self.split();
            }
        }
    }

    fn put(&mut self, bucket: usize, key: PostingKey, slot: Slot) {
        self.lines.push(&mut self.buckets[bucket], self.packing.kept(key), slot);
        self.len += 1;
    }

    /// Adds a slot under a key without a look at what is there. It cannot be found until
    /// [`Self::settle`] is called.
    pub fn append(&mut self, key: PostingKey, slot: Slot) {
        debug_assert!(slot <= SLOT_MAX);
        self.appended.resize(BUCKETS_MIN, Vec::new());
        let kept = Packing::of(BUCKETS_MIN).kept(key);
        self.appended[key as usize % BUCKETS_MIN].push(Appended::new(kept, slot));
    }

    /// Makes of what was appended, to empty lists, what inserting it in the order of the slots
    /// would have made. `stands_for` tells whether a slot is not needed under a key where an
    /// earlier one is.
    ///
    /// Appending to few long lists and then cutting each of them up at once is many times faster
    /// than inserting, where every posting has to wait for memory. Several threads share the work.
    pub fn settle(&mut self, stands_for: impl Fn(Slot, Slot) -> bool + Sync) {
        let appended = std::mem::take(&mut self.appended);
        let len: usize = appended.iter().map(Vec::len).sum();
        *self = PostingLists::with_buckets(BUCKETS_MIN.max(len / BUCKET_LEN));
        let count = self.buckets.len();
        let few = Packing::of(BUCKETS_MIN);
        let threads = available_parallelism().map_or(1, usize::from);
        let threads = threads.min(1 + len / POSTINGS_PER_THREAD);
        let appended = Mutex::new(appended.into_iter().enumerate());
        std::thread::scope(|scope| {
            let (sender, all_settled) = std::sync::mpsc::sync_channel(0);
            for _ in 0..threads {
                let (sender, appended, stands_for) = (sender.clone(), &appended, &stands_for);
                scope.spawn(move || {
                    let mut parts: Vec<Vec<u64>> = vec![Vec::new(); count.div_ceil(BUCKETS_MIN)];
                    let next = || appended.lock().next();
                    while let Some((number, postings)) = next() {
                        // All buckets that these postings go to have this number as their last
                        // bits.
                        for posting in postings.into_iter().map(Appended::posting) {
                            let (kept, _) = kept_and_slot(posting);
                            let bucket = bucket_number(few.key(kept, number), count);
                            parts[bucket / BUCKETS_MIN].push(posting);
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
                    let bucket = part * BUCKETS_MIN + number;
                    for (kept, slot) in postings.into_iter().map(kept_and_slot) {
                        self.put(bucket, few.key(kept, number), slot);
                    }
                }
            }
        });
    }

    /// Has these keys' buckets fetched.
    pub fn fetch(&self, keys: &[PostingKey]) {
        for keys in keys.chunks(LISTS_FETCHED) {
            keys.iter().for_each(|&key| prefetch(&self.buckets[self.bucket(key)]));
            self.lines.fetch(keys.iter().map(|&key| self.buckets[self.bucket(key)]));
        }
    }

    /// Removes a posting; tells whether it was there.
    pub fn remove(&mut self, key: PostingKey, slot: Slot) -> bool {
        let bucket = self.bucket(key);
        let kept = self.packing.kept(key);
        let is_removed = self.lines.remove(&mut self.buckets[bucket], kept, slot);
        self.len -= usize::from(is_removed);
        is_removed
    }

    pub fn contains(&self, key: PostingKey, slot: Slot) -> bool {
        self.list(key).any(|other| other == slot)
    }

    /// Appends the slots under a key, unless they are too many to mean anything.
    pub fn find(&self, key: PostingKey, found: &mut Vec<Slot>) {
        let start = found.len();
        found.extend(self.list(key));
        if found.len() - start >= LIST_LEN_MAX {
            found.truncate(start);
        }
    }

    /// What is to be known before the buckets and lines are read.
    pub fn outline(&self) -> Outline {
        Outline {
            bucket_count: self.buckets.len() as u64,
            line_count: self.lines.count() as u64,
            len: self.len as u64,
            free: self.lines.free(),
        }
    }

    /// All buckets in order, and all lines.
    pub fn parts(&self) -> (&[List], &Lines) {
        (&self.buckets, &self.lines)
    }

    fn list(&self, key: PostingKey) -> impl Iterator<Item = Slot> {
        self.lines.find(self.buckets[self.bucket(key)], self.packing.kept(key))
    }

    fn bucket(&self, key: PostingKey) -> usize {
        bucket_number(key, self.buckets.len())
    }

    /// Adds a bucket, and moves there what belongs there from the one that stood in for it.
    fn split(&mut self) {
        let added = self.buckets.len();
        let stand_in = added - (1 << added.ilog2());
        self.buckets.push(List::EMPTY);
        let mut postings = Vec::with_capacity(4 * BUCKET_LEN);
        let list = std::mem::replace(&mut self.buckets[stand_in], List::EMPTY);
        self.lines.drain(list, &mut postings);
        for (kept, slot) in postings {
            let bucket = self.bucket(self.packing.key(kept, stand_in));
            self.lines.push(&mut self.buckets[bucket], kept, slot);
        }
        if Packing::of(self.buckets.len()) != self.packing {
            self.repack();
        }
    }

    /// Packs all postings as so many buckets allow.
    fn repack(&mut self) {
        let packing = Packing::of(self.buckets.len());
        let mut lines = packing.lines();
        for (number, bucket) in self.buckets.iter_mut().enumerate() {
            let before = std::mem::replace(bucket, List::EMPTY);
            for (kept, slot) in self.lines.items(before) {
                lines.push(bucket, packing.kept(self.packing.key(kept, number)), slot);
            }
        }
        (self.packing, self.lines) = (packing, lines);
    }
}

/// How many buckets, lines and postings there are, and which line is free.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Outline {
    bucket_count: u64,
    line_count: u64,
    len: u64,
    free: List,
}

/// Posting lists that are being read.
pub struct Reading {
    outline: Outline,
    buckets: Vec<List>,
    lines: Lines,
}

impl Reading {
    pub fn new(outline: Outline) -> Self {
        let packing = Packing::of(outline.bucket_count as usize);
        Reading { outline, buckets: Vec::new(), lines: packing.lines() }
    }

    pub fn needs_more(&self) -> bool {
        let Outline { bucket_count, line_count, .. } = self.outline;
        (self.buckets.len() as u64) < bucket_count || (self.lines.count() as u64) < line_count
    }

    pub fn add_buckets(&mut self, buckets: &[List]) {
        self.buckets.extend_from_slice(buckets);
    }

    pub fn add_lines(&mut self, lines: &[[u8; LINE_BYTES]]) {
        self.lines.extend(lines);
    }

    /// `None` if what was read is of no posting lists.
    pub fn finish(self) -> Option<PostingLists> {
        let Reading { outline, buckets, lines } = self;
        let line_count = lines.count();
        let is_whole = buckets.len() as u64 == outline.bucket_count
            && buckets.len() >= BUCKETS_MIN
            && line_count as u64 == outline.line_count
            && buckets.iter().all(|&bucket| bucket.is_among(line_count));
        let lines = is_whole.then(|| lines.with_free(outline.free))??;
        let packing = Packing::of(buckets.len());
        Some(PostingLists { packing, buckets, lines, len: outline.len as usize, appended: vec![] })
    }
}

/// The bucket of a key, of so many: its number is the last bits of the key, as many as all buckets'
/// numbers need, or one fewer where that bucket is still to come.
fn bucket_number(key: PostingKey, count: usize) -> usize {
    let numbers = count.next_power_of_two();
    let number = key as usize & (numbers - 1);
    if number < count { number } else { number - numbers / 2 }
}

/// Takes postings of one bucket, and gives what is left where equal keys have been looked at.
fn settled(postings: &mut Vec<u64>, stands_for: impl Fn(Slot, Slot) -> bool) -> Vec<u64> {
    postings.sort_unstable();
    let mut kept: Vec<u64> = Vec::with_capacity(postings.len());
    // Where the list of the key at hand begins.
    let mut first = 0;
    for &posting in postings.iter() {
        let (key, slot) = kept_and_slot(posting);
        if kept.get(first).is_some_and(|&other| kept_and_slot(other).0 != key) {
            first = kept.len();
        }
        let list = &kept[first..];
        let is_needed = !list.iter().any(|&earlier| stands_for(kept_and_slot(earlier).1, slot));
        if is_needed && list.len() < LIST_LEN_MAX {
            kept.push(posting);
        }
    }
    postings.clear();
    kept
}

#[cfg(test)]
mod tests {
    use super::super::lines::Line;
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
        let len = |&bucket: &List| lists.lines.items(bucket).count();
        let longest = lists.buckets.iter().map(len).max().unwrap();
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

    /// A key of every posting, by a number that tells which posting it is.
    fn keys(slots: std::ops::Range<Slot>) -> impl Iterator<Item = (PostingKey, Slot)> {
        slots.map(|slot| (slot.wrapping_mul(0x9e37_79b9), slot))
    }

    #[test]
    fn postings_stay_what_they_were_when_they_become_narrower() {
        let len = (BUCKETS_MANY * BUCKET_LEN) as Slot;
        let (before, after) = (len - 64, len + 64);
        let mut lists = PostingLists::default();
        keys(0..before).for_each(|(key, slot)| lists.append(key, slot));
        lists.settle(|_, _| false);
        let wide = lists.packing;
        keys(before..after).for_each(|(key, slot)| lists.insert(key, slot, |_| false));
        assert_ne!(lists.packing, wide);
        assert_eq!(lists.len, after as usize);
        for (key, slot) in keys(0..after) {
            assert!(lists.list(key).eq([slot]), "{slot}");
        }
    }

    #[test]
    fn what_is_removed_leaves_room() {
        let mut lists = PostingLists::default();
        keys(0..50_000).for_each(|(key, slot)| lists.insert(key, slot, |_| false));
        let count = lists.lines.count();
        for first in (0..200_000).step_by(1000) {
            keys(first..first + 1000).for_each(|(key, slot)| assert!(lists.remove(key, slot)));
            let added = keys(first + 50_000..first + 51_000);
            added.for_each(|(key, slot)| lists.insert(key, slot, |_| false));
        }
        assert!(lists.lines.count() < count + count / 8, "{count}, {}", lists.lines.count());
        for (key, slot) in keys(200_000..250_000) {
            assert!(lists.contains(key, slot), "{slot}");
        }
    }

    fn read(lists: &PostingLists, change: impl FnOnce(&mut Reading)) -> Option<PostingLists> {
        let (buckets, lines) = lists.parts();
        let mut reading = Reading::new(lists.outline());
        assert!(reading.needs_more());
        buckets.chunks(100).for_each(|some| reading.add_buckets(some));
        for some in lines.chunks(100) {
            reading.add_lines(&some.iter().map(Line::bytes).collect::<Vec<_>>());
        }
        assert!(!reading.needs_more());
        change(&mut reading);
        reading.finish()
    }

    #[test]
    fn what_was_written_is_read() {
        let mut lists = PostingLists::default();
        keys(0..20_000).for_each(|(key, slot)| lists.insert(key, slot, |_| false));
        let mut found = read(&lists, |_| ()).unwrap();
        keys(20_000..40_000).for_each(|(key, slot)| found.insert(key, slot, |_| false));
        assert!(keys(0..40_000).all(|(key, slot)| found.contains(key, slot)));
        assert_eq!(found.len, 40_000);

        assert!(read(&lists, |reading| reading.buckets.truncate(9)).is_none());
        assert!(read(&lists, |reading| reading.add_lines(&[[0; LINE_BYTES]])).is_none());
        let nowhere = List::from_bytes(u32::to_le_bytes(1 << 20));
        assert!(read(&lists, |reading| reading.buckets[7] = nowhere).is_none());
        assert!(read(&lists, |reading| reading.outline.free = nowhere).is_none());
    }
}
