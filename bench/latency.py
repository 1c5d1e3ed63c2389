"""Latency from commit to callback, one stream: idle (a commit each 50 to 100 ms), and 200 commits a second.

The clock starts when the server has acknowledged the commit, and also when the COMMIT was sent (which includes the
flush). Every row must arrive once. Marks: idle p50 under 2 ms and p99 under 10 ms, busy p50 under 8 ms.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from bench import report, swarm
from bench.stage import BODY, TITLE, Stage, paced, parser, stage

INSERT = """
INSERT INTO belfry.notification (recipient, kind, title, body) VALUES ('u1', 'bench.row', %s, %s) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Sent:
    """A row, when its COMMIT was sent and when it was acknowledged."""

    id: int
    asked: float
    acknowledged: float


def commit(conn: psycopg.Connection[tuple[int]]) -> Sent:
    """One row in one transaction."""
    conn.execute("BEGIN")
    row = conn.execute(INSERT, (TITLE, BODY)).fetchone()
    asked = time.monotonic()
    conn.execute("COMMIT")
    assert row
    return Sent(row[0], asked, time.monotonic())


def stretch(on: Stage, streams: swarm.Swarm, result: report.Report, name: str, act: Callable[..., list[Sent]]) -> None:
    """Send, wait, and put the percentiles into the report."""
    streams.clear()
    with psycopg.connect(on.sender_url, autocommit=True) as conn:
        sent = act(conn)
    streams.wait_rows(len(sent), 10)
    arrived = dict(zip(streams.ids()[0], streams.times()[0], strict=True))
    found = swarm.differences([[one.id for one in sent]], streams.ids())
    result.check(not found, f"{name}: {dict(found)}")
    for what in ("acknowledged", "asked"):
        times = [(arrived[one.id] - getattr(one, what)) * 1000 for one in sent if one.id in arrived]
        for q in (50, 99):
            result.figures[f"{name}: p{q} ms from COMMIT {what}"] = report.percentile(times, q)


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("latency", __doc__)
    options.add_argument(
        "--rows", type=int, default=200, help="of the idle stretch; the busy one has ten times as many"
    )
    given = options.parse_args(arguments)
    result, rng = report.Report("latency"), random.Random(1)

    def idle(conn: psycopg.Connection[tuple[int]]) -> list[Sent]:
        sent: list[Sent] = []
        for _ in range(given.rows):
            time.sleep(rng.uniform(0.05, 0.1))
            sent.append(commit(conn))
        return sent

    def busy(conn: psycopg.Connection[tuple[int]]) -> list[Sent]:
        sent: list[Sent] = []
        paced(200, given.rows / 20, lambda _: sent.append(commit(conn)))
        return sent

    with stage() as on, swarm.Swarm(on.targets(["u1"])) as streams:
        streams.open()
        time.sleep(1)
        stretch(on, streams, result, "idle", idle)
        stretch(on, streams, result, "200/s", busy)
    p50, p99 = (result.figures[f"idle: p{q} ms from COMMIT acknowledged"] for q in (50, 99))
    many = result.figures["200/s: p50 ms from COMMIT acknowledged"]
    result.mark("idle p50 under 2 ms", p50 < 2, f"{p50:.2f} ms")
    result.mark("idle p99 under 10 ms", p99 < 10, f"{p99:.2f} ms")
    result.mark("200 commits a second: p50 under 8 ms", many < 8, f"{many:.2f} ms")
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
