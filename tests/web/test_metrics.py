"""What /metrics tells, beyond the counts of `test_other_routes.py`: times, ages, fullness."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from belfry.observing import Ages, Observer
from streams import Belfry, Serve, eventually, send, value


@pytest.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve(tick_seconds=0.05)


async def told(belfry: Belfry) -> dict[str, float]:
    """Every sample, by its name and labels."""
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        answer = await http.get("/metrics")
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def until(belfry: Belfry, name: str, wanted: Callable[[float], bool]) -> dict[str, float]:
    """What is told once that sample is as wanted."""
    async with asyncio.timeout(15):
        while not ((found := await told(belfry)).get(name) is not None and wanted(found[name])):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return found


async def test_the_time_to_the_write_is_counted_from_the_commit_or_else_from_the_begin(belfry: Belfry, connect: Any):
    writer: psycopg.AsyncConnection[Any] = await connect()
    since = "commit" if await value(writer, "SHOW track_commit_timestamp") == "on" else "begin"
    client = await belfry.live()
    async with writer.transaction():
        await send(writer, "slow")
        await writer.execute("SELECT pg_sleep(1)")
    assert await client.titles(1) == ["slow"]
    found = await until(belfry, f"belfry_delivery_seconds_count {since}", lambda count: count > 0)
    assert (found[f"belfry_delivery_seconds_sum {since}"] >= 1) == (since == "begin")
    assert found[f"belfry_delivery_seconds_count {since}"] == 1


@pytest.mark.parametrize(("since", "committed"), [("begin", None), ("commit", 99.0)])
def test_clocks_that_differ_are_set_against_each_other(since: str, committed: float | None):
    observer = Observer(SimpleNamespace(), SimpleNamespace(), 1.0)  # type: ignore[arg-type]
    observer._note({7: 50.0}, [(0, 0, 7, 99.0, committed)], ahead=50.0)
    (sample,) = [each for each in next(iter(observer.delivery.collect())).samples if each.name.endswith("_sum")]
    assert (sample.labels, sample.value) == ({"since": since}, 1.0)


def test_what_says_nothing_of_a_delivery_is_left_out():
    observer = Observer(SimpleNamespace(), SimpleNamespace(), 1.0)  # type: ignore[arg-type]
    gone, endless, changed = (0, 0, None, None, None), (0, 0, 7, math.inf, None), (0, 0, 7, 1.0, 60.0)
    observer._note({7: 50.0}, [gone, endless, changed], ahead=0.0)
    assert not next(iter(observer.delivery.collect())).samples


async def test_an_open_transaction_shows_as_the_age_of_the_oldest_gap(belfry: Belfry, connect: Any):
    idle, other = await connect(), await connect()
    assert (await told(belfry))["belfry_oldest_gap_seconds"] == 0
    async with idle.transaction():
        await send(idle, "waits")
        after = await send(other, "does not wait")
        await belfry.caught_up(after)
        found = await until(belfry, "belfry_oldest_gap_seconds", lambda age: age >= 0.3)
        assert found["belfry_gaps"] == 1
        assert found["belfry_position"] == after
        assert found["belfry_settled_position"] == after - 2
    await eventually(lambda: not belfry.relay.tracker.gaps)
    await until(belfry, "belfry_settled_position", lambda position: position == after)
    await until(belfry, "belfry_oldest_gap_seconds", lambda age: age == 0)


def test_the_oldest_gap_is_as_old_as_the_rows_above_it():
    ages = Ages()
    ages.mark(0, 10, None)
    assert ages.seconds(5) == 0
    ages.mark(1, 20, 15)
    ages.mark(2, 30, 15)
    ages.mark(3, 30, 15)
    assert ages.seconds(4) == 3
    ages.mark(5, 40, 25)  # the first is filled; the next one came when the head was 30
    assert ages.seconds(6) == 4
    ages.mark(7, 40, None)
    assert ages.seconds(8) == 0


def test_a_gap_of_hours_costs_no_memory_to_speak_of():
    ages = Ages()
    for second in range(10_000):
        ages.mark(second, second + 2, 1)
    assert ages.seconds(10_000) == 10_000
    assert len(ages._marks) <= 1001


async def test_what_makes_the_loop_turn_is_counted_by_its_source(serve: Serve, connect: Any):
    belfry, writer = await serve(tick_seconds=30), await connect()
    await belfry.asleep()
    before = await told(belfry)
    client = await belfry.live()
    await send(writer, "rings")
    await client.titles(1)
    after = await told(belfry)
    for source in ("attach", "bell"):
        assert after[f"belfry_wakes_total {source}"] > before[f"belfry_wakes_total {source}"]


async def test_pools_queue_process_and_build_are_told(belfry: Belfry):
    await eventually(lambda: belfry.relay.ready)
    found = await told(belfry)
    assert [name for name in found if name.startswith("belfry_build_info ")]
    assert found["belfry_ready"] == 1
    assert found["belfry_streams_waiting"] == 0
    assert found["belfry_pool_connections relay busy"] == found["belfry_pool_connections listener busy"] == 1
    assert found["belfry_pool_connections api idle"] + found["belfry_pool_connections api busy"] >= 1
    assert found["belfry_pool_timeouts_total api"] == 0
    assert found["belfry_overdue_seconds"] == found["belfry_oldest_seconds"] == 0
    assert "belfry_retention_seconds" not in found  # nothing to be behind of
    assert 0 <= found["belfry_notify_queue_ratio"] < 1
    assert found["belfry_relay_connects_total"] == 1
    assert found["belfry_streams_ended_total lagging"] == 0
    assert found["process_open_fds"] > 0


async def test_rows_that_were_removed_for_their_age_are_counted(serve: Serve, connect: Any):
    writer = await connect()
    first = await send(writer, "of last week")
    last = await send(writer, "of today")
    await writer.execute(
        "UPDATE belfry.notification SET created_at = now() - interval '8 days' WHERE id = %s", (first,)
    )
    await writer.execute("SELECT belfry.settle(%s::bigint, (SELECT epoch FROM belfry.settled))", (last,))
    belfry = await serve(retention_days=7)
    await until(belfry, "belfry_rows_pruned_total", lambda rows: rows == 1)
    found = await until(belfry, "belfry_oldest_seconds", lambda age: age < 3600)
    assert found["belfry_retention_seconds"] == 7 * 86400


async def test_what_should_have_been_removed_shows_as_the_age_of_the_oldest(belfry: Belfry, connect: Any):
    writer = await connect()
    await send(writer, "of last week")
    await writer.execute("UPDATE belfry.notification SET created_at = now() - interval '8 days'")
    await until(belfry, "belfry_oldest_seconds", lambda age: age >= 8 * 86400)


async def test_a_scheduled_notification_that_nobody_sends_shows_as_overdue(belfry: Belfry, connect: Any):
    writer, other = await connect(), await connect()
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1111837766, 6)")  # of those who send what is due
        await writer.execute("SELECT belfry.send('u1', 'k', deliver_at => now() + interval '50 ms')")
        await until(belfry, "belfry_overdue_seconds", lambda late: late >= 0.5)
    await until(belfry, "belfry_overdue_seconds", lambda late: late == 0)


async def test_a_watch_that_fails_shows(belfry: Belfry, connect: Any):
    writer = await connect()
    await writer.execute("CREATE TABLE public.orders (id bigint PRIMARY KEY, buyer text)")
    await writer.execute(
        "SELECT belfry.watch('public.orders', 'insert', recipient => 'buyer', kind => 'order.made',"
        " condition => '1 / (new.id - 7) < 2')"
    )
    await writer.execute("INSERT INTO public.orders VALUES (1, 'u1')")
    await until(belfry, "belfry_position", lambda position: position > 0)
    assert (await told(belfry))["belfry_failing_watches"] == 0
    await writer.execute("INSERT INTO public.orders VALUES (7, 'u1')")
    await until(belfry, "belfry_failing_watches", lambda failing: failing == 1)
