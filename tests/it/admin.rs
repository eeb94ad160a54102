//! What those who run the server can ask and do.

use newsprint::api::pb::*;
use tonic::Code;

use crate::server::{TestServer, article, duplicates};
use crate::texts::*;

#[tokio::test]
async fn the_server_says_what_it_is() {
    let server = TestServer::start().await;
    server.submit_to("one", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit_to("two", article("b", TARIFF_TITLE, TARIFF_BODY)).await;
    let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    let info = info.into_inner();
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(info.fingerprint_scheme, "np-simhash64-v1");
    assert!(info.model_version.starts_with("np-topics-1-"), "{}", info.model_version);
    let topics: Vec<&str> = info.topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(topics, ["conflict", "politics", "trade"]);
    assert_eq!((info.collection_count, info.article_count, info.story_count), (2, 2, 2));
    let limits = info.limits.unwrap();
    assert_eq!((limits.title_bytes_max, limits.body_bytes_max), (4096, 1 << 20));
    assert_eq!((limits.message_bytes_max, limits.fingerprint_words_min), (4 << 20, 5));
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
