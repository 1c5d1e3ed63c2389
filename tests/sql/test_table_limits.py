"""The CHECK of `notification`: what it passes quickly, the exact judge passes too, and they refuse for one reason."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

FINE: dict[str, Any] = {
    "recipient": "u1", "topic": None, "tenant": "", "kind": "k", "title": "", "body": "", "data": {},
    "action_url": None, "actions": [], "actor": None, "tags": [], "severity": "info", "dedupe_key": None,
    "group_key": None,
}  # fmt: skip
NAMES = (
    "",
    "a",
    "a" * 252,
    "a" * 255,
    "a" * 256,
    "é" * 128,
    "é" * 255,
    "a/b",
    "a\u0001",
    "a\u007f",
    "a\u0085b",
    "a\nb",
)
KEYS = (*NAMES, None)
EDGES: dict[str, tuple[Any, ...]] = {
    "recipient": KEYS,
    "topic": KEYS,
    "tenant": NAMES,
    "kind": ("", "a.b", "a..b", "a.", ".a", "A", "a b", "a/b", "é", "a\n", "a-1.b_2", "a" * 254, "a" * 255, "a" * 256),
    "title": ("x" * 65531, "x" * 65532, "x" * 65533, "é" * 32766),
    "body": ("x" * 30000, "x" * 65532, "x" * 65533),
    "data": (None, [], "x", 1, {"a": "x" * 40000}, {"a": "x" * 65523}, {"a": "x" * 65524}),
    "action_url": ("", "x" * 65532, "x" * 65533),
    "actions": (None, {}, "x", [{"name": "a"}], ["x" * 40000]),
    "actor": ({}, [], "x", 1, {"name": "x" * 40000}),
    "tags": ([None], ["a"], ["a", None], [["a"], ["b"]], ["x" * 40000]),
    "severity": ("", "error", "Info", "fatal"),
    "dedupe_key": NAMES,
    "group_key": NAMES,
}
VERDICT = """
    CREATE FUNCTION pg_temp.verdict(given belfry.notification, quickly boolean) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        broken text;
    BEGIN
        RETURN CASE WHEN quickly THEN belfry.within_limits(given) ELSE belfry.require_notification(
            given.recipient, given.topic, given.tenant, given.kind, given.title, given.body, given.data,
            given.action_url, given.actions, given.actor, given.tags, given.severity, given.dedupe_key,
            given.group_key) END;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
        RETURN SQLSTATE || broken;
    END $$
"""
JUDGED = """
    SELECT pg_temp.verdict(row, true), pg_temp.verdict(row, false), left(given.fields::text, 1000)
    FROM unnest(%s::jsonb[]) AS given (fields)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::belfry.notification, given.fields) AS row
    WHERE pg_temp.verdict(row, true) IS DISTINCT FROM pg_temp.verdict(row, false)
"""


def notifications() -> list[dict[str, Any]]:
    """One that is fine, with every edge of each column, and every edge of each two columns."""
    edges = [(name, value) for name, values in EDGES.items() for value in values]
    pairs = (pair for pair in itertools.combinations(edges, 2) if pair[0][0] != pair[1][0])
    return [FINE, *(FINE | dict([edge]) for edge in edges), *(FINE | dict(pair) for pair in pairs)]


async def test_what_passes_quickly_is_what_the_exact_judge_passes(connect: Any) -> None:
    connection = await connect()
    await connection.execute(VERDICT)
    judged = notifications()
    for first in range(0, len(judged), 200):
        found = await connection.execute(JUDGED, ([Jsonb(each) for each in judged[first : first + 200]],))
        assert await found.fetchall() == []


async def test_a_session_of_old_strings_lets_nothing_more_in(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute("SET standard_conforming_strings = off")
    for kind in ("a b", "aXb.c", "a."):
        for way in (
            "INSERT INTO belfry.notification (recipient, kind) VALUES ('u1', %s)",
            "SELECT belfry.send('u1', %s)",
        ):
            with pytest.raises(psycopg.Error, match="this is not a kind"):
                await connection.execute(way.encode(), (kind,))
    with pytest.raises(psycopg.Error, match="this is not a recipient"):
        await ask.call(connection, "send", recipient="a\u0001", kind="k")
    await ask.call(connection, "send", recipient="u1", kind="a.b")
    await ask.call(connection, "define_segment", name="pro", filter="plan:pro")


async def test_the_usual_notification_never_comes_before_the_exact_judge(connect: Any, ask: Any) -> None:
    connection = await connect()
    judge = await ask.value(connection, "SELECT pg_get_functiondef('belfry.require_notification'::regproc)")
    head = judge[: judge.index("AS $function$")]
    await connection.execute(f"{head} AS $$ BEGIN RAISE EXCEPTION 'asked'; END $$")
    usual = {"kind": "comment.created", "title": "Ada answered", "body": "Yes.", "action_url": "/c/1"}
    await ask.call(connection, "send", recipient="u1", **usual)
    await ask.call(connection, "send", recipient="u1", **usual, actor={"name": "Ada"}, group_key="c:1", tenant="t")
    await ask.call(connection, "publish", topic="t", **usual)
