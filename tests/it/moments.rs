//! What readers see while others write: one committed moment at a time. Part of the contract that
//! every store is held to, see `store.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use newsprint::analysis::Verdict;
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::engine::{Engine, EngineError};
use newsprint::store::{
    CollectionSettings, ListFilter, PageToken, SimilarQuery, StoreError, StoredArticle,
};

use crate::durability::Random;
use crate::store::{Backend, submission, untitled, words};

fn id(id: &str) -> ArticleId {
    ArticleId::new(id).unwrap()
}

async fn submit(engine: &Engine, id: &str, article: Article) {
    engine.submit(submission(&CollectionName::default(), id, article)).await.unwrap();
}

/// Follows a listing to its end.
async fn list_all(engine: &Engine, filter: &ListFilter, page_size: usize) -> Vec<StoredArticle> {
    let mut listed = Vec::new();
    let mut token = PageToken::default();
    loop {
        let name = CollectionName::default();
        let page = engine.list(&name, filter, &token, page_size).await.unwrap();
        listed.extend(page.articles);
        match page.next {
            Some(next) => token = next,
            None => return listed,
        }
    }
}

/// Does `work` again and again until `until` is done.
async fn while_going_on<T>(
    until: impl Future<Output = T>,
    work: impl Future<Output = std::convert::Infallible>,
) -> T {
    let (mut until, mut work) = (pin!(until), pin!(work));
    poll_fn(|context| match until.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => {
            let Poll::Pending = work.as_mut().poll(context);
            Poll::Pending
        }
    })
    .await
}

/// Eight clients submit, delete and revise; whatever is there from the beginning to the end of a
/// listing is in it.
pub async fn a_listing_misses_nothing_whatever_is_written_meanwhile(backend: &impl Backend) {
    let engine = backend.open();
    for number in 0..120 {
        submit(&engine, &format!("stays {number}"), untitled(&words(number, 30))).await;
        submit(&engine, &format!("revised {number}"), untitled(&words(1000 + number, 30))).await;
    }
    let clients = (0..8_u64).map(|client| {
        let engine = &engine;
        async move {
            let mut random = Random(client + 1);
            for step in 0_u64.. {
                let seed = 10_000 * (client + 1) + step;
                if client % 2 == 0 {
                    // Each revises articles of its own, so that their revisions are in order.
                    let number = random.below(30) * 4 + client / 2;
                    submit(engine, &format!("revised {number}"), untitled(&words(seed, 30))).await;
                } else {
                    let name = format!("comes and goes {client}-{step}");
                    submit(engine, &name, untitled(&words(seed, 30))).await;
                    engine.delete(&CollectionName::default(), &id(&name)).await.unwrap();
                }
            }
            unreachable!("steps never end")
        }
    });
    let clients = async {
        futures_util::future::join_all(clients).await;
        unreachable!("clients never end")
    };
    let listings = async {
        for round in 0..25 {
            let listed = list_all(&engine, &ListFilter::default(), 7 + round).await;
            let mut times = BTreeMap::<&str, u32>::new();
            for article in &listed {
                *times.entry(article.article_id.as_str()).or_default() += 1;
            }
            for number in 0..120 {
                assert_eq!(times.get(&*format!("stays {number}")), Some(&1), "{number}");
                let revised = format!("revised {number}");
                assert!(times.contains_key(&*revised), "round {round}: no {revised}");
            }
            let is_known = |id: &str| {
                ["stays ", "revised ", "comes and goes "].iter().any(|name| id.starts_with(name))
            };
            assert!(times.keys().all(|id| is_known(id)));
        }
    };
    while_going_on(listings, clients).await;
}

/// One article goes to and fro between two texts while everybody asks for it.
pub async fn an_article_being_revised_is_always_found(backend: &impl Backend) {
    let engine = backend.open();
    let name = CollectionName::default();
    let texts = [words(1, 80), words(1, 80)[..76].to_vec()].map(|words| untitled(&words));
    submit(&engine, "it", texts[0].clone()).await;
    for number in 0..20 {
        submit(&engine, &format!("other {number}"), untitled(&words(100 + number, 40))).await;
    }
    let story = engine.get(&name, &id("it")).await.unwrap();
    let story = story.analysis.duplicates.story.unwrap().id;
    let revisions = async {
        for round in 1_usize.. {
            submit(&engine, "it", texts[round % 2].clone()).await;
        }
        unreachable!("rounds never end")
    };
    let reads = async {
        let mut revisions = BTreeSet::new();
        for round in 0..150 {
            let found = engine.get(&name, &id("it")).await.unwrap();
            assert!(texts.contains(&found.article));
            revisions.insert(found.revision);

            let page = engine.story(&name, story, &PageToken::default(), 10).await.unwrap();
            assert_eq!(page.canonical.article_id, id("it"), "round {round}");
            assert_eq!(page.members.articles, []);

            let listed = list_all(&engine, &ListFilter::default(), 100).await;
            let ids: BTreeSet<&str> =
                listed.iter().map(|article| article.article_id.as_str()).collect();
            assert_eq!(ids.len(), 21, "round {round}");
            let filter = ListFilter { story: Some(story), ..ListFilter::default() };
            assert_ne!(list_all(&engine, &filter, 100).await, [], "round {round}");

            let copy = submission(&name, "copy", texts[0].clone());
            let seen = engine.analyze(copy).await.unwrap().duplicates;
            assert!(
                matches!(seen.verdict, Verdict::Exact | Verdict::Near),
                "round {round}: {seen:?}"
            );
            assert_eq!(seen.story.unwrap().id, story);

            let query = SimilarQuery::Article(id("it"));
            let similar = engine.find_similar(&name, &query, 3, 10).await.unwrap();
            assert!(similar.matches.iter().all(|found| found.article_id != id("it")));
        }
        assert!(revisions.len() > 10, "only {} revisions were seen", revisions.len());
    };
    while_going_on(reads, revisions).await;
}

/// The same body came under nine headlines; a copy of the last is found for what it is.
pub async fn the_verdict_does_not_depend_on_how_many_matches_are_wanted(backend: &impl Backend) {
    let engine = backend.open();
    let name = CollectionName::default();
    let under = |number: u64| Article {
        title: words(900 + number, 6).join(" "),
        ..untitled(&words(5, 120))
    };
    for number in 0..9 {
        submit(&engine, &number.to_string(), under(number)).await;
    }
    let mut reports = Vec::new();
    for matches_max in [1, 2, 8, 10, 100] {
        let copy = submission(&name, "copy", under(8));
        let copy = newsprint::analyser::Submission { matches_max, ..copy };
        let report = engine.analyze(copy).await.unwrap().duplicates;
        assert_eq!(report.verdict, Verdict::Exact, "{matches_max}");
        assert_eq!(report.matches[0].article_id.as_str(), "8", "{matches_max}");
        assert_eq!(report.matches.len(), matches_max.min(9));
        reports.push(report.story.unwrap());
    }
    assert!(reports.windows(2).all(|pair| pair[0] == pair[1]), "{reports:?}");
}

/// Many copies are forgotten, one that came later is not.
pub async fn what_is_forgotten_hides_nothing(backend: &impl Backend) {
    let engine = backend.open();
    let name = CollectionName::default();
    let retention = Some(Duration::from_secs(3));
    let settings = CollectionSettings { retention, ..CollectionSettings::default() };
    engine.update_collection(&name, settings).await.unwrap();
    for number in 0..34 {
        submit(&engine, &format!("early {number}"), untitled(&words(6, 90))).await;
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    submit(&engine, "late", untitled(&words(6, 90))).await;
    tokio::time::sleep(Duration::from_millis(1600)).await;

    let copy = submission(&name, "copy", untitled(&words(6, 90)));
    let seen = engine.analyze(copy.clone()).await.unwrap().duplicates;
    assert_eq!(seen.verdict, Verdict::Exact);
    assert_eq!(seen.story.clone().unwrap().canonical, id("late"));
    let matched: Vec<&str> = seen.matches.iter().map(|found| found.article_id.as_str()).collect();
    assert_eq!(matched, ["late"]);
    let submitted = engine.submit(copy).await.unwrap().analysis.duplicates;
    assert_eq!((submitted.verdict, submitted.story), (seen.verdict, seen.story));
}

/// There is a limit to collections; those that are deleted make room.
pub async fn collections_are_limited(backend: &impl Backend) {
    let engine = backend.open_with(3);
    let take = |name: &str| {
        let collection = CollectionName::new(name).unwrap();
        engine.submit(submission(&collection, "a", untitled(&words(1, 20))))
    };
    for name in ["one", "two", "three", "one"] {
        take(name).await.unwrap();
    }
    let refused = take("four").await;
    assert!(
        matches!(refused, Err(EngineError::Store(StoreError::TooManyCollections(3)))),
        "{refused:?}"
    );
    let settings = CollectionSettings::default();
    let refused = engine.update_collection(&CollectionName::new("five").unwrap(), settings).await;
    assert!(refused.is_err());
    engine.delete_collection(&CollectionName::new("two").unwrap()).await.unwrap();
    take("four").await.unwrap();
    drop(engine);
    let engine = backend.open_with(3);
    let four = CollectionName::new("four").unwrap();
    engine.get(&four, &id("a")).await.unwrap();
    let six = CollectionName::new("six").unwrap();
    assert!(engine.submit(submission(&six, "a", untitled(&words(1, 20)))).await.is_err());
}
