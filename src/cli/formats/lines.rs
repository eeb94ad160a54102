//! Lines of a file of any size, plain or compressed, read one at a time.

use std::io::{self, BufRead, Read};
use std::path::Path;

use newsprint::files::unpack;

pub struct Lines {
    reader: Box<dyn BufRead + Send>,
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
    /// Opens a file; `-` stands for standard input.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Lines::of(unpack(super::read(path)?.0)?))
    }

    pub fn of(reader: Box<dyn BufRead + Send>) -> Self {
        Lines { reader, line: 0 }
    }

    /// The number of the line read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
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
    use std::io::Cursor;

    use super::*;

    fn read(content: &[u8], bytes_max: usize) -> Vec<Option<String>> {
        let mut lines = Lines::of(Box::new(Cursor::new(content.to_vec())));
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
}
