"""Who may do what, tried statement by statement."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest

TABLES = [
    "notification", "change", "subscription", "inbox", "receipt", "preference", "kind", "settled", "epoch", "setting",
    "migration", "api_key",
]  # fmt: skip
WRITES = {
    "notification": "created_at = now()",
    "change": "verb = 'subscribed'",
    "subscription": "until = NULL",
    "inbox": "since = 0",
    "receipt": "read_at = now()",
    "preference": "enabled = false",
    "kind": "enabled = false",
    "settled": "through = 0",
    "epoch": "timeline = NULL",
    "setting": "value = 'poll'",
    "migration": "checksum = NULL",
    "api_key": "revoked_at = now()",
}
SENDER_MAY = [
    "SELECT belfry.send('u1', 'k')",
    "SELECT belfry.send('u1', 'k', title => NULL, dedupe_key => 'once')",
    "SELECT belfry.send_many('{u1,u2}', 'k')",
    "SELECT belfry.send_many('{u1,u2}', 'k', dedupe_key => 'once')",
    "SELECT belfry.publish('t', 'k')",
    "SELECT belfry.broadcast('k', dedupe_key => 'once')",
    "SELECT belfry.subscribe('u1', 't')",
    "SELECT belfry.unsubscribe('u1', 't')",
    "SELECT belfry.settle()",
    "SELECT * FROM belfry.counts('u1')",
    "SELECT * FROM belfry.list_inbox('u1')",
    "SELECT belfry.mark_read('u1', '{1}'), belfry.mark_unread('u1', '{1}'), belfry.mark_seen('u1', '{1}')",
    "SELECT belfry.archive('u1', '{1}'), belfry.unarchive('u1', '{1}')",
    "SELECT belfry.snooze('u1', '{1}', now() + interval '1 hour'), belfry.unsnooze('u1', '{1}')",
    "SELECT belfry.mark_all_read('u1'), belfry.mark_all_seen('u1'), belfry.archive_all('u1')",
    "SELECT belfry.send('u1', 'k', deliver_at => now() + interval '1 hour')",
    "SELECT belfry.deliver_due()",
    "SELECT belfry.revise(belfry.send('u1', 'k'), title => 'new')",
    "SELECT belfry.retract(belfry.send('u1', 'k'))",
    "SELECT belfry.reschedule(-1, now())",
    "SELECT belfry.declare_kind('k', 'Kinds'), belfry.set_preference('u1', 'k', false)",
    "SELECT * FROM belfry.preferences('u1')",
    "SELECT belfry.define_segment('pro', 'plan:pro'), belfry.set_traits('u1', '{\"plan\": \"pro\"}')",
    "SELECT belfry.define_segment('pro', '{\"plan\": \"pro\"}'::jsonb), belfry.drop_segment('pro')",
    'SELECT belfry.import(\'[{"recipient": "u1", "kind": "k"}]\')',
    "SELECT * FROM belfry.unread_since('1 day')",
    "SELECT belfry.trace(1, 'u1'), belfry.export('u1'), belfry.erase('u1')",
    "CREATE TEMP TABLE orders (buyer text, status text);"
    " SELECT belfry.watch('orders', 'insert', 'buyer', 'order.new', name => 'orders');"
    " INSERT INTO orders VALUES ('u1', 'new'); TABLE belfry.watched; SELECT belfry.unwatch('orders')",
    "INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', 'k') RETURNING id",
    "INSERT INTO belfry.notification (recipient, tenant, kind, title, body, data, action_url, actions, actor, tags,"
    " severity, dedupe_key, group_key, expires_at) VALUES ('u1', '', 'k', '', '', '{}', NULL, '[]', NULL, '{}', 'info',"
    " 'once', 'thread', NULL) RETURNING id",
    "INSERT INTO belfry.notification (topic, kind) SELECT 't', 'k' FROM generate_series(1, 3) ON CONFLICT DO NOTHING",
]
SENDER_MAY_NOT = [
    "INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', 'k') RETURNING recipient",
    "INSERT INTO belfry.notification (recipient, kind, created_at) VALUES ('u1', 'k', now())",
    "INSERT INTO belfry.notification (id, recipient, kind) OVERRIDING SYSTEM VALUE VALUES (7, 'u1', 'k')",
    "SELECT nextval('belfry.position')",
    "SELECT last_value FROM belfry.position",
    "SELECT body FROM belfry.notification",
    "SELECT * FROM belfry.contact('{u1}')",
    "SELECT belfry.settle(0, '')",
    "SELECT belfry.ensure_epoch()",
    "SELECT belfry.new_epoch()",
    "SELECT belfry.last_position()",
    "SELECT * FROM belfry.identity()",
    "SELECT * FROM belfry.badges('[]')",
    "SELECT belfry.mark('u1', 'read', '{1}', NULL, NULL, NULL)",
    "INSERT INTO belfry.notification (recipient, kind, silent) VALUES ('u1', 'k', true)",
    "INSERT INTO belfry.notification (recipient, kind, ended_at) VALUES ('u1', 'k', now())",
    "INSERT INTO belfry.notification (recipient, kind, revised_at) VALUES ('u1', 'k', now())",
    "CREATE TABLE belfry.mine (id int)",
    "DROP TABLE belfry.notification",
    "ALTER TABLE belfry.notification DISABLE TRIGGER notification_ring",
]
RELAY_MAY = [
    *(f"SELECT * FROM belfry.{table}" for table in TABLES),
    *SENDER_MAY,
    "SELECT last_value, is_called FROM belfry.position",
    "SELECT * FROM belfry.contact('{u1}')",
    'SELECT * FROM belfry.badges(\'[{"recipient": "u1"}]\')',
    "SELECT belfry.settle(0, '')",
    "SELECT belfry.ensure_epoch()",
    "SELECT belfry.new_epoch('')",
    "SELECT belfry.last_position()",
    "SELECT belfry.prune('30 days', 1000), belfry.forget_idempotency()",
    "SELECT * FROM belfry.status, belfry.activity, belfry.watched",
]
RELAY_MAY_NOT = [
    "SELECT nextval('belfry.position')",
    "INSERT INTO belfry.api_key (name, hash) VALUES ('a', repeat('0', 64))",
    "INSERT INTO belfry.inbox (recipient, since) VALUES ('u1', 0)",
    "INSERT INTO belfry.change (recipient, verb) VALUES ('u1', 'subscribed')",
    "INSERT INTO belfry.notification (recipient, kind, created_at) VALUES ('u1', 'k', now())",
    "DROP TABLE belfry.notification",
]
MONITOR_MAY = [
    "SELECT * FROM belfry.settled, belfry.epoch, belfry.setting, belfry.migration",
    "SELECT count(*), max(id), max(created_at) FROM belfry.notification",
    "SELECT verb, count(*), max(created_at) FROM belfry.change GROUP BY verb",
    "SELECT topic, count(*) FROM belfry.subscription WHERE until IS NULL GROUP BY topic",
    "SELECT count(*) FROM belfry.inbox",
    "SELECT * FROM belfry.kind",
    "SELECT last_value FROM belfry.position",
    "SELECT belfry.last_position()",
    "SELECT * FROM belfry.status, belfry.activity",
]
MONITOR_MAY_NOT = [
    "SELECT recipient FROM belfry.notification",
    "SELECT body FROM belfry.notification",
    "SELECT recipient FROM belfry.subscription",
    "SELECT recipient FROM belfry.inbox",
    "SELECT recipient FROM belfry.receipt",
    "SELECT recipient FROM belfry.preference",
    "SELECT * FROM belfry.counts('u1')",
    "SELECT recipient FROM belfry.change",
    "SELECT name FROM belfry.api_key",
    "SELECT belfry.send('u1', 'k')",
    "SELECT belfry.settle()",
    "SELECT belfry.new_epoch()",
    "INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', 'k')",
]


def writes() -> list[str]:
    """Every way to change what is in a table."""
    return [
        statement
        for table, assignment in WRITES.items()
        for statement in (
            f"UPDATE belfry.{table} SET {assignment}",
            f"DELETE FROM belfry.{table}",
            f"TRUNCATE belfry.{table} CASCADE",
        )
    ]


async def refusal(connection: Any, role: str, statement: str) -> str | None:
    """The SQLSTATE with which a role is refused, if it is; nothing stays."""
    try:
        async with connection.transaction(force_rollback=True):
            await connection.execute(f"SET LOCAL ROLE {role}".encode())
            await connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.parametrize(
    ("role", "statements"),
    [("belfry_sender", SENDER_MAY), ("belfry_relay", RELAY_MAY), ("belfry_monitor", MONITOR_MAY)],
    ids=["belfry_sender", "belfry_relay", "belfry_monitor"],
)
async def test_what_a_role_may_do(connect: Any, role: str, statements: list[str]) -> None:
    connection = await connect()
    await connection.execute("SELECT belfry.send('u1', 'k'), belfry.subscribe('u1', 'other')")
    got = {statement: await refusal(connection, role, statement) for statement in statements}
    assert got == dict.fromkeys(statements)


@pytest.mark.parametrize(
    ("role", "statements"),
    [
        ("belfry_sender", [*SENDER_MAY_NOT, *(f"SELECT * FROM belfry.{table}" for table in TABLES)]),
        ("belfry_relay", RELAY_MAY_NOT),
        ("belfry_monitor", MONITOR_MAY_NOT),
    ],
    ids=["belfry_sender", "belfry_relay", "belfry_monitor"],
)
async def test_what_a_role_may_not_do(connect: Any, role: str, statements: list[str]) -> None:
    connection = await connect()
    got = {statement: await refusal(connection, role, statement) for statement in statements}
    assert got == dict.fromkeys(statements, "42501")


@pytest.mark.parametrize("role", ["belfry_sender", "belfry_relay", "belfry_monitor"])
async def test_no_role_changes_or_removes_a_row_itself(connect: Any, role: str) -> None:
    connection = await connect()
    for statement in writes():
        assert await refusal(connection, role, statement) == "42501", statement


async def test_a_login_without_a_role_of_ours_can_do_nothing(connect: Any, ask: Any) -> None:
    connection = await connect()
    role = f"nobody_{connection.info.backend_pid}"
    functions = await ask.column(
        connection,
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace ORDER BY 1",
    )
    assert "belfry.settle()" in functions
    open_to_all = [
        function
        for function in functions
        if await ask.value(connection, "SELECT has_function_privilege('public', %s, 'EXECUTE')", function)
    ]
    assert open_to_all == []
    await connection.execute(f"CREATE ROLE {role}".encode())
    try:
        for statement in (*SENDER_MAY, *RELAY_MAY, *MONITOR_MAY, *writes()):
            assert await refusal(connection, role, statement) == "42501", statement
    finally:
        await connection.execute(f"DROP ROLE {role}".encode())


async def test_every_function_that_runs_as_its_owner_pins_its_search_path(connect: Any, ask: Any) -> None:
    connection = await connect()
    loose = await ask.column(
        connection,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace AND prosecdef"
        " AND 'search_path=pg_catalog, pg_temp' <> ALL (coalesce(proconfig, '{}'))",
    )
    assert loose == []


TAKE_OVER = """
CREATE FUNCTION pg_temp.evil(given pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'belfry_owner' THEN
        RAISE NOTICE 'taken over by %', given;
    END IF;
    RETURN true;
END $$;
"""
BUILT_IN = "text", "jsonb", "timestamptz", "int4", "int8", "bool", "name", "interval", "regclass", "record", "float8"


@pytest.mark.parametrize(("role", "may"), [("belfry_sender", SENDER_MAY), ("belfry_relay", RELAY_MAY + SENDER_MAY)])
async def test_temporary_types_of_a_caller_are_not_the_owners(connect: Any, role: str, may: list[str]) -> None:
    """Where pg_temp is not named in a search_path it comes first for types, and the CHECK of a domain is code.

    Twice, since a function looks its variables' types up in its first call of a session, and remembers them.
    """
    connection = await connect()
    taken_over: list[str | None] = []
    connection.add_notice_handler(lambda notice: taken_over.append(notice.message_primary))
    await connection.execute(f"SET ROLE {role}".encode())
    await connection.execute(TAKE_OVER)
    for name in BUILT_IN:
        base = "text" if name == "record" else name
        await connection.execute(
            f"CREATE DOMAIN pg_temp.{name} AS pg_catalog.{base} CHECK (pg_temp.evil('{name}'))".encode()
        )
    for statement in may * 2:
        with contextlib.suppress(psycopg.Error):  # the caller's own literals have these types too
            await connection.execute(statement.encode())
    assert [each for each in taken_over if each and "taken over" in each] == []


async def test_everything_belongs_to_the_owner(connect: Any, ask: Any) -> None:
    connection = await connect()
    owners = await ask.column(
        connection,
        "SELECT DISTINCT pg_get_userbyid(owner) FROM (SELECT relowner AS owner FROM pg_class WHERE relnamespace ="
        " 'belfry'::regnamespace UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace"
        " UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'belfry') AS everything",
    )
    assert owners == ["belfry_owner"]


async def test_our_roles_cannot_log_in(connect: Any, ask: Any) -> None:
    connection = await connect()
    assert await ask.column(
        connection, "SELECT rolcanlogin OR rolsuper OR rolcreaterole FROM pg_roles WHERE"
        " rolname IN ('belfry_owner', 'belfry_sender', 'belfry_relay', 'belfry_monitor')",
    ) == [False] * 4  # fmt: skip
