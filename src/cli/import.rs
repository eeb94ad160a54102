//! `newsprint import`.
//!
//! A thread reads batches; some of them are on their way to the server at the same time, on one
//! connection; answers are taken in the order of the file. So there is always one record up to which
//! everything is done, and that, with a hash of what came before, is all there is to remember for
//! going on later.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use backon::{ExponentialBuilder, Retryable};
use clap::Args;
use encoding_rs::Encoding;
use futures_util::{Stream, StreamExt};
use indicatif::{HumanCount, ProgressBar};
use newsprint::api::pb;
use newsprint::api::pb::admin_service_client::AdminServiceClient;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::api::pb::batch_submit_articles_result::Result as Item;
use newsprint::client::Transport;
use newsprint::config::Limits;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::asked_to_stop;
use super::batches::{self, Batch, BatchLimits, Ended, Mark, Origin, Refused};
use super::client::{Connection, describe, is_passing, refusal, status_of};
use super::fields::{Mapping, Notes, Renamed};
use super::formats::{Format, Reading, Source};
use super::input::{display_name, is_stdin};
use super::output::{self, BOLD, CYAN, DIM, GREEN, RED, YELLOW};
use super::resume::{Progress, ResumeFile, beside};

/// Submit a whole file of articles, or a folder of them, to a server
///
/// Reads JSON Lines, JSON, CSV and TSV with a header line, and WARC, each plain, gzipped or
/// compressed with Zstandard, and folders of text and HTML files. Fields go by the names of an
/// article (article_id, title, body, url, source, publish_time, language, attributes) or by those
/// that NewsAPI, GDELT, RSS readers and others have for them; what is not understood is told at
/// the end. A record that is no article, or that the server refuses, is written to a file of errors
/// and does not stop the import. An import that was interrupted goes on where it was when the
/// same command is given again.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file or folder; '-' reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What the file is [default: told by its first bytes]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Format")]
    format: Option<Format>,

    /// What the file's fields or columns are: body=content,title=headline; may be repeated
    #[arg(long, value_name = "FIELD=NAME", value_delimiter = ',', help_heading = "Format")]
    map: Vec<Renamed>,

    /// How the file's text is encoded, such as windows-1252 [default: UTF-8, or UTF-16 if it looks
    /// so]
    #[arg(long, value_name = "NAME", value_parser = parse_encoding, help_heading = "Format")]
    encoding: Option<&'static Encoding>,

    /// The collection to put the articles into
    #[arg(long, env = "NEWSPRINT_COLLECTION", value_name = "NAME", default_value = "default")]
    collection: String,

    /// Articles per call
    #[arg(long, value_name = "COUNT", default_value = "100",
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,

    /// Calls on their way at the same time; with 1, articles are compared strictly in the order of
    /// the file
    #[arg(long, value_name = "COUNT", default_value = "8",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: u16,

    /// Where to write the records that could not be imported, with the reason [default:
    /// FILE.errors.jsonl]
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,

    /// Begin at the first record, whatever an earlier import has done
    #[arg(long)]
    restart: bool,

    /// Print the summary as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

fn parse_encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| format!("'{label}' is no encoding such as utf-8, utf-16 or windows-1252"))
}

pub fn run(args: &ImportArgs) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(import(args))
}

async fn import(args: &ImportArgs) -> Result<()> {
    let name = display_name(&args.file);
    let reading =
        Reading { format: args.format, encoding: args.encoding, mapping: Mapping::new(&args.map) };
    let source = Source::open(&args.file, &reading)?;
    let unit = source.unit();
    let mut state = State::load(args, unit)?;
    let server = args.connection.connect().await?;
    let limits = server_limits(args, server.admin()).await?;

    let batch_limits = BatchLimits {
        articles_max: usize::from(args.batch).min(limits.articles_max),
        message_bytes_max: limits.message_bytes_max,
    };
    let in_flight =
        usize::from(args.in_flight).min(limits.in_flight_max / batch_limits.articles_max).max(1);
    let bar = progress_bar(&args.file);
    let (batches, begun) = read_batches(source, args.file.clone(), reading, &state, batch_limits);
    // A long file takes a while to be looked through.
    let goes_on = begun.await.unwrap_or_default();
    state.begin(goes_on);
    let mut errors = ErrorLog::new(args, unit, goes_on)?;
    let sender = Sender {
        client: server.articles(),
        connection: args.connection.clone(),
        collection: args.collection.clone(),
        bar: bar.clone(),
        waiting: Waiting::default(),
    };

    let start = Instant::now();
    let mut tally = Tally::default();
    let is_interrupted = Cell::new(false);
    let answers = batches
        .take_until(async {
            asked_to_stop().await;
            is_interrupted.set(true);
            output::print_beside(&bar, "finishing what is on its way; Ctrl-C again ends at once");
            tokio::spawn(exit_when_asked_again());
        })
        .map(|batch| tokio::spawn(sender.clone().send(batch)))
        .buffered(in_flight);
    let mut answers = std::pin::pin!(answers);
    let result = loop {
        let answered = match answers.next().await {
            Some(Ok(Ok(answered))) => answered,
            Some(Ok(Err(error))) => break Err(error),
            Some(Err(panic)) => break Err(panic.into()),
            None => break Ok(()),
        };
        errors.write(&answered)?;
        bar.set_position(answered.end.bytes_read);
        state.advance(&answered);
        tally.add(answered);
        bar.set_message(tally.line(start.elapsed()));
    };
    bar.finish_and_clear();

    let is_whole = result.is_ok() && !is_interrupted.get();
    state.finish(is_whole)?;
    let summary = tally.summary(name.clone(), start.elapsed());
    if args.json {
        output::print_json(&summary)?
    } else if result.is_ok() || tally != Tally::default() {
        print(&summary)?
    }
    for (note, count) in tally.notes.lines() {
        output::print_warning(&format!("{note} ({} {unit}{})", HumanCount(count), plural(count)));
    }
    if !is_whole && state.progress.records_done > 0 {
        output::print_note(&state.go_on_hint());
    }
    result.context("the import broke off")?;
    ensure!(!is_interrupted.get(), "the import was interrupted");
    match state.progress.errors {
        0 => Ok(()),
        1 => bail!("1 {unit} was not imported; {} says why", errors.path.display()),
        count => {
            bail!(
                "{} {unit}s were not imported; {} says why",
                HumanCount(count),
                errors.path.display()
            )
        }
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

async fn exit_when_asked_again() {
    asked_to_stop().await;
    std::process::exit(1);
}

/// What the server takes.
struct ServerLimits {
    articles_max: usize,
    message_bytes_max: usize,
    in_flight_max: usize,
}

async fn server_limits(
    args: &ImportArgs,
    client: AdminServiceClient<Transport>,
) -> Result<ServerLimits> {
    let ask = || async {
        client.clone().get_server_info(args.connection.request(pb::GetServerInfoRequest {})).await
    };
    let (bar, waiting) = (ProgressBar::hidden(), Waiting::default());
    let asking = ask.retry(backoff()).when(is_passing);
    let limits = match asking.notify(|status, delay| waiting.tell(&bar, status, delay)).await {
        Ok(response) => response.into_inner().limits,
        // Not everybody may ask, and not everybody has to answer.
        Err(status) if is_secret(status.code()) => None,
        Err(status) => return Err(refusal(&status)),
    };
    let default = Limits::default();
    let positive = |value: i64| usize::try_from(value).ok().filter(|&value| value > 0);
    let or = |value: Option<i64>, default: usize| value.and_then(positive).unwrap_or(default);
    Ok(ServerLimits {
        articles_max: or(
            limits.map(|limits| limits.batch_article_count_max),
            Limits::BATCH_ARTICLES_MAX,
        ),
        message_bytes_max: or(
            limits.map(|limits| limits.message_bytes_max),
            default.message_bytes_max,
        ),
        in_flight_max: or(limits.map(|limits| limits.in_flight_max), default.in_flight_max),
    })
}

fn is_secret(code: Code) -> bool {
    matches!(code, Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated)
}

/// A bit over a minute in all: long enough for a server to be started again.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(10))
        .with_max_times(13)
        .with_jitter()
}

/// Reads the file on a thread of its own, a little ahead of what is sent, and tells when it begins
/// whether it goes on where an earlier import was. The program does not wait for the thread: it may
/// be held up for ever by a terminal that nobody types at.
fn read_batches(
    source: Source,
    file: PathBuf,
    reading: Reading,
    state: &State,
    limits: BatchLimits,
) -> (impl Stream<Item = Result<Batch>> + Unpin + use<>, oneshot::Receiver<bool>) {
    let (sender, receiver) = mpsc::channel(2);
    let (begin, begun) = oneshot::channel();
    let done = state.done();
    std::thread::spawn(move || {
        let mut begin = Some(begin);
        let mut tell = |goes_on: bool| {
            if let Some(begin) = begin.take() {
                let _ = begin.send(goes_on);
            }
        };
        let mut each = |batch| sender.blocking_send(Ok(batch)).is_ok();
        let mut ended =
            batches::read(source, done.as_ref(), limits, &mut || tell(done.is_some()), &mut each);
        if let Ok(Ended::OtherRecords) = ended {
            ended = Source::open(&file, &reading).and_then(|source| {
                batches::read(source, None, limits, &mut || tell(false), &mut each)
            });
        }
        if let Err(error) = ended {
            let _ = sender.blocking_send(Err(error));
        }
    });
    (ReceiverStream::new(receiver), begun)
}

/// Sends batches, each again until it gets through.
#[derive(Clone)]
struct Sender {
    client: ArticleServiceClient<Transport>,
    connection: Connection,
    collection: String,
    bar: ProgressBar,
    waiting: Waiting,
}

/// What became of a batch.
struct Answered {
    outcomes: Vec<pb::SubmitArticleResponse>,
    refused: Vec<Refused>,
    notes: Notes,
    end: Mark,
}

impl Sender {
    async fn send(self, batch: Result<Batch>) -> Result<Answered> {
        let Batch { articles, origins, refused, notes, end } = batch?;
        let mut answered = Answered { outcomes: Vec::new(), refused, notes, end };
        if articles.is_empty() {
            return Ok(answered);
        }
        let message = pb::BatchSubmitArticlesRequest {
            collection: self.collection.clone(),
            articles,
            options: Some(pb::AnalysisOptions { max_matches: 1, ..Default::default() }),
        };
        let attempt = || self.attempt(&message);
        let results = attempt
            .retry(backoff())
            .when(is_passing)
            .notify(|status, delay| self.waiting.tell(&self.bar, status, delay))
            .await
            .map_err(|status| refusal(&status))?;
        self.waiting.is_over();
        answered.add(results, origins)?;
        answered.refused.sort_by_key(|refused| refused.origin.number);
        Ok(answered)
    }

    /// Sends a batch. It failed as a whole if any of its articles may be taken a little later:
    /// those that were taken are only replayed then.
    async fn attempt(
        &self,
        message: &pb::BatchSubmitArticlesRequest,
    ) -> Result<Vec<pb::BatchSubmitArticlesResult>, Status> {
        let request = self.connection.request(message.clone());
        let response = self.client.clone().batch_submit_articles(request).await?;
        let results = response.into_inner().results;
        let passing = results.iter().find_map(|result| match &result.result {
            Some(Item::Error(error)) => Some(status_of(error)).filter(is_passing),
            _ => None,
        });
        passing.map_or(Ok(results), Err)
    }
}

/// Tells once why nothing goes on, not for every batch that is held up.
#[derive(Debug, Clone, Default)]
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn tell(&self, bar: &ProgressBar, status: &Status, delay: Duration) {
        if delay >= Duration::from_secs(1) && !self.0.swap(true, Ordering::Relaxed) {
            output::print_beside(bar, &format!("waiting for the server: {}", describe(status)));
        }
    }

    fn is_over(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Answered {
    fn add(
        &mut self,
        results: Vec<pb::BatchSubmitArticlesResult>,
        origins: Vec<Origin>,
    ) -> Result<()> {
        ensure!(
            results.len() == origins.len(),
            "the server answered {} articles of a batch of {}",
            results.len(),
            origins.len()
        );
        for (number, (result, origin)) in results.into_iter().zip(origins).enumerate() {
            match result.result {
                Some(Item::Outcome(outcome)) => self.outcomes.push(outcome),
                Some(Item::Error(error)) => {
                    // Beside its own number, its place in the batch means nothing.
                    let place = format!("articles[{number}].");
                    let reason = describe(&status_of(&error)).replace(&place, "");
                    self.refused.push(Refused { origin, reason });
                }
                None => bail!("the server said nothing about number {}", origin.number),
            }
        }
        Ok(())
    }
}

/// How far the import is, in memory and on disk. Standard input cannot be resumed.
struct State {
    progress: Progress,
    unit: &'static str,
    file: Option<ResumeFile>,
    written: Instant,
}

impl State {
    const WRITE_INTERVAL: Duration = Duration::from_millis(500);

    fn load(args: &ImportArgs, unit: &'static str) -> Result<Self> {
        let file = (!is_stdin(&args.file)).then(|| ResumeFile::of(&args.file));
        let addr = args.connection.addr.trim_start_matches("http://");
        let earlier = match &file {
            Some(file) if !args.restart => file.read(addr, &args.collection)?,
            _ => None,
        };
        let progress = earlier.unwrap_or_else(|| Progress {
            addr: addr.to_owned(),
            collection: args.collection.clone(),
            records_done: 0,
            digest: String::new(),
            errors: 0,
        });
        Ok(State { progress, unit, file, written: Instant::now() })
    }

    /// What an earlier import has done, if there was one.
    fn done(&self) -> Option<Mark> {
        let Progress { records_done, ref digest, .. } = self.progress;
        let mark = Mark { records: records_done, digest: digest.clone(), bytes_read: 0 };
        (records_done > 0).then_some(mark)
    }

    /// It is known now whether the file is the one that was begun.
    fn begin(&mut self, goes_on: bool) {
        let Progress { records_done, .. } = self.progress;
        if goes_on {
            output::print_note(&format!(
                "{} {}{} are done already; going on behind them (--restart begins anew)",
                HumanCount(records_done),
                self.unit,
                plural(records_done)
            ));
        } else if records_done > 0 {
            output::print_note(&format!(
                "an earlier import of another file under this name, or of this one read in another \
                 way, was at {} {records_done}; beginning with the first",
                self.unit
            ));
            self.progress = Progress {
                records_done: 0,
                digest: String::new(),
                errors: 0,
                ..self.progress.clone()
            };
        }
    }

    fn advance(&mut self, answered: &Answered) {
        self.progress.records_done = answered.end.records;
        self.progress.digest.clone_from(&answered.end.digest);
        self.progress.errors += answered.refused.len() as u64;
        if self.written.elapsed() >= Self::WRITE_INTERVAL {
            self.write();
        }
    }

    /// The import itself does not depend on the file, which may be in a folder that is read only.
    fn write(&mut self) {
        if self.progress.records_done == 0 {
            return;
        }
        self.written = Instant::now();
        let written = self.file.as_ref().map_or(Ok(()), |file| file.write(&self.progress));
        if let Err(error) = written {
            output::print_note(&format!("{error:#}: if interrupted, the import begins anew"));
            self.file = None;
        }
    }

    fn finish(&mut self, is_whole: bool) -> Result<()> {
        match &self.file {
            Some(file) if is_whole => file.remove(),
            _ => {
                self.write();
                Ok(())
            }
        }
    }

    fn go_on_hint(&self) -> String {
        let Progress { records_done, .. } = self.progress;
        let done =
            format!("{} {}{} done", HumanCount(records_done), self.unit, plural(records_done));
        match self.file {
            Some(_) => format!("{done}; the same command goes on from there"),
            None => done,
        }
    }
}

/// The file of records that were not imported, made when there is the first of them.
struct ErrorLog {
    path: PathBuf,
    unit: &'static str,
    file: Option<BufWriter<File>>,
}

impl ErrorLog {
    /// An import that goes on adds to the errors of before; any other forgets them.
    fn new(args: &ImportArgs, unit: &'static str, goes_on: bool) -> Result<Self> {
        let path = args.errors.clone().unwrap_or_else(|| default_path(&args.file));
        ensure!(path != args.file, "--errors must not name the file to import");
        if !goes_on && path.is_file() {
            fs::remove_file(&path).with_context(|| {
                format!("cannot remove the errors of before, {}", path.display())
            })?;
        }
        Ok(ErrorLog { path, unit, file: None })
    }

    fn write(&mut self, answered: &Answered) -> Result<()> {
        if answered.refused.is_empty() {
            return Ok(());
        }
        self.append(&answered.refused).with_context(|| {
            format!("cannot write {}; --errors FILE names another", self.path.display())
        })
    }

    fn append(&mut self, refused: &[Refused]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = File::options().append(true).create(true).open(&self.path)?;
                none.insert(BufWriter::new(file))
            }
        };
        for Refused { origin, reason } in refused {
            let input = String::from_utf8_lossy(&origin.input);
            // In this order: it is for people too.
            let number = (self.unit, Value::from(origin.number));
            let texts = [("reason", reason.as_str()), ("input", &input)];
            let texts = texts.map(|(name, text)| (name, Value::from(text)));
            serde_json::Serializer::new(&mut *file)
                .collect_map([number].into_iter().chain(texts))?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

fn default_path(imported: &Path) -> PathBuf {
    let name = if is_stdin(imported) { Path::new("stdin") } else { imported };
    beside(name, ".errors.jsonl")
}

/// What became of the records so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
struct Tally {
    submitted: u64,
    unique: u64,
    near_duplicate: u64,
    partial_duplicate: u64,
    exact_duplicate: u64,
    insufficient_text: u64,
    replayed: u64,
    errors: u64,
    topics: BTreeMap<String, u64>,
    #[serde(serialize_with = "serialize_notes")]
    notes: Notes,
}

fn serialize_notes<S: Serializer>(notes: &Notes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(notes.lines())
}

impl Tally {
    fn add(&mut self, answered: Answered) {
        self.errors += answered.refused.len() as u64;
        self.notes.merge(answered.notes);
        for outcome in &answered.outcomes {
            self.add_outcome(outcome);
        }
    }

    fn add_outcome(&mut self, outcome: &pb::SubmitArticleResponse) {
        use pb::Verdict as V;
        self.submitted += 1;
        let analysis = outcome.analysis.as_ref();
        let duplicates = analysis.and_then(|analysis| analysis.duplicates.as_ref());
        let verdict = duplicates.map_or(V::Unspecified, pb::DuplicateReport::verdict);
        match verdict {
            _ if outcome.replayed => self.replayed += 1,
            V::Unique => self.unique += 1,
            V::NearDuplicate => self.near_duplicate += 1,
            V::PartialDuplicate => self.partial_duplicate += 1,
            V::ExactDuplicate => self.exact_duplicate += 1,
            V::InsufficientText => self.insufficient_text += 1,
            V::Unspecified => {}
        }
        let classification = analysis.and_then(|analysis| analysis.classification.as_ref());
        let topics = classification.into_iter().flat_map(|it| &it.topics);
        for score in topics.filter(|score| score.assigned) {
            *self.topics.entry(score.topic.clone()).or_default() += 1;
        }
    }

    /// The state of things while the import goes on.
    fn line(&self, elapsed: Duration) -> String {
        let count = |count: u64| HumanCount(count);
        let duplicates = self.near_duplicate + self.partial_duplicate + self.exact_duplicate;
        let mut line = format!(
            "{} articles, {}/s, {} unique, {} duplicates",
            count(self.submitted),
            count(per_second(self.submitted, elapsed)),
            count(self.unique),
            count(duplicates)
        );
        for (number, what) in [(self.replayed, "replayed"), (self.errors, "errors")] {
            if number > 0 {
                line.push_str(&format!(", {} {what}", count(number)));
            }
        }
        line
    }

    fn summary(&self, file: String, elapsed: Duration) -> Summary {
        Summary {
            file,
            tally: self.clone(),
            seconds: elapsed.as_secs_f64(),
            articles_per_second: per_second(self.submitted, elapsed),
        }
    }
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-9)) as u64
}

/// What an import ends with.
#[derive(Serialize)]
struct Summary {
    file: String,
    #[serde(flatten)]
    tally: Tally,
    seconds: f64,
    articles_per_second: u64,
}

fn print(summary: &Summary) -> Result<()> {
    let mut out = output::stdout();
    let tally = &summary.tally;
    let rows = [
        (GREEN, "unique", tally.unique),
        (YELLOW, "near duplicates", tally.near_duplicate),
        (CYAN, "partial duplicates", tally.partial_duplicate),
        (RED, "exact duplicates", tally.exact_duplicate),
        (DIM, "too short to tell", tally.insufficient_text),
        (DIM, "submitted before", tally.replayed),
        (RED, "errors", tally.errors),
    ];
    for (style, label, count) in rows {
        let style = if count > 0 { style } else { DIM };
        let count = HumanCount(count).to_string();
        writeln!(out, "  {style}{label:<20}{style:#} {count:>12}")?;
    }
    for (topic, count) in &tally.topics {
        let (topic, count) = (output::visible(topic), HumanCount(*count).to_string());
        writeln!(out, "  {DIM}about {topic:<14}{DIM:#} {count:>12}")?;
    }
    let articles = HumanCount(tally.submitted);
    let rate = HumanCount(summary.articles_per_second);
    let seconds = summary.seconds;
    let plural = plural(tally.submitted);
    writeln!(out, "{BOLD}{articles} article{plural} in {seconds:.1} s, {rate} articles/s{BOLD:#}")?;
    Ok(())
}

fn progress_bar(file: &Path) -> ProgressBar {
    let bytes = fs::metadata(file).ok().filter(|file| file.is_file()).map_or(0, |file| file.len());
    let bar = if bytes > 0 {
        output::progress_bar(bytes, "{bar:16.cyan} {percent:>3} % {wide_msg} {eta} left")
    } else {
        output::progress_bar(0, "{spinner} {elapsed} {wide_msg}")
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
