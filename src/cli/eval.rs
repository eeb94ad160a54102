//! `newsprint eval`.

mod duplicates;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};
use newsprint::files::read_json_lines;
use newsprint::topics::data::Article;
use newsprint::topics::eval::{LabelFigures, MeanF1, evaluate};

use super::classify::load_model;
use super::output;
use super::usage_error;

#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    Topics(TopicsArgs),
    Duplicates(duplicates::DuplicatesArgs),
}

/// Measure how well topics are told
///
/// The file has one article per line as JSON: source, title, text, labels (those that apply),
/// unknown (those that nobody settled). Prints F1, precision, recall, average precision and
/// calibration error for each label, over all, by language and by source.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    /// Labelled articles, plain or gzipped
    #[arg(value_name = "FILE.jsonl[.gz]")]
    file: PathBuf,

    /// Measure the model in this file rather than the one in this program
    #[arg(long, env = "NEWSPRINT_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,

    /// Fail if a label's F1 is lower: 0.9 for every label, politics=0.9 for one; may be repeated
    #[arg(long, value_name = "[LABEL=]F1", value_parser = parse_minimum)]
    min_f1: Vec<Minimum>,

    /// The same for the mean of a label's F1 over the languages that the model knows
    #[arg(long, value_name = "[LABEL=]F1", value_parser = parse_minimum)]
    min_mean_f1: Vec<Minimum>,

    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: &EvalCommand) -> Result<()> {
    match command {
        EvalCommand::Topics(args) => eval_topics(args),
        EvalCommand::Duplicates(args) => duplicates::run(args),
    }
}

fn eval_topics(args: &TopicsArgs) -> Result<()> {
    let model = load_model(args.model.as_ref())?.topics;
    let names: Vec<&str> = model.labels().iter().map(String::as_str).collect();
    check_labels("--min-f1", &args.min_f1, &names)?;
    check_labels("--min-mean-f1", &args.min_mean_f1, &names)?;
    let articles = check_file_labels(&args.file, &names)?;
    let bar = output::progress_bar(articles, output::BAR);
    bar.set_message("scoring");
    let report = evaluate(&model, &args.file, || bar.inc(1));
    bar.finish_and_clear();
    let report = report?;
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print_text(&report)?;
    }
    let mut missed = missed(&report.labels, &args.min_f1);
    missed.extend(missed_means(&report.mean_f1, &args.min_mean_f1));
    check_minimums(missed)
}

/// The least F1 of one label, or of every one.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    label: Option<String>,
    f1: f64,
}

pub fn parse_minimum(text: &str) -> Result<Minimum, String> {
    let (label, f1) = match text.rsplit_once('=') {
        Some((label, f1)) => (Some(label.to_owned()), f1),
        None => (None, text),
    };
    Ok(Minimum { label, f1: parse_share(f1)? })
}

pub fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

pub fn check_labels(option: &str, minimums: &[Minimum], names: &[&str]) -> Result<()> {
    let mut labels = minimums.iter().filter_map(|minimum| minimum.label.as_deref());
    match labels.find(|label| !names.contains(label)) {
        Some(label) => Err(usage_error(&format!(
            "{option} {label}: the model's labels are {}",
            names.join(", ")
        ))),
        None => Ok(()),
    }
}

/// A model cannot be measured by labels it does not have, and figures without them would look as if
/// it was.
///
/// Tells how many articles there are.
fn check_file_labels(file: &Path, names: &[&str]) -> Result<u64> {
    let mut lacking = BTreeSet::new();
    let mut articles = 0;
    read_json_lines(file, |article: Article| {
        articles += 1;
        let labels = article.labels_named().filter(|label| !names.contains(label));
        lacking.extend(labels.map(str::to_owned));
    })?;
    ensure!(
        lacking.is_empty(),
        "{} has labels that the model lacks: {}; the model's labels are {}",
        file.display(),
        lacking.into_iter().collect::<Vec<_>>().join(", "),
        names.join(", ")
    );
    Ok(articles)
}

impl Minimum {
    fn is_for(&self, name: &str) -> bool {
        self.label.as_deref().is_none_or(|label| label == name)
    }
}

/// What was below a stated minimum. A label without positives cannot be measured.
pub fn missed(labels: &[LabelFigures], minimums: &[Minimum]) -> Vec<String> {
    let mut missed = Vec::new();
    for minimum in minimums {
        for figures in labels.iter().filter(|figures| minimum.is_for(&figures.label)) {
            let (label, f1) = (&figures.label, figures.f1);
            if figures.positives == 0 {
                missed.push(format!("{label} has no positives to measure it by"));
            } else if f1 < minimum.f1 {
                missed.push(format!("{label} has F1 {f1:.4}, less than {}", minimum.f1));
            }
        }
    }
    missed
}

fn missed_means(means: &[MeanF1], minimums: &[Minimum]) -> Vec<String> {
    let mut missed = Vec::new();
    for minimum in minimums {
        for MeanF1 { label, f1, .. } in means.iter().filter(|mean| minimum.is_for(&mean.label)) {
            if *f1 < minimum.f1 {
                missed.push(format!("{label} has a mean F1 of {f1:.4}, less than {}", minimum.f1));
            }
        }
    }
    missed
}

pub fn check_minimums(missed: Vec<String>) -> Result<()> {
    if missed.is_empty() { Ok(()) } else { bail!("not good enough: {}", missed.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minimums_are_for_a_label_or_for_all() {
        let check = |text: &str, label: Option<&str>, f1: f64| {
            let expected = Minimum { label: label.map(str::to_owned), f1 };
            assert_eq!(parse_minimum(text), Ok(expected));
        };
        check("0.9", None, 0.9);
        check("trade=.85", Some("trade"), 0.85);
        check("a=b=1", Some("a=b"), 1.0);
        for text in ["", "trade", "trade=", "1.1", "-1", "NaN"] {
            assert!(parse_minimum(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_that_the_model_lacks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labelled.jsonl");
        std::fs::write(&file, "{\"labels\": [\"sea\", \"trade\"]}\n{\"unknown\": [\"weather\"]}\n")
            .unwrap();
        assert!(check_file_labels(&file, &["sea", "trade", "weather"]).is_ok());
        let error = check_file_labels(&file, &["politics", "trade"]).unwrap_err().to_string();
        assert!(error.ends_with("lacks: sea, weather; the model's labels are politics, trade"));
    }

    #[test]
    fn what_is_below_a_minimum_is_told() {
        let figures = |label: &str, positives, f1| LabelFigures {
            label: label.to_owned(),
            positives,
            negatives: 5,
            precision: f1,
            recall: f1,
            f1,
            average_precision: f1,
            calibration_error: 0.0,
            false_positive_rate: 0.0,
        };
        let labels =
            [figures("politics", 5, 0.9), figures("trade", 5, 0.8), figures("sea", 0, 0.0)];
        let check = |texts: &[&str], expected: usize| {
            let minimums: Vec<Minimum> =
                texts.iter().map(|text| parse_minimum(text).unwrap()).collect();
            let missed = missed(&labels, &minimums);
            assert_eq!(missed.len(), expected, "{missed:?}");
        };
        check(&[], 0);
        check(&["politics=0.9", "trade=0.8"], 0);
        check(&["politics=0.91", "trade=0.8"], 1);
        check(&["0.85"], 2);
        check(&["sea=0"], 1);
    }
}
