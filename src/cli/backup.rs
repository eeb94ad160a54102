//! `newsprint backup` and `newsprint restore`: consistent copies of everything, and the way back.

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use newsprint::api::pb::{CreateBackupRequest, CreateBackupResponse};
use newsprint::store::{self, BackupInfo};

use super::check;
use super::client::Connection;
use super::output::{self, ProtoJson};

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    Create(CreateArgs),
    List(ListArgs),
    Verify(VerifyArgs),
}

/// Have the server copy everything it remembers, while it serves
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the backup: a new folder in the server's backup folder
    #[arg(value_name = "NAME")]
    name: String,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// List the backups in a folder of this machine
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The server's backup folder
    #[arg(
        long,
        env = "NEWSPRINT_BACKUPS",
        value_name = "DIR",
        default_value = "newsprint-backups"
    )]
    backups: PathBuf,

    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Verify a backup, record by record
///
/// Exits with 1 if anything is wrong.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The backup's name
    #[arg(value_name = "NAME")]
    name: String,

    /// The server's backup folder
    #[arg(
        long,
        env = "NEWSPRINT_BACKUPS",
        value_name = "DIR",
        default_value = "newsprint-backups"
    )]
    backups: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Make a data folder of a backup
///
/// The backup is verified, copied and stays as it is; start a server on the copy with --data.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,

    /// The data folder to make: nothing may be there yet
    #[arg(value_name = "DATA")]
    data: PathBuf,

    /// Do not verify the backup first
    #[arg(long)]
    no_check: bool,
}

pub fn run(command: &BackupCommand) -> Result<()> {
    match command {
        BackupCommand::Create(args) => create(args),
        BackupCommand::List(args) => list(args),
        BackupCommand::Verify(args) => check::verify(&args.backups.join(&args.name), args.json),
    }
}

fn create(args: &CreateArgs) -> Result<()> {
    super::block_on(async {
        let client = args.connection.connect().await?.admin();
        let request = CreateBackupRequest { name: args.name.clone() };
        let answer = args.connection.call(request, |request| {
            let mut client = client.clone();
            async move { client.create_backup(request).await }
        });
        let backup: CreateBackupResponse = answer.await?;
        if args.json {
            return ProtoJson::new()?.print("CreateBackupResponse", &backup);
        }
        let mib = mib(backup.size_bytes as u64);
        let text = format!("{} articles, {mib}, in {}\n", backup.article_count, backup.path);
        output::print_text(&text)
    })
}

fn list(args: &ListArgs) -> Result<()> {
    let backups = store::backups(&args.backups)?;
    if args.json { output::print_json(&backups) } else { output::print_text(&Shown(&backups)) }
}

pub fn restore(args: &RestoreArgs) -> Result<()> {
    if !args.no_check {
        let report = check::check(&args.backup)?;
        if report.problem_count > 0 {
            bail!(
                "the backup is damaged; 'newsprint check {}' tells how, and --no-check restores \
                 what can be read",
                args.backup.display()
            );
        }
    }
    let bar = output::progress_bar(0, output::BYTES_BAR);
    bar.set_message("copying");
    let restored = store::restore(&args.backup, &args.data, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    restored?;
    output::print_text(&format!("restored to {}\n", args.data.display()))
}

/// Backups for people.
struct Shown<'b>(&'b [BackupInfo]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "no backups");
        }
        for backup in self.0 {
            let size = mib(backup.size_bytes);
            write!(f, "{}  {size}  {}", backup.name, backup.path.display())?;
            match &backup.unusable {
                Some(reason) => writeln!(f, "  unusable: {reason}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
