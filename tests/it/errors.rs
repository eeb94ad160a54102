//! Wrong input gets the right code, a reason, and the names of the fields at fault; and the server
//! goes on.

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use newsprint::api::pb::find_similar_request::Query;
use newsprint::api::pb::*;
use newsprint::config::Limits;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::request::Builder;
use tonic::codegen::http::{self, Response};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::{TestServer, article};
use crate::texts::*;
use crate::wire::{SUBMIT, frame};

/// Checks code and reason, and which fields are named.
#[track_caller]
fn check(status: &Status, code: Code, reason: &str, fields: &[&str]) {
    assert_eq!(status.code(), code, "{status:?}");
    let details = status.get_error_details();
    let info = details.error_info().expect("an ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("newsprint", reason), "{status:?}");
    let violations = details.bad_request().map(|bad| bad.field_violations.clone());
    let named: Vec<String> =
        violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect();
    assert_eq!(named, fields, "{status:?}");
}

async fn submit(server: &TestServer, article: Article) -> Result<(), Status> {
    let request = SubmitArticleRequest { article: Some(article), ..Default::default() };
    server.articles.clone().submit_article(request).await.map(drop)
}

async fn still_serves(server: &TestServer) {
    submit(server, article("", REGATTA_TITLE, REGATTA_BODY)).await.expect("the server goes on");
}

#[tokio::test]
async fn every_field_at_fault_is_named_at_once() {
    let server = TestServer::start().await;
    let invalid = async |article, fields: &[&str]| {
        let status = submit(&server, article).await.unwrap_err();
        check(&status, Code::InvalidArgument, "INVALID_FIELDS", fields);
    };
    invalid(article("a", " \n\t", ""), &["article.title", "article.body"]).await;
    invalid(article("a\nb", "Title", ""), &["article.article_id"]).await;
    invalid(article(&"x".repeat(257), "Title", ""), &["article.article_id"]).await;
    invalid(article("a", &"x".repeat(4097), ""), &["article.title"]).await;
    invalid(article("a", "", &"x ".repeat(1 << 19 | 1)), &["article.body"]).await;
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    let everything = Article {
        url: "u".repeat(2049),
        source: "s".repeat(257),
        language: "not a tag".into(),
        publish_time: time(0, -1),
        attributes: HashMap::from([("key".into(), "v".repeat(4097))]),
        ..article("\u{0}", "Title", "")
    };
    let fields = [
        "article.article_id",
        "article.url",
        "article.source",
        "article.attributes[\"key\"]",
        "article.language",
        "article.publish_time",
    ];
    invalid(everything, &fields).await;
    let far = Article { publish_time: time(i64::MAX, 0), ..article("a", "Title", "") };
    invalid(far, &["article.publish_time"]).await;
    let keys = Article {
        attributes: HashMap::from([(String::new(), "v".into())]),
        ..article("a", "Title", "")
    };
    invalid(keys, &["article.attributes"]).await;

    let request = SubmitArticleRequest {
        collection: "No Such Name".into(),
        article: None,
        options: Some(AnalysisOptions { max_matches: 101, explain: false }),
    };
    let status = server.articles.clone().submit_article(request).await.unwrap_err();
    let fields = ["collection", "options.max_matches", "article"];
    check(&status, Code::InvalidArgument, "INVALID_FIELDS", &fields);
    still_serves(&server).await;
}

#[tokio::test]
async fn other_requests_are_checked_too() {
    let server = TestServer::start().await;
    let mut client = server.articles.clone();
    let invalid = |status: Status, fields: &[&str]| {
        check(&status, Code::InvalidArgument, "INVALID_FIELDS", fields);
    };
    let get = client.get_article(GetArticleRequest::default()).await;
    invalid(get.unwrap_err(), &["article_id"]);
    let list = ListArticlesRequest {
        page_size: -1,
        page_token: "not a token".into(),
        story_id: "not a story".into(),
        view: 99,
        ..Default::default()
    };
    let list = client.list_articles(list).await;
    invalid(list.unwrap_err(), &["page_size", "page_token", "story_id", "view"]);
    let story = client.get_story(GetStoryRequest::default()).await;
    invalid(story.unwrap_err(), &["story_id"]);
    let similar =
        FindSimilarRequest { max_hamming_distance: 65, max_matches: -1, ..Default::default() };
    let similar = client.find_similar(similar).await;
    invalid(similar.unwrap_err(), &["query", "max_hamming_distance", "max_matches"]);
    let batch = client.batch_submit_articles(BatchSubmitArticlesRequest::default()).await;
    invalid(batch.unwrap_err(), &["articles"]);
    let many = BatchSubmitArticlesRequest {
        articles: vec![Article::default(); 1001],
        ..Default::default()
    };
    invalid(client.batch_submit_articles(many).await.unwrap_err(), &["articles"]);

    let missing = GetArticleRequest { article_id: "nobody".into(), ..Default::default() };
    let status = client.get_article(missing).await.unwrap_err();
    check(&status, Code::NotFound, "ARTICLE_NOT_FOUND", &[]);
    let missing = GetStoryRequest {
        story_id: "019c0000-0000-7000-8000-000000000000".into(),
        ..Default::default()
    };
    let status = client.get_story(missing).await.unwrap_err();
    check(&status, Code::NotFound, "STORY_NOT_FOUND", &[]);

    submit(&server, article("short", "Two words", "")).await.unwrap();
    let short =
        FindSimilarRequest { query: Some(Query::ArticleId("short".into())), ..Default::default() };
    let status = client.find_similar(short).await.unwrap_err();
    check(&status, Code::FailedPrecondition, "NO_FINGERPRINT", &[]);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let server = TestServer::start().await;
    let status = submit(&server, article("a", "", &"word ".repeat(1 << 20))).await.unwrap_err();
    check(&status, Code::InvalidArgument, "MESSAGE_TOO_LARGE", &[]);
    still_serves(&server).await;
}

/// Sends a request of our own making, as a broken client might, over a connection that adds
/// nothing to it.
async fn send_raw(server: &TestServer, request: Builder, body: Vec<u8>) -> Response<Incoming> {
    let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = request.header("content-type", "application/grpc").header("te", "trailers");
    client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
}

fn post(server: &TestServer, path: &str) -> Builder {
    http::Request::post(format!("http://{}{path}", server.address))
}

/// Calls a method with a body of our own making, and returns the error it must give.
async fn call_raw(server: &TestServer, path: &str, encoding: &str, body: Vec<u8>) -> Status {
    let request = post(server, path).header("grpc-encoding", encoding);
    let response = send_raw(server, request, body).await;
    Status::from_header_map(response.headers()).expect("an error without a body")
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let server = TestServer::start().await;
    let malformed =
        |status: Status| check(&status, Code::InvalidArgument, "MALFORMED_MESSAGE", &[]);
    malformed(call_raw(&server, SUBMIT, "identity", frame(false, b"\xff\xfe not protobuf")).await);
    malformed(call_raw(&server, SUBMIT, "identity", Vec::new()).await);
    malformed(call_raw(&server, SUBMIT, "identity", frame(false, &[10; 100])[..50].to_vec()).await);
    malformed(call_raw(&server, SUBMIT, "identity", b"\x07\0\0\0\0".to_vec()).await);
    malformed(call_raw(&server, SUBMIT, "gzip", frame(true, b"no gzip")).await);
    let status = call_raw(&server, SUBMIT, "snappy", frame(true, b"")).await;
    check(&status, Code::Unimplemented, "UNSUPPORTED_ENCODING", &[]);
    let unknown =
        call_raw(&server, "/newsprint.v1.ArticleService/Burn", "identity", frame(false, b""));
    check(&unknown.await, Code::Unimplemented, "UNKNOWN_METHOD", &[]);
    let unknown = call_raw(&server, "/other.v1.Service/Burn", "identity", frame(false, b""));
    check(&unknown.await, Code::Unimplemented, "UNKNOWN_METHOD", &[]);
    still_serves(&server).await;
}

#[tokio::test]
async fn a_zip_bomb_is_refused_by_its_size_when_unpacked() {
    let server = TestServer::start().await;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![0; 100 << 20]).unwrap();
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let status = call_raw(&server, SUBMIT, "gzip", frame(true, &bomb)).await;
    check(&status, Code::InvalidArgument, "MESSAGE_TOO_LARGE", &[]);
    still_serves(&server).await;
}

#[tokio::test]
async fn compressed_calls_are_understood() {
    let server = TestServer::start().await;
    for (number, encoding) in
        [CompressionEncoding::Gzip, CompressionEncoding::Zstd].into_iter().enumerate()
    {
        let client = server.articles.clone();
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let request = SubmitArticleRequest {
            article: Some(article(&number.to_string(), REGATTA_TITLE, REGATTA_BODY)),
            ..Default::default()
        };
        let response = client.submit_article(request).await.unwrap();
        assert_eq!(response.get_ref().article_id, number.to_string());
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_leaves_what_was_whole() {
    let server = TestServer::start().await;
    let request = SubmitArticleStreamRequest {
        article: Some(article("whole", REGATTA_TITLE, REGATTA_BODY)),
        ..Default::default()
    };
    let whole = frame(false, &request.encode_to_vec());
    let cut = [&whole[..], &whole[..whole.len() / 2]].concat();
    let request = post(&server, "/newsprint.v1.ArticleService/SubmitArticleStream");
    let response = send_raw(&server, request, cut).await;
    let body = response.into_body().collect().await.unwrap();
    let status = Status::from_header_map(body.trailers().expect("trailers")).unwrap();
    check(&status, Code::InvalidArgument, "MALFORMED_MESSAGE", &[]);
    let answer = body.to_bytes();
    let answer = SubmitArticleStreamResponse::decode(&answer[5..]).unwrap();
    assert_eq!(answer.article_id, "whole");
    let request = GetArticleRequest { article_id: "whole".into(), ..Default::default() };
    server.articles.clone().get_article(request).await.unwrap();
}

#[tokio::test]
async fn a_client_that_vanishes_does_no_harm() {
    let server = TestServer::start().await;
    for _ in 0..20 {
        let (requests, queue) = tokio::sync::mpsc::channel(4);
        let stream = tokio_stream::wrappers::ReceiverStream::new(queue);
        let mut client = server.articles.clone();
        let answers = client.submit_article_stream(stream).await.unwrap();
        let request = SubmitArticleStreamRequest {
            article: Some(article("", TARIFF_TITLE, TARIFF_BODY)),
            ..Default::default()
        };
        requests.send(request).await.unwrap();
        drop(answers);
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn the_clients_deadline_is_kept() {
    let server = TestServer::start().await;
    let message = SubmitArticleRequest {
        article: Some(article("late", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    let request = post(&server, SUBMIT).header("grpc-timeout", "1n");
    let response = send_raw(&server, request, frame(false, &message.encode_to_vec())).await;
    let status = Status::from_header_map(response.headers()).expect("an error without a body");
    check(&status, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);
    still_serves(&server).await;
}

#[tokio::test]
async fn overload_is_refused_at_once_and_says_when_to_try_again() {
    let limits = Limits { in_flight_max: 4, ..Limits::default() };
    let server = TestServer::start_with(limits).await;
    // Long articles, which are in work for a while: as many as one connection may have.
    let long = "Boats came in before the storm, and the harbour was full. ".repeat(8000);
    let articles = vec![article("", REGATTA_TITLE, &long); 2];
    let batch = BatchSubmitArticlesRequest { articles, ..Default::default() };
    let mut client = server.articles.clone();
    let in_work = tokio::spawn(async move { client.batch_submit_articles(batch).await });
    let status = loop {
        match submit(&server, article("", REGATTA_TITLE, REGATTA_BODY)).await {
            Ok(()) => assert!(!in_work.is_finished(), "nothing was refused"),
            Err(status) => break status,
        }
    };
    check(&status, Code::ResourceExhausted, "OVERLOADED", &[]);
    let delay = status.get_error_details().retry_info().unwrap().retry_delay;
    assert!(delay.is_some_and(|delay| delay > Duration::ZERO));
    in_work.await.unwrap().expect("what was admitted is done");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_batch_larger_than_the_server_takes_on_is_told_so() {
    let limits = Limits { in_flight_max: 2, ..Limits::default() };
    let server = TestServer::start_with(limits).await;
    let batch = |count| BatchSubmitArticlesRequest {
        articles: vec![article("", REGATTA_TITLE, REGATTA_BODY); count],
        ..Default::default()
    };
    let status = server.articles.clone().batch_submit_articles(batch(3)).await.unwrap_err();
    check(&status, Code::InvalidArgument, "INVALID_FIELDS", &["articles"]);
    assert!(status.message().contains("1 to 2 articles"), "{status:?}");
    server.articles.clone().batch_submit_articles(batch(2)).await.expect("as many as it takes on");
    let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    assert_eq!(info.into_inner().limits.unwrap().batch_article_count_max, 2);
}
