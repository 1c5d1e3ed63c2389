"""Every right on everything that there is, from the catalog: what is new is a decision, and is written down here.

First the rights as the catalog tells them, then the statements themselves: each function is called and each table is
read, written and emptied by each role, and is refused with 42501 unless the right is named here. `test_grants.py` has
what the roles do for a living.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import psycopg
import pytest
import pytest_asyncio

ROLES = ("belfry_sender", "belfry_relay", "belfry_monitor")
SENDER_CALLS = """
    send send_many publish broadcast subscribe unsubscribe settle() deliver_due
    counts list_inbox mark_read mark_unread mark_seen archive unarchive mark_all_read mark_all_seen archive_all
    snooze unsnooze set_preference preferences revise reschedule retract declare_kind set_traits define_segment
    drop_segment import unread_since trace erase export
    watch unwatch enter_watch forget_watch note_failure watched_rows watched_pairs watched_statements watched_by_key
    require_stored
    deposit within_limits require_notification require_recipient require_topic
    require_watch require_watched require_expression require_argument require_kind template fault encoded
"""
"""The last three lines are called by those before them, or by a trigger, as the caller."""
RELAY_CALLS = """
    contact badges settle(bigint,text) ensure_epoch new_epoch last_position forget_idempotency prune
"""
MONITOR_CALLS = "last_position"
GIVEN = (
    "recipient topic tenant kind title body data action_url actions actor tags severity dedupe_key group_key expires_at"
)
"""What a sender may say of a notification: not its id, nor when it was made, nor that it has ended."""
RELAY_READS = """
    activity api_key change epoch idempotency inbox kind migration notification preference receipt scheduled segment
    setting settled status subscription traits watch watch_failure watched
"""
READS = {
    "belfry_sender": {"notification": "id", "watched": "*"},
    "belfry_relay": dict.fromkeys(RELAY_READS.split(), "*"),
    "belfry_monitor": {
        "settled": "*", "epoch": "*", "setting": "*", "migration": "*", "kind": "*", "status": "*", "activity": "*",
        "notification": "id created_at",
        "change": "id verb created_at",
        "subscription": "topic since until",
        "inbox": "since created_at",
        "scheduled": "number deliver_at",
    },
}  # fmt: skip
"""Which columns of which tables; `*` is all of them, those of the future too."""
INSERTS = {
    "belfry_sender": {"notification": GIVEN},
    "belfry_relay": {"notification": GIVEN, "idempotency": "api_key key digest"},
    "belfry_monitor": dict[str, str](),
}
UPDATES = {
    "belfry_sender": dict[str, str](),
    "belfry_relay": {"idempotency": "answer"},
    "belfry_monitor": dict[str, str](),
}
SEQUENCES = {
    "belfry_sender": set[str](),
    "belfry_relay": {"position"},
    "belfry_monitor": {"position", "scheduled_number_seq", "watch_number_seq"},
}
"""To read where they stand; nobody takes a number from them."""

WAYS = (
    "DELETE FROM {}",
    "TRUNCATE {} CASCADE",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "ALTER TABLE {} ADD COLUMN mine int",
    "CREATE TRIGGER mine BEFORE INSERT ON {} EXECUTE FUNCTION suppress_redundant_updates_trigger()",
)
COLUMNS = """
    SELECT c.relname, a.attname, has_table_privilege(%(role)s, c.oid, %(verb)s) AS whole
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'belfry'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND has_column_privilege(%(role)s, c.oid, a.attnum, %(verb)s)
    ORDER BY c.relname, a.attnum
"""
TABLES = """
    SELECT relname FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY relname
"""
# OFFSET 0: a call of a strict function with a plain NULL is taken away before anybody asks for the right.
FUNCTIONS = """
    SELECT p.proname, p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
        coalesce((SELECT string_agg(format('(SELECT NULL::%s OFFSET 0)', type::regtype), ', ' ORDER BY place)
                  FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS argument (type, place)), '')
    FROM pg_proc AS p WHERE p.pronamespace = 'belfry'::regnamespace ORDER BY 2
"""


def calls(role: str) -> set[str]:
    """The names (or signatures) that a role may call. A relay is a sender too, for `POST /v1/notifications`."""
    named = {"belfry_sender": SENDER_CALLS, "belfry_relay": SENDER_CALLS + RELAY_CALLS, "belfry_monitor": MONITOR_CALLS}
    return set(named[role].split())


@pytest_asyncio.fixture
async def connection(connect: Any) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
    """One that may become any role."""
    yield await connect()


async def rows(connection: psycopg.AsyncConnection[Any], query: str, **parameters: object) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(query.encode(), parameters or None)
    return await cursor.fetchall()


async def refused(connection: psycopg.AsyncConnection[Any], role: str, statements: Iterable[str]) -> dict[str, bool]:
    """Which statements are refused for want of a right; whatever else becomes of them, nothing stays."""
    found: dict[str, bool] = {}
    for statement in statements:
        try:
            async with connection.transaction(force_rollback=True):
                await connection.execute(f"SET LOCAL ROLE {role}".encode())
                await connection.execute(statement.encode())
            found[statement] = False
        except psycopg.Error as error:
            found[statement] = error.sqlstate == "42501"
    return found


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("verb", "named"), [("SELECT", READS), ("INSERT", INSERTS), ("UPDATE", UPDATES)])
async def test_a_role_may_touch_the_columns_that_are_named_here_and_no_others(
    connection: psycopg.AsyncConnection[Any], role: str, verb: str, named: dict[str, dict[str, str]]
) -> None:
    found: dict[str, str] = {}
    for table, column, whole in await rows(connection, COLUMNS, role=role, verb=verb):
        found[table] = "*" if whole else f"{found[table]} {column}" if table in found else column
    assert found == named[role]


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reads_the_sequences_that_are_named_here_and_takes_no_number(
    connection: psycopg.AsyncConnection[Any], role: str
) -> None:
    found = await rows(
        connection,
        "SELECT relname, has_sequence_privilege(%(role)s, oid, 'SELECT'),"
        " has_sequence_privilege(%(role)s, oid, 'USAGE'), has_sequence_privilege(%(role)s, oid, 'UPDATE')"
        " FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind = 'S'",
        role=role,
    )
    assert {name for name, reads, _, _ in found if reads} == SEQUENCES[role]
    assert not any(uses or sets for _, _, uses, sets in found)
    assert all((await refused(connection, role, [f"SELECT nextval('belfry.{name}')" for name, *_ in found])).values())


@pytest.mark.parametrize("role", ROLES)
async def test_the_catalog_gives_no_role_a_right_to_delete_empty_refer_or_hang_on(
    connection: psycopg.AsyncConnection[Any], role: str
) -> None:
    found = await rows(
        connection,
        "SELECT c.relname, verb FROM pg_class AS c, unnest(%(verbs)s::text[]) AS verb"
        " WHERE c.relnamespace = 'belfry'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND (has_table_privilege(%(role)s, c.oid, verb)"
        "      OR verb = 'REFERENCES' AND has_any_column_privilege(%(role)s, c.oid, verb))",
        role=role,
        verbs=["DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"],
    )
    assert found == []


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_calls_the_functions_that_are_named_here_and_no_others(
    connection: psycopg.AsyncConnection[Any], role: str
) -> None:
    may = calls(role)
    functions = await rows(connection, FUNCTIONS)
    named = {name for name, _, _ in functions} | {signature.replace(" ", "") for _, signature, _ in functions}
    assert may <= named, "named here, and not there"
    statements = {
        f"SELECT belfry.{name}({nulls})": not ({name, signature.replace(" ", "")} & may)
        for name, signature, nulls in functions
    }
    assert await refused(connection, role, statements) == statements


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_reads_a_table_whole_or_by_the_columns_that_are_named_here(
    connection: psycopg.AsyncConnection[Any], role: str
) -> None:
    expected: dict[str, bool] = {}
    for (table,) in await rows(connection, TABLES):
        columns = READS[role].get(table, "")
        expected[f"SELECT * FROM belfry.{table}"] = columns != "*"
        if columns not in ("", "*"):
            expected[f"SELECT {', '.join(columns.split())} FROM belfry.{table}"] = False
    assert await refused(connection, role, expected) == expected


@pytest.mark.parametrize("role", ROLES)
async def test_no_role_deletes_empties_drops_or_hangs_anything_on_a_table(
    connection: psycopg.AsyncConnection[Any], role: str
) -> None:
    tables = [table for (table,) in await rows(connection, TABLES)]
    statements = [f"DROP {kind(table)} belfry.{table} CASCADE" for table in tables]
    statements += [way.format(f"belfry.{table}") for table in tables if kind(table) == "TABLE" for way in WAYS]
    statements += ["CREATE TABLE belfry.mine (id int)", "CREATE FUNCTION belfry.mine() RETURNS int RETURN 1"]
    got = await refused(connection, role, statements)
    assert [statement for statement, no in got.items() if not no] == []


def kind(table: str) -> str:
    return "VIEW" if table in ("status", "activity", "watched") else "TABLE"


async def test_the_public_has_no_right_at_all(connection: psycopg.AsyncConnection[Any]) -> None:
    found = await rows(
        connection,
        "SELECT nspname, 'schema' FROM pg_namespace AS n, aclexplode(n.nspacl) AS a"
        " WHERE nspname = 'belfry' AND a.grantee = 0"
        " UNION ALL SELECT relname, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a"
        " WHERE relnamespace = 'belfry'::regnamespace AND a.grantee = 0"
        " UNION ALL SELECT relname || '.' || attname, a.privilege_type"
        " FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a"
        " WHERE relnamespace = 'belfry'::regnamespace AND a.grantee = 0"
        " UNION ALL SELECT proname, a.privilege_type FROM pg_proc AS p,"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a"
        " WHERE pronamespace = 'belfry'::regnamespace AND a.grantee = 0",
    )
    assert found == []
