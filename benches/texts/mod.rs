//! Articles of one's own to measure with, named by `NEWSPRINT_BENCH_TEXTS`.

use std::path::{Path, PathBuf};

use newsprint::files::read_json_lines;
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

/// Titles and bodies of a file of JSON lines, plain or compressed.
pub fn read(path: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let each = |Line { title, body }| texts.push((title.unwrap_or_default(), body));
    read_json_lines(path, each).unwrap();
    texts
}
