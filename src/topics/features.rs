//! What the topic model sees of an article: its content words and the pairs of them.
//!
//! A *content word* is a word that is no stop word; a number counts as one of two words, "a
//! four-digit number" (mostly years) or "another number". A *feature* is a content word or a pair
//! of consecutive content words, so that "talks on a trade deal" holds the pairs "talks trade"
//! and "trade deal". Pairs do not cross from the title to the body.

use std::sync::LazyLock;

use super::CONTENT_WORDS_MIN;
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

/// Hashes of the words that say nothing about a topic, sorted.
pub fn stop_words() -> Vec<u64> {
    let mut hashes: Vec<u64> =
        STOP_WORDS.split_ascii_whitespace().map(|word| word_hash(word.as_bytes())).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

// What is left of a contraction (`don`, `ll`) is here too. `us` is not: it is mostly the country.
const STOP_WORDS: &str = "
    a about above across after again against all almost along already also although always am
    among an and another any anyone anything are aren around as at away back be became because
    become been before began behind being below between both but by called came can cannot come
    comes could couldn d day days did didn do does doesn doing don done down during each either
    else enough even ever every everyone everything far few for from further gave get gets getting
    give given go goes going gone got had hadn has hasn have haven having he her here hers herself
    him himself his how however i if in instead into is isn it its itself just keep know last
    later least less let like likely ll look made make makes making many may maybe me might mine
    more most mr mrs ms much must my myself near need never new next no nor not nothing now of off
    often on once one ones only onto or other others our ours ourselves out over own per perhaps
    put quite rather re really s said same saw say saying says see seem seemed seems seen several
    shall she should shouldn since so some someone something soon still such t take taken takes
    taking tell than that the their theirs them themselves then there therefore these they thing
    things think this those though three through thus to today together told too took toward
    towards two under until up upon use used ve very via want was wasn way we week well went were
    weren what whatever when where whether which while who whole whom whose why will with within
    without won would wouldn year years yes yesterday yet you your yours yourself monday tuesday
    wednesday thursday friday saturday sunday january february march april june july august
    september october november december
";
