//! The real server on a port of its own, and a client to it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use newsprint::api::pb::admin_service_client::AdminServiceClient;
use newsprint::api::pb::article_service_client::ArticleServiceClient;
use newsprint::api::pb::{
    Analysis, AnalysisOptions, Article, DuplicateReport, SubmitArticleRequest,
    SubmitArticleResponse,
};
use newsprint::config::{Config, HttpAddr, Limits};
use newsprint::server::{self, Event, ServerError};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

pub struct TestServer {
    pub address: SocketAddr,
    pub articles: ArticleServiceClient<Channel>,
    pub admin: AdminServiceClient<Channel>,
    events: mpsc::UnboundedSender<Event>,
    serving: JoinHandle<Result<(), ServerError>>,
    data: Option<TempDir>,
}

impl TestServer {
    /// Starts on an empty store and waits until it serves.
    pub async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub async fn start_with(limits: Limits) -> Self {
        let data = tempfile::tempdir().expect("a folder for the store");
        let mut server = Self::start_on(data.path(), limits).await;
        server.data = Some(data);
        server
    }

    /// Starts on a store that may hold something.
    pub async fn start_on(data: &Path, limits: Limits) -> Self {
        Self::start_as(Config { limits, ..test_config(data) }).await
    }

    /// Starts on an empty store, at an address.
    pub async fn start_at(address: SocketAddr, limits: Limits) -> Self {
        let data = tempfile::tempdir().expect("a folder for the store");
        let listener = TcpListener::bind(address).await.expect("a free port");
        let config = Config { limits, ..test_config(data.path()) };
        let mut server = Self::start_on_listener(listener, config).await;
        server.data = Some(data);
        server
    }

    /// Starts on an empty store, and tells about itself over HTTP, too.
    pub async fn start_with_http() -> (Self, SocketAddr) {
        let data = tempfile::tempdir().expect("a folder for the store");
        let http = free_address().await;
        let config = Config { http: HttpAddr::At(http), ..test_config(data.path()) };
        let mut server = Self::start_as(config).await;
        server.data = Some(data);
        (server, http)
    }

    pub async fn start_as(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::start_on_listener(listener, config).await
    }

    async fn start_on_listener(listener: TcpListener, config: Config) -> Self {
        let address = listener.local_addr().expect("a bound port");
        let (events, asked) = mpsc::unbounded_channel();
        let asked = UnboundedReceiverStream::new(asked);
        let mut serving =
            tokio::spawn(server::run(listener, config, server::embedded_engine, asked));
        let channel = connect(address).await;
        tokio::select! {
            () = wait_until_serving(channel.clone()) => {}
            ended = &mut serving => panic!("the server ended: {ended:?}"),
        }
        let articles = client(channel.clone());
        let admin = AdminServiceClient::new(channel);
        TestServer { address, articles, admin, events, serving, data: None }
    }

    /// A client over a connection of its own.
    pub async fn articles(address: SocketAddr) -> ArticleServiceClient<Channel> {
        client(connect(address).await)
    }

    /// Asks the server to stop, and returns what it ended with.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.begin_stop();
        self.ended().await
    }

    /// Asks the server to stop, and a little later to stop at once.
    pub async fn stop_twice(self) -> Result<(), ServerError> {
        self.begin_stop();
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.stop().await
    }

    /// What the server ends with, once it was asked to stop.
    pub async fn ended(self) -> Result<(), ServerError> {
        self.serving.await.expect("the server does not panic")
    }

    pub fn begin_stop(&self) {
        let _ = self.events.send(Event::Stop);
    }

    pub async fn submit(&self, article: Article) -> SubmitArticleResponse {
        self.submit_to("", article).await
    }

    pub async fn submit_to(&self, collection: &str, article: Article) -> SubmitArticleResponse {
        let request = SubmitArticleRequest {
            collection: collection.to_owned(),
            article: Some(article),
            options: Some(AnalysisOptions { explain: true, max_matches: 0 }),
        };
        let response = self.articles.clone().submit_article(request).await;
        response.expect("the article is accepted").into_inner()
    }
}

fn client(channel: Channel) -> ArticleServiceClient<Channel> {
    ArticleServiceClient::new(channel)
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20)
}

pub fn test_config(data: &Path) -> Config {
    Config {
        data: data.to_owned(),
        backups: data.with_extension("backups"),
        http: HttpAddr::Off,
        drain_seconds: 5,
        ..Config::default()
    }
}

/// An address that nobody listened on a moment ago.
pub async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound port")
}

pub async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a valid address");
    endpoint.connect().await.expect("the server listens")
}

pub async fn wait_until_serving(channel: Channel) {
    let request = HealthCheckRequest::default();
    let mut health = HealthClient::new(channel).watch(request).await.expect("a watch").into_inner();
    while let Some(HealthCheckResponse { status }) = health.message().await.expect("a status") {
        if status == ServingStatus::Serving as i32 {
            return;
        }
    }
    panic!("the server never served");
}

pub fn article(id: &str, title: &str, body: &str) -> Article {
    Article {
        article_id: id.to_owned(),
        title: title.to_owned(),
        body: body.to_owned(),
        ..Article::default()
    }
}

pub fn analysis(response: &SubmitArticleResponse) -> &Analysis {
    response.analysis.as_ref().expect("an answer has an analysis")
}

pub fn duplicates(response: &SubmitArticleResponse) -> &DuplicateReport {
    analysis(response).duplicates.as_ref().expect("an analysis reports on duplicates")
}
