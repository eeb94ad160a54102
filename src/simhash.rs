//! The fingerprint: a 64-bit SimHash over word trigrams (Charikar, "Similarity Estimation
//! Techniques from Rounding Algorithms", STOC 2002).
//!
//! Two texts that share most of their trigrams get fingerprints that differ in few bits. The
//! scheme, every constant of it, is fixed under the name [`SCHEME`] and written out for other
//! languages in `docs/fingerprint.md`.

use crate::text::{Document, Word, trigram_hash};

/// Name of this scheme, told in every answer and recorded with everything stored.
pub const SCHEME: &str = "np-simhash64-v2";

/// A text of fewer words has no fingerprint: too few features to mean anything.
pub const WORDS_MIN: usize = 5;

/// The fingerprint of an article: of its body, since outlets change headlines first, or of title
/// and body read as one text if the body alone has fewer than [`WORDS_MIN`] words.
pub fn fingerprint(document: &Document) -> Option<u64> {
    if document.body.len() >= WORDS_MIN {
        return Some(simhash(trigrams(&document.body)));
    }
    let words: Vec<Word> = document.title.iter().chain(&document.body).copied().collect();
    (words.len() >= WORDS_MIN).then(|| simhash(trigrams(&words)))
}

/// Number of bits in which two fingerprints differ.
pub fn hamming_distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

fn trigrams(words: &[Word]) -> impl Iterator<Item = u64> {
    words.windows(3).map(|words| trigram_hash(words[0].hash, words[1].hash, words[2].hash))
}

/// Majority vote of the features, bit by bit; a bit is set if more than half of them have it.
pub fn simhash(mut features: impl Iterator<Item = u64>) -> u64 {
    let mut votes = Votes::default();
    loop {
        let mut group = [0; GROUP];
        let mut len = 0;
        for (place, feature) in group.iter_mut().zip(&mut features) {
            *place = feature;
            len += 1;
        }
        votes.add(group, len);
        if len < GROUP as u32 {
            return votes.majority();
        }
    }
}

/// Features that are added up before they are counted.
const GROUP: usize = 8;

/// How many features have each bit: 64 counters side by side, the digits of the same worth in one
/// machine word. Bit `i` of `planes[d]` is binary digit `d` of the number of features with bit `i`.
#[derive(Default)]
struct Votes {
    planes: [u64; 32],
    features: u32,
}

impl Votes {
    /// Counts a group of which the first `len` are features and the others 0.
    #[inline(always)]
    fn add(&mut self, group: [u64; GROUP], len: u32) {
        let [ones, twos, fours, more @ ..] = &mut self.planes;
        let [a, b, c, d, e, f, g, h] = group;
        let twos_1 = add_to(ones, a, b);
        let twos_2 = add_to(ones, c, d);
        let twos_3 = add_to(ones, e, f);
        let twos_4 = add_to(ones, g, h);
        let fours_1 = add_to(twos, twos_1, twos_2);
        let fours_2 = add_to(twos, twos_3, twos_4);
        let mut carry = add_to(fours, fours_1, fours_2);
        self.features += len;
        // No counter has more digits than the number of features.
        let digits = u32::BITS - self.features.leading_zeros();
        for plane in more.iter_mut().take(digits.saturating_sub(3) as usize) {
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
    }

    /// Compares all counters with half the number of features, the highest digit first.
    fn majority(&self) -> u64 {
        let half = self.features / 2;
        let (mut greater, mut equal) = (0, u64::MAX);
        for (digit, plane) in self.planes.iter().enumerate().rev() {
            if half >> digit & 1 == 0 {
                greater |= equal & plane;
                equal &= !plane;
            } else {
                equal &= plane;
            }
        }
        greater
    }
}

/// Adds two digits to each counter's digit and returns what carries over to the next one.
#[inline(always)]
fn add_to(digits: &mut u64, a: u64, b: u64) -> u64 {
    let either = *digits ^ a;
    let carry = *digits & a | either & b;
    *digits = either ^ b;
    carry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::word_hash;
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn naive_simhash(features: &[u64]) -> u64 {
        (0..64).fold(0, |fingerprint, bit| {
            let votes = features.iter().filter(|&feature| feature >> bit & 1 == 1).count();
            fingerprint | u64::from(2 * votes > features.len()) << bit
        })
    }

    /// A text, its words and its fingerprint, as `docs/fingerprint.py` computes them too.
    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        title: String,
        body: String,
        #[serde(default = "once")]
        body_times: usize,
        words: Option<Vec<String>>,
        simhash: Option<String>,
    }

    fn once() -> usize {
        1
    }

    #[test]
    fn golden_vectors_hold() {
        let vectors = include_str!("../docs/fingerprint-vectors.json");
        let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
        assert!(vectors.len() > 20);
        for vector in vectors {
            let document = Document::new(&vector.title, &vector.body.repeat(vector.body_times));
            if let Some(words) = vector.words {
                let expected: Vec<u64> =
                    words.iter().map(|word| word_hash(word.as_bytes())).collect();
                let found: Vec<u64> = document.body.iter().map(|word| word.hash).collect();
                assert_eq!(found, expected, "{}: {words:?}", vector.name);
            }
            let simhash = fingerprint(&document).map(|simhash| format!("{simhash:016x}"));
            assert_eq!(simhash, vector.simhash, "{}", vector.name);
        }
    }

    /// Every output bit is set for 40 to 60 % of texts of a few hundred invented words.
    #[test]
    fn bits_are_balanced() {
        const TEXTS: usize = 1000;
        let mut counts = [0; 64];
        for text in 0..TEXTS {
            let body: Vec<String> = (0..200)
                .map(|word| format!("word{}", (text * 7919 + word * word) % 5003))
                .collect();
            let simhash = fingerprint(&Document::new("", &body.join(" "))).unwrap();
            counts.iter_mut().enumerate().for_each(|(bit, count)| *count += simhash >> bit & 1);
        }
        for (bit, count) in counts.into_iter().enumerate() {
            let share = count as f64 / TEXTS as f64;
            assert!((0.4..=0.6).contains(&share), "bit {bit} is set in {share} of all texts");
        }
    }

    /// Small edits move a fingerprint little, another text moves it far.
    #[test]
    fn distance_grows_with_the_edit() {
        let words: Vec<String> = (0..300).map(|word| format!("w{}", word * word % 1009)).collect();
        let text = |words: &[String]| fingerprint(&Document::new("", &words.join(" "))).unwrap();
        let original = text(&words);
        let mut changed = words.clone();
        changed[150] = "changed".to_owned();
        let other: Vec<String> = words.iter().map(|word| format!("{word}x")).collect();
        assert_eq!(hamming_distance(original, text(&words)), 0);
        let near = hamming_distance(original, text(&changed));
        assert!(near <= 8, "one word of 300 changed: {near}");
        let far = hamming_distance(original, text(&other));
        assert!((20..=44).contains(&far), "every word changed: {far}");
    }

    #[test]
    fn majority_vote_has_the_properties_of_any_simhash() {
        let check = |features: &[u64], expected: u64| {
            assert_eq!(simhash(features.iter().copied()), expected, "{features:x?}");
        };
        check(&[], 0);
        check(&[0xdead_beef; 100], 0xdead_beef);
        check(&[0xdead_beef; 1000], 0xdead_beef);
        check(&[u64::MAX; 65_535], u64::MAX);
        // A tie leaves the bit clear.
        check(&[0x0123_4567_89ab_cdef, !0x0123_4567_89ab_cdef], 0);
        check(&[0b0011, 0b0101, 0b1001], 0b0001);
    }

    proptest! {
        #[test]
        fn counting_by_digits_equals_the_definition(
            features in prop::collection::vec(any::<u64>(), 0..600)
        ) {
            prop_assert_eq!(simhash(features.iter().copied()), naive_simhash(&features));
        }

        #[test]
        fn order_does_not_matter(mut features in prop::collection::vec(any::<u64>(), 0..50)) {
            let forward = simhash(features.iter().copied());
            features.reverse();
            prop_assert_eq!(simhash(features.into_iter()), forward);
        }
    }
}
