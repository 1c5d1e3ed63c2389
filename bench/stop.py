"""Stop and crash: SIGTERM with 1,000 streams, and a Postgres that is gone for ten seconds.

SIGTERM: each stream gets `goodbye` and a `retry:` of its own, and the relay exits in under 2 s. Postgres down: the
streams stay open, `/ready` says 503, and everything committed arrives afterwards, once.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from bench import report, swarm
from bench.stage import Sender, Stage, parser, stage

TOPIC = "hot"


def outage(on: Stage, streams: swarm.Swarm, count: int, seconds: float, result: report.Report) -> None:
    """Kill Postgres, wait, bring it back; rows before and after, and some committed in its last moment."""
    streams.clear()
    with contextlib.closing(Sender(on.sender_url)) as sender:
        last = [sender.publish(TOPIC) for _ in range(20)]
        on.server.kill()
    statuses: set[int] = set()
    until = time.monotonic() + seconds
    time.sleep(2.5)
    while time.monotonic() < until:
        statuses.add(on.relay.get("/ready")[0])
        time.sleep(0.5)
    open_during = streams.status().open
    on.server.start()
    began = time.monotonic()
    with contextlib.closing(Sender(on.sender_url)) as sender:
        last += [sender.publish(TOPIC) for _ in range(20)]
    result.check(streams.wait_rows(len(last) * count, 30), "not everything arrived within 30 s")
    result.figures["outage: all arrived after s"] = time.monotonic() - began
    result.figures["outage: streams open"] = open_during
    result.figures["outage: /ready said"] = " ".join(map(str, sorted(statuses)))
    time.sleep(0.5)
    found = swarm.differences([last] * count, streams.ids())
    result.check(not found, f"outage: {dict(found)}")
    result.check(open_during == count, f"only {open_during} of {count} streams stayed open")
    result.check(statuses == {503}, f"/ready said {statuses} while Postgres was down")


def termination(on: Stage, streams: swarm.Swarm, count: int, result: report.Report) -> None:
    """SIGTERM: goodbye, a jittered retry, a quick exit."""
    before = [len(retries) for _, retries in streams.named()]
    began = time.monotonic()
    on.relay.signal(signal.SIGTERM)
    try:
        status = on.relay.wait(20)
    except subprocess.TimeoutExpired:
        status = -1
        result.check(False, "the relay did not exit within 20 s")
    seconds = time.monotonic() - began
    time.sleep(0.5)
    named = streams.named()
    said = sum(any(event.startswith("goodbye") for event in events) for events, _ in named)
    retries = [times[-1] for (_, times), had in zip(named, before, strict=True) if len(times) > had]
    result.figures |= {"stop: exit after s": seconds, "stop: exit status": status, "stop: goodbye": said}
    result.figures |= {"stop: with retry": len(retries), "stop: different retry times": len(set(retries))}
    result.check(said == count, f"{said} of {count} streams got goodbye")
    result.check(len(retries) == count, f"{len(retries)} of {count} goodbyes came with a retry time")
    result.check(len(set(retries)) > min(10, count // 2), "the retry times are not jittered")
    result.mark("exit in under 2 s", seconds < 2, f"{seconds:.2f} s")


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("stop", __doc__)
    options.add_argument("--streams", type=int, default=1000)
    options.add_argument("--down-seconds", type=float, default=10)
    given = options.parse_args(arguments)
    result = report.Report("stop")
    recipients = [f"u{n}" for n in range(given.streams)]
    with stage() as on, swarm.Swarm(on.targets(recipients)) as streams:
        on.subscribe(recipients, TOPIC)
        streams.open()
        if on.server.own:
            outage(on, streams, given.streams, given.down_seconds, result)
        termination(on, streams, given.streams, result)
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
