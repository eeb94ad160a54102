//! Many replicas at once.

use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};
use newsprint::analysis::Verdict;
use newsprint::article::{ArticleId, CollectionName};
use newsprint::engine::Engine;
use newsprint::store::PageToken;

use super::{Cluster, Nodes, check};
use crate::store::{Backend, submission, untitled, words};

const REPLICAS: usize = 3;

fn replicas(cluster: &Cluster) -> Vec<Engine> {
    (0..REPLICAS).map(|_| cluster.open()).collect()
}

/// Copies of a text, exact ones and edited ones, submitted everywhere at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn of_64_copies_on_three_replicas_one_is_unique() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    for round in 0..6 {
        let name = CollectionName::new(format!("round{round}")).unwrap();
        let text = words(100 + round, 120);
        let copies = (0..64).map(|copy: usize| {
            let article = untitled(&text[copy % 4..]);
            replicas[copy % REPLICAS].submit(submission(&name, &copy.to_string(), article))
        });
        let answers = try_join_all(copies).await.unwrap();
        let reports: Vec<_> = answers.iter().map(|answer| &answer.analysis.duplicates).collect();
        let uniques = reports.iter().filter(|report| report.verdict == Verdict::Unique).count();
        assert_eq!(uniques, 1, "round {round}");
        assert!(
            reports.iter().all(|report| {
                matches!(report.verdict, Verdict::Unique | Verdict::Exact | Verdict::Near)
            }),
            "round {round}"
        );
        let stories: BTreeSet<_> =
            reports.iter().map(|report| report.story.as_ref().unwrap().id.0).collect();
        assert_eq!(stories.len(), 1, "round {round}");
        let story = reports[0].story.as_ref().unwrap().id;
        let mut told = BTreeSet::new();
        for replica in &replicas {
            let page = replica.story(&name, story, &PageToken::default(), 100).await.unwrap();
            assert_eq!(page.members.articles.len(), 63);
            told.insert(page.canonical.article_id);
        }
        assert_eq!(told.len(), 1, "one canonical article, whoever is asked");
    }
    assert_eq!(check(&replicas[0]).await, (6 * 64, Vec::new()));
}

/// Copies that come a moment after each other, to different replicas that have much else to do: calls
/// then overtake each other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_under_load_one_sees_the_other() {
    const PAIRS: u64 = 200;
    let cluster = Cluster::new();
    let replicas: Vec<Engine> = (0..REPLICAS).map(|_| cluster.open_with_copies()).collect();
    let (name, others) = (CollectionName::default(), CollectionName::new("others").unwrap());
    let enough = std::sync::atomic::AtomicBool::new(false);
    let is_enough = || enough.load(std::sync::atomic::Ordering::Relaxed);
    let noise = join_all((0..16_u64).map(|client| {
        let (replica, others) = (&replicas[client as usize % REPLICAS], &others);
        async move {
            for number in 0_u64.. {
                if is_enough() {
                    return;
                }
                let id = format!("{client}-{number}");
                let text = words(50_000_000 + client * 100_000 + number, 200);
                replica.submit(submission(others, &id, untitled(&text))).await.unwrap();
            }
        }
    }));
    let submit = async |pair: u64, place: usize, micros: u64| {
        tokio::time::sleep(std::time::Duration::from_micros(micros)).await;
        let text = untitled(&words(90_000_000 + pair, 120));
        let copy = submission(&name, &format!("{pair} {place}"), text);
        let replica = &replicas[(pair as usize + place) % REPLICAS];
        replica.submit(copy).await.unwrap().analysis.duplicates.verdict
    };
    let both = async |pair: u64| {
        let answers = tokio::join!(submit(pair, 0, 0), submit(pair, 1, 500 * (pair % 40)));
        (pair, answers)
    };
    let pairs = async {
        let mut unseen = Vec::new();
        for some in (0..PAIRS).collect::<Vec<_>>().chunks(20) {
            let answers = join_all(some.iter().map(|&pair| both(pair))).await;
            let seen_by_none = |it: &&(u64, _)| it.1 == (Verdict::Unique, Verdict::Unique);
            unseen.extend(answers.iter().filter(seen_by_none).map(|it| it.0));
        }
        enough.store(true, std::sync::atomic::Ordering::Relaxed);
        unseen
    };
    let (unseen, _) = tokio::join!(pairs, noise);
    assert_eq!(unseen, Vec::<u64>::new(), "pairs of which neither sees the other");
}

/// An article is in its lists a moment before it is under its id. Who reads it in that moment asks it
/// to look back, or neither would see the other.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_lists_only_is_asked_to_look_back() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    let (name, text) = (CollectionName::default(), untitled(&words(77, 80)));
    let submit = async |place: usize, id: &str| {
        let submitted = replicas[place].submit(submission(&name, id, text.clone())).await.unwrap();
        submitted.analysis.duplicates.verdict
    };
    assert_eq!(submit(0, "first").await, Verdict::Unique);
    let on_all = |body: &str| {
        let keys = format!("redis.call('KEYS', '{{{}.*}}a:*')", cluster.namespace);
        let script = format!("local n = 0 for _, key in ipairs({keys}) do {body} end return n");
        let masters = Nodes::shared().nodes.iter().filter(|node| node.is_master());
        masters.map(|node| node.ask(&["eval", &script, "0"]).trim().parse::<u32>().unwrap()).sum()
    };
    let gone: u32 = on_all("n = n + redis.call('DEL', key)");
    assert_eq!(gone, 1);
    assert_eq!(submit(1, "second").await, Verdict::Unique);
    let asked: u32 = on_all("n = n + redis.call('HEXISTS', key, 'p.asked')");
    assert_eq!(asked, 1);
    assert_eq!(submit(2, "first").await, Verdict::Exact);
}

/// Two revisions in one second, of which the second is in its lists and not under its id yet: entries
/// say the same second, and still a copy of the second one asks it to look back.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_revision_of_a_second_is_asked_to_look_back() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    let name = CollectionName::default();
    let (early, late) = (untitled(&words(78, 80)), untitled(&words(79, 80)));
    let submit = async |place: usize, id: &str, article| {
        replicas[place].submit(submission(&name, id, article)).await.unwrap()
    };
    let masters: Vec<_> = Nodes::shared().nodes.iter().filter(|node| node.is_master()).collect();
    let on_all = |body: &str| -> u32 {
        let keys = format!("redis.call('KEYS', '{{{}.*}}a:*')", cluster.namespace);
        let script = format!("local n = 0 for _, key in ipairs({keys}) do {body} end return n");
        let asked = masters.iter().map(|node| node.ask(&["eval", &script, "0"]));
        asked.map(|answer| answer.trim().parse::<u32>().unwrap()).sum()
    };
    let fields = "'head', 'article', 'c0', 'c1'";
    let mut number = 0;
    let id = loop {
        number += 1;
        let id = format!("article {number}");
        let first = submit(0, &id, early.clone()).await;
        // Put aside what stands under the id, and then back: as before the second revision.
        let kept = on_all(&format!(
            "local id = string.sub(key, -16) local v = redis.call('HMGET', key, {fields}) \
             if string.find(v[1] or '', '{id}', 1, true) then n = n + 1 \
             redis.call('DEL', key .. '-kept') for i, f in ipairs({{{fields}}}) do \
             if v[i] then redis.call('HSET', key .. '-kept', f, v[i]) end end end"
        ));
        assert_eq!(kept, 1);
        let second = submit(0, &id, late.clone()).await;
        if second.submit_time.micros() / 1_000_000 == first.submit_time.micros() / 1_000_000 {
            break id;
        }
    };
    let back = on_all(&format!(
        "local kept = string.match(key, '^(.*)-kept$') \
         if kept and string.find(redis.call('HGET', key, 'head'), '{id}', 1, true) then \
         n = n + 1 redis.call('DEL', kept) redis.call('RENAME', key, kept) end"
    ));
    assert_eq!(back, 1);
    let copy = submit(1, "the copy", late.clone()).await;
    assert_ne!(copy.analysis.duplicates.story.unwrap().canonical.as_str(), id);
    let asked = on_all(&format!(
        "if string.find(redis.call('HGET', key, 'head') or '', '{id}', 1, true) then \
         n = n + redis.call('HEXISTS', key, 'p.asked') end"
    ));
    assert_eq!(asked, 1);
    let again = submit(2, &id, late).await;
    assert_eq!(again.analysis.duplicates.verdict, Verdict::Exact);
}

/// A client sends the same article again and again, to whichever replica.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_on_another_replica_replays() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    let name = CollectionName::default();
    for number in 0..20 {
        let tries = (0..9).map(|place: usize| {
            let id = format!("article {number}");
            replicas[place % REPLICAS].submit(submission(&name, &id, untitled(&words(number, 60))))
        });
        let answers = try_join_all(tries).await.unwrap();
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        let first = answers.iter().find(|answer| !answer.replayed).unwrap();
        for answer in &answers {
            assert_eq!(answer.revision, 1);
            assert_eq!(answer.submit_time, first.submit_time);
            assert_eq!(answer.analysis.duplicates, first.analysis.duplicates);
        }
    }
    assert_eq!(check(&replicas[1]).await, (20, Vec::new()));
}

/// One id is revised by everybody at once: every revision is there once, in some order.
#[tokio::test(flavor = "multi_thread")]
async fn revisions_from_many_replicas_are_counted() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    let name = CollectionName::default();
    let revisions = (0..24).map(|version: usize| {
        let article = untitled(&words(500 + version as u64, 60));
        replicas[version % REPLICAS].submit(submission(&name, "it", article))
    });
    let answers = join_all(revisions).await;
    let mut numbers: Vec<u32> = answers.iter().map(|it| it.as_ref().unwrap().revision).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=24).collect::<Vec<_>>());
    let last = answers.iter().position(|it| it.as_ref().unwrap().revision == 24).unwrap();
    let it = ArticleId::new("it").unwrap();
    for replica in &replicas {
        let stored = replica.get(&name, &it).await.unwrap();
        assert_eq!(stored.article, untitled(&words(500 + last as u64, 60)));
    }
    assert_eq!(check(&replicas[2]).await, (1, Vec::new()));
}

/// What one replica deletes or changes, the others know.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_does_all_see() {
    let cluster = Cluster::new();
    let replicas = replicas(&cluster);
    let name = CollectionName::new("shared").unwrap();
    let text = untitled(&words(9, 80));
    replicas[0].submit(submission(&name, "first", text.clone())).await.unwrap();
    let copy = replicas[1].submit(submission(&name, "copy", text.clone())).await.unwrap();
    assert_eq!(copy.analysis.duplicates.verdict, Verdict::Exact);
    let first = ArticleId::new("first").unwrap();
    replicas[2].delete(&name, &first).await.unwrap();
    assert!(replicas[1].get(&name, &first).await.is_err());
    let seen = replicas[0].analyze(submission(&name, "other", text.clone())).await.unwrap();
    let story = seen.duplicates.story.unwrap();
    assert_eq!(story.canonical.as_str(), "copy");

    // A collection that comes again under its name brings nothing back, on no replica.
    replicas[1].delete_collection(&name).await.unwrap();
    for replica in &replicas {
        let again = replica.submit(submission(&name, "again", text.clone())).await.unwrap();
        let verdict = again.analysis.duplicates.verdict;
        assert_eq!(verdict == Verdict::Unique, !again.replayed || again.revision == 1);
    }
    assert_eq!(check(&replicas[0]).await, (1, Vec::new()));
}
