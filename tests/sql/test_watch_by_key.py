"""A bulk UPDATE of a watched table: rows are paired by key where that is sure to be right, else by their place."""

from __future__ import annotations

from typing import Any

import pytest
from test_watch import SHIPPED, declare, shop, told

assert shop  # the fixture
MANY = 300
MOVED = SHIPPED | {"title": "{old.id} {id} {old.note} {note}", "condition": "old.note IS DISTINCT FROM new.note"}
"""What it sends tells of which rows old and new were taken."""


@pytest.fixture
def right() -> list[tuple[str, str]]:
    """What must be told where each row kept its key."""
    return [(f"u{n}", f"{n} {n} {n} {n}!") for n in range(1, MANY + 1)]


async def fill(shop: Any, order: str = "n") -> None:
    """Many orders, the note of each its first id."""
    await shop.execute("TRUNCATE orders CASCADE")
    rows = f"SELECT n, 'u' || n, 'new', n FROM generate_series(1, {MANY}) AS n ORDER BY {order}"
    await shop.execute(f"INSERT INTO orders {rows}".encode())


async def test_many_rows_that_keep_their_keys(shop: Any, right: list[Any]) -> None:
    await fill(shop, "random()")
    await declare(shop, **MOVED)
    await shop.execute("UPDATE orders SET note = note || '!'")
    assert sorted(await told(shop)) == sorted(right)


async def test_many_rows_whose_keys_move_onto_each_others(shop: Any) -> None:
    await fill(shop, "n DESC")
    await declare(shop, **MOVED)
    await shop.execute("UPDATE orders SET id = id + 1, note = note || '!'")
    assert sorted(await told(shop)) == sorted((f"u{n}", f"{n} {n + 1} {n} {n}!") for n in range(1, MANY + 1))


async def test_many_rows_whose_deferred_keys_change_places(shop: Any) -> None:
    await shop.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id) DEFERRABLE")
    await fill(shop)
    await declare(shop, **MOVED)
    await shop.execute(f"UPDATE orders SET id = {MANY + 1} - id, note = note || '!'".encode())
    expected = [(f"u{n}", f"{n} {MANY + 1 - n} {n} {n}!") for n in range(1, MANY + 1)]
    assert sorted(await told(shop)) == sorted(expected)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey; INSERT INTO orders SELECT * FROM orders",
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id, owner);"
        "INSERT INTO orders SELECT id, owner || 'x', status, note || 'x' FROM orders",
        "CREATE TABLE child () INHERITS (orders);"
        "INSERT INTO child SELECT id, owner || 'x', status, note || 'x' FROM orders",
    ],
)
async def test_keys_that_no_longer_tell_rows_apart(shop: Any, change: str) -> None:
    await fill(shop)
    await declare(shop, **MOVED)
    await shop.execute(change.encode())
    await shop.execute("UPDATE orders SET note = note || '!'")
    wrong = "SELECT count(*), count(*) FILTER (WHERE title !~ '^(\\d+) \\1 (\\1x?) \\2!$') FROM belfry.notification"
    assert await (await shop.execute(wrong.encode())).fetchone() == (2 * MANY, 0)


async def test_a_key_of_several_columns_one_of_them_renamed_later(shop: Any, right: list[Any]) -> None:
    await fill(shop)
    await shop.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD part int DEFAULT 1")
    await shop.execute("ALTER TABLE orders ADD PRIMARY KEY (part, id)")
    await declare(shop, **MOVED)
    await shop.execute("UPDATE orders SET note = note || '!'")
    await shop.execute("ALTER TABLE orders RENAME part TO portion")
    await shop.execute("UPDATE orders SET note = rtrim(note, '!')")
    back = [(f"u{n}", f"{n} {n} {n}! {n}") for n in range(1, MANY + 1)]
    assert sorted(await told(shop)) == sorted(right + back)


async def test_a_key_whose_columns_have_the_names_of_ours(shop: Any, right: list[Any]) -> None:
    await fill(shop)
    await shop.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD o int DEFAULT 1, ADD n int DEFAULT 1")
    await shop.execute('ALTER TABLE orders ADD r int DEFAULT 1, ADD "a ""%" int DEFAULT 1')
    await shop.execute('ALTER TABLE orders ADD PRIMARY KEY (o, n, r, "a ""%", id)')
    await declare(shop, **MOVED)
    await shop.execute("UPDATE orders SET note = note || '!'")
    assert sorted(await told(shop)) == sorted(right)


async def test_keys_that_are_arrays_or_of_a_type_of_ones_own(shop: Any, right: list[Any]) -> None:
    await fill(shop)
    await shop.execute("CREATE DOMAIN code AS bigint; ALTER TABLE orders ADD tags int[], ADD at code")
    await shop.execute("UPDATE orders SET tags = CASE WHEN id < 9 THEN '{}' ELSE ARRAY[id] END, at = id")
    await shop.execute("ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (tags, at)")
    await declare(shop, **MOVED)
    await shop.execute("UPDATE orders SET note = note || '!'")
    assert sorted(await told(shop)) == sorted(right)


async def test_whole_rows_of_many_where_a_column_is_gone(shop: Any) -> None:
    await fill(shop)
    await shop.execute("ALTER TABLE orders DROP cents, ADD late text DEFAULT 'l'")
    data = "to_jsonb(old) || jsonb_build_object('now', to_jsonb(new))"
    await declare(shop, **MOVED | {"condition": "old IS DISTINCT FROM new", "data": data})
    await shop.execute("ALTER TABLE orders DROP status, ADD last text DEFAULT 'z'")
    await shop.execute("UPDATE orders SET note = note || '!' WHERE id <= 200")
    row = {"id": 7, "owner": "u7", "late": "l", "last": "z"}
    sent = [one for (one,) in await told(shop, "data")]
    assert len(sent) == 200
    assert row | {"note": "7", "now": row | {"note": "7!"}} in sent


async def test_more_than_a_thousand_that_match_by_key(shop: Any, ask: Any) -> None:
    await shop.execute("INSERT INTO orders SELECT n, 'u' || n, 'new', n FROM generate_series(6, 2500) AS n")
    await declare(shop, **SHIPPED | {"dedupe_key": "{id}", "title": "{old.status} {status} {id}"})
    for _ in range(2):
        await shop.execute("UPDATE orders SET status = 'shipped'")
        await shop.execute("UPDATE orders SET status = 'new'")
    wrong = "SELECT count(*) FROM belfry.notification WHERE title <> 'new shipped ' || substr(recipient, 2)"
    assert await ask.value(shop, wrong) == 0
    assert await ask.value(shop, "SELECT count(*) FROM belfry.notification") == 2500
