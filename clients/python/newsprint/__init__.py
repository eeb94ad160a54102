"""A client for newsprint: what is a news article about, and was it seen before?

    import newsprint

    with newsprint.Client("localhost:50051") as client:
        outcome = client.submit(newsprint.Article(article_id="courier-4711", title="…", body="…"))
        print(outcome.analysis.duplicates.verdict)

`newsprint.aio.Client` is the same for asyncio, `newsprint.v1` the whole contract as generated.
"""

from newsprint._channel import DEFAULT_ADDRESS, DEFAULT_TIMEOUT, Tls
from newsprint._client import Client
from newsprint._errors import FieldViolation, NewsprintError
from newsprint.v1.article_pb2 import (
    AnalysisOptions,
    Article,
    ArticleView,
    MatchKind,
    Reliability,
    Verdict,
)

__all__ = [
    "DEFAULT_ADDRESS",
    "DEFAULT_TIMEOUT",
    "AnalysisOptions",
    "Article",
    "ArticleView",
    "Client",
    "FieldViolation",
    "MatchKind",
    "NewsprintError",
    "Reliability",
    "Tls",
    "Verdict",
]
