"""Every way in which a watched table may change, be copied, and lose the schema that watches it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from test_watch import SHIPPED, TABLE, declare, shop, told

from belfry import migrations

assert shop  # the fixture
NEW = SHIPPED | {"event": "insert", "condition": None, "name": "new", "title": "{id} came"}


async def test_what_copy_brings_is_told(shop: Any) -> None:
    await declare(shop, **NEW)
    async with shop.cursor() as cursor, cursor.copy("COPY orders (id, owner) FROM STDIN") as copy:
        for number in (11, 12):
            await copy.write_row((number, f"u{number}"))
    assert await told(shop) == [("u11", "11 came"), ("u12", "12 came")]


async def test_an_upsert_is_an_insert_of_some_and_an_update_of_others(shop: Any) -> None:
    await declare(shop, **NEW)
    await declare(shop, **SHIPPED)
    await shop.execute(
        "INSERT INTO orders (id, owner) VALUES (5, 'u5'), (6, 'u6')"
        " ON CONFLICT (id) DO UPDATE SET status = 'shipped' WHERE orders.status = 'new'"
    )
    assert sorted(await told(shop)) == [("u5", "Order 5 is shipped"), ("u6", "6 came")]
    await shop.execute("INSERT INTO orders (id, owner) VALUES (5, 'u5') ON CONFLICT DO NOTHING")
    assert len(await told(shop)) == 2


async def test_merge_is_told_too(shop: Any) -> None:
    if shop.info.server_version < 150000:
        pytest.skip("MERGE came with 15")
    await declare(shop, **NEW)
    await declare(shop, **SHIPPED)
    await shop.execute(
        "MERGE INTO orders AS o USING (VALUES (5), (6)) AS given (id) ON o.id = given.id"
        " WHEN MATCHED THEN UPDATE SET status = 'shipped'"
        " WHEN NOT MATCHED THEN INSERT (id, owner) VALUES (given.id, 'u6')"
    )
    assert sorted(await told(shop)) == [("u5", "Order 5 is shipped"), ("u6", "6 came")]


async def test_a_cascade_is_told_as_what_it_does(shop: Any) -> None:
    await shop.execute(
        "CREATE TABLE parcels (id int PRIMARY KEY, of bigint REFERENCES orders ON DELETE CASCADE, who text)"
    )
    await shop.execute("INSERT INTO parcels VALUES (1, 1, 'u1'), (2, 1, 'u2'), (3, 2, 'u3')")
    await declare(shop, source="parcels", event="delete", recipient="who", kind="parcel.gone", title="{id}")
    await shop.execute("DELETE FROM orders WHERE id = 1")
    assert sorted(await told(shop)) == [("u1", "1"), ("u2", "2")]


@pytest.mark.parametrize("count", [1, 1000, 1001, 2500])
async def test_few_and_very_many_are_told_alike(shop: Any, count: int) -> None:
    fields = {
        "body": "{note}",
        "data": "jsonb_build_object('cents', cents, 'row', to_jsonb(new))",
        "dedupe_key": "{id}",
    }
    await declare(
        shop, **NEW | fields | {"group_key": "g", "tenant": "t", "action_url": "/{id}", "severity": "warning"}
    )
    await shop.execute(
        "INSERT INTO orders SELECT n, 'u' || n, 'new', E'tab\\t \"quoted\" \\u00e9 {id}', n"
        " FROM generate_series(10001, 10000 + %s) AS n", (count,)
    )  # fmt: skip
    cursor = await shop.execute(
        r"""
        SELECT count(*), count(*) FILTER (WHERE recipient <> 'u' || number OR body <> E'tab\t "quoted" \u00e9 {id}'
            OR (data ->> 'cents')::int <> number::int OR data -> 'row' ->> 'owner' <> recipient
            OR (dedupe_key, group_key, tenant, severity) IS DISTINCT FROM (number, 'g', 't', 'warning')
            OR action_url <> '/' || number)
        FROM (SELECT *, replace(title, ' came', '') AS number FROM belfry.notification) AS n
        """
    )
    assert await cursor.fetchone() == (count, 0)


async def test_a_partitioned_table_tells_what_is_done_through_it(shop: Any) -> None:
    await shop.execute(
        "CREATE TABLE events (id bigint, owner text, day int, seen boolean DEFAULT false) PARTITION BY LIST (day);"
        "CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);"
        "CREATE TABLE events_2 (extra text, day int, owner text, id bigint, seen boolean DEFAULT false);"
        "ALTER TABLE events_2 DROP COLUMN extra;"
        "ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES IN (2)"
    )
    watch = {"source": "events", "recipient": "owner", "kind": "event", "title": "{id} {day}"}
    await declare(shop, **watch, event="insert", name="in")
    await declare(shop, **watch, event="update", name="up", condition="new.seen AND NOT old.seen")
    await shop.execute("INSERT INTO events (id, owner, day) VALUES (1, 'a', 1), (2, 'b', 2)")
    assert sorted(await told(shop)) == [("a", "1 1"), ("b", "2 2")]
    await shop.execute("UPDATE events SET seen = true")
    assert sorted(await told(shop))[1::2] == [("a", "1 1"), ("b", "2 2")]
    before = len(await told(shop))
    await shop.execute("INSERT INTO events_1 (id, owner, day) VALUES (3, 'c', 1)")
    assert len(await told(shop)) == before, "Postgres fires the triggers of the table that the statement names"


async def test_a_column_that_is_renamed_fails_the_watch_and_not_the_application(shop: Any, ask: Any) -> None:
    await declare(shop, **SHIPPED)
    await shop.execute("ALTER TABLE orders RENAME COLUMN owner TO customer")
    await shop.execute("UPDATE orders SET status = 'shipped' WHERE id = 1")
    assert await told(shop) == []
    assert await ask.value(shop, "SELECT status FROM orders WHERE id = 1") == "shipped"
    assert await ask.value(shop, "SELECT failing_watches FROM belfry.status") == 1


WHOLE = SHIPPED | {
    "title": "{old.status} {status}",
    "condition": "old IS DISTINCT FROM new",
    "data": "jsonb_build_object('old', to_jsonb(old), 'new', to_jsonb(new))",
}


@pytest.mark.parametrize("name", ["r", "s", "belfry_old", "n"])
async def test_whole_rows_are_right_whatever_a_column_is_called(shop: Any, name: str) -> None:
    await shop.execute(f"ALTER TABLE orders ADD {name} integer".encode())
    await declare(shop, **WHOLE)
    await shop.execute("UPDATE orders SET status = 'paid' WHERE owner = 'u1'")
    assert [title for _, title in await told(shop)] == ["new paid"]


async def test_whole_rows_are_right_though_columns_went_before_and_after(shop: Any) -> None:
    await shop.execute("ALTER TABLE orders ADD late text DEFAULT 'l', DROP id, ADD id serial")
    await declare(shop, **WHOLE)
    await shop.execute("UPDATE orders SET status = 'paid' WHERE owner = 'u1'")
    await shop.execute("ALTER TABLE orders DROP note")
    await shop.execute("UPDATE orders SET status = 'sent' WHERE owner = 'u1'")
    row = {"id": 1, "late": "l", "cents": 0, "owner": "u1"}
    before, after = row | {"note": None}, row
    assert await told(shop, "recipient, title, data") == [
        ("u1", "new paid", {"old": before | {"status": "new"}, "new": before | {"status": "paid"}}),
        ("u1", "paid sent", {"old": after | {"status": "paid"}, "new": after | {"status": "sent"}}),
    ]


async def test_a_watch_of_whole_rows_that_0007_made_is_mended_by_0008(connect: Any, empty_database: str) -> None:
    connection = await connect(empty_database)
    await migrations.up(connection)
    while (await migrations.down(connection))[0].version != 8:
        pass
    await connection.execute(
        "CREATE TABLE public.orders (gone text, id bigint PRIMARY KEY, owner text, status text, late text);"
        "ALTER TABLE orders DROP gone; INSERT INTO orders VALUES (1, 'u1', 'new', 'u2')"
    )
    await declare(connection, **WHOLE)
    await migrations.up(connection)
    await connection.execute("UPDATE orders SET status = 'shipped'")
    old = {"id": 1, "owner": "u1", "status": "new", "late": "u2"}
    data = {"old": old, "new": old | {"status": "shipped"}}
    assert await told(connection, "recipient, title, data") == [("u1", "new shipped", data)]


async def test_a_watch_that_0008_misread_shows_as_failing_from_0009_on(
    connect: Any, ask: Any, empty_database: str
) -> None:
    connection = await connect(empty_database)
    await migrations.up(connection)
    while (await migrations.down(connection))[0].version != 9:
        pass
    await connection.execute(TABLE)
    await declare(connection, **SHIPPED)
    await declare(connection, **SHIPPED | {"condition": "new.status LIKE '%shipped%'", "name": "misread"})
    await migrations.up(connection)
    failing = "SELECT array_agg(name) FROM belfry.watched WHERE last_failed_at IS NOT NULL"
    assert await ask.value(connection, failing) == ["misread"]


async def test_when_its_migration_goes_no_trace_keeps_the_table_from_being_written(
    connect: Any, ask: Any, empty_database: str
) -> None:
    connection = await connect(empty_database)
    await migrations.up(connection)
    await connection.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY, owner text, status text, note text)")
    await declare(connection, **SHIPPED)
    await connection.execute("INSERT INTO orders VALUES (1, 'u1', 'new')")
    while (await migrations.down(connection))[0].name != "watch":
        await connection.execute("UPDATE orders SET status = 'shipped'")
        await connection.execute("UPDATE orders SET status = 'new'")
    await connection.execute("UPDATE orders SET status = 'shipped'")
    assert await ask.value(connection, "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass") == 0
    await migrations.up(connection)
    await declare(connection, **SHIPPED)
    await connection.execute("UPDATE orders SET status = 'new'")
    before = len(await told(connection))
    await connection.execute("UPDATE orders SET status = 'shipped'")
    assert len(await told(connection)) == before + 1


async def test_a_dump_takes_its_watches_along(shop: Any, database: str, empty_database: str, tmp_path: Path) -> None:
    major = shop.info.server_version // 10_000
    if not shutil.which("pg_dump") or not shutil.which("psql") or dump_major() < major:
        pytest.skip("there is no pg_dump of this version here")
    await declare(shop, **SHIPPED)
    file = tmp_path / "dump.sql"
    file.write_text(run("pg_dump", database), encoding="utf-8")
    run("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--file", str(file), empty_database)
    async with await psycopg.AsyncConnection.connect(empty_database, autocommit=True) as restored:
        await restored.execute("UPDATE orders SET status = 'shipped' WHERE id = 1")
        assert await told(restored) == [("u1", "Order 1 is shipped")]
        cursor = await restored.execute("SELECT name, enabled FROM belfry.watched")
        assert await cursor.fetchall() == [("shipped", True)]
        await restored.execute("SELECT belfry.unwatch('shipped')")
        await restored.execute("UPDATE orders SET status = 'shipped'")
        assert len(await told(restored)) == 1


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def dump_major() -> int:
    return int(run("pg_dump", "--version").split()[2].split(".")[0])
