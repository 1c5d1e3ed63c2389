"""What counts: the audience, what is alive and wanted, the scope, and first contact."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


async def counts(ask: Any, connection: Any, recipient: str = "u1", **scope: Any) -> tuple[int, int, int]:
    names = "".join(f", {name} => %({name})s" for name in scope)
    query = f"SELECT unread, unseen, total FROM belfry.counts(%(recipient)s{names})"
    cursor = await connection.execute(query.encode(), {"recipient": recipient, **scope})
    return (await cursor.fetchall())[0]


async def badges(connection: Any, scopes: str, *cursor_at: Any) -> list[tuple[int, int, int]]:
    marks = ", ".join(["%s"] * (1 + len(cursor_at)))
    cursor = await connection.execute(f"SELECT * FROM belfry.badges({marks})".encode(), (scopes, *cursor_at))
    return await cursor.fetchall()


# --- whose it is -------------------------------------------------------------------------------------------


async def test_direct_topic_and_broadcast_count_and_those_of_others_do_not(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    for audience in ({"recipient": "u1"}, {"recipient": "u2"}):
        await ask.call(connection, "send", kind="k", **audience)
    for topic in ("t", "other", "*"):
        await ask.call(connection, "publish", topic=topic, kind="k")
    assert await counts(ask, connection) == (3, 3, 3)


async def test_only_what_was_published_during_a_stay_counts_also_after_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    for step in ("publish", "subscribe", "publish", "unsubscribe", "publish"):
        arguments = {"topic": "t", "kind": "k"} if step == "publish" else {"recipient": "u1", "topic": "t"}
        await ask.call(connection, step, **arguments)
    assert await counts(ask, connection) == (1, 1, 1)


async def test_what_has_ended_or_expired_does_not_count(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute(
        "INSERT INTO belfry.notification (recipient, kind, expires_at, ended_at) VALUES"
        " ('u1', 'k', NULL, NULL), ('u1', 'k', 'infinity', NULL), ('u1', 'k', now() - interval '1 second', NULL),"
        " ('u1', 'k', NULL, now()), ('u1', 'k', now() + interval '1 day', now())"
    )
    assert await counts(ask, connection) == (2, 2, 2)


@pytest.mark.parametrize(
    ("preferences", "kinds", "expected"),
    [
        ("('u1', 'k.a', 0, NULL, false)", None, ["k.b", "k.b"]),
        ("('u2', 'k.a', 0, NULL, false)", None, ["k.a", "k.b", "k.a", "k.b"]),
        ("('u1', 'k.a', 2, NULL, false)", None, ["k.a", "k.b", "k.b"]),
        ("('u1', 'k.a', 0, 3, false)", None, ["k.b", "k.a", "k.b"]),
        ("('u1', '*', 2, NULL, false)", None, ["k.a", "k.b"]),
        ("('u1', '*', 0, NULL, false), ('u1', 'k.b', 3, NULL, true)", None, ["k.b"]),
        ("('u1', '*', 0, NULL, true), ('u1', 'k.b', 0, NULL, false)", None, ["k.a", "k.a"]),
        (None, "('k.a', 0, NULL, '', false, false)", ["k.b", "k.b"]),
        ("('u1', '*', 2, NULL, true)", "('k.a', 0, NULL, '', false, false)", ["k.b", "k.a", "k.b"]),
        ("('u1', 'k.a', 0, NULL, true)", "('k.a', 0, NULL, '', false, false)", ["k.a", "k.b", "k.a", "k.b"]),
        ("('u1', '*', 0, NULL, false)", "('k.a', 0, NULL, '', true, true)", ["k.a", "k.a"]),
        ("('u1', 'k.a', 0, NULL, false)", "('k.a', 2, NULL, '', true, true)", ["k.b", "k.a", "k.b"]),
    ],
)
async def test_a_muted_kind_does_not_count_from_its_position_on(
    connect: Any, ask: Any, preferences: str | None, kinds: str | None, expected: list[str]
) -> None:
    connection = await connect()
    for kind in ("k.a", "k.b", "k.a", "k.b"):  # ids 1 to 4
        await ask.call(connection, "send", recipient="u1", kind=kind)
    for table, rows in (("preference", preferences), ("kind", kinds)):
        if rows:
            await connection.execute(f"INSERT INTO belfry.{table} VALUES {rows}".encode())
    assert await counts(ask, connection) == (len(expected),) * 3
    assert await ask.column(connection, "SELECT kind FROM belfry.list_inbox('u1') ORDER BY id") == expected


# --- the scope ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tenant", "topics", "expected"),
    [
        (None, None, 4), ("acme", None, 1), ("", None, 3), ("none", None, 0), (None, [], 2), (None, ["t"], 3),
        (None, ["*"], 3), (None, ["t", "*"], 4), ("acme", ["t"], 1), ("", ["other"], 1),
    ],
)  # fmt: skip
async def test_tenant_and_topics_narrow_but_direct_ones_are_in_every_topic(
    connect: Any, ask: Any, tenant: str | None, topics: list[str] | None, expected: int
) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await ask.call(connection, "send", recipient="u1", kind="k")
    await ask.call(connection, "send", recipient="u1", kind="k", tenant="acme")
    await ask.call(connection, "publish", topic="t", kind="k")
    await ask.call(connection, "broadcast", kind="k")
    assert await counts(ask, connection, tenant=tenant, topics=topics) == (expected,) * 3
    query = "SELECT count(*) FROM belfry.list_inbox('u1', tenant => %s, topics => %s)"
    assert await ask.value(connection, query, tenant, topics) == expected


# --- badges ------------------------------------------------------------------------------------------------


async def test_badges_tell_many_scopes_in_their_order(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    sent = await ask.call(connection, "send_many", recipients=["u1", "u1", "u2"], kind="k")
    await ask.call(connection, "publish", topic="t", kind="k", tenant="acme")
    await ask.call(connection, "mark_seen", recipient="u1", ids=sent)
    scopes = (
        '[{"recipient": "u2"}, {"recipient": "u1", "tenant": null, "topics": null},'
        ' {"recipient": "u1", "tenant": "acme"}, {"recipient": "u1", "topics": []}, {"recipient": "u9"}]'
    )
    assert await badges(connection, scopes) == [(1, 1, 1), (2, 3, 1), (3, 1, 1), (4, 2, 0), (5, 0, 0)]
    assert await badges(connection, "[]") == []


async def test_badges_count_up_to_the_head_and_outside_of_the_gaps(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send_many", recipients=["u1"] * 9, kind="k")  # ids 1 to 9
    scope = '[{"recipient": "u1"}]'
    for head, los, his, expected in ((None, [], [], 9), (6, [], [], 6), (8, [2, 5], [3, 5], 5), (0, [], [], 0)):
        assert await badges(connection, scope, head, los, his) == [(1, expected, expected)]
    # The watermark does not hide what was marked unread below it, and the gap does.
    await ask.call(connection, "mark_all_read", recipient="u1")
    await ask.call(connection, "mark_unread", recipient="u1", ids=[2, 4, 9])
    assert await badges(connection, scope, 8, [2], [3]) == [(1, 1, 0)]


@pytest.mark.parametrize("again", [90, 700, 2100])
async def test_however_many_stand_out_below_the_watermark_each_counts_once(connect: Any, ask: Any, again: int) -> None:
    connection = await connect()
    await ask.call(connection, "subscribe", recipient="u1", topic="t")
    await connection.execute(
        "INSERT INTO belfry.notification (recipient, kind, tenant)"
        " SELECT 'u1', 'k', (ARRAY['acme', ''])[1 + n % 2] FROM generate_series(1, 2400) AS n"
    )
    await ask.call(connection, "publish", topic="t", kind="k", tenant="acme")
    await connection.execute("SELECT belfry.settle()")
    await ask.call(connection, "mark_all_read", recipient="u1")
    await connection.execute(
        "SELECT belfry.mark_unread('u1', array_agg(id)) FROM"
        " (SELECT id FROM belfry.notification ORDER BY id LIMIT %s) AS first",
        (again,),
    )
    await ask.call(connection, "send", recipient="u1", kind="k", tenant="acme")
    scopes = '[{"recipient": "u1"}, {"recipient": "u1", "tenant": "acme"}, {"recipient": "u1", "topics": ["t"]}]'
    assert await badges(connection, scopes) == [(1, again + 1, 1), (2, again // 2 + 1, 1), (3, again + 1, 1)]


# --- first contact -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        "SELECT belfry.counts('u1')", "SELECT belfry.list_inbox('u1')", "SELECT belfry.mark_read('u1', '{}')",
        "SELECT belfry.mark_all_seen('u1')", "SELECT belfry.unsnooze('u1', '{7}')",
    ],
)  # fmt: skip
async def test_the_first_look_is_the_first_contact(connect: Any, ask: Any, call: str) -> None:
    connection = await connect()
    await ask.call(connection, "broadcast", kind="k")
    await connection.execute(call.encode())
    assert (await ask.rows(connection, "inbox"))[0]["recipient"] == "u1"
    await ask.call(connection, "broadcast", kind="k")
    assert await counts(ask, connection) == (1, 1, 1)


@pytest.mark.parametrize("function", ["subscribe", "send"])
async def test_who_was_subscribed_or_sent_to_has_had_contact_then(connect: Any, ask: Any, function: str) -> None:
    connection = await connect()
    await ask.call(connection, "broadcast", kind="before")
    await ask.call(
        connection, function, recipient="u1", **({"topic": "t"} if function == "subscribe" else {"kind": "k"})
    )
    await ask.call(connection, "broadcast", kind="after")
    listed = await ask.column(connection, "SELECT kind FROM belfry.list_inbox('u1') ORDER BY id")
    assert listed == (["after"] if function == "subscribe" else ["k", "after"])


async def test_a_read_only_transaction_reads_as_if_contact_had_been_made(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "broadcast", kind="k")
    await ask.call(connection, "send", recipient="u1", kind="k")
    await ask.call(connection, "broadcast", kind="k")
    await connection.execute("BEGIN READ ONLY")
    assert await counts(ask, connection) == (2, 2, 2)
    assert await ask.column(connection, "SELECT id FROM belfry.list_inbox('u1')") == [3, 2]
    assert await badges(connection, '[{"recipient": "u1"}]') == [(1, 2, 2)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await ask.call(connection, "mark_read", recipient="u1", ids=[2])
    await connection.execute("ROLLBACK")
    assert await ask.rows(connection, "inbox") == []


async def test_badges_write_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    await badges(connection, '[{"recipient": "u1"}]')
    assert await ask.rows(connection, "inbox") == []
