//! What the topic model sees of an article: its content words and the pairs of them.
//!
//! A *content word* is a word that is no stop word; a number counts as one of two words, "a
//! four-digit number" (mostly years) or "another number". A *feature* is a content word or a pair
//! of consecutive content words, so that "talks on a trade deal" holds the pairs "talks trade"
//! and "trade deal". Pairs do not cross from the title to the body.

use std::sync::LazyLock;

use super::CONTENT_WORDS_MIN;
use crate::language;
use crate::text::{Document, Word, WordClass, bigram_hash, word_hash};

/// Words of the title that are read. A longer one is no title.
pub const TITLE_WORDS_MAX: usize = 60;

/// Words of the body that are read. What an article is about stands at its beginning: reading
/// twice as many gains nothing.
pub const BODY_WORDS_MAX: usize = 300;

/// Words that are read at most.
pub const WORDS_MAX: usize = TITLE_WORDS_MAX + BODY_WORDS_MAX;

/// The part of a document that is read: all of the title, the beginning of the body.
pub fn read_part(document: &Document, body_words_max: usize) -> [&[Word]; 2] {
    let title = &document.title[..document.title.len().min(TITLE_WORDS_MAX)];
    let body = &document.body[..document.body.len().min(body_words_max)];
    [title, body]
}

// Neither can be the hash of a word: nobody would choose such words.
const FOUR_DIGITS: u64 = 0x6e65_7773_7072_696e;
const OTHER_NUMBER: u64 = 0x745f_6e75_6d62_6572;

/// The hash by which the model knows a word.
#[inline(always)]
pub fn token(word: Word) -> u64 {
    if word.class() != WordClass::Number {
        word.hash
    } else if word.span().len() == 4 {
        FOUR_DIGITS
    } else {
        OTHER_NUMBER
    }
}

/// The pair of two consecutive content words.
#[inline(always)]
pub fn pair(first: u64, second: u64) -> u64 {
    bigram_hash(first, second)
}

/// What a feature that occurs this often counts, in units of [`ONCE`]: `1 + ln count`. The tenth
/// "tariff" of an article says little that the third did not.
pub fn emphasis(count: usize) -> i32 {
    static EMPHASES: LazyLock<[i32; 256]> = LazyLock::new(|| {
        std::array::from_fn(|count| {
            let emphasis = 1.0 + libm::log(count.max(1) as f64);
            (emphasis * f64::from(ONCE)).round() as i32
        })
    });
    EMPHASES[count.min(255)]
}

/// What a feature that occurs once counts.
pub const ONCE: i32 = 256;

/// How much shorter than a full article one is, as the logarithm of the ratio: 0 from 100 content
/// words on, 1.4 for 25. Few words hold little evidence even where they are all about the topic,
/// so the same evidence means more in a brief. With too few words for a reliable answer it means
/// no more than with just enough.
pub fn brevity(content_words: usize) -> f64 {
    let words = content_words.clamp(CONTENT_WORDS_MIN, FULL_CONTENT_WORDS);
    libm::log(FULL_CONTENT_WORDS as f64 / words as f64)
}

/// Content words from which on an article is as good as a long one.
const FULL_CONTENT_WORDS: usize = 100;

/// Hashes of the words of a language that say nothing about a topic, sorted.
pub fn stop_words(language: &str) -> Vec<u64> {
    let mut hashes: Vec<u64> =
        language::stop_words(language).map(|word| word_hash(word.as_bytes())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}
