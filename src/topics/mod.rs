//! What an article is about: a linear model over words and pairs of words, one independent
//! yes-or-no question per label.
//!
//! The logit of a label is its bias plus a kind of mean of the weights of the article's features,
//! `Σ weight · (1 + ln count) / √(content words)`; the logistic function makes a probability of it.
//! The bias of a brief is another than that of a full article. Calibration (Platt 1999) is folded
//! into biases and scale by the trainer, so nothing but this sum is left to do when serving, and
//! every part of the logit can be told: [`TopicModel::explain`].
//!
//! The model knows a limited number of features, each by the hash of its words; a word it has
//! not met changes nothing but the length of the article. Weights are signed bytes. All sums are
//! integers, so the same file gives the same probabilities on every machine.

use std::collections::HashMap;

use serde::Serialize;

use self::table::{Entry, Table};
use crate::text::{Document, Word};

mod calibrate;
mod corpus;
pub mod data;
mod descent;
pub mod eval;
mod features;
mod format;
mod table;
#[cfg(test)]
mod tests;
pub mod train;

/// An article with fewer content words is too short for a reliable answer.
pub const CONTENT_WORDS_MIN: usize = 12;

/// Labels a model may have.
pub const LABELS_MAX: usize = 256;

/// One label of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    pub name: String,
    /// From this probability on, the label is assigned.
    pub threshold: f32,
    /// The logit of a full article without any known feature.
    bias: f32,
    /// What is added to the bias for each unit of brevity.
    brevity_weight: f32,
    /// What one unit of an integer weight is worth.
    scale: f32,
}

/// An immutable multi-label topic classifier.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicModel {
    labels: Vec<Label>,
    table: Table,
}

/// What a model says about one article.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification<'m> {
    /// Every label, most probable first.
    pub topics: Vec<TopicScore<'m>>,
    /// How many words were read and are not stop words.
    pub content_words: usize,
    /// The share of the words read that the model has met in training, stop words included;
    /// 0 for an empty article. About .9 for English news, .1 to .3 for other languages.
    pub known_share: f32,
}

impl Classification<'_> {
    pub fn enough_text(&self) -> bool {
        self.content_words >= CONTENT_WORDS_MIN
    }
}

/// One label's answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TopicScore<'m> {
    pub label: &'m str,
    /// Calibrated, independent of the other labels, within 0..=1.
    pub probability: f32,
    pub threshold: f32,
    pub assigned: bool,
}

/// Why a label got its probability: the logit is `bias + Σ evidence.weight + rest`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation<'m> {
    pub label: &'m str,
    pub logit: f32,
    /// The logit of an article of this length without any known feature.
    pub bias: f32,
    /// The features that weighed most, heaviest first.
    pub evidence: Vec<Evidence>,
    /// The sum of all features that are not listed.
    pub rest: f32,
}

/// A word or a pair of words of the article and what it added to the logit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evidence {
    pub text: String,
    pub weight: f32,
}

impl TopicModel {
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// How many words and pairs of words the model knows.
    pub fn feature_count(&self) -> usize {
        self.table.feature_count()
    }

    pub fn classify(&self, document: &Document) -> Classification<'_> {
        let reading = self.read(document);
        let mut topics: Vec<TopicScore> = (self.labels.iter())
            .zip(self.logits(&reading))
            .map(|(label, logit)| {
                let probability = logistic(logit) as f32;
                TopicScore {
                    label: &label.name,
                    probability,
                    threshold: label.threshold,
                    assigned: probability >= label.threshold,
                }
            })
            .collect();
        topics.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Classification {
            topics,
            content_words: reading.content_words,
            known_share: reading.known_words as f32 / reading.words.max(1) as f32,
        }
    }

    /// The `max` features that weighed most for each label, in the order of [`Self::labels`].
    /// `title` and `body` are the texts the document was made from.
    pub fn explain(
        &self,
        document: &Document,
        title: &str,
        body: &str,
        max: usize,
    ) -> Vec<Explanation<'_>> {
        let reading = self.read(document);
        let written = self.written_features(document, [title, body]);
        (self.labels.iter().zip(self.logits(&reading)).enumerate())
            .map(|(index, (label, logit))| {
                let unit = reading.unit(label);
                let mut evidence: Vec<Evidence> = (reading.features.iter())
                    .map(|&(row, emphasis)| Evidence {
                        text: written.get(&row).cloned().unwrap_or_default(),
                        weight: (f64::from(self.table.weight(row, index))
                            * f64::from(emphasis)
                            * unit) as f32,
                    })
                    .filter(|evidence| evidence.weight != 0.0)
                    .collect();
                // The sort is stable: of equal weights the one that stands first leads.
                evidence.sort_by(|a, b| b.weight.abs().total_cmp(&a.weight.abs()));
                let rest = evidence.split_off(max.min(evidence.len()));
                Explanation {
                    label: &label.name,
                    logit: logit as f32,
                    bias: reading.bias(label) as f32,
                    evidence,
                    rest: rest.iter().map(|evidence| evidence.weight).sum(),
                }
            })
            .collect()
    }

    fn logits(&self, reading: &Reading) -> Vec<f64> {
        (self.labels.iter().zip(self.table.sums(&reading.features)))
            .map(|(label, sum)| reading.bias(label) + f64::from(sum) * reading.unit(label))
            .collect()
    }

    fn read(&self, document: &Document) -> Reading {
        let mut reading = Reading::default();
        let mut counts = vec![0u8; self.table.row_count()];
        let mut note = |row: u32| {
            let count = &mut counts[row as usize];
            if *count == 0 {
                reading.features.push((row, 0));
            }
            *count = count.saturating_add(1);
        };
        for part in features::read_part(document, features::BODY_WORDS_MAX) {
            reading.words += part.len();
            let mut previous = None;
            for &word in part {
                let token = features::token(word);
                let entry = self.table.find(token);
                reading.known_words += usize::from(entry.is_some());
                if entry == Some(Entry::StopWord) {
                    continue;
                }
                reading.content_words += 1;
                if let Some(Entry::Feature(row)) = entry {
                    note(row);
                }
                if let Some(previous) = previous
                    && let Some(Entry::Feature(row)) =
                        self.table.find(features::pair(previous, token))
                {
                    note(row);
                }
                previous = Some(token);
            }
        }
        for (row, emphasis) in &mut reading.features {
            *emphasis = features::emphasis(counts[*row as usize]);
        }
        reading
    }

    /// How the known features of the document are written where they first occur.
    fn written_features(&self, document: &Document, texts: [&str; 2]) -> HashMap<u32, String> {
        let mut found = HashMap::new();
        let parts = features::read_part(document, features::BODY_WORDS_MAX);
        for (part, text) in parts.into_iter().zip(texts) {
            let written = |word: Word| text.get(word.span()).unwrap_or_default();
            let mut previous: Option<Word> = None;
            for &word in part {
                let token = features::token(word);
                match self.table.find(token) {
                    Some(Entry::StopWord) => continue,
                    Some(Entry::Feature(row)) => {
                        found.entry(row).or_insert_with(|| written(word).to_owned());
                    }
                    None => {}
                }
                if let Some(previous) = previous
                    && let Some(Entry::Feature(row)) =
                        self.table.find(features::pair(features::token(previous), token))
                {
                    let pair = || format!("{} {}", written(previous), written(word));
                    found.entry(row).or_insert_with(pair);
                }
                previous = Some(word);
            }
        }
        found
    }
}

/// What the model found in a document.
#[derive(Default)]
struct Reading {
    words: usize,
    known_words: usize,
    content_words: usize,
    /// Table rows of the known features in the order of their first occurrence, and what each
    /// counts.
    features: Vec<(u32, i32)>,
}

impl Reading {
    fn bias(&self, label: &Label) -> f64 {
        let brevity = features::brevity(self.content_words);
        f64::from(label.bias) + f64::from(label.brevity_weight) * brevity
    }

    /// What an integer weight of 1 adds to the logit of a label, for a feature that counts 1.
    /// Longer articles hold more features of every kind; sums of independent ones grow like the
    /// square root of the length.
    fn unit(&self, label: &Label) -> f64 {
        let norm = (self.content_words.max(1) as f64).sqrt();
        f64::from(label.scale) / (norm * f64::from(features::ONCE))
    }
}

/// `libm` rather than the platform's `exp`: the same bits on every machine.
fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}
