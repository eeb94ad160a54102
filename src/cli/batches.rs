//! The articles of a file, in batches as a server takes them.

use anyhow::{Result, bail};
use newsprint::api::pb;
use prost::Message;
use xxhash_rust::xxh3::Xxh3Default;

use super::fields::Notes;
use super::formats::{Record, Source};
use super::input::content_id;

/// What a batch has in its message beside the articles, and each article beside itself.
const MESSAGE_OVERHEAD_BYTES: usize = 1024;
const ARTICLE_OVERHEAD_BYTES: usize = 16;

/// If so many records come first of which none is an article, the file is taken for something else,
/// and nothing of it is handed on.
const STRANGE_RECORDS_MAX: u64 = 100;

/// Some consecutive records of a file.
#[derive(Debug, Default)]
pub struct Batch {
    pub articles: Vec<pb::Article>,
    /// Where the articles come from, one for one.
    pub origins: Vec<Origin>,
    /// Records that are no articles.
    pub refused: Vec<Refused>,
    pub notes: Notes,
    /// Where the file stands behind it.
    pub end: Mark,
}

/// A record of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub number: u64,
    pub input: Vec<u8>,
}

/// A record that did not become a remembered article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub origin: Origin,
    pub reason: String,
}

/// A place in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// So many records come before it.
    pub records: u64,
    /// What they are made into, as a hash: of another file, or of one that is read in another way,
    /// it is another.
    pub digest: String,
    /// So many bytes of the file were read for them.
    pub bytes_read: u64,
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub articles_max: usize,
    pub message_bytes_max: usize,
}

/// Puts records together to batches, and hands those on.
pub struct Batcher<'e> {
    limits: BatchLimits,
    each: &'e mut dyn FnMut(Batch) -> bool,
    batch: Batch,
    message_bytes: usize,
    hasher: Xxh3Default,
    articles: u64,
    /// Why the first record that is no article is none.
    first_refusal: String,
    refusals: u64,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was read to its end, or as far as it was wanted.
    Read,
    /// It does not begin with the records that are done already. Nothing was handed on.
    OtherRecords,
}

/// Hands on the articles of a file in batches, until there are no more or whoever takes them has
/// enough. Of a file whose first records are done already, `done` says how many and their digest;
/// `begin` is called when it is known that they are those. What could be read before an error is
/// handed on before that is returned.
pub fn read(
    source: Source,
    done: Option<&Mark>,
    limits: BatchLimits,
    begin: &mut dyn FnMut(),
    each: &mut dyn FnMut(Batch) -> bool,
) -> Result<Ended> {
    let unit = source.unit();
    let mut batcher = Batcher::new(limits, each);
    let done_records = done.map_or(0, |done| done.records);
    let mut has_begun = done_records == 0;
    let mut is_other = false;
    if has_begun {
        begin();
    }
    let mut strange = None;
    let read = source.records(&mut |record, bytes_read| {
        if !has_begun {
            batcher.pass_over(&record, bytes_read);
            if record.number == done_records {
                is_other = done.is_none_or(|done| done.digest != batcher.digest());
                has_begun = !is_other;
                if has_begun {
                    begin();
                }
            }
            return !is_other;
        }
        let goes_on = batcher.add(record, bytes_read);
        strange = batcher.strange(unit);
        goes_on && strange.is_none()
    });
    if !has_begun {
        return Ok(Ended::OtherRecords);
    }
    if let Some(reason) = strange {
        bail!(reason);
    }
    if batcher.finish() {
        read?;
    }
    Ok(Ended::Read)
}

impl<'e> Batcher<'e> {
    fn new(limits: BatchLimits, each: &'e mut dyn FnMut(Batch) -> bool) -> Self {
        Batcher {
            limits,
            each,
            batch: Batch::default(),
            message_bytes: MESSAGE_OVERHEAD_BYTES,
            hasher: Xxh3Default::new(),
            articles: 0,
            first_refusal: String::new(),
            refusals: 0,
        }
    }

    /// Takes a record in; false if no more are wanted.
    fn add(&mut self, record: Record, bytes_read: u64) -> bool {
        let BatchLimits { articles_max, message_bytes_max } = self.limits;
        let mut goes_on = true;
        let Record { number, input, article, notes } = record;
        let origin = Origin { number, input };
        match article {
            None => {}
            Some(Err(reason)) => {
                if self.refusals == 0 {
                    self.first_refusal.clone_from(&reason);
                }
                self.refusals += 1;
                self.batch.refused.push(Refused { origin: origin.clone(), reason });
            }
            Some(Ok(mut article)) => {
                self.articles += 1;
                if article.article_id.is_empty() {
                    // With an id it can be sent again without becoming a copy of itself.
                    article.article_id = content_id(&article);
                }
                let article_bytes = message_bytes(&article);
                if article_bytes + MESSAGE_OVERHEAD_BYTES > message_bytes_max {
                    let reason = format!(
                        "the article has {article_bytes} bytes; the server takes messages of at \
                         most {message_bytes_max}"
                    );
                    self.hash(&article);
                    self.batch.refused.push(Refused { origin: origin.clone(), reason });
                } else {
                    if self.message_bytes + article_bytes > message_bytes_max {
                        goes_on = self.hand_on();
                    }
                    self.message_bytes += article_bytes;
                    self.hash(&article);
                    self.batch.articles.push(article);
                    self.batch.origins.push(origin.clone());
                }
            }
        }
        self.batch.notes.merge(notes);
        self.mark(&origin, bytes_read);
        // While nothing was an article yet, it is not known whether anything will be.
        let is_full = self.batch.articles.len() >= articles_max
            || self.articles > 0 && self.batch.refused.len() >= articles_max;
        goes_on && (!is_full || self.hand_on())
    }

    /// Takes note of a record that is done with.
    fn pass_over(&mut self, record: &Record, bytes_read: u64) {
        if let Some(Ok(article)) = &record.article {
            self.articles += 1;
            self.hash(article);
        }
        let origin = Origin { number: record.number, input: record.input.clone() };
        self.mark(&origin, bytes_read);
    }

    fn hash(&mut self, article: &pb::Article) {
        for text in [&article.title, &article.body] {
            self.hasher.update(&(text.len() as u64).to_le_bytes());
            self.hasher.update(text.as_bytes());
        }
    }

    fn mark(&mut self, origin: &Origin, bytes_read: u64) {
        self.hasher.update(&(origin.input.len() as u64).to_le_bytes());
        self.hasher.update(&origin.input);
        self.batch.end.records = origin.number;
        self.batch.end.bytes_read = bytes_read;
    }

    fn digest(&self) -> String {
        format!("{:032x}", self.hasher.digest128())
    }

    /// Why the file is taken for something else than one of articles.
    fn strange(&self, unit: &str) -> Option<String> {
        let is_strange = self.articles == 0 && self.refusals >= STRANGE_RECORDS_MAX;
        is_strange.then(|| {
            format!(
                "none of its first {STRANGE_RECORDS_MAX} {unit}s is an article (the first: {}); \
                 --format says what the file is, --map how its fields are called",
                self.first_refusal
            )
        })
    }

    /// Hands on what is there; false if no more is wanted.
    fn hand_on(&mut self) -> bool {
        self.message_bytes = MESSAGE_OVERHEAD_BYTES;
        self.batch.end.digest = self.digest();
        let end = self.batch.end.clone();
        let batch = std::mem::replace(&mut self.batch, Batch { end, ..Batch::default() });
        (self.each)(batch)
    }

    fn finish(mut self) -> bool {
        self.batch.end.records == 0 || self.hand_on()
    }
}

fn message_bytes(article: &pb::Article) -> usize {
    article.encoded_len() + ARTICLE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::formats::Reading;

    fn open(content: &str) -> Source {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("articles.jsonl");
        fs::write(&path, content).unwrap();
        Source::open(&path, &Reading::default()).unwrap()
    }

    fn read_from(
        content: &str,
        done: Option<&Mark>,
        limits: BatchLimits,
    ) -> (Vec<Batch>, Result<Ended>) {
        let (mut batches, mut begun) = (Vec::new(), 0);
        let ended = read(open(content), done, limits, &mut || begun += 1, &mut |batch| {
            batches.push(batch);
            true
        });
        assert_eq!(begun, usize::from(!matches!(ended, Ok(Ended::OtherRecords))));
        (batches, ended)
    }

    fn read_all(content: &str, limits: BatchLimits) -> Vec<Batch> {
        let (batches, ended) = read_from(content, None, limits);
        assert_eq!(ended.unwrap(), Ended::Read);
        batches
    }

    fn numbers_of(batch: &Batch) -> Vec<u64> {
        batch.origins.iter().map(|origin| origin.number).collect()
    }

    const LIMITS: BatchLimits = BatchLimits { articles_max: 2, message_bytes_max: 4 << 20 };

    fn numbered(count: usize) -> String {
        (1..=count)
            .map(|n| format!("{{\"id\": \"{n}\", \"title\": \"Tide table {n}\"}}\n"))
            .collect()
    }

    #[test]
    fn batches_follow_each_other_without_a_gap() {
        let batches = read_all(&numbered(5), LIMITS);
        let numbers: Vec<_> = batches.iter().map(numbers_of).filter(|it| !it.is_empty()).collect();
        assert_eq!(numbers, [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(batches.iter().map(|batch| batch.end.records).collect::<Vec<_>>(), [2, 4, 5]);
        let ids = batches.iter().flat_map(|batch| &batch.articles).map(|it| it.article_id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn records_that_are_done_are_known_by_their_content() {
        let whole = numbered(5);
        let marks: Vec<Mark> =
            read_all(&whole, LIMITS).into_iter().map(|batch| batch.end).collect();
        let (rest, ended) = read_from(&whole, Some(&marks[1]), LIMITS);
        assert_eq!(
            (rest.iter().map(numbers_of).collect::<Vec<_>>(), ended.unwrap()),
            (vec![vec![5]], Ended::Read)
        );
        // The file has grown.
        let (rest, _) = read_from(&numbered(6), Some(&marks[2]), LIMITS);
        assert_eq!(rest.iter().map(numbers_of).collect::<Vec<_>>(), [vec![6]]);
        // It is another one: in one of the records, or shorter.
        for other in [whole.replace("table 2", "table two"), numbered(3), String::new()] {
            let (batches, ended) = read_from(&other, Some(&marks[1]), LIMITS);
            assert_eq!((batches.len(), ended.unwrap()), (0, Ended::OtherRecords));
        }
    }

    #[test]
    fn records_that_are_no_articles_are_told_apart() {
        let batches =
            read_all("{\"title\": \"Tide\"}\n\n[]\n{\n \n{\"title\": \"Ebb\"}\n\n", LIMITS);
        let refused: Vec<&Refused> = batches.iter().flat_map(|batch| &batch.refused).collect();
        assert_eq!(refused.iter().map(|it| it.origin.number).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(refused[1].origin.input, b"{");
        assert_eq!(batches.iter().flat_map(numbers_of).collect::<Vec<_>>(), [1, 6]);
        assert_eq!(batches.last().unwrap().end.records, 7);
    }

    #[test]
    fn no_message_is_too_large() {
        let body = "Ships came in. ".repeat(100);
        let content: String =
            (1..=4).map(|n| format!("{{\"id\": {n}, \"body\": \"{body}\"}}\n")).collect();
        let huge = format!("{{\"id\": 5, \"body\": \"{}\"}}\n", body.repeat(4));
        let limits = BatchLimits { articles_max: 100, message_bytes_max: 5000 };
        let batches = read_all(&(content + &huge + "{\"title\": \"Tide\"}"), limits);
        assert_eq!(batches.iter().map(numbers_of).collect::<Vec<_>>(), [vec![1, 2], vec![3, 4, 6]]);
        assert!(batches[1].refused[0].reason.contains("at most 5000"));
        assert_eq!(batches.iter().map(|batch| batch.end.records).collect::<Vec<_>>(), [2, 6]);
        for batch in batches {
            let message =
                pb::BatchSubmitArticlesRequest { articles: batch.articles, ..Default::default() };
            assert!(message.encoded_len() <= 5000);
        }
    }

    #[test]
    fn an_article_without_an_id_is_named_by_its_content() {
        let lines = "{\"title\": \"Tide\"}\n{\"title\": \"Ebb\"}\n";
        let ids = || -> Vec<String> {
            let batches = read_all(lines, LIMITS);
            batches[0].articles.iter().map(|article| article.article_id.clone()).collect()
        };
        assert_eq!(ids(), ids());
        assert_ne!(ids()[0], ids()[1]);
    }

    #[test]
    fn a_file_of_something_else_is_one_error() {
        let limits = BatchLimits { articles_max: 10, ..LIMITS };
        let (batches, ended) = read_from(&"Ships came in.\n".repeat(9999), None, limits);
        let reason = ended.unwrap_err().to_string();
        assert!(
            reason.contains("none of its first 100 lines is an article (the first: not a JSON")
        );
        assert!(batches.is_empty());
        let (_, ended) =
            read_from(&("x\n".repeat(99) + &numbered(1) + &"x\n".repeat(999)), None, limits);
        assert_eq!(ended.unwrap(), Ended::Read);
    }
}
