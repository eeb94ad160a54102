//! The topics section of a model file; `docs/model-file.md` describes it.

use super::table::{SLOTS_LOG2_MAX, Table};
use super::{LABELS_MAX, Label, TopicModel};
use crate::model::take;
use crate::text::Document;

const LABEL_BYTES_MAX: usize = 64;

/// A text whose sums are part of the section. A program that reads another sum than the trainer
/// wrote would give other answers than the ones that were evaluated: it refuses the model.
const PROBE: &str = "The president said 25 senators voted for the tariffs on steel imports in 2024, \
    while soldiers shelled the border town and the U.S. team won the cup final.";

impl TopicModel {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.labels.len() as u32).to_le_bytes());
        for label in &self.labels {
            bytes.push(label.name.len() as u8);
            bytes.extend(label.name.as_bytes());
            for number in [label.threshold, label.bias, label.brevity_weight, label.scale] {
                bytes.extend(number.to_le_bytes());
            }
        }
        let fingerprints = self.table.fingerprints();
        bytes.extend((fingerprints.len() as u32).to_le_bytes());
        bytes.extend(fingerprints.iter().flat_map(|fingerprint| fingerprint.to_le_bytes()));
        bytes.extend(self.table.weights().map(|weight| weight as u8));
        for sum in self.probe() {
            bytes.extend(sum.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote, or tells why it cannot be that.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let bytes = &mut bytes;
        let label_count = u32::from_le_bytes(take(bytes).ok_or("cut off")?) as usize;
        if label_count == 0 || label_count > LABELS_MAX {
            return Err("no labels, or too many");
        }
        let mut labels: Vec<Label> = Vec::with_capacity(label_count);
        for _ in 0..label_count {
            let label = decode_label(bytes)?;
            if labels.iter().any(|other| other.name == label.name) {
                return Err("a label occurs twice");
            }
            labels.push(label);
        }
        let table = decode_table(bytes, label_count)?;
        let model = TopicModel { labels, table };
        for sum in model.probe() {
            if i32::from_le_bytes(take(bytes).ok_or("cut off")?) != sum {
                return Err("this program reads the probe text unlike the trainer did");
            }
        }
        if !bytes.is_empty() {
            return Err("bytes left over");
        }
        Ok(model)
    }

    fn probe(&self) -> Vec<i32> {
        self.table.sums(&self.read(&Document::new(PROBE, PROBE)).features)
    }
}

fn decode_label(bytes: &mut &[u8]) -> Result<Label, &'static str> {
    let [len] = take(bytes).ok_or("cut off")?;
    let name = bytes.split_off(..usize::from(len)).ok_or("cut off")?;
    let name = std::str::from_utf8(name).map_err(|_| "a label is not UTF-8")?;
    if !is_label_name(name) {
        return Err("a label is empty, too long or holds control characters");
    }
    let mut number = || -> Result<f32, &'static str> {
        let number = f32::from_le_bytes(take(bytes).ok_or("cut off")?);
        if number.is_finite() { Ok(number) } else { Err("a number is not finite") }
    };
    let (threshold, bias) = (number()?, number()?);
    let (brevity_weight, scale) = (number()?, number()?);
    if !(0.0..=1.0).contains(&threshold) {
        return Err("a threshold is no probability");
    }
    Ok(Label { name: name.to_owned(), threshold, bias, brevity_weight, scale })
}

/// Whether a label may have this name.
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LABEL_BYTES_MAX && !name.chars().any(char::is_control)
}

fn decode_table(bytes: &mut &[u8], label_count: usize) -> Result<Table, &'static str> {
    let slot_count = u32::from_le_bytes(take(bytes).ok_or("cut off")?) as usize;
    if slot_count > 1 << SLOTS_LOG2_MAX {
        return Err("too many features");
    }
    // Taken from the bytes at hand before anything is allocated for them.
    let fingerprints = bytes.split_off(..slot_count * 4).ok_or("cut off")?;
    let weights = bytes.split_off(..slot_count * label_count).ok_or("cut off")?;
    let (fingerprints, _) = fingerprints.as_chunks::<4>();
    let fingerprints = fingerprints.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect();
    Table::from_slots(fingerprints, weights, label_count)
        .ok_or("the table has no empty slot or no power of two of them")
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
        let stop_words = stop_words();
        let mut table = Table::with_capacity(stop_words.len() + features.len(), 2);
        stop_words.into_iter().for_each(|hash| table.insert_stop_word(hash));
        for (hash, weights) in features {
            table.insert_feature(hash, &weights);
        }
        let label = |name: &str, threshold| Label {
            name: name.to_owned(),
            threshold,
            bias: -1.0,
            brevity_weight: 0.0,
            scale: 0.05,
        };
        TopicModel { labels: vec![label("politics", 0.5), label("sport", 0.6)], table }
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
        let threshold = 4 + 1 + "politics".len();
        let second = threshold + 16;
        let slots = second + 1 + "sport".len() + 16;
        check(0, &[0; 4], "no labels, or too many");
        check(0, &[0xff; 4], "no labels, or too many");
        check(5, b"\n", "a label is empty, too long or holds control characters");
        check(5, b"\xff", "a label is not UTF-8");
        check(threshold, &1.5f32.to_le_bytes(), "a threshold is no probability");
        check(threshold, &f32::NAN.to_le_bytes(), "a number is not finite");
        check(threshold + 4, &f32::INFINITY.to_le_bytes(), "a number is not finite");
        check(slots, &u32::MAX.to_le_bytes(), "too many features");
        check(slots, &(1u32 << 20).to_le_bytes(), "cut off");
        check(bytes.len() - 4, &[1; 4], "this program reads the probe text unlike the trainer did");
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(TopicModel::decode(&longer).unwrap_err(), "bytes left over");
    }

    #[test]
    fn a_table_without_an_empty_slot_is_refused() {
        assert_eq!(Table::from_slots(vec![1, 2, 3, 4], &[0; 4], 1), None);
        assert_eq!(Table::from_slots(vec![1, 2, 0], &[0; 3], 1), None);
        assert_eq!(Table::from_slots(Vec::new(), &[], 1), None);
        assert_eq!(Table::from_slots(vec![0], &[0], 1), None);
        assert!(Table::from_slots(vec![1, 2, 0, 4], &[0; 4], 1).is_some());
    }
}
