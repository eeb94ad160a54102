//! What any store must do, asked of the engine on it: random histories against a plain model, with
//! restarts in between.

use std::collections::BTreeMap;
use std::path::Path;

use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::config::Limits;
use newsprint::engine::{Engine, EngineError, Submission};
use newsprint::store::{EmbeddedStore, ListFilter, StoreError, StoreOptions};

use crate::durability::Random;

fn open(folder: &Path) -> Engine {
    let store = EmbeddedStore::open(&folder.join("data"), StoreOptions::default()).unwrap();
    Engine::new(store, None, folder.join("backups"), Limits::default()).unwrap()
}

/// One of a few texts per version; versions 3 and 4 are near copies of each other.
fn article(version: u64) -> Article {
    let mut random = Random(version.min(3));
    let words: Vec<String> = (0..60).map(|_| format!("word{}", random.below(4000))).collect();
    let mut body = words.join(" ");
    if version == 4 {
        body.push_str(" and one more sentence at its end");
    }
    Article { title: format!("Headline {}", version.min(3)), body, ..Article::default() }
}

/// What a collection should hold: by id, the version, the revision, and when it was last written.
type Model = BTreeMap<String, (u64, u32, u64)>;

#[tokio::test]
async fn any_history_leaves_what_a_plain_map_would() {
    let seed = std::env::var("NEWSPRINT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}: repeat with NEWSPRINT_SEED={seed}");
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut engine = open(folder.path());
    let mut models: BTreeMap<CollectionName, Model> = BTreeMap::new();
    for step in 0..1500 {
        let collection = CollectionName::new(["", "one", "two"][random.below(3) as usize]).unwrap();
        let id = random.below(25).to_string();
        let article_id = ArticleId::new(id.as_str()).unwrap();
        match random.below(100) {
            0..2 => {
                drop(engine);
                engine = open(folder.path());
            }
            2 => {
                let known = models.remove(&collection).is_some();
                assert_eq!(
                    engine.delete_collection(&collection).await.is_ok(),
                    known,
                    "step {step}"
                );
            }
            3..25 => {
                let known = models.get_mut(&collection).and_then(|model| model.remove(&id));
                match engine.delete(&collection, &article_id).await {
                    Ok(()) => assert!(known.is_some(), "step {step}"),
                    Err(EngineError::Store(StoreError::NoArticle(_))) => {
                        assert!(known.is_none(), "step {step}");
                    }
                    Err(error) => panic!("step {step}: {error}"),
                }
            }
            25..35 => check(&engine, &collection, models.get(&collection), step).await,
            _ => {
                let version = random.below(5);
                let model = models.entry(collection.clone()).or_default();
                let submission = Submission {
                    collection,
                    article_id: Some(article_id),
                    article: article(version),
                    explain: false,
                    matches_max: 10,
                };
                let submitted = engine.submit(submission).await.unwrap();
                let is_replay = model.get(&id).is_some_and(|&(known, ..)| known == version);
                assert_eq!(submitted.replayed, is_replay, "step {step}");
                if !is_replay {
                    let revision = model.get(&id).map_or(1, |&(_, revision, _)| revision + 1);
                    model.insert(id, (version, revision, step));
                }
                let (_, revision, _) = model[submitted.article_id.as_str()];
                assert_eq!(submitted.revision, revision, "step {step}");
            }
        }
    }
    for collection in ["", "one", "two"].map(|name| CollectionName::new(name).unwrap()) {
        check(&engine, &collection, models.get(&collection), u64::MAX).await;
    }
    while engine.sweep().await.unwrap() {}
    drop(engine);
    let report = newsprint::store::check(&folder.path().join("data"), |_| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    let expected: usize = models.values().map(BTreeMap::len).sum();
    assert_eq!(report.articles as usize, expected);
}

/// Checks a whole collection: what is listed and in which order, every article, every story.
async fn check(engine: &Engine, collection: &CollectionName, model: Option<&Model>, step: u64) {
    let none = Model::new();
    let model = model.unwrap_or(&none);
    let page = engine.list(collection, &ListFilter::default(), None, 100).await.unwrap();
    let listed: Vec<&str> = page.articles.iter().map(|stored| stored.article_id.as_str()).collect();
    let mut expected: Vec<&String> = model.keys().collect();
    expected.sort_by_key(|id| std::cmp::Reverse(model[*id].2));
    assert_eq!(listed, expected, "step {step}");
    for stored in &page.articles {
        let (version, revision, _) = model[stored.article_id.as_str()];
        assert_eq!(
            (&stored.article, stored.revision),
            (&article(version), revision),
            "step {step}"
        );
        let story = stored.analysis.duplicates.story.as_ref().unwrap();
        let page = engine.story(collection, story.id, None, 100).await.unwrap();
        let mut members = page.members.articles.iter().chain([&page.canonical]);
        assert!(members.any(|member| member.article_id == stored.article_id), "step {step}");
    }
}
