//! Traces of calls, as a collector of OpenTelemetry gets them, and that no call waits for it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use newsprint::api::pb::*;
use newsprint::config::{Config, Tracing};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};

use crate::server::{TestServer, article, test_config};
use crate::texts::*;

/// A collector that hands on whatever it is sent.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sent, came) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector(sent)))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    (address, came)
}

/// A server that sends its traces there.
async fn traced_by(collector: SocketAddr, ratio: f64) -> (TestServer, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let tracing = Tracing {
        otlp_endpoint: Some(format!("http://{collector}")),
        otlp_sample_ratio: ratio,
        ..Tracing::default()
    };
    let config = Config { tracing, ..test_config(data.path()) };
    (TestServer::start_as(config).await, data)
}

/// All that came, once the server has ended.
fn all(mut came: mpsc::UnboundedReceiver<ExportTraceServiceRequest>) -> (Vec<Span>, Vec<u8>) {
    let (mut spans, mut bytes) = (Vec::new(), Vec::new());
    while let Ok(request) = came.try_recv() {
        bytes.extend(request.encode_to_vec());
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            assert_eq!(text(&attributes, "service.name"), "newsprint");
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    (spans, bytes)
}

/// An attribute, as text.
fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A call that says of what it is part, and whether that is traced.
fn part_of<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    request
}

fn submission(id: &str) -> SubmitArticleRequest {
    let article = Some(article(id, TARIFF_TITLE, TARIFF_BODY));
    SubmitArticleRequest { collection: "wire".into(), article, ..Default::default() }
}

#[tokio::test]
async fn a_call_is_a_span_below_its_callers_and_tells_no_text() {
    let (address, came) = collector().await;
    let (server, _data) = traced_by(address, 0.0).await;
    let mut client = server.articles.clone();
    let mut first = part_of(submission("a"), "01");
    first.metadata_mut().insert("x-request-id", "desk-17".parse().unwrap());
    let answer = client.submit_article(first).await.unwrap();
    let told = answer.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned();
    let get = GetArticleRequest { collection: "wire".into(), article_id: "none".into() };
    client.get_article(part_of(get, "01")).await.unwrap_err();
    // Whose client says that it is not traced, and who says nothing, with a ratio of 0.
    client.submit_article(part_of(submission("b"), "00")).await.unwrap();
    client.submit_article(submission("c")).await.unwrap();
    // What waits is sent at the end.
    server.stop().await.unwrap();
    let (spans, bytes) = all(came);
    assert_eq!(spans.len(), 2, "{spans:?}");
    for span in &spans {
        assert_eq!(
            (hex(&span.trace_id), hex(&span.parent_span_id)),
            (TRACE.into(), "00f067aa0ba902b7".into())
        );
        assert_eq!(text(&span.attributes, "newsprint.collection"), "wire");
        assert_eq!(text(&span.attributes, "rpc.service"), "newsprint.v1.ArticleService");
        assert_eq!(text(&span.attributes, "client.address"), "127.0.0.1");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
    let [submitted, missed] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(submitted.name, "newsprint.v1.ArticleService/SubmitArticle");
    assert_eq!(text(&submitted.attributes, "rpc.grpc.status_code"), "0");
    assert_eq!(text(&submitted.attributes, "newsprint.request_id"), "desk-17");
    assert_eq!(told, format!("00-{TRACE}-{}-01", hex(&submitted.span_id)));
    assert_eq!(text(&missed.attributes, "rpc.method"), "GetArticle");
    assert_eq!(text(&missed.attributes, "rpc.grpc.status_code"), "5");
    assert_eq!(text(&missed.attributes, "error.type"), "ARTICLE_NOT_FOUND");
    let sent = String::from_utf8_lossy(&bytes);
    for word in TARIFF_TITLE.split(' ').chain(TARIFF_BODY.split(' ')).filter(|it| it.len() > 6) {
        assert!(!sent.contains(word), "{word}");
    }
}

#[tokio::test]
async fn who_does_not_say_is_traced_by_the_ratio() {
    let (address, came) = collector().await;
    let (server, _data) = traced_by(address, 1.0).await;
    let answer = server.articles.clone().submit_article(submission("a")).await.unwrap();
    let told = answer.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned();
    server.articles.clone().submit_article(part_of(submission("b"), "00")).await.unwrap();
    server.stop().await.unwrap();
    let (spans, _) = all(came);
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(told, format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)));
}

/// One that takes connections in and says nothing, and one that is not there.
#[tokio::test]
async fn a_collector_that_does_not_answer_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for collector in [silent.local_addr().unwrap(), nobody] {
        let (server, _data) = traced_by(collector, 1.0).await;
        let mut client = server.articles.clone();
        let began = Instant::now();
        // More than wait to be sent.
        for _ in 0..5000 {
            let get = GetArticleRequest { article_id: "none".into(), ..Default::default() };
            let status = client.get_article(get).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}");
        let began = Instant::now();
        server.stop().await.unwrap();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
