//! What a model knows, found by its hash: words to skip, and features with their weights.

use std::cmp::Reverse;
use std::ops::Range;

use crate::kernel::prefetch;

/// The features a model knows, and their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    slots: Slots,
    label_count: usize,
    /// For every slot a row of blocks: the hash of its feature, and then the weights of all labels.
    /// They stand together so that a look-up waits for memory once.
    rows: Vec<[i8; BLOCK]>,
    /// The bits that the upper bits of known hashes choose, four for every slot: so few that they
    /// stay in the first-level cache.
    filter: Vec<u64>,
    filter_shift: u32,
}

/// As many bytes as a hash has.
const BLOCK: usize = 8;

impl Table {
    /// Of hashes and, for each of them, the weights of all labels. `None` if two hashes are equal.
    pub fn new(hashes: &[u64], weights: &[i8], label_count: usize) -> Option<Self> {
        let HashSet { places, slots } = HashSet::new(hashes)?;
        let weights_of = hashes.iter().zip(weights.chunks_exact(label_count));
        let filter_bits = 4 * slots.len().max(16);
        let filter_shift = u64::BITS - filter_bits.ilog2();
        let mut filter = vec![0; filter_bits / 64];
        for hash in hashes {
            let bit = hash >> filter_shift;
            filter[(bit / 64) as usize] |= 1 << (bit % 64);
        }
        let rows = vec![[0; BLOCK]; slots.len() * (1 + label_count.div_ceil(BLOCK))];
        let mut table = Table { slots: places, label_count, rows, filter, filter_shift };
        for (slot, hash) in slots.into_iter().enumerate() {
            let row = table.blocks(slot as u32).start;
            table.rows[row] = hash.to_le_bytes().map(|byte| byte as i8);
        }
        for (&hash, weights) in weights_of {
            let blocks = table.blocks(table.place(hash));
            let row = &mut table.rows[blocks][1..];
            row.as_flattened_mut()[..label_count].copy_from_slice(weights);
        }
        Some(table)
    }

    /// The hashes of the features, ascending.
    pub fn hashes(&self) -> Vec<u64> {
        let rows = 0..(self.rows.len() / self.blocks(0).len()) as u32;
        let own = rows.map(|row| (row, self.hash(row)));
        let mut hashes: Vec<u64> =
            own.filter(|&(row, hash)| self.place(hash) == row).map(|(_, hash)| hash).collect();
        hashes.sort_unstable();
        hashes
    }

    /// The row of a feature, if the model knows it.
    #[inline(always)]
    pub fn find(&self, hash: u64) -> Option<u32> {
        let row = self.place(hash);
        self.has(row, hash).then_some(row)
    }

    /// Has what tells the row of a feature fetched.
    #[inline(always)]
    pub fn announce(&self, hash: u64) {
        prefetch(&self.slots.multipliers[self.slots.bucket(hash)]);
    }

    /// The row where a feature is, if it is anywhere; it is being fetched.
    #[inline(always)]
    pub fn fetch(&self, hash: u64) -> u32 {
        let row = self.place(hash);
        prefetch(&self.rows[self.blocks(row).start]);
        row
    }

    /// Whether a row is that of a feature.
    #[inline(always)]
    pub fn has(&self, row: u32, hash: u64) -> bool {
        self.hash(row) == hash
    }

    #[inline(always)]
    fn place(&self, hash: u64) -> u32 {
        self.slots.slot(hash) as u32
    }

    #[inline(always)]
    fn hash(&self, row: u32) -> u64 {
        u64::from_le_bytes(self.rows[self.blocks(row).start].map(|byte| byte as u8))
    }

    /// Whether a feature may be known. One that is not is told by this in six cases of seven, without
    /// the two look-ups of [`Self::find`].
    #[inline(always)]
    pub fn may_know(&self, hash: u64) -> bool {
        let bit = hash >> self.filter_shift;
        self.filter[(bit / 64) as usize] >> (bit % 64) & 1 != 0
    }

    /// What a feature weighs for every label.
    pub fn weights(&self, row: u32) -> &[i8] {
        &self.rows[self.blocks(row)][1..].as_flattened()[..self.label_count]
    }

    #[inline(always)]
    fn blocks(&self, row: u32) -> Range<usize> {
        let blocks_per_row = 1 + self.label_count.div_ceil(BLOCK);
        let start = row as usize * blocks_per_row;
        start..start + blocks_per_row
    }

    /// For every label the sum of its weights in `rows`, each times its factor.
    pub fn sums(&self, rows: &[(u32, i32)]) -> Vec<i32> {
        let blocks_per_row = self.label_count.div_ceil(BLOCK);
        let mut sums = Vec::with_capacity(blocks_per_row * BLOCK);
        for block in 0..blocks_per_row {
            let mut block_sums = [0i32; BLOCK];
            for &(row, factor) in rows {
                let weights = self.rows[self.blocks(row).start + 1 + block];
                // Factors take 11 bits: for products of two short numbers there are instructions.
                let factor = i32::from(factor as i16);
                for (sum, weight) in block_sums.iter_mut().zip(weights) {
                    *sum += factor * i32::from(i16::from(weight));
                }
            }
            sums.extend(block_sums);
        }
        sums.truncate(self.label_count);
        sums
    }
}

/// A set of hashes in which each has a slot to itself: a look-up compares once, and branches on
/// nothing. Whether the next word of an article is known cannot be foreseen, and a processor that
/// guesses is often wrong.
///
/// The upper bits of a hash choose a bucket. Every bucket has a multiplier that throws its hashes
/// into slots of their own (hash and displace; Belazzougui, Botelho and Dietzfelbinger 2009).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashSet {
    places: Slots,
    /// The hash that a slot was given to. In an empty slot stands one that has another slot.
    slots: Vec<u64>,
}

/// Which slot a hash has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slots {
    multipliers: Vec<u32>,
    bucket_shift: u32,
    slot_shift: u32,
}

impl Slots {
    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> self.bucket_shift) as usize
    }

    #[inline(always)]
    fn slot(&self, hash: u64) -> usize {
        let multiplier = self.multipliers[self.bucket(hash)];
        (hash.wrapping_mul(multiplier.into()) >> self.slot_shift) as usize
    }
}

/// Some ten multipliers are tried before one does. Hashes that none of so many can part are equal,
/// or nobody's hashes but numbers made to be alike.
const MULTIPLIERS_MAX: u32 = 1 << 16;

impl HashSet {
    /// `None` if two hashes are equal.
    pub fn new(hashes: &[u64]) -> Option<Self> {
        // At most two thirds of the slots are taken, and a bucket has few hashes.
        let slots_log2 = (hashes.len() + hashes.len() / 2).next_power_of_two().ilog2().max(3);
        let buckets_log2 = slots_log2 - 2;
        let places = Slots {
            multipliers: vec![1; 1 << buckets_log2],
            bucket_shift: u64::BITS - buckets_log2,
            slot_shift: u64::BITS - slots_log2,
        };
        let mut set = HashSet { places, slots: vec![0; 1 << slots_log2] };
        // Whatever the multiplier, a hash of 0 has the first slot and one of all ones the last.
        set.slots[0] = u64::MAX;
        // The upper bits are the bucket's number, so those of a bucket stand side by side.
        let mut sorted = hashes.to_vec();
        sorted.sort_unstable();
        let mut buckets: Vec<&[u64]> =
            sorted.chunk_by(|&a, &b| set.places.bucket(a) == set.places.bucket(b)).collect();
        // The largest come first, while there is most room.
        buckets.sort_by_key(|bucket| Reverse(bucket.len()));
        let mut is_taken = vec![false; set.slots.len()];
        for bucket in buckets {
            set.place(bucket, &mut is_taken)?;
        }
        Some(set)
    }

    /// Puts the hashes of a bucket into slots of their own.
    fn place(&mut self, hashes: &[u64], is_taken: &mut [bool]) -> Option<()> {
        let bucket = self.places.bucket(*hashes.first()?);
        for attempt in 0..MULTIPLIERS_MAX {
            // Odd numbers unlike each other.
            self.places.multipliers[bucket] = attempt.wrapping_mul(0x9e37_79b9) | 1;
            let places = &self.places;
            let take = |&&hash: &&u64| !std::mem::replace(&mut is_taken[places.slot(hash)], true);
            let placed = hashes.iter().take_while(take).count();
            if placed == hashes.len() {
                for &hash in hashes {
                    self.slots[self.places.slot(hash)] = hash;
                }
                return Some(());
            }
            for &hash in &hashes[..placed] {
                is_taken[self.places.slot(hash)] = false;
            }
        }
        None
    }

    /// Slots are numbered from 0 on.
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a hash, if it is in the set.
    #[inline(always)]
    pub fn find(&self, hash: u64) -> Option<u32> {
        let slot = self.places.slot(hash);
        (self.slots[slot] == hash).then_some(slot as u32)
    }

    #[inline(always)]
    pub fn contains(&self, hash: u64) -> bool {
        self.find(hash).is_some()
    }

    /// Ascending.
    pub fn hashes(&self) -> Vec<u64> {
        let slots = self.slots.iter().enumerate();
        let taken = slots.filter(|&(slot, &hash)| self.places.slot(hash) == slot);
        let mut hashes: Vec<u64> = taken.map(|(_, &hash)| hash).collect();
        hashes.sort_unstable();
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look like hashes.
    fn hashes(count: u64) -> Vec<u64> {
        (1..=count).map(|number| crate::text::bigram_hash(number, number)).collect()
    }

    #[test]
    fn a_set_finds_what_is_in_it_and_nothing_else() {
        for count in [0, 1, 2, 3, 5, 100, 40_000] {
            let mut hashes = hashes(2 * count);
            let strangers = hashes.split_off(count as usize);
            let set = HashSet::new(&hashes).unwrap();
            let slots: std::collections::HashSet<u32> =
                hashes.iter().map(|&hash| set.find(hash).unwrap()).collect();
            assert_eq!(slots.len(), hashes.len());
            assert!(!strangers.iter().any(|&hash| set.contains(hash)));
            hashes.sort_unstable();
            assert_eq!(set.hashes(), hashes);
        }
    }

    #[test]
    fn the_extreme_hashes_are_found_only_where_they_are() {
        let check = |hashes: &[u64]| {
            let set = HashSet::new(hashes).unwrap();
            for hash in [0, 1, u64::MAX - 1, u64::MAX] {
                assert_eq!(set.contains(hash), hashes.contains(&hash), "{hash} in {hashes:?}");
            }
        };
        check(&[]);
        check(&[0]);
        check(&[u64::MAX]);
        check(&[0, u64::MAX]);
        check(&hashes(50));
    }

    #[test]
    fn most_unknown_features_are_told_without_a_look_up() {
        let mut hashes = hashes(80_000);
        let strangers = hashes.split_off(40_000);
        let table = Table::new(&hashes, &vec![0; 40_000], 1).unwrap();
        assert!(hashes.iter().all(|&hash| table.may_know(hash)));
        let taken = strangers.iter().filter(|&&hash| table.may_know(hash)).count();
        assert!((4000..8000).contains(&taken), "{taken} of 40,000");
    }

    #[test]
    fn equal_hashes_are_refused() {
        assert_eq!(HashSet::new(&[7, 8, 7]), None);
        assert_eq!(Table::new(&[7, 7], &[1, 2], 1), None);
    }

    #[test]
    fn a_row_holds_the_weights_of_its_feature() {
        let hashes = hashes(9);
        for label_count in [1, 3, 4, 5, 9] {
            let weights: Vec<i8> = (0..9 * label_count as i8).map(|weight| weight - 40).collect();
            let table = Table::new(&hashes, &weights, label_count).unwrap();
            for (&hash, expected) in hashes.iter().zip(weights.chunks(label_count)) {
                let row = table.find(hash).unwrap();
                assert!(table.may_know(hash));
                assert_eq!(table.weights(row), expected);
                let expected: Vec<i32> =
                    expected.iter().map(|&weight| 3 * i32::from(weight)).collect();
                assert_eq!(table.sums(&[(row, 1), (row, 2)]), expected);
            }
        }
    }
}
