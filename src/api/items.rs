//! The requests that hold articles, decoded article by article: one that is broken is that one's
//! error, and of a batch no more are looked at than it may hold.

use bytes::{Buf, Bytes};
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use prost::{DecodeError, Message};
use tonic::Status;

use super::convert::submission_at;
use super::error::{Violations, malformed_message};
use super::pb;
use crate::analyser::Submission;
use crate::config::Limits;

/// A request to submit or analyse articles. All four of the contract have the same fields.
pub struct Articles {
    collection: Bytes,
    /// Each as it came.
    pub articles: Vec<Bytes>,
    options: pb::AnalysisOptions,
}

impl Articles {
    /// Takes a request apart, unless it holds more articles than it may.
    pub fn read(message: Bytes, articles_max: usize) -> Result<Articles, Status> {
        let mut found = Articles {
            collection: Bytes::new(),
            articles: Vec::new(),
            options: pb::AnalysisOptions::default(),
        };
        let mut buf = message;
        let mut fields = 0;
        while buf.has_remaining() {
            found.read_field(&mut buf).map_err(|error| malformed_message(&error.to_string()))?;
            fields += 1;
            if fields > articles_max + OTHER_FIELDS_MAX {
                return Err(malformed_message("the request has more fields than there can be"));
            }
            if found.articles.len() > articles_max {
                let description = format!("must hold 1 to {articles_max} articles");
                return Err(Violations::one("articles", description).into());
            }
        }
        Ok(found)
    }

    /// Takes a request for one article apart. A field that comes twice is one field in two parts.
    pub fn read_one(message: Bytes) -> Result<Articles, Status> {
        let mut found = Self::read(message, Limits::BATCH_ARTICLES_MAX)?;
        if found.articles.len() > 1 {
            found.articles = vec![found.articles.concat().into()];
        }
        Ok(found)
    }

    fn read_field(&mut self, buf: &mut Bytes) -> Result<(), DecodeError> {
        let (tag, wire_type) = decode_key(buf)?;
        let context = DecodeContext::default();
        match tag {
            1 => prost::encoding::bytes::merge(wire_type, &mut self.collection, buf, context),
            2 => {
                prost::encoding::bytes::merge_repeated(wire_type, &mut self.articles, buf, context)
            }
            3 => prost::encoding::message::merge(wire_type, &mut self.options, buf, context),
            _ => skip_field(wire_type, tag, buf, context),
        }
    }

    pub fn collection(&self) -> Result<String, Violations> {
        let name = std::str::from_utf8(&self.collection);
        name.map(str::to_owned).map_err(|_| Violations::one("collection", NOT_UTF8))
    }

    /// The article of a request for one, checked.
    pub fn submission(&self, limits: Limits) -> Result<Submission, Violations> {
        self.submission_at("article", self.articles.first(), limits)
    }

    /// An article of several, checked.
    pub fn submission_of(&self, number: usize, limits: Limits) -> Result<Submission, Violations> {
        self.submission_at(&format!("articles[{number}]"), self.articles.get(number), limits)
    }

    fn submission_at(
        &self,
        field: &str,
        article: Option<&Bytes>,
        limits: Limits,
    ) -> Result<Submission, Violations> {
        let decode = |bytes: &Bytes| {
            check_fields(bytes).map_err(|what| Violations::one(field, what))?;
            pb::Article::decode(bytes.clone()).map_err(|error| broken(field, bytes, &error))
        };
        let article = article.map(decode).transpose()?;
        submission_at(field, self.collection()?, article, Some(self.options), limits)
    }

    /// The id of the article of a request for one, as it was sent, or as much of it as is text.
    pub fn article_id(&self) -> String {
        let Some(article) = self.articles.first() else { return String::new() };
        let mut id = Bytes::new();
        let mut buf = article.clone();
        while let Ok((tag, wire_type)) = decode_key(&mut buf) {
            let context = DecodeContext::default();
            let read = match tag {
                1 => prost::encoding::bytes::merge(wire_type, &mut id, &mut buf, context),
                _ => skip_field(wire_type, tag, &mut buf, context),
            };
            if read.is_err() || !buf.has_remaining() {
                break;
            }
        }
        String::from_utf8_lossy(&id).into_owned()
    }
}

/// Fields that a request may have beside its articles, or an article beside the attributes it may
/// have: fewer are known, but others may be to come. Each takes two bytes to send and some time to
/// read.
const OTHER_FIELDS_MAX: usize = 200;

/// Refuses what the decoder would take and must not: too many fields, and attributes that are written
/// as if they were none, of which it does not look how they are written.
fn check_fields(article: &Bytes) -> Result<(), &'static str> {
    let mut buf = article.clone();
    for _ in 0..Limits::ATTRIBUTES_MAX + OTHER_FIELDS_MAX {
        let Ok((tag, wire_type)) = decode_key(&mut buf) else { return Ok(()) };
        if tag == ATTRIBUTES && wire_type != WireType::LengthDelimited {
            return Err("is no article: its attributes are no messages");
        }
        // What is broken here is told where it is decoded.
        if skip_field(wire_type, tag, &mut buf, DecodeContext::default()).is_err() {
            return Ok(());
        }
        if !buf.has_remaining() {
            return Ok(());
        }
    }
    Err("has more fields than an article can have")
}

const NOT_UTF8: &str = "must be valid UTF-8";

/// The fields of text of an article.
const TEXT_FIELDS: [(u32, &str); 6] =
    [(1, "article_id"), (2, "title"), (3, "body"), (4, "url"), (5, "source"), (7, "language")];

/// The entries of `attributes`.
const ATTRIBUTES: u32 = 8;

/// What is wrong with an article that cannot be decoded: every field whose text is none, or if
/// there is none such, the article itself.
fn broken(field: &str, article: &Bytes, error: &DecodeError) -> Violations {
    let mut at_fault: Vec<&str> = Vec::new();
    let mut violations = Violations::default();
    let mut buf = article.clone();
    while buf.has_remaining() {
        let Ok((tag, wire_type)) = decode_key(&mut buf) else { break };
        let context = DecodeContext::default();
        let name = TEXT_FIELDS.iter().find(|(number, _)| *number == tag).map(|(_, name)| *name);
        let name = name.or((tag == ATTRIBUTES).then_some("attributes"));
        let Some(name) = name.filter(|_| wire_type == WireType::LengthDelimited) else {
            if skip_field(wire_type, tag, &mut buf, context).is_err() {
                break;
            }
            continue;
        };
        let mut value = Bytes::new();
        if prost::encoding::bytes::merge(wire_type, &mut value, &mut buf, context).is_err() {
            break;
        }
        let is_text = match tag {
            ATTRIBUTES => is_text_entry(value),
            _ => std::str::from_utf8(&value).is_ok(),
        };
        if !is_text && !at_fault.contains(&name) {
            at_fault.push(name);
            violations.add(format!("{field}.{name}"), NOT_UTF8);
        }
    }
    if at_fault.is_empty() {
        violations.add(field, format!("is no article: {error}"));
    }
    violations
}

fn is_text_entry(mut entry: Bytes) -> bool {
    while entry.has_remaining() {
        let mut value = Bytes::new();
        let Ok((_, wire_type)) = decode_key(&mut entry) else { return true };
        let context = DecodeContext::default();
        if prost::encoding::bytes::merge(wire_type, &mut value, &mut entry, context).is_err() {
            return true;
        }
        if std::str::from_utf8(&value).is_err() {
            return false;
        }
    }
    true
}

/// What prost reads as a request is read, article for article; anything else is refused.
#[cfg(any(fuzzing, test))]
pub fn check_request(message: Bytes, limits: Limits) {
    let whole = pb::BatchSubmitArticlesRequest::decode(message.clone());
    let taken_apart = Articles::read(message.clone(), limits.batch_articles_max());
    if let (Ok(whole), Ok(apart)) = (&whole, &taken_apart) {
        assert_eq!(apart.articles.len(), whole.articles.len());
        for (number, article) in whole.articles.iter().enumerate() {
            let apart = pb::Article::decode(apart.articles[number].clone());
            assert_eq!(apart.as_ref(), Ok(article));
        }
    }
    if let Ok(apart) = taken_apart {
        for number in 0..apart.articles.len() {
            let _ = apart.submission_of(number, limits);
        }
    }
    let Ok(one) = Articles::read_one(message.clone()) else { return };
    let id = one.article_id();
    let _ = one.submission(limits);
    if one.articles.first().is_some_and(|article| check_fields(article).is_err()) {
        return;
    }
    if let Ok(whole) = pb::SubmitArticleRequest::decode(message) {
        assert_eq!(id, whole.article.unwrap_or_default().article_id);
    }
}
