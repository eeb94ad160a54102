//! What the store costs as it grows: `cargo bench --bench scale -- --articles 1000000`.
//!
//! Fills a fresh store with invented articles, some of them copies of earlier ones, and stops at
//! every power of ten to look. Then opens it again. Figures are of this process alone, without gRPC.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::engine::{Serving, Submission};
use newsprint::store::{ArticleStore, EmbeddedStore, Pending, Prepared, StoreOptions};

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

    /// What the articles are like
    #[arg(long, value_enum, default_value_t = Kind::Mixed)]
    kind: Kind,

    /// Keep the store in this folder; if it is there already it is only opened
    #[arg(long)]
    data: Option<PathBuf>,

    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Kind {
    /// One in ten is a copy of an earlier one, edited or not
    Mixed,
    /// As mixed, but one in a hundred is a notice with other figures in the same words
    Template,
    /// As mixed, but every other one is the same notice
    Identical,
}

/// A small generator: the same articles every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Makes words up. Frequent ones are short, and their frequencies fall as those of English do.
fn word(random: &mut Random) -> String {
    const SYLLABLES: [&str; 20] = [
        "ta", "ren", "so", "mi", "lor", "ve", "da", "kin", "pe", "ul", "gra", "no", "est", "fi",
        "bar", "ow", "che", "in", "hal", "ty",
    ];
    const WORDS: f64 = 60_000.0;
    let mut rank = WORDS.powf(random.unit()) as usize;
    let mut word = String::new();
    while rank > 0 {
        word.push_str(SYLLABLES[rank % SYLLABLES.len()]);
        rank /= SYLLABLES.len();
    }
    word
}

fn words(random: &mut Random, count: u64) -> Vec<String> {
    (0..count).map(|_| word(random)).collect()
}

const NOTICE: &str = "The board of the company declared a regular quarterly dividend on its common \
stock today, payable to shareholders of record at the close of business. It said the payment \
reflects its confidence in the coming year and thanked employees for their work. The company \
makes parts for ships and employs people at several plants along the coast.";

/// The article of a number: always the same, whichever is asked for first.
fn article(number: u64, kind: Kind) -> Article {
    let mut random = Random(number);
    let choice = random.below(100);
    match kind {
        Kind::Identical if number % 2 == 1 => {
            let title = "Company declares dividend".to_owned();
            return Article { title, body: NOTICE.to_owned(), ..Article::default() };
        }
        Kind::Template if choice == 99 => {
            let (name, cents) = (word(&mut random), random.below(200));
            return Article {
                title: format!("{name} declares dividend"),
                body: format!("{name} pays {cents} cents a share, up from {}. {NOTICE}", cents / 2),
                ..Article::default()
            };
        }
        _ => {}
    }
    let mut original =
        Random(if choice < 10 { random.below(number + 1) } else { number } ^ 1 << 40);
    let title = words(&mut original, 8).join(" ");
    let mut body = words(&mut original, 60 + number.trailing_zeros() as u64 * 60);
    if choice < 8 {
        // Another outlet's: its own headline, an end cut off, a word here and there replaced.
        body.truncate(body.len() - body.len() / 6);
        for _ in 0..body.len() / 40 {
            let place = random.below(body.len() as u64) as usize;
            body[place] = word(&mut random);
        }
    }
    let title = if choice < 8 { words(&mut random, 8).join(" ") } else { title };
    let body = body.chunks(15).map(|words| words.join(" ") + ".").collect::<Vec<_>>().join(" ");
    let source = format!("outlet {}", random.below(50));
    Article { title, body, source, language: "en".to_owned(), ..Article::default() }
}

fn prepare(serving: &Serving, number: u64, kind: Kind) -> Prepared {
    serving.prepare(Submission {
        collection: CollectionName::default(),
        article_id: Some(ArticleId::new(format!("article-{number}")).unwrap()),
        article: article(number, kind),
        explain: false,
        matches_max: 10,
    })
}

fn main() {
    let args = Args::parse();
    let temporary = tempfile::tempdir().unwrap();
    let data = args.data.clone().unwrap_or_else(|| temporary.path().join("data"));
    let serving = Serving::built_in().unwrap();
    let idle = resident_bytes();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    if data.exists() {
        open(&data, idle);
        return;
    }
    let store = EmbeddedStore::open(&data, StoreOptions::default()).unwrap();
    println!(
        "| articles | submits/s | look-up of a new article, µs: median, p99 | of a copy | RAM, B/article | disk, B/article |"
    );
    println!("|---|---|---|---|---|---|");
    let mut filled = 0;
    let mut next = 10_000.min(args.articles);
    while filled < args.articles {
        let started = Instant::now();
        runtime.block_on(fill(&store, &serving, filled..next, &args));
        let rate = (next - filled) as f64 / started.elapsed().as_secs_f64();
        filled = next;
        let new =
            runtime.block_on(look_ups(&store, &serving, |i| (filled + 1_000_000 + i) | 1, &args));
        let copies =
            runtime.block_on(look_ups(&store, &serving, |i| i * (filled / 1000).max(1), &args));
        println!(
            "| {filled} | {rate:.0} | {}, {} | {}, {} | {} | {} |",
            new.0.as_micros(),
            new.1.as_micros(),
            copies.0.as_micros(),
            copies.1.as_micros(),
            resident_bytes().saturating_sub(idle) / filled,
            folder_bytes(&data) / filled,
        );
        next = (filled * 10).min(args.articles);
    }
    for in_flight in [1, 64, 1024] {
        let count = (in_flight as u64 * 300).min(100_000);
        let args = Args { in_flight, data: None, ..args };
        let started = Instant::now();
        runtime.block_on(fill(&store, &serving, filled..filled + count, &args));
        filled += count;
        println!(
            "{in_flight} in flight: {:.0} submits/s",
            count as f64 / started.elapsed().as_secs_f64()
        );
    }

    drop(store);
    open(&data, idle);
}

/// Opens the store, beside which the time is put that reading the same number of bytes takes.
fn open(data: &Path, idle: u64) {
    let before = bytes_read();
    let started = Instant::now();
    let store = EmbeddedStore::open(data, StoreOptions::default()).unwrap();
    let (elapsed, read) = (started.elapsed(), bytes_read() - before);
    let resident = resident_bytes().saturating_sub(idle) >> 20;
    drop(store);

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
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Submits articles, so many at a time, each as soon as there is room.
async fn fill(
    store: &EmbeddedStore,
    serving: &Serving,
    numbers: std::ops::Range<u64>,
    args: &Args,
) {
    let mut pending: VecDeque<Pending> = VecDeque::new();
    for number in numbers {
        if pending.len() == args.in_flight {
            pending.pop_front().unwrap().await.unwrap();
        }
        pending.push_back(store.submit(prepare(serving, number, args.kind)).await.unwrap());
    }
    for outcome in pending {
        outcome.await.unwrap();
    }
}

/// Median and 99th percentile of a thousand look-ups.
async fn look_ups(
    store: &EmbeddedStore,
    serving: &Serving,
    number: impl Fn(u64) -> u64,
    args: &Args,
) -> (Duration, Duration) {
    let mut times = Vec::new();
    for i in 0..1000 {
        let mut prepared = prepare(serving, number(i), args.kind);
        prepared.article_id = None;
        let started = Instant::now();
        store.look_up(&prepared).await.unwrap();
        times.push(started.elapsed());
    }
    times.sort_unstable();
    (times[500], times[990])
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
