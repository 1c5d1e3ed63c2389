"""Fan-out beside nchan: processor time and memory of a relay per delivery and per idle stream.

1,000 streams on one topic at 20 rows a second, in turn with nginx and nchan on the same machine; then 1,000 direct rows
a second to distinct streams, and 200 rows a second on the topic. The two stretches that are compared follow each other
at once, since the machine is not equally fast for long. Every stream must get every id exactly once and in order.
Mark: at most 1.2 of nchan's processor time, at most 20 KB per idle stream.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench import nchan, report, swarm
from bench.relay import processor_seconds, resident_bytes
from bench.stage import BODY, TITLE, Sender, Stage, paced, parser, stage

TOPIC = "hot"


class Peer(Protocol):
    """One of the two that are compared."""

    name: str

    @property
    def pid(self) -> int: ...

    def publish(self) -> int: ...

    def direct(self, first: int, count: int) -> list[int]: ...


class Belfry:
    """The relay, fed through the database."""

    name = "belfry"

    def __init__(self, on: Stage, recipients: Sequence[str]) -> None:
        self.pid = on.relay.pid
        self._sender = Sender(on.sender_url)
        self._recipients = recipients

    def publish(self) -> int:
        """One row on the topic."""
        return self._sender.publish(TOPIC)

    def direct(self, first: int, count: int) -> list[int]:
        """One row each for these recipients, in one transaction."""
        return self._sender.send_many(self._recipients[first : first + count])


class Rival:
    """nchan, fed over HTTP with the same bytes."""

    name = "nchan"

    def __init__(self, server: nchan.Nchan, recipients: Sequence[str]) -> None:
        self.pid = server.pid
        self._server, self._recipients, self._id = server, recipients, 0

    def publish(self) -> int:
        """One message on the topic."""
        self._id += 1
        body = nchan.message(self._id, recipient=None, topic=TOPIC, title=TITLE, body=BODY)
        self._server.publish([(TOPIC, body)])
        return self._id

    def direct(self, first: int, count: int) -> list[int]:
        """One message each for these recipients, pipelined."""
        names = self._recipients[first : first + count]
        ids = list(range(self._id + 1, self._id + 1 + len(names)))
        self._id = ids[-1]
        pairs = zip(ids, names, strict=True)
        self._server.publish([(r, nchan.message(i, recipient=r, topic=None, title=TITLE, body=BODY)) for i, r in pairs])
        return ids


@dataclass(frozen=True, slots=True)
class Round:
    """One measured stretch."""

    deliveries: int
    processor_seconds: float
    seconds: float
    faults: str

    @property
    def microseconds(self) -> float:
        """Processor time per delivery."""
        return self.processor_seconds / max(1, self.deliveries) * 1e6


def measure(pid: int, streams: swarm.Swarm, act: Callable[[], list[list[int]]], patience: float = 60) -> Round:
    """Act, wait for all that was sent, compare; `act` returns what each stream is owed."""
    streams.clear()
    before, began = processor_seconds(pid), time.monotonic()
    owed = act()
    total = sum(map(len, owed))
    streams.wait_rows(total, patience)
    spent = processor_seconds(pid) - before
    times, got = streams.times(), streams.ids()
    last = max((t[-1] for t in times if t), default=began)
    found = swarm.differences(owed, got)
    return Round(sum(map(len, got)), spent, last - began, ", ".join(f"{n} {what}" for what, n in found.items()))


def topic_round(peer: Peer, streams: swarm.Swarm, count: int, rate: float, seconds: float) -> Round:
    """Rows on the topic at a pace, to all streams."""

    def act() -> list[list[int]]:
        ids: list[int] = []
        paced(rate, seconds, lambda _: ids.append(peer.publish()))
        return [ids] * count

    return measure(peer.pid, streams, act)


def direct_round(peer: Peer, streams: swarm.Swarm, count: int, rate: float, seconds: float) -> Round:
    """Rows to distinct streams at a pace, ten a transaction."""

    def act() -> list[list[int]]:
        owed: list[list[int]] = [[] for _ in range(count)]

        def ten(n: int) -> None:
            first = n * 10 % count
            for offset, id in enumerate(peer.direct(first, 10)):
                owed[first + offset].append(id)

        paced(rate / 10, seconds, ten)
        return owed

    return measure(peer.pid, streams, act)


def stretch(kind: str, peer: Peer, topic: swarm.Swarm, direct: swarm.Swarm, given: argparse.Namespace) -> Round:
    """One stretch of one of the three kinds."""
    if kind == "direct":
        return direct_round(peer, direct, given.streams, 1000, given.seconds)
    return topic_round(peer, topic, given.streams, 20 if kind == "topic" else 200, given.seconds)


def opened(peer: Peer, streams: swarm.Swarm, count: int) -> float:
    """Open the streams; resident KB that each costs while idle."""
    before = resident_bytes(peer.pid)
    streams.open()
    time.sleep(2)
    return (resident_bytes(peer.pid) - before) / count / 1024


def run(given: argparse.Namespace) -> report.Report:
    """Both peers, alternating."""
    result, count = report.Report("fanout"), given.streams
    recipients = [f"u{n}" for n in range(count)]
    with stage() as on, nchan.running() as server:
        on.subscribe(recipients, TOPIC)
        belfry, rival = Belfry(on, recipients), Rival(server, recipients)
        hot = [swarm.Target(server.port, f"/stream/{TOPIC}", live=b"\r\n\r\n")] * count
        own = [swarm.Target(server.port, f"/stream/{name}", live=b"\r\n\r\n") for name in recipients]
        with swarm.Swarm(on.targets(recipients)) as ours, swarm.Swarm(hot) as theirs, swarm.Swarm(own) as theirs_direct:
            memory = {"belfry": opened(belfry, ours, count), "nchan": opened(rival, theirs, count)}
            theirs_direct.open()
            rounds: dict[str, list[Round]] = {}
            both = [(belfry, ours, ours), (rival, theirs, theirs_direct)]
            for kind in ("topic", "direct", "flood"):
                for n in range(given.rounds):
                    for peer, topic, direct in both if n % 2 == 0 else reversed(both):
                        one = stretch(kind, peer, topic, direct, given)
                        rounds.setdefault(f"{peer.name} {kind}", []).append(one)
    conclude(result, memory, rounds)
    return result


def conclude(result: report.Report, memory: dict[str, float], rounds: dict[str, list[Round]]) -> None:
    """Medians, ratios, marks, faults."""
    for name, many in rounds.items():
        for number, one in enumerate(many):
            result.check(not one.faults, f"{name}, round {number}: {one.faults}")
        result.figures[f"{name}: µs a delivery"] = report.median([one.microseconds for one in many])
        result.figures[f"{name}: deliveries/s"] = report.median([one.deliveries / one.seconds for one in many])
    for kind in ("topic", "direct", "flood"):
        pairs = zip(rounds[f"belfry {kind}"], rounds[f"nchan {kind}"], strict=True)
        result.figures[f"{kind}: belfry / nchan"] = report.median([a.microseconds / b.microseconds for a, b in pairs])
    for name, kilobytes in memory.items():
        result.figures[f"{name}: KB per idle stream"] = kilobytes
    ratio = result.figures["topic: belfry / nchan"]
    result.mark("processor time per delivery at most 1.2 of nchan's", ratio <= 1.2, f"{ratio:.2f}")
    result.mark("at most 20 KB per idle stream", memory["belfry"] <= 20, f"{memory['belfry']:.1f} KB")


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("fanout", __doc__)
    options.add_argument("--streams", type=int, default=1000, help="a multiple of ten")
    options.add_argument("--seconds", type=float, default=4, help="length of one stretch")
    options.add_argument("--rounds", type=int, default=9, help="alternations of each kind")
    given = options.parse_args(arguments)
    return run(given).finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
