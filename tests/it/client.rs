//! The client library against the real server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, future, stream};
use newsprint::api::pb::find_similar_request::Query;
use newsprint::api::pb::*;
use newsprint::client::{Client, Error, SubmitOptions};
use newsprint::config::Limits;
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;

use crate::server::{TestServer, article};
use crate::texts::*;

fn client(addr: SocketAddr) -> Client {
    Client::builder(addr.to_string()).build().unwrap()
}

fn fields(error: &Error) -> Vec<&str> {
    error.fields.iter().map(|violation| violation.field.as_str()).collect()
}

fn numbered(count: usize) -> impl Iterator<Item = Article> {
    (0..count).map(move |number| {
        let title = format!("Pier {number} of {count} is closed for the winter");
        article(&format!("pier-{number}"), &title, "")
    })
}

#[tokio::test]
async fn a_copy_is_told_from_an_original() {
    let server = TestServer::start().await;
    let client = client(server.address);
    let options = SubmitOptions { collection: "wire".into(), ..SubmitOptions::default() };
    let tariff = article("tariff", TARIFF_TITLE, TARIFF_BODY);
    let first = client.submit(tariff.clone(), &options).await.unwrap().analysis.unwrap();
    assert_eq!(first.duplicates.unwrap().verdict(), Verdict::Unique);
    let copy = Article { article_id: "copy".into(), ..tariff };
    let again = client.analyze(copy, &options).await.unwrap();
    assert_eq!(again.duplicates.unwrap().verdict(), Verdict::ExactDuplicate);

    let simhash = first.fingerprint.unwrap().simhash.unwrap();
    let request = FindSimilarRequest {
        collection: "wire".into(),
        query: Some(Query::Simhash(simhash)),
        ..Default::default()
    };
    let found = client.call(request, |request| {
        let mut articles = client.articles();
        async move { articles.find_similar(request).await }
    });
    assert_eq!(found.await.unwrap().matches[0].article_id, "tariff");
}

#[tokio::test]
async fn each_article_of_a_batch_has_its_own_result() {
    let server = TestServer::start().await;
    let client = client(server.address);
    let articles = [article("regatta", REGATTA_TITLE, REGATTA_BODY), article("blank", "", "")];
    let results = client.submit_batch(articles, &SubmitOptions::default()).await.unwrap();
    let [good, bad] = &results[..] else { panic!("{results:?}") };
    assert_eq!(good.result.as_ref().unwrap().article_id, "regatta");
    let error = bad.result.as_ref().unwrap_err();
    assert_eq!((error.code, error.reason), (Code::InvalidArgument, ErrorReason::InvalidFields));
    assert_eq!(fields(error), ["articles[1].title", "articles[1].body"]);
    assert!(!error.is_passing() && error.retry_after.is_none());

    let status = client.submit(article("", "", ""), &SubmitOptions::default()).await.unwrap_err();
    assert_eq!(fields(&status), ["article.title", "article.body"]);
}

#[tokio::test]
async fn an_article_without_an_id_gets_one_before_it_is_sent() {
    let server = TestServer::start().await;
    let articles = [article("", REGATTA_TITLE, REGATTA_BODY)];
    let results = client(server.address).submit_batch(articles, &SubmitOptions::default()).await;
    let submitted = &results.unwrap()[0];
    assert!(!submitted.article.article_id.is_empty());
    assert_eq!(submitted.result.as_ref().unwrap().article_id, submitted.article.article_id);
}

#[tokio::test]
async fn a_stream_pairs_results_with_articles() {
    let server = TestServer::start().await;
    let client = client(server.address);
    let articles: Vec<Article> = numbered(150)
        .chain([article("blank", "", ""), article("regatta", REGATTA_TITLE, REGATTA_BODY)])
        .collect();
    let results = client.submit_stream(stream::iter(articles.clone()), SubmitOptions::default());
    let results: Vec<_> = results.await.unwrap().try_collect().await.unwrap();
    assert!(results.iter().map(|submitted| &submitted.article).eq(&articles));
    for (number, submitted) in results.iter().enumerate() {
        assert_eq!(submitted.result.is_err(), number == 150, "{submitted:?}");
    }

    let query = ListArticlesRequest { page_size: 100, ..Default::default() };
    let listed: Vec<_> = client.list_articles(query).try_collect().await.unwrap();
    assert_eq!(listed.len(), 151, "page after page");
}

#[tokio::test]
async fn a_stream_takes_no_more_than_its_window() {
    let server = TestServer::start().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let articles = {
        let taken = Arc::clone(&taken);
        stream::iter(numbered(200)).inspect(move |_| {
            taken.fetch_add(1, Ordering::SeqCst);
        })
    };
    let options = SubmitOptions { window: Some(8), ..SubmitOptions::default() };
    let results = client(server.address).submit_stream(articles, options).await.unwrap();
    let mut answered = 0;
    let mut results = std::pin::pin!(results.take(50));
    while let Some(submitted) = results.next().await {
        submitted.unwrap().result.unwrap();
        answered += 1;
        // One more may have been taken, to wait for room.
        assert!(taken.load(Ordering::SeqCst) <= answered + 9);
    }
    assert_eq!(answered, 50);
}

#[tokio::test]
async fn a_call_ends_by_its_deadline() {
    let server = TestServer::start().await;
    let hasty = Client::builder(server.address.to_string()).timeout(Duration::from_millis(1));
    let hasty = hasty.build().unwrap();
    let error = hasty.submit_batch(numbered(1000), &SubmitOptions::default()).await.unwrap_err();
    assert_eq!(error.code, Code::DeadlineExceeded, "{error}");
}

/// A way to the server that breaks off its first connections.
async fn flaky(server: SocketAddr, breaks: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            if counted.fetch_add(1, Ordering::SeqCst) < breaks {
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, connections)
}

#[tokio::test]
async fn a_broken_connection_is_made_again() {
    let server = TestServer::start().await;
    let (address, connections) = flaky(server.address, 2).await;
    let regatta = article("regatta", REGATTA_TITLE, REGATTA_BODY);
    client(address).submit(regatta.clone(), &SubmitOptions::default()).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 3);

    let (address, connections) = flaky(server.address, usize::MAX).await;
    let error = client(address).submit(regatta, &SubmitOptions::default()).await.unwrap_err();
    assert_eq!((error.code, error.reason), (Code::Unavailable, ErrorReason::Unspecified));
    assert_eq!(connections.load(Ordering::SeqCst), 5, "and not for ever");
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let limits = Limits { in_flight_max: 4, ..Limits::default() };
    let server = TestServer::start_with(limits).await;
    let client = client(server.address);
    let options = SubmitOptions::default();
    let submits = numbered(4).map(|article| client.submit(article, &options));
    future::try_join_all(submits).await.unwrap();
}
