//! The articles to learn from, as words, and the vocabulary they make up.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::data::{Article, Cell};
use super::table::Table;
use super::train::{Progress, TrainError, TrainingFiles};
use super::{features, format, stems};
use crate::files::read_json_lines;
use crate::text::{self, Document, Word, WordClass, word_hash};

/// Everything that was read in one language.
#[derive(Default)]
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
    /// How many words were read, stop words included.
    words_read: usize,
    /// The stems of its content words: hashes of both.
    stems: Vec<(u64, u64)>,
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

/// What is read of the files in one language.
#[derive(Default)]
struct Reader {
    stop_words: HashSet<u64>,
    boilerplate: Vec<Vec<u64>>,
    corpus: Corpus,
    /// Those without labels wait here until all others are read.
    unlabelled: Vec<Sample>,
}

impl Reader {
    fn new(language: &str) -> Self {
        let stop_words = features::stop_words(language).into_iter().collect();
        Reader { stop_words, ..Reader::default() }
    }

    fn add(&mut self, kind: &str, language: &str, article: &Article, labels: &[String]) {
        let source = format!("{kind} {}", article.source);
        *self.corpus.sources.entry(source).or_default() += 1;
        let is_trusted = kind == "trusted";
        let mut sample = Sample::new(article, language, labels, &self.stop_words, is_trusted);
        let index = self.corpus.samples.len() + self.unlabelled.len();
        let turn = index / BOILERPLATE_EVERY;
        if index.is_multiple_of(BOILERPLATE_EVERY)
            && let Some(text) = self.boilerplate.get(turn % self.boilerplate.len().max(1))
        {
            sample.short_body.extend(text);
        }
        if kind == "unlabelled" {
            self.unlabelled.push(sample);
        } else {
            self.corpus.samples.push(sample);
        }
    }

    fn finish(mut self) -> Corpus {
        self.corpus.labelled_count = self.corpus.samples.len();
        self.corpus.samples.append(&mut self.unlabelled);
        self.corpus
    }
}

impl Corpus {
    /// Everything, by language.
    pub fn read(
        files: &TrainingFiles,
        labels: &[String],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<BTreeMap<String, Self>, TrainError> {
        let mut readers: BTreeMap<String, Reader> = BTreeMap::new();
        // Labels of articles whose texts are among the unlabelled ones.
        let mut references: HashMap<String, Article> = HashMap::new();
        let kinds = [
            ("boilerplate", &files.boilerplate),
            ("data", &files.data),
            ("trusted", &files.trusted),
            ("unlabelled", &files.unlabelled),
        ];
        let total = kinds.iter().map(|(_, paths)| paths.len()).sum();
        let mut done = 0;
        for (kind, paths) in kinds {
            for path in paths {
                let mut bad_language = None;
                read_json_lines(path, |article: Article| {
                    if kind == "trusted" && article.is_reference() {
                        references.insert(article.id.clone(), article);
                        return;
                    }
                    let language = files.language_of(&article).to_owned();
                    if !format::is_language(&language) {
                        bad_language.get_or_insert(language);
                        return;
                    }
                    let reader =
                        readers.entry(language.clone()).or_insert_with(|| Reader::new(&language));
                    if kind == "boilerplate" {
                        let text = Sample::new(&article, &language, &[], &reader.stop_words, false);
                        let [title, body] = text.parts;
                        reader.boilerplate.push([title, body].concat());
                        return;
                    }
                    let is_unlabelled = kind == "unlabelled";
                    match is_unlabelled.then(|| references.remove(&article.id)).flatten() {
                        Some(reference) => {
                            let article = article.with_labels_of(&reference);
                            reader.add("trusted", &language, &article, labels);
                        }
                        None => reader.add(kind, &language, &article, labels),
                    }
                })?;
                if let Some(language) = bad_language {
                    return Err(TrainError::Language(language));
                }
                done += 1;
                progress(Progress { step: "reading", done, total });
            }
        }
        // The smallest, so that it is always the same one.
        if let Some(id) = references.into_keys().min() {
            return Err(TrainError::NoText(id));
        }
        let corpora = readers.into_iter().map(|(language, reader)| (language, reader.finish()));
        Ok(corpora.filter(|(_, corpus)| corpus.labelled_count > 0).collect())
    }

    pub fn labelled(&self) -> impl Iterator<Item = &Sample> {
        self.samples[..self.labelled_count].iter()
    }
}

impl Sample {
    fn new(
        article: &Article,
        language: &str,
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
        let read = features::read_part(&document, features::BODY_WORDS_MAX);
        let texts = [&article.title, &article.text];
        let written = read.into_iter().zip(texts).flat_map(|(words, text)| {
            words
                .iter()
                .filter(|word| word.class() == WordClass::Plain)
                .map(move |&word| (word, text))
        });
        let stem_of = |(word, text): (Word, &String)| {
            let written = text::written(text, word).to_lowercase();
            let stem = stems::stem(language, &written)?;
            Some((word.hash, stem_hash(stem)))
        };
        let mut stems: Vec<(u64, u64)> = written.filter_map(stem_of).collect();
        stems.sort_unstable();
        stems.dedup();
        Sample {
            group: Group { is_trusted, source: article.source.clone() },
            cells: labels.iter().map(|label| article.cell(label)).collect(),
            parts: content(features::BODY_WORDS_MAX),
            short_body,
            words_read: read.iter().map(|words| words.len()).sum(),
            stems,
        }
    }

    /// Content words of the short view and of the long view.
    pub fn content_words(&self) -> [usize; 2] {
        let [title, body] = &self.parts;
        [title.len() + self.short_body.len(), title.len() + body.len()]
    }

    /// The share of the words read that the table knows or that are stop words.
    pub fn known_share(&self, table: &Table) -> f64 {
        let known = self.parts.iter().flatten().filter(|&&hash| table.find(hash).is_some());
        let unknown = self.content_words()[LONG] - known.count();
        1.0 - unknown as f64 / self.words_read.max(1) as f64
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

/// A stem is no word: it may be written like one.
fn stem_hash(stem: &str) -> u64 {
    const STEM: u64 = 0x6e65_7773_7374_656d;
    word_hash(stem.as_bytes()) ^ STEM
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
    /// The stem of every feature that has one. Stems are numbered behind the features.
    pub stems: Vec<Option<u32>>,
    pub stem_count: usize,
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
        let ids: HashMap<u64, u32> =
            frequent.iter().zip(0..).map(|(&(hash, _), id)| (hash, id)).collect();
        let mut stems = vec![None; frequent.len()];
        let mut stem_ids: HashMap<u64, u32> = HashMap::new();
        for (word, stem) in corpus.samples.iter().flat_map(|sample| &sample.stems) {
            if let Some(&id) = ids.get(word) {
                let next = (frequent.len() + stem_ids.len()) as u32;
                stems[id as usize].get_or_insert(*stem_ids.entry(*stem).or_insert(next));
            }
        }
        Vocabulary {
            rarity: frequent.iter().map(|&(_, count)| rarity(count)).collect(),
            stems,
            stem_count: stem_ids.len(),
            ids,
            hashes: frequent.into_iter().map(|(hash, _)| hash).collect(),
        }
    }

    /// Features and stems.
    pub fn weight_count(&self) -> usize {
        self.hashes.len() + self.stem_count
    }

    /// Adds the stems to the features of an example: a stem has the values of all its forms.
    pub fn add_stems(&self, example: &mut Example) {
        let stem = |&(id, value): &(u32, f32)| Some((self.stems[id as usize]?, value));
        let mut stems: Vec<(u32, f32)> = example.iter().filter_map(stem).collect();
        stems.sort_by_key(|&(id, _)| id);
        let sum = |same: &[(u32, f32)]| (same[0].0, same.iter().map(|(_, value)| value).sum());
        example.extend(stems.chunk_by(|a, b| a.0 == b.0).map(sum));
    }

    /// The short view and the long view, without stems.
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
