//! About a server: `newsprint info`, `health` and `reload`.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use newsprint::api::pb;
use newsprint::client::Client;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;

use super::block_on;
use super::client::{Connection, refusal};
use super::dates::written;
use super::output::{self, ProtoJson, percent, visible};

/// Tell what a server is, what it accepts and what it holds
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Print the answer as JSON, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

/// Tell whether a server serves: exit code 0 if it does, 1 if not
///
/// For the health checks of containers and scripts; no token is needed.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// One of the server's services, such as newsprint.v1.ArticleService [default: the server]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,

    /// Wait so many seconds for it to serve
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,

    #[command(flatten)]
    connection: Connection,
}

/// Have a server load its model file again
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Print the answer as JSON, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

pub fn info(args: &InfoArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.connect().await?.admin();
        let answer = args.connection.call(pb::GetServerInfoRequest {}, |request| {
            let mut client = client.clone();
            async move { client.get_server_info(request).await }
        });
        let answer: pb::GetServerInfoResponse = answer.await?;
        if args.json {
            return ProtoJson::new()?.print("GetServerInfoResponse", &answer);
        }
        print_info(&answer, &args.connection.addr)
    })
}

fn print_info(info: &pb::GetServerInfoResponse, addr: &str) -> Result<()> {
    let mut out = output::stdout();
    let limits = info.limits.unwrap_or_default();
    let topics = info.topics.iter();
    let topics = topics.map(|it| format!("{} from {} on", it.topic, percent(it.threshold)));
    let started = info.start_time.as_ref().map(written).unwrap_or_default();
    let rows = [
        ("server", format!("newsprint {} at {addr}", info.version)),
        ("started", format!("{started} UTC")),
        ("model", info.model_version.clone()),
        ("topics", topics.collect::<Vec<_>>().join(", ")),
        ("fingerprint", format!("{}, read with {}", info.fingerprint_scheme, info.kernel)),
        (
            "holds",
            format!(
                "{}, {}, {}",
                count(info.article_count, "article"),
                if info.story_count == 1 {
                    "1 story".to_owned()
                } else {
                    format!("{} stories", info.story_count)
                },
                count(info.collection_count, "collection"),
            ),
        ),
        (
            "accepts",
            format!(
                "titles of {}, bodies of {}, messages of {}",
                bytes(limits.title_bytes_max),
                bytes(limits.body_bytes_max),
                bytes(limits.message_bytes_max)
            ),
        ),
        (
            "",
            format!(
                "{} articles a batch, {} in work, {} collections",
                limits.batch_article_count_max, limits.in_flight_max, limits.collection_count_max
            ),
        ),
        (
            "",
            format!(
                "{} of requests and answers, {} connections",
                bytes(limits.memory_bytes_max),
                limits.connection_count_max
            ),
        ),
    ];
    for (label, text) in rows {
        output::write_label(&mut out, label)?;
        writeln!(out, "{}", visible(&text))?;
    }
    Ok(())
}

fn count(count: i64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn bytes(bytes: i64) -> String {
    indicatif::BinaryBytes(u64::try_from(bytes).unwrap_or_default()).to_string()
}

pub fn health(args: &HealthArgs) -> Result<()> {
    block_on(async {
        let deadline = Instant::now() + Duration::from_secs(args.wait);
        loop {
            let status = check(args).await;
            match status {
                Ok(ServingStatus::Serving) => return output::print_text(&"SERVING\n"),
                _ if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
                Ok(status) => bail!("{}", status.as_str_name()),
                Err(error) => return Err(error),
            }
        }
    })
}

const POLL_INTERVAL: Duration = Duration::from_millis(100);

async fn check(args: &HealthArgs) -> Result<ServingStatus> {
    let client = args.connection.connect().await?;
    let request = HealthCheckRequest { service: args.service.clone() };
    let answer = client.health().check(args.connection.request(request)).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| refusal(&status))
}

/// Waits for a server to serve, or fails with the reason why it does not.
pub async fn wait_until_serving(client: &Client, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = client.health().check(HealthCheckRequest::default()).await;
        match answer.map(|answer| answer.into_inner().status()) {
            Ok(ServingStatus::Serving) => return Ok(()),
            _ if Instant::now() < deadline => tokio::time::sleep(POLL_INTERVAL).await,
            Ok(status) => bail!("the server does not serve: {}", status.as_str_name()),
            Err(status) => return Err(refusal(&status)),
        }
    }
}

pub fn reload(args: &ReloadArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.connect().await?.admin();
        let answer = args.connection.call(pb::ReloadModelRequest {}, |request| {
            let mut client = client.clone();
            async move { client.reload_model(request).await }
        });
        let answer: pb::ReloadModelResponse = answer.await?;
        if args.json {
            return ProtoJson::new()?.print("ReloadModelResponse", &answer);
        }
        let pb::ReloadModelResponse { model_version, previous_model_version } = answer;
        let text = if model_version == previous_model_version {
            format!("{model_version}, as before\n")
        } else {
            format!("{model_version}, before {previous_model_version}\n")
        };
        output::print_text(&text)
    })
}
