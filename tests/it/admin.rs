//! What those who run the server can ask and do.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use newsprint::api::pb::*;
use newsprint::config::Config;
use newsprint::model::Model;
use tonic::Code;

use crate::server::{TestServer, analysis, article, duplicates, test_config};
use crate::texts::*;

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = TestServer::start().await;
    server.submit_to("one", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit_to("two", article("b", TARIFF_TITLE, TARIFF_BODY)).await;
    let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    let info = info.into_inner();
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(info.fingerprint_scheme, "np-simhash64-v2");
    assert_eq!(info.kernel, newsprint::kernel::Kernel::active().name());
    assert!(info.model_version.starts_with("np-topics-2-"), "{}", info.model_version);
    assert_eq!(info.languages[0], "en");
    let mut languages = info.languages.clone();
    languages.sort();
    assert_eq!(languages, ["ar", "de", "en", "es", "fr", "pt", "ru", "tr", "zh"]);
    let topics: Vec<&str> = info.topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(topics, ["conflict", "politics", "trade"]);
    assert_eq!((info.collection_count, info.article_count, info.story_count), (2, 2, 2));
    let limits = info.limits.unwrap();
    assert_eq!((limits.title_bytes_max, limits.body_bytes_max), (4096, 1 << 20));
    assert_eq!((limits.message_bytes_max, limits.fingerprint_words_min), (4 << 20, 5));
    assert_eq!((limits.memory_bytes_max, limits.connection_count_max), (512 << 20, 4096));
    let seconds = |duration: Option<prost_types::Duration>| duration.map(|time| time.seconds);
    assert_eq!(seconds(limits.idle_max), Some(900));
    assert_eq!((seconds(limits.receive_max), seconds(limits.answer_max)), (Some(60), Some(60)));
    assert_eq!(limits.connection_age_max, None, "any age");
}

#[tokio::test]
async fn collections_are_listed_set_up_and_deleted() {
    let server = TestServer::start().await;
    let mut admin = server.admin.clone();
    let settings = CollectionSettings {
        retention: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        keep_bodies: Some(false),
        ..Default::default()
    };
    let request = UpdateCollectionRequest { collection: "lean".into(), settings: Some(settings) };
    let made = admin.update_collection(request).await.unwrap().into_inner().collection.unwrap();
    assert_eq!(made.settings.unwrap().keep_bodies, Some(false));

    server.submit_to("lean", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    let get = GetArticleRequest { collection: "lean".into(), article_id: "a".into() };
    let stored = server.articles.clone().get_article(get.clone()).await.unwrap().into_inner();
    assert_eq!(stored.stored.unwrap().article.unwrap().body, "");
    let copy = server.submit_to("lean", article("b", "Other headline", TARIFF_BODY)).await;
    assert_eq!(duplicates(&copy).verdict(), Verdict::NearDuplicate, "bodies are not needed for it");

    server.submit(article("c", TARIFF_TITLE, TARIFF_BODY)).await;
    let list = ListCollectionsRequest { page_size: 1, ..Default::default() };
    let page = admin.list_collections(list.clone()).await.unwrap().into_inner();
    assert_eq!(page.collections[0].collection, "default");
    let list = ListCollectionsRequest { page_token: page.next_page_token, ..list };
    let page = admin.list_collections(list).await.unwrap().into_inner();
    assert_eq!(page.collections[0].collection, "lean");
    assert_eq!((page.collections[0].article_count, page.collections[0].story_count), (2, 1));
    assert_eq!(page.next_page_token, "");

    let delete = DeleteCollectionRequest { collection: "lean".into() };
    admin.delete_collection(delete.clone()).await.unwrap();
    assert_eq!(admin.delete_collection(delete).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(server.articles.clone().get_article(get).await.unwrap_err().code(), Code::NotFound);
    let again = server.submit_to("lean", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert_eq!(duplicates(&again).verdict(), Verdict::Unique, "the name begins anew");
}

#[tokio::test]
async fn settings_out_of_range_are_refused() {
    let server = TestServer::start().await;
    let settings = CollectionSettings {
        retention: Some(prost_types::Duration { seconds: 59, nanos: 0 }),
        candidate_hamming_distance: Some(17),
        near_threshold: Some(1.0),
        partial_threshold: Some(f64::NAN),
        ..Default::default()
    };
    let request = UpdateCollectionRequest { settings: Some(settings), ..Default::default() };
    let status = server.admin.clone().update_collection(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    for field in ["retention", "candidate_hamming_distance", "near_threshold", "partial_threshold"]
    {
        assert!(status.message().contains(&format!("settings.{field}")), "{}", status.message());
    }
}

#[tokio::test]
async fn without_a_model_file_there_is_nothing_to_reload() {
    let server = TestServer::start().await;
    let reload = server.admin.clone().reload_model(ReloadModelRequest {}).await.unwrap_err();
    assert_eq!(reload.code(), Code::FailedPrecondition);
}

/// The built-in model with another summary, and so of another version.
fn model_file(summary: &str) -> Vec<u8> {
    let mut model = Model::from_bytes(include_bytes!("../../models/topics.bin")).unwrap();
    model.summary = Some(summary.to_owned());
    model.to_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_swapped_under_load_without_a_failed_call() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.bin");
    let models = [model_file("one"), model_file("other")];
    std::fs::write(&file, &models[0]).unwrap();
    let config = Config { model: Some(file.clone()), ..test_config(&folder.path().join("data")) };
    let server = TestServer::start_as(config).await;
    let mut admin = server.admin.clone();

    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|caller| {
            let (mut client, stop) = (server.articles.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut versions = HashSet::new();
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("{caller}-{calls}");
                    let article = Some(article(&id, TARIFF_TITLE, TARIFF_BODY));
                    let request = SubmitArticleRequest { article, ..Default::default() };
                    let answer = client.submit_article(request).await.unwrap().into_inner();
                    let classification = answer.analysis.unwrap().classification.unwrap();
                    versions.insert(classification.model_version);
                    calls += 1;
                }
                versions
            })
        })
        .collect();
    let mut expected = HashSet::new();
    let mut current = String::new();
    for round in 0..10 {
        let whole = &models[(round + 1) % 2];
        std::fs::write(&file, whole).unwrap();
        let reloaded = admin.reload_model(ReloadModelRequest {}).await.unwrap().into_inner();
        assert_ne!(reloaded.model_version, reloaded.previous_model_version);
        current = reloaded.model_version;
        expected.extend([current.clone(), reloaded.previous_model_version]);

        let mut torn = whole.clone();
        torn[1000 * (round + 1)] ^= 1;
        for refused in [&torn[..], &whole[..whole.len() / 2], b"", b"not a model at all"] {
            std::fs::write(&file, refused).unwrap();
            let status = admin.reload_model(ReloadModelRequest {}).await.unwrap_err();
            assert_eq!(status.code(), Code::FailedPrecondition, "{}", status.message());
            assert!(status.message().contains("model.bin"), "{}", status.message());
        }
        let info = admin.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
        assert_eq!(info.model_version, current, "a refused file changes nothing");
    }
    let last = server.submit(article("last", REGATTA_TITLE, REGATTA_BODY)).await;
    let version = &analysis(&last).classification.as_ref().unwrap().model_version;
    assert_eq!(*version, current);
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        let versions = caller.await.unwrap();
        assert!(versions.is_subset(&expected), "{versions:?}");
    }
}

#[tokio::test]
async fn a_backup_is_a_data_folder_with_everything_in_it() {
    let server = TestServer::start().await;
    let mut admin = server.admin.clone();
    let first = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit_to("other", article("b", REGATTA_TITLE, REGATTA_BODY)).await;
    let name = CreateBackupRequest { name: "nightly".into() };
    let backup = admin.create_backup(name.clone()).await.unwrap().into_inner();
    assert_eq!(backup.article_count, 2);
    assert!(backup.size_bytes > 0);
    server.submit(article("late", REGATTA_TITLE, REGATTA_BODY)).await;
    assert_eq!(admin.create_backup(name).await.unwrap_err().code(), Code::AlreadyExists);
    let outside = CreateBackupRequest { name: "../outside".into() };
    assert_eq!(admin.create_backup(outside).await.unwrap_err().code(), Code::InvalidArgument);

    let report = newsprint::store::check(backup.path.as_ref(), |_| {}).unwrap();
    assert_eq!((report.articles, report.problems), (2, vec![]));
    let restored = TestServer::start_on(backup.path.as_ref(), Default::default()).await;
    let replay = restored.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert!(replay.replayed);
    assert_eq!(replay.submit_time, first.submit_time);
    let info = restored.admin.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    assert_eq!(info.get_ref().article_count, 2);
}

#[tokio::test]
async fn backups_made_at_the_same_time_leave_each_other_alone() {
    let server = TestServer::start().await;
    for number in 0..30 {
        server.submit(article(&format!("a{number}"), TARIFF_TITLE, TARIFF_BODY)).await;
    }
    server.submit_to("dropped", article("b", REGATTA_TITLE, REGATTA_BODY)).await;
    let request = DeleteCollectionRequest { collection: "dropped".into() };
    server.admin.clone().delete_collection(request).await.unwrap();

    let names = ["x.a", "x.b", "nightly", "nightly.partial", "x"];
    let backups = names.map(|name| {
        let mut admin = server.admin.clone();
        async move { admin.create_backup(CreateBackupRequest { name: name.into() }).await.unwrap() }
    });
    for backup in futures_util::future::join_all(backups).await {
        let backup = backup.into_inner();
        assert_eq!(backup.article_count, 30, "{}", backup.path);
        let report = newsprint::store::check(backup.path.as_ref(), |_| {}).unwrap();
        assert_eq!((report.articles, report.problems), (30, vec![]), "{}", backup.path);
    }
}
