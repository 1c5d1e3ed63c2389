"""Bad input: each has its SQLSTATE, says what is wrong and what to do, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

FINE: dict[str, Any] = {"recipient": "u1", "kind": "k"}
NAMES: list[Any] = ["", "x" * 256, "a/b", "a\nb", "a\x01b", "a\x7fb", "a\x85b"]
KINDS: list[Any] = ["", "Comment", "a b", ".a", "a.", "a..b", "a.b\n", "é", "k" * 256]
NEVER = "infinity"

BOTH_WAYS: dict[str, list[dict[str, Any]]] = {
    "BF001": [FINE | {"recipient": name} for name in NAMES],
    "BF002": [{"topic": name, "kind": "k"} for name in NAMES],
    "BF003": [FINE | {"kind": kind} for kind in KINDS],
    "BF004": [
        FINE | {"body": "x" * 65536},
        FINE | {"title": "é" * 32768},
        FINE | {"data": {"a": "x" * 65536}},
        FINE | {"actions": ["x" * 65536]},
        FINE | {"actor": {"name": "x" * 65536}},
        FINE | {"tags": ["x" * 65536]},
        FINE | {"action_url": "/" * 65536},
    ],
    "BF007": [
        FINE | {"severity": "fatal"},
        FINE | {"data": []},
        FINE | {"actions": {}},
        FINE | {"actor": "ann"},
        FINE | {"tags": [["a"], ["b"]]},
        FINE | {"tags": ["a", None]},
        FINE | {"tenant": "a/b"},
        FINE | {"tenant": "x" * 256},
        FINE | {"dedupe_key": ""},
        FINE | {"dedupe_key": "x" * 256},
        FINE | {"group_key": ""},
        FINE | {"group_key": "x" * 256},
    ],
}
NAMED = {"BF001": "recipient", "BF002": "topic", "BF003": "kind", "BF006": "deliver_at", "BF007": "severity"}
BY_FUNCTION: list[tuple[str, str, dict[str, Any]]] = [
    ("BF001", "send", {"recipient": None, "kind": "k"}),
    ("BF002", "publish", {"topic": None, "kind": "k"}),
    ("BF003", "send", {"recipient": "u1", "kind": None}),
    ("BF003", "publish", {"topic": "t", "kind": None}),
    ("BF003", "broadcast", {"kind": None}),
    ("BF006", "send", FINE | {"deliver_at": NEVER}),
    ("BF006", "publish", {"topic": "t", "kind": "k", "deliver_at": NEVER}),
    ("BF006", "broadcast", {"kind": "k", "deliver_at": NEVER}),
    ("BF006", "send_many", {"recipients": ["u1"], "kind": "k", "deliver_at": NEVER}),
    ("BF001", "send_many", {"recipients": None, "kind": "k"}),
    ("BF001", "send_many", {"recipients": ["u1", None], "kind": "k"}),
    ("BF001", "send_many", {"recipients": ["u1", ""], "kind": "k"}),
    ("BF003", "send_many", {"recipients": ["u1"], "kind": None}),
    ("BF007", "send_many", {"recipients": ["u1"], "kind": "k", "severity": "fatal"}),
    ("BF007", "send_many", {"recipients": ["u1", "u2"], "kind": "k", "severity": "fatal", "dedupe_key": "x"}),
    ("BF001", "subscribe", {"recipient": "", "topic": "t"}),
    ("BF001", "subscribe", {"recipient": None, "topic": "t"}),
    ("BF002", "subscribe", {"recipient": "u1", "topic": "a/b"}),
    ("BF002", "subscribe", {"recipient": "u1", "topic": None}),
    ("BF002", "subscribe", {"recipient": "u1", "topic": "*"}),
    ("BF001", "unsubscribe", {"recipient": "a\x1fb", "topic": "t"}),
    ("BF002", "unsubscribe", {"recipient": "u1", "topic": ""}),
]


async def assert_nothing_is_left(ask: Any, connection: Any) -> None:
    for table in ("notification", "change", "subscription", "inbox"):
        assert await ask.rows(connection, table) == []


def assert_it_says(error: psycopg.Error, state: str) -> None:
    assert error.sqlstate == state
    assert error.diag.message_primary
    assert error.diag.message_detail
    assert error.diag.message_hint


@pytest.mark.parametrize("state", BOTH_WAYS)
async def test_functions_and_a_plain_insert_refuse_alike(connect: Any, ask: Any, state: str) -> None:
    connection = await connect()
    for columns in BOTH_WAYS[state]:
        with pytest.raises(psycopg.Error) as by_function:
            await ask.call(connection, "publish" if "topic" in columns else "send", **columns)
        with pytest.raises(psycopg.Error) as by_insert:
            await ask.insert(connection, **columns)
        assert_it_says(by_function.value, state)
        assert_it_says(by_insert.value, state)
        assert by_function.value.diag.message_detail == by_insert.value.diag.message_detail
    await assert_nothing_is_left(ask, connection)


async def test_each_function_refuses(connect: Any, ask: Any) -> None:
    connection = await connect()
    for state, function, arguments in BY_FUNCTION:
        with pytest.raises(psycopg.Error) as refused:
            await ask.call(connection, function, **arguments)
        assert_it_says(refused.value, state)
        assert refused.value.diag.column_name == NAMED[state], (function, arguments)
    await assert_nothing_is_left(ask, connection)


@pytest.mark.parametrize("columns", [{"kind": "k"}, {"recipient": "u1", "topic": "t", "kind": "k"}])
async def test_an_insert_needs_exactly_one_audience(connect: Any, ask: Any, columns: dict[str, Any]) -> None:
    connection = await connect()
    with pytest.raises(psycopg.Error) as refused:
        await ask.insert(connection, **columns)
    assert_it_says(refused.value, "BF005")
    assert refused.value.diag.constraint_name == "notification_audience"
    await assert_nothing_is_left(ask, connection)


async def test_a_refusal_leaves_the_rest_of_the_transaction_to_a_savepoint(connect: Any, ask: Any) -> None:
    connection = await connect()
    async with connection.transaction():
        await ask.call(connection, "send", recipient="u1", kind="k")
        with pytest.raises(psycopg.Error):
            async with connection.transaction():
                await ask.call(connection, "send", recipient="", kind="k")
    assert [row["recipient"] for row in await ask.rows(connection)] == ["u1"]


async def test_compressed_data_counts_by_its_full_size(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute("CREATE TABLE kept (data jsonb)")
    await connection.execute("INSERT INTO kept SELECT jsonb_build_object('a', repeat('x', 70000))")
    with pytest.raises(psycopg.Error) as refused:
        await connection.execute("SELECT belfry.send('u1', 'k', data => kept.data) FROM kept")
    assert_it_says(refused.value, "BF004")


@pytest.mark.parametrize(
    ("limit", "statement"),
    [
        ("setting_wake_mode", "UPDATE belfry.setting SET value = 'sometimes' WHERE name = 'wake_mode'"),
        ("api_key_scopes", "INSERT INTO belfry.api_key (name, hash, scopes) VALUES ('a', repeat('0', 64), '{all}')"),
    ],
)
async def test_an_operator_can_set_no_mode_and_no_scope_that_there_is_not(
    connect: Any, limit: str, statement: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        await (await connect()).execute(statement.encode())
    assert refused.value.diag.constraint_name == limit
