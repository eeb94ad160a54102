//! Every code within three bits of another.

use std::ops::ControlFlow;
use std::process::Command;
use std::time::Instant;

use gaoya::simhash::SimHashIndex;
use newsprint::hamming::HammingIndex;
use newsprint::random::SplitMix64;

use crate::take_turns;

const RADIUS: u32 = 3;
const QUERIES: usize = 2000;
const ROUNDS: usize = 25;

/// Each has a name on the command line, with which it is filled in a process of its own.
const NAMES: [(&str, &str); 3] =
    [("newsprint", "newsprint"), ("mih-rs", "mih-rs (static)"), ("gaoya", "gaoya SimHashIndex")];

pub fn compare() {
    for count in [1_000_000, 10_000_000] {
        println!("\n## Codes within {RADIUS} bits, {count} random codes\n");
        println!("| | µs a query | over newsprint's | found | filled in, s | RAM, B a code |");
        println!("|---|---|---|---|---|---|");
        let (ours, theirs, gaoya) = (ours(count), theirs(count), gaoya(count));
        let queries = queries(count);
        let mut searcher = theirs.range_searcher();
        let rows = take_turns(
            ROUNDS,
            vec![
                (NAMES[0].1, Box::new(|| queries.iter().map(|&query| search(&ours, query)).sum())),
                (
                    NAMES[1].1,
                    Box::new(|| {
                        let found =
                            |&query: &u64| searcher.run(query, RADIUS as usize).len() as u64;
                        queries.iter().map(found).sum()
                    }),
                ),
                (
                    NAMES[2].1,
                    Box::new(|| queries.iter().map(|query| gaoya.query(query).len() as u64).sum()),
                ),
            ],
        );
        for (row, (name, _)) in rows.iter().zip(NAMES) {
            println!(
                "| {} | {:.2} | {:.2} | {} | {} |",
                row.name,
                row.median.as_secs_f64() * 1e6 / QUERIES as f64,
                row.ratio,
                row.found,
                filled_alone(name, count),
            );
        }
    }
}

fn codes(count: usize) -> impl Iterator<Item = u64> {
    let mut random = SplitMix64(count as u64);
    (0..count).map(move |_| random.next())
}

/// Half of them exactly three bits from a code, half random.
fn queries(count: usize) -> Vec<u64> {
    let mut random = SplitMix64(1);
    let near = codes(count).step_by(count / (QUERIES / 2)).map(|code| {
        let places = random.next();
        // Three places that cannot be the same one.
        code ^ (1 << (places % 21))
            ^ (1 << (21 + (places >> 8) % 21))
            ^ (1 << (42 + (places >> 16) % 22))
    });
    let near: Vec<u64> = near.collect();
    near.into_iter().chain(codes(QUERIES / 2).map(|code| !code.rotate_left(7))).collect()
}

fn ours(count: usize) -> HammingIndex {
    let mut index = HammingIndex::default();
    codes(count).zip(0..).for_each(|(code, slot)| index.insert(code, slot));
    index
}

fn theirs(count: usize) -> mih_rs::Index<u64> {
    mih_rs::Index::new(codes(count).collect()).expect("an index of codes")
}

/// Four blocks, of which three may differ: what its documentation has for three bits. It leaves out
/// what is at three bits exactly; another block would let it find them, and make it slower.
fn gaoya(count: usize) -> SimHashIndex<u64, u32> {
    let mut index = SimHashIndex::new(4, RADIUS as usize);
    codes(count).zip(0..).for_each(|(code, id)| index.insert(id, code));
    index
}

fn search(index: &HammingIndex, query: u64) -> u64 {
    let mut found = 0;
    let _ = index.search(query, RADIUS, |_, _| {
        found += 1;
        ControlFlow::Continue(())
    });
    found
}

/// Seconds to fill an index and bytes a code that it takes, as two cells: told by a new process, in
/// which nothing else has taken and given back memory.
fn filled_alone(name: &str, count: usize) -> String {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program).args(["fill", name, &count.to_string()]).output();
    String::from_utf8(output.expect("a process").stdout).expect("text").trim().to_owned()
}

pub fn fill_alone(mut args: impl Iterator<Item = String>) {
    let name = args.next().unwrap_or_default();
    let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let before = resident_bytes();
    let started = Instant::now();
    let index: Box<dyn std::any::Any> = match name.as_str() {
        "newsprint" => Box::new(ours(count)),
        "mih-rs" => Box::new(theirs(count)),
        _ => Box::new(gaoya(count)),
    };
    let elapsed = started.elapsed().as_secs_f64();
    // Freed memory goes back to the system after a moment.
    std::thread::sleep(std::time::Duration::from_millis(500));
    println!("{elapsed:.1} | {:.0}", (resident_bytes() - before) as f64 / count as f64);
    drop(index);
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let figure = line.and_then(|line| line.split_whitespace().next());
    figure.and_then(|figure| figure.parse::<u64>().ok()).unwrap_or(0) * 1024
}
