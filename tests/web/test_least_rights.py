"""Every route works for a server that is nothing but a relay; so do an app and a monitor with their role alone."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from asking import Api
from belfry import doctor
from belfry.config import Config
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
async def login(connect: Any, database: str) -> AsyncGenerator[Callable[[str], Awaitable[str]]]:
    """Makes logins that have one role and no more: the URL of each. They are gone afterwards."""
    owner: Connection = await connect()
    made: list[str] = []

    async def make(role: str) -> str:
        name = f"{role}_test_{os.getpid()}"
        await owner.execute(f"DROP ROLE IF EXISTS {name}".encode())
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' IN ROLE {role}".encode())
        made.append(name)
        return psycopg.conninfo.make_conninfo(database, user=name, password="secret")

    yield make
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY (%s) AND pid <> pg_backend_pid()",
        (made,),
    )
    for name in made:
        await owner.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}".encode())


@pytest_asyncio.fixture
async def relay_login(login: Callable[[str], Awaitable[str]]) -> str:
    """The URL of the database for a login that is a relay and no more."""
    return await login("belfry_relay")


async def test_every_route_works_for_a_login_that_is_a_relay_and_no_more(relay_login: str, serve: Serve, connect: Any):
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
    relay_login: str, serve: Serve, connect: Any
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


async def test_an_app_a_relay_and_a_monitor_do_their_work_together_each_with_its_role_alone(
    login: Callable[[str], Awaitable[str]], relay_login: str, serve: Serve, connect: Any
):
    owner: Connection = await connect()
    app: Connection = await connect(await login("belfry_sender"))
    watcher = await login("belfry_monitor")
    monitor: Connection = await connect(watcher)
    client = await (await serve(database_url=relay_login, tick_seconds=0.05)).live()
    await owner.execute(f"CREATE SCHEMA shop AUTHORIZATION {app.info.user}".encode())
    await app.execute("CREATE TABLE shop.orders (id int PRIMARY KEY, owner text)")
    await app.execute("SELECT belfry.watch('shop.orders', 'insert', 'owner', 'order.new', 'Order {id}', name => 'new')")
    await app.execute("INSERT INTO shop.orders VALUES (7, 'u1')")
    await app.execute("INSERT INTO belfry.notification (recipient, kind, title) VALUES ('u1', 'k', 'plain')")
    sent = await value(app, "SELECT belfry.send('u1', 'k', 'called')")
    assert await client.titles(3) == ["Order 7", "plain", "called"]
    assert await value(app, "SELECT belfry.mark_read('u1', ARRAY[%s]::bigint[])", sent) == 1
    assert await value(app, "SELECT unread FROM belfry.counts('u1')") == 2
    await eventually_is(monitor, True, "SELECT settled >= %s FROM belfry.status", sent)
    found = await doctor.examine(Config(database_url=watcher, secret="a-secret-of-more-than-thirty-two-bytes"))
    assert found["watches"].state == "ok"
    for connection, statement in (
        (app, b"SELECT recipient FROM belfry.notification"),
        (app, b"SELECT * FROM belfry.contact('{u1}')"),
        (monitor, b"SELECT title FROM belfry.notification"),
        (monitor, b"SELECT belfry.send('u1', 'k')"),
        (await connect(relay_login), b"UPDATE belfry.notification SET title = ''"),
        (await connect(relay_login), b"DELETE FROM shop.orders"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement)
