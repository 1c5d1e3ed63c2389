"""Chaos: each fault that an operator fears, one by one, under steady load, judged as torture is.

A scenario starts a server, relays and load, strikes, mends, and lets the load go on for a while; then every client must
have exactly what it is owed. "Recovered" is the time from the mending to the moment at which every client has got a row
that was committed after it, cuts and reconnects of the clients included. See bench/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from tempfile import mkdtemp

from bench import chaos_faults, report, writers
from bench.chaos_faults import Failed, Ground, Scenario
from bench.chaos_scenarios import SCENARIOS
from bench.chaos_stage import prepared
from bench.clients import Client, make
from bench.oracle import Verdict, judge
from bench.torture import cancel, read_table, resume_once, settle

RECIPIENTS = [f"r{n}" for n in range(12)]
TOPICS = [f"t{n}" for n in range(4)]
WARM_SECONDS = 4.0
AFTER_SECONDS = 5.0
RECOVERY_SECONDS = 60.0
FOREVER = 36_000.0


@contextlib.asynccontextmanager
async def load(ground: Ground) -> AsyncGenerator[writers.Shared]:
    """Writers and churners, as torture has them; afterwards all they began is ended."""
    shared = writers.Shared(
        ground.writer_url, RECIPIENTS, TOPICS, time.monotonic() + FOREVER, 1, 1.0, prepare=ground.scenario.prepare
    )
    admin = ground.admin_url
    late = asyncio.create_task(writers.commit_prepared(shared, admin))
    busy = [asyncio.create_task(writers.Writer(shared, n).run()) for n in range(ground.scenario.writers)]
    busy += [asyncio.create_task(writers.Churner(shared, n).run()) for n in range(2)]
    try:
        yield shared
    finally:
        shared.ends_at = time.monotonic()
        await asyncio.gather(*busy, return_exceptions=True)
        await cancel([late])
    await writers.end_all_prepared(ground.admin_url)


async def recovered(ground: Ground, clients: Sequence[Client]) -> float:
    """Seconds until every client has a row that is committed now."""
    began = time.monotonic()
    async with writers.patient(ground.admin_url, "bench probe", began + RECOVERY_SECONDS) as conn:
        (probe,) = await writers.fetch(conn, writers.BROADCAST, ("{}",))
    while any(probe not in client.seen.delivered for client in clients):
        if time.monotonic() - began > RECOVERY_SECONDS:
            raise Failed(f"a row sent after the mending had not reached everybody after {RECOVERY_SECONDS:.0f} s")
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def verdict(ground: Ground, clients: Sequence[Client], fresh: Sequence[Client]) -> Verdict:
    """Judge all clients against the table; resets are allowed where the history is another."""
    return judge(read_table(ground.admin_url), [client.seen for client in [*clients, *fresh]])


async def act(ground: Ground) -> tuple[Verdict, float]:
    """One scenario, with everything started."""
    kind = ground.scenario.client
    clients = make(RECIPIENTS, len(RECIPIENTS) * 2, ground.ports, 1, kind)
    following = [asyncio.create_task(client.run()) for client in clients]
    async with load(ground) as shared:
        await asyncio.sleep(WARM_SECONDS)
        await ground.scenario.strike(ground)
        seconds = await recovered(ground, clients)
        await asyncio.sleep(AFTER_SECONDS)
    table = await asyncio.to_thread(read_table, ground.admin_url)
    await settle(table, clients, 30)
    await cancel(following)
    await resume_once(clients)
    felt = shared.counts + sum((client.notes for client in clients), Counter[str]()) + connects(ground)
    if ground.scenario.shows and not any(felt[note] for note in ground.scenario.shows):
        raise Failed(f"nothing shows that the fault was felt: {dict(felt)}")
    if ground.scenario.forks and not all(client.notes["reloads"] for client in clients):
        raise Failed(f"the history is another one, and not every client was told so: {dict(felt)}")
    fresh = make(RECIPIENTS, len(RECIPIENTS), ground.ports, 2, kind)
    await resume_once(fresh)
    return await asyncio.to_thread(verdict, ground, clients, fresh), seconds


def connects(ground: Ground) -> Counter[str]:
    """How often the relays had to connect anew."""
    told = [relay.metrics() for relay in ground.relays]
    kinds = ("relay", "listener")
    again = {
        f"{kind} connects": sum(each.get(f"belfry_{kind}_connects_total", 1) - 1 for each in told) for kind in kinds
    }
    return Counter({name: round(count) for name, count in again.items()})


async def run(scenario: Scenario, logs: Path) -> tuple[Verdict, str]:
    """A scenario on a server of its own; the verdict, and what was measured."""
    async with asyncio.timeout(300), prepared(scenario, logs) as ground:
        found, seconds = await act(ground)
    if found.lost or found.repeated or found.foreign:
        raise Failed(f"{found}")
    if (found.disordered and not scenario.disorders) or (found.resets and not scenario.forks):
        raise Failed(f"{found}")
    if not found.delivered:
        raise Failed("nothing was delivered: this run shows nothing")
    figures = {"recovered": f"after {seconds:.2f} s", **ground.figures}
    return found, "  ".join(f"{name} {figure}" for name, figure in figures.items())


def told(name: str, scenario: Scenario) -> bool:
    """Run a scenario and print its line; whether it held, or could not be done here."""
    logs = Path(mkdtemp(prefix=f"belfry-chaos-{name}-"))
    logs.chmod(0o755)
    try:
        found, figures = asyncio.run(run(scenario, logs))
        result = f"lost {found.lost}  repeated {found.repeated}  delivered {found.delivered:,}"
        print(f"{name:12} {result}  {figures}   {scenario.summary}", flush=True)
    except chaos_faults.Unavailable as reason:
        print(f"{name:12} not done: {reason}", flush=True)
    except Exception:  # noqa: BLE001 - told, and the next one follows
        print(f"{name:12} FAILED; logs in {logs}\n{traceback.format_exc()}", flush=True)
        return False
    shutil.rmtree(logs, ignore_errors=True)
    return True


def main(arguments: Sequence[str]) -> int:
    """Run them all, or those that are named; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCENARIOS)}; all by default")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(SCENARIOS):
        parser.error(f"unknown scenarios: {', '.join(sorted(unknown))}")
    report.raise_file_limit()
    failed = [name for name in given.names or SCENARIOS if not told(name, SCENARIOS[name])]
    print(f"chaos: {'FAILED ' + ', '.join(failed) if failed else 'ok'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
