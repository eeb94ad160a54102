//! Moving from the embedded store into a cluster and back.

use std::path::PathBuf;
use std::time::Duration;

use newsprint::analysis::Verdict;
use newsprint::article::{ArticleId, BackupName, CollectionName};
use newsprint::engine::Engine;
use newsprint::store::transfer::{CollectionReport, Kept, Mark, Source, Target, transfer};
use newsprint::store::{CollectionInfo, CollectionSettings, Folder, RedisStore, StoredArticle};

use super::{Cluster, check, list_all};
use crate::store::{Backend, open, submission, untitled, words};

fn collections() -> [CollectionName; 2] {
    ["news", "headlines"].map(|name| CollectionName::new(name).unwrap())
}

/// Originals, copies, a story whose first article is gone, revisions, and a collection that keeps
/// no bodies.
async fn fill(engine: &Engine) {
    let [news, headlines] = collections();
    let retention = Some(Duration::from_secs(30 * 86_400));
    let settings =
        CollectionSettings { keep_bodies: false, retention, ..CollectionSettings::default() };
    engine.update_collection(&headlines, settings).await.unwrap();
    for seed in 0..60 {
        let text = words(seed, 90);
        for (name, copies) in [(&news, 3), (&headlines, 1)] {
            for copy in 0..copies {
                let article = untitled(&text[copy..]);
                let id = format!("{seed}-{copy}");
                engine.submit(submission(name, &id, article)).await.unwrap();
            }
        }
    }
    for seed in 0..10 {
        let id = ArticleId::new(format!("{seed}-0")).unwrap();
        engine.delete(&news, &id).await.unwrap();
        let revised = untitled(&words(1000 + seed, 90));
        engine.submit(submission(&news, &format!("{}-0", seed + 20), revised)).await.unwrap();
    }
}

/// All that clients can see of a store.
async fn seen(engine: &Engine) -> Vec<(CollectionInfo, Vec<StoredArticle>)> {
    let mut all = Vec::new();
    for info in engine.collections().await.unwrap() {
        let mut articles = list_all(engine, &info.name).await;
        articles.sort_by(|a, b| a.article_id.as_str().cmp(b.article_id.as_str()));
        all.push((info, articles));
    }
    all
}

fn same(reports: &[CollectionReport], written: [u64; 2]) {
    assert!(reports.iter().all(CollectionReport::is_same), "{reports:?}");
    let of = |name: &str| reports.iter().find(|report| report.collection == name).unwrap();
    let counts = ["news", "headlines"].map(|name| of(name).written);
    assert_eq!(counts, written);
}

async fn back_up(engine: &Engine, name: &str) -> PathBuf {
    engine.create_backup(&BackupName::new(name).unwrap()).await.unwrap().path
}

async fn go(source: &dyn Source, target: &dyn Target) -> Vec<CollectionReport> {
    transfer(source, target, |_| {}).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_goes_into_a_cluster_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let engine = open(&first);
    fill(&engine).await;
    let there = seen(&engine).await;
    // The server goes on while its backup is moved.
    let copy = back_up(&engine, "copy").await;
    let cluster = Cluster::new();
    let source = Folder::to_read(&copy).unwrap();
    // Counts are written seldom; they go with all that was counted since.
    let [news, headlines] = collections();
    for name in [&news, &headlines] {
        assert!(source.counts(name).await.unwrap().stories() >= 60, "{name}");
    }

    // It breaks off after some articles.
    let store = RedisStore::open(cluster.settings(100)).unwrap();
    let moved = source.collections().await.unwrap();
    store.begin(moved.iter().find(|moved| moved.name == news).unwrap()).await.unwrap();
    let (some, _): (Vec<Kept>, Option<Mark>) =
        source.articles(&news, Mark::default(), 50).await.unwrap();
    store.put(&news, &some, &[]).await.unwrap();
    same(&go(&source, &store).await, [120, 60]);
    same(&go(&source, &store).await, [0, 0]);

    // What was written meanwhile goes with the next backup.
    let corrected = untitled(&words(59, 91));
    engine.submit(submission(&news, "59-0", corrected)).await.unwrap();
    engine.submit(submission(&news, "late", untitled(&words(777, 90)))).await.unwrap();
    let there_later = seen(&engine).await;
    let later = back_up(&engine, "later").await;
    same(&go(&Folder::to_read(&later).unwrap(), &store).await, [2, 0]);
    drop(store);

    let replica = cluster.open();
    assert_eq!(seen(&replica).await, there_later);
    assert_ne!(there, there_later);
    assert_eq!(check(&replica).await.1, Vec::<String>::new());
    // The memory goes on: copies are found, and stories are told by the same names.
    for engine in [&replica, &engine] {
        let copy = submission(&news, "copy", untitled(&words(5, 90)));
        let report = engine.analyze(copy).await.unwrap().duplicates;
        assert_eq!(report.verdict, Verdict::Near);
        assert_eq!(report.story.unwrap().canonical.as_str(), "5-1");
    }
    drop(replica);

    let store = RedisStore::open(cluster.settings(100)).unwrap();
    let target = Folder::to_write(&second).unwrap();
    same(&go(&store, &target).await, [171, 60]);
    same(&go(&store, &target).await, [0, 0]);
    drop(target);
    let report = newsprint::store::check(&second, |_| {}).unwrap();
    assert_eq!((report.articles, report.problems), (231, Vec::new()));
    let back = open(&second);
    assert_eq!(seen(&back).await, there_later);
    let copy = submission(&news, "copy", untitled(&words(5, 90)));
    let report = back.submit(copy).await.unwrap().analysis.duplicates;
    assert_eq!(report.story.unwrap().canonical.as_str(), "5-1");
}
