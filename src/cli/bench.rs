//! `newsprint bench`: how much a server takes, and how fast it answers.

mod articles;
mod echo;
mod load;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use newsprint::api::pb;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::article::Article;
use newsprint::client::Transport;
use newsprint::config::{Config, HttpAddr};
use newsprint::server;
use serde::Serialize;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::client::Connection;
use super::fields::{Mapping, Notes, article_from_json};
use super::formats::{Line, Lines};
use super::info::wait_until_serving;
use super::{input, output};
use articles::Articles;
use load::{Call, Figures, Load};

/// A longer line is no article that a server takes.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Measure throughput and latency of submissions
///
/// Starts a server of its own on an empty data folder, or takes the one at --addr, which will
/// remember every article it is sent. Articles are invented, most of them new, some of them copies
/// of earlier ones, some of them one notice with other figures; or they are those of a file.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Measure the server at this address rather than one of our own
    #[arg(long, value_name = "ADDR")]
    addr: Option<String>,

    /// How long to wait until the server serves, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,

    /// The calls to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "unary,batch,stream")]
    calls: Vec<CallKind>,

    /// How long to measure each, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Calls under way at once; of streams, articles
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    in_flight: u32,

    /// Articles of a batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    batch: u32,

    /// Connections to spread the calls over
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,

    /// Send the articles of this file, one a line as for 'newsprint import'; after the last the first
    /// comes again
    #[arg(long, value_name = "FILE.jsonl[.gz]", conflicts_with = "bytes")]
    articles: Option<PathBuf>,

    /// Mean length of the invented articles, in bytes
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    bytes: u32,

    /// Articles to submit before anything is measured
    #[arg(long, default_value_t = 20_000)]
    stored: u64,

    /// Measure the same calls on a service that answers at once and does nothing, for comparison
    #[arg(long)]
    echo: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum CallKind {
    Unary,
    Batch,
    Stream,
}

pub fn run(args: &BenchArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(args))?;
    if args.json {
        output::print_json(&report)?
    } else {
        output::print_text(&report)?
    }
    let errors: u64 = report.rows.iter().map(|row| row.figures.errors).sum();
    let reason = report.rows.iter().find_map(|row| row.figures.first_error.as_ref());
    match reason {
        Some(reason) => bail!("{errors} articles were refused, the first of them: {reason}"),
        None => Ok(()),
    }
}

async fn measure(args: &BenchArgs) -> Result<Report> {
    let articles = Arc::new(match &args.articles {
        Some(path) => Supply::read(path)?,
        None => Supply::Invented(Articles::new(args.bytes as usize)),
    });
    let server = match &args.addr {
        Some(addr) => Target::Other(addr.clone()),
        None => Target::Own(Server::start().await?),
    };
    let channels =
        connect(&server.addr(), args.connections, Some(Duration::from_secs(args.wait))).await?;
    let stored = Load { call: Call::Batch(100), in_flight: 8, next: 0, articles: articles.clone() };
    let stored = stored.run(&channels, load::Until::Articles(args.stored), "storing").await?;
    if let (Figures { first_error: Some(error), errors, .. }, _) = &stored {
        bail!("{errors} of the articles to begin with were not remembered: {error}");
    }
    let mut next = stored.1;

    let mut rows = Vec::new();
    for &kind in &args.calls {
        let (call, in_flight) = match kind {
            CallKind::Unary => (Call::Unary, args.in_flight),
            CallKind::Batch => {
                (Call::Batch(args.batch), args.in_flight.div_ceil(args.batch).max(4))
            }
            CallKind::Stream => (Call::Stream, args.in_flight),
        };
        let load = Load { call, in_flight, next, articles: Arc::clone(&articles) };
        let until = load::Until::Elapsed(Duration::from_secs(args.seconds));
        let name = format!("{kind:?}").to_lowercase();
        let measured = load.run(&channels, until, &name).await?;
        next = measured.1;
        let echo = if args.echo {
            let echo = echo::Echo::start().await?;
            let channels = connect(&echo.addr.to_string(), args.connections, None).await?;
            let load = Load { call, in_flight, next, articles: Arc::clone(&articles) };
            Some(load.run(&channels, until, &format!("{name}, echo")).await?.0)
        } else {
            None
        };
        rows.push(Row { call: kind, in_flight, figures: measured.0, echo });
    }
    server.stop().await?;
    Ok(Report { stored: args.stored, mean_bytes: articles.mean_bytes(), rows })
}

async fn connect(
    addr: &str,
    connections: u32,
    serves_within: Option<Duration>,
) -> Result<Vec<ArticleServiceClient<Transport>>> {
    let connection = Connection { addr: addr.to_owned(), ..Connection::default() };
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = match serves_within {
            Some(wait) if clients.is_empty() => {
                let began = Instant::now();
                let client = connection.connect_within(wait).await?;
                wait_until_serving(&client, wait.saturating_sub(began.elapsed())).await?;
                client
            }
            _ => connection.connect().await?,
        };
        clients.push(client.articles());
    }
    Ok(clients)
}

/// The articles that are sent, by number.
#[derive(Debug)]
enum Supply {
    Invented(Articles),
    Read(Vec<Article>),
}

impl Supply {
    fn read(path: &Path) -> Result<Self> {
        let name = input::display_name(path);
        let mut lines = Lines::open(path).with_context(|| format!("cannot read {name}"))?;
        let mut articles = Vec::new();
        while let Some(line) = lines.next(LINE_BYTES_MAX)? {
            let Line::Text(json) = line else { continue };
            let article = article_from_json(&json, &Mapping::default(), &mut Notes::default())
                .map_err(|reason| anyhow!("line {} of {name}: {reason}", lines.line()))?;
            let pb::Article { title, body, source, language, .. } = article;
            articles.push(Article { title, body, source, language, ..Article::default() });
        }
        ensure!(!articles.is_empty(), "{name} holds no articles");
        Ok(Supply::Read(articles))
    }

    fn get(&self, number: u64) -> Article {
        match self {
            Supply::Invented(articles) => articles.get(number),
            Supply::Read(articles) => articles[(number % articles.len() as u64) as usize].clone(),
        }
    }

    fn mean_bytes(&self) -> usize {
        match self {
            Supply::Invented(articles) => articles.mean_bytes(),
            Supply::Read(articles) => {
                articles.iter().map(|article| article.body.len()).sum::<usize>() / articles.len()
            }
        }
    }
}

/// What is measured.
enum Target {
    Own(Server),
    Other(String),
}

impl Target {
    fn addr(&self) -> String {
        match self {
            Target::Own(server) => server.addr.to_string(),
            Target::Other(addr) => addr.clone(),
        }
    }

    async fn stop(self) -> Result<()> {
        match self {
            Target::Own(server) => server.stop().await,
            Target::Other(_) => Ok(()),
        }
    }
}

/// A server in this process, with data of its own that go with it.
struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<Result<(), server::ServerError>>,
    _data: TempDir,
}

impl Server {
    async fn start() -> Result<Self> {
        // Beside the folder it is called in: /tmp is memory on many machines, and no disk.
        let data = tempfile::Builder::new().prefix("newsprint-bench-").tempdir_in(".")?;
        let config = Config {
            data: data.path().join("data"),
            backups: data.path().join("backups"),
            http: HttpAddr::Off,
            ..Config::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen")?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let stopped = futures_util::stream::once(async {
            let _ = stopped.await;
            server::Event::Stop
        });
        let open = server::embedded_engine;
        let serving = tokio::spawn(server::run(listener, config, open, stopped));
        Ok(Server { addr, stop, serving, _data: data })
    }

    async fn stop(self) -> Result<()> {
        let _ = self.stop.send(());
        self.serving.await.map_err(|error| anyhow!("the server panicked: {error}"))??;
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Report {
    stored: u64,
    mean_bytes: usize,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    call: CallKind,
    in_flight: u32,
    #[serde(flatten)]
    figures: Figures,
    /// The same calls on a service that does nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<Figures>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { stored, mean_bytes, rows } = self;
        writeln!(f, "articles of {mean_bytes} bytes, {stored} stored before")?;
        writeln!(
            f,
            "{:<14} {:>9} {:>11} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}",
            "ms", "in flight", "articles/s", "p50", "p90", "p99", "p99.9", "max", "errors"
        )?;
        for row in rows {
            let name = format!("{:?}", row.call).to_lowercase();
            write_figures(f, &name, row.in_flight, &row.figures)?;
            if let Some(echo) = &row.echo {
                write_figures(f, &format!("{name}, echo"), row.in_flight, echo)?;
                let ratio = row.figures.articles_per_second / echo.articles_per_second;
                writeln!(f, "{:<14} {ratio:>21.3}", format!("{name}, ratio"))?;
            }
        }
        Ok(())
    }
}

fn write_figures(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    in_flight: u32,
    figures: &Figures,
) -> fmt::Result {
    let Figures { articles_per_second, p50, p90, p99, p999, max, errors, .. } = figures;
    writeln!(
        f,
        "{name:<14} {in_flight:>9} {articles_per_second:>11.0} {p50:>8.2} {p90:>8.2} {p99:>8.2} \
         {p999:>8.2} {max:>8.2} {errors:>7}"
    )
}

#[cfg(test)]
mod tests {
    use newsprint::analyser::Analyser;
    use newsprint::article::Article;
    use newsprint::text::Document;

    use super::Supply;
    use super::articles::Articles;

    #[test]
    fn articles_of_a_file_come_in_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("articles.jsonl");
        std::fs::write(&path, "{\"title\": \"One\", \"body\": \"a b\"}\n{\"text\": \"c d e f\"}\n")
            .unwrap();
        let articles = Supply::read(&path).unwrap();
        assert_eq!([0, 1, 2].map(|number| articles.get(number).body), ["a b", "c d e f", "a b"]);
        assert_eq!(articles.mean_bytes(), 5);
        std::fs::write(&path, "{}\nno JSON\n").unwrap();
        assert!(Supply::read(&path).unwrap_err().to_string().contains("line 2"));
        std::fs::write(&path, "").unwrap();
        assert!(Supply::read(&path).unwrap_err().to_string().contains("no articles"));
    }

    #[test]
    fn articles_are_of_the_asked_size_and_always_the_same() {
        for bytes in [800, 3400] {
            let articles = Articles::new(bytes);
            let mean = articles.mean_bytes() as f64 / bytes as f64;
            assert!((0.9..1.1).contains(&mean), "{mean}");
            assert_eq!(articles.get(7), Articles::new(bytes).get(7));
            assert_ne!(articles.get(7).body, articles.get(8).body);
        }
    }

    #[test]
    fn articles_are_like_english_to_those_who_read_them() {
        let articles = Articles::new(3400);
        let analyser = Analyser::built_in().unwrap();
        let (mut bytes, mut beyond_ascii) = (0, 0);
        for number in 0..50 {
            let Article { title, body, .. } = articles.get(number);
            let classification =
                analyser.topics.classifier("en").classify(&Document::new(&title, &body));
            assert!((0.8..0.98).contains(&classification.known_share), "{classification:?}");
            bytes += body.len();
            beyond_ascii += body.bytes().filter(|byte| !byte.is_ascii()).count();
        }
        assert!((70..140).contains(&(bytes / beyond_ascii)), "{beyond_ascii} of {bytes}");
    }
}
