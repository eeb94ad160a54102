//! What careless and hostile clients do, and that others do not feel it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use newsprint::api::pb::*;
use newsprint::config::{Config, ConnectionLimits, HttpAddr, Limits};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::codegen::http::StatusCode;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::server::{TestServer, article, connect, test_config};
use crate::texts::*;
use crate::wire::*;

fn submission(id: &str) -> Vec<u8> {
    let article = Some(article(id, REGATTA_TITLE, REGATTA_BODY));
    let request = SubmitArticleRequest { article, ..Default::default() };
    frame(false, &request.encode_to_vec())
}

async fn server_with(
    limits: Limits,
    connections: ConnectionLimits,
) -> (TestServer, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let config = Config { limits, connections, ..test_config(data.path()) };
    (TestServer::start_as(config).await, data)
}

fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

async fn still_serves(server: &TestServer) {
    let mut client = TestServer::articles(server.address).await;
    let request = SubmitArticleRequest {
        article: Some(article("", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    within(10, client.submit_article(request)).await.expect("others are served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_whose_answers_are_not_read_hold_no_permits() {
    let limits = Limits { in_flight_max: 16, ..Limits::default() };
    let (server, _data) = server_with(limits, ConnectionLimits::default()).await;
    let wire = Wire::connect(server.address, 0).await;
    let mut calls = Vec::new();
    for number in 0..4 {
        let requests = (0..100).flat_map(|item| submission(&format!("{number}-{item}")));
        let mut call = wire.begin(SUBMIT_STREAM, &[]).await;
        call.request.send_data(requests.collect::<Vec<u8>>().into(), false).unwrap();
        calls.push(call);
    }
    // All that was sent is remembered, though nobody reads a word of it.
    let last = GetArticleRequest { article_id: "3-99".into(), ..Default::default() };
    within(60, async {
        while server.articles.clone().get_article(last.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    for _ in 0..20 {
        still_serves(&server).await;
    }
}

#[tokio::test]
async fn a_stream_reads_no_further_than_its_window() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 0).await;
    let requests = (0..600).flat_map(|item| submission(&format!("{item}")));
    let mut call = wire.begin(SUBMIT_STREAM, &[]).await;
    call.request.send_data(requests.collect::<Vec<u8>>().into(), false).unwrap();
    within(60, async {
        let count = async || {
            let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await;
            info.unwrap().into_inner().article_count
        };
        let mut before = -1;
        while before != count().await || before == 0 {
            before = count().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        // One answer lies in HTTP/2, and the framework has taken some out to make a frame of.
        assert!((256..500).contains(&before), "{before}");
    })
    .await;
}

#[tokio::test]
async fn a_deadline_ends_a_stream_that_is_not_read() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 0).await;
    let mut call = wire.begin(SUBMIT_STREAM, &[("grpc-timeout", "1S")]).await;
    call.request.send_data(submission("a").into(), false).unwrap();
    let mut body = call.headers().await.into_body();
    let end = within(5, body.data()).await;
    assert!(end.unwrap().is_err(), "the stream is reset");
}

#[tokio::test]
async fn a_drain_is_not_kept_up_by_those_who_do_nothing() {
    let server = TestServer::start().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
    }
    let idle = Wire::connect(server.address, 1 << 20).await;
    let unread = Wire::connect(server.address, 0).await;
    let mut stream = unread.begin(SUBMIT_STREAM, &[]).await;
    stream.request.send_data(submission("a").into(), false).unwrap();
    let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let reflection = idle.begin(reflection, &[]).await;
    let mut health = HealthClient::new(connect(server.address).await);
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let begun = Instant::now();
    server.begin_stop();
    server.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "it took {:?}", begun.elapsed());
    drop((silent, stream, reflection, watch));
}

#[tokio::test]
async fn asked_to_stop_twice_it_stops_at_once() {
    let (server, _data) = {
        let data = tempfile::tempdir().unwrap();
        let config = Config { drain_seconds: 60, ..test_config(data.path()) };
        (TestServer::start_as(config).await, data)
    };
    let wire = Wire::connect(server.address, 1 << 20).await;
    let mut call = wire.begin(SUBMIT, &[]).await;
    call.request.send_data(submission("a")[..20].to_vec().into(), false).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begun = Instant::now();
    server.stop_twice().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_is_not_taken_is_cut_off_and_weighs_no_more() {
    let connections = ConnectionLimits { answer_seconds_max: 1, ..Default::default() };
    // What HTTP/2 holds already, because the client took one byte, is no different.
    for window in [0, 1] {
        let (server, _data) = server_with(Limits::default(), connections).await;
        let long = "Boats came in before the storm. ".repeat(2000);
        server.submit(article("long", REGATTA_TITLE, &long)).await;
        let wire = Wire::connect(server.address, window).await;
        let mut bodies = Vec::new();
        for _ in 0..20 {
            let call = wire.call(LIST, &[], frame(false, &[])).await;
            bodies.push(call.headers().await.into_body());
        }
        for mut body in bodies {
            within(10, async {
                loop {
                    match body.data().await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return,
                        None => panic!("all of it came"),
                    }
                }
            })
            .await;
        }
        still_serves(&server).await;
    }
}

#[tokio::test]
async fn a_request_has_to_arrive_in_time() {
    let connections = ConnectionLimits { receive_seconds_max: 1, ..Default::default() };
    let (server, _data) = server_with(Limits::default(), connections).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    for path in [SUBMIT, SUBMIT_STREAM] {
        let mut call = wire.begin(path, &[]).await;
        let request = submission("slow");
        call.request.send_data(request[..request.len() - 1].to_vec().into(), false).unwrap();
        let (_, status) = within(10, WireCall { answer: call.answer, request: call.request }.end())
            .await
            .expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{path}");
        assert_eq!(reason(&status), "REQUEST_TOO_SLOW");
    }
}

#[tokio::test]
async fn half_received_requests_of_one_leave_room_for_others() {
    let limits = Limits { memory_bytes_max: 32 << 20, ..Limits::default() };
    let (server, _data) = server_with(limits, ConnectionLimits::default()).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    // Each is one byte short of what it says.
    let big = frame(false, &vec![0; 2 << 20]);
    let mut refused = 0;
    let mut calls = Vec::new();
    for _ in 0..20 {
        let mut call = wire.begin(SUBMIT, &[]).await;
        let mut rest = &big[..big.len() - 1];
        while !rest.is_empty() {
            call.request.reserve_capacity(rest.len());
            let room = tokio::time::timeout(
                Duration::from_secs(5),
                std::future::poll_fn(|context| call.request.poll_capacity(context)),
            );
            let Ok(Some(Ok(room))) = room.await else { break };
            let part = rest.len().min(room);
            if call.request.send_data(rest[..part].to_vec().into(), false).is_err() {
                break;
            }
            rest = &rest[part..];
        }
        calls.push(call);
    }
    still_serves(&server).await;
    for call in calls {
        let ended = tokio::time::timeout(Duration::from_millis(200), call.answer).await;
        if let Ok(Ok(response)) = ended {
            let status = Status::from_header_map(response.headers()).unwrap();
            assert_eq!(status.code(), Code::ResourceExhausted);
            assert!(status.get_error_details().retry_info().is_some());
            refused += 1;
        }
    }
    // Half of the budget holds a few: each weighs three times its two megabytes.
    assert!((12..20).contains(&refused), "{refused}");
}

/// An article whose title is half an emoji, as a careless cut through UTF-16 leaves it.
fn broken_article(id: &str) -> Vec<u8> {
    let mut bytes = article(id, "", REGATTA_BODY).encode_to_vec();
    bytes.extend_from_slice(&[0x12, 3, 0xed, 0xa0, 0xbd]);
    bytes
}

fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn violations(error: &ItemError) -> Vec<String> {
    let status = error.encode_to_vec();
    let status = Status::with_details(Code::from(error.code), "", status.into());
    let details = status.get_error_details();
    let bad = details.bad_request().expect("a BadRequest");
    bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn one_broken_article_is_its_own_error() {
    use batch_submit_articles_result::Result as Item;
    use submit_article_stream_response::Result as StreamItem;
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let good = |id: &str| article(id, REGATTA_TITLE, REGATTA_BODY).encode_to_vec();

    let batch = [field(2, &good("1")), field(2, &broken_article("2")), field(2, &good("3"))];
    let call = wire.call(SUBMIT_BATCH, &[], frame(false, &batch.concat())).await;
    let (body, status) = call.end().await.unwrap();
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    let response = BatchSubmitArticlesResponse::decode(messages(&body)[0]).unwrap();
    let results: Vec<Item> = response.results.into_iter().filter_map(|item| item.result).collect();
    let [Item::Outcome(_), Item::Error(error), Item::Outcome(_)] = &results[..] else {
        panic!("{results:?}");
    };
    assert_eq!(error.code, Code::InvalidArgument as i32);
    assert_eq!(violations(error), ["articles[1].title"]);

    let collection = field(1, &[0xff]);
    let stream = [
        frame(false, &field(2, &good("4"))),
        frame(false, &field(2, &broken_article("5"))),
        frame(false, &[collection, field(2, &good("6"))].concat()),
        frame(false, &field(2, b"\xff\xff")),
        frame(false, &field(2, &good("7"))),
    ];
    let call = wire.call(SUBMIT_STREAM, &[], stream.concat()).await;
    let (body, status) = call.end().await.unwrap();
    assert_eq!(status.code(), Code::Ok, "{status:?}");
    let answers: Vec<_> = messages(&body)
        .into_iter()
        .map(|message| SubmitArticleStreamResponse::decode(message).unwrap())
        .collect();
    let ids: Vec<&str> = answers.iter().map(|answer| answer.article_id.as_str()).collect();
    assert_eq!(ids, ["4", "5", "6", "", "7"]);
    let at_fault: Vec<Vec<String>> = answers
        .iter()
        .map(|answer| match answer.result.as_ref().unwrap() {
            StreamItem::Outcome(_) => Vec::new(),
            StreamItem::Error(error) => violations(error),
        })
        .collect();
    let named = |name: &str| vec![name.to_owned()];
    assert_eq!(
        at_fault,
        [vec![], named("article.title"), named("collection"), named("article"), vec![]]
    );

    let call = wire.call(SUBMIT, &[], frame(false, &field(2, &broken_article("8")))).await;
    let (_, status) = call.end().await.unwrap();
    assert_eq!(status.get_error_details().bad_request().unwrap().field_violations.len(), 1);
}

#[tokio::test]
async fn articles_of_a_batch_are_counted_before_they_are_read() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let many = [0x12, 0].repeat(2_000_000);
    let packed = zstd::encode_all(&many[..], 19).unwrap();
    assert!(packed.len() < 1000);
    let call = wire.call(SUBMIT_BATCH, &[("grpc-encoding", "zstd")], frame(true, &packed)).await;
    let (_, status) = within(5, call.end()).await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "articles");
}

#[tokio::test]
async fn what_only_takes_long_to_read_is_not_read() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    // Fields that nobody knows, and entries of attributes that all have another key.
    let unknown = [0x78, 0].repeat(1_000_000);
    let entry = |n: u32| field(8, &field(1, &n.to_be_bytes().map(|byte| byte & 0x7f)));
    let attributes: Vec<u8> = (0..200_000).flat_map(entry).collect();
    let broken = field(2, &[article("a", TARIFF_TITLE, "").encode_to_vec(), attributes].concat());
    for message in [unknown, broken] {
        let call = wire.call(SUBMIT, &[], frame(false, &message)).await;
        let (_, status) = call.end().await.unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        assert!(status.message().contains("more fields"), "{status:?}");
    }
    // A request for a page has nothing to say at such length.
    let call = wire.call(LIST, &[], frame(false, &field(4, &[b'a'; 100_000]))).await;
    let (_, status) = call.end().await.unwrap();
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
    still_serves(&server).await;
}

#[tokio::test]
async fn a_batch_that_can_never_be_taken_is_not_to_be_tried_again() {
    let limits = Limits { in_flight_max: 2, ..Limits::default() };
    let server = TestServer::start_with(limits).await;
    let articles = vec![article("", REGATTA_TITLE, REGATTA_BODY); 3];
    let request = BatchSubmitArticlesRequest { articles, ..Default::default() };
    let status = server.articles.clone().batch_submit_articles(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.get_error_details().retry_info().is_none());
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so_by_http() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    for content_type in
        ["application/json", "application/grpcx", "text/plain", "application/grpc+json"]
    {
        let headers = [("content-type", content_type)];
        let response = wire.call(SUBMIT, &headers, submission("never")).await.headers().await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    for content_type in ["application/grpc+proto", "application/grpc;charset=utf-8"] {
        let headers = [("content-type", content_type)];
        let (_, status) = wire.call(SUBMIT, &headers, submission("a")).await.end().await.unwrap();
        assert_eq!(status.code(), Code::Ok, "{content_type}");
    }
    let headers = [("grpc-encoding", "snappy")];
    let response = wire.call(SUBMIT, &headers, submission("never")).await.headers().await;
    assert_eq!(response.headers()["grpc-accept-encoding"], "identity,gzip,zstd");
    let missing = GetArticleRequest { article_id: "never".into(), ..Default::default() };
    let status = server.articles.clone().get_article(missing).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "nothing unreadable was answered to was remembered");
}

#[tokio::test]
async fn a_retention_is_a_duration_of_protobuf() {
    let server = TestServer::start().await;
    for (seconds, nanos) in [(i64::MAX, 0), (315_576_000_001, 0), (3600, -1), (3600, 1_000_000_000)]
    {
        let retention = Some(prost_types::Duration { seconds, nanos });
        let settings = Some(CollectionSettings { retention, ..Default::default() });
        let request = UpdateCollectionRequest { settings, ..Default::default() };
        let status = server.admin.clone().update_collection(request).await.unwrap_err();
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "settings.retention", "{seconds} {nanos}");
    }
}

#[tokio::test]
async fn only_methods_that_are_known_become_labels() {
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let data = tempfile::tempdir().unwrap();
    let config = Config { http: HttpAddr::At(http), ..test_config(data.path()) };
    let server = TestServer::start_as(config).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    for number in 0..50 {
        let path = format!("/newsprint.v1.ArticleService/Invented{number}");
        let call = wire.call(&path, &[("grpc-timeout", "1n")], frame(false, &[])).await;
        assert_eq!(call.end().await.unwrap().1.code(), Code::Unimplemented);
    }
    let mut metrics = String::new();
    let mut connection = TcpStream::connect(http).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.read_to_string(&mut metrics).await.unwrap();
    assert!(!metrics.contains("Invented"), "a client can fill the metrics");
    assert!(metrics.contains("method=\"unknown\""), "{metrics}");

    // The same port answers health over gRPC, apart from everything else.
    let mut health = HealthClient::new(connect(http).await);
    let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
}

#[tokio::test]
async fn fifty_calls_cancelled_at_once_cost_no_connection() {
    let server = TestServer::start().await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    for _ in 0..4 {
        let mut calls = Vec::new();
        for _ in 0..50 {
            calls.push(wire.begin(SUBMIT, &[]).await);
        }
        drop(calls);
        let (_, status) = wire.call(SUBMIT, &[], submission("a")).await.end().await.unwrap();
        assert_eq!(status.code(), Code::Ok);
    }
}

/// Whether the server has closed a connection, without a word of ours.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return true,
            Ok(_) => {}
        }
    }
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let connections =
        ConnectionLimits { handshake_seconds_max: 1, idle_seconds_max: 1, ..Default::default() };
    let (server, _data) = server_with(Limits::default(), connections).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut halting = TcpStream::connect(server.address).await.unwrap();
    halting.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    for stream in [&mut silent, &mut halting, &mut idle] {
        assert!(within(8, is_closed(stream)).await);
    }
    still_serves(&server).await;
}

#[tokio::test]
async fn a_connection_that_got_too_old_is_left_for_a_new_one() {
    let connections =
        ConnectionLimits { connection_age_seconds_max: 2, ..ConnectionLimits::default() };
    let (server, _data) = server_with(Limits::default(), connections).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let mut call = wire.begin(SUBMIT_STREAM, &[]).await;
    let mut body = call.answer.await.unwrap().into_body();
    for number in 0..10 {
        call.request.send_data(submission(&number.to_string()).into(), false).unwrap();
        let answer = within(5, body.data()).await.unwrap().expect("the stream goes on");
        let answer = SubmitArticleStreamResponse::decode(messages(&answer)[0]).unwrap();
        assert_eq!(answer.article_id, number.to_string());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(!wire.is_open().await, "no new call is begun over it");
    still_serves(&server).await;
    call.request.send_data(Default::default(), true).unwrap();
    assert!(within(5, body.data()).await.is_none(), "the stream ends as it should");
    let status = Status::from_header_map(&body.trailers().await.unwrap().unwrap()).unwrap();
    assert_eq!(status.code(), Code::Ok);
}

#[tokio::test]
async fn there_are_no_more_connections_than_may_be() {
    let connections = ConnectionLimits { connections_max: 3, ..Default::default() };
    let (server, _data) = server_with(Limits::default(), connections).await;
    // The client of the test has one.
    let _one = Wire::connect(server.address, 1 << 20).await;
    let two = Wire::connect(server.address, 1 << 20).await;
    let mut three = TcpStream::connect(server.address).await.unwrap();
    assert!(within(5, is_closed(&mut three)).await);
    let (_, status) = two.call(SUBMIT, &[], submission("a")).await.end().await.unwrap();
    assert_eq!(status.code(), Code::Ok);
}

/// Everything that may be long is as long as it may be.
fn wide(number: usize) -> Article {
    Article {
        url: format!("https://harren.example/{number}/{}", "u".repeat(1990)),
        source: "s".repeat(256),
        attributes: (0..8)
            .map(|n| (format!("key {n}"), "v".repeat(4096)))
            .collect::<HashMap<_, _>>(),
        ..article(&format!("wide {number}"), &"Storm over Harren ".repeat(225), SHELLING_BODY)
    }
}

#[tokio::test]
async fn every_answer_fits_into_a_message() {
    let limits = Limits {
        body_bytes_max: 64 << 10,
        message_bytes_max: (64 << 10) + (4 << 10) + (512 << 10),
        ..Limits::default()
    };
    let server = TestServer::start_with(limits).await;
    let mut client = TestServer::articles(server.address)
        .await
        .max_decoding_message_size(limits.message_bytes_max);
    let options = Some(AnalysisOptions { explain: true, max_matches: 100 });
    let count = 104;
    for number in 0..count {
        let request =
            SubmitArticleRequest { article: Some(wide(number)), options, ..Default::default() };
        client.submit_article(request).await.expect("an answer that fits");
    }
    let request =
        AnalyzeArticleRequest { article: Some(wide(count)), options, ..Default::default() };
    let analysis = client.analyze_article(request).await.unwrap().into_inner().analysis.unwrap();
    assert!(
        analysis.duplicates.unwrap().truncated,
        "what does not fit is left out, and it says so"
    );

    let requests = (0..2).map(|number| SubmitArticleStreamRequest {
        article: Some(wide(200 + number)),
        options,
        ..Default::default()
    });
    let requests: Vec<_> = requests.collect();
    let answers = client.submit_article_stream(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().collect().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "{answers:?}");

    let mut seen = 0;
    let mut request = ListArticlesRequest::default();
    loop {
        let page = client.list_articles(request.clone()).await.unwrap().into_inner();
        seen += page.articles.len();
        if page.next_page_token.is_empty() {
            break;
        }
        assert!(!page.articles.is_empty(), "a page can be got past");
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, count + 2);

    let first = GetArticleRequest { article_id: "wide 0".into(), ..Default::default() };
    let stored = client.get_article(first).await.unwrap().into_inner().stored.unwrap();
    let story_id = stored.analysis.unwrap().duplicates.unwrap().story_id;
    let mut request = GetStoryRequest { story_id, ..Default::default() };
    let mut members = 1;
    loop {
        let page = client.get_story(request.clone()).await.unwrap().into_inner();
        members += page.members.len();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(members, count + 2);
}
