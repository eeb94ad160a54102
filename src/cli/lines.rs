//! Lines of a file of any size, plain or gzipped, read one at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::input::is_stdin;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

const BUFFER_BYTES: usize = 256 << 10;

pub struct Lines {
    reader: Box<dyn BufRead + Send>,
    /// The file once more, to be asked how far it was read. Not there for standard input.
    file: Option<File>,
    /// Lines read so far.
    line: u64,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Text(Vec<u8>),
    /// Longer than allowed; it was passed over.
    TooLong,
}

impl Lines {
    /// Opens a file; `-` stands for standard input. Whether it is gzipped is told by its content.
    pub fn open(path: &Path) -> io::Result<Self> {
        if is_stdin(path) {
            return Lines::new(io::stdin(), None);
        }
        let file = File::open(path)?;
        let twin = file.try_clone()?;
        Lines::new(file, Some(twin))
    }

    fn new(source: impl Read + Send + 'static, file: Option<File>) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, source);
        let reader: Box<dyn BufRead + Send> = if reader.fill_buf()?.starts_with(&GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Ok(Lines { reader, file, line: 0 })
    }

    /// The number of the line read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes of the file were read, as it lies on disk.
    pub fn bytes_read(&self) -> u64 {
        // A file and its clone share one position.
        self.file.as_ref().and_then(|mut file| file.stream_position().ok()).unwrap_or(0)
    }

    /// The next line, None at the end. Never holds more than `bytes_max` of it.
    pub fn next(&mut self, bytes_max: usize) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut head = self.reader.by_ref().take(bytes_max as u64 + 1);
        if head.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() > bytes_max {
            self.reader.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.line == 1 && bytes.starts_with("\u{feff}".as_bytes()) {
            bytes.drain(.."\u{feff}".len());
        }
        Ok(Some(Line::Text(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(content: &[u8], bytes_max: usize) -> Vec<Option<String>> {
        let mut lines = Lines::new(Cursor::new(content.to_vec()), None).unwrap();
        let mut found = Vec::new();
        while let Some(line) = lines.next(bytes_max).unwrap() {
            found.push(match line {
                Line::Text(bytes) => Some(String::from_utf8(bytes).unwrap()),
                Line::TooLong => None,
            });
            assert_eq!(lines.line(), found.len() as u64);
        }
        found
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_end_as_they_like() {
        let text = |lines: &[&str]| -> Vec<Option<String>> {
            lines.iter().map(|line| Some((*line).to_owned())).collect()
        };
        assert_eq!(read(b"", 9), text(&[]));
        assert_eq!(read(b"one\ntwo\r\n\nfour", 9), text(&["one", "two", "", "four"]));
        assert_eq!(read("\u{feff}one\n\u{feff}two".as_bytes(), 9), text(&["one", "\u{feff}two"]));
    }

    #[test]
    fn a_long_line_is_passed_over() {
        let expected = [Some("12345".to_owned()), None, Some("7".to_owned()), None];
        assert_eq!(read(b"12345\n123456\n7\n1234567890", 5), expected);
        assert_eq!(read(b"12345", 5), [Some("12345".to_owned())]);
    }

    #[test]
    fn gzip_is_told_by_its_content() {
        let members = [gzip(b"one\ntw"), gzip(b"o\nthree")].concat();
        let expected = ["one", "two", "three"].map(|line| Some(line.to_owned()));
        assert_eq!(read(&members, 99), expected);
    }

    #[test]
    fn a_gzip_file_cut_off_is_an_error() {
        let whole = gzip("Ships came in. ".repeat(999).as_bytes());
        let mut lines = Lines::new(Cursor::new(whole[..whole.len() / 2].to_vec()), None).unwrap();
        assert!(lines.next(1 << 20).is_err());
    }
}
