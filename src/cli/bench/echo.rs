//! The same service with nothing behind it: what the calls alone cost.

use std::net::SocketAddr;

use anyhow::Result;
use newsprint::api::pb::article_service_server::{ArticleService, ArticleServiceServer};
use newsprint::api::pb::*;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// Articles of a stream that are answered ahead of the client reading the answers.
const ANSWERS_AHEAD: usize = 64;

/// A running service; it ends when this is dropped.
pub struct Echo {
    pub addr: SocketAddr,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Echo {
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = ArticleServiceServer::new(Nothing).max_decoding_message_size(64 << 20);
        let serving =
            tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Ok(Echo { addr, serving })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers as large as those of a server, with nothing looked at but the id.
struct Nothing;

fn outcome(article: Option<Article>) -> SubmitArticleResponse {
    let topic = |topic: &str| TopicScore {
        topic: topic.to_owned(),
        probability: 0.125,
        threshold: 0.5,
        ..TopicScore::default()
    };
    let id = article.unwrap_or_default().article_id;
    SubmitArticleResponse {
        collection: "default".to_owned(),
        article_id: id.clone(),
        revision: 1,
        submit_time: Some(prost_types::Timestamp { seconds: 1_775_001_600, nanos: 0 }),
        analysis: Some(Analysis {
            classification: Some(Classification {
                topics: ["politics", "trade", "conflict"].map(topic).to_vec(),
                detected_language: "en".to_owned(),
                model_version: "np-topics-1-00000000".to_owned(),
                ..Classification::default()
            }),
            duplicates: Some(DuplicateReport {
                story_id: "01a20095-8e1d-779c-bf19-6dcf25bafc4c".to_owned(),
                canonical_article_id: id,
                ..DuplicateReport::default()
            }),
            fingerprint: Some(Fingerprint {
                simhash: Some(0x0123_4567_89ab_cdef),
                scheme: newsprint::simhash::SCHEME.to_owned(),
            }),
        }),
        ..SubmitArticleResponse::default()
    }
}

fn not_measured<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("only submissions are measured"))
}

#[tonic::async_trait]
impl ArticleService for Nothing {
    type SubmitArticleStreamStream = ReceiverStream<Result<SubmitArticleStreamResponse, Status>>;

    async fn submit_article(
        &self,
        request: Request<SubmitArticleRequest>,
    ) -> Result<Response<SubmitArticleResponse>, Status> {
        Ok(Response::new(outcome(request.into_inner().article)))
    }

    async fn batch_submit_articles(
        &self,
        request: Request<BatchSubmitArticlesRequest>,
    ) -> Result<Response<BatchSubmitArticlesResponse>, Status> {
        use batch_submit_articles_result::Result::Outcome;
        let results = request.into_inner().articles.into_iter().map(|article| {
            BatchSubmitArticlesResult { result: Some(Outcome(outcome(Some(article)))) }
        });
        Ok(Response::new(BatchSubmitArticlesResponse { results: results.collect() }))
    }

    async fn submit_article_stream(
        &self,
        request: Request<Streaming<SubmitArticleStreamRequest>>,
    ) -> Result<Response<Self::SubmitArticleStreamStream>, Status> {
        use submit_article_stream_response::Result::Outcome;
        let (answers, answered) = tokio::sync::mpsc::channel(ANSWERS_AHEAD);
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let outcome = outcome(request.article);
                let article_id = outcome.article_id.clone();
                let result = Some(Outcome(outcome));
                let answer = SubmitArticleStreamResponse { article_id, result };
                if answers.send(Ok(answer)).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answered)))
    }

    async fn analyze_article(
        &self,
        _: Request<AnalyzeArticleRequest>,
    ) -> Result<Response<AnalyzeArticleResponse>, Status> {
        not_measured()
    }

    async fn get_article(
        &self,
        _: Request<GetArticleRequest>,
    ) -> Result<Response<GetArticleResponse>, Status> {
        not_measured()
    }

    async fn list_articles(
        &self,
        _: Request<ListArticlesRequest>,
    ) -> Result<Response<ListArticlesResponse>, Status> {
        not_measured()
    }

    async fn delete_article(
        &self,
        _: Request<DeleteArticleRequest>,
    ) -> Result<Response<DeleteArticleResponse>, Status> {
        not_measured()
    }

    async fn get_story(
        &self,
        _: Request<GetStoryRequest>,
    ) -> Result<Response<GetStoryResponse>, Status> {
        not_measured()
    }

    async fn find_similar(
        &self,
        _: Request<FindSimilarRequest>,
    ) -> Result<Response<FindSimilarResponse>, Status> {
        not_measured()
    }
}
