//! Which language a text is in.
//!
//! Two detectors: whatlang knows 69 languages and takes over a hundred microseconds; whichlang takes
//! a few, but knows 16 languages and takes every text to be in one of them. It is right where the
//! text is known to be in one of the large languages.

use whatlang::Lang;

/// So many bytes are enough to tell, and reading more would only cost time.
const SAMPLE_BYTES: usize = 400;

/// To confirm what is very probable fewer will do.
const KNOWN_SAMPLE_BYTES: usize = 200;

/// Below this many letters any answer would be a guess.
const LETTERS_MIN: usize = 20;

/// The BCP 47 tag of the language of a text, or an empty string if it cannot be told.
pub fn detect(text: &str) -> &'static str {
    let sample = sample(text, SAMPLE_BYTES);
    if is_too_short(sample) { "" } else { whatlang::detect_lang(sample).map_or("", tag) }
}

/// The same for a text of which the topic model knows most words, at a small part of the price.
pub fn detect_known(text: &str) -> &'static str {
    let sample = sample(text, KNOWN_SAMPLE_BYTES);
    match whichlang::detect_language(sample) {
        whichlang::Lang::Eng if !is_too_short(sample) => "en",
        _ => detect(text),
    }
}

fn sample(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn is_too_short(sample: &str) -> bool {
    let letters = sample.chars().filter(|char| char.is_alphabetic());
    letters.take(LETTERS_MIN).count() < LETTERS_MIN
}

/// BCP 47 asks for the two-letter code of ISO 639-1 where there is one.
fn tag(lang: Lang) -> &'static str {
    match lang {
        Lang::Epo => "eo",
        Lang::Eng => "en",
        Lang::Rus => "ru",
        Lang::Cmn => "zh",
        Lang::Spa => "es",
        Lang::Por => "pt",
        Lang::Ita => "it",
        Lang::Ben => "bn",
        Lang::Fra => "fr",
        Lang::Deu => "de",
        Lang::Ukr => "uk",
        Lang::Kat => "ka",
        Lang::Ara => "ar",
        Lang::Hin => "hi",
        Lang::Jpn => "ja",
        Lang::Heb => "he",
        Lang::Yid => "yi",
        Lang::Pol => "pl",
        Lang::Amh => "am",
        Lang::Jav => "jv",
        Lang::Kor => "ko",
        Lang::Nob => "nb",
        Lang::Dan => "da",
        Lang::Swe => "sv",
        Lang::Fin => "fi",
        Lang::Tur => "tr",
        Lang::Nld => "nl",
        Lang::Hun => "hu",
        Lang::Ces => "cs",
        Lang::Ell => "el",
        Lang::Bul => "bg",
        Lang::Bel => "be",
        Lang::Mar => "mr",
        Lang::Kan => "kn",
        Lang::Ron => "ro",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Mkd => "mk",
        Lang::Lit => "lt",
        Lang::Lav => "lv",
        Lang::Est => "et",
        Lang::Tam => "ta",
        Lang::Vie => "vi",
        Lang::Urd => "ur",
        Lang::Tha => "th",
        Lang::Guj => "gu",
        Lang::Uzb => "uz",
        Lang::Pan => "pa",
        Lang::Aze => "az",
        Lang::Ind => "id",
        Lang::Tel => "te",
        Lang::Pes => "fa",
        Lang::Mal => "ml",
        Lang::Ori => "or",
        Lang::Mya => "my",
        Lang::Nep => "ne",
        Lang::Sin => "si",
        Lang::Khm => "km",
        Lang::Tuk => "tk",
        Lang::Aka => "ak",
        Lang::Zul => "zu",
        Lang::Sna => "sn",
        Lang::Afr => "af",
        Lang::Lat => "la",
        Lang::Slk => "sk",
        Lang::Cat => "ca",
        Lang::Tgl => "tl",
        Lang::Hye => "hy",
        Lang::Cym => "cy",
    }
}

#[cfg(test)]
mod tests {
    use super::{detect, detect_known};

    #[test]
    fn languages_are_told_apart() {
        let check = |text: &str, expected: &str| assert_eq!(detect(text), expected, "{text}");
        assert_eq!(detect_known("The ministers met in the capital on Tuesday."), "en");
        assert_eq!(detect_known("Hello"), "");
        check("The ministers met in the capital on Tuesday to discuss the harvest.", "en");
        check("Die Minister trafen sich am Dienstag in der Hauptstadt, um zu beraten.", "de");
        check("部长们星期二在首都开会讨论今年的粮食收成以及明年的计划安排。", "zh");
        check("Ministrowie spotkali się we wtorek w stolicy, aby omówić zbiory i ceny.", "pl");
        check("Ministrene møttes i hovedstaden tirsdag for å drøfte avlingen og prisene.", "nb");
        check("Ministrii s-au întâlnit marți în capitală pentru a discuta recolta anului.", "ro");
        check("Министры встретились во вторник в столице, чтобы обсудить урожай.", "ru");
        check("", "");
        check("12 345 — ?!", "");
        check("Hello", "");
    }
}
