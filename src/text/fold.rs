//! Which code points are read as which: what Unicode's normalisation leaves apart although it is
//! the same word in another dress. And what the rules ask of a code point, worked out once.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{
    canonical_combining_class, decompose_compatible, is_combining_mark,
};

/// What the rules ask of a code point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Properties(u32);

impl Properties {
    /// The code point that one by itself is read as, if that is one.
    const FOLDED: u32 = 0xffff;
    const FOLDS_TO_ONE: u32 = 1 << 16;
    const BEGINS_SEGMENT: u32 = 1 << 17;
    const LETTER: u32 = 1 << 18;
    const MARK: u32 = 1 << 19;
    const SPACELESS: u32 = 1 << 20;

    /// Looked up for the code points that texts are made of, worked out for the rest.
    pub fn of(char: char) -> Self {
        static BASIC_PLANE: LazyLock<Vec<Properties>> = LazyLock::new(|| {
            let code_points = (0..=0xffff).map(|code| char::from_u32(code).unwrap_or_default());
            code_points.map(Properties::work_out).collect()
        });
        match BASIC_PLANE.get(char as usize) {
            Some(properties) => *properties,
            None => Self::work_out(char),
        }
    }

    fn work_out(char: char) -> Self {
        let mut folded = fold([char]);
        let folded = match (folded.next(), folded.next()) {
            (Some(folded), None) if folded as u32 <= Self::FOLDED => {
                Self::FOLDS_TO_ONE | folded as u32
            }
            _ => 0,
        };
        let bit = |bit: u32, holds: bool| if holds { bit } else { 0 };
        Properties(
            folded
                | bit(Self::BEGINS_SEGMENT, begins_segment(char))
                | bit(Self::LETTER, is_letter(char))
                | bit(Self::MARK, is_combining_mark(char))
                | bit(Self::SPACELESS, is_spaceless(char)),
        )
    }

    fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// What the code point is read as where nothing combines with it, if that is one code point.
    pub fn folded(self) -> Option<char> {
        if self.has(Self::FOLDS_TO_ONE) { char::from_u32(self.0 & Self::FOLDED) } else { None }
    }

    pub fn begins_segment(self) -> bool {
        self.has(Self::BEGINS_SEGMENT)
    }

    pub fn is_letter(self) -> bool {
        self.has(Self::LETTER)
    }

    pub fn is_mark(self) -> bool {
        self.has(Self::MARK)
    }

    pub fn is_spaceless(self) -> bool {
        self.has(Self::SPACELESS)
    }
}

/// What code points that may combine are read as: NFKC, small letters, and the folds of ours.
pub(super) fn fold(chars: impl IntoIterator<Item = char>) -> impl Iterator<Item = char> {
    let composed = chars.into_iter().nfkc().flat_map(char::to_lowercase);
    let folded = composed.map(|char| match after_nfkc(char) {
        Folded::Nothing => [None, None],
        Folded::One(char) => [Some(char), None],
        Folded::Two(first, second) => [Some(first), Some(second)],
    });
    folded.flatten().flatten()
}

/// What a code point is read as before NFKC; `None` if it is passed over as if it were not there.
pub(super) fn before_nfkc(char: char) -> Option<char> {
    match char {
        '\0'..='\u{7f}' => Some(char),
        // Apostrophes: the accent that stands for one, the byte of Windows-1252, and the modifier
        // letters, which are letters to Unicode.
        '\u{92}' | '\u{b4}' | '\u{2b9}'..='\u{2bd}' => Some('\''),
        // Signs that NFKC would write out and join to the word before: trade and service mark, and
        // two Arabic honorifics of 18 and 8 letters.
        '\u{2120}' | '\u{2122}' | '\u{fdfa}' | '\u{fdfb}' => Some(' '),
        // Arabic vowel signs as characters of their own, which NFKC would put on a blank.
        '\u{fc5e}'..='\u{fc63}' | '\u{fcf2}'..='\u{fcf4}' | '\u{fe70}'..='\u{fe7f}' => None,
        _ => (!is_default_ignorable(char)).then_some(char),
    }
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

/// What a code point of composed text in small letters is read as.
enum Folded {
    Nothing,
    One(char),
    Two(char, char),
}

/// Folds what writers put or leave out as they like: letters that have another form or a mark in
/// some typesetting, in capitals or on some keyboards only, vowel signs, and digits.
fn after_nfkc(char: char) -> Folded {
    let folded = match char {
        'ß' => return Folded::Two('s', 's'),
        'æ' => return Folded::Two('a', 'e'),
        'œ' => return Folded::Two('o', 'e'),
        // Turkish, whose small i is one of two.
        'ı' => 'i',
        // Romanian, with a comma or, in older character sets, a cedilla.
        'ș' => 'ş',
        'ț' => 'ţ',
        // Greek, which has no accents in capitals.
        'ς' => 'σ',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' | 'ϊ' | 'ΐ' => 'ι',
        'ό' => 'ο',
        'ύ' | 'ϋ' | 'ΰ' => 'υ',
        'ώ' => 'ω',
        // Russian, which may leave the dots out.
        'ё' => 'е',
        // Persian and Urdu, typed on an Arabic keyboard or on one of their own.
        '\u{6a9}' => '\u{643}',
        '\u{6cc}' => '\u{64a}',
        _ if is_vowel_sign(char) => return Folded::Nothing,
        _ => digit(char).unwrap_or(char),
    };
    Folded::One(folded)
}

/// Arabic and Hebrew vowel signs and marks of recitation, and the Arabic letter stretcher.
fn is_vowel_sign(char: char) -> bool {
    matches!(char,
        '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}' | '\u{5c4}'..='\u{5c5}'
        | '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{652}'
        | '\u{656}'..='\u{65e}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
        | '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{8ca}'..='\u{8e1}'
        | '\u{8e3}'..='\u{8ff}')
}

/// The zeros of scripts that have digits of their own, each followed by 1 to 9.
const ZEROS: [char; 17] = [
    '\u{660}',  // Arabic
    '\u{6f0}',  // Persian and Urdu
    '\u{966}',  // Devanagari
    '\u{9e6}',  // Bengali
    '\u{a66}',  // Gurmukhi
    '\u{ae6}',  // Gujarati
    '\u{b66}',  // Odia
    '\u{be6}',  // Tamil
    '\u{c66}',  // Telugu
    '\u{ce6}',  // Kannada
    '\u{d66}',  // Malayalam
    '\u{de6}',  // Sinhala
    '\u{e50}',  // Thai
    '\u{ed0}',  // Lao
    '\u{f20}',  // Tibetan
    '\u{1040}', // Myanmar
    '\u{17e0}', // Khmer
];

/// A digit of any of those scripts as one of ASCII.
fn digit(char: char) -> Option<char> {
    if !('\u{660}'..='\u{17e9}').contains(&char) {
        return None;
    }
    let value = |zero: &char| (char as u32).checked_sub(*zero as u32).filter(|&value| value < 10);
    ZEROS.iter().find_map(value).and_then(|value| char::from_digit(value, 10))
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

/// Letters and numbers: the general categories L and N. Alphabetic are also some marks, which begin
/// no word, and letters in squares and circles, which are ornaments.
fn is_letter(char: char) -> bool {
    char.is_alphanumeric()
        && (char.is_ascii()
            || !is_combining_mark(char) && !matches!(char, '\u{1f130}'..='\u{1f189}'))
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
