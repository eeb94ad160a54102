//! The shingles of a text, numbered.

use std::cell::Cell;

use super::sketch::{SHINGLE_WORDS, WordCode};

/// All shingles of a text, in order. Four 16-bit words fill a machine word, so that a shingle is
/// its own key.
pub(super) fn shingles(text: &[WordCode]) -> impl Iterator<Item = u64> {
    let (start, rest) = text.split_at(text.len().min(SHINGLE_WORDS - 1));
    let mut last = shingle(start);
    rest.iter().map(move |word| {
        last = next(last, word);
        last
    })
}

/// The shingle that these words are, [`SHINGLE_WORDS`] of them.
#[inline]
pub(super) fn shingle(words: &[WordCode]) -> u64 {
    words.iter().fold(0, next)
}

/// The shingle that is one word further on.
#[inline(always)]
fn next(shingle: u64, word: &WordCode) -> u64 {
    shingle << u16::BITS | u64::from(word.bits())
}

/// The distinct shingles of a text, numbered in the order of their first occurrence.
#[derive(Debug, Default)]
pub struct Shingles {
    /// The number of the shingle at every place of the text.
    pub(super) numbers: Vec<Number>,
    /// Every distinct shingle and its first place, by number.
    distinct: Vec<(u64, u32)>,
    /// Finds the number of a shingle: open addressing with linear probing.
    slots: Vec<Number>,
}

/// A text has at most [`super::TEXT_WORDS_MAX`] shingles.
type Number = u16;

const EMPTY: Number = Number::MAX;

/// So many slots for every shingle: nearly all shingles of another text find theirs empty, and the
/// processor learns to expect it.
const SLOTS_PER_SHINGLE: usize = 8;

impl Shingles {
    /// Numbers the shingles of a text of at most [`super::TEXT_WORDS_MAX`] words.
    pub(super) fn new(text: &[WordCode]) -> Self {
        debug_assert!(text.len() < usize::from(EMPTY));
        let len = (text.len() + 1).saturating_sub(SHINGLE_WORDS);
        let mut room = ROOM.take();
        let Shingles { numbers, distinct, slots } = &mut room;
        fill(numbers, 0, len);
        fill(distinct, (0, 0), len);
        fill(slots, EMPTY, (SLOTS_PER_SHINGLE * len).next_power_of_two());
        // As slices, which stay in registers.
        let (known, places) = (&mut distinct[..], &mut slots[..]);
        let mut count = 0;
        for (place, (shingle, number)) in shingles(text).zip(numbers).enumerate() {
            let mut slot = first_slot(shingle, places.len());
            *number = loop {
                match places[slot] {
                    EMPTY => {
                        places[slot] = count as Number;
                        known[count] = (shingle, place as u32);
                        count += 1;
                        break (count - 1) as Number;
                    }
                    number if known[usize::from(number)].0 == shingle => break number,
                    _ => slot = (slot + 1) & (places.len() - 1),
                }
            };
        }
        distinct.truncate(count);
        room
    }

    pub(super) fn distinct_count(&self) -> usize {
        self.distinct.len()
    }

    /// The number of a shingle, if the text has it.
    #[inline]
    pub(super) fn number(&self, shingle: u64) -> Option<usize> {
        let mut slot = first_slot(shingle, self.slots.len());
        loop {
            match self.slots[slot] {
                EMPTY => return None,
                number if self.distinct[usize::from(number)].0 == shingle => {
                    return Some(number.into());
                }
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Where the text has a shingle for the first time.
    pub(super) fn first_place(&self, number: usize) -> u32 {
        self.distinct[number].1
    }
}

thread_local! {
    /// Shingles that are no longer needed: the next ones are put in their place, which is in the
    /// processor's caches already.
    static ROOM: Cell<Shingles> = Cell::default();
}

impl Drop for Shingles {
    fn drop(&mut self) {
        if self.slots.capacity() > 0 {
            // A thread that ends keeps nothing.
            let _ = ROOM.try_with(|room| {
                let mut before = room.replace(std::mem::take(self));
                // Its room goes without being kept in turn.
                (before.numbers, before.distinct, before.slots) = Default::default();
            });
        }
    }
}

fn fill<T: Clone>(room: &mut Vec<T>, value: T, len: usize) {
    room.clear();
    room.resize(len, value);
}

/// The slot, of so many, where the search for a shingle's number begins.
#[inline(always)]
fn first_slot(shingle: u64, slot_count: usize) -> usize {
    // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4): a word code is part of a
    // good hash already, and the multiplication brings all four together in the upper 16 bits.
    let hash = shingle.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 48) as usize & (slot_count - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::duplicates::Sketch;
    use crate::text::Document;

    proptest! {
        #[test]
        fn shingles_are_numbered_in_order(body in "([a-c] ){0,200}") {
            let sketch = Sketch::new(&Document::new("", &body));
            // Those of other texts leave room for them and stand beside them.
            drop(Shingles::new(&sketch.text()[sketch.text().len() / 2..]));
            let found = Shingles::new(sketch.text());
            let _beside = Shingles::new(&sketch.text()[..sketch.text().len() / 3]);
            let mut distinct: Vec<u64> = Vec::new();
            for (place, shingle) in shingles(sketch.text()).enumerate() {
                let number = distinct.iter().position(|&other| other == shingle);
                prop_assert_eq!(usize::from(found.numbers[place]), number.unwrap_or(distinct.len()));
                if number.is_none() {
                    prop_assert_eq!(found.first_place(distinct.len()), place as u32);
                    distinct.push(shingle);
                }
                prop_assert_eq!(found.number(shingle), Some(usize::from(found.numbers[place])));
            }
            prop_assert_eq!(found.distinct_count(), distinct.len());
            prop_assert_eq!(found.number(0x1234_5678_9abc_def0), None);
        }
    }
}
