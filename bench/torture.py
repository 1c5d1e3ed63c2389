"""Torture: nothing lost, nothing twice, judged against the table.

Writers with every shape of transaction, several relays, streams cut at random and resumed elsewhere, and faults in
between; at the end what each stream saw is compared with what it was owed. See bench/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from bench import faults, report, writers
from bench.clients import Client, make
from bench.oracle import Observed, Row, Stay, Table, Verdict, judge, missing
from bench.postgres import Cluster, cluster, database
from bench.relay import Relay, running, token
from bench.stub_relay import Stub

LAST_SECONDS = 60.0  # a newcomer's replay, past a million dead rows, on a machine that does much else


@dataclass(frozen=True, slots=True)
class Options:
    """The shape of a run."""

    seconds: float = 60
    writers: int = 16
    churners: int = 4
    relays: int = 3
    clients: int = 40
    topics: int = 6
    seed: int = 1
    wake_mode: str = "auto"
    faults: Sequence[str] = faults.DEFAULT
    max_hold_seconds: float = 2.0
    settle_seconds: float = 30
    serve: Sequence[str] = ("-m", "belfry", "serve")
    stub: str = ""
    log_directory: Path = Path("/tmp")


@dataclass(slots=True)
class Outcome:
    """A verdict, and what went on meanwhile."""

    verdict: Verdict
    witnesses: Verdict
    committed: int
    unknown: int
    settled_after_seconds: float
    latency_milliseconds: list[float]
    counts: dict[str, int] = field(default_factory=dict[str, int])
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    refusals: int = 0

    @property
    def clean(self) -> bool:
        """Whether every promise held."""
        return self.verdict.clean and self.witnesses.clean and not self.unknown and not self.refusals


def replaced(options: Options, **changes: Any) -> Options:
    """The same run with some things different."""
    return replace(options, **changes)


def read_table(url: str) -> Table:
    """All rows for somebody who has a stream, all stays and first contacts."""
    query = "SELECT id, recipient, topic FROM belfry.notification WHERE NOT coalesce(starts_with(recipient, %s), false)"
    with psycopg.connect(url, autocommit=True) as conn:
        rows = conn.execute(query, (writers.ELSEWHERE,)).fetchall()
        stays = conn.execute("SELECT recipient, topic, since, until FROM belfry.subscription").fetchall()
        contacts = conn.execute("SELECT recipient, since FROM belfry.inbox").fetchall()
    return Table([Row(*row) for row in rows], [Stay(*stay) for stay in stays], dict(contacts))


async def settle(table: Table, clients: Sequence[Client], seconds: float) -> float:
    """Wait until every client has all it is owed, or time is up; then a grace in which repeats may show."""
    began = time.monotonic()
    owed = {client.seen.recipient: table.owed(client.seen.recipient) for client in clients}
    while time.monotonic() - began < seconds:
        if not any(missing(owed[client.seen.recipient], client.seen) for client in clients):
            break
        await asyncio.sleep(0.1)
    took = time.monotonic() - began
    await asyncio.sleep(1.5)
    return took


async def resume_once(clients: Sequence[Client]) -> None:
    """Every client comes back a last time and stays a moment beyond `ready`: nothing is left, nothing comes again."""

    async def resume(client: Client) -> None:
        live = asyncio.create_task(client.once(token(client.seen.recipient), cut=False))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.ready.wait(), LAST_SECONDS)
            await asyncio.sleep(0.5)
        live.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await live

    await asyncio.gather(*(resume(client) for client in clients))


async def cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel and wait; an error that a task ended with is raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


async def act(options: Options, server: Cluster, dbname: str, relays: Sequence[Relay], ports: Sequence[int]) -> Outcome:
    """The run itself, with everything started."""
    admin = server.url(dbname)
    recipients = [f"r{n}" for n in range(max(1, options.clients // 2))]
    topics = [f"t{n}" for n in range(options.topics)]
    ends_at = time.monotonic() + options.seconds
    sender = server.url(dbname, "bench_sender") if server.own else admin
    shared = writers.Shared(sender, recipients, topics, ends_at, options.seed, options.max_hold_seconds, prepare=True)
    clients = make(recipients, options.clients, ports, options.seed)
    following = [asyncio.create_task(client.run()) for client in clients]
    late = asyncio.create_task(writers.commit_prepared(shared, admin))
    breaking = faults.Faults(server, admin, relays, options.seconds)
    broken = breaking.start(options.faults)
    busy = [asyncio.create_task(writers.Writer(shared, n).run()) for n in range(options.writers)]
    busy += [asyncio.create_task(writers.Churner(shared, n).run()) for n in range(options.churners)]
    busy.append(asyncio.create_task(writers.Bystander(shared).run()))
    await asyncio.gather(*busy, *broken)
    await cancel([late])
    shared.counts["prepared committed at the end"] = await writers.end_all_prepared(admin)
    table = await asyncio.to_thread(read_table, admin)
    took = await settle(table, clients, options.settle_seconds)
    await cancel(following)
    await resume_once(clients)
    fresh = make(recipients, len(recipients), ports, options.seed + 1)
    await resume_once(fresh)
    counts: Counter[str] = shared.counts + breaking.counts
    return summary(table, clients, fresh, shared, counts, took)


def summary(
    table: Table, clients: list[Client], fresh: list[Client], shared: writers.Shared, counts: Counter[str], took: float
) -> Outcome:
    """Judge, and gather the figures."""
    present = {row.id for row in table.rows}
    unknown = len(set(shared.committed) - present)
    for client in clients:
        counts.update(client.notes)
    counts["reconnects"] = sum(client.connects - 1 for client in clients)
    latency = [
        (arrival.at - at) * 1000
        for client in clients
        for arrival in client.arrivals
        if (at := shared.committed.get(arrival.id)) is not None and at > arrival.live_since
    ]
    refusals = sum(times for note, times in counts.items() if note.startswith("status "))
    seen: list[Observed] = [client.seen for client in clients]
    return Outcome(
        judge(table, seen),
        judge(table, [client.seen for client in fresh]),
        len(table.rows), unknown, took, latency, dict(counts), refusals=refusals,
    )  # fmt: skip


def run(options: Options, server: Cluster | None = None) -> Outcome:
    """A whole run: cluster (or the given one), schema, relays, and the act."""
    report.raise_file_limit()
    random.seed(options.seed)
    with contextlib.ExitStack() as stack:
        server = server or stack.enter_context(cluster())
        dbname = stack.enter_context(database(server))
        with psycopg.connect(server.url(dbname), autocommit=True) as conn:
            conn.execute("UPDATE belfry.setting SET value = %s WHERE name = 'wake_mode'", (options.wake_mode,))
        if options.stub:
            stub = stack.enter_context(Stub(server.url(dbname), options.relays, options.stub))
            return asyncio.run(act(options, server, dbname, [], stub.ports))
        url = server.url(dbname, "bench_relay") if server.own else server.url(dbname)
        settings = {"BELFRY_HEARTBEAT_SECONDS": "1"}
        logs = [options.log_directory / f"belfry-torture-relay-{n}.log" for n in range(options.relays)]
        for log in logs:
            log.unlink(missing_ok=True)
        relays = stack.enter_context(
            running([Relay(url, log=log, settings=settings, command=options.serve) for log in logs])
        )
        outcome = asyncio.run(act(options, server, dbname, relays, [relay.port for relay in relays]))
        outcome.metrics = found_by(relays)
        return outcome


def found_by(relays: Sequence[Relay]) -> dict[str, float]:
    """Rows by what found them (bell, poll, tick), over the relays that live."""
    sums: Counter[str] = Counter()
    for relay in relays:
        for name, value in relay.metrics().items():
            for what in ("bell", "poll", "tick"):
                if f'"{what}"' in name:
                    sums[f"{name.partition('{')[0]} {what}"] += int(value)
    return dict(sums)


def options_from(arguments: Sequence[str]) -> tuple[Options, argparse.Namespace]:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.torture", description=__doc__)
    defaults = Options()
    parser.add_argument("--seconds", type=float, default=defaults.seconds, help="how long the writers write")
    for name in ("writers", "churners", "relays", "clients", "topics", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--wake-mode", choices=("auto", "poll", "notify"), default=defaults.wake_mode)
    parser.add_argument(
        "--faults", default=",".join(faults.DEFAULT), help=f"comma list of {', '.join(faults.KNOWN)}, or none"
    )
    parser.add_argument("--max-hold-seconds", type=float, default=defaults.max_hold_seconds)
    parser.add_argument("--settle-seconds", type=float, default=defaults.settle_seconds)
    parser.add_argument("--broken", default="", help="a fault of bench.broken to put into every relay: must go red")
    parser.add_argument("--stub", default="", help="judge the stub relay instead: good, or one of its faults")
    parser.add_argument("--log-directory", type=Path, default=defaults.log_directory)
    parser.add_argument("--json", help="write the figures to this file too")
    given = parser.parse_args(arguments)
    names = () if given.faults in ("", "none") else tuple(given.faults.split(","))
    if unknown := set(names) - set(faults.KNOWN):
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    serve = ("-m", "bench.broken", given.broken, "serve") if given.broken else defaults.serve
    same = {name: getattr(given, name) for name in Options.__slots__ if hasattr(given, name) and name != "faults"}
    return Options(**same, faults=() if given.stub else names, serve=serve), given


def main(arguments: Sequence[str]) -> int:
    """Run, print, and say by the exit code whether it was clean."""
    options, given = options_from(arguments)
    outcome = run(options)
    result = report.Report("torture")
    verdict, latency = outcome.verdict, outcome.latency_milliseconds
    result.figures = {
        "committed": outcome.committed,
        **{name: value for name, value in asdict(verdict).items() if name != "examples"},
        "live p50 ms": report.percentile(latency, 50),
        "live p99 ms": report.percentile(latency, 99),
        "caught up after s": outcome.settled_after_seconds,
        **dict(sorted(outcome.counts.items())),
        **outcome.metrics,
    }
    result.check(verdict.clean, f"streams: {json.dumps(asdict(verdict))}")
    result.check(outcome.witnesses.clean, f"fresh replays from cursor=0: {json.dumps(asdict(outcome.witnesses))}")
    result.check(not outcome.unknown, f"{outcome.unknown} acknowledged commits are not in the table")
    result.check(not outcome.refusals, f"{outcome.refusals} answers were neither 200 nor a closed port")
    result.check(outcome.committed > 0, "nothing was committed: this run shows nothing")
    return result.finish(json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
