//! The one text pipeline: an article's title and body become sequences of hashed words.
//!
//! Everything that looks at text (fingerprint, duplicate judge, topic model, training and
//! evaluation) sees it through [`Document`]. The rules are written out in `docs/fingerprint.md`
//! under the name [`PIPELINE`]; a change to any of them is a new version of that name.
//!
//! In short: HTML markup is dropped, entities are decoded, default-ignorable code points are
//! dropped, the rest is NFKC-normalised and lower-cased, and cut into words. A word is a run of
//! letters, digits and marks; in scripts written without spaces every letter is a word.
//!
//! [`slow_words`] is the specification, one code point at a time. [`words`] is its fast twin: it
//! runs over plain ASCII in blocks of 64 bytes, by the [`Kernel`] of the process, and hands what
//! it does not understand to the slow one. Tests hold the two equal.

mod fast;

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{
    canonical_combining_class, decompose_compatible, is_combining_mark,
};

use crate::kernel::Kernel;

/// Name of this pipeline, recorded in every model file trained on its words.
pub const PIPELINE: &str = "np-text-v1";

/// What the title and the body of an article say, as words.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Document {
    pub title: Vec<Word>,
    pub body: Vec<Word>,
}

impl Document {
    pub fn new(title: &str, body: &str) -> Self {
        Self::read_by(Kernel::active(), title, body)
    }

    /// The same, read by a kernel of one's choice. All give the same words.
    pub fn read_by(kernel: Kernel, title: &str, body: &str) -> Self {
        Document { title: fast::words(kernel, title), body: fast::words(kernel, body) }
    }

    pub fn word_count(&self) -> usize {
        self.title.len() + self.body.len()
    }
}

/// One word of a text: the hash of its normalised form and where it stands in the text as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    pub hash: u64,
    start: u32,
    /// The length in the lower 30 bits, the class in the upper two.
    len_and_class: u32,
}

/// What a word is made of, as far as any consumer tells words apart without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordClass {
    /// Anything that is not one of the others.
    Plain,
    /// ASCII digits only.
    Number,
    /// Several letters that were written with full stops between them, such as `U.S.`.
    Acronym,
}

const CLASS_SHIFT: u32 = 30;

impl WordClass {
    #[inline(always)]
    fn bits(self) -> u32 {
        let class = match self {
            WordClass::Plain => 0,
            WordClass::Number => 1,
            WordClass::Acronym => 2,
        };
        class << CLASS_SHIFT
    }
}

impl Word {
    fn new(hash: u64, span: Range<usize>, class: WordClass) -> Self {
        Word { hash, start: span.start as u32, len_and_class: span.len() as u32 | class.bits() }
    }

    pub fn class(self) -> WordClass {
        match self.len_and_class >> CLASS_SHIFT {
            0 => WordClass::Plain,
            1 => WordClass::Number,
            _ => WordClass::Acronym,
        }
    }

    /// The bytes of the source text that the word was read from.
    pub fn span(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + (self.len_and_class & !(3 << CLASS_SHIFT)) as usize
    }
}

// The first 64-bit words of the fractional part of pi: nobody chose them.
const PI: [u64; 8] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7344,
    0xa409_3822_299f_31d0,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6c,
    0xc0ac_29b7_c97c_50dd,
    0x3f84_d5b5_b547_0917,
];

/// Folded multiply: both halves of the 128-bit product, xored.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hash of a word's normalised UTF-8 bytes, read as little-endian 16-byte blocks, the last one
/// filled up with zeros.
#[inline]
pub fn word_hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for block in bytes.chunks(16) {
        let mut padded = [0u8; 16];
        padded[..block.len()].copy_from_slice(block);
        let block = u128::from_le_bytes(padded);
        hash = fold(block as u64 ^ hash ^ PI[0], (block >> 64) as u64 ^ PI[1]);
    }
    hash
}

/// Hash of two consecutive words.
#[inline(always)]
pub fn bigram_hash(first: u64, second: u64) -> u64 {
    fold(first ^ PI[2], second ^ PI[3])
}

/// Hash of three consecutive words.
#[inline(always)]
pub fn trigram_hash(first: u64, second: u64, third: u64) -> u64 {
    fold(bigram_hash(first, second) ^ PI[4], third ^ PI[5])
}

/// Hash of five consecutive words.
#[inline(always)]
pub fn pentagram_hash(words: [u64; 5]) -> u64 {
    let [a, b, c, d, e] = words;
    fold(trigram_hash(a, b, c) ^ PI[6], bigram_hash(d, e) ^ PI[7])
}

/// The words of one text, in order.
pub fn words(text: &str) -> Vec<Word> {
    fast::words(Kernel::active(), text)
}

/// The words of one text by the letter of the specification.
pub fn slow_words(text: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut reader = SlowReader::new(text);
    let mut at = 0;
    while at < text.len() {
        at = reader.read_to_blank(at, &mut out);
        while text.as_bytes().get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
    }
    out
}

/// An acronym of more letters than this is read as several.
const ACRONYM_LETTERS_MAX: usize = 16;

/// Reads stretches of text one code point at a time, by the rules of the specification.
struct SlowReader<'a> {
    text: &'a str,
    segment: Segment,
    /// Markup that opens a section to be dropped but is never closed is plain text. Once a
    /// closing mark was not found there is none further on either: searching again would make
    /// the work quadratic.
    unclosed: Vec<&'static str>,
}

impl<'a> SlowReader<'a> {
    fn new(text: &'a str) -> Self {
        SlowReader { text, segment: Segment::default(), unclosed: Vec::new() }
    }

    /// Reads from `start` to the next ASCII blank outside markup and returns where it stands.
    fn read_to_blank(&mut self, start: usize, out: &mut Vec<Word>) -> usize {
        let mut at = start;
        while let Some(next) = self.text[at..].chars().next() {
            let end = at + next.len_utf8();
            match next {
                '<' => {
                    if let Some(end) = self.markup_end(at) {
                        self.segment.end_words(out);
                        at = end;
                        continue;
                    }
                }
                '&' => {
                    if let Some((decoded, len)) = entity(&self.text[at..]) {
                        for char in decoded.chars() {
                            self.segment.push(char, at..at + len, out);
                        }
                        at += len;
                        continue;
                    }
                }
                _ if next.is_ascii_whitespace() => break,
                _ => {}
            }
            self.segment.push(next, at..end, out);
            at = end;
        }
        self.segment.end_words(out);
        at
    }

    /// Where the markup that opens at `start` ends, if markup it is: a comment, a declaration,
    /// a tag of an HTML element, or a whole `script` or `style` element.
    fn markup_end(&mut self, start: usize) -> Option<usize> {
        let rest = &self.text[start..];
        if rest.starts_with("<!--") {
            return self.find_close(start + 4, "-->");
        }
        let (closing, name_start) = match rest.as_bytes().get(1)? {
            b'/' => (true, 2),
            b'!' | b'?' => return tag_end(rest).map(|end| start + end),
            _ => (false, 1),
        };
        let name = &rest.as_bytes()[name_start..];
        let name = &name[..name.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()];
        if !is_html_element(name) {
            return None;
        }
        let end = start + tag_end(rest)?;
        if !closing {
            for (element, close) in [("script", "</script"), ("style", "</style")] {
                if name.eq_ignore_ascii_case(element.as_bytes()) {
                    let close = self.find_close(end, close).unwrap_or(end);
                    return Some(self.text[close..].find('>').map_or(close, |gt| close + gt + 1));
                }
            }
        }
        Some(end)
    }

    fn find_close(&mut self, from: usize, close: &'static str) -> Option<usize> {
        if self.unclosed.contains(&close) {
            return None;
        }
        let found = self.text.as_bytes()[from.min(self.text.len())..]
            .windows(close.len())
            .position(|window| window.eq_ignore_ascii_case(close.as_bytes()));
        if found.is_none() {
            self.unclosed.push(close);
        }
        found.map(|at| from + at + close.len())
    }
}

/// The end of a tag whose `<` opens `rest`: just after the first `>`. Another `<` before it means
/// that the first one was a plain less-than sign.
fn tag_end(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let stop = 1 + bytes.get(1..)?.iter().position(|byte| matches!(byte, b'<' | b'>'))?;
    (bytes[stop] == b'>').then_some(stop + 1)
}

/// Names of the HTML elements, current and obsolete, sorted. Anything else in angle brackets is
/// text: a ticker such as `<IBM>`, an address, a formula.
static HTML_ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "acronym",
    "address",
    "applet",
    "area",
    "article",
    "aside",
    "audio",
    "b",
    "base",
    "basefont",
    "bdi",
    "bdo",
    "big",
    "blink",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "data",
    "datalist",
    "dd",
    "del",
    "details",
    "dfn",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "embed",
    "fieldset",
    "figcaption",
    "figure",
    "font",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "mark",
    "marquee",
    "menu",
    "meta",
    "meter",
    "nav",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "output",
    "p",
    "param",
    "path",
    "picture",
    "pre",
    "progress",
    "q",
    "rp",
    "rt",
    "ruby",
    "s",
    "samp",
    "script",
    "section",
    "select",
    "slot",
    "small",
    "source",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "summary",
    "sup",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
    "tr",
    "track",
    "tt",
    "u",
    "ul",
    "var",
    "video",
    "wbr",
];

fn is_html_element(name: &[u8]) -> bool {
    let mut lowered = [0u8; 10];
    let Some(lowered) = lowered.get_mut(..name.len()) else { return false };
    lowered.copy_from_slice(name);
    lowered.make_ascii_lowercase();
    HTML_ELEMENTS.binary_search_by(|element| element.as_bytes().cmp(lowered)).is_ok()
}

/// The longest name in the HTML standard's list of named character references is 31 letters.
const ENTITY_BYTES_MAX: usize = 34;

/// Decodes the character reference at the start of `rest`, which must end in a semicolon, and
/// tells how many bytes it takes. <https://html.spec.whatwg.org/#named-character-references>
fn entity(rest: &str) -> Option<(String, usize)> {
    let name = rest.as_bytes().iter().take(ENTITY_BYTES_MAX).skip(1);
    let name_len = name.take_while(|&&byte| byte.is_ascii_alphanumeric() || byte == b'#').count();
    let len = name_len + 2;
    if name_len == 0 || rest.as_bytes().get(len - 1) != Some(&b';') {
        return None;
    }
    let decoded = htmlize::unescape(&rest[..len]);
    // An unknown name that begins with a known one keeps its tail: `&ampere;` gives `&ere;`.
    (decoded.chars().count() <= 2).then(|| (decoded.into_owned(), len))
}

/// Code points that NFKC may have to look at together: a starter and what may combine with it.
#[derive(Default)]
struct Segment {
    chars: Vec<char>,
    span: Range<usize>,
    words: WordBuilder,
}

impl Segment {
    fn push(&mut self, char: char, span: Range<usize>, out: &mut Vec<Word>) {
        if is_default_ignorable(char) {
            return;
        }
        if begins_segment(char) {
            self.flush(out);
        }
        if self.chars.is_empty() {
            self.span.start = span.start;
        }
        self.span.end = span.end;
        self.chars.push(char);
    }

    /// Ends the segment and the word in it, as a blank does.
    fn end_words(&mut self, out: &mut Vec<Word>) {
        self.flush(out);
        self.words.push(' ', self.span.clone(), out);
    }

    fn flush(&mut self, out: &mut Vec<Word>) {
        let (words, span) = (&mut self.words, &self.span);
        if let [char] = self.chars[..]
            && char.is_ascii()
        {
            words.push(char.to_ascii_lowercase(), span.clone(), out);
        } else {
            for lower in self.chars.iter().copied().nfkc().flat_map(char::to_lowercase) {
                match lower {
                    'ß' => {
                        words.push('s', span.clone(), out);
                        words.push('s', span.clone(), out);
                    }
                    'ς' => words.push('σ', span.clone(), out),
                    _ => words.push(lower, span.clone(), out),
                }
            }
        }
        self.chars.clear();
    }
}

/// Whether nothing before `char` can combine with it.
fn begins_segment(char: char) -> bool {
    if char < '\u{300}' || matches!(char, '\u{2010}'..='\u{2027}' | '\u{3400}'..='\u{9fff}') {
        return true;
    }
    let mut first = None;
    decompose_compatible(char, |part| first = first.or(Some(part)));
    let first = first.unwrap_or(char);
    canonical_combining_class(first) == 0
        // What composes with a starter before it although it is a starter itself: Hangul vowels
        // and final consonants, and the second halves of some Indic vowels, which are marks.
        && !matches!(first, '\u{1161}'..='\u{1175}' | '\u{11a8}'..='\u{11c2}')
        && !is_combining_mark(first)
}

/// The Unicode property Default_Ignorable_Code_Point: soft hyphens, joiners, zero-width spaces,
/// direction marks, variation selectors.
fn is_default_ignorable(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Letters of scripts that are written without blanks between words; each is a word.
fn is_spaceless(char: char) -> bool {
    matches!(char,
        '\u{e00}'..='\u{fff}'            // Thai, Lao, Tibetan
        | '\u{1000}'..='\u{109f}'        // Myanmar
        | '\u{1780}'..='\u{17ff}'        // Khmer
        | '\u{1a20}'..='\u{1aaf}'        // Tai Tham
        | '\u{3005}'..='\u{3007}'        // ideographic iteration mark, closing mark, zero
        | '\u{3040}'..='\u{30ff}'        // Hiragana, Katakana
        | '\u{31f0}'..='\u{31ff}'        // Katakana extensions
        | '\u{3400}'..='\u{4dbf}'        // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{1aff0}'..='\u{1b16f}'      // Kana supplements
        | '\u{20000}'..='\u{3ffff}') // Han extensions
}

/// What stands directly before the next code point, as far as the rules ask.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Before {
    #[default]
    Nothing,
    Apostrophe,
    /// A lone letter or an acronym: the one that [`WordBuilder::acronym`] spells.
    Acronym,
    /// The same, and a full stop directly after it.
    AcronymStop,
}

/// Cuts normalised code points into words.
#[derive(Default)]
struct WordBuilder {
    /// The word being read; empty between words.
    word: String,
    span: Range<usize>,
    before: Before,
    acronym: String,
}

impl WordBuilder {
    fn push(&mut self, char: char, span: Range<usize>, out: &mut Vec<Word>) {
        let is_letter = char.is_alphanumeric();
        if let Some(first) = self.word.chars().next() {
            if is_combining_mark(char) || is_letter && !is_spaceless(char) && !is_spaceless(first) {
                self.word.push(char);
                self.span.end = span.end;
                return;
            }
            self.finish_word(out);
        }
        if is_letter {
            self.word.push(char);
            self.span = span;
            return;
        }
        self.before = match char {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{2032}' => {
                Before::Apostrophe
            }
            '.' if self.before == Before::Acronym => Before::AcronymStop,
            _ => Before::Nothing,
        };
    }

    fn finish_word(&mut self, out: &mut Vec<Word>) {
        let before = std::mem::take(&mut self.before);
        let is_lone_letter = self.word.len() == 1 && self.word.as_bytes()[0].is_ascii_alphabetic();
        let mut class = WordClass::Plain;
        if is_lone_letter {
            if before == Before::Apostrophe {
                self.word.clear();
                return;
            }
            if before == Before::AcronymStop && self.acronym.len() < ACRONYM_LETTERS_MAX {
                self.span.start = out.pop().map_or(self.span.start, |word| word.span().start);
                self.acronym.push_str(&self.word);
                self.word.clone_from(&self.acronym);
                class = WordClass::Acronym;
            } else {
                self.acronym.clone_from(&self.word);
            }
            self.before = Before::Acronym;
        } else if self.word.bytes().all(|byte| byte.is_ascii_digit()) {
            class = WordClass::Number;
        }
        out.push(Word::new(word_hash(self.word.as_bytes()), self.span.clone(), class));
        self.word.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The normalised words of a text, found by hashing candidates of the expected ones.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let expected_hashes: Vec<u64> =
            expected.iter().map(|word| word_hash(word.as_bytes())).collect();
        let words = slow_words(text);
        let spans: Vec<&str> = words.iter().map(|word| &text[word.span()]).collect();
        let hashes: Vec<u64> = words.iter().map(|word| word.hash).collect();
        assert_eq!(hashes, expected_hashes, "{text:?}: {spans:?}");
        check_kernels(text);
    }

    /// The fast reading of a text equals the slow one, whatever the kernel.
    #[track_caller]
    fn check_kernels(text: &str) {
        let expected = slow_words(text);
        for kernel in Kernel::available() {
            let found = fast::words(kernel, text);
            // A hostile text is too long to be shown.
            let place = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert!(
                found == expected,
                "{}: word {place:?} of {} instead of {} in {:?}",
                kernel.name(),
                found.len(),
                expected.len(),
                text.chars().take(1000).collect::<String>(),
            );
        }
    }

    #[test]
    fn words_are_folded_runs_of_letters_and_digits() {
        check("", &[]);
        check(" \n\t -- ?!", &[]);
        check("The Fed's 3.5% cut", &["the", "fed", "3", "5", "cut"]);
        check("snake_case, don't", &["snake", "case", "don"]);
        check("O'Neill l\u{2019}homme", &["o", "neill", "l", "homme"]);
        check("G20 COVID-19", &["g20", "covid", "19"]);
        check("naïve NAÏVE nai\u{308}ve", &["naïve", "naïve", "naïve"]);
        check("Straße STRASSE", &["strasse", "strasse"]);
        check("ΣΊΣΥΦΟΣ Σίσυφος", &["σίσυφοσ", "σίσυφοσ"]);
        check("ﬁne ｆｕｌｌ ½", &["fine", "full", "1", "2"]);
        check("a\0b", &["a", "b"]);
    }

    #[test]
    fn acronyms_are_joined_and_possessives_dropped() {
        check("U.S. and U.S.A. at 3 p.m.", &["us", "and", "usa", "at", "3", "pm"]);
        check("J.P. Morgan. A. B", &["jp", "morgan", "a", "b"]);
        check("the U.S.\u{2019}s plan", &["the", "us", "plan"]);
        check("\u{201c}U.N.\u{201d} x.y", &["un", "xy"]);
        check("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r", &["abcdefghijklmnop", "qr"]);
        check("3.a.b a.bc", &["3", "ab", "a", "bc"]);
        check(
            "Putin\u{2019}s Biden's boss' rock 'n' roll",
            &["putin", "biden", "boss", "rock", "roll"],
        );
    }

    #[test]
    fn markup_is_dropped_and_entities_are_decoded() {
        check("<p>One</p><p class=\"a b\">two</p>", &["one", "two"]);
        check("a<br/>b<BR>c</div >d", &["a", "b", "c", "d"]);
        check("x <!-- no --> y <!DOCTYPE html> z", &["x", "y", "z"]);
        check("a<script>var no = '<p>';</script >b<STYLE>no{}</style>c", &["a", "b", "c"]);
        check("<script>never closed", &["never", "closed"]);
        check("<!-- never closed", &["never", "closed"]);
        check("IBM <IBM> up, 3 < 5 > 2 <a", &["ibm", "ibm", "up", "3", "5", "2", "a"]);
        check("AT&amp;T R&D caf&eacute; &#x41;&#98;", &["at", "t", "r", "d", "café", "ab"]);
        check(
            "Rus&shy;sia rus\u{ad}sia &nosuch; &ampere;",
            &["russia", "russia", "nosuch", "ampere"],
        );
        check("a&nbsp;b a\u{a0}b &#59;c", &["a", "b", "a", "b", "c"]);
    }

    #[test]
    fn letters_of_scripts_without_blanks_are_words() {
        check("中国称 2024年", &["中", "国", "称", "2024", "年"]);
        check("カﾞ ガ", &["ガ", "ガ"]);
        check("ที่นี่", &["ที่", "นี่"]);
        check("한국어 \u{1112}\u{1161}\u{11ab}", &["한국어", "한"]);
        check("السلام عليكم", &["السلام", "عليكم"]);
        check("हिन्दी 😀 👨\u{200d}👩", &["हिन्दी"]);
    }

    #[test]
    fn spans_point_into_the_text_as_sent() {
        let text = "The U.S.\u{2019}s <b>caf&eacute;</b> 中国";
        let spans: Vec<&str> = words(text).iter().map(|word| &text[word.span()]).collect();
        assert_eq!(spans, ["The", "U.S", "caf&eacute;", "中", "国"]);
    }

    #[test]
    fn hashes_are_fixed_for_ever() {
        check_hash("", 0);
        check_hash("a", 6467833486128002559);
    }

    #[track_caller]
    fn check_hash(word: &str, expected: u64) {
        assert_eq!(word_hash(word.as_bytes()), expected, "{word:?}");
    }

    #[test]
    fn hostile_texts_take_linear_time() {
        for piece in ["<", "<a", "<!--", "<script>", "&", "&amp", "a<", "\u{301}", "a.", "'s"] {
            let text = piece.repeat((1 << 20) / piece.len());
            check_kernels(&text);
        }
    }

    /// Written for the purpose: everything that news is full of, and the odd thing it is not.
    const REPORT: &str = "VELMOUTH, March 3 (Wire) \u{2013} The harbour board\u{2019}s plan to \
        deepen the port of Velmouth to 14.5 metres won\u{2019}t be put to a vote until the U.S. \
        Coast Guard has answered 27 questions, its chairwoman, Dr. J.R. O'Hara, said on Tuesday.\n\
        \n\u{201c}We\u{2019}d rather be late than wrong,\u{201d} she told reporters at 9:30 a.m. \
        \u{2014} \u{201c}and it\u{2019}s our children who\u{2019}ll pay the \u{a3}312m, not \
        Mr. Bj\u{f6}rn Anders\u{e9}n of N&amp;O Dredging.\u{201d}\u{a0}Shares of the company fell \
        3.2% to \u{20ac}18.04 <b>in Norland</b>, their lowest since 2009\u{2026}<br/>The board's \
        nine members don't agree: 'Norland's fishermen' counter-signed a petition of 4,000+ names \
        against the extraordinarilywelldocumentedenvironmentalassessment of 12345678901234567890 \
        tonnes of silt, and S.A.L.T., a group of residents, goes to court. \u{2022} R&D: 5&nbsp;% \
        \u{2022} caf\u{e9}s in the Rue de l'\u{c9}glise \u{2022} \u{4e2d}\u{56fd}2024\u{5e74} x.y ";

    #[test]
    fn kernels_agree_on_every_length_and_alignment() {
        let end_of = |start: usize| (start + 300).min(REPORT.len());
        for start in (0..64).chain(REPORT.len() - 300..REPORT.len()).step_by(3) {
            for end in start..=end_of(start) {
                if let Some(text) = REPORT.get(start..end) {
                    check_kernels(text);
                }
            }
        }
    }

    #[test]
    fn kernels_agree_on_long_texts() {
        // The parts of a text whose length is no multiple of 64 meet the blocks in every way.
        check_kernels(&REPORT.repeat(64));
        let plain: String = REPORT.chars().filter(char::is_ascii).collect();
        check_kernels(&plain.replace(['<', '&'], ".").repeat(64));
        check_kernels(&REPORT.to_uppercase().replace(' ', "\u{a0}").repeat(8));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn fast_equals_slow_on_any_text(text in any::<String>()) {
            check_kernels(&text);
        }

        #[test]
        fn fast_equals_slow_on_text_full_of_the_special(
            pieces in prop::collection::vec(prop::sample::select(&[
                "a", "B", "s", "U.S.", "u.", ".", "'", "\u{2019}", "s ", " ", "\n", "<", ">", "<b>",
                "</p>", "<!--", "-->", "<script>", "</script>", "&amp;", "&#46;", "&#39;", "&",
                "&shy;", "é", "\u{301}", "中", "ที่", "19", "2024", "word", "\u{200b}", "İ", "ß", "…",
                "“", "”", "–", "€", "\u{a0}", "a\u{301}”", "”\u{301}", "‘s", "’",
                "a-long-run-of-words-and-hyphens", "\u{1112}", "\u{1161}", "ﾞ", "カ", "_", "😀",
            ][..]), 0..40),
        ) {
            let text = pieces.concat();
            check_kernels(&text);
        }

        #[test]
        fn fast_equals_slow_on_ascii(text in "[ -~\n]{0,300}") {
            check_kernels(&text);
        }

        #[test]
        fn fast_equals_slow_on_letters_digits_and_joints(text in "[a-cXYZ0-2'.\u{2019} ]{0,300}") {
            check_kernels(&text);
        }

        #[test]
        fn composed_and_decomposed_text_give_the_same_words(text in "[a-zA-Zà-ÿ가-힣ァ-ン ]{0,60}") {
            let hashes = |text: &str| words(text).iter().map(|word| word.hash).collect::<Vec<_>>();
            let composed: String = text.nfc().collect();
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(hashes(&composed), hashes(&decomposed));
        }
    }
}
