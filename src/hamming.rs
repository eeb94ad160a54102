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

/// The caller's name for what a code belongs to.
pub type Slot = u32;

/// A multiset of (code, slot) pairs.
#[derive(Debug, Default)]
pub struct HammingIndex {
    codes: Codes,
    /// The slots of a code after its first, which alone is in the postings: a text that came a
    /// hundred thousand times is looked at once.
    same_code: HashMap<u64, Vec<Slot>>,
    len: usize,
}

/// The distinct codes.
#[derive(Debug)]
enum Codes {
    /// Few enough to look at them all.
    Few(Vec<Posting>),
    /// Every code four times, under each of its blocks: in bucket `block * BUCKETS + value`.
    Blocks { buckets: Vec<Vec<Posting>>, len: usize },
}

impl Default for Codes {
    fn default() -> Self {
        Codes::Few(Vec::new())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(Rust, packed(4))]
struct Posting {
    code: u64,
    slot: Slot,
}

const BLOCKS: u32 = 4;
const BLOCK_BITS: u32 = 16;
const BUCKETS: usize = 1 << BLOCK_BITS;

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

    /// Adds a slot. A slot may be in the index only once.
    pub fn insert(&mut self, code: u64, slot: Slot) {
        self.len += 1;
        match self.codes.first(code) {
            Some(_) => self.same_code.entry(code).or_default().push(slot),
            None => self.codes.insert(Posting { code, slot }),
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
        self.codes.resume(search, &mut |posting, distance| {
            let Posting { code, slot } = posting;
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
pub(crate) fn push_tightly<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
    list.push(item);
}

/// Removes from a list that is one of very many, and gives back what it no longer needs.
pub(crate) fn remove_tightly<T>(list: &mut Vec<T>, at: usize) {
    list.swap_remove(at);
    if list.len() < list.capacity() / 2 {
        list.shrink_to(list.len() + list.len() / 8);
    }
}

impl Codes {
    fn bucket(&self, code: u64) -> &[Posting] {
        match self {
            Codes::Few(postings) => postings,
            Codes::Blocks { buckets, .. } => &buckets[bucket_of(code, 0)],
        }
    }

    fn first(&self, code: u64) -> Option<Slot> {
        self.bucket(code).iter().find(|posting| posting.code == code).map(|posting| posting.slot)
    }

    fn set_first(&mut self, code: u64, first: Slot) {
        self.change_lists(code, |list| {
            list.iter_mut()
                .filter(|posting| posting.code == code)
                .for_each(|posting| posting.slot = first);
        });
    }

    fn insert(&mut self, posting: Posting) {
        if let Codes::Few(postings) = self
            && postings.len() == FEW_MAX
        {
            let few = std::mem::take(postings);
            let buckets = vec![Vec::new(); BLOCKS as usize * BUCKETS];
            *self = Codes::Blocks { buckets, len: 0 };
            few.into_iter().for_each(|posting| self.insert(posting));
        }
        self.change_lists(posting.code, |list| push_tightly(list, posting));
        if let Codes::Blocks { len, .. } = self {
            *len += 1;
        }
    }

    /// Removes the posting of a code that has one.
    fn remove(&mut self, code: u64) {
        self.change_lists(code, |list| {
            if let Some(at) = list.iter().position(|posting| posting.code == code) {
                remove_tightly(list, at);
            }
        });
        if let Codes::Blocks { len, .. } = self {
            *len -= 1;
        }
    }

    /// Applies a change to every list that a code's posting belongs in.
    fn change_lists(&mut self, code: u64, mut change: impl FnMut(&mut Vec<Posting>)) {
        match self {
            Codes::Few(postings) => change(postings),
            Codes::Blocks { buckets, .. } => {
                (0..BLOCKS).for_each(|block| change(&mut buckets[bucket_of(code, block)]));
            }
        }
    }

    fn resume(
        &self,
        search: &mut Search,
        visit: &mut impl FnMut(Posting, u32) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (code, radius) = (search.code, search.radius);
        let mut check = |posting: Posting| {
            let distance = (posting.code ^ code).count_ones();
            if distance <= radius { visit(posting, distance) } else { ControlFlow::Continue(()) }
        };
        let (buckets, len) = match self {
            Codes::Few(postings) => {
                search.todo = Todo::Nothing;
                return postings.iter().copied().try_for_each(check);
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
                buckets[from..end].iter().flatten().copied().try_for_each(check)
            }
            Todo::Blocks(block) => {
                search.todo =
                    if block + 1 < BLOCKS { Todo::Blocks(block + 1) } else { Todo::Nothing };
                probe(buckets, code, radius, block, |posting| {
                    // What an earlier block's probes have met is not to be visited again.
                    let differs = posting.code ^ code;
                    let met = (0..block).any(|earlier| {
                        let distance = block_value(differs, earlier).count_ones();
                        probe_radius(radius, earlier).is_some_and(|reach| distance <= reach)
                    });
                    if met { ControlFlow::Continue(()) } else { check(posting) }
                })
            }
        }
    }
}

/// How far from the query's own value a block's buckets have to be read.
fn probe_radius(radius: u32, block: u32) -> Option<u32> {
    let (q, s) = (radius / BLOCKS, radius % BLOCKS);
    if block <= s { Some(q) } else { q.checked_sub(1) }
}

/// Visits the buckets of a block at most its probe radius away from the query's.
fn probe(
    buckets: &[Vec<Posting>],
    code: u64,
    radius: u32,
    block: u32,
    mut visit: impl FnMut(Posting) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(reach) = probe_radius(radius, block) else { return ControlFlow::Continue(()) };
    let home = bucket_of(code, block);
    for flipped_bits in 0..=reach.min(BLOCK_BITS) {
        for flips in words_with_bits(flipped_bits) {
            buckets[home ^ flips].iter().copied().try_for_each(&mut visit)?;
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

    /// A small, fast generator for tests that need many codes.
    fn splitmix(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn flip_bits(code: u64, bits: u32, state: &mut u64) -> u64 {
        let mut flipped = code;
        while (flipped ^ code).count_ones() < bits {
            flipped ^= (1 << (splitmix(state) % 64)) & !(flipped ^ code);
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
        let mut state = 1;
        let mut codes = BTreeSet::new();
        let mut index = HammingIndex::default();
        for slot in 0..3 * FEW_MAX as u32 / 2 {
            let code = match slot % 4 {
                0 | 1 => splitmix(&mut state),
                2 => splitmix(&mut state) & 0xffff | 0x1234_5678_9abc_0000,
                _ => splitmix(&mut state) % 40,
            };
            index.insert(code, slot);
            codes.insert((slot, code));
        }
        for (slot, code) in codes.clone().into_iter().filter(|(slot, _)| slot % 5 == 0) {
            assert!(index.remove(code, slot));
            codes.remove(&(slot, code));
        }
        assert_eq!(index.len(), codes.len());
        for radius in 0..=64 {
            let query = flip_bits(codes.iter().nth(radius as usize).unwrap().1, radius, &mut state);
            for query in [query, splitmix(&mut state), 0x1234_5678_9abc_0000, 3] {
                assert_eq!(
                    found(&index, query, radius),
                    linear_scan(&codes, query, radius),
                    "radius {radius}, query {query:#x}"
                );
            }
        }
    }

    #[test]
    fn the_radius_is_inclusive() {
        let mut state = 2;
        let mut index = HammingIndex::default();
        (0..2 * FEW_MAX as u32).for_each(|slot| index.insert(splitmix(&mut state), slot));
        for distance in 0..=64 {
            let code = splitmix(&mut state);
            let query = flip_bits(code, distance, &mut state);
            index.insert(code, u32::MAX);
            let is_found = |radius| found(&index, query, radius).contains(&(u32::MAX, distance));
            assert!(is_found(distance), "distance {distance}");
            assert!(distance == 0 || !is_found(distance - 1), "distance {distance}");
            index.remove(code, u32::MAX);
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
