"""What recipients choose and operators declare concerns what is sent after it, and required kinds cannot be muted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from calling import NO_KINDS, NO_NAMES, callers, changes, listed, nothing_is_left, refused, waiting

TABLES = ("preference", "kind", "inbox")


async def send(ask: Any, connection: Any, kind: str = "k", recipient: str = "u1") -> int:
    return await ask.call(connection, "send", recipient=recipient, kind=kind)


async def choose(ask: Any, connection: Any, enabled: bool | None, kind: str = "k") -> int | None:
    return await ask.call(connection, "set_preference", recipient="u1", kind=kind, enabled=enabled)


async def preferences(connection: Any, recipient: str = "u1") -> list[tuple[Any, ...]]:
    cursor = await connection.execute("SELECT * FROM belfry.preferences(%s)", (recipient,))
    return await cursor.fetchall()


# --- refusals ----------------------------------------------------------------------------------------------


async def test_bad_names_and_kinds_are_refused_and_nothing_is_left(connect: Any, ask: Any) -> None:
    connection = await connect()
    for name in NO_NAMES:
        for statement in ("SELECT belfry.set_preference(%s, 'k', false)", "SELECT * FROM belfry.preferences(%s)"):
            assert (await refused(connection, statement, name))[0] == "BF001"
    for kind in NO_KINDS:
        for statement in ("SELECT belfry.set_preference('u1', %s, false)", "SELECT belfry.declare_kind(%s)"):
            assert await refused(connection, statement, kind) == ("BF003", "kind")
    assert await refused(connection, "SELECT belfry.declare_kind('*')") == ("BF003", "kind")
    await nothing_is_left(ask, connection, *TABLES)


async def test_a_required_kind_cannot_be_muted_and_can_be_chosen(connect: Any, ask: Any) -> None:
    connection = await connect()
    declared = await ask.call(connection, "declare_kind", kind="k", required=True)
    assert await refused(connection, "SELECT belfry.set_preference('u1', 'k', false)") == ("BF011", "kind")
    assert await ask.rows(connection, "preference") == []
    assert await ask.rows(connection, "inbox") == []
    assert [row["id"] for row in await ask.rows(connection, "change")] == [declared]
    assert await choose(ask, connection, True) is not None
    assert await choose(ask, connection, None) is not None


async def test_what_is_rolled_back_was_not_chosen(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction(force_rollback=True):
        await choose(ask, connection, False)
        await ask.call(connection, "declare_kind", kind="k", enabled=False)
    await nothing_is_left(ask, connection, *TABLES)
    sent = await send(ask, connection)
    assert await listed(ask, connection) == [sent]


# --- what a choice does ------------------------------------------------------------------------------------


async def test_a_choice_concerns_what_is_sent_after_it(connect: Any, ask: Any) -> None:
    connection = await connect()
    before = await send(ask, connection)
    muted = await choose(ask, connection, False)
    during = await send(ask, connection)
    wanted = await choose(ask, connection, True)
    after = await send(ask, connection)
    assert before < muted < during < wanted < after  # type: ignore[operator]
    assert await listed(ask, connection) == [before, after]
    assert await ask.value(connection, "SELECT unread FROM belfry.counts('u1')") == 2
    assert [(row["verb"], row["kind"], row["enabled"]) for row in await ask.rows(connection, "change")] == [
        ("preference", "k", False),
        ("preference", "k", True),
    ]


async def test_a_choice_that_is_repeated_writes_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await choose(ask, connection, None) is None
    for enabled in (False, True, None):
        assert await choose(ask, connection, enabled) is not None
        assert await choose(ask, connection, enabled) is None
    assert len(await ask.rows(connection, "change")) == 3
    assert [row["enabled"] for row in await ask.rows(connection, "preference") if row["until"] is None] == []


async def test_the_choice_for_the_kind_goes_before_that_for_all_and_that_before_the_default(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    await ask.call(connection, "declare_kind", kind="quiet", enabled=False)
    sent = {("none", kind): await send(ask, connection, kind) for kind in ("quiet", "k", "other")}
    await choose(ask, connection, False, "*")
    await choose(ask, connection, True, "k")
    sent |= {("all off", kind): await send(ask, connection, kind) for kind in ("quiet", "k", "other")}
    await choose(ask, connection, True, "*")
    await choose(ask, connection, False, "k")
    sent |= {("all on", kind): await send(ask, connection, kind) for kind in ("quiet", "k", "other")}
    shown = await listed(ask, connection)
    assert {key for key, number in sent.items() if number in shown} == {
        ("none", "k"),
        ("none", "other"),
        ("all off", "k"),
        ("all on", "quiet"),
        ("all on", "other"),
    }


async def test_one_persons_choice_is_nobody_elses(connect: Any, ask: Any) -> None:
    connection = await connect()
    await choose(ask, connection, False, "*")
    everyone = await ask.call(connection, "subscribe", recipient="u2", topic="t")
    assert everyone is not None
    sent = await ask.call(connection, "broadcast", kind="k")
    assert (await listed(ask, connection), await listed(ask, connection, "u2")) == ([], [sent])


# --- what is declared --------------------------------------------------------------------------------------


async def test_a_kind_that_was_required_can_be_muted(connect: Any, ask: Any) -> None:
    connection = await connect()
    for required in (True, False):
        await ask.call(connection, "declare_kind", kind="k", required=required)
    assert await ask.call(connection, "set_preference", recipient="u1", kind="k", enabled=False) is not None


async def test_a_kind_that_becomes_required_reaches_who_had_muted_it_for_as_long_as_it_is(
    connect: Any, ask: Any
) -> None:
    connection = await connect()
    await choose(ask, connection, False)
    await choose(ask, connection, False, "*")
    await send(ask, connection)
    await ask.call(connection, "declare_kind", kind="k", required=True, enabled=False)
    during = await send(ask, connection)
    assert [row[0::2] for row in await preferences(connection)] == [("*", False, True), ("k", True, True)]
    assert [row[3] for row in await preferences(connection)] == [False, True]
    await ask.call(connection, "declare_kind", kind="k")
    await send(ask, connection)
    assert await listed(ask, connection) == [during]


async def test_declaring_again_writes_nothing_and_a_new_label_is_no_change(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.call(connection, "declare_kind", kind="k", label="Old", enabled=False) is not None
    assert await ask.call(connection, "declare_kind", kind="k", label="Old", enabled=False) is None
    assert await ask.call(connection, "declare_kind", kind="k", label="New", enabled=False) is None
    assert [(row["label"], row["until"]) for row in await ask.rows(connection, "kind")] == [("New", None)]
    assert await changes(ask, connection) == [(None, "*", "declared", None)]


async def test_null_declares_the_defaults(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "declare_kind", kind="k", label=None, required=None, enabled=None)
    (row,) = await ask.rows(connection, "kind")
    assert (row["label"], row["required"], row["enabled"]) == ("", False, True)


async def test_preferences_tell_what_is_declared_and_what_was_chosen_in_order(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "declare_kind", kind="security", label="Security", required=True)
    await ask.call(connection, "declare_kind", kind="digest", label="Digest", enabled=False)
    await choose(ask, connection, False, "undeclared")
    expected = [("digest", "Digest", False, False, False), ("security", "Security", True, True, False)]
    assert await preferences(connection) == [*expected, ("undeclared", "", False, False, True)]
    assert await preferences(connection, "u2") == expected
    await choose(ask, connection, True, "*")
    assert await preferences(connection) == [
        ("*", "", False, True, True),
        ("digest", "Digest", False, True, False),
        ("security", "Security", True, True, False),
        ("undeclared", "", False, False, True),
    ]


# --- at the same time --------------------------------------------------------------------------------------


async def test_two_choices_of_one_person_wait_and_are_told_in_the_order_of_their_commits(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    await choose(ask, one, True)
    await one.execute("BEGIN")
    first = await choose(ask, one, False)
    async with waiting(until_it_waits, other, "SELECT belfry.set_preference('u1', 'k', true)") as second:
        await one.execute("COMMIT")
    assert second.result()[0] > first
    stays = sorted((row["since"], row["until"], row["enabled"]) for row in await ask.rows(one, "preference"))
    assert stays[1:] == [(first, second.result()[0], False), (second.result()[0], None, True)]


async def test_a_mute_that_commits_after_its_kind_became_required_mutes_nothing(connect: Any, ask: Any) -> None:
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    await choose(ask, one, False)
    await ask.call(other, "declare_kind", kind="k", required=True)
    await one.execute("COMMIT")
    sent = await send(ask, one)
    assert await listed(ask, one) == [sent]


async def test_two_declarations_of_one_kind_wait_and_the_later_commit_holds(
    connect: Any, ask: Any, until_it_waits: Any
) -> None:
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    await ask.call(one, "declare_kind", kind="k", enabled=False)
    async with waiting(until_it_waits, other, "SELECT belfry.declare_kind('k', required => true)") as second:
        await one.execute("COMMIT")
    rows = await ask.rows(one, "kind")
    assert [row["required"] for row in rows if row["until"] is None] == [True]
    assert [row["until"] for row in rows if row["enabled"] is False] == second.result()


@pytest.mark.parametrize("declared", [True, False], ids=["declared before", "new"])
async def test_a_declaration_unseen_by_an_old_snapshot_is_a_conflict_to_repeat(
    connect: Any, ask: Any, declared: bool
) -> None:
    one, other = await connect(), await connect()
    if declared:
        await ask.call(one, "declare_kind", kind="k")
    await one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await one.execute("SELECT 1")
    await ask.call(other, "declare_kind", kind="k", required=True)
    with pytest.raises(psycopg.Error) as conflict:
        await ask.call(one, "declare_kind", kind="k", enabled=False)
    assert conflict.value.sqlstate == "40001"


async def test_who_may_choose_and_declare(connect: Any, ask: Any) -> None:
    connection = await connect()
    for function in ("set_preference", "preferences", "declare_kind"):
        assert await callers(ask, connection, function) == ["belfry_relay", "belfry_sender"], function
    assert await callers(ask, connection, "require_kind") == ["belfry_relay", "belfry_sender"]  # as a watch asks
    await connection.execute("SET ROLE belfry_sender")
    assert await ask.value(connection, "SELECT belfry.declare_kind('k')") is not None
    assert await choose(ask, connection, False) is not None
    assert len(await preferences(connection)) == 1
