"""Torture's faults, each a coroutine that runs until time is up."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg

from bench.postgres import Cluster
from bench.relay import Relay, RelayProblem
from bench.writers import patient

KNOWN = ("listener", "poller", "relay", "freeze", "postgres")
DEFAULT = ("listener", "poller", "relay", "postgres")
START_SECONDS = 10.0  # past which a relay that does not start is at fault itself
TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = %s AND datname = current_database()
"""


@dataclass(slots=True)
class Faults:
    """What is broken, and when; `counts` says how often it happened."""

    cluster: Cluster
    superuser_url: str
    relays: Sequence[Relay]
    seconds: float
    counts: Counter[str] = field(default_factory=Counter[str])

    def start(self, names: Sequence[str]) -> list[asyncio.Task[None]]:
        """One task a fault. Unknown names raise KeyError."""
        known = {
            "listener": lambda: self._terminate("belfry listener", 2.0),
            "poller": lambda: self._terminate("belfry relay", 5.0),
            "relay": self._kill_relay,
            "freeze": self._freeze_relay,
            "postgres": self._kill_postgres,
        }
        return [asyncio.create_task(known[name](), name=f"fault {name}") for name in names]

    async def _terminate(self, application_name: str, every_seconds: float) -> None:
        """Terminate the backends of that name, again and again."""
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            with contextlib.suppress(psycopg.Error):
                async with patient(self.superuser_url, "bench faults", until) as conn:
                    while time.monotonic() < until:
                        await asyncio.sleep(every_seconds)
                        row = await (await conn.execute(TERMINATE, (application_name,))).fetchone()
                        self.counts[f"terminated {application_name}"] += int(row[0]) if row else 0

    async def _kill_relay(self) -> None:
        """SIGKILL to one relay a third of the way through; back a second later, by a supervisor.

        Its start may be cut off too, by who terminates sessions: then it ends, and is started again.
        """
        await asyncio.sleep(self.seconds / 3)
        await asyncio.to_thread(self.relays[0].kill)
        self.counts["relay killed"] += 1
        until = time.monotonic() + START_SECONDS
        while True:
            await asyncio.sleep(1)
            try:
                return await asyncio.to_thread(self.relays[0].start)
            except RelayProblem:
                if time.monotonic() > until:
                    raise
                self.counts["relay cut off at its start"] += 1

    async def _freeze_relay(self) -> None:
        """SIGSTOP to one relay for four seconds, in which it may hold the bell."""
        await asyncio.sleep(self.seconds / 6)
        self.relays[-1].signal(signal.SIGSTOP)
        self.counts["relay frozen"] += 1
        await asyncio.sleep(min(4.0, self.seconds / 4))
        self.relays[-1].signal(signal.SIGCONT)

    async def _kill_postgres(self) -> None:
        """SIGKILL to the whole server two thirds of the way through; back after a second."""
        await asyncio.sleep(self.seconds * 2 / 3)
        await asyncio.to_thread(self.cluster.kill)
        self.counts["postgres killed"] += 1
        await asyncio.sleep(1)
        await asyncio.to_thread(self.cluster.start)
