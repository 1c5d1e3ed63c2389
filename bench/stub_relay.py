"""A slow relay that is obviously right, to try the oracle on: good, or with one fault that the oracle must see.

Every 100 ms one statement asks the table for all that anybody is owed and has not been logged yet; a stream reads its
recipient's log, and its cursor is an index into it. It lives in this process, so no fault can be done to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import jwt
import psycopg

from bench.postgres import free_port
from bench.relay import SECRET

FAULTS = ("good", "lose", "repeat", "foreign", "disorder", "newest-only", "reset")
LOG = """
CREATE TEMP TABLE logged (who text, id bigint, PRIMARY KEY (who, id));
CREATE TEMP VIEW owed AS
  SELECT recipient AS who, id FROM belfry.notification WHERE recipient IS NOT NULL
  UNION ALL
  SELECT s.recipient, n.id FROM belfry.notification n JOIN belfry.subscription s ON s.topic = n.topic
  WHERE n.id > s.since AND (s.until IS NULL OR n.id < s.until)
  UNION ALL
  SELECT i.recipient, n.id FROM belfry.notification n JOIN belfry.inbox i ON n.topic = '*' AND n.id > i.since
  UNION ALL
  SELECT recipient, id FROM belfry.change;
"""
NEW = """
WITH fresh AS (INSERT INTO logged SELECT who, id FROM owed ON CONFLICT DO NOTHING RETURNING who, id)
SELECT f.who, f.id, coalesce(n.topic, c.topic), n.data, c.verb FROM fresh f
LEFT JOIN belfry.notification n USING (id) LEFT JOIN belfry.change c ON c.id = f.id ORDER BY f.id
"""


@dataclass(slots=True)
class Log:
    """All frames for one recipient, in the order in which they were found."""

    frames: list[str] = field(default_factory=list[str])
    grew: asyncio.Condition = field(default_factory=asyncio.Condition)
    newest: int = 0


class Stub:
    """Serves the stream route on several ports while the context is open."""

    def __init__(self, url: str, ports: int, fault: str) -> None:
        if fault not in FAULTS:
            raise ValueError(f"the stub's faults are: {', '.join(FAULTS)}")
        self.ports = [free_port() for _ in range(ports)]
        self._url, self._fault = url, fault
        self._logs: defaultdict[str, Log] = defaultdict(Log)
        self._rng = random.Random(7)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Stub:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the stub did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop and self._task:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._conn = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        await self._conn.execute(LOG)
        for port in self.ports:
            await asyncio.start_server(self._serve, "127.0.0.1", port)
        self._started.set()
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await self._poll()
                await asyncio.sleep(0.1)
        await self._conn.close()

    async def _poll(self) -> None:
        rows = await (await self._conn.execute(NEW)).fetchall()
        if self._fault == "disorder":
            rows.reverse()
        for row in rows:
            await self._append(*row)

    async def _append(
        self, who: str, id: int, topic: str | None, data: dict[str, Any] | None, verb: str | None
    ) -> None:
        log = self._logs[who]
        wrong = verb is None and self._rng.random() < 0.01
        if (self._fault == "lose" and wrong) or (self._fault == "newest-only" and not verb and id < log.newest):
            return
        log.newest = max(log.newest, id)
        if self._fault == "foreign" and wrong:
            log = self._logs["r0" if who != "r0" else "r1"]
        body = {"id": id, "verb": verb, "topic": topic} if verb else {"id": id, "topic": topic, "data": data}
        async with log.grew:
            log.frames.append(("event: change\n" if verb else "") + f"data: {json.dumps(body)}\n\n")
            log.grew.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            recipient = jwt.decode(fields["Authorization"].split()[1], SECRET, ["HS256"])["sub"]
            await self._conn.execute("SELECT belfry.contact(ARRAY[%s])", (recipient,))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            await self._follow(self._logs[recipient], int(fields.get("Last-Event-ID", "0") or 0), writer)
        writer.transport.abort()

    async def _follow(self, log: Log, at: int, writer: asyncio.StreamWriter) -> None:
        if self._fault == "repeat" and at and self._rng.random() < 0.05:
            at -= 1
        if self._fault == "reset" and at and self._rng.random() < 0.05:
            write(writer, f'id: {at}\nevent: reset\ndata: {{"reason":"epoch"}}\n\n')
        live = False
        while not writer.is_closing():
            for frame in log.frames[at:]:
                at += 1
                write(writer, f"id: {at}\n{frame}")
            if not live:
                live = True
                write(writer, f"id: {at}\nevent: ready\ndata: {{}}\n\n")
            await writer.drain()
            async with log.grew:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(log.grew.wait_for(lambda at=at: len(log.frames) > at), 1)


def write(writer: asyncio.StreamWriter, frame: str) -> None:
    """One chunk."""
    body = frame.encode()
    writer.write(b"%x\r\n%s\r\n" % (len(body), body))
