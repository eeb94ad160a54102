//! From text to fingerprint.

use gaoya::simhash::{SimHash, SimSipHasher64};
use gaoya::text::whitespace_split;
use newsprint::analyser::Analyser;
use newsprint::simhash::fingerprint;
use newsprint::text::Document;

use crate::{articles, take_turns};

const ARTICLES: usize = 2000;
const BYTES: usize = 2300;
const ROUNDS: usize = 21;

pub fn compare() {
    let articles = articles(ARTICLES, BYTES);
    let bytes: usize =
        articles.iter().map(|article| article.title.len() + article.body.len()).sum();
    let topics = Analyser::built_in().expect("the built-in model").topics;
    // Its words are as they stand in the text: not lower-cased, which would take it longer.
    let simhash = SimHash::<SimSipHasher64, u64, 64>::new(SimSipHasher64::new(1, 2));
    let mut copy = vec![0; articles.iter().map(|article| article.body.len()).max().unwrap_or(0)];

    println!(
        "\n## Text to fingerprint, {ARTICLES} articles of {} bytes, one core\n",
        bytes / articles.len()
    );
    println!("| | GB/s | µs an article | time over gaoya's |");
    println!("|---|---|---|---|");
    let rows = take_turns(
        ROUNDS,
        vec![
            (
                "gaoya SimHash of words, body only",
                Box::new(|| {
                    let signatures = articles
                        .iter()
                        .map(|article| simhash.create_signature(whitespace_split(&article.body)));
                    signatures.fold(0, |all, signature| all ^ signature)
                }),
            ),
            (
                "newsprint, fingerprint",
                Box::new(|| {
                    let prints = articles
                        .iter()
                        .map(|article| fingerprint(&Document::new(&article.title, &article.body)));
                    prints.flatten().fold(0, |all, print| all ^ print)
                }),
            ),
            (
                "newsprint, fingerprint and topics",
                Box::new(|| {
                    let prints = articles.iter().map(|article| {
                        let document = Document::new(&article.title, &article.body);
                        let answer = topics.answer(&document, &article.title, &article.body, "");
                        let topics = answer.classification.topics.len() as u64;
                        fingerprint(&document).unwrap_or_default() ^ topics
                    });
                    prints.fold(0, |all, print| all ^ print)
                }),
            ),
            (
                "memcpy, body only",
                Box::new(|| {
                    let copied = articles.iter().map(|article| {
                        let body = article.body.as_bytes();
                        copy[..body.len()].copy_from_slice(body);
                        u64::from(std::hint::black_box(&copy)[body.len() / 2])
                    });
                    copied.sum()
                }),
            ),
        ],
    );
    for row in rows {
        let seconds = row.median.as_secs_f64();
        println!(
            "| {} | {:.3} | {:.2} | 1/{:.1} |",
            row.name,
            bytes as f64 / seconds / 1e9,
            seconds * 1e6 / articles.len() as f64,
            1.0 / row.ratio,
        );
    }
}
