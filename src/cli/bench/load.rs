//! So many calls under way at once, for so long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use hdrhistogram::Histogram;
use indicatif::{HumanCount, ProgressBar};
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::api::pb::{self, batch_submit_articles_result, submit_article_stream_response};
use newsprint::article::Article;
use newsprint::client::Transport;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Supply;
use crate::cli::client::{describe, refusal, status_of};
use crate::cli::output;

/// Latencies are kept in microseconds, to three digits, up to a minute.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

#[derive(Debug, Clone, Copy)]
pub enum Call {
    Unary,
    /// With so many articles.
    Batch(u32),
    Stream,
}

#[derive(Debug, Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    Articles(u64),
}

pub struct Load {
    pub call: Call,
    pub in_flight: u32,
    /// The number of the first article.
    pub next: u64,
    pub articles: Arc<Supply>,
}

/// What was measured. Latencies are in milliseconds: of a call, or on a stream from an article sent
/// to its answer.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub articles_per_second: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
    pub errors: u64,
    /// Why the first of them was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
}

/// What the workers of a load share.
struct Shared {
    articles: Arc<Supply>,
    next: AtomicU64,
    end: u64,
    deadline: Option<Instant>,
}

impl Shared {
    /// Numbers for some articles, unless it is over.
    fn take(&self, count: u32) -> Option<std::ops::Range<u64>> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        let first = self.next.fetch_add(count.into(), Ordering::Relaxed);
        (first < self.end).then(|| first..(first + u64::from(count)).min(self.end))
    }

    /// The article of a number, under an id that no other run gives.
    fn article(&self, number: u64) -> pb::Article {
        let Article { title, body, source, language, .. } = self.articles.get(number);
        let article_id = format!("bench-{}-{number}", std::process::id());
        pb::Article { article_id, title, body, source, language, ..pb::Article::default() }
    }
}

/// What one worker saw.
struct Seen {
    latencies: Histogram<u64>,
    articles: u64,
    errors: u64,
    first_error: Option<String>,
}

impl Seen {
    fn new() -> Result<Self> {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)?;
        Ok(Seen { latencies, articles: 0, errors: 0, first_error: None })
    }

    fn record(&mut self, began: Instant, articles: u64, refused: Vec<Status>) {
        let errors = refused.len() as u64;
        self.latencies.saturating_record(began.elapsed().as_micros() as u64);
        self.articles += articles - errors;
        self.errors += errors;
        if let (None, Some(status)) = (&self.first_error, refused.first()) {
            self.first_error = Some(describe(status));
        }
    }

    /// A call that was refused as a whole. Some may be under load; if none succeeds there is nothing
    /// to measure.
    fn refuse(&mut self, began: Instant, articles: u64, status: Status) -> Result<()> {
        self.record(began, articles, vec![status.clone(); articles as usize]);
        match status {
            status if self.articles == 0 && self.errors > 1000 => bail!(refusal(&status)),
            _ => Ok(()),
        }
    }
}

impl Load {
    /// Runs to the end, and tells the number of the next article besides.
    pub async fn run(
        self,
        clients: &[ArticleServiceClient<Transport>],
        until: Until,
        name: &str,
    ) -> Result<(Figures, u64)> {
        let began = Instant::now();
        let (deadline, end) = match until {
            Until::Elapsed(elapsed) => (Some(began + elapsed), u64::MAX),
            Until::Articles(count) => (None, self.next + count),
        };
        let next = AtomicU64::new(self.next);
        let shared = Arc::new(Shared { articles: self.articles, next, end, deadline });
        let mut workers = JoinSet::new();
        match self.call {
            // A stream has all its articles under way at once, on one worker.
            Call::Stream => {
                let window = self.in_flight.div_ceil(clients.len() as u32);
                for client in clients {
                    workers.spawn(stream(client.clone(), Arc::clone(&shared), window as usize));
                }
            }
            Call::Unary | Call::Batch(_) => {
                for worker in 0..self.in_flight as usize {
                    let client = clients[worker % clients.len()].clone();
                    let shared = Arc::clone(&shared);
                    match self.call {
                        Call::Batch(count) => workers.spawn(batches(client, shared, count)),
                        _ => workers.spawn(calls(client, shared)),
                    };
                }
            }
        }
        let mut all = Seen::new()?;
        let shown = shared.clone();
        let bar = Bar::new(name, until, move || shown.next.load(Ordering::Relaxed) - self.next);
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            let seen = tokio::select! {
                seen = workers.join_next() => seen,
                _ = tick.tick() => {
                    bar.show(began.elapsed());
                    continue;
                }
            };
            let Some(seen) = seen else { break };
            let seen = seen??;
            all.latencies.add(&seen.latencies)?;
            all.articles += seen.articles;
            all.errors += seen.errors;
            all.first_error = all.first_error.or(seen.first_error);
        }
        let elapsed = began.elapsed().as_secs_f64();
        let millis = |quantile| all.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let figures = Figures {
            articles_per_second: all.articles as f64 / elapsed,
            p50: millis(0.5),
            p90: millis(0.9),
            p99: millis(0.99),
            p999: millis(0.999),
            max: millis(1.0),
            errors: all.errors,
            first_error: all.first_error,
        };
        Ok((figures, shared.next.load(Ordering::Relaxed).min(end)))
    }
}

/// How far a load is, by time or by articles, and how fast it goes.
struct Bar<F> {
    bar: ProgressBar,
    until: Until,
    sent: F,
}

impl<F: Fn() -> u64> Bar<F> {
    fn new(name: &str, until: Until, sent: F) -> Self {
        let len = match until {
            Until::Elapsed(elapsed) => elapsed.as_millis() as u64,
            Until::Articles(count) => count,
        };
        let bar = output::progress_bar(len, "{bar:24.cyan} {prefix} {msg}, {eta} left");
        bar.set_prefix(name.to_owned());
        Bar { bar, until, sent }
    }

    fn show(&self, elapsed: Duration) {
        let sent = (self.sent)();
        self.bar.set_position(match self.until {
            Until::Elapsed(_) => elapsed.as_millis() as u64,
            Until::Articles(count) => sent.min(count),
        });
        let rate = sent as f64 / elapsed.as_secs_f64().max(0.001);
        self.bar.set_message(format!("{} articles/s", HumanCount(rate as u64)));
    }
}

impl<F> Drop for Bar<F> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

async fn calls(mut client: ArticleServiceClient<Transport>, shared: Arc<Shared>) -> Result<Seen> {
    let mut seen = Seen::new()?;
    while let Some(numbers) = shared.take(1) {
        let article = Some(shared.article(numbers.start));
        let request = pb::SubmitArticleRequest { article, ..Default::default() };
        let began = Instant::now();
        match client.submit_article(request).await {
            Ok(_) => seen.record(began, 1, Vec::new()),
            Err(status) => seen.refuse(began, 1, status)?,
        }
    }
    Ok(seen)
}

async fn batches(
    mut client: ArticleServiceClient<Transport>,
    shared: Arc<Shared>,
    count: u32,
) -> Result<Seen> {
    use batch_submit_articles_result::Result::Error;
    let mut seen = Seen::new()?;
    while let Some(numbers) = shared.take(count) {
        let count = numbers.end - numbers.start;
        let articles = numbers.map(|number| shared.article(number)).collect();
        let request = pb::BatchSubmitArticlesRequest { articles, ..Default::default() };
        let began = Instant::now();
        match client.batch_submit_articles(request).await {
            Ok(answer) => {
                let results = answer.into_inner().results.into_iter();
                let refused = results.filter_map(|item| match item.result {
                    Some(Error(error)) => Some(status_of(&error)),
                    _ => None,
                });
                seen.record(began, count, refused.collect());
            }
            Err(status) => seen.refuse(began, count, status)?,
        }
    }
    Ok(seen)
}

async fn stream(
    mut client: ArticleServiceClient<Transport>,
    shared: Arc<Shared>,
    window: usize,
) -> Result<Seen> {
    use submit_article_stream_response::Result::Error;
    let mut seen = Seen::new()?;
    let (requests, queue) = mpsc::channel(window);
    let (times, mut sent) = mpsc::channel(window);
    let sender = tokio::spawn(async move {
        while let Some(numbers) = shared.take(1) {
            let article = Some(shared.article(numbers.start));
            let request = pb::SubmitArticleStreamRequest { article, ..Default::default() };
            // There is room among the times once an answer has made it: that is the window.
            if times.send(Instant::now()).await.is_err() || requests.send(request).await.is_err() {
                break;
            }
        }
    });
    let answers = client.submit_article_stream(ReceiverStream::new(queue)).await;
    let mut answers = answers.map_err(|status| refusal(&status))?.into_inner();
    while let Some(answer) = answers.message().await.map_err(|status| refusal(&status))? {
        let began = sent.recv().await.ok_or_else(|| anyhow!("more answers than articles"))?;
        let refused = match &answer.result {
            Some(Error(error)) => vec![status_of(error)],
            _ => Vec::new(),
        };
        seen.record(began, 1, refused);
    }
    sender.await?;
    Ok(seen)
}
