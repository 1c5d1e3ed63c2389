"""Who commits as fast as they may: what a fault costs senders."""

from __future__ import annotations

import asyncio
import contextlib
import time

from bench.writers import patient


class Committers:
    """Sessions that commit one row after another, to nobody, as fast as they may."""

    def __init__(self, url: str, sessions: int = 16) -> None:
        self.done = 0
        self._url = url
        self._tasks = [asyncio.create_task(self._run()) for _ in range(sessions)]

    async def _run(self) -> None:
        async with patient(self._url, "bench committer", time.monotonic() + 30) as conn:
            while True:
                await conn.execute("SELECT belfry.publish('nobody', 'chaos')", prepare=True)
                self.done += 1

    async def rates(self, seconds: int) -> list[float]:
        """The commits of each second."""
        found: list[float] = []
        for _ in range(seconds):
            began, before = time.monotonic(), self.done
            await asyncio.sleep(1)
            found.append((self.done - before) / (time.monotonic() - began))
        return found

    async def stop(self) -> None:
        """Commit no more. Raises what went wrong."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
