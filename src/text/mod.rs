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
mod fold;
mod markup;

use std::borrow::Cow;
use std::ops::Range;

use self::fold::{Properties, before_nfkc};
use self::markup::{MarkupReader, reference};
use crate::kernel::Kernel;

/// Name of this pipeline, recorded in every model file trained on its words.
pub const PIPELINE: &str = "np-text-v2";

/// What the title and the body of an article say, as words.
///
/// Words of the body in quotation marks are marked as such: from one mark to the next, or to the
/// end of the line. A mark is one of `"“”„«»「」`; single ones are mostly apostrophes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Document {
    pub title: Vec<Word>,
    pub body: Vec<Word>,
    /// Which words of the body stand in lines that quote another text, as replies do: lines that
    /// begin with `>`, perhaps after blanks and `|` (RFC 3676, section 4.5). In order.
    pub quoted: Vec<Range<usize>>,
}

impl Document {
    pub fn new(title: &str, body: &str) -> Self {
        Self::read_by(Kernel::active(), title, body)
    }

    /// The same, read by a kernel of one's choice. All give the same words.
    pub fn read_by(kernel: Kernel, title: &str, body: &str) -> Self {
        let (title, mut words) = (fast::words(kernel, title), fast::words(kernel, body));
        mark_quotations(body, &mut words);
        Document { title, quoted: quoted(body, &words), body: words }
    }

    /// What another article says, in the room that this one takes.
    pub fn read_next(self, title: &str, body: &str) -> Self {
        let kernel = Kernel::active();
        let title = fast::words_in(kernel, title, self.title);
        let mut words = fast::words_in(kernel, body, self.body);
        mark_quotations(body, &mut words);
        Document { title, quoted: quoted(body, &words), body: words }
    }

    pub fn word_count(&self) -> usize {
        self.title.len() + self.body.len()
    }
}

fn mark_quotations(text: &str, words: &mut [Word]) {
    let mut opened = None;
    // All words before this one are done.
    let mut next = 0;
    let mut reach = |place: usize, is_end: bool| match opened {
        None if is_end => {}
        None => opened = Some(place),
        Some(start) => {
            let before =
                |words: &[Word], place| words.partition_point(|word| word.span().start < place);
            let first = next + before(&words[next..], start);
            next = first + before(&words[first..], place);
            words[first..next].iter_mut().for_each(|word| word.len_and_class |= IN_QUOTATION);
            opened = None;
        }
    };
    let bytes = text.as_bytes();
    let mut plain = memchr::memchr2_iter(b'"', b'\n', bytes).peekable();
    let mut typographic = memchr::memchr3_iter(0xc2, 0xe2, 0xe3, bytes)
        .filter(|&place| begins_with_mark(&bytes[place..]))
        .peekable();
    while let Some(place) = match (plain.peek(), typographic.peek()) {
        (Some(a), Some(b)) if a > b => typographic.next(),
        (None, _) => typographic.next(),
        _ => plain.next(),
    } {
        reach(place, bytes[place] == b'\n');
    }
    reach(text.len(), true);
}

/// Whether some bytes of UTF-8 begin with one of the marks `“”„«»「」`.
fn begins_with_mark(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xe2, 0x80, 0x9c..=0x9e, ..] | [0xc2, 0xab | 0xbb, ..] | [0xe3, 0x80, 0x8c | 0x8d, ..]
    )
}

/// The words of a text that stand in quoted lines.
fn quoted(text: &str, words: &[Word]) -> Vec<Range<usize>> {
    let mut quoted: Vec<Range<usize>> = Vec::new();
    let mut line_end = 0;
    for sign in memchr::memchr_iter(b'>', text.as_bytes()) {
        if sign < line_end {
            continue;
        }
        let before = text[..sign].trim_end_matches([' ', '\t', '|']);
        if !before.is_empty() && !before.ends_with(['\n', '\r']) {
            continue;
        }
        let rest = &text.as_bytes()[sign..];
        line_end = memchr::memchr2(b'\n', b'\r', rest).map_or(text.len(), |len| sign + len);
        let known = quoted.last().map_or(0, |last| last.end);
        let place =
            |offset| known + words[known..].partition_point(|word| word.span().start < offset);
        let line = place(sign)..place(line_end);
        match quoted.last_mut() {
            Some(last) if last.end == line.start => last.end = line.end,
            _ => quoted.push(line),
        }
    }
    quoted.retain(|words| !words.is_empty());
    quoted
}

/// One word of a text: the hash of its normalised form and where it stands in the text as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    pub hash: u64,
    start: u32,
    /// The length in the lower 29 bits, one for words in quotation marks, the class in the upper two.
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
const IN_QUOTATION: u32 = 1 << 29;

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
        start..start + (self.len_and_class & (IN_QUOTATION - 1)) as usize
    }

    /// Whether it stands in quotation marks; see [`Document`].
    pub fn is_in_quotation(self) -> bool {
        self.len_and_class & IN_QUOTATION != 0
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

/// How a word of a text is written there, for people and for those who read letters.
pub fn written(text: &str, word: Word) -> Cow<'_, str> {
    let written = text.get(word.span()).unwrap_or_default();
    if written.contains(['&', '<']) {
        Cow::Owned(markup::visible(written))
    } else {
        Cow::Borrowed(written)
    }
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
    markup: MarkupReader<'a>,
    segment: Segment,
}

impl<'a> SlowReader<'a> {
    fn new(text: &'a str) -> Self {
        SlowReader { text, markup: MarkupReader::new(text), segment: Segment::default() }
    }

    /// Reads from `start` to the next ASCII blank outside markup and returns where it stands.
    fn read_to_blank(&mut self, start: usize, out: &mut Vec<Word>) -> usize {
        let mut at = start;
        while let Some(char) = self.text[at..].chars().next() {
            let (mut first, mut second, mut end) = (char, None, at + char.len_utf8());
            if char == '&' {
                if let Some(reference) = reference(&self.text[at..]) {
                    (first, second, end) = (reference.first, reference.second, at + reference.len);
                }
            } else if char.is_ascii_whitespace() {
                break;
            }
            match first {
                '<' => {
                    if let Some(markup) = self.markup.read(at, end) {
                        if markup.divides {
                            self.segment.end_words(out);
                        }
                        at = markup.end;
                        continue;
                    }
                }
                // A word divided at the end of a line.
                '\u{ad}' | '\u{ac}' => {
                    if let Some(len) = line_end(&self.text[end..]) {
                        at = end + len;
                        continue;
                    }
                }
                _ => {}
            }
            for char in [Some(first), second].into_iter().flatten() {
                self.segment.push(char, at..end, out);
            }
            at = end;
        }
        self.segment.end_words(out);
        at
    }
}

/// The length of the line end that a text begins with.
fn line_end(text: &str) -> Option<usize> {
    ["\r\n", "\n", "\r"].into_iter().find(|end| text.starts_with(end)).map(str::len)
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
        let Some(char) = before_nfkc(char) else { return };
        if Properties::of(char).begins_segment() {
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
            && let Some(folded) = Properties::of(char).folded()
        {
            words.push(folded, span.clone(), out);
        } else {
            for folded in fold::fold(self.chars.iter().copied()) {
                words.push(folded, span.clone(), out);
            }
        }
        self.chars.clear();
    }
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
        if char == '\u{307}' && self.word.ends_with('i') {
            // The dot of a Turkish capital, made small.
            return;
        }
        let properties = Properties::of(char);
        if let Some(first) = self.word.chars().next() {
            let is_run = properties.is_letter()
                && !properties.is_spaceless()
                && !Properties::of(first).is_spaceless();
            if properties.is_mark() || is_run {
                self.word.push(char);
                self.span.end = span.end;
                return;
            }
            self.finish_word(out);
        }
        if properties.is_letter() {
            self.word.push(char);
            self.span = span;
            return;
        }
        self.before = match char {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' => Before::Apostrophe,
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
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

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

    #[test]
    fn quoted_lines_are_told_from_a_writers_own() {
        let check = |body: &str, expected: &str| {
            let Document { body: words, quoted, .. } = Document::new("", body);
            let quoted = quoted.into_iter().flatten().map(|place| &body[words[place].span()]);
            assert_eq!(quoted.collect::<Vec<_>>().join(" "), expected, "{body:?}");
        };
        check("She wrote:\n> the ferry\n>> was late\n\nSo it was.", "the ferry was late");
        check(">one\r\n |> two\r\nthree\r\t> four", "one two four");
        check("a -> b\n<p>x</p>\nc > d\ne", "");
        check("> all of it", "all of it");
        check(">\n>\nnothing", "");
    }

    #[test]
    fn the_room_of_another_article_changes_nothing() {
        let articles = [
            ("A headline", "“Go,” she said.\n> quoted words\nHe left, after all of it was said."),
            ("", ""),
            ("Another", "one"),
        ];
        let mut room = Document::default();
        for (title, body) in articles.into_iter().cycle().take(7) {
            room = room.read_next(title, body);
            assert_eq!(room, Document::new(title, body));
        }
    }

    #[test]
    fn words_in_quotation_marks_are_marked() {
        let check = |body: &str, expected: &str| {
            let spoken = Document::new("", body).body;
            let spoken = spoken.iter().filter(|word| word.is_in_quotation());
            let spoken = spoken.map(|word| &body[word.span()]).collect::<Vec<_>>();
            assert_eq!(spoken.join(" "), expected, "{body:?}");
        };
        check("\"Go,\" she said, \"or stay.\" He left.", "Go or stay");
        check("Er sagte: „Wir gehen.“ Dann «ja» und »nein«, 「好」.", "Wir gehen ja nein 好");
        check("“We go.\n“We stay,” they’d say.\nSo", "We go We stay");
        check("no marks, it's 5' long", "");
        check("the last \"words of it", "words of it");
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
        check("ΣΊΣΥΦΟΣ ΣΙΣΥΦΟΣ Σίσυφος", &["σισυφοσ"; 3]);
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
        check("Rus&shy;sia rus\u{ad}sia &nosuch; &ampere;", &["russia", "russia", "nosuch", "ere"]);
        check("a&nbsp;b a\u{a0}b &#59;c", &["a", "b", "a", "b", "c"]);
        check("&NotEqualTilde; &fjlig;ord &semi;x", &["fjord", "x"]);
    }

    #[test]
    fn references_are_decoded_as_browsers_do() {
        check(
            "said&nbsp the &quotgrain&quot of &Eacutemile",
            &["said", "the", "grain", "of", "émile"],
        );
        check("&#8217s Mayor&#8217;s mayor&#146;s &#xe9;", &["mayor", "mayor", "é"]);
        check("a&#0;b&#xD800;c&#99999999999;d", &["a", "b", "c", "d"]);
        check("R&D of AT&T, &#;&;&#x;", &["r", "d", "of", "at", "t", "x"]);
        check("caf&amp;eacute; city&amp;amp;#x27;s AT&amp;T", &["café", "city", "at", "t"]);
        check("Black&amp;nothing", &["black", "nothing"]);
    }

    #[test]
    fn character_data_is_text() {
        check("<![CDATA[<p>Judge clears</p>]]> mayor", &["judge", "clears", "mayor"]);
        check("&lt;![CDATA[Judge clears]]&gt; mayor", &["judge", "clears", "mayor"]);
        check("<![CDATA[Judge", &["judge"]);
        check("<![if mso]>Judge<![endif]>", &["judge"]);
    }

    #[test]
    fn escaped_markup_is_markup() {
        check("&lt;p&gt;One&lt;/p&gt;&lt;p class=&quot;b&quot;&gt;two", &["one", "two"]);
        check("&amp;lt;p&amp;gt;One&amp;amp;lt;br/&amp;amp;gt;two", &["one", "two"]);
        check("&lt;p>One&lt;/p>two", &["one", "two"]);
        check("&lt;script&gt;if (a &lt; b) no();&lt;/script&gt;yes", &["yes"]);
        check("&lt;!-- no -- > no --&gt;yes", &["yes"]);
        check("3 &lt; 5, &lt;IBM&gt; &lt;b", &["3", "5", "ibm", "b"]);
        // What was no less-than sign when it was escaped opens nothing.
        check("<p title='&gt;'>One &lt; two>", &["one", "two"]);
        check("&#60;p>One", &["p", "one"]);
    }

    #[test]
    fn inline_elements_divide_no_word() {
        check(
            "<span class=\"cap\">M</span>ore <b>Putin</b>'s <a href=x>Merkel</a>s",
            &["more", "putin", "merkels"],
        );
        check(
            "H<sub>2</sub>O km<sup>2</sup> a<wbr>b &lt;b&gt;T&lt;/b&gt;he",
            &["h2o", "km2", "ab", "the"],
        );
        check("<a>Home</a><a>News</a> <b><i>M</i></b>ore<br>end", &["home", "news", "more", "end"]);
        check("<em>one</em> <em>two</em>x", &["one", "twox"]);
    }

    #[test]
    fn elements_of_other_vocabularies_are_markup() {
        check("<o:p></o:p>a <st1:City w:st=\"on\">b</st1:City>", &["a", "b"]);
        check("<amp-img src=x.jpg alt=\"no\"></amp-img>a<circle r=\"3\"></circle>b", &["a", "b"]);
        check("a<foo/>b</Foo>c", &["a", "b", "c"]);
        check("<svg viewBox=\"0 0\"><title>no</title><path d=\"M0\"/></svg>a<svg/>b", &["a", "b"]);
        check(
            "<IBM> <BRK-A> <a@b.example> <http://a.example/b> <GM.N>",
            &["ibm", "brk", "a", "a", "b", "example", "http", "a", "example", "b", "gm", "n"],
        );
    }

    #[test]
    fn signs_in_quoted_attributes_end_no_tag() {
        check("<div class=\"[&>li]:mt-2\" data-x='<p>no</p>'>yes</div>", &["yes"]);
        check("<img alt = \"a > b\">yes <a title=\"it's\">yes", &["yes", "yes"]);
        // A quote that is not closed is none.
        check("<a href=\"x>one two</a> three", &["one", "two", "three"]);
        check("<a href=\"x>one \"two\" three</a>", &["one", "two", "three"]);
        check("<a b=\"<i>\" \" <p>one</p> <a b=\">\">two", &["a", "b", "one", "two"]);
    }

    #[test]
    fn words_divided_at_line_ends_are_joined() {
        check("comp\u{ac}\nany evi\u{ad}\r\ndence n&shy;\net", &["company", "evidence", "net"]);
        check("a \u{ac} b\u{ac}c end-\nless", &["a", "b", "c", "end", "less"]);
    }

    #[test]
    fn marks_that_writers_leave_out_make_no_other_word() {
        // Arabic: vowel signs, the letter stretcher, presentation forms.
        check("عمال عمــال عُمَّالٌ", &["عمال"; 3]);
        check("ﻋﻤﺎل ع\u{fe77}مال ع\u{fcf2}مال", &["عمال"; 3]);
        check("آلاف آ\u{652}لاف الأجور", &["آلاف", "آلاف", "الأجور"]);
        check("النبي\u{fdfa} قال ﷲ", &["النبي", "قال", "الله"]);
        // Hebrew points, composed or not.
        check("שלום שָׁלוֹם \u{fb2a}לום", &["שלום"; 3]);
        // Persian on two keyboards.
        check("یک يك", &["يك"; 2]);
        // Russian, Turkish, Greek, Romanian, French.
        check("ещё еще ЕЩЁ мой", &["еще", "еще", "еще", "мой"]);
        check("DIŞİŞLERİ Dışişleri dişi\u{307}şleri\u{307}", &["dişişleri"; 3]);
        check("ΑΘΗΝΑ Αθήνα προϊόν ΠΡΟΪΌΝ", &["αθηνα", "αθηνα", "προιον", "προιον"]);
        check("ştiința știinţa", &["ştiinţa"; 2]);
        check("œuvre Oeuvre CÆSAR", &["oeuvre", "oeuvre", "caesar"]);
        // Accents that make other words stay.
        check("wurde würde año ano", &["wurde", "würde", "año", "ano"]);
    }

    #[test]
    fn digits_of_every_script_are_digits() {
        let check_number = |text: &str, expected: &str| {
            check(text, &[expected]);
            assert_eq!(words(text)[0].class(), WordClass::Number, "{text}");
        };
        check_number("2024", "2024");
        check_number("٢٠٢٤", "2024");
        check_number("۲۰۲۴", "2024");
        check_number("२०२४", "2024");
        check_number("๒๕๖๗", "2567");
        check_number("２０２４", "2024");
    }

    #[test]
    fn odd_apostrophes_and_trade_marks() {
        check("Putin\u{92}s Putin\u{b4}s Putin\u{2bc}s Putin\u{2019}s", &["putin"; 4]);
        check("п\u{2bc}ять п’ять", &["п", "ять", "п", "ять"]);
        check("Widget™ Widget℠ Widget®", &["widget"; 3]);
        check("\u{345}a \u{1f150}b", &["a", "b"]);
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
        let text = "<b class='a'>M</b>ore caf&eacute; AT&amp;T";
        let as_written: Vec<Cow<str>> =
            words(text).into_iter().map(|word| written(text, word)).collect();
        assert_eq!(as_written, ["More", "café", "AT", "T"]);
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
        for piece in [
            "<",
            "<a",
            "<!--",
            "<script>",
            "&",
            "&amp",
            "a<",
            "\u{301}",
            "a.",
            "'s",
            "&lt;",
            "&lt;a",
            "&lt;!--",
            "&lt;script&gt;",
            "&amp;",
            "amp;",
            "<svg>",
            "<a =\"\" =\"",
            "<a ='\">",
            "<b>",
            "</b><b>",
            "<a-",
            "<a:",
            "--&amp;",
            "\u{ac}\n",
            "\u{fdfa}",
            "\u{3316}",
            "ُ",
            "&#9999999999",
        ] {
            let text = piece.repeat((1 << 17) / piece.len());
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
                "&lt;", "&gt;", "&lt;b&gt;", "&amp;lt;/b&amp;gt;", "<![CDATA[", "</b>", "<a b=\"", "=\"", "<o:p>",
                "<svg>", "</svg>", "--&gt;", "&quot", "\u{ac}\n", "\u{ad}", "ـ", "\u{64e}", "ё", "ı", "I",
                "\u{307}", "٢", "\u{2bc}", "\u{92}", "™", "\u{fdfa}",
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
