//! `newsprint eval duplicates`: the whole way of an article, from text to verdict, on labelled
//! pairs. The first texts of all pairs are remembered together, after other articles if there are
//! any, so that every second text has to find its own among them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use newsprint::analyser::Submission;
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::config::Limits;
use newsprint::duplicates::pairs::{
    BackgroundArticle, Label, LabelledPair, article_id, read_pairs,
};
use newsprint::duplicates::{Counts, Judge, MatchKind, Probe, Sketch};
use newsprint::engine::Engine;
use newsprint::files::read_json_lines;
use newsprint::store::{EmbeddedStore, StoreOptions};
use newsprint::text::Document;
use serde::Serialize;

use super::{check_minimums, parse_share};
use crate::cli::block_on;
use crate::cli::output::{self, BOLD, DIM};

/// Measure how well duplicates are found
///
/// The file has one pair per line as JSON: a_id, a_title, a_text, b_title, b_text, label (1 for
/// the same article with edits, 0 for another one, "partial" for one that stands in the other),
/// kind, borderline. The background and all a are submitted to an empty store in a temporary folder,
/// then every b is analysed; a pair is found if b's matches name its a as exact or near. Pairs that
/// are partial or borderline are counted apart.
#[derive(Debug, Args)]
pub struct DuplicatesArgs {
    /// Labelled pairs, plain or gzipped
    #[arg(value_name = "PAIRS.jsonl[.gz]")]
    file: PathBuf,

    /// Articles to fill the store with before the pairs come: one per line as JSON (id, title,
    /// text). Those that stand in a pair are left out
    #[arg(long, value_name = "ARTICLES.jsonl[.gz]", num_args = 1..)]
    background: Vec<PathBuf>,

    /// Measure the judge in this model file rather than the one in this program
    #[arg(long, env = "NEWSPRINT_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,

    /// Fail if F1 is lower
    #[arg(long, value_name = "F1", value_parser = parse_share)]
    min_f1: Option<f64>,

    /// Fail if recall is lower
    #[arg(long, value_name = "RECALL", value_parser = parse_share)]
    min_recall: Option<f64>,

    /// Fail if more pairs are found that are none
    #[arg(long, value_name = "COUNT")]
    max_false: Option<usize>,

    /// Print the report as one line of JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DuplicatesArgs) -> Result<()> {
    let pairs = read_pairs(&args.file)?;
    ensure!(!pairs.is_empty(), "{} holds no pairs", args.file.display());
    let background = read_background(&args.background, &pairs)?;
    let answers = block_on(ask(&pairs, &background, args.model.clone()))?;
    let report = Report::new(&pairs, &answers);
    if args.json {
        output::print_json(&report)?
    } else {
        print(&report)?
    }
    check_minimums(missed(&report, args))
}

fn missed(report: &Report, args: &DuplicatesArgs) -> Vec<String> {
    let Scores { f1, recall, false_positives, .. } = report.scores;
    let mut missed = Vec::new();
    if let Some(min) = args.min_f1.filter(|&min| f1 < min) {
        missed.push(format!("F1 is {f1:.4}, less than {min}"));
    }
    if let Some(min) = args.min_recall.filter(|&min| recall < min) {
        missed.push(format!("recall is {recall:.4}, less than {min}"));
    }
    if let Some(max) = args.max_false.filter(|&max| false_positives > max) {
        missed.push(format!("{false_positives} found pairs are none, more than {max}"));
    }
    missed
}

/// All articles of the files, each once, but for those of the pairs.
fn read_background(paths: &[PathBuf], pairs: &[LabelledPair]) -> Result<Vec<Article>> {
    let ids = pairs.iter().flat_map(|pair| [&pair.a_id, &pair.b_id]);
    let mut known: HashSet<String> = ids.map(|id| article_id(id).to_owned()).collect();
    let mut articles = Vec::new();
    for path in paths {
        read_json_lines(path, |BackgroundArticle { id, title, text }| {
            if known.insert(id) {
                articles.push(article(&title, &text));
            }
        })?;
    }
    Ok(articles)
}

fn article(title: &str, body: &str) -> Article {
    Article { title: title.to_owned(), body: body.to_owned(), ..Article::default() }
}

/// What was found out about a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    /// As what b's matches name a.
    found: Option<MatchKind>,
    /// What the judge says when it is shown the two.
    judged: Option<MatchKind>,
}

/// As many as are analysed and remembered in one go.
const SUBMISSIONS_IN_FLIGHT: usize = 1024;

const MATCHES_MAX: usize = 100;

async fn ask(
    pairs: &[LabelledPair],
    background: &[Article],
    model: Option<PathBuf>,
) -> Result<Vec<Answer>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let store = EmbeddedStore::open(folder.path(), StoreOptions::default())?;
    let engine = Engine::new(store, model, folder.path().join("backups"), Limits::default())?;
    let (articles, numbers) = distinct_articles(pairs);
    let steps = background.len() + articles.len() + pairs.len();
    let bar = output::progress_bar(steps as u64, output::BAR);
    bar.set_message("submitting");
    let background = background.iter().map(|article| (None, article));
    let named = articles.iter().enumerate().map(|(number, article)| (Some(number), article));
    let numbered: Vec<(Option<usize>, &Article)> = background.chain(named).collect();
    for articles in numbered.chunks(SUBMISSIONS_IN_FLIGHT) {
        let mut begun = Vec::new();
        for &(number, article) in articles {
            let submission = submission(number.map(name).transpose()?, article);
            let permit = engine.wait_for_permit().await?;
            begun.push(engine.begin(submission, permit).await?);
        }
        for submitting in begun {
            submitting.outcome().await?;
            bar.inc(1);
        }
    }
    bar.set_message("analysing");
    let judge = engine.analyser().judge.clone();
    let mut answers = Vec::new();
    for (pair, number) in pairs.iter().zip(numbers) {
        let id = name(number)?;
        let analysis =
            engine.analyze(submission(None, &article(&pair.b_title, &pair.b_text))).await?;
        let named = analysis.duplicates.matches.iter().find(|found| found.article_id == id);
        let found = named.and_then(|found| found.kind);
        answers.push(Answer { found, judged: judged(&judge, pair) });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(answers)
}

/// The first articles of all pairs, each once, and the number of every pair's among them.
fn distinct_articles(pairs: &[LabelledPair]) -> (Vec<Article>, Vec<usize>) {
    let mut known: HashMap<(&str, &str, &str), usize> = HashMap::new();
    let mut articles = Vec::new();
    let mut numbers = Vec::new();
    for pair in pairs {
        let key = (pair.a_id.as_str(), pair.a_title.as_str(), pair.a_text.as_str());
        let number = *known.entry(key).or_insert(articles.len());
        if number == articles.len() {
            articles.push(article(&pair.a_title, &pair.a_text));
        }
        numbers.push(number);
    }
    (articles, numbers)
}

/// Other people's ids need not be such as ours: articles are named by their numbers.
fn name(number: usize) -> Result<ArticleId> {
    ArticleId::new(format!("a-{number}")).map_err(|reason| anyhow!(reason))
}

fn submission(article_id: Option<ArticleId>, article: &Article) -> Submission {
    Submission {
        collection: CollectionName::default(),
        article_id,
        article: article.clone(),
        explain: false,
        matches_max: MATCHES_MAX,
    }
}

fn judged(judge: &Judge, pair: &LabelledPair) -> Option<MatchKind> {
    let sketch = |title: &str, text: &str| Sketch::new(&Document::new(title, text));
    let a = sketch(&pair.a_title, &pair.a_text);
    let b = sketch(&pair.b_title, &pair.b_text);
    judge.compare(&Probe::new(&b, &Counts::default()), &a).kind
}

fn is_same(kind: Option<MatchKind>) -> bool {
    matches!(kind, Some(MatchKind::Exact | MatchKind::Near))
}

/// How good the answers are.
#[derive(Debug, Serialize)]
struct Report {
    pairs: usize,
    #[serde(flatten)]
    scores: Scores,
    /// Of the pairs labelled partial, how many were found as partial, near or exact.
    partial: Share,
    /// Of the pairs answered as partial, how many are labelled so.
    partial_right: Share,
    /// Of the borderline pairs labelled the same, how many were found.
    borderline_same: Share,
    /// Of the borderline pairs labelled others, how many were found.
    borderline_other: Share,
    groups: BTreeMap<String, Scores>,
}

/// Figures of pairs that are settled.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct Scores {
    positives: usize,
    negatives: usize,
    true_positives: usize,
    false_positives: usize,
    precision: f64,
    recall: f64,
    f1: f64,
    /// Duplicates found as partial ones only; they count as missed.
    positives_as_partial: usize,
    /// Others found as partial duplicates; they do not count as found.
    negatives_as_partial: usize,
    /// Duplicates that the judge would have found, had it been shown them.
    lost_before_judge: usize,
    /// The share of the duplicates that the judge finds if it is shown all of them.
    judge_recall: f64,
    #[serde(skip)]
    judge_true_positives: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
struct Share {
    found: usize,
    of: usize,
}

impl Share {
    fn add(&mut self, is_found: bool) {
        self.found += usize::from(is_found);
        self.of += 1;
    }
}

impl Scores {
    fn add(&mut self, is_duplicate: bool, answer: Answer) {
        let is_found = is_same(answer.found);
        let is_partial = answer.found == Some(MatchKind::Partial);
        if is_duplicate {
            self.positives += 1;
            self.true_positives += usize::from(is_found);
            self.positives_as_partial += usize::from(is_partial);
            self.judge_true_positives += usize::from(is_same(answer.judged));
            self.lost_before_judge += usize::from(answer.found.is_none() && is_same(answer.judged));
        } else {
            self.negatives += 1;
            self.false_positives += usize::from(is_found);
            self.negatives_as_partial += usize::from(is_partial);
        }
        self.precision = share(self.true_positives, self.true_positives + self.false_positives);
        self.recall = share(self.true_positives, self.positives);
        self.judge_recall = share(self.judge_true_positives, self.positives);
        let missed = self.positives - self.true_positives;
        let all = 2 * self.true_positives + self.false_positives + missed;
        self.f1 = share(2 * self.true_positives, all);
    }
}

/// Of nothing, everything is right.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

impl Report {
    fn new(pairs: &[LabelledPair], answers: &[Answer]) -> Self {
        let mut report = Report {
            pairs: pairs.len(),
            scores: Scores::default(),
            partial: Share::default(),
            partial_right: Share::default(),
            borderline_same: Share::default(),
            borderline_other: Share::default(),
            groups: BTreeMap::new(),
        };
        for (pair, &answer) in pairs.iter().zip(answers) {
            report.add(pair, answer);
        }
        report
    }

    fn add(&mut self, pair: &LabelledPair, answer: Answer) {
        if answer.found == Some(MatchKind::Partial) {
            self.partial_right.add(pair.label == Label::Partial);
        }
        match (pair.label, pair.borderline) {
            (Label::Partial, _) => self.partial.add(answer.found.is_some()),
            (Label::Yes, true) => self.borderline_same.add(is_same(answer.found)),
            (Label::No, true) => self.borderline_other.add(is_same(answer.found)),
            (label, false) => {
                let is_duplicate = label == Label::Yes;
                self.scores.add(is_duplicate, answer);
                self.groups.entry(pair.kind.clone()).or_default().add(is_duplicate, answer);
            }
        }
    }
}

fn print(report: &Report) -> Result<()> {
    let mut out = output::stdout();
    let scores = &report.scores;
    writeln!(
        out,
        "{BOLD}{} pairs: F1 {:.3}, precision {:.3}, recall {:.3}{BOLD:#}",
        report.pairs, scores.f1, scores.precision, scores.recall
    )?;
    let rows = [
        ("duplicates found", Share { found: scores.true_positives, of: scores.positives }),
        ("others found (false)", Share { found: scores.false_positives, of: scores.negatives }),
        ("partial ones found", report.partial),
        ("partial answers that are right", report.partial_right),
        ("borderline duplicates found", report.borderline_same),
        ("borderline others found", report.borderline_other),
    ];
    for (label, Share { found, of }) in rows.into_iter().filter(|(_, share)| share.of > 0) {
        writeln!(out, "  {label:<30} {found:>6} {DIM}of {of}{DIM:#}")?;
    }
    if scores.positives > 0 {
        let (recall, lost) = (scores.judge_recall, scores.lost_before_judge);
        writeln!(
            out,
            "  {DIM}The judge alone has recall {recall:.3}; {lost} duplicates were not shown to it.{DIM:#}"
        )?;
    }
    write_groups(&mut out, &report.groups)?;
    Ok(())
}

fn write_groups(out: &mut impl Write, groups: &BTreeMap<String, Scores>) -> io::Result<()> {
    writeln!(
        out,
        "\n  {BOLD}{:<32} {:>10} {:>6} {:>7} {:>8} {:>6} {:>6} {:>8}{BOLD:#}",
        "kind", "duplicates", "found", "recall", "as part", "others", "false", "as part"
    )?;
    for (group, scores) in groups {
        let recall =
            if scores.positives > 0 { format!("{:.3}", scores.recall) } else { "-".to_owned() };
        writeln!(
            out,
            "  {:<32} {:>10} {:>6} {recall:>7} {:>8} {:>6} {:>6} {:>8}",
            output::visible(group),
            scores.positives,
            scores.true_positives,
            scores.positives_as_partial,
            scores.negatives,
            scores.false_positives,
            scores.negatives_as_partial
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(a_id: &str, text: &str, label: Label, borderline: bool) -> LabelledPair {
        LabelledPair {
            a_id: a_id.to_owned(),
            b_id: format!("{a_id}~edited"),
            a_title: String::new(),
            b_title: String::new(),
            a_text: text.to_owned(),
            b_text: text.to_owned(),
            label,
            kind: "all".to_owned(),
            borderline,
        }
    }

    #[test]
    fn every_first_article_is_submitted_once() {
        let pairs = [("x", "Ebb"), ("y", "Ebb"), ("x", "Ebb"), ("x", "Tide")]
            .map(|(id, text)| sample(id, text, Label::Yes, false));
        let (articles, numbers) = distinct_articles(&pairs);
        assert_eq!(articles.len(), 3);
        assert_eq!(numbers, [0, 1, 0, 2]);
    }

    #[test]
    fn the_background_has_every_article_once_and_none_of_a_pair() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("articles.jsonl");
        let line = |id: &str| format!("{{\"id\": \"{id}\", \"text\": \"Ebb\"}}\n");
        std::fs::write(&path, ["x", "y", "z", "y"].map(line).concat()).unwrap();
        let pairs = [sample("outlet/x", "Ebb", Label::Yes, false)];
        let articles = read_background(&[path.clone(), path], &pairs).unwrap();
        assert_eq!(articles.len(), 2);
    }

    #[test]
    fn only_settled_pairs_count() {
        use MatchKind::{Exact, Near, Partial};
        let cases = [
            (Label::Yes, false, Some(Near), Some(Near)),
            (Label::Yes, false, Some(Exact), Some(Exact)),
            (Label::Yes, false, Some(Partial), Some(Partial)),
            (Label::Yes, false, None, Some(Near)),
            (Label::No, false, Some(Near), Some(Near)),
            (Label::No, false, None, None),
            (Label::Yes, true, None, None),
            (Label::Partial, false, Some(Partial), Some(Partial)),
            (Label::Partial, true, None, None),
        ];
        let pairs = cases.map(|(label, borderline, ..)| sample("x", "Ebb", label, borderline));
        let answers = cases.map(|(_, _, found, judged)| Answer { found, judged });
        let report = Report::new(&pairs, &answers);
        assert_eq!(report.partial, Share { found: 1, of: 2 });
        assert_eq!(report.partial_right, Share { found: 1, of: 2 });
        assert_eq!(report.borderline_same, Share { found: 0, of: 1 });
        let scores = report.scores;
        assert_eq!((scores.positives, scores.negatives), (4, 2));
        assert_eq!((scores.true_positives, scores.false_positives), (2, 1));
        assert_eq!((scores.lost_before_judge, scores.positives_as_partial), (1, 1));
        assert_eq!((scores.recall, scores.judge_recall), (0.5, 0.75));
        assert_eq!((scores.precision, scores.f1), (2.0 / 3.0, 4.0 / 7.0));
        assert_eq!(report.groups["all"], scores);
    }

    #[tokio::test]
    async fn pairs_go_the_whole_way() {
        let text = "The harbour of Port Elm reopened on Monday after a storm had kept it closed \
                    for nine days, and the first ferries left before dawn with lorries that had \
                    waited since the week before, the harbour master said.";
        let other = "Bakers of the old town vote on longer opening hours in May, in what their \
                     guild calls the largest change since it let women in, ninety years ago.";
        let mut pairs =
            vec![sample("x", text, Label::Yes, false), sample("y", text, Label::No, false)];
        pairs[1].b_text = other.to_owned();
        let answers = ask(&pairs, &[], None).await.unwrap();
        assert_eq!(answers[0].found, Some(MatchKind::Exact));
        assert_eq!(answers[1], Answer { found: None, judged: None });
    }
}
