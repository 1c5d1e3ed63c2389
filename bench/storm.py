"""A storm: thousands of streams cut at once, resumed with their cursors while rows flow.

All must be live again in under 10 s with nothing lost and nothing twice, and the number of row queries must not grow
with the number of clients: a storm of few is compared with a storm of many.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import report, swarm
from bench.relay import total
from bench.stage import Background, Sender, Stage, parser, stage

QUERIES = "belfry_row_queries_total"


@dataclass(slots=True)
class Storm:
    """What one storm took."""

    seconds: float
    queries: float
    queries_a_second_before: float
    faults: str


def storm(on: Stage, count: int, topic: str, away_seconds: float) -> Storm:
    """Open, cut all, resume all, while a thread sends on the topic and to single recipients."""
    recipients = [f"{topic}-{n}" for n in range(count)]
    on.subscribe(recipients, topic)
    owed: list[list[int]] = [[] for _ in recipients]
    everyone: list[int] = []
    sender = Sender(on.sender_url)

    def send(n: int) -> None:
        if n % 5:
            owed[n % count].append(sender.send(recipients[n % count]))
        else:
            everyone.append(sender.publish(topic))

    with swarm.Swarm(on.targets(recipients)) as streams:
        streams.open()
        flow = Background(50, send)
        before = total(on.relay.metrics(), QUERIES)
        time.sleep(3)
        steady = (total(on.relay.metrics(), QUERIES) - before) / 3
        streams.cut()
        time.sleep(away_seconds)
        before = total(on.relay.metrics(), QUERIES)
        seconds = streams.open(timeout=60, most_in_flight=count)
        queries = total(on.relay.metrics(), QUERIES) - before
        time.sleep(1)
        flow.stop()
        wanted = [sorted([*mine, *everyone]) for mine in owed]
        streams.wait_rows(sum(map(len, wanted)), 20)
        # a stream that was cut may get rows of before and after in two pieces, but each piece is in order
        found = swarm.differences(wanted, streams.ids())
    sender.close()
    return Storm(seconds, queries, steady, ", ".join(f"{n} {what}" for what, n in found.items()))


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("storm", __doc__)
    options.add_argument("--streams", type=int, default=5000)
    options.add_argument("--few", type=int, default=500, help="streams of the storm that the big one is compared with")
    options.add_argument("--away-seconds", type=float, default=1.0)
    given = options.parse_args(arguments)
    result = report.Report("storm")
    with stage() as on:
        few = storm(on, given.few, "few", given.away_seconds)
        many = storm(on, given.streams, "many", given.away_seconds)
    for name, one, count in (("few", few, given.few), ("many", many, given.streams)):
        result.figures[f"{name}: streams"] = count
        result.figures[f"{name}: all live again after s"] = one.seconds
        result.figures[f"{name}: row queries meanwhile"] = one.queries
        result.figures[f"{name}: row queries/s before"] = one.queries_a_second_before
        result.check(not one.faults, f"{name}: {one.faults}")
    result.check(many.queries == many.queries, f"the relay does not export {QUERIES}")
    # The relay polls on while streams attach, so that a longer storm has more polls in it: they are not the clients'.
    allowed = few.queries + many.queries_a_second_before * many.seconds * 2 + 20
    result.mark("all live again in under 10 s", many.seconds < 10, f"{many.seconds:.1f} s")
    result.mark(
        "row queries do not grow with the clients",
        many.queries <= allowed,
        f"{many.queries:.0f}, allowed {allowed:.0f}",
    )
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
