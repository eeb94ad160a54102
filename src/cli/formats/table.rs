//! CSV and its kin: tables whose first line names the columns.

use std::borrow::Cow;
use std::io::BufRead;

use anyhow::{Context, Result, bail};
use csv::{ByteRecord, ReaderBuilder, WriterBuilder};

use super::{Bounded, Record};
use crate::cli::fields::{Mapping, Notes, Value, article};

const DELIMITERS: [u8; 4] = *b",\t;|";

/// Whether the text begins with a line that names columns: one is text, and known as such.
pub fn is_header(text: &[u8], mapping: &Mapping) -> bool {
    header(text).is_some_and(|(_, names)| names.iter().any(|name| mapping.knows(name)))
}

/// The first line as it is parted by whatever parts it most.
fn header(text: &[u8]) -> Option<(u8, Vec<String>)> {
    let end = text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len());
    let line = &text[..end];
    let count = |delimiter| line.iter().filter(|&&byte| byte == delimiter).count();
    let delimiter =
        DELIMITERS.into_iter().max_by_key(|&delimiter| (count(delimiter), delimiter == b','))?;
    if count(delimiter) == 0 {
        return None;
    }
    let mut names = ByteRecord::new();
    let mut reader = ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(line);
    reader.read_byte_record(&mut names).ok()?;
    Some((delimiter, names.iter().map(name).collect()))
}

fn name(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).trim().trim_start_matches('\u{feff}').to_owned()
}

pub fn records(
    mut reader: impl BufRead,
    mapping: &Mapping,
    each: &mut dyn FnMut(Record) -> bool,
) -> Result<()> {
    let start = reader.fill_buf()?;
    if start.is_empty() {
        return Ok(());
    }
    let Some((delimiter, names)) = header(start) else {
        bail!("the file's first line does not name columns, such as id,title,body");
    };
    if !names.iter().any(|name| mapping.knows(name)) {
        bail!(
            "the file's columns are {}, none of which is understood; --map body=NAME,title=NAME says what \
             they are",
            names.join(", ")
        );
    }
    let (reader, begin) = Bounded::new(reader);
    // Rows of another length are told apart here, with the row to show.
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(true)
        .flexible(true)
        .from_reader(reader);
    let (mut row, mut number) = (ByteRecord::new(), 0);
    loop {
        begin();
        let is_row = reader.read_byte_record(&mut row);
        if !is_row.with_context(|| format!("the file cannot be read on behind row {number}"))? {
            return Ok(());
        }
        number += 1;
        let mut notes = Notes::default();
        let parsed = read_row(&row, &names, mapping, &mut notes);
        let record =
            Record { number, input: written(&row, delimiter), article: Some(parsed), notes };
        if !each(record) {
            return Ok(());
        }
    }
}

fn read_row(
    row: &ByteRecord,
    names: &[String],
    mapping: &Mapping,
    notes: &mut Notes,
) -> Result<newsprint::api::pb::Article, String> {
    if row.len() != names.len() {
        return Err(format!(
            "the row has {} cells, and there are {} columns",
            row.len(),
            names.len()
        ));
    }
    let mut members = Vec::with_capacity(names.len());
    for (name, cell) in names.iter().zip(row) {
        let cell = std::str::from_utf8(cell)
            .map_err(|_| format!("{name} is not UTF-8; --encoding says what it is"))?;
        members.push((Cow::from(name.as_str()), Value::Cell(cell)));
    }
    article(members, mapping, notes)
}

/// The row as it could stand in the file.
fn written(row: &ByteRecord, delimiter: u8) -> Vec<u8> {
    let mut writer = WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let written = writer.write_byte_record(row).ok().and_then(|()| writer.into_inner().ok());
    let mut text = written.unwrap_or_default();
    text.truncate(text.trim_ascii_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_columns() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_header(text.as_bytes(), &Mapping::default()), expected, "{text}");
        };
        check("id,title,body\n1,a,b", true);
        check("\u{feff}\"Title\";\"Story\"\r\n", true);
        check("Ships came in, and went out\n", false);
        check("title\nOne\n", false);
        check("", false);
    }

    #[test]
    fn rows_become_articles_and_odd_ones_are_told() {
        let table = "id,headline,Body Text,byline,publishedAt\n\
                     1,\"Tide, high\",\"two\nlines\",Ada,2026-04-01\n\
                     2,only two\n\
                     3,Ebb,text,,\n\
                     4,B\u{0}d,,,\n"
            .replace('\u{0}', "\u{e9}");
        let mut bytes = table.into_bytes();
        let at = bytes.iter().position(|&byte| byte == 0xc3).unwrap();
        bytes.remove(at);
        let (mut articles, mut all) = (Vec::new(), Notes::default());
        records(&bytes[..], &Mapping::default(), &mut |record| {
            all.merge(record.notes);
            articles.push((record.number, record.input, record.article.unwrap()));
            true
        })
        .unwrap();
        let first = articles[0].2.as_ref().unwrap();
        assert_eq!((first.title.as_str(), first.body.as_str()), ("Tide, high", "two\nlines"));
        assert!(first.publish_time.is_some());
        assert_eq!(articles[1].0, 2);
        assert_eq!(articles[1].1, b"2,only two");
        assert_eq!(articles[1].2, Err("the row has 2 cells, and there are 5 columns".to_owned()));
        assert_eq!(articles[2].2.as_ref().unwrap().title, "Ebb");
        assert!(articles[3].2.as_ref().unwrap_err().contains("headline is not UTF-8"));
        let notes: Vec<_> = all.lines().collect();
        assert_eq!(notes, [("'byline' is not understood and left out".to_owned(), 1)]);
    }
}
