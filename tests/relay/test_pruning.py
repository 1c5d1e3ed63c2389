"""A relay removes what is older than the retention: one relay at a time, in small batches, whatever fails."""

from __future__ import annotations

from typing import Any

import pytest

from belfry import pruning
from streams import Connection, Serve, eventually, eventually_is, send, value

LOCK = "SELECT pg_advisory_lock(1111837766, 5)"
UNLOCK = "SELECT pg_advisory_unlock(1111837766, 5)"
CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = 'belfry prune' AND datname = current_database() AND wait_event_type = 'Lock'
"""
TITLES = "SELECT array_agg(title ORDER BY id) FROM belfry.notification"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again at once, not in a minute."""
    monkeypatch.setattr(pruning, "CHECK_SECONDS", 0.05)


async def send_long_ago(writer: Connection, *titles: str) -> None:
    """Notifications of ten days ago, and everything so far settled."""
    for title in titles:
        sent = await send(writer, title)
        await writer.execute(
            "UPDATE belfry.notification SET created_at = now() - interval '10 days' WHERE id = %s", (sent,)
        )
    await writer.execute("SELECT belfry.settle()")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(each, "action", "") for each in caplog.records]


async def test_what_is_older_than_the_retention_goes_and_the_rest_stays(serve: Serve, connect: Any):
    writer = await connect()
    await send_long_ago(writer, "old", "old too")
    await send(writer, "new")
    await serve(retention_days=7)
    await eventually_is(writer, ["new"], TITLES)
    assert await value(writer, "SELECT pruned FROM belfry.settled") >= 2


async def test_what_grows_old_later_goes_later(serve: Serve, connect: Any):
    writer = await connect()
    await serve(retention_days=7)
    for title in ("one", "two"):
        await send_long_ago(writer, title)
        await eventually_is(writer, None, TITLES)


async def test_without_a_retention_everything_stays(serve: Serve, connect: Any):
    writer = await connect()
    await send_long_ago(writer, "old")
    belfry = await serve(tick_seconds=0.05)
    client = await belfry.live()
    await send(writer, "new")
    assert await client.titles(1) == ["new"]
    assert await value(writer, TITLES) == ["old", "new"]
    here = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'belfry prune'"
    assert await value(writer, here) == 0


async def test_only_who_holds_the_lock_prunes(serve: Serve, connect: Any):
    writer, holder = await connect(), await connect()
    await send_long_ago(writer, "old")
    await holder.execute(LOCK)
    belfry = await serve(retention_days=7, tick_seconds=0.05)
    polls = belfry.relay.counts["row_queries"]
    await eventually(lambda: belfry.relay.counts["row_queries"] > polls + 8)
    assert await value(writer, TITLES) == ["old"]
    await holder.execute(UNLOCK)
    await eventually_is(writer, None, TITLES)


async def test_batch_follows_batch_until_nothing_is_left(
    serve: Serve, connect: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for name in ("FIRST_ROWS", "MOST_ROWS", "FEWEST_ROWS"):
        monkeypatch.setattr(pruning, name, 2)
    monkeypatch.setattr(pruning, "CHECK_SECONDS", 3600)
    caplog.set_level("INFO")
    writer = await connect()
    await send_long_ago(writer, *map(str, range(7)))
    await serve(retention_days=7)
    await eventually(lambda: "pruned" in said(caplog))
    assert await value(writer, TITLES) is None


async def test_a_failure_is_logged_and_the_next_look_prunes(
    serve: Serve, connect: Any, caplog: pytest.LogCaptureFixture
):
    writer = await connect()
    await send_long_ago(writer, "old")
    await writer.execute("ALTER FUNCTION belfry.prune(interval, integer) RENAME TO elsewhere")
    await serve(retention_days=7)
    await eventually(lambda: said(caplog).count("prune_failed") > 1)
    assert not [each for each in caplog.records if each.exc_info], "a line each, for it is no fault of ours"
    await writer.execute("ALTER FUNCTION belfry.elsewhere(interval, integer) RENAME TO prune")
    await eventually_is(writer, None, TITLES)


async def test_a_connection_that_is_cut_costs_a_look_and_nothing_else(
    serve: Serve, connect: Any, caplog: pytest.LogCaptureFixture
):
    writer, holder = await connect(), await connect()
    await serve(retention_days=7)
    await send_long_ago(writer, "old")
    async with holder.transaction():
        await holder.execute("LOCK belfry.settled")  # so that it waits in the middle
        await eventually_is(writer, 1, CUT)
    await eventually(lambda: "prune_failed" in said(caplog))
    await eventually_is(writer, None, TITLES)


async def test_who_is_reading_gets_what_comes_while_old_rows_go(serve: Serve, connect: Any):
    writer = await connect()
    await writer.execute("SELECT belfry.send('u1', 'test', 'old') FROM generate_series(1, 5000)")
    await writer.execute("UPDATE belfry.notification SET created_at = now() - interval '10 days'")
    await writer.execute("SELECT belfry.settle()")
    client = await (await serve(retention_days=7)).live()
    for number in range(50):
        await send(writer, str(number))
    assert await client.titles(50) == [str(number) for number in range(50)]
    await eventually_is(writer, 50, "SELECT count(*) FROM belfry.notification")
