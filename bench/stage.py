"""What every measurement stands on: a cluster, the schema, relays, and a sender that keeps a pace."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg

from bench import report
from bench.postgres import Cluster, cluster, database
from bench.relay import Relay, running, token
from bench.swarm import Target

TITLE = "Somebody answered you"
BODY = "A notification of about the usual size: a sentence, perhaps two, and a link to where it happened. "


@dataclass(slots=True)
class Stage:
    """A running system."""

    server: Cluster
    dbname: str
    relays: Sequence[Relay]

    @property
    def relay(self) -> Relay:
        """The first relay."""
        return self.relays[0]

    @property
    def url(self) -> str:
        """The superuser's address of the database."""
        return self.server.url(self.dbname)

    @property
    def sender_url(self) -> str:
        """A sender's address of the database, with the role `belfry_sender` alone."""
        return self.server.url(self.dbname, "bench_sender") if self.server.own else self.url

    def targets(self, recipients: Sequence[str], relay: Relay | None = None) -> list[Target]:
        """A stream for each recipient."""
        port = (relay or self.relay).port
        return [Target(port, "/v1/stream", token(recipient)) for recipient in recipients]

    def subscribe(self, recipients: Sequence[str], topic: str) -> None:
        """Everyone joins the topic."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            query = "SELECT count(belfry.subscribe(r, %s)) FROM unnest(%s::text[]) AS r"
            conn.execute(query, (topic, list(recipients)))


@contextlib.contextmanager
def stage(
    relays: int = 1, *, settings: dict[str, str] | None = None, postgres: dict[str, str] | None = None
) -> Generator[Stage]:
    """Start everything, stop everything."""
    report.raise_file_limit()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(cluster(postgres))
        dbname = stack.enter_context(database(server))
        url = server.url(dbname, "bench_relay") if server.own else server.url(dbname)
        logs = [Path(f"/tmp/belfry-bench-relay-{n}.log") for n in range(relays)]
        for log in logs:
            log.unlink(missing_ok=True)
        many = [Relay(url, log=log, settings=settings) for log in logs]
        yield Stage(server, dbname, stack.enter_context(running(many)))


class Sender:
    """One session that sends, each call its own transaction."""

    def __init__(self, url: str) -> None:
        self._conn: psycopg.Connection[Any] = psycopg.connect(url, autocommit=True, prepare_threshold=1)

    def publish(self, topic: str, body: str = BODY) -> int:
        """One row for a topic."""
        query = "SELECT belfry.publish(topic => %s, kind => 'bench.row', title => %s, body => %s)"
        return self._one(query, (topic, TITLE, body))

    def send(self, recipient: str, body: str = BODY) -> int:
        """One row for a recipient."""
        query = "SELECT belfry.send(recipient => %s, kind => 'bench.row', title => %s, body => %s)"
        return self._one(query, (recipient, TITLE, body))

    def _one(self, query: Any, values: Sequence[Any]) -> int:
        row = self._conn.execute(query, values).fetchone()
        assert row
        return int(row[0])

    def send_many(self, recipients: Sequence[str]) -> list[int]:
        """A row for each, in one transaction; the ids in the recipients' order."""
        query = "SELECT belfry.send_many(recipients => %s, kind => 'bench.row', title => %s, body => %s)"
        return [int(id) for (id,) in self._conn.execute(query, (list(recipients), TITLE, BODY))]

    def membership(self, verb: Literal["subscribe", "unsubscribe"], recipient: str, topic: str) -> None:
        """A stay begins or ends."""
        self._conn.execute(f"SELECT belfry.{verb}(%s, %s)", (recipient, topic))

    def close(self) -> None:
        """End the session."""
        self._conn.close()


def paced(rate: float, seconds: float, action: Callable[[int], None]) -> float:
    """Call `action(n)` at that rate, without drift; seconds it really took."""
    began = time.monotonic()
    for n in range(int(rate * seconds)):
        ahead = began + n / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        action(n)
    return time.monotonic() - began


class Background:
    """A paced action in a thread until `stop()`; what it raised is raised there."""

    def __init__(self, rate: float, action: Callable[[int], None]) -> None:
        self._halt = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._work = self._pool.submit(self._run, rate, action)

    def _run(self, rate: float, action: Callable[[int], None]) -> None:
        began, n = time.monotonic(), 0
        while not self._halt.wait(max(0.0, began + n / rate - time.monotonic())):
            action(n)
            n += 1

    def stop(self) -> None:
        """Finish the action under way and end."""
        self._halt.set()
        self._pool.shutdown()
        self._work.result(30)


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options that all measurements share."""
    made = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    made.add_argument("--strict", action="store_true", help="a missed mark fails the run too")
    made.add_argument("--json", help="write the figures to this file too")
    return made
