"""A credential reads and changes what is its own: tried route by route, with the ids of another."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from asking import Api, fields, refusals
from streams import Serve, publish, send, subscribe

UNTIL = "2999-01-01T00:00:00Z"
VERBS = ("read", "unread", "seen", "archive", "unarchive", "snooze", "unsnooze")
STATE = """
    SELECT jsonb_build_object(
        'inbox', (SELECT jsonb_agg(i ORDER BY i.recipient) FROM belfry.inbox AS i WHERE recipient = %(who)s),
        'receipts', (SELECT jsonb_agg(r ORDER BY r.notification_id) FROM belfry.receipt AS r WHERE recipient = %(who)s),
        'preferences', (SELECT jsonb_agg(p ORDER BY p.since) FROM belfry.preference AS p WHERE recipient = %(who)s),
        'stays', (SELECT jsonb_agg(s ORDER BY s.since) FROM belfry.subscription AS s WHERE recipient = %(who)s),
        'changes', (SELECT jsonb_agg(c ORDER BY c.id) FROM belfry.change AS c WHERE recipient = %(who)s),
        'unread', (SELECT jsonb_agg(l) FROM belfry.list_inbox(%(who)s) AS l))
"""


async def state(api: Api, recipient: str) -> Any:
    """All that the database knows of a recipient, whose first contact this may be."""
    await api.writer.execute("SELECT belfry.counts(%s)", (recipient,))
    cursor = await api.writer.execute(STATE, {"who": recipient})
    return await cursor.fetchone()


async def have_something(api: Api) -> list[int]:
    """Notifications of the recipient u2, in every state; the ids of all that u1 has nothing to do with."""
    writer = api.writer
    await subscribe(writer, "u2", "t")
    ids = [await send(writer, f"secret {number}", "u2") for number in range(4)]
    ids.append(await publish(writer, "t", "secret of t"))
    await writer.execute("SELECT belfry.mark_read('u2', %s)", (ids[:1],))
    await writer.execute("SELECT belfry.archive('u2', %s)", (ids[1:2],))
    await writer.execute("SELECT belfry.snooze('u2', %s, %s)", (ids[2:3], UNTIL))
    await send(writer, "mine", "u1")
    return ids


def every_change(ids: list[int]) -> list[tuple[str, str, Any]]:
    """Each route by which a recipient changes something, aimed at these ids."""
    found: list[tuple[str, str, Any]] = [
        ("PUT", "/v1/preferences", {"kind": "test", "enabled": False}),
        ("PUT", "/v1/preferences", [{"kind": "*", "enabled": False}]),
        ("POST", "/v1/tickets", None),
    ]
    for verb in VERBS:
        until = {"until": UNTIL} if verb == "snooze" else {}
        found.append(("POST", f"/v1/inbox/{verb}", {"ids": ids, **until}))
        found += [("POST", f"/v1/inbox/{each}/{verb}", until or None) for each in ids]
    for verb in ("read", "seen", "archive"):
        found += [("POST", f"/v1/inbox/{verb}", body) for body in ({"all": True}, {"through": max(ids) + 9})]
    return found


async def test_a_recipient_reads_nothing_of_another(api: Api):
    ids = await have_something(api)
    queries = ["", "state=read", "state=archived", "state=snoozed", "state=seen", "topic=t", "limit=100"]
    queries += [f"before={max(ids) + 1}", "recipient=u2", "sub=u2"]
    for query in queries:
        answer = await api.as_recipient("GET", f"/v1/inbox?{query}")
        assert answer.status_code == 200
        assert "secret" not in answer.text, query
        assert not {item["id"] for item in answer.json()["items"]} & set(ids)
    assert (await api.as_recipient("GET", "/v1/inbox/counts")).json() == {"unread": 1, "unseen": 1, "total": 1}


async def test_a_recipient_changes_nothing_of_another(api: Api):
    ids = await have_something(api)
    before = await state(api, "u2")
    for method, path, body in every_change(ids):
        answer = await api.as_recipient(method, path, body)
        own = path.rpartition("/")[0].rpartition("/")[2]
        assert answer.status_code == 404 if own.isdigit() else answer.status_code < 300, (method, path, answer.text)
        assert await state(api, "u2") == before, (method, path)


async def test_what_one_does_with_a_broadcast_is_not_done_for_the_others(api: Api):
    await have_something(api)
    for recipient in ("u1", "u2"):
        await api.as_recipient("GET", "/v1/inbox", recipient=recipient)
    cursor = await api.writer.execute("SELECT belfry.broadcast('test', 'to all')")
    ((shared,),) = await cursor.fetchall()
    before = await state(api, "u2")
    for verb in VERBS:
        body = {"ids": [shared], **({"until": UNTIL} if verb == "snooze" else {})}
        assert (await api.as_recipient("POST", f"/v1/inbox/{verb}", body)).status_code == 200
    assert await state(api, "u2") == before


async def test_the_ids_of_another_answer_as_those_that_do_not_exist(api: Api):
    foreign, *_ = await have_something(api)
    answers = [await api.as_recipient("POST", f"/v1/inbox/{each}/read") for each in (foreign, 999_999)]
    told = [each.text.replace(each.headers["x-request-id"], "R") for each in answers]
    told = [text.replace(str(foreign), "N").replace("999999", "N") for text in told]
    assert [each.status_code for each in answers] == [404, 404]
    assert told[0] == told[1]


# --- narrowed tokens -----------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def several(api: Api) -> dict[str, int]:
    """What u1 has: directly, of two topics and of everyone, in two tenants."""
    writer = api.writer
    for topic in ("t", "s"):
        await subscribe(writer, "u1", topic)
    calls = {
        "direct": "SELECT belfry.send('u1', 'test', 'direct', tenant => 'acme')",
        "of t": "SELECT belfry.publish('t', 'test', 'of t', tenant => 'acme')",
        "of s": "SELECT belfry.publish('s', 'test', 'of s', tenant => 'acme')",
        "to all": "SELECT belfry.broadcast('test', 'to all', tenant => 'acme')",
        "elsewhere": "SELECT belfry.send('u1', 'test', 'elsewhere', tenant => 'other')",
    }
    return {name: (await (await writer.execute(call.encode())).fetchall())[0][0] for name, call in calls.items()}


NARROW = {"topics": ["t"], "tenant": "acme"}
INSIDE = {"direct", "of t"}


async def test_a_narrowed_token_reads_inside_and_a_request_only_narrows_it_more(api: Api, several: dict[str, int]):
    token = api.belfry.token(**NARROW)
    for query in ("", "topic=t&topic=s", "topic=*", "topic=t", "tenant=acme"):
        answer = await api.as_recipient("GET", f"/v1/inbox?{query}", token=token)
        shown = {item["title"] for item in answer.json()["items"]}
        assert shown <= INSIDE, query
        assert answer.json()["unread"] == len(shown), query
    for query in ("tenant=other", "tenant="):
        answer = await api.as_recipient("GET", f"/v1/inbox?{query}", token=token)
        assert (answer.json()["items"], answer.json()["unread"]) == ([], 0), query
    counts = await api.as_recipient("GET", "/v1/inbox/counts", token=token)
    assert counts.json() == {"unread": 2, "unseen": 2, "total": 2}


async def test_a_narrowed_token_changes_nothing_outside(api: Api, several: dict[str, int]):
    token = api.belfry.token(**NARROW)
    outside = [number for name, number in several.items() if name not in INSIDE]
    before = await untouched(api, outside)
    for method, path, body in every_change(outside):
        answer = await api.as_recipient(method, path, body, token=token)
        assert answer.status_code in (200, 201, 403, 404), (method, path, answer.text)
        assert await untouched(api, outside) == before, (method, path)
    assert (await api.as_recipient("PUT", "/v1/preferences", every_change([1])[0][2], token=token)).status_code == 403


async def untouched(api: Api, ids: list[int]) -> Any:
    """How these items of u1 stand, and what was chosen."""
    cursor = await api.writer.execute(
        "SELECT (SELECT jsonb_agg(jsonb_build_array(l.id, l.seen, l.read, l.archived, l.snoozed_until) ORDER BY l.id)"
        " FROM belfry.list_inbox('u1', max_rows => 100) AS l WHERE l.id = ANY (%s)),"
        " (SELECT count(*) FROM belfry.preference)",
        (ids,),
    )
    return await cursor.fetchone()


# --- the cookie ----------------------------------------------------------------------------------------------

JSON = {"content-type": "application/json"}


async def by_cookie(api: Api, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    sent = {"cookie": f"belfry_token={api.belfry.token()}", **headers}
    content = b"" if body is None else json.dumps(body).encode()
    return await api.http.request(method, path, headers=sent, content=content)


@refusals
@pytest.mark.parametrize(
    "headers",
    [
        {**JSON, "origin": "https://evil.example"},
        {**JSON, "origin": "null"},
        JSON,
        {**JSON, "origin": ""},
        {**JSON, "origin": "http://127.0.0.1.evil.example"},
        {**JSON, "origin": "http://127.0.0.1:1"},
        {**JSON, "origin": "http://["},
        {**JSON, "origin": "own", "x-forwarded-host": "evil.example", "host": "evil.example:80"},
        {"origin": "own"},
        {"origin": "own", "content-type": "text/plain"},
        {"origin": "own", "content-type": "application/x-www-form-urlencoded"},
        {"origin": "own", "content-type": "multipart/form-data; boundary=application/json"},
        {**JSON, "origin": "https://evil.example", "referer": "http://127.0.0.1"},
    ],
    ids=repr,
)
async def test_the_cookie_alone_from_a_foreign_page_changes_nothing(refusing: Api, headers: dict[str, str]):
    sent = await send(refusing.writer, "mine")
    given = {name: refusing.belfry.url if value == "own" else value for name, value in headers.items()}
    before = await state(refusing, "u1")
    for method, path, body in every_change([sent]):
        answer = await by_cookie(refusing, method, path, body, given)
        assert answer.status_code == 403, (path, answer.text)
        assert fields(answer) == []
    assert await state(refusing, "u1") == before


async def test_the_cookie_reads_and_from_our_own_page_and_a_known_one_changes(serve: Serve, connect: Any):
    api = Api(await serve(cors_origins=("https://app.example",)), await connect())
    async with api.http:
        for origin in (api.belfry.url, "https://app.example"):
            sent = await send(api.writer, "mine")
            answer = await by_cookie(api, "POST", f"/v1/inbox/{sent}/read", None, {**JSON, "origin": origin})
            assert (answer.status_code, answer.json()["changed"]) == (200, 1), answer.text
        typed = {"content-type": "Application/JSON; charset=utf-8", "origin": api.belfry.url}
        assert (await by_cookie(api, "POST", f"/v1/inbox/{sent}/read", None, typed)).status_code == 200
        assert (await by_cookie(api, "GET", "/v1/inbox", None, {})).status_code == 200


async def test_a_token_in_the_header_needs_no_origin_and_wins_over_the_cookie(api: Api):
    sent = await send(api.writer, "mine", "u2")
    answer = await api.as_recipient(
        "POST", f"/v1/inbox/{sent}/read", recipient="u2", headers={"cookie": f"belfry_token={api.belfry.token()}"}
    )
    assert (answer.status_code, answer.json()["changed"]) == (200, 1)


# --- keys and tokens are not each other ----------------------------------------------------------------------

MANAGING: list[tuple[str, str, Any]] = [
    ("GET", "/v1/notifications/1", None),
    ("PATCH", "/v1/notifications/1", {"title": "new"}),
    ("DELETE", "/v1/notifications/1", None),
    ("GET", "/v1/topics/t/subscriptions", None),
    ("PUT", "/v1/topics/t/subscriptions/u1", None),
    ("DELETE", "/v1/topics/t/subscriptions/u1", None),
    ("PUT", "/v1/recipients/u1", {"traits": {"plan": "pro"}}),
    ("DELETE", "/v1/recipients/u1", None),
    ("GET", "/v1/recipients/u1/export", None),
    ("PUT", "/v1/segments/pro", {"filter": {"plan": "pro"}}),
    ("DELETE", "/v1/segments/pro", None),
    ("PUT", "/v1/kinds/test", {"label": "Tests"}),
    ("POST", "/v1/import", [{"recipient": "u1", "kind": "test"}]),
]
SENDING: list[tuple[str, str, Any]] = [("POST", "/v1/notifications", {"recipient": "u1", "kind": "test"})]
EVERYTHING = "SELECT last_value, is_called FROM belfry.position"


async def position(api: Api) -> Any:
    """Whatever is written takes a position."""
    return await (await api.writer.execute(EVERYTHING)).fetchone()


async def test_a_key_that_only_sends_manages_nothing_and_one_that_only_manages_sends_nothing(api: Api):
    await send(api.writer, "there")
    before = await position(api)
    for scope, routes in (("send", MANAGING), ("manage", SENDING)):
        for method, path, body in routes:
            answer = await api.as_backend(method, path, body, scope)
            assert answer.status_code == 403, (method, path, answer.text)
            assert "scope" in answer.json()["detail"]
    assert await position(api) == before


async def test_a_recipients_token_is_no_key_and_a_key_is_no_token(api: Api):
    await send(api.writer, "there")
    before = await position(api)
    for method, path, body in MANAGING + SENDING:
        assert (await api.as_recipient(method, path, body)).status_code == 401, (method, path)
        assert (await by_cookie(api, method, path, body, {**JSON, "origin": api.belfry.url})).status_code == 401
    for path in ("/v1/inbox", "/v1/inbox/counts", "/v1/preferences"):
        assert (await api.as_backend("GET", path)).status_code == 401
    assert await position(api) == before


async def test_every_route_of_the_document_is_among_those_that_were_tried(api: Api):
    document = (await api.http.get("/schema/openapi.json")).json()
    backend = [
        (method, path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if any("api_key" in way for way in operation.get("security", []))
    ]
    assert len(backend) == len(MANAGING + SENDING)
    recipients = [
        path
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if {"token": []} in operation.get("security", []) and method != "get"
    ]
    assert len(recipients) == 2 * len(VERBS) + len(("preferences", "tickets"))


async def test_no_cache_keeps_what_is_one_persons_or_a_backends(api: Api):
    sent = await send(api.writer, "mine", "u1")
    for path in ("/v1/inbox", "/v1/inbox/counts", "/v1/preferences"):
        assert (await api.as_recipient("GET", path)).headers["cache-control"] == "no-store", path
    assert (await api.as_recipient("POST", "/v1/tickets")).headers["cache-control"] == "no-store"
    for path in (f"notifications/{sent}", "topics/t/subscriptions", "recipients/u1/export"):
        assert (await api.as_backend("GET", f"/v1/{path}")).headers["cache-control"] == "no-store", path
