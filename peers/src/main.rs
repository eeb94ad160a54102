//! newsprint beside other libraries: see README.md.

mod duplicates;
mod hamming;
mod text;
mod topics;

#[path = "../../src/cli/bench/articles.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod articles;
#[path = "../../benches/texts/mod.rs"]
mod texts;

use std::hint::black_box;
use std::time::{Duration, Instant};

use articles::Articles;
use newsprint::article::Article;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something to measure: its name, and what it does once with all of the data. It answers how much
/// it found, so that nothing can be left out.
type Contestant<'a> = (&'a str, Box<dyn FnMut() -> u64 + 'a>);

/// What was measured of a contestant.
struct Row<'a> {
    name: &'a str,
    median: Duration,
    /// Its time over that of the first contestant.
    ratio: f64,
    found: u64,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let wanted: Vec<String> = match args.next() {
        Some(first) if first == "fill" => return hamming::fill_alone(args),
        first => first.into_iter().chain(args).collect(),
    };
    let parts: [(&str, fn()); 4] = [
        ("hamming", hamming::compare),
        ("text", text::compare),
        ("duplicates", duplicates::compare),
        ("topics", topics::compare),
    ];
    let is_unknown = |name: &&String| parts.iter().all(|(part, _)| part != name);
    if let Some(unknown) = wanted.iter().find(is_unknown) {
        eprintln!("there is no part '{unknown}'");
        std::process::exit(2);
    }
    for (_, compare) in
        parts.iter().filter(|(part, _)| wanted.is_empty() || wanted.iter().any(|name| name == part))
    {
        compare();
    }
}

/// Lets all take turns, so many times.
fn take_turns(rounds: usize, mut contestants: Vec<Contestant<'_>>) -> Vec<Row<'_>> {
    let mut times = vec![Vec::new(); contestants.len()];
    let mut found = vec![0; contestants.len()];
    for _ in 0..rounds {
        for (place, (_, work)) in contestants.iter_mut().enumerate() {
            let started = Instant::now();
            found[place] = black_box(work());
            times[place].push(started.elapsed());
        }
    }
    let row = |place: usize| {
        let ratios = times[place].iter().zip(&times[0]);
        Row {
            name: contestants[place].0,
            median: median(times[place].clone(), Duration::cmp),
            ratio: median(
                ratios.map(|(time, ours)| time.as_secs_f64() / ours.as_secs_f64()).collect(),
                f64::total_cmp,
            ),
            found: found[place],
        }
    };
    (0..contestants.len()).map(row).collect()
}

fn median<T: Copy>(mut values: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values[values.len() / 2]
}

/// So many articles: of `NEWSPRINT_BENCH_TEXTS`, or invented.
fn articles(count: usize, bytes_mean: usize) -> Vec<Article> {
    if let Some(path) = texts::path() {
        let article = |(title, body)| Article { title, body, ..Article::default() };
        return texts::read(&path).into_iter().take(count).map(article).collect();
    }
    let articles = Articles::new(bytes_mean);
    (0..count as u64).map(|number| articles.get(number)).collect()
}
