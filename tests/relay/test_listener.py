"""The LISTEN connection: each NOTIFY wakes once, whenever it comes, and the loss of the connection wakes too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from belfry import listener
from belfry.listener import Listener
from streams import eventually

NAME = "listener_under_test"


@asynccontextmanager
async def listening(
    database: str, *, ping_seconds: float = 0.2, **options: Any
) -> AsyncGenerator[tuple[Listener, list[str]]]:
    """A listener that has begun, and the payloads that it has woken with since."""
    woken: list[str] = []
    kwargs = {"autocommit": True, "application_name": NAME, **options}
    async with AsyncConnectionPool[Any](database, kwargs=kwargs, min_size=1, max_size=1, open=False) as pool:
        one = Listener(pool, woken.append, ping_seconds=ping_seconds)
        task = asyncio.create_task(one.run())
        await eventually(lambda: woken == [""])  # a beginning wakes
        woken.clear()
        try:
            yield one, woken
        finally:
            task.cancel()
            await asyncio.wait([task])


async def notify(connection: Any, *payloads: str) -> None:
    async with connection.transaction():
        for payload in payloads:
            await connection.execute("SELECT pg_notify('belfry', %s)", (payload,))


async def test_each_notify_wakes_once_in_its_order(database: str, connect: Any):
    sender = await connect()
    async with listening(database) as (_, woken):
        await notify(sender, "a", "b", "ü")
        await eventually(lambda: woken == ["a", "b", "ü"])
        await notify(sender, "c")
        await eventually(lambda: woken == ["a", "b", "ü", "c"])
        await asyncio.sleep(0.5)  # over two pings
        assert woken == ["a", "b", "ü", "c"]


async def test_what_comes_with_the_answer_of_a_ping_wakes_too(
    database: str, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    async def never(descriptor: int) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(listener, "_readable", never)
    sender = await connect()
    async with listening(database) as (_, woken):
        await notify(sender, "a", "b")
        await eventually(lambda: woken == ["a", "b"])


async def test_a_payload_in_another_encoding_wakes_as_well(database: str, connect: Any):
    sender = await connect()
    async with listening(database, client_encoding="latin1") as (one, woken):
        await notify(sender, "ü", "a")
        await eventually(lambda: woken == ["\ufffd", "a"])
        assert one.connects == 1


async def test_between_two_pings_it_sleeps(database: str, monkeypatch: pytest.MonkeyPatch):
    waits: list[int] = []
    readable = listener._readable

    async def counted(descriptor: int) -> None:
        waits.append(descriptor)
        await readable(descriptor)

    monkeypatch.setattr(listener, "_readable", counted)
    async with listening(database, ping_seconds=0.5):
        waits.clear()
        await asyncio.sleep(1.2)
        assert len(waits) <= 3


async def test_a_lost_connection_is_replaced_and_wakes(database: str, connect: Any):
    sender = await connect()
    async with listening(database) as (one, woken):
        await sender.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (NAME,)
        )
        await eventually(lambda: woken == [""] and one.connects == 2)
        await notify(sender, "a")
        await eventually(lambda: woken == ["", "a"])


async def test_one_that_does_not_answer_its_ping_is_not_alive(database: str, monkeypatch: pytest.MonkeyPatch):
    async def unanswered(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    async with listening(database) as (one, _):
        monkeypatch.setattr(psycopg.AsyncConnection, "execute", unanswered)
        await eventually(lambda: not one.alive(asyncio.get_running_loop().time()))
