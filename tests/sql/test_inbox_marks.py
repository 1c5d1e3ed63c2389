"""What recipients do with notifications: marks by id and of all, archive and snooze, and the changes that tell it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

LATER = "2100-01-01T00:00:00Z"
BY_ID = ["mark_read", "mark_unread", "mark_seen", "archive", "unarchive", "snooze", "unsnooze"]
OF_ALL = ["mark_all_read", "mark_all_seen", "archive_all"]


async def send(ask: Any, connection: Any, many: int = 1, recipient: str = "u1") -> list[int]:
    return await ask.call(connection, "send_many", recipients=[recipient] * many, kind="k")


async def listed(ask: Any, connection: Any, state: str) -> list[int]:
    return await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1', %s) ORDER BY id", state)


async def changes(ask: Any, connection: Any) -> list[tuple[Any, ...]]:
    rows = await ask.rows(connection, "change")
    return [(row["recipient"], row["verb"], row["ids"], row["through"]) for row in rows]


def arguments(function: str, **given: Any) -> dict[str, Any]:
    return {"recipient": "u1", **({"until": LATER} if function == "snooze" else {}), **given}


# --- by id -------------------------------------------------------------------------------------------------


async def test_each_mark_tells_how_many_changed_and_writes_one_change(connect: Any, ask: Any) -> None:
    connection = await connect()
    one, two, three = await send(ask, connection, 3)
    steps: list[tuple[str, list[int], str, list[int]]] = [
        ("mark_seen", [one], "unseen", [two, three]),
        ("mark_read", [two], "unread", [one, three]),
        ("mark_unread", [two], "unread", [one, two, three]),
        ("archive", [three], "all", [one, two]),
        ("unarchive", [three], "all", [one, two, three]),
        ("snooze", [one, two], "snoozed", [one, two]),
        ("unsnooze", [two], "snoozed", [one]),
    ]
    for function, ids, state, after in steps:
        assert await ask.call(connection, function, **arguments(function, ids=ids)) == len(ids)
        assert await listed(ask, connection, state) == after, function
    verbs = ["seen", "read", "unread", "archived", "unarchived", "snoozed", "unsnoozed"]
    assert await changes(ask, connection) == [
        ("u1", verb, ids, None) for verb, (_, ids, _, _) in zip(verbs, steps, strict=True)
    ]


@pytest.mark.parametrize("function", BY_ID)
async def test_a_mark_that_is_repeated_changes_nothing(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    ids = await send(ask, connection, 2)
    if function in ("mark_unread", "unarchive", "unsnooze"):
        await ask.call(connection, "mark_all_read", recipient="u1")
        await ask.call(connection, "archive_all", recipient="u1")
        await ask.call(connection, "snooze", recipient="u1", ids=ids, until=LATER)
    assert await ask.call(connection, function, **arguments(function, ids=ids)) == 2
    receipts = "SELECT r::text FROM belfry.receipt AS r ORDER BY 1"
    before = await changes(ask, connection), await ask.column(connection, receipts)
    assert await ask.call(connection, function, **arguments(function, ids=ids)) == 0
    assert (await changes(ask, connection), await ask.column(connection, receipts)) == before


async def test_unknown_foreign_repeated_and_null_ids_are_passed_over(connect: Any, ask: Any) -> None:
    connection = await connect()
    (mine,), (foreign,) = await send(ask, connection), await send(ask, connection, recipient="u2")
    elsewhere = await ask.call(connection, "publish", topic="t", kind="k")
    ids = [mine, mine, foreign, elsewhere, 10**12, -1, 0, None]
    assert await ask.call(connection, "mark_read", recipient="u1", ids=ids) == 1
    assert [(row["recipient"], row["notification_id"]) for row in await ask.rows(connection, "receipt")] == [
        ("u1", mine)
    ]
    assert await changes(ask, connection) == [("u1", "read", [mine], None)]


@pytest.mark.parametrize("function", ["mark_read", "archive"])
async def test_what_is_not_in_the_inbox_is_passed_over(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "unsubscribe", recipient="u1", topic="t")
    after = await ask.call(connection, "publish", topic="t", kind="k")
    (retracted,) = await send(ask, connection)
    await ask.call(connection, "retract", id=retracted)
    await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=False)
    (muted,) = await send(ask, connection)
    told = len(await changes(ask, connection))
    assert await ask.call(connection, function, recipient="u1", ids=[after, retracted, muted]) == 0
    assert (len(await changes(ask, connection)), await ask.rows(connection, "receipt")) == (told, [])


async def test_what_is_not_snoozed_stays_read_when_it_is_unsnoozed(connect: Any, ask: Any) -> None:
    connection = await connect()
    (one,) = await send(ask, connection)
    await ask.call(connection, "mark_read", recipient="u1", ids=[one])
    assert await ask.call(connection, "unsnooze", recipient="u1", ids=[one]) == 0
    assert await listed(ask, connection, "read") == [one]


@pytest.mark.parametrize("function", BY_ID)
async def test_no_ids_are_an_empty_array_and_not_null(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    assert await ask.call(connection, function, **arguments(function, ids=[])) == 0
    with pytest.raises(psycopg.Error) as refused:
        await ask.call(connection, function, **arguments(function, ids=None))
    assert (refused.value.sqlstate, refused.value.diag.column_name) == ("BF010", "ids")
    assert refused.value.diag.message_detail
    assert refused.value.diag.message_hint


@pytest.mark.parametrize("function", [*BY_ID, *OF_ALL, "counts", "list_inbox"])
async def test_what_is_no_recipient_is_refused(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    for recipient in ("", "a/b", None):
        given = arguments(function, recipient=recipient, **({"ids": [1]} if function in BY_ID else {}))
        with pytest.raises(psycopg.Error) as refused:
            await ask.call(connection, function, **given)
        assert refused.value.sqlstate == "BF001"


async def test_reading_implies_seen_and_archiving_neither(connect: Any, ask: Any) -> None:
    connection = await connect()
    read, archived = await send(ask, connection, 2)
    await ask.call(connection, "mark_read", recipient="u1", ids=[read])
    await ask.call(connection, "archive", recipient="u1", ids=[archived])
    cursor = await connection.execute(
        "SELECT id, seen, read, archived FROM belfry.list_inbox('u1') UNION ALL"
        " SELECT id, seen, read, archived FROM belfry.list_inbox('u1', 'archived')"
    )
    assert await cursor.fetchall() == [(read, True, True, False), (archived, False, False, True)]


async def test_many_ids_are_changes_of_a_thousand(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 2500)
    assert await ask.call(connection, "mark_seen", recipient="u1", ids=ids) == 2500
    told = await changes(ask, connection)
    assert [len(row[2]) for row in told] == [1000, 1000, 500]
    assert [one for row in told for one in row[2]] == ids


@pytest.mark.parametrize(
    ("tenant", "topics", "expected"), [("acme", None, [2]), (None, [], [1, 2]), ("", ["*"], [1, 3])]
)
async def test_a_scope_narrows_marks_too(
    connect: Any, ask: Any, tenant: str | None, topics: list[str] | None, expected: list[int]
) -> None:
    connection = await connect()
    for given in ({"recipient": "u1"}, {"recipient": "u1", "tenant": "acme"}):
        await ask.call(connection, "send", kind="k", **given)
    await ask.call(connection, "broadcast", kind="k")
    scope = {"tenant": tenant, "topics": topics}
    assert await ask.call(connection, "mark_read", recipient="u1", ids=[1, 2, 3], **scope) == len(expected)
    assert await ask.call(connection, "archive_all", recipient="u1", **scope) == len(expected)
    assert await listed(ask, connection, "archived") == expected
    assert await changes(ask, connection) == [("u1", "read", expected, None), ("u1", "archived", expected, None)]
    assert (await ask.rows(connection, "inbox"))[0]["archived_through"] == 0


# --- snoozing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", ["2001-01-01T00:00:00Z", "infinity", "-infinity", None])
async def test_a_snooze_ends_in_the_future(connect: Any, ask: Any, until: str | None) -> None:
    connection = await connect()
    ids = await send(ask, connection)
    with pytest.raises(psycopg.Error) as refused:
        await ask.call(connection, "snooze", recipient="u1", ids=ids, until=until)
    assert (refused.value.sqlstate, refused.value.diag.column_name) == ("BF010", "until")
    assert refused.value.diag.message_detail
    assert refused.value.diag.message_hint


async def test_what_is_snoozed_leaves_list_and_counts_and_returns_unread_and_unseen(connect: Any, ask: Any) -> None:
    connection = await connect()
    (one,) = await send(ask, connection)
    await ask.call(connection, "mark_all_read", recipient="u1")
    await ask.call(connection, "snooze", recipient="u1", ids=[one], until=LATER)
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(0,0,0)"
    assert await listed(ask, connection, "all") == []
    await ask.call(connection, "unsnooze", recipient="u1", ids=[one])
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(1,1,1)"


async def test_a_snooze_can_be_moved_and_lapses_by_itself(connect: Any, ask: Any) -> None:
    connection = await connect()
    (one,) = await send(ask, connection)
    for until in (LATER, "2100-01-02T00:00:00Z"):
        assert await ask.call(connection, "snooze", recipient="u1", ids=[one], until=until) == 1
    await connection.execute("UPDATE belfry.receipt SET snoozed_until = now() - interval '1 second'")
    assert await listed(ask, connection, "unread") == [one]
    assert await ask.value(connection, "SELECT snoozed_until FROM belfry.list_inbox('u1')") is None
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(1,1,1)"


# --- of all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", OF_ALL)
async def test_all_is_one_change_through_what_is_settled_and_no_receipt(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    ids = await send(ask, connection, 3)
    assert await ask.call(connection, function, recipient="u1") == 3
    ((_, verb, told, through),) = await changes(ask, connection)
    assert (told, through) == (None, ids[-1])
    assert verb == {"mark_all_read": "read", "mark_all_seen": "seen", "archive_all": "archived"}[function]
    assert await ask.rows(connection, "receipt") == []
    assert await ask.call(connection, function, recipient="u1") == 0
    assert len(await changes(ask, connection)) == 1


async def test_all_reaches_through_an_id_and_no_further(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 4)
    assert await ask.call(connection, "mark_all_read", recipient="u1", through=ids[1]) == 2
    assert await listed(ask, connection, "unread") == ids[2:]
    await ask.call(connection, "mark_all_read", recipient="u1")
    await ask.call(connection, "mark_unread", recipient="u1", ids=[ids[0], ids[3]])
    assert await ask.call(connection, "mark_all_read", recipient="u1", through=ids[1]) == 1
    assert await listed(ask, connection, "unread") == [ids[3]]
    assert (await changes(ask, connection))[-1] == ("u1", "read", None, ids[1])


async def test_receipts_that_say_no_more_than_the_watermark_are_deleted(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 4)
    await ask.call(connection, "mark_read", recipient="u1", ids=ids[:2])
    await ask.call(connection, "archive", recipient="u1", ids=ids[1:2])
    await ask.call(connection, "mark_all_read", recipient="u1")
    assert [row["notification_id"] for row in await ask.rows(connection, "receipt")] == [ids[1]]
    await ask.call(connection, "mark_unread", recipient="u1", ids=ids[:1])
    await ask.call(connection, "mark_read", recipient="u1", ids=ids[:1])
    await ask.call(connection, "unarchive", recipient="u1", ids=ids[1:2])
    assert await ask.rows(connection, "receipt") == []


async def test_a_row_that_commits_after_mark_all_read_with_a_lower_id_stays_unread(connect: Any, ask: Any) -> None:
    sender, reader = await connect(), await connect()
    await sender.execute("BEGIN")
    (late,) = await send(ask, sender)
    (early,) = await send(ask, reader)
    assert await ask.call(reader, "mark_all_read", recipient="u1") == 1
    await sender.execute("COMMIT")
    assert late < early
    assert await listed(ask, reader, "unread") == [late]
    assert await ask.value(reader, "SELECT belfry.counts('u1')::text") == "(1,1,2)"
    ((_, _, told, through),) = await changes(ask, reader)
    assert (told, through) == ([early], 0)
    assert await ask.call(reader, "mark_all_read", recipient="u1") == 1


async def test_a_row_that_commits_late_is_not_covered_by_compacted_receipts(connect: Any, ask: Any) -> None:
    sender, reader = await connect(), await connect()
    before = await send(ask, reader, 10)
    await sender.execute("BEGIN")
    (late,) = await send(ask, sender)
    ids = await send(ask, reader, 700)
    await ask.call(reader, "mark_read", recipient="u1", ids=before + ids)
    await sender.execute("COMMIT")
    assert await listed(ask, reader, "unread") == [late]
    await ask.call(reader, "mark_unread", recipient="u1", ids=ids[:1])
    await ask.call(reader, "mark_read", recipient="u1", ids=[ids[0], *await send(ask, reader, 100)])
    assert (await ask.rows(reader, "inbox"))[0]["read_through"] > ids[-1]
    assert await listed(ask, reader, "unread") == [late]


async def test_many_receipts_become_a_watermark_and_few_exceptions(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 2000)
    unread = [one for one in ids if one % 10 == 0]
    for start in range(0, 2000, 100):
        await ask.call(
            connection, "mark_read", recipient="u1", ids=[i for i in ids[start : start + 100] if i not in unread]
        )
    assert await ask.value(connection, "SELECT unread FROM belfry.counts('u1')") == len(unread)
    assert await ask.value(connection, "SELECT read_through FROM belfry.inbox") > ids[-600]
    assert await ask.value(connection, "SELECT count(*) FROM belfry.receipt") < 800
    found = await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1', 'unread', max_rows => 1000)")
    assert sorted(found) == unread


async def test_very_many_exceptions_are_counted_as_exactly_as_few(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 11_000)
    await ask.call(connection, "mark_read", recipient="u1", ids=ids[::2])
    unread = ids[1::2]
    assert await ask.value(connection, "SELECT count(*) FROM belfry.receipt WHERE read_at = 'infinity'") > 2000
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(5500,5500,11000)"
    await ask.call(connection, "mark_seen", recipient="u1", ids=unread[:10])
    await ask.call(connection, "snooze", recipient="u1", ids=unread[20:21], until=LATER)
    await ask.call(connection, "archive", recipient="u1", ids=unread[30:32])
    await connection.execute("UPDATE belfry.notification SET ended_at = now() WHERE id = ANY (%s)", (unread[40:44],))
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(5493,5483,10993)"
    cut = 'SELECT unread FROM belfry.badges(\'[{"recipient": "u1"}]\', %s, ARRAY[%s], ARRAY[%s])'
    assert await ask.value(connection, cut, unread[2999], unread[100], unread[109]) == 3000 - 7 - 10


async def test_a_thousand_exceptions_that_a_filter_hides_are_passed_over(connect: Any, ask: Any) -> None:
    connection = await connect()
    wanted = [await ask.call(connection, "send", recipient="u1", kind="wanted") for _ in range(3)]
    ids = await send(ask, connection, 1200)
    await ask.call(connection, "archive", recipient="u1", ids=ids[:10] + ids[::2])
    assert await ask.value(connection, "SELECT count(*) FROM belfry.receipt WHERE archived_at = 'infinity'") > 500
    query = "SELECT id FROM belfry.list_inbox('u1', kinds => '{wanted}', max_rows => %s)"
    assert await ask.column(connection, query, 2) == wanted[:0:-1]
    assert await ask.column(connection, query, 5) == wanted[::-1]


async def test_archives_of_thousands_by_id_leave_an_exact_total(connect: Any, ask: Any) -> None:
    connection = await connect()
    ids = await send(ask, connection, 6000)
    await ask.call(connection, "archive", recipient="u1", ids=ids[::2])
    await ask.call(connection, "mark_read", recipient="u1", ids=ids[1::2])
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(0,0,3000)"
    await ask.call(connection, "snooze", recipient="u1", ids=ids[1:3], until=LATER)
    await ask.call(connection, "unarchive", recipient="u1", ids=ids[4:5])
    assert await ask.value(connection, "SELECT belfry.counts('u1')::text") == "(1,1,3000)"
    assert await ask.value(connection, "SELECT belfry.counts('u1', tenant => '')::text") == "(1,1,3000)"


@pytest.mark.parametrize(("function", "verb"), [("mark_seen", "seen"), ("mark_read", "read"), ("archive", "archived")])
async def test_a_watermark_that_is_raised_over_them_changes_no_other_marks(
    connect: Any, ask: Any, function: str, verb: str
) -> None:
    connection = await connect()
    ids = await send(ask, connection, 1500)
    for mark, number in (("archive", ids[0]), ("mark_seen", ids[1]), ("mark_read", ids[2])):
        await ask.call(connection, mark, recipient="u1", ids=[number])
    if verb != "seen":
        await ask.call(connection, "mark_all_seen", recipient="u1", through=ids[0])
    await connection.execute("SELECT belfry.keep('u1', belfry.settle())")
    marks = "SELECT (id, seen, read, archived)::text FROM belfry.list_inbox('u1', {}, before => %s)"
    query = " UNION ALL ".join(marks.format(state) for state in ("'all'", "'archived'"))
    before = await ask.column(connection, query, ids[3], ids[3])
    assert len(before) == 3
    await ask.call(connection, function, recipient="u1", ids=ids[3:700])
    assert (await ask.rows(connection, "inbox"))[0][f"{verb}_through"] >= ids[2]
    assert await ask.column(connection, query, ids[3], ids[3]) == before
    left = 1499 - 697 * (verb == "archived")
    assert await ask.value(connection, "SELECT total FROM belfry.counts('u1')") == left


async def test_all_of_a_tenant_leaves_what_was_marked_unread_again_of_another(connect: Any, ask: Any) -> None:
    connection = await connect()
    acme, other = [
        await ask.call(connection, "send", recipient="u1", kind="k", tenant=tenant) for tenant in ("acme", "other")
    ]
    await ask.call(connection, "mark_all_read", recipient="u1")
    await ask.call(connection, "mark_unread", recipient="u1", ids=[acme, other])
    assert await ask.call(connection, "mark_all_read", recipient="u1", tenant="acme") == 1
    assert await listed(ask, connection, "unread") == [other]


# --- several at once ---------------------------------------------------------------------------------------


async def test_two_devices_wait_for_each_other_and_change_what_is_left(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    ids = await send(ask, one, 3)
    await one.execute("SELECT * FROM belfry.contact('{u1}')")
    await one.execute("BEGIN")
    assert await ask.call(one, "mark_read", recipient="u1", ids=ids[:2]) == 2
    waiting = asyncio.create_task(ask.call(other, "mark_read", recipient="u1", ids=ids[1:]))
    await until_it_waits(other)
    await one.execute("COMMIT")
    assert await asyncio.wait_for(waiting, 10) == 1
    assert [row[2] for row in await changes(ask, one)] == [ids[:2], ids[2:]]


async def test_all_through_an_id_leaves_unread_what_commits_below_it_later(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    await other.execute("BEGIN")
    late = await send(ask, other)
    (through,) = await send(ask, one)
    assert await ask.call(one, "mark_all_read", recipient="u1", through=through) == 1
    await other.execute("COMMIT")
    assert await listed(ask, one, "unread") == late


async def test_the_changes_of_one_recipient_are_in_the_order_of_their_commits(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    ids = await send(ask, one, 2)
    await one.execute("SELECT * FROM belfry.contact('{u1}')")
    await one.execute("BEGIN")
    await ask.call(one, "mark_all_read", recipient="u1")
    waiting = asyncio.create_task(ask.call(other, "mark_unread", recipient="u1", ids=ids))
    await until_it_waits(other)
    await one.execute("COMMIT")
    assert await asyncio.wait_for(waiting, 10) == 2
    assert [row[1] for row in await changes(ask, one)] == ["read", "unread"]
    assert await listed(ask, one, "unread") == ids


async def test_recipients_do_not_wait_for_each_other_nor_for_senders(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    await send(ask, one), await send(ask, one, recipient="u2")
    await one.execute("SELECT * FROM belfry.contact('{u1,u2}')")
    await one.execute("BEGIN")
    await ask.call(one, "mark_all_read", recipient="u1")
    async with asyncio.timeout(10):
        assert await ask.call(other, "mark_all_read", recipient="u2") == 1
        await send(ask, other)
        assert await ask.value(other, "SELECT unread FROM belfry.counts('u1')") == 2
    await one.execute("COMMIT")


@pytest.mark.parametrize("function", ["mark_unread", "mark_all_read"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_an_older_snapshot_never_writes_over_what_another_device_did(
    connect: Any, ask: Any, level: str, function: str
) -> None:
    one, other = await connect(), await connect()
    ids = await send(ask, one, 2)
    await ask.call(one, "mark_all_read", recipient="u1")
    await other.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
    assert await ask.value(other, "SELECT unread FROM belfry.counts('u1')") == 0
    await ask.call(one, "mark_unread", recipient="u1", ids=ids[:1])
    given = {"ids": ids} if function == "mark_unread" else {}
    with pytest.raises(psycopg.errors.SerializationFailure):
        await ask.call(other, function, recipient="u1", **given)


async def test_an_older_snapshot_reads_nothing_that_it_does_not_see(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    (seen,) = await send(ask, one)
    await ask.value(one, "SELECT unread FROM belfry.counts('u1')")
    await one.execute("SELECT belfry.settle()")
    await other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert await ask.value(other, "SELECT unread FROM belfry.counts('u1')") == 1
    (unseen,) = await send(ask, one)
    assert await ask.call(other, "mark_all_read", recipient="u1") == 1
    await other.execute("COMMIT")
    assert await listed(ask, one, "unread") == [unseen]
    assert await listed(ask, one, "read") == [seen]


@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT"])
async def test_a_mark_belongs_to_the_transaction_of_its_caller(connect: Any, ask: Any, ending: str) -> None:
    connection = await connect()
    ids = await send(ask, connection, 2)
    await connection.execute("BEGIN")
    await ask.call(connection, "mark_all_read", recipient="u1")
    await ask.call(connection, "mark_unread", recipient="u1", ids=ids[:1])
    await connection.execute(ending.encode())
    assert await listed(ask, connection, "unread") == (ids if ending == "ROLLBACK" else ids[:1])
