//! Inputs made of others by changing them at random: a short run of a fuzz target that needs no
//! fuzzer. Part of the tests of the library and of the program, which know their targets.

use std::path::Path;
use std::time::{Duration, Instant};

/// How many inputs each target is asked about if nothing else is said.
const INPUTS: u64 = 300;

/// As long as libFuzzer is told to make them in `scripts/fuzz`.
const BYTES_MAX: usize = 64 << 10;

/// Asks about every input of a target's corpus, and about many made of them: always the same ones,
/// or for `NEWSPRINT_FUZZ_SECONDS` others every time. One that fails is left in `fuzz/artifacts`.
pub fn ask(name: &str, check: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("a target has a corpus")
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    let asked = |input: &[u8]| {
        let mut left = Left { folder: root.join("fuzz/artifacts").join(name), input };
        check(left.input);
        left.input = &[];
    };
    corpus.iter().for_each(|input| asked(input));

    let seconds = std::env::var("NEWSPRINT_FUZZ_SECONDS").ok();
    let time = seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    let seed = match time {
        None => 1,
        Some(_) => std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1,
    };
    let (mut random, began, mut count) = (Random(seed), Instant::now(), 0);
    while time.map_or(count < INPUTS, |time| began.elapsed() < time) {
        asked(&random.input(&corpus));
        count += 1;
    }
    println!("{name}: {count} inputs and a corpus of {}", corpus.len());
}

/// Writes the input down if asking about it ends in a panic.
struct Left<'a> {
    folder: std::path::PathBuf,
    input: &'a [u8],
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let file = self.folder.join("from-a-test");
            let _ = std::fs::create_dir_all(&self.folder);
            let _ = std::fs::write(&file, self.input);
            eprintln!("the input that failed is in {}", file.display());
        }
    }
}

/// Marsaglia's xorshift: the inputs have to be the same everywhere, and no more.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        let longest = (len - start).min(1 << self.below(12));
        start..start + self.below(longest + 1)
    }

    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(6) {
            let other = &corpus[self.below(corpus.len())];
            self.change(&mut input, other);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        const EDGES: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, 0xc3, 0xed, 0xef, b'"', b'<', b'&', b'\n'];
        let place = self.below(input.len() + 1);
        let part = self.range(input.len());
        match self.below(8) {
            0 if place < input.len() => input[place] ^= 1 << self.below(8),
            1 if place < input.len() => input[place] = self.below(256) as u8,
            2 if place < input.len() => input[place] = EDGES[self.below(EDGES.len())],
            3 => input.insert(place, EDGES[self.below(EDGES.len())]),
            4 => drop(input.drain(part)),
            5 => {
                let repeated = input[part].repeat(1 + self.below(8));
                input.splice(place..place, repeated);
            }
            6 => {
                let taken = other[self.range(other.len())].to_vec();
                input.splice(place..place, taken);
            }
            _ => input.truncate(place),
        }
    }
}
