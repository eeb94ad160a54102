//! What it costs to read an article: `cargo bench --bench text`, on one core.
//!
//! `text` is every kernel of this machine on its own; the other figures are of the fastest.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on should panic")]

mod sample;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use newsprint::analyser::Analyser;
use newsprint::article::Article;
use newsprint::kernel::Kernel;
use newsprint::simhash::fingerprint;
use newsprint::text::Document;
use sample::{SIZES, articles, document};

fn main() {
    sample::run_benches();
}

/// Times one pass over all articles; the rate is that of the bytes read.
fn pass<T>(bencher: Bencher, articles: &[Article], analyse: impl Fn(usize) -> T + Sync) {
    let bytes: usize =
        articles.iter().map(|article| article.title.len() + article.body.len()).sum();
    bencher.counter(BytesCount::new(bytes)).bench(|| {
        for index in 0..articles.len() {
            black_box(analyse(index));
        }
    });
}

fn kernel_names() -> Vec<&'static str> {
    Kernel::available().into_iter().map(Kernel::name).collect()
}

#[divan::bench(args = kernel_names(), consts = SIZES)]
fn text<const BYTES: usize>(bencher: Bencher, kernel: &str) {
    let articles = articles(BYTES);
    let kernel = Kernel::by_name(kernel).unwrap();
    pass(bencher, &articles, |index| {
        let Article { title, body, .. } = &articles[index];
        Document::read_by(kernel, title, body)
    });
}

#[divan::bench(args = kernel_names(), consts = SIZES)]
fn text_and_fingerprint<const BYTES: usize>(bencher: Bencher, kernel: &str) {
    let articles = articles(BYTES);
    let kernel = Kernel::by_name(kernel).unwrap();
    pass(bencher, &articles, |index| {
        let Article { title, body, .. } = &articles[index];
        fingerprint(&Document::read_by(kernel, title, body))
    });
}

#[divan::bench(consts = SIZES)]
fn fingerprint_alone<const BYTES: usize>(bencher: Bencher) {
    let articles = articles(BYTES);
    let documents: Vec<Document> = articles.iter().map(document).collect();
    pass(bencher, &articles, |index| fingerprint(&documents[index]));
}

#[divan::bench(consts = SIZES)]
fn topics_alone<const BYTES: usize>(bencher: Bencher) {
    let articles = articles(BYTES);
    let documents: Vec<Document> = articles.iter().map(document).collect();
    let topics = Analyser::built_in().unwrap().topics;
    let classifier = topics.classifier("en");
    pass(bencher, &articles, |index| classifier.classify(&documents[index]).known_share);
}

/// With the language, which chooses what the model knows of the words.
#[divan::bench(consts = SIZES)]
fn language_and_topics<const BYTES: usize>(bencher: Bencher) {
    let articles = articles(BYTES);
    let documents: Vec<Document> = articles.iter().map(document).collect();
    let topics = Analyser::built_in().unwrap().topics;
    pass(bencher, &articles, |index| {
        let Article { title, body, .. } = &articles[index];
        topics.answer(&documents[index], title, body, "").classification.known_share
    });
}

#[divan::bench(consts = SIZES)]
fn text_fingerprint_and_topics<const BYTES: usize>(bencher: Bencher) {
    let articles = articles(BYTES);
    let topics = Analyser::built_in().unwrap().topics;
    pass(bencher, &articles, |index| {
        let document = document(&articles[index]);
        let Article { title, body, .. } = &articles[index];
        let said = topics.answer(&document, title, body, "");
        (fingerprint(&document), said.classification.known_share)
    });
}
