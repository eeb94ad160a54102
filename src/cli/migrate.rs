//! `newsprint migrate`: everything from the embedded store into a cluster, and back.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use newsprint::config::StoreUrl;
use newsprint::store::transfer::{CollectionReport, Source, Step, Target, transfer};
use newsprint::store::{Folder, RedisSettings, RedisStore};

use super::output;

/// Move everything remembered from a data folder into a cluster, or back
///
/// Articles go as they are remembered, with their times, revisions, verdicts and stories; nothing is
/// judged anew. The source stays as it is. A data folder to read must not be open: of one that is
/// being served take a backup ('newsprint backup create'), and migrate that. Broken off, it goes on
/// where it was when it is begun again. At the end both sides are read and compared; it exits with 1
/// if they differ.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Where everything is: a data folder, a backup, or the URL of a cluster
    #[arg(long, value_name = "DIR|URL")]
    from: String,

    /// Where it goes: a data folder, made if it is not there, or the URL of a cluster
    #[arg(long, value_name = "DIR|URL")]
    to: String,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &MigrateArgs) -> Result<()> {
    if args.from == args.to {
        bail!("--from and --to are the same");
    }
    super::block_on(async {
        let source: Box<dyn Source> = match cluster(&args.from)? {
            Some(cluster) => Box::new(cluster),
            None => Box::new(
                Folder::to_read(Path::new(&args.from))
                    .with_context(|| format!("cannot read {}", args.from))?,
            ),
        };
        let target: Box<dyn Target> = match cluster(&args.to)? {
            Some(cluster) => Box::new(cluster),
            None => Box::new(Folder::to_write(Path::new(&args.to))?),
        };
        let bar = output::progress_bar(0, "{spinner} {msg}, {human_pos} articles, {per_sec}");
        bar.enable_steady_tick(Duration::from_millis(100));
        let reports = transfer(&*source, &*target, |step| match step {
            Step::Copied(articles) => {
                bar.set_message("copying");
                bar.set_position(articles);
            }
            Step::Compared(articles) => {
                bar.set_message("comparing");
                bar.set_position(articles);
            }
        });
        let reports = reports.await;
        bar.finish_and_clear();
        tell(&reports?, args.json)
    })
}

/// The cluster that a URL names; `None` if it is a folder.
fn cluster(place: &str) -> Result<Option<RedisStore>> {
    if !place.contains("://") {
        return Ok(None);
    }
    let refused = |reason| anyhow::anyhow!("the store cannot be used: {reason}");
    let url: StoreUrl = place.parse().map_err(refused)?;
    // The limit is a server's; whatever is in the source moves.
    let settings = RedisSettings::from_url(&url, usize::MAX).map_err(refused)?;
    Ok(Some(RedisStore::open(settings)?))
}

fn tell(reports: &[CollectionReport], json: bool) -> Result<()> {
    if json {
        output::print_json(&reports)?;
    } else {
        let mut table =
            output::Table::new(&["collection", "source", "target", "written now", "checksum"]);
        for report in reports {
            let sums = match report.is_same() {
                true => format!("{:032x}", report.source.checksum),
                false => "differ".to_owned(),
            };
            table.add([
                report.collection.clone(),
                report.source.articles.to_string(),
                report.target.articles.to_string(),
                report.written.to_string(),
                sums,
            ]);
        }
        table.print()?;
    }
    let different: Vec<&str> = reports
        .iter()
        .filter(|report| !report.is_same())
        .map(|report| report.collection.as_str())
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    bail!(
        "source and target differ in {}: something was changed meanwhile, or was in the target \
         before; migrate once more, or into a place of its own",
        different.join(", ")
    )
}
