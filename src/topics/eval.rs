//! How good a topic model is on labelled articles: `newsprint eval topics`.
//!
//! Cells that are not settled are left out. What the figures mean is said at each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::TopicModel;
use super::data::{Article, Cell};
use crate::files::{FileError, read_json_lines};
use crate::text::Document;

/// The figures of one file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvalReport {
    pub articles: usize,
    /// The mean F1 of the labels that have positives.
    pub macro_f1: f64,
    pub labels: Vec<LabelFigures>,
    /// By the language that the model took the articles to be in, those it does not know last.
    pub languages: Vec<LanguageFigures>,
    /// For every label the mean of its F1 over the languages known that have positives.
    pub mean_f1: Vec<MeanF1>,
    pub sources: Vec<SourceFigures>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguageFigures {
    /// A BCP 47 tag; empty for all that the model does not know.
    pub language: String,
    pub articles: usize,
    pub labels: Vec<LabelFigures>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MeanF1 {
    pub label: String,
    pub languages: usize,
    pub f1: f64,
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

pub fn evaluate(
    model: &TopicModel,
    path: &Path,
    mut told: impl FnMut(),
) -> Result<EvalReport, FileError> {
    let mut all = Group::new(model);
    let mut by_source: BTreeMap<String, Group> = BTreeMap::new();
    let mut by_language: BTreeMap<&str, Group> = BTreeMap::new();
    let mut others = Group::new(model);
    read_json_lines(path, |article: Article| {
        let document = Document::new(&article.title, &article.text);
        let said = model.answer(&document, &article.title, &article.text, &article.language);
        let (classifier, said) = (said.classifier, said.classification);
        let new = || Group::new(model);
        let of_language = match said.is_language_known {
            true => by_language.entry(classifier.language()).or_insert_with(new),
            false => &mut others,
        };
        let of_source = by_source.entry(article.source.clone()).or_insert_with(new);
        for group in [&mut all, of_source, of_language] {
            group.articles += 1;
            for (answers, label) in group.answers.iter_mut().zip(model.labels()) {
                let truth = match article.cell(label) {
                    Cell::Positive => true,
                    Cell::Negative => false,
                    Cell::LikelyNegative | Cell::Unknown => continue,
                };
                let topic = said.topics.iter().find(|topic| topic.label == label);
                answers.extend(topic.map(|topic| Answer {
                    probability: topic.probability.into(),
                    is_assigned: topic.assigned,
                    truth,
                }));
            }
        }
        told();
    })?;
    let mut languages: Vec<LanguageFigures> =
        by_language.iter().map(|(language, group)| group.of_language(model, language)).collect();
    let mean_f1 = model.labels().iter().enumerate().map(|(index, label)| {
        let figures = languages.iter().map(|language| &language.labels[index]);
        let f1: Vec<f64> = figures.filter(|it| it.positives > 0).map(|it| it.f1).collect();
        MeanF1 {
            label: label.clone(),
            languages: f1.len(),
            f1: ratio(f1.iter().sum(), f1.len() as f64),
        }
    });
    let mean_f1 = mean_f1.collect();
    if others.articles > 0 {
        languages.push(others.of_language(model, ""));
    }
    let labels = all.figures(model);
    let with_positives: Vec<f64> =
        labels.iter().filter(|label| label.positives > 0).map(|label| label.f1).collect();
    let sources = by_source.into_iter().map(|(source, group)| SourceFigures {
        source,
        articles: group.articles,
        labels: group.figures(model),
    });
    Ok(EvalReport {
        articles: all.articles,
        macro_f1: ratio(with_positives.iter().sum(), with_positives.len() as f64),
        labels,
        languages,
        mean_f1,
        sources: sources.collect(),
    })
}

/// Articles that are counted together.
struct Group {
    articles: usize,
    /// For every label.
    answers: Vec<Vec<Answer>>,
}

impl Group {
    fn new(model: &TopicModel) -> Self {
        Group { articles: 0, answers: vec![Vec::new(); model.labels().len()] }
    }

    fn figures(&self, model: &TopicModel) -> Vec<LabelFigures> {
        let labels = model.labels().iter().zip(&self.answers);
        labels.map(|(label, answers)| LabelFigures::new(label, answers)).collect()
    }

    fn of_language(&self, model: &TopicModel, language: &str) -> LanguageFigures {
        let labels = self.figures(model);
        LanguageFigures { language: language.to_owned(), articles: self.articles, labels }
    }
}

/// What the model said about one settled cell, and what is true.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub probability: f64,
    pub is_assigned: bool,
    pub truth: bool,
}

impl LabelFigures {
    pub fn new(label: &str, answers: &[Answer]) -> Self {
        let assigned = |answer: &&Answer| answer.is_assigned;
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
        if self.languages.len() > 1 {
            for language in &self.languages {
                let name = if language.language.is_empty() { "other" } else { &language.language };
                writeln!(f)?;
                let title = format!("language {name} ({} articles)", language.articles);
                write_table(f, &title, &language.labels)?;
            }
            writeln!(f, "\nmean F1 over languages")?;
            for MeanF1 { label, languages, f1 } in &self.mean_f1 {
                writeln!(f, "  {label:<34} {f1:>6.3}  of {languages}")?;
            }
        }
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

    /// Assigned from a probability of a half on.
    fn answers(pairs: &[(f64, bool)]) -> Vec<Answer> {
        let answer = |&(probability, truth): &(f64, bool)| Answer {
            probability,
            is_assigned: probability >= 0.5,
            truth,
        };
        pairs.iter().map(answer).collect()
    }

    #[track_caller]
    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    }

    #[test]
    fn figures_of_a_case_worked_out_by_hand() {
        let answers =
            answers(&[(0.95, true), (0.85, false), (0.65, true), (0.35, true), (0.05, false)]);
        let figures = LabelFigures::new("x", &answers);
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
        let figures = LabelFigures::new("x", &[]);
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
        let report = evaluate(&TopicModel::sample(), &path, || ()).unwrap();
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
