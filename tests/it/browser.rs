//! What browsers need: gRPC-Web over HTTP/1.1 and HTTP/2, answers to what is no call, whose pages
//! may call, and the console. The limits that hold for gRPC hold here too.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use newsprint::api::pb::*;
use newsprint::config::{Config, ConnectionLimits, HttpAddr, Limits, Web};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tonic::codegen::http::{HeaderMap, Method, Request, Response, StatusCode};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::server::{TestServer, article, test_config};
use crate::texts::*;
use crate::wire::*;

const INFO: &str = "/newsprint.v1.AdminService/GetServerInfo";
const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");
const WEB_TEXT: (&str, &str) = ("content-type", "application/grpc-web-text");

/// Sends a request over HTTP/1.1, on a connection of its own.
async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", address.to_string());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let (parts, body) = within(20, sender.send_request(request)).await.unwrap().into_parts();
    Response::from_parts(parts, within(20, body.collect()).await.unwrap().to_bytes())
}

async fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Response<Bytes> {
    send(address, Method::POST, path, headers, body).await
}

fn submission(id: &str) -> Vec<u8> {
    let article = Some(article(id, REGATTA_TITLE, REGATTA_BODY));
    frame(false, &SubmitArticleRequest { article, ..Default::default() }.encode_to_vec())
}

/// The messages of an answer, and the status in its last frame.
fn read(body: &[u8]) -> (Vec<Vec<u8>>, Status) {
    let mut messages = Vec::new();
    let mut rest = body;
    loop {
        assert!(rest.len() >= 5, "the answer ends without a status");
        let len = u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]) as usize;
        let (content, after) = rest[5..].split_at(len);
        if rest[0] == 0x80 {
            assert!(after.is_empty(), "something comes after the trailers");
            return (messages, status(content));
        }
        messages.push(content.to_vec());
        rest = after;
    }
}

fn status(lines: &[u8]) -> Status {
    let mut trailers = HeaderMap::new();
    for line in std::str::from_utf8(lines).unwrap().split_terminator("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        let name: tonic::codegen::http::HeaderName = name.parse().unwrap();
        trailers.insert(name, value.parse().unwrap());
    }
    Status::from_header_map(&trailers).expect("the trailers hold a status")
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

fn text_of(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn article_count(server: &TestServer) -> i64 {
    let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await;
    info.unwrap().into_inner().article_count
}

/// A server with a second address, which it tells.
async fn server_with_http(web: Web) -> (TestServer, SocketAddr, tempfile::TempDir) {
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = Config { http: HttpAddr::At(http), web, ..test_config(data.path()) };
    (TestServer::start_as(config).await, http, data)
}

async fn server_as(
    limits: Limits,
    connections: ConnectionLimits,
    web: Web,
) -> (TestServer, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let config = Config { limits, connections, web, ..test_config(data.path()) };
    (TestServer::start_as(config).await, data)
}

#[tokio::test]
async fn calls_are_answered_over_http_1_in_both_forms() {
    let server = TestServer::start().await;
    let response = post(server.address, SUBMIT, &[WEB], submission("a")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "content-type"), Some("application/grpc-web+proto"));
    let (messages, status) = read(response.body());
    assert_eq!(status.code(), Code::Ok);
    let answer = SubmitArticleResponse::decode(&messages[0][..]).unwrap();
    assert_eq!((answer.article_id.as_str(), answer.replayed), ("a", false));

    let body = STANDARD.encode(submission("a")).into_bytes();
    let response = post(server.address, SUBMIT, &[WEB_TEXT], body).await;
    assert_eq!(header(&response, "content-type"), Some("application/grpc-web-text+proto"));
    // Each piece is padded by itself.
    let pieces = text_of(&response).as_bytes().chunks(4).collect::<Vec<_>>();
    let body: Vec<u8> = pieces.iter().flat_map(|four| STANDARD.decode(four).unwrap()).collect();
    let (messages, status) = read(&body);
    assert_eq!(status.code(), Code::Ok);
    assert!(SubmitArticleResponse::decode(&messages[0][..]).unwrap().replayed);
}

#[tokio::test]
async fn calls_are_answered_over_http_2() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    for (id, code) in [("a", Code::Ok), ("bad\u{1}id", Code::InvalidArgument)] {
        let response = wire.call(SUBMIT, &[WEB], submission(id)).await.headers().await;
        assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
        assert!(!response.headers().contains_key("grpc-status"), "it is in the body");
        let mut body = response.into_body();
        let mut content = Vec::new();
        while let Some(data) = body.data().await {
            content.extend_from_slice(&data.unwrap());
        }
        assert!(body.trailers().await.unwrap().is_none());
        assert_eq!(read(&content).1.code(), code);
    }
}

#[tokio::test]
async fn streams_of_answers_are_read_one_by_one() {
    let server = TestServer::start().await;
    let requests = [submission("a"), submission("bad\u{1}id"), submission("b")].concat();
    let response = post(server.address, SUBMIT_STREAM, &[WEB], requests).await;
    let (messages, status) = read(response.body());
    assert_eq!((messages.len(), status.code()), (3, Code::Ok));
    let last = SubmitArticleStreamResponse::decode(&messages[2][..]).unwrap();
    assert_eq!(last.article_id, "b");
}

#[tokio::test]
async fn refusals_can_be_read_with_all_their_details() {
    let server = TestServer::start().await;
    let empty = SubmitArticleRequest { article: Some(Article::default()), ..Default::default() };
    let empty = frame(false, &empty.encode_to_vec());
    for (path, body, code, why) in [
        (SUBMIT, empty, Code::InvalidArgument, "INVALID_FIELDS"),
        (SUBMIT, frame(false, b"\xff"), Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (SUBMIT, vec![0, 255, 255, 255, 255], Code::InvalidArgument, "MESSAGE_TOO_LARGE"),
        (SUBMIT, vec![0, 0, 0], Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (SUBMIT, Vec::new(), Code::InvalidArgument, "MALFORMED_MESSAGE"),
        (
            "/newsprint.v1.ArticleService/No",
            frame(false, &[]),
            Code::Unimplemented,
            "UNKNOWN_METHOD",
        ),
    ] {
        let response = post(server.address, path, &[WEB], body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (messages, status) = read(response.body());
        assert!(messages.is_empty());
        assert_eq!((status.code(), reason(&status).as_str()), (code, why));
        if why == "INVALID_FIELDS" {
            let fields = status.get_details_bad_request().unwrap().field_violations;
            assert!(fields.iter().any(|field| field.field == "article.title"), "{fields:?}");
        }
    }
    let response = post(server.address, SUBMIT, &[WEB_TEXT], b"!no base64!!".to_vec()).await;
    let body = STANDARD.decode(response.body()).unwrap();
    assert_eq!(reason(&read(&body).1), "MALFORMED_MESSAGE");
}

#[tokio::test]
async fn requests_may_be_packed() {
    let server = TestServer::start().await;
    let message = submission("a")[5..].to_vec();
    let packed = zstd::stream::encode_all(&message[..], 3).unwrap();
    let headers = [WEB, ("grpc-encoding", "zstd")];
    let response = post(server.address, SUBMIT, &headers, frame(true, &packed)).await;
    assert_eq!(read(response.body()).1.code(), Code::Ok);
}

#[tokio::test]
async fn what_is_no_call_is_told_so_and_changes_nothing() {
    let (server, http, _data) = server_with_http(Web::default()).await;
    let address = server.address;
    let check = async |method: Method, path: &str, content_type, status, says: &str| {
        let headers: Vec<_> =
            Option::<&str>::into_iter(content_type).map(|it| ("content-type", it)).collect();
        let response = send(address, method.clone(), path, &headers, submission("never")).await;
        assert_eq!(response.status(), status, "{method} {path} {content_type:?}");
        assert!(text_of(&response).contains(says), "{says}: {}", text_of(&response));
        response
    };
    let at_console = format!("http://{http}/");
    check(Method::GET, "/", None, StatusCode::OK, &at_console).await;
    check(Method::GET, "/favicon.ico", None, StatusCode::NOT_FOUND, "gRPC-Web").await;
    for content_type in [None, Some("text/plain"), Some("application/json")] {
        let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        check(Method::POST, SUBMIT, content_type, unsupported, "application/grpc-web").await;
    }
    let grpc = Some("application/grpc");
    check(Method::POST, SUBMIT, grpc, StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/2").await;
    let no_post = check(Method::PUT, SUBMIT, Some(WEB.1), StatusCode::METHOD_NOT_ALLOWED, "POST");
    assert_eq!(header(&no_post.await, "allow"), Some("POST"));
    assert_eq!(article_count(&server).await, 0);
}

#[tokio::test]
async fn pages_of_others_may_call_only_where_they_are_allowed_to() {
    let allowed_origins = vec!["https://desk.example".parse().unwrap()];
    let web = Web { allowed_origins, ..Web::default() };
    let (server, _data) = server_as(Limits::default(), ConnectionLimits::default(), web).await;
    let ask = async |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-grpc-web,authorization"),
        ];
        send(server.address, Method::OPTIONS, SUBMIT, &headers, "").await
    };
    let asked = ask("https://desk.example").await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert_eq!(header(&asked, "access-control-allow-origin"), Some("https://desk.example"));
    assert_eq!(header(&asked, "access-control-allow-methods"), Some("POST"));
    let allowed = header(&asked, "access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
    assert_eq!(header(&ask("https://trap.example").await, "access-control-allow-origin"), None);

    let call = async |origin: &str, id: &str| {
        post(server.address, SUBMIT, &[WEB, ("origin", origin)], submission(id)).await
    };
    let answered = call("https://desk.example", "a").await;
    assert_eq!(read(answered.body()).1.code(), Code::Ok);
    assert_eq!(header(&answered, "access-control-allow-origin"), Some("https://desk.example"));
    let exposed = header(&answered, "access-control-expose-headers").unwrap();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for origin in ["https://trap.example", "null", "http://desk.example"] {
        let refused = call(origin, "b").await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(text_of(&refused).contains("--allowed-origins"));
    }
    assert_eq!(article_count(&server).await, 1);
}

#[tokio::test]
async fn a_deadline_holds_over_http_1() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {SUBMIT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\n\
         grpc-timeout: 200m\r\ncontent-length: 100\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(5, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status: 4"), "{answer}");
}

#[tokio::test]
async fn what_is_refused_before_it_is_read_does_not_break_a_connection_of_http_1() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let refused =
        "POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(refused.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(b"a message").await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = Vec::new();
    within(5, stream.read_to_end(&mut answers)).await.unwrap();
    let answers = String::from_utf8_lossy(&answers);
    assert!(answers.contains("415 Unsupported") && answers.contains("200 OK"), "{answers}");

    // A stream is answered while it is read, and what it leaves is read behind its answer.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let refused_stream = "POST /newsprint.v1.ArticleService/SubmitArticleStream HTTP/1.1\r\nhost: x\r\n\
        content-type: application/grpc-web+proto\r\ncontent-length: 1005\r\n\r\n";
    stream.write_all(refused_stream.as_bytes()).await.unwrap();
    stream.write_all(&[0, 0x7f, 0xff, 0xff, 0xff]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(&[b'a'; 1000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answers = Vec::new();
    within(5, stream.read_to_end(&mut answers)).await.unwrap();
    let answers = String::from_utf8_lossy(&answers);
    assert!(answers.contains("grpc-status: 3"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");

    // What does not come, or is too much, is not waited for, and the answer says so.
    for (len, sent) in [(100, 10), (64 << 20, 2 << 20)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = refused.replace("content-length: 9", &format!("content-length: {len}"));
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut answers, mut sending) = stream.split();
        let mut answer = [0; 512];
        let sending = async {
            let _ = sending.write_all(&vec![b'a'; sent]).await;
        };
        let ((), read) = tokio::join!(sending, within(5, answers.read(&mut answer)));
        let answer = String::from_utf8_lossy(&answer[..read.unwrap()]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn those_who_send_slowly_or_take_nothing_are_cut_off_over_http_1() {
    let limits = Limits { memory_bytes_max: 64 << 20, ..Limits::default() };
    let connections = ConnectionLimits {
        handshake_seconds_max: 1,
        answer_seconds_max: 1,
        ..ConnectionLimits::default()
    };
    let (server, _data) = server_as(limits, connections, Web::default()).await;
    let closes_within = async |seconds: u64, mut stream: TcpStream| {
        let begun = Instant::now();
        let mut rest = Vec::new();
        let _ = within(seconds, stream.read_to_end(&mut rest)).await;
        (begun.elapsed(), rest)
    };
    for sent in ["", "POST", "POST /x HTTP/1.1\r\nhost: somewhere.example\r\n"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        closes_within(6, stream).await;
    }
    let attributes = (0..64).map(|key| (key.to_string(), "x".repeat(4096))).collect();
    let long = Article { attributes, ..article("", REGATTA_TITLE, REGATTA_BODY) };
    for number in 0..4 {
        server.submit(Article { article_id: format!("{number}"), ..long.clone() }).await;
    }
    let list = frame(false, &ListArticlesRequest::default().encode_to_vec());
    // Answers of more than the system takes off our hands: the rest lies here, and weighs.
    let mut lazy = Vec::new();
    for _ in 0..2 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let head = format!(
            "POST {LIST} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\n\
             content-length: {}\r\n\r\n",
            list.len()
        );
        let many = [head.as_bytes(), &list].concat().repeat(8);
        stream.write_all(&many).await.unwrap();
        // The answer has begun.
        within(20, stream.read_exact(&mut [0; 100])).await.unwrap();
        lazy.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    for stream in lazy {
        let (_, rest) = closes_within(10, stream).await;
        let ends = rest.windows(14).filter(|window| window == b"grpc-status: 0").count();
        assert!(ends < 8, "all was kept for the client");
    }
    let whole = post(server.address, LIST, &[WEB], list).await;
    assert_eq!(read(whole.body()).1.code(), Code::Ok, "those who read are served");
}

#[tokio::test]
async fn a_drain_does_not_wait_for_browsers_that_keep_their_connections() {
    let (server, http, _data) = server_with_http(Web::default()).await;
    let mut idle = Vec::new();
    for address in [server.address, http] {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(INFO).header("host", "x").header(WEB.0, WEB.1);
        let request = request.body(Full::new(Bytes::from(frame(false, &[])))).unwrap();
        let answer = sender.send_request(request).await.unwrap().into_body();
        assert_eq!(read(&answer.collect().await.unwrap().to_bytes()).1.code(), Code::Ok);
        idle.push(sender);
    }
    let begun = Instant::now();
    server.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_drain_waits_for_the_calls_of_pages_and_takes_no_more() {
    let (server, http, _data) = server_with_http(Web::default()).await;
    let mut stream = TcpStream::connect(http).await.unwrap();
    let body = submission("a");
    let head = format!(
        "POST {SUBMIT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..100]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.begin_stop();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = post(http, SUBMIT, &[WEB], submission("b")).await;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    stream.write_all(&body[100..]).await.unwrap();
    let mut answer = Vec::new();
    within(5, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status: 0"), "{answer}");
    within(5, server.stop()).await.unwrap();
}

#[tokio::test]
async fn the_console_is_a_page_that_trusts_nothing_but_its_server() {
    let (_server, http, _data) = server_with_http(Web::default()).await;
    let page = send(http, Method::GET, "/", &[], "").await;
    assert_eq!(page.status(), StatusCode::OK);
    let html = text_of(&page).to_owned();
    let policy = header(&page, "content-security-policy").unwrap();
    for directive in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&page, "x-content-type-options"), Some("nosniff"));
    // Everything that it names is there, and nothing comes from elsewhere.
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("style="));
    let named = html.split('"').filter(|part| part.starts_with("/console/"));
    let mut count = 0;
    for path in named {
        let file = send(http, Method::GET, path, &[], "").await;
        assert_eq!(file.status(), StatusCode::OK, "{path}");
        assert!(file.headers().contains_key("content-security-policy"), "{path}");
        count += 1;
    }
    assert!(count >= 3);
    let etag = header(&page, "etag").unwrap();
    let again = send(http, Method::GET, "/", &[("if-none-match", etag)], "").await;
    assert_eq!((again.status(), again.body().len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn the_consoles_page_may_call_and_no_other_may() {
    let (server, http, _data) = server_with_http(Web::default()).await;
    let own = format!("http://{http}");
    let answered = post(http, SUBMIT, &[WEB, ("origin", &own)], submission("a")).await;
    assert_eq!(read(answered.body()).1.code(), Code::Ok);
    // A page of a name that was made to lead here.
    let trap = [WEB, ("origin", "http://trap.example:9464"), ("host", "trap.example:9464")];
    let refused = post(http, SUBMIT, &trap, submission("b")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let other = post(http, SUBMIT, &[WEB, ("origin", "http://127.0.0.1:1")], submission("b")).await;
    assert_eq!(other.status(), StatusCode::FORBIDDEN);
    assert_eq!(article_count(&server).await, 1);
    let metrics = send(http, Method::GET, "/metrics", &[], "").await;
    assert!(text_of(&metrics).contains("grpc_server_handled_total"));
}

#[tokio::test]
async fn the_limits_hold_for_calls_of_pages() {
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let limits = Limits { in_flight_max: 1, ..Limits::default() };
    let connections = ConnectionLimits { receive_seconds_max: 1, ..ConnectionLimits::default() };
    let config =
        Config { http: HttpAddr::At(http), limits, connections, ..test_config(data.path()) };
    let server = TestServer::start_as(config).await;
    let two = vec![article("a", "One title", ""), article("b", "Another title", "")];
    let batch = BatchSubmitArticlesRequest { articles: two, ..Default::default() };
    let batch = frame(false, &batch.encode_to_vec());
    let refused = post(http, SUBMIT_BATCH, &[WEB], batch).await;
    assert_eq!(reason(&read(refused.body()).1), "INVALID_FIELDS", "more than is ever taken on");
    // Who does not send what he said is not waited for, and holds nothing.
    let mut slow = TcpStream::connect(http).await.unwrap();
    let head = format!(
        "POST {SUBMIT} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web\r\n\
         content-length: 1000\r\nconnection: close\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within(5, slow.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    let answered = post(http, SUBMIT, &[WEB], submission("c")).await;
    assert_eq!(read(answered.body()).1.code(), Code::Ok);
    assert_eq!(article_count(&server).await, 1);
}

#[tokio::test]
async fn without_the_console_there_is_nothing_to_call() {
    let web = Web { console: false, ..Web::default() };
    let (server, http, _data) = server_with_http(web).await;
    assert_eq!(send(http, Method::GET, "/", &[], "").await.status(), StatusCode::NOT_FOUND);
    let refused = post(http, SUBMIT, &[WEB], submission("a")).await;
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
    assert_eq!(article_count(&server).await, 0);
    let signpost = send(server.address, Method::GET, "/", &[], "").await;
    assert!(!text_of(&signpost).contains("console"), "{}", text_of(&signpost));
}
