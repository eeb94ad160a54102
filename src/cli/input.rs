//! Articles as people keep them: text, HTML and JSON.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use newsprint::api::pb;
use serde::Deserialize;

/// Reads the article in a file; `-` stands for standard input. With a title given, a text is all
/// body.
///
/// What the file holds is told by its name, and on standard input by its first character.
pub fn read_article(path: &Path, title: Option<&str>) -> Result<pb::Article> {
    let name = display_name(path);
    let bytes = if is_stdin(path) { read_stdin() } else { fs::read(path) };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        anyhow!("{name} is not UTF-8 text; convert it first, for example with iconv -t UTF-8")
    })?;
    if text.contains('\0') {
        bail!("{name} is no text");
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut article = match kind_of(path, text) {
        Kind::Many => bail!("{name} holds more than one article; use 'newsprint import {name}'"),
        Kind::Json => article_from_json(text.as_bytes())
            .map_err(|reason| anyhow!("{name} is no article: {reason}"))?,
        Kind::Html => article_from_body(text),
        Kind::Text if title.is_some() => article_from_body(text),
        Kind::Text => article_from_text(text),
    };
    if let Some(title) = title {
        title.clone_into(&mut article.title);
    }
    Ok(article)
}

enum Kind {
    Text,
    Html,
    Json,
    /// A file of many articles.
    Many,
}

fn kind_of(path: &Path, text: &str) -> Kind {
    if is_stdin(path) {
        return match text.trim_start().as_bytes().first() {
            Some(b'{') => Kind::Json,
            Some(b'<') => Kind::Html,
            _ => Kind::Text,
        };
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "json" => Kind::Json,
        "html" | "htm" | "xhtml" => Kind::Html,
        "jsonl" | "ndjson" => Kind::Many,
        _ => Kind::Text,
    }
}

pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// A file's name for people.
pub fn display_name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first line that is not blank is the title, what follows the body.
fn article_from_text(text: &str) -> pb::Article {
    let text = text.trim_start();
    let (title, body) = text.split_once('\n').unwrap_or((text, ""));
    pb::Article {
        title: title.trim_end().to_owned(),
        body: body.trim().to_owned(),
        ..pb::Article::default()
    }
}

/// A page is taken as it is: which part of it is the headline nobody can tell for sure.
fn article_from_body(text: &str) -> pb::Article {
    pb::Article { body: text.to_owned(), ..pb::Article::default() }
}

/// An article as JSON: the contract's fields under their names there, in either spelling that
/// protobuf has for JSON, or under the names that collections of articles often use.
#[derive(Deserialize)]
struct JsonArticle {
    #[serde(alias = "articleId")]
    article_id: Option<Id>,
    id: Option<Id>,
    title: Option<String>,
    body: Option<String>,
    text: Option<String>,
    url: Option<String>,
    source: Option<String>,
    #[serde(alias = "publishTime")]
    publish_time: Option<String>,
    date: Option<serde_json::Value>,
    language: Option<String>,
    attributes: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(serde_json::Number),
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        }
    }
}

/// Reads an article from JSON. Fields that are not the contract's are ignored. The error is a
/// reason for people.
pub fn article_from_json(json: &[u8]) -> Result<pb::Article, String> {
    // The parser would take a list for the fields in their order.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err("not a JSON object".to_owned());
    }
    let article: JsonArticle = serde_json::from_slice(json).map_err(|error| reason(&error))?;
    let publish_time = match article.publish_time {
        Some(text) => Some(text.parse().map_err(|_| {
            format!("publish_time '{text}' is no time such as 2026-04-01T08:30:00Z")
        })?),
        // Anything may be called a date: it is taken if it is one.
        None => article.date.and_then(|date| date.as_str()?.parse().ok()),
    };
    Ok(pb::Article {
        article_id: article.article_id.or(article.id).map(String::from).unwrap_or_default(),
        title: article.title.unwrap_or_default(),
        body: article.body.or(article.text).unwrap_or_default(),
        url: article.url.unwrap_or_default(),
        source: article.source.unwrap_or_default(),
        publish_time,
        language: article.language.unwrap_or_default(),
        attributes: article.attributes.unwrap_or_default(),
    })
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Of a single line only the column is news.
    let text = text.replace(" at line 1 column ", " at column ");
    if error.is_data() { text } else { format!("not JSON: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_text_is_its_title() {
        let check = |text: &str, title: &str, body: &str| {
            let article = article_from_text(text);
            assert_eq!((article.title.as_str(), article.body.as_str()), (title, body));
        };
        check("Harbour reopens\n\nShips came in.\n", "Harbour reopens", "Ships came in.");
        check("\n \r\nHarbour reopens\r\nShips\r\n", "Harbour reopens", "Ships");
        check("Harbour reopens", "Harbour reopens", "");
        check("", "", "");
    }

    #[test]
    fn json_has_the_names_of_the_contract_or_common_ones() {
        let expected = pb::Article {
            article_id: "7".to_owned(),
            title: "Harbour reopens".to_owned(),
            body: "Ships came in.".to_owned(),
            source: "Coast Daily".to_owned(),
            publish_time: Some(prost_types::Timestamp { seconds: 1_775_001_600, nanos: 0 }),
            ..pb::Article::default()
        };
        let check = |ends: &str| {
            let json = format!(
                r#"{{"title": "Harbour reopens", "source": "Coast Daily", "labels": [1], {ends}}}"#
            );
            assert_eq!(article_from_json(json.as_bytes()).as_ref(), Ok(&expected), "{json}");
        };
        check(
            r#""article_id": "7", "body": "Ships came in.", "publish_time": "2026-04-01T00:00:00Z""#,
        );
        check(
            r#""articleId": "7", "body": "Ships came in.", "publishTime": "2026-04-01T00:00:00Z""#,
        );
        check(r#""id": 7, "text": "Ships came in.", "date": "2026-04-01""#);
        check(
            r#""id": 8, "article_id": 7, "text": "", "body": "Ships came in.", "url": null, "date": "2026-04-01""#,
        );
    }

    #[test]
    fn a_date_that_is_none_is_left_out() {
        for date in ["\"last week\"", "17", "null", "{}"] {
            let json = format!(r#"{{"title": "Harbour reopens", "date": {date}}}"#);
            assert_eq!(article_from_json(json.as_bytes()).map(|it| it.publish_time), Ok(None));
        }
    }

    #[test]
    fn what_is_no_article_is_refused_with_a_reason() {
        let check = |json: &str, expected: &str| {
            let reason = article_from_json(json.as_bytes()).unwrap_err();
            assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
        };
        check("Harbour reopens", "not a JSON object");
        check("{\"title\": \"Harbour", "not JSON");
        check("[1, 2]", "not a JSON object");
        check("{Harbour}", "not JSON");
        check(r#"{"title": 5}"#, "expected a string");
        check(r#"{"title": "Harbour", "publish_time": "last week"}"#, "last week");
    }

    #[test]
    fn a_file_is_read_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, content: &[u8], title: &str, body: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            let article = read_article(&path, None).unwrap();
            assert_eq!((article.title.as_str(), article.body.as_str()), (title, body), "{name}");
        };
        check("a.txt", b"\xef\xbb\xbfHarbour\nShips", "Harbour", "Ships");
        check("a", b"Harbour\nShips", "Harbour", "Ships");
        check("a.html", b"<h1>Harbour</h1>", "", "<h1>Harbour</h1>");
        check("a.json", br#"{"title": "Harbour", "text": "Ships"}"#, "Harbour", "Ships");
        let article = read_article(&folder.path().join("a.txt"), Some("Tide")).unwrap();
        assert_eq!((article.title.as_str(), article.body.as_str()), ("Tide", "Harbour\nShips"));
        let refused = |name: &str, content: &[u8], expected: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            let error = read_article(&path, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused("a.jsonl", b"{}", "newsprint import");
        refused("b.json", b"{", "not JSON");
        refused("b.txt", b"\xff\xfe", "UTF-8");
    }
}
