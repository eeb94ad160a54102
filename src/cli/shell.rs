//! What a shell and `man` want to know of the commands: `newsprint completions` and `man`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::Shell;

use super::output;

/// Print completions for a shell
///
/// For bash: newsprint completions bash > ~/.local/share/bash-completion/completions/newsprint
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Write manual pages, one per command
///
/// man -l DIR/newsprint.1 shows one.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder to write them to; made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs, command: &mut clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "newsprint", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}

pub fn man(args: &ManArgs, command: clap::Command) -> Result<()> {
    let context = || format!("cannot write to {}", args.folder.display());
    std::fs::create_dir_all(&args.folder).with_context(context)?;
    clap_mangen::generate_to(command, &args.folder).with_context(context)?;
    output::print_text(&format!("written to {}\n", args.folder.display()))
}
