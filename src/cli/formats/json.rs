//! JSON: a line for each article, or a document that holds them.

use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Bounded, Line, Lines, RECORD_BYTES_MAX, Record};
use crate::cli::fields::{Mapping, Notes, article_from_json, members};

/// Where the answers of news services have their articles: NewsAPI and GDELT (articles), newsdata.io
/// (results), mediastack (data), JSON Feed (items), the Guardian (response.results), the New York
/// Times (response.docs).
const CONTAINERS: [&str; 9] =
    ["articles", "items", "results", "data", "docs", "news", "entries", "stories", "response"];

/// Whether text that begins with an object is a document rather than an object a line: by its first
/// line, which does not end with the object's end, or holds a list of articles.
pub fn is_document(text: &[u8]) -> bool {
    let end = text.iter().position(|&byte| byte == b'\n');
    let line = std::str::from_utf8(&text[..end.unwrap_or(text.len())]).unwrap_or_default();
    match members(line) {
        Ok(members) => members.iter().any(|(name, value)| {
            CONTAINERS.contains(&name.as_ref()) && value.get().starts_with(['[', '{'])
        }),
        // Either the object goes on behind the line, or the line is cut short.
        Err(error) if error.is_eof() => {
            let first = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>().next();
            let goes_on = first.is_some_and(|first| first.map_or_else(|it| it.is_eof(), |_| true));
            end.is_none() || goes_on
        }
        Err(_) => false,
    }
}

/// Whether an object that a line begins is not at its end there.
pub fn goes_on(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    line.starts_with(b"{")
        && std::str::from_utf8(line)
            .is_ok_and(|line| members(line.trim_end()).is_err_and(|error| error.is_eof()))
}

/// JSON Lines: an object a line.
pub fn lines(
    mut lines: Lines,
    mapping: &Mapping,
    each: &mut dyn FnMut(Record) -> bool,
) -> Result<()> {
    loop {
        let line = lines.next(RECORD_BYTES_MAX);
        let line = line
            .with_context(|| format!("the file cannot be read on behind line {}", lines.line()))?;
        let Some(line) = line else { return Ok(()) };
        let mut notes = Notes::default();
        let (input, article) = match line {
            Line::Text(text) if text.trim_ascii().is_empty() => (text, None),
            Line::Text(text) => {
                let article = article_from_json(&text, mapping, &mut notes);
                (text, Some(article))
            }
            Line::TooLong => {
                let reason = format!("the line has more than {RECORD_BYTES_MAX} bytes");
                (Vec::new(), Some(Err(reason)))
            }
        };
        if !each(Record { number: lines.line(), input, article, notes }) {
            return Ok(());
        }
    }
}

/// A JSON document, or several: arrays of articles, objects with such an array in them, articles.
pub fn values(
    mut reader: impl BufRead,
    mapping: &Mapping,
    each: &mut dyn FnMut(Record) -> bool,
) -> Result<()> {
    if reader.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        reader.consume("\u{feff}".len());
    }
    let (reader, begin) = Bounded::new(reader);
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let mut items = Items { number: 0, is_enough: false, mapping, each, begin: &begin };
    // Until nothing but white space is left.
    while parser.end().is_err() {
        let read = Document(&mut items).deserialize(&mut parser);
        if items.is_enough {
            return Ok(());
        }
        read.with_context(|| format!("the file cannot be read on behind item {}", items.number))?;
    }
    Ok(())
}

/// What was found so far, and where it goes.
struct Items<'i> {
    number: u64,
    is_enough: bool,
    mapping: &'i Mapping,
    each: &'i mut dyn FnMut(Record) -> bool,
    begin: &'i dyn Fn(),
}

impl Items<'_> {
    /// Fails if whoever takes them has enough: a parser can be stopped in no other way.
    fn add<E: serde::de::Error>(&mut self, json: &str) -> Result<(), E> {
        (self.begin)();
        self.number += 1;
        let mut notes = Notes::default();
        let article = article_from_json(json.as_bytes(), self.mapping, &mut notes);
        let (number, input) = (self.number, json.as_bytes().to_vec());
        let record = Record { number, input, article: Some(article), notes };
        self.is_enough = !(self.each)(record);
        if self.is_enough { Err(E::custom("enough")) } else { Ok(()) }
    }
}

/// An array of articles, an object that holds one, or an article.
struct Document<'d, 'i>(&'d mut Items<'i>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an article, or a list of articles")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        while let Some(item) = list.next_element::<Box<RawValue>>()? {
            self.0.add(item.get())?;
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<(), M::Error> {
        let before = self.0.number;
        let mut article = String::from("{");
        while let Some(name) = object.next_key::<String>()? {
            if CONTAINERS.contains(&name.as_str()) {
                object.next_value_seed(Container(&mut *self.0))?;
                continue;
            }
            let value: Box<RawValue> = object.next_value()?;
            if self.0.number == before {
                if article.len() > 1 {
                    article.push(',');
                }
                article.push_str(&serde_json::to_string(&name).map_err(serde::de::Error::custom)?);
                article.push(':');
                article.push_str(value.get());
            }
        }
        article.push('}');
        if self.0.number == before { self.0.add(&article) } else { Ok(()) }
    }
}

/// What may hold the articles, and may be something else of that name.
struct Container<'d, 'i>(&'d mut Items<'i>);

impl<'de> DeserializeSeed<'de> for Container<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Container<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, list: S) -> Result<(), S::Error> {
        Document(self.0).visit_seq(list)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut object: M) -> Result<(), M::Error> {
        while let Some(name) = object.next_key::<String>()? {
            if CONTAINERS.contains(&name.as_str()) {
                object.next_value_seed(Container(&mut *self.0))?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(json: &str) -> (Vec<Result<String, String>>, Option<String>) {
        let mut ids = Vec::new();
        let ended = values(json.as_bytes(), &Mapping::default(), &mut |record| {
            assert_eq!(record.number, ids.len() as u64 + 1);
            ids.extend(record.article.map(|article| article.map(|article| article.article_id)));
            true
        });
        (ids, ended.err().map(|error| format!("{error:#}")))
    }

    #[test]
    fn articles_are_found_wherever_services_put_them() {
        for json in [
            r#"[{"id": 1}, {"id": 2}]"#,
            r#"{"id": 1} {"id": 2}"#,
            r#"{"status": "ok", "totalResults": 2, "articles": [{"id": 1}, {"id": 2}]}"#,
            r#"{"articles": [{"id": 1}, {"id": 2}], "source": "x"}"#,
            r#"{"response": {"status": "ok", "docs": [{"id": 1}, {"id": 2}]}}"#,
            r#"{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1"}, {"id": "2"}]}"#,
            r#"{"id": 1, "data": null, "news": "none"} {"id": 2, "results": 0.5, "response": true}"#,
        ] {
            let expected = ["1", "2"].map(|id| Ok(id.to_owned())).to_vec();
            assert_eq!(ids(json), (expected, None), "{json}");
        }
        assert_eq!(ids("[]"), (vec![], None));
        assert_eq!(ids(" "), (vec![], None));
    }

    #[test]
    fn a_broken_item_is_told_and_a_broken_document_ends() {
        let (found, error) =
            ids(r#"[{"id": 1}, 5, {"id": [2]}, {"id": 3}, {"id": 4 "x"}, {"id": 5}]"#);
        let one = Ok("1".to_owned());
        let [first, refused @ ..] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first, found.len()), (&one, 4));
        assert!(refused[0].as_ref().unwrap_err().contains("not a JSON object"));
        let error = error.unwrap();
        assert!(error.contains("behind item 4") && error.contains("line 1 column"), "{error}");
        assert!(ids("[{\"id\": 1}").1.unwrap().contains("behind item 1"));
    }

    #[test]
    fn nothing_is_read_beyond_what_is_wanted() {
        let mut count = 0;
        let ended = values(&b"[{}, {}, {}, broken"[..], &Mapping::default(), &mut |_| {
            count += 1;
            count < 2
        });
        assert!(ended.is_ok() && count == 2);
    }
}
