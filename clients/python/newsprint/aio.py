"""The client for asyncio: as newsprint.Client, with `await` and `async for`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc
import grpc.aio

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
    """A connection to newsprint, to be shared by all tasks of an event loop."""

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
        secure = credentials(tls, token)
        if secure is None:
            self._channel = grpc.aio.insecure_channel(address, options(channel_options))
        else:
            self._channel = grpc.aio.secure_channel(address, secure, options(channel_options))
        self._timeout = timeout
        self.articles = ArticleServiceStub(self._channel)
        self.admin = AdminServiceStub(self._channel)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    async def submit(
        self,
        article: Article,
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> SubmitArticleResponse:
        request = SubmitArticleRequest(
            collection=collection, article=with_id(article), options=options
        )
        with raised_as_ours():
            return await self.articles.SubmitArticle(request, timeout=timeout or self._timeout)

    async def analyze(
        self,
        article: Article,
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> Analysis:
        request = AnalyzeArticleRequest(collection=collection, article=article, options=options)
        with raised_as_ours():
            answer = await self.articles.AnalyzeArticle(request, timeout=timeout or self._timeout)
        return answer.analysis

    async def submit_batch(
        self,
        articles: Iterable[Article],
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
    ) -> list[Result]:
        request = BatchSubmitArticlesRequest(
            collection=collection, articles=map(with_id, articles), options=options
        )
        with raised_as_ours():
            answer = await self.articles.BatchSubmitArticles(
                request, timeout=timeout or self._timeout
            )
        return [result_of(result) for result in answer.results]

    async def submit_stream(
        self,
        articles: Iterable[Article] | AsyncIterable[Article],
        *,
        collection: str = "",
        options: AnalysisOptions | None = None,
        timeout: float | None = None,
        window: int = DEFAULT_WINDOW,
    ) -> AsyncIterator[tuple[Article, Result]]:
        room = asyncio.Semaphore(window)
        sent: deque[Article] = deque()
        failure: list[Exception] = []

        async def requests() -> AsyncIterator[SubmitArticleStreamRequest]:
            source = _each(articles)
            while True:
                await room.acquire()
                try:
                    article = with_id(await anext(source))
                except StopAsyncIteration:
                    return
                except Exception as error:
                    failure.append(error)
                    call.cancel()
                    return
                sent.append(article)
                yield SubmitArticleStreamRequest(
                    collection=collection, article=article, options=options
                )

        call = self.articles.SubmitArticleStream(requests(), timeout=timeout)
        try:
            async for answer in call:
                room.release()
                yield sent.popleft(), result_of(answer)
        except asyncio.CancelledError:
            if failure:
                raise failure[0] from None
            raise
        except grpc.RpcError as error:
            raise NewsprintError.of_call(error) from error
        finally:
            call.cancel()

    async def list_articles(
        self, *, timeout: float | None = None, **query: Any
    ) -> AsyncIterator[StoredArticle]:
        request = ListArticlesRequest(**query)
        while True:
            with raised_as_ours():
                page = await self.articles.ListArticles(request, timeout=timeout or self._timeout)
            for article in page.articles:
                yield article
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token


async def _each(articles: Iterable[Article] | AsyncIterable[Article]) -> AsyncIterator[Article]:
    if isinstance(articles, AsyncIterable):
        async for article in articles:
            yield article
    else:
        for article in articles:
            yield article
