//! `newsprint backup`: a consistent copy of everything, made by a server that goes on serving.

use anyhow::Result;
use clap::Args;
use newsprint::api::pb::CreateBackupRequest;

use super::client::{Connection, refusal};
use super::output::{self, ProtoJson};

/// Have the server copy everything it remembers
///
/// The copy is a data folder like any other: start a server on it with --data to restore it.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Name of the backup: a new folder in the server's backup folder
    #[arg(value_name = "NAME")]
    name: String,

    /// Print the answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

pub fn run(args: &BackupArgs) -> Result<()> {
    super::block_on(async {
        let mut client = args.connection.connect().await?.admin();
        let request = args.connection.request(CreateBackupRequest { name: args.name.clone() });
        let response = client.create_backup(request).await.map_err(|status| refusal(&status))?;
        let backup = response.into_inner();
        if args.json {
            return ProtoJson::new()?.print("CreateBackupResponse", &backup);
        }
        let mib = backup.size_bytes as f64 / f64::from(1 << 20);
        let text = format!("{} articles, {mib:.1} MiB, in {}\n", backup.article_count, backup.path);
        output::print_text(&text)
    })
}
