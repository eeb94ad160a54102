//! `newsprint compare`.

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use newsprint::api::pb;
use newsprint::duplicates::{Comparison, Counts, MatchKind, Overlap, Probe, Sketch, overlaps};
use newsprint::simhash::{fingerprint, hamming_distance};
use newsprint::text::Document;
use serde::Serialize;

use super::classify::load_model;
use super::input::{display_name, read_article};
use super::output::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW, percent, visible};

/// Tell how much two articles have in common, without a server
///
/// Prints what the judge of duplicates says about them, the figures it goes by, and the passages
/// that stand in both.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// An article: text whose first line is the title, HTML (.html), or JSON (.json)
    #[arg(value_name = "A")]
    a: PathBuf,

    /// Another article
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Use the judge of this model file rather than the one in this program
    #[arg(long, env = "NEWSPRINT_MODEL", value_name = "FILE")]
    model: Option<PathBuf>,

    /// Print one line of JSON instead of text for people
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CompareArgs) -> Result<()> {
    let judge = load_model(args.model.as_ref())?.judge;
    let a = Side::read(&args.a)?;
    let b = Side::read(&args.b)?;
    let (sketch, other) = (Sketch::new(&a.document), Sketch::new(&b.document));
    // Without a collection nothing is known of what is frame.
    let comparison = judge.compare(&Probe::new(&sketch, &Counts::default()), &other);
    let passages = overlaps(&a.document, &b.document);
    if args.json {
        return output::print_json(&Report::new(&a, &b, &comparison, &passages));
    }
    let mut out = output::stdout();
    write_sides(&mut out, [&a, &b])?;
    write_comparison(&mut out, &comparison, distance(&a, &b))?;
    write_passages(&mut out, &passages, &a.article.body)?;
    Ok(())
}

/// One of the two articles.
struct Side {
    name: String,
    article: pb::Article,
    document: Document,
    fingerprint: Option<u64>,
}

impl Side {
    fn read(path: &Path) -> Result<Self> {
        let article = read_article(path, None)?;
        let document = Document::new(&article.title, &article.body);
        let fingerprint = fingerprint(&document);
        Ok(Side { name: display_name(path), article, document, fingerprint })
    }
}

fn distance(a: &Side, b: &Side) -> Option<u32> {
    Some(hamming_distance(a.fingerprint?, b.fingerprint?))
}

fn write_sides(out: &mut impl Write, sides: [&Side; 2]) -> io::Result<()> {
    for (letter, side) in ["A", "B"].into_iter().zip(sides) {
        write!(out, "{DIM}{letter}{DIM:#}  ")?;
        output::write_title(out, &side.article, &side.name)?;
        let fingerprint = match side.fingerprint {
            Some(fingerprint) => format!("fingerprint {fingerprint}"),
            None => "too short for a fingerprint".to_owned(),
        };
        let words = side.document.word_count();
        let name = visible(&side.name);
        writeln!(out, "   {DIM}{name}, {words} words, {fingerprint}{DIM:#}")?;
    }
    writeln!(out)
}

fn write_comparison(
    out: &mut impl Write,
    comparison: &Comparison,
    distance: Option<u32>,
) -> io::Result<()> {
    let (style, kind) = match comparison.kind {
        Some(MatchKind::Exact) => (RED, "EXACT DUPLICATE"),
        Some(MatchKind::Near) => (YELLOW, "NEAR DUPLICATE"),
        Some(MatchKind::Partial) => (CYAN, "PARTIAL DUPLICATE"),
        None => (GREEN, "DIFFERENT ARTICLES"),
    };
    let style = style.bold();
    let probability = percent(comparison.probability.into());
    output::write_label(out, "verdict")?;
    write!(out, "{style}{kind}{style:#}  {DIM}")?;
    match comparison.kind {
        Some(_) => writeln!(out, "{probability} sure{DIM:#}")?,
        None => writeln!(out, "{probability} likely to be at least a partial duplicate{DIM:#}")?,
    }
    output::write_label(out, "similarity")?;
    write!(out, "{:>5}", percent(comparison.similarity.into()))?;
    writeln!(out, "  {DIM}of all wording stands in both{DIM:#}")?;
    output::write_label(out, "containment")?;
    write!(out, "{:>5}", percent(comparison.containment.into()))?;
    writeln!(out, "  {DIM}of the shorter one's wording stands in the other{DIM:#}")?;
    if let Some(distance) = distance {
        output::write_label(out, "distance")?;
        writeln!(out, "{distance:>5}  {DIM}of the fingerprints' 64 bits differ{DIM:#}")?;
    }
    writeln!(out)
}

/// Characters of the text around a passage that are shown with it.
const CONTEXT_CHARS: usize = 40;

fn write_passages(out: &mut impl Write, passages: &[Overlap], body: &str) -> io::Result<()> {
    if passages.is_empty() {
        return writeln!(out, "No passage of the bodies stands in both.");
    }
    let bytes: usize = passages.iter().map(|passage| passage.a.len()).sum();
    let share = percent(bytes as f64 / body.len().max(1) as f64);
    let count = match passages.len() {
        1 => "1 passage stands".to_owned(),
        count => format!("{count} passages stand"),
    };
    writeln!(out, "{BOLD}{count} in both bodies, {share} of A's{BOLD:#}")?;
    for passage in passages {
        let Some(text) = body.get(passage.a.clone()) else { continue };
        let (before, after) = context(body, &passage.a);
        writeln!(out)?;
        writeln!(out, "{DIM}  bytes {:?} of A, {:?} of B{DIM:#}", passage.a, passage.b)?;
        let [before, text, after] = [before, text, after].map(visible);
        writeln!(out, "  {DIM}{before}{DIM:#}{GREEN}{text}{GREEN:#}{DIM}{after}{DIM:#}")?;
    }
    Ok(())
}

/// A little of what stands before and after a passage.
fn context<'a>(body: &'a str, passage: &Range<usize>) -> (&'a str, &'a str) {
    let before = body.get(..passage.start).unwrap_or_default();
    let after = body.get(passage.end..).unwrap_or_default();
    let begin = before.char_indices().rev().take(CONTEXT_CHARS).last().map_or(0, |(at, _)| at);
    let end = after.char_indices().nth(CONTEXT_CHARS).map_or(after.len(), |(at, _)| at);
    (&before[begin..], &after[..end])
}

#[derive(Serialize)]
struct Report<'a> {
    /// "exact", "near", "partial" or null.
    kind: Option<MatchKind>,
    probability: f32,
    similarity: f32,
    containment: f32,
    hamming_distance: Option<u32>,
    a: SideReport<'a>,
    b: SideReport<'a>,
    overlaps: Vec<OverlapReport<'a>>,
}

#[derive(Serialize)]
struct SideReport<'a> {
    file: &'a str,
    title: &'a str,
    words: usize,
    /// As the contract's JSON has it: in decimal digits, for JSON's numbers cannot hold all of it.
    simhash: Option<String>,
}

#[derive(Serialize)]
struct OverlapReport<'a> {
    a_start: usize,
    a_end: usize,
    b_start: usize,
    b_end: usize,
    text: &'a str,
}

impl<'a> Report<'a> {
    fn new(a: &'a Side, b: &'a Side, comparison: &Comparison, passages: &[Overlap]) -> Self {
        let side = |side: &'a Side| SideReport {
            file: &side.name,
            title: &side.article.title,
            words: side.document.word_count(),
            simhash: side.fingerprint.map(|fingerprint| fingerprint.to_string()),
        };
        let overlap = |passage: &Overlap| OverlapReport {
            a_start: passage.a.start,
            a_end: passage.a.end,
            b_start: passage.b.start,
            b_end: passage.b.end,
            text: a.article.body.get(passage.a.clone()).unwrap_or_default(),
        };
        Report {
            kind: comparison.kind,
            probability: comparison.probability,
            similarity: comparison.similarity,
            containment: comparison.containment,
            hamming_distance: distance(a, b),
            a: side(a),
            b: side(b),
            overlaps: passages.iter().map(overlap).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_ends_where_the_text_does() {
        let body = "The åland ferry came in at dawn";
        assert_eq!(context(body, &(4..10)), ("The ", " ferry came in at dawn"));
        let long = "ä".repeat(100);
        let (before, after) = context(&long, &(100..102));
        assert_eq!((before.chars().count(), after.chars().count()), (CONTEXT_CHARS, CONTEXT_CHARS));
    }
}
