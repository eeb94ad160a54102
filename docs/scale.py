#!/usr/bin/env python3
"""What clusters of several sizes serve, simulated from measured costs: docs/scale.py

Replays the way of an article (docs/cluster.md) through queues: replicas of newsprint with some
processors, masters with one thread each, a network between them. Prints the table of docs/scale.md;
with --check it compares instead, and exits with 1 if the page says something else.
"""

import heapq
import random
import sys
from pathlib import Path

# Measured: docs/scale.md says how. Processor time in microseconds.
NEWSPRINT_US = 578  # an article, in newsprint
CALL_US = 68  # a script, on the node that runs it
READ_US = 20  # a command that reads a candidate, the node's work on the network included
LISTS = 21  # of an article
CANDIDATES = 4  # that are read, on average
AFTERWARDS = 1  # calls that nobody waits for
MASTER_BYTES = 8_600  # an article of 3.4 KB, on masters
NETWORK_US = 250  # one way
NEWSPRINT_CORES = 8

# So many articles are simulated at every rate.
ARTICLES = 5_000

# How many masters, how many replicas of newsprint, logical shards of a collection, and articles.
SIZES = [
    (1, 1, 6, 1_000_000),
    (3, 1, 6, 10_000_000),
    (10, 4, 32, 100_000_000),
    (100, 40, 256, 1_000_000_000),
]


class Server:
    """Threads that work off what is given to them in the order it comes."""

    def __init__(self, threads):
        self.free = [0.0] * threads
        self.busy = 0.0

    def work(self, arrival, cost):
        begin = max(arrival, heapq.heappop(self.free))
        heapq.heappush(self.free, begin + cost)
        self.busy += cost
        return begin + cost


def shards_hit(shards, chance):
    """The shards that the lists of an article are on."""
    return {chance.randrange(shards) for _ in range(LISTS)}


def simulate(masters, newsprints, shards, rate, seconds, seed=1):
    """The 99th percentile of what articles take in ms, and how busy the busiest is."""
    chance = random.Random(seed)
    master = [Server(1) for _ in range(masters)]
    newsprint = [Server(NEWSPRINT_CORES) for _ in range(newsprints)]
    events, number = [], 0
    time = 0.0
    while time < seconds * 1e6:
        time += chance.expovariate(rate / 1e6)
        number += 1
        events.append((time, number, "prepare", time))
    heapq.heapify(events)
    took = []

    def call(moment, shard, cost):
        """A round trip to the master of a shard."""
        done = master[shard * masters // shards].work(moment + NETWORK_US, cost)
        return done + NETWORK_US

    while events:
        moment, article, step, began = heapq.heappop(events)
        if step == "prepare":
            done = newsprint[article % newsprints].work(moment, NEWSPRINT_US)
            heapq.heappush(events, (done, article, "publish", began))
        elif step == "publish":
            hit = shards_hit(shards, chance)
            ends = [call(moment, shard, CALL_US) for shard in hit]
            ends.append(call(moment, chance.randrange(shards), CALL_US))
            heapq.heappush(events, (max(ends), article, "read", began))
        elif step == "read":
            ends = [call(moment, chance.randrange(shards), READ_US) for _ in range(CANDIDATES)]
            heapq.heappush(events, (max(ends), article, "commit", began))
        else:
            # The node's replica has it before it is answered.
            end = call(moment, chance.randrange(shards), CALL_US) + 2 * NETWORK_US
            for _ in range(AFTERWARDS):
                call(end, chance.randrange(shards), CALL_US)
            took.append(end - began)
    took.sort()
    busy = [server.busy for server in master]
    busy += [server.busy / NEWSPRINT_CORES for server in newsprint]
    load = max(busy) / (seconds * 1e6)
    return took[int(0.99 * len(took))] / 1000, load


def capacity(masters, newsprints, shards):
    """The highest rate, of two digits, at which 99 of 100 articles take at most 50 ms and no queue
    grows: the busiest thread has work four fifths of the time at most."""
    rate = 100
    for factor in (1.5, 1.05):
        while True:
            seconds = ARTICLES / (rate * factor)
            p99, load = simulate(masters, newsprints, shards, rate * factor, seconds)
            if p99 > 50 or load > 0.8:
                break
            rate *= factor
    digits = 10 ** (len(str(int(rate))) - 2)
    return int(rate) // digits * digits


def table():
    yield "| masters | replicas of newsprint | shards | articles | memory of a master | articles a second |"
    yield "|---|---|---|---|---|---|"
    for masters, newsprints, shards, articles in SIZES:
        gib = articles * MASTER_BYTES / masters / 2**30
        rate = capacity(masters, newsprints, shards)
        yield f"| {masters} | {newsprints} | {shards} | {articles:,} | {gib:.0f} GiB | {rate:,} |"


def main():
    lines = list(table())
    if sys.argv[1:] != ["--check"]:
        print("\n".join(lines))
        return 0
    page = (Path(__file__).parent / "scale.md").read_text(encoding="utf-8")
    missing = [line for line in lines if line not in page]
    for line in missing:
        print(f"docs/scale.md does not say: {line}", file=sys.stderr)
    return 1 if missing else 0


sys.exit(main())
