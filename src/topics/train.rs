//! Training of a topic model: `newsprint train topics`.
//!
//! Logistic regression by stochastic gradient descent, first over all words and pairs, then over
//! the strongest of them. Cells that are not settled are left out. Calibration and thresholds come
//! from cross-fitting: every article they are fitted on was scored by a model that had not seen
//! it, nor, if that is possible, any other article of its source. `docs/topics.md` has the
//! measurements behind the constants.
//!
//! The same articles, configuration and seed give the same model bit by bit on every machine: one
//! thread, an own random generator, no iteration over hash maps, IEEE 754 basic operations and
//! `libm` for the rest.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::calibrate::{Calibration, Scored, expected_f1_threshold};
use super::corpus::{Corpus, Example, Group, LONG, SHORT, Sample, Vocabulary};
use super::data::Article;
use super::descent::{Target, Weights, descend};
use super::eval::{Answer, LabelFigures, SourceFigures, write_table};
use super::table::{HashSet, Table};
use super::{Classifier, LABELS_MAX, LANGUAGES_MAX, Label, TopicModel, features, format};
use crate::files::{FileError, read_json_lines};

/// What to train on.
#[derive(Debug, Clone, Default)]
pub struct TrainingFiles {
    /// Labelled articles of any kind.
    pub data: Vec<PathBuf>,
    /// Articles of the kind the model is for, labelled with care. They weigh more, and if there
    /// are any, thresholds are fitted on them alone, and calibration on them and on briefs.
    pub trusted: Vec<PathBuf>,
    /// Further articles: how many of them hold a word is used, and those whose labels stand in a
    /// trusted file under the same id are learnt from like trusted ones.
    pub unlabelled: Vec<PathBuf>,
    /// What sites put around articles. Some articles are trained with one of these texts behind
    /// them, so that menus and footers neither make nor break a label.
    pub boilerplate: Vec<PathBuf>,
    /// The language of the articles that do not name theirs; empty for English.
    pub language: String,
}

impl TrainingFiles {
    /// Without script and region.
    pub fn language_of<'a>(&'a self, article: &'a Article) -> &'a str {
        let named = [&article.language, &self.language].into_iter().find(|tag| !tag.is_empty());
        named.map_or("en", |tag| tag.split('-').next().unwrap_or_default())
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainConfig {
    /// The labels to learn, in this order; none means all that occur, sorted.
    pub labels: Vec<String>,
    pub seed: u64,
    pub epochs: u32,
    /// How many words and pairs the model keeps of a language at most, whatever there is to learn
    /// from, and how many for each labelled article.
    pub features_max: usize,
    pub features_per_article_max: usize,
    /// How much more a trusted article weighs, before groups are balanced.
    pub trusted_weight: f32,
    pub l2: f32,
    /// Parts the articles are split into for cross-fitting.
    pub folds: u32,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            labels: Vec::new(),
            seed: 1,
            epochs: 8,
            features_max: 40_000,
            features_per_article_max: 40,
            trusted_weight: 30.0,
            l2: 2e-6,
            folds: 10,
        }
    }
}

/// Features the model may keep at most: the table grows with them, up to 40 bytes for each.
pub const FEATURES_MAX: usize = 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Data(#[from] FileError),
    #[error("{0}")]
    Config(&'static str),
    #[error("no label occurs in the training data")]
    NoLabels,
    #[error("there are {0} labels; a model has at most {LABELS_MAX}")]
    TooManyLabels(usize),
    #[error("{0:?} cannot be the name of a label: empty, too long, or control characters in it")]
    LabelName(String),
    #[error(
        "{0:?} cannot be the language of an article: a BCP 47 tag such as \"pt\" or \"pt-BR\" can"
    )]
    Language(String),
    #[error("there are {0} languages; a model knows at most {LANGUAGES_MAX}")]
    TooManyLanguages(usize),
    #[error("the article {0:?} has labels, but no file has its text")]
    NoText(String),
    #[error(
        "label {label:?} has {positives} positives and {negatives} negatives to learn from in \
         language {language:?}; it needs {CELLS_MIN} of each"
    )]
    TooFewCells { language: String, label: String, positives: usize, negatives: usize },
    #[error("two words or pairs of words have the same hash")]
    EqualHashes,
}

/// Positives and negatives a label must have.
const CELLS_MIN: usize = 10;

/// How far the training is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub step: &'static str,
    pub done: usize,
    pub total: usize,
}

/// What was trained on, and what cross-fitting says about the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainReport {
    pub config: TrainConfig,
    /// In the order of the model's.
    pub languages: Vec<LanguageReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageReport {
    pub language: String,
    pub articles: usize,
    /// Articles by kind of file and source.
    pub sources: BTreeMap<String, usize>,
    /// Words and pairs met in at least two articles.
    pub vocabulary: usize,
    /// Words and pairs the model keeps.
    pub features: usize,
    /// Labels whose probabilities and threshold were fitted on all languages together.
    pub shared: Vec<String>,
    /// Figures on the articles that thresholds were fitted on.
    pub cross_fitted: Vec<LabelFigures>,
    /// The same for those of them that were scored by a model which had seen nothing of their
    /// source, and for each such source.
    pub unseen: Vec<LabelFigures>,
    pub unseen_sources: Vec<SourceFigures>,
}

pub fn train(
    files: &TrainingFiles,
    config: &TrainConfig,
    progress: &mut dyn FnMut(Progress),
) -> Result<(TopicModel, TrainReport), TrainError> {
    check_config(config)?;
    let labels = find_labels(files, config)?;
    let mut corpora: Vec<(String, Corpus)> =
        Corpus::read(files, &labels, progress)?.into_iter().collect();
    if corpora.len() > LANGUAGES_MAX {
        return Err(TrainError::TooManyLanguages(corpora.len()));
    }
    // The first classifier answers for languages that the model does not know.
    corpora.sort_by_key(|(_, corpus)| Reverse(corpus.labelled_count));
    for (language, corpus) in &corpora {
        check_cells(language, corpus, &labels)?;
    }
    let mut trained = Vec::new();
    for (language, corpus) in corpora {
        let trainer = Trainer::new(config, &labels, corpus);
        let folds = trainer.folds();
        let held_out = trainer.cross_fit(&folds, progress);
        let scored = (0..labels.len()).map(|label| trainer.scored(&held_out, label)).collect();
        let (weights, strongest) = trainer.fit(|_| true);
        trained.push(Trained { language, trainer, folds, scored, weights, strongest });
    }
    let shared: Vec<Option<Fitted>> =
        (0..labels.len()).map(|label| Trained::fit_shared(&trained, label)).collect();
    let mut classifiers = Vec::new();
    let mut languages = Vec::new();
    for trained in trained {
        let (classifier, report) = trained.finish(&shared)?;
        classifiers.push(classifier);
        languages.push(report);
    }
    let report = TrainReport { config: config.clone(), languages };
    Ok((TopicModel { labels, classifiers }, report))
}

/// What was learnt of one language, before probabilities are made of it.
struct Trained<'a> {
    language: String,
    trainer: Trainer<'a>,
    folds: Vec<Fold>,
    /// For every label.
    scored: Vec<Judged>,
    weights: Weights,
    strongest: Vec<u32>,
}

/// How logits become answers.
#[derive(Clone, Copy)]
struct Fitted {
    calibration: Calibration,
    threshold: f64,
}

impl Fitted {
    fn new(full: &[Scored], briefs: &[Scored]) -> Self {
        let calibration = Calibration::fit(full, briefs);
        Fitted { calibration, threshold: expected_f1_threshold(full, calibration) }
    }

    /// The same for logits that were not standardised.
    fn of_raw(self, standard: Standard) -> Self {
        let Calibration { slope, offset, brevity_weight } = self.calibration;
        let slope = slope / standard.deviation;
        let offset = offset - slope * standard.mean;
        Fitted { calibration: Calibration { slope, offset, brevity_weight }, ..self }
    }
}

/// Where the logits of a label's negatives lie in one language. Those of different languages can be
/// compared by how far they are from there.
#[derive(Clone, Copy)]
struct Standard {
    mean: f64,
    deviation: f64,
}

impl Standard {
    fn new(full: &[Scored]) -> Self {
        let negatives = || full.iter().filter(|scored| !scored.truth).map(|scored| scored.logit);
        let count = negatives().count().max(1) as f64;
        let mean = negatives().sum::<f64>() / count;
        let variance = negatives().map(|logit| (logit - mean).powi(2)).sum::<f64>() / count;
        Standard { mean, deviation: variance.sqrt().max(1e-6) }
    }

    fn of(self, scored: &Scored) -> Scored {
        Scored { logit: (scored.logit - self.mean) / self.deviation, ..*scored }
    }
}

impl Trained<'_> {
    /// Fitted on the articles of all languages but the first, which has enough of its own and tells
    /// how frequent the label is: what was collected of the others does not. Negatives of every
    /// language weigh the same together. Logits are standardised.
    fn fit_shared(languages: &[Self], label: usize) -> Option<Fitted> {
        let (first, others) = languages.split_first()?;
        let share = first.scored[label].positive_share()?;
        let pooled = |part: fn(&Judged) -> &Vec<Scored>| -> Vec<Scored> {
            let of_language = |it: &Self| {
                let judged = &it.scored[label];
                let standard = Standard::new(&judged.full);
                let negatives = part(judged).iter().filter(|scored| !scored.truth).count();
                let weighed = |scored: &Scored| {
                    let weight = if scored.truth { 1.0 } else { 1.0 / negatives as f64 };
                    Scored { weight, ..standard.of(scored) }
                };
                part(judged).iter().map(weighed).collect::<Vec<_>>()
            };
            let mut scored: Vec<Scored> = others.iter().flat_map(of_language).collect();
            let sum =
                |truth| scored.iter().filter(|it| it.truth == truth).map(|it| it.weight).sum();
            let (positives, negatives): (f64, f64) = (sum(true), sum(false));
            let count = scored.len() as f64;
            for it in &mut scored {
                let (share, sum) =
                    if it.truth { (share, positives) } else { (1.0 - share, negatives) };
                it.weight *= share * count / sum;
            }
            scored
        };
        let full = pooled(|judged| &judged.full);
        (full.iter().filter(|scored| scored.truth).count() >= JUDGED_MIN)
            .then(|| Fitted::new(&full, &pooled(|judged| &judged.briefs)))
    }

    fn finish(self, shared: &[Option<Fitted>]) -> Result<(Classifier, LanguageReport), TrainError> {
        let Trained { language, trainer, folds, scored, weights, strongest } = self;
        let mut labels = Vec::new();
        let mut answers = Vec::new();
        let mut shared_labels = Vec::new();
        for (index, (name, judged)) in trainer.labels.iter().zip(&scored).enumerate() {
            let Fitted { calibration, threshold } = match shared[index] {
                Some(shared) if !judged.is_enough() => {
                    shared_labels.push(name.clone());
                    shared.of_raw(Standard::new(&judged.full))
                }
                _ => Fitted::new(&judged.full, &judged.briefs),
            };
            answers.push(
                judged
                    .cells
                    .iter()
                    .zip(&judged.full)
                    .map(|(cell, scored)| {
                        let probability = calibration.probability(scored);
                        let is_assigned = probability >= threshold;
                        (cell.index, Answer { probability, is_assigned, truth: scored.truth })
                    })
                    .collect(),
            );
            let bias = f64::from(weights.bias[index]);
            let unit = f64::from(weights.unit(&trainer.vocabulary, index));
            labels.push(Label {
                name: name.clone(),
                threshold: threshold as f32,
                bias: (calibration.slope * bias + calibration.offset) as f32,
                brevity_weight: calibration.brevity_weight as f32,
                scale: (calibration.slope * unit) as f32,
            });
        }
        let cross_fitted = figures(&labels, &answers, |_| true);
        let (unseen, unseen_sources) = trainer.unseen(&folds, &labels, &answers);
        let table = weights.quantised(&trainer.vocabulary, &strongest);
        let table = table.ok_or(TrainError::EqualHashes)?;
        let stop_words = HashSet::new(&features::stop_words(&language));
        let classifier = Classifier {
            known_share_min: trainer.known_share_min(&table),
            language: language.clone(),
            labels,
            stop_words: stop_words.ok_or(TrainError::EqualHashes)?,
            table,
        };
        let report = LanguageReport {
            language,
            articles: trainer.corpus.samples.len(),
            vocabulary: trainer.vocabulary.hashes.len(),
            features: strongest.len(),
            shared: shared_labels,
            cross_fitted,
            unseen,
            unseen_sources,
            sources: trainer.corpus.sources,
        };
        Ok((classifier, report))
    }
}

/// The figures of those answers whose articles are meant.
fn figures(
    labels: &[Label],
    answers: &[Vec<(usize, Answer)>],
    is_meant: impl Fn(usize) -> bool,
) -> Vec<LabelFigures> {
    let figures = |(label, answers): (&Label, &Vec<(usize, Answer)>)| {
        let meant = answers.iter().filter(|(index, _)| is_meant(*index));
        let meant: Vec<Answer> = meant.map(|&(_, answer)| answer).collect();
        LabelFigures::new(&label.name, &meant)
    };
    labels.iter().zip(answers).map(figures).collect()
}

fn check_config(config: &TrainConfig) -> Result<(), TrainError> {
    if config.epochs == 0 {
        return Err(TrainError::Config("the number of epochs must be at least 1"));
    }
    if config.folds < 2 {
        return Err(TrainError::Config("the number of folds must be at least 2"));
    }
    if config.features_max == 0
        || config.features_max > FEATURES_MAX
        || config.features_per_article_max == 0
    {
        return Err(TrainError::Config("the number of features must be 1 to 1,000,000"));
    }
    if !(0.0..=1e6).contains(&config.trusted_weight) {
        return Err(TrainError::Config("the weight of trusted articles must be 0 to 1,000,000"));
    }
    if !(0.0..=0.01).contains(&config.l2) {
        return Err(TrainError::Config("the l2 penalty must be 0 to 0.01"));
    }
    Ok(())
}

fn find_labels(files: &TrainingFiles, config: &TrainConfig) -> Result<Vec<String>, TrainError> {
    let mut labels = config.labels.clone();
    if labels.is_empty() {
        let mut found = BTreeSet::new();
        for path in files.data.iter().chain(&files.trusted) {
            read_json_lines(path, |article: Article| {
                for label in article.labels_named() {
                    if !found.contains(label) {
                        found.insert(label.to_owned());
                    }
                }
            })?;
        }
        labels.extend(found);
    }
    if labels.is_empty() {
        return Err(TrainError::NoLabels);
    }
    if labels.len() > LABELS_MAX {
        return Err(TrainError::TooManyLabels(labels.len()));
    }
    let mut seen = BTreeSet::new();
    match labels.iter().find(|label| !format::is_label_name(label) || !seen.insert(*label)) {
        Some(label) => Err(TrainError::LabelName(label.clone())),
        None => Ok(labels),
    }
}

fn check_cells(language: &str, corpus: &Corpus, labels: &[String]) -> Result<(), TrainError> {
    for (index, label) in labels.iter().enumerate() {
        let truths = || corpus.labelled().filter_map(|sample| sample.truth(index));
        let positives = truths().filter(|&truth| truth).count();
        let negatives = truths().filter(|&truth| !truth).count();
        if positives.min(negatives) < CELLS_MIN {
            let (language, label) = (language.to_owned(), label.clone());
            return Err(TrainError::TooFewCells { language, label, positives, negatives });
        }
    }
    Ok(())
}

struct Trainer<'a> {
    config: &'a TrainConfig,
    labels: &'a [String],
    corpus: Corpus,
    vocabulary: Vocabulary,
    /// The views of every labelled sample.
    examples: Vec<[Example; 2]>,
}

/// A group's weight grows with its size to the power of 1 - 0.5: a hundred times as many articles
/// weigh ten times as much.
const GROUP_SIZE_POWER: f64 = 0.5;

/// The same for trusted groups in training. Small ones among them were put together to teach one
/// thing, and must not drown.
const TRUSTED_SIZE_POWER: f64 = 0.8;

/// No cell weighs more than this many average ones.
const CELL_WEIGHT_MAX: f64 = 50.0;

/// An article of no more content words is a brief.
const BRIEF_CONTENT_WORDS_MAX: usize = 60;

/// With fewer trusted sources none is held out as a whole.
const WHOLE_SOURCES_MIN: usize = 4;

/// How an article is held out in cross-fitting.
struct Fold {
    part: usize,
    /// Everything of its source is held out with it.
    is_whole_source: bool,
}

/// An article and what is known to be true of it and one label.
struct KnownCell {
    index: usize,
    truth: bool,
}

/// The articles that thresholds are fitted on, and their scores.
struct Judged {
    cells: Vec<KnownCell>,
    full: Vec<Scored>,
    /// The scores of briefs.
    briefs: Vec<Scored>,
}

/// With fewer positives or negatives a language shares the calibration of all.
const JUDGED_MIN: usize = 30;

impl Judged {
    fn is_enough(&self) -> bool {
        let positives = self.cells.iter().filter(|cell| cell.truth).count();
        positives.min(self.cells.len() - positives) >= JUDGED_MIN
    }

    /// If there are enough to tell.
    fn positive_share(&self) -> Option<f64> {
        let sum = |is_meant: fn(&&Scored) -> bool| -> f64 {
            self.full.iter().filter(is_meant).map(|scored| scored.weight).sum()
        };
        self.is_enough().then(|| sum(|scored| scored.truth) / sum(|_| true))
    }
}

/// An article of which less than this part of the usual share of words is known is in another
/// language.
const KNOWN_SHARE_PART: f64 = 2.0 / 3.0;

fn known(
    indices: impl IntoIterator<Item = usize>,
    truth: impl Fn(usize) -> Option<bool>,
) -> Vec<KnownCell> {
    let cell = |index| Some(KnownCell { index, truth: truth(index)? });
    indices.into_iter().filter_map(cell).collect()
}

impl<'a> Trainer<'a> {
    fn new(config: &'a TrainConfig, labels: &'a [String], corpus: Corpus) -> Self {
        let vocabulary = Vocabulary::count(&corpus);
        let examples = corpus.labelled().map(|sample| vocabulary.views(sample)).collect();
        Trainer { config, labels, corpus, vocabulary, examples }
    }

    /// Two thirds of what is known of the median article, in steps of a hundredth.
    fn known_share_min(&self, table: &Table) -> f32 {
        let mut shares: Vec<f64> =
            self.corpus.labelled().map(|sample| sample.known_share(table)).collect();
        shares.sort_by(f64::total_cmp);
        let median = shares.get(shares.len() / 2).copied().unwrap_or_default();
        ((KNOWN_SHARE_PART * median * 100.0).round() / 100.0) as f32
    }

    /// Which part every labelled article is held out with. What a model says of the articles of a
    /// source it knows flatters it, so a trusted source goes into one part as a whole, unless it
    /// is larger than a part should be, or there are so few sources that what is left would say
    /// nothing of it.
    fn folds(&self) -> Vec<Fold> {
        let count = self.config.folds as usize;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        let trusted = self.corpus.labelled().filter(|sample| sample.group.is_trusted);
        for sample in trusted {
            *sizes.entry(&sample.group.source).or_default() += 1;
        }
        let are_enough = sizes.len() >= WHOLE_SOURCES_MIN;
        let size_max = if are_enough { sizes.values().sum::<usize>() / count } else { 0 };
        let whole = sizes.into_iter().filter(|&(_, size)| size <= size_max);
        let whole: BTreeMap<&str, usize> = whole.zip(0..).map(|((s, _), i)| (s, i)).collect();
        let fold = |(index, sample): (usize, &Sample)| match whole.get(&*sample.group.source) {
            Some(source) => Fold { part: source % count, is_whole_source: true },
            None => Fold { part: index % count, is_whole_source: false },
        };
        self.corpus.labelled().enumerate().map(fold).collect()
    }

    /// The logits of the short and the long view of every labelled article, by a model that has
    /// not seen it.
    fn cross_fit(&self, folds: &[Fold], progress: &mut dyn FnMut(Progress)) -> Vec<[Vec<f32>; 2]> {
        let mut held_out = vec![[Vec::new(), Vec::new()]; self.examples.len()];
        let total = self.config.folds as usize;
        for part in 0..total {
            progress(Progress { step: "cross-fitting", done: part, total });
            let (weights, _) = self.fit(|index| folds[index].part != part);
            for index in (0..folds.len()).filter(|&index| folds[index].part == part) {
                held_out[index] = self.examples[index]
                    .each_ref()
                    .map(|view| weights.logits(&self.vocabulary, view));
            }
        }
        progress(Progress { step: "cross-fitting", done: total, total });
        held_out
    }

    /// The figures of the sources that were held out whole, together and one by one.
    fn unseen(
        &self,
        folds: &[Fold],
        labels: &[Label],
        answers: &[Vec<(usize, Answer)>],
    ) -> (Vec<LabelFigures>, Vec<SourceFigures>) {
        let group = |index: usize| &self.corpus.samples[index].group;
        let is_unseen = |index: usize| group(index).is_trusted && folds[index].is_whole_source;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for index in (0..folds.len()).filter(|&index| is_unseen(index)) {
            *sizes.entry(&group(index).source).or_default() += 1;
        }
        let of_source = |(source, articles): (&str, usize)| SourceFigures {
            source: source.to_owned(),
            articles,
            labels: figures(labels, answers, |index| {
                is_unseen(index) && group(index).source == source
            }),
        };
        let all = figures(labels, answers, is_unseen);
        (all, sizes.into_iter().map(of_source).collect())
    }

    /// What to fit calibration and threshold of one label on: the settled articles that the model
    /// is for, which are the trusted ones or, if none is, all, and their scores; and the scores of
    /// briefs, which are the same articles cut to their short view and, weighing as much, the
    /// short ones of the others. Very probable negatives are among the latter, or the label would
    /// seem too frequent there.
    fn scored(&self, held_out: &[[Vec<f32>; 2]], label: usize) -> Judged {
        let samples = &self.corpus.samples;
        let has_trusted = self.corpus.labelled().any(|sample| sample.group.is_trusted);
        let is_judged = |index: &usize| samples[*index].group.is_trusted || !has_trusted;
        let (judged, others): (Vec<usize>, Vec<usize>) = (0..held_out.len()).partition(is_judged);
        let judged = known(judged, |index| samples[index].settled(label));
        let group = |cell: &KnownCell| &samples[cell.index].group;
        let scored = |view: usize, cells: &[KnownCell], weights: Vec<f64>| -> Vec<Scored> {
            let sum: f64 = weights.iter().sum();
            let scored = |(cell, weight): (&KnownCell, f64)| Scored {
                logit: held_out[cell.index][view][label].into(),
                brevity: features::brevity(samples[cell.index].content_words()[view]),
                truth: cell.truth,
                weight: weight / sum * judged.len() as f64,
            };
            cells.iter().zip(weights).map(scored).collect()
        };
        let weights = damped(judged.iter().map(group), GROUP_SIZE_POWER);
        let full = scored(LONG, &judged, weights.clone());
        let mut briefs = scored(SHORT, &judged, weights);
        let is_brief =
            |index: &usize| samples[*index].content_words()[LONG] <= BRIEF_CONTENT_WORDS_MAX;
        let short = known(others.into_iter().filter(is_brief), |index| samples[index].truth(label));
        if let Some(share) = positive_share(short.iter().map(|cell| (group(cell), cell.truth))) {
            let mut weights = self.balanced(&short);
            for (weight, cell) in weights.iter_mut().zip(&short) {
                *weight *= if cell.truth { share } else { 1.0 - share };
            }
            briefs.extend(scored(LONG, &short, weights));
        }
        Judged { cells: judged, full, briefs }
    }

    /// Trains on the articles `is_used` names: on all features, then on the strongest. Returns
    /// the weights and the features they are for.
    fn fit(&self, is_used: impl Fn(usize) -> bool) -> (Weights, Vec<u32>) {
        let used: Vec<usize> = (0..self.examples.len()).filter(|&index| is_used(index)).collect();
        let targets: Vec<Vec<Target>> =
            (0..self.labels.len()).map(|label| self.targets(&used, label)).collect();
        let vocabulary = &self.vocabulary;
        let mut examples: Vec<Example> =
            used.iter().flat_map(|&index| self.examples[index].clone()).collect();
        let descend = |examples: &[Example]| {
            let mut examples = examples.to_vec();
            examples.iter_mut().for_each(|example| vocabulary.add_stems(example));
            descend(&examples, &targets, vocabulary.weight_count(), self.config)
        };
        let of_articles = self.config.features_per_article_max.saturating_mul(self.examples.len());
        let weights = descend(&examples);
        let strongest = weights.strongest(vocabulary, self.config.features_max.min(of_articles));
        let mut is_strong = vec![false; vocabulary.hashes.len()];
        for &id in &strongest {
            is_strong[id as usize] = true;
        }
        for example in &mut examples {
            example.retain(|&(id, _)| is_strong[id as usize]);
        }
        (descend(&examples), strongest)
    }

    /// The targets of one label for the articles in use.
    fn targets(&self, used: &[usize], label: usize) -> Vec<Target> {
        let truth = |index: usize| self.corpus.samples[index].truth(label);
        let cells = known(used.iter().copied(), truth);
        let count = cells.len() as f64;
        let mut weighed = cells.iter().zip(self.balanced(&cells)).peekable();
        let target = |&index: &usize| match weighed.next_if(|(cell, _)| cell.index == index) {
            Some((cell, share)) => {
                // The average cell weighs 1.
                let weight = (share * count).min(CELL_WEIGHT_MAX) as f32;
                Target { weight, truth: f32::from(u8::from(cell.truth)) }
            }
            None => Target::default(),
        };
        used.iter().map(target).collect()
    }

    /// What each of these cells weighs; together they weigh 1. Groups are balanced within
    /// positives and within negatives, then positives and negatives against each other.
    fn balanced(&self, cells: &[KnownCell]) -> Vec<f64> {
        let group = |cell: &KnownCell| &self.corpus.samples[cell.index].group;
        let keys = cells.iter().map(|cell| (group(cell), cell.truth));
        let mut weights = damped(keys.clone(), GROUP_SIZE_POWER);
        let trusted_weights = damped(keys, TRUSTED_SIZE_POWER);
        let mut sums = [0.0; 2];
        for ((weight, trusted_weight), cell) in weights.iter_mut().zip(trusted_weights).zip(cells) {
            if group(cell).is_trusted {
                *weight = trusted_weight * f64::from(self.config.trusted_weight);
            }
            sums[usize::from(cell.truth)] += *weight;
        }
        for (weight, cell) in weights.iter_mut().zip(cells) {
            *weight /= 2.0 * sums[usize::from(cell.truth)];
        }
        weights
    }
}

/// For every item n^-power, where n is how many items have its key.
fn damped<K: Ord>(keys: impl Iterator<Item = K> + Clone, power: f64) -> Vec<f64> {
    let mut sizes: BTreeMap<K, f64> = BTreeMap::new();
    for key in keys.clone() {
        *sizes.entry(key).or_default() += 1.0;
    }
    keys.map(|key| libm::pow(sizes[&key], -power)).collect()
}

/// The share of positives, as told by the groups that have both. That a group has nothing but
/// positives, or none, says what was collected there, not how frequent the topic is.
fn positive_share<'a>(cells: impl Iterator<Item = (&'a Group, bool)>) -> Option<f64> {
    let mut counts: BTreeMap<&Group, [usize; 2]> = BTreeMap::new();
    for (group, truth) in cells {
        counts.entry(group).or_default()[usize::from(truth)] += 1;
    }
    let mut sums = [0.0; 2];
    for [negatives, positives] in counts.into_values() {
        if negatives.min(positives) >= CELLS_MIN {
            let weight = libm::pow((negatives + positives) as f64, -GROUP_SIZE_POWER);
            sums[0] += weight * negatives as f64;
            sums[1] += weight * positives as f64;
        }
    }
    let [negatives, positives] = sums;
    (positives > 0.0).then(|| positives / (negatives + positives))
}

impl fmt::Display for TrainReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, language) in self.languages.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{language}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LanguageReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(
            f,
            "{}: {} articles, {} of {} words and pairs kept",
            self.language, self.articles, self.features, self.vocabulary
        )?;
        for (source, articles) in &self.sources {
            writeln!(f, "  {source:<38} {articles:>6}")?;
        }
        if !self.shared.is_empty() {
            writeln!(f, "  calibrated with other languages: {}", self.shared.join(", "))?;
        }
        writeln!(f)?;
        write_table(f, "cross-fitted", &self.cross_fitted)?;
        if !self.unseen_sources.is_empty() {
            writeln!(f)?;
            write_table(f, "sources held out as a whole", &self.unseen)?;
        }
        for source in &self.unseen_sources {
            writeln!(f)?;
            write_table(f, &source.title(), &source.labels)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::text::Document;

    /// Articles of two topics that a few words tell apart, and of neither.
    fn write_articles(dir: &std::path::Path, count: usize) -> PathBuf {
        let path = dir.join("own.jsonl");
        let mut file = std::fs::File::create(&path).unwrap();
        let topics = [
            (r#"["cooking"]"#, "simmer the onions and stir flour butter sauce oven recipe"),
            (r#"["gardening"]"#, "prune the roses and water seedlings compost soil greenhouse"),
            ("[]", "the train was late and passengers waited platform ticket station"),
        ];
        let fillers = ["house", "river", "paper", "window", "music", "number", "colour"];
        for index in 0..count {
            let (labels, words) = topics[index % topics.len()];
            let mut words: Vec<&str> = words.split(' ').collect();
            words.rotate_left(index % 7);
            words.insert(3, fillers[index % fillers.len()]);
            let (source, text) = (["east", "west"][index % 2], words.join(" "));
            writeln!(
                file,
                r#"{{"source": "{source}", "title": "", "text": "{text}", "labels": {labels}}}"#
            )
            .unwrap();
        }
        path
    }

    fn train_on(path: PathBuf) -> Result<(TopicModel, TrainReport), TrainError> {
        let files = TrainingFiles { data: vec![path], ..TrainingFiles::default() };
        train(&files, &TrainConfig::default(), &mut |_| {})
    }

    #[test]
    fn a_single_small_file_with_labels_of_its_own_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let (model, report) = train_on(write_articles(dir.path(), 240)).unwrap();
        assert_eq!(model.labels(), ["cooking", "gardening"]);
        let [report] = &report.languages[..] else { panic!("{report}") };
        assert_eq!(report.language, "en");
        assert_eq!(
            report.sources,
            BTreeMap::from([("data east".to_owned(), 120), ("data west".to_owned(), 120),])
        );
        assert!(report.cross_fitted.iter().all(|label| label.f1 > 0.99), "{report}");
        let assigned = |body| -> Vec<String> {
            let classification = model.classifier("en").classify(&Document::new("", body));
            let assigned = classification.topics.iter().filter(|topic| topic.assigned);
            assigned.map(|topic| topic.label.to_owned()).collect()
        };
        assert_eq!(assigned("stir the sauce and heat the oven, says the recipe"), ["cooking"]);
        assert_eq!(assigned("compost is good for the soil and for seedlings"), ["gardening"]);
        assert_eq!(assigned("passengers missed the train"), [""; 0]);
    }

    #[test]
    fn the_same_data_and_seed_give_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_articles(dir.path(), 120);
        let (first, _) = train_on(path.clone()).unwrap();
        let (second, _) = train_on(path.clone()).unwrap();
        assert_eq!(first.encode(), second.encode());
        let config = TrainConfig { seed: 2, ..TrainConfig::default() };
        let files = TrainingFiles { data: vec![path], ..TrainingFiles::default() };
        let (other, _) = train(&files, &config, &mut |_| {}).unwrap();
        assert_ne!(first.encode(), other.encode());
    }

    #[test]
    fn a_trusted_source_is_judged_by_a_model_that_has_seen_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let known = write_articles(dir.path(), 480);
        // What tells their topics apart is written nowhere else.
        let strange = dir.path().join("strange.jsonl");
        let mut file = std::fs::File::create(&strange).unwrap();
        for (source, words) in [("north", ["blork", "frump"]), ("south", ["plint", "gruse"])] {
            for index in 0..40 {
                let (word, labels) = (words[index % 2], [r#"["cooking"]"#, "[]"][index % 2]);
                let words = [word; 12].join(" ");
                writeln!(
                    file,
                    r#"{{"source": "{source}", "text": "{words}", "labels": {labels}}}"#
                )
                .unwrap();
            }
        }
        let files = TrainingFiles {
            data: vec![known.clone()],
            trusted: vec![known, strange],
            ..TrainingFiles::default()
        };
        let (_, report) = train(&files, &TrainConfig::default(), &mut |_| {}).unwrap();
        let report = &report.languages[0];
        let sources: Vec<(&str, usize)> = (report.unseen_sources.iter())
            .map(|source| (source.source.as_str(), source.articles))
            .collect();
        assert_eq!(sources, [("north", 40), ("south", 40)], "the others are too large");
        assert!(report.cross_fitted[0].average_precision > 0.8, "{report}");
        assert!(report.unseen[0].average_precision < 0.6, "{report}");
    }

    #[test]
    fn only_groups_with_both_sides_tell_how_frequent_a_topic_is() {
        let group = |source: &str| Group { is_trusted: false, source: source.to_owned() };
        let (both, one, few) = (group("both"), group("one"), group("few"));
        let cells = |group, positives: usize, negatives: usize| {
            (0..positives + negatives).map(move |index| (group, index < positives))
        };
        assert_eq!(positive_share(cells(&both, 25, 75)), Some(0.25));
        let all = cells(&both, 25, 75).chain(cells(&one, 0, 900)).chain(cells(&few, 9, 9));
        assert_eq!(positive_share(all), Some(0.25));
        assert_eq!(positive_share(cells(&one, 900, 0)), None);
        assert_eq!(positive_share(std::iter::empty()), None);
    }

    #[test]
    fn a_refusal_names_file_line_and_label() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.jsonl");
        let check = |content: &str, expected: &str| {
            std::fs::write(&path, content).unwrap();
            let error = train_on(path.clone()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        check("", "no label occurs");
        check("{}\n\n{\"labels\": 3}\n", "data.jsonl line 3: ");
        check("{\"text\": \"a\", \"labels\": [\"x\"]}\n", "\"x\" has 1 positives and 0 negatives");
        check("{\"labels\": [\"\"]}\n", "\"\" cannot be the name of a label");
        std::fs::remove_file(&path).unwrap();
        assert!(train_on(path).unwrap_err().to_string().contains("data.jsonl"));
    }

    #[test]
    fn a_masked_cell_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_articles(dir.path(), 120);
        // As many articles that would turn "oven" round, were they not masked.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        for _ in 0..120 {
            let row = r#"{"text": "oven oven oven", "labels": [], "unknown": ["cooking"]}"#;
            writeln!(file, "{row}").unwrap();
        }
        let (model, _) = train_on(path).unwrap();
        let classification =
            model.classifier("en").classify(&Document::new("", "butter in the oven"));
        assert_eq!(classification.topics[0].label, "cooking");
        assert!(classification.topics[0].assigned, "{classification:?}");
    }
}
