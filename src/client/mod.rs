//! A client for the service: what a program in Rust needs beside the generated code. Deadlines,
//! retries, decoded errors, streams that take articles only as fast as they are answered, TLS and
//! tokens.
//!
//! ```no_run
//! # async fn submit() -> Result<(), Box<dyn std::error::Error>> {
//! use newsprint::api::pb::Article;
//! use newsprint::client::{Client, SubmitOptions};
//!
//! let client = Client::builder("http://localhost:50051").build()?;
//! let article = Article {
//!     article_id: "courier-4711".into(), // your own name for it: sending it again is safe
//!     title: "Veldany doubles harbour tolls".into(),
//!     ..Article::default()
//! };
//! let outcome = client.submit(article, &SubmitOptions::default()).await?;
//! println!("{:?}", outcome.analysis);
//! # Ok(())
//! # }
//! ```

mod error;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{ExponentialBuilder, Retryable};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;

pub use error::{Error, FieldViolation};

use crate::api::pb::admin_service_client::AdminServiceClient;
use crate::api::pb::article_service_client::ArticleServiceClient;
use crate::api::pb::{
    Analysis, AnalysisOptions, AnalyzeArticleRequest, Article, BatchSubmitArticlesRequest,
    ListArticlesRequest, StoredArticle, SubmitArticleRequest, SubmitArticleResponse,
    SubmitArticleStreamRequest, batch_submit_articles_result, submit_article_stream_response,
};
use crate::article::ArticleId;

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer that is taken: a batch of 1,000 with all their matches is well below.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why a client cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0} is no address such as localhost:50051 or https://news.example")]
    Address(String),
    #[error("a token is sent over TLS only: use https:// in the address")]
    TokenInTheClear,
    #[error("a token must be of printable ASCII characters")]
    Token,
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct Builder {
    addr: String,
    tls: ClientTlsConfig,
    token: Option<String>,
    timeout: Duration,
}

impl Builder {
    /// Which authorities to trust, instead of the system's, and our own certificate for servers
    /// that ask for one. Used if the address begins with `https://`.
    pub fn tls(self, tls: ClientTlsConfig) -> Self {
        Builder { tls, ..self }
    }

    /// Sends a bearer token with every call, over TLS only.
    pub fn token(self, token: impl Into<String>) -> Self {
        Builder { token: Some(token.into()), ..self }
    }

    /// How long a call may take, retries included; 30 seconds by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        Builder { timeout, ..self }
    }

    /// Connects with the first call, and again whenever the connection is lost.
    pub fn build(self) -> Result<Client, ConnectError> {
        let channel = self.endpoint()?.connect_lazy();
        self.client(channel)
    }

    /// Connects now, so that an address where nobody answers is told at once.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let channel = self.endpoint()?.connect().await?;
        self.client(channel)
    }

    fn is_tls(&self) -> bool {
        self.addr.starts_with("https://")
    }

    fn endpoint(&self) -> Result<Endpoint, ConnectError> {
        let addr = &self.addr;
        let addr = if addr.contains("://") { addr.clone() } else { format!("http://{addr}") };
        let endpoint = Endpoint::from_shared(addr);
        let endpoint = endpoint.map_err(|_| ConnectError::Address(self.addr.clone()))?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).http2_adaptive_window(true);
        Ok(if self.is_tls() { endpoint.tls_config(self.tls.clone())? } else { endpoint })
    }

    fn client(self, channel: Channel) -> Result<Client, ConnectError> {
        if self.token.is_some() && !self.is_tls() {
            return Err(ConnectError::TokenInTheClear);
        }
        let header = self.token.map(|token| format!("Bearer {token}").parse());
        let header = header.transpose().map_err(|_| ConnectError::Token)?;
        let transport = InterceptedService::new(channel, Bearer(header));
        Ok(Client { transport, timeout: self.timeout })
    }
}

/// A channel that carries the token.
pub type Transport = InterceptedService<Channel, Bearer>;

/// Puts the token into every call.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// How to submit or analyse articles.
#[derive(Debug, Clone, Default)]
pub struct SubmitOptions {
    /// The collection; empty for the default one.
    pub collection: String,
    pub analysis: Option<AnalysisOptions>,
    /// How many articles of a stream may be on their way, sent and not yet answered; 64 by default.
    pub window: Option<usize>,
}

const WINDOW_DEFAULT: usize = 64;

/// What became of one article of several.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// As it was sent, with the id it was given if it had none.
    pub article: Article,
    pub result: Result<SubmitArticleResponse, Error>,
}

/// A connection to the service; cheap to clone, and to be shared by a whole program.
///
/// Refusals that pass (the server starts, or is overloaded) are tried again, five times over some
/// four seconds. Articles without an id are given one before they are sent: a call whose answer
/// was lost is sent again, and without an id that would be another article, and a duplicate of
/// itself.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    timeout: Duration,
}

impl Client {
    /// A client of the server at the address, with TLS if that begins with `https://`.
    pub fn builder(addr: impl Into<String>) -> Builder {
        let tls = ClientTlsConfig::new().with_native_roots();
        Builder { addr: addr.into(), tls, token: None, timeout: TIMEOUT_DEFAULT }
    }

    /// Analyses an article, looks for duplicates of it, and remembers it.
    pub async fn submit(
        &self,
        article: Article,
        options: &SubmitOptions,
    ) -> Result<SubmitArticleResponse, Error> {
        let request = SubmitArticleRequest {
            collection: options.collection.clone(),
            article: Some(with_id(article)),
            options: options.analysis,
        };
        self.call(request, |request| {
            let mut articles = self.articles();
            async move { articles.submit_article(request).await }
        })
        .await
    }

    /// The same, but remembers nothing.
    pub async fn analyze(
        &self,
        article: Article,
        options: &SubmitOptions,
    ) -> Result<Analysis, Error> {
        let request = AnalyzeArticleRequest {
            collection: options.collection.clone(),
            article: Some(article),
            options: options.analysis,
        };
        let answer = self.call(request, |request| {
            let mut articles = self.articles();
            async move { articles.analyze_article(request).await }
        });
        Ok(answer.await?.analysis.unwrap_or_default())
    }

    /// Submits up to 1,000 articles in one call. Each has a result of its own, in their order.
    pub async fn submit_batch(
        &self,
        articles: impl IntoIterator<Item = Article>,
        options: &SubmitOptions,
    ) -> Result<Vec<Submitted>, Error> {
        use batch_submit_articles_result::Result as Item;
        let articles: Vec<Article> = articles.into_iter().map(with_id).collect();
        let request = BatchSubmitArticlesRequest {
            collection: options.collection.clone(),
            articles: articles.clone(),
            options: options.analysis,
        };
        let answer = self.call(request, |request| {
            let mut articles = self.articles();
            async move { articles.batch_submit_articles(request).await }
        });
        let results = answer.await?.results.into_iter().map(|item| match item.result {
            Some(Item::Outcome(outcome)) => Ok(outcome),
            Some(Item::Error(error)) => Err(error.into()),
            None => Err(unanswered()),
        });
        let pairs = articles.into_iter().zip(results);
        Ok(pairs.map(|(article, result)| Submitted { article, result }).collect())
    }

    /// Submits any number of articles, and yields each with its result, in their order.
    ///
    /// Articles are taken as results are: at most a window of them is on its way. An article at
    /// fault has its error as its result. If the stream as a whole fails, that is its last item;
    /// sending the same articles again is safe then, if they have ids. It has no deadline.
    pub async fn submit_stream<S>(
        &self,
        articles: S,
        options: SubmitOptions,
    ) -> Result<impl Stream<Item = Result<Submitted, Error>> + use<S>, Error>
    where
        S: Stream<Item = Article> + Send + 'static,
    {
        use submit_article_stream_response::Result as Item;
        let room = Arc::new(Semaphore::new(options.window.unwrap_or(WINDOW_DEFAULT)));
        let sent = Arc::new(Mutex::new(VecDeque::new()));
        let requests = {
            let (room, sent) = (Arc::clone(&room), Arc::clone(&sent));
            articles.then(move |article| {
                let (room, sent, options) = (Arc::clone(&room), Arc::clone(&sent), options.clone());
                async move {
                    // It is never closed; the answer gives the room back.
                    if let Ok(permit) = room.acquire().await {
                        permit.forget();
                    }
                    let article = with_id(article);
                    sent.lock().push_back(article.clone());
                    SubmitArticleStreamRequest {
                        collection: options.collection,
                        article: Some(article),
                        options: options.analysis,
                    }
                }
            })
        };
        let answers = self.articles().submit_article_stream(requests).await?.into_inner();
        Ok(answers.map_err(Error::from).map_ok(move |answer| {
            room.add_permits(1);
            let article = sent.lock().pop_front().unwrap_or_default();
            let result = match answer.result {
                Some(Item::Outcome(outcome)) => Ok(outcome),
                Some(Item::Error(error)) => Err(error.into()),
                None => Err(unanswered()),
            };
            Submitted { article, result }
        }))
    }

    /// All articles of a collection, latest first, page by page as they are taken.
    pub fn list_articles(
        &self,
        query: ListArticlesRequest,
    ) -> impl Stream<Item = Result<StoredArticle, Error>> {
        let pages = stream::try_unfold(Some(query), move |query| async move {
            let Some(query) = query else { return Ok::<_, Error>(None) };
            let page = self.call(query.clone(), |request| {
                let mut articles = self.articles();
                async move { articles.list_articles(request).await }
            });
            let page = page.await?;
            let has_more = !page.next_page_token.is_empty();
            let next = ListArticlesRequest { page_token: page.next_page_token, ..query };
            let articles = stream::iter(page.articles.into_iter().map(Ok));
            Ok(Some((articles, has_more.then_some(next))))
        });
        pages.try_flatten()
    }

    /// Makes a call of the contract, within the timeout, and again while its refusal passes:
    ///
    /// ```no_run
    /// # async fn get(client: newsprint::client::Client) -> Result<(), newsprint::client::Error> {
    /// use newsprint::api::pb::GetArticleRequest;
    ///
    /// let request = GetArticleRequest { article_id: "courier-4711".into(), ..Default::default() };
    /// let answer = client.call(request, |request| {
    ///     let mut articles = client.articles();
    ///     async move { articles.get_article(request).await }
    /// });
    /// println!("{:?}", answer.await?.stored);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<Q, A, F>(
        &self,
        request: Q,
        method: impl Fn(Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let left = || deadline.saturating_duration_since(Instant::now());
        let attempt = || {
            let mut request = Request::new(request.clone());
            request.set_timeout(left());
            let answer = method(request);
            async { answer.await.map(Response::into_inner).map_err(Error::from) }
        };
        let attempts = attempt.retry(backoff()).when(Error::is_passing).adjust(|error, delay| {
            // Not before the server said, and not at all if that is too late.
            let delay = delay?.max(error.retry_after.unwrap_or_default());
            (delay < left()).then_some(delay)
        });
        tokio::time::timeout(self.timeout, attempts).await.unwrap_or_else(|_| Err(late()))
    }

    /// The generated client, without retries, deadlines and decoded errors.
    pub fn articles(&self) -> ArticleServiceClient<Transport> {
        ArticleServiceClient::new(self.transport.clone())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The same for those who run the server.
    pub fn admin(&self) -> AdminServiceClient<Transport> {
        AdminServiceClient::new(self.transport.clone())
    }

    /// Whether the server serves.
    pub fn health(&self) -> HealthClient<Transport> {
        HealthClient::new(self.transport.clone())
    }
}

/// Five attempts, as all clients of newsprint make by their retry policy.
fn backoff() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(3.0)
        .with_max_times(4)
        .with_jitter()
}

fn with_id(mut article: Article) -> Article {
    if article.article_id.is_empty() {
        article.article_id = ArticleId::generate().to_string();
    }
    article
}

fn late() -> Error {
    Status::deadline_exceeded("the call took longer than it may").into()
}

/// The contract says that there always is a result.
fn unanswered() -> Error {
    Status::internal("the server gave no result for the article").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme() {
        let valid = ["127.0.0.1:1", "http://127.0.0.1:1", "localhost:50051", "[::1]:50051"];
        for addr in valid.into_iter().chain(["https://news.example", "https://[::1]:50051"]) {
            assert!(Client::builder(addr).endpoint().is_ok(), "{addr}");
        }
        for addr in ["news example", "", "http://"] {
            assert!(Client::builder(addr).endpoint().is_err(), "{addr}");
        }
    }

    #[tokio::test]
    async fn a_token_is_not_sent_in_the_clear() {
        let plain = Client::builder("localhost:50051").token("a-token").build();
        assert!(matches!(plain, Err(ConnectError::TokenInTheClear)));
        assert!(Client::builder("https://localhost:50051").token("a-token").build().is_ok());
        let broken = Client::builder("https://localhost:50051").token("a\ntoken").build();
        assert!(matches!(broken, Err(ConnectError::Token)));
    }
}
