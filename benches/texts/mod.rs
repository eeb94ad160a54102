//! Articles of one's own to measure with, named by `NEWSPRINT_BENCH_TEXTS`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    title: Option<String>,
    #[serde(alias = "text")]
    body: String,
}

pub fn path() -> Option<PathBuf> {
    std::env::var_os("NEWSPRINT_BENCH_TEXTS").map(PathBuf::from)
}

/// Titles and bodies of a file of JSON lines, gzipped or not.
pub fn read(path: &Path) -> Vec<(String, String)> {
    let file = File::open(path).unwrap();
    let is_gzipped = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> =
        if is_gzipped { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let lines = BufReader::new(reader).lines();
    lines
        .map(|line| {
            let Line { title, body } = serde_json::from_str(&line.unwrap()).unwrap();
            (title.unwrap_or_default(), body)
        })
        .collect()
}
