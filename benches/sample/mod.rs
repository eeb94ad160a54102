//! What `text` and `judge` measure with: articles of two sizes, invented ones or those of
//! `NEWSPRINT_BENCH_TEXTS`, and time enough.

#[path = "../../src/cli/bench/articles.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod articles;
#[path = "../texts/mod.rs"]
mod texts;

use std::time::Duration;

use newsprint::article::Article;
use newsprint::text::Document;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A brief, and an article of the usual length.
pub const SIZES: [usize; 2] = [770, 3400];

/// Enough that no branch predictor learns them by heart.
const ARTICLES: u64 = 200;

pub fn run_benches() {
    // A busy machine slows down for longer than a hundred samples take.
    divan::Divan::from_args().min_time(Duration::from_millis(500)).main();
}

/// Articles of about this length, half to one and a half times as long each.
pub fn articles(bytes: usize) -> Vec<Article> {
    if let Some(path) = texts::path() {
        let texts = texts::read(&path).into_iter();
        return texts
            .filter(|(_, body)| (bytes / 2..bytes * 3 / 2).contains(&body.len()))
            .map(|(title, body)| Article { title, body, ..Article::default() })
            .take(5 * ARTICLES as usize)
            .collect();
    }
    let articles = articles::Articles::new(bytes);
    (0..ARTICLES).map(|number| articles.get(number)).collect()
}

pub fn document(article: &Article) -> Document {
    Document::new(&article.title, &article.body)
}
