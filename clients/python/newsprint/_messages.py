"""Requests and results, the same with threads and with asyncio."""

import uuid

from newsprint._errors import NewsprintError
from newsprint.v1.article_pb2 import Article
from newsprint.v1.article_service_pb2 import (
    BatchSubmitArticlesResult,
    SubmitArticleResponse,
    SubmitArticleStreamResponse,
)

#: What became of one article of several.
Result = SubmitArticleResponse | NewsprintError


def with_id(article: Article) -> Article:
    """The article, under an id of its own if it has none.

    A call whose answer was lost is sent again by the retry policy. Without an id that would be
    another article, and a duplicate of itself.
    """
    if article.article_id:
        return article
    named = Article(article_id=str(uuid.uuid4()))
    named.MergeFrom(article)
    return named


def result_of(answer: BatchSubmitArticlesResult | SubmitArticleStreamResponse) -> Result:
    if answer.WhichOneof("result") == "outcome":
        return answer.outcome
    return NewsprintError.of_item(answer.error)
