//! What an article costs, counted where it is sent.

use newsprint::analyser::Analyser;
use newsprint::analysis::Verdict;
use newsprint::article::CollectionName;
use newsprint::store::{ArticleStore, RedisStore, StoreCosts};

use super::Cluster;
use crate::store::{Backend, submission, untitled, words};

/// Articles one by one, so that none shares a pipeline with another: under load it gets cheaper.
#[tokio::test]
async fn an_article_costs_so_much_and_no_more() {
    let store = RedisStore::open(Cluster::new().settings(10)).unwrap();
    let analyser = Analyser::built_in().unwrap();
    let name = CollectionName::default();
    let submit = async |id: &str, seed: u64| {
        let before = store.costs();
        let prepared = analyser.prepare(submission(&name, id, untitled(&words(seed, 400))));
        let pending = store.submit(prepared).await.unwrap();
        let submitted = pending.await.unwrap();
        (submitted.analysis.duplicates.verdict, before)
    };
    submit("the first makes the collection", 0).await;
    let mut all = Vec::new();
    for seed in 1..=50 {
        let before = submit(&format!("original {seed}"), seed).await.1;
        let original = less(store.costs(), before);
        let (verdict, before) = submit(&format!("copy {seed}"), seed).await;
        assert_eq!(verdict, Verdict::Exact);
        // Entries learn of their story after the answer.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        let copy = less(store.costs(), before);
        all.push((original, copy));
    }
    // What is done now and then falls into some of them.
    let median = |of: &dyn Fn(&(StoreCosts, StoreCosts)) -> u64| {
        let mut values: Vec<u64> = all.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    type Of = fn(&(StoreCosts, StoreCosts)) -> StoreCosts;
    let kinds: [(&str, Of); 2] = [("original", |it| it.0), ("copy", |it| it.1)];
    for (what, of) in kinds {
        let commands = median(&|it| of(it).commands);
        let bytes = median(&|it| of(it).bytes_sent + of(it).bytes_received);
        let waits = median(&|it| of(it).waits);
        println!("{what}: {commands} commands, {bytes} bytes, {waits} round trips deep");
        assert!(waits <= 3, "{what}: {waits} round trips");
        assert!(commands <= 40, "{what}: {commands} commands");
        assert!(bytes <= 16 << 10, "{what}: {bytes} bytes");
    }
}

fn less(after: StoreCosts, before: StoreCosts) -> StoreCosts {
    StoreCosts {
        commands: after.commands - before.commands,
        pipelines: after.pipelines - before.pipelines,
        bytes_sent: after.bytes_sent - before.bytes_sent,
        bytes_received: after.bytes_received - before.bytes_received,
        waits: after.waits - before.waits,
    }
}
