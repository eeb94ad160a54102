//! A model at work: all that can be said of an article without looking at others.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use metrics::{counter, histogram};

use crate::analysis::{Classification, Fingerprint, Reliability, TopicEvidence, TopicScore};
use crate::article::{Article, ArticleId, CollectionName};
use crate::duplicates::{self, Judge, Sketch};
use crate::model::{Model, ModelError};
use crate::simhash;
use crate::store::Prepared;
use crate::text::Document;
use crate::topics::{self, TopicModel};

/// The model in the binary.
static BUILT_IN_MODEL: &[u8] = include_bytes!("../models/topics.bin");

/// Words and pairs of words that an explanation lists per topic.
const EVIDENCE_MAX: usize = 10;

thread_local! {
    /// Where the article before was read into: the memory is there, and in the processor's caches.
    static ROOM: Cell<Document> = Cell::default();
}

/// The room of longer articles is given back.
const ROOM_WORDS_MAX: usize = 1 << 14;

/// What a client asks to have analysed.
#[derive(Debug, Clone)]
pub struct Submission {
    pub collection: CollectionName,
    /// None if the client gave none.
    pub article_id: Option<ArticleId>,
    pub article: Article,
    pub explain: bool,
    pub matches_max: usize,
}

/// A model ready to serve.
pub struct Analyser {
    pub topics: TopicModel,
    pub judge: Arc<Judge>,
    pub version: String,
    /// The names of the topics.
    names: Vec<Arc<str>>,
}

impl Analyser {
    /// The built-in model.
    pub fn built_in() -> Result<Self, String> {
        Self::from_bytes(BUILT_IN_MODEL)
    }

    /// Reads a model file. What it lacks, such as the judge of a model trained on topics only, is
    /// taken from the built-in model.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let reason = |error: ModelError| error.to_string();
        let model = Model::from_bytes(bytes).map_err(reason)?;
        let version = model.version();
        let built_in = || Model::from_bytes(BUILT_IN_MODEL).map_err(reason);
        let topics = match model.topics {
            Some(topics) => topics,
            None => built_in()?.topics.ok_or("the built-in model has no topics")?,
        };
        let judge = match model.judge {
            Some(judge) => judge,
            None => built_in()?.judge.ok_or("the built-in model has no judge")?,
        };
        let judge = serde_json::from_slice(&judge)
            .map_err(|error| format!("its judge cannot be used: {error}"))?;
        for label in topics.labels() {
            counter!("newsprint_topics_total", "topic" => label.clone()).increment(0);
        }
        let names = topics.labels().iter().map(|label| label.as_str().into()).collect();
        Ok(Analyser { topics, judge: Arc::new(judge), version, names })
    }

    /// Finds out all that can be said of an article without looking at others.
    pub fn prepare(&self, submission: Submission) -> Prepared {
        let started = std::time::Instant::now();
        let Submission { collection, article_id, article, explain, matches_max } = submission;
        let document = ROOM.take().read_next(&article.title, &article.body);
        let (sketch, shingles) = Sketch::with_shingles(&document);
        let mut prepared = Prepared {
            collection,
            article_id,
            content_hash: article.content_hash(),
            fingerprint: simhash::fingerprint(&document).map(Fingerprint),
            keys: duplicates::posting_keys(&document),
            sketch,
            shingles: Some(shingles),
            classification: self.classify(&article, &document, explain),
            judge: Arc::clone(&self.judge),
            article,
            word_count: document.word_count(),
            explained: None,
            matches_max,
            place: None,
        };
        if explain {
            prepared.explained = Some(document);
        } else if document.word_count() <= ROOM_WORDS_MAX {
            ROOM.set(document);
        }
        histogram!("newsprint_prepare_seconds").record(started.elapsed().as_secs_f64());
        count_reliability(prepared.classification.reliability);
        for score in prepared.classification.topics.iter().filter(|score| score.assigned) {
            counter!("newsprint_topics_total", "topic" => score.topic.to_string()).increment(1);
        }
        prepared
    }

    /// What the article is about.
    pub fn classify(
        &self,
        article: &Article,
        document: &Document,
        explain: bool,
    ) -> Classification {
        let (title, body) = (&article.title, &article.body);
        let topics::Answer { language, classifier, classification: said } =
            self.topics.answer(document, title, body, &article.language);
        let reliability = if !said.enough_text() {
            Reliability::InsufficientText
        } else if !said.is_language_known {
            Reliability::UnsupportedLanguage
        } else {
            Reliability::Reliable
        };
        let explanations = if explain {
            classifier.explain(document, title, body, EVIDENCE_MAX)
        } else {
            Vec::new()
        };
        let name = |label: &str| {
            let known = self.names.iter().find(|name| &***name == label);
            known.map_or_else(|| label.into(), Arc::clone)
        };
        let score = |score: topics::TopicScore| TopicScore {
            topic: name(score.label),
            probability: to_f64(score.probability),
            threshold: to_f64(score.threshold),
            assigned: score.assigned && reliability == Reliability::Reliable,
            evidence: explanations
                .iter()
                .find(|explanation| explanation.label == score.label)
                .map(evidence)
                .unwrap_or_default(),
        };
        Classification {
            topics: said.topics.into_iter().map(score).collect(),
            reliability,
            language,
            model_version: self.version.clone(),
        }
    }
}

/// The shortest number that is this one to six places, rather than one with noise behind them.
pub fn to_f64(value: f32) -> f64 {
    (f64::from(value) * 1e6).round() / 1e6
}

fn count_reliability(reliability: Reliability) {
    let reliability = match reliability {
        Reliability::Reliable => "reliable",
        Reliability::UnsupportedLanguage => "unsupported_language",
        Reliability::InsufficientText => "insufficient_text",
    };
    counter!("newsprint_reliability_total", "reliability" => reliability).increment(1);
}

fn evidence(explanation: &topics::Explanation) -> Vec<TopicEvidence> {
    let constant = |text: &str, weight| topics::Evidence { text: text.to_owned(), weight };
    let words = explanation.evidence.iter().cloned();
    words
        .chain([constant("(bias)", explanation.bias), constant("(rest)", explanation.rest)])
        .map(|evidence| TopicEvidence { text: evidence.text, weight: to_f64(evidence.weight) })
        .collect()
}
