//! What an article is about.

use std::fs::File;
use std::io::{BufWriter, Write};

use fasttext::FastText;
use fasttext::args::{Args, LossName};
use newsprint::analyser::Analyser;
use newsprint::text::Document;

use crate::{articles, take_turns};

const TRAINING: usize = 5000;
const BYTES: usize = 2300;
const ROUNDS: usize = 11;
const ARTICLES: usize = 1000;

/// What our model reads of an article. The other is given no more.
const WORDS_READ: usize = 300;

pub fn compare() {
    let articles = articles(TRAINING, BYTES);
    let topics = Analyser::built_in().expect("the built-in model").topics;
    // Lower-cased and cut before the clock starts.
    let texts: Vec<String> = articles
        .iter()
        .map(|article| {
            let text = format!("{} {}", article.title, article.body).to_lowercase();
            text.split_whitespace().take(WORDS_READ).collect::<Vec<_>>().join(" ")
        })
        .collect();

    // Which labels it learns does not matter to its speed: it learns ours.
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("texts");
    let mut file = BufWriter::new(File::create(&input).expect("a file"));
    for (article, text) in articles.iter().zip(&texts) {
        let document = Document::new(&article.title, &article.body);
        let answer = topics.answer(&document, &article.title, &article.body, "");
        let assigned = answer.classification.topics.iter().filter(|topic| topic.assigned);
        let mut labels: String =
            assigned.map(|topic| format!("__label__{} ", topic.label)).collect();
        if labels.is_empty() {
            labels.push_str("__label__none ");
        }
        writeln!(file, "{labels}{text}").expect("room on the disk");
    }
    file.flush().expect("room on the disk");
    drop(file);
    let mut args = Args { input, word_ngrams: 2, ..Args::default() };
    args.apply_supervised_defaults();
    args.loss = LossName::OneVsAll;
    args.dim = 50;
    args.epoch = 2;
    args.thread = 1;
    let model = FastText::train(args).expect("a model");

    let count = ARTICLES.min(articles.len());
    println!("\n## Topics, {count} articles, one core\n");
    println!("| | µs an article | over newsprint's |");
    println!("|---|---|---|");
    let rows = take_turns(
        ROUNDS,
        vec![
            (
                "newsprint, whole text to topics",
                Box::new(|| {
                    let assigned = articles[..count].iter().map(|article| {
                        let document = Document::new(&article.title, &article.body);
                        let answer = topics.answer(&document, &article.title, &article.body, "");
                        answer.classification.topics.iter().filter(|topic| topic.assigned).count()
                            as u64
                    });
                    assigned.sum()
                }),
            ),
            (
                "fastText, word pairs, 50 dimensions, 300 words cut and lower-cased before",
                Box::new(|| {
                    let predicted = texts[..count].iter().map(|text| model.predict(text, 4, 0.5));
                    predicted.map(|labels| labels.len() as u64).sum()
                }),
            ),
        ],
    );
    for row in rows {
        let micros = row.median.as_secs_f64() * 1e6 / count as f64;
        println!("| {} | {micros:.1} | {:.2} |", row.name, row.ratio);
    }
}
