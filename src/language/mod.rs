//! Which language an article is in.
//!
//! Every text is full of words that say nothing but which language it is in: where they are many of
//! one language and few of all others, they have told it, at the price of a look-up a word. Else,
//! mostly about headlines and languages the program does not know well, two detectors are asked.
//! whichlang takes a few microseconds and is right even about a headline, but knows 16 languages and
//! takes every text to be in one of them. whatlang knows 69, needs a few sentences, and takes twenty
//! times as long. What both do not know, or mistake for one another, is told by its letters and
//! commonest words.
//!
//! All of them look at some of the words that the pipeline reads, so that neither markup nor figures
//! are taken for language.

mod words;

use std::sync::LazyLock;

use whatlang::{Lang, Script};

use crate::text::{self, Document, Word, WordClass, word_hash};
use crate::topics::table::HashSet;

/// So many words are enough to tell.
const SAMPLE_WORDS: usize = 100;

/// They are taken in runs of so many from all over the text, because it may begin with a quotation
/// or a site's menu.
const RUN_WORDS: usize = 16;

/// Fewer bytes of letters could be of any language.
const BYTES_MIN: usize = 20;

/// Below this, by whatlang's own measure, it is no better than a guess.
const CONFIDENCE_MIN: f64 = 0.15;

/// The languages that are told best, as BCP 47 tags: those that the built-in model knows.
pub fn known() -> impl Iterator<Item = &'static str> {
    words::STOP_WORDS.into_iter().map(|(tag, _)| tag)
}

/// The words of a language that say nothing about a subject; none if it is not among [`known`].
pub fn stop_words(tag: &str) -> impl Iterator<Item = &'static str> {
    let words = words::STOP_WORDS.into_iter().filter(move |(known, _)| *known == tag);
    words.flat_map(|(_, words)| words.split_ascii_whitespace())
}

/// The BCP 47 tag of the language of an article, or an empty string if it cannot be told.
/// `title` and `body` are the texts the document was made from.
pub fn detect(document: &Document, title: &str, body: &str) -> &'static str {
    let runs = runs(document);
    by_stop_words(&runs).unwrap_or_else(|| tell(&sample(&runs, title, body)))
}

/// Where a run of words stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Title,
    Body,
}

/// Some words of the body; of the title too if there are few.
fn runs(document: &Document) -> Vec<(Part, &[Word])> {
    let (title, body) = (&document.title, &document.body);
    if body.len() <= SAMPLE_WORDS {
        let title = &title[..title.len().min(SAMPLE_WORDS - body.len())];
        return vec![(Part::Body, body), (Part::Title, title)];
    }
    let count = SAMPLE_WORDS / RUN_WORDS;
    let last = body.len() - RUN_WORDS;
    let run = |run| {
        let start = last * run / (count - 1);
        (Part::Body, &body[start..start + RUN_WORDS])
    };
    (0..count).map(run).collect()
}

/// The stop words of all languages, and in which of them each is one.
struct StopWords {
    hashes: HashSet,
    /// For every slot of the set a bit for each language, those known first, then their neighbours,
    /// and what the word says for each of them.
    languages: Vec<(u64, u32)>,
}

static STOP_WORDS: LazyLock<Option<StopWords>> = LazyLock::new(|| {
    let lists = words::STOP_WORDS.into_iter().chain(words::NEIGHBOURS);
    let mut entries: Vec<(u64, u64)> = Vec::new();
    let mut add = |words: &str, language: usize| {
        let hashes = words.split_ascii_whitespace().map(|word| word_hash(word.as_bytes()));
        entries.extend(hashes.map(|hash| (hash, 1 << language)));
    };
    for (language, (tag, words)) in lists.enumerate() {
        add(words, language);
        if tag == "zh" {
            add(words::CHINESE_CHARACTERS, language);
        }
    }
    entries.sort_unstable();
    let merged: Vec<(u64, u64)> = entries
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().fold(0, |all, (_, language)| all | language)))
        .collect();
    let hashes: Vec<u64> = merged.iter().map(|&(hash, _)| hash).collect();
    let hashes = HashSet::new(&hashes)?;
    let mut languages = vec![(0, 0); hashes.slot_count()];
    for (hash, bits) in merged {
        languages[hashes.find(hash)? as usize] = (bits, WHOLE_SHARE / bits.count_ones().max(1));
    }
    Some(StopWords { hashes, languages })
});

/// The known language that the words are full of, if no other one comes near. What a word says for
/// a language is shared by all that have it.
fn by_stop_words(runs: &[(Part, &[Word])]) -> Option<&'static str> {
    let stop_words = STOP_WORDS.as_ref()?;
    let mut counts = [0u32; u64::BITS as usize];
    let mut shares = [0u32; u64::BITS as usize];
    let mut word_count = 0;
    for word in runs.iter().flat_map(|(_, words)| words.iter()) {
        word_count += u32::from(word.class() != WordClass::Number);
        if let Some(slot) = stop_words.hashes.find(word.hash) {
            let (mut languages, share) = stop_words.languages[slot as usize];
            while languages != 0 {
                let language = languages.trailing_zeros() as usize;
                counts[language] += 1;
                shares[language] += share;
                languages &= languages - 1;
            }
        }
    }
    let best = (0..shares.len()).max_by_key(|&language| shares[language])?;
    let second = (0..shares.len()).filter(|&language| language != best);
    let second = second.map(|language| shares[language]).max().unwrap_or(0);
    let is_sure = counts[best] >= STOP_WORDS_MIN
        && 12 * counts[best] >= word_count
        && 3 * second <= 2 * shares[best];
    is_sure.then(|| words::STOP_WORDS.get(best).map(|(tag, _)| *tag)).flatten()
}

/// Divides evenly among most numbers of languages.
const WHOLE_SHARE: u32 = 60;

/// Fewer could be by chance.
const STOP_WORDS_MIN: u32 = 4;

/// The words as they are written, for those who read letters.
fn sample(runs: &[(Part, &[Word])], title: &str, body: &str) -> String {
    let mut sample = String::with_capacity(8 * SAMPLE_WORDS);
    for &(part, words) in runs {
        let text = if part == Part::Title { title } else { body };
        for &word in words.iter().filter(|word| word.class() != WordClass::Number) {
            sample.push_str(&text::written(text, word));
            sample.push(' ');
        }
    }
    sample
}

fn tell(sample: &str) -> &'static str {
    if sample.len() < BYTES_MIN {
        return "";
    }
    let Some(info) = whatlang::detect(sample) else { return "" };
    let (lang, script) = (info.lang(), info.script());
    if script == Script::Cyrillic {
        return by_letters(sample, &info);
    }
    let among_large = large(whichlang::detect_language(sample));
    if lang == among_large {
        return tag(lang);
    }
    if script == Script::Latin
        && let Some(tag) = by_common_words(sample)
    {
        return tag;
    }
    let is_other = !LARGE.contains(&lang);
    let is_sure = info.is_reliable()
        || script != Script::Latin
        || among_large != Lang::Eng && info.confidence() > CONFIDENCE_MIN;
    tag(if is_other && is_sure { lang } else { among_large })
}

/// The languages that whichlang knows.
const LARGE: [Lang; 16] = [
    Lang::Ara,
    Lang::Cmn,
    Lang::Deu,
    Lang::Eng,
    Lang::Fra,
    Lang::Hin,
    Lang::Ita,
    Lang::Jpn,
    Lang::Kor,
    Lang::Nld,
    Lang::Por,
    Lang::Rus,
    Lang::Spa,
    Lang::Swe,
    Lang::Tur,
    Lang::Vie,
];

fn large(lang: whichlang::Lang) -> Lang {
    Lang::from_code(lang.three_letter_code()).unwrap_or(Lang::Eng)
}

/// Common words of languages that neither detector knows and that are written in Latin letters.
const COMMON_WORDS: [(&str, &[&str]); 5] = [
    (
        "sw",
        &[
            "ya", "wa", "za", "na", "kwa", "katika", "kwamba", "cha", "hiyo", "yake", "baada",
            "hata", "kuwa", "pia", "watu", "alisema", "amesema", "serikali",
        ],
    ),
    (
        "so",
        &[
            "oo", "ka", "waa", "iyo", "ku", "soo", "ee", "ah", "uu", "ayaa", "lagu", "waxaa",
            "waxay",
        ],
    ),
    ("sq", &["të", "dhe", "në", "për", "është", "një", "që", "nga", "janë", "më", "këtë", "kanë"]),
    ("is", &["að", "og", "sem", "ekki", "við", "hefur", "það", "með", "þeir", "frá", "þess"]),
    ("eu", &["eta", "da", "du", "zuen", "dute", "dira", "baina", "izan", "ere", "bat", "dela"]),
];

/// The language of a sample in Cyrillic letters. whatlang takes many a Russian headline for one in
/// a language near it, and knows none of Central Asia's; their letters tell.
fn by_letters(sample: &str, info: &whatlang::Info) -> &'static str {
    let lang = info.lang();
    let has = |letters: &str| sample.chars().any(|char| letters.contains(char));
    for (language, letters) in [("kk", "қғұҚҒҰ"), ("tt", "җәҖӘ"), ("ky", "ңҢ"), ("mn", "өүӨҮ")]
    {
        if has(letters) {
            return language;
        }
    }
    let own_letters = match lang {
        Lang::Ukr => "іїєґІЇЄҐ",
        Lang::Bel => "іўІЎ",
        Lang::Srp | Lang::Mkd => "јљњћђџќѓѕЈЉЊЋЂЏЌЃЅ",
        Lang::Bul => "ъЪ",
        _ => "",
    };
    let is_russian = has("ыэЫЭ") && lang != Lang::Bel || !has(own_letters) && !info.is_reliable();
    tag(if is_russian { Lang::Rus } else { lang })
}

/// The language of which the sample holds several common words, and those as one word in six.
fn by_common_words(sample: &str) -> Option<&'static str> {
    let words: Vec<String> = sample.split(' ').map(str::to_lowercase).collect();
    COMMON_WORDS.iter().find_map(|(tag, common)| {
        let found = words.iter().filter(|word| common.contains(&word.as_str())).count();
        let different = common.iter().filter(|&&word| words.iter().any(|it| it == word)).count();
        (different >= 3 && 6 * found >= words.len()).then_some(*tag)
    })
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
    use super::detect;
    use crate::text::Document;

    #[track_caller]
    fn check_article(title: &str, body: &str, expected: &str) {
        let document = Document::new(title, body);
        assert_eq!(detect(&document, title, body), expected, "{title} / {body}");
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        check_article("", body, expected);
    }

    #[test]
    fn languages_are_told_apart() {
        check("The ministers met in the capital on Tuesday to discuss the harvest.", "en");
        check("Die Minister trafen sich am Dienstag in der Hauptstadt, um zu beraten.", "de");
        check("部长们星期二在首都开会讨论今年的粮食收成以及明年的计划安排。", "zh");
        check("大臣たちは火曜日に首都で会合を開き、今年の収穫について話し合った。", "ja");
        check("Ministrowie spotkali się we wtorek w stolicy, aby omówić zbiory i ceny.", "pl");
        check("Ministrene møttes i hovedstaden tirsdag for å drøfte avlingen og prisene.", "nb");
        check("Ministrii s-au întâlnit marți în capitală pentru a discuta recolta anului.", "ro");
        check("Министры встретились во вторник в столице, чтобы обсудить урожай.", "ru");
        check("Міністри зустрілися у вівторок у столиці, щоб обговорити врожай.", "uk");
        check("Министрите се срещнаха във вторник в столицата, за да обсъдят реколтата.", "bg");
        check("Министрлер сейсенбіде астанада жиналып, егін туралы келіссөз жүргізді, қаулы", "kk");
        check("وزیران روز سه شنبه در پایتخت دیدار کردند تا درباره برداشت گفتگو کنند", "fa");
        check("Mawaziri walikutana Jumanne katika mji mkuu kwa ajili ya mavuno ya mwaka.", "sw");
        check("Ministrat u takuan të martën në kryeqytet për të diskutuar të korrat.", "sq");
    }

    #[test]
    fn headlines_are_enough() {
        check_article("Ministers agree on harvest prices", "", "en");
        check_article("Les ministres se mettent d'accord", "<p></p>", "fr");
        check_article("Министры договорились", "", "ru");
        check_article("В Афинах заявили о давлении в связи с санкциями", "", "ru");
        check_article("部长们就粮价达成协议", "", "zh");
        check_article("", "", "");
        check_article("Hello", "", "");
        check_article("12 345 — ?!", "2024 2025 2026 1999 1998 1997", "");
    }

    #[test]
    fn markup_and_references_are_no_language() {
        let head = "<!DOCTYPE html><html lang=\"de\"><head><meta name=\"viewport\" \
            content=\"width=device-width, initial-scale=1, maximum-scale=5\"><link \
            rel=\"stylesheet\" href=\"/assets/css/main.css\"><script>window.data = window.data \
            || []; function push() { data.push(arguments) }</script></head><body><article>";
        let page = |text: &str| format!("{head}<p class=\"article__paragraph\">{text}</p>");
        check(&page("Die Minister trafen sich am Dienstag in der Hauptstadt."), "de");
        check(&page("Министры встретились во вторник в столице."), "ru");
        check(&page("मंत्रियों ने मंगलवार को राजधानी में फसल पर चर्चा की।"), "hi");
        check(&page("التقى الوزراء يوم الثلاثاء في العاصمة لمناقشة الحصاد."), "ar");
        check(
            "Les ministres se sont r&eacute;unis &agrave; la capitale, o&ugrave; ils d&icirc;nent.",
            "fr",
        );
        check("&lt;p class=&quot;lead&quot;&gt;Los ministros se reunieron el martes.", "es");
    }

    #[test]
    fn what_an_article_begins_with_does_not_decide() {
        let menu = "Home News Sport Weather Sign in Subscribe to our newsletter Terms of use. ";
        let text = "Die Minister trafen sich am Dienstag in der Hauptstadt, um über die Ernte zu \
            beraten. Die Preise sind seit dem Frühjahr um ein Drittel gestiegen. ";
        check(&format!("{menu}{}", text.repeat(9)), "de");
        let quote = "« Nous sommes très inquiets », the minister told a paper on Tuesday. ";
        check(&format!("{quote}{}", "The government will publish the figures. ".repeat(5)), "en");
    }
}
