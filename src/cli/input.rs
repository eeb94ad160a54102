//! Articles as people keep them: a file each, of text, HTML or JSON.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path};

use anyhow::{Context, Result, anyhow, bail};
use newsprint::api::pb;
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

use super::fields::{Mapping, Notes, article_from_json};
use super::{html, output};

/// Reads the article in a file, and tells what in it was not understood; `-` stands for standard
/// input. With a title given, a text is all body.
pub fn read_article(path: &Path, title: Option<&str>) -> Result<pb::Article> {
    let mut notes = Notes::default();
    let article = read_file(path, title, &Mapping::default(), &mut notes)?;
    for (note, _) in notes.lines() {
        output::print_note(&format!("{}: {note}", display_name(path)));
    }
    Ok(article)
}

/// The same, with whatever was not understood noted.
///
/// What the file holds is told by its name, and on standard input by its first character.
pub fn read_file(
    path: &Path,
    title: Option<&str>,
    mapping: &Mapping,
    notes: &mut Notes,
) -> Result<pb::Article> {
    let name = display_name(path);
    let bytes = if is_stdin(path) { read_stdin() } else { fs::read(path) };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let mut article = match kind_of(path, &bytes) {
        Kind::Many => bail!("{name} holds more than one article; use 'newsprint import {name}'"),
        Kind::Json => {
            let json = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
            article_from_json(json, mapping, notes)
                .map_err(|reason| anyhow!("{name} is no article: {reason}"))?
        }
        Kind::Html => html::article(&bytes, None),
        Kind::Text => {
            let text = text(bytes).map_err(|reason| anyhow!("{name} {reason}"))?;
            match title {
                Some(_) => pb::Article { body: text, ..pb::Article::default() },
                None => article_from_text(&text),
            }
        }
    };
    if let Some(title) = title {
        title.clone_into(&mut article.title);
    }
    Ok(article)
}

fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.contains(&0) {
        return Err("is no text");
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| "is not UTF-8 text; convert it first, for example with iconv -t UTF-8")?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

enum Kind {
    Text,
    Html,
    Json,
    /// A file of many articles.
    Many,
}

fn kind_of(path: &Path, bytes: &[u8]) -> Kind {
    if is_stdin(path) {
        return match bytes.trim_ascii_start().first() {
            Some(b'{') => Kind::Json,
            Some(b'<') => Kind::Html,
            _ => Kind::Text,
        };
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "json" => Kind::Json,
        "html" | "htm" | "xhtml" => Kind::Html,
        "jsonl" | "ndjson" | "csv" | "tsv" | "warc" | "gz" | "zst" => Kind::Many,
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

/// The id of an article that has none but its file: the file's name as it was given, so that
/// giving it again is no other article.
pub fn id_of(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/").replace("//", "/")
}

/// The id of an article that has none at all, made of everything in it: the same article read again
/// is the same article.
pub fn content_id(article: &pb::Article) -> String {
    let mut attributes: Vec<(&String, &String)> = article.attributes.iter().collect();
    attributes.sort();
    let mut bytes = Vec::new();
    for (key, value) in attributes {
        for text in [key, value] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
    }
    // The order of a map's entries is anybody's, that of the fields is not.
    let fields = pb::Article {
        attributes: Default::default(),
        article_id: String::new(),
        ..article.clone()
    };
    bytes.extend(fields.encode_to_vec());
    format!("content-{:032x}", xxh3_128(&bytes))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The first line that is not blank is the title, what follows the body.
pub fn article_from_text(text: &str) -> pb::Article {
    let text = text.trim_start();
    let (title, body) = text.split_once('\n').unwrap_or((text, ""));
    pb::Article {
        title: title.trim_end().to_owned(),
        body: body.trim().to_owned(),
        ..pb::Article::default()
    }
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
        check("a.html", b"<title>Harbour</title>", "Harbour", "<title>Harbour</title>");
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

    #[test]
    fn a_file_gives_its_article_a_name() {
        for (path, id) in [
            ("strait.txt", "strait.txt"),
            ("./strait.txt", "strait.txt"),
            ("news/./2026//strait.txt", "news/2026/strait.txt"),
            ("../strait.txt", "../strait.txt"),
            ("/news/strait.txt", "/news/strait.txt"),
        ] {
            assert_eq!(id_of(Path::new(path)), id);
        }
    }

    #[test]
    fn content_gives_an_article_a_name() {
        let article = pb::Article {
            title: "Tide".to_owned(),
            attributes: [("a", "b"), ("c", "d")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..pb::Article::default()
        };
        // It must not change: articles would be remembered twice.
        assert_eq!(content_id(&article), "content-da215757f4040329eaa7b9504f630385");
        let other = pb::Article { source: "Coast Daily".to_owned(), ..article.clone() };
        assert_ne!(content_id(&article), content_id(&other));
        let named = pb::Article { article_id: "x".to_owned(), ..article.clone() };
        assert_eq!(content_id(&article), content_id(&named));
    }
}
