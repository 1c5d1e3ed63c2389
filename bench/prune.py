"""Pruning under load: a relay with a retention removes nine of ten notifications while others are sent and delivered.

One relay, a hundred streams, a hundred commits a second, each to one recipient. When the old rows are gone, those that
are young must all be there, and every row that was sent must have arrived once, at most 250 ms after its commit.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench import report, swarm
from bench.relay import Relay
from bench.stage import BODY, TITLE, Background, Stage, parser, stage

RECIPIENTS = 100
RATE = 100
RETENTION_DAYS = 30
AFTER_SECONDS = 20
LATE_MILLISECONDS = 250.0
BATCH = 500_000
FILL = """
INSERT INTO belfry.notification (recipient, topic, kind, title, body, created_at)
SELECT CASE WHEN n %% 10 < 7 THEN 'u' || n %% 100000 END, CASE WHEN n %% 10 < 7 THEN NULL ELSE 't' || n %% 1000 END,
    'bench.row', %(title)s, %(body)s, now() - CASE WHEN n < %(old)s THEN interval '60 days' ELSE interval '1 day' END
FROM generate_series(%(first)s::bigint, %(last)s) AS n
"""
INSERT = """
INSERT INTO belfry.notification (recipient, kind, title, body) VALUES (%s, 'bench.row', %s, %s) RETURNING id
"""
LEFT = """
SELECT EXISTS (SELECT FROM belfry.notification WHERE created_at < now() - interval '30 days'
    AND id IN (SELECT id FROM belfry.notification ORDER BY id LIMIT 1))
"""


def fill(connection: psycopg.Connection[Any], rows: int, kept: int) -> None:
    """Old rows, then young ones; everything settled and vacuumed."""
    for first in range(0, rows, BATCH):
        last = min(first + BATCH, rows) - 1
        values = {"title": TITLE, "body": BODY, "old": rows - kept, "first": first, "last": last}
        connection.execute(FILL, values)
    connection.execute("SELECT belfry.settle()")
    connection.execute("VACUUM (ANALYZE) belfry.notification")
    connection.execute("CHECKPOINT")


class Load:
    """A hundred commits a second until `stop()`; the ids with the moment of each commit."""

    def __init__(self, url: str) -> None:
        self.sent: dict[int, float] = {}
        self._sender: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True)
        self._background = Background(RATE, self._commit)

    def _commit(self, n: int) -> None:
        row = self._sender.execute(INSERT, (f"bench{n % RECIPIENTS}", TITLE, BODY)).fetchone()
        assert row
        self.sent[row[0]] = time.monotonic()

    def stop(self) -> dict[int, float]:
        """Send no more; what was sent."""
        self._background.stop()
        self._sender.close()
        return self.sent


def judge(result: report.Report, when: str, sent: dict[int, float], streams: swarm.Swarm) -> float:
    """Every row once; how late they were. The slowest, in milliseconds."""
    streams.wait_rows(len(sent), 20)
    arrived = [pair for each in zip(streams.ids(), streams.times(), strict=True) for pair in zip(*each, strict=True)]
    result.check(sorted(sent) == sorted(number for number, _ in arrived), f"{when}: what arrived is not what was sent")
    late = [1000 * (at - sent[number]) for number, at in arrived if number in sent]
    result.figures[f"{when}: commits"] = len(sent)
    for q in (50, 99, 100):
        result.figures[f"{when}: p{q} ms from commit to client"] = report.percentile(late, q)
    streams.clear()
    return max(late)


def prune(on: Stage, result: report.Report, rows: int, kept: int, timeout: float) -> None:
    """Start the relay, send until the old rows are gone, and a little longer for comparison."""
    url = on.server.url(on.dbname, "bench_relay") if on.server.own else on.url
    log = Path("/tmp/belfry-bench-prune.log")
    log.unlink(missing_ok=True)
    relay = Relay(url, log=log, settings={"BELFRY_RETENTION_DAYS": str(RETENTION_DAYS), "BELFRY_LOG_LEVEL": "info"})
    targets = on.targets([f"bench{n}" for n in range(RECIPIENTS)], relay)
    with contextlib.ExitStack() as stack:
        watcher = stack.enter_context(psycopg.connect(on.url, autocommit=True))
        streams = stack.enter_context(swarm.Swarm(targets))
        relay.start()
        stack.callback(relay.stop)
        streams.open()
        load, began = Load(on.sender_url), time.monotonic()
        while watcher.execute(LEFT).fetchall()[0][0] and time.monotonic() - began < timeout:
            time.sleep(1)
        took, sent = time.monotonic() - began, load.stop()
        left = watcher.execute("SELECT count(*) FROM belfry.notification").fetchall()[0][0]
        result.check(left == kept + len(sent), f"{left} rows are left after {took:.0f} s, not {kept + len(sent)}")
        slowest = judge(result, "while it prunes", sent, streams)
        load = Load(on.sender_url)
        time.sleep(AFTER_SECONDS)
        judge(result, "afterwards", load.stop(), streams)
    result.figures["rows removed"], result.figures["seconds"] = rows - kept, took
    result.figures["million rows a day"] = (rows - kept) / took * 86_400 / 1e6
    late = f"{slowest:.0f} ms"
    result.mark(f"no delivery later than {LATE_MILLISECONDS:.0f} ms", slowest < LATE_MILLISECONDS, late)


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("prune", __doc__)
    options.add_argument("--rows", type=int, default=10_000_000)
    options.add_argument("--kept", type=int, default=0, help="how many are young; a tenth by default")
    options.add_argument("--timeout", type=float, default=3600)
    given = options.parse_args(arguments)
    result = report.Report("prune")
    with stage(0) as on:
        kept = given.kept or given.rows // 10
        with psycopg.connect(on.url, autocommit=True) as connection:
            fill(connection, given.rows, kept)
        prune(on, result, given.rows, kept, given.timeout)
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
