//! The features a model knows, found by their hash: an open-addressed table.

/// What the table holds under a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    StopWord,
    /// A word or pair with weights; the row they stand in.
    Feature(u32),
}

/// A slot is chosen by the upper bits of a hash and then linear probing; the lower 31 bits are
/// kept as the fingerprint. A word the model has not met is taken for one it knows with a
/// probability of about 2^-31.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    slots_log2: u32,
    label_count: usize,
    /// 0 is an empty slot; the highest bit marks a stop word.
    fingerprints: Vec<u32>,
    /// For every slot the weights of all labels, four in a block.
    weights: Vec<[i8; BLOCK]>,
}

const BLOCK: usize = 4;
const STOP_WORD: u32 = 1 << 31;

pub const SLOTS_LOG2_MAX: u32 = 22;

fn fingerprint(hash: u64) -> u32 {
    (hash as u32 & !STOP_WORD).max(1)
}

impl Table {
    /// An empty table for this many entries; it must not be given more.
    pub fn with_capacity(entries: usize, label_count: usize) -> Self {
        // At most two thirds full, so that most look-ups end at the first or second slot.
        let slots = (entries + entries / 2).next_power_of_two().max(2);
        Table {
            slots_log2: slots.ilog2(),
            label_count,
            fingerprints: vec![0; slots],
            weights: vec![[0; BLOCK]; slots * label_count.div_ceil(BLOCK)],
        }
    }

    /// A table from its parts as [`Self::fingerprints`] and [`Self::weights`] give them, or `None` if they fit no table.
    pub fn from_slots(fingerprints: Vec<u32>, weights: &[u8], label_count: usize) -> Option<Self> {
        let slots = fingerprints.len();
        let empty = fingerprints.iter().filter(|&&fingerprint| fingerprint == 0).count();
        // Probing ends at an empty slot: without any it would not end.
        if slots < 2
            || !slots.is_power_of_two()
            || empty == 0
            || weights.len() != slots * label_count
        {
            return None;
        }
        let mut table = Table {
            slots_log2: slots.ilog2(),
            label_count,
            fingerprints,
            weights: vec![[0; BLOCK]; slots * label_count.div_ceil(BLOCK)],
        };
        for (slot, row) in weights.chunks_exact(label_count).enumerate() {
            for (label, &weight) in row.iter().enumerate() {
                *table.weight_mut(slot, label) = weight as i8;
            }
        }
        Some(table)
    }

    pub fn fingerprints(&self) -> &[u32] {
        &self.fingerprints
    }

    /// The weights of every slot, empty ones included: all labels of the first, then of the next.
    pub fn weights(&self) -> impl Iterator<Item = i8> {
        self.weights
            .chunks(self.blocks_per_row())
            .flat_map(|row| row.as_flattened()[..self.label_count].iter().copied())
    }

    /// Rows are smaller than this.
    pub fn row_count(&self) -> usize {
        self.fingerprints.len()
    }

    pub fn feature_count(&self) -> usize {
        self.fingerprints.iter().filter(|&&entry| entry != 0 && entry & STOP_WORD == 0).count()
    }

    pub fn insert_stop_word(&mut self, hash: u64) {
        let slot = self.free_slot(hash);
        self.fingerprints[slot] = fingerprint(hash) | STOP_WORD;
    }

    pub fn insert_feature(&mut self, hash: u64, weights: &[i8]) {
        let slot = self.free_slot(hash);
        self.fingerprints[slot] = fingerprint(hash);
        for (label, &weight) in weights.iter().enumerate() {
            *self.weight_mut(slot, label) = weight;
        }
    }

    #[inline(always)]
    fn first_slot(&self, hash: u64) -> usize {
        (hash >> (64 - self.slots_log2)) as usize
    }

    fn free_slot(&self, hash: u64) -> usize {
        let mask = self.fingerprints.len() - 1;
        let mut slot = self.first_slot(hash);
        while self.fingerprints[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[inline(always)]
    pub fn find(&self, hash: u64) -> Option<Entry> {
        let wanted = fingerprint(hash);
        let mask = self.fingerprints.len() - 1;
        let mut slot = self.first_slot(hash) & mask;
        loop {
            let found = self.fingerprints[slot];
            if found == 0 {
                return None;
            }
            if found & !STOP_WORD == wanted {
                return Some(match found & STOP_WORD {
                    0 => Entry::Feature(slot as u32),
                    _ => Entry::StopWord,
                });
            }
            slot = (slot + 1) & mask;
        }
    }

    pub fn weight(&self, row: u32, label: usize) -> i8 {
        self.weights[row as usize * self.blocks_per_row() + label / BLOCK][label % BLOCK]
    }

    fn weight_mut(&mut self, slot: usize, label: usize) -> &mut i8 {
        let block = slot * self.blocks_per_row() + label / BLOCK;
        &mut self.weights[block][label % BLOCK]
    }

    fn blocks_per_row(&self) -> usize {
        self.label_count.div_ceil(BLOCK)
    }

    /// For every label the sum of its weights in `rows`, each times its factor.
    pub fn sums(&self, rows: &[(u32, i32)]) -> Vec<i32> {
        let blocks_per_row = self.blocks_per_row();
        let mut sums = Vec::with_capacity(blocks_per_row * BLOCK);
        for block in 0..blocks_per_row {
            let mut block_sums = [0i32; BLOCK];
            for &(row, factor) in rows {
                let weights = self.weights[row as usize * blocks_per_row + block];
                for (sum, weight) in block_sums.iter_mut().zip(weights) {
                    *sum += factor * i32::from(weight);
                }
            }
            sums.extend(block_sums);
        }
        sums.truncate(self.label_count);
        sums
    }
}
