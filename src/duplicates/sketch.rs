//! What is kept of an article to compare it with others.

use std::borrow::Cow;
use std::ops::Range;

use super::shingles::Shingles;
use crate::simhash::WORDS_MIN;
use crate::text::{Document, Word, WordClass, bigram_hash, pentagram_hash};

/// Words in a shingle.
pub const SHINGLE_WORDS: usize = 4;

/// An article is judged by its first words, up to this many: it bounds the record and the time.
pub const TEXT_WORDS_MAX: usize = 8192;

/// The same for the title.
pub const TITLE_WORDS_MAX: usize = 64;

/// Posting lists an article is filed under, at most.
pub const POSTING_KEYS_MAX: usize = 16;

/// A sampled shingle's hash, under which articles that have the shingle are filed.
pub type PostingKey = u32;

/// The keys of an article's posting lists: the smallest hashes of its five-word shingles.
///
/// Two articles that share the fraction `J` of their shingles have a key in common with
/// probability `1 - (1 - J)^16`. The smallest are told apart by all 64 bits; of these the lower
/// 32 make the key, which are independent of the order. Fewer than five words give no key.
pub fn posting_keys(document: &Document) -> Vec<PostingKey> {
    let text = judged_text(document);
    let shingles = text.windows(5).map(|words| {
        pentagram_hash([words[0].hash, words[1].hash, words[2].hash, words[3].hash, words[4].hash])
    });
    // Of so many evenly spread hashes about twice as many as are wanted are below this: too few
    // less than once in a thousand texts, unless the text repeats itself.
    let share = u64::MAX / (shingles.len().max(1) as u64);
    let mut bound = share.saturating_mul(2 * POSTING_KEYS_MAX as u64);
    let mut smallest: Vec<u64> = Vec::with_capacity(4 * POSTING_KEYS_MAX);
    loop {
        smallest.extend(shingles.clone().filter(|&hash| hash <= bound));
        smallest.sort_unstable();
        smallest.dedup();
        if smallest.len() >= POSTING_KEYS_MAX || bound == u64::MAX {
            break;
        }
        smallest.clear();
        bound = bound.saturating_mul(8);
    }
    smallest.iter().take(POSTING_KEYS_MAX).map(|&hash| hash as PostingKey).collect()
}

/// What an article is judged by: its body without what it quotes of others. If that is too short,
/// the whole body; if that is too, title and body read as one text.
fn judged_text(document: &Document) -> Cow<'_, [Word]> {
    let Document { title, body, quoted } = document;
    let quoted_count: usize = quoted.iter().map(ExactSizeIterator::len).sum();
    if quoted_count > 0 && body.len() - quoted_count >= WORDS_MIN {
        let starts = [0].into_iter().chain(quoted.iter().map(|words| words.end));
        let ends = quoted.iter().map(|words| words.start).chain([body.len()]);
        starts.zip(ends).flat_map(|(start, end)| &body[start..end]).copied().collect()
    } else if body.len() >= WORDS_MIN {
        body.as_slice().into()
    } else {
        title.iter().chain(body).copied().collect()
    }
}

/// A word cut to 15 bits of its hash, and one bit that tells whether it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WordCode(u16);

const NUMBER_BIT: u16 = 1 << 15;

impl WordCode {
    fn new(word: &Word) -> Self {
        let WordCode(code) = WordCode::of_hash(word.hash);
        WordCode(if word.class() == WordClass::Number { code | NUMBER_BIT } else { code })
    }

    /// The code of a word of this hash that is no number.
    pub(super) fn of_hash(hash: u64) -> Self {
        WordCode((hash >> 49) as u16)
    }

    pub(super) fn is_number(self) -> bool {
        self.0 & NUMBER_BIT != 0
    }

    pub(super) fn bits(self) -> u16 {
        self.0
    }
}

/// The words of an article in two bytes each: all that the judge compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// Hash of all words of title and body, in order and in full.
    content: u64,
    shingle_count: u32,
    title: Vec<WordCode>,
    text: Vec<WordCode>,
    /// The words of the text in quotation marks: where each run begins and ends, in order.
    quotations: Vec<[u16; 2]>,
}

/// Runs of words in quotation marks that are kept of an article.
const QUOTATIONS_MAX: usize = 511;

/// Bits of the header for the number of words of a title.
const TITLE_BITS: u32 = 7;

impl Sketch {
    pub fn new(document: &Document) -> Self {
        Self::with_shingles(document).0
    }

    /// A sketch, and the shingles that had to be numbered to make it: whoever compares it at once
    /// needs them again.
    pub fn with_shingles(document: &Document) -> (Self, Shingles) {
        let words = judged_text(document);
        let words = &words[..words.len().min(TEXT_WORDS_MAX)];
        let text: Vec<WordCode> = words.iter().map(WordCode::new).collect();
        let title = document.title.iter().take(TITLE_WORDS_MAX).map(WordCode::new).collect();
        let shingles = Shingles::new(&text);
        let sketch = Sketch {
            content: content_hash(document),
            shingle_count: shingles.distinct_count() as u32,
            title,
            text,
            quotations: quotations(words),
        };
        (sketch, shingles)
    }

    /// Layout, all little-endian: content hash (8 bytes), number of distinct shingles (4), number
    /// of title words in the lower 7 bits and of quotations in the upper 9 (2), begin and end of
    /// each quotation (2 bytes each), the title's words and then the text's (2 bytes each).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes);
        bytes
    }

    /// Appends what [`Sketch::to_bytes`] gives.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.content.to_le_bytes());
        bytes.extend(self.shingle_count.to_le_bytes());
        let counts = self.title.len() | self.quotations.len() << TITLE_BITS;
        bytes.extend((counts as u16).to_le_bytes());
        bytes.extend(self.quotations.as_flattened().iter().flat_map(|place| place.to_le_bytes()));
        let words_start = bytes.len();
        bytes.resize(words_start + 2 * (self.title.len() + self.text.len()), 0);
        let places = bytes[words_start..].as_chunks_mut().0;
        let (title, text) = places.split_at_mut(self.title.len());
        for (places, words) in [(title, &self.title), (text, &self.text)] {
            for (place, word) in places.iter_mut().zip(words) {
                *place = word.0.to_le_bytes();
            }
        }
    }

    /// Reads what [`Sketch::to_bytes`] wrote; `None` if these bytes cannot come from it.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (content, rest) = bytes.split_first_chunk()?;
        let (shingle_count, rest) = rest.split_first_chunk()?;
        let (counts, rest) = rest.split_first_chunk()?;
        let counts = usize::from(u16::from_le_bytes(*counts));
        let (title_len, quotation_count) = (counts % (1 << TITLE_BITS), counts >> TITLE_BITS);
        let (numbers, []) = rest.as_chunks::<2>() else { return None };
        let (places, words) = numbers.split_at_checked(2 * quotation_count)?;
        let (title, text) = words.split_at_checked(title_len)?;
        let places: Vec<u16> = places.iter().map(|place| u16::from_le_bytes(*place)).collect();
        let shingle_count = u32::from_le_bytes(*shingle_count);
        let shingle_count_max = text.len().saturating_sub(SHINGLE_WORDS - 1);
        let shingle_count_min = shingle_count_max.min(1);
        let is_possible = title.len() <= TITLE_WORDS_MAX
            && text.len() <= TEXT_WORDS_MAX
            && places.is_sorted_by(|a, b| a < b)
            && places.last().is_none_or(|&end| usize::from(end) <= text.len())
            && (shingle_count_min..=shingle_count_max).contains(&(shingle_count as usize));
        let decode = |words: &[[u8; 2]]| {
            words.iter().map(|word| WordCode(u16::from_le_bytes(*word))).collect()
        };
        is_possible.then(|| Sketch {
            content: u64::from_le_bytes(*content),
            shingle_count,
            title: decode(title),
            text: decode(text),
            quotations: places.as_chunks().0.to_vec(),
        })
    }

    /// A hash of all words of title and body: articles of the same content have the same one.
    pub fn content(&self) -> u64 {
        self.content
    }

    /// What it takes of memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<WordCode>() * (self.title.len() + self.text.len())
            + size_of::<[u16; 2]>() * self.quotations.len()
    }

    /// A sketch of an article that nobody wrote, put together from words of others.
    pub(super) fn of_words(title: Vec<WordCode>, text: Vec<WordCode>) -> Self {
        let shingle_count = Shingles::new(&text).distinct_count() as u32;
        let words = title.iter().chain(&text);
        let content = words.fold(0, |hash, word| bigram_hash(hash, word.0.into()));
        Sketch { content, shingle_count, title, text, quotations: Vec::new() }
    }

    /// Same title and same body, word by word, and at least one word.
    pub(super) fn same_content(&self, other: &Sketch) -> bool {
        self.content == other.content && !(self.text.is_empty() && self.title.is_empty())
    }

    pub(super) fn title(&self) -> &[WordCode] {
        &self.title
    }

    pub(super) fn text(&self) -> &[WordCode] {
        &self.text
    }

    /// Runs of words of the text in quotation marks.
    pub(super) fn quotations(&self) -> impl Iterator<Item = Range<usize>> {
        self.quotations.iter().map(|&[start, end]| start.into()..end.into())
    }

    pub(super) fn shingle_count(&self) -> usize {
        self.shingle_count as usize
    }
}

/// Runs of words in quotation marks, as many as are kept.
fn quotations(words: &[Word]) -> Vec<[u16; 2]> {
    let mut quotations = Vec::new();
    let mut start = 0;
    for run in words.chunk_by(|a, b| a.is_in_quotation() == b.is_in_quotation()) {
        let end = start + run.len();
        if run[0].is_in_quotation() && quotations.len() < QUOTATIONS_MAX {
            quotations.push([start as u16, end as u16]);
        }
        start = end;
    }
    quotations
}

/// The separator makes words that move between title and body count as a change.
fn content_hash(document: &Document) -> u64 {
    const SEPARATOR: u64 = 0;
    let title = document.title.iter().map(|word| word.hash);
    let body = document.body.iter().map(|word| word.hash);
    title.chain([SEPARATOR]).chain(body).fold(document.word_count() as u64, bigram_hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_bring_back_the_sketch(title in "\\PC{0,80}", body in "\\PC{0,200}") {
            let sketch = Sketch::new(&Document::new(&title, &body));
            prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(sketch) = Sketch::from_bytes(&bytes) {
                prop_assert_eq!(sketch.to_bytes(), bytes);
            }
        }

        #[test]
        fn posting_keys_are_the_smallest_distinct(body in "[a-e ]{0,300}") {
            let document = Document::new("", &body);
            let hashes: Vec<u64> = document.body.iter().map(|word| word.hash).collect();
            let mut expected: Vec<u64> = hashes
                .windows(5)
                .map(|words| pentagram_hash([words[0], words[1], words[2], words[3], words[4]]))
                .collect();
            expected.sort_unstable();
            expected.dedup();
            expected.truncate(POSTING_KEYS_MAX);
            let expected: Vec<u32> = expected.into_iter().map(|hash| hash as u32).collect();
            prop_assert_eq!(posting_keys(&document), expected);
        }
    }
}
