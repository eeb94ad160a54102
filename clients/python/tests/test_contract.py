"""The contract as it is on the wire, through the generated stubs. Needs a server at NEWSPRINT_ADDR."""

import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from newsprint.v1 import admin_service_pb2, article_pb2, article_service_pb2
from submit import describe, read_article

CLIENTS = Path(__file__).resolve().parents[2]
TEXTS = CLIENTS / "articles"
TIMEOUT_SECONDS = 10


def article(name: str, **fields: Any) -> article_pb2.Article:
    read = read_article(TEXTS / f"{name}.txt")
    read.MergeFrom(article_pb2.Article(**fields))
    return read


def submit_request(
    collection: str, content: article_pb2.Article
) -> article_service_pb2.SubmitArticleRequest:
    return article_service_pb2.SubmitArticleRequest(collection=collection, article=content)


def details_of(status: status_pb2.Status) -> dict[str, Message]:
    """The details of a status by the names of their types."""
    types = [
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.RequestInfo,
    ]
    found = {}
    for detail in status.details:
        for each in types:
            message = each()
            if detail.Unpack(message):
                found[each.__name__] = message
    assert len(found) == len(status.details), "no other details, and none twice"
    return found


def failure(call: Any, request: Message, **kwargs: Any) -> tuple[grpc.RpcError, dict[str, Message]]:
    """Makes a call that has to fail; returns the error and its details."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=kwargs.pop("timeout", TIMEOUT_SECONDS), **kwargs)
    error = raised.value
    status = rpc_status.from_call(error)
    if status is None:
        return error, {}
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    details = details_of(status)
    assert details["RequestInfo"].request_id, "every error can be found again"
    return error, details


def fields_of(details: dict[str, Message]) -> list[str]:
    return [violation.field for violation in details["BadRequest"].field_violations]


def test_a_new_article_is_unique_and_has_topics(articles, collection):
    request = submit_request(collection, article("harbour-tolls", source="Orvo Gazette"))
    request.options.explain = True
    response = articles.SubmitArticle(request, timeout=TIMEOUT_SECONDS)
    assert (response.collection, response.article_id) == (collection, "harbour-tolls.txt")
    assert (response.revision, response.replayed) == (1, False)
    assert abs(response.submit_time.ToSeconds() - time.time()) < 60

    classification = response.analysis.classification
    assert classification.reliability == article_pb2.RELIABILITY_RELIABLE
    assigned = {score.topic for score in classification.topics if score.assigned}
    assert "politics" in assigned and "conflict" not in assigned
    assert all(score.evidence for score in classification.topics)

    duplicates = response.analysis.duplicates
    assert duplicates.verdict == article_pb2.VERDICT_UNIQUE
    assert duplicates.canonical_article_id == "harbour-tolls.txt"
    assert response.analysis.fingerprint.scheme == "np-simhash64-v2"
    assert response.analysis.fingerprint.HasField("simhash")


def test_copies_are_told_from_originals(articles, collection):
    original = article("harbour-tolls", source="Orvo Gazette")
    first = articles.SubmitArticle(submit_request(collection, original), timeout=TIMEOUT_SECONDS)

    copy = article("harbour-tolls", article_id="copy", source="Orvo Gazette")
    exact = articles.SubmitArticle(submit_request(collection, copy), timeout=TIMEOUT_SECONDS)
    assert exact.analysis.duplicates.verdict == article_pb2.VERDICT_EXACT_DUPLICATE

    edited = article("harbour-tolls-edited", source="Kestria Today")
    near = articles.SubmitArticle(submit_request(collection, edited), timeout=TIMEOUT_SECONDS)
    assert near.analysis.duplicates.verdict == article_pb2.VERDICT_NEAR_DUPLICATE
    assert near.analysis.duplicates.canonical_article_id == original.article_id
    assert near.analysis.duplicates.story_id == first.analysis.duplicates.story_id
    match = near.analysis.duplicates.matches[0]
    assert match.kind == article_pb2.MATCH_KIND_NEAR
    assert match.title == original.title
    assert 0 < match.similarity < 1 and 0 < match.hamming_distance <= 64
    assert not match.same_source

    other = submit_request(collection, article("ridge-shelling"))
    unique = articles.SubmitArticle(other, timeout=TIMEOUT_SECONDS)
    assert unique.analysis.duplicates.verdict == article_pb2.VERDICT_UNIQUE

    story = articles.GetStory(
        article_service_pb2.GetStoryRequest(
            collection=collection, story_id=first.analysis.duplicates.story_id
        ),
        timeout=TIMEOUT_SECONDS,
    )
    assert story.canonical.article == original
    assert [member.article.article_id for member in story.members] == ["copy", edited.article_id]


def test_the_same_submission_again_is_a_replay(articles, collection):
    request = submit_request(collection, article("stone-oven", attributes={"desk": "food"}))
    first = articles.SubmitArticle(request, timeout=TIMEOUT_SECONDS)
    again = articles.SubmitArticle(request, timeout=TIMEOUT_SECONDS)
    assert again.replayed
    again.replayed = False
    assert again == first

    stored = articles.GetArticle(
        article_service_pb2.GetArticleRequest(
            collection=collection, article_id=request.article.article_id
        ),
        timeout=TIMEOUT_SECONDS,
    ).stored
    assert stored.article == request.article
    assert stored.analysis == first.analysis


def test_of_a_hundred_copies_at_once_one_is_unique(articles, collection):
    barrier = threading.Barrier(100)

    def submit(number: int) -> int:
        request = submit_request(collection, article("stone-oven", article_id=f"copy-{number}"))
        barrier.wait()
        response = articles.SubmitArticle(request, timeout=30)
        return response.analysis.duplicates.verdict

    with ThreadPoolExecutor(100) as pool:
        verdicts = Counter(pool.map(submit, range(100)))
    assert verdicts == {article_pb2.VERDICT_UNIQUE: 1, article_pb2.VERDICT_EXACT_DUPLICATE: 99}


def test_errors_carry_their_details(articles, collection):
    blank = article_pb2.Article(article_id="two\nlines", body=" \n")
    error, details = failure(articles.SubmitArticle, submit_request(collection, blank))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    info = details["ErrorInfo"]
    assert (info.domain, info.reason) == ("newsprint", "INVALID_FIELDS")
    assert sorted(fields_of(details)) == ["article.article_id", "article.body", "article.title"]
    assert "RetryInfo" not in details, "trying again would not help"

    missing = article_service_pb2.GetArticleRequest(collection=collection, article_id="nobody")
    error, details = failure(articles.GetArticle, missing)
    assert error.code() == grpc.StatusCode.NOT_FOUND
    assert details["ErrorInfo"].reason == "ARTICLE_NOT_FOUND"


def test_errors_of_a_batch_are_whole_statuses(articles, collection):
    request = article_service_pb2.BatchSubmitArticlesRequest(
        collection=collection,
        articles=[article("ridge-shelling"), article_pb2.Article(), article("stone-oven")],
    )
    response = articles.BatchSubmitArticles(request, timeout=TIMEOUT_SECONDS)
    kinds = [result.WhichOneof("result") for result in response.results]
    assert kinds == ["outcome", "error", "outcome"]
    # An ItemError has the fields and numbers of a google.rpc.Status.
    status = status_pb2.Status.FromString(response.results[1].error.SerializeToString())
    assert grpc.StatusCode.INVALID_ARGUMENT.value[0] == status.code
    details = details_of(status)
    assert details["ErrorInfo"].domain == "newsprint"
    assert fields_of(details) == ["articles[1].title", "articles[1].body"]


class Requests:
    """The requests of a stream, sent one by one as the test goes on."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[article_service_pb2.SubmitArticleStreamRequest] = []
        self._closed = False

    def send(self, collection: str, content: article_pb2.Article) -> None:
        request = article_service_pb2.SubmitArticleStreamRequest(
            collection=collection, article=content
        )
        with self._condition:
            self._waiting.append(request)
            self._condition.notify()

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()

    def __iter__(self) -> "Requests":
        return self

    def __next__(self) -> article_service_pb2.SubmitArticleStreamRequest:
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closed)
            if self._waiting:
                return self._waiting.pop(0)
        raise StopIteration


def test_a_stream_answers_at_once_and_in_order(articles, collection):
    requests = Requests()
    call = articles.SubmitArticleStream(requests, timeout=TIMEOUT_SECONDS)
    # Headers come before anything was sent; without them this would wait until the time is up.
    call.initial_metadata()

    requests.send(collection, article("harbour-tolls"))
    answer = next(call)
    assert answer.article_id == answer.outcome.article_id == "harbour-tolls.txt"

    requests.send(collection, article_pb2.Article(article_id="bell\a", title="Never mind"))
    answer = next(call)
    assert answer.article_id == "bell\a"
    status = status_pb2.Status.FromString(answer.error.SerializeToString())
    assert fields_of(details_of(status)) == ["article.article_id"]

    for number in range(300):
        requests.send(collection, article("stone-oven", article_id=str(number)))
    requests.close()
    answers = list(call)
    assert [answer.outcome.article_id for answer in answers] == [str(n) for n in range(300)]
    verdicts = Counter(answer.outcome.analysis.duplicates.verdict for answer in answers)
    assert verdicts == {article_pb2.VERDICT_UNIQUE: 1, article_pb2.VERDICT_EXACT_DUPLICATE: 299}
    assert call.code() == grpc.StatusCode.OK


def test_a_cancelled_stream_leaves_the_server_as_it_was(articles, collection):
    requests = Requests()
    call = articles.SubmitArticleStream(requests, timeout=TIMEOUT_SECONDS)
    requests.send(collection, article("stone-oven"))
    assert next(call).article_id == "stone-oven.txt"
    call.cancel()
    requests.close()
    again = submit_request(collection, article("stone-oven"))
    assert articles.SubmitArticle(again, timeout=TIMEOUT_SECONDS).replayed


def test_a_deadline_ends_a_call_in_its_own_code(articles, collection):
    error, _ = failure(
        articles.SubmitArticle, submit_request(collection, article("stone-oven")), timeout=0.0001
    )
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    # The library gives up by itself. A deadline that it does not know of is for the server to keep.
    request = article_service_pb2.BatchSubmitArticlesRequest(
        collection=collection,
        articles=[article("stone-oven", article_id=str(n)) for n in range(1000)],
    )
    error, details = failure(
        articles.BatchSubmitArticles, request, timeout=None, metadata=[("grpc-timeout", "1m")]
    )
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert details["ErrorInfo"].reason == "DEADLINE_EXCEEDED"

    requests = Requests()
    began = time.monotonic()
    call = articles.SubmitArticleStream(requests, timeout=0.5)
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    requests.close()
    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 5, "a stream has a deadline too"


def test_too_large_is_refused(articles, collection):
    too_long = article_pb2.Article(title="Too long", body="word " * (5 << 20 >> 2))
    error, details = failure(articles.SubmitArticle, submit_request(collection, too_long))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert details["ErrorInfo"].reason == "MESSAGE_TOO_LARGE"
    assert "RetryInfo" not in details, "trying again would not help"

    # Small on the wire, large when unpacked.
    error, _ = failure(
        articles.SubmitArticle,
        submit_request(collection, too_long),
        compression=grpc.Compression.Gzip,
    )
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    # A message that may pass with a body that may not.
    too_long.body = "word " * (1 << 20 >> 2)
    error, details = failure(articles.SubmitArticle, submit_request(collection, too_long))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert fields_of(details) == ["article.body"]


def test_compressed_calls_are_understood(articles, address, collection):
    request = submit_request(collection, article("stone-oven"))
    compression = grpc.Compression.Gzip
    first = articles.SubmitArticle(request, timeout=TIMEOUT_SECONDS, compression=compression)
    assert first.analysis.duplicates.verdict == article_pb2.VERDICT_UNIQUE
    with grpc.insecure_channel(address, compression=compression) as channel:
        again = channel.unary_unary(
            "/newsprint.v1.ArticleService/SubmitArticle",
            request_serializer=article_service_pb2.SubmitArticleRequest.SerializeToString,
            response_deserializer=article_service_pb2.SubmitArticleResponse.FromString,
        )(request, timeout=TIMEOUT_SECONDS)
    assert again.replayed


def raw_call(channel: grpc.Channel, method: str, message: bytes) -> Any:
    """Sends bytes of our own making."""
    call = channel.unary_unary(f"/newsprint.v1.ArticleService/{method}")
    return call(message, timeout=TIMEOUT_SECONDS)


def test_what_a_newer_client_sends_is_tolerated(channel, articles, collection):
    content = article("stone-oven").SerializeToString()
    # Field 1000, and a fixed field 2000 in the request, neither of which the server knows.
    content += bytes([0xC2, 0x3E, 4]) + b"calm"
    message = submit_request(
        collection, article_pb2.Article.FromString(content)
    ).SerializeToString()
    message += bytes([0x85, 0x7D]) + b"\1\2\3\4"
    response = article_service_pb2.SubmitArticleResponse.FromString(
        raw_call(channel, "SubmitArticle", message)
    )
    assert response.analysis.duplicates.verdict == article_pb2.VERDICT_UNIQUE
    assert articles.SubmitArticle(
        submit_request(collection, article("stone-oven")), timeout=TIMEOUT_SECONDS
    ).replayed, "what is not known does not count as content"


def test_an_answer_of_a_newer_server_is_tolerated():
    report = article_pb2.DuplicateReport.FromString(b"\x08\x63")
    assert report.verdict == 99
    response = article_service_pb2.SubmitArticleResponse(article_id="a")
    response.analysis.duplicates.CopyFrom(report)
    assert "verdict 99" in describe(response)


def test_what_is_no_message_is_refused(channel):
    with pytest.raises(grpc.RpcError) as raised:
        raw_call(channel, "SubmitArticle", b"\xff\xfe no message")
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    details = details_of(rpc_status.from_call(raised.value))
    assert details["ErrorInfo"].reason == "MALFORMED_MESSAGE"

    # A string that is no UTF-8, which Protobuf does not allow.
    with pytest.raises(grpc.RpcError) as raised:
        raw_call(channel, "GetArticle", b"\x12\x02\xc3\x28")
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_an_unknown_method_is_unimplemented(channel):
    with pytest.raises(grpc.RpcError) as raised:
        raw_call(channel, "BurnArticle", b"")
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    details = details_of(rpc_status.from_call(raised.value))
    assert details["ErrorInfo"].reason == "UNKNOWN_METHOD"


def test_health_is_checked_and_watched(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "newsprint.v1.ArticleService", "newsprint.v1.AdminService"]:
        request = health_pb2.HealthCheckRequest(service=service)
        answer = health.Check(request, timeout=TIMEOUT_SECONDS)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
        watch = health.Watch(request, timeout=TIMEOUT_SECONDS)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING, service
        watch.cancel()
    unknown = health_pb2.HealthCheckRequest(service="newsprint.v1.NoService")
    error, _ = failure(health.Check, unknown)
    assert error.code() == grpc.StatusCode.NOT_FOUND


def test_the_server_tells_its_limits(admin):
    request = admin_service_pb2.GetServerInfoRequest()
    info = admin.GetServerInfo(request, timeout=TIMEOUT_SECONDS)
    assert info.limits.body_bytes_max == 1 << 20
    assert info.limits.message_bytes_max == 4 << 20
    assert {topic.topic for topic in info.topics} == {"conflict", "politics", "trade"}


def run_submit(address: str, collection: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, CLIENTS / "python" / "examples" / "submit.py", "--addr", address, "--collection", collection]
    return subprocess.run([*command, *files], capture_output=True, text=True, timeout=30)


def test_the_example_prints_what_it_is_told(address, collection, tmp_path):
    tolls, edited = TEXTS / "harbour-tolls.txt", TEXTS / "harbour-tolls-edited.txt"
    done = run_submit(address, collection, tolls, edited)
    assert (done.returncode, done.stderr) == (0, "")
    assert "harbour-tolls.txt: new\n  topics: " in done.stdout
    assert "harbour-tolls-edited.txt: near duplicate\n" in done.stdout
    assert "  like harbour-tolls.txt (" in done.stdout

    empty = tmp_path / "empty.txt"
    empty.write_text("")
    done = run_submit(address, collection, empty, tmp_path / "missing.txt", tolls)
    assert done.returncode == 1
    assert "INVALID_ARGUMENT" in done.stderr and "  article.title must not be blank" in done.stderr
    assert "missing.txt: cannot be read" in done.stderr
    assert "harbour-tolls.txt: new, seen before" in done.stdout


def test_the_example_says_when_there_is_no_server():
    done = run_submit("127.0.0.1:1", "", TEXTS / "stone-oven.txt")
    assert done.returncode == 1
    assert "UNAVAILABLE" in done.stderr
