//! Invented articles of real size: the same ones every time.

use newsprint::api::pb;

/// Distinct words. Frequent ones are short, and frequencies fall as those of English do.
const WORDS: f64 = 60_000.0;

const SYLLABLES: [&str; 20] = [
    "ta", "ren", "so", "mi", "lor", "ve", "da", "kin", "pe", "ul", "gra", "no", "est", "fi", "bar",
    "ow", "che", "in", "hal", "ty",
];

/// What every article may say, so that some of the topics' words are there too.
const PHRASES: [&str; 6] = [
    "the minister told parliament that the vote would be held next week",
    "exporters said the new tariffs would raise the price of steel",
    "soldiers on both sides of the river exchanged fire during the night",
    "the company said its sales in the quarter were up from a year ago",
    "the coach said his team had not deserved to lose the second game",
    "a court in the capital will hear the case before the summer",
];

/// Articles by number.
#[derive(Debug)]
pub struct Articles {
    words_mean: u64,
    mean_bytes: usize,
}

impl Articles {
    /// Articles of so many bytes on average, half to one and a half times that each.
    pub fn new(bytes_mean: usize) -> Self {
        let mut articles = Articles { words_mean: bytes_mean as u64 / 6, mean_bytes: 0 };
        let sample = 1000;
        let bytes = (0..sample).map(|number| articles.get(number).body.len());
        articles.mean_bytes = bytes.sum::<usize>() / sample as usize;
        articles
    }

    pub fn mean_bytes(&self) -> usize {
        self.mean_bytes
    }

    /// The article of a number. One in ten is a copy of an earlier one, as another outlet brings
    /// it: its own headline, the end cut off, some words replaced.
    pub fn get(&self, number: u64) -> pb::Article {
        let mut random = Random(number);
        let is_copy = random.below(10) == 0 && number > 0;
        let mut original =
            Random((if is_copy { random.below(number) } else { number }) ^ (1 << 40));
        let length = self.words_mean / 2 + original.below(self.words_mean + 1);
        let mut words = Vec::new();
        while (words.len() as u64) < length {
            if original.below(20) == 0 {
                words.extend(original.pick(&PHRASES).split(' ').map(str::to_owned));
            } else {
                words.push(original.word());
            }
        }
        if is_copy {
            words.truncate(words.len() - words.len() / 8);
            for _ in 0..words.len() / 50 {
                let place = random.below(words.len() as u64) as usize;
                words[place] = random.word();
            }
        }
        let sentences: Vec<String> = words.chunks(14).map(|words| words.join(" ")).collect();
        let headline: Vec<String> = (0..8).map(|_| random.word()).collect();
        pb::Article {
            article_id: format!("bench-{}-{number}", std::process::id()),
            title: headline.join(" "),
            body: sentences.join(". "),
            source: format!("outlet {}", random.below(50)),
            language: "en".to_owned(),
            ..pb::Article::default()
        }
    }
}

/// A small generator (SplitMix64), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len() as u64) as usize]
    }

    fn word(&mut self) -> String {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let mut rank = WORDS.powf(unit) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
            rank /= SYLLABLES.len();
        }
        word
    }
}
