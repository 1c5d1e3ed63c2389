"""How things stand, for who watches: cheap, without names and contents."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row


async def status(connection: Any) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT * FROM belfry.status")
        (row,) = await cursor.fetchall()
        return row


async def test_the_status_is_one_row_that_follows(connect: Any, ask: Any) -> None:
    connection, other = await connect(), await connect()
    sent = await ask.call(connection, "send", recipient="u1", kind="x")
    await ask.call(connection, "send", recipient="u1", kind="x", deliver_at="2999-01-01")
    await ask.call(connection, "settle")
    found = await status(connection)
    assert (found["position"], found["settled"], found["open_writers"], found["due"]) == (sent, sent, 0, 0)
    assert found["next_due"].year == 2999
    assert found["oldest"] == found["newest"]
    assert found["wake_mode"] == "auto"
    assert found["notify_queue_usage"] == 0
    assert not found["bell_armed"]
    await connection.execute("UPDATE belfry.scheduled SET deliver_at = now() - interval '1 minute'")
    await other.execute("BEGIN")
    await ask.call(other, "send", recipient="u1", kind="x")
    found = await status(connection)
    assert (found["open_writers"], found["due"], found["position"]) == (1, 1, sent + 1)
    await other.execute("ROLLBACK")
    await other.execute("SELECT pg_advisory_lock(1111837766, 1)")
    assert (await status(connection))["bell_armed"]


async def test_the_activity_counts_by_kind_and_minute(connect: Any, ask: Any) -> None:
    connection = await connect()
    await ask.call(connection, "send", recipient="u1", kind="x")
    await ask.call(connection, "publish", topic="t", kind="x")
    await ask.call(connection, "retract", id=await ask.call(connection, "broadcast", kind="y"))
    await connection.execute("UPDATE belfry.notification SET created_at = '2026-01-01 10:00:30Z'")
    cursor = await connection.execute(
        "SELECT kind, notifications, direct, to_topics, broadcasts, ended FROM belfry.activity"
    )
    assert await cursor.fetchall() == [("x", 2, 1, 1, 0, 0), ("y", 1, 0, 0, 1, 1)]


async def test_a_monitor_may_read_them_and_others_may_not(connect: Any) -> None:
    connection = await connect()
    for view in ("status", "activity"):
        for role, may in (("belfry_monitor", True), ("belfry_sender", False)):
            await connection.execute(f"SET ROLE {role}".encode())
            try:
                if may:
                    await connection.execute(f"SELECT * FROM belfry.{view}".encode())
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        await connection.execute(f"SELECT * FROM belfry.{view}".encode())
            finally:
                await connection.execute("RESET ROLE")
