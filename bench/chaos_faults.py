"""Chaos' faults: what is struck, for how long, and how it is mended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from bench import report, sse_client
from bench.clients import Client
from bench.committers import Committers
from bench.oracle import Observed
from bench.postgres import Cluster
from bench.relay import Relay
from bench.tcp_proxy import Proxy
from bench.writers import patient

if TYPE_CHECKING:
    from bench.chaos_stage import Standby

STOPPED_SECONDS = 20.0
FROZEN_SECONDS = 30.0
IDLE_SECONDS = 60.0
STOPPED_SHARE = 0.9
"""Of the usual commit rate, from the fifth second on with a relay stopped that holds the bell."""


class Unavailable(Exception):
    """This machine lacks what the scenario needs."""


class Failed(Exception):
    """A scenario did not end as it must."""


@dataclass(slots=True)
class Ground:
    """What a scenario plays on."""

    scenario: Scenario
    server: Cluster  # the present primary
    standbys: list[Standby]
    dbname: str
    relays: Sequence[Relay]
    network: Proxy  # before the server, for relays and writers
    replication: Proxy
    writer_port: int
    figures: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def admin_url(self) -> str:
        """The superuser's way to the present primary, past every proxy."""
        return self.server.url(self.dbname)

    @property
    def writer_url(self) -> str:
        """The senders' way."""
        return f"postgresql://bench_sender@127.0.0.1:{self.writer_port}/{self.dbname}"

    @property
    def ports(self) -> Sequence[int]:
        """The relays' ports."""
        return [relay.port for relay in self.relays]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, and the ground that it needs."""

    summary: str
    strike: Callable[[Ground], Awaitable[None]]
    wake_mode: str = "auto"
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    relay_settings: Mapping[str, str] = field(default_factory=dict[str, str])
    relays: int = 3
    writers: int = 8
    standbys: int = 0
    prepare: bool = False
    pooler: bool = False
    small_disk: bool = False
    shows: tuple[str, ...] = ()  # notes of writers, clients or relays, one of which must be there: the fault was felt
    client: type[Client] = Client
    forks: bool = False  # the database's history is another one afterwards: each client is told to reload
    disorders: bool = False  # a relay is more than a page behind, or gaps are wide: a transaction's rows may come apart


class Forgotten(Exception):
    """The server said `reset`."""


class Reloading(Client):
    """A client that does what `reset` asks of it: it forgets its list and loads the present one."""

    async def once(self, credential: str, *, cut: bool = True) -> None:
        """One connection, which a `reset` ends too."""
        try:
            await super().once(credential, cut=cut)
        except Forgotten:
            self.seen = Observed(self.seen.recipient)
            self.last_id = ""
            self.notes["reloads"] += 1

    def _take(self, frame: sse_client.Frame) -> None:
        if frame.event == "reset":
            raise Forgotten
        super()._take(frame)


@dataclass(slots=True)
class Dropping(Client):
    """A client that drops by id what it has had: so the widget does, for a cursor that had to be widened.

    Changes too: an `unsubscribed` that comes again must not take what a later stay has brought.
    """

    had: set[int] = field(default_factory=set[int])

    def _take(self, frame: sse_client.Frame) -> None:
        if frame.event in ("message", "change"):
            id = json.loads(frame.data)["id"]
            if id in self.had:
                self.notes["dropped by id"] += 1
                return
            self.had.add(id)
        super(Dropping, self)._take(frame)


# --- strikes -------------------------------------------------------------------------------------------------


TERMINATE_RELAYS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'belfry%'
"""


async def terminate(ground: Ground, condition: str) -> None:
    """Terminate backends of this database."""
    query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    async with patient(ground.admin_url, "bench chaos", time.monotonic() + 30) as conn:
        await conn.execute(query.encode())


async def listener_killed(ground: Ground) -> None:
    for _ in range(5):
        await terminate(ground, "application_name = 'belfry listener'")
        await asyncio.sleep(0.5)


async def backends_killed(ground: Ground) -> None:
    for _ in range(3):
        await terminate(ground, "pid <> pg_backend_pid()")
        await asyncio.sleep(1)


async def postgres_killed(ground: Ground) -> None:
    await asyncio.to_thread(ground.server.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(ground.server.start)


async def relay_killed(ground: Ground) -> None:
    await asyncio.to_thread(ground.relays[0].kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(ground.relays[0].start)


async def stop(relay: Relay, seconds: float) -> None:
    relay.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    relay.signal(signal.SIGCONT)


async def relay_stopped(ground: Ground) -> None:
    await stop(ground.relays[0], STOPPED_SECONDS)


async def bell_stopped(ground: Ground) -> None:
    """Stop the relay that holds the bell, as soon as one does; who commits feels it for less than five seconds."""
    ground.server.slow_flush(2)  # as on a disk, where commits that ring wait for each other
    usual = Committers(ground.writer_url)
    normal = report.median((await usual.rates(6))[2:])
    await usual.stop()
    relay = await bell_holder(ground)
    relay.signal(signal.SIGSTOP)
    try:
        beside = Committers(ground.writer_url)
        rates = await beside.rates(12)
        await beside.stop()
    finally:
        relay.signal(signal.SIGCONT)
    ground.server.slow_flush(0)
    share = report.median(rates[5:]) / normal
    ground.figures["commits"] = f"{rates[0] / normal:.2f} of normal in the first second, {share:.2f} after 5 s"
    if share < STOPPED_SHARE:
        raise Failed(f"the commit rate is {share:.2f} of normal after 5 s: {normal:.0f}, then {rates}")


async def bell_holder(ground: Ground) -> Relay:
    """The relay that holds the bell."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for relay in ground.relays:
            if (await asyncio.to_thread(relay.metrics)).get("belfry_bell_armed") == 1.0:
                return relay
    raise Failed("no relay held the bell for half a minute")


async def network_frozen(ground: Ground) -> None:
    ground.network.freeze()
    await asyncio.sleep(FROZEN_SECONDS)
    ground.network.thaw()


async def disk_full(ground: Ground) -> None:
    filler = ground.server.directory.parent / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 1 << 16)
    await asyncio.sleep(8)
    await asyncio.to_thread(filler.unlink)
    await asyncio.to_thread(ensure_running, ground.server)


def ensure_running(server: Cluster) -> None:
    """A server that gave up is started again."""
    try:
        psycopg.connect(server.superuser_url, connect_timeout=2).close()
    except psycopg.OperationalError:
        with contextlib.suppress(Exception):
            server.stop()
        server.start()


async def connections_exhausted(ground: Ground) -> None:
    """Take what is left, then cut the relays off: whatever comes free is taken too."""
    held: list[Any] = []
    until = time.monotonic() + 6
    while time.monotonic() < until:
        try:
            held.append(await psycopg.AsyncConnection.connect(ground.admin_url, autocommit=True))
        except psycopg.OperationalError:
            await held[0].execute(TERMINATE_RELAYS)
            await asyncio.sleep(0.2)
    for each in held:
        await each.close()


async def writer_idles(ground: Ground) -> None:
    async with patient(ground.admin_url, "bench idle", time.monotonic() + 30) as conn:
        await conn.execute("BEGIN")
        await conn.execute("SELECT belfry.broadcast('chaos.late')")
        await asyncio.sleep(IDLE_SECONDS)
        await conn.execute("COMMIT")


async def prepared_late(ground: Ground) -> None:
    async with patient(ground.admin_url, "bench prepared", time.monotonic() + 30) as conn:
        await conn.execute("BEGIN")
        await conn.execute("SELECT belfry.broadcast('chaos.late')")
        await conn.execute("PREPARE TRANSACTION 'chaos-late'")
        await asyncio.sleep(15)
        await conn.execute("COMMIT PREPARED 'chaos-late'")


async def million_rolled_back(ground: Ground) -> None:
    async with patient(ground.admin_url, "bench million", time.monotonic() + 30) as conn:
        await conn.execute("SET statement_timeout = 0")
        await conn.execute("BEGIN")
        await conn.execute(
            "INSERT INTO belfry.notification (topic, kind) SELECT 'nobody', 'chaos' FROM generate_series(1, 1000000)"
        )
        await asyncio.sleep(2)
        await conn.execute("ROLLBACK")


async def pooler_reconnects(ground: Ground) -> None:
    await terminate(ground, "usename = 'bench_sender'")
    await asyncio.sleep(5)


async def lead_to(ground: Ground, standby: Standby) -> None:
    """The primary is dead: a standby takes over, and everybody finds it at the same address."""
    await asyncio.to_thread(standby.promote)
    ground.server = standby
    await ground.network.lead_to(standby.port)


async def standby_promoted(ground: Ground) -> None:
    ground.replication.freeze()  # from here on the standby lags
    await asyncio.sleep(2)
    await asyncio.to_thread(ground.server.kill)
    await ground.replication.cut()
    ground.replication.thaw()
    await lead_to(ground, ground.standbys[0])


async def standbys_promoted(ground: Ground) -> None:
    """Both fork from the same primary, to the same timeline."""
    await standby_promoted(ground)
    await asyncio.sleep(5)
    await asyncio.to_thread(ground.server.kill)
    await lead_to(ground, ground.standbys[1])
