//! The articles of a file, in batches as a server takes them.

use std::io;

use newsprint::api::pb;
use newsprint::article::ArticleId;
use prost::Message;

use super::input::article_from_json;
use super::lines::{Line, Lines};

/// Longer lines are no articles.
const LINE_BYTES_MAX: usize = 16 << 20;

/// What a batch has in its message beside the articles, and each article beside itself.
const MESSAGE_OVERHEAD_BYTES: usize = 1024;
const ARTICLE_OVERHEAD_BYTES: usize = 16;

/// Some consecutive lines of a file.
#[derive(Debug, Default)]
pub struct Batch {
    pub articles: Vec<pb::Article>,
    /// Where the articles come from, one for one.
    pub origins: Vec<Origin>,
    /// Lines that are no articles.
    pub refused: Vec<Refused>,
    /// The last line that belongs here, and how many bytes of the file were read for it.
    pub last_line: u64,
    pub bytes_read: u64,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub line: u64,
    pub text: Vec<u8>,
}

/// A line that did not become a remembered article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub origin: Origin,
    pub reason: String,
}

/// How large a batch may be.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    pub articles_max: usize,
    pub message_bytes_max: usize,
}

pub struct BatchReader {
    lines: Lines,
    limits: BatchLimits,
    /// An article that found no room in the batch before.
    waiting: Option<(pb::Article, Origin)>,
}

impl BatchReader {
    pub fn new(lines: Lines, limits: BatchLimits) -> Self {
        BatchReader { lines, limits, waiting: None }
    }

    /// Passes over the first lines of the file.
    pub fn skip(&mut self, lines: u64) -> io::Result<()> {
        while self.lines.line() < lines && self.lines.next(LINE_BYTES_MAX)?.is_some() {}
        Ok(())
    }

    /// The next batch, None at the end of the file.
    pub fn next(&mut self) -> io::Result<Option<Batch>> {
        let mut batch = Batch::default();
        let mut bytes = MESSAGE_OVERHEAD_BYTES;
        let BatchLimits { articles_max, message_bytes_max } = self.limits;
        if let Some((article, origin)) = self.waiting.take() {
            bytes += message_bytes(&article);
            batch.add(article, origin);
        }
        while batch.articles.len() < articles_max && batch.refused.len() < articles_max {
            let Some(line) = self.lines.next(LINE_BYTES_MAX)? else { break };
            let line_number = self.lines.line();
            let (origin, parsed) = parse(line, line_number);
            let article = match parsed {
                Some(Ok(article)) => article,
                Some(Err(reason)) => {
                    batch.refuse(origin, reason);
                    continue;
                }
                None => {
                    batch.last_line = line_number;
                    continue;
                }
            };
            let article_bytes = message_bytes(&article);
            if article_bytes + MESSAGE_OVERHEAD_BYTES > message_bytes_max {
                let reason = format!(
                    "the article has {article_bytes} bytes; the server takes messages of at most \
                     {message_bytes_max}"
                );
                batch.refuse(origin, reason);
                continue;
            }
            bytes += article_bytes;
            if bytes > message_bytes_max {
                self.waiting = Some((article, origin));
                break;
            }
            batch.add(article, origin);
        }
        batch.bytes_read = self.lines.bytes_read();
        Ok((batch.last_line > 0).then_some(batch))
    }
}

impl Batch {
    fn add(&mut self, article: pb::Article, origin: Origin) {
        self.last_line = origin.line;
        self.articles.push(article);
        self.origins.push(origin);
    }

    fn refuse(&mut self, origin: Origin, reason: String) {
        self.last_line = origin.line;
        self.refused.push(Refused { origin, reason });
    }
}

/// The article in a line, or why there is none; None for a blank line.
fn parse(line: Line, number: u64) -> (Origin, Option<Result<pb::Article, String>>) {
    let text = match line {
        Line::Text(text) => text,
        Line::TooLong => {
            let reason = format!("the line has more than {LINE_BYTES_MAX} bytes");
            return (Origin { line: number, text: Vec::new() }, Some(Err(reason)));
        }
    };
    let parsed = if text.trim_ascii().is_empty() { None } else { Some(article(&text)) };
    (Origin { line: number, text }, parsed)
}

fn article(json: &[u8]) -> Result<pb::Article, String> {
    let mut article = article_from_json(json)?;
    if article.article_id.is_empty() {
        // With an id a batch can be sent again without its articles becoming copies of themselves.
        article.article_id = ArticleId::generate().to_string();
    }
    Ok(article)
}

fn message_bytes(article: &pb::Article) -> usize {
    article.encoded_len() + ARTICLE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(content: &str, skipped: u64, limits: BatchLimits) -> Vec<Batch> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("articles.jsonl");
        fs::write(&path, content).unwrap();
        let mut reader = BatchReader::new(Lines::open(&path).unwrap(), limits);
        reader.skip(skipped).unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = reader.next().unwrap() {
            batches.push(batch);
        }
        batches
    }

    fn lines_of(batch: &Batch) -> Vec<u64> {
        batch.origins.iter().map(|origin| origin.line).collect()
    }

    const LIMITS: BatchLimits = BatchLimits { articles_max: 2, message_bytes_max: 4 << 20 };

    fn numbered(count: usize) -> String {
        (1..=count)
            .map(|n| format!("{{\"id\": \"{n}\", \"title\": \"Tide table {n}\"}}\n"))
            .collect()
    }

    #[test]
    fn batches_follow_each_other_without_a_gap() {
        let batches = read(&numbered(5), 0, LIMITS);
        assert_eq!(
            batches.iter().map(lines_of).collect::<Vec<_>>(),
            [vec![1, 2], vec![3, 4], vec![5]]
        );
        assert_eq!(batches.iter().map(|batch| batch.last_line).collect::<Vec<_>>(), [2, 4, 5]);
        let ids = batches.iter().flat_map(|batch| &batch.articles).map(|it| it.article_id.as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn skipped_lines_keep_their_numbers() {
        let batches = read(&numbered(5), 3, LIMITS);
        assert_eq!(batches.iter().map(lines_of).collect::<Vec<_>>(), [vec![4, 5]]);
        assert!(read(&numbered(5), 5, LIMITS).is_empty());
        assert!(read(&numbered(5), 99, LIMITS).is_empty());
    }

    #[test]
    fn lines_that_are_no_articles_are_told_apart() {
        let batches =
            read("{\"title\": \"Tide\"}\n\n[]\n{\n \n{\"title\": \"Ebb\"}\n\n", 0, LIMITS);
        assert_eq!(batches.len(), 2, "{batches:?}");
        assert_eq!(lines_of(&batches[0]), [1]);
        let refused: Vec<u64> = batches[0].refused.iter().map(|it| it.origin.line).collect();
        assert_eq!(refused, [3, 4]);
        assert_eq!(batches[0].refused[1].origin.text, b"{");
        assert_eq!((lines_of(&batches[1]), batches[1].last_line), (vec![6], 7));
    }

    #[test]
    fn no_message_is_too_large() {
        let body = "Ships came in. ".repeat(100);
        let content: String =
            (1..=4).map(|n| format!("{{\"id\": {n}, \"body\": \"{body}\"}}\n")).collect();
        let huge = format!("{{\"id\": 5, \"body\": \"{}\"}}\n", body.repeat(4));
        let limits = BatchLimits { articles_max: 100, message_bytes_max: 5000 };
        let batches = read(&(content + &huge + "{\"title\": \"Tide\"}"), 0, limits);
        assert_eq!(batches.iter().map(lines_of).collect::<Vec<_>>(), [vec![1, 2], vec![3, 4, 6]]);
        assert!(batches[1].refused[0].reason.contains("at most 5000"));
        for batch in batches {
            let message =
                pb::BatchSubmitArticlesRequest { articles: batch.articles, ..Default::default() };
            assert!(message.encoded_len() <= 5000);
        }
    }

    #[test]
    fn an_article_without_an_id_is_given_one() {
        let batches = read("{\"title\": \"Tide\"}\n{\"title\": \"Tide\"}\n", 0, LIMITS);
        let [first, second] = &batches[0].articles[..] else { panic!("{batches:?}") };
        assert!(!first.article_id.is_empty() && first.article_id != second.article_id);
    }
}
