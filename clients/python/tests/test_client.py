"""The client library, with threads and with asyncio. Needs a server at NEWSPRINT_ADDR."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import newsprint
import newsprint.aio
import pytest
from newsprint.v1.admin_service_pb2 import GetServerInfoRequest
from newsprint.v1.article_service_pb2 import FindSimilarRequest, SubmitArticleRequest
from newsprint.v1.error_pb2 import ErrorReason
from submit import read_article

TEXTS = Path(__file__).resolve().parents[2] / "articles"


def article(name: str, article_id: str = "") -> newsprint.Article:
    read = read_article(TEXTS / f"{name}.txt")
    read.article_id = article_id or name
    return read


def numbered(count: int) -> Iterator[newsprint.Article]:
    for number in range(count):
        title = f"Pier {number} of {count} is closed for the winter"
        yield newsprint.Article(article_id=f"pier-{number}", title=title)


def test_a_copy_is_told_from_an_original(client, collection):
    first = client.submit(article("harbour-tolls"), collection=collection)
    assert first.analysis.duplicates.verdict == newsprint.Verdict.VERDICT_UNIQUE
    edited = client.analyze(article("harbour-tolls-edited"), collection=collection)
    assert edited.duplicates.verdict == newsprint.Verdict.VERDICT_NEAR_DUPLICATE
    listed = list(client.list_articles(collection=collection))
    assert [stored.article.article_id for stored in listed] == ["harbour-tolls"]


def test_a_fingerprint_goes_there_and_back(client, collection):
    outcome = client.submit(article("harbour-tolls"), collection=collection)
    simhash = outcome.analysis.fingerprint.simhash
    assert simhash > 1 << 53, "or this shows nothing"
    request = FindSimilarRequest(collection=collection, simhash=simhash)
    found = client.articles.FindSimilar(request, timeout=10)
    assert [match.article_id for match in found.matches] == ["harbour-tolls"]


def test_an_article_without_an_id_gets_one_before_it_is_sent(client, collection):
    nameless = newsprint.Article(title="The lighthouse of Orvo goes dark")
    outcome = client.submit(nameless, collection=collection)
    assert outcome.article_id and not nameless.article_id
    ((sent, result),) = client.submit_stream([nameless], collection=collection)
    assert sent.article_id == result.article_id != outcome.article_id


def test_a_batch_tells_of_each_article(client, collection):
    articles = [article("ridge-shelling"), newsprint.Article(article_id="blank")]
    good, bad = client.submit_batch(articles, collection=collection)
    assert good.article_id == "ridge-shelling"
    assert isinstance(bad, newsprint.NewsprintError)
    assert (bad.code, bad.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert [each.field for each in bad.fields] == ["articles[1].title", "articles[1].body"]
    assert not bad.is_passing and bad.retry_after is None


def test_a_refused_call_says_why(client, collection):
    with pytest.raises(newsprint.NewsprintError) as raised:
        client.submit(newsprint.Article(language="?"), collection=collection)
    error = raised.value
    assert error.reason in {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}
    assert {each.field for each in error.fields} == {
        "article.title",
        "article.body",
        "article.language",
    }
    assert str(error).endswith("(INVALID_ARGUMENT, INVALID_FIELDS)")


def test_a_stream_pairs_results_with_articles(client, collection):
    articles = [*numbered(300), newsprint.Article(article_id="blank"), article("stone-oven")]
    results = list(client.submit_stream(articles, collection=collection))
    assert [sent for sent, _ in results] == articles
    errors = [result for _, result in results if isinstance(result, newsprint.NewsprintError)]
    assert [error.reason for error in errors] == ["INVALID_FIELDS"]
    assert results[-1][1].article_id == "stone-oven"


def test_a_stream_takes_no_more_than_its_window(client, collection):
    taken = 0

    def counted() -> Iterator[newsprint.Article]:
        nonlocal taken
        for each in numbered(500):
            taken += 1
            yield each

    stream = client.submit_stream(counted(), collection=collection, window=8)
    for answered, _ in enumerate(stream, 1):
        assert taken <= answered + 8
        if answered == 100:
            stream.close()
    assert answered == 100 and taken <= 108


def test_what_the_articles_raise_comes_out_of_the_stream(client, collection):
    def broken() -> Iterator[newsprint.Article]:
        yield article("stone-oven")
        raise ValueError("the file is cut short")

    with pytest.raises(ValueError, match="cut short"):
        list(client.submit_stream(broken(), collection=collection))


def test_a_call_ends_by_its_deadline(client, collection):
    articles = list(numbered(1000))
    with pytest.raises(newsprint.NewsprintError) as raised:
        client.submit_batch(articles, collection=collection, timeout=0.001)
    assert raised.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_no_server_is_an_error_too():
    with newsprint.Client("127.0.0.1:1", channel_options={"grpc.enable_retries": 0}) as nobody:
        with pytest.raises(newsprint.NewsprintError) as raised:
            nobody.submit(article("stone-oven"))
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE and raised.value.is_passing
    assert raised.value.reason == ""


def test_retry_info_is_read(client):
    from google.protobuf.any_pb2 import Any
    from google.protobuf.duration_pb2 import Duration
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    detail = Any()
    detail.Pack(RetryInfo(retry_delay=Duration(nanos=100_000_000)))
    error = newsprint.NewsprintError(Status(code=8, message="busy", details=[detail]))
    assert error.is_passing and error.retry_after == timedelta(milliseconds=100)


def test_certificates_and_token_open_the_gateway(gateway, collection):
    with newsprint.Client(gateway.address, tls=gateway.tls(), token=gateway.token) as client:
        client.submit(article("stone-oven"), collection=collection)
        results = list(client.submit_stream(numbered(20), collection=collection))
        assert len(results) == 20
        with pytest.raises(newsprint.NewsprintError) as raised:
            client.submit(newsprint.Article(), collection=collection)
        assert raised.value.reason == "INVALID_FIELDS", "details come through a gateway"
    with newsprint.Client(gateway.address, tls=gateway.tls(), token="another") as client:
        with pytest.raises(newsprint.NewsprintError) as raised:
            client.submit(article("stone-oven"), collection=collection)
        assert raised.value.code == grpc.StatusCode.UNAUTHENTICATED


def test_without_its_authority_or_our_certificate_the_gateway_is_closed(gateway):
    no_retries = {"grpc.enable_retries": 0}
    nameless = newsprint.Tls(root_certificates=gateway.tls().root_certificates)
    for tls in [newsprint.Tls(), nameless]:
        with newsprint.Client(
            gateway.address, tls=tls, token=gateway.token, channel_options=no_retries
        ) as client:
            with pytest.raises(newsprint.NewsprintError) as raised:
                client.analyze(article("stone-oven"))
            assert raised.value.code == grpc.StatusCode.UNAVAILABLE


def test_a_token_is_not_sent_in_the_clear(address):
    with pytest.raises(ValueError, match="TLS"):
        newsprint.Client(address, token="a-token")


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_what_passes_is_tried_again(gateway, collection, code):
    # As large as articles get: by default gRPC sends again only what is smaller.
    large = article("stone-oven")
    large.body = "oven " * ((1 << 20) // 5)
    request = SubmitArticleRequest(collection=collection, article=large)
    with newsprint.Client(gateway.address, tls=gateway.tls(), token=gateway.token) as client:
        submit = client.articles.SubmitArticle
        answer = submit(request, timeout=10, metadata=[("x-fail", f"{code} 2")])
        assert answer.article_id == "stone-oven"
        with pytest.raises(grpc.RpcError) as raised:
            submit(request, timeout=30, metadata=[("x-fail", f"{code} 5")])
        assert raised.value.code().name == code


def test_what_is_final_is_not_tried_again(gateway, collection):
    request = SubmitArticleRequest(collection=collection, article=article("stone-oven"))
    with newsprint.Client(gateway.address, tls=gateway.tls(), token=gateway.token) as client:
        with pytest.raises(grpc.RpcError) as raised:
            fails_once = [("x-fail", "INVALID_ARGUMENT 1")]
            client.articles.SubmitArticle(request, timeout=10, metadata=fails_once)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


class TestAio:
    async def test_everything_works_as_with_threads(self, address, collection):
        async with newsprint.aio.Client(address) as client:
            outcome = await client.submit(article("harbour-tolls"), collection=collection)
            assert outcome.analysis.duplicates.verdict == newsprint.Verdict.VERDICT_UNIQUE
            edited = await client.analyze(article("harbour-tolls-edited"), collection=collection)
            assert edited.duplicates.verdict == newsprint.Verdict.VERDICT_NEAR_DUPLICATE
            good, bad = await client.submit_batch(
                [article("ridge-shelling"), newsprint.Article()], collection=collection
            )
            assert good.article_id == "ridge-shelling" and bad.reason == "INVALID_FIELDS"
            basic = newsprint.ArticleView.ARTICLE_VIEW_BASIC
            listed = client.list_articles(collection=collection, view=basic, page_size=1)
            found = [stored.article async for stored in listed]
            assert [each.article_id for each in found] == ["ridge-shelling", "harbour-tolls"]
            assert not any(each.body for each in found)
            info = await client.admin.GetServerInfo(GetServerInfoRequest(), timeout=10)
            assert info.fingerprint_scheme == outcome.analysis.fingerprint.scheme

    async def test_a_refused_call_says_why(self, address, collection):
        async with newsprint.aio.Client(address) as client:
            with pytest.raises(newsprint.NewsprintError) as raised:
                await client.submit(newsprint.Article(language="?"), collection=collection)
            assert raised.value.reason == "INVALID_FIELDS" and len(raised.value.fields) == 3

    async def test_a_stream_takes_no_more_than_its_window(self, address, collection):
        taken = 0

        async def counted() -> AsyncIterator[newsprint.Article]:
            nonlocal taken
            for each in [newsprint.Article(article_id="blank"), *numbered(300)]:
                taken += 1
                yield each

        async with newsprint.aio.Client(address) as client:
            stream = client.submit_stream(counted(), collection=collection, window=8)
            errors = answered = 0
            async for sent, result in stream:
                answered += 1
                assert taken <= answered + 8
                if isinstance(result, newsprint.NewsprintError):
                    errors += 1
                else:
                    assert result.article_id == sent.article_id
            assert (answered, errors) == (301, 1)

    async def test_what_the_articles_raise_comes_out_of_the_stream(self, address, collection):
        def broken() -> Iterator[newsprint.Article]:
            yield article("stone-oven")
            raise ValueError("the file is cut short")

        async with newsprint.aio.Client(address) as client:
            with pytest.raises(ValueError, match="cut short"):
                async for _ in client.submit_stream(broken(), collection=collection):
                    pass

    async def test_certificates_and_token_open_the_gateway(self, gateway, collection):
        async with newsprint.aio.Client(
            gateway.address, tls=gateway.tls(), token=gateway.token
        ) as client:
            await client.submit(article("stone-oven"), collection=collection)
