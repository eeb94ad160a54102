//! What `text` and `judge` measure with: invented articles of two sizes, and time enough.

#[path = "../../src/cli/bench/articles.rs"]
#[expect(dead_code, reason = "not all of it is needed here")]
mod articles;

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

pub fn articles(bytes: usize) -> Vec<Article> {
    let articles = articles::Articles::new(bytes);
    (0..ARTICLES).map(|number| articles.get(number)).collect()
}

pub fn document(article: &Article) -> Document {
    Document::new(&article.title, &article.body)
}
