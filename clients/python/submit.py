"""Submits articles to newsprint and prints what it answers.

    python submit.py [--addr HOST:PORT] [--collection NAME] FILE...

The first line of a file is the article's title, the rest its body. The file's name is its id, so
submitting it again is safe: the first answer is repeated.
"""

import argparse
import os
import sys
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from newsprint.v1 import article_pb2, article_service_pb2, article_service_pb2_grpc

VERDICTS = {
    article_pb2.VERDICT_UNIQUE: "new",
    article_pb2.VERDICT_EXACT_DUPLICATE: "exact duplicate",
    article_pb2.VERDICT_NEAR_DUPLICATE: "near duplicate",
    article_pb2.VERDICT_PARTIAL_DUPLICATE: "partial duplicate",
    article_pb2.VERDICT_INSUFFICIENT_TEXT: "too short to tell",
}

TIMEOUT_SECONDS = 10

# Any call may be sent again, so the library may do it for us while the server starts.
RETRY = """{
  "methodConfig": [{
    "name": [{"service": "newsprint.v1.ArticleService"}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}"""


def read_article(path: Path) -> article_pb2.Article:
    title, _, body = path.read_text(encoding="utf-8").strip().partition("\n")
    return article_pb2.Article(article_id=path.name, title=title, body=body.strip())


def describe(response: article_service_pb2.SubmitArticleResponse) -> str:
    """Puts an answer into a few lines."""
    analysis = response.analysis
    assigned = [
        f"{score.topic} {score.probability:.0%}"
        for score in analysis.classification.topics
        if score.assigned
    ]
    duplicates = analysis.duplicates
    # A verdict of a later server that this client does not know is shown as its number.
    verdict = VERDICTS.get(duplicates.verdict, f"verdict {duplicates.verdict}")
    lines = [
        f"{response.article_id}: {verdict}{', seen before' if response.replayed else ''}",
        f"  topics: {', '.join(assigned) or 'none'}",
    ]
    lines += [
        f"  like {match.article_id} ({match.similarity:.0%} shared): {match.title}"
        for match in duplicates.matches
    ]
    return "\n".join(lines)


def explain(error: grpc.RpcError) -> str:
    """Says what was wrong, field by field where the server names fields."""
    lines = [f"{error.code().name}: {error.details()}"]
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        bad_request = error_details_pb2.BadRequest()
        if detail.Unpack(bad_request):
            lines += [f"  {each.field} {each.description}" for each in bad_request.field_violations]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit articles to newsprint.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--addr", default=os.environ.get("NEWSPRINT_ADDR", "127.0.0.1:50051"))
    parser.add_argument("--collection", default="")
    args = parser.parse_args()

    failures = 0
    with grpc.insecure_channel(args.addr, [("grpc.service_config", RETRY)]) as channel:
        service = article_service_pb2_grpc.ArticleServiceStub(channel)
        for path in args.files:
            try:
                request = article_service_pb2.SubmitArticleRequest(
                    collection=args.collection, article=read_article(path)
                )
                print(describe(service.SubmitArticle(request, timeout=TIMEOUT_SECONDS)))
            except grpc.RpcError as error:
                failures += 1
                print(f"{path}: {explain(error)}", file=sys.stderr)
            except (OSError, UnicodeDecodeError) as error:
                failures += 1
                print(f"{path}: cannot be read: {error}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
