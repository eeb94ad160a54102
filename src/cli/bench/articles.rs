//! Invented articles: the same ones every time, made in microseconds, so that making them is no
//! part of what is measured. `newsprint bench`, `benches/` and `peers/` all take theirs from here.
//!
//! What they have of real ones is what decides the speed of what reads them: how often words occur,
//! how long they are and how many of them the topics know, names, numbers and typography, and how
//! many other articles an article has a sentence or all of its text in common with. They make no
//! sense.

use std::fmt::Write;

use newsprint::article::Article;
use newsprint::random::SplitMix64;

/// The words of `models/topics-written.jsonl`, most frequent first.
const COMMON_WORDS: &str = include_str!("words.txt");

/// Names and rare words are four of these each.
const SYLLABLES: [&str; 16] = [
    "ta", "ren", "so", "mi", "lor", "ve", "da", "kin", "pe", "ul", "gra", "no", "est", "fi", "bar",
    "ow",
];

const ACRONYMS: [&str; 4] = ["U.S.", "EU", "NATO", "G20"];

/// A sentence that some articles have in common, as agency copy and background have: this many
/// articles in a row bring one new sentence into use...
const ARTICLES_PER_SENTENCE: u64 = 5;

/// ... and quote from so many that came last: each stands in some ten articles, few enough for
/// those to be looked at as possible copies of one another.
const SENTENCES_IN_USE: u64 = 200;

const SENTENCE_WORDS: u64 = 16;

const NOTICE: &str = "The board of the company declared a regular quarterly dividend on its common \
stock today, payable to shareholders of record at the close of business. It said the payment \
reflects its confidence in the coming year and thanked employees for their work. The company \
makes parts for ships and employs people at several plants along the coast.";

/// Of a hundred articles so many are copies as another outlet brings them, with its own headline,
/// the end cut off and some words replaced; so many are copies word for word; and so many are a
/// notice in which only a name and figures change.
const EDITED_COPIES: u64 = 14;
const EXACT_COPIES: u64 = 3;
const NOTICES: u64 = 1;

const TITLE_WORDS: u64 = 8;

/// A sample that is measured.
const SAMPLE: u64 = 1000;

/// Articles by number.
#[derive(Debug)]
pub struct Articles {
    /// Common words, each about as often as English has the word of its rank.
    common: Vec<&'static str>,
    words_mean: u64,
    mean_bytes: usize,
}

impl Articles {
    /// Articles of so many bytes on average, half to one and a half times that each.
    pub fn new(bytes_mean: usize) -> Self {
        let words: Vec<&str> = COMMON_WORDS.split_whitespace().collect();
        let draws = 1 << 16;
        // Zipf's law in Mandelbrot's form: the word of rank r has a share as 1 / (r + FLATTENING).
        const FLATTENING: f64 = 3.0;
        let ratio = 1.0 + words.len() as f64 / FLATTENING;
        let rank = |draw| FLATTENING * (ratio.powf(f64::from(draw) / f64::from(draws)) - 1.0);
        let common = (0..draws).map(|draw| words[rank(draw) as usize]).collect();
        let words_mean = bytes_mean as u64 / 6;
        let mut articles = Articles { common, words_mean, mean_bytes: 0 };
        articles.words_mean = words_mean * bytes_mean as u64 / articles.measure() as u64;
        articles.mean_bytes = articles.measure();
        articles
    }

    /// The mean length of some articles.
    fn measure(&self) -> usize {
        let bytes = (0..SAMPLE).map(|number| self.get(number).body.len());
        bytes.sum::<usize>() / SAMPLE as usize
    }

    pub fn mean_bytes(&self) -> usize {
        self.mean_bytes
    }

    /// The article of a number, copies and notices among them.
    pub fn get(&self, number: u64) -> Article {
        const EDITED_END: u64 = EDITED_COPIES;
        const EXACT_END: u64 = EDITED_END + EXACT_COPIES;
        const NOTICES_END: u64 = EXACT_END + NOTICES;
        let mut random = SplitMix64(number);
        let source = format!("outlet {}", random.below(50));
        let (title, body) = match random.below(100) {
            0..EDITED_END => self.edited_copy(random.below(number + 1), &mut random),
            EDITED_END..EXACT_END => self.original(random.below(number + 1)),
            EXACT_END..NOTICES_END => self.notice(&mut random),
            _ => self.original(number),
        };
        Article { title, body, source, ..Article::default() }
    }

    fn original(&self, number: u64) -> (String, String) {
        let mut random = SplitMix64(number ^ (1 << 40));
        let count = self.word_count(&mut random);
        let body = self.text(number, count, || random.next());
        (self.title(number, &mut random), body)
    }

    fn edited_copy(&self, number: u64, random: &mut SplitMix64) -> (String, String) {
        let mut original = SplitMix64(number ^ (1 << 40));
        let count = self.word_count(&mut original);
        let body = self.text(number, count - count / 8, || {
            let draw = original.next();
            if random.below(50) == 0 { random.next() } else { draw }
        });
        (self.title(number, random), body)
    }

    fn notice(&self, random: &mut SplitMix64) -> (String, String) {
        let mut name = String::new();
        push_name(&mut name, random.next());
        let cents = random.below(200);
        let body = format!("{name} pays {cents} cents a share, up from {}. {NOTICE}", cents / 2);
        (format!("{name} declares dividend"), body)
    }

    fn word_count(&self, random: &mut SplitMix64) -> u64 {
        self.words_mean / 2 + random.below(self.words_mean)
    }

    fn title(&self, number: u64, random: &mut SplitMix64) -> String {
        let mut title = self.text(number, TITLE_WORDS, || random.next());
        title.truncate(title.trim_end().len());
        title
    }

    /// So many words of the article of a number, each decided by one draw.
    fn text(&self, number: u64, words: u64, mut draw: impl FnMut() -> u64) -> String {
        let mut text = String::with_capacity(words as usize * 8);
        for _ in 0..words {
            self.push_word(&mut text, number, draw());
        }
        text
    }

    /// Adds a word and what stands around it. As in the news, one byte in a hundred is part of a
    /// character beyond ASCII.
    fn push_word(&self, text: &mut String, number: u64, draw: u64) {
        let [low, high, style, more, syllables @ ..] = draw.to_le_bytes();
        let word = self.common[usize::from(u16::from_le_bytes([low, high]))];
        let begins_sentence = matches!(text.as_bytes(), [] | [.., b'.', b' '] | [.., b'\n']);
        let (before, after) = match style {
            0..20 => {
                push_name(text, u32::from_le_bytes(syllables).into());
                return text.push(' ');
            }
            20..26 => return push_number(text, syllables),
            26..28 => {
                text.push_str(ACRONYMS[usize::from(more) % ACRONYMS.len()]);
                return text.push(' ');
            }
            28 => {
                let newest = number / ARTICLES_PER_SENTENCE;
                return self.push_sentence(text, newest.saturating_sub(draw % SENTENCES_IN_USE));
            }
            29..43 => ("", ", "),
            43..46 => ("", ".\n\n"),
            46..55 => ("", ". "),
            55..56 => ("“", " "),
            56..57 => ("", ",” "),
            57..59 => ("", "’s "),
            59..63 => ("", "'s "),
            63..64 => ("", " – "),
            64..67 => ("", "-"),
            _ => ("", " "),
        };
        text.push_str(before);
        if begins_sentence {
            text.push(word.as_bytes()[0].to_ascii_uppercase().into());
            text.push_str(&word[1..]);
        } else {
            text.push_str(word);
        }
        text.push_str(after);
    }

    /// Adds the sentence of a number, in common words.
    fn push_sentence(&self, text: &mut String, sentence: u64) {
        let mut random = SplitMix64(sentence ^ (1 << 41));
        for _ in 0..SENTENCE_WORDS {
            text.push_str(self.common[random.below(self.common.len() as u64) as usize]);
            text.push(' ');
        }
        text.pop();
        text.push_str(". ");
    }
}

/// A number, a sum, a share or a year.
fn push_number(text: &mut String, draw: [u8; 4]) {
    let [kind, tenth, low, high] = draw;
    let (number, tenth) = (u16::from_le_bytes([low, high]), tenth % 10);
    // Writing to a string cannot fail.
    let _ = match kind % 4 {
        0 => write!(text, "{}.{tenth}% ", number % 30),
        1 => write!(text, "£{} million ", number % 900),
        2 => write!(text, "{},{:03} ", number % 40 + 1, number % 1000),
        _ => write!(text, "{} ", 1990 + number % 40),
    };
}

/// A name that next to no other article has.
fn push_name(text: &mut String, draw: u64) {
    let first = SYLLABLES[draw as usize % SYLLABLES.len()];
    text.push(first.as_bytes()[0].to_ascii_uppercase().into());
    text.push_str(&first[1..]);
    for place in 1..4 {
        text.push_str(SYLLABLES[(draw >> (4 * place)) as usize % SYLLABLES.len()]);
    }
}
