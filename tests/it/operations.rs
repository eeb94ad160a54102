//! What an operator sees of the program: its log, its state over HTTP, and what an alert would see.

use std::time::Duration;

use futures_util::stream;
use newsprint::api::pb::*;
use newsprint::config::{Config, HttpAddr};
use newsprint::server;
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::program::{Program, get};
use crate::server::{article, connect, free_address, test_config};
use crate::store::words;
use crate::texts::*;

fn submission(id: &str, title: &str, body: &str) -> SubmitArticleRequest {
    SubmitArticleRequest { article: Some(article(id, title, body)), ..Default::default() }
}

#[tokio::test]
async fn a_call_that_failed_has_a_line_of_its_own() {
    let mut program = Program::start(&[]).await;
    let mut client = program.articles().await;
    let mut request =
        Request::new(GetArticleRequest { article_id: "tide-7".into(), ..Default::default() });
    request.metadata_mut().insert("x-request-id", "desk-17".parse().unwrap());
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    client.get_article(request).await.unwrap_err();
    let line = program.wait_for("a call failed").clone();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["method"], "newsprint.v1.ArticleService/GetArticle");
    assert_eq!(line["code"], "NotFound");
    assert_eq!(line["reason"], "ARTICLE_NOT_FOUND");
    assert_eq!(line["request_id"], "desk-17");
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
    // What went well is not told of.
    client.submit_article(submission("a", TARIFF_TITLE, TARIFF_BODY)).await.unwrap();
    // However many fail, the disk is not filled.
    for _ in 0..40 {
        client.get_article(GetArticleRequest::default()).await.unwrap_err();
    }
    program.scrape_until(|scrape| scrape.value("newsprint_log_lines_dropped_total") > 0.0).await;
    assert!(program.lines_of("a call failed").len() <= 20);
}

/// Words that stand in an article and nowhere else.
const MARKS: [&str; 4] = ["Quellbrunn", "Zwirnhalde", "Oxmoorfen", "Thrapwick"];

#[tokio::test]
async fn no_text_of_an_article_is_in_log_or_metrics() {
    let mut program = Program::start(&["--log-level", "trace"]).await;
    let mut client = program.articles().await;
    let body = format!("{TARIFF_BODY} The road from {} to {} was closed.", MARKS[0], MARKS[1]);
    let title = format!("{} and the tariffs", MARKS[2]);
    let full = |id: &str| {
        let mut request = submission(id, &title, &body);
        request.article.as_mut().unwrap().source = format!("{} Gazette", MARKS[3]);
        request.options = Some(AnalysisOptions { explain: true, ..Default::default() });
        request
    };
    client.submit_article(full("a")).await.unwrap();
    client.submit_article(full("b")).await.unwrap();
    let mut bad = full("c");
    let article = bad.article.as_mut().unwrap();
    article.title = title.repeat(300);
    article.language = MARKS[0].repeat(20);
    article.publish_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
    client.submit_article(bad.clone()).await.unwrap_err();
    let batch = BatchSubmitArticlesRequest {
        articles: vec![bad.article.unwrap(), full("d").article.unwrap()],
        ..Default::default()
    };
    client.batch_submit_articles(batch).await.unwrap();
    let topics = Request::new(ListArticlesRequest { topic: MARKS[0].into(), ..Default::default() });
    let _ = client.list_articles(topics).await;
    let metrics = get(program.http, "/metrics").await;
    program.wait_for("a call failed");
    program.signal("TERM");
    let said = program.ended();
    assert!(said.iter().any(|line| line["level"] == "TRACE"), "everything is in the log");
    for mark in MARKS {
        assert!(!metrics.contains(mark), "{mark} is in the metrics");
        let line = said.iter().find(|line| line.to_string().contains(mark));
        assert!(line.is_none(), "{mark} is in the log: {line:?}");
    }
}

#[tokio::test]
async fn the_level_of_the_log_is_read_again_on_sighup() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("newsprint.toml");
    std::fs::write(&file, "log-level = 'info'").unwrap();
    let mut program = Program::start(&["--config", file.to_str().unwrap()]).await;
    std::fs::write(&file, "log-level = 'debug'").unwrap();
    program.signal("HUP");
    program.wait_for("asked to reload");
    let mut client = program.articles().await;
    client.submit_article(submission("a", TARIFF_TITLE, TARIFF_BODY)).await.unwrap();
    std::fs::write(&file, "log-level = 'newsprint=loud'").unwrap();
    program.signal("HUP");
    program.wait_for("the settings cannot be read again");
    program.signal("TERM");
    let said = program.ended();
    assert!(said.iter().any(|line| line["level"] == "DEBUG"), "{said:?}");
}

/// Other threads may hold the store for a moment longer than the program lives.
#[tokio::test]
async fn the_program_ends_when_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let flags = ["--data", data.to_str().unwrap()];
    let mut program = Program::start_in(&flags).await;
    let mut client = program.articles().await;
    for batch in 0..12 {
        let article = |number| {
            let body = words(number, 20).join(" ");
            submission(&number.to_string(), "", &body).article.unwrap()
        };
        let articles = (100 * batch..100 * (batch + 1)).map(article).collect();
        let request = BatchSubmitArticlesRequest { articles, ..Default::default() };
        client.batch_submit_articles(request).await.unwrap();
    }
    program.signal("TERM");
    let said = program.ended();
    let place = |message: &str| said.iter().position(|line| line["message"] == message);
    assert!(place("index written").is_some(), "{said:?}");
    assert!(place("index written") < place("stopped"), "{said:?}");
    assert!(data.join("newsprint.index").exists());

    program = Program::start_in(&flags).await;
    assert_eq!(program.wait_for("index read")["articles"], 1200);
}

#[tokio::test]
async fn overload_begins_and_ends_once_each() {
    let mut program = Program::start(&["--in-flight-max", "1"]).await;
    let client = program.articles().await;
    let calls = (0..64).map(|number| {
        let mut client = client.clone();
        let request = submission(&number.to_string(), TARIFF_TITLE, TARIFF_BODY);
        async move { client.submit_article(request).await.map(drop) }
    });
    let results = futures_util::future::join_all(calls).await;
    let refused = results.iter().filter(|result| result.is_err()).count();
    assert!(refused > 0 && refused < results.len(), "{refused}");
    let scrape = program.scrape().await;
    assert_eq!(scrape.value("newsprint_overloaded"), 1.0);
    assert_eq!(scrape.value("newsprint_refusals_total{reason=\"OVERLOADED\"}"), refused as f64);
    let end = program.wait_for("overload is over").clone();
    assert_eq!(end["refused"], refused);
    assert!(end["duration_s"].is_f64(), "{end}");
    assert_eq!(program.scrape().await.value("newsprint_overloaded"), 0.0);
    assert_eq!(program.lines_of("overload begins: calls are refused for want of room").len(), 1);
    assert_eq!(program.lines_of("overload is over").len(), 1);
    let line = program.lines_of("a call was refused")[0];
    assert_eq!(
        (&line["code"], &line["reason"]),
        (&"ResourceExhausted".into(), &"OVERLOADED".into())
    );
}

#[tokio::test]
async fn a_server_that_drains_is_alive_and_not_ready() {
    let program = Program::start(&["--drain-seconds", "30"]).await;
    program.wait_until_readyz("ready").await;
    let version = get(program.http, "/version").await;
    assert!(version.contains("content-type: application/json"), "{version}");
    let version: Value = serde_json::from_str(version.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["fingerprint_scheme"], "np-simhash64-v2");

    // A request of which the rest does not come keeps the server up.
    let (send, frames) = tokio::sync::mpsc::channel::<Result<_, std::io::Error>>(1);
    let body = http_body_util::StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(frames));
    send.send(Ok(http_body::Frame::data(bytes::Bytes::from_static(&[0, 0, 0, 1, 0]))))
        .await
        .unwrap();
    let stream = tokio::net::TcpStream::connect(program.address).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = tonic::codegen::http::Request::post(crate::wire::SUBMIT)
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    program
        .scrape_until(|scrape| {
            scrape.value(
                "grpc_server_started_total{grpc_service=\"newsprint.v1.ArticleService\",\
                 grpc_method=\"SubmitArticle\",grpc_type=\"unary\"}",
            ) == 1.0
        })
        .await;
    program.signal("TERM");
    program.wait_until_readyz("not ready: draining").await;
    assert!(get(program.http, "/livez").await.starts_with("HTTP/1.1 200"));
    let scrape = program.scrape().await;
    assert_eq!(scrape.value("newsprint_ready"), 0.0);
    assert_eq!(scrape.value("newsprint_not_ready{reason=\"draining\"}"), 1.0);
    drop(send);
    let _ = answer.await.unwrap();
    program.ended();
}

#[tokio::test]
async fn a_server_that_starts_is_alive_and_not_ready() {
    let data = tempfile::tempdir().unwrap();
    let address = free_address().await;
    let config = Config { http: HttpAddr::At(address), ..test_config(data.path()) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (open, opened) = std::sync::mpsc::channel::<()>();
    let open_late = move |config| {
        let _ = opened.recv();
        server::embedded_engine(config)
    };
    let serving = tokio::spawn(server::run(listener, config, open_late, stream::pending()));
    let readyz = async || loop {
        match tokio::net::TcpStream::connect(address).await {
            Ok(_) => return get(address, "/readyz").await,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(readyz().await.ends_with("not ready: starting\n"));
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
    open.send(()).unwrap();
    while !readyz().await.ends_with("\r\n\r\nready\n") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    serving.abort();
}

#[cfg(target_os = "linux")]
mod disk {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::disk::{MIB, SmallDisk};
    use crate::store::words;

    async fn health(program: &Program) -> ServingStatus {
        let mut health = HealthClient::new(connect(program.address).await);
        health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
    }

    /// What the rule of an alert looks at: what stands between `expr: ` and a comparison.
    fn expression(alert: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/alerts.yaml");
        let rules = fs::read_to_string(path).unwrap();
        let rule = rules.split("- alert: ").find(|rule| rule.starts_with(&format!("{alert}\n")));
        let expression = rule.unwrap().lines().find_map(|line| line.trim().strip_prefix("expr: "));
        expression.unwrap().strip_suffix(" == 1").expect("it looks for a 1").to_owned()
    }

    async fn start(disk: &SmallDisk, reserve: usize) -> Program {
        let data = disk.path().join("data").display().to_string();
        let reserve = reserve.to_string();
        Program::start_in(&["--data", &data, "--disk-reserve-bytes", &reserve]).await
    }

    /// It is looked at ten times a second.
    async fn wait_for_health(program: &Program, expected: ServingStatus) {
        let began = std::time::Instant::now();
        while health(program).await != expected {
            assert!(began.elapsed() < Duration::from_secs(20), "health never is {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Submits large articles until one is refused, and returns why.
    async fn fill(program: &Program) -> tonic::Status {
        let mut client = program.articles().await;
        for number in 0..4000 {
            let text = words(number, 20_000).join(" ");
            let request = submission(&number.to_string(), "", &text);
            if let Err(status) = client.submit_article(request).await {
                return status;
            }
        }
        panic!("the disk is not full");
    }

    #[tokio::test]
    async fn a_full_disk_is_told_by_readyz_health_log_and_what_the_alert_looks_at() {
        let disk = SmallDisk::new();
        let mut program = start(&disk, 16 * MIB).await;
        let mut client = program.articles().await;
        client.submit_article(submission("first", TARIFF_TITLE, TARIFF_BODY)).await.unwrap();
        let alert = expression("NewsprintDiskFull");
        assert_eq!(program.scrape().await.value(&alert), 0.0);

        let available = fs4::available_space(disk.path()).unwrap() as usize;
        fs::write(disk.path().join("ballast"), vec![1; available - 8 * MIB]).unwrap();
        program.wait_until_readyz("not ready: disk_full").await;
        let scrape = program
            .scrape_until(|scrape| {
                scrape.value("newsprint_disk_available_bytes")
                    < scrape.value("newsprint_disk_reserve_bytes")
            })
            .await;
        assert_eq!(scrape.value(&alert), 1.0);
        assert_eq!(health(&program).await, ServingStatus::NotServing);
        assert!(get(program.http, "/livez").await.starts_with("HTTP/1.1 200"));
        let refused = client.submit_article(submission("b", "", TARIFF_BODY)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        // Whoever does ask can still read.
        let first = GetArticleRequest { article_id: "first".into(), ..Default::default() };
        client.get_article(first).await.unwrap();

        fs::remove_file(disk.path().join("ballast")).unwrap();
        program.wait_until_readyz("ready").await;
        program.scrape_until(|scrape| scrape.value(&alert) == 0.0).await;
        program.wait_for("there is room on the disk again");
        let full = "the disk is full: submissions are refused until there is room";
        assert_eq!(program.lines_of(full).len(), 1);
    }

    #[tokio::test]
    async fn a_store_that_closes_is_told_by_readyz_log_and_what_the_alert_looks_at() {
        let disk = SmallDisk::new();
        fs::write(disk.path().join("ballast"), vec![1; 40 * MIB]).unwrap();
        let mut program = start(&disk, 0).await;
        let refused = fill(&program).await;
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        program.wait_until_readyz("not ready: store_closed").await;
        wait_for_health(&program, ServingStatus::NotServing).await;
        let alert = expression("NewsprintStoreClosed");
        let scrape = program.scrape_until(|scrape| scrape.value(&alert) == 1.0).await;
        assert_eq!(scrape.value("newsprint_commit_failures_total"), 1.0);
        assert_eq!(program.lines_of("a commit failed; the store is closed").len(), 1);

        fs::remove_file(disk.path().join("ballast")).unwrap();
        program.wait_until_readyz("ready").await;
        wait_for_health(&program, ServingStatus::Serving).await;
        program.scrape_until(|scrape| scrape.value(&alert) == 0.0).await;
        program.wait_for("the store is open again");
    }
}
