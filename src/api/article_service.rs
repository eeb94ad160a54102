//! `ArticleService`: each method translates, calls the engine, and translates back.

use prost::Message;
use std::pin::Pin;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::convert::{
    self, ListQuery, SimilarRequest, StoryQuery, article_name, page_token, submission,
    submission_at, submitted_to,
};
use super::error::{Violations, deadline_exceeded, framework_status, unavailable};
use super::pb::article_service_server::ArticleService;
use super::{Deadline, EngineSlot, pb};
use crate::article::CollectionName;
use crate::engine::Submitting;

/// Articles of one stream that may be in work at the same time.
const STREAM_WINDOW: usize = 256;

/// The service over an engine.
#[derive(Clone)]
pub struct ArticleApi {
    engine: EngineSlot,
    /// Turns true when the server drains: streams, which might go on for ever, end then.
    draining: watch::Receiver<bool>,
}

impl ArticleApi {
    pub fn new(engine: EngineSlot, draining: watch::Receiver<bool>) -> Self {
        ArticleApi { engine, draining }
    }
}

#[tonic::async_trait]
impl ArticleService for ArticleApi {
    async fn submit_article(
        &self,
        request: Request<pb::SubmitArticleRequest>,
    ) -> Result<Response<pb::SubmitArticleResponse>, Status> {
        let pb::SubmitArticleRequest { collection, article, options } = request.into_inner();
        let engine = self.engine.ready()?;
        let submission = submission(collection, article, options, engine.limits())?;
        let collection = submission.collection.clone();
        let submitted = engine.submit(submission).await?;
        Ok(Response::new(submitted_to(&collection, submitted)))
    }

    async fn batch_submit_articles(
        &self,
        request: Request<pb::BatchSubmitArticlesRequest>,
    ) -> Result<Response<pb::BatchSubmitArticlesResponse>, Status> {
        let pb::BatchSubmitArticlesRequest { collection, articles, options } = request.into_inner();
        let collection = convert::collection_name(collection)?;
        let engine = self.engine.ready()?;
        let articles_max = engine.limits().batch_articles_max();
        if articles.is_empty() || articles.len() > articles_max {
            let description = format!("must hold 1 to {articles_max} articles");
            return Err(Violations::one("articles", description).into());
        }
        let permits = engine.admit(articles.len())?;
        let mut begun = Vec::with_capacity(articles.len());
        for (number, (article, permit)) in articles.into_iter().zip(permits).enumerate() {
            let field = format!("articles[{number}]");
            let name = collection.to_string();
            begun.push(
                match submission_at(&field, name, Some(article), options, engine.limits()) {
                    Ok(submission) => engine.begin(submission, permit).await.map_err(Status::from),
                    Err(violations) => Err(violations.into()),
                },
            );
            tokio::task::consume_budget().await;
        }
        let mut results = Vec::with_capacity(begun.len());
        let mut room = engine.limits().message_bytes_max / 2;
        for begun in begun {
            use pb::batch_submit_articles_result::Result as Item;
            let result = match outcome(&collection, begun).await {
                Ok(outcome) => Item::Outcome(fit(outcome, &mut room)),
                Err(status) => Item::Error(item_error(status)),
            };
            results.push(pb::BatchSubmitArticlesResult { result: Some(result) });
        }
        Ok(Response::new(pb::BatchSubmitArticlesResponse { results }))
    }

    type SubmitArticleStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::SubmitArticleStreamResponse, Status>> + Send>>;

    async fn submit_article_stream(
        &self,
        request: Request<Streaming<pb::SubmitArticleStreamRequest>>,
    ) -> Result<Response<Self::SubmitArticleStreamStream>, Status> {
        self.engine.ready()?;
        let deadline = request.extensions().get().copied();
        let (begun, window) = mpsc::channel(STREAM_WINDOW);
        tokio::spawn(read_stream(self.clone(), request.into_inner(), deadline, begun));
        let answers = ReceiverStream::new(window).then(answer);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn analyze_article(
        &self,
        request: Request<pb::AnalyzeArticleRequest>,
    ) -> Result<Response<pb::AnalyzeArticleResponse>, Status> {
        let pb::AnalyzeArticleRequest { collection, article, options } = request.into_inner();
        let engine = self.engine.ready()?;
        let submission = submission(collection, article, options, engine.limits())?;
        let analysis = engine.analyze(submission).await?;
        Ok(Response::new(pb::AnalyzeArticleResponse { analysis: Some(analysis.into()) }))
    }

    async fn get_article(
        &self,
        request: Request<pb::GetArticleRequest>,
    ) -> Result<Response<pb::GetArticleResponse>, Status> {
        let pb::GetArticleRequest { collection, article_id } = request.into_inner();
        let (collection, id) = article_name(collection, article_id)?;
        let stored = self.engine.ready()?.get(&collection, &id).await?;
        Ok(Response::new(pb::GetArticleResponse { stored: Some(stored.into()) }))
    }

    async fn list_articles(
        &self,
        request: Request<pb::ListArticlesRequest>,
    ) -> Result<Response<pb::ListArticlesResponse>, Status> {
        let query = ListQuery::try_from(request.into_inner())?;
        let ListQuery { collection, filter, token, page_size, view } = query;
        let page = self.engine.ready()?.list(&collection, &filter, &token, page_size).await?;
        Ok(Response::new(pb::ListArticlesResponse {
            articles: page.articles.into_iter().map(|stored| view.of(stored)).collect(),
            next_page_token: page_token(page.next),
        }))
    }

    async fn delete_article(
        &self,
        request: Request<pb::DeleteArticleRequest>,
    ) -> Result<Response<pb::DeleteArticleResponse>, Status> {
        let pb::DeleteArticleRequest { collection, article_id } = request.into_inner();
        let (collection, id) = article_name(collection, article_id)?;
        self.engine.ready()?.delete(&collection, &id).await?;
        Ok(Response::new(pb::DeleteArticleResponse {}))
    }

    async fn get_story(
        &self,
        request: Request<pb::GetStoryRequest>,
    ) -> Result<Response<pb::GetStoryResponse>, Status> {
        let StoryQuery { collection, story, token, page_size, view } =
            StoryQuery::try_from(request.into_inner())?;
        let story = self.engine.ready()?.story(&collection, story, &token, page_size).await?;
        Ok(Response::new(pb::GetStoryResponse {
            canonical: Some(view.of(story.canonical)),
            members: story.members.articles.into_iter().map(|stored| view.of(stored)).collect(),
            next_page_token: page_token(story.members.next),
        }))
    }

    async fn find_similar(
        &self,
        request: Request<pb::FindSimilarRequest>,
    ) -> Result<Response<pb::FindSimilarResponse>, Status> {
        let SimilarRequest { collection, query, radius, max } =
            SimilarRequest::try_from(request.into_inner())?;
        let similar = self.engine.ready()?.find_similar(&collection, &query, radius, max).await?;
        let mut matches: Vec<pb::Match> = similar.matches.into_iter().map(Into::into).collect();
        let found = matches.len();
        let mut room = self.engine.ready()?.limits().message_bytes_max / 2;
        matches.retain(|found| {
            let len = found.encoded_len();
            room = room.saturating_sub(len);
            room > 0
        });
        let truncated = similar.truncated || matches.len() < found;
        Ok(Response::new(pb::FindSimilarResponse { matches, truncated }))
    }
}

/// What a stream's reader hands to its answerer.
enum Begun {
    Article {
        id: String,
        collection: CollectionName,
        submitting: Result<Submitting, Status>,
    },
    /// The stream ends here, with this status.
    End(Status),
}

/// Reads a stream and begins each article's submission. The channel is the window: when it is
/// full nothing more is read, and the client has to wait.
async fn read_stream(
    mut api: ArticleApi,
    mut requests: Streaming<pb::SubmitArticleStreamRequest>,
    deadline: Option<Deadline>,
    begun: mpsc::Sender<Begun>,
) {
    loop {
        let request = tokio::select! {
            request = requests.message() => request,
            () = drained(&mut api.draining) => {
                let _ = begun.send(Begun::End(unavailable("the server is shutting down"))).await;
                return;
            }
            () = passed(deadline) => {
                let _ = begun.send(Begun::End(deadline_exceeded())).await;
                return;
            }
        };
        let next = match request {
            Ok(Some(request)) => begin(&api.engine, request).await,
            Ok(None) => return,
            Err(status) => Begun::End(framework_status(status)),
        };
        let is_end = matches!(next, Begun::End(_));
        if begun.send(next).await.is_err() || is_end {
            return;
        }
    }
}

async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(moment)) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn drained(draining: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good a reason to stop.
    let _ = draining.wait_for(|draining| *draining).await;
}

async fn begin(engine: &EngineSlot, request: pb::SubmitArticleStreamRequest) -> Begun {
    let pb::SubmitArticleStreamRequest { collection, article, options } = request;
    let id = article.as_ref().map(|article| article.article_id.clone()).unwrap_or_default();
    let mut name = CollectionName::default();
    let submitting = async {
        let engine = engine.ready()?;
        let submission = submission(collection, article, options, engine.limits())?;
        name = submission.collection.clone();
        let permit = engine.wait_for_permit().await?;
        Ok(engine.begin(submission, permit).await?)
    };
    let submitting = submitting.await;
    Begun::Article { id, collection: name, submitting }
}

async fn answer(begun: Begun) -> Result<pb::SubmitArticleStreamResponse, Status> {
    use pb::submit_article_stream_response::Result as Item;
    match begun {
        Begun::Article { id, collection, submitting } => {
            let result = match outcome(&collection, submitting).await {
                Ok(outcome) => Item::Outcome(outcome),
                Err(status) => Item::Error(item_error(status)),
            };
            Ok(pb::SubmitArticleStreamResponse { article_id: id, result: Some(result) })
        }
        Begun::End(status) => Err(status),
    }
}

async fn outcome(
    collection: &CollectionName,
    begun: Result<Submitting, Status>,
) -> Result<pb::SubmitArticleResponse, Status> {
    Ok(submitted_to(collection, begun?.outcome().await?))
}

/// Leaves out the matches and the evidence of an outcome for which an answer has no more room: the
/// verdict, the story and the topics of every article always fit.
fn fit(mut outcome: pb::SubmitArticleResponse, room: &mut usize) -> pb::SubmitArticleResponse {
    let len = outcome.encoded_len();
    if len <= *room {
        *room -= len;
        return outcome;
    }
    if let Some(analysis) = &mut outcome.analysis {
        if let Some(report) = &mut analysis.duplicates
            && !report.matches.is_empty()
        {
            report.matches.clear();
            report.truncated = true;
        }
        let scores = analysis.classification.iter_mut().flat_map(|said| &mut said.topics);
        scores.for_each(|score| score.evidence.clear());
    }
    outcome
}

/// A status as part of an answer.
fn item_error(status: Status) -> pb::ItemError {
    // The details of a status are a whole google.rpc.Status, whose fields ItemError has.
    let decoded = pb::ItemError::decode(status.details()).ok();
    decoded.filter(|error| !error.details.is_empty()).unwrap_or_else(|| pb::ItemError {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
