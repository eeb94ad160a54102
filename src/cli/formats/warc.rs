//! WARC, the archives of crawlers, such as Common Crawl's news: the pages in it.
//!
//! A record is a block of headers as HTTP has them, and a body of the length they tell, so the
//! parser of HTTP headers that the server uses anyway reads them (ISO 28500, section 5).

use std::io::{self, BufRead, Read};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::GzDecoder;
use newsprint::api::pb;

use super::{RECORD_BYTES_MAX, Record};
use crate::cli::fields::{Note, Notes};
use crate::cli::html;
use crate::cli::input::{article_from_text, content_id};

const HEAD_BYTES_MAX: u64 = 64 << 10;
const HEADERS_MAX: usize = 128;

/// Longer addresses cannot be ids.
const ID_BYTES_MAX: usize = 256;

pub fn records(mut reader: impl BufRead, each: &mut dyn FnMut(Record) -> bool) -> Result<()> {
    let mut number = 0;
    loop {
        let behind = || format!("the file cannot be read on behind record {number}");
        let Some(head) = Head::read(&mut reader).with_context(behind)? else { return Ok(()) };
        let mut body = reader.by_ref().take(head.length);
        let mut notes = Notes::default();
        let article = page(&head, &mut body, &mut notes).with_context(behind)?;
        io::copy(&mut body, &mut io::sink()).with_context(behind)?;
        let is_whole = body.limit() == 0;
        ensure!(is_whole, "record {} is cut off", number + 1);
        number += 1;
        let input = head.uri.unwrap_or(head.kind).into_bytes();
        if !each(Record { number, input, article, notes }) {
            return Ok(());
        }
    }
}

/// What the headers of a record say.
struct Head {
    kind: String,
    uri: Option<String>,
    content_type: String,
    length: u64,
}

impl Head {
    /// The head of the next record, None at the end.
    fn read(reader: &mut impl BufRead) -> Result<Option<Head>> {
        let mut bytes = Vec::new();
        let mut head = reader.take(HEAD_BYTES_MAX);
        loop {
            let line_start = bytes.len();
            if head.read_until(b'\n', &mut bytes)? == 0 {
                ensure!(bytes.is_empty(), "a record's head is cut off or too long");
                return Ok(None);
            }
            if bytes[line_start..].trim_ascii().is_empty() {
                if line_start > 0 {
                    break;
                }
                // Between records there are blank lines.
                bytes.clear();
            }
        }
        let version = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        ensure!(bytes.starts_with(b"WARC/"), "there is no WARC record where one should begin");
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let parsed = httparse::parse_headers(&bytes[version..], &mut headers);
        let httparse::Status::Complete((_, headers)) =
            parsed.context("a record's head is broken")?
        else {
            bail!("a record's head is cut off");
        };
        let header = |name: &str| header(headers, name);
        let length = header("Content-Length").and_then(|length| length.parse().ok());
        Ok(Some(Head {
            kind: header("WARC-Type").unwrap_or_default(),
            uri: header("WARC-Target-URI").map(|uri| uri.trim_matches(['<', '>']).to_owned()),
            content_type: header("Content-Type").unwrap_or_default(),
            length: length.context("a record does not tell its length")?,
        }))
    }
}

fn header(headers: &[httparse::Header], name: &str) -> Option<String> {
    let found = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(found.value).trim().to_owned())
}

/// The article in a record, if there is a page in it.
fn page(
    head: &Head,
    body: &mut impl Read,
    notes: &mut Notes,
) -> io::Result<Option<Result<pb::Article, String>>> {
    match head.kind.as_str() {
        "response" | "resource" | "conversion" => {}
        // What was asked for, and what the crawler says of itself.
        _ => return Ok(None),
    }
    if head.length > RECORD_BYTES_MAX as u64 {
        return Ok(Some(Err(format!("the record has more than {RECORD_BYTES_MAX} bytes"))));
    }
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    let (content_type, content) = match head.kind.as_str() {
        "response" => match response(&bytes) {
            Ok(answer) => answer,
            Err(Reason::PassedOver(what)) => {
                notes.add(Note::PassedOver { what }, "");
                return Ok(None);
            }
            Err(Reason::Broken(reason)) => return Ok(Some(Err(reason))),
        },
        _ => (head.content_type.clone(), bytes),
    };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut article = match kind.as_str() {
        "text/html" | "application/xhtml+xml" => {
            html::article(&content, html::charset_of(&content_type))
        }
        "text/plain" => article_from_text(&String::from_utf8_lossy(&content)),
        _ => {
            let what = if kind.is_empty() { "records of no kind".to_owned() } else { kind };
            notes.add(Note::PassedOver { what }, "");
            return Ok(None);
        }
    };
    if let Some(uri) = &head.uri {
        if article.source.is_empty() {
            article.source = host(uri);
        }
        article.url.clone_from(uri);
        article.article_id =
            if uri.len() <= ID_BYTES_MAX { uri.clone() } else { content_id(&article) };
    }
    Ok(Some(Ok(article)))
}

fn host(uri: &str) -> String {
    let host =
        uri.parse::<tonic::codegen::http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let host = host.unwrap_or_default();
    host.strip_prefix("www.").map(str::to_owned).unwrap_or(host)
}

enum Reason {
    PassedOver(String),
    Broken(String),
}

/// The Content-Type and content of what a server answered.
fn response(bytes: &[u8]) -> Result<(String, Vec<u8>), Reason> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let broken = |reason: &str| Reason::Broken(format!("the answer in the record {reason}"));
    let parsed = httparse::ParserConfig::default()
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .parse_response(&mut response, bytes)
        .map_err(|error| broken(&format!("is broken: {error}")))?;
    let httparse::Status::Complete(end) = parsed else { return Err(broken("is cut off")) };
    match response.code {
        Some(200) | None => {}
        Some(code) => return Err(Reason::PassedOver(format!("answers with status {code}"))),
    }
    let header = |name: &str| header(response.headers, name).unwrap_or_default();
    let mut content = bytes[end..].to_vec();
    if header("Transfer-Encoding").eq_ignore_ascii_case("chunked") {
        let mut whole = Vec::new();
        let chunks = chunked_transfer::Decoder::new(&content[..]).read_to_end(&mut whole);
        chunks.map_err(|error| broken(&format!("is cut off: {error}")))?;
        content = whole;
    }
    match header("Content-Encoding").to_ascii_lowercase().as_str() {
        "" | "identity" => {}
        "gzip" | "x-gzip" => {
            let mut whole = Vec::new();
            let unpacked = GzDecoder::new(&content[..]).take(RECORD_BYTES_MAX as u64 + 1);
            let read = { unpacked }.read_to_end(&mut whole);
            read.map_err(|error| broken(&format!("cannot be unpacked: {error}")))?;
            if whole.len() > RECORD_BYTES_MAX {
                return Err(broken("is too long"));
            }
            content = whole;
        }
        other => return Err(broken(&format!("is compressed as '{other}', which cannot be read"))),
    }
    Ok((header("Content-Type"), content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::formats::tests::gzip;

    fn record(kind: &str, uri: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body, b"\r\n\r\n"].concat()
    }

    fn answer(head: &str, body: &[u8]) -> Vec<u8> {
        [b"HTTP/1.1 200 OK\r\n", head.as_bytes(), b"\r\n", body].concat()
    }

    fn read(archive: &[u8]) -> (Vec<Result<pb::Article, String>>, Notes, Option<String>) {
        let (mut articles, mut notes) = (Vec::new(), Notes::default());
        let ended = records(archive, &mut |record| {
            notes.merge(record.notes);
            articles.extend(record.article);
            true
        });
        (articles, notes, ended.err().map(|error| format!("{error:#}")))
    }

    const HTTP: &str = "application/http; msgtype=response";

    #[test]
    fn pages_are_read_and_everything_else_is_passed_over() {
        let page = b"<title>Harbour reopens</title><p>Ships came in.";
        let chunked = b"9\r\n<title>Eb\r\n9\r\nb</title>\r\n0\r\n\r\n";
        let archive = [
            record("warcinfo", "", "application/warc-fields", b"software: a crawler"),
            record("request", "https://www.coast.example/1", HTTP, b"GET /1 HTTP/1.1\r\n\r\n"),
            record(
                "response",
                "https://www.coast.example/1",
                HTTP,
                &answer("Content-Type: text/html\r\n", page),
            ),
            record(
                "response",
                "<https://coast.example/2>",
                HTTP,
                &answer(
                    "Content-Type: text/html; charset=windows-1251\r\nTransfer-Encoding: chunked\r\n",
                    chunked,
                ),
            ),
            record(
                "response",
                "https://coast.example/3",
                HTTP,
                &answer(
                    "Content-Type: text/html\r\nContent-Encoding: gzip\r\n",
                    &gzip(b"<title>Tide</title>"),
                ),
            ),
            record(
                "response",
                "https://coast.example/4",
                HTTP,
                &answer("Content-Type: image/png\r\n", b"\x89PNG"),
            ),
            record("response", "https://coast.example/5", HTTP, b"HTTP/1.1 404 Not Found\r\n\r\n"),
            record(
                "response",
                "https://coast.example/6",
                HTTP,
                &answer("Content-Encoding: br\r\n", b"x"),
            ),
            record(
                "conversion",
                "https://coast.example/7",
                "text/plain",
                "Flut\n\nDas Wasser kam.".as_bytes(),
            ),
        ];
        let (articles, notes, error) = read(&archive.concat());
        assert_eq!(error, None);
        let first = articles[0].as_ref().unwrap();
        assert_eq!(first.title, "Harbour reopens");
        assert_eq!(first.body.as_bytes(), page);
        assert_eq!(first.article_id, "https://www.coast.example/1");
        assert_eq!(first.source, "coast.example");
        let titles: Vec<&str> =
            articles.iter().flatten().map(|article| article.title.as_str()).collect();
        assert_eq!(titles, ["Harbour reopens", "Ebb", "Tide", "Flut"]);
        assert_eq!(articles[1].as_ref().unwrap().url, "https://coast.example/2");
        assert!(articles[3].as_ref().unwrap_err().contains("'br'"));
        let notes: Vec<String> = notes.lines().map(|(line, _)| line).collect();
        assert_eq!(notes, ["answers with status 404 passed over", "image/png passed over"]);
    }

    #[test]
    fn what_is_broken_ends_it_after_what_was_whole() {
        let whole = record("conversion", "https://coast.example/1", "text/plain", b"Tide");
        let check = |rest: &[u8], expected: &str| {
            let (articles, _, error) = read(&[&whole[..], rest].concat());
            assert_eq!(articles.len(), 1);
            let error = error.unwrap();
            assert!(error.contains(expected), "{error}");
        };
        check(&whole[..whole.len() - 6], "record 2 is cut off");
        check(&whole[..40], "behind record 1");
        check(b"junk\r\n\r\n", "no WARC record");
        check(b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", "does not tell its length");
    }
}
