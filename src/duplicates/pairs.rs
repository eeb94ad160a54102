//! Labelled pairs of articles, as the trainer and the evaluation read them.

use std::path::Path;

use serde::Deserialize;

use crate::files::{FileError, read_json_lines};

/// A line of a file of pairs. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LabelledPair {
    pub a_id: String,
    #[serde(default)]
    pub b_id: String,
    #[serde(default)]
    pub a_title: String,
    #[serde(default)]
    pub b_title: String,
    pub a_text: String,
    pub b_text: String,
    pub label: Label,
    /// What the two have in common, or what was done to one of them: figures are given by kind.
    #[serde(default)]
    pub kind: String,
    /// Whether a careful reader could go either way. Such pairs are scored apart.
    #[serde(default)]
    pub borderline: bool,
}

/// Whether people call a pair the same article. In the files 0, "partial" and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub enum Label {
    No,
    Partial,
    Yes,
}

impl TryFrom<serde_json::Value> for Label {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        match value {
            value if value == 0 => Ok(Label::No),
            value if value == "partial" => Ok(Label::Partial),
            value if value == 1 => Ok(Label::Yes),
            value => Err(format!("label {value} is none of 0, 1 and \"partial\"")),
        }
    }
}

/// A line of a file of labels: a pair of articles that stand elsewhere, by their ids.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelledIds {
    pub a_id: String,
    pub b_id: String,
    pub label: Label,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub borderline: bool,
}

impl LabelledIds {
    /// The pair of two articles.
    pub fn of(self, a: &BackgroundArticle, b: &BackgroundArticle) -> LabelledPair {
        let LabelledIds { a_id, b_id, label, kind, borderline } = self;
        let [(a_title, a_text), (b_title, b_text)] =
            [a, b].map(|article| (article.title.clone(), article.text.clone()));
        LabelledPair { a_id, b_id, a_title, b_title, a_text, b_text, label, kind, borderline }
    }
}

/// An article of those that a collection is filled with before pairs are shown to it.
#[derive(Debug, Clone, Deserialize)]
pub struct BackgroundArticle {
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub text: String,
}

/// All pairs of a file of JSON Lines, plain or compressed.
pub fn read_pairs(path: &Path) -> Result<Vec<LabelledPair>, FileError> {
    let mut pairs = Vec::new();
    read_json_lines(path, |pair| pairs.push(pair))?;
    Ok(pairs)
}

/// The id of an article whatever it is called in a set of pairs: what was derived from it has a
/// suffix, and some sets name its folder too.
pub fn article_id(id: &str) -> &str {
    original_id(id.rsplit('/').next().unwrap_or(id))
}

/// What was derived from an article has its id and a suffix after a tilde.
pub(super) fn original_id(id: &str) -> &str {
    id.split('~').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_needs_no_titles_and_one_of_three_labels() {
        let read = |fields: &str| {
            let json = format!(r#"{{"a_id": "1", "a_text": "Ebb", "b_text": "Tide", {fields}}}"#);
            serde_json::from_str::<LabelledPair>(&json)
        };
        let pair = read(r#""label": 1, "kind": "trim:2", "severity": 2"#).unwrap();
        assert_eq!((pair.label, pair.kind.as_str()), (Label::Yes, "trim:2"));
        assert_eq!((pair.a_title.as_str(), pair.b_text.as_str()), ("", "Tide"));
        assert!(!pair.borderline);
        assert_eq!(read(r#""label": 0"#).unwrap().label, Label::No);
        let pair = read(r#""label": "partial", "borderline": true"#).unwrap();
        assert_eq!((pair.label, pair.borderline), (Label::Partial, true));
        for label in ["\"yes\"", "null", "-1", "2"] {
            let error = read(&format!(r#""label": {label}"#)).unwrap_err();
            assert!(error.to_string().contains(label), "{error}");
        }
    }
}
