//! What must hold whatever bytes come in: oracles for all that reads what strangers send or what a
//! disk returns. The targets of `fuzz/` are one line each around these functions, and `cargo test`
//! asks them about every input of `fuzz/corpus/`, so what was found once stays found, and about some
//! made of those.
#![expect(clippy::unwrap_used, reason = "an oracle says no by a panic")]

use std::sync::LazyLock;

use bytes::Bytes;
use prost::Message;

use crate::access::Identities;
use crate::api::pb;
use crate::config::Limits;
use crate::duplicates::{Counts, Judge, Known, Probe, Sketch, posting_keys};
use crate::kernel::Kernel;
use crate::model::Model;
use crate::simhash;
use crate::text::{self, Document, Word};

/// The text pipeline: every kernel reads what the specification reads, and the words stand in the
/// text in order. The first line is the title.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (title, body) = text.split_once('\n').unwrap_or(("", &text));
    let read = |words: &[Word]| -> Vec<_> {
        words.iter().map(|word| (word.hash, word.span(), word.class())).collect()
    };
    let expected = read(&text::slow_words(body));
    for kernel in Kernel::available() {
        let document = Document::read_by(kernel, title, body);
        assert_eq!(read(&document.body), expected, "{kernel:?}");
        let words = [(title, &document.title), (body, &document.body)];
        for (text, words) in words {
            assert!(words.iter().all(|word| text.get(word.span()).is_some()));
            // Some characters, such as ½, are several words in one place.
            assert!(words.is_sorted_by_key(|word| word.span().start));
        }
        let quoted = &document.quoted;
        assert!(quoted.is_sorted_by(|a, b| a.end < b.start));
        assert!(quoted.last().is_none_or(|last| last.end <= document.body.len()));
        simhash::fingerprint(&document);
        posting_keys(&document);
        let sketch = Sketch::new(&document);
        assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
    }
}

/// A request of one article and one of several: what prost reads is read, and alike; the rest is
/// refused.
pub fn request(data: &[u8]) {
    let message = Bytes::copy_from_slice(data);
    let limits = Limits::default();
    crate::api::check_request(message.clone(), limits);
    if let Ok(request) = pb::BatchSubmitArticlesRequest::decode(message) {
        crate::api::check_request(request.encode_to_vec().into(), limits);
    }
}

/// A token of a page, in the bytes that clients send as base64.
pub fn page_token(data: &[u8]) {
    crate::store::check_any_token(data);
}

/// Rows as they stand on disk: refused, or the same after writing and reading them again.
pub fn records(data: &[u8]) {
    crate::store::check_any_record(data);
}

/// A sketch and a table of counts as they stand on disk.
pub fn sketches(data: &[u8]) {
    if let Some(counts) = Counts::from_bytes(data) {
        assert_eq!(counts.to_bytes(), data);
    }
    if let Some(sketch) = Sketch::from_bytes(data) {
        assert_eq!(sketch.to_bytes(), data);
        let counts = Counts::default();
        counts.add(&sketch, None);
        counts.add(&sketch, Some(Known::new(&sketch)));
        let judge = &*BUILT_IN_JUDGE;
        let comparison = judge.compare(&Probe::new(&sketch, &counts), &sketch);
        assert!((0.0..=1.0).contains(&comparison.probability));
    }
}

/// A model file, and one with its length and checksum put right: refused, or good for an analysis.
pub fn model(data: &[u8]) {
    const LENGTH: std::ops::Range<usize> = 12..20;
    let whole = |content: &[u8]| {
        let mut file = content.to_vec();
        let len = (content.len() + size_of::<u64>()) as u64;
        if let Some(length) = file.get_mut(LENGTH) {
            length.copy_from_slice(&len.to_le_bytes());
        }
        let checksum = xxhash_rust::xxh3::xxh3_64(&file).to_le_bytes();
        [&file[..], &checksum[..]].concat()
    };
    for file in [data.to_vec(), whole(data)] {
        let Ok(model) = Model::from_bytes(&file) else { continue };
        assert_eq!(Model::from_bytes(&model.to_bytes()).as_ref(), Ok(&model));
        if let Some(topics) = model.topics {
            let body = "The ministers agreed on tariffs after the shelling of a harbour.";
            let document = Document::new("Notice", body);
            for classifier in topics.classifiers() {
                classifier.classify(&document);
                classifier.explain(&document, "Notice", body, 5);
            }
        }
        if let Some(judge) = model.judge
            && let Ok(judge) = serde_json::from_slice::<Judge>(&judge)
        {
            let sketch = Sketch::new(&Document::new("", "one two three four five six seven"));
            let other = Sketch::new(&Document::new("", "one two three four five six eight"));
            judge.compare(&Probe::new(&sketch, &Counts::default()), &other);
        }
    }
}

/// A file of settings and one of identities: refused, or settings that can be worked with and that
/// are the same when they are written down and read again.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    crate::config::check_file(text);
    let _ = Identities::parse(text);
}

/// A file to import.
#[cfg(fuzzing)]
pub fn import(data: &[u8]) {
    crate::cli::check_import(data);
}

static BUILT_IN_JUDGE: LazyLock<Judge> = LazyLock::new(|| {
    let model = Model::from_bytes(include_bytes!("../models/topics.bin")).unwrap();
    serde_json::from_slice(&model.judge.unwrap()).unwrap()
});

#[cfg(test)]
#[path = "../fuzz/mutate.rs"]
mod mutate;

/// A target each, so that they run side by side.
#[cfg(test)]
mod tests {
    use super::mutate::ask;

    macro_rules! targets {
        ($($name:ident),*) => {
            $(#[test]
            fn $name() {
                ask(stringify!($name), super::$name);
            })*
        };
    }

    targets!(text, request, page_token, records, sketches, model, settings);
}
