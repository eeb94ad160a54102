//! Exact Hamming search over one and ten million fingerprints: `cargo bench --bench hamming`.
//!
//! Half of the queries are 3 bits from a stored code, half are random. Codes are random; or so, but
//! for a template; or in clusters of very different sizes; or fingerprints of invented articles and
//! of edits of them. With `NEWSPRINT_BENCH_TEXTS=FILE.jsonl[.gz]` also fingerprints of its articles,
//! which have `title` and `body` or `text`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

#[path = "../src/cli/bench/articles.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod articles;
mod texts;

use std::fmt;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use articles::Articles;
use divan::Bencher;
use newsprint::hamming::HammingIndex;
use newsprint::random::SplitMix64;
use newsprint::simhash::fingerprint;
use newsprint::text::Document;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUERIES: usize = 10_000;

/// Invented articles that the fingerprints are taken of; the others are edits of these.
const INVENTED: u64 = 100_000;

fn main() {
    // A busy machine slows down for longer than a hundred samples take.
    divan::Divan::from_args().min_time(Duration::from_millis(1000)).main();
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Uniform,
    Template,
    Clusters,
    Invented,
    Texts,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Codes {
    kind: Kind,
    count: usize,
}

/// What one figure is of.
#[derive(Debug, Clone, Copy)]
struct Case {
    codes: Codes,
    radius: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { codes: Codes { kind, count }, radius } = self;
        write!(f, "{kind:?} {} million, radius {radius}", count / 1_000_000)
    }
}

fn cases() -> Vec<Case> {
    let mut kinds = vec![Kind::Uniform, Kind::Template, Kind::Clusters, Kind::Invented];
    if texts::path().is_some() {
        kinds.push(Kind::Texts);
    }
    let counts = [1_000_000, 10_000_000].into_iter();
    let codes = counts.flat_map(|count| kinds.iter().map(move |&kind| Codes { kind, count }));
    codes.flat_map(|codes| [0, 3, 7, 16].map(|radius| Case { codes, radius })).collect()
}

/// An index and what it is asked.
struct Filled {
    codes: Codes,
    index: HammingIndex,
    queries: Vec<u64>,
}

/// The last one, for making it takes longer than measuring: they are measured case by case.
static LAST: Mutex<Option<Arc<Filled>>> = Mutex::new(None);

fn filled(codes: Codes) -> Arc<Filled> {
    let mut last = LAST.lock().unwrap();
    match &*last {
        Some(filled) if filled.codes == codes => Arc::clone(filled),
        _ => {
            // Two of the large ones at once would be too much for a small machine.
            *last = None;
            Arc::clone(last.insert(Arc::new(fill(codes))))
        }
    }
}

fn fill(codes: Codes) -> Filled {
    let mut random = SplitMix64(codes.count as u64);
    let mut index = HammingIndex::default();
    let mut queries = Vec::with_capacity(QUERIES);
    let spacing = codes.count / (QUERIES / 2);
    for place in 0..codes.count {
        let code = code(codes, place, &mut random);
        index.insert(code, place as u32);
        if place % spacing == 0 {
            queries.extend([flip(code, 3, &mut random), random.next()]);
        }
    }
    Filled { codes, index, queries }
}

fn code(codes: Codes, place: usize, random: &mut SplitMix64) -> u64 {
    match codes.kind {
        Kind::Uniform => random.next(),
        // One in a hundred is the same notice with other figures.
        Kind::Template if random.below(100) == 0 => {
            let bits = random.below(5);
            flip(0x0123_4567_89ab_cdef, bits, random)
        }
        Kind::Template => random.next(),
        // As many of the n-th cluster as Zipf's law has it.
        Kind::Clusters => {
            let unit = random.next() as f64 / u64::MAX as f64;
            let cluster = (codes.count as f64).powf(unit) as u64;
            let bits = random.below(7);
            flip(SplitMix64(cluster).next(), bits, random)
        }
        Kind::Invented => edited(&INVENTED_CODES, place, random),
        Kind::Texts => edited(&TEXT_CODES, place, random),
    }
}

/// Every code once, and from then on a code with some bits flipped.
fn edited(codes: &[u64], place: usize, random: &mut SplitMix64) -> u64 {
    let bits = if place < codes.len() { 0 } else { 1 + random.below(12) };
    flip(codes[place % codes.len()], bits, random)
}

/// The code with so many bits flipped.
fn flip(code: u64, bits: u64, random: &mut SplitMix64) -> u64 {
    let mut flipped = code;
    while u64::from((flipped ^ code).count_ones()) < bits {
        flipped ^= 1 << random.below(64);
    }
    flipped
}

static INVENTED_CODES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let articles = Articles::new(800);
    (0..INVENTED)
        .filter_map(|number| {
            let article = articles.get(number);
            fingerprint(&Document::new(&article.title, &article.body))
        })
        .collect()
});

static TEXT_CODES: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let texts = texts::read(&texts::path().unwrap());
    texts.iter().filter_map(|(title, body)| fingerprint(&Document::new(title, body))).collect()
});

/// Time of one query.
#[divan::bench(args = cases(), max_time = 2)]
fn search(bencher: Bencher, case: Case) {
    let filled = filled(case.codes);
    let mut queries = filled.queries.iter().cycle();
    bencher.bench_local(|| {
        let mut found = 0;
        let _ = filled.index.search(*queries.next().unwrap(), case.radius, |slot, _| {
            found = slot;
            ControlFlow::Continue(())
        });
        black_box(found)
    });
}
