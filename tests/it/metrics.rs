//! What `/metrics` gives, `docs/metrics.md` tells of, and the dashboard and the alerts ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use newsprint::api::pb::*;
use tonic::Code;

use crate::program::{Program, get};
use crate::server::{TestServer, article, connect};
use crate::texts::*;

/// A metric as it is documented or given out: its type, and the names of its labels.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    kind: String,
    labels: BTreeSet<String>,
}

/// What a scrape holds: of each metric its shape, and the value of every series by name and labels.
#[derive(Default)]
pub struct Scrape {
    shapes: BTreeMap<String, Shape>,
    values: BTreeMap<String, f64>,
}

impl Scrape {
    pub fn parse(text: &str) -> Self {
        let mut scrape = Scrape::default();
        let mut described = BTreeSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                described.extend(help.split(' ').next());
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(described.contains(name), "{name} has no description");
                let shape = Shape { kind: kind.to_owned(), labels: BTreeSet::new() };
                scrape.shapes.insert(name.to_owned(), shape);
            } else if let Some((series, value)) = line.rsplit_once(' ') {
                scrape.values.insert(series.to_owned(), value.parse().unwrap());
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let labels = labels.strip_suffix('}').unwrap();
                let shape = scrape.shape_of(name);
                let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
                let names = names.map(|(label, _)| label.to_owned()).filter(|label| label != "le");
                shape.labels.extend(names);
            }
        }
        scrape
    }

    fn shape_of(&mut self, series: &str) -> &mut Shape {
        let name = [series]
            .into_iter()
            .chain(["_bucket", "_sum", "_count"].iter().filter_map(|end| series.strip_suffix(end)))
            .find(|name| self.shapes.contains_key(*name));
        let name = name.unwrap_or_else(|| panic!("{series} has no type"));
        self.shapes.get_mut(name).unwrap()
    }

    /// The value of a series, written as Prometheus writes it.
    pub fn value(&self, series: &str) -> f64 {
        let found = self.values.get(series);
        *found.unwrap_or_else(|| panic!("{series} is not given out"))
    }
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tables of `docs/metrics.md`, but for those under a heading that says what has to be there.
fn documented(with_optional: bool) -> BTreeMap<String, Shape> {
    let text = read("docs/metrics.md");
    let always = text.split("## With").next().unwrap();
    let text = if with_optional { &text } else { always };
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let labels = cells[2].split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        (cells[0].to_owned(), Shape { kind: cells[1].to_owned(), labels })
    })
    .collect()
}

/// Has a server do a bit of all that it can.
async fn live_through_everything(server: &TestServer) {
    let mut articles = server.articles.clone();
    let first = server.submit(article("harbour-1", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit(article("harbour-1", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit(article("harbour-2", TARIFF_TITLE, TARIFF_BODY)).await;
    let unnamed = SubmitArticleRequest::default();
    assert_eq!(articles.submit_article(unnamed).await.unwrap_err().code(), Code::InvalidArgument);
    let batch = BatchSubmitArticlesRequest {
        articles: vec![article("harbour-3", TARIFF_TITLE, TARIFF_BODY), Article::default()],
        ..Default::default()
    };
    articles.batch_submit_articles(batch).await.unwrap();
    let item = SubmitArticleStreamRequest {
        article: Some(article("harbour-4", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    let mut stream =
        articles.submit_article_stream(tokio_stream::iter([item])).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    let analyze = AnalyzeArticleRequest {
        article: Some(article("", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    articles.analyze_article(analyze).await.unwrap();
    let missing =
        GetArticleRequest { article_id: "missing".into(), ..GetArticleRequest::default() };
    assert_eq!(articles.get_article(missing).await.unwrap_err().code(), Code::NotFound);
    let story_id = first.analysis.unwrap().duplicates.unwrap().story_id;
    articles.get_story(GetStoryRequest { story_id, ..Default::default() }).await.unwrap();
    let mut admin = server.admin.clone();
    admin.create_backup(CreateBackupRequest { name: "nightly".into() }).await.unwrap();
    admin.create_backup(CreateBackupRequest { name: "nightly".into() }).await.unwrap_err();
    admin.reload_model(ReloadModelRequest {}).await.unwrap_err();
    admin.get_server_info(GetServerInfoRequest {}).await.unwrap();
    let mut grpc = tonic::client::Grpc::new(connect(server.address).await);
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/no.Service/NoMethod");
    let request = tonic::Request::new(GetServerInfoRequest {});
    let codec = tonic_prost::ProstCodec::<GetServerInfoRequest, GetServerInfoResponse>::default();
    assert_eq!(grpc.unary(request, path, codec).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn what_is_documented_is_given_out_and_nothing_else() {
    let (server, http) = TestServer::start_with_http().await;
    live_through_everything(&server).await;
    // Gauges of the store are set a little after it is open.
    let scrape = loop {
        let scrape = Scrape::parse(body(&get(http, "/metrics").await));
        if scrape.value("newsprint_disk_available_bytes") > 0.0 {
            break scrape;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (always, documented) = (documented(false), documented(true));
    let names = |shapes: &BTreeMap<String, Shape>| shapes.keys().cloned().collect::<BTreeSet<_>>();
    let (given, documented_names) = (names(&scrape.shapes), names(&documented));
    assert!(given.is_superset(&names(&always)), "{:?}", names(&always).difference(&given));
    // Servers of other tests in this process may have certificates.
    assert!(given.is_subset(&documented_names), "{:?}", given.difference(&documented_names));
    for (name, shape) in &scrape.shapes {
        assert_eq!(shape, &documented[name], "{name}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn everything_that_is_asked_for_is_documented() {
    let documented = documented(true);
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/newsprint.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let asked: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(asked.len() >= 20, "{}", asked.len());
    let alerts = read("deploy/prometheus/alerts.yaml");
    for text in asked.into_iter().chain([alerts.as_str()]) {
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        let words = text.split(|char| !is_part(char));
        let known = |name: &str| {
            let ends = ["_bucket", "_sum", "_count"];
            let histogram = ends.iter().find_map(|end| name.strip_suffix(end));
            documented.contains_key(name)
                || histogram.is_some_and(|name| {
                    documented.get(name).is_some_and(|shape| shape.kind == "histogram")
                })
        };
        for name in words.filter(|word| {
            ["newsprint_", "grpc_server_", "process_"].iter().any(|start| word.starts_with(start))
        }) {
            assert!(known(name), "{name} is asked for, and not documented: {text}");
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let alerts = read("deploy/prometheus/alerts.yaml");
    let operations = read("docs/operations.md");
    let named: Vec<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let told: Vec<&str> =
        operations.lines().filter_map(|line| line.strip_prefix("### Newsprint")).collect();
    let expected: Vec<String> = told.iter().map(|name| format!("Newsprint{name}")).collect();
    assert_eq!(named, expected, "in the order of the alerts");
    for name in &named {
        let anchor = format!("docs/operations.md#{}\n", name.to_lowercase());
        assert_eq!(alerts.matches(&anchor).count(), 1, "{anchor}");
    }
    let tests = read("deploy/prometheus/alerts_test.yaml");
    for name in &named {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} is not tested");
    }
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn calls_are_counted_by_how_they_end_and_streams_as_a_whole() {
    let program = Program::start(&[]).await;
    let mut client = program.articles().await;
    let of = |method: &str, kind: &str| {
        format!(
            "grpc_service=\"newsprint.v1.ArticleService\",grpc_method=\"{method}\",grpc_type=\"{kind}\""
        )
    };
    let started =
        |method: &str, kind: &str| format!("grpc_server_started_total{{{}}}", of(method, kind));
    let handled = |method: &str, kind: &str, code: &str| {
        format!("grpc_server_handled_total{{{},grpc_code=\"{code}\"}}", of(method, kind))
    };
    let before = program.scrape().await;
    assert_eq!(before.value(&handled("SubmitArticle", "unary", "OK")), 0.0);
    assert_eq!(before.value("newsprint_refusals_total{reason=\"ARTICLE_NOT_FOUND\"}"), 0.0);
    assert_eq!(before.value("newsprint_verdicts_total{verdict=\"unique\"}"), 0.0);

    let request = SubmitArticleRequest {
        article: Some(article("harbour-1", TARIFF_TITLE, TARIFF_BODY)),
        ..Default::default()
    };
    client.submit_article(request).await.unwrap();
    let missing =
        GetArticleRequest { article_id: "missing".into(), ..GetArticleRequest::default() };
    client.get_article(missing).await.unwrap_err();

    // A stream is not over, and not counted as handled, before its client is done.
    let (send, requests) = tokio::sync::mpsc::channel(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut stream = client.submit_article_stream(requests).await.unwrap().into_inner();
    let bad = SubmitArticleStreamRequest::default();
    send.send(bad).await.unwrap();
    stream.message().await.unwrap().unwrap();
    let during = program.scrape().await;
    assert_eq!(during.value(&started("SubmitArticleStream", "bidi_stream")), 1.0);
    assert_eq!(during.value(&handled("SubmitArticleStream", "bidi_stream", "OK")), 0.0);
    let pause = Duration::from_millis(300);
    tokio::time::sleep(pause).await;
    drop(send);
    assert!(stream.message().await.unwrap().is_none());

    // One whose client leaves is counted too: the watch that waited until the server was ready.
    let left = "grpc_server_handled_total{grpc_service=\"grpc.health.v1.Health\",\
                grpc_method=\"Watch\",grpc_type=\"server_stream\",grpc_code=\"Canceled\"}";
    let after = program
        .scrape_until(|scrape| {
            scrape.value(&handled("SubmitArticleStream", "bidi_stream", "OK")) == 1.0
                && scrape.value(left) == 1.0
        })
        .await;
    assert_eq!(after.value(&handled("SubmitArticle", "unary", "OK")), 1.0);
    assert_eq!(after.value(&handled("GetArticle", "unary", "NotFound")), 1.0);
    assert_eq!(after.value(&handled("SubmitArticleStream", "bidi_stream", "OK")), 1.0);
    let seconds =
        format!("grpc_server_handling_seconds_sum{{{}}}", of("SubmitArticleStream", "bidi_stream"));
    assert!(after.value(&seconds) >= pause.as_secs_f64());
    assert_eq!(after.value("newsprint_refusals_total{reason=\"ARTICLE_NOT_FOUND\"}"), 1.0);
    assert_eq!(after.value("newsprint_item_refusals_total{reason=\"INVALID_FIELDS\"}"), 1.0);
    assert_eq!(after.value("newsprint_verdicts_total{verdict=\"unique\"}"), 1.0);
    assert_eq!(after.value("newsprint_lookup_candidates_count"), 0.0, "no collection, no look-up");
}
