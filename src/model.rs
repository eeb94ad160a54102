//! The model file: everything that was learnt, in one checksummed file.
//!
//! `docs/model-file.md` describes it byte by byte. Whatever bytes it is given, [`Model::from_bytes`]
//! answers with a model or with the reason why they are none; it allocates nothing before it has
//! seen that the bytes are there.

use xxhash_rust::xxh3::xxh3_64;

use crate::text;
use crate::topics::TopicModel;

const MAGIC: [u8; 8] = *b"\x89NPMODEL";
const FORMAT_VERSION: u32 = 2;

const TOPICS: [u8; 8] = *b"topics\0\0";
const JUDGE: [u8; 8] = *b"judge\0\0\0";
const SUMMARY: [u8; 8] = *b"summary\0";

/// What a model file holds. Any part may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub topics: Option<TopicModel>,
    /// The duplicate judge, as its own trainer wrote it.
    pub judge: Option<Vec<u8>>,
    /// How the model was trained and what came of it, as JSON.
    pub summary: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("not a newsprint model file")]
    NotAModel,
    #[error("the model file has format version {found}; this program reads {FORMAT_VERSION}")]
    FormatVersion { found: u32 },
    #[error("the model file says it has {expected} bytes, but there are {found}")]
    Length { found: u64, expected: u64 },
    #[error("the model file is damaged: its checksum does not match its content")]
    Checksum,
    #[error(
        "the model was made for text pipeline {found:?}; this program has {:?}",
        text::PIPELINE
    )]
    Pipeline { found: String },
    #[error("the {section:?} section of the model file is not valid: {reason}")]
    Section { section: String, reason: &'static str },
}

impl Model {
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut sections = Vec::new();
        let mut section = |name: [u8; 8], content: &[u8]| {
            sections.extend(name);
            sections.extend((content.len() as u64).to_le_bytes());
            sections.extend(content);
        };
        if let Some(topics) = &self.topics {
            section(TOPICS, &topics.encode());
        }
        if let Some(judge) = &self.judge {
            section(JUDGE, judge);
        }
        if let Some(summary) = &self.summary {
            section(SUMMARY, summary.as_bytes());
        }
        let len = HEADER_BYTES + 1 + text::PIPELINE.len() + sections.len() + CHECKSUM_BYTES;
        let mut bytes = Vec::with_capacity(len);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend((len as u64).to_le_bytes());
        bytes.push(text::PIPELINE.len() as u8);
        bytes.extend(text::PIPELINE.as_bytes());
        bytes.extend(sections);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut rest = check_frame(bytes)?;
        check_pipeline(&mut rest)?;
        let mut model = Model::default();
        while !rest.is_empty() {
            let (name, content) = split_section(&mut rest)?;
            model.set_section(name, content)?;
        }
        Ok(model)
    }

    /// A short name that changes whenever anything in the file does, such as
    /// `np-topics-2-3f9a2c1d`. It is made anew at every call: keep it.
    pub fn version(&self) -> String {
        let bytes = self.to_bytes();
        let checksum = xxh3_64(&bytes[..bytes.len() - CHECKSUM_BYTES]);
        format!("np-topics-{FORMAT_VERSION}-{:08x}", checksum >> 32)
    }

    fn set_section(&mut self, name: [u8; 8], content: &[u8]) -> Result<(), ModelError> {
        let invalid = |reason| {
            let section = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
            ModelError::Section { section, reason }
        };
        let is_repeated = match name {
            TOPICS => {
                let topics = TopicModel::decode(content).map_err(invalid)?;
                self.topics.replace(topics).is_some()
            }
            JUDGE => self.judge.replace(content.to_vec()).is_some(),
            SUMMARY => {
                let summary = str::from_utf8(content).map_err(|_| invalid("not UTF-8"))?;
                self.summary.replace(summary.to_owned()).is_some()
            }
            _ => return Err(invalid("this program does not know it")),
        };
        if is_repeated { Err(invalid("it occurs twice")) } else { Ok(()) }
    }
}

/// Magic, format version and length.
const HEADER_BYTES: usize = 8 + 4 + 8;
const CHECKSUM_BYTES: usize = 8;

/// Checks header and checksum and returns what stands between them.
fn check_frame(bytes: &[u8]) -> Result<&[u8], ModelError> {
    let mut rest = bytes;
    let cut_off = ModelError::Length { found: bytes.len() as u64, expected: HEADER_BYTES as u64 };
    if take(&mut rest) != Some(MAGIC) {
        return Err(ModelError::NotAModel);
    }
    // Before anything else: another version may have another length and checksum.
    let found = u32::from_le_bytes(take(&mut rest).ok_or(cut_off.clone())?);
    if found != FORMAT_VERSION {
        return Err(ModelError::FormatVersion { found });
    }
    let expected = u64::from_le_bytes(take(&mut rest).ok_or(cut_off.clone())?);
    if expected != bytes.len() as u64 {
        return Err(ModelError::Length { found: bytes.len() as u64, expected });
    }
    let (content, checksum) = rest.split_last_chunk().ok_or(cut_off)?;
    if xxh3_64(&bytes[..bytes.len() - CHECKSUM_BYTES]) != u64::from_le_bytes(*checksum) {
        return Err(ModelError::Checksum);
    }
    Ok(content)
}

fn check_pipeline(rest: &mut &[u8]) -> Result<(), ModelError> {
    let name = take(rest).and_then(|[len]| rest.split_off(..usize::from(len)));
    let found = String::from_utf8_lossy(name.unwrap_or_default());
    if found == text::PIPELINE {
        Ok(())
    } else {
        Err(ModelError::Pipeline { found: found.into_owned() })
    }
}

fn split_section<'a>(rest: &mut &'a [u8]) -> Result<([u8; 8], &'a [u8]), ModelError> {
    let cut_off = || ModelError::Section { section: String::new(), reason: "cut off" };
    let name = take(rest).ok_or_else(cut_off)?;
    let len = u64::from_le_bytes(take(rest).ok_or_else(cut_off)?);
    let len = usize::try_from(len).map_err(|_| cut_off())?;
    Ok((name, rest.split_off(..len).ok_or_else(cut_off)?))
}

/// Takes the first `N` bytes off a slice that has as many.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    bytes.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small_model() -> Model {
        Model {
            topics: Some(TopicModel::sample()),
            judge: Some(br#"{"judge":[1,2,3]}"#.to_vec()),
            summary: Some(r#"{"seed":1}"#.to_owned()),
        }
    }

    /// Content with a frame that is in order, so that it is read.
    fn framed(content: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT_VERSION.to_le_bytes());
        bytes.extend(((HEADER_BYTES + content.len() + CHECKSUM_BYTES) as u64).to_le_bytes());
        bytes.extend(content);
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    fn content(bytes: &[u8]) -> &[u8] {
        &bytes[HEADER_BYTES..bytes.len() - CHECKSUM_BYTES]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let model = small_model();
        for part in [
            model.clone(),
            Model::default(),
            Model { topics: None, ..model.clone() },
            Model { judge: None, ..model.clone() },
            Model { summary: None, ..model },
        ] {
            let bytes = part.to_bytes();
            assert_eq!(Model::from_bytes(&bytes), Ok(part));
        }
    }

    #[test]
    fn the_version_follows_the_content() {
        let model = small_model();
        let version = model.version();
        let hex = version.strip_prefix("np-topics-2-").unwrap();
        assert!(hex.len() == 8 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{version}");
        assert_eq!(Model::from_bytes(&model.to_bytes()).unwrap().version(), version);
        assert_ne!(Model { judge: None, ..model }.version(), version);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_refused() {
        let bytes = small_model().to_bytes();
        for len in 0..bytes.len() {
            assert!(Model::from_bytes(&bytes[..len]).is_err(), "cut to {len} bytes");
        }
        for position in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[position / 8] ^= 1 << (position % 8);
            assert!(Model::from_bytes(&damaged).is_err(), "bit {position} flipped");
        }
    }

    /// A checksum keeps accidents out, not a file made to deceive: what is behind it is checked
    /// too. Some damage gives another valid model, none may panic or allocate without bound.
    #[test]
    fn damage_behind_a_right_checksum_does_not_panic() {
        let bytes = small_model().to_bytes();
        let content = content(&bytes);
        for position in 0..content.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = content.to_vec();
                damaged[position] = value;
                let _ = Model::from_bytes(&framed(&damaged));
            }
            assert!(
                Model::from_bytes(&framed(&content[..position])).is_err_and(|error| {
                    // A cut between two sections leaves a smaller model.
                    matches!(error, ModelError::Section { .. } | ModelError::Pipeline { .. })
                }) || Model::from_bytes(&framed(&content[..position])).is_ok()
            );
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let bytes = small_model().to_bytes();
        let check = |bytes: &[u8], expected: &str| {
            let error = Model::from_bytes(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        check(b"", "not a newsprint model");
        check(b"PK\x03\x04 something else entirely", "not a newsprint model");
        check(&bytes[..bytes.len() - 1], "bytes, but there are");
        check(&[&bytes[..], b"\n"].concat(), "bytes, but there are");
        let mut newer = bytes.clone();
        newer[8] = 3;
        check(&newer, "format version 3");
        let mut damaged = bytes.clone();
        damaged[100] ^= 1;
        check(&damaged, "checksum");
        check(&framed(b"\x0anp-text-v9"), "np-text-v9");
        let twice = [
            content(&bytes),
            &content(&Model { topics: None, ..small_model() }.to_bytes())
                [1 + text::PIPELINE.len()..],
        ]
        .concat();
        check(&framed(&twice), "occurs twice");
        let foreign =
            [content(&Model::default().to_bytes()), b"weather\0\0\0\0\0\0\0\0\0"].concat();
        check(&framed(&foreign), "\"weather\"");
    }
}
