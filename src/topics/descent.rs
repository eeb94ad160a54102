//! Logistic regression by stochastic gradient descent.

use super::corpus::{Example, TWICE, Vocabulary};
use super::logistic;
use super::table::Table;
use super::train::TrainConfig;
use crate::random::SplitMix64;

/// Labels that are trained side by side.
const LANES: usize = 4;

/// What the short view of an article weighs against the long one.
const SHORT_VIEW_WEIGHT: f32 = 0.5;

/// Learning rate at the first step; it falls with the number of steps and with the l2 penalty.
const RATE: f32 = 10.0;

/// No step moves a logit further than about this.
const STEP_MAX: f32 = 20.0;

/// The bias learns more slowly than words do.
const BIAS_RATE: f32 = 0.1;

/// The weights of the last epochs are averaged, which takes out the noise of single steps.
const AVERAGED_EPOCHS: u32 = 3;

/// How much a cell weighs in training, and what is true of it. Unknown cells weigh nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Target {
    pub weight: f32,
    pub truth: f32,
}

/// Learns one weight per feature and label. `examples` are the views of the articles, two for
/// each, the short one first; `targets` are, for every label, those of the articles. `features`
/// is how many there are in the vocabulary, stems included.
pub fn descend(
    examples: &[Example],
    targets: &[Vec<Target>],
    features: usize,
    config: &TrainConfig,
) -> Weights {
    let mut weights = Weights { values: Vec::new(), bias: Vec::new() };
    for labels in targets.chunks(LANES) {
        let lanes = descend_lanes(examples, labels, features, config);
        for label in 0..labels.len() {
            weights.values.push(lanes.values.iter().map(|lanes| lanes[label]).collect());
            weights.bias.push(lanes.bias[label]);
        }
    }
    weights
}

/// The same for up to [`LANES`] labels.
fn descend_lanes(
    examples: &[Example],
    labels: &[Vec<Target>],
    features: usize,
    config: &TrainConfig,
) -> Lanes {
    let mut random = SplitMix64(config.seed);
    let mut order: Vec<usize> = (0..examples.len())
        .filter(|example| labels.iter().any(|targets| targets[example / 2].weight > 0.0))
        .collect();
    let mut lanes = Lanes::zero(features);
    let mut average = lanes.clone();
    // Shrinking all weights at every step would touch all of them: one factor stands for it.
    let mut shrink = 1.0;
    let mut step_count = 0.0;
    let averaged_epochs = AVERAGED_EPOCHS.min(config.epochs);
    for epoch in 0..config.epochs {
        random.shuffle(&mut order);
        for &index in &order {
            let rate = RATE / (1.0 + RATE * config.l2 * step_count);
            step_count += 1.0;
            let logits = lanes.logits(&examples[index], shrink);
            shrink *= 1.0 - rate * config.l2;
            let view_weight = if index % 2 == 0 { SHORT_VIEW_WEIGHT } else { 1.0 };
            let mut steps = [0.0; LANES];
            for ((step, targets), logit) in steps.iter_mut().zip(labels).zip(logits) {
                let Target { weight, truth } = targets[index / 2];
                let error = truth - logistic(logit.into()) as f32;
                *step = (rate * weight * view_weight).min(STEP_MAX) * error;
            }
            lanes.step(&examples[index], steps, shrink);
        }
        if epoch + averaged_epochs >= config.epochs {
            average.add(&lanes, shrink, 1.0 / averaged_epochs as f32);
        }
    }
    average
}

/// Weights of up to [`LANES`] labels while they are trained.
#[derive(Clone)]
struct Lanes {
    /// For every feature of the vocabulary.
    values: Vec<[f32; LANES]>,
    bias: [f32; LANES],
}

impl Lanes {
    fn zero(features: usize) -> Self {
        Lanes { values: vec![[0.0; LANES]; features], bias: [0.0; LANES] }
    }

    fn logits(&self, example: &Example, shrink: f32) -> [f32; LANES] {
        let mut sums = [0.0; LANES];
        for &(id, value) in example {
            add_scaled(&mut sums, &self.values[id as usize], value);
        }
        let mut logits = self.bias;
        add_scaled(&mut logits, &sums, shrink);
        logits
    }

    fn step(&mut self, example: &Example, steps: [f32; LANES], shrink: f32) {
        for &(id, value) in example {
            add_scaled(&mut self.values[id as usize], &steps, value / shrink);
        }
        add_scaled(&mut self.bias, &steps, BIAS_RATE);
    }

    fn add(&mut self, other: &Lanes, shrink: f32, share: f32) {
        for (sum, weights) in self.values.iter_mut().zip(&other.values) {
            add_scaled(sum, weights, shrink * share);
        }
        add_scaled(&mut self.bias, &other.bias, share);
    }
}

fn add_scaled(sums: &mut [f32; LANES], values: &[f32; LANES], factor: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// A trained model before calibration and quantisation.
pub struct Weights {
    /// For every label the features of the vocabulary, and then its stems.
    values: Vec<Vec<f32>>,
    pub bias: Vec<f32>,
}

impl Weights {
    /// Of an example without stems.
    pub fn logits(&self, vocabulary: &Vocabulary, example: &Example) -> Vec<f32> {
        let logit = |(values, bias): (&Vec<f32>, &f32)| {
            let value = |&(id, value): &(u32, f32)| value * with_stem(values, vocabulary, id);
            bias + example.iter().map(value).sum::<f32>()
        };
        self.values.iter().zip(&self.bias).map(logit).collect()
    }

    /// The `max` features that can move a logit most, sorted by id.
    pub fn strongest(&self, vocabulary: &Vocabulary, max: usize) -> Vec<u32> {
        let strength = |id: u32| {
            (0..self.values.len()).map(|l| self.weight(vocabulary, id, l).abs()).fold(0.0, f32::max)
        };
        let mut ids: Vec<u32> = (0..).take(vocabulary.hashes.len()).collect();
        ids.sort_by(|&a, &b| strength(b).total_cmp(&strength(a)).then(a.cmp(&b)));
        ids.truncate(max);
        ids.sort_unstable();
        ids
    }

    /// What one occurrence adds to the logit of an article of one content word.
    fn weight(&self, vocabulary: &Vocabulary, id: u32, label: usize) -> f32 {
        with_stem(&self.values[label], vocabulary, id) * vocabulary.rarity[id as usize]
            / TWICE.sqrt()
    }

    /// The unit of a label's integer weights: its largest weight is 127 of them. Cutting the
    /// largest ones off for a finer unit costs far more than it gains.
    pub fn unit(&self, vocabulary: &Vocabulary, label: usize) -> f32 {
        let ids = (0..).take(vocabulary.hashes.len());
        let weights = ids.map(|id| self.weight(vocabulary, id, label).abs());
        weights.fold(f32::MIN_POSITIVE, f32::max) / f32::from(i8::MAX)
    }

    /// The table of these features with integer weights. `None` if two have the same hash.
    pub fn quantised(&self, vocabulary: &Vocabulary, features: &[u32]) -> Option<Table> {
        let label_count = self.values.len();
        let units: Vec<f32> = (0..label_count).map(|label| self.unit(vocabulary, label)).collect();
        let mut weights = Vec::with_capacity(features.len() * label_count);
        for &id in features {
            let weight = |label: usize| self.weight(vocabulary, id, label) / units[label];
            weights.extend((0..label_count).map(|label| weight(label).round() as i8));
        }
        let hashes: Vec<u64> = features.iter().map(|&id| vocabulary.hashes[id as usize]).collect();
        Table::new(&hashes, &weights, label_count)
    }
}

/// What a feature weighs together with its stem.
fn with_stem(values: &[f32], vocabulary: &Vocabulary, id: u32) -> f32 {
    let own = values[id as usize];
    vocabulary.stems[id as usize].map_or(own, |stem| own + values[stem as usize])
}
