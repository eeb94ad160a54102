//! Is there something like this article among so many others?

use std::collections::VecDeque;
use std::hash::Hash;

use gaoya::minhash::{MinHashIndex, MinHasher, MinHasher32, calculate_minhash_params};
use newsprint::analyser::{Analyser, Submission};
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::store::{ArticleStore, EmbeddedStore, Pending, Prepared, StoreOptions};

use crate::articles::Articles;
use crate::take_turns;

const STORED: u64 = 100_000;
const QUERIES: u64 = 500;
const BYTES: usize = 2300;
const ROUNDS: usize = 11;
const PERMUTATIONS: usize = 128;
const JACCARD_MIN: f64 = 0.5;
const SHINGLE_WORDS: usize = 3;

pub fn compare() {
    let articles = Articles::new(BYTES);
    // One in eight is a copy, most of them of an article that is stored.
    let queries: Vec<Article> =
        (STORED..STORED + QUERIES).map(|number| articles.get(number)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let analyser = Analyser::built_in().expect("the built-in model");
    let store = EmbeddedStore::open(&folder.path().join("data"), StoreOptions::default())
        .expect("an empty store");
    let prepare = |id: Option<u64>, article: Article| -> Prepared {
        analyser.prepare(Submission {
            collection: CollectionName::default(),
            article_id: id.map(|id| ArticleId::new(id.to_string()).expect("a number is an id")),
            article,
            explain: false,
            matches_max: 10,
        })
    };
    runtime.block_on(async {
        let mut pending: VecDeque<Pending> = VecDeque::new();
        for number in 0..STORED {
            if pending.len() == 1024 {
                pending.pop_front().expect("one").await.expect("an outcome");
            }
            let prepared = prepare(Some(number), articles.get(number));
            pending.push_back(store.submit(prepared).await.expect("a place in the queue"));
        }
        for outcome in pending {
            outcome.await.expect("an outcome");
        }
    });

    let (bands, width) = calculate_minhash_params(JACCARD_MIN, PERMUTATIONS);
    let hasher = MinHasher32::new(bands * width);
    let mut index = MinHashIndex::new(bands, width, JACCARD_MIN);
    for number in 0..STORED {
        index.insert(number, signature(&hasher, &articles.get(number).body));
    }

    println!("\n## Duplicates of an article of {BYTES} bytes among {STORED}\n");
    println!("| | µs an article | over newsprint's | found for |");
    println!("|---|---|---|---|");
    let rows = take_turns(
        ROUNDS,
        vec![
            (
                "newsprint: topics, fingerprint, candidates from memory, judged on sketches from disk",
                Box::new(|| {
                    let found = queries.iter().filter(|article| {
                        let prepared = prepare(None, (*article).clone());
                        let report = runtime.block_on(store.look_up(&prepared));
                        !report.expect("a report").matches.is_empty()
                    });
                    found.count() as u64
                }),
            ),
            (
                "gaoya: MinHash of 3-word shingles, J ≥ 0.5",
                Box::new(|| {
                    let found = queries.iter().filter(|article| {
                        !index.query(&signature(&hasher, &article.body)).is_empty()
                    });
                    found.count() as u64
                }),
            ),
        ],
    );
    for row in rows {
        let micros = row.median.as_secs_f64() * 1e6 / queries.len() as f64;
        println!("| {} | {micros:.1} | {:.2} | {} of {QUERIES} |", row.name, row.ratio, row.found);
    }
}

fn signature(hasher: &MinHasher32<impl std::hash::BuildHasher>, text: &str) -> Vec<u32> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    hasher.create_signature(words.windows(SHINGLE_WORDS).map(hashable))
}

fn hashable<'w>(shingle: &'w [&'w str]) -> impl Hash + 'w {
    shingle
}
