//! The topics section of a model file; `docs/model-file.md` describes it.

use super::table::{HashSet, Table};
use super::{Classifier, LABELS_MAX, LANGUAGES_MAX, Label, TopicModel};
use crate::model::take;
use crate::text::Document;

const LABEL_BYTES_MAX: usize = 64;
const LANGUAGE_BYTES_MAX: usize = 8;

const EQUAL_HASHES: &str = "two hashes are equal";

/// A text whose sums in every language are part of the section. A program that reads another sum
/// than the trainer wrote would give other answers than the ones that were evaluated: it refuses the
/// model.
const PROBE: &str = "The president said 25 senators voted for the tariffs on steel imports in 2024, \
    while soldiers shelled the border town and the U.S. team won the cup final. Die Regierung erhöht \
    Zölle, l\u{2019}armée bombarde la ville, el Congreso aprobó aranceles, a eleição e a guerra. \
    Правительство ввело пошлины, армия обстреляла город. Hükümet ihracatı yasakladı, savaş sürüyor. \
    الحكومة تفرض رسوما على الواردات والحرب مستمرة. 政府對進口加徵關稅，軍隊炮轟城市，总统选举。";

impl TopicModel {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.labels.len() as u32).to_le_bytes());
        for label in &self.labels {
            encode_name(label, &mut bytes);
        }
        bytes.extend((self.classifiers.len() as u32).to_le_bytes());
        for classifier in &self.classifiers {
            classifier.encode(&mut bytes);
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote, or tells why it cannot be that.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = &mut bytes;
        let label_count = decode_count(bytes)?;
        if label_count == 0 || label_count > LABELS_MAX {
            return Err("no labels, or too many");
        }
        let mut labels: Vec<String> = Vec::with_capacity(label_count);
        for _ in 0..label_count {
            let label = decode_name(bytes)?;
            if !is_label_name(label) {
                return Err("a label is empty, too long or holds control characters");
            }
            if labels.iter().any(|other| other == label) {
                return Err("a label occurs twice");
            }
            labels.push(label.to_owned());
        }
        let language_count = decode_count(bytes)?;
        if language_count == 0 || language_count > LANGUAGES_MAX {
            return Err("no languages, or too many");
        }
        let mut classifiers: Vec<Classifier> = Vec::with_capacity(language_count);
        for _ in 0..language_count {
            let classifier = Classifier::decode(bytes, &labels)?;
            if classifiers.iter().any(|other| other.language == classifier.language) {
                return Err("a language occurs twice");
            }
            classifiers.push(classifier);
        }
        if !bytes.is_empty() {
            return Err("bytes left over");
        }
        Ok(TopicModel { labels, classifiers })
    }
}

impl Classifier {
    fn encode(&self, bytes: &mut Vec<u8>) {
        encode_name(&self.language, bytes);
        bytes.extend(self.known_share_min.to_le_bytes());
        for label in &self.labels {
            for number in [label.threshold, label.bias, label.brevity_weight, label.scale] {
                bytes.extend(number.to_le_bytes());
            }
        }
        for hashes in [self.stop_words.hashes(), self.table.hashes()] {
            bytes.extend((hashes.len() as u32).to_le_bytes());
            bytes.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
        }
        let rows = self.table.hashes().into_iter().filter_map(|hash| self.table.find(hash));
        bytes.extend(rows.flat_map(|row| self.table.weights(row)).map(|&weight| weight as u8));
        for sum in self.probe() {
            bytes.extend(sum.to_le_bytes());
        }
    }

    fn decode(bytes: &mut &[u8], names: &[String]) -> Result<Self, &'static str> {
        let language = decode_name(bytes)?;
        if !is_language(language) {
            return Err("a language is no tag of two to eight small letters");
        }
        let known_share_min = decode_share(bytes)?;
        let labels: Result<Vec<Label>, &str> =
            names.iter().map(|name| decode_label(bytes, name)).collect();
        let labels = labels?;
        let stop_words = HashSet::new(&decode_hashes(bytes)?).ok_or(EQUAL_HASHES)?;
        let hashes = decode_hashes(bytes)?;
        let weights = bytes.split_off(..hashes.len() * labels.len()).ok_or("cut off")?;
        let weights: Vec<i8> = weights.iter().map(|&weight| weight as i8).collect();
        let table = Table::new(&hashes, &weights, labels.len()).ok_or(EQUAL_HASHES)?;
        let language = language.to_owned();
        let classifier = Classifier { language, known_share_min, labels, stop_words, table };
        for sum in classifier.probe() {
            if i32::from_le_bytes(take(bytes).ok_or("cut off")?) != sum {
                return Err("this program reads the probe text unlike the trainer did");
            }
        }
        Ok(classifier)
    }

    fn probe(&self) -> Vec<i32> {
        self.table.sums(&self.read(&Document::new(PROBE, PROBE)).features)
    }
}

fn encode_name(name: &str, bytes: &mut Vec<u8>) {
    bytes.push(name.len() as u8);
    bytes.extend(name.as_bytes());
}

fn decode_name<'a>(bytes: &mut &'a [u8]) -> Result<&'a str, &'static str> {
    let [len] = take(bytes).ok_or("cut off")?;
    let name = bytes.split_off(..usize::from(len)).ok_or("cut off")?;
    std::str::from_utf8(name).map_err(|_| "a name is not UTF-8")
}

fn decode_count(bytes: &mut &[u8]) -> Result<usize, &'static str> {
    Ok(u32::from_le_bytes(take(bytes).ok_or("cut off")?) as usize)
}

fn decode_number(bytes: &mut &[u8]) -> Result<f32, &'static str> {
    let number = f32::from_le_bytes(take(bytes).ok_or("cut off")?);
    if number.is_finite() { Ok(number) } else { Err("a number is not finite") }
}

fn decode_share(bytes: &mut &[u8]) -> Result<f32, &'static str> {
    let share = decode_number(bytes)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("a share is not from 0 to 1") }
}

fn decode_label(bytes: &mut &[u8], name: &str) -> Result<Label, &'static str> {
    let threshold = decode_share(bytes)?;
    let (bias, brevity_weight) = (decode_number(bytes)?, decode_number(bytes)?);
    let scale = decode_number(bytes)?;
    Ok(Label { name: name.to_owned(), threshold, bias, brevity_weight, scale })
}

/// Whether a model may know a language by this tag.
pub fn is_language(tag: &str) -> bool {
    (2..=LANGUAGE_BYTES_MAX).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether a label may have this name.
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LABEL_BYTES_MAX && !name.chars().any(char::is_control)
}

fn decode_hashes(bytes: &mut &[u8]) -> Result<Vec<u64>, &'static str> {
    let count = decode_count(bytes)?;
    // Taken from the bytes at hand before anything is allocated for them.
    let (hashes, _) = bytes.split_off(..count * 8).ok_or("cut off")?.as_chunks::<8>();
    Ok(hashes.iter().map(|&hash| u64::from_le_bytes(hash)).collect())
}

#[cfg(test)]
impl TopicModel {
    /// A small model written by hand: two labels, six features.
    pub fn sample() -> Self {
        use super::features::{pair, stop_words};
        use crate::text::word_hash;
        let word = |word: &str| word_hash(word.as_bytes());
        let features = [
            (word("minister"), [60, 0]),
            (word("parliament"), [127, -5]),
            (word("cup"), [-40, 100]),
            (word("match"), [-20, 127]),
            (pair(word("prime"), word("minister")), [90, -10]),
            (pair(word("cup"), word("final")), [-10, 120]),
        ];
        let hashes = features.map(|(hash, _)| hash);
        let weights = features.map(|(_, weights)| weights);
        let table = Table::new(&hashes, weights.as_flattened(), 2).unwrap();
        let label = |name: &str, threshold| Label {
            name: name.to_owned(),
            threshold,
            bias: -1.0,
            brevity_weight: 0.0,
            scale: 0.05,
        };
        let names = vec!["politics".to_owned(), "sport".to_owned()];
        let classifier = Classifier {
            language: "en".to_owned(),
            known_share_min: 0.6,
            labels: vec![label("politics", 0.5), label("sport", 0.6)],
            stop_words: HashSet::new(&stop_words("en")).unwrap(),
            table,
        };
        TopicModel { labels: names, classifiers: vec![classifier] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_impossible_content_is_refused() {
        let bytes = TopicModel::sample().encode();
        let check = |at: usize, new: &[u8], expected: &str| {
            let mut damaged = bytes.clone();
            damaged[at..at + new.len()].copy_from_slice(new);
            assert_eq!(TopicModel::decode(&damaged).unwrap_err(), expected);
        };
        let languages = 4 + 1 + "politics".len() + 1 + "sport".len();
        let language = languages + 4 + 1;
        let known_share = language + "en".len();
        let threshold = known_share + 4;
        let stop_words = threshold + 2 * 16;
        let features = stop_words + 4 + 8 * super::super::features::stop_words("en").len();
        check(0, &[0; 4], "no labels, or too many");
        check(0, &[0xff; 4], "no labels, or too many");
        check(5, b"\n", "a label is empty, too long or holds control characters");
        check(5, b"\xff", "a name is not UTF-8");
        check(languages, &[0; 4], "no languages, or too many");
        check(languages, &[0xff; 4], "no languages, or too many");
        check(languages, &[2, 0, 0, 0], "cut off");
        check(language, b"EN", "a language is no tag of two to eight small letters");
        check(known_share, &1.5f32.to_le_bytes(), "a share is not from 0 to 1");
        check(threshold, &1.5f32.to_le_bytes(), "a share is not from 0 to 1");
        check(threshold, &f32::NAN.to_le_bytes(), "a number is not finite");
        check(threshold + 4, &f32::INFINITY.to_le_bytes(), "a number is not finite");
        check(stop_words, &u32::MAX.to_le_bytes(), "cut off");
        check(stop_words + 4, &bytes[stop_words + 12..stop_words + 20], EQUAL_HASHES);
        check(features, &u32::MAX.to_le_bytes(), "cut off");
        check(features + 4, &bytes[features + 12..features + 20], EQUAL_HASHES);
        check(bytes.len() - 4, &[1; 4], "this program reads the probe text unlike the trainer did");
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(TopicModel::decode(&longer).unwrap_err(), "bytes left over");
    }
}
