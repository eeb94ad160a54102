//! What an article is about: a linear model over words and pairs of words, one independent
//! yes-or-no question per label.
//!
//! The logit of a label is its bias plus a kind of mean of the weights of the article's features,
//! `Σ weight · (1 + ln count) / √(content words)`; the logistic function makes a probability of it.
//! The bias of a brief is another than that of a full article. Calibration (Platt 1999) is folded
//! into biases and scale by the trainer, so nothing but this sum is left to do when serving, and
//! every part of the logit can be told: [`TopicModel::explain`].
//!
//! There is a [`Classifier`] for every language the model knows: each has words, weights, biases and
//! thresholds of its own, and all of them the same labels.
//!
//! A classifier knows a limited number of features, each by the hash of its words; a word it has
//! not met changes nothing but the length of the article. Weights are signed bytes. All sums are
//! integers, so the same file gives the same probabilities on every machine.

use std::collections::HashMap;

use serde::Serialize;

use self::table::{HashSet, Table};
use crate::language;
use crate::text::{self, Document, Word};

mod calibrate;
mod corpus;
pub mod data;
mod descent;
pub mod eval;
mod features;
mod format;
mod stems;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub mod train;

/// An article with fewer content words is too short for a reliable answer.
pub const CONTENT_WORDS_MIN: usize = 12;

/// Labels a model may have.
pub const LABELS_MAX: usize = 256;

/// Languages a model may know.
pub const LANGUAGES_MAX: usize = 64;

/// An immutable multi-label topic model.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicModel {
    /// The names of the labels.
    labels: Vec<String>,
    /// At least one. The first is asked about articles in no language of the model's.
    classifiers: Vec<Classifier>,
}

/// What a model knows of one language.
#[derive(Debug, Clone, PartialEq)]
pub struct Classifier {
    /// BCP 47, without region: "de", "zh".
    language: String,
    /// An article of which a smaller share of the words is known is in another language.
    known_share_min: f32,
    /// In the order of the model's.
    labels: Vec<Label>,
    stop_words: HashSet,
    table: Table,
}

/// One label in one language.
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

/// What a classifier says about one article.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification<'m> {
    /// Every label, most probable first.
    pub topics: Vec<TopicScore<'m>>,
    /// How many words were read and are not stop words.
    pub content_words: usize,
    /// The share of the words read that the model has met in training, stop words included;
    /// 0 for an empty article.
    pub known_share: f32,
    /// Whether so many words are known that the article is in the classifier's language.
    pub is_language_known: bool,
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
    /// The names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// One for each language; the first one answers for all other languages.
    pub fn classifiers(&self) -> &[Classifier] {
        &self.classifiers
    }

    /// The one for a language, given as a BCP 47 tag: region and script do not matter.
    pub fn classifier(&self, language: &str) -> &Classifier {
        let primary = language.split('-').next().unwrap_or_default();
        let is_meant = |it: &&Classifier| it.language.eq_ignore_ascii_case(primary);
        self.classifiers.iter().find(is_meant).unwrap_or(&self.classifiers[0])
    }

    /// What the article is about, by the classifier of its language: the one that the client names
    /// (an empty tag names none) or, if the words are not of that language, the detected one, or, if
    /// they are not of that one either, the first.
    /// `title` and `body` are the texts the document was made from.
    pub fn answer(
        &self,
        document: &Document,
        title: &str,
        body: &str,
        named_language: &str,
    ) -> Answer<'_> {
        let by = |language: &str| {
            let classifier = self.classifier(language);
            let classification = classifier.classify(document);
            Answer { language: language.to_owned(), classifier, classification }
        };
        let is_known = |answer: &Answer| answer.classification.is_language_known;
        if !named_language.is_empty() {
            let answer = by(named_language);
            if is_known(&answer) {
                return answer;
            }
        }
        let mut answer = by(language::detect(document, title, body));
        let first = &self.classifiers[0];
        if !is_known(&answer) && answer.classifier.language != first.language {
            // Of a headline the wrong language may have been told.
            answer = Some(by(&first.language)).filter(is_known).unwrap_or(answer);
        }
        if !named_language.is_empty() {
            named_language.clone_into(&mut answer.language);
        } else if is_known(&answer) && !answer.language.is_empty() {
            answer.classifier.language.clone_into(&mut answer.language);
        }
        answer
    }
}

/// What a model says about one article, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<'m> {
    /// As the client named it, else as it was detected.
    pub language: String,
    pub classifier: &'m Classifier,
    pub classification: Classification<'m>,
}

impl Classifier {
    pub fn language(&self) -> &str {
        &self.language
    }

    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// How many words and pairs of words are known.
    pub fn feature_count(&self) -> usize {
        self.table.hashes().len()
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
        let known_share = reading.known_words as f32 / reading.words.max(1) as f32;
        Classification {
            topics,
            content_words: reading.content_words,
            known_share,
            is_language_known: known_share >= self.known_share_min,
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
                        weight: (f64::from(self.table.weights(row)[index])
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

    /// Whether a word is known, or a stop word, cannot be foreseen: it decides what is kept of
    /// what was written, not what is done next. So one look-up need not wait for another.
    fn read(&self, document: &Document) -> Reading {
        let mut reading = Reading::default();
        let mut rows = [0; 2 * features::WORDS_MAX];
        let mut row_count = 0;
        let mut content = [0; features::BODY_WORDS_MAX];
        let mut candidates = [0; 2 * features::BODY_WORDS_MAX];
        let mut are_words = [false; 2 * features::BODY_WORDS_MAX];
        let mut places = [0; 2 * features::BODY_WORDS_MAX];
        for part in features::read_part(document, features::BODY_WORDS_MAX) {
            let mut content_count = 0;
            for &word in part {
                let token = features::token(word);
                self.table.announce(token);
                content[content_count] = token;
                content_count += usize::from(!self.stop_words.contains(token));
            }
            let content = &content[..content_count];
            // Most words are known, most pairs are not.
            let mut candidate_count = 0;
            let mut previous = None;
            for &token in content {
                if let Some(previous) = previous {
                    let pair = features::pair(previous, token);
                    candidates[candidate_count + 1] = pair;
                    are_words[candidate_count + 1] = false;
                    candidates[candidate_count] = token;
                    are_words[candidate_count] = true;
                    candidate_count += 1 + usize::from(self.table.may_know(pair));
                } else {
                    candidates[candidate_count] = token;
                    are_words[candidate_count] = true;
                    candidate_count += 1;
                }
                previous = Some(token);
            }
            let mut known_content_words = 0;
            let candidates = &candidates[..candidate_count];
            for (place, &hash) in places.iter_mut().zip(candidates) {
                *place = self.table.fetch(hash);
            }
            for ((&row, &hash), &is_word) in places.iter().zip(candidates).zip(&are_words) {
                let is_known = self.table.has(row, hash);
                rows[row_count] = row;
                row_count += usize::from(is_known);
                known_content_words += usize::from(is_known & is_word);
            }
            reading.words += part.len();
            reading.content_words += content_count;
            reading.known_words += part.len() - content_count + known_content_words;
        }
        reading.features = tally(&rows[..row_count]);
        reading
    }

    /// How the known features of the document are written where they first occur.
    fn written_features(&self, document: &Document, texts: [&str; 2]) -> HashMap<u32, String> {
        let mut found = HashMap::new();
        let parts = features::read_part(document, features::BODY_WORDS_MAX);
        for (part, text) in parts.into_iter().zip(texts) {
            let written = |word: Word| text::written(text, word);
            let mut previous: Option<Word> = None;
            for &word in part {
                let token = features::token(word);
                if self.stop_words.contains(token) {
                    continue;
                }
                if let Some(row) = self.table.find(token) {
                    found.entry(row).or_insert_with(|| written(word).into_owned());
                }
                if let Some(previous) = previous
                    && let Some(row) =
                        self.table.find(features::pair(features::token(previous), token))
                {
                    // Words that stand without a blank between them are written so.
                    let is_joined = previous.span().end == word.span().start;
                    let blank = if is_joined { "" } else { " " };
                    let pair = || format!("{}{blank}{}", written(previous), written(word));
                    found.entry(row).or_insert_with(pair);
                }
                previous = Some(word);
            }
        }
        found
    }
}

/// Every row once, in the order of their first occurrence, and what its count makes of it.
fn tally(rows: &[u32]) -> Vec<(u32, i32)> {
    // An open-addressed table, mostly a tenth full. 0 is an empty place, any other number one
    // more than the index of a row in the list.
    const PLACES: usize = (4 * features::WORDS_MAX).next_power_of_two();
    let mut places = [0u16; PLACES];
    let mut counted: Vec<(u32, usize)> = Vec::with_capacity(rows.len());
    for &row in rows {
        let mut place = row as usize % PLACES;
        loop {
            match places[place] {
                0 => {
                    counted.push((row, 1));
                    places[place] = counted.len() as u16;
                    break;
                }
                number => {
                    let (other, count) = &mut counted[usize::from(number) - 1];
                    if *other == row {
                        *count += 1;
                        break;
                    }
                }
            }
            place = (place + 1) % PLACES;
        }
    }
    counted.into_iter().map(|(row, count)| (row, features::emphasis(count))).collect()
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
