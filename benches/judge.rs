//! What the second look costs: `cargo bench --bench judge`, on one core. Each figure is of one
//! article or of one pair.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

mod sample;

use std::sync::Arc;

use divan::{Bencher, black_box};
use newsprint::analyser::Analyser;
use newsprint::duplicates::{Counts, Judge, Probe, Sketch, posting_keys};
use newsprint::text::Document;
use sample::{SIZES, articles, document};

fn main() {
    sample::run_benches();
}

fn documents(bytes: usize) -> Vec<Document> {
    articles(bytes).iter().map(document).collect()
}

fn judge() -> Arc<Judge> {
    Analyser::built_in().unwrap().judge
}

/// Times one item after the other, over and over.
fn each<I, T>(bencher: Bencher, items: &[I], mut work: impl FnMut(&I) -> T) {
    let mut items = items.iter().cycle();
    bencher.bench_local(|| black_box(work(items.next().unwrap())));
}

#[divan::bench(consts = SIZES)]
fn keys<const BYTES: usize>(bencher: Bencher) {
    each(bencher, &documents(BYTES), posting_keys);
}

#[divan::bench(consts = SIZES)]
fn sketch<const BYTES: usize>(bencher: Bencher) {
    each(bencher, &documents(BYTES), Sketch::new);
}

#[divan::bench(consts = SIZES)]
fn sketch_from_bytes<const BYTES: usize>(bencher: Bencher) {
    let bytes: Vec<_> =
        documents(BYTES).iter().map(|document| Sketch::new(document).to_bytes()).collect();
    each(bencher, &bytes, |bytes| Sketch::from_bytes(bytes));
}

/// With the text of another article.
#[divan::bench(consts = SIZES)]
fn compare_unrelated<const BYTES: usize>(bencher: Bencher) {
    let sketches: Vec<_> = documents(BYTES).iter().map(Sketch::new).collect();
    let pairs: Vec<_> = sketches.windows(2).collect();
    let judge = judge();
    let nothing = Counts::default();
    each(bencher, &pairs, |pair| {
        judge.compare_candidate(&Probe::new(&pair[0], &nothing), &pair[1])
    });
}

/// With the same text, its end cut off and another headline over it.
#[divan::bench(consts = SIZES)]
fn compare_copy<const BYTES: usize>(bencher: Bencher) {
    bench_copies::<BYTES>(bencher, &Counts::default());
}

/// The same in a collection that has counted some hundred thousand stories.
#[divan::bench(consts = SIZES)]
fn compare_copy_counted<const BYTES: usize>(bencher: Bencher) {
    bench_copies::<BYTES>(bencher, &well_read());
}

fn bench_copies<const BYTES: usize>(bencher: Bencher, counts: &Counts) {
    let sketches: Vec<_> = articles(BYTES)
        .iter()
        .map(|article| {
            let whole = Sketch::new(&document(article));
            let cut = article.body.char_indices().nth(article.body.len() * 4 / 5);
            let start = &article.body[..cut.map_or(article.body.len(), |(place, _)| place)];
            (whole, Sketch::new(&Document::new("Another headline over it", start)))
        })
        .collect();
    let judge = judge();
    each(bencher, &sketches, |(whole, start)| {
        judge.compare_candidate(&Probe::new(whole, counts), start)
    });
}

/// Counts at their largest.
fn well_read() -> Counts {
    let counts = Counts::default();
    let mut story = 0;
    while counts.memory_bytes() < 16 << 20 {
        let words: Vec<String> = (0..8000).map(|word| format!("w{story}x{word}")).collect();
        counts.add(&Sketch::new(&Document::new("", &words.join(" "))), None);
        story += 1;
    }
    counts
}

/// What filing an article costs, its shingles being counted.
#[divan::bench(consts = SIZES)]
fn count<const BYTES: usize>(bencher: Bencher) {
    let sketches: Vec<_> = documents(BYTES).iter().map(Sketch::new).collect();
    let counts = well_read();
    each(bencher, &sketches, |sketch| counts.add(sketch, None));
}
