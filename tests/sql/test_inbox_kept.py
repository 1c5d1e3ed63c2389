"""What is settled is counted once: the total stays exact when some of it is archived, ends, sleeps or is pruned."""

from __future__ import annotations

from typing import Any

import pytest

TOTAL = "SELECT total FROM belfry.counts('u1')"


async def kept(connection: Any, ask: Any) -> list[int]:
    """u1 has nine notifications, read and counted; the ids."""
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    for audience in ({"recipient": "u1"}, {"topic": "t"}, {"topic": "*"}):
        name = "send" if "recipient" in audience else "publish"
        for _ in range(3):
            await ask.call(connection, name, kind="k", **audience)
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await ask.value(connection, "SELECT kept FROM belfry.inbox WHERE recipient = 'u1'") == 9
    return await ask.column(connection, "SELECT id FROM belfry.notification ORDER BY id")


@pytest.mark.parametrize(
    ("does", "left"),
    [
        ("SELECT belfry.archive('u1', %(some)s)", 5),
        ("SELECT belfry.archive('u1', %(some)s); SELECT belfry.unarchive('u1', %(one)s)", 6),
        ("SELECT belfry.archive_all('u1', %(middle)s)", 4),
        ("SELECT belfry.archive_all('u1'); SELECT belfry.unarchive('u1', %(some)s)", 4),
        ("SELECT belfry.archive_all('u1', topics => '{t}')", 3),
        ("SELECT belfry.archive('u1', %(some)s); SELECT belfry.archive_all('u1', %(middle)s)", 2),
        ("SELECT belfry.archive_all('u1'); SELECT belfry.unarchive('u1', %(some)s);"
         " SELECT belfry.archive_all('u1', %(middle)s)", 2),
        ("SELECT belfry.snooze('u1', %(some)s, 'tomorrow')", 5),
        ("SELECT belfry.snooze('u1', %(some)s, 'tomorrow'); SELECT belfry.archive('u1', %(one)s)", 5),
        ("SELECT belfry.retract(unnest(%(some)s::bigint[]))", 5),
        ("SELECT belfry.archive('u1', %(one)s); SELECT belfry.retract(unnest(%(some)s::bigint[]))", 5),
        ("SELECT belfry.snooze('u1', %(one)s, 'tomorrow'); SELECT belfry.retract(unnest(%(some)s::bigint[]))", 5),
        ("UPDATE belfry.notification SET expires_at = 'yesterday' WHERE id = ANY (%(some)s)", 5),
        ("UPDATE belfry.notification SET expires_at = 'tomorrow' WHERE id = ANY (%(some)s)", 9),
        ("SELECT belfry.unsubscribe('u1', 't'); SELECT belfry.publish('t', 'k')", 9),
        ("SELECT belfry.unsubscribe('u1', 't'); SELECT belfry.publish('t', 'k', expires_at => 'yesterday')", 9),
        ("SELECT belfry.send('u1', 'k')", 10),
        ("SELECT belfry.archive('u1', ARRAY[belfry.send('u1', 'k')])", 9),
        ("SELECT belfry.send('u1', 'k'); SELECT belfry.mark_all_seen('u1')", 10),
        ("SELECT belfry.mark_unread('u1', %(some)s); SELECT belfry.mark_all_read('u1', %(middle)s)", 9),
        ("SELECT belfry.set_preference('u1', '*', false); SELECT belfry.send('u1', 'k')", 9),
    ],
)  # fmt: skip
async def test_what_was_counted_is_counted_right_after(connect: Any, ask: Any, does: str, left: int) -> None:
    connection = await connect()
    ids = await kept(connection, ask)
    for statement in does.split("; "):
        arguments = {"some": ids[1::2], "one": ids[1:2], "middle": ids[4]}
        await connection.execute(statement.encode(), arguments)
        before = await ask.value(connection, TOTAL)
        await connection.execute("SELECT belfry.mark_all_seen('u1')")
        assert await ask.value(connection, TOTAL) == before
    assert before == left


async def test_what_is_pruned_leaves_the_total_at_once_and_is_not_counted_again(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await kept(connection, ask)
    await connection.execute("DELETE FROM belfry.notification WHERE id <= %s", (ids[3],))
    await connection.execute("UPDATE belfry.settled SET pruned = %s", (ids[3],))
    assert await ask.value(connection, TOTAL) == 5
    await ask.call(connection, "archive", recipient="u1", ids=ids[4:5])
    assert await ask.value(connection, TOTAL) == 4
    await ask.call(connection, "send", recipient="u1", kind="k")
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await ask.value(connection, "SELECT kept FROM belfry.inbox WHERE recipient = 'u1'") == 5
    assert await ask.value(connection, TOTAL) == 5


async def test_who_deletes_by_hand_has_it_counted_anew(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await kept(connection, ask)
    await connection.execute("DELETE FROM belfry.notification WHERE id = ANY (%s)", (ids[2:4],))
    await connection.execute("UPDATE belfry.inbox SET kept_through = 0")
    assert await ask.value(connection, TOTAL) == 7
    await ask.call(connection, "archive", recipient="u1", ids=ids[4:5])
    await ask.call(connection, "send", recipient="u1", kind="k")
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await ask.value(connection, "SELECT kept FROM belfry.inbox WHERE recipient = 'u1'") == 7
    assert await ask.value(connection, TOTAL) == 7


async def test_where_very_much_may_expire_the_rows_are_counted(connect: Any, ask: Any) -> None:
    connection = await connect()
    await kept(connection, ask)
    await connection.execute(
        "INSERT INTO belfry.notification (recipient, kind, expires_at)"
        " SELECT 'u1', 'k', now() + CASE WHEN n > 1000 THEN interval '1 day' ELSE '-1 day' END"
        " FROM generate_series(1, 3000) AS n"
    )
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert await ask.value(connection, "SELECT through FROM belfry.kept('u1')") == 0
    assert await ask.value(connection, TOTAL) == 2009


BADGE = "SELECT unread || ' ' || unseen FROM belfry.badges('[{\"recipient\": \"u1\"}]', %s, %s, %s)"


async def test_receipts_alone_tell_what_is_unread_below_a_watermark(connect: Any, ask: Any) -> None:
    connection = await connect()
    insert = "INSERT INTO belfry.notification (recipient, kind) SELECT 'u1', 'k' FROM generate_series(1, 1200)"
    await ask.call(connection, "counts", recipient="u1")
    ids = await ask.column(connection, f"{insert} RETURNING id")
    await ask.call(connection, "mark_read", recipient="u1", ids=ids[::2])
    assert await ask.value(connection, "SELECT read_through FROM belfry.inbox") >= ids[-2]
    unread = set(ids[1::2])

    async def agree(head: int | None = None, lo: int = 0, hi: int = 0) -> None:
        expected = len([one for one in unread if (head is None or one <= head) and not lo <= one <= hi])
        assert await ask.value(connection, BADGE, head, [lo], [hi]) == f"{expected} {expected}"

    for does, chosen in (
        ("SELECT belfry.retract(unnest(%s::bigint[]))", ids[1:20]),
        ("UPDATE belfry.notification SET expires_at = 'yesterday' WHERE id = ANY (%s)", ids[21:40]),
        ("SELECT belfry.snooze('u1', %s, 'tomorrow')", ids[41:60]),
        ("SELECT belfry.archive('u1', %s)", ids[61:80]),
        ("SELECT belfry.mark_read('u1', %s)", ids[81:100]),
    ):
        await agree()
        await connection.execute(does.encode(), (chosen,))
        unread -= set(chosen)
        await agree(ids[700], ids[300], ids[350])
    await connection.execute("SELECT belfry.mark_seen('u1', %s)", (ids[501:540],))
    assert await ask.value(connection, BADGE, None, [], []) == f"{len(unread)} {len(unread) - 20}"
    # What a pruned notification leaves behind for a while is nobody's.
    await connection.execute("DELETE FROM belfry.notification WHERE id <= %s", (ids[600],))
    await connection.execute("UPDATE belfry.settled SET pruned = %s", (ids[600],))
    unread -= set(ids[:601])
    await agree()
    await connection.execute("INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', 'k')")
    await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=False)
    await ask.call(connection, "send", recipient="u1", kind="k")
    unread.add(-1)
    await agree()


async def test_what_was_muted_is_not_told_by_the_receipts_of_what_was_not(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "set_preference", recipient="u1", kind="muted", enabled=False)
    insert = (
        "INSERT INTO belfry.notification (recipient, kind) SELECT 'u1', CASE n % 10 WHEN 0 THEN 'muted' ELSE 'k' END"
    )
    ids = await ask.column(connection, f"{insert} FROM generate_series(1, 2000) AS n RETURNING id")
    done = [one for place, one in enumerate(ids, 1) if place % 10 > 3]
    await ask.call(connection, "mark_read", recipient="u1", ids=done)
    await ask.call(connection, "archive", recipient="u1", ids=done)
    (box,) = await ask.rows(connection, "inbox")
    assert min(box["read_through"], box["archived_through"]) > ids[1900]
    for scope in ("'u1'", "'u1', tenant => ''"):
        assert await ask.value(connection, f"SELECT belfry.counts({scope})::text") == "(600,600,600)", scope
