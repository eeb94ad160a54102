//! `newsprint train`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use newsprint::duplicates::MatchKind;
use newsprint::duplicates::pairs::Label;
use newsprint::duplicates::train::{
    Answer, Pair, Score, TrainError, cross_validate, leave_one_source_out, look_at,
    read_background, read_training_pairs,
};
use newsprint::model::Model;
use newsprint::topics::train::{Progress, TrainConfig, TrainingFiles};
use newsprint::{duplicates, topics};
use serde::Serialize;
use serde_json::{Map, Value};

use super::eval::{Minimum, check_labels, check_minimums, missed, parse_minimum, parse_share};
use super::output;
use super::resume::beside;

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    Topics(TopicsArgs),
    Duplicates(DuplicatesArgs),
}

/// Train the topic model on labelled articles
///
/// Files have one article per line as JSON: source, language, title, text, labels (those that apply),
/// unknown (those that nobody settled; left out of training), lexneg (unknown, but very probably
/// not). The same files give the same model, on every machine.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    /// Labelled articles of any kind
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,

    /// Articles labelled with care, of the kind the model is for: they weigh more, and
    /// probabilities and thresholds are fitted on them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    trusted: Vec<PathBuf>,

    /// Further articles, of which only the words count; but a row of a trusted file that has an
    /// id and labels and no text is about the article of that id here
    #[arg(long, value_name = "FILE", num_args = 1..)]
    unlabelled: Vec<PathBuf>,

    /// What sites put around articles: articles are also trained with such a text behind them, so
    /// that menus and footers decide nothing
    #[arg(long, value_name = "FILE", num_args = 1..)]
    boilerplate: Vec<PathBuf>,

    /// The language of the articles that do not name theirs, as a BCP 47 tag
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    language: String,

    /// The labels to learn, parted by commas [default: all that occur]
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    labels: Vec<String>,

    /// Fail if a label's F1 is lower on trusted sources that were held out as a whole: 0.9 for
    /// every label, politics=0.9 for one; may be repeated
    #[arg(long, value_name = "[LABEL=]F1", value_parser = parse_minimum)]
    min_f1: Vec<Minimum>,

    #[command(flatten)]
    output: OutputArgs,
}

/// Train the judge of duplicates on labelled pairs
///
/// Reports how good judges trained the same way are on what they have not seen: on a source of
/// which they saw nothing, each in turn, and on other articles of sources they know (five-fold).
/// The same files give the same judge, on every machine.
#[derive(Debug, Args)]
pub struct DuplicatesArgs {
    /// The folder with the sets of pairs
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,

    /// Articles of the same outlets, so that the judge learns to tell frame from news: one per
    /// line as JSON (id, title, text). Those that stand in a pair are left out
    #[arg(long, value_name = "ARTICLES.jsonl[.gz]", num_args = 1..)]
    background: Vec<PathBuf>,

    /// Labels of pairs whose articles stand in the background: one pair per line as JSON, a_id,
    /// b_id, label, kind and borderline, without texts
    #[arg(long, value_name = "LABELS.jsonl", num_args = 1..)]
    labelled: Vec<PathBuf>,

    /// Fail if the F1 of a set by judges that saw nothing of its source is lower:
    /// natural_modern=0.9; may be repeated
    #[arg(long, value_name = "SET=F1", value_parser = parse_set_minimum)]
    min_f1: Vec<(String, f64)>,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Args)]
struct OutputArgs {
    /// The model file to write; if it is there, what it holds beside is kept
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(command: &TrainCommand) -> Result<()> {
    match command {
        TrainCommand::Topics(args) => train_topics(args),
        TrainCommand::Duplicates(args) => train_duplicates(args),
    }
}

fn train_topics(args: &TopicsArgs) -> Result<()> {
    // Whether the result can be kept is better known before hours of training.
    let mut model = read_model(&args.output.out)?;
    let files = TrainingFiles {
        data: args.data.clone(),
        trusted: args.trusted.clone(),
        unlabelled: args.unlabelled.clone(),
        boilerplate: args.boilerplate.clone(),
        language: args.language.clone(),
    };
    let config = TrainConfig { labels: args.labels.clone(), ..TrainConfig::default() };
    let bar = output::progress_bar(1, output::BAR);
    let mut show = |progress: Progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.step);
    };
    let trained = topics::train::train(&files, &config, &mut show);
    bar.finish_and_clear();
    let (topics, report) = trained?;
    let names: Vec<&str> = topics.labels().iter().map(String::as_str).collect();
    check_labels("--min-f1", &args.min_f1, &names)?;
    model.topics = Some(topics);
    finish(model, "topics", &report, &args.output)?;
    let languages = report.languages.iter().filter(|it| !it.unseen_sources.is_empty());
    check_minimums(languages.flat_map(|it| missed(&it.unseen, &args.min_f1)).collect())
}

fn train_duplicates(args: &DuplicatesArgs) -> Result<()> {
    let mut model = read_model(&args.output.out)?;
    let pairs = output::with_spinner("reading", || {
        let mut pairs = read_training_pairs(&args.data, &args.labelled, &args.background)?;
        let background = read_background(&args.background, &pairs)?;
        look_at(&mut pairs, &background);
        Ok::<_, TrainError>(pairs)
    })?;
    let bar = output::progress_bar(1, output::BAR);
    bar.set_message("training");
    let judge = duplicates::train::train(&pairs.iter().collect::<Vec<_>>(), |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = output::with_spinner("validating", || JudgeReport::new(&pairs));
    model.judge = Some(serde_json::to_vec(&judge)?);
    finish(model, "duplicates", &report, &args.output)?;
    check_minimums(report.missed(&args.min_f1))
}

fn parse_set_minimum(text: &str) -> Result<(String, f64), String> {
    let (set, f1) = text.split_once('=').ok_or("must be SET=F1")?;
    Ok((set.to_owned(), parse_share(f1)?))
}

/// The model in a file; an empty one if there is no such file.
fn read_model(path: &Path) -> Result<Model> {
    if !path.exists() {
        return Ok(Model::default());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Model::from_bytes(&bytes).with_context(|| {
        format!("{} is there and cannot be added to; name another file", path.display())
    })
}

fn finish(
    mut model: Model,
    part: &str,
    report: &(impl Serialize + fmt::Display),
    args: &OutputArgs,
) -> Result<()> {
    model.summary = Some(summary(model.summary.as_deref(), part, report)?);
    write_model(&args.out, &model)?;
    if args.json {
        output::print_json(report)?;
    } else {
        output::print_text(report)?;
    }
    output::print_note(&format!("{} written: {}", model.version(), args.out.display()));
    Ok(())
}

/// The summary of a model file has a report for each part of it.
fn summary(before: Option<&str>, part: &str, report: &impl Serialize) -> Result<String> {
    let mut parts: Map<String, Value> =
        before.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    parts.retain(|name, _| ["topics", "duplicates"].contains(&name.as_str()));
    parts.insert(part.to_owned(), serde_json::to_value(report)?);
    Ok(serde_json::to_string(&parts)?)
}

/// Writes the file in one step: a server may be about to load it.
fn write_model(path: &Path, model: &Model) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let draft = beside(path, ".new");
    fs::write(&draft, model.to_bytes()).with_context(context)?;
    fs::rename(&draft, path).with_context(context)
}

/// How good judges are on pairs they have not seen.
#[derive(Debug, Serialize)]
struct JudgeReport {
    pairs: usize,
    folds: u64,
    sets: BTreeMap<String, SetReport>,
}

#[derive(Debug, Default, Serialize)]
struct SetReport {
    pairs: usize,
    /// By judges that saw nothing of the set's source.
    unseen_source: Figures,
    /// By judges that saw other articles of it.
    folds: Figures,
}

#[derive(Debug, Default, Serialize)]
struct Figures {
    #[serde(flatten)]
    score: Score,
    precision: f64,
    recall: f64,
    f1: f64,
    /// Pairs labelled partial, how many of them are answered as partial, and how many pairs of
    /// any label are.
    partial_pairs: usize,
    partial_found: usize,
    partial_answers: usize,
}

impl Figures {
    fn add(&mut self, pair: &Pair, answer: &Answer) {
        if pair.is_extreme() {
            return;
        }
        let kind = answer.kind();
        let is_partial = kind == Some(MatchKind::Partial);
        self.partial_answers += usize::from(is_partial);
        if pair.label == Label::Partial {
            self.partial_pairs += 1;
            self.partial_found += usize::from(is_partial);
        } else if !pair.borderline {
            let is_found = matches!(kind, Some(MatchKind::Exact | MatchKind::Near));
            self.score.add(is_found, pair.label == Label::Yes);
        }
        self.precision = self.score.precision();
        self.recall = self.score.recall();
        self.f1 = self.score.f1();
    }
}

impl JudgeReport {
    const FOLDS: u64 = 5;
    const SEED: u64 = 1;

    fn new(pairs: &[Pair]) -> Self {
        let unseen_source = leave_one_source_out(pairs);
        let folds = cross_validate(pairs, Self::FOLDS, Self::SEED);
        let mut sets: BTreeMap<String, SetReport> = BTreeMap::new();
        for (pair, (unseen, fold)) in pairs.iter().zip(unseen_source.iter().zip(&folds)) {
            let set = sets.entry(pair.set.clone()).or_default();
            set.pairs += 1;
            set.unseen_source.add(pair, unseen);
            set.folds.add(pair, fold);
        }
        JudgeReport { pairs: pairs.len(), folds: Self::FOLDS, sets }
    }

    fn missed(&self, minimums: &[(String, f64)]) -> Vec<String> {
        let mut missed = Vec::new();
        for (set, min) in minimums {
            let f1 = self.sets.get(set).map_or(0.0, |report| report.unseen_source.f1);
            if f1 < *min {
                missed.push(format!("{set} has F1 {f1:.4}, less than {min}"));
            }
        }
        missed
    }
}

impl fmt::Display for JudgeReport {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "{} pairs, judged by what was learnt from others.\n", self.pairs)?;
        writeln!(
            f,
            "{:<32} {:^42}   {:^42}",
            "",
            "nothing of the source",
            format!("{} folds", self.folds)
        )?;
        write!(f, "{:<32}", "set")?;
        for _ in 0..2 {
            write!(
                f,
                " {:>6} {:>6} {:>6} {:>5} {:>15}  ",
                "prec", "recall", "F1", "false", "partial (of,of)"
            )?;
        }
        writeln!(f)?;
        for (name, set) in &self.sets {
            write!(f, "{name:<32}")?;
            for figures in [&set.unseen_source, &set.folds] {
                let Figures { partial_found, partial_answers, partial_pairs, .. } = figures;
                write!(
                    f,
                    " {:>6.3} {:>6.3} {:>6.3} {:>5} {:>15}  ",
                    figures.precision,
                    figures.recall,
                    figures.f1,
                    figures.score.false_positives,
                    format!("{partial_found} ({partial_answers}, {partial_pairs})")
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_its_report() {
        let check = |before: Option<&str>, expected: &str| {
            assert_eq!(summary(before, "topics", &[2]).unwrap(), expected);
        };
        check(None, r#"{"topics":[2]}"#);
        check(Some("no JSON"), r#"{"topics":[2]}"#);
        check(Some(r#"{"topics":[1],"old":3}"#), r#"{"topics":[2]}"#);
        check(Some(r#"{"duplicates":[1]}"#), r#"{"duplicates":[1],"topics":[2]}"#);
    }

    #[test]
    fn what_a_model_file_holds_beside_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        let judge = Model { judge: Some(b"{}".to_vec()), ..Model::default() };
        write_model(&path, &judge).unwrap();
        assert_eq!(read_model(&path).unwrap(), judge);
        assert_eq!(read_model(&folder.path().join("none.bin")).unwrap(), Model::default());
        fs::write(&path, "Ships came in.").unwrap();
        assert!(read_model(&path).is_err());
    }
}
