#!/usr/bin/env python3
"""Measures datasketch's MinHashLSH over Redis: peers/datasketch_redis.py ARTICLES.jsonl[.gz] PORT [COUNT]

The nearest there is to newsprint's store in a cluster: signatures of articles in Redis, shared by
whoever asks. ARTICLES is such as scripts/bench-articles makes, PORT that of a Redis server on this
machine whose data may be lost. Needs `pip install datasketch==2.0.0 redis`. For what newsprint does
on the same articles: newsprint serve --store …, newsprint bench --articles … --addr ….
"""

import gzip
import json
import re
import sys
import time

from datasketch import MinHash, MinHashLSH


def texts(path, count):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for _, line in zip(range(count), lines):
            article = json.loads(line)
            yield f"{article.get('title', '')} {article.get('body') or article.get('text', '')}"


def signature(text):
    words = re.findall(r"\w+", text.lower())
    shingles = {" ".join(words[place : place + 5]).encode() for place in range(len(words) - 4)}
    minhash = MinHash(num_perm=128)
    minhash.update_batch(list(shingles) or [b""])
    return minhash


def timed(what, signatures, work):
    times = []
    for number, one in enumerate(signatures):
        began = time.perf_counter()
        work(number, one)
        times.append(time.perf_counter() - began)
    times.sort()
    mean = sum(times) / len(times)
    print(
        f"{what}: {1 / mean:.0f}/s, mean {1000 * mean:.2f} ms, "
        f"p99 {1000 * times[int(len(times) * 0.99)]:.2f} ms, {len(times)} articles"
    )


def main():
    path, port = sys.argv[1], int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    signatures = [signature(text) for text in texts(path, count)]
    storage = {"type": "redis", "basename": b"peer", "redis": {"host": "127.0.0.1", "port": port}}
    index = MinHashLSH(threshold=0.5, num_perm=128, storage_config=storage)
    timed("insert", signatures, lambda number, one: index.insert(str(number), one))
    timed("query", signatures, lambda number, one: index.query(one))


main()
