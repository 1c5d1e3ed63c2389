"""The inbox, judged: random operations by many writers, and at every checkpoint three answers that must be one.

The functions (`counts`, `list_inbox`), clients that know `ready` and frames alone, and a simple model over committed
facts (`inbox_oracle.py` says why it is sound). See bench/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from bench import inbox_broken, report
from bench.inbox_checks import Checker
from bench.inbox_client import Client
from bench.inbox_journal import TENANTS, Journal
from bench.inbox_oracle import Model
from bench.inbox_writers import Writer
from bench.postgres import Cluster, cluster, database
from bench.relay import Relay, running

NEEDED = (
    "send", "send_many", "publish", "broadcast", "subscribe", "unsubscribe", "set_preference", "declare_kind",
    "mark_read", "mark_unread", "mark_seen", "archive", "unarchive", "mark_all_read", "mark_all_seen", "archive_all",
    "snooze", "unsnooze", "retract", "revise", "deliver_due", "set_traits", "define_segment", "counts", "list_inbox",
)  # fmt: skip

# What the functions do otherwise when there is much of something, they do then at a handful.
LOW_THRESHOLDS: LiteralString = r"""
    DO $$ DECLARE
        change record;
        present text;
    BEGIN
        FOR change IN SELECT * FROM (VALUES ('tally', 'many CONSTANT integer := \d+', 'many CONSTANT integer := 4'),
            ('compact', 'marks <= \d+', 'marks <= 6'), ('compact', '/ \d+', '/ 3'))
            AS wanted (name, old, new) LOOP
            present := pg_get_functiondef(('belfry.' || change.name)::regproc);
            ASSERT present ~ change.old, change.old;
            EXECUTE regexp_replace(present, change.old, change.new, 'g');
        END LOOP;
    END $$"""


@dataclass(frozen=True, slots=True)
class Options:
    """The shape of a run."""

    operations: int = 100_000
    checkpoints: int = 40
    writers: int = 8
    recipients: int = 24
    topics: int = 5
    relays: int = 2
    clients: int = 30
    seed: int = 1
    broken: str = ""
    low_thresholds: bool = False
    progress: bool = False
    partial: bool = False  # what the schema does not have yet is left out
    log_directory: Path = Path("/tmp")


@dataclass(slots=True)
class Outcome:
    """What was found, and what went on meanwhile."""

    faults: list[str]
    operations: int
    unsure: int
    notifications: int
    counts: Counter[str] = field(default_factory=Counter[str])
    sweep_seconds: float = 0.0
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether all agreed everywhere."""
        return not self.faults


def make_clients(
    options: Options, recipients: Sequence[str], topics: Sequence[str], ports: Sequence[int]
) -> list[Client]:
    """Dealt over the recipients in turn; some are narrowed, some begin with a page, some are seldom cut."""
    rng = random.Random(f"{options.seed} inbox clients")
    made: list[Client] = []
    for number in range(options.clients if ports else 0):
        client = Client(recipients[number % len(recipients)], ports, random.Random(f"{options.seed} client {number}"))
        if number % 5 == 4:
            client.tenant = rng.choice((None, *TENANTS))
            client.topics = tuple(rng.sample(list(topics), 2)) if rng.random() < 0.5 else None
        client.paged = number % 4 == 3
        client.mean_life_seconds = 60.0 if number % 3 == 0 else 1.5
        made.append(client)
    return made


async def act(options: Options, server: Cluster, dbname: str, ports: Sequence[int]) -> Outcome:
    """The run itself, with everything started."""
    admin = server.url(dbname)
    sender = server.url(dbname, "bench_sender") if server.own else admin
    recipients, topics = [f"r{n}" for n in range(options.recipients)], [f"t{n}" for n in range(options.topics)]
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        conn = await stack.enter_async_context(await psycopg.AsyncConnection.connect(admin, autocommit=True))
        journal = Journal(recipients, topics, options.seed, await functions(conn))
        clients = make_clients(options, recipients, topics, ports)
        checker = Checker(conn, journal, Model(recipients), clients, random.Random(options.seed))
        checker.faults += [] if options.partial else lacking(journal.functions)
        sessions = [await stack.enter_async_context(await connect(sender)) for _ in range(options.writers)]
        writers = [Writer(journal, number, options.writers) for number in range(options.writers)]
        following = [asyncio.create_task(client.run()) for client in clients]
        for place in range(options.checkpoints):
            journal.wanted = options.operations * (place + 1) // options.checkpoints
            for client in clients:
                client.calm = False
            await asyncio.gather(*(writer.run(each) for writer, each in zip(writers, sessions, strict=True)))
            await checker.checkpoint()
            if options.progress:
                told = f"{place + 1}/{options.checkpoints}: {journal.done:,} operations, {len(checker.faults)} faults"
                print(told, file=sys.stderr, flush=True)
            if checker.counts[f"fault: {inbox_broken.SHOWS.get(options.broken)}"]:
                break
        await checker.witnesses(ports)
        await end(following)
    return outcome(checker, time.monotonic() - began)


def outcome(checker: Checker, seconds: float) -> Outcome:
    """What a run has to tell."""
    counts = checker.counts + checker.journal.counts
    for client in checker.clients:
        counts += client.notes
        counts += client.state.notes
        counts["reconnects"] += max(0, client.connects - 1)
    model = checker.model
    return Outcome(
        checker.faults,
        checker.journal.done,
        model.unsure,
        len(model.sent),
        counts,
        checker.longest_sweep_seconds,
        seconds,
    )


async def connect(url: str) -> psycopg.AsyncConnection[Any]:
    """A writer's session."""
    conn = await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="bench inbox writer")
    await conn.execute("SET statement_timeout = '20s'")
    return conn


async def functions(conn: psycopg.AsyncConnection[Any]) -> set[str]:
    """The functions and tables that this schema has."""
    query = """
        SELECT proname FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace
        UNION SELECT relname FROM pg_class WHERE relnamespace = 'belfry'::regnamespace AND relkind = 'r'"""
    return {name for (name,) in await (await conn.execute(query)).fetchall()}


def lacking(present: set[str]) -> list[str]:
    """A fault for each function that the run would do without."""
    return [
        f"the schema has no belfry.{name}: this run shows less than it says" for name in NEEDED if name not in present
    ]


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel and wait; an error that a task ended with is raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


def allow(url: str, broken: str, low_thresholds: bool) -> None:
    """The writers read the sequence's last value beside their calls, which a sender may not."""
    with psycopg.connect(url, autocommit=True) as conn:
        if broken in inbox_broken.SCHEMA:
            conn.execute(inbox_broken.SCHEMA[broken])
        if low_thresholds:
            conn.execute(LOW_THRESHOLDS)
        conn.execute("GRANT EXECUTE ON FUNCTION belfry.last_position() TO PUBLIC")
        conn.execute("GRANT SELECT ON SEQUENCE belfry.position TO PUBLIC")


def run(options: Options, server: Cluster | None = None) -> Outcome:
    """A whole run: cluster (or the given one), schema, relays, and the act."""
    report.raise_file_limit()
    with contextlib.ExitStack() as stack:
        server = server or stack.enter_context(cluster())
        dbname = stack.enter_context(database(server))
        allow(server.url(dbname), options.broken, options.low_thresholds)
        url = server.url(dbname, "bench_relay") if server.own else server.url(dbname)
        serve = ("-m", "bench.inbox_broken", options.broken, "serve") if options.broken else ("-m", "belfry", "serve")
        logs = [options.log_directory / f"belfry-inbox-relay-{n}.log" for n in range(options.relays)]
        for log in logs:
            log.unlink(missing_ok=True)
        settings = {"BELFRY_HEARTBEAT_SECONDS": "1"}
        relays = [Relay(url, log=log, settings=settings, command=serve) for log in logs]
        started = stack.enter_context(running(relays))
        found = asyncio.run(act(options, server, dbname, [relay.port for relay in started]))
        for relay in started:
            if fault := next((line for line in relay.tail(2000).splitlines() if "Traceback" in line), ""):
                found.faults.append(f"a relay's log has a {fault} ({relay.log})")
        return found


def options_from(arguments: Sequence[str]) -> tuple[Options, argparse.Namespace]:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.inbox_model", description=__doc__)
    defaults = Options()
    for name in ("operations", "checkpoints", "writers", "recipients", "topics", "relays", "clients", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    parser.add_argument("--broken", default="", help="a fault of bench.inbox_broken: must go red")
    parser.add_argument("--low-thresholds", action="store_true", help="compact, and count the other way, at a handful")
    parser.add_argument("--partial", action="store_true", help="leave out what the schema does not have")
    parser.add_argument("--log-directory", type=Path, default=defaults.log_directory)
    parser.add_argument("--json", help="write the figures to this file too")
    given = parser.parse_args(arguments)
    same = {name: getattr(given, name) for name in Options.__slots__ if hasattr(given, name)}
    return replace(defaults, **same), given


def main(arguments: Sequence[str]) -> int:
    """Run, print, and say by the exit code whether all agreed."""
    options, given = options_from(arguments)
    found = run(replace(options, progress=True))
    result = report.Report("inbox_model")
    result.figures = {
        "operations committed": found.operations,
        "notifications": found.notifications,
        "decided by the change row": found.unsure,
        "longest sweep s": found.sweep_seconds,
        "seconds": found.seconds,
        **dict(sorted(found.counts.items())),
    }
    for fault in found.faults:
        result.check(False, fault)
    result.check(found.operations >= options.operations or bool(options.broken), "too few operations were committed")
    return result.finish(json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
