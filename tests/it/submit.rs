//! What a submission answers and what it leaves behind.

use std::collections::HashSet;

use newsprint::api::pb::find_similar_request::Query;
use newsprint::api::pb::*;
use tonic::Code;

use crate::server::{TestServer, analysis, article, duplicates};
use crate::texts::*;

fn assigned(response: &SubmitArticleResponse) -> HashSet<&str> {
    let classification = analysis(response).classification.as_ref().unwrap();
    let topics = classification.topics.iter().filter(|score| score.assigned);
    topics.map(|score| score.topic.as_str()).collect()
}

#[tokio::test]
async fn one_call_tells_topics_and_novelty() {
    let server = TestServer::start().await;
    let tariff = server.submit(article("tariff", TARIFF_TITLE, TARIFF_BODY)).await;
    let shelling = server.submit(article("shelling", SHELLING_TITLE, SHELLING_BODY)).await;
    let regatta = server.submit(article("regatta", REGATTA_TITLE, REGATTA_BODY)).await;

    assert_eq!(assigned(&tariff), HashSet::from(["politics", "trade"]));
    assert_eq!(assigned(&shelling), HashSet::from(["conflict"]));
    assert_eq!(assigned(&regatta), HashSet::new());
    for response in [&tariff, &shelling, &regatta] {
        assert_eq!(duplicates(response).verdict(), Verdict::Unique);
        assert_eq!(duplicates(response).matches, []);
        assert_eq!(duplicates(response).canonical_article_id, response.article_id);
        assert_eq!((response.collection.as_str(), response.revision), ("default", 1));
        assert!(!response.replayed);
        let classification = analysis(response).classification.as_ref().unwrap();
        assert_eq!(classification.reliability(), Reliability::Reliable);
        assert_eq!(classification.detected_language, "en");
        let probabilities: Vec<f64> =
            classification.topics.iter().map(|score| score.probability).collect();
        assert!(probabilities.is_sorted_by(|a, b| a >= b), "{probabilities:?}");
        assert!(probabilities.iter().all(|probability| (0.0..=1.0).contains(probability)));
        for score in &classification.topics {
            let logit: f64 = score.evidence.iter().map(|evidence| evidence.weight).sum();
            let probability = 1.0 / (1.0 + (-logit).exp());
            assert!((probability - score.probability).abs() < 1e-3, "{score:?}");
        }
        let fingerprint = analysis(response).fingerprint.as_ref().unwrap();
        assert_eq!(fingerprint.scheme, "np-simhash64-v2");
        assert!(fingerprint.simhash.is_some());
    }
}

#[tokio::test]
async fn the_same_id_and_content_is_a_replay() {
    let server = TestServer::start().await;
    let first = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    let again = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert!(again.replayed);
    assert_eq!(again.submit_time, first.submit_time);
    assert_eq!(again.revision, 1);
    assert_eq!(duplicates(&again).verdict(), Verdict::Unique);
    assert_eq!(duplicates(&again).story_id, duplicates(&first).story_id);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_the_next_revision() {
    let server = TestServer::start().await;
    let first = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    let second = server.submit(article("a", SHELLING_TITLE, SHELLING_BODY)).await;
    assert_eq!((second.revision, second.replayed), (2, false));
    assert_eq!(duplicates(&second).verdict(), Verdict::Unique);
    assert_eq!(
        duplicates(&second).story_id,
        duplicates(&first).story_id,
        "the article's own story"
    );

    let old_text = server.submit(article("b", TARIFF_TITLE, TARIFF_BODY)).await;
    assert_eq!(duplicates(&old_text).verdict(), Verdict::Unique, "the old revision is not matched");
    let new_text = server.submit(article("c", SHELLING_TITLE, SHELLING_BODY)).await;
    assert_eq!(duplicates(&new_text).verdict(), Verdict::ExactDuplicate);
    assert_eq!(duplicates(&new_text).matches[0].article_id, "a");

    let request = GetArticleRequest { collection: String::new(), article_id: "a".into() };
    let stored = server.articles.clone().get_article(request).await.unwrap().into_inner().stored;
    let stored = stored.unwrap();
    assert_eq!(stored.revision, 2);
    assert_eq!(stored.article.unwrap().title, SHELLING_TITLE);
}

#[tokio::test]
async fn copies_are_told_apart_by_kind() {
    let server = TestServer::start().await;
    let with_footer = format!("{TARIFF_BODY}{FOOTER}");
    let original =
        Article { source: "Courier".into(), ..article("wire", TARIFF_TITLE, &with_footer) };
    let original = server.submit(original).await;

    let exact = server.submit(article("copy", TARIFF_TITLE, &with_footer)).await;
    assert_eq!(duplicates(&exact).verdict(), Verdict::ExactDuplicate);
    let shouted = server
        .submit(article("shouted", &TARIFF_TITLE.to_uppercase(), &format!("<p>{with_footer}</p>")))
        .await;
    assert_eq!(duplicates(&shouted).verdict(), Verdict::ExactDuplicate, "same words");

    let near = Article {
        source: "Courier".into(),
        ..article("edited", "Steel duties: Norland acts", TARIFF_BODY)
    };
    let near = server.submit(near).await;
    let report = duplicates(&near);
    assert_eq!(report.verdict(), Verdict::NearDuplicate, "headline changed and footer gone");
    assert_eq!(report.story_id, duplicates(&original).story_id);
    assert_eq!(report.canonical_article_id, "wire");
    let to_original = report.matches.iter().find(|found| found.article_id == "wire").unwrap();
    assert!(to_original.same_source);
    assert!(to_original.similarity > 0.6 && to_original.containment > 0.9, "{to_original:?}");
    let overlap: i32 = to_original.overlaps.iter().map(|overlap| overlap.end - overlap.start).sum();
    assert!(overlap as usize > TARIFF_BODY.len() * 9 / 10, "{overlap} of {}", TARIFF_BODY.len());

    let other =
        server.submit(article("other", SHELLING_TITLE, &format!("{SHELLING_BODY}{FOOTER}"))).await;
    assert_eq!(duplicates(&other).verdict(), Verdict::Unique, "only the footer is shared");
}

#[tokio::test]
async fn too_few_words_are_never_a_duplicate() {
    let server = TestServer::start().await;
    for id in ["a", "b"] {
        let response = server.submit(article(id, "Photo gallery", "😀")).await;
        assert_eq!(duplicates(&response).verdict(), Verdict::InsufficientText);
        assert_eq!(duplicates(&response).matches, []);
        let analysis = analysis(&response);
        assert_eq!(analysis.fingerprint.as_ref().unwrap().simhash, None);
        let classification = analysis.classification.as_ref().unwrap();
        assert_eq!(classification.reliability(), Reliability::InsufficientText);
        assert!(classification.topics.iter().all(|score| !score.assigned));
    }
}

#[tokio::test]
async fn an_unknown_language_gets_no_topics() {
    let server = TestServer::start().await;
    let body = "Regeringen beslutade på tisdagen om högre tullar på stål. Ministern sade att \
        förhandlingarna hade misslyckats och att man inte längre hade något annat val än att \
        handla. Oppositionen lovade motstånd och krävde en omröstning i riksdagen före sommaren.";
    let response = server.submit(article("sv", "Tullarna på stål höjs", body)).await;
    let classification = analysis(&response).classification.as_ref().unwrap();
    assert_eq!(classification.reliability(), Reliability::UnsupportedLanguage);
    assert_eq!(classification.detected_language, "sv");
    assert!(classification.topics.iter().all(|score| !score.assigned));
    let copy = server.submit(article("sv-2", "Tullarna på stål höjs", body)).await;
    assert_eq!(duplicates(&copy).verdict(), Verdict::ExactDuplicate);
}

#[tokio::test]
async fn a_language_is_believed_as_far_as_the_words_are_of_it() {
    let server = TestServer::start().await;
    let body = "Die Regierung hat am Dienstag höhere Zölle auf Stahl beschlossen. Der Minister \
        sagte, die Verhandlungen über das Handelsabkommen seien gescheitert, und die Exporte in die \
        USA gingen zurück. Die Opposition verlangte eine Abstimmung im Parlament.";
    let mut said = Vec::new();
    for (id, language) in [("none", ""), ("right", "de-AT"), ("wrong", "en")] {
        let article = Article { language: language.into(), ..article(id, "Zölle steigen", body) };
        let response = server.submit(article).await;
        let mut classification = analysis(&response).classification.clone().unwrap();
        assert_eq!(classification.reliability(), Reliability::Reliable);
        let expected = if language.is_empty() { "de" } else { language };
        assert_eq!(std::mem::take(&mut classification.detected_language), expected);
        said.push(classification);
    }
    assert_eq!(said[0].topics[0].threshold, said[2].topics[0].threshold);
    assert!(said.iter().all(|it| it == &said[0]), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_parallel_copies_one_is_unique() {
    let server = TestServer::start().await;
    let copies = (0..100).map(|number| {
        let id = format!("copy-{number}");
        let client = server.articles.clone();
        tokio::spawn(async move {
            let request = SubmitArticleRequest {
                article: Some(article(&id, TARIFF_TITLE, TARIFF_BODY)),
                ..SubmitArticleRequest::default()
            };
            client.clone().submit_article(request).await.unwrap().into_inner()
        })
    });
    let mut verdicts = Vec::new();
    let mut stories = HashSet::new();
    for copy in copies.collect::<Vec<_>>() {
        let response = copy.await.unwrap();
        verdicts.push(duplicates(&response).verdict());
        stories.insert(duplicates(&response).story_id.clone());
    }
    let count = |verdict| verdicts.iter().filter(|&&found| found == verdict).count();
    assert_eq!((count(Verdict::Unique), count(Verdict::ExactDuplicate)), (1, 99));
    assert_eq!(stories.len(), 1);
}

#[tokio::test]
async fn analyzing_remembers_nothing() {
    let server = TestServer::start().await;
    let analyze = async || {
        let request = AnalyzeArticleRequest {
            article: Some(article("", TARIFF_TITLE, TARIFF_BODY)),
            ..AnalyzeArticleRequest::default()
        };
        let response = server.articles.clone().analyze_article(request).await.unwrap();
        response.into_inner().analysis.unwrap().duplicates.unwrap()
    };
    assert_eq!(analyze().await.verdict(), Verdict::Unique);
    assert_eq!(analyze().await.verdict(), Verdict::Unique);
    let kept = server.submit(article("kept", TARIFF_TITLE, TARIFF_BODY)).await;
    let report = analyze().await;
    assert_eq!(report.verdict(), Verdict::ExactDuplicate);
    assert_eq!(report.story_id, duplicates(&kept).story_id);

    let itself = AnalyzeArticleRequest {
        article: Some(article("kept", TARIFF_TITLE, TARIFF_BODY)),
        ..AnalyzeArticleRequest::default()
    };
    let itself = server.articles.clone().analyze_article(itself).await.unwrap().into_inner();
    assert_eq!(itself.analysis.unwrap().duplicates.unwrap().verdict(), Verdict::Unique);
}

#[tokio::test]
async fn a_collection_is_a_wall() {
    let server = TestServer::start().await;
    server.submit_to("one", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    let elsewhere = server.submit_to("two", article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert_eq!(duplicates(&elsewhere).verdict(), Verdict::Unique);
    assert!(!elsewhere.replayed);
    let request = GetArticleRequest { collection: "three".into(), article_id: "a".into() };
    let status = server.articles.clone().get_article(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_batch_answers_for_each_article_in_order() {
    let server = TestServer::start().await;
    let articles = vec![
        article("first", TARIFF_TITLE, TARIFF_BODY),
        article("bad\nid", TARIFF_TITLE, TARIFF_BODY),
        article("copy", TARIFF_TITLE, TARIFF_BODY),
        article("empty", " ", ""),
        article("other", REGATTA_TITLE, REGATTA_BODY),
    ];
    let request = BatchSubmitArticlesRequest { articles, ..Default::default() };
    let response = server.articles.clone().batch_submit_articles(request).await.unwrap();
    use batch_submit_articles_result::Result as Item;
    let results: Vec<String> = response
        .into_inner()
        .results
        .into_iter()
        .map(|result| match result.result.unwrap() {
            Item::Outcome(outcome) => {
                format!("{} {:?}", outcome.article_id, duplicates(&outcome).verdict())
            }
            Item::Error(error) => {
                assert_eq!(error.details.len(), 2, "ErrorInfo and BadRequest");
                format!("{:?} {}", Code::from(error.code), error.message)
            }
        })
        .collect();
    assert_eq!(
        results,
        [
            "first Unique",
            "InvalidArgument articles[1].article_id must not contain control characters",
            "copy ExactDuplicate",
            "InvalidArgument articles[3].title must not be blank if the body is; \
             articles[3].body must not be blank if the title is",
            "other Unique",
        ]
    );
}

#[tokio::test]
async fn a_stream_answers_in_order_and_survives_bad_articles() {
    let server = TestServer::start().await;
    let request = |article| SubmitArticleStreamRequest { article, ..Default::default() };
    let mut requests = Vec::new();
    for number in 0..200 {
        requests.push(match number % 10 {
            3 => request(None),
            7 => request(Some(article(&format!("{number}\u{7}"), TARIFF_TITLE, ""))),
            _ => request(Some(article(&number.to_string(), TARIFF_TITLE, TARIFF_BODY))),
        });
    }
    let mut client = server.articles.clone();
    let answers = client.submit_article_stream(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    for number in 0..200 {
        use submit_article_stream_response::Result as Item;
        let answer = answers.message().await.unwrap().expect("an answer for each request");
        match (number % 10, answer.result.unwrap()) {
            (3, Item::Error(error)) => {
                assert_eq!(answer.article_id, "");
                assert_eq!(error.message, "article must be set");
            }
            (7, Item::Error(_)) => assert_eq!(answer.article_id, format!("{number}\u{7}")),
            (_, Item::Outcome(outcome)) => assert_eq!(outcome.article_id, number.to_string()),
            (_, result) => panic!("{number}: {result:?}"),
        }
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn articles_are_listed_latest_first_and_page_by_page() {
    let server = TestServer::start().await;
    let mut client = server.articles.clone();
    for number in 0..10 {
        let (title, body) = if number % 3 == 0 {
            (SHELLING_TITLE, SHELLING_BODY)
        } else {
            (REGATTA_TITLE, REGATTA_BODY)
        };
        server.submit(article(&number.to_string(), title, body)).await;
    }
    let ids = |response: &ListArticlesResponse| -> Vec<String> {
        let articles = response.articles.iter();
        articles.map(|stored| stored.article.clone().unwrap().article_id).collect()
    };
    let first = ListArticlesRequest { page_size: 4, ..Default::default() };
    let page = client.list_articles(first.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["9", "8", "7", "6"]);
    server.submit(article("late", TARIFF_TITLE, TARIFF_BODY)).await;
    let next =
        ListArticlesRequest { page_token: page.next_page_token, page_size: 4, ..first.clone() };
    let page = client.list_articles(next.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["5", "4", "3", "2"], "a new article shifts nothing");
    let next = ListArticlesRequest { page_token: page.next_page_token, ..next };
    let page = client.list_articles(next).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["1", "0"]);
    assert_eq!(page.next_page_token, "");

    let conflict = ListArticlesRequest { topic: "conflict".into(), ..Default::default() };
    let page = client.list_articles(conflict).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["9", "6", "3", "0"]);
    let time = page.articles[1].submit_time;
    let before = ListArticlesRequest {
        topic: "conflict".into(),
        submitted_before: time,
        ..Default::default()
    };
    assert_eq!(ids(&client.list_articles(before).await.unwrap().into_inner()), ["3", "0"]);
    let after = ListArticlesRequest { submitted_from: time, page_size: 2, ..Default::default() };
    let page = client.list_articles(after).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["late", "9"]);

    let story_id = page.articles[1].analysis.clone().unwrap().duplicates.unwrap().story_id;
    let story = ListArticlesRequest { story_id, ..Default::default() };
    let page = client.list_articles(story).await.unwrap().into_inner();
    assert_eq!(ids(&page), ["9", "6", "3", "0"]);

    let full = client.list_articles(first.clone()).await.unwrap().into_inner().articles;
    assert_eq!(full[0].article.as_ref().unwrap().body, TARIFF_BODY);
    let basic = ListArticlesRequest { view: ArticleView::Basic.into(), ..first };
    let mut basic = client.list_articles(basic).await.unwrap().into_inner().articles;
    for (basic, full) in basic.iter_mut().zip(&full) {
        let (basic, full) = (basic.article.as_mut().unwrap(), full.article.as_ref().unwrap());
        assert_eq!(basic.body, "");
        basic.body = full.body.clone();
    }
    assert_eq!(basic, full, "nothing but the body is left out");

    let nowhere = ListArticlesRequest { collection: "nowhere".into(), ..Default::default() };
    assert_eq!(client.list_articles(nowhere).await.unwrap().into_inner(), Default::default());
}

#[tokio::test]
async fn a_story_goes_on_without_its_canonical_article() {
    let server = TestServer::start().await;
    let mut client = server.articles.clone();
    let mut story_id = String::new();
    for id in ["a", "b", "c"] {
        let body = format!("{TARIFF_BODY} Reported by {id}.");
        story_id =
            duplicates(&server.submit(article(id, TARIFF_TITLE, &body)).await).story_id.clone();
    }
    let request =
        GetStoryRequest { story_id: story_id.clone(), page_size: 1, ..Default::default() };
    let ids = |stored: &[StoredArticle]| -> Vec<String> {
        stored.iter().map(|stored| stored.article.clone().unwrap().article_id).collect()
    };
    let story = client.get_story(request.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&story.canonical.into_iter().collect::<Vec<_>>()), ["a"]);
    assert_eq!(ids(&story.members), ["b"]);
    let basic = GetStoryRequest { view: ArticleView::Basic.into(), ..request.clone() };
    let basic = client.get_story(basic).await.unwrap().into_inner();
    let stored = basic.canonical.iter().chain(&basic.members);
    assert!(stored.clone().count() > 1);
    assert!(stored.into_iter().all(|stored| stored.article.as_ref().unwrap().body.is_empty()));
    let next = GetStoryRequest { page_token: story.next_page_token, ..request.clone() };
    let story = client.get_story(next).await.unwrap().into_inner();
    assert_eq!((ids(&story.members), story.next_page_token.as_str()), (vec!["c".into()], ""));

    let delete = |id: &str| DeleteArticleRequest { article_id: id.into(), ..Default::default() };
    client.delete_article(delete("a")).await.unwrap();
    let story = client.get_story(request.clone()).await.unwrap().into_inner();
    assert_eq!(ids(&story.canonical.into_iter().collect::<Vec<_>>()), ["b"]);
    let body = format!("{TARIFF_BODY} Reported by d.");
    let joined = server.submit(article("d", TARIFF_TITLE, &body)).await;
    assert_eq!(duplicates(&joined).story_id, story_id);
    assert_eq!(duplicates(&joined).canonical_article_id, "b");

    assert_eq!(client.delete_article(delete("a")).await.unwrap_err().code(), Code::NotFound);
    for id in ["b", "c", "d"] {
        client.delete_article(delete(id)).await.unwrap();
    }
    assert_eq!(client.get_story(request).await.unwrap_err().code(), Code::NotFound);
    let again = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert_eq!(duplicates(&again).verdict(), Verdict::Unique, "what is deleted is not matched");
    assert_ne!(duplicates(&again).story_id, story_id);
}

#[tokio::test]
async fn similar_articles_are_found_by_id_and_by_fingerprint() {
    let server = TestServer::start().await;
    let mut client = server.articles.clone();
    let tariff = server.submit(article("tariff", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit(article("copy", "Another headline", TARIFF_BODY)).await;
    let regatta = server.submit(article("regatta", REGATTA_TITLE, REGATTA_BODY)).await;
    let code = |response| analysis(response).fingerprint.as_ref().unwrap().simhash.unwrap();
    let distance = (code(&tariff) ^ code(&regatta)).count_ones() as i32;

    let by_id = FindSimilarRequest {
        query: Some(Query::ArticleId("tariff".into())),
        ..FindSimilarRequest::default()
    };
    let found = client.find_similar(by_id.clone()).await.unwrap().into_inner();
    assert_eq!(found.matches.len(), 1);
    assert_eq!(found.matches[0].article_id, "copy");
    assert_eq!(found.matches[0].hamming_distance, Some(0));

    for (radius, expected) in [(distance - 1, 2), (distance, 3), (64, 3)] {
        let by_code = FindSimilarRequest {
            query: Some(Query::Simhash(code(&tariff))),
            max_hamming_distance: radius,
            ..FindSimilarRequest::default()
        };
        let found = client.find_similar(by_code).await.unwrap().into_inner();
        assert_eq!((found.matches.len(), found.truncated), (expected, false), "radius {radius}");
    }
    let one = FindSimilarRequest { max_hamming_distance: 64, max_matches: 1, ..by_id };
    let found = client.find_similar(one).await.unwrap().into_inner();
    assert_eq!((found.matches.len(), found.truncated), (1, true));
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = TestServer::start_on(data.path(), Default::default()).await;
    let first = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    server.submit(article("b", REGATTA_TITLE, REGATTA_BODY)).await;
    server.stop().await.unwrap();

    let server = TestServer::start_on(data.path(), Default::default()).await;
    let replay = server.submit(article("a", TARIFF_TITLE, TARIFF_BODY)).await;
    assert!(replay.replayed);
    assert_eq!(replay.submit_time, first.submit_time);
    let copy = server.submit(article("c", "Steel duties", TARIFF_BODY)).await;
    assert_eq!(duplicates(&copy).verdict(), Verdict::NearDuplicate);
    assert_eq!(duplicates(&copy).story_id, duplicates(&first).story_id);
    let info = server.admin.clone().get_server_info(GetServerInfoRequest {}).await.unwrap();
    assert_eq!((info.get_ref().article_count, info.get_ref().story_count), (3, 2));
}
