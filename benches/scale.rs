//! What the store costs as it grows: `cargo bench --bench scale -- --articles 1000000`.
//!
//! Fills a fresh store with invented articles, some of them copies of earlier ones, and stops at
//! 10,000, 30,000, 100,000 and so on to look. Then opens it again. Figures are of this process
//! alone, without gRPC.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

#[path = "../src/cli/bench/articles.rs"]
mod articles;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use articles::Articles;
use clap::Parser;
use newsprint::analyser::{Analyser, Submission};
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::store::{ArticleStore, EmbeddedStore, Pending, Prepared, StoreOptions};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Args {
    /// Fill the store up to so many articles
    #[arg(long, default_value_t = 100_000)]
    articles: u64,

    /// Submissions under way at once
    #[arg(long, default_value_t = 1024)]
    in_flight: usize,

    /// Mean length of the articles
    #[arg(long, default_value_t = 800)]
    bytes: usize,

    /// Let every other article be the same one
    #[arg(long)]
    identical: bool,

    /// Keep the store in this folder. If it is there already, with so many articles as this run
    /// would have filled in, it is opened, and articles are looked up in it
    #[arg(long)]
    data: Option<PathBuf>,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// How many articles are submitted while look-ups go on.
const BUSY_ARTICLES: u64 = 5000;

/// From one look-up to the next while articles are submitted: a reader, not a load.
const LOOK_UP_PAUSE: Duration = Duration::from_micros(250);

/// Look-ups of each kind that are measured while nothing else goes on.
const LOOK_UPS: u64 = 1000;

/// Everything that a measurement needs.
struct Bench<'a> {
    args: &'a Args,
    articles: Articles,
    analyser: Analyser,
    store: EmbeddedStore,
}

/// Median and 99th percentile, in microseconds.
struct Times {
    median: u128,
    p99: u128,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |quantile: usize| times[(times.len() - 1) * quantile / 100].as_micros();
        Times { median: at(50), p99: at(99) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.median, self.p99)
    }
}

fn main() {
    let args = Args::parse();
    // Not in /tmp, which is memory on many machines.
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = args.data.clone().unwrap_or_else(|| temporary.path().join("data"));
    let articles = Articles::new(args.bytes);
    let analyser = Analyser::built_in().unwrap();
    let idle = resident_bytes();
    if data.exists() {
        let store = open(&data, idle);
        let bench = Bench { args: &args, articles, analyser, store };
        let [new, copies] = bench.look_ups_among(args.articles);
        println!("look-up of a new article: {new}, of a copy: {copies}");
        return;
    }
    let store = EmbeddedStore::open(&data, StoreOptions::default()).unwrap();
    let bench = Bench { args: &args, articles, analyser, store };

    println!("articles of {} bytes; look-ups in µs: median, p99\n", bench.articles.mean_bytes());
    println!(
        "| articles | submits/s | look-up of a new article | of a copy | of a new article while \
         others are submitted | RAM, B/article | disk, B/article |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut filled = 0;
    for count in stops(args.articles) {
        let quiet = count.saturating_sub(BUSY_ARTICLES).max(filled);
        let started = Instant::now();
        bench.fill(filled..quiet, args.in_flight);
        let rate = (quiet - filled) as f64 / started.elapsed().as_secs_f64();
        let busy = bench.look_ups_while_filling(quiet..count);
        filled = count;
        let [new, copies] = bench.look_ups_among(count);
        println!(
            "| {count} | {rate:.0} | {new} | {copies} | {busy} | {} | {} |",
            resident_bytes().saturating_sub(idle) / count,
            folder_bytes(&data) / count,
        );
    }
    println!();
    for in_flight in [1, 64, 1024] {
        let count = (in_flight as u64 * 300).min(100_000);
        let started = Instant::now();
        bench.fill(filled..filled + count, in_flight);
        filled += count;
        println!(
            "{in_flight} in flight: {:.0} submits/s",
            count as f64 / started.elapsed().as_secs_f64()
        );
    }

    let started = Instant::now();
    drop(bench);
    println!("closed in {:.2?}, which writes the index", started.elapsed());
    drop(open(&data, idle));
    // As after a crash.
    std::fs::remove_file(data.join("newsprint.index")).ok();
    print!("without the written index ");
    drop(open(&data, idle));
}

/// Powers of ten, and three times each, up to where the store is filled to.
fn stops(articles: u64) -> Vec<u64> {
    let powers = std::iter::successors(Some(10_000), |power| Some(power * 10));
    let stops = powers.flat_map(|power| [power, power * 3]);
    stops.take_while(|&stop| stop < articles).chain([articles]).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Bench<'_> {
    fn article(&self, number: u64) -> Article {
        self.articles.get(if self.args.identical && number % 2 == 1 { 0 } else { number })
    }

    fn prepare(&self, number: u64) -> Prepared {
        self.analyser.prepare(Submission {
            collection: CollectionName::default(),
            article_id: Some(ArticleId::new(format!("article-{number}")).unwrap()),
            article: self.article(number),
            explain: false,
            matches_max: 10,
        })
    }

    /// Submits articles, so many at a time, each as soon as there is room.
    fn fill(&self, numbers: std::ops::Range<u64>, in_flight: usize) {
        runtime().block_on(async {
            let mut pending: VecDeque<Pending> = VecDeque::new();
            for number in numbers {
                if pending.len() == in_flight {
                    pending.pop_front().unwrap().await.unwrap();
                }
                pending.push_back(self.store.submit(self.prepare(number)).await.unwrap());
            }
            for outcome in pending {
                outcome.await.unwrap();
            }
        });
    }

    /// How long the look-up of an article takes that stands under no id.
    fn look_up(&self, runtime: &Runtime, number: u64) -> Duration {
        let prepared = Prepared { article_id: None, ..self.prepare(number) };
        let started = Instant::now();
        runtime.block_on(self.store.look_up(&prepared)).unwrap();
        started.elapsed()
    }

    /// Of new articles and of copies, in a store of so many articles.
    fn look_ups_among(&self, count: u64) -> [Times; 2] {
        let new = self.look_ups(|i| count + 1_000_000 + i);
        let copies = self.look_ups(|i| i * (count / LOOK_UPS).max(1));
        [new, copies]
    }

    fn look_ups(&self, number: impl Fn(u64) -> u64) -> Times {
        let runtime = runtime();
        Times::of((0..LOOK_UPS).map(|i| self.look_up(&runtime, number(i))).collect())
    }

    fn look_ups_while_filling(&self, numbers: std::ops::Range<u64>) -> Times {
        let is_filled = AtomicBool::new(false);
        let first = numbers.end + 2_000_000;
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let runtime = runtime();
                let mut times = Vec::new();
                while times.is_empty() || !is_filled.load(Ordering::Relaxed) {
                    times.push(self.look_up(&runtime, first + times.len() as u64));
                    std::thread::sleep(LOOK_UP_PAUSE);
                }
                Times::of(times)
            });
            self.fill(numbers, self.args.in_flight);
            is_filled.store(true, Ordering::Relaxed);
            reader.join().unwrap()
        })
    }
}

/// Opens the store, beside which the time is put that reading the same number of bytes takes.
fn open(data: &Path, idle: u64) -> EmbeddedStore {
    let before = bytes_read();
    let started = Instant::now();
    let store = EmbeddedStore::open(data, StoreOptions::default()).unwrap();
    let (elapsed, read) = (started.elapsed(), bytes_read() - before);
    let resident = resident_bytes().saturating_sub(idle) >> 20;

    let started = Instant::now();
    let mut left = read;
    let mut buffer = vec![0; 1 << 20];
    for file in files(data) {
        let mut file = std::fs::File::open(file).unwrap();
        while left > 0 {
            match std::io::Read::read(&mut file, &mut buffer).unwrap() {
                0 => break,
                count => left = left.saturating_sub(count as u64),
            }
        }
    }
    let plain = started.elapsed();
    println!(
        "opened in {elapsed:.2?}, {resident} MiB resident; {} MiB were read, which alone takes {plain:.2?}",
        read >> 20,
    );
    store
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn proc_figure(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = line.and_then(|line| line.split_whitespace().next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or(0)
}

fn resident_bytes() -> u64 {
    proc_figure("/proc/self/status", "VmRSS:") * 1024
}

fn bytes_read() -> u64 {
    proc_figure("/proc/self/io", "rchar:")
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap());
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
        // Files come and go while the store tidies up.
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}
