"""A soak: thousands of streams for half an hour under mixed load and churn; memory and descriptors must stay flat.

Direct rows, topics, broadcasts, rollbacks, marks and memberships; streams are cut at random and resumed with their
cursors, and the relay ends the old ones by itself. At the end each stream has exactly what the table says.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import report, swarm
from bench.relay import Relay
from bench.stage import Background, Sender, Stage, parser, stage
from bench.torture import read_table

TOPIC_SIZE = 50
SAMPLE_SECONDS = 5.0
AGE_SECONDS = 240
"""After this long the relay asks a stream to connect anew: the soak goes through that several times."""


class Load:
    """What is done a step at a time, each by chance; one session sends, another takes back."""

    def __init__(self, on: Stage, recipients: Sequence[str], topics: Sequence[str]) -> None:
        self.done = 0
        self._recipients, self._topics = recipients, topics
        self._rng = random.Random(1)
        self._sender = Sender(on.sender_url)
        self._other = psycopg.connect(on.sender_url)
        self._sent: deque[tuple[str, int]] = deque(maxlen=1000)

    def step(self, number: int) -> None:
        """One of them."""
        steps = (self._direct, self._topic, self._everyone, self._rolled_back, self._mark, self._move)
        self._rng.choices(steps, (60, 15, 0.5, 10, 10, 4.5))[0]()
        self.done = number + 1

    def _direct(self) -> None:
        who = self._rng.choice(self._recipients)
        self._sent.append((who, self._sender.send(who)))

    def _topic(self) -> None:
        self._sender.publish(self._rng.choice(self._topics))

    def _everyone(self) -> None:
        self._sender.publish("*")

    def _rolled_back(self) -> None:
        self._other.execute("SELECT belfry.send(%s, 'bench.row')", (self._rng.choice(self._recipients),))
        self._sender.send(self._rng.choice(self._recipients))
        self._other.rollback()

    def _mark(self) -> None:
        if self._sent:
            who, position = self._rng.choice(self._sent)
            self._other.execute("SELECT belfry.mark_read(%s, %s)", (who, [position]))
            self._other.commit()

    def _move(self) -> None:
        """In the session that publishes: no row of the topic is under way then, so that clients need drop none."""
        who, topic = self._rng.choice(self._recipients), self._rng.choice(self._topics)
        self._sender.membership("subscribe" if self._rng.random() < 0.5 else "unsubscribe", who, topic)

    def close(self) -> None:
        """End the sessions."""
        self._sender.close()
        self._other.close()


@dataclass(frozen=True, slots=True)
class Sample:
    """The relay at one moment."""

    at: float
    resident_bytes: int
    descriptors: int
    streams: int


class Watch:
    """Samples a relay until stopped."""

    def __init__(self, relay: Relay) -> None:
        self.samples: list[Sample] = []
        self._relay = relay
        self._halt = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._halt.wait(SAMPLE_SECONDS):
            told = self._relay.metrics()
            streams = int(told.get("belfry_streams", -1) + told.get("belfry_streams_waiting", 0))
            descriptors = len(list(Path(f"/proc/{self._relay.pid}/fd").iterdir()))
            now = time.monotonic() - self._began
            self.samples.append(Sample(now, self._relay.resident_bytes(), descriptors, streams))

    def stop(self) -> None:
        """Take no more."""
        self._halt.set()
        self._thread.join(30)

    def between(self, first: float, last: float) -> list[Sample]:
        """The samples of a span, in seconds since the beginning."""
        return [each for each in self.samples if first <= each.at < last and each.streams >= 0]


def owed(table_url: str, recipients: Sequence[str]) -> list[list[int]]:
    """What each recipient should have, from the table: by index, for there are many."""
    table = read_table(table_url)
    direct: dict[str, list[int]] = {}
    posted: dict[str, list[int]] = {}
    for row in table.rows:
        (direct if row.topic is None else posted).setdefault(row.recipient or row.topic or "", []).append(row.id)
    mine: dict[str, list[int]] = {who: list(direct.get(who, ())) for who in recipients}
    for who in recipients:
        mine[who] += [row for row in posted.get("*", ()) if row > table.contacts.get(who, 0)]
    for stay in table.stays:
        if stay.recipient in mine:
            ends = stay.until or sys.maxsize
            mine[stay.recipient] += [row for row in posted.get(stay.topic, ()) if stay.since < row < ends]
    return [sorted(mine[who]) for who in recipients]


def soak(on: Stage, streams: int, seconds: float, rate: float, cuts: float) -> tuple[Watch, int, dict[str, int]]:
    """The run: samples, steps done, what differs."""
    recipients = [f"soak-{n}" for n in range(streams)]
    topics = [f"topic-{n}" for n in range(max(1, streams // TOPIC_SIZE))]
    for n, topic in enumerate(topics):
        on.subscribe(recipients[n * TOPIC_SIZE : (n + 1) * TOPIC_SIZE], topic)
    with swarm.Swarm(on.targets(recipients)) as crowd:
        crowd.open()
        load, watch = Load(on, recipients, topics), Watch(on.relay)
        flow = Background(rate, load.step)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            crowd.churn(round(cuts))
            time.sleep(min(1.0, left))
        watch.stop()
        flow.stop()
        load.close()
        wanted = owed(on.url, recipients)
        until = time.monotonic() + 60
        while crowd.status().rows < sum(map(len, wanted)) and time.monotonic() < until:
            crowd.churn(0)  # who was just told goodbye sees the end of the connection seconds later, and comes back
            time.sleep(0.5)
        crowd.open()
        found = swarm.differences(wanted, crowd.ids())
    del found["disordered"]  # between transactions no order is promised
    return watch, load.done, dict(found)


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("soak", __doc__)
    options.add_argument("--streams", type=int, default=2000)
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--rate", type=float, default=60, help="steps a second")
    options.add_argument("--cuts", type=float, default=5, help="streams cut a second")
    given = options.parse_args(arguments)
    seconds = given.minutes * 60
    settings = {"BELFRY_MAX_STREAM_AGE_SECONDS": str(AGE_SECONDS)}
    with stage(settings=settings) as on:
        watch, steps, found = soak(on, given.streams, seconds, given.rate, given.cuts)
        metrics = on.relay.metrics()
    result = report.Report("soak")
    early, late = watch.between(seconds / 3, seconds / 2), watch.between(seconds * 5 / 6, seconds + 60)
    memory = [report.median([each.resident_bytes / 2**20 for each in part]) for part in (early, late)]
    spare = [report.median([each.descriptors - each.streams for each in part]) for part in (early, late)]
    result.figures = {
        "streams": given.streams,
        "minutes": given.minutes,
        "steps": steps,
        "delivered": metrics["belfry_deliveries_total"],
        "streams cut and resumed": metrics['belfry_replays_total{source="recent"}'],
        "ended for their age": metrics['belfry_streams_ended_total{reason="rotate"}'],
        "MiB at a third to a half of the time": memory[0],
        "MiB in the last sixth": memory[1],
        "descriptors beside the streams, then": spare[0],
        "descriptors beside the streams, at last": spare[1],
    }
    result.check(not found, f"streams: {found}")
    result.check(len(early) > 3 and len(late) > 3, "too few samples: make it longer")
    grown = memory[1] / memory[0] - 1
    result.mark("memory flat within 5 %", abs(grown) <= 0.05, f"{grown:+.1%}")
    result.mark("descriptors flat", abs(spare[1] - spare[0]) <= 2, f"{spare[1] - spare[0]:+.0f}")
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
