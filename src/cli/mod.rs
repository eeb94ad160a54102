//! The command line: what there is to type, one file per command.
//!
//! Exit codes: 0 for success, 1 for a failure, told in one line on stderr, 2 for a command line
//! that makes no sense. Results go to stdout, everything else to stderr.

mod backup;
mod batches;
mod bench;
mod check;
mod classify;
mod client;
mod collections;
mod compare;
mod dates;
mod eval;
mod fields;
mod formats;
mod html;
mod import;
mod info;
mod input;
#[cfg(feature = "redis")]
mod migrate;
mod output;
mod resume;
mod serve;
mod shell;
mod stored;
mod submit;
mod token;
mod train;
mod watch;

#[cfg(fuzzing)]
pub use formats::check_import;

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use newsprint::config::Config;
use newsprint::kernel::Kernel;
use output::Verbosity;

/// Tells what news articles are about and whether they were seen before
#[derive(Debug, Parser)]
#[command(name = "newsprint", version, max_term_width = 100)]
struct Cli {
    /// Instructions to read text with: portable, avx2, avx512 or neon [default: the fastest that
    /// the processor has]
    #[arg(long, global = true, env = "NEWSPRINT_KERNEL", value_name = "NAME", hide = true)]
    kernel: Option<String>,

    /// When to use colours: auto (on terminals), always or never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t = Color::Auto,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    color: Color,

    /// Print results and errors only: no notes, no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,

    /// Tell more: what is connected to and read
    #[arg(short, long, global = true, help_heading = "Output")]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    ///
    /// With no flag at all it listens on 127.0.0.1:50051 and keeps its data in ./newsprint-data.
    /// Flags win over NEWSPRINT_* variables, those over the file named by --config. Ctrl-C and
    /// SIGTERM end it once the calls in work are answered.
    Serve(Box<Config>),
    Info(info::InfoArgs),
    Health(info::HealthArgs),
    Reload(info::ReloadArgs),
    /// List, make, change and forget collections
    #[command(subcommand)]
    Collections(collections::CollectionsCommand),
    /// Copy everything a server remembers, and list and verify such copies
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    Restore(backup::RestoreArgs),
    Check(check::CheckArgs),
    #[cfg(feature = "redis")]
    Migrate(migrate::MigrateArgs),
    /// Make tokens for those who call a server
    #[command(subcommand)]
    Token(token::TokenCommand),
    Submit(submit::SubmitArgs),
    Classify(classify::ClassifyArgs),
    Compare(compare::CompareArgs),
    Import(import::ImportArgs),
    Get(stored::GetArgs),
    List(stored::ListArgs),
    Delete(stored::DeleteArgs),
    Story(stored::StoryArgs),
    Similar(stored::SimilarArgs),
    Watch(watch::WatchArgs),
    /// Train a model on labelled data
    #[command(subcommand)]
    Train(train::TrainCommand),
    /// Measure a model on labelled data
    #[command(subcommand)]
    Eval(eval::EvalCommand),
    Bench(bench::BenchArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    fn set(self) {
        let choice = match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// The commands as `newsprint --help` lists them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Articles", &["submit", "classify", "compare", "import"]),
    ("What is remembered", &["get", "list", "delete", "story", "similar", "watch"]),
    (
        "Server",
        &[
            "serve",
            "info",
            "health",
            "reload",
            "collections",
            "backup",
            "restore",
            "check",
            #[cfg(feature = "redis")]
            "migrate",
            "token",
            "bench",
        ],
    ),
    ("Models", &["train", "eval"]),
    ("Shell", &["completions", "man"]),
];

/// Runs the command that the program was started with.
pub fn run() -> anyhow::Result<()> {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches)?;
    cli.color.set();
    output::set_verbosity(match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, false) => Verbosity::Normal,
        (false, true) => Verbosity::Verbose,
    });
    if let Some(kernel) = &cli.kernel {
        Kernel::choose(kernel).context("NEWSPRINT_KERNEL cannot be followed")?;
    }
    match cli.command {
        // The settings come from a file too, where no flag gives them.
        Command::Serve(_) => serve::run(matches.subcommand_matches("serve").unwrap_or(&matches)),
        Command::Info(args) => info::info(&args),
        Command::Health(args) => info::health(&args),
        Command::Reload(args) => info::reload(&args),
        Command::Collections(command) => collections::run(&command),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Check(args) => check::run(&args),
        #[cfg(feature = "redis")]
        Command::Migrate(args) => migrate::run(&args),
        Command::Token(command) => token::run(&command),
        Command::Submit(args) => submit::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Get(args) => stored::get(&args),
        Command::List(args) => stored::list(&args),
        Command::Delete(args) => stored::delete(&args),
        Command::Story(args) => stored::story(&args),
        Command::Similar(args) => stored::similar(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Train(command) => train::run(&command),
        Command::Eval(command) => eval::run(&command),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => shell::completions(&args, &mut command()),
        Command::Man(args) => shell::man(&args, command()),
    }
}

/// Tells about an error on stderr, and what to exit with.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(usage) = error.downcast_ref::<clap::Error>() {
        usage.exit();
    }
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    output::print_error(error);
    ExitCode::FAILURE
}

/// Whether whoever reads the output has seen enough of it, as `head` has: nothing went wrong then.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().map(|cause| cause.downcast_ref().map(io::Error::kind));
    kinds.flatten().any(|kind| kind == io::ErrorKind::BrokenPipe)
}

/// The parser with the commands in groups, which clap alone cannot do.
fn command() -> clap::Command {
    let command = Cli::command();
    let template = help_template(&command);
    command.help_template(template)
}

fn help_template(command: &clap::Command) -> StyledStr {
    let styles = command.get_styles();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (group, names) in GROUPS {
        let _ = write!(text, "\n{header}{group}:{header:#}\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.cloned().unwrap_or_default();
            let _ = writeln!(text, "  {literal}{name:<13}{literal:#}{about}");
        }
    }
    let _ = write!(text, "\n{header}Options:{header:#}\n{{options}}");
    let after = "\n\n'newsprint COMMAND --help' tells more about a command.";
    text.push_str(after);
    text.into()
}

/// A command line that can be parsed, and still makes no sense.
fn usage_error(message: &str) -> anyhow::Error {
    Cli::command().error(ErrorKind::ArgumentConflict, message).into()
}

/// Runs a command that spends its time waiting for a server.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Completes when the program is asked to end: by Ctrl-C, or where there is such a thing, SIGTERM.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the signal ends the program anyway.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn help_lists_every_command_once() {
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let command = Cli::command();
        let mut known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
