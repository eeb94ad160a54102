//! Trains the judge on labelled pairs and tells how good it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde::Serialize;
use thiserror::Error;

use super::alignment::align;
use super::counts::{Counts, Known};
use super::features::{Evidence, FEATURES, FeatureVector, Sense};
use super::made::{Maker, RECIPES, Recipe};
use super::pairs::{
    BackgroundArticle, Label, LabelledIds, LabelledPair, article_id, original_id, read_pairs,
};
use super::probe::Probe;
use super::sketch::{Sketch, posting_keys};
use super::trees::{Forest, Split, Tree, sigmoid};
use super::{Judge, MatchKind};
use crate::files::{FileError, read_json_lines};
use crate::text::{Document, bigram_hash, word_hash};

#[derive(Debug, Error)]
pub enum TrainError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{path} has labels of article '{id}', which is not in the background")]
    NoArticle { id: String, path: PathBuf },
    #[error("no pairs to train on in {0}")]
    NoPairs(PathBuf),
}

/// The sets the judge learns from, by file name, where they come from, and how much each of them
/// weighs as a whole: real pairs of news more than derived ones, and than web pages.
const TRAINING_SETS: [(&str, &str, f64); 11] = [
    ("natural_modern", "modern", 5.0),
    ("natural_fresh", "fresh", 5.0),
    ("pairs-labelled", "labelled", 3.0),
    ("natural_briefs", "briefs", 3.0),
    ("natural_reuters_rule_labelled", "reuters", 4.0),
    ("webis_trec_web", "web", 1.0),
    ("webis_trec_terabyte", "web", 1.0),
    ("derived_mutations", "derived", 4.0),
    ("derived_hard_negatives", "derived", 2.0),
    ("semeval_same_event_negatives", "semeval", 1.0),
    ("clough_stevenson_short_answers", "answers", 0.3),
];

/// The probabilities from which on a pair is near and partial.
const NEAR_THRESHOLD: f32 = 0.6;
const PARTIAL_THRESHOLD: f32 = 0.68;

/// Kinds of pairs that were edited beyond what anybody calls the same article. They are scored,
/// not learnt from.
pub const EXTREME_KINDS: [&str; 5] =
    ["numbers:3", "ocr:3", "republish:3", "roundup_containment:1", "roundup_containment:2"];

/// A labelled pair, reduced to what the judge sees.
pub struct Pair {
    pub set: String,
    pub kind: String,
    pub label: Label,
    pub borderline: bool,
    pub a_id: String,
    pub b_id: String,
    a: Sketch,
    b: Sketch,
    keys: Vec<u32>,
    /// As seen from collections of several sizes, the largest last. `None` where the two have next
    /// to nothing in common: then nothing is left to be judged.
    views: Vec<FeatureVector>,
}

impl Pair {
    pub fn is_extreme(&self) -> bool {
        EXTREME_KINDS.contains(&self.kind.as_str())
    }
}

/// The pairs of a set as the judge sees them. The set is named after its file.
fn reduced_set(path: &Path, pairs: Vec<LabelledPair>) -> impl Iterator<Item = Pair> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let set = name.split('.').next().unwrap_or_default().to_owned();
    pairs.into_iter().map(move |pair| reduced(&set, pair))
}

fn reduced(set: &str, line: LabelledPair) -> Pair {
    let a = Document::new(&line.a_title, &line.a_text);
    let b = Document::new(&line.b_title, &line.b_text);
    Pair {
        set: set.to_owned(),
        kind: line.kind,
        label: line.label,
        borderline: line.borderline,
        a_id: line.a_id,
        b_id: line.b_id,
        keys: posting_keys(&a),
        a: Sketch::new(&a),
        b: Sketch::new(&b),
        views: Vec::new(),
    }
}

/// All pairs of a file of labels, with the texts of articles of the background.
pub fn read_labelled(path: &Path, background: &[PathBuf]) -> Result<Vec<LabelledPair>, TrainError> {
    let mut labels: Vec<LabelledIds> = Vec::new();
    read_json_lines(path, |pair| labels.push(pair))?;
    let mut articles: HashMap<String, Option<BackgroundArticle>> = HashMap::new();
    for LabelledIds { a_id, b_id, .. } in &labels {
        articles.extend([(a_id.clone(), None), (b_id.clone(), None)]);
    }
    for path in background {
        read_json_lines(path, |article: BackgroundArticle| {
            if let Some(wanted) = articles.get_mut(&article.id) {
                wanted.get_or_insert(article);
            }
        })?;
    }
    let article = |id: &str| {
        let known = articles.get(id).and_then(Option::as_ref);
        known.ok_or_else(|| TrainError::NoArticle { id: id.to_owned(), path: path.to_owned() })
    };
    let pair = |labels: LabelledIds| {
        let (a, b) = (article(&labels.a_id)?, article(&labels.b_id)?);
        Ok(labels.of(a, b))
    };
    labels.into_iter().map(pair).collect()
}

/// An article that a collection holds beside those that are asked about.
pub struct Article {
    sketch: Sketch,
    keys: Vec<u32>,
}

/// Articles of several files, without those that stand in a pair, in an order that mixes them.
pub fn read_background(paths: &[PathBuf], pairs: &[Pair]) -> Result<Vec<Article>, TrainError> {
    let in_pairs: BTreeSet<&str> =
        pairs.iter().flat_map(|pair| [article_id(&pair.a_id), article_id(&pair.b_id)]).collect();
    let mut articles: BTreeMap<u64, Article> = BTreeMap::new();
    for path in paths {
        read_json_lines(path, |BackgroundArticle { id, title, text }| {
            if !in_pairs.contains(id.as_str()) {
                let document = Document::new(&title, &text);
                let (keys, sketch) = (posting_keys(&document), Sketch::new(&document));
                let order = bigram_hash(word_hash(id.as_bytes()), 1);
                articles.insert(order, Article { sketch, keys });
            }
        })?;
    }
    Ok(articles.into_values().collect())
}

/// A collection as it is filled: every article is counted, and of those that join a story what is
/// new in them.
struct Filing<'a> {
    counts: Counts,
    /// The articles that began a story, by posting key.
    began: HashMap<u32, Vec<&'a Sketch>>,
}

/// From this similarity on an article joins a story. In life the judge decides; here it is about
/// to be trained.
const STORY_JACCARD: f32 = 0.5;

impl<'a> Filing<'a> {
    fn new() -> Self {
        Filing { counts: Counts::default(), began: HashMap::new() }
    }

    fn file(&mut self, sketch: &'a Sketch, keys: &[u32]) {
        const LIST_MAX: usize = 32;
        let probe = Probe::new(sketch, &self.counts);
        let candidates = keys.iter().filter_map(|key| self.began.get(key));
        let story = candidates.flatten().find(|began| {
            align(&probe, began).is_some_and(|alignment| alignment.jaccard >= STORY_JACCARD)
        });
        self.counts.add(sketch, story.map(|story| Known::new(story)));
        if story.is_none() {
            for &key in keys {
                let list = self.began.entry(key).or_default();
                if list.len() < LIST_MAX {
                    list.push(sketch);
                }
            }
        }
    }
}

/// How many articles of the background are in the collections that pairs are seen from.
const BACKGROUND_SIZES: [usize; 3] = [600, 6000, usize::MAX];

/// Larger sets are seen from fewer collections.
const SEEN_FROM_ALL_MAX: usize = 400;

/// Looks at all pairs from collections of several sizes: an empty one, and some that hold a part
/// of the background and the first articles of all pairs of the set.
pub fn look_at(pairs: &mut [Pair], background: &[Article]) {
    for pair in pairs.iter_mut() {
        pair.views.clear();
        pair.views.extend(view(pair, &Counts::default()));
    }
    let mut sizes: Vec<usize> =
        BACKGROUND_SIZES.iter().map(|&size| size.min(background.len())).collect();
    sizes.dedup();
    let sets: BTreeSet<String> = pairs.iter().map(|pair| pair.set.clone()).collect();
    let mut filing = Filing::new();
    let mut filed = 0;
    for size in sizes {
        for article in &background[filed..size] {
            filing.file(&article.sketch, &article.keys);
        }
        filed = size;
        for set in &sets {
            let indices: Vec<usize> =
                (0..pairs.len()).filter(|&index| pairs[index].set == *set).collect();
            let counts = {
                let mut filing =
                    Filing { counts: filing.counts.clone(), began: filing.began.clone() };
                let mut known = BTreeSet::new();
                for &index in &indices {
                    let pair = &pairs[index];
                    if known.insert(&pair.a_id) {
                        filing.file(&pair.a, &pair.keys);
                    }
                }
                filing.counts
            };
            for index in indices {
                let seen = view(&pairs[index], &counts);
                pairs[index].views.extend(seen);
            }
        }
    }
}

fn view(pair: &Pair, counts: &Counts) -> Option<FeatureVector> {
    let probe = Probe::new(&pair.b, counts);
    let alignment = align(&probe, &pair.a)?;
    let knowledge = probe.knowledge(&pair.a, &alignment);
    Some(Evidence::new(&probe, &pair.a, &alignment).features(&knowledge))
}

/// All pairs of the sets that [`train`] learns from, of those that the folder has, and those of
/// files of labels, which are of articles of the background.
pub fn read_training_pairs(
    folder: &Path,
    labelled: &[PathBuf],
    background: &[PathBuf],
) -> Result<Vec<Pair>, TrainError> {
    let mut pairs = Vec::new();
    for (set, ..) in TRAINING_SETS {
        let paths = ["jsonl", "jsonl.gz"].map(|ext| folder.join(format!("{set}.{ext}")));
        if let Some(path) = paths.iter().find(|path| path.exists()) {
            pairs.extend(reduced_set(path, read_pairs(path)?));
        }
    }
    for path in labelled {
        pairs.extend(reduced_set(path, read_labelled(path, background)?));
    }
    if pairs.is_empty() { Err(TrainError::NoPairs(folder.to_owned())) } else { Ok(pairs) }
}

/// Trains a judge on the given pairs. The same pairs give the same judge, bit by bit, on every
/// machine. `progress` is told how many trees of how many are grown.
pub fn train(pairs: &[&Pair], mut progress: impl FnMut(usize, usize)) -> Judge {
    let made = made_examples(pairs);
    let near = boost(&near_examples(pairs, &made), |tree| progress(tree, 2 * TREE_COUNT));
    let partial = boost(&partial_examples(pairs, &made), |tree| {
        progress(TREE_COUNT + tree, 2 * TREE_COUNT);
    });
    let (near, partial) = (Arc::new(near), Arc::new(partial));
    Judge { near_threshold: NEAR_THRESHOLD, partial_threshold: PARTIAL_THRESHOLD, near, partial }
}

#[derive(Debug, Clone, Copy)]
struct Example {
    features: FeatureVector,
    is_match: bool,
    weight: f64,
}

/// What tells copies from everything else. Pairs that people call partial are neither.
fn near_examples(pairs: &[&Pair], made: &[MadeExample]) -> Vec<Example> {
    let mut examples = examples(pairs, |pair| match pair.label {
        Label::Yes => Some((true, 1.0)),
        Label::Partial => None,
        Label::No => Some((false, 1.0)),
    });
    examples.extend(weighted(made, |recipe| (recipe.label == Label::Yes, recipe.near_weight)));
    examples
}

/// What tells partial duplicates, and copies all the more, from pairs that share only a quote,
/// the background or boilerplate. Few pairs show where that line runs; they weigh more.
fn partial_examples(pairs: &[&Pair], made: &[MadeExample]) -> Vec<Example> {
    let mut examples = examples(pairs, |pair| {
        let is_graded =
            ["natural_modern", "natural_fresh", "pairs-labelled"].contains(&pair.set.as_str());
        let set_weight = if is_graded { 3.5 } else { 1.0 };
        Some(match pair.label {
            Label::Yes => (true, 0.3 * set_weight),
            Label::Partial => (true, 3.0 * set_weight),
            Label::No => (false, set_weight),
        })
    });
    examples.extend(weighted(made, |recipe| (recipe.label != Label::No, recipe.partial_weight)));
    examples
}

/// The pairs as examples; `target` tells whether a pair is a match and how much it weighs among
/// the pairs of its set, or that it is not to be learnt from.
fn examples(pairs: &[&Pair], target: impl Fn(&Pair) -> Option<(bool, f64)>) -> Vec<Example> {
    let usable = |pair: &&&Pair| !pair.is_extreme() && target(pair).is_some();
    let mut set_sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in pairs.iter().filter(usable) {
        *set_sizes.entry(&pair.set).or_default() += 1;
    }
    let set_weight = |set: &str| {
        TRAINING_SETS.iter().find(|(name, ..)| *name == set).map_or(1.0, |&(.., weight)| weight)
    };
    let mut examples = Vec::new();
    for (index, pair) in pairs.iter().filter(usable).enumerate() {
        let Some((is_match, weight)) = target(pair) else { continue };
        let set_size = set_sizes[pair.set.as_str()];
        let certainty = if pair.borderline { 0.5 } else { 1.0 };
        let mut views = &pair.views[..];
        if set_size > SEEN_FROM_ALL_MAX && !views.is_empty() {
            let seen = index % views.len();
            views = &views[seen..=seen];
        }
        let per_pair = WEIGHT_UNIT * set_weight(&pair.set) / set_size as f64;
        let weight = weight * certainty * per_pair / views.len() as f64;
        examples.extend(views.iter().map(|&features| Example { features, is_match, weight }));
    }
    examples
}

/// What a set of weight 1 weighs, to be held against [`LEAF_PENALTY`].
const WEIGHT_UNIT: f64 = 1000.0;

/// The features of a pair made by the recipe of this number.
struct MadeExample {
    recipe: usize,
    features: FeatureVector,
}

/// How many pairs are made by each recipe.
const MADE_COUNT: usize = 750;

fn made_examples(pairs: &[&Pair]) -> Vec<MadeExample> {
    let articles: Vec<&Sketch> =
        pairs.iter().map(|pair| &pair.a).filter(|sketch| !sketch.text().is_empty()).collect();
    if articles.is_empty() {
        return Vec::new();
    }
    let mut maker = Maker::new(articles);
    let mut examples = Vec::with_capacity(RECIPES.len() * MADE_COUNT);
    for (index, recipe) in RECIPES.iter().enumerate() {
        // Most draws are used; the bound is for folders with very few pairs.
        let made = (0..4 * MADE_COUNT)
            .filter_map(|_| Some(MadeExample { recipe: index, features: maker.features(recipe)? }));
        examples.extend(made.take(MADE_COUNT));
    }
    examples
}

/// Made pairs as examples; `target` tells whether those of a recipe are matches, and how much
/// they weigh as a whole.
fn weighted(made: &[MadeExample], target: impl Fn(&Recipe) -> (bool, f64)) -> Vec<Example> {
    let mut counts = [0; RECIPES.len()];
    made.iter().for_each(|example| counts[example.recipe] += 1);
    let example = |made: &MadeExample| {
        let (is_match, weight) = target(&RECIPES[made.recipe]);
        let weight = WEIGHT_UNIT * weight / f64::from(counts[made.recipe]);
        Example { features: made.features, is_match, weight }
    };
    made.iter().map(example).collect()
}

const TREE_COUNT: usize = 160;
const TREE_DEPTH: u32 = 3;
const LEARNING_RATE: f64 = 0.06;
const LEAF_PENALTY: f64 = 5.0;
const LEAF_EXAMPLES_MIN: usize = 120;
const BINS_MAX: usize = 64;

/// Gradient boosting with logistic loss and second-order leaves, as in XGBoost (Chen and
/// Guestrin, KDD 2016), and its way of keeping trees monotone.
fn boost(examples: &[Example], mut progress: impl FnMut(usize)) -> Forest {
    let weight_of = |is_match: bool| -> f64 {
        let matching = examples.iter().filter(|example| example.is_match == is_match);
        matching.map(|example| example.weight).sum()
    };
    let base_log_odds = libm::log((weight_of(true) + 1.0) / (weight_of(false) + 1.0)) as f32;
    let bins = Bins::new(examples);
    let everything: Vec<usize> = (0..examples.len()).collect();
    let mut trees = Vec::with_capacity(TREE_COUNT);
    let mut log_odds = vec![base_log_odds; examples.len()];
    for tree_index in 0..TREE_COUNT {
        let slopes: Vec<Slope> =
            examples.iter().zip(&log_odds).map(|(example, &at)| Slope::of(example, at)).collect();
        let mut grower = Grower::new(&bins, &slopes);
        grower.grow(0, &everything, f64::NEG_INFINITY..f64::INFINITY);
        for (example, log_odds) in examples.iter().zip(&mut log_odds) {
            *log_odds += grower.tree.value(&example.features);
        }
        trees.push(grower.tree);
        progress(tree_index + 1);
    }
    Forest { base_log_odds, trees }
}

/// First and second derivative of the loss by the log-odds, weighted.
#[derive(Debug, Default, Clone, Copy)]
struct Slope {
    gradient: f64,
    hessian: f64,
    count: usize,
}

impl Slope {
    fn of(example: &Example, log_odds: f32) -> Self {
        let probability = f64::from(sigmoid(log_odds));
        let target = f64::from(u8::from(example.is_match));
        Slope {
            gradient: example.weight * (probability - target),
            hessian: example.weight * (probability * (1.0 - probability)).max(1e-6),
            count: 1,
        }
    }

    fn plus(self, other: Slope) -> Slope {
        Slope {
            gradient: self.gradient + other.gradient,
            hessian: self.hessian + other.hessian,
            count: self.count + other.count,
        }
    }

    fn minus(self, other: Slope) -> Slope {
        Slope {
            gradient: self.gradient - other.gradient,
            hessian: self.hessian - other.hessian,
            count: self.count - other.count,
        }
    }

    /// The best value for a leaf of these examples, within bounds.
    fn best_value(self, bounds: &Range<f64>) -> f64 {
        (-self.gradient / (self.hessian + LEAF_PENALTY)).clamp(bounds.start, bounds.end)
    }

    /// By how much a leaf of this value lowers the loss.
    fn gain(self, value: f64) -> f64 {
        -(self.gradient * value + 0.5 * (self.hessian + LEAF_PENALTY) * value * value)
    }
}

/// Every feature of every example, as the number of the interval it falls into.
struct Bins {
    /// By feature: the upper end of every interval but the last, ascending.
    thresholds: Vec<Vec<f32>>,
    /// By feature and example.
    bin_of: Vec<Vec<u8>>,
}

impl Bins {
    fn new(examples: &[Example]) -> Self {
        let column = |feature: usize| -> Vec<f32> {
            examples.iter().map(|example| example.features[feature]).collect()
        };
        let thresholds: Vec<Vec<f32>> =
            (0..FEATURES.len()).map(|feature| quantile_thresholds(column(feature))).collect();
        let bin = |feature: usize, value: f32| {
            thresholds[feature].partition_point(|&threshold| threshold < value) as u8
        };
        let bin_of = (0..FEATURES.len())
            .map(|feature| column(feature).into_iter().map(|value| bin(feature, value)).collect())
            .collect();
        Bins { thresholds, bin_of }
    }
}

/// Values half-way between neighbours that part the examples into about equal groups.
fn quantile_thresholds(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_by(f32::total_cmp);
    let mut thresholds: Vec<f32> = (1..BINS_MAX)
        .map(|part| values.len() * part / BINS_MAX)
        .filter_map(|place| {
            let above = *values.get(place)?;
            let below = *values[..place].iter().rev().find(|&&value| value < above)?;
            Some(below + (above - below) / 2.0)
        })
        .collect();
    thresholds.dedup();
    thresholds
}

/// A tree being grown.
struct Grower<'a> {
    bins: &'a Bins,
    slopes: &'a [Slope],
    tree: Tree,
}

/// A way to part some examples in two.
struct Parting {
    feature: usize,
    /// The last bin that goes below.
    bin: usize,
    gain: f64,
    below_bounds: Range<f64>,
    above_bounds: Range<f64>,
}

impl<'a> Grower<'a> {
    fn new(bins: &'a Bins, slopes: &'a [Slope]) -> Self {
        let leaf_count = 1 << TREE_DEPTH;
        let tree =
            Tree { splits: vec![Split::NONE; leaf_count - 1], leaves: vec![0.0; leaf_count] };
        Grower { bins, slopes, tree }
    }

    /// Grows the subtree at a place of the tree, for these examples. Its leaves stay within the
    /// bounds. Where no split is worth it, everything goes below, down to the leaf.
    fn grow(&mut self, place: usize, members: &[usize], bounds: Range<f64>) {
        let total = members.iter().fold(Slope::default(), |sum, &i| sum.plus(self.slopes[i]));
        if place >= self.tree.splits.len() {
            let value = LEARNING_RATE * total.best_value(&bounds);
            self.tree.leaves[place - self.tree.splits.len()] = value as f32;
            return;
        }
        let Some(parting) = self.best_parting(members, total, &bounds) else {
            return self.grow(2 * place + 1, members, bounds);
        };
        let Parting { feature, bin, below_bounds, above_bounds, .. } = parting;
        self.tree.splits[place] = Split(feature as u8, self.bins.thresholds[feature][bin]);
        let is_below = |&member: &usize| usize::from(self.bins.bin_of[feature][member]) <= bin;
        let (below, above): (Vec<usize>, Vec<usize>) = members.iter().partition(|m| is_below(m));
        self.grow(2 * place + 1, &below, below_bounds);
        self.grow(2 * place + 2, &above, above_bounds);
    }

    fn best_parting(
        &self,
        members: &[usize],
        total: Slope,
        bounds: &Range<f64>,
    ) -> Option<Parting> {
        const GAIN_MIN: f64 = 1e-9;
        let mut best: Option<Parting> = None;
        let undivided_gain = total.gain(total.best_value(bounds));
        for (feature, &(_, sense)) in FEATURES.iter().enumerate() {
            let mut by_bin = [Slope::default(); BINS_MAX];
            for &member in members {
                let bin = usize::from(self.bins.bin_of[feature][member]);
                by_bin[bin] = by_bin[bin].plus(self.slopes[member]);
            }
            let mut below = Slope::default();
            let thresholds = &self.bins.thresholds[feature];
            for (bin, &slope) in by_bin[..thresholds.len()].iter().enumerate() {
                below = below.plus(slope);
                let above = total.minus(below);
                if below.count.min(above.count) < LEAF_EXAMPLES_MIN {
                    continue;
                }
                let (below_value, above_value) =
                    (below.best_value(bounds), above.best_value(bounds));
                let is_monotone = match sense {
                    Sense::For => below_value <= above_value,
                    Sense::Against => below_value >= above_value,
                };
                let gain = below.gain(below_value) + above.gain(above_value) - undivided_gain;
                if !is_monotone || gain <= best.as_ref().map_or(GAIN_MIN, |best| best.gain) {
                    continue;
                }
                let middle = (below_value + above_value) / 2.0;
                let (low, high) = (bounds.start..middle, middle..bounds.end);
                let (below_bounds, above_bounds) = match sense {
                    Sense::For => (low, high),
                    Sense::Against => (high, low),
                };
                best = Some(Parting { feature, bin, gain, below_bounds, above_bounds });
            }
        }
        best
    }
}

/// How often the judge was right about a group of pairs.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Score {
    pub true_positives: usize,
    pub false_positives: usize,
    pub false_negatives: usize,
    pub true_negatives: usize,
}

impl Score {
    pub fn add(&mut self, found: bool, expected: bool) {
        match (found, expected) {
            (true, true) => self.true_positives += 1,
            (true, false) => self.false_positives += 1,
            (false, true) => self.false_negatives += 1,
            (false, false) => self.true_negatives += 1,
        }
    }

    pub fn precision(&self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    pub fn recall(&self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        share(
            2 * self.true_positives,
            2 * self.true_positives + self.false_positives + self.false_negatives,
        )
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// What a judge says of a pair that is seen from the largest of its collections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer {
    pub is_exact: bool,
    pub near: f32,
    pub partial: f32,
}

impl Answer {
    pub fn new(judge: &Judge, pair: &Pair) -> Self {
        if pair.a.same_content(&pair.b) {
            return Answer { is_exact: true, near: 1.0, partial: 1.0 };
        }
        let probabilities = pair.views.last().map(|features| judge.probabilities(features));
        let (near, partial) = probabilities.unwrap_or_default();
        Answer { is_exact: false, near, partial }
    }

    pub fn kind(&self) -> Option<MatchKind> {
        if self.is_exact {
            Some(MatchKind::Exact)
        } else if self.near >= NEAR_THRESHOLD {
            Some(MatchKind::Near)
        } else {
            (self.partial >= PARTIAL_THRESHOLD).then_some(MatchKind::Partial)
        }
    }
}

/// Answers for pairs, one to one, each by a judge that saw neither of its two articles: the
/// articles are parted into `fold_count` groups that no pair crosses.
pub fn cross_validate(pairs: &[Pair], fold_count: u64, seed: u64) -> Vec<Answer> {
    let folds = folds(pairs, fold_count, seed);
    answers_by_part(pairs, &folds)
}

/// The same for every source by a judge that saw nothing of it, nor any of its articles elsewhere.
pub fn leave_one_source_out(pairs: &[Pair]) -> Vec<Answer> {
    let sources: Vec<u64> = pairs
        .iter()
        .map(|pair| {
            let of_set = TRAINING_SETS.iter().find(|(set, ..)| *set == pair.set);
            word_hash(of_set.map_or("", |&(_, source, _)| source).as_bytes())
        })
        .collect();
    answers_by_part(pairs, &sources)
}

/// Every pair's answer by a judge that is trained on the other parts, but for pairs that have an
/// article of this one. All processors share the work.
fn answers_by_part(pairs: &[Pair], part_of: &[u64]) -> Vec<Answer> {
    let parts: BTreeSet<u64> = part_of.iter().copied().collect();
    let ids = |pair: &Pair| [&pair.a_id, &pair.b_id].map(|id| article_id(id).to_owned());
    let zipped = || pairs.iter().zip(part_of);
    let judge_without = |part: u64| {
        let asked: BTreeSet<String> =
            zipped().filter(|(_, of)| **of == part).flat_map(|(pair, _)| ids(pair)).collect();
        let is_foreign = |pair: &Pair| ids(pair).iter().all(|id| !asked.contains(id));
        let others = zipped().filter(|(pair, of)| **of != part && is_foreign(pair));
        train(&others.map(|(pair, _)| pair).collect::<Vec<_>>(), |_, _| ())
    };
    let judges: BTreeMap<u64, Judge> = thread::scope(|scope| {
        let parts: Vec<u64> = parts.into_iter().collect();
        let thread_count = thread::available_parallelism().map_or(1, usize::from);
        let judge_without = &judge_without;
        let spawn = |parts: Vec<u64>| {
            let judges = parts.into_iter().map(move |part| (part, judge_without(part)));
            scope.spawn(move || judges.collect::<Vec<_>>())
        };
        let shares = (0..thread_count)
            .map(|thread| parts.iter().copied().skip(thread).step_by(thread_count).collect());
        let threads: Vec<_> = shares.map(spawn).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    let answer = |(pair, part): (&Pair, &u64)| {
        judges.get(part).map_or(Answer::default(), |judge| Answer::new(judge, pair))
    };
    zipped().map(answer).collect()
}

/// The fold of every pair, such that no article is in two folds.
fn folds(pairs: &[Pair], fold_count: u64, seed: u64) -> Vec<u64> {
    let mut links: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in pairs {
        let a = group(&links, original_id(&pair.a_id));
        let b = group(&links, original_id(&pair.b_id));
        if a != b {
            links.insert(a, b);
        }
    }
    let fold = |pair: &Pair| {
        let group = group(&links, original_id(&pair.a_id));
        bigram_hash(word_hash(group.as_bytes()), seed) % fold_count
    };
    pairs.iter().map(fold).collect()
}

/// The article that stands for all those linked to this one through pairs.
fn group<'a>(links: &BTreeMap<&'a str, &'a str>, mut id: &'a str) -> &'a str {
    while let Some(&next) = links.get(id) {
        id = next;
    }
    id
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// Copies of counted texts with their last words cut off, and notices that differ in figures.
    fn lines() -> Vec<String> {
        let copy = |i: usize| {
            let words: Vec<String> = (0..60).map(|word| format!("w{}", 1000 * i + word)).collect();
            let (whole, cut) = (words.join(" "), words[..60 - i % 30].join(" "));
            json!({"a_id": format!("copy-{i}"), "b_id": format!("copy-{i}~cut"), "label": 1,
                "a_text": whole, "b_text": cut, "kind": "cut"})
        };
        let notice = |i: usize| {
            let text = |figure: usize| {
                format!(
                    "the mill at brook {figure} sold {figure} sacks of flour at {figure} cents \
                     the sack on monday and {figure} at noon the day after"
                )
            };
            json!({"a_id": format!("notice-{i}"), "b_id": format!("notice-{}", i + 1), "label": 0,
                "a_text": text(i), "b_text": text(i + 1), "kind": "notice"})
        };
        (0..60).flat_map(|i| [copy(i).to_string(), notice(i).to_string()]).collect()
    }

    fn pairs_of(lines: &[String]) -> Result<Vec<Pair>, TrainError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mill.v1.jsonl");
        fs::write(&path, lines.join("\n")).unwrap();
        Ok(reduced_set(&path, read_pairs(&path)?).collect())
    }

    #[test]
    fn training_learns_and_is_reproducible() {
        let mut pairs = pairs_of(&lines()).unwrap();
        assert!(pairs.iter().all(|pair| pair.set == "mill"));
        look_at(&mut pairs, &[]);
        let all: Vec<&Pair> = pairs.iter().collect();
        let mut steps = Vec::new();
        let judge = train(&all, |done, total| steps.push((done, total)));
        assert_eq!(steps.last(), Some(&(2 * TREE_COUNT, 2 * TREE_COUNT)));
        assert_eq!(judge, train(&all, |_, _| ()));
        let mut score = Score::default();
        for pair in &pairs {
            score.add(Answer::new(&judge, pair).kind().is_some(), pair.label == Label::Yes);
        }
        assert!(score.f1() > 0.95, "{score:?}");
    }

    #[test]
    fn an_article_of_a_pair_is_no_background() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("background.jsonl");
        let line = |id: &str| json!({"id": id, "text": "Ebb and flood"}).to_string();
        fs::write(&path, ["copy-3", "other", "copy-4", "other"].map(line).join("\n")).unwrap();
        let pairs = pairs_of(&lines()).unwrap();
        assert_eq!(read_background(&[path], &pairs).unwrap().len(), 1);
    }

    #[test]
    fn what_a_story_repeats_is_counted_once() {
        let sketch = |text: &str| Sketch::new(&Document::new("", text));
        let keys = |text: &str| posting_keys(&Document::new("", text));
        let words = |from: usize, count: usize| -> String {
            (from..from + count).map(|word| format!("w{word} ")).collect()
        };
        let story = words(0, 200);
        let frame = words(1000, 150);
        let copies = (0..5).map(|i| format!("{story} {}", words(2000 + 10 * i, 5)));
        let framed = (0..5).map(|i| format!("{} {frame}", words(3000 + 100 * i, 90)));
        let texts: Vec<String> = copies.chain(framed).collect();
        let sketches: Vec<Sketch> = texts.iter().map(|text| sketch(text)).collect();
        let mut filing = Filing::new();
        for (text, sketch) in texts.iter().zip(&sketches) {
            filing.file(sketch, &keys(text));
        }
        // A few share their counters with others, and are counted too high.
        let is_counted = |text: &str, expected: u8| {
            let counts = filing.counts.of(sketch(text).text());
            let right = counts.iter().filter(|&&(_, count)| count == expected).count();
            20 * right >= 19 * counts.len()
        };
        assert!(is_counted(&story, 1));
        assert!(is_counted(&frame, 5));
    }

    #[test]
    fn no_article_is_in_two_folds() {
        let pairs = pairs_of(&lines()).unwrap();
        let folds = folds(&pairs, 5, 1);
        let mut fold_of = BTreeMap::new();
        for (pair, &fold) in pairs.iter().zip(&folds) {
            for id in [&pair.a_id, &pair.b_id] {
                assert_eq!(*fold_of.entry(original_id(id)).or_insert(fold), fold, "{id}");
            }
        }
        assert_eq!(folds.iter().copied().collect::<BTreeSet<u64>>().len(), 5);
    }

    #[test]
    fn a_line_that_is_no_pair_is_named() {
        let mut lines = lines();
        lines[3] = lines[3].replace("\"label\":0", "\"label\":7");
        let error = pairs_of(&lines).err().unwrap();
        assert!(matches!(error, TrainError::File(FileError::Line { line: 4, .. })), "{error:?}");
        assert!(matches!(read_pairs(Path::new("/nowhere")), Err(FileError::Read { .. })));
    }

    #[test]
    fn labels_take_their_texts_from_the_background() {
        let folder = tempfile::tempdir().unwrap();
        let [labels, articles] =
            ["labels.jsonl", "articles.jsonl"].map(|it| folder.path().join(it));
        let article = |id: &str| json!({"id": id, "title": "Ebb", "text": format!("Tide {id}")});
        fs::write(&articles, format!("{}\n{}\n", article("x"), article("y"))).unwrap();
        let write = |b_id: &str| {
            let label = json!({"a_id": "x", "b_id": b_id, "label": "partial", "borderline": true});
            fs::write(&labels, label.to_string()).unwrap();
        };
        write("y");
        let pairs = read_labelled(&labels, std::slice::from_ref(&articles)).unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].a_text.as_str(), pairs[0].b_text.as_str()), ("Tide x", "Tide y"));
        assert_eq!((pairs[0].label, pairs[0].borderline), (Label::Partial, true));
        write("z");
        let error = read_labelled(&labels, &[articles]).unwrap_err();
        assert!(matches!(&error, TrainError::NoArticle { id, .. } if id == "z"), "{error:?}");
        assert!(error.to_string().contains("labels.jsonl"), "{error}");
    }
}
