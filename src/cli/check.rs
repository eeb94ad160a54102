//! `newsprint check`: whether everything in a data folder is there and whole.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use newsprint::store::{self, CheckReport};

use super::output;

/// Verify a data folder, record by record
///
/// The server must not be running on it. Exits with 1 if anything is wrong.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The data folder, or a backup
    #[arg(value_name = "DIR", default_value = "newsprint-data")]
    folder: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs) -> Result<()> {
    verify(&args.folder, args.json)
}

/// Tells what is wrong with a data folder or backup, and fails if anything is.
pub fn verify(folder: &Path, json: bool) -> Result<()> {
    let report = check(folder)?;
    if json {
        output::print_json(&report)?
    } else {
        output::print_text(&Shown(&report))?
    }
    match report.problem_count {
        0 => Ok(()),
        1 => bail!("{} is damaged: 1 problem", folder.display()),
        count => bail!("{} is damaged: {count} problems", folder.display()),
    }
}

/// Reads everything in a data folder or backup, which takes a while.
pub fn check(folder: &Path) -> Result<CheckReport> {
    let bar = output::progress_bar(0, "{spinner} checking, {human_pos} articles, {per_sec}");
    bar.enable_steady_tick(Duration::from_millis(100));
    let report = store::check(folder, |articles| bar.set_position(articles));
    bar.finish_and_clear();
    Ok(report?)
}

/// A report for people.
struct Shown<'r>(&'r CheckReport);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckReport { collections, articles, problem_count, problems } = self.0;
        for problem in problems {
            writeln!(f, "{problem}")?;
        }
        writeln!(f, "articles {articles}, collections {collections}, problems {problem_count}")
    }
}
