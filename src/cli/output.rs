//! How results look to people, and to programs.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use newsprint::api::{DESCRIPTORS, pb};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GREEN: Style = AnsiColor::Green.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
pub const RED: Style = AnsiColor::Red.on_default();
pub const CYAN: Style = AnsiColor::Cyan.on_default();

/// How much is told beside results and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::Normal as u8);

pub fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

pub fn verbosity() -> Verbosity {
    match VERBOSITY.load(Ordering::Relaxed) {
        level if level == Verbosity::Quiet as u8 => Verbosity::Quiet,
        level if level == Verbosity::Normal as u8 => Verbosity::Normal,
        _ => Verbosity::Verbose,
    }
}

fn tells(least: Verbosity) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= least as u8
}

/// Standard output, which keeps colours to itself where nobody sees them.
pub fn stdout() -> anstream::AutoStream<io::StdoutLock<'static>> {
    anstream::stdout().lock()
}

/// One line with everything that led to an error.
pub fn print_error(error: &anyhow::Error) {
    let style = RED.bold();
    let text = visible(&chain(error));
    // There is nobody left to tell if that fails.
    let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {text}");
}

/// What happened and why. Errors that tell their cause themselves are not followed by it again.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Something to know that is no error, on stderr.
pub fn print_note(text: &str) {
    if !tells(Verbosity::Normal) {
        return;
    }
    let _ = writeln!(anstream::stderr(), "{DIM}{}{DIM:#}", visible(text));
}

/// What only those want to know who asked for more, on stderr.
pub fn print_detail(text: &str) {
    if tells(Verbosity::Verbose) {
        print_note(text);
    }
}

/// Something to look into that is no error, on stderr.
pub fn print_warning(text: &str) {
    if !tells(Verbosity::Normal) {
        return;
    }
    let style = YELLOW.bold();
    let _ = writeln!(anstream::stderr(), "{style}note:{style:#} {}", visible(text));
}

/// A report of our own as one line of JSON.
pub fn print_json(report: &impl Serialize) -> Result<()> {
    let mut out = stdout();
    writeln!(out, "{}", serde_json::to_string(report)?)?;
    Ok(())
}

/// A report of our own as text.
pub fn print_text(report: &impl fmt::Display) -> Result<()> {
    let mut out = stdout();
    write!(out, "{report}")?;
    Ok(())
}

/// Writes the contract's messages in protobuf's canonical JSON.
pub struct ProtoJson(DescriptorPool);

impl ProtoJson {
    pub fn new() -> Result<Self> {
        let pool = DescriptorPool::decode(DESCRIPTORS).context("the contract cannot be read")?;
        Ok(ProtoJson(pool))
    }

    /// Prints a message of the given name as one line.
    pub fn print(&self, name: &str, message: &impl Message) -> Result<()> {
        let mut out = stdout();
        writeln!(out, "{}", self.line(name, message)?)?;
        Ok(())
    }

    fn line(&self, name: &str, message: &impl Message) -> Result<String> {
        let name = format!("newsprint.v1.{name}");
        let descriptor = self.0.get_message_by_name(&name);
        let descriptor = descriptor.with_context(|| format!("the contract has no {name}"))?;
        let message = DynamicMessage::decode(descriptor, &message.encode_to_vec()[..])?;
        Ok(serde_json::to_string(&message)?)
    }
}

/// A bar for work of known length, on stderr if that is a terminal.
pub fn progress_bar(len: u64, template: &str) -> ProgressBar {
    if !tells(Verbosity::Normal) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(len);
    // A template that indicatif cannot read gives its own default.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar
}

/// Something to know while a bar is shown.
pub fn print_beside(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() { print_note(text) } else { bar.println(visible(text)) }
}

/// What work with a number of equal steps looks like.
pub const BAR: &str = "{bar:24.cyan} {human_pos}/{human_len} {msg} {per_sec}, {eta} left";

/// The same of bytes.
pub const BYTES_BAR: &str = "{bar:24.cyan} {bytes}/{total_bytes} {msg} {bytes_per_sec}, {eta} left";

/// Shows that something is going on meanwhile.
pub fn with_spinner<T>(message: &'static str, work: impl FnOnce() -> T) -> T {
    let spinner = progress_bar(0, "{spinner} {msg} {elapsed}");
    spinner.set_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    let result = work();
    spinner.finish_and_clear();
    result
}

/// Lines in columns, the last of which takes what room is left on a terminal.
pub struct Table {
    rows: Vec<Vec<String>>,
}

/// Columns are parted by so much.
const GAP: &str = "  ";

/// A wider table is no easier to read, whatever the terminal.
const TABLE_WIDTH_MAX: usize = 110;

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Table { rows: vec![header.iter().map(|&title| title.to_owned()).collect()] }
    }

    pub fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.rows.push(row.into_iter().map(|cell| visible(&cell)).collect());
    }

    /// Prints it, cut to the width of the terminal if it goes to one.
    pub fn print(&self) -> Result<()> {
        let mut out = stdout();
        let width = console::Term::stdout().size_checked().map(|(_, columns)| columns.into());
        for (number, line) in self.lines(width).enumerate() {
            if number == 0 {
                writeln!(out, "{DIM}{line}{DIM:#}")?;
            } else {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    fn lines(&self, width: Option<usize>) -> impl Iterator<Item = String> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0)
            })
            .collect();
        let width = width.map(|width| width.min(TABLE_WIDTH_MAX));
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| pad(cell, width));
            let line = cells.collect::<Vec<_>>().join(GAP);
            let line = line.trim_end();
            match width {
                Some(width) => console::truncate_str(line, width, "…").into_owned(),
                None => line.to_owned(),
            }
        })
    }
}

/// Text with blanks behind it up to a width.
pub fn pad(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, None).into_owned()
}

/// Begins a row: a label, and room for what there is to say.
pub fn write_label(out: &mut impl Write, label: &str) -> io::Result<()> {
    write!(out, "  {DIM}{label:<12}{DIM:#} ")
}

/// Begins a further line of the row before.
pub fn write_indent(out: &mut impl Write) -> io::Result<()> {
    write_label(out, "")
}

/// The headline of what follows: the article's, or the name of its file.
pub fn write_title(out: &mut impl Write, article: &pb::Article, name: &str) -> io::Result<()> {
    let title = if article.title.trim().is_empty() { name } else { &article.title };
    writeln!(out, "{BOLD}{}{BOLD:#}", visible(title))
}

/// Everything that was found out about an article. `body` is the article's, for its passages.
pub fn write_analysis(out: &mut impl Write, analysis: &pb::Analysis, body: &str) -> io::Result<()> {
    if let Some(duplicates) = &analysis.duplicates {
        write_verdict(out, duplicates)?;
    }
    if let Some(classification) = &analysis.classification {
        write_classification(out, classification)?;
    }
    if let Some(duplicates) = &analysis.duplicates {
        write_matches(out, duplicates, body)?;
    }
    if let Some(fingerprint) = &analysis.fingerprint {
        write_label(out, "fingerprint")?;
        match fingerprint.simhash {
            Some(simhash) => writeln!(out, "{simhash}  {DIM}{}{DIM:#}", fingerprint.scheme)?,
            None => writeln!(out, "none, the text is too short")?,
        }
    }
    Ok(())
}

/// A verdict as it is written.
pub fn verdict(verdict: pb::Verdict) -> (Style, &'static str) {
    use pb::Verdict as V;
    match verdict {
        V::Unique => (GREEN, "UNIQUE"),
        V::ExactDuplicate => (RED, "EXACT DUPLICATE"),
        V::NearDuplicate => (YELLOW, "NEAR DUPLICATE"),
        V::PartialDuplicate => (CYAN, "PARTIAL DUPLICATE"),
        V::InsufficientText => (DIM, "TOO SHORT TO TELL"),
        V::Unspecified => (DIM, "UNKNOWN TO THIS VERSION"),
    }
}

fn write_verdict(out: &mut impl Write, report: &pb::DuplicateReport) -> io::Result<()> {
    use pb::Verdict as V;
    let (style, verdict) = verdict(report.verdict());
    let style = style.bold();
    write_label(out, "verdict")?;
    write!(out, "{style}{verdict}{style:#}")?;
    if let Some(best) = report.matches.first() {
        write!(out, " of {}", visible(&best.article_id))?;
    }
    writeln!(out)?;
    if !report.story_id.is_empty() {
        write_label(out, "story")?;
        write!(out, "{}", visible(&report.story_id))?;
        // An article that begins a story stands for it.
        if matches!(report.verdict(), V::ExactDuplicate | V::NearDuplicate) {
            let canonical = visible(&report.canonical_article_id);
            write!(out, "  {DIM}begun by {canonical}{DIM:#}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Topics with a bar each, and the language.
pub fn write_classification(out: &mut impl Write, said: &pb::Classification) -> io::Result<()> {
    let width = said.topics.iter().map(|score| score.topic.chars().count()).max().unwrap_or(0);
    let mut label = "topics";
    for score in &said.topics {
        write_label(out, std::mem::take(&mut label))?;
        write_topic(out, score, width)?;
    }
    let language = if said.detected_language.is_empty() {
        "unknown".to_owned()
    } else {
        visible(&said.detected_language)
    };
    let note = match said.reliability() {
        pb::Reliability::Reliable => "",
        pb::Reliability::UnsupportedLanguage => {
            "the model was not trained on this language: no topic is assigned"
        }
        pb::Reliability::InsufficientText => {
            "too few words that the model knows: no topic is assigned"
        }
        pb::Reliability::Unspecified => "reliability unknown to this version",
    };
    write_label(out, "language")?;
    if note.is_empty() {
        writeln!(out, "{language}")?;
    } else {
        writeln!(out, "{language}  {YELLOW}{note}{YELLOW:#}")?;
    }
    write_label(out, "model")?;
    writeln!(out, "{}", visible(&said.model_version))
}

fn write_topic(out: &mut impl Write, score: &pb::TopicScore, width: usize) -> io::Result<()> {
    let (mark, style) = if score.assigned { ("●", GREEN.bold()) } else { (" ", Style::new()) };
    let bar = bar(score.probability, 20);
    let topic = format!("{:<width$}", visible(&score.topic));
    write!(out, "{style}{mark} {topic}{style:#}  {style}{bar:<20}{style:#} ")?;
    write!(out, "{:>6}", percent(score.probability))?;
    writeln!(out, "  {DIM}assigned from {} on{DIM:#}", percent(score.threshold))?;
    for evidence in score.evidence.chunks(5) {
        let words = evidence.iter().map(|it| format!("{} {:+.2}", visible(&it.text), it.weight));
        write_indent(out)?;
        writeln!(out, "    {DIM}{}{DIM:#}", words.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

fn write_matches(out: &mut impl Write, report: &pb::DuplicateReport, body: &str) -> io::Result<()> {
    let mut label = "matches";
    for found in &report.matches {
        write_label(out, std::mem::take(&mut label))?;
        write_match(out, found)?;
        for overlap in &found.overlaps {
            let range = to_usize(overlap.start)..to_usize(overlap.end);
            if let Some(passage) = body.get(range) {
                write_indent(out)?;
                writeln!(out, "       {DIM}“{}”{DIM:#}", visible(&excerpt(passage, 80)))?;
            }
        }
    }
    if report.truncated {
        write_indent(out)?;
        writeln!(out, "{YELLOW}there were too many candidates to look at them all{YELLOW:#}")?;
    }
    Ok(())
}

fn write_match(out: &mut impl Write, found: &pb::Match) -> io::Result<()> {
    let (style, kind) = match found.kind() {
        pb::MatchKind::Exact => (RED, "exact"),
        pb::MatchKind::Near => (YELLOW, "near"),
        pb::MatchKind::Partial => (CYAN, "part"),
        pb::MatchKind::Unspecified => (DIM, "?"),
    };
    write!(out, "{style}{kind:<6}{style:#} {BOLD}{}{BOLD:#}", visible(&found.article_id))?;
    write!(out, "  {} similar", percent(found.similarity))?;
    write!(out, ", {} contained", percent(found.containment))?;
    if let Some(distance) = found.hamming_distance {
        write!(out, ", {distance} of 64 bits differ")?;
    }
    if found.same_source {
        write!(out, ", {CYAN}same source{CYAN:#}")?;
    }
    writeln!(out)?;
    let about = [&found.title, &found.source, &found.url];
    let about: Vec<String> =
        about.into_iter().filter(|text| !text.is_empty()).map(|text| visible(text)).collect();
    if !about.is_empty() {
        write_indent(out)?;
        writeln!(out, "       {DIM}{}{DIM:#}", about.join(" · "))?;
    }
    Ok(())
}

/// The end of what is told of an article that a server was asked about.
pub fn write_elapsed(out: &mut impl Write, elapsed: Duration) -> io::Result<()> {
    write_label(out, "answered in")?;
    writeln!(out, "{:.1} ms", elapsed.as_secs_f64() * 1000.0)
}

pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Text from elsewhere with nothing in it that a terminal would obey, on one line.
pub fn visible(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// The beginning and the end of a longer text.
fn excerpt(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let head: String = text.chars().take(chars_max * 2 / 3).collect();
    let tail: String = text.chars().skip(count - chars_max / 3).collect();
    format!("{} … {}", head.trim_end(), tail.trim_start())
}

fn to_usize(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_canonical_json() {
        let response = pb::SubmitArticleResponse {
            article_id: "harbour-1".to_owned(),
            revision: 1,
            submit_time: Some(prost_types::Timestamp { seconds: 1_775_001_600, nanos: 0 }),
            analysis: Some(pb::Analysis {
                fingerprint: Some(pb::Fingerprint { simhash: Some(0), scheme: String::new() }),
                ..pb::Analysis::default()
            }),
            ..pb::SubmitArticleResponse::default()
        };
        let line = ProtoJson::new().unwrap().line("SubmitArticleResponse", &response).unwrap();
        let expected = concat!(
            r#"{"articleId":"harbour-1","revision":1,"submitTime":"2026-04-01T00:00:00Z","#,
            r#""analysis":{"fingerprint":{"simhash":"0"}}}"#
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let mut table = Table::new(&["id", "title"]);
        table.add(["a-long-id".to_owned(), "港が再開".to_owned()]);
        table.add(["b".to_owned(), "Harbour reopens after the storm".to_owned()]);
        let lines = |width| table.lines(width).collect::<Vec<_>>();
        assert_eq!(
            lines(None),
            [
                "id         title",
                "a-long-id  港が再開",
                "b          Harbour reopens after the storm",
            ]
        );
        assert_eq!(lines(Some(20))[2], "b          Harbour …");
        let long = "x".repeat(300);
        table.add(["c".to_owned(), long]);
        let widest = table.lines(Some(400)).map(|line| console::measure_text_width(&line)).max();
        assert_eq!(widest, Some(TABLE_WIDTH_MAX));
    }

    #[test]
    fn causes_are_told_once() {
        let cause = anyhow::anyhow!("the disk is full");
        assert_eq!(chain(&cause.context("cannot write")), "cannot write: the disk is full");
        let cause = anyhow::anyhow!("the disk is full");
        let told = cause.context("cannot write: the disk is full");
        assert_eq!(chain(&told), "cannot write: the disk is full");
    }

    #[test]
    fn bars_are_as_long_as_probable() {
        for (share, expected) in
            [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.41, "█▋"), (9.0, "████")]
        {
            assert_eq!(bar(share, 4), expected, "{share}");
        }
    }

    #[test]
    fn a_terminal_obeys_no_article() {
        assert_eq!(visible("Harbour\x1b[2J reopens\r\n"), "Harbour [2J reopens  ");
    }

    #[test]
    fn long_passages_are_cut_in_the_middle() {
        assert_eq!(excerpt("Ships came in.", 20), "Ships came in.");
        assert_eq!(excerpt("Ünter ships came in at dawn", 12), "Ünter sh … dawn");
    }
}
