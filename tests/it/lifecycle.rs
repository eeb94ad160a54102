//! Health, reflection, start and stop.

use std::time::{Duration, Instant};

use futures_util::stream;
use newsprint::api::pb::*;
use newsprint::server;
use tokio::net::TcpListener;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::program::get;
use crate::server::{TestServer, article, connect, test_config};
use crate::texts::*;

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn health_is_told_of_the_server_and_of_each_service() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(connect(server.address).await);
    for service in ["", "newsprint.v1.ArticleService", "newsprint.v1.AdminService"] {
        let answer = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let status = health.check(of("newsprint.v1.NoService")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_drain_is_announced_and_ends_open_streams() {
    let server = TestServer::start().await;
    let mut health = HealthClient::new(connect(server.address).await);
    let mut watch = health.watch(of("")).await.unwrap().into_inner();
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::Serving);

    let (requests, queue) = tokio::sync::mpsc::channel(4);
    let queue = tokio_stream::wrappers::ReceiverStream::new(queue);
    let mut answers =
        server.articles.clone().submit_article_stream(queue).await.unwrap().into_inner();
    let request = SubmitArticleStreamRequest {
        article: Some(article("a", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    requests.send(request).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().article_id, "a");

    let asked = Instant::now();
    server.begin_stop();
    let status = watch.message().await.unwrap().unwrap().status();
    assert_eq!(status, ServingStatus::NotServing);
    let end = answers.message().await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "an idle stream ends with a status");
    server.stop().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(4), "no open stream kept the server up");
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let server = TestServer::start().await;
    let expected =
        ["grpc.health.v1.Health", "newsprint.v1.AdminService", "newsprint.v1.ArticleService"];
    macro_rules! services {
        ($version:ident) => {{
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new(connect(server.address).await);
            let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
            let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
                panic!("{answer:?}");
            };
            list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for mut services in [services!(v1), services!(v1alpha)] {
        services.retain(|service| !service.starts_with("grpc.reflection."));
        services.sort();
        assert_eq!(services, expected);
    }
}

#[tokio::test]
async fn what_is_told_over_http_is_told_to_whoever_asks() {
    let (server, http) = TestServer::start_with_http().await;
    for path in ["/livez", "/readyz", "/healthz", "/version"] {
        let response = get(http, path).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{path}: {response}");
    }
    let metrics = get(http, "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(get(http, "/nothing").await.starts_with("HTTP/1.1 404"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_refused_with_the_reason() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start_on(data.path(), Default::default()).await;
    let refused = async |folder: &std::path::Path| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = test_config(folder);
        let ended = server::run(listener, config, server::embedded_engine, stream::pending()).await;
        ended.unwrap_err().to_string()
    };
    let reason = refused(data.path()).await;
    assert!(reason.contains("another process has it open"), "{reason}");
    server.stop().await.unwrap();

    let format = data.path().join("newsprint.json");
    let text = std::fs::read_to_string(&format).unwrap();
    std::fs::write(&format, text.replace("np-simhash64-v2", "np-simhash64-v1")).unwrap();
    let reason = refused(data.path()).await;
    assert!(reason.contains("np-simhash64-v1"), "{reason}");

    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("thesis.txt"), "not ours").unwrap();
    let reason = refused(foreign.path()).await;
    assert!(reason.contains("not a newsprint folder"), "{reason}");
}
