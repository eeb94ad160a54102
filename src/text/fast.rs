//! Text to words by masks of 64 bytes: the fast twin of [`super::slow_words`].
//!
//! A kernel tells which bytes are letters and digits. Where such a run begins and where it ends
//! are its edges; they are listed for some blocks at a time, and then every two of them make a
//! word. Typographic quotes, dashes and blanks are taken for the separators they are. A stretch
//! between two blanks that holds anything else is handed to the [`SlowReader`].

use super::{ACRONYM_LETTERS_MAX, PI, SlowReader, Word, WordClass, fold, word_hash};
use crate::kernel::{BLOCK_BYTES, Kernel, Masks};

/// Blocks that are told apart, and then made words of, at once.
const BLOCKS: usize = 8;

pub(super) fn words(kernel: Kernel, text: &str) -> Vec<Word> {
    words_in(kernel, text, Vec::new())
}

/// The same in the room of other words, which are forgotten.
pub(super) fn words_in(kernel: Kernel, text: &str, room: Vec<Word>) -> Vec<Word> {
    let mut reader = FastReader::new(text, room);
    let (blocks, rest) = text.as_bytes().as_chunks();
    for blocks in blocks.chunks(BLOCKS) {
        reader.read(kernel, blocks);
    }
    // The zeros after the text end its last word.
    let mut last = [0; BLOCK_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    reader.read(kernel, &[last]);
    reader.out
}

struct FastReader<'a> {
    text: &'a str,
    tail: Tail,
    slow: SlowReader<'a>,
    out: Vec<Word>,
    /// The words that are not in `out` yet.
    edges: Edges,
    /// Where the next block begins.
    base: usize,
    /// What stands before is read: the slow reader may be ahead of the blocks.
    floor: usize,
    before: Before,
}

/// The block before, as far as the next one depends on it.
#[derive(Default)]
struct Before {
    /// 1 if it ends within a word.
    in_word: u64,
    /// 1 if that word begins with its last byte.
    in_lone: u64,
    /// `Masks::joint` of its last two bytes.
    joint: u64,
}

impl<'a> FastReader<'a> {
    fn new(text: &'a str, mut room: Vec<Word>) -> Self {
        room.clear();
        // English prose has a word every six bytes.
        room.reserve(text.len() / 5);
        FastReader {
            text,
            tail: Tail::new(text.as_bytes()),
            slow: SlowReader::new(text),
            out: room,
            edges: Edges::new(),
            base: 0,
            floor: 0,
            before: Before::default(),
        }
    }

    fn read(&mut self, kernel: Kernel, blocks: &[[u8; BLOCK_BYTES]]) {
        let mut masks = [Masks::default(); BLOCKS];
        let masks = &mut masks[..blocks.len()];
        kernel.masks(blocks, masks);
        for masks in masks {
            if masks.special == 0 && self.floor <= self.base {
                self.find_words(masks.word, masks.joint);
            } else {
                self.read_special(*masks);
            }
            self.base += BLOCK_BYTES;
        }
        self.read_words();
    }

    /// Reads a block that holds more than ASCII words and separators, or is read in part.
    #[inline(never)]
    fn read_special(&mut self, mut masks: Masks) {
        masks.forget_before(self.floor.saturating_sub(self.base));
        self.pass_punctuation(&mut masks);
        while masks.special != 0 {
            let special = self.base + masks.special.trailing_zeros() as usize;
            let start = last_blank_before(self.text.as_bytes(), self.floor, special);
            let before = bits_below(start.saturating_sub(self.base));
            self.find_words(masks.word & before, masks.joint & before);
            self.edges.forget_from(start);
            self.read_words();
            while self.out.last().is_some_and(|word| word.span().start >= start) {
                self.out.pop();
            }
            self.before = Before::default();
            self.floor = self.slow.read_to_blank(start, &mut self.out);
            masks.forget_before(self.floor - self.base);
        }
        if self.floor < self.base + BLOCK_BYTES {
            self.find_words(masks.word, masks.joint);
        }
    }

    /// Takes what is punctuation and nothing else out of the special bytes.
    fn pass_punctuation(&self, masks: &mut Masks) {
        let mut left = masks.special;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let start = self.text.floor_char_boundary(self.base + at);
            let char = self.text[start..].chars().next().unwrap_or_default();
            // The character may have begun in the block before.
            let end = start + char.len_utf8() - self.base;
            if let Some(is_apostrophe) = punctuation(char) {
                masks.special &= bits_below(at) | !bits_below(end);
                if is_apostrophe && end <= BLOCK_BYTES {
                    masks.joint |= 1 << (end - 1);
                }
            }
            left &= !bits_below(end);
        }
    }

    /// Lists the words of a block, given as in [`Masks`].
    #[inline(always)]
    fn find_words(&mut self, word: u64, joint: u64) {
        let shifted = word << 1 | self.before.in_word;
        let (starts, ends) = (word & !shifted, shifted & !word);
        let lone_ends = ends & (starts << 1 | self.before.in_lone);
        let joined_ends = lone_ends & (joint << 2 | self.before.joint);
        self.before = Before { in_word: word >> 63, in_lone: starts >> 63, joint: joint >> 62 };
        if joined_ends == 0 {
            self.edges.list(self.base, starts | ends);
        } else {
            self.find_joined(starts | ends, joined_ends);
        }
    }

    /// The same for a block with lone letters or digits after an apostrophe or a full stop: those
    /// that end in `joined_ends`.
    #[inline(never)]
    fn find_joined(&mut self, mut edges: u64, mut joined_ends: u64) {
        while joined_ends != 0 {
            let at = lowest(joined_ends);
            joined_ends &= joined_ends - 1;
            let end = self.base + at;
            let [before, byte] = [self.text.as_bytes()[end - 2], self.text.as_bytes()[end - 1]];
            if !byte.is_ascii_alphabetic() {
                continue;
            }
            // All before is needed to know whether it goes on an acronym.
            self.edges.list(self.base, edges & bits_below(at));
            edges &= !bits_below(at);
            let is_part = if before == b'.' {
                let start = self.edges.pop();
                self.read_words();
                self.edges.list(start, 1);
                extend_acronym(self.text.as_bytes(), end - 1, &mut self.out)
            } else {
                // The s of a possessive, the t of a contraction.
                true
            };
            if is_part {
                self.edges.pop();
                edges &= edges - 1;
            }
        }
        self.edges.list(self.base, edges);
    }

    /// Makes words of all that is listed but the beginning of one without an end.
    #[inline(always)]
    fn read_words(&mut self) {
        let (bytes, tail) = (self.text.as_bytes(), &self.tail);
        self.out.extend(self.edges.spans().iter().map(|span| read_word(bytes, tail, *span)));
        self.edges.forget_spans();
    }
}

/// Where words begin and end, in turns.
struct Edges {
    places: [u32; Self::LEN_MAX + Self::STEP],
    len: usize,
}

impl Edges {
    /// Every byte of the blocks read at once may be one, and there may be one from before.
    const LEN_MAX: usize = BLOCKS * BLOCK_BYTES + 1;

    /// So many are listed at once.
    const STEP: usize = 8;

    fn new() -> Self {
        Edges { places: [0; _], len: 0 }
    }

    /// Adds the edges of the block that begins at `base`.
    #[inline(always)]
    fn list(&mut self, base: usize, mut edges: u64) {
        let mut places = self.places[self.len..].as_chunks_mut::<{ Self::STEP }>().0.iter_mut();
        self.len += edges.count_ones() as usize;
        while edges != 0
            && let Some(places) = places.next()
        {
            // Those that are too many are overwritten by the next.
            for place in places {
                *place = (base + lowest(edges)) as u32;
                edges &= edges.wrapping_sub(1);
            }
        }
    }

    fn pop(&mut self) -> usize {
        self.len -= 1;
        self.places[self.len] as usize
    }

    fn spans(&self) -> &[[u32; 2]] {
        self.places[..self.len].as_chunks().0
    }

    fn forget_spans(&mut self) {
        if self.len % 2 == 1 {
            self.places[0] = self.places[self.len - 1];
        }
        self.len %= 2;
    }

    fn forget_from(&mut self, start: usize) {
        while self.len > 0 && self.places[self.len - 1] as usize >= start {
            self.len -= 1;
        }
    }
}

/// Where the lowest bit is. The highest is set so that there is one, which makes this one
/// instruction on every processor.
#[inline(always)]
fn lowest(bits: u64) -> usize {
    (bits | 1 << 63).trailing_zeros() as usize
}

impl Masks {
    fn forget_before(&mut self, bytes: usize) {
        let kept = !bits_below(bytes);
        self.word &= kept;
        self.special &= kept;
        self.joint &= kept;
    }
}

/// The lowest bits, up to all of them.
#[inline(always)]
fn bits_below(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// Whether a code point is one of the frequent ones that no word contains and that NFKC turns
/// into nothing but blanks and punctuation, and if so, whether it is an apostrophe.
fn punctuation(char: char) -> Option<bool> {
    match char {
        '‘' | '’' => Some(true),
        '“' | '”' | '–' | '—' | '…' | '•' | '€' | '£' | '\u{a0}' => Some(false),
        _ => None,
    }
}

fn last_blank_before(bytes: &[u8], floor: usize, at: usize) -> usize {
    bytes[floor..at]
        .iter()
        .rposition(u8::is_ascii_whitespace)
        .map_or(floor, |blank| floor + blank + 1)
}

const BIT_5: u64 = 0x2020_2020_2020_2020;

/// Masks for the first bytes of two little-endian integers.
static FIRST_BYTES: [[u64; 2]; 17] = {
    let mut masks = [[0; 2]; 17];
    let mut len = 1;
    while len <= 16 {
        masks[len] = if len <= 8 {
            [u64::MAX >> (64 - 8 * len), 0]
        } else {
            [u64::MAX, u64::MAX >> (128 - 8 * len)]
        };
        len += 1;
    }
    masks
};

/// The last bytes of a text with zeros after them, so that 16 can be loaded from everywhere.
struct Tail {
    start: usize,
    bytes: [u8; 32],
}

impl Tail {
    fn new(text: &[u8]) -> Self {
        let start = text.len().saturating_sub(16);
        let mut bytes = [0; 32];
        bytes[..text.len() - start].copy_from_slice(&text[start..]);
        Tail { start, bytes }
    }

    /// 16 bytes of `text` as two little-endian integers.
    #[inline(always)]
    fn load(&self, text: &[u8], start: usize) -> [u64; 2] {
        let bytes = text.get(start..).and_then(|rest| rest.first_chunk()).unwrap_or_else(|| {
            // A text that ends within 16 bytes: `start` is in its tail.
            self.bytes[start - self.start..].first_chunk().unwrap_or(&[0; 16])
        });
        let bytes = u128::from_le_bytes(*bytes);
        [bytes as u64, (bytes >> 64) as u64]
    }
}

#[inline(always)]
fn read_word(text: &[u8], tail: &Tail, [start, end]: [u32; 2]) -> Word {
    let len = end.wrapping_sub(start);
    let (hash, is_number) = match FIRST_BYTES.get(len as usize) {
        Some(masks) => short_word(tail.load(text, start as usize), masks, len),
        None => long_word(&text[start as usize..end as usize]),
    };
    let class = if is_number { WordClass::Number } else { WordClass::Plain };
    Word { hash, start, len_and_class: len | class.bits() }
}

/// The hash of a word that is one block long at most, and whether it is a number.
#[inline(always)]
fn short_word([low, high]: [u64; 2], [low_mask, high_mask]: &[u64; 2], len: u32) -> (u64, bool) {
    let (low, high) = (low & low_mask, high & high_mask);
    // Bit 6 is set in all letters and in no digit.
    let is_number = (low | high) & (BIT_5 << 1) == 0;
    // Setting bit 5 lower-cases letters and leaves digits as they are.
    let (low, high) = (low | BIT_5 & low_mask, high | BIT_5 & high_mask);
    (fold(low ^ u64::from(len) ^ PI[0], high ^ PI[1]), is_number)
}

#[inline(never)]
fn long_word(word: &[u8]) -> (u64, bool) {
    (word_hash(&word.to_ascii_lowercase()), word.iter().all(u8::is_ascii_digit))
}

/// Joins a single letter to the single letters before it, all of them parted by one full stop.
fn extend_acronym(bytes: &[u8], letter: usize, out: &mut [Word]) -> bool {
    let Some(last) = out.last_mut() else { return false };
    let (start, end) = (last.span().start, letter + 1);
    let extends = last.span().end + 1 == letter
        && (last.class() == WordClass::Acronym
            || last.span().len() == 1 && bytes[start].is_ascii_alphabetic());
    let letter_count = (end - start).div_ceil(2);
    if !extends || letter_count > ACRONYM_LETTERS_MAX {
        return false;
    }
    let mut letters = [0u8; ACRONYM_LETTERS_MAX];
    for (to, from) in letters.iter_mut().zip(bytes[start..end].iter().step_by(2)) {
        *to = from.to_ascii_lowercase();
    }
    *last = Word::new(word_hash(&letters[..letter_count]), start..end, WordClass::Acronym);
    true
}
