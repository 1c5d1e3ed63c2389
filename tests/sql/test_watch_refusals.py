"""What cannot be watched is refused when it is declared: the argument is named, and nothing is left behind."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb
from test_watch import SHIPPED, acting, declare, roles, shop  # noqa: F401 (fixtures)

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("source", {"source": "belfry.notification"}, "no table of an application"),
    ("source", {"source": "pg_catalog.pg_class"}, "no table of an application"),
    ("source", {"source": "public.seen"}, "no table of an application"),
    ("event", {"event": "truncate"}, "truncate"),
    ("event", {"event": None}, "null"),
    ("recipient", {"topic": "t"}, "Both recipient and topic are given"),
    ("recipient", {"recipient": None}, "Both recipient and topic are NULL"),
    ("recipient", {"recipient": "new.nobody"}, "nobody does not exist"),
    ("recipient", {"recipient": "max(new.owner)"}, "aggregate functions are not allowed"),
    ("recipient", {"recipient": "generate_series(1, 2)"}, "set-returning functions are not allowed"),
    ("recipient", {"recipient": "new.owner) , (new.id"}, "syntax error"),
    ("recipient", {"recipient": "new.owner] , [new.id"}, "syntax error"),
    ("recipient", {"recipient": "new.owner) || (new.status"}, "syntax error"),
    ("condition", {"condition": "true) OR (true"}, "syntax error"),
    ("recipient", {"recipient": ""}, "syntax error"),
    ("recipient", {"recipient": "new.owner); DROP TABLE orders; --"}, "syntax error"),
    ("condition", {"condition": "status = 'paid' AND old.status = 'new'"}, "ambiguous"),
    ("condition", {"condition": "new.id"}, "must be type boolean"),
    ("condition", {"condition": "new.id = 'x'"}, "invalid input syntax"),
    ("condition", {"condition": "true; DELETE FROM orders"}, "syntax error"),
    ("condition", {"condition": "(DELETE FROM orders RETURNING true)"}, "syntax error"),
    ("condition", {"condition": "$1"}, "no parameter"),
    ("condition", {"event": "insert", "condition": "old.id = 1"}, "old"),
    ("data", {"data": "new.status::jsonb || nothing"}, "does not exist"),
    ("title", {"title": "{nothing}"}, "{nothing} is no column"),
    ("title", {"title": "{new.id"}, "stands alone"),
    ("title", {"event": "insert", "condition": None, "title": "{old.id}"}, "{old.id} is no column"),
    ("body", {"body": "{ctid}"}, "{ctid} is no column"),
    ("body", {"body": "{id::text || owner}"}, "is no column"),
    ("action_url", {"action_url": "/{xmin}"}, "{xmin} is no column"),
    ("topic", {"recipient": None, "topic": "t:{x}"}, "{x} is no column"),
    ("dedupe_key", {"dedupe_key": "{}"}, "stands alone"),
    ("severity", {"severity": "fatal"}, "fatal"),
    ("strict", {"strict": None}, "NULL"),
    ("name", {"name": ""}, "empty"),
    ("name", {"name": "a\nb"}, "control characters"),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("BF003", {"kind": "Order Shipped"}),
    ("BF003", {"kind": None}),
    ("BF002", {"recipient": None, "topic": "a/b"}),
    ("BF010", {"max_rows": 0}),
    ("BF010", {"max_rows": None}),
]


@pytest.mark.parametrize("dry_run", [False, True])
async def test_each_says_which_argument_and_why(shop: Any, ask: Any, dry_run: bool) -> None:  # noqa: F811
    await shop.execute("CREATE VIEW public.seen AS SELECT * FROM orders")
    before = await ask.schema(shop)
    for argument, changed, why in REFUSED:
        with pytest.raises(psycopg.Error) as refusal:
            await declare(shop, **SHIPPED | changed | {"dry_run": dry_run})
        said = refusal.value.diag
        assert (said.sqlstate, said.column_name) == ("BF013", argument), (changed, said.message_primary)
        assert why in str(said.message_detail), (changed, said.message_detail)
        assert said.message_hint, changed
    for state, changed in OTHERS:
        with pytest.raises(psycopg.Error) as refusal:
            await declare(shop, **SHIPPED | changed | {"dry_run": dry_run})
        assert refusal.value.diag.sqlstate == state, changed
    assert await ask.schema(shop) == before
    assert await ask.value(shop, "SELECT count(*) FROM orders") == 5


async def test_a_name_is_one_watch(shop: Any) -> None:  # noqa: F811
    await declare(shop, **SHIPPED)
    with pytest.raises(psycopg.Error) as refusal:
        await declare(shop, **SHIPPED)
    assert (refusal.value.diag.sqlstate, refusal.value.diag.column_name) == ("BF013", "name")


async def test_only_the_owner_of_the_table_may(shop: Any, roles: Any) -> None:  # noqa: F811
    owner, writer, _ = roles
    await shop.execute(f"GRANT ALL ON orders TO {writer}; GRANT belfry_sender TO {owner}, {writer}".encode())
    async with acting(shop, writer):
        with pytest.raises(psycopg.Error) as refusal:
            await declare(shop, **SHIPPED)
    assert (refusal.value.diag.sqlstate, refusal.value.diag.column_name) == ("BF013", "source")


async def test_a_sender_learns_nothing_of_others_watches(shop: Any, ask: Any, roles: Any) -> None:  # noqa: F811
    owner, other, _ = roles
    await shop.execute(f"GRANT belfry_sender TO {owner}, {other}".encode())
    await declare(shop, **SHIPPED | {"condition": "new.note = 'hunter2'"})
    leak = "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN"
    async with acting(shop, other):
        await shop.execute(f"{leak} RAISE 'seen: %', $1; END $$".encode())
        assert await ask.column(shop, "SELECT name FROM belfry.watched WHERE pg_temp.leak(condition)") == []
    await shop.execute("DROP TABLE orders")
    async with acting(shop, other):
        assert await ask.column(shop, "SELECT name FROM belfry.watched") == []
        assert not await ask.value(shop, "SELECT belfry.unwatch('shipped')")
    await shop.execute(f"UPDATE belfry.watch SET declared_by = '{owner}'".encode())
    async with acting(shop, owner):
        assert await ask.value(shop, "SELECT belfry.unwatch('shipped')")


async def test_checking_an_expression_calls_no_function_of_it(shop: Any, ask: Any) -> None:  # noqa: F811
    await shop.execute("CREATE SEQUENCE called")
    await declare(shop, **SHIPPED | {"condition": "nextval('called') > 0"})
    assert not await ask.value(shop, "SELECT is_called FROM called")


@pytest.mark.parametrize("path", ["public SECURITY DEFINER", "{}", "{public,\"x SECURITY DEFINER AS 'x'; --\"}"])
async def test_what_a_sender_tells_the_internal_function_is_never_read_as_sql_of_the_owner(
    shop: Any,  # noqa: F811
    ask: Any,
    path: str,
) -> None:
    declared = {"name": "mine", "source": "1", "event": "insert", "kind": "k", "title": "", "body": "", "strict": True}
    declared |= {"severity": "info", "tenant": "", "declared_by": "me"}
    with contextlib.suppress(psycopg.errors.SyntaxError, psycopg.errors.InvalidTextRepresentation):
        async with acting(shop, "belfry_sender"):
            call = "SELECT belfry.enter_watch(%s, '', %s)"
            await shop.execute(call, (Jsonb(declared), path))
    made = "FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace AND proname LIKE 'watch\\_%' AND prorettype = 2279"
    assert await ask.value(shop, f"SELECT count(*) {made} AND prosecdef") == 0
    assert await ask.value(shop, f"SELECT count(*) {made}") == (1 if path.startswith("{p") else 0)
