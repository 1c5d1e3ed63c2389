"""The hot queries stay on their indexes, whatever plan Postgres caches, and read no more than they need."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from belfry import rows
from belfry.tracker import LATE_PAGES
from streams import Connection
from tests.conftest import filled

ROWS = 60_000
PAGE = 100
SLACK = 10  # EXPLAIN rounds the rows of a loop


def fill(connection: psycopg.Connection[Any]) -> None:
    """A database with many rows of many recipients and topics, and its statistics."""
    connection.execute(
        "INSERT INTO belfry.notification (recipient, topic, kind)"
        " SELECT CASE WHEN n %% 2 = 0 THEN 'u' || n %% 500 END, CASE WHEN n %% 2 = 1 THEN 't' || n %% 20 END, 'test'"
        " FROM generate_series(1, %s) AS n",
        (ROWS,),
    )
    connection.execute(
        "INSERT INTO belfry.change (recipient, topic, verb)"
        " SELECT 'u' || n % 500, 't' || n % 20, CASE WHEN n % 2 = 0 THEN 'subscribed' ELSE 'unsubscribed' END"
        " FROM generate_series(1, 20000) AS n"
    )
    connection.execute("ANALYZE belfry.notification, belfry.change")


template = filled(fill)


@pytest_asyncio.fixture
async def large(connect: Any) -> Connection:
    """A connection to a clone of it whose plans are generic."""
    connection = await connect()
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute("SET jit = off")
    return connection


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def explain(connection: Connection, query: str, parameters: dict[str, Any], types: dict[str, str]) -> Any:
    """The plan of a prepared statement, which is generic: the parameters are not known to the planner."""
    places = {name: f"${number}" for number, name in enumerate(types, 1)}
    text = query % places
    await connection.execute(f"PREPARE hot ({', '.join(types.values())}) AS {text}".encode())
    values = ", ".join(literal(parameters[name], kind) for name, kind in types.items())
    cursor = await connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE hot ({values})".encode())
    found = (await cursor.fetchall())[0][0]
    await connection.execute("DEALLOCATE hot")
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


def literal(given: Any, kind: str) -> str:
    if isinstance(given, list):
        items = ",".join("NULL" if each is None else str(each) for each in given)
        return f"'{{{items}}}'::{kind}"
    return f"'{given}'::{kind}"


def touched(plan: dict[str, Any]) -> int:
    """How many rows of the two tables were read, filtered ones included."""
    return sum(
        round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes(plan)
        if node.get("Relation Name") in ("notification", "change")
    )


def assert_on_indexes(plan: dict[str, Any]) -> None:
    scans = [node for node in nodes(plan) if node.get("Relation Name") in ("notification", "change")]
    assert scans
    assert {node["Node Type"] for node in scans} <= {"Index Scan", "Index Only Scan"}, [
        (node["Node Type"], node["Relation Name"]) for node in scans
    ]


POLL_TYPES = {
    "head": "bigint",
    "page": "integer",
    "most": "integer",
    "ids": "bigint[]",
    "los": "bigint[]",
    "his": "bigint[]",
    "wide_los": "bigint[]",
    "wide_his": "bigint[]",
}
NOTHING = {"ids": [], "los": [], "his": [], "wide_los": [], "wide_his": []}


@pytest.mark.parametrize(
    ("given", "most"),
    [
        pytest.param({"head": ROWS + 20_000, **NOTHING}, 0, id="nothing is new"),
        pytest.param({"head": 0, **NOTHING}, 2 * PAGE, id="far behind"),
        pytest.param(
            {
                **NOTHING,
                "head": ROWS + 20_000,
                "ids": [10, 100, 101, 102, ROWS + 5, ROWS + 6, ROWS + 7],
                "los": [5000],
                "his": [5099],
            },
            1 + 3 + 2 * 100 + 3,
            id="narrow gaps",
        ),
        pytest.param(
            {**NOTHING, "head": ROWS + 20_000, "los": [1], "his": [ROWS], "wide_los": [1], "wide_his": [ROWS]},
            2 * PAGE,
            id="a wide gap",
        ),
        pytest.param(
            {**NOTHING, "head": ROWS + 20_000, "wide_los": [ROWS + 1], "wide_his": [ROWS + 50]},
            50,
            id="memberships of a range",
        ),
    ],
)
async def test_the_poll_reads_by_index_and_no_more_than_a_page_of_each_table_and_range(
    large: Connection, given: dict[str, Any], most: int
):
    texts = [
        rows.outlines_text(ids=bool(given["ids"]), ranges=bool(given["los"]), wide=bool(given["wide_los"])),
        rows.outlines_text(ids=True, ranges=True, wide=True),
        rows.WHOLE_POLL,
    ]
    for query in texts:
        parameters = {"page": PAGE, "most": LATE_PAGES * PAGE, **given}
        assert_cheap(await explain(large, query, parameters, POLL_TYPES), most)


@pytest.mark.parametrize(("query", "first"), [(rows.NOTIFICATIONS, 1), (rows.CHANGES, ROWS + 1)])
async def test_contents_that_were_left_out_are_read_by_index(large: Connection, query: Any, first: int):
    ids = list(range(first, first + 2 * PAGE))
    assert_cheap(await explain(large, query, {"ids": ids}, {"ids": "bigint[]"}), len(ids))


def assert_cheap(plan: dict[str, Any], most: int) -> None:
    assert_on_indexes(plan)
    assert touched(plan) <= most + SLACK
    blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert blocks < 60 + 6 * max(most, 1)


REPLAY_TYPES = {
    "recipient": "text",
    "topics": "text[]",
    "sinces": "bigint[]",
    "untils": "bigint[]",
    "unseen": "int8multirange",
    "head": "bigint",
    "after": "bigint",
    "page": "integer",
}


@pytest.mark.parametrize(
    ("given", "most"),
    [
        pytest.param({"unseen": "{}", "after": ROWS + 20_000}, 0, id="nothing was missed"),
        pytest.param({"unseen": f"{{[{ROWS // 2 + 1},]}}", "after": ROWS // 2}, 5 * PAGE, id="a page of much"),
        pytest.param({"unseen": "{[1,]}", "after": 0}, 5 * PAGE, id="everything"),
    ],
)
async def test_a_replay_reads_by_index_and_no_more_than_a_page_of_each_source_and_then_the_page(
    large: Connection, given: dict[str, Any], most: int
):
    parameters = {
        "recipient": "u8",
        "topics": ["t3", "t7"],
        "sinces": [0, 0],
        "untils": [None, ROWS],
        "head": ROWS + 20_000,
        "page": PAGE,
        **given,
    }
    plan = await explain(large, rows.REPLAY, parameters, REPLAY_TYPES)
    assert_on_indexes(plan)
    assert touched(plan) <= most + SLACK


async def test_a_replay_of_an_old_gap_reads_no_rows_of_others(large: Connection):
    parameters = {
        "recipient": "u8",
        "topics": ["t3"],
        "sinces": [0],
        "untils": [None],
        "unseen": "{[3,8]}",
        "head": ROWS + 20_000,
        "after": 2,
        "page": PAGE,
    }
    plan = await explain(large, rows.REPLAY, parameters, REPLAY_TYPES)
    assert_on_indexes(plan)
    own = ROWS // 500 * 2 + ROWS // 20 + 20_000 // 500
    assert touched(plan) <= own + SLACK


async def test_a_replay_to_a_thousand_topics_and_many_gaps_makes_frames_of_its_page_alone(large: Connection):
    topics = [f"t{number}" for number in range(1000)]
    gaps = ",".join(f"[{position},{position}]" for position in range(ROWS - 800, ROWS, 2))
    parameters = {
        "recipient": "u8",
        "topics": topics,
        "sinces": [0] * len(topics),
        "untils": [None] * len(topics),
        "unseen": f"{{[1,{ROWS // 2}],{gaps}}}",
        "head": ROWS + 20_000,
        "after": 0,
        "page": PAGE,
    }
    await large.execute("SET plan_cache_mode = force_custom_plan")
    await large.execute("SET jit = on")
    plan = await explain(large, rows.REPLAY, parameters, REPLAY_TYPES)
    assert plan["Total Cost"] < 50_000, "Postgres compiles at 100,000, for seconds"
    built = sum(
        node["Actual Rows"] * node["Actual Loops"]
        for node in nodes(plan)
        if node.get("Relation Name") == "notification" and node["Node Type"] == "Index Scan" and node["Plan Rows"] == 1
    )
    assert built <= PAGE
