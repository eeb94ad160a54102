//! The articles to learn from, as words, and the vocabulary they make up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::data::{Article, Cell, DataError, read_articles};
use super::features;
use super::train::{Progress, TrainingFiles};
use crate::text::Document;

/// Everything that was read.
pub struct Corpus {
    /// The labelled ones first.
    pub samples: Vec<Sample>,
    pub labelled_count: usize,
    /// Articles by kind of file and source.
    pub sources: BTreeMap<String, usize>,
}

/// An article as training sees it.
pub struct Sample {
    pub group: Group,
    pub cells: Vec<Cell>,
    /// Content words of the title and of the body.
    parts: [Vec<u64>; 2],
    /// Content words of the body in the short view.
    short_body: Vec<u64>,
}

/// Articles of one group are alike: groups are balanced against each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub is_trusted: bool,
    pub source: String,
}

/// Words of the body in the short view of an article, from which the model learns what briefs
/// and blurbs look like.
const SHORT_BODY_WORDS: usize = 40;

/// The short view of every third article has boilerplate behind it, if there is any.
const BOILERPLATE_EVERY: usize = 3;

impl Corpus {
    pub fn read(
        files: &TrainingFiles,
        labels: &[String],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, DataError> {
        let stop_words: HashSet<u64> = features::stop_words().into_iter().collect();
        let mut boilerplate: Vec<Vec<u64>> = Vec::new();
        for path in &files.boilerplate {
            read_articles(path, |text| {
                let [title, body] = Sample::new(&text, &[], &stop_words, false).parts;
                boilerplate.push([title, body].concat());
            })?;
        }
        let mut corpus =
            Corpus { samples: Vec::new(), labelled_count: 0, sources: BTreeMap::new() };
        let kinds =
            [("data", &files.data), ("trusted", &files.trusted), ("unlabelled", &files.unlabelled)];
        let total = kinds.iter().map(|(_, paths)| paths.len()).sum();
        let mut done = 0;
        for (kind, paths) in kinds {
            for path in paths {
                read_articles(path, |article| {
                    *corpus.sources.entry(format!("{kind} {}", article.source)).or_default() += 1;
                    let mut sample = Sample::new(&article, labels, &stop_words, kind == "trusted");
                    let turn = corpus.samples.len() / BOILERPLATE_EVERY;
                    if corpus.samples.len().is_multiple_of(BOILERPLATE_EVERY)
                        && let Some(text) = boilerplate.get(turn % boilerplate.len().max(1))
                    {
                        sample.short_body.extend(text);
                    }
                    corpus.samples.push(sample);
                })?;
                done += 1;
                progress(Progress { step: "reading", done, total });
            }
            if kind != "unlabelled" {
                corpus.labelled_count = corpus.samples.len();
            }
        }
        Ok(corpus)
    }

    pub fn labelled(&self) -> impl Iterator<Item = &Sample> {
        self.samples[..self.labelled_count].iter()
    }
}

impl Sample {
    fn new(
        article: &Article,
        labels: &[String],
        stop_words: &HashSet<u64>,
        is_trusted: bool,
    ) -> Self {
        let document = Document::new(&article.title, &article.text);
        let content = |body_words_max| {
            features::read_part(&document, body_words_max).map(|words| {
                let tokens = words.iter().map(|&word| features::token(word));
                tokens.filter(|token| !stop_words.contains(token)).collect::<Vec<u64>>()
            })
        };
        let [_, short_body] = content(SHORT_BODY_WORDS);
        Sample {
            group: Group { is_trusted, source: article.source.clone() },
            cells: labels.iter().map(|label| article.cell(label)).collect(),
            parts: content(features::BODY_WORDS_MAX),
            short_body,
        }
    }

    /// Content words of the short view and of the long view.
    pub fn content_words(&self) -> [usize; 2] {
        let [title, body] = &self.parts;
        [title.len() + self.short_body.len(), title.len() + body.len()]
    }

    /// What training takes for true of one label, if anything.
    pub fn truth(&self, label: usize) -> Option<bool> {
        match self.cells[label] {
            Cell::Positive => Some(true),
            Cell::Negative | Cell::LikelyNegative => Some(false),
            Cell::Unknown => None,
        }
    }

    /// What somebody found true of one label, if anything.
    pub fn settled(&self, label: usize) -> Option<bool> {
        match self.cells[label] {
            Cell::Positive => Some(true),
            Cell::Negative => Some(false),
            Cell::LikelyNegative | Cell::Unknown => None,
        }
    }
}

/// Words and pairs of one view of an article, as often as they occur.
fn features_of(title: &[u64], body: &[u64]) -> Vec<u64> {
    let pairs = [title, body].into_iter().flat_map(|part| part.array_windows());
    let pairs = pairs.map(|&[first, second]| features::pair(first, second));
    title.iter().chain(body).copied().chain(pairs).collect()
}

/// The words and pairs of at least two articles, the most frequent first: training then finds
/// what it needs most often close together.
pub struct Vocabulary {
    pub hashes: Vec<u64>,
    /// The larger, the rarer: rare words learn faster.
    pub rarity: Vec<f32>,
    ids: HashMap<u64, u32>,
}

/// Where the views of an article stand wherever there is one thing for each of them.
pub const SHORT: usize = 0;
pub const LONG: usize = 1;

/// One view of an article: features and their values.
pub type Example = Vec<(u32, f32)>;

impl Vocabulary {
    pub fn count(corpus: &Corpus) -> Self {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for sample in &corpus.samples {
            let mut own = features_of(&sample.parts[0], &sample.parts[1]);
            own.sort_unstable();
            own.dedup();
            for hash in own {
                *counts.entry(hash).or_default() += 1;
            }
        }
        let mut frequent: Vec<(u64, u32)> =
            counts.into_iter().filter(|&(_, count)| count >= 2).collect();
        frequent.sort_unstable_by_key(|&(hash, count)| (Reverse(count), hash));
        let articles = corpus.samples.len() as f64;
        let rarity = |count: u32| {
            let idf = 1.0 + libm::log((1.0 + articles) / (1.0 + f64::from(count)));
            // Divided by a usual idf, so that an example is about 1 long whatever its words.
            (idf / 7.0).sqrt() as f32
        };
        Vocabulary {
            rarity: frequent.iter().map(|&(_, count)| rarity(count)).collect(),
            ids: frequent.iter().zip(0..).map(|(&(hash, _), id)| (hash, id)).collect(),
            hashes: frequent.into_iter().map(|(hash, _)| hash).collect(),
        }
    }

    /// The short view and the long view.
    pub fn views(&self, sample: &Sample) -> [Example; 2] {
        let [title, body] = &sample.parts;
        [self.example(title, &sample.short_body), self.example(title, body)]
    }

    fn example(&self, title: &[u64], body: &[u64]) -> Example {
        let features = features_of(title, body);
        let mut ids: Vec<u32> =
            features.iter().filter_map(|hash| self.ids.get(hash).copied()).collect();
        ids.sort_unstable();
        let norm = (TWICE * (title.len() + body.len()).max(1) as f32).sqrt();
        let value = |same: &[u32]| {
            let emphasis = features::emphasis(same.len()) as f32 / features::ONCE as f32;
            (same[0], emphasis * self.rarity[same[0] as usize] / norm)
        };
        ids.chunk_by(|a, b| a == b).map(value).collect()
    }
}

/// Every content word stands for two features, itself and its pair with the next.
pub const TWICE: f32 = 2.0;
