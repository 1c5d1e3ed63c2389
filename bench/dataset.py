"""Ten million notifications by set-based SQL: many recipients with topics, some with a hundred thousand items.

| recipient | has |
|---|---|
| `u0` … | an ordinary inbox: direct notifications, ten topics, `*`; most of the newest tenth is unread |
| `fresh` | never did anything: all of it unread |
| `tidy` | read everything, then got a thousand more |
| `picky` | read half of it, notification by notification: receipts, and the watermark that stands for them |
| `keeper` | read everything but a thousand here and there, by id |
| `filer` | archived half of it by id, and read the other half by id |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import psycopg

HEAVY: Final = ("fresh", "tidy", "picky", "keeper", "filer")
TOPICS_EACH: Final = 10
BATCH: Final = 500_000

ROWS = """
INSERT INTO belfry.notification (recipient, topic, kind, title, body, data)
SELECT
    CASE WHEN r.slot < 5 THEN (%(heavy)s::text[])[r.slot + 1]
        WHEN r.slot < 70 THEN 'u' || r.random %% %(recipients)s END,
    CASE WHEN r.slot < 70 THEN NULL WHEN r.n %% %(between)s = 99 THEN '*' ELSE 't' || r.random %% %(topics)s END,
    CASE WHEN r.random %% 3 = 0 THEN 'comment.created' ELSE 'build.finished' END,
    'Somebody answered you', 'A sentence, perhaps two, and a link to where it happened.', '{"comment": 7}'
FROM (SELECT n, n * 61 %% 100 AS slot, abs(hashint8(n)::bigint) AS random
      FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS r
"""
MEMBERS = """
WITH joined AS (
    INSERT INTO belfry.change (recipient, topic, verb)
    SELECT 'u' || n, 't' || (n + k * 977) %% %(topics)s, 'subscribed'
    FROM generate_series(0, %(recipients)s - 1) AS n, generate_series(0, %(each)s - 1) AS k
    RETURNING id, recipient, topic
)
INSERT INTO belfry.subscription (recipient, topic, since) SELECT recipient, topic, id FROM joined
"""
INBOXES = """
INSERT INTO belfry.inbox (recipient, since, seen_through, read_through)
SELECT 'u' || n, 0, settled.through * 19 / 20, settled.through * 9 / 10
FROM belfry.settled, generate_series(0, %(recipients)s - 1) AS n
"""
RECEIPTS = """
INSERT INTO belfry.receipt (recipient, notification_id, seen_at, read_at)
SELECT n.recipient, n.id, now(), now() FROM belfry.notification AS n, belfry.settled
WHERE n.recipient LIKE 'u%' AND n.id > settled.through * 9 / 10 AND n.id % 5 = 0
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is of everything."""

    rows: int

    @property
    def recipients(self) -> int:
        """Ordinary ones: a hundred thousand for ten million rows."""
        return self.rows // 100

    @property
    def topics(self) -> int:
        """A topic has about as many subscribers as an ordinary inbox has rows of a topic."""
        return max(TOPICS_EACH, self.rows // 1000)


def build(connection: psycopg.Connection[Any], size: Size) -> None:
    """Fill an empty database and vacuum it."""
    parameters = {
        "recipients": size.recipients,
        "topics": size.topics,
        "each": TOPICS_EACH,
        "heavy": list(HEAVY),
        "between": max(size.rows // 5000 * 100, 100),
    }
    connection.execute(MEMBERS, parameters)
    for first in range(0, size.rows, BATCH):
        connection.execute(ROWS, {**parameters, "first": first, "last": min(first + BATCH, size.rows) - 1})
    connection.execute("SELECT belfry.settle()")
    connection.execute(INBOXES, parameters)
    connection.execute(RECEIPTS)
    connection.execute("VACUUM (ANALYZE) belfry.notification")
    for recipient, ids, verb in chosen(connection):
        for start in range(0, len(ids), 5000):
            connection.execute(f"SELECT belfry.{verb}(%s, %s)".encode(), (recipient, ids[start : start + 5000]))
    connection.execute("SELECT belfry.mark_all_read('tidy')")
    connection.execute("SELECT belfry.send_many(array_fill('tidy'::text, ARRAY[1000]), 'comment.created')")
    connection.execute("VACUUM (ANALYZE) belfry.notification")
    for table in ("receipt", "subscription", "inbox", "change"):
        connection.execute(f"VACUUM (ANALYZE) belfry.{table}".encode())


def chosen(connection: psycopg.Connection[Any]) -> list[tuple[str, list[int], str]]:
    """What the heavy recipients do by id, in no particular order."""
    found: list[tuple[str, list[int], str]] = []
    for recipient, verb, condition in (
        ("picky", "mark_read", "place %% 2 = 0"),
        ("keeper", "mark_read", "place > 1000"),
        ("filer", "mark_read", "place %% 2 = 0"),
        ("filer", "archive", "place %% 2 = 1"),
    ):
        ids = connection.execute(
            f"SELECT array_agg(id ORDER BY place) FROM (SELECT id, row_number() OVER (ORDER BY hashint8(id)) AS place"
            f" FROM belfry.notification WHERE recipient = %s) AS mine WHERE {condition}".encode(),
            (recipient,),
        ).fetchall()[0][0]
        found.append((recipient, ids or [], verb))
    return found
