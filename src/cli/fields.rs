//! The fields of an article under the names that people's files give them.
//!
//! Nothing is left out without a word: what is not understood becomes a [`Note`], and is told once,
//! however many articles have it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use newsprint::api::pb;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::dates;

/// The fields, each with the names it goes by: the contract's first, then the others, best first.
/// Case, hyphens and underscores make no difference; a dot leads into an object.
const NAMES: [(Field, &[&str]); 7] = [
    (Field::ArticleId, &["article_id", "id", "guid", "uuid", "guid.value"]),
    (Field::Title, &["title", "headline", "title.rendered", "headline.main", "page_title"]),
    (
        Field::Body,
        &[
            "body",
            "text",
            "content",
            "main_text",
            "full_text",
            "article_body",
            "article_text",
            "body_text",
            "content_text",
            "content_html",
            "content:encoded",
            "content.rendered",
            "description",
            "summary",
            "abstract",
            "snippet",
        ],
    ),
    (
        Field::Url,
        &[
            "url",
            "link",
            "href",
            "web_url",
            "canonical_url",
            "permalink",
            "source_url",
            "document_identifier",
        ],
    ),
    (
        Field::Source,
        &[
            "source",
            "source.name",
            "source.title",
            "source.id",
            "source_name",
            "outlet",
            "publisher",
            "publisher.name",
            "site_name",
            "site",
            "source_domain",
            "source_common_name",
            "domain",
            "newspaper",
        ],
    ),
    (
        Field::PublishTime,
        &[
            "publish_time",
            "date",
            "published",
            "published_at",
            "published_date",
            "published_time",
            "publish_date",
            "publication_date",
            "web_publication_date",
            "pub_date",
            "date_published",
            "date_publish",
            "seen_date",
            "timestamp",
        ],
    ),
    (Field::Language, &["language", "lang", "language_code"]),
];

const ATTRIBUTES: &str = "attributes";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    ArticleId,
    Title,
    Body,
    Url,
    Source,
    PublishTime,
    Language,
}

/// A name as names are compared.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|char| !matches!(char, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

/// What a name stands for. The lower the rank, the better the name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Field(Field, usize),
    Attribute(String),
}

/// One `ours=theirs` of `--map`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    meaning: Meaning,
    theirs: String,
}

impl FromStr for Renamed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ours, theirs) = text.split_once('=').ok_or("must be FIELD=NAME")?;
        let (ours, theirs) = (ours.trim(), theirs.trim());
        if theirs.is_empty() {
            return Err(format!("'{ours}=' names no field of the file"));
        }
        let field = NAMES.iter().find(|(_, names)| names.first() == Some(&ours));
        let meaning = match (field, ours.strip_prefix("attributes.")) {
            (Some((field, _)), _) => Meaning::Field(*field, 0),
            (None, Some(key)) if !key.is_empty() => Meaning::Attribute(key.to_owned()),
            _ => {
                let known: Vec<&str> = contract_names().collect();
                let known = known.join(", ");
                return Err(format!("an article has no '{ours}'; it has {known}, attributes.KEY"));
            }
        };
        Ok(Renamed { meaning, theirs: theirs.to_owned() })
    }
}

fn contract_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().filter_map(|(_, names)| names.first().copied())
}

/// Which name stands for what: what the user says, then what is usual.
#[derive(Debug, Clone)]
pub struct Mapping(BTreeMap<String, Meaning>);

impl Default for Mapping {
    fn default() -> Self {
        Mapping::new(&[])
    }
}

impl Mapping {
    pub fn new(renamed: &[Renamed]) -> Self {
        let mut known = BTreeMap::new();
        for (field, names) in NAMES {
            for (rank, name) in names.iter().enumerate() {
                known.insert(plain(name), Meaning::Field(field, rank + 1));
            }
        }
        for Renamed { meaning, theirs } in renamed {
            known.insert(plain(theirs), meaning.clone());
        }
        Mapping(known)
    }

    fn meaning(&self, name: &str) -> Option<Meaning> {
        match self.0.get(&plain(name)) {
            Some(meaning) => Some(meaning.clone()),
            None => Some(Meaning::Attribute(name.strip_prefix("attributes.")?.to_owned())),
        }
    }

    /// Whether a name means anything; for telling a header line from other text.
    pub fn knows(&self, name: &str) -> bool {
        self.meaning(name).is_some()
    }

    /// Whether anything that is known lies within an object of this name.
    fn leads_on(&self, name: &str) -> bool {
        let prefix = plain(name) + ".";
        self.0.range(prefix.clone()..).next().is_some_and(|(known, _)| known.starts_with(&prefix))
    }

    /// The known name that was probably meant.
    fn near(&self, name: &str) -> Option<&str> {
        let name = plain(name);
        let edits_max = (name.chars().count() / 3).min(2);
        let names = NAMES.iter().flat_map(|(_, names)| names.iter().copied());
        names
            .map(|known| (strsim::damerau_levenshtein(&plain(known), &name), known))
            .filter(|(edits, _)| (1..=edits_max).contains(edits))
            .min_by_key(|(edits, _)| *edits)
            .map(|(_, known)| known)
    }
}

/// A value of a file, read when it is known to be of use.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    Json(&'a RawValue),
    Cell(&'a str),
}

impl<'a> Value<'a> {
    fn is_absent(self) -> bool {
        match self {
            Value::Json(json) => matches!(json.get(), "null" | "\"\""),
            Value::Cell(text) => text.trim().is_empty(),
        }
    }

    fn object(self) -> Option<&'a RawValue> {
        match self {
            Value::Json(json) => Some(json).filter(|json| json.get().starts_with('{')),
            Value::Cell(_) => None,
        }
    }

    /// What kind of value it is, where text is wanted.
    fn kind(self) -> &'static str {
        match self {
            Value::Json(json) => match json.get().as_bytes().first() {
                Some(b'{') => "an object",
                Some(b'[') => "a list",
                Some(b't' | b'f') => "true or false",
                Some(b'"') => "text",
                _ => "a number",
            },
            Value::Cell(_) => "text",
        }
    }

    /// Text as it is, a number in the digits it is written with; None if it is neither.
    fn text(self, numbers: bool, notes: &mut Notes) -> Option<Cow<'a, str>> {
        match self {
            Value::Cell(text) => Some(text.into()),
            Value::Json(json) => match self.kind() {
                "text" => Some(string(json, notes).into()),
                "a number" if numbers => Some(json.get().into()),
                _ => None,
            },
        }
    }
}

/// The text of a JSON string. Half of a surrogate pair, which no UTF-8 can hold and which programs
/// leave behind that cut text in the middle of an emoji, becomes a replacement character.
fn string(json: &RawValue, notes: &mut Notes) -> String {
    if let Ok(text) = serde_json::from_str(json.get()) {
        return text;
    }
    let mut parser = serde_json::Deserializer::from_str(json.get());
    let Ok(bytes) = parser.deserialize_bytes(Bytes) else { return String::new() };
    notes.add(Note::HalfCharacter, "");
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // Each half is written as three bytes, and each of the three is invalid by itself.
        if chunk.invalid().first() == Some(&0xed) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// A JSON string as bytes: halves of surrogate pairs are encoded as if they were characters.
struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }
}

/// The members of a JSON object, in their order.
pub fn members(json: &str) -> Result<Vec<(Cow<'_, str>, &RawValue)>, serde_json::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut members = Vec::new();
            while let Some(name) = map.next_key_seed(Name)? {
                members.push((name, map.next_value()?));
            }
            Ok(members)
        }
    }

    let mut parser = serde_json::Deserializer::from_str(json);
    let members = parser.deserialize_map(Members)?;
    parser.end()?;
    Ok(members)
}

/// A name, borrowed where nothing in it is escaped.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Self::Value, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(name.into())
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(name.to_owned().into())
    }
}

/// Puts an article together from names and values. The error is a reason for people.
pub fn article<'a>(
    members: impl IntoIterator<Item = (Cow<'a, str>, Value<'a>)>,
    mapping: &Mapping,
    notes: &mut Notes,
) -> Result<pb::Article, String> {
    let mut building =
        Building { mapping, notes, chosen: Default::default(), attributes: Vec::new() };
    for (name, value) in members {
        building.take(&name, value)?;
    }
    building.finish()
}

/// Reads an article from a JSON object. The error is a reason for people.
pub fn article_from_json(
    json: &[u8],
    mapping: &Mapping,
    notes: &mut Notes,
) -> Result<pb::Article, String> {
    let json = std::str::from_utf8(json).map_err(|error| {
        format!("not UTF-8 from byte {} on; --encoding says what it is", error.valid_up_to())
    })?;
    if !json.trim_ascii_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let members = members(json).map_err(|error| not_json(&error))?;
    article(members.into_iter().map(|(name, json)| (name, Value::Json(json))), mapping, notes)
}

fn not_json(error: &serde_json::Error) -> String {
    // Of a single line only the column is news.
    format!("not JSON: {}", error.to_string().replace(" at line 1 column ", " at column "))
}

/// An article in the making.
struct Building<'b, 'a> {
    mapping: &'b Mapping,
    notes: &'b mut Notes,
    /// For each field the best name so far, and what it holds.
    chosen: [Option<Chosen<'a>>; NAMES.len()],
    attributes: Vec<(String, Value<'a>)>,
}

struct Chosen<'a> {
    rank: usize,
    name: String,
    value: Value<'a>,
}

impl<'a> Building<'_, 'a> {
    fn take(&mut self, name: &str, value: Value<'a>) -> Result<(), String> {
        let inner = value.object();
        if let Some(object) =
            inner.filter(|_| plain(name) == ATTRIBUTES || self.mapping.leads_on(name))
        {
            let members = members(object.get()).map_err(|error| not_json(&error))?;
            let mut is_known = false;
            for (inner, value) in members {
                let inner = format!("{name}.{inner}");
                if self.mapping.knows(&inner) {
                    is_known = true;
                    self.take_plain(&inner, Value::Json(value));
                }
            }
            if !is_known && plain(name) != ATTRIBUTES {
                self.notes.unknown(name, self.mapping);
            }
            return Ok(());
        }
        if plain(name) == ATTRIBUTES && !value.is_absent() {
            return Err(format!("attributes must be an object, not {}", value.kind()));
        }
        self.take_plain(name, value);
        Ok(())
    }

    fn take_plain(&mut self, name: &str, value: Value<'a>) {
        if value.is_absent() {
            return;
        }
        match self.mapping.meaning(name) {
            None => self.notes.unknown(name, self.mapping),
            Some(Meaning::Attribute(key)) => self.attributes.push((key, value)),
            Some(Meaning::Field(field, rank)) => {
                let chosen = &mut self.chosen[field as usize];
                let candidate = Chosen { rank, name: name.to_owned(), value };
                let (better, worse) = match chosen.take() {
                    Some(before) if before.rank < rank => (before, Some(candidate)),
                    before => (candidate, before),
                };
                if let Some(worse) = worse.filter(|worse| worse.name != better.name) {
                    self.notes
                        .add(Note::Unused { name: worse.name, used: better.name.clone() }, "");
                }
                *chosen = Some(better);
            }
        }
    }

    /// The text of a field. What goes by the contract's name, or by the one the user gave, has to
    /// be right; what is only called so is left out with a word.
    fn text(&mut self, field: Field) -> Result<String, String> {
        let Some(Chosen { rank, name, value }) = self.chosen[field as usize].take() else {
            return Ok(String::new());
        };
        let numbers = matches!(field, Field::ArticleId | Field::PublishTime);
        match value.text(numbers, self.notes) {
            Some(text) => Ok(text.into_owned()),
            None if rank <= 1 => Err(format!("{name} must be text, not {}", value.kind())),
            None => {
                self.notes.unknown(&name, self.mapping);
                Ok(String::new())
            }
        }
    }

    fn finish(mut self) -> Result<pb::Article, String> {
        let publish_time = self.publish_time()?;
        let language = self.text(Field::Language)?;
        let attributes = std::mem::take(&mut self.attributes);
        let attributes =
            attributes.into_iter().map(|(key, value)| match value.text(true, self.notes) {
                Some(text) => Ok((key, text.into_owned())),
                None => Err(format!("attributes.{key} must be text, not {}", value.kind())),
            });
        let attributes = attributes.collect::<Result<_, String>>()?;
        Ok(pb::Article {
            article_id: self.text(Field::ArticleId)?,
            title: self.text(Field::Title)?,
            body: self.text(Field::Body)?,
            url: self.text(Field::Url)?,
            source: self.text(Field::Source)?,
            publish_time,
            language: self.language(language),
            attributes,
        })
    }

    fn publish_time(&mut self) -> Result<Option<prost_types::Timestamp>, String> {
        let chosen = self.chosen[Field::PublishTime as usize].as_ref();
        let Some((rank, name)) = chosen.map(|chosen| (chosen.rank, chosen.name.clone())) else {
            return Ok(None);
        };
        let text = self.text(Field::PublishTime)?;
        match dates::parse(&text) {
            Some(time) => Ok(Some(time)),
            None if text.is_empty() => Ok(None),
            None if rank <= 1 => {
                Err(format!("{name} '{text}' is no time such as 2026-04-01T08:30:00Z"))
            }
            None => {
                self.notes.add(Note::Time { name }, &text);
                Ok(None)
            }
        }
    }

    /// A tag, or nothing: a server believes what it is told, and tells it from the text otherwise.
    fn language(&mut self, text: String) -> String {
        let tag = text.trim().replace('_', "-");
        let primary = tag.split('-').next().unwrap_or_default();
        let is_tag = (2..=3).contains(&primary.len())
            && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && primary.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !is_tag && !tag.is_empty() {
            self.notes.add(Note::Language, &text);
            return String::new();
        }
        tag
    }
}

/// Something that was not understood, or not taken as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    UnknownField {
        name: String,
        near: Option<String>,
    },
    Unused {
        name: String,
        used: String,
    },
    Time {
        name: String,
    },
    Language,
    HalfCharacter,
    /// What is no article at all, and of which nobody would think so.
    PassedOver {
        what: String,
    },
}

/// Notes of one kind count as one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<Note, Noted>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Noted {
    count: u64,
    example: String,
}

impl Notes {
    /// More kinds are no longer told apart: a file can have any number of fields.
    const KINDS_MAX: usize = 100;

    pub fn add(&mut self, note: Note, example: &str) {
        self.add_many(note, Noted { count: 1, example: example.to_owned() });
    }

    fn add_many(&mut self, note: Note, noted: Noted) {
        let is_full = self.0.len() >= Self::KINDS_MAX && !self.0.contains_key(&note);
        let note =
            if is_full { Note::PassedOver { what: "other fields".to_owned() } } else { note };
        let known = self.0.entry(note).or_default();
        known.count += noted.count;
        if known.example.is_empty() {
            known.example = noted.example;
        }
    }

    fn unknown(&mut self, name: &str, mapping: &Mapping) {
        let near = mapping.near(name).map(str::to_owned);
        self.add(Note::UnknownField { name: name.to_owned(), near }, "");
    }

    pub fn merge(&mut self, other: Notes) {
        for (note, noted) in other.0 {
            self.add_many(note, noted);
        }
    }

    /// A line for each kind, with how often it came.
    pub fn lines(&self) -> impl Iterator<Item = (String, u64)> {
        self.0.iter().map(|(note, noted)| (note.tell(&noted.example), noted.count))
    }
}

impl Note {
    fn tell(&self, example: &str) -> String {
        match self {
            Note::UnknownField { name, near: Some(near) } => {
                format!("'{name}' is not understood and left out; is it '{near}'?")
            }
            Note::UnknownField { name, near: None } => {
                format!("'{name}' is not understood and left out")
            }
            Note::Unused { name, used } => format!("'{name}' is left out beside '{used}'"),
            Note::Time { name } => {
                format!("'{name}' is no time that is understood, as in '{example}', and left out")
            }
            Note::Language => format!(
                "the language is no tag such as 'en', as in '{example}', and is detected instead"
            ),
            Note::HalfCharacter => "half of a character is replaced by U+FFFD".to_owned(),
            Note::PassedOver { what } => format!("{what} passed over"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Result<pb::Article, String>, Vec<String>) {
        let mut notes = Notes::default();
        let article = article_from_json(json.as_bytes(), &Mapping::default(), &mut notes);
        (article, notes.lines().map(|(line, _)| line).collect())
    }

    #[test]
    fn json_has_the_names_of_the_contract_or_usual_ones() {
        let expected = pb::Article {
            article_id: "7".to_owned(),
            title: "Harbour reopens".to_owned(),
            body: "Ships came in.".to_owned(),
            source: "Coast Daily".to_owned(),
            publish_time: Some(prost_types::Timestamp { seconds: 1_775_001_600, nanos: 0 }),
            ..pb::Article::default()
        };
        let check = |ends: &str| {
            let json = format!(r#"{{"title": "Harbour reopens", {ends}}}"#);
            assert_eq!(read(&json), (Ok(expected.clone()), Vec::new()), "{json}");
        };
        // The contract, in either spelling that protobuf has for JSON.
        check(
            r#""article_id": "7", "body": "Ships came in.", "publish_time": "2026-04-01T00:00:00Z", "source": "Coast Daily""#,
        );
        check(
            r#""articleId": "7", "body": "Ships came in.", "publishTime": "2026-04-01T00:00:00Z", "source": "Coast Daily""#,
        );
        check(
            r#""id": 7, "text": "Ships came in.", "date": "2026-04-01", "outlet": "Coast Daily""#,
        );
        // NewsAPI.
        check(
            r#""guid": "7", "content": "Ships came in.", "publishedAt": "2026-04-01T00:00:00Z", "source": {"id": null, "name": "Coast Daily"}, "url": null"#,
        );
        // GDELT.
        check(
            r#""id": 7, "fulltext": "Ships came in.", "seendate": "20260401T000000Z", "domain": "Coast Daily""#,
        );
        // RSS.
        check(
            r#""guid": "7", "content:encoded": "Ships came in.", "pubDate": "Wed, 01 Apr 2026 00:00:00 GMT", "publisher": {"name": "Coast Daily"}"#,
        );
    }

    #[test]
    fn an_id_has_the_digits_it_is_written_with() {
        let id = |json: &str| read(json).0.unwrap().article_id;
        assert_eq!(id(r#"{"id": 123456789012345678901}"#), "123456789012345678901");
        assert_eq!(id(r#"{"id": 0.10}"#), "0.10");
        assert_eq!(id(r#"{"id": -5, "title": "Tide"}"#), "-5");
    }

    #[test]
    fn half_an_emoji_is_replaced() {
        let (article, notes) =
            read(r#"{"title": "Storm hits coast \ud83d", "body": "\ude00\ud83d rain"}"#);
        let article = article.unwrap();
        assert_eq!(article.title, "Storm hits coast \u{fffd}");
        assert_eq!(article.body, "\u{fffd}\u{fffd} rain");
        assert_eq!(notes, ["half of a character is replaced by U+FFFD"]);
        assert_eq!(read(r#"{"title": "\ud83d\ude00"}"#).0.unwrap().title, "😀");
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let check = |json: &str, expected: &[&str]| {
            let (article, notes) = read(json);
            assert!(article.is_ok(), "{article:?}");
            assert_eq!(notes, expected, "{json}");
        };
        check(
            r#"{"title": "Tide", "contnet": "x"}"#,
            &["'contnet' is not understood and left out; is it 'content'?"],
        );
        check(
            r#"{"title": "Tide", "byline": "x", "tags": [1], "by": null}"#,
            &["'byline' is not understood and left out", "'tags' is not understood and left out"],
        );
        check(
            r#"{"title": "Tide", "date": "the other day"}"#,
            &["'date' is no time that is understood, as in 'the other day', and left out"],
        );
        check(
            r#"{"title": "Tide", "date": 17, "headline": {"kicker": 1}}"#,
            &[
                "'headline' is not understood and left out",
                "'date' is no time that is understood, as in '17', and left out",
            ],
        );
        check(
            r#"{"title": "Tide", "content": "a b", "description": "c"}"#,
            &["'description' is left out beside 'content'"],
        );
        check(
            r#"{"title": "Tide", "description": "c", "text": "d", "content": "a b"}"#,
            &["'content' is left out beside 'text'", "'description' is left out beside 'text'"],
        );
        check(
            r#"{"title": "Tide", "language": "English"}"#,
            &["the language is no tag such as 'en', as in 'English', and is detected instead"],
        );
        check(r#"{"title": "Tide", "lang": "pt_BR"}"#, &[]);
    }

    #[test]
    fn what_is_no_article_is_refused_with_a_reason() {
        let check = |json: &str, expected: &str| {
            let reason = read(json).0.unwrap_err();
            assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
        };
        check("Harbour reopens", "not a JSON object");
        check("{\"title\": \"Harbour", "not JSON: EOF while parsing a string at column 18");
        check("[1, 2]", "not a JSON object");
        check("{Harbour}", "not JSON");
        check("{} {}", "not JSON");
        check(r#"{"title": 5}"#, "title must be text, not a number");
        check(r#"{"title": "Harbour", "publish_time": "last week"}"#, "last week");
        check(r#"{"title": "Harbour", "attributes": {"a": []}}"#, "attributes.a must be text");
        check(r#"{"title": "Harbour", "attributes": 1}"#, "attributes must be an object");
    }

    #[test]
    fn the_user_says_what_a_name_stands_for() {
        let map = |texts: &[&str]| {
            let renamed: Vec<Renamed> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Mapping::new(&renamed)
        };
        let mapping = map(&["body=story", "title=content", "attributes.author=byline.name"]);
        let json =
            r#"{"story": "a b", "content": "c", "text": "d", "byline": {"name": "Ada", "x": 1}}"#;
        let mut notes = Notes::default();
        let article = article_from_json(json.as_bytes(), &mapping, &mut notes).unwrap();
        assert_eq!((article.title.as_str(), article.body.as_str()), ("c", "a b"));
        assert_eq!(article.attributes["author"], "Ada");
        let lines: Vec<String> = notes.lines().map(|(line, _)| line).collect();
        assert_eq!(lines, ["'text' is left out beside 'story'"]);
        for wrong in ["body", "body=", "headline=title", "attributes.=a"] {
            assert!(wrong.parse::<Renamed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn notes_of_one_kind_are_one() {
        let mut notes = Notes::default();
        for number in 0..1000 {
            notes.unknown("byline", &Mapping::default());
            notes.unknown(&format!("field-of-its-own-{number}"), &Mapping::default());
        }
        assert_eq!(notes.lines().count(), Notes::KINDS_MAX + 1);
        assert!(notes.lines().any(|(line, count)| line.contains("byline") && count == 1000));
        assert_eq!(notes.lines().map(|(_, count)| count).sum::<u64>(), 2000);
    }
}
