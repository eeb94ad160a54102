//! `newsprint watch`: what is being submitted, as it comes.
//!
//! The contract has no push. What is new is listed every now and then, from a little before the
//! latest submission seen on, because submissions may become visible a little out of order.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use newsprint::api::pb;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::client::Transport;
use prost_types::Timestamp;

use super::client::Connection;
use super::output::{self, BOLD, DIM, ProtoJson, visible};
use super::stored::article_row;
use super::{asked_to_stop, block_on};

/// Pages of one look. More new articles than that are counted rather than shown.
const PAGES_MAX: usize = 10;
const PAGE_SIZE: i32 = 100;

/// How far a submission may become visible behind a later one.
const OVERLAP_SECONDS: i64 = 5;

/// Show verdicts as articles come in
///
/// Asks the server every --interval for what is new, until Ctrl-C.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The collection
    #[arg(long, env = "NEWSPRINT_COLLECTION", value_name = "NAME", default_value = "default")]
    collection: String,

    /// Only articles with this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// How often to ask, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_interval)]
    interval: f64,

    /// Show the latest articles too before watching, at most so many
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 0,
        value_parser = clap::value_parser!(i32).range(0..=1000))]
    last: i32,

    /// End after so many articles
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,

    /// Print a line of JSON per article, as protobuf has it
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    connection: Connection,
}

fn parse_interval(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0.1 to 3600".to_owned()),
    }
}

pub fn run(args: &WatchArgs) -> Result<()> {
    block_on(async {
        let client = args.connection.articles().await?;
        let json = args.json.then(ProtoJson::new).transpose()?;
        let mut watcher = Watcher { args, client, seen: Seen::default(), left: args.count, json };
        let stop = asked_to_stop();
        let mut stop = std::pin::pin!(stop);
        watcher.begin().await?;
        output::print_note("watching; Ctrl-C ends it");
        let mut interval = tokio::time::interval(Duration::from_secs_f64(args.interval));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while watcher.left != Some(0) {
            tokio::select! {
                () = &mut stop => break,
                _ = interval.tick() => watcher.look().await?,
            }
        }
        Ok(())
    })
}

struct Watcher<'a> {
    args: &'a WatchArgs,
    client: ArticleServiceClient<Transport>,
    seen: Seen,
    /// Articles still to be shown.
    left: Option<u64>,
    json: Option<ProtoJson>,
}

impl Watcher<'_> {
    /// Takes note of what is there, and shows the last of it.
    async fn begin(&mut self) -> Result<()> {
        let page = self.page(self.args.last.max(PAGE_SIZE), String::new()).await?;
        let fresh = self.seen.fresh(page.articles);
        let skipped = fresh.len().saturating_sub(self.args.last as usize);
        fresh.iter().skip(skipped).try_for_each(|stored| self.show(stored))
    }

    /// Shows what is new, in the order of submission.
    async fn look(&mut self) -> Result<()> {
        let (mut fresh, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = self.page(PAGE_SIZE, token).await?;
            fresh.extend(page.articles);
            token = page.next_page_token;
            pages += 1;
            if token.is_empty() || pages == PAGES_MAX {
                break;
            }
        }
        let fresh = self.seen.fresh(fresh);
        for stored in &fresh {
            if self.left != Some(0) {
                self.show(stored)?;
            }
        }
        if !token.is_empty() {
            output::print_note("more came than can be shown; 'newsprint list' has all");
        }
        Ok(())
    }

    async fn page(&self, page_size: i32, page_token: String) -> Result<pb::ListArticlesResponse> {
        let mut query = pb::ListArticlesRequest {
            collection: self.args.collection.clone(),
            page_size,
            page_token,
            topic: self.args.topic.clone().unwrap_or_default(),
            submitted_from: self.seen.since,
            ..pb::ListArticlesRequest::default()
        };
        query.set_view(pb::ArticleView::Basic);
        self.args
            .connection
            .call(query, |request| {
                let mut client = self.client.clone();
                async move { client.list_articles(request).await }
            })
            .await
            .context("what is new cannot be listed")
    }

    fn show(&mut self, stored: &pb::StoredArticle) -> Result<()> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        if let Some(json) = &self.json {
            return json.print("StoredArticle", stored);
        }
        let analysis = stored.analysis.as_ref();
        let report = analysis.and_then(|analysis| analysis.duplicates.clone()).unwrap_or_default();
        let (style, verdict) = output::verdict(report.verdict());
        let [time, id, _, topics, title] = article_row(stored).map(|cell| visible(&cell));
        let original = match report.matches.first() {
            Some(best) => format!(" of {}", visible(&best.article_id)),
            None => String::new(),
        };
        output::print_text(&format!(
            "{DIM}{time}{DIM:#}  {style}{}{style:#}  {}  {BOLD}{id}{BOLD:#}{original}  {DIM}{title}{DIM:#}\n",
            output::pad(verdict, "PARTIAL DUPLICATE".len()),
            output::pad(&topics, "politics,trade".len()),
        ))
    }
}

/// Which submissions were shown.
#[derive(Debug, Default)]
struct Seen {
    /// From when on to ask.
    since: Option<Timestamp>,
    /// What was seen from then on, by id and revision.
    known: HashMap<(String, i32), i64>,
}

impl Seen {
    /// Of articles, latest first, those not seen yet, earliest first.
    fn fresh(&mut self, articles: Vec<pb::StoredArticle>) -> Vec<pb::StoredArticle> {
        let mut fresh = Vec::new();
        let mut latest = self.since.map_or(i64::MIN, |since| since.seconds + OVERLAP_SECONDS);
        for stored in articles.into_iter().rev() {
            let id = stored.article.as_ref().map(|it| it.article_id.clone()).unwrap_or_default();
            let seconds = stored.submit_time.map_or(0, |time| time.seconds);
            if self.known.insert((id, stored.revision), seconds).is_none() {
                fresh.push(stored);
            }
            latest = latest.max(seconds);
        }
        if latest > i64::MIN {
            let since = latest - OVERLAP_SECONDS;
            self.since = Some(Timestamp { seconds: since, nanos: 0 });
            self.known.retain(|_, seconds| *seconds >= since);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: &str, revision: i32, seconds: i64) -> pb::StoredArticle {
        pb::StoredArticle {
            article: Some(pb::Article { article_id: id.to_owned(), ..pb::Article::default() }),
            revision,
            submit_time: Some(Timestamp { seconds, nanos: 0 }),
            ..pb::StoredArticle::default()
        }
    }

    fn ids(articles: &[pb::StoredArticle]) -> Vec<&str> {
        articles
            .iter()
            .flat_map(|stored| &stored.article)
            .map(|it| it.article_id.as_str())
            .collect()
    }

    #[test]
    fn every_submission_is_shown_once() {
        let mut seen = Seen::default();
        let fresh = seen.fresh(vec![stored("b", 1, 101), stored("a", 1, 100)]);
        assert_eq!(ids(&fresh), ["a", "b"]);
        assert_eq!(seen.since.map(|since| since.seconds), Some(96));
        let late =
            vec![stored("d", 1, 102), stored("c", 1, 101), stored("b", 1, 101), stored("a", 2, 99)];
        assert_eq!(ids(&seen.fresh(late)), ["a", "c", "d"]);
        assert!(seen.fresh(vec![stored("d", 1, 102)]).is_empty());
        seen.fresh(vec![stored("e", 1, 200)]);
        assert_eq!(seen.known.len(), 1, "what cannot come again is forgotten");
        assert!(seen.fresh(Vec::new()).is_empty());
        assert_eq!(seen.since.map(|since| since.seconds), Some(195));
    }
}
