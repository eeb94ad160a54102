//! Files as they come: plain or compressed, and JSON Lines in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use serde::de::DeserializeOwned;

pub const BUFFER_BYTES: usize = 256 << 10;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The content of a file, plain, gzipped or compressed with Zstandard, which is told by its first
/// bytes.
pub fn unpack(source: impl Read + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
    let start = reader.fill_buf()?;
    if start.starts_with(GZIP_MAGIC) {
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, Gzip::Member(GzDecoder::new(reader)))))
    } else if start.starts_with(ZSTD_MAGIC) {
        let frames = zstd::stream::read::Decoder::with_buffer(reader)?;
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, frames)))
    } else {
        Ok(Box::new(reader))
    }
}

/// The members of a gzip file, one after the other. Padding behind the last, which tapes and some
/// archives leave, is no error; neither is it for gzip.
enum Gzip<R: BufRead> {
    Member(GzDecoder<R>),
    Done,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Gzip::Member(member) = self else { return Ok(0) };
            match member.read(buffer)? {
                0 if !buffer.is_empty() => {}
                read => return Ok(read),
            }
            let Gzip::Member(member) = std::mem::replace(self, Gzip::Done) else { return Ok(0) };
            let mut rest = member.into_inner();
            if is_only_zeros(&mut rest)? {
                return Ok(0);
            }
            if !rest.fill_buf()?.starts_with(&GZIP_MAGIC[..1]) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "what follows the compressed data is neither such data nor padding",
                ));
            }
            *self = Gzip::Member(GzDecoder::new(rest));
        }
    }
}

/// Passes over zeros, and tells whether nothing else is left.
fn is_only_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(true);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let is_over = zeros < bytes.len();
        reader.consume(zeros);
        if is_over {
            return Ok(false);
        }
    }
}

/// Why a file of JSON Lines cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} line {line}: {source}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
}

/// Calls `each` with what stands in every line of a file, plain or compressed, in order. Empty lines
/// are skipped.
pub fn read_json_lines<T: DeserializeOwned>(
    path: &Path,
    mut each: impl FnMut(T),
) -> Result<(), FileError> {
    let read_error = |source| FileError::Read { path: path.to_owned(), source };
    // As everywhere on the command line, `-` is standard input.
    let opened = if path == Path::new("-") {
        unpack(io::stdin())
    } else {
        unpack(File::open(path).map_err(read_error)?)
    };
    let mut reader = opened.map_err(read_error)?;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(read_error)? == 0 {
            break;
        }
        let mark = if line == 1 { "\u{feff}" } else { "" };
        let bytes = bytes.strip_prefix(mark.as_bytes()).unwrap_or(&bytes).trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let item = serde_json::from_slice(bytes);
        each(item.map_err(|source| FileError::Line { path: path.to_owned(), line, source })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn read(packed: &[u8]) -> (String, Option<io::Error>) {
        let mut bytes = Vec::new();
        let error = unpack(Cursor::new(packed.to_vec())).unwrap().read_to_end(&mut bytes).err();
        (String::from_utf8(bytes).unwrap(), error)
    }

    #[test]
    fn compression_is_told_by_the_content() {
        for packed in
            [b"one two".to_vec(), gzip(b"one two"), zstd::encode_all(&b"one two"[..], 1).unwrap()]
        {
            let (text, error) = read(&packed);
            assert!(error.is_none());
            assert_eq!(text, "one two");
        }
        let (text, error) = read(&[gzip(b"one "), gzip(b""), gzip(b"two")].concat());
        assert!(error.is_none() && text == "one two");
        let frames =
            [zstd::encode_all(&b"one "[..], 1).unwrap(), zstd::encode_all(&b"two"[..], 1).unwrap()];
        assert_eq!(read(&frames.concat()).0, "one two");
    }

    #[test]
    fn padding_is_no_error_and_everything_else_is() {
        let (text, error) = read(&[gzip(b"one"), vec![0; 512], gzip(b"two"), vec![0; 9]].concat());
        assert!(error.is_none() && text == "onetwo");
        let (text, error) = read(&[gzip(b"one"), b"junk".to_vec()].concat());
        assert!(error.unwrap().to_string().contains("padding") && text == "one");
    }

    #[test]
    fn of_a_file_cut_off_everything_before_is_read() {
        let content: String =
            (0..999).map(|n| format!("{} ships came in\n", n * n % 977)).collect();
        let whole = gzip(content.as_bytes());
        let (text, error) = read(&whole[..whole.len() - 9]);
        assert!(error.is_some());
        assert_eq!(text, content);
        let (text, error) = read(&whole[..whole.len() / 2]);
        assert!(error.is_some() && content.starts_with(&text) && text.len() > content.len() / 4);
    }

    #[test]
    fn json_lines_may_begin_with_a_mark_and_have_empty_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers.jsonl");
        std::fs::write(&path, "\u{feff}1\r\n\n2").unwrap();
        let mut numbers = Vec::new();
        read_json_lines(&path, |number: u32| numbers.push(number)).unwrap();
        assert_eq!(numbers, [1, 2]);
        std::fs::write(&path, "1\n\u{feff}2").unwrap();
        let error = read_json_lines(&path, |_: u32| {}).unwrap_err();
        assert!(matches!(error, FileError::Line { line: 2, .. }), "{error}");
    }
}
