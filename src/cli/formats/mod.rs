//! The formats that articles come in by the thousand, read record by record in bounded memory.
//!
//! What a file is, is told by its first bytes, and only where those could be anything by its name.

mod folder;
mod foreign;
mod json;
mod lines;
mod table;
mod warc;

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;
use newsprint::api::pb;
use newsprint::files::{BUFFER_BYTES, unpack};

use super::fields::{Mapping, Notes};
use super::input::{display_name, is_stdin};
use super::output;
use foreign::foreign_format;
pub use lines::{Line, Lines};

/// A longer record is no article that any server takes, and has no place in memory.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// How a file has its articles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An object a line
    Jsonl,
    /// An array, an object that holds one, or objects one after the other
    Json,
    /// A table with a header line
    Csv,
    /// The same with tabs
    Tsv,
    /// A crawler's archive of pages (Common Crawl)
    Warc,
}

impl Format {
    /// What its records are called.
    pub fn unit(self) -> &'static str {
        match self {
            Format::Jsonl => "line",
            Format::Json => "item",
            Format::Csv | Format::Tsv => "row",
            Format::Warc => "record",
        }
    }
}

/// How a file is to be read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The format, where the user says so.
    pub format: Option<Format>,
    pub encoding: Option<&'static Encoding>,
    pub mapping: Mapping,
}

/// One record of a file.
#[derive(Debug)]
pub struct Record {
    /// From 1.
    pub number: u64,
    /// What there is to show of it if it cannot be used.
    pub input: Vec<u8>,
    /// The article, or why there is none; None for what is no article and need not be one, such as
    /// a blank line.
    pub article: Option<Result<pb::Article, String>>,
    pub notes: Notes,
}

/// A file of articles, or a folder of them.
pub struct Source {
    kind: Kind,
    mapping: Mapping,
}

enum Kind {
    File { format: Format, reader: Box<dyn BufRead + Send>, position: Position },
    Folder(PathBuf),
}

/// Tells how far a file was read.
#[derive(Debug, Default)]
pub struct Position(Option<File>);

impl Position {
    /// How many bytes of the file were read, as it lies on disk.
    pub fn bytes(&self) -> u64 {
        // A file and its clone share one position.
        self.0.as_ref().and_then(|mut file| file.stream_position().ok()).unwrap_or(0)
    }
}

impl Source {
    /// Opens a file or folder; `-` stands for standard input. What cannot be read is refused here,
    /// with one error.
    pub fn open(path: &Path, reading: &Reading) -> Result<Source> {
        let name = display_name(path);
        if path.is_dir() {
            let mapping = reading.mapping.clone();
            return Ok(Source { kind: Kind::Folder(path.to_owned()), mapping });
        }
        let (packed, position) = read(path).with_context(|| format!("cannot read {name}"))?;
        Self::of(packed, position, path, reading)
    }

    /// What is read from somewhere as if it were that file.
    fn of(
        packed: impl Read + Send + 'static,
        position: Position,
        path: &Path,
        reading: &Reading,
    ) -> Result<Source> {
        let name = display_name(path);
        let reader = unpack(packed).with_context(|| format!("cannot read {name}"))?;
        let (format, reader) = recognise(path, reader, reading)?;
        output::print_detail(&format!("{name} is read as {format:?}"));
        let mapping = reading.mapping.clone();
        Ok(Source { kind: Kind::File { format, reader, position }, mapping })
    }

    /// What its records are called.
    pub fn unit(&self) -> &'static str {
        match &self.kind {
            Kind::File { format, .. } => format.unit(),
            Kind::Folder(_) => "file",
        }
    }

    /// Hands on every record with how far the file was read for it, until there are no more or
    /// whoever takes them has enough. An error comes after everything that could be read.
    pub fn records(self, each: &mut dyn FnMut(Record, u64) -> bool) -> Result<()> {
        let mapping = &self.mapping;
        match self.kind {
            Kind::Folder(folder) => {
                folder::records(&folder, mapping, &mut |record| each(record, 0))
            }
            Kind::File { format, reader, position } => {
                let each = &mut |record| each(record, position.bytes());
                match format {
                    Format::Jsonl => json::lines(Lines::of(reader), mapping, each),
                    Format::Json => json::values(reader, mapping, each),
                    Format::Csv | Format::Tsv => table::records(reader, mapping, each),
                    Format::Warc => warc::records(reader, each),
                }
            }
        }
    }
}

fn read(path: &Path) -> io::Result<(Box<dyn Read + Send>, Position)> {
    if is_stdin(path) {
        return Ok((Box::new(io::stdin()), Position::default()));
    }
    let file = File::open(path)?;
    let twin = file.try_clone()?;
    Ok((Box::new(file), Position(Some(twin))))
}

/// Decides what a file is, and refuses what is nothing that can be read.
fn recognise(
    path: &Path,
    mut reader: Box<dyn BufRead + Send>,
    reading: &Reading,
) -> Result<(Format, Box<dyn BufRead + Send>)> {
    let name = display_name(path);
    let start = reader.fill_buf().with_context(|| format!("cannot read {name}"))?;
    if let Some((what, todo)) = foreign_format(start) {
        bail!("{name} is {what}: {todo}");
    }
    let encoding = reading.encoding.or_else(|| utf_16(start));
    if encoding.is_some() {
        let decoded = DecodeReaderBytesBuilder::new().encoding(encoding).build(reader);
        reader = Box::new(io::BufReader::with_capacity(BUFFER_BYTES, decoded));
    }
    let reader = Box::new(Peeked::new(reader));
    let start = &reader.start.get_ref()[..reader.looked_at];
    let format = match reading.format {
        Some(format) => format,
        None => guess(path, start, &reading.mapping)
            .map_err(|reason| anyhow::anyhow!("{name} {reason}"))?,
    };
    Ok((format, reader))
}

/// So much of a file tells what it is.
const START_BYTES: usize = 64 << 10;

/// How much of a file that begins so is to be looked at: its first line, or more if an object goes
/// on behind that. `None` if it is not all here yet. It does not depend on the pieces in which a file
/// comes, as through a pipe.
fn to_look_at(start: &[u8]) -> Option<usize> {
    if start.len() >= START_BYTES {
        return Some(START_BYTES);
    }
    let blank = start.len() - start.trim_ascii_start().len();
    let end = blank + start[blank..].iter().position(|&byte| byte == b'\n')? + 1;
    (!json::goes_on(&start[blank..end])).then_some(end)
}

/// A reader of which the beginning was looked at.
struct Peeked {
    start: Cursor<Vec<u8>>,
    looked_at: usize,
    /// What happened behind it.
    error: Option<io::Error>,
    rest: Box<dyn BufRead + Send>,
}

impl Peeked {
    fn new(mut rest: Box<dyn BufRead + Send>) -> Self {
        let (mut start, mut error) = (Vec::new(), None);
        let looked_at = loop {
            if let Some(len) = to_look_at(&start) {
                break len;
            }
            match rest.fill_buf() {
                Ok([]) => break start.len(),
                Ok(bytes) => {
                    let len = bytes.len();
                    start.extend_from_slice(bytes);
                    rest.consume(len);
                }
                Err(failed) => {
                    error = Some(failed);
                    break start.len();
                }
            }
        };
        Peeked { start: Cursor::new(start), looked_at, error, rest }
    }
}

impl BufRead for Peeked {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start.position() < self.start.get_ref().len() as u64 {
            return self.start.fill_buf();
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => self.rest.fill_buf(),
        }
    }

    fn consume(&mut self, len: usize) {
        if self.start.position() < self.start.get_ref().len() as u64 {
            self.start.consume(len);
        } else {
            self.rest.consume(len);
        }
    }
}

impl Read for Peeked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// UTF-16 by its byte order mark, or by every second byte being zero.
fn utf_16(start: &[u8]) -> Option<&'static Encoding> {
    match start {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => Some(UTF_16LE),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

fn guess(path: &Path, start: &[u8], mapping: &Mapping) -> Result<Format, String> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if start.contains(&0) {
        return Err("is no text: JSON, CSV and WARC are read, plain, gzipped or as zst".to_owned());
    }
    let named = named(path);
    match text.first() {
        Some(b'[') => return Ok(Format::Json),
        Some(b'{') if json::is_document(text) => return Ok(Format::Json),
        Some(b'{') => return Ok(Format::Jsonl),
        Some(_) if text.starts_with(b"WARC/") => return Ok(Format::Warc),
        Some(b'<') => {
            return Err(
                "is HTML or XML; one page is for 'newsprint submit', and a folder of pages \
                        can be imported"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if table::is_header(text, mapping) {
        return Ok(Format::Csv);
    }
    // An empty file has no articles, and that is no error.
    match named {
        Some(format) => Ok(format),
        None if text.is_empty() => Ok(Format::Jsonl),
        None => Err("is neither JSON nor WARC, nor CSV whose first line names columns that are \
                     understood; --format says what it is, --map what its columns are"
            .to_owned()),
    }
}

/// What a file is by its name.
fn named(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        "tsv" => Some(Format::Tsv),
        "warc" | "wet" => Some(Format::Warc),
        _ => None,
    }
}

/// A reader that gives so many bytes and then an error, until it is asked to begin anew: so no
/// record takes more memory than that, wherever its end is.
struct Bounded<R> {
    reader: R,
    left: std::rc::Rc<std::cell::Cell<usize>>,
}

impl<R: BufRead> Bounded<R> {
    fn new(reader: R) -> (Self, impl Fn()) {
        let left = std::rc::Rc::new(std::cell::Cell::new(RECORD_BYTES_MAX));
        let bounded = Bounded { reader, left: left.clone() };
        (bounded, move || left.set(RECORD_BYTES_MAX))
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            let reason = format!("one record has more than {RECORD_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let len = buffer.len().min(left);
        let read = self.reader.read(&mut buffer[..len])?;
        self.left.set(left - read);
        Ok(read)
    }
}

/// Whatever is in a file, at once or piece by piece as through a pipe, it is refused or read to an
/// end, its records are numbered, and their articles can be sent. The first byte says how it is to be
/// read.
#[cfg(any(fuzzing, test))]
pub fn check_import(data: &[u8]) {
    use prost::Message;

    let Some((&how, content)) = data.split_first() else { return };
    let formats = Format::value_variants();
    let format = formats.get(usize::from(how) % (formats.len() + 1)).copied();
    let encoding = (how >= 128).then_some(encoding_rs::WINDOWS_1252);
    let reading = Reading { format, encoding, mapping: Mapping::default() };
    let read = |pieces: usize| {
        let pieces = Pieces { content: content.to_vec(), read: 0, len: pieces };
        let source = Source::of(pieces, Position::default(), Path::new("a"), &reading);
        let source = source.map_err(|error| format!("{error:#}"))?;
        let mut seen = Vec::new();
        let ended = source.records(&mut |record, _| {
            if let Some(Ok(article)) = &record.article {
                assert_eq!(pb::Article::decode(&*article.encode_to_vec()).as_ref(), Ok(article));
            }
            seen.push((record.number, record.input, record.article));
            true
        });
        assert!(seen.is_sorted_by_key(|record| record.0));
        Ok::<_, String>((seen, ended.map_err(|error| format!("{error:#}"))))
    };
    assert_eq!(read(usize::MAX), read(13));
}

/// Gives its content in pieces, but for the start, by which a file is told.
#[cfg(any(fuzzing, test))]
struct Pieces {
    content: Vec<u8>,
    read: usize,
    len: usize,
}

#[cfg(any(fuzzing, test))]
impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = if self.read == 0 { self.len.max(512) } else { self.len };
        let read = (&self.content[self.read..]).take(piece as u64).read(buffer)?;
        self.read += read;
        Ok(read)
    }
}

#[cfg(test)]
#[path = "../../../fuzz/mutate.rs"]
mod mutate;

#[cfg(test)]
pub mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    pub fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// The titles of a file's articles or why there are none, what it is, and how it ended.
    fn titles(name: &str, content: &[u8]) -> Result<(Vec<String>, &'static str, Option<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let source = Source::open(&path, &Reading::default())?;
        let (unit, mut titles) = (source.unit(), Vec::new());
        let ended = source.records(&mut |record, _| {
            titles.extend(record.article.map(|article| match article {
                Ok(article) => article.title,
                Err(reason) => reason,
            }));
            true
        });
        Ok((titles, unit, ended.err().map(|error| format!("{error:#}"))))
    }

    fn check(name: &str, content: impl AsRef<[u8]>, unit: &str, expected: &[&str]) {
        let (titles, seen, error) = titles(name, content.as_ref()).unwrap();
        assert_eq!(
            (titles.as_slice(), seen, error),
            (&expected.iter().map(|it| it.to_string()).collect::<Vec<_>>()[..], unit, None),
            "{name}"
        );
    }

    #[test]
    fn import() {
        mutate::ask("import", check_import);
    }

    const LINES: &str = "{\"title\": \"One\"}\n\n{\"title\": \"Two\"}\n";

    #[test]
    fn formats_are_told_by_their_content() {
        let two = &["One", "Two"];
        for name in ["a.jsonl", "a", "a.csv", "a.json"] {
            check(name, LINES, "line", two);
            check(name, gzip(LINES.as_bytes()), "line", two);
            check(name, zstd::encode_all(LINES.as_bytes(), 1).unwrap(), "line", two);
            check(name, r#"[{"title": "One"}, {"title": "Two"}]"#, "item", two);
            check(
                name,
                "[\n  {\n    \"title\": \"One\"\n  },\n  {\"title\": \"Two\"}]",
                "item",
                two,
            );
            check(name, "{\n  \"title\": \"One\"\n}\n{\n  \"title\": \"Two\"\n}\n", "item", two);
            check(
                name,
                r#"{"status": "ok", "articles": [{"title": "One"}, {"title": "Two"}]}"#
                    .replace(", \"art", ",\n\"art"),
                "item",
                two,
            );
            check(name, "id,title\n1,One\n2,\"Two\"\n", "row", two);
            check(name, "id\ttitle\n1\tOne\n2\tTwo\n", "row", two);
            check(name, "id;title\n1;One\n2;Two\n", "row", two);
            let utf_16: Vec<u8> = LINES.encode_utf16().flat_map(u16::to_le_bytes).collect();
            check(name, &utf_16, "line", two);
            check(name, [b"\xff\xfe".to_vec(), utf_16].concat(), "line", two);
            check(name, format!("\u{feff}{LINES}"), "line", two);
        }
        check("a.jsonl", "", "line", &[]);
        check("a.jsonl", "no JSON\n{\"title\": \"Two\"}", "line", &["not a JSON object", "Two"]);
        check(
            "a.jsonl",
            "{\"title\": \"One\n{\"title\": \"Two\"}",
            "line",
            &["not JSON: EOF while parsing a string at column 14", "Two"],
        );
    }

    #[test]
    fn what_cannot_be_read_is_one_error() {
        let check = |content: &[u8], expected: &str| {
            for name in ["a.jsonl", "a.csv", "a"] {
                let error = format!("{:#}", titles(name, content).unwrap_err());
                assert!(error.contains(expected), "{name}: {error}");
            }
        };
        check(b"PK\x03\x04\x14\0\0\0", "is a zip archive: unpack it first");
        check(b"BZh91AY&SY", "bzip2");
        check(&gzip(b"PAR1\x15\x04"), "a Parquet file: export it");
        check(b"\x93\x01\0\0\0\x02\x7f", "is no text");
        check(b"<html><body>", "newsprint submit");
        let error = titles("a", b"Ships came in, and went.\n").unwrap_err();
        assert!(error.to_string().contains("is neither JSON nor WARC"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let error = Source::open(&folder.path().join("none"), &Reading::default()).err().unwrap();
        assert!(format!("{error:#}").starts_with("cannot read "));
    }

    #[test]
    fn the_good_part_of_a_damaged_file_is_read() {
        let content: String =
            (0..350).map(|n| format!("{{\"title\": \"item {n} {}\"}}\n", n * n % 977)).collect();
        let whole = gzip(content.as_bytes());
        let (titles, _, error) = titles("cut.jsonl.gz", &whole[..whole.len() - 9]).unwrap();
        assert_eq!(titles.len(), 350);
        assert!(error.unwrap().contains("line 350"));
    }

    #[test]
    fn no_record_is_held_that_has_no_end() {
        let endless = "x".repeat(RECORD_BYTES_MAX + (64 << 10));
        for (name, content) in [
            ("a.json", format!("[{{\"title\": \"One\"}}, {{\"title\": \"{endless}\"}}]")),
            ("a.csv", format!("id,title\n1,One\n2,\"{endless}\"\n")),
        ] {
            let (titles, _, error) = titles(name, content.as_bytes()).unwrap();
            assert_eq!(titles.len(), 1, "{name}");
            assert!(error.unwrap().contains("more than 16777216 bytes"), "{name}");
        }
        let (titles, _, error) =
            titles("a.jsonl", format!("{LINES}{{{endless}\n{LINES}").as_bytes()).unwrap();
        assert_eq!((titles.len(), error), (5, None));
    }
}
