//! Exact Hamming range search over 64-bit codes, in memory: [`HammingIndex::search`] visits every
//! stored code at distance `<= radius`, for every radius from 0 to 64, whatever the codes are.
//!
//! Multi-index hashing (Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index
//! Hashing", CVPR 2012): a code is cut into four blocks of 16 bits and filed under each. If two
//! codes differ in at most `4 q + s` bits (`s < 4`), then one of the first `s + 1` blocks differs
//! in at most `q` bits, or one of the others in at most `q - 1`; so only the buckets within those
//! distances of the query's own blocks have to be read. Where that would be more work than looking
//! at every code, every code is looked at.

use std::collections::HashMap;
use std::ops::ControlFlow;

/// The caller's name for what a code belongs to, at most [`SLOT_MAX`].
pub type Slot = u32;

/// The largest slot: three bytes are kept of it.
pub const SLOT_MAX: Slot = (1 << 24) - 1;

/// A multiset of (code, slot) pairs.
#[derive(Debug, Default)]
pub struct HammingIndex {
    codes: Codes,
    /// The slots of a code after its first, which alone is in the postings: a text that came a
    /// hundred thousand times is looked at once.
    same_code: HashMap<u64, Vec<Slot>>,
    len: usize,
}

/// The distinct codes, each with its first slot.
#[derive(Debug)]
enum Codes {
    /// Few enough to look at them all.
    Few(Vec<(u64, Slot)>),
    /// Every code four times, under each of its blocks: in bucket `block * BUCKETS + value`.
    Blocks { buckets: Vec<Vec<Posting>>, len: usize },
}

impl Default for Codes {
    fn default() -> Self {
        Codes::Few(Vec::new())
    }
}

/// A code and a slot in the bucket of one of the code's blocks: the slot in the upper 24 bits, the
/// code's other 48 bits below, little-endian.
#[derive(Debug, Clone, Copy)]
struct Posting([u8; 9]);

impl Posting {
    fn new(code: u64, block: u32, slot: Slot) -> Self {
        let mut bytes = [0; 9];
        bytes[..6].copy_from_slice(&rest_of(code, block).to_le_bytes()[..6]);
        bytes[6..].copy_from_slice(&slot.to_le_bytes()[..3]);
        Posting(bytes)
    }

    /// The code without the block, as [`rest_of`] makes it.
    #[inline(always)]
    fn rest(self) -> u64 {
        let [a, b, c, d, e, f, g, h, _] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) & ((1 << REST_BITS) - 1)
    }

    fn slot(self) -> Slot {
        let [.., a, b, c] = self.0;
        Slot::from_le_bytes([a, b, c, 0])
    }

    /// The code, in the bucket of a block's value.
    fn code(self, block: u32, value: usize) -> u64 {
        let (rest, below) = (self.rest(), bits_below(block));
        rest & below | (value as u64) << (block * BLOCK_BITS) | (rest & !below) << BLOCK_BITS
    }
}

/// A code without one of its blocks: 48 bits.
fn rest_of(code: u64, block: u32) -> u64 {
    let below = bits_below(block);
    code & below | code >> BLOCK_BITS & !below
}

fn bits_below(block: u32) -> u64 {
    (1 << (block * BLOCK_BITS)) - 1
}

const BLOCKS: u32 = 4;
const BLOCK_BITS: u32 = 16;
const BUCKETS: usize = 1 << BLOCK_BITS;
const REST_BITS: u32 = u64::BITS - BLOCK_BITS;

/// The blocks' bookkeeping takes 6 MiB, which a small collection is not worth.
const FEW_MAX: usize = 8192;

/// A scan of all codes is done in so many parts: of ten million, each takes a tenth of a millisecond.
const SCAN_PARTS: usize = 64;

/// Opening a bucket costs about as much as comparing this many codes.
const PROBE_COST: usize = 16;

fn bucket_of(code: u64, block: u32) -> usize {
    block as usize * BUCKETS + block_value(code, block)
}

fn block_value(code: u64, block: u32) -> usize {
    (code >> (block * BLOCK_BITS)) as usize & (BUCKETS - 1)
}

impl HammingIndex {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// An index of many codes, as if they had been inserted one after another. It takes a small
    /// part of the time: every bucket is made in its final size, and is written to in order.
    pub fn from_codes(codes: impl Iterator<Item = (u64, Slot)> + Clone) -> Self {
        let mut index = HammingIndex::default();
        if codes.clone().nth(FEW_MAX).is_none() {
            codes.for_each(|(code, slot)| index.insert(code, slot));
            return index;
        }
        let mut buckets = vec![Vec::new(); BLOCKS as usize * BUCKETS];
        let (first_block, other_blocks) = buckets.split_at_mut(BUCKETS);
        file(first_block, 0, codes.inspect(|(_, slot)| assert!(*slot <= SLOT_MAX)));
        for (value, bucket) in first_block.iter_mut().enumerate() {
            index.len += bucket.len();
            // The sort is stable: of equal codes the first stays the first.
            bucket.sort_by_key(|posting| posting.rest());
            bucket.dedup_by(|later, first| {
                let is_same = later.rest() == first.rest();
                if is_same {
                    let others = index.same_code.entry(first.code(0, value)).or_default();
                    others.push(later.slot());
                }
                is_same
            });
            bucket.shrink_to_fit();
        }
        let distinct = first_block.iter().enumerate().flat_map(|(value, bucket)| {
            bucket.iter().map(move |posting| (posting.code(0, value), posting.slot()))
        });
        let len = distinct.clone().count();
        for (block, buckets) in (1..BLOCKS).zip(other_blocks.chunks_mut(BUCKETS)) {
            file(buckets, block, distinct.clone());
        }
        index.codes = Codes::Blocks { buckets, len };
        index
    }

    /// Adds a slot. A slot may be in the index only once.
    ///
    /// # Panics
    ///
    /// If the slot is larger than [`SLOT_MAX`].
    pub fn insert(&mut self, code: u64, slot: Slot) {
        assert!(slot <= SLOT_MAX, "slot {slot} is too large");
        self.len += 1;
        match self.codes.first(code) {
            Some(_) => self.same_code.entry(code).or_default().push(slot),
            None => self.codes.insert(code, slot),
        }
    }

    /// Removes a slot that was inserted with this code; tells whether it was there.
    pub fn remove(&mut self, code: u64, slot: Slot) -> bool {
        let Some(first) = self.codes.first(code) else { return false };
        let others = self.same_code.get_mut(&code);
        match others {
            None if first == slot => self.codes.remove(code),
            None => return false,
            Some(others) => {
                if first == slot {
                    self.codes.set_first(code, others.remove(0));
                } else {
                    let Some(at) = others.iter().position(|&other| other == slot) else {
                        return false;
                    };
                    others.remove(at);
                }
                if others.is_empty() {
                    self.same_code.remove(&code);
                }
            }
        }
        self.len -= 1;
        true
    }

    /// The slots of one code, in the order of their insertion.
    pub fn slots_of(&self, code: u64) -> impl Iterator<Item = Slot> {
        let others = self.same_code.get(&code).into_iter().flatten().copied();
        self.codes.first(code).into_iter().chain(others)
    }

    /// Calls `visit` with every slot whose code is at most `radius` bits from `code`, and its
    /// distance, in no particular order but slots of one code in the order of their insertion,
    /// until `visit` breaks.
    pub fn search(
        &self,
        code: u64,
        radius: u32,
        mut visit: impl FnMut(Slot, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut search = Search::new(code, radius);
        while !search.is_done() {
            self.resume(&mut search, &mut visit)?;
        }
        ControlFlow::Continue(())
    }

    /// Does a part of a search. What is in the index from the first part to the last is visited
    /// once, whatever else is inserted or removed between them.
    pub fn resume(
        &self,
        search: &mut Search,
        mut visit: impl FnMut(Slot, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.codes.resume(search, &mut |code, slot, distance| {
            visit(slot, distance)?;
            let others = self.same_code.get(&code).into_iter().flatten();
            others.copied().try_for_each(|slot| visit(slot, distance))
        })
    }
}

/// A search that can be done in parts, so that others need not wait for the whole of it.
#[derive(Debug, Clone)]
pub struct Search {
    code: u64,
    radius: u32,
    todo: Todo,
}

#[derive(Debug, Clone)]
enum Todo {
    /// Nothing was looked at yet.
    Everything,
    /// The buckets of the first block, from this one on, are to be looked at one by one.
    Buckets(usize),
    /// The blocks from this one on are to be probed.
    Blocks(u32),
    Nothing,
}

impl Search {
    pub fn new(code: u64, radius: u32) -> Self {
        Search { code, radius, todo: Todo::Everything }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.todo, Todo::Nothing)
    }
}

/// Adds to a list that is one of very many: doubling would leave a third of the memory unused.
fn push_tightly<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
    list.push(item);
}

/// Removes from a list that is one of very many, and gives back what it no longer needs.
fn remove_tightly<T>(list: &mut Vec<T>, at: usize) {
    list.swap_remove(at);
    if list.len() < list.capacity() / 2 {
        list.shrink_to(list.len() + list.len() / 8);
    }
}

/// Files codes under one of their blocks, in buckets of just the size.
fn file(
    buckets: &mut [Vec<Posting>],
    block: u32,
    codes: impl Iterator<Item = (u64, Slot)> + Clone,
) {
    let mut lens = vec![0; BUCKETS];
    codes.clone().for_each(|(code, _)| lens[block_value(code, block)] += 1);
    for (bucket, len) in buckets.iter_mut().zip(lens) {
        bucket.reserve_exact(len);
    }
    codes.for_each(|(code, slot)| {
        buckets[block_value(code, block)].push(Posting::new(code, block, slot));
    });
}

impl Codes {
    fn first(&self, code: u64) -> Option<Slot> {
        match self {
            Codes::Few(codes) => {
                codes.iter().find(|&&(other, _)| other == code).map(|&(_, slot)| slot)
            }
            Codes::Blocks { buckets, .. } => {
                let bucket = &buckets[bucket_of(code, 0)];
                find(bucket, rest_of(code, 0)).map(|at| bucket[at].slot())
            }
        }
    }

    fn set_first(&mut self, code: u64, first: Slot) {
        match self {
            Codes::Few(codes) => {
                let same = codes.iter_mut().filter(|(other, _)| *other == code);
                same.for_each(|(_, slot)| *slot = first);
            }
            Codes::Blocks { buckets, .. } => {
                change_buckets(buckets, code, |bucket, block, at| {
                    bucket[at] = Posting::new(code, block, first);
                });
            }
        }
    }

    fn insert(&mut self, code: u64, slot: Slot) {
        if let Codes::Few(codes) = self
            && codes.len() == FEW_MAX
        {
            let few = std::mem::take(codes);
            let buckets = vec![Vec::new(); BLOCKS as usize * BUCKETS];
            *self = Codes::Blocks { buckets, len: 0 };
            few.into_iter().for_each(|(code, slot)| self.insert(code, slot));
        }
        match self {
            Codes::Few(codes) => codes.push((code, slot)),
            Codes::Blocks { buckets, len } => {
                for block in 0..BLOCKS {
                    let bucket = &mut buckets[bucket_of(code, block)];
                    push_tightly(bucket, Posting::new(code, block, slot));
                }
                *len += 1;
            }
        }
    }

    /// Removes a code that is there.
    fn remove(&mut self, code: u64) {
        match self {
            Codes::Few(codes) => codes.retain(|&(other, _)| other != code),
            Codes::Blocks { buckets, len } => {
                change_buckets(buckets, code, |bucket, _, at| remove_tightly(bucket, at));
                *len -= 1;
            }
        }
    }

    fn resume(
        &self,
        search: &mut Search,
        visit: &mut impl FnMut(u64, Slot, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (code, radius) = (search.code, search.radius);
        let (buckets, len) = match self {
            Codes::Few(codes) => {
                search.todo = Todo::Nothing;
                return codes.iter().try_for_each(|&(other, slot)| {
                    let distance = (other ^ code).count_ones();
                    if distance > radius {
                        return ControlFlow::Continue(());
                    }
                    visit(other, slot, distance)
                });
            }
            Codes::Blocks { buckets, len } => (buckets, *len),
        };
        if let Todo::Everything = search.todo {
            let is_probing_cheaper = probes_cost(radius, len) < len;
            search.todo = if is_probing_cheaper { Todo::Blocks(0) } else { Todo::Buckets(0) };
        }
        match search.todo {
            Todo::Everything | Todo::Nothing => ControlFlow::Continue(()),
            Todo::Buckets(from) => {
                let end = from + BUCKETS / SCAN_PARTS;
                search.todo = if end < BUCKETS { Todo::Buckets(end) } else { Todo::Nothing };
                (from..end).try_for_each(|value| {
                    visit_bucket(&buckets[value], code, radius, 0, value, &mut *visit)
                })
            }
            Todo::Blocks(block) => {
                search.todo =
                    if block + 1 < BLOCKS { Todo::Blocks(block + 1) } else { Todo::Nothing };
                probe(buckets, code, radius, block, |other, slot, distance| {
                    // What an earlier block's probes have met is not to be visited again.
                    let differs = other ^ code;
                    let met = (0..block).any(|earlier| {
                        let distance = block_value(differs, earlier).count_ones();
                        probe_radius(radius, earlier).is_some_and(|reach| distance <= reach)
                    });
                    if met { ControlFlow::Continue(()) } else { visit(other, slot, distance) }
                })
            }
        }
    }
}

/// Where in a bucket the code is of which this is the rest.
fn find(bucket: &[Posting], rest: u64) -> Option<usize> {
    bucket.iter().position(|posting| posting.rest() == rest)
}

/// Applies a change to each of the four buckets that hold a code, at its place there.
fn change_buckets(
    buckets: &mut [Vec<Posting>],
    code: u64,
    mut change: impl FnMut(&mut Vec<Posting>, u32, usize),
) {
    for block in 0..BLOCKS {
        let bucket = &mut buckets[bucket_of(code, block)];
        if let Some(at) = find(bucket, rest_of(code, block)) {
            change(bucket, block, at);
        }
    }
}

/// Visits the codes within the radius in the bucket of a block's value.
#[inline]
fn visit_bucket(
    bucket: &[Posting],
    code: u64,
    radius: u32,
    block: u32,
    value: usize,
    mut visit: impl FnMut(u64, Slot, u32) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let rest = rest_of(code, block);
    let flipped = (block_value(code, block) ^ value).count_ones();
    for posting in bucket {
        let distance = flipped + (posting.rest() ^ rest).count_ones();
        if distance <= radius {
            visit(posting.code(block, value), posting.slot(), distance)?;
        }
    }
    ControlFlow::Continue(())
}

/// How far from the query's own value a block's buckets have to be read.
fn probe_radius(radius: u32, block: u32) -> Option<u32> {
    let (q, s) = (radius / BLOCKS, radius % BLOCKS);
    if block <= s { Some(q) } else { q.checked_sub(1) }
}

/// Visits the codes within the radius in the buckets of a block that are at most its probe radius
/// away from the query's.
fn probe(
    buckets: &[Vec<Posting>],
    code: u64,
    radius: u32,
    block: u32,
    mut visit: impl FnMut(u64, Slot, u32) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(reach) = probe_radius(radius, block) else { return ControlFlow::Continue(()) };
    let buckets = &buckets[block as usize * BUCKETS..][..BUCKETS];
    let home = block_value(code, block);
    for flipped_bits in 0..=reach.min(BLOCK_BITS) {
        for flips in words_with_bits(flipped_bits) {
            let value = home ^ flips;
            visit_bucket(&buckets[value], code, radius, block, value, &mut visit)?;
        }
    }
    ControlFlow::Continue(())
}

/// All 16-bit words with that many bits set, ascending: Gosper's hack.
fn words_with_bits(bits: u32) -> impl Iterator<Item = usize> {
    let first = (1usize << bits) - 1;
    std::iter::successors(Some(first), |&word| {
        let lowest = word & word.wrapping_neg();
        let ripple = word + lowest;
        (lowest != 0).then(|| ripple | (((word ^ ripple) >> 2) / lowest))
    })
    .take_while(|&word| word < BUCKETS)
}

/// The expected cost of probing, in comparisons of codes.
fn probes_cost(radius: u32, codes: usize) -> usize {
    let probes: usize = (0..BLOCKS)
        .filter_map(|block| probe_radius(radius, block))
        .flat_map(|reach| 0..=reach.min(BLOCK_BITS))
        .map(|bits| binomial(BLOCK_BITS, bits))
        .sum();
    probes * (PROBE_COST + codes / BUCKETS)
}

fn binomial(n: u32, k: u32) -> usize {
    (0..k).fold(1, |product, i| product * (n - i) as usize / (i + 1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn found(index: &HammingIndex, code: u64, radius: u32) -> Vec<(Slot, u32)> {
        let mut found = Vec::new();
        let _ = index.search(code, radius, |slot, distance| {
            found.push((slot, distance));
            ControlFlow::Continue(())
        });
        found.sort_unstable();
        found
    }

    fn linear_scan(codes: &BTreeSet<(Slot, u64)>, code: u64, radius: u32) -> Vec<(Slot, u32)> {
        let distances = codes.iter().map(|&(slot, other)| (slot, (other ^ code).count_ones()));
        distances.filter(|&(_, distance)| distance <= radius).collect()
    }

    fn flip_bits(code: u64, bits: u32, random: &mut SplitMix64) -> u64 {
        let mut flipped = code;
        while (flipped ^ code).count_ones() < bits {
            flipped ^= (1 << (random.next() % 64)) & !(flipped ^ code);
        }
        flipped
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(found(&HammingIndex::default(), 0, 64), []);
        assert!(!HammingIndex::default().remove(0, 0));
    }

    #[test]
    fn identical_codes_are_all_found_and_removed_one_by_one() {
        let mut index = HammingIndex::default();
        (0..5).for_each(|slot| index.insert(7, slot));
        for gone in [2, 4, 0, 1, 3] {
            assert!(index.remove(7, gone));
            assert!(!index.remove(7, gone));
            assert!(found(&index, 7, 0).iter().all(|&(slot, _)| slot != gone));
        }
        assert!(index.is_empty());
        assert_eq!(found(&index, 7, 64), []);
    }

    #[test]
    fn a_breaking_visit_ends_the_search() {
        let mut index = HammingIndex::default();
        (0..100).for_each(|slot| index.insert(u64::from(slot % 3), slot));
        let mut visits = 0;
        let flow = index.search(0, 64, |_, _| {
            visits += 1;
            if visits == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((visits, flow), (10, ControlFlow::Break(())));
    }

    /// Twelve thousand codes fill the blocks: random ones, ones that share three of their blocks,
    /// and many copies of one.
    #[test]
    fn equals_a_linear_scan_at_every_radius() {
        let mut random = SplitMix64(1);
        let mut codes = BTreeSet::new();
        let mut index = HammingIndex::default();
        let mut all = Vec::new();
        for slot in 0..3 * FEW_MAX as u32 / 2 {
            let code = match slot % 4 {
                0 | 1 => random.next(),
                2 => random.next() & 0xffff | 0x1234_5678_9abc_0000,
                _ => random.next() % 40,
            };
            index.insert(code, slot);
            codes.insert((slot, code));
            all.push((code, slot));
        }
        let mut at_once = HammingIndex::from_codes(all.into_iter());
        for (slot, code) in codes.clone().into_iter().filter(|(slot, _)| slot % 5 == 0) {
            assert!(index.remove(code, slot));
            assert!(at_once.remove(code, slot));
            codes.remove(&(slot, code));
        }
        assert_eq!(index.len(), codes.len());
        assert_eq!(at_once.len(), codes.len());
        for radius in 0..=64 {
            let query =
                flip_bits(codes.iter().nth(radius as usize).unwrap().1, radius, &mut random);
            for query in [query, random.next(), 0x1234_5678_9abc_0000, 3] {
                let expected = linear_scan(&codes, query, radius);
                for index in [&index, &at_once] {
                    let found = found(index, query, radius);
                    assert_eq!(found, expected, "radius {radius}, query {query:#x}");
                }
            }
        }
    }

    #[test]
    fn slots_of_one_code_are_visited_in_order_however_the_index_was_made() {
        let codes = |slot: Slot| (u64::from(slot) % 5000) << 40;
        let all = (0..20_000).map(|slot| (codes(slot), slot));
        let mut one_by_one = HammingIndex::default();
        all.clone().for_each(|(code, slot)| one_by_one.insert(code, slot));
        for index in [one_by_one, HammingIndex::from_codes(all)] {
            let mut slots = Vec::new();
            let _ = index.search(codes(7), 0, |slot, _| {
                slots.push(slot);
                ControlFlow::Continue(())
            });
            assert_eq!(slots, [7, 5007, 10_007, 15_007]);
        }
    }

    #[test]
    fn the_radius_is_inclusive() {
        let mut random = SplitMix64(2);
        let mut index = HammingIndex::default();
        (0..2 * FEW_MAX as u32).for_each(|slot| index.insert(random.next(), slot));
        for distance in 0..=64 {
            let code = random.next();
            let query = flip_bits(code, distance, &mut random);
            index.insert(code, SLOT_MAX);
            let is_found = |radius| found(&index, query, radius).contains(&(SLOT_MAX, distance));
            assert!(is_found(distance), "distance {distance}");
            assert!(distance == 0 || !is_found(distance - 1), "distance {distance}");
            index.remove(code, SLOT_MAX);
        }
    }

    proptest! {
        #[test]
        fn any_history_equals_a_linear_scan(
            operations in prop::collection::vec((any::<bool>(), 0u32..30, 0u64..8), 0..200),
            query in 0u64..8,
            radius in 0u32..=64,
        ) {
            let mut index = HammingIndex::default();
            let mut codes = BTreeSet::new();
            for (insert, slot, code) in operations {
                let taken = codes.iter().any(|&(other, _)| other == slot);
                if insert && !taken {
                    index.insert(code, slot);
                    codes.insert((slot, code));
                } else {
                    prop_assert_eq!(index.remove(code, slot), codes.remove(&(slot, code)));
                }
            }
            prop_assert_eq!(found(&index, query, radius), linear_scan(&codes, query, radius));
        }
    }
}
