//! Data folders of earlier versions are opened and gone on with.

use std::path::Path;

use flate2::read::GzDecoder;
use newsprint::analysis::{MatchKind, Verdict};
use newsprint::article::{Article, ArticleId, CollectionName};
use newsprint::store::{ListFilter, PageToken, backups, check, restore};

use crate::store::{open, submission};

/// A folder that format 1 left when its server was killed: articles with copies and a revision,
/// a deleted article, a collection without bodies, a deleted collection, all of it in the journal.
static FORMAT_1: &[u8] = include_bytes!("../data/format-1.tar.gz");

const TOLLS: &str = "The harbour board of Harren said on Tuesday that tolls for freight vessels \
    would rise by nine percent in March, the second increase within a year. Shipping lines called \
    the decision short sighted and warned that cargo would move to ports farther along the coast. \
    The board said dredging of the western channel had cost twice what was planned, and that the \
    new quay for grain needed eleven million crowns before the autumn. A union of dock workers \
    asked for a share of the revenue to go into training and safety.";

fn unpack(folder: &Path) {
    tar::Archive::new(GzDecoder::new(FORMAT_1)).unpack(folder).unwrap();
}

fn tolls() -> Article {
    Article {
        title: "Harbour tolls to rise again".to_owned(),
        body: TOLLS.to_owned(),
        ..Article::default()
    }
}

#[tokio::test]
async fn a_folder_of_format_1_is_opened_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    unpack(&data);
    let report = check(&data, |_| {}).unwrap();
    assert_eq!((report.articles, report.problems), (5, vec![]));
    assert!(data.join("db").exists(), "checking upgrades nothing");

    let name = CollectionName::default();
    let mut engine = open(&data);
    for _ in 0..2 {
        let (filter, token) = (ListFilter::default(), PageToken::default());
        let page = engine.list(&name, &filter, &token, 10).await.unwrap();
        let listed: Vec<(String, u32)> = page
            .articles
            .into_iter()
            .map(|stored| (stored.article_id.to_string(), stored.revision))
            .collect();
        let expected = [("cricket", 2), ("tolls-edited", 1), ("tolls-copy", 1), ("tolls", 1)];
        assert_eq!(listed, expected.map(|(id, revision)| (id.to_owned(), revision)));
        let first = engine.get(&name, &ArticleId::new("tolls").unwrap()).await.unwrap();
        assert_eq!(first.article.body, TOLLS);
        assert_eq!(first.article.attributes["desk"], "coast");
        assert_eq!(first.analysis.duplicates.verdict, Verdict::Unique);
        let story = first.analysis.duplicates.story.unwrap();
        let page = engine.story(&name, story.id, &PageToken::default(), 10).await.unwrap();
        assert_eq!(page.members.articles.len(), 2);

        let copy = engine.analyze(submission(&name, "another", tolls())).await.unwrap();
        assert_eq!(copy.duplicates.verdict, Verdict::Exact);
        assert_eq!(copy.duplicates.story, Some(story));
        assert_eq!(copy.duplicates.matches[0].kind, Some(MatchKind::Exact));
        // Opened once more, it is of the present format.
        drop(engine);
        engine = open(&data);
    }
    let collections = engine.collections().await.unwrap();
    let names: Vec<&str> = collections.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, ["bare", "default"]);
    assert_eq!(collections[0].settings.candidate_hamming_distance, 5);
    assert!(!collections[0].settings.keep_bodies);
    assert!(!data.join("db").exists());

    let submitted = engine.submit(submission(&name, "another", tolls())).await.unwrap();
    assert_eq!(submitted.analysis.duplicates.verdict, Verdict::Exact);
    while engine.sweep().await.unwrap() {}
    drop(engine);
    let report = check(&data, |_| {}).unwrap();
    assert_eq!((report.articles, report.problems), (6, vec![]));
}

#[tokio::test]
async fn an_upgrade_that_was_broken_off_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    unpack(&data);
    std::fs::create_dir_all(data.join("tables/keyspaces")).unwrap();
    std::fs::write(data.join("tables/0.jnl"), b"half of something").unwrap();
    let engine = open(&data);
    let id = ArticleId::new("tolls").unwrap();
    engine.get(&CollectionName::default(), &id).await.unwrap();
}

#[tokio::test]
async fn a_backup_of_format_1_is_listed_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backups/old");
    unpack(&backup);
    let listed = backups(&folder.path().join("backups")).unwrap();
    assert_eq!((listed[0].name.as_str(), &listed[0].unusable), ("old", &None));
    let data = folder.path().join("data");
    restore(&backup, &data, |_, _| ()).unwrap();
    assert!(restore(&backup, &data, |_, _| ()).is_err(), "nothing is written over");
    let engine = open(&data);
    let id = ArticleId::new("tolls").unwrap();
    engine.get(&CollectionName::default(), &id).await.unwrap();
    assert!(backup.join("db").exists(), "the backup stays as it was");
}
