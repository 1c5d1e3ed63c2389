"""A page, the counts and a broadcast in a large database: ten million notifications, unless --rows says otherwise.

Checks: the counts of a sample of recipients are those of a plain query over all rows and receipts.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, LiteralString

import psycopg

from bench import dataset
from bench.dataset import HEAVY, Size
from bench.postgres import cluster, database
from bench.report import Report, percentile

# The builder vacuums when it is done; an autovacuum at the same time would keep it from marking pages all-visible.
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "16GB", "synchronous_commit": "off", "autovacuum": "off"}
VISIBLE = "SELECT 100.0 * relallvisible / relpages FROM pg_class WHERE oid = 'belfry.notification'::regclass"
PLAIN = """
SELECT count(*) FILTER (WHERE NOT read AND NOT archived), count(*) FILTER (WHERE NOT seen AND NOT archived),
    count(*) FILTER (WHERE NOT archived)
FROM (
    SELECT coalesce(c.read_at < 'infinity', n.id <= box.read_through) AS read,
        coalesce(c.seen_at < 'infinity', n.id <= box.seen_through) AS seen,
        coalesce(c.archived_at < 'infinity', n.id <= box.archived_through) AS archived
    FROM belfry.inbox AS box JOIN belfry.notification AS n ON n.recipient = box.recipient
        OR n.topic = '*' AND n.id > box.since
        OR n.topic IN (SELECT topic FROM belfry.subscription AS s WHERE s.recipient = box.recipient AND s.since < n.id)
    LEFT JOIN belfry.receipt AS c ON c.recipient = box.recipient AND c.notification_id = n.id
    WHERE box.recipient = %s
) AS item
"""
ASKED: dict[str, LiteralString] = {
    "counts": "SELECT * FROM belfry.counts(%(recipient)s)",
    "page": "SELECT * FROM belfry.list_inbox(%(recipient)s)",
    "page of unread": "SELECT * FROM belfry.list_inbox(%(recipient)s, 'unread')",
    "page of read": "SELECT * FROM belfry.list_inbox(%(recipient)s, 'read')",
    "page in the middle": "SELECT * FROM belfry.list_inbox(%(recipient)s, before => %(middle)s)",
}
Connection = psycopg.Connection[Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.size", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="notifications; recipients are a hundredth of it")
    parser.add_argument("--sample", type=int, default=500, help="ordinary recipients that are asked")
    parser.add_argument("--strict", action="store_true", help="a missed mark fails the run")
    parser.add_argument("--json", help="file for the figures")
    args = parser.parse_args(arguments)
    size, report = Size(args.rows), Report("size")
    with cluster(SETTINGS) as server, database(server) as name:
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            began = time.monotonic()
            dataset.build(connection, size)
            report.figures["rows"] = size.rows
            report.figures["built in s"] = time.monotonic() - began
            report.figures["database GB"] = asked(connection, "SELECT pg_database_size(current_database())") / 1e9
            report.figures["pages all-visible %"] = float(asked(connection, VISIBLE))
        with psycopg.connect(server.url(name, "bench_sender") if server.own else server.url(name)) as sender:
            sender.autocommit = True
            with psycopg.connect(server.url(name), autocommit=True) as owner:
                measure(report, sender, owner, size, args.sample)
    return report.finish(strict=args.strict, json_path=args.json)


def asked(connection: Connection, query: str, *parameters: object) -> Any:
    return connection.execute(query.encode(), parameters or None).fetchall()[0][0]


def measure(report: Report, sender: Connection, owner: Connection, size: Size, sample: int) -> None:
    """All figures; the sender has only its functions, the owner looks into the tables."""
    chooser = random.Random(7)
    ordinary = [f"u{chooser.randrange(size.recipients)}" for _ in range(sample)]
    ordinary_marks(report, sender, ordinary, size.rows // 2)
    for recipient in HEAVY:
        heavy_marks(report, sender, owner, recipient)
    badges(report, owner, ordinary[:200])
    broadcast(report, sender, owner)
    for recipient in (*HEAVY, *ordinary[:5]):
        got = sender.execute("SELECT * FROM belfry.counts(%s)", (recipient,)).fetchall()[0]
        plain = owner.execute(PLAIN, (recipient,)).fetchall()[0]
        report.check(got == plain, f"counts of {recipient} are {got}, a plain query says {plain}")
        check_list(report, sender, recipient, got[0])


def check_list(report: Report, sender: Connection, recipient: str, unread: int) -> None:
    """The list of what is unread has as many rows as the counts say, none twice."""
    found: list[int] = []
    while page := sender.execute(
        "SELECT id FROM belfry.list_inbox(%s, 'unread', %s, 1000)", (recipient, found[-1] if found else None)
    ).fetchall():
        found += [row[0] for row in page]
    report.check(len(found) == unread, f"{recipient} has {unread} unread, the list {len(found)}")
    report.check(found == sorted(set(found), reverse=True), f"the list of {recipient} is out of order or repeats")


def everything(connection: Connection, query: LiteralString, parameters: dict[str, Any]) -> list[Any]:
    return connection.execute(query, parameters, prepare=True).fetchall()


def timed(work: Callable[[], object], times: int = 1) -> list[float]:
    """Milliseconds of each time, a round trip included."""
    found: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return found


def ordinary_marks(report: Report, sender: Connection, recipients: Sequence[str], middle: int) -> None:
    """Inboxes as most people have them."""
    for name, query in ASKED.items():
        took: list[float] = []
        for recipient in recipients:
            took += timed(partial(everything, sender, query, {"recipient": recipient, "middle": middle}))
        report.figures[f"{name} p50 ms"] = percentile(took, 50)
        report.figures[f"{name} p95 ms"] = percentile(took, 95)
        if name in ("counts", "page"):
            report.mark(f"{name} p95 under 10 ms", percentile(took, 95) < 10, f"{percentile(took, 95):.2f} ms")
    unread = [sender.execute("SELECT unread FROM belfry.counts(%s)", (r,)).fetchall()[0][0] for r in recipients]
    report.figures["their unread, median"] = percentile(unread, 50)


def heavy_marks(report: Report, sender: Connection, owner: Connection, recipient: str) -> None:
    """An inbox of a hundredth of all rows."""
    unread, unseen, total = sender.execute("SELECT * FROM belfry.counts(%s)", (recipient,)).fetchall()[0]
    receipts = asked(owner, "SELECT count(*) FROM belfry.receipt WHERE recipient = %s", recipient)
    report.figures[f"{recipient}: unread, unseen, total, receipts"] = f"{unread:,} {unseen:,} {total:,} {receipts:,}"
    counted = timed(lambda: sender.execute("SELECT * FROM belfry.counts(%s)", (recipient,)).fetchall(), 40)
    scope = json.dumps([{"recipient": recipient}])
    badge = timed(lambda: owner.execute("SELECT * FROM belfry.badges(%s)", (scope,)).fetchall(), 40)
    paged = timed(lambda: sender.execute("SELECT * FROM belfry.list_inbox(%s)", (recipient,)).fetchall(), 40)
    report.figures[f"{recipient}: counts, badge, page p95 ms"] = " ".join(
        f"{percentile(took, 95):.2f}" for took in (counted, badge, paged)
    )
    limit = 10 if unread <= 1000 else 100
    for name, took in (("counts", counted), ("badge", badge)):
        p95 = percentile(took, 95)
        report.mark(f"{name} of {recipient} p95 under {limit} ms", p95 < limit, f"{p95:.2f} ms")
    report.mark(f"page of {recipient} p95 under 10 ms", percentile(paged, 95) < 10, f"{percentile(paged, 95):.2f} ms")


def badges(report: Report, owner: Connection, recipients: Sequence[str]) -> None:
    """Many badges at once, as a relay asks for them."""
    scopes = json.dumps([{"recipient": each} for each in recipients])
    took = timed(lambda: owner.execute("SELECT * FROM belfry.badges(%s)", (scopes,)).fetchall(), 10)
    report.figures[f"{len(recipients)} badges p50 ms"] = percentile(took, 50)


def broadcast(report: Report, sender: Connection, owner: Connection) -> None:
    """One row for everyone."""
    count = "SELECT count(*) FROM belfry.notification WHERE topic = '*'"
    before = asked(owner, count)
    took = timed(lambda: sender.execute("SELECT belfry.broadcast('news')"), 100)
    report.check(asked(owner, count) == before + 100, "a broadcast is not one row")
    report.figures["broadcast p95 ms"] = percentile(took, 95)
    report.mark("broadcast p95 under 5 ms", percentile(took, 95) < 5, f"{percentile(took, 95):.2f} ms")


if __name__ == "__main__":
    raise SystemExit(main())
