"""Submits articles to newsprint and prints what it answers.

    python submit.py [--addr HOST:PORT] [--collection NAME] FILE...

The first line of a file is the article's title, the rest its body. The file's name is its id, so
submitting it again is safe: the first answer is repeated.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import newsprint
from newsprint.v1.article_service_pb2 import SubmitArticleResponse

VERDICTS = {
    newsprint.Verdict.VERDICT_UNIQUE: "new",
    newsprint.Verdict.VERDICT_EXACT_DUPLICATE: "exact duplicate",
    newsprint.Verdict.VERDICT_NEAR_DUPLICATE: "near duplicate",
    newsprint.Verdict.VERDICT_PARTIAL_DUPLICATE: "partial duplicate",
    newsprint.Verdict.VERDICT_INSUFFICIENT_TEXT: "too short to tell",
}


def read_article(path: Path) -> newsprint.Article:
    title, _, body = path.read_text(encoding="utf-8").strip().partition("\n")
    return newsprint.Article(article_id=path.name, title=title, body=body.strip())


def describe(response: SubmitArticleResponse) -> str:
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


def explain(error: newsprint.NewsprintError) -> str:
    """Says what was wrong, field by field where the server names fields."""
    return "\n".join([str(error), *(f"  {each.field} {each.description}" for each in error.fields)])


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit articles to newsprint.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    default = os.environ.get("NEWSPRINT_ADDR", newsprint.DEFAULT_ADDRESS)
    parser.add_argument("--addr", default=default)
    parser.add_argument("--collection", default="")
    args = parser.parse_args()
    failures = 0

    def readable() -> Iterator[newsprint.Article]:
        nonlocal failures
        for path in args.files:
            try:
                yield read_article(path)
            except (OSError, UnicodeDecodeError) as error:
                failures += 1
                print(f"{path}: cannot be read: {error}", file=sys.stderr)

    with newsprint.Client(args.addr) as client:
        try:
            for article, result in client.submit_stream(readable(), collection=args.collection):
                if isinstance(result, newsprint.NewsprintError):
                    failures += 1
                    print(f"{article.article_id}: {explain(result)}", file=sys.stderr)
                else:
                    print(describe(result))
        except newsprint.NewsprintError as error:
            print(explain(error), file=sys.stderr)
            return 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
