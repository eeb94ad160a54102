//! `newsprint collections`.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{ArgAction, Args, Subcommand};
use newsprint::api::pb;
use newsprint::api::pb::admin_service_client::AdminServiceClient;
use newsprint::client::Transport;

use super::block_on;
use super::client::Connection;
use super::dates::{parse_duration, written, written_duration};
use super::output::{self, ProtoJson, Table, visible};

#[derive(Debug, Subcommand)]
pub enum CollectionsCommand {
    /// List the collections
    List(ListArgs),
    /// Make a collection, with settings of its own
    ///
    /// A collection comes into being by itself with the first article submitted to it; this gives
    /// it settings before.
    Create(UpdateArgs),
    /// Change settings of a collection; those not named stay as they are
    Update(UpdateArgs),
    /// Forget a collection and everything in it
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print a line of JSON per collection, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The collection
    #[arg(value_name = "NAME")]
    name: String,

    /// How long articles are remembered: 30d, 12h, or 'forever'
    #[arg(long, value_name = "TIME", value_parser = parse_retention, help_heading = "Settings")]
    retention: Option<Setting<Duration>>,

    /// Whether bodies are kept for 'get' and for the passages shared with a match
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, help_heading = "Settings")]
    keep_bodies: Option<bool>,

    /// The distance in bits up to which every article is looked at: 0 to 16, or 'default'
    #[arg(long, value_name = "BITS", value_parser = parse_setting::<i32>, help_heading = "Settings")]
    candidate_hamming_distance: Option<Setting<i32>>,

    /// How sure the judge must be of a near-duplicate: between 0 and 1, or 'default'
    #[arg(long, value_name = "SHARE", value_parser = parse_setting::<f64>, help_heading = "Settings")]
    near_threshold: Option<Setting<f64>>,

    /// The same for a partial duplicate
    #[arg(long, value_name = "SHARE", value_parser = parse_setting::<f64>, help_heading = "Settings")]
    partial_threshold: Option<Setting<f64>>,

    /// Print the collection as JSON, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The collection
    #[arg(value_name = "NAME")]
    name: String,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    connection: Connection,
}

/// A setting, or its default.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Setting<T> {
    Default,
    Value(T),
}

impl<T> Setting<T> {
    fn value(self) -> Option<T> {
        match self {
            Setting::Default => None,
            Setting::Value(value) => Some(value),
        }
    }
}

fn parse_retention(text: &str) -> Result<Setting<Duration>, String> {
    match text {
        "forever" | "default" => Ok(Setting::Default),
        _ => parse_duration(text)
            .map(Setting::Value)
            .map_err(|error| format!("{error}, or 'forever'")),
    }
}

fn parse_setting<T: std::str::FromStr>(text: &str) -> Result<Setting<T>, String> {
    match text {
        "default" => Ok(Setting::Default),
        _ => {
            text.parse().map(Setting::Value).map_err(|_| "must be a number or 'default'".to_owned())
        }
    }
}

pub fn run(command: &CollectionsCommand) -> Result<()> {
    block_on(async {
        match command {
            CollectionsCommand::List(args) => list(args).await,
            CollectionsCommand::Create(args) => set(args, true).await,
            CollectionsCommand::Update(args) => set(args, false).await,
            CollectionsCommand::Delete(args) => delete(args).await,
        }
    })
}

async fn list(args: &ListArgs) -> Result<()> {
    let client = args.connection.connect().await?.admin();
    let collections = all(&args.connection, &client).await?;
    if args.json {
        let json = ProtoJson::new()?;
        return collections.iter().try_for_each(|it| json.print("Collection", it));
    }
    if collections.is_empty() {
        output::print_note("no collections");
        return Ok(());
    }
    print(&collections)
}

/// Every collection, page by page.
async fn all(
    connection: &Connection,
    client: &AdminServiceClient<Transport>,
) -> Result<Vec<pb::Collection>> {
    let mut collections = Vec::new();
    let mut request = pb::ListCollectionsRequest { page_size: 1000, ..Default::default() };
    loop {
        let page = connection.call(request.clone(), |request| {
            let mut client = client.clone();
            async move { client.list_collections(request).await }
        });
        let page: pb::ListCollectionsResponse = page.await?;
        collections.extend(page.collections);
        if page.next_page_token.is_empty() {
            return Ok(collections);
        }
        request.page_token = page.next_page_token;
    }
}

/// As the contract has it; servers tell it too where nothing else was set.
const DISTANCE_DEFAULT: i32 = 3;

fn print(collections: &[pb::Collection]) -> Result<()> {
    let mut table = Table::new(&[
        "collection",
        "articles",
        "stories",
        "created (UTC)",
        "retention",
        "settings",
    ]);
    for it in collections {
        let settings = it.settings.unwrap_or_default();
        let mut others = Vec::new();
        if settings.keep_bodies == Some(false) {
            others.push("no bodies".to_owned());
        }
        let bits = settings.candidate_hamming_distance.filter(|bits| *bits != DISTANCE_DEFAULT);
        if let Some(bits) = bits {
            others.push(format!("candidates within {bits} bits"));
        }
        if let Some(share) = settings.near_threshold {
            others.push(format!("near from {share} on"));
        }
        if let Some(share) = settings.partial_threshold {
            others.push(format!("partial from {share} on"));
        }
        table.add([
            it.collection.clone(),
            it.article_count.to_string(),
            it.story_count.to_string(),
            it.create_time.as_ref().map(written).unwrap_or_default(),
            settings.retention.as_ref().map_or("forever".to_owned(), written_duration),
            if others.is_empty() { "-".to_owned() } else { others.join(", ") },
        ]);
    }
    table.print()
}

/// The contract sets all settings of a collection at once, so the others have to be known.
async fn set(args: &UpdateArgs, is_new: bool) -> Result<()> {
    let client = args.connection.connect().await?.admin();
    let collections = all(&args.connection, &client).await?;
    let known = collections.into_iter().find(|it| it.collection == args.name);
    let name = visible(&args.name);
    match (&known, is_new) {
        (Some(_), true) => {
            bail!("there is a collection {name}; 'newsprint collections update' changes it")
        }
        (None, false) => {
            bail!("there is no collection {name}; 'newsprint collections create' makes it")
        }
        _ => {}
    }
    let settings = args.change(known.and_then(|it| it.settings).unwrap_or_default())?;
    let request =
        pb::UpdateCollectionRequest { collection: args.name.clone(), settings: Some(settings) };
    let answer = args.connection.call(request, |request| {
        let mut client = client.clone();
        async move { client.update_collection(request).await }
    });
    let answer: pb::UpdateCollectionResponse = answer.await?;
    let collection = answer.collection.unwrap_or_default();
    if args.json {
        ProtoJson::new()?.print("Collection", &collection)
    } else {
        print(&[collection])
    }
}

impl UpdateArgs {
    fn change(&self, mut settings: pb::CollectionSettings) -> Result<pb::CollectionSettings> {
        if let Some(retention) = self.retention {
            let retention = retention.value().map(prost_types::Duration::try_from);
            settings.retention = retention.transpose()?;
        }
        if let Some(keep) = self.keep_bodies {
            settings.keep_bodies = Some(keep);
        }
        if let Some(bits) = self.candidate_hamming_distance {
            settings.candidate_hamming_distance = bits.value();
        }
        if let Some(share) = self.near_threshold {
            settings.near_threshold = share.value();
        }
        if let Some(share) = self.partial_threshold {
            settings.partial_threshold = share.value();
        }
        Ok(settings)
    }
}

async fn delete(args: &DeleteArgs) -> Result<()> {
    let client = args.connection.connect().await?.admin();
    let name = visible(&args.name);
    if !args.yes {
        ensure!(
            io::stdin().is_terminal(),
            "everything in {name} would be forgotten; --yes does it"
        );
        let collections = all(&args.connection, &client).await?;
        let known = collections.iter().find(|it| it.collection == args.name);
        let count = known.map_or(0, |it| it.article_count);
        write!(anstream::stderr(), "Forget {name} with its {count} articles? [y/N] ")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was forgotten");
    }
    let request = pb::DeleteCollectionRequest { collection: args.name.clone() };
    let answer = args.connection.call(request, |request| {
        let mut client = client.clone();
        async move { client.delete_collection(request).await }
    });
    let pb::DeleteCollectionResponse {} = answer.await?;
    output::print_text(&format!("{name} forgotten\n"))
}
