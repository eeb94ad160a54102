//! Invented articles of real size: the same ones every time, made in microseconds, so that making
//! them is no part of what is measured.

use newsprint::api::pb;

/// Distinct words. Frequent ones are short, and frequencies fall as those of English do.
const WORDS: usize = 60_000;

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
    words: Vec<String>,
    /// Places in `words`, each as often as the word is frequent.
    drawn: Vec<u16>,
    words_mean: u64,
    mean_bytes: usize,
}

impl Articles {
    /// Articles of so many bytes on average, half to one and a half times that each.
    pub fn new(bytes_mean: usize) -> Self {
        let words = (0..WORDS).map(word).collect();
        let draws = 1 << 16;
        let rank = |draw| (WORDS as f64).powf(f64::from(draw) / f64::from(draws)) as u16;
        let drawn = (0..draws).map(rank).collect();
        let words_mean = bytes_mean as u64 / 6;
        let mut articles = Articles { words, drawn, words_mean, mean_bytes: 0 };
        articles.words_mean = words_mean * bytes_mean as u64 / articles.measure() as u64;
        articles.mean_bytes = articles.measure();
        articles
    }

    /// The mean length of some articles.
    fn measure(&self) -> usize {
        const SAMPLE: u64 = 1000;
        let bytes = (0..SAMPLE).map(|number| self.get(number).body.len());
        bytes.sum::<usize>() / SAMPLE as usize
    }

    pub fn mean_bytes(&self) -> usize {
        self.mean_bytes
    }

    /// The article of a number. One in ten is a copy of an earlier one, as another outlet brings
    /// it: its own headline, the end cut off, some words replaced.
    pub fn get(&self, number: u64) -> pb::Article {
        let mut random = Random(number);
        let is_copy = number > 0 && random.below(10) == 0;
        let mut original =
            Random((if is_copy { random.below(number) } else { number }) ^ (1 << 40));
        let mut pieces = self.words_mean / 2 + original.below(self.words_mean);
        if is_copy {
            pieces -= pieces / 8;
        }
        let mut body = String::with_capacity(pieces as usize * 8);
        for piece in 0..pieces {
            let mut text = self.piece(&mut original);
            if is_copy && random.below(50) == 0 {
                text = self.word(&mut random);
            }
            body.push_str(text);
            body.push_str(if piece % 14 == 13 { ". " } else { " " });
        }
        let headline: Vec<&str> = (0..8).map(|_| self.word(&mut random)).collect();
        pb::Article {
            article_id: format!("bench-{}-{number}", std::process::id()),
            title: headline.join(" "),
            body,
            source: format!("outlet {}", random.below(50)),
            language: "en".to_owned(),
            ..pb::Article::default()
        }
    }

    fn piece(&self, random: &mut Random) -> &str {
        if random.below(100) == 0 {
            PHRASES[random.below(PHRASES.len() as u64) as usize]
        } else {
            self.word(random)
        }
    }

    fn word(&self, random: &mut Random) -> &str {
        let draw = random.below(self.drawn.len() as u64);
        &self.words[usize::from(self.drawn[draw as usize])]
    }
}

/// A made-up word: the rarer, the longer.
fn word(rank: usize) -> String {
    let mut left = rank;
    let mut word = SYLLABLES[left % SYLLABLES.len()].to_owned();
    while left >= SYLLABLES.len() {
        left /= SYLLABLES.len();
        word.push_str(SYLLABLES[left % SYLLABLES.len()]);
    }
    word
}

/// A small generator (SplitMix64), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_are_of_the_asked_size_and_always_the_same() {
        for bytes in [800, 3400] {
            let articles = Articles::new(bytes);
            let mean = articles.mean_bytes() as f64 / bytes as f64;
            assert!((0.9..1.1).contains(&mean), "{mean}");
            assert_eq!(articles.get(7), Articles::new(bytes).get(7));
            assert_ne!(articles.get(7).body, articles.get(8).body);
        }
    }
}
