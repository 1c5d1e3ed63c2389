"""docs/runbook.md has an entry for each alert, and every message that an operator can meet."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from belfry import errors, logs
from belfry.figures import ENDS, RESETS

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = " ".join((ROOT / "docs/runbook.md").read_text(encoding="utf-8").split())
SOURCES = sorted((ROOT / "app/belfry").rglob("*.py"))
LITTLE = 8
"""A piece of text that is shorter says nothing by itself."""


def trees() -> Iterator[ast.AST]:
    for source in SOURCES:
        yield from ast.walk(ast.parse(source.read_text(encoding="utf-8")))


def pieces(node: ast.expr) -> Iterator[str]:
    """The literal pieces of a message, between what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=values):
            for each in values:
                yield from pieces(each)
        case ast.BinOp(left=left, right=right):
            yield from pieces(left)
            yield from pieces(right)
        case _:
            pass


def messages() -> Iterator[list[str]]:
    """The pieces of every message with which Belfry refuses: those of the classes, and those that are given anew."""
    for one in vars(errors).values():
        if isinstance(one, type) and issubclass(one, errors.BelfryError):
            yield [" ".join((one.__doc__ or "").split())]
    for node in trees():
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="errors")), args=[first, *_]):
                found = [" ".join(piece.split()) for piece in pieces(first)]
                if any(len(piece) >= LITTLE for piece in found):
                    yield found
            case _:
                pass


def told(message: list[str]) -> bool:
    """Whether the runbook quotes it: the beginning of one of its pieces, up to where the sentence turns."""
    parts = [re.split(r"[:;.,](?:\s|$)| \(", piece.strip(" :.,;`"))[0] for piece in message]
    return any(len(part) >= LITTLE and part in RUNBOOK for part in parts)


def test_every_alert_has_an_entry_and_every_entry_an_alert() -> None:
    rules = yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    entries = re.findall(r"^### (Belfry\w+)$", (ROOT / "docs/runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(alerts) == sorted(entries)


def test_every_message_is_there() -> None:
    found = list(messages())
    assert len(found) > 80
    assert [message for message in found if not told(message)] == []


def test_every_action_of_the_log_is_there() -> None:
    actions = {
        value.value
        for node in trees()
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "action" and isinstance(value, ast.Constant)
    }
    assert len(actions) > 15
    assert {action for action in actions if f"`{action}`" not in RUNBOOK} == set()


@pytest.mark.parametrize("name", ["psycopg", "psycopg.pool", "uvicorn.error", "asyncio"])
def test_what_the_libraries_log_is_there(name: str) -> None:
    record = logging.LogRecord(name, logging.WARNING, "file", 1, "message", (), None)
    assert f"`{json.loads(logs.JsonLines().format(record))['action']}`" in RUNBOOK


def test_what_postgres_logs_for_us_is_there() -> None:
    texts = (file.read_text(encoding="utf-8") for file in (ROOT / "sql/functions").glob("*.sql"))
    warnings = [found for text in texts for found in re.findall(r"RAISE WARNING '([^']+)'", text)]
    assert warnings
    parts = {part.strip(" :,") for each in warnings for part in re.split(r"%+s?", each)}
    assert {part for part in parts if len(part) >= LITTLE and part not in RUNBOOK} == set()


@pytest.mark.parametrize("where", ["functions", "triggers"])
def test_every_sqlstate_of_ours_is_there(where: str) -> None:
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "sql" / where).glob("*.sql")]
    codes = {code for text in texts for code in re.findall(r"\bBF(?!000)\d{3}\b", text)}  # BF000 is their class
    assert {code for code in codes if f"`{code}`" not in RUNBOOK} == set()


def test_every_sqlstate_of_postgres_that_we_raise_is_there() -> None:
    texts = (file.read_text(encoding="utf-8") for file in (ROOT / "sql/functions").glob("*.sql"))
    names = {name for text in texts for name in re.findall(r"ERRCODE = '([a-z_]+)'", text)}
    assert names == {"unique_violation"}
    assert f"`{psycopg.errors.UniqueViolation.sqlstate}`" in RUNBOOK


def test_every_reason_that_a_stream_is_told_is_there() -> None:
    told_reasons = RUNBOOK.partition("## What streams are told")[2]
    assert {reason for reason in (*ENDS, *RESETS, "overloaded") if f"`{reason}`" not in told_reasons} == set()


def test_a_message_that_is_new_is_missed() -> None:
    assert not told(["the bell rope has snapped: fetch a ladder"])
    assert not told(["", " is ", "."])
