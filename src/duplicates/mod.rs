//! The duplicate judge: is one article a copy, an edited copy or a part of another?
//!
//! Candidates come from elsewhere: from the Hamming index and from posting lists under
//! [`posting_keys`]. The judge compares one pair at a time, by what [`Sketch`] keeps of either
//! article, and is pure: no I/O, no clock, and time linear in the length of the texts.

mod alignment;
mod counts;
pub mod decision;
mod features;
mod made;
mod overlap;
pub mod pairs;
mod probe;
mod shingles;
mod sketch;
#[cfg(test)]
mod tests;
pub mod train;
mod trees;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use alignment::{Alignment, align, share_hardly_anything};
pub use counts::{Counts, Known};
use features::{Evidence, FEATURES, FeatureVector};
pub use overlap::{OVERLAP_WORDS_MIN, Overlap, overlaps};
pub use probe::Probe;
pub use shingles::Shingles;
pub use sketch::{
    POSTING_KEYS_MAX, PostingKey, SHINGLE_WORDS, Sketch, TEXT_WORDS_MAX, TITLE_WORDS_MAX,
    posting_keys,
};
use trees::Forest;

/// In what way one article repeats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchKind {
    /// The same words in title and body.
    Exact,
    /// The same text with edits: corrected, trimmed, extended, another headline, another frame.
    Near,
    /// Another article that has a substantial part in common with this one.
    Partial,
}

/// What the judge says about a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    pub kind: Option<MatchKind>,
    /// How sure the judge is of the kind, or without one, how likely it is at least a partial
    /// duplicate. In 0..=1.
    pub probability: f32,
    /// Jaccard similarity of the two sets of word shingles (four words each) of the bodies, in
    /// 0..=1; 0 if the containment is below a tenth. It is exact for texts of up to
    /// [`TEXT_WORDS_MAX`] words but for hash collisions: two words are taken for the same one
    /// with probability 2^-15, two shingles that share none of their words with 2^-60.
    pub similarity: f32,
    /// The part of the smaller shingle set that is in the larger one. As exact as `similarity`.
    pub containment: f32,
}

impl Comparison {
    const NONE: Comparison =
        Comparison { kind: None, probability: 0.0, similarity: 0.0, containment: 0.0 };
    const EXACT: Comparison = Comparison {
        kind: Some(MatchKind::Exact),
        probability: 1.0,
        similarity: 1.0,
        containment: 1.0,
    };
}

/// Two forests and two thresholds: what training leaves behind. Clones share the forests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "JudgeData", into = "JudgeData")]
pub struct Judge {
    /// The probability from which on a pair is [`MatchKind::Near`].
    pub near_threshold: f32,
    /// The same for [`MatchKind::Partial`], of pairs that are not near.
    pub partial_threshold: f32,
    near: Arc<Forest>,
    partial: Arc<Forest>,
}

/// A judge as it is written down. It names its features so that one trained on others is refused.
#[derive(Serialize, Deserialize)]
struct JudgeData {
    features: Vec<String>,
    near_threshold: f32,
    partial_threshold: f32,
    near: Forest,
    partial: Forest,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum JudgeError {
    #[error("the judge was trained on other features than this version computes")]
    OtherFeatures,
    #[error("a tree of the judge is malformed")]
    MalformedTree,
    #[error("a threshold of the judge is not between 0 and 1")]
    BadThreshold,
}

impl TryFrom<JudgeData> for Judge {
    type Error = JudgeError;

    fn try_from(data: JudgeData) -> Result<Self, JudgeError> {
        if !data.features.iter().eq(FEATURES.iter().map(|(name, _)| *name)) {
            return Err(JudgeError::OtherFeatures);
        }
        if ![&data.near, &data.partial].iter().all(|forest| forest.is_sound(FEATURES.len())) {
            return Err(JudgeError::MalformedTree);
        }
        let JudgeData { near_threshold, partial_threshold, near, partial, .. } = data;
        if ![near_threshold, partial_threshold].iter().all(|t| (0.0..=1.0).contains(t)) {
            return Err(JudgeError::BadThreshold);
        }
        let (near, partial) = (Arc::new(near), Arc::new(partial));
        Ok(Judge { near_threshold, partial_threshold, near, partial })
    }
}

impl From<Judge> for JudgeData {
    fn from(judge: Judge) -> Self {
        JudgeData {
            features: FEATURES.iter().map(|(name, _)| (*name).to_owned()).collect(),
            near_threshold: judge.near_threshold,
            partial_threshold: judge.partial_threshold,
            near: Arc::unwrap_or_clone(judge.near),
            partial: Arc::unwrap_or_clone(judge.partial),
        }
    }
}

/// Of candidates with so much in common most are matches: to ask whether they could be any is
/// wasted. Of those with less nearly none is, of real news one in a thousand.
const PROMISING_CONTAINMENT: f32 = 0.35;

impl Judge {
    /// Judges a pair; the answer is the same in whichever order the two are given.
    pub fn compare(&self, probe: &Probe, other: &Sketch) -> Comparison {
        if probe.sketch().same_content(other) {
            return Comparison::EXACT;
        }
        let Some(alignment) = align(probe, other) else { return Comparison::NONE };
        let evidence = Evidence::new(probe, other, &alignment);
        self.judged(&alignment, &evidence.features(&probe.knowledge(other, &alignment)))
    }

    /// Judges a candidate, of which most are no match: the same kind as [`Self::compare`] tells, at
    /// a fraction of the cost for those that are none. Of such a pair the probability is a bound, at
    /// least as high as what is true, and the similarity may be 0 where the containment is a little
    /// more than a tenth.
    pub fn compare_candidate(&self, probe: &Probe, other: &Sketch) -> Comparison {
        if probe.sketch().same_content(other) {
            return Comparison::EXACT;
        }
        if share_hardly_anything(probe, other) {
            return Comparison::NONE;
        }
        let Some(alignment) = align(probe, other) else { return Comparison::NONE };
        let evidence = Evidence::new(probe, other, &alignment);
        if alignment.containment < PROMISING_CONTAINMENT {
            // The judge is monotone: what is no match at best is none.
            let at_best = self.judged(&alignment, &evidence.features_at_best(probe.stories()));
            if at_best.kind.is_none() {
                return at_best;
            }
        }
        self.judged(&alignment, &evidence.features(&probe.knowledge(other, &alignment)))
    }

    fn judged(&self, alignment: &Alignment, features: &FeatureVector) -> Comparison {
        let (kind, probability) = self.kind(features);
        let &Alignment { jaccard, containment, .. } = alignment;
        Comparison { kind, probability, similarity: jaccard, containment }
    }

    /// How likely a pair of these features is near, and at least partial.
    fn probabilities(&self, features: &FeatureVector) -> (f32, f32) {
        let near = self.near.probability(features);
        (near, self.partial.probability(features).max(near))
    }

    /// The kind of match that features tell of, and how sure that is.
    fn kind(&self, features: &FeatureVector) -> (Option<MatchKind>, f32) {
        match self.probabilities(features) {
            (near, _) if near >= self.near_threshold => (Some(MatchKind::Near), near),
            (_, partial) if partial >= self.partial_threshold => {
                (Some(MatchKind::Partial), partial)
            }
            (_, partial) => (None, partial),
        }
    }
}
