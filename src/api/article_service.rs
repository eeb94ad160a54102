//! `ArticleService`: each method translates, calls the engine, and translates back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join;
use metrics::counter;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::convert::{
    self, ListQuery, SimilarRequest, StoryQuery, article_name, page_token, submitted_to,
};
use super::error::{
    Violations, deadline_exceeded, framework_status, overloaded, reason_name, reason_of,
    unavailable,
};
use super::items::Articles;
use super::pb::served::article_service_server::ArticleService;
use super::{Call, Deadline, EngineSlot, Received, pb};
use crate::admission::{Amount, Share};
use crate::analyser::Submission;
use crate::article::CollectionName;
use crate::config::Limits;
use crate::engine::{Engine, Submitting};

/// Articles of one stream that may be in work or answered and not yet read.
const STREAM_WINDOW: usize = 256;

/// What an answer weighs against its length: it is there as it is understood and as it is sent, for
/// which the framework takes up to twice the room.
const ANSWER_WEIGHT: usize = 2;

/// How long articles of a batch are begun without a pause for other calls.
const BATCH_SLICE: Duration = Duration::from_micros(500);

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
        request: Request<()>,
    ) -> Result<Response<pb::SubmitArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let engine = self.engine.ready()?;
        let (message, share) = call.received();
        let (submission, mut share) = read_one(engine, message, share).await?;
        let submission = submission?;
        share.grow(Amount::ARTICLE).map_err(overloaded)?;
        let collection = submission.collection.clone();
        let (submitted, mut share) =
            engine.begin(submission, share).await?.outcome_and_share().await?;
        let mut room = engine.limits().message_bytes_max;
        let outcome = fit(submitted_to(&collection, submitted), &mut room, &mut share);
        call.answer(share);
        Ok(Response::new(outcome))
    }

    async fn batch_submit_articles(
        &self,
        request: Request<()>,
    ) -> Result<Response<pb::BatchSubmitArticlesResponse>, Status> {
        let call = Call::of(&request)?;
        let (message, mut share) = call.received();
        let engine = self.engine.ready()?;
        let limits = engine.limits();
        let articles_max = limits.batch_articles_max();
        let batch = Arc::new(Articles::read(message, articles_max)?);
        let collection = convert::collection_name(batch.collection()?)?;
        let count = batch.articles.len();
        if count == 0 {
            let description = format!("must hold 1 to {articles_max} articles");
            return Err(Violations::one("articles", description).into());
        }
        share.grow(Amount { articles: count, bytes: 0 }).map_err(overloaded)?;
        let part = Amount { articles: 1, bytes: share.bytes() / count };
        let mut begun = Vec::with_capacity(count);
        let mut slice = Instant::now();
        for number in 0..count {
            let part = share.split(part);
            let is_long = batch.articles[number].len() > READ_INLINE_BYTES;
            let (submission, part) = if is_long {
                let (batch, client) = (Arc::clone(&batch), part.client().clone());
                let read = move || (batch.submission_of(number, limits), part);
                engine.admission().blocking(&client, read).await.map_err(overloaded)?
            } else {
                (batch.submission_of(number, limits), part)
            };
            begun.push(match submission {
                Ok(submission) => engine.begin(submission, part).await.map_err(Status::from),
                Err(violations) => Err(violations.into()),
            });
            if slice.elapsed() > BATCH_SLICE {
                tokio::task::yield_now().await;
                slice = Instant::now();
            }
        }
        drop(batch);
        let mut results = Vec::with_capacity(count);
        let mut room = limits.message_bytes_max;
        // Every article is answered: what is said of one leaves room for the least of the others.
        let least = RESULT_BYTES_MIN.min(room / count);
        room -= least * count;
        for begun in begun {
            use pb::batch_submit_articles_result::Result as Item;
            room += least;
            let result = match outcome(&collection, begun).await {
                Ok((outcome, mut part)) => {
                    let outcome = fit(outcome, &mut room, &mut part);
                    share.join(part);
                    Item::Outcome(outcome)
                }
                Err(status) => Item::Error(fit_error(item_error(status), &mut room)),
            };
            results.push(pb::BatchSubmitArticlesResult { result: Some(result) });
        }
        call.answer(share);
        Ok(Response::new(pb::BatchSubmitArticlesResponse { results }))
    }

    type SubmitArticleStreamStream =
        Pin<Box<dyn Stream<Item = Result<pb::SubmitArticleStreamResponse, Status>> + Send>>;

    async fn submit_article_stream(
        &self,
        request: Request<Streaming<()>>,
    ) -> Result<Response<Self::SubmitArticleStreamStream>, Status> {
        self.engine.ready()?;
        let call = Call::of(&request)?;
        let deadline = request.extensions().get().copied();
        // There is a place for whatever the window admits, so nothing waits to be put in.
        let (begun, in_work) = mpsc::channel(STREAM_WINDOW + 1);
        let (answered, answers) = mpsc::channel(STREAM_WINDOW + 1);
        let reading = read_stream(self.clone(), call, request.into_inner(), deadline, begun);
        let answering = answer_stream(self.engine.clone(), in_work, answered);
        tokio::spawn(join(reading, answering));
        // What an answer held goes back as it leaves.
        let answers = ReceiverStream::new(answers).map(|answer: Answer| answer.message);
        Ok(Response::new(Box::pin(answers)))
    }

    async fn analyze_article(
        &self,
        request: Request<()>,
    ) -> Result<Response<pb::AnalyzeArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let engine = self.engine.ready()?;
        let (message, share) = call.received();
        let (submission, mut share) = read_one(engine, message, share).await?;
        let submission = submission?;
        share.grow(Amount::ARTICLE).map_err(overloaded)?;
        let (analysis, mut share) = engine.analyze_with(submission, share).await?;
        let mut response = pb::AnalyzeArticleResponse { analysis: Some(analysis.into()) };
        let len = response.encoded_len();
        let is_too_long = len > engine.limits().message_bytes_max;
        if is_too_long || share.set_bytes(ANSWER_WEIGHT * len).is_err() {
            response.analysis.iter_mut().for_each(strip);
        }
        call.answer(share);
        Ok(Response::new(response))
    }

    async fn get_article(
        &self,
        request: Request<pb::GetArticleRequest>,
    ) -> Result<Response<pb::GetArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let pb::GetArticleRequest { collection, article_id } = request.into_inner();
        let (collection, id) = article_name(collection, article_id)?;
        let read = async move |engine: EngineSlot| {
            let engine = engine.ready()?;
            let stored: pb::StoredArticle = engine.get(&collection, &id).await?.into();
            let fits = |response: &pb::GetArticleResponse| {
                response.encoded_len() <= engine.limits().message_bytes_max
            };
            let mut response = pb::GetArticleResponse { stored: Some(stored) };
            if !fits(&response) {
                response.stored.iter_mut().for_each(strip_stored);
            }
            Ok(response)
        };
        self.answer_read(&call, read).await
    }

    async fn list_articles(
        &self,
        request: Request<pb::ListArticlesRequest>,
    ) -> Result<Response<pb::ListArticlesResponse>, Status> {
        let call = Call::of(&request)?;
        let query = ListQuery::try_from(request.into_inner())?;
        let read = async move |engine: EngineSlot| {
            let engine = engine.ready()?;
            let ListQuery { collection, filter, token, mut page_size, view } = query;
            loop {
                let page = engine.list(&collection, &filter, &token, page_size).await?;
                let mut response = pb::ListArticlesResponse {
                    articles: page.articles.into_iter().map(|stored| view.of(stored)).collect(),
                    next_page_token: page_token(page.next),
                };
                let len = response.encoded_len();
                match fewer(&mut response.articles, len, engine.limits()) {
                    Some(fewer) => page_size = fewer,
                    None => return Ok(response),
                }
            }
        };
        self.answer_read(&call, read).await
    }

    async fn delete_article(
        &self,
        request: Request<pb::DeleteArticleRequest>,
    ) -> Result<Response<pb::DeleteArticleResponse>, Status> {
        let call = Call::of(&request)?;
        let pb::DeleteArticleRequest { collection, article_id } = request.into_inner();
        let (collection, id) = article_name(collection, article_id)?;
        let engine = self.engine.ready()?;
        let (_, mut share) = call.received();
        share.grow(Amount::ARTICLE).map_err(overloaded)?;
        engine.delete(&collection, &id).await?;
        Ok(Response::new(pb::DeleteArticleResponse {}))
    }

    async fn get_story(
        &self,
        request: Request<pb::GetStoryRequest>,
    ) -> Result<Response<pb::GetStoryResponse>, Status> {
        let call = Call::of(&request)?;
        let query = StoryQuery::try_from(request.into_inner())?;
        let read = async move |engine: EngineSlot| {
            let engine = engine.ready()?;
            let StoryQuery { collection, story, token, mut page_size, view } = query;
            loop {
                let page = engine.story(&collection, story, &token, page_size).await?;
                let mut response = pb::GetStoryResponse {
                    canonical: Some(view.of(page.canonical)),
                    members: page
                        .members
                        .articles
                        .into_iter()
                        .map(|stored| view.of(stored))
                        .collect(),
                    next_page_token: page_token(page.members.next),
                };
                let len = response.encoded_len();
                match fewer(&mut response.members, len, engine.limits()) {
                    Some(fewer) => page_size = fewer,
                    None => {
                        if response.encoded_len() > engine.limits().message_bytes_max {
                            response.canonical.iter_mut().for_each(strip_stored);
                        }
                        return Ok(response);
                    }
                }
            }
        };
        self.answer_read(&call, read).await
    }

    async fn find_similar(
        &self,
        request: Request<pb::FindSimilarRequest>,
    ) -> Result<Response<pb::FindSimilarResponse>, Status> {
        let call = Call::of(&request)?;
        let query = SimilarRequest::try_from(request.into_inner())?;
        let read = async move |engine: EngineSlot| {
            let engine = engine.ready()?;
            let SimilarRequest { collection, query, radius, max } = query;
            let similar = engine.find_similar(&collection, &query, radius, max).await?;
            let mut matches: Vec<pb::Match> = similar.matches.into_iter().map(Into::into).collect();
            let found = matches.len();
            let mut room = engine.limits().message_bytes_max / 2;
            matches.retain(|found| {
                let len = found.encoded_len();
                room = room.saturating_sub(len);
                room > 0
            });
            let truncated = similar.truncated || matches.len() < found;
            Ok(pb::FindSimilarResponse { matches, truncated })
        };
        self.answer_read(&call, read).await
    }
}

impl ArticleApi {
    /// Answers with what is read in the client's turn.
    async fn answer_read<T, F>(
        &self,
        call: &Call,
        read: impl FnOnce(EngineSlot) -> F + Send + 'static,
    ) -> Result<Response<T>, Status>
    where
        T: Message + 'static,
        F: Future<Output = Result<T, Status>>,
    {
        let (response, mut share) = self.engine.read(call, read).await?;
        // Less than the page that was taken for it, unless the store has outgrown the limits.
        let _ = share.set_bytes(ANSWER_WEIGHT * response.encoded_len());
        call.answer(share);
        Ok(Response::new(response))
    }
}

/// Longer messages are understood off the threads that serve: copying and checking them takes time.
const READ_INLINE_BYTES: usize = 128 << 10;

/// Understands a request for one article, in the client's turn if it is a long one. The share goes
/// along: a client that leaves does not end what was begun.
async fn read_one(
    engine: &Engine,
    message: Bytes,
    share: Share,
) -> Result<(Result<Submission, Status>, Share), Status> {
    let read = |request: Articles, limits| request.submission(limits).map_err(Status::from);
    let (read, share) = read_as(engine, message, share, read).await?;
    Ok((read.flatten(), share))
}

async fn read_as<T: Send + 'static>(
    engine: &Engine,
    message: Bytes,
    share: Share,
    read: impl FnOnce(Articles, Limits) -> T + Send + 'static,
) -> Result<(Result<T, Status>, Share), Status> {
    let (limits, is_long) = (engine.limits(), message.len() > READ_INLINE_BYTES);
    let client = share.client().clone();
    let read = move || {
        let read = Articles::read_one(message).map(|request| read(request, limits));
        (read, share)
    };
    match is_long {
        false => Ok(read()),
        true => engine.admission().blocking(&client, read).await.map_err(overloaded),
    }
}

/// An article of a stream on its way through the store.
enum Begun {
    Article {
        id: String,
        collection: CollectionName,
        submitting: Result<Submitting, Status>,
        place: OwnedSemaphorePermit,
    },
    /// The stream ends here, with this status.
    End(Status),
}

/// An answer of a stream, with what it holds until the client takes it.
struct Answer {
    message: Result<pb::SubmitArticleStreamResponse, Status>,
    _place: Option<OwnedSemaphorePermit>,
    _share: Option<Share>,
}

/// Reads a stream and begins each article's submission. There are so many places for articles that
/// are in work or answered: when all are taken nothing more is read, and the client has to wait.
async fn read_stream(
    mut api: ArticleApi,
    call: Call,
    mut requests: Streaming<()>,
    deadline: Option<Deadline>,
    begun: mpsc::Sender<Begun>,
) {
    let window = Arc::new(Semaphore::new(STREAM_WINDOW));
    loop {
        let read = async {
            // The window is never closed.
            let place = Arc::clone(&window).acquire_owned().await.ok()?;
            requests.message().await.map(|came| came.map(|()| place)).transpose()
        };
        let read = tokio::select! {
            read = read => read,
            () = drained(&mut api.draining) => {
                Some(Err(unavailable("the server is shutting down")))
            }
            () = passed(deadline) => Some(Err(deadline_exceeded())),
            () = begun.closed() => None,
        };
        let next = match read {
            Some(Ok(place)) => begin(&api.engine, &call, place).await,
            Some(Err(status)) => Begun::End(framework_status(status)),
            None => return,
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

async fn begin(engine: &EngineSlot, call: &Call, place: OwnedSemaphorePermit) -> Begun {
    let Received { message, share, refusal } = call.received_of_stream();
    let (mut id, mut collection) = (String::new(), CollectionName::default());
    let submitting = async {
        let engine = engine.ready()?;
        let read = |request: Articles, limits| {
            (request.article_id(), request.submission(limits).map_err(Status::from))
        };
        let (read, share) = read_as(engine, message, share, read).await?;
        let (article_id, submission) = read?;
        id = article_id;
        refusal.map_or(Ok(()), Err)?;
        let submission = submission?;
        collection = submission.collection.clone();
        Ok(engine.begin(submission, share).await?)
    };
    let submitting = submitting.await;
    Begun::Article { id, collection, submitting, place }
}

/// Waits for the outcomes of a stream in their order, whether the client reads them or not: what
/// the store has answered is in work no longer.
async fn answer_stream(
    engine: EngineSlot,
    mut in_work: mpsc::Receiver<Begun>,
    answers: mpsc::Sender<Answer>,
) {
    let message_bytes_max = engine.get().map_or(0, |engine| engine.limits().message_bytes_max);
    while let Some(begun) = in_work.recv().await {
        let answer = match begun {
            Begun::Article { id, collection, submitting, place } => {
                use pb::submit_article_stream_response::Result as Item;
                let mut room = message_bytes_max.saturating_sub(STREAM_FRAME_BYTES);
                let (result, share) = match outcome(&collection, submitting).await {
                    Ok((outcome, mut share)) => {
                        (Item::Outcome(fit(outcome, &mut room, &mut share)), Some(share))
                    }
                    Err(status) => (Item::Error(fit_error(item_error(status), &mut room)), None),
                };
                let message =
                    pb::SubmitArticleStreamResponse { article_id: id, result: Some(result) };
                Answer { message: Ok(message), _place: Some(place), _share: share }
            }
            Begun::End(status) => Answer { message: Err(status), _place: None, _share: None },
        };
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

/// What an answer of a stream has around its outcome, an id as it was sent among it.
const STREAM_FRAME_BYTES: usize = 1024;

/// What the result of an article of a batch takes at most without matches and evidence, for a model
/// with few topics.
const RESULT_BYTES_MIN: usize = 1024;

async fn outcome(
    collection: &CollectionName,
    begun: Result<Submitting, Status>,
) -> Result<(pb::SubmitArticleResponse, Share), Status> {
    let (submitted, share) = begun?.outcome_and_share().await?;
    Ok((submitted_to(collection, submitted), share))
}

/// Leaves out the matches and the evidence of an outcome for which an answer has no more room, or
/// the server no more memory: the verdict, the story and the topics of every article always fit.
fn fit(
    mut outcome: pb::SubmitArticleResponse,
    room: &mut usize,
    share: &mut Share,
) -> pb::SubmitArticleResponse {
    let len = outcome.encoded_len();
    if len > *room || share.set_bytes(ANSWER_WEIGHT * len).is_err() {
        outcome.analysis.iter_mut().for_each(strip);
    }
    *room = room.saturating_sub(outcome.encoded_len() + ITEM_FRAME_BYTES);
    outcome
}

/// The tags and lengths around an item.
const ITEM_FRAME_BYTES: usize = 16;

/// Leaves of an error for which an answer has no more room what it takes to act on it.
fn fit_error(mut error: pb::ItemError, room: &mut usize) -> pb::ItemError {
    const MESSAGE_BYTES: usize = 200;
    if error.encoded_len() > *room {
        error.details.retain(|detail| detail.type_url.ends_with("google.rpc.ErrorInfo"));
        error.message.truncate(error.message.floor_char_boundary(MESSAGE_BYTES));
    }
    *room = room.saturating_sub(error.encoded_len() + ITEM_FRAME_BYTES);
    error
}

fn strip(analysis: &mut pb::Analysis) {
    if let Some(report) = &mut analysis.duplicates
        && !report.matches.is_empty()
    {
        report.matches.clear();
        report.truncated = true;
    }
    let scores = analysis.classification.iter_mut().flat_map(|said| &mut said.topics);
    scores.for_each(|score| score.evidence.clear());
}

fn strip_stored(stored: &mut pb::StoredArticle) {
    stored.analysis.iter_mut().for_each(strip);
}

/// How many articles to read instead, if a page is too large for a message. A page of one has to
/// do with less said about it.
fn fewer(page: &mut [pb::StoredArticle], len: usize, limits: Limits) -> Option<usize> {
    if len <= limits.message_bytes_max {
        return None;
    }
    if page.len() > 1 {
        return Some(page.len() / 2);
    }
    page.iter_mut().for_each(strip_stored);
    None
}

/// A status as part of an answer.
fn item_error(status: Status) -> pb::ItemError {
    let reason = reason_name(reason_of(&status));
    counter!("newsprint_item_refusals_total", "reason" => reason).increment(1);
    // The details of a status are a whole google.rpc.Status, whose fields ItemError has.
    let decoded = pb::ItemError::decode(status.details()).ok();
    decoded.filter(|error| !error.details.is_empty()).unwrap_or_else(|| pb::ItemError {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
