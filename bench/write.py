"""The sender pays nothing for the bell: commits a second with 32 clients, five ways, alternating in one run.

Each stands next to bare in time, since the machine is not equally fast for long.

bare: an insert into an identical table without trigger; notify: the same with NOTIFY in every transaction;
send: `belfry.send`; insert: `INSERT INTO belfry.notification`; call: bare within the smallest function that returns
its id, which tells how much of what `send` costs is that it is called. With a relay running, once with the disk as it
is and once with 2 ms more for each flush (`--flush-ms`). Then two relays are stopped by SIGSTOP, each from rest.
Marks: send/bare and insert/bare at least 0.95 with the slow flush; insert 0.85 and send 0.75 otherwise; with a stopped
relay 0.9 of normal after 5 s. How idle the processors were tells which of the two was the limit.
Check: every table has grown by exactly as many rows as were reported.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import report, swarm
from bench.postgres import binaries
from bench.relay import Relay
from bench.stage import BODY, TITLE, Stage, parser, stage

COLUMNS = "(recipient, kind, title, body, data)"
ROW = f"'bench.row', '{TITLE}', '{BODY}', '{{\"comment\": 42}}'"
ARGUMENTS = f"'r' || :r, {ROW}"
VALUES = f"({ARGUMENTS})"
SCRIPTS = {  # in the order of a round: the two that are compared beside what they are compared with
    "notify": f"INSERT INTO bench.notify {COLUMNS} VALUES {VALUES};",
    "send": f"SELECT belfry.send({ARGUMENTS});",
    "bare": f"INSERT INTO bench.bare {COLUMNS} VALUES {VALUES};",
    "insert": f"INSERT INTO belfry.notification {COLUMNS} VALUES {VALUES};",
    "call": f"SELECT bench.call({ARGUMENTS});",
}
FEWEST_ROWS = 100_000  # so that what is added within a round is little of it
FILL = f"SELECT 'r' || floor(1 + random() * 1000)::int, {ROW} FROM generate_series(1, %s)"
TABLES = {
    "bare": "bench.bare",
    "notify": "bench.notify",
    "send": "belfry.notification",
    "insert": "belfry.notification",
    "call": "bench.bare",
}
PREPARE = """
CREATE SCHEMA bench;
CREATE FUNCTION pg_temp.alike(name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    judge CONSTANT text := pg_get_functiondef('belfry.within_limits'::regproc);
BEGIN
    EXECUTE format('CREATE TABLE %s (LIKE belfry.notification INCLUDING ALL EXCLUDING CONSTRAINTS)', name);
    EXECUTE replace(replace(judge, 'belfry.notification', name), 'belfry.within_limits', name || '_within_limits');
    EXECUTE format('ALTER TABLE %s ADD CHECK (%1$s_within_limits(%s))', name, split_part(name, '.', 2));
END $$;
SELECT pg_temp.alike('bench.bare'), pg_temp.alike('bench.notify');
CREATE FUNCTION bench.always() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('bench', ''); RETURN NULL; END $$;
CREATE TRIGGER always AFTER INSERT ON bench.notify FOR EACH STATEMENT EXECUTE FUNCTION bench.always();
CREATE FUNCTION bench.call(recipient text, kind text, title text, body text, data jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE sent bigint;
BEGIN
    INSERT INTO bench.bare (recipient, kind, title, body, data)
    VALUES (call.recipient, call.kind, call.title, call.body, call.data) RETURNING bare.id INTO sent;
    RETURN sent;
END $$;
GRANT USAGE ON SCHEMA bench TO belfry_sender;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bench TO belfry_sender;
GRANT INSERT, SELECT ON ALL TABLES IN SCHEMA bench TO belfry_sender;
"""
DONE = re.compile(r"number of transactions actually processed: (\d+)")
RATE = re.compile(r"tps = ([\d.]+) \(without initial connection time\)")
PROGRESS = re.compile(r"progress: ([\d.]+) s, ([\d.]+) tps")


class PgbenchProblem(Exception):
    """pgbench is missing, or failed."""


@dataclass(frozen=True, slots=True)
class Run:
    """What pgbench reported: commits, their rate, and the rate of each second."""

    commits: int
    rate: float
    by_second: Sequence[float]


class Load:
    """pgbench with a script of ours."""

    def __init__(self, on: Stage, clients: int, scripts: Path) -> None:
        beside = binaries() / "pgbench"
        found = str(beside) if beside.exists() else shutil.which("pgbench")
        if not found:
            raise PgbenchProblem("pgbench is not installed (Debian: postgresql-contrib, or postgresql itself)")
        user = ["-U", "bench_sender"] if on.server.own else []
        self._base = [found, "-n", "-M", "prepared", "-c", str(clients), "-j", "2"]
        self._where = ["-h", on.server.socket_host, "-p", str(on.server.port), *user, on.dbname]
        self._scripts = scripts
        for name, text in SCRIPTS.items():
            (scripts / f"{name}.sql").write_text("\\set r random(1, 1000)\n" + text + "\n")

    def run(self, name: str, seconds: float, *, progress: bool = False) -> Run:
        """Run one script; raises PgbenchProblem for any transaction that failed."""
        options = ["-T", str(int(seconds)), "-f", self._scripts / f"{name}.sql", *(["-P", "1"] if progress else [])]
        # pgbench wants its database last
        done = subprocess.run([*self._base, *options, *self._where], capture_output=True, text=True, check=False)
        commits, rate = DONE.search(done.stdout), RATE.search(done.stdout)
        if done.returncode or not commits or not rate:
            raise PgbenchProblem(f"{name}: {done.stderr.strip()[-2000:]}")
        return Run(int(commits[1]), float(rate[1]), [float(tps) for _, tps in PROGRESS.findall(done.stderr)])


def rows(on: Stage, table: str) -> int:
    """Exact number of rows."""
    with psycopg.connect(on.url, autocommit=True) as conn:
        row = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


def level(on: Stage) -> None:
    """Fill every table up to the fullest: with more rows an insert finds less of its indexes in the caches."""
    counts = {table: rows(on, table) for table in set(TABLES.values())}
    most = max(FEWEST_ROWS, *counts.values())
    with psycopg.connect(on.url, autocommit=True) as conn:
        for table, count in counts.items():
            conn.execute(f"INSERT INTO {table} {COLUMNS} {FILL}".encode(), (most - count,))


def idle_seconds() -> float:
    """Seconds that the processors of the machine have been idle, all together (proc(5), /proc/stat)."""
    _, _, _, _, idle, waiting, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def rest(relays: Sequence[Relay], seconds: float = 0.3, timeout: float = 20) -> None:
    """Wait until the relays have read everything and sleep (under 15 % of a processor)."""
    relays = [relay for relay in relays if relay.running()]
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        before = sum(relay.processor_seconds() for relay in relays)
        time.sleep(seconds)
        if sum(relay.processor_seconds() for relay in relays) - before <= 0.15 * seconds * len(relays):
            return


def stretch(on: Stage, load: Load, name: str, seconds: float, result: report.Report) -> tuple[float, float]:
    """Commits a second of one of the five from rest, and how idle the processors were; checks that they are there."""
    rest(on.relays)
    before = rows(on, TABLES[name])
    idled, began = idle_seconds(), time.monotonic()
    one = load.run(name, seconds)
    idle = (idle_seconds() - idled) / (time.monotonic() - began) / (os.cpu_count() or 1)
    added = rows(on, TABLES[name]) - before
    result.check(added == one.commits, f"{name}: {one.commits} commits reported, {added} rows added")
    return one.rate, idle


def alternate(on: Stage, load: Load, given: argparse.Namespace, result: report.Report, label: str) -> dict[str, float]:
    """All five from tables of one size, `rounds` times, to and fro; the medians of the ratios within a round."""
    rates: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    idle: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    for number in range(given.rounds):
        level(on)
        for name in SCRIPTS if number % 2 == 0 else reversed(SCRIPTS):
            rate, idled = stretch(on, load, name, given.seconds, result)
            rates[name].append(rate)
            idle[name].append(idled)
    for name in SCRIPTS:
        result.figures[f"{label}: {name} commits/s"] = report.median(rates[name])
        result.figures[f"{label}: {name} processors idle"] = report.median(idle[name])
    medians: dict[str, float] = {}
    for name in ("notify", "call", "send", "insert"):
        ratios = [a / b for a, b in zip(rates[name], rates["bare"], strict=True)]
        medians[name] = result.figures[f"{label}: {name}/bare"] = report.median(ratios)
    return medians


def stopped(on: Stage, load: Load, given: argparse.Namespace, result: report.Report) -> None:
    """The rate from the fifth second on, with one relay stopped while it may hold the bell, against normal."""
    normal = load.run("insert", 8, progress=True)
    ratios: list[float] = []
    for relay in on.relays:
        rest(on.relays)
        time.sleep(2)
        relay.signal(signal.SIGSTOP)
        try:
            one = load.run("insert", 12, progress=True)
        finally:
            relay.signal(signal.SIGCONT)
        ratios.append(report.median(one.by_second[5:]) / report.median(normal.by_second[2:]))
        result.figures[f"stopped relay {len(ratios)}: first second commits/s"] = one.by_second[0]
        result.figures[f"stopped relay {len(ratios)}: after 5 s, of normal"] = ratios[-1]
    result.mark("0.9 of normal after 5 s with a stopped relay", min(ratios) >= 0.9, f"{min(ratios):.2f}")


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("write", __doc__)
    options.add_argument("--clients", type=int, default=32)
    options.add_argument("--seconds", type=float, default=5, help="length of one stretch")
    options.add_argument("--rounds", type=int, default=9, help="alternations; the median counts")
    options.add_argument("--flush-ms", type=int, default=2, help="how much longer a slow flush takes")
    options.add_argument("--only", default="normal,slow,stopped", help="comma list of normal, slow, stopped")
    given = options.parse_args(arguments)
    parts, result = given.only.split(","), report.Report("write")
    with tempfile.TemporaryDirectory() as scripts, stage(2, postgres={"autovacuum": "off"}) as on:
        Path(scripts).chmod(0o755)
        load = Load(on, given.clients, Path(scripts))
        with psycopg.connect(on.url, autocommit=True) as conn:
            conn.execute(PREPARE)
        on.relays[1].stop()
        with swarm.Swarm(on.targets([f"r{n}" for n in range(1, 11)])) as streams:
            streams.open()
            if "normal" in parts:
                ratios = alternate(on, load, given, result, "normal flush")
                result.mark("insert/bare at least 0.85", ratios["insert"] >= 0.85, f"{ratios['insert']:.2f}")
                result.mark("send/bare at least 0.75", ratios["send"] >= 0.75, f"{ratios['send']:.2f}")
            on.server.slow_flush(given.flush_ms)
            if "slow" in parts:
                ratios = alternate(on, load, given, result, "slow flush")
                for name in ("insert", "send"):
                    result.mark(f"slow flush: {name}/bare at least 0.95", ratios[name] >= 0.95, f"{ratios[name]:.3f}")
            if "stopped" in parts:
                on.relays[1].start()
                stopped(on, load, given, result)
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
