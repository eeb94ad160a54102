//! Boosted regression trees: a sum of small trees, read as the log-odds of yes.

use serde::{Deserialize, Serialize};

/// A perfect binary tree. The splits are in breadth-first order: below split `i` come `2i + 1`
/// and `2i + 2`, and the leaves after all splits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tree {
    pub(super) splits: Vec<Split>,
    pub(super) leaves: Vec<f32>,
}

/// A feature by its number, and the highest value that goes to the left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Split(pub(super) u8, pub(super) f32);

impl Split {
    /// Sends everything to the left.
    pub(super) const NONE: Split = Split(0, f32::MAX);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Forest {
    pub(super) base_log_odds: f32,
    pub(super) trees: Vec<Tree>,
}

impl Forest {
    pub(super) fn probability(&self, features: &[f32]) -> f32 {
        let values = self.trees.iter().map(|tree| tree.value(features));
        sigmoid(self.base_log_odds + values.sum::<f32>())
    }

    /// Whether every tree is perfect and finite and asks only for features that there are.
    pub(super) fn is_sound(&self, feature_count: usize) -> bool {
        let is_sound_tree = |tree: &Tree| {
            tree.leaves.len() == tree.splits.len() + 1
                && tree.leaves.len().is_power_of_two()
                && tree.leaves.iter().all(|leaf| leaf.is_finite())
                && tree.splits.iter().all(|&Split(feature, threshold)| {
                    usize::from(feature) < feature_count && threshold.is_finite()
                })
        };
        self.base_log_odds.is_finite() && self.trees.iter().all(is_sound_tree)
    }
}

impl Tree {
    pub(super) fn value(&self, features: &[f32]) -> f32 {
        let mut place = 0;
        while let Some(&Split(feature, threshold)) = self.splits.get(place) {
            place = 2 * place + 1 + usize::from(features[usize::from(feature)] > threshold);
        }
        self.leaves[place - self.splits.len()]
    }
}

pub(super) fn sigmoid(log_odds: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-log_odds))
}
