"""A slow reader delays nobody: clients that never read, on a hot topic, beside clients that do.

The others' p99 may at most double, the relay's memory stays bounded, the slow ones are cut off; when they read again
and resume with their cursors they have lost nothing and get nothing twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from bench import report, swarm
from bench.stage import Sender, Stage, paced, parser, stage

TOPIC = "hot"
BODY = "x" * 16_000


def latencies(streams: swarm.Swarm, sent: dict[int, float]) -> list[float]:
    """Milliseconds from the commit to each stream."""
    pairs = zip(streams.ids(), streams.times(), strict=True)
    return [(at - sent[id]) * 1000 for ids, times in pairs for id, at in zip(ids, times, strict=True) if id in sent]


def flood(on: Stage, rate: float, seconds: float) -> dict[int, float]:
    """Rows on the topic at a pace; id to the time of the commit."""
    sent: dict[int, float] = {}
    sender = Sender(on.sender_url)

    def publish(_: int) -> None:
        id = sender.publish(TOPIC, BODY)
        sent[id] = time.monotonic()

    paced(rate, seconds, publish)
    sender.close()
    return sent


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("slow_reader", __doc__)
    options.add_argument("--streams", type=int, default=100, help="streams that read")
    options.add_argument("--slow", type=int, default=20, help="streams that never read")
    options.add_argument("--rate", type=float, default=40, help="rows a second of 16 KB each")
    options.add_argument("--seconds", type=float, default=15)
    given = options.parse_args(arguments)
    result = report.Report("slow_reader")
    fast = [f"fast-{n}" for n in range(given.streams)]
    slow = [f"slow-{n}" for n in range(given.slow)]
    with stage() as on:
        on.subscribe(fast + slow, TOPIC)
        with swarm.Swarm(on.targets(fast)) as reading, swarm.Swarm(on.targets(slow), receive_buffer=8192) as mute:
            reading.open()
            alone = flood(on, given.rate, given.seconds)
            reading.wait_rows(len(alone) * given.streams, 20)
            p99_alone = report.percentile(latencies(reading, alone), 99)
            result.check(
                not swarm.differences([list(alone)] * given.streams, reading.ids()), "rows differ without slow ones"
            )
            reading.clear()
            mute.open()
            mute.mute(True)
            memory = on.relay.resident_bytes()
            beside = flood(on, given.rate, given.seconds)
            reading.wait_rows(len(beside) * given.streams, 20)
            grown = on.relay.resident_bytes() - memory
            p99_beside = report.percentile(latencies(reading, beside), 99)
            result.check(
                not swarm.differences([list(beside)] * given.streams, reading.ids()), "rows differ beside slow ones"
            )
            cut = resume(mute, given.slow, list(beside), result)
    result.figures = {"p99 ms alone": p99_alone, "p99 ms beside slow readers": p99_beside}
    result.figures |= {"relay grew by MB": grown / 1e6, "slow streams cut": cut}
    result.check(cut == given.slow, f"only {cut} of {given.slow} slow streams were cut")
    result.mark(
        "p99 of the others at most doubles", p99_beside <= 2 * p99_alone, f"{p99_alone:.1f} to {p99_beside:.1f} ms"
    )
    bound = given.slow * 1.0 + 32
    result.mark(
        "memory bounded", grown / 1e6 <= bound, f"{grown / 1e6:.1f} MB for {given.slow} slow streams, bound {bound:.0f}"
    )
    return result.finish(strict=given.strict, json_path=given.json)


def resume(mute: swarm.Swarm, count: int, owed: Sequence[int], result: report.Report) -> int:
    """The slow ones read what is left, find themselves cut, resume, and must then have everything once."""
    mute.mute(False)
    deadline = time.monotonic() + 10
    while (status := mute.status()).ended < count and time.monotonic() < deadline:
        time.sleep(0.1)
    mute.open()
    mute.wait_rows(len(owed) * count, 20)
    time.sleep(0.5)
    found = swarm.differences([owed] * count, mute.ids())
    result.check(not found, f"slow streams after they resumed: {dict(found)}")
    return status.ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
