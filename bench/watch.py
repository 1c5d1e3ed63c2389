"""What a watch costs the application: an UPDATE of 10,000 rows with none, and with one that few, or all, rows match.

The table has what one of orders has: a key, and an index on its owner and on its status.
The three take turns, each on a table of the same shape, so that what else the machine does falls on all alike. After
every statement what was sent must be exactly the rows that match, each with its own values.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from bench import report
from bench.stage import parser, stage

TABLE = """
CREATE TABLE {name} (
    id bigint PRIMARY KEY, owner text NOT NULL, status text NOT NULL, total_cents integer NOT NULL,
    note text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now())
"""
INDEXES = """
CREATE INDEX ON {name} (owner, id);
CREATE INDEX ON {name} (status, changed_at)
"""
FILL = "INSERT INTO {name} SELECT n, 'u' || n, 'paid', n, repeat('x', 200) FROM generate_series(1, {rows}) AS n"
RESET = "UPDATE {name} SET status = 'paid'"
UPDATE = "UPDATE {name} SET status = 'shipped', changed_at = now()"
WATCH = """
SELECT belfry.watch('{name}', 'update', recipient => 'owner', kind => '{name}.shipped',
    title => 'Order {{id}} was {{status}}', action_url => '/orders/{{id}}',
    condition => $$old.status <> new.status AND new.status = 'shipped' AND new.id % {every} = 0$$)
"""
WRONG = """
SELECT count(*) FROM (SELECT id FROM {name} WHERE id % {every} = 0) AS o
FULL JOIN (SELECT * FROM belfry.notification WHERE kind = '{name}.shipped') AS n
    ON n.title = 'Order ' || o.id || ' was shipped' AND n.recipient = 'u' || o.id AND n.action_url = '/orders/' || o.id
WHERE o.id IS NULL OR n.id IS NULL
"""
TABLES = {"plain": 0, "few": 100, "every": 1}


def ask(connection: psycopg.Connection[Any], query: str, **names: object) -> list[Any]:
    """Run one of the statements above; its rows, where it has any."""
    cursor = connection.execute(query.format(**names).encode())
    return cursor.fetchall() if cursor.description else []


def prepare(connection: psycopg.Connection[Any], rows: int) -> None:
    """Three tables alike, two of them watched."""
    for name, every in TABLES.items():
        ask(connection, TABLE, name=name)
        ask(connection, INDEXES, name=name)
        ask(connection, FILL, name=name, rows=rows)
        if every:
            ask(connection, WATCH, name=name, every=every)


def timed(connection: psycopg.Connection[Any], name: str) -> float:
    """Milliseconds of one UPDATE with its commit, on a table that was vacuumed."""
    ask(connection, RESET, name=name)
    connection.execute("DELETE FROM belfry.notification")
    for table in (name, "belfry.notification"):
        ask(connection, "VACUUM (ANALYZE) {name}", name=table)
    connection.execute("CHECKPOINT")
    began = time.perf_counter()
    ask(connection, UPDATE, name=name)
    return 1000 * (time.perf_counter() - began)


def measure(connection: psycopg.Connection[Any], result: report.Report, turns: int) -> dict[str, list[float]]:
    """What each turn took, in another order each time, after a first one that warms up."""
    took: dict[str, list[float]] = {name: [] for name in TABLES}
    names = list(TABLES)
    for turn in range(turns + 1):
        names = names[1:] + names[:1]
        for name in names:
            spent = timed(connection, name)
            if turn:
                took[name].append(spent)
            check(connection, result, name)
    failed = ask(connection, "SELECT message FROM belfry.watch_failure")
    result.check(not failed, f"a watch failed: {failed[:1]}")
    return took


def check(connection: psycopg.Connection[Any], result: report.Report, name: str) -> None:
    """What was sent is what matches."""
    sent = "SELECT count(*) FROM belfry.notification"
    every = TABLES[name]
    wrong = ask(connection, WRONG, name=name, every=every) if every else ask(connection, sent)
    result.check(wrong == [(0,)], f"{name}: {wrong[0][0]} rows are not what should have been sent")


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("watch", __doc__)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--turns", type=int, default=5)
    given = options.parse_args(arguments)
    result = report.Report("watch")
    with stage(0) as on, psycopg.connect(on.url, autocommit=True) as connection:
        prepare(connection, given.rows)
        took = measure(connection, result, given.turns)
    for name, each in took.items():
        result.figures[f"{name}: ms, median of {given.turns}"] = statistics.median(each)
    few, every = (
        statistics.median(one / plain for one, plain in zip(took[name], took["plain"], strict=True))
        for name in ("few", "every")
    )
    result.mark("1 % match: less than 1.2 times", few < 1.2, f"{few:.2f}")
    result.mark("all match: less than 3 times", every < 3, f"{every:.2f}")
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
