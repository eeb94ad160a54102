//! How good a topic model is on labelled articles: `newsprint eval topics`.
//!
//! Cells that are not settled are left out. What the figures mean is said at each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::TopicModel;
use super::data::{Cell, DataError, read_articles};
use crate::text::Document;

/// The figures of one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalReport {
    pub articles: usize,
    /// The mean F1 of the labels that have positives.
    pub macro_f1: f64,
    pub labels: Vec<LabelFigures>,
    pub sources: Vec<SourceFigures>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceFigures {
    pub source: String,
    pub articles: usize,
    pub labels: Vec<LabelFigures>,
}

impl SourceFigures {
    pub fn title(&self) -> String {
        format!("{} ({} articles)", self.source, self.articles)
    }
}

/// The figures of one label. A ratio of nothing to nothing is 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    pub label: String,
    pub positives: usize,
    pub negatives: usize,
    /// Of the articles the label was assigned to at its threshold, how many have it.
    pub precision: f64,
    /// Of the articles that have the label, how many it was assigned to.
    pub recall: f64,
    pub f1: f64,
    /// The mean over the positives of the precision among all articles at least as probable.
    pub average_precision: f64,
    /// The mean distance between probability and truth in ten equally wide bins of probability,
    /// each weighed by its number of articles.
    pub calibration_error: f64,
    /// Of the settled negatives, how many the label was assigned to.
    pub false_positive_rate: f64,
}

pub fn evaluate(model: &TopicModel, path: &Path) -> Result<EvalReport, DataError> {
    let mut articles = 0;
    let mut by_source: BTreeMap<String, (usize, Vec<Vec<Answer>>)> = BTreeMap::new();
    read_articles(path, |article| {
        articles += 1;
        let labels = model.labels();
        let (source_articles, answers) =
            by_source.entry(article.source.clone()).or_insert((0, vec![Vec::new(); labels.len()]));
        *source_articles += 1;
        let document = Document::new(&article.title, &article.text);
        for topic in model.classify(&document).topics {
            let index = labels.iter().position(|label| label.name == topic.label);
            let truth = match article.cell(topic.label) {
                Cell::Positive => true,
                Cell::Negative => false,
                Cell::LikelyNegative | Cell::Unknown => continue,
            };
            if let Some(index) = index {
                answers[index].push(Answer { probability: topic.probability.into(), truth });
            }
        }
    })?;
    let figures = |answers: &dyn Fn(usize) -> Vec<Answer>| -> Vec<LabelFigures> {
        let labels = model.labels().iter().enumerate();
        labels
            .map(|(index, label)| {
                LabelFigures::new(&label.name, &answers(index), label.threshold.into())
            })
            .collect()
    };
    let labels = figures(&|index| {
        by_source.values().flat_map(|(_, answers)| answers[index].iter().copied()).collect()
    });
    let sources = by_source
        .iter()
        .map(|(source, (articles, answers))| SourceFigures {
            source: source.clone(),
            articles: *articles,
            labels: figures(&|index| answers[index].clone()),
        })
        .collect();
    let with_positives: Vec<f64> =
        labels.iter().filter(|label| label.positives > 0).map(|label| label.f1).collect();
    let macro_f1 = ratio(with_positives.iter().sum(), with_positives.len() as f64);
    Ok(EvalReport { articles, macro_f1, labels, sources })
}

/// What the model said about one settled cell, and what is true.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub probability: f64,
    pub truth: bool,
}

impl LabelFigures {
    pub fn new(label: &str, answers: &[Answer], threshold: f64) -> Self {
        let assigned = |answer: &&Answer| answer.probability >= threshold;
        let positives = answers.iter().filter(|answer| answer.truth).count();
        let negatives = answers.len() - positives;
        let all_assigned = answers.iter().filter(assigned).count();
        let true_positives = answers.iter().filter(assigned).filter(|answer| answer.truth).count();
        let precision = ratio(true_positives as f64, all_assigned as f64);
        let recall = ratio(true_positives as f64, positives as f64);
        LabelFigures {
            label: label.to_owned(),
            positives,
            negatives,
            precision,
            recall,
            f1: ratio(2.0 * precision * recall, precision + recall),
            average_precision: average_precision(answers),
            calibration_error: calibration_error(answers),
            false_positive_rate: ratio((all_assigned - true_positives) as f64, negatives as f64),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn average_precision(answers: &[Answer]) -> f64 {
    let mut ranked = answers.to_vec();
    ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let (mut seen, mut hits, mut sum) = (0, 0, 0.0);
    for tied in ranked.chunk_by(|a, b| a.probability == b.probability) {
        let tied_hits = tied.iter().filter(|answer| answer.truth).count();
        seen += tied.len();
        hits += tied_hits;
        sum += tied_hits as f64 * hits as f64 / seen as f64;
    }
    ratio(sum, hits as f64)
}

fn calibration_error(answers: &[Answer]) -> f64 {
    const BINS: usize = 10;
    let mut surplus = [0.0; BINS];
    for answer in answers {
        let bin = ((answer.probability * BINS as f64) as usize).min(BINS - 1);
        surplus[bin] += answer.probability - f64::from(u8::from(answer.truth));
    }
    ratio(surplus.iter().map(|surplus: &f64| surplus.abs()).sum(), answers.len() as f64)
}

impl fmt::Display for EvalReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} articles, macro F1 {:.3}", self.articles, self.macro_f1)?;
        writeln!(f)?;
        write_table(f, "all sources", &self.labels)?;
        for source in &self.sources {
            writeln!(f)?;
            write_table(f, &source.title(), &source.labels)?;
        }
        Ok(())
    }
}

pub fn write_table(f: &mut fmt::Formatter, title: &str, labels: &[LabelFigures]) -> fmt::Result {
    writeln!(
        f,
        "{title:<36} {:>6} {:>6}  {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "yes", "no", "F1", "prec", "recall", "AP", "ECE", "FPR"
    )?;
    for label in labels {
        writeln!(
            f,
            "  {:<34} {:>6} {:>6}  {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.4}",
            label.label,
            label.positives,
            label.negatives,
            label.f1,
            label.precision,
            label.recall,
            label.average_precision,
            label.calibration_error,
            label.false_positive_rate,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(pairs: &[(f64, bool)]) -> Vec<Answer> {
        pairs.iter().map(|&(probability, truth)| Answer { probability, truth }).collect()
    }

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn figures_of_a_case_worked_out_by_hand() {
        let answers =
            answers(&[(0.95, true), (0.85, false), (0.65, true), (0.35, true), (0.05, false)]);
        let figures = LabelFigures::new("x", &answers, 0.5);
        assert_eq!((figures.positives, figures.negatives), (3, 2));
        assert_close(figures.precision, 2.0 / 3.0);
        assert_close(figures.recall, 2.0 / 3.0);
        assert_close(figures.f1, 2.0 / 3.0);
        assert_close(figures.false_positive_rate, 0.5);
        // Precision at the first, third and fourth place.
        assert_close(figures.average_precision, (1.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0);
        assert_close(figures.calibration_error, (0.05 + 0.85 + 0.35 + 0.65 + 0.05) / 5.0);
    }

    #[test]
    fn errors_within_a_bin_cancel_out() {
        let calibrated = answers(&[(0.25, true), (0.25, false), (0.25, false), (0.25, false)]);
        assert_close(calibration_error(&calibrated), 0.0);
        assert_close(calibration_error(&answers(&[(1.0, true), (0.0, false)])), 0.0);
    }

    #[test]
    fn equal_probabilities_share_their_precision() {
        assert_close(average_precision(&answers(&[(0.5, true), (0.5, false)])), 0.5);
        assert_close(average_precision(&answers(&[(0.5, false), (0.5, true)])), 0.5);
    }

    #[test]
    fn nothing_gives_zeros() {
        let figures = LabelFigures::new("x", &[], 0.5);
        assert_eq!(
            (figures.f1, figures.average_precision, figures.calibration_error),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_file_is_scored_by_label_and_source_without_masked_cells() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eval.jsonl");
        let rows = [
            r#"{"source": "a", "text": "minister parliament minister parliament", "labels": ["politics"]}"#,
            r#"{"source": "a", "text": "cup match cup match", "labels": ["sport"], "unknown": ["politics"]}"#,
            r#"{"source": "b", "text": "minister parliament minister parliament", "labels": []}"#,
            r#"{"source": "b", "text": "prune roses", "labels": null}"#,
        ];
        std::fs::write(&path, rows.join("\n")).unwrap();
        let report = evaluate(&TopicModel::sample(), &path).unwrap();
        assert_eq!(report.articles, 4);
        let politics = &report.labels[0];
        assert_eq!((politics.positives, politics.negatives), (1, 1));
        assert_close(politics.precision, 0.5);
        assert_close(politics.false_positive_rate, 1.0);
        assert_close(report.labels[1].f1, 1.0);
        assert_close(report.macro_f1, (2.0 / 3.0 + 1.0) / 2.0);
        let sources: Vec<(&str, usize)> =
            report.sources.iter().map(|s| (s.source.as_str(), s.articles)).collect();
        assert_eq!(sources, [("a", 2), ("b", 2)]);
        assert_close(report.sources[0].labels[0].f1, 1.0);
        assert!(report.to_string().contains("macro F1 0.833"));
    }
}
