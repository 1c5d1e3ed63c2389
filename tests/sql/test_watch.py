"""An application's own table as a source: what its changes send, with whose rights, and what a failure costs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

TABLE = """
CREATE TABLE public.orders (
    id bigint PRIMARY KEY, owner text, status text NOT NULL DEFAULT 'new', note text, cents integer DEFAULT 0
)
"""
SHIPPED = {
    "source": "public.orders",
    "event": "update",
    "recipient": "owner",
    "kind": "order.shipped",
    "title": "Order {id} is {status}",
    "condition": "old.status <> new.status AND new.status = 'shipped'",
    "name": "shipped",
}
NASTY = "'; DROP TABLE orders; -- $1 {owner} %s \\ $$ </b>"


async def declare(connection: Any, **arguments: Any) -> list[Any]:
    """What `belfry.watch` returns."""
    named = ", ".join(f"{name} => %({name})s" for name in arguments)
    return await (await connection.execute(f"SELECT * FROM belfry.watch({named})".encode(), arguments)).fetchall()


async def told(connection: Any, columns: str = "recipient, title") -> list[Any]:
    """Some columns of what was sent, in order."""
    cursor = await connection.execute(f"SELECT {columns} FROM belfry.notification ORDER BY id".encode())
    return await cursor.fetchall()


@contextlib.asynccontextmanager
async def acting(connection: Any, role: str) -> AsyncGenerator[None]:
    """With the rights of a role."""
    await connection.execute(f"SET ROLE {role}".encode())
    try:
        yield
    finally:
        await connection.execute("RESET ROLE")


@pytest_asyncio.fixture
async def shop(connect: Any) -> Any:
    """A connection to a database with a table of orders."""
    connection = await connect()
    await connection.execute(TABLE)
    await connection.execute("INSERT INTO orders (id, owner) SELECT n, 'u' || n FROM generate_series(1, 5) AS n")
    return connection


@pytest_asyncio.fixture
async def roles(shop: Any) -> AsyncGenerator[list[str]]:
    """Who owns the table, who may write to it and send, and who may only write."""
    names = [f"watch_{name}_{os.getpid()}" for name in ("owner", "writer", "outsider")]
    for name in names:
        await shop.execute(f"CREATE ROLE {name}".encode())
    yield names
    await shop.execute(f"DROP OWNED BY {', '.join(names)} CASCADE".encode())
    await shop.execute(f"DROP ROLE {', '.join(names)}".encode())


async def test_an_update_tells_the_rows_that_meet_the_condition(shop: Any) -> None:
    await declare(shop, **SHIPPED)
    await shop.execute("UPDATE orders SET status = CASE WHEN id <= 2 THEN 'shipped' ELSE 'paid' END")
    await shop.execute("UPDATE orders SET status = 'shipped' WHERE id <= 3")
    assert await told(shop) == [(f"u{n}", f"Order {n} is shipped") for n in (1, 2, 3)]


async def test_old_and_new_are_of_the_same_row_though_the_key_moves_and_the_first_statement_was_small(
    shop: Any,
) -> None:
    await declare(shop, **SHIPPED | {"condition": "old.cents <> new.cents", "title": "{old.id} {new.id} {old.cents}"})
    await shop.execute("UPDATE orders SET cents = 1 WHERE id = 1")
    await shop.execute("INSERT INTO orders (id, owner, cents) SELECT n, 'u' || n, n FROM generate_series(6, 3000) n")
    await shop.execute("UPDATE orders SET id = id + 10000, cents = -cents WHERE id >= 6")
    wanted = [(f"u{n}", f"{n} {n + 10000} {n}") for n in range(6, 3001)]
    assert sorted(await told(shop)) == sorted([("u1", "1 1 0"), *wanted])


async def test_inserts_and_deletes_have_one_row_each_and_all_fields_are_filled(shop: Any) -> None:
    made = SHIPPED | {
        "event": "insert",
        "condition": "cents > 10",
        "body": "{{{cents}}} {note}",
        "action_url": "/orders/{id}?note={note}",
        "data": "jsonb_build_object('whole', to_jsonb(new))",
        "severity": "success",
        "tenant": "t{cents}",
        "dedupe_key": "order {id}",
        "group_key": "{owner}",
    }
    await declare(shop, **made)
    await shop.execute("INSERT INTO orders VALUES (7, 'ann', 'new', 'a/b c', 11), (8, 'bob', 'new', NULL, 10)")
    columns = "recipient, body, action_url, data -> 'whole' ->> 'note', severity, tenant, dedupe_key, group_key"
    row = ("ann", "{11} a/b c", "/orders/7?note=a%2Fb%20c", "a/b c", "success", "t11", "order 7", "ann")
    assert await told(shop, columns) == [row]
    await declare(shop, **SHIPPED | {"event": "delete", "condition": None, "name": "gone", "title": "{old.id} went"})
    await shop.execute("DELETE FROM orders WHERE id IN (7, 8)")
    assert sorted((await told(shop))[1:]) == [("ann", "7 went"), ("bob", "8 went")]


async def test_a_dedupe_key_sends_once_and_a_row_without_a_recipient_nothing(shop: Any) -> None:
    await declare(shop, **SHIPPED | {"dedupe_key": "{id}", "condition": None})
    await shop.execute("UPDATE orders SET owner = NULL WHERE id = 1")
    await shop.execute("UPDATE orders SET cents = 1 WHERE id <= 2")
    await shop.execute("UPDATE orders SET cents = 2 WHERE id <= 2")
    assert [recipient for recipient, _ in await told(shop)] == ["u2"]


async def test_a_topic_is_a_template(shop: Any) -> None:
    arguments = {**SHIPPED, "recipient": None, "topic": "order:{id}", "condition": "new.cents = 1"}
    await declare(shop, **arguments)
    await shop.execute("UPDATE orders SET cents = id")
    assert await told(shop, "topic, recipient") == [("order:1", None)]


async def test_a_value_is_never_read_as_sql_or_as_a_template_or_as_a_path(shop: Any) -> None:
    await declare(shop, **SHIPPED | {"condition": None, "title": "{note}", "body": NASTY.replace("{owner}", "")})
    await declare(shop, **SHIPPED | {"condition": None, "name": "two", "action_url": "/o/{note}/x", "title": ""})
    await shop.execute("UPDATE orders SET note = %s WHERE id = 1", (NASTY,))
    await shop.execute("UPDATE orders SET note = '..' WHERE id = 2")
    rows = await told(shop, "title, body, action_url")
    assert rows[0] == (NASTY, NASTY.replace("{owner}", ""), None)
    assert "/" not in rows[1][2].removeprefix("/o/").removesuffix("/x")
    assert rows[3][2] == "/o//x"


async def test_an_expression_means_what_it_says(shop: Any) -> None:
    await shop.execute("CREATE FUNCTION owner_of(orders) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1.owner'")
    odd = "new.status LIKE '%shipp%' AND new.id%sign(new.id)::bigint = 0 AND old.status NOT LIKE '%s%'"
    await declare(shop, **SHIPPED | {"condition": odd, "name": "odd"})
    whole = {"recipient": "owner_of(NEW)", "data": '"new".note::jsonb || to_jsonb(New.*) || to_jsonb(OLD)'}
    await declare(shop, **SHIPPED | whole | {"name": "whole"})
    assert (
        await declare(shop, **SHIPPED | {"condition": "new.owner LIKE '%u1%s%'", "name": "none", "dry_run": True}) == []
    )
    await shop.execute("UPDATE orders SET status = 'shipped', note = '{}' WHERE id = 1")
    row = {"id": 1, "owner": "u1", "status": "new", "note": None, "cents": 0}
    assert await told(shop, "recipient, data") == [("u1", {}), ("u1", row)]


async def test_a_column_that_triggers_do_not_see_is_refused(shop: Any) -> None:
    if shop.info.server_version < 180000:
        pytest.skip("virtual generated columns came with 18")
    await shop.execute("ALTER TABLE orders ADD euros int GENERATED ALWAYS AS (cents / 100), ADD more text")
    for named in ({"condition": "new.euros > 1"}, {"title": "{euros}"}, {"data": "jsonb_build_object('e', new.euros)"}):
        with pytest.raises(psycopg.Error, match="source is not valid") as refusal:
            await declare(shop, **SHIPPED | named)
        assert refusal.value.diag.message_detail == "Its column euros is generated and virtual: a trigger sees NULL."
    await declare(shop, **SHIPPED)


async def test_what_matches_nothing_rings_no_bell(shop: Any, ask: Any) -> None:
    await declare(shop, **SHIPPED)
    async with shop.transaction():
        await shop.execute("UPDATE orders SET cents = 1")
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert await ask.value(shop, held) == 0
        await shop.execute("UPDATE orders SET status = 'shipped'")
        assert await ask.value(shop, held) == 1


async def test_a_failure_costs_the_application_nothing_and_is_recorded_without_values(shop: Any, ask: Any) -> None:
    await declare(shop, **SHIPPED | {"condition": "new.note::integer > 0"})
    async with shop.transaction():
        await shop.execute("UPDATE orders SET note = 'secret' WHERE id = 1")
        await shop.execute("UPDATE orders SET note = 'secret' WHERE id = 2")
        await shop.execute("UPDATE orders SET note = '7' WHERE id = 3")
    assert await ask.value(shop, "SELECT count(*) FROM orders WHERE note IS NOT NULL") == 3
    assert [recipient for recipient, _ in await told(shop)] == ["u3"]
    assert await ask.value(shop, "SELECT count(*) FROM belfry.watch_failure") == 1
    assert await ask.value(shop, "SELECT last_state FROM belfry.watched") == "22P02"
    assert "secret" not in await ask.value(shop, "SELECT last_message FROM belfry.watched")
    assert await ask.value(shop, "SELECT failing_watches FROM belfry.status") == 1


@pytest.mark.parametrize(
    "body", ["ASSERT of <> 'u1'", "IF of = 'u1' THEN RAISE 'no %', of USING ERRCODE = 'AB001'; END IF"]
)
async def test_what_a_function_of_theirs_raises_costs_the_application_nothing(shop: Any, ask: Any, body: str) -> None:
    await shop.execute(
        f"CREATE FUNCTION checked(of text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN of; END $$".encode()
    )
    await declare(shop, **SHIPPED | {"recipient": "checked(new.owner)"})
    await shop.execute("UPDATE orders SET status = 'shipped' WHERE id = 1")
    await shop.execute("UPDATE orders SET status = 'shipped' WHERE id = 2")
    assert [recipient for recipient, _ in await told(shop)] == ["u2"]
    assert "u1" not in await ask.value(shop, "SELECT last_message FROM belfry.watched")


async def test_a_strict_watch_fails_the_statement(shop: Any, ask: Any) -> None:
    await declare(shop, **SHIPPED | {"condition": "new.note::integer > 0", "strict": True})
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await shop.execute("UPDATE orders SET note = 'x'")
    assert await ask.value(shop, "SELECT count(*) FROM orders WHERE note IS NOT NULL") == 0


async def test_a_column_that_is_gone_fails_the_watch_alone(shop: Any, ask: Any) -> None:
    await declare(shop, **SHIPPED)
    await shop.execute("UPDATE orders SET cents = 1")
    await shop.execute("ALTER TABLE orders ADD more text")
    await shop.execute("UPDATE orders SET status = 'shipped' WHERE id = 1")
    await shop.execute("ALTER TABLE orders DROP status")
    await shop.execute("UPDATE orders SET cents = 2")
    assert await told(shop) == [("u1", "Order 1 is shipped")]
    assert await ask.value(shop, "SELECT last_failed_at IS NOT NULL FROM belfry.watched")


async def test_a_dry_run_shows_what_the_newest_rows_would_send_and_leaves_no_trace(shop: Any, ask: Any) -> None:
    before = await ask.schema(shop)
    shown = await declare(shop, **SHIPPED | {"condition": "new.id <> 4", "dry_run": True, "max_rows": 3})
    assert [row[:5] for row in shown] == [
        ("shipped", f"u{n}", None, "order.shipped", f"Order {n} is new") for n in (5, 3)
    ]
    changed = "old.status IS DISTINCT FROM new.status AND new.id = 1"
    assert [row[1] for row in await declare(shop, **SHIPPED | {"condition": changed, "dry_run": True})] == ["u1"]
    assert await ask.schema(shop) == before
    assert await ask.value(shop, "SELECT count(*) FROM belfry.watched") == 0
    await shop.execute("UPDATE orders SET status = 'shipped'")
    assert await told(shop) == []


async def test_unwatch_leaves_no_trace_also_when_the_table_went_first(shop: Any, ask: Any) -> None:
    before = await ask.schema(shop)
    assert (await declare(shop, **SHIPPED))[0][0] == "shipped"
    assert await ask.value(shop, "SELECT name || enabled FROM belfry.watched") == "shippedtrue"
    assert await ask.schema(shop) != before
    assert await ask.value(shop, "SELECT belfry.unwatch('shipped')")
    assert not await ask.value(shop, "SELECT belfry.unwatch('shipped')")
    assert await ask.schema(shop) == before
    assert await ask.value(shop, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass") == 0
    await declare(shop, **SHIPPED)
    await shop.execute("DROP TABLE orders")
    assert not await ask.value(shop, "SELECT enabled FROM belfry.watched")
    assert await ask.value(shop, "SELECT belfry.unwatch('shipped')")
    assert await ask.schema(shop) == before


async def test_it_runs_with_the_rights_of_who_writes_and_says_who_cannot(shop: Any, ask: Any, roles: Any) -> None:
    owner, writer, outsider = roles
    await shop.execute(f"ALTER TABLE orders OWNER TO {owner}".encode())
    await shop.execute(f"GRANT SELECT, UPDATE ON orders TO {writer}, {outsider}".encode())
    await shop.execute(f"GRANT belfry_sender TO {owner}, {writer}".encode())
    async with acting(shop, owner):
        await declare(shop, **SHIPPED | {"condition": None, "data": "jsonb_build_object('by', current_user)"})
        assert await ask.value(shop, "SELECT unable FROM belfry.watched") == [outsider]
    async with acting(shop, writer):
        assert await ask.value(shop, "SELECT count(*) FROM belfry.watched") == 0
        assert not await ask.value(shop, "SELECT belfry.unwatch('shipped')")
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            await shop.execute("SELECT belfry.forget_watch(1)")
        await shop.execute("UPDATE orders SET cents = 1 WHERE id = 1")
    warned: list[str | None] = []
    shop.add_notice_handler(lambda notice: warned.append(notice.message_primary))
    async with acting(shop, outsider):
        await shop.execute("UPDATE orders SET cents = 1 WHERE id = 2")
    assert await ask.value(shop, "SELECT count(*) FROM orders WHERE cents = 1") == 2
    assert await told(shop, "data") == [({"by": writer},)]
    assert warned == ["Belfry: watch 1 failed and could not record it: 42501"]
    async with acting(shop, owner):
        assert await ask.value(shop, "SELECT belfry.unwatch('shipped')")
