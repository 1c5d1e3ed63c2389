"""Every route works for a server whose login is nothing but a relay."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest_asyncio

from asking import Api
from streams import Connection, Serve, eventually_is, send, subscribe, value

UNTIL = "2999-01-01T00:00:00Z"
RECIPIENT: list[tuple[str, str, Any]] = [
    ("GET", "/v1/inbox", None),
    ("GET", "/v1/inbox/counts", None),
    *[("POST", f"/v1/inbox/{verb}", {"all": True}) for verb in ("read", "seen", "archive")],
    *[("POST", f"/v1/inbox/{verb}", {"ids": [1]}) for verb in ("read", "seen", "archive", "unread", "unarchive")],
    ("POST", "/v1/inbox/snooze", {"ids": [1], "until": UNTIL}),
    ("POST", "/v1/inbox/unsnooze", {"ids": [1]}),
    ("POST", "/v1/inbox/{id}/read", None),
    ("GET", "/v1/preferences", None),
    ("PUT", "/v1/preferences", {"kind": "test", "enabled": True}),
    ("POST", "/v1/tickets", None),
]
BACKEND: list[tuple[str, str, Any]] = [
    ("PUT", "/v1/recipients/u1", {"traits": {"plan": "pro"}}),
    ("PUT", "/v1/segments/pro", {"filter": {"plan": "pro"}}),
    ("PUT", "/v1/segments/pro", {"filter": "plan:pro"}),
    ("POST", "/v1/notifications", {"topic": "segment:pro", "kind": "test"}),
    ("POST", "/v1/notifications", {"recipient": "u1", "kind": "test", "deliver_at": UNTIL}),
    ("DELETE", "/v1/segments/pro", None),
    ("PUT", "/v1/topics/t/subscriptions/u1", None),
    ("GET", "/v1/topics/t/subscriptions", None),
    ("DELETE", "/v1/topics/t/subscriptions/u1", None),
    ("PUT", "/v1/kinds/test", {"label": "Tests"}),
    ("POST", "/v1/import", [{"recipient": "u1", "kind": "test"}]),
    ("GET", "/v1/notifications/{id}?recipient=u1", None),
    ("PATCH", "/v1/notifications/{id}", {"title": "new"}),
    ("DELETE", "/v1/notifications/{id}", None),
    ("GET", "/v1/recipients/u1/export", None),
    ("DELETE", "/v1/recipients/u1", None),
]


@pytest_asyncio.fixture
async def relay_login(connect: Any, database: str) -> AsyncGenerator[str]:
    """The URL of the database for a login that is a relay and no more."""
    owner: Connection = await connect()
    name = f"belfry_test_relay_{os.getpid()}"
    await owner.execute(f"DROP ROLE IF EXISTS {name}".encode())
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'relay' IN ROLE belfry_relay".encode())
    yield psycopg.conninfo.make_conninfo(database, user=name, password="relay")
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()", (name,)
    )
    await owner.execute(f"DROP ROLE {name}".encode())


async def test_every_route_works_for_a_login_that_is_a_relay_and_no_more(serve: Serve, connect: Any, relay_login: str):
    api = Api(await serve(database_url=relay_login), await connect())
    async with api.http:
        await subscribe(api.writer, "u1", "before")
        body = {"recipient": "u1", "kind": "test"}
        headers = {"idempotency-key": "k"}
        sent = [await api.as_backend("POST", "/v1/notifications", body, headers=headers) for _ in range(2)]
        assert sent[0].json() == sent[1].json()
        (number,) = sent[0].json()["ids"]
        for ask, routes in ((api.as_recipient, RECIPIENT), (api.as_backend, BACKEND)):
            for method, path, content in routes:
                answer = await ask(method, path.replace("{id}", str(number)), content)
                assert answer.status_code < 300, (method, path, answer.text)
        page = (await api.as_recipient("GET", "/v1/inbox")).json()
        client = await api.belfry.open(cursor=page["cursor"])
        assert (await client.next()).name == "ready"


async def test_what_a_relay_does_by_itself_works_for_a_login_that_is_a_relay_and_no_more(
    serve: Serve, connect: Any, relay_login: str
):
    writer: Connection = await connect()
    old = await send(writer, "of last week")
    await writer.execute("UPDATE belfry.notification SET created_at = now() - interval '8 days' WHERE id = %s", (old,))
    await writer.execute("SELECT belfry.settle(%s::bigint, (SELECT epoch FROM belfry.settled))", (old,))
    belfry = await serve(database_url=relay_login, retention_days=7, tick_seconds=0.05)
    client = await belfry.live()
    await value(writer, "SELECT belfry.send('u1', 'test', 'due', deliver_at => clock_timestamp() + interval '0.2 s')")
    sent = await send(writer, "at once")
    assert sorted(await client.titles(2)) == ["at once", "due"]
    await eventually_is(writer, True, "SELECT through > %s FROM belfry.settled", sent)
    await eventually_is(writer, 0, "SELECT count(*) FROM belfry.notification WHERE id = %s", old)
