//! What one submission costs in this process, without gRPC: time, and memory asked for.
//! `cargo bench --bench submit`.
//!
//! Preparing an article and handing it to the store are measured one by one, first for time and
//! then again, on other articles, for allocations: counting them takes time too. Those of the
//! store are of all its threads. Nothing is answered before it is on disk.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

#[path = "../src/cli/bench/articles.rs"]
mod articles;

use std::alloc::{GlobalAlloc, Layout};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use articles::Articles;
use mimalloc::MiMalloc;
use newsprint::analyser::{Analyser, Submission};
use newsprint::article::{ArticleId, CollectionName};
use newsprint::store::{ArticleStore, EmbeddedStore, Pending, Prepared, StoreOptions};

/// The allocator of the program, which counts what is asked of it while that is wanted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be had without")]
// SAFETY: everything is passed on to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(pointer, layout, size) }
    }
}

/// What was measured of some articles.
struct Cost {
    articles: u64,
    elapsed: Duration,
    allocations: u64,
    bytes: u64,
}

fn measure(articles: u64, is_counting: bool, work: impl FnOnce()) -> Cost {
    let counted = || (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    let before = counted();
    IS_COUNTING.store(is_counting, Ordering::Relaxed);
    let started = Instant::now();
    work();
    let elapsed = started.elapsed();
    IS_COUNTING.store(false, Ordering::Relaxed);
    let after = counted();
    Cost { articles, elapsed, allocations: after.0 - before.0, bytes: after.1 - before.1 }
}

/// A row of the table.
fn print(what: &str, timed: &Cost, counted: &Cost) {
    println!(
        "| {what} | {:.1} | {:.1} | {:.1} |",
        timed.elapsed.as_secs_f64() * 1e6 / timed.articles as f64,
        counted.allocations as f64 / counted.articles as f64,
        counted.bytes as f64 / counted.articles as f64 / 1024.0,
    );
}

fn main() {
    let articles = Articles::new(3400);
    let analyser = Analyser::built_in().unwrap();
    // Not in /tmp, which is memory on many machines.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = EmbeddedStore::open(&folder.path().join("data"), StoreOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let submission = |number| Submission {
        collection: CollectionName::default(),
        article_id: Some(ArticleId::new(format!("article-{number}")).unwrap()),
        article: articles.get(number),
        explain: false,
        matches_max: 10,
    };
    let prepare = |numbers: Range<u64>, is_counting| {
        let count = numbers.end - numbers.start;
        let submissions: Vec<_> = numbers.map(submission).collect();
        let mut prepared = Vec::with_capacity(count as usize);
        let cost = measure(count, is_counting, || {
            prepared.extend(submissions.into_iter().map(|submission| analyser.prepare(submission)));
        });
        (prepared, cost)
    };
    let submit = |prepared: Vec<Prepared>, in_flight: usize, is_counting| {
        measure(prepared.len() as u64, is_counting, || {
            runtime.block_on(async {
                let mut pending: VecDeque<Pending> = VecDeque::new();
                for prepared in prepared {
                    if pending.len() == in_flight {
                        pending.pop_front().unwrap().await.unwrap();
                    }
                    pending.push_back(store.submit(prepared).await.unwrap());
                }
                for outcome in pending {
                    outcome.await.unwrap();
                }
            });
        })
    };

    println!("articles of {} bytes; per article\n", articles.mean_bytes());
    println!("| | µs | allocations | KiB allocated |");
    println!("|---|---|---|---|");
    let mut next = 0;
    for (in_flight, count) in [(1, 2_000), (1024, 10_000)] {
        let mut take = || {
            next += count;
            next - count..next
        };
        // The first ones fill a store that is empty, and are not measured.
        submit(prepare(take(), false).0, 1024, false);
        let (prepared, prepare_timed) = prepare(take(), false);
        let submit_timed = submit(prepared, in_flight, false);
        let (prepared, prepare_counted) = prepare(take(), true);
        let submit_counted = submit(prepared, in_flight, true);
        print(&format!("prepare, of {count} at once"), &prepare_timed, &prepare_counted);
        print(&format!("submit, {in_flight} in flight"), &submit_timed, &submit_counted);
    }
}
