//! What proxies and balancers go by: GOAWAY, the order of a drain, compression.

use std::time::{Duration, Instant};

use newsprint::api::pb::*;
use newsprint::config::{Config, ConnectionLimits};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::server::{TestServer, article, connect, test_config};
use crate::texts::*;
use crate::wire::{SUBMIT_STREAM, Wire, frame, messages, within};

fn request(id: &str) -> SubmitArticleRequest {
    SubmitArticleRequest {
        article: Some(article(id, REGATTA_TITLE, REGATTA_BODY)),
        ..Default::default()
    }
}

async fn server_with(connections: ConnectionLimits) -> (TestServer, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let config = Config { connections, ..test_config(data.path()) };
    (TestServer::start_as(config).await, data)
}

/// Reads frames off a bare connection until one of the type comes, RFC 9113 section 4.1; None if
/// the connection ends before.
async fn frame_of(stream: &mut TcpStream, wanted: u8) -> Option<Vec<u8>> {
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).await.ok()?;
        if header[3] == wanted {
            return Some(payload);
        }
    }
}

#[tokio::test]
async fn a_connection_that_got_too_old_is_told_so_by_goaway() {
    const GOAWAY: u8 = 7;
    let connections = ConnectionLimits { connection_age_seconds_max: 1, ..Default::default() };
    let (server, _data) = server_with(connections).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The preface and an empty SETTINGS frame.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let payload = within(6, frame_of(&mut stream, GOAWAY)).await.expect("a GOAWAY");
    let code = u32::from_be_bytes(payload[4..8].try_into().unwrap());
    assert_eq!(code, 0, "NO_ERROR: it is no fault of the client");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn calls_of_a_connection_that_got_too_old_have_a_grace_and_no_more() {
    let connections = ConnectionLimits {
        connection_age_seconds_max: 1,
        connection_age_grace_seconds_max: 3,
        ..Default::default()
    };
    let (server, _data) = server_with(connections).await;
    let wire = Wire::connect(server.address, 1 << 20).await;
    let began = Instant::now();
    let mut call = wire.begin(SUBMIT_STREAM, &[]).await;
    let mut body = call.answer.await.unwrap().into_body();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!wire.is_open().await, "no new call is begun over it");
    call.request.send_data(frame(false, &request("a").encode_to_vec()).into(), false).unwrap();
    let answer =
        within(5, body.data()).await.unwrap().expect("within the grace the stream goes on");
    let answer = SubmitArticleStreamResponse::decode(messages(&answer)[0]).unwrap();
    assert_eq!(answer.article_id, "a");
    // Whoever never ends is ended.
    let end = within(10, body.data()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(began.elapsed() > Duration::from_millis(3800), "{:?}", began.elapsed());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn calls_are_taken_until_those_who_route_them_have_heard_of_the_drain() {
    let data = tempfile::tempdir().unwrap();
    let config = Config { drain_delay_seconds: 4, ..test_config(data.path()) };
    let server = TestServer::start_as(config).await;
    let address = server.address;
    let mut health = HealthClient::new(connect(address).await);
    let asked = Instant::now();
    server.begin_stop();
    loop {
        let answer = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
        if answer.status() == ServingStatus::NotServing {
            break;
        }
        assert!(asked.elapsed() < Duration::from_secs(1), "NOT_SERVING comes first");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Over a connection that is there, and over a new one.
    server.articles.clone().submit_article(request("a")).await.unwrap();
    TestServer::articles(address).await.submit_article(request("b")).await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(4), "the machine is too slow for this test");
    server.ended().await.unwrap();
    assert!(asked.elapsed() >= Duration::from_secs(4), "{:?}", asked.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn messages_are_packed_both_ways_as_the_client_packs_its_own() {
    let server = TestServer::start().await;
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client =
            server.articles.clone().send_compressed(encoding).accept_compressed(encoding);
        let response = client.submit_article(request("a")).await.unwrap();
        let packed = response.metadata().get("grpc-encoding").unwrap().to_str().unwrap();
        let expected = if encoding == CompressionEncoding::Gzip { "gzip" } else { "zstd" };
        assert_eq!(packed, expected);
        assert_eq!(response.into_inner().article_id, "a");
        let requests = ["b", "c"].map(|id| SubmitArticleStreamRequest {
            article: request(id).article,
            ..Default::default()
        });
        let answers = client.submit_article_stream(tokio_stream::iter(requests)).await.unwrap();
        let mut answers = answers.into_inner();
        for id in ["b", "c"] {
            assert_eq!(answers.message().await.unwrap().unwrap().article_id, id);
        }
    }
    let status: Status = {
        let wire = Wire::connect(server.address, 1 << 20).await;
        let headers = [("grpc-encoding", "br")];
        let call = wire.call(crate::wire::SUBMIT, &headers, frame(true, b"x")).await;
        call.end().await.unwrap().1
    };
    assert_eq!(status.code(), Code::Unimplemented);
}
