//! What any store must do, asked of an engine on it. A new backend is one more line under
//! `contract!`.

use std::collections::BTreeMap;
use std::future::{poll_fn, ready};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use newsprint::analyser::Submission;
use newsprint::analysis::{Fingerprint, MatchKind, Verdict};
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::config::Limits;
use newsprint::engine::{Engine, EngineError};
use newsprint::store::{
    CollectionSettings, EmbeddedStore, ListFilter, PageToken, SimilarQuery, StoreError,
    StoreOptions, Submitted,
};
use tempfile::TempDir;
use tokio::task::unconstrained;

use crate::durability::Random;
use crate::moments::{
    a_listing_misses_nothing_whatever_is_written_meanwhile,
    an_article_being_revised_is_always_found, collections_are_limited,
    the_verdict_does_not_depend_on_how_many_matches_are_wanted, what_is_forgotten_hides_nothing,
};

/// Makes a test of every rule for every backend.
macro_rules! contract {
    ($($backend:ident: $type:ty),*; $rules:tt) => { $(contract!(@backend $backend: $type; $rules);)* };
    (@backend $backend:ident: $type:ty; [$($rule:ident),* $(,)?]) => {
        mod $backend {
            $(
                #[tokio::test]
                async fn $rule() {
                    super::$rule(&<$type as super::Backend>::new()).await;
                }
            )*
        }
    };
}

/// The rules, for the backends that this build has.
macro_rules! contract_of {
    ($($backends:tt)*) => {
        contract! {
            $($backends)*;
            [
                any_history_leaves_what_a_plain_map_would,
                what_is_not_on_disk_yet_counts_already,
                of_many_copies_one_is_unique_whatever_restarts,
                stories_do_not_chain,
                fifty_outlets_make_no_frame_of_a_story,
                a_revision_is_judged_as_the_article_was,
                every_fingerprint_within_the_radius_is_found,
                what_retention_forgets_is_gone_at_once,
                pages_go_on_after_inserts_and_restarts,
                a_text_that_came_very_often_is_answered_within_bounds,
                a_listing_misses_nothing_whatever_is_written_meanwhile,
                an_article_being_revised_is_always_found,
                the_verdict_does_not_depend_on_how_many_matches_are_wanted,
                what_is_forgotten_hides_nothing,
                collections_are_limited,
            ]
        }
    };
}

contract_of!(embedded: super::Embedded);
#[cfg(feature = "redis")]
contract_of!(cluster: crate::cluster::Cluster);

/// A kind of store, with data of its own.
pub trait Backend {
    fn new() -> Self;

    /// Opens the store, with whatever earlier engines on it left behind.
    fn open(&self) -> Engine {
        self.open_with(StoreOptions::default().collections_max)
    }

    /// The same, for at most so many collections.
    fn open_with(&self, collections_max: usize) -> Engine;

    /// How many articles are there when nobody has it open, and what is wrong with them.
    fn check(&self) -> (u64, Vec<String>);
}

struct Embedded(TempDir);

impl Embedded {
    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Backend for Embedded {
    fn new() -> Self {
        Embedded(tempfile::tempdir().unwrap())
    }

    fn open_with(&self, collections_max: usize) -> Engine {
        open_with(&self.data(), StoreOptions { collections_max, ..StoreOptions::default() })
    }

    fn check(&self) -> (u64, Vec<String>) {
        let report = newsprint::store::check(&self.data(), |_| {}).unwrap();
        (report.articles, report.problems)
    }
}

/// An engine on the embedded store in a folder.
pub fn open(data: &Path) -> Engine {
    open_with(data, StoreOptions::default())
}

fn open_with(data: &Path, options: StoreOptions) -> Engine {
    let store = EmbeddedStore::open(data, options).unwrap();
    Engine::new(store, None, data.with_extension("backups"), Limits::default()).unwrap()
}

pub fn submission(collection: &CollectionName, id: &str, article: Article) -> Submission {
    Submission {
        collection: collection.clone(),
        article_id: Some(ArticleId::new(id).unwrap()),
        article,
        explain: false,
        matches_max: 10,
    }
}

async fn submit(engine: &Engine, id: &str, article: Article) -> Submitted {
    engine.submit(submission(&CollectionName::default(), id, article)).await.unwrap()
}

fn is_same_text(kind: Option<MatchKind>) -> bool {
    matches!(kind, Some(MatchKind::Exact | MatchKind::Near))
}

/// A text of made-up words that is like no other unless its seed is the same.
pub fn words(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|_| format!("word{}", random.below(40_000))).collect()
}

/// Every outlet puts its own lead before an agency's text and its own words behind it. Those that
/// say who they are may have more of their own.
async fn fifty_outlets_make_no_frame_of_a_story(backend: &impl Backend) {
    let engine = backend.open();
    for (collection, own, is_named) in [("unnamed", 12, false), ("named", 45, true)] {
        let name = CollectionName::new(collection).unwrap();
        let story = words(1, 300);
        for outlet in 0..50_u64 {
            let own = |part: u64| words(100 + 2 * outlet + part, own);
            let source = if is_named { format!("Outlet {outlet}") } else { String::new() };
            let dressed = untitled(&[own(0), story.clone(), own(1)].concat());
            let article = Article { source, ..dressed };
            let submitted = engine.submit(submission(&name, &outlet.to_string(), article)).await;
            let duplicates = submitted.unwrap().analysis.duplicates;
            let expected = if outlet == 0 { Verdict::Unique } else { Verdict::Near };
            assert_eq!(duplicates.verdict, expected, "{collection} {outlet}");
            assert_eq!(duplicates.story.unwrap().canonical.as_str(), "0", "{collection} {outlet}");
        }
    }
}

pub fn untitled(words: &[String]) -> Article {
    Article { body: words.join(" "), ..Article::default() }
}

/// A copy that goes on in its own way is a copy of the same after it is revised.
async fn a_revision_is_judged_as_the_article_was(backend: &impl Backend) {
    let engine = backend.open();
    let name = CollectionName::default();
    let dressed = |own: u64| untitled(&[words(1, 120), words(own, 25)].concat());
    let submit = async |id: &str, article: Article| {
        engine.submit(submission(&name, id, article)).await.unwrap().analysis.duplicates
    };
    submit("first", dressed(10)).await;
    let copy = submit("copy", dressed(20)).await;
    assert_eq!(copy.verdict, Verdict::Near);
    let asked = engine.analyze(submission(&name, "copy", dressed(20))).await.unwrap();
    assert_eq!(asked.duplicates.verdict, Verdict::Near);
    let mut corrected = dressed(20);
    corrected.body.push_str(" corrected on Friday");
    let revised = submit("copy", corrected).await;
    assert_eq!((revised.verdict, revised.story), (Verdict::Near, copy.story));
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

/// Random histories against a plain model, with restarts in between.
async fn any_history_leaves_what_a_plain_map_would(backend: &impl Backend) {
    let seed = std::env::var("NEWSPRINT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}: repeat with NEWSPRINT_SEED={seed}");
    let mut random = Random(seed);
    let mut engine = backend.open();
    let mut models: BTreeMap<CollectionName, Model> = BTreeMap::new();
    for step in 0..1500 {
        let collection = CollectionName::new(["", "one", "two"][random.below(3) as usize]).unwrap();
        let id = random.below(25).to_string();
        let article_id = ArticleId::new(id.as_str()).unwrap();
        match random.below(100) {
            0..2 => {
                drop(engine);
                engine = backend.open();
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
                let submitted =
                    engine.submit(submission(&collection, &id, article(version))).await.unwrap();
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
    let expected: usize = models.values().map(BTreeMap::len).sum();
    assert_eq!(backend.check(), (expected as u64, Vec::new()));
}

/// Submissions and deletions of a few articles, a thousand of them, that nobody waits for: each
/// finds what those before it will have written, whichever commit they are part of.
async fn what_is_not_on_disk_yet_counts_already(backend: &impl Backend) {
    type Outcome<'e> = Pin<Box<dyn Future<Output = Option<(bool, u32)>> + 'e>>;
    let engine = backend.open();
    let collection = CollectionName::default();
    let ids: Vec<ArticleId> =
        (0..20).map(|number| ArticleId::new(format!("article-{number}")).unwrap()).collect();
    let mut random = Random(1);
    let mut model = Model::new();
    let mut outcomes: Vec<(Outcome, Option<(bool, u32)>)> = Vec::new();
    for step in 0..1000 {
        let id = &ids[random.below(20) as usize];
        let known = model.get(id.as_str()).copied();
        if random.below(5) == 0 {
            let deletion = engine.delete(&collection, id);
            // It takes its place in the order when it is first polled, and may not be put off then.
            let mut deletion: Outcome =
                Box::pin(unconstrained(async { deletion.await.ok().map(|()| (false, 0)) }));
            if let Poll::Ready(outcome) =
                poll_fn(|context| Poll::Ready(deletion.as_mut().poll(context))).await
            {
                deletion = Box::pin(ready(outcome));
            }
            outcomes.push((deletion, known.map(|_| (false, 0))));
            model.remove(id.as_str());
        } else {
            let version = random.below(5);
            let permit = engine.wait_for_permit().await.unwrap();
            let submission = submission(&collection, id.as_str(), article(version));
            let begun = engine.begin(submission, permit).await.unwrap();
            let outcome = async {
                let submitted = begun.outcome().await.unwrap();
                Some((submitted.replayed, submitted.revision))
            };
            let is_replay = known.is_some_and(|(known, ..)| known == version);
            let revision = known.map_or(1, |(_, revision, _)| revision + u32::from(!is_replay));
            outcomes.push((Box::pin(outcome), Some((is_replay, revision))));
            if !is_replay {
                model.insert(id.as_str().to_owned(), (version, revision, step));
            }
        }
    }
    for (step, (outcome, expected)) in outcomes.into_iter().enumerate() {
        assert_eq!(outcome.await, expected, "step {step}");
    }
    check(&engine, &collection, Some(&model), u64::MAX).await;
    drop(engine);
    check(&backend.open(), &collection, Some(&model), u64::MAX).await;
    assert_eq!(backend.check(), (model.len() as u64, Vec::new()));
}

/// Checks a whole collection: what is listed and in which order, every article, every story.
async fn check(engine: &Engine, collection: &CollectionName, model: Option<&Model>, step: u64) {
    let none = Model::new();
    let model = model.unwrap_or(&none);
    let page =
        engine.list(collection, &ListFilter::default(), &PageToken::default(), 100).await.unwrap();
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
        let page = engine.story(collection, story.id, &PageToken::default(), 100).await.unwrap();
        let mut members = page.members.articles.iter().chain([&page.canonical]);
        assert!(members.any(|member| member.article_id == stored.article_id), "step {step}");
    }
}

async fn of_many_copies_one_is_unique_whatever_restarts(backend: &impl Backend) {
    let mut uniques = 0;
    for round in 0..4 {
        let engine = backend.open();
        let name = CollectionName::default();
        let copies = (0..25).map(|copy| {
            let id = format!("{round}-{copy}");
            engine.submit(submission(&name, &id, untitled(&words(1, 80))))
        });
        for submitted in futures_util::future::join_all(copies).await {
            let duplicates = submitted.unwrap().analysis.duplicates;
            uniques += usize::from(duplicates.verdict == Verdict::Unique);
            assert!(matches!(duplicates.verdict, Verdict::Unique | Verdict::Exact));
        }
    }
    assert_eq!(uniques, 1);
    let collections = backend.open().collections().await.unwrap();
    assert_eq!((collections[0].article_count, collections[0].story_count), (100, 1));
}

/// Each of a row of texts is a near copy of the one before, and the last has nothing in common with
/// the first.
async fn stories_do_not_chain(backend: &impl Backend) {
    let engine = backend.open();
    let all = words(2, 320);
    let title = "One headline for all of them".to_owned();
    let text =
        |number: usize| Article { title: title.clone(), ..untitled(&all[number * 10..][..120]) };
    let mut canonicals = Vec::new();
    for number in 0..=20 {
        let submitted = submit(&engine, &number.to_string(), text(number)).await;
        let duplicates = submitted.analysis.duplicates;
        assert!(number == 0 || is_same_text(duplicates.matches[0].kind), "{number} is no copy");
        let canonical = duplicates.story.clone().unwrap().canonical;
        if canonical.as_str() != number.to_string() {
            let mut matches = duplicates.matches.iter();
            let itself = matches.find(|found| found.article_id == canonical);
            let kind = itself.and_then(|found| found.kind);
            assert!(is_same_text(kind), "{number} joined by a chain");
        }
        canonicals.push(canonical);
    }
    assert_eq!(canonicals[1], canonicals[0], "a near copy joins");
    assert_ne!(canonicals[20], canonicals[0], "what has nothing in common does not");
}

async fn every_fingerprint_within_the_radius_is_found(backend: &impl Backend) {
    let engine = backend.open();
    let mut fingerprints = BTreeMap::new();
    for seed in 0..120u64 {
        // Families of texts, so that there are some at every distance.
        let mut words = words(seed / 10, 60);
        words.truncate(60 - seed as usize % 10 * 4);
        let submitted = submit(&engine, &seed.to_string(), untitled(&words)).await;
        fingerprints.insert(seed.to_string(), submitted.analysis.fingerprint.unwrap());
    }
    for id in ["3", "55", "119"] {
        let id = ArticleId::new(id).unwrap();
        engine.delete(&CollectionName::default(), &id).await.unwrap();
        fingerprints.remove(id.as_str());
    }
    drop(engine);
    let engine = backend.open();
    let changed = Fingerprint(fingerprints["77"].0 ^ 0b111);
    for query in [fingerprints["40"], changed, Fingerprint(0), Fingerprint(u64::MAX)] {
        for radius in 0..=64 {
            let query = SimilarQuery::Fingerprint(query);
            let similar =
                engine.find_similar(&CollectionName::default(), &query, radius, 200).await.unwrap();
            let SimilarQuery::Fingerprint(query) = query else { unreachable!() };
            let found: BTreeMap<&str, u32> = similar
                .matches
                .iter()
                .map(|found| (found.article_id.as_str(), found.hamming_distance.unwrap()))
                .collect();
            let distances = fingerprints.iter().map(|(id, code)| (&**id, code.distance(query)));
            let expected = distances.filter(|&(_, distance)| distance <= radius).collect();
            assert_eq!(found, expected, "radius {radius}");
        }
    }
}

async fn what_retention_forgets_is_gone_at_once(backend: &impl Backend) {
    let engine = backend.open();
    let name = CollectionName::default();
    // Long enough for what comes after the sleep, on a busy machine too.
    let retention = Some(Duration::from_secs(4));
    let settings = CollectionSettings { retention, ..CollectionSettings::default() };
    engine.update_collection(&name, settings).await.unwrap();
    let first = submit(&engine, "first", untitled(&words(3, 80))).await;
    let copy = submit(&engine, "copy", untitled(&words(3, 80))).await;
    assert_eq!(copy.analysis.duplicates.verdict, Verdict::Exact);

    tokio::time::sleep(Duration::from_millis(5100)).await;
    let gone = engine.get(&name, &first.article_id).await;
    assert!(matches!(gone, Err(EngineError::Store(StoreError::NoArticle(_)))));
    let story = first.analysis.duplicates.story.unwrap().id;
    let gone = engine.story(&name, story, &PageToken::default(), 10).await;
    assert!(matches!(gone, Err(EngineError::Store(StoreError::NoStory(_)))));
    let page = engine.list(&name, &ListFilter::default(), &PageToken::default(), 10).await.unwrap();
    assert_eq!(page.articles, []);
    let fingerprint = SimilarQuery::Fingerprint(first.analysis.fingerprint.unwrap());
    let similar = engine.find_similar(&name, &fingerprint, 64, 10).await.unwrap();
    assert_eq!(similar.matches, []);

    let again = submit(&engine, "again", untitled(&words(3, 80))).await;
    assert_eq!(again.analysis.duplicates.verdict, Verdict::Unique);
    assert_ne!(again.analysis.duplicates.story.unwrap().id, story);
    while engine.sweep().await.unwrap() {}
    assert_eq!(engine.collections().await.unwrap()[0].article_count, 1);
    drop(engine);
    assert_eq!(backend.check(), (1, Vec::new()));
}

async fn pages_go_on_after_inserts_and_restarts(backend: &impl Backend) {
    let name = CollectionName::default();
    let mut engine = backend.open();
    for number in 0..10 {
        submit(&engine, &number.to_string(), untitled(&words(number, 40))).await;
    }
    let mut listed = Vec::new();
    let mut token = PageToken::default();
    loop {
        let page = engine.list(&name, &ListFilter::default(), &token, 3).await.unwrap();
        listed.extend(page.articles.iter().map(|stored| stored.article_id.to_string()));
        let Some(next) = page.next else { break };
        token = next;
        let new = listed.len() as u64;
        submit(&engine, &format!("new {new}"), untitled(&words(100 + new, 40))).await;
        drop(engine);
        engine = backend.open();
    }
    assert_eq!(listed, ["9", "8", "7", "6", "5", "4", "3", "2", "1", "0"]);
}

async fn a_text_that_came_very_often_is_answered_within_bounds(backend: &impl Backend) {
    let name = CollectionName::default();
    let engine = backend.open();
    for batch in 0..20 {
        let copies = (0..100).map(|copy| {
            let id = format!("{batch}-{copy}");
            engine.submit(submission(&name, &id, untitled(&words(4, 80))))
        });
        futures_util::future::try_join_all(copies).await.unwrap();
    }
    let one_more = submit(&engine, "one more", untitled(&words(4, 80))).await;
    let duplicates = &one_more.analysis.duplicates;
    assert_eq!(duplicates.verdict, Verdict::Exact);
    assert_eq!(duplicates.matches.len(), 10);
    assert!(duplicates.truncated, "not every copy was looked at");
    let story = duplicates.story.clone().unwrap();

    engine.delete(&name, &story.canonical).await.unwrap();
    let page = engine.story(&name, story.id, &PageToken::default(), 1).await.unwrap();
    assert_ne!(page.canonical.article_id, story.canonical);
    let edited = untitled(&words(4, 80)[4..]);
    let duplicates = submit(&engine, "edited", edited).await.analysis.duplicates;
    assert_eq!(duplicates.verdict, Verdict::Near);
    assert_eq!(duplicates.story.unwrap().id, story.id);
    let other = submit(&engine, "other", untitled(&words(5, 80))).await;
    assert_eq!(other.analysis.duplicates.verdict, Verdict::Unique);
    assert!(!other.analysis.duplicates.truncated);
}

/// What is deleted, revised or added after one start is so after the next.
#[tokio::test]
async fn the_index_that_is_written_at_the_end_is_read_at_the_start() {
    const ARTICLES: u64 = 1200;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let written = || data.join("newsprint.index").exists();
    let text = |seed: u64| untitled(&words(seed, 30));
    let engine = open(&data);
    for number in 0..ARTICLES {
        submit(&engine, &number.to_string(), text(number)).await;
    }
    drop(engine);
    let named = async |engine: &Engine, seed: u64| {
        let found = engine.analyze(Submission {
            article_id: None,
            ..submission(&CollectionName::default(), "any", text(seed))
        });
        let matches = found.await.unwrap().duplicates.matches;
        matches.into_iter().map(|found| found.article_id.to_string()).collect::<Vec<_>>()
    };
    for round in 0..3 {
        assert!(written(), "round {round}");
        let engine = open(&data);
        assert!(!written(), "it is used once");
        for number in [0, 700, ARTICLES - 1] {
            let number = number + round * u64::from(number == 0);
            assert_eq!(named(&engine, number).await, [number.to_string()], "round {round}");
        }
        let name = CollectionName::default();
        engine.delete(&name, &ArticleId::new(round.to_string()).unwrap()).await.unwrap();
        submit(&engine, &(100 + round).to_string(), text(5000 + round)).await;
        submit(&engine, &format!("new-{round}"), text(6000 + round)).await;
        drop(engine);
    }
    let engine = open(&data);
    for round in 0..3 {
        assert!(named(&engine, round).await.is_empty());
        assert!(named(&engine, 100 + round).await.is_empty());
        assert_eq!(named(&engine, 5000 + round).await, [(100 + round).to_string()]);
        assert_eq!(named(&engine, 6000 + round).await, [format!("new-{round}")]);
    }
}
