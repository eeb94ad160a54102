"""The client for programs with threads."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import grpc

from newsprint._channel import (
    DEFAULT_ADDRESS,
    DEFAULT_TIMEOUT,
    DEFAULT_WINDOW,
    Tls,
    credentials,
    options,
)
from newsprint._errors import NewsprintError, raised_as_ours
from newsprint._messages import Result, result_of, with_id
from newsprint.v1.admin_service_pb2_grpc import AdminServiceStub
from newsprint.v1.article_pb2 import Analysis, AnalysisOptions, Article, StoredArticle
from newsprint.v1.article_service_pb2 import (
    AnalyzeArticleRequest,
    BatchSubmitArticlesRequest,
    ListArticlesRequest,
    SubmitArticleRequest,
    SubmitArticleResponse,
    SubmitArticleStreamRequest,
)
from newsprint.v1.article_service_pb2_grpc import ArticleServiceStub


class Client:
    """A connection to newsprint, to be shared by all threads of a program.

    Refusals raise NewsprintError. Those that pass (the server starts, or is overloaded) are tried
    again, five times over some four seconds.

    `articles` and `admin` are the stubs of the two services, for all else the contract has. They
    raise grpc.RpcError, of which NewsprintError.of_call makes ours, and have no deadline of their
    own: pass `timeout`.
    """

    articles: ArticleServiceStub
    admin: AdminServiceStub

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        channel_options: dict[str, Any] | None = None,
    ) -> None:
        """Connects with the first call, and again whenever the connection is lost.

        `timeout` is the seconds that a call may take if it is told nothing else. `token` is sent
        as a bearer token. `channel_options` are those of gRPC, such as "grpc.keepalive_time_ms".
        """
        secure = credentials(tls, token)
        if secure is None:
            self._channel = grpc.insecure_channel(address, options(channel_options))
        else:
            self._channel = grpc.secure_channel(address, secure, options(channel_options))
        self._timeout = timeout
        self.articles = ArticleServiceStub(self._channel)
        self.admin = AdminServiceStub(self._channel)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and all calls in work."""
        self._channel.close()

    def submit(
        self,
        article: Article,
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> SubmitArticleResponse:
        """Analyses an article, looks for duplicates of it, and remembers it."""
        request = SubmitArticleRequest(
            collection=collection, article=with_id(article), options=options
        )
        with raised_as_ours():
            return self.articles.SubmitArticle(request, timeout=timeout or self._timeout)

    def analyze(
        self,
        article: Article,
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> Analysis:
        """The same, but remembers nothing."""
        request = AnalyzeArticleRequest(collection=collection, article=article, options=options)
        with raised_as_ours():
            answer = self.articles.AnalyzeArticle(request, timeout=timeout or self._timeout)
        return answer.analysis

    def submit_batch(
        self,
        articles: Iterable[Article],
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        """Submits up to 1,000 articles in one call.

        Each has a result of its own, in their order: an outcome, or the error of that article.
        """
        request = BatchSubmitArticlesRequest(
            collection=collection, articles=map(with_id, articles), options=options
        )
        with raised_as_ours():
            answer = self.articles.BatchSubmitArticles(request, timeout=timeout or self._timeout)
        return [result_of(result) for result in answer.results]

    def submit_stream(
        self,
        articles: Iterable[Article],
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
        window: int = DEFAULT_WINDOW,
    ) -> Iterator[tuple[Article, Result]]:
        """Submits any number of articles, and yields each with its result, in their order.

        Articles are taken from the iterable, on another thread, as results are taken from this
        one: at most `window` of them are on their way. An article at fault has its error as its
        result; if the stream as a whole fails, NewsprintError is raised. Sending the same articles
        again is safe then, if they have ids. The stream has no deadline unless it is given one.
        """
        stream = _Requests(articles, collection, options, window)
        call = self.articles.SubmitArticleStream(stream, timeout=timeout)
        try:
            for answer in call:
                yield stream.answered(), result_of(answer)
        except grpc.RpcError as error:
            if stream.error is not None:
                raise stream.error from None
            raise NewsprintError.of_call(error) from error
        finally:
            stream.stop()
            call.cancel()

    def list_articles(
        self, *, timeout: float | None = None, **query: Any
    ) -> Iterator[StoredArticle]:
        """All articles of a collection, latest first, page by page as they are taken.

        The query is the fields of a ListArticlesRequest: `collection`, `topic`, `view`, …
        """
        request = ListArticlesRequest(**query)
        while True:
            with raised_as_ours():
                page = self.articles.ListArticles(request, timeout=timeout or self._timeout)
            yield from page.articles
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


class _Requests(Iterator[SubmitArticleStreamRequest]):
    """The requests of a stream, which gRPC asks for on a thread of its own."""

    def __init__(
        self,
        articles: Iterable[Article],
        collection: str,
        options: AnalysisOptions | None,
        window: int,
    ) -> None:
        self._articles = iter(articles)
        self._collection = collection
        self._options = options
        self._room = threading.Semaphore(window)
        self._sent: deque[Article] = deque()
        self._stopped = False
        #: What the caller's iterable raised.
        self.error: Exception | None = None

    def __next__(self) -> SubmitArticleStreamRequest:
        self._room.acquire()
        if self._stopped:
            raise StopIteration
        try:
            article = with_id(next(self._articles))
        except StopIteration:
            raise
        except Exception as error:
            self.error = error
            raise
        self._sent.append(article)
        return SubmitArticleStreamRequest(
            collection=self._collection, article=article, options=self._options
        )

    def answered(self) -> Article:
        self._room.release()
        return self._sent.popleft()

    def stop(self) -> None:
        self._stopped = True
        self._room.release()
