"""Lists and counts read along their indexes, and no more than they need, also under a generic plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from tests.conftest import filled

TABLES = ("notification", "receipt", "change", "subscription")
STATES = ("all", "unread", "read", "unseen", "seen", "archived", "snoozed")


class Watched:
    """A connection that collects the plan of every statement that runs inside a function."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self._told: list[str] = []
        connection.add_notice_handler(lambda told: self._told.append(told.message_primary or ""))

    async def nodes(self, query: str) -> list[dict[str, Any]]:
        """The scans of our tables that the query causes, each with what it read."""
        self._told.clear()
        await self.connection.execute(query.encode())
        plans = [json.loads(told[told.index("{") :])["Plan"] for told in self._told if "plan:" in told]
        assert plans
        return [node for plan in plans for node in below(plan) if node.get("Relation Name") in TABLES]


def below(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from below(child)


def read(nodes: list[dict[str, Any]], table: str) -> int:
    """How many rows of a table were read, filtered ones included."""
    return sum(
        round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes
        if node["Relation Name"] == table
    )


def assert_on_indexes(nodes: list[dict[str, Any]]) -> None:
    ways = {(node["Node Type"], node["Relation Name"]) for node in nodes if node["Actual Loops"]}
    assert {way for way, table in ways if table == "notification"} <= {"Index Scan", "Index Only Scan"}, ways
    assert "Seq Scan" not in {way for way, _ in ways}, ways


def fill(connection: psycopg.Connection[Any]) -> None:
    """Many notifications of many, of which u1 has 3,100: 3,000 from 10 topics, 100 direct; most are read."""
    connection.execute(
        "WITH c AS (INSERT INTO belfry.change (recipient, topic, verb) SELECT 'u' || n, 't' || (n + k) % 100,"
        " 'subscribed' FROM generate_series(0, 199) AS n, generate_series(0, 9) AS k RETURNING *)"
        " INSERT INTO belfry.subscription (recipient, topic, since) SELECT recipient, topic, id FROM c"
    )
    connection.execute(
        "INSERT INTO belfry.notification (recipient, topic, kind)"
        " SELECT CASE WHEN n % 5 < 2 THEN 'u' || n % 200 END, CASE WHEN n % 5 >= 2 THEN 't' || n / 5 % 100 END, 'test'"
        " FROM generate_series(1, 50000) AS n"
    )
    connection.execute("SELECT belfry.contact(array_agg('u' || n)) FROM generate_series(0, 199) AS n")
    connection.execute("SELECT belfry.mark_all_read('u' || n, 45000) FROM generate_series(0, 199) AS n")
    # Many receipts of others about the same notifications, and more of u1 than is usual.
    connection.execute(
        "INSERT INTO belfry.receipt (recipient, notification_id, seen_at)"
        " SELECT CASE WHEN n <= 300 THEN 'u1' ELSE 'x' || n END, 51000 + n % 300, now()"
        " FROM generate_series(1, 60000) AS n"
    )
    connection.execute("VACUUM ANALYZE belfry.notification, belfry.receipt, belfry.subscription, belfry.inbox")


template = filled(fill)


@pytest_asyncio.fixture
async def large(connect: Any) -> Watched:
    """A connection to a clone of it that tells its plans."""
    connection = await connect()
    try:
        await connection.execute("LOAD 'auto_explain'")
    except psycopg.Error:
        pytest.skip("this server has no auto_explain")
    await connection.execute(
        "SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;"
        " SET auto_explain.log_analyze = on; SET auto_explain.log_format = json; SET client_min_messages = log"
    )
    return Watched(connection)


MODES = ["force_generic_plan", "force_custom_plan"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", STATES)
async def test_a_page_reads_a_page_of_each_source(large: Watched, state: str, mode: str) -> None:
    await large.connection.execute(f"SET plan_cache_mode = {mode}".encode())
    nodes = await large.nodes(f"SELECT count(*) FROM belfry.list_inbox('u1', '{state}', 40000, 20)")
    assert_on_indexes(nodes)
    assert read(nodes, "notification") <= 20 * (12 + 2) + 20, state
    assert read(nodes, "receipt") <= 20, state


@pytest.mark.parametrize("mode", MODES)
async def test_counts_read_what_is_above_the_watermark_and_the_badge_nothing_else(large: Watched, mode: str) -> None:
    await large.connection.execute(f"SET plan_cache_mode = {mode}".encode())
    cursor = await large.connection.execute("SELECT unread, total FROM belfry.counts('u1')")
    unread, total = (await cursor.fetchall())[0]
    assert 100 < unread < total
    nodes = await large.nodes('SELECT * FROM belfry.badges(\'[{"recipient": "u1"}]\')')
    assert_on_indexes(nodes)
    assert abs(read(nodes, "notification") - unread) <= 20
    nodes = await large.nodes("SELECT * FROM belfry.counts('u1')")
    assert_on_indexes(nodes)
    assert read(nodes, "notification") <= unread + total + 40
    assert {node["Node Type"] for node in nodes if node["Relation Name"] == "notification" and node["Actual Rows"]} == {
        "Index Only Scan"
    }


async def test_the_badge_of_who_read_all_reads_nothing_however_many_receipts(large: Watched, ask: Any) -> None:
    await large.connection.execute("SELECT belfry.mark_all_read('u1')")
    nodes = await large.nodes('SELECT * FROM belfry.badges(\'[{"recipient": "u1"}]\')')
    assert_on_indexes(nodes)
    assert read(nodes, "notification") <= 20
    assert read(nodes, "receipt") <= 20


async def test_a_mark_probes_its_ids(large: Watched, ask: Any) -> None:
    nodes = await large.nodes("SELECT belfry.mark_read('u1', (SELECT array_agg(id) FROM belfry.list_inbox('u1')))")
    assert_on_indexes(nodes)
    assert read(nodes, "notification") <= 20 * (12 + 2) + 40
