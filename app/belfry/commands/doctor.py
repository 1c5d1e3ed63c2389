"""`belfry doctor`: is all as it should be, and what to do where it is not."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping

from belfry import doctor, errors, logs
from belfry.commands import common
from belfry.config import SETTINGS
from belfry.doctor.finding import Finding

EXAMPLES = """\
  belfry doctor                     look at everything; exit code 1 when a check fails
  belfry doctor --json | jq '.checks[] | select(.state != "ok")'
  BELFRY_DATABASE_URL=postgresql://monitor@db/app belfry doctor"""

_COLOURS = {"ok": "32", "warn": "33", "fail": "31;1", "skipped": "2"}
_WORDS = {"ok": ("ok", "ok"), "warn": ("warning", "warnings"), "fail": ("failure", "failures")}
_WIDEST = 110


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    names = ["database_url", "direct_url", "secret", "public_key_file", "jwks_file", "max_streams", "retention_days"]
    common.add_settings(parser, [name for name in names if name in SETTINGS])


def _run(arguments: argparse.Namespace) -> int:
    config = common.load_client_config(arguments)
    if config.database_url is None:
        raise errors.DatabaseUrlMissing(common.NO_DATABASE)
    found = asyncio.run(doctor.examine(config))
    found = {name: _redacted(each) for name, each in found.items()}
    common.say(_as_json(found) if arguments.json else "\n".join(_lines(found)))
    return 1 if any(each.state == "fail" for each in found.values()) else 0


def _redacted(found: Finding) -> Finding:
    return dataclasses.replace(found, seen=logs.redact(found.seen), advice=logs.redact(found.advice))


def _as_json(found: Mapping[str, Finding]) -> str:
    checks = [{"name": name, **dataclasses.asdict(each)} for name, each in found.items()]
    return json.dumps({"healthy": all(each.state != "fail" for each in found.values()), "checks": checks}, indent=2)


# --- for people ----------------------------------------------------------------------------------------------


def _lines(found: Mapping[str, Finding]) -> Iterator[str]:
    """A line for each check, what to do below it, and the sum of it all."""
    width = max(map(len, found))
    for name, each in found.items():
        yield from _finding(name.ljust(width), each)
    yield ""
    yield _sum(found)


def _finding(name: str, found: Finding) -> Iterator[str]:
    state = _coloured(found.state, "skip" if found.state == "skipped" else found.state)
    lead = " " * (len(name) + 10)
    first, *rest = _wrapped(found.seen, len(lead))
    yield f"  {state}  {name}  {first}"
    yield from (lead + line for line in rest)
    for number, line in enumerate(_wrapped(found.advice, len(lead) + 2)):
        yield f"{lead}{'  ' if number else '→ '}{line}"


def _sum(found: Mapping[str, Finding]) -> str:
    count = Counter(each.state for each in found.values())
    words = [f"{count[state]} {plural if count[state] != 1 else one}" for state, (one, plural) in _WORDS.items()]
    return "  " + ", ".join(words) + (f", {count['skipped']} skipped" if count["skipped"] else "")


def _wrapped(text: str, indent: int) -> list[str]:
    """The text in lines that fit a terminal; where there is none, one line, for who searches it."""
    if not text or not sys.stdout.isatty():
        return [text] if text else []
    width = min(_WIDEST, shutil.get_terminal_size().columns) - indent
    return textwrap.wrap(text, max(30, width), break_long_words=False, break_on_hyphens=False)


def _coloured(state: str, text: str) -> str:
    padded = text.ljust(4)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return padded
    return f"\x1b[{_COLOURS[state]}m{padded}\x1b[0m"


COMMAND = common.Command(
    "doctor", "look whether all is as it should be, and say what to do", EXAMPLES, _arguments, _run
)
