//! The store in a cluster, on real nodes that the tests start: `scripts/cluster`. What any store
//! must do is in `store.rs`; here is what only many replicas and many nodes can get wrong.

mod access;
mod costs;
mod faults;
mod migrate;
mod nodes;
mod races;

use std::sync::atomic::{AtomicUsize, Ordering};

use newsprint::article::CollectionName;
use newsprint::config::Limits;
use newsprint::engine::Engine;
use newsprint::store::{ListFilter, PageToken, RedisSettings, RedisStore};

use crate::store::Backend;
pub use nodes::Nodes;

/// A store of its own in the cluster that tests share.
pub struct Cluster {
    namespace: String,
}

impl Cluster {
    pub fn settings(&self, collections_max: usize) -> RedisSettings {
        // What replicas are for is seen where nodes fail.
        let options = format!("namespace={}&replicas=0", self.namespace);
        settings(Nodes::shared(), &options, collections_max)
    }

    /// The store as it is by default: a change is answered when a replica of its node has it.
    pub fn open_with_copies(&self) -> Engine {
        engine(settings(Nodes::shared(), &format!("namespace={}", self.namespace), 10))
    }
}

pub fn settings(nodes: &Nodes, options: &str, collections_max: usize) -> RedisSettings {
    RedisSettings::from_url(&nodes.url(options).parse().unwrap(), collections_max).unwrap()
}

pub fn engine(settings: RedisSettings) -> Engine {
    let store = RedisStore::open(settings).unwrap();
    Engine::new(store, None, "backups".into(), Limits::default()).unwrap()
}

impl Backend for Cluster {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Cluster { namespace: format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }

    fn open_with(&self, collections_max: usize) -> Engine {
        engine(self.settings(collections_max))
    }

    fn check(&self) -> (u64, Vec<String>) {
        let engine = self.open();
        std::thread::scope(|scope| {
            let check = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(check(&engine))
            };
            scope.spawn(check).join().unwrap()
        })
    }
}

/// Whether what is counted, listed, told of a story and found by its id is the same.
pub async fn check(engine: &Engine) -> (u64, Vec<String>) {
    let (mut articles, mut problems) = (0, Vec::new());
    for info in engine.collections().await.unwrap() {
        let listed = list_all(engine, &info.name).await;
        articles += info.article_count as u64;
        if listed.len() != info.article_count {
            let name = &info.name;
            problems.push(format!(
                "{name}: {} counted, {} listed",
                info.article_count,
                listed.len()
            ));
        }
        let mut stories = std::collections::BTreeSet::new();
        for stored in &listed {
            let id = &stored.article_id;
            let story = stored.analysis.duplicates.story.as_ref().unwrap().id;
            stories.insert(story.0);
            if engine.get(&info.name, id).await.unwrap() != *stored {
                problems.push(format!("{id} is not what is listed"));
            }
            let page = engine.story(&info.name, story, &PageToken::default(), 1000).await.unwrap();
            let mut members = page.members.articles.iter().chain([&page.canonical]);
            if !members.any(|member| member.article_id == *id) {
                problems.push(format!("{id} is not in its story"));
            }
        }
        if stories.len() != info.story_count {
            let name = &info.name;
            problems.push(format!(
                "{name}: {} stories counted, {}",
                info.story_count,
                stories.len()
            ));
        }
    }
    (articles, problems)
}

pub async fn list_all(
    engine: &Engine,
    collection: &CollectionName,
) -> Vec<newsprint::store::StoredArticle> {
    let (mut all, mut token) = (Vec::new(), PageToken::default());
    loop {
        let page = engine.list(collection, &ListFilter::default(), &token, 1000).await.unwrap();
        all.extend(page.articles);
        match page.next {
            Some(next) => token = next,
            None => return all,
        }
    }
}
