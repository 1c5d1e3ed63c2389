"""Who is in a segment follows from traits and filters, whatever is committed at the same time."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

CALLS = (
    "SELECT belfry.set_traits('u1', '{\"plan\":\"pro\"}')",
    "SELECT belfry.define_segment('pro', '{\"plan\":\"pro\"}'::jsonb)",
    "SELECT belfry.define_segment('pro', 'plan:pro')",
    "SELECT belfry.drop_segment('pro')",
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_snapshot_that_could_leave_somebody_out_is_refused(connect: Any, call: str, level: str):
    connection = await connect()
    await connection.execute(f"BEGIN ISOLATION LEVEL {level}")
    with pytest.raises(psycopg.Error, match="READ COMMITTED alone") as refused:
        await connection.execute(call)
    assert refused.value.sqlstate == "BF012"
    await connection.execute("ROLLBACK")


async def test_traits_that_wait_for_a_definition_follow_it(connect: Any):
    one, other = await connect(), await connect()
    await one.execute("BEGIN")
    await one.execute(CALLS[1])
    async with other.pipeline():  # sent, and waiting for the definition to be committed
        waiting = await other.execute(CALLS[0])
        await one.execute("COMMIT")
    assert await waiting.fetchone() is not None
    cursor = await one.execute(
        "SELECT recipient FROM belfry.subscription WHERE topic = 'segment:pro' AND until IS NULL"
    )
    assert await cursor.fetchall() == [("u1",)]
