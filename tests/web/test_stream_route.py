"""GET /v1/stream: who may open it, what comes first, and how it ends."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import jwt
import pytest

from streams import SECRET, Belfry, Serve, eventually, publish, send, subscribe

FAR = 4_102_444_800
OTHER_SECRET = "another secret of the tests, long enough too"


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({name: it for name, it in claims.items() if it is not None}, secret, algorithm=algorithm)


GOOD = signed(sub="u1", exp=FAR)
ANOTHERS = signed(sub="u2", exp=FAR)
TICKET = signed(sub="u1", exp=FAR, use="ticket")

REFUSED: dict[str, tuple[dict[str, str], list[tuple[str, str]]]] = {
    "no credential": ({}, []),
    "an empty bearer": ({"authorization": "Bearer"}, []),
    "another scheme": ({"authorization": f"Basic {GOOD}"}, []),
    "no token at all": ({"authorization": "Bearer nonsense"}, []),
    "an expired token": ({"authorization": f"Bearer {signed(sub='u1', exp=int(time.time()) - 1)}"}, []),
    "another key": ({"authorization": f"Bearer {signed(OTHER_SECRET, sub='u1', exp=FAR)}"}, []),
    "no exp": ({"authorization": f"Bearer {signed(sub='u1')}"}, []),
    "no sub": ({"authorization": f"Bearer {signed(exp=FAR)}"}, []),
    "an empty sub": ({"authorization": f"Bearer {signed(sub='', exp=FAR)}"}, []),
    "a sub with a slash": ({"authorization": f"Bearer {signed(sub='a/b', exp=FAR)}"}, []),
    "alg none": ({"authorization": f"Bearer {signed('', 'none', sub='u1', exp=FAR)}"}, []),
    "another algorithm": ({"authorization": f"Bearer {signed(algorithm='HS512', sub='u1', exp=FAR)}"}, []),
    "a ticket in the header": ({"authorization": f"Bearer {TICKET}"}, []),
    "a ticket in the cookie": ({"cookie": f"belfry_token={TICKET}"}, []),
    "a token as a ticket": ({}, [("ticket", GOOD)]),
    "an expired ticket": ({}, [("ticket", signed(sub="u1", exp=int(time.time()) - 1, use="ticket"))]),
    "a bad header beside a good ticket": ({"authorization": "Bearer nonsense"}, [("ticket", TICKET)]),
}


@pytest.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve()


async def test_without_a_good_credential_the_answer_is_401_and_a_problem_document(belfry: Belfry):
    wrong: list[str] = []
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        for name, (headers, query) in REFUSED.items():
            answer = await http.get("/v1/stream", headers=headers, params=httpx.QueryParams(query))
            document = answer.json()
            as_agreed = (
                answer.status_code == document["status"] == 401
                and answer.headers["content-type"].startswith("application/problem+json")
                and answer.headers.get("www-authenticate") == "Bearer"
                and document["detail"]
                and "eyJ" not in answer.text
            )
            if not as_agreed:
                wrong.append(f"{name}: {answer.status_code} {dict(answer.headers)} {answer.text}")
    assert wrong == []
    assert belfry.relay.load == 0


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        pytest.param({"authorization": f"Bearer {GOOD}"}, [], id="header"),
        pytest.param({"authorization": f"bearer {GOOD}"}, [], id="header in lower case"),
        pytest.param({"cookie": f"other=1; belfry_token={GOOD}"}, [], id="cookie"),
        pytest.param({}, [("ticket", TICKET)], id="ticket"),
        pytest.param({"cookie": f"belfry_token={ANOTHERS}"}, [("ticket", TICKET)], id="ticket beside another's cookie"),
    ],
)
async def test_header_cookie_and_ticket_open_the_stream(
    belfry: Belfry, headers: dict[str, str], query: list[tuple[str, str]]
):
    client = await belfry.live(headers=headers, query=query)
    assert client.status == 200
    assert client.seen[0].data["recipient"] == "u1"


async def test_the_head_of_the_answer_is_the_contracts(belfry: Belfry):
    client = await belfry.live(headers={"authorization": f"Bearer {GOOD}", "accept-encoding": "gzip, br"})
    assert client.answer["content-type"] == "text/event-stream; charset=utf-8"
    assert client.answer["cache-control"] == "no-cache, no-transform"
    assert client.answer["x-accel-buffering"] == "no"
    assert "content-encoding" not in client.answer
    assert "content-length" not in client.answer
    assert client.answer["transfer-encoding"] == "chunked"
    assert client.answer["connection"] == "close"


async def test_a_request_is_answered_in_one_task(belfry: Belfry):
    """Several dependencies would be resolved in a task each: of a crowd all would wait there, with all they hold."""
    loop, made = asyncio.get_running_loop(), list[str]()

    def make(loop: asyncio.AbstractEventLoop, life: Any, **more: Any) -> asyncio.Task[Any]:
        made.append(life.cr_code.co_filename)
        return asyncio.Task(life, loop=loop, **more)

    loop.set_task_factory(make)
    try:
        await belfry.live()
    finally:
        loop.set_task_factory(None)
    assert sum("uvicorn" in each for each in made) == 1, made
    assert not any("anyio" in each for each in made), made


async def test_the_first_bytes_are_a_jittered_retry(serve: Serve):
    belfry = await serve(retry_milliseconds=1000)
    retries: set[int | None] = set()
    for _ in range(8):
        client = await belfry.live()
        assert bytes(client.body).startswith(b"retry: ")
        retries.add(client.retry)
        assert client.retry is not None
        assert 500 <= client.retry < 1500
    assert len(retries) > 2


async def test_ready_says_where_the_client_is(serve: Serve, connect: Any):
    belfry = await serve(heartbeat_seconds=7)
    writer = await connect()
    await subscribe(writer, "u1", "team:7")
    sent = await send(writer, "before")
    client = await belfry.live()
    (ready,) = client.seen
    assert ready.id == str(sent)
    assert ready.data == {
        "cursor": str(sent),
        "recipient": "u1",
        "topics": ["*", "team:7"],
        "unread": 1,
        "unseen": 1,
        "heartbeat_seconds": 7,
    }


async def test_a_notification_is_a_message_with_every_field_of_the_contract(belfry: Belfry, connect: Any):
    client = await belfry.live()
    await (await connect()).execute(
        "SELECT belfry.send('u1', 'comment.created', 'A title', E'a body\\r\\nof two lines', '{\"k\": [1]}', '/a',"
        ' \'[{"name": "ok", "label": "OK"}]\', \'{"id": "u2"}\', \'{a,b}\', \'warning\', \'acme\')'
    )
    event = await client.next()
    data = event.data
    assert event.name == "message"
    assert event.id == str(data.pop("id"))
    assert data.pop("created_at").endswith("+00:00")
    assert data == {
        "recipient": "u1",
        "topic": None,
        "tenant": "acme",
        "kind": "comment.created",
        "title": "A title",
        "body": "a body\r\nof two lines",
        "action_url": "/a",
        "actions": [{"name": "ok", "label": "OK"}],
        "data": {"k": [1]},
        "actor": {"id": "u2"},
        "tags": ["a", "b"],
        "severity": "warning",
        "group_key": None,
        "expires_at": None,
    }


async def test_a_heartbeat_comes_by_itself_and_carries_the_cursor(serve: Serve, connect: Any):
    belfry = await serve(heartbeat_seconds=0.2, tick_seconds=0.1)
    client = await belfry.live()
    assert (await client.until("heartbeat"))[-1].text == "{}"
    sent = await send(await connect(), "for another", recipient="u2")
    for _ in range(50):
        if (await client.until("heartbeat"))[-1].id == str(sent):
            break
    assert client.last_id == str(sent)


# --- where it begins -----------------------------------------------------------------------------------------


async def test_the_header_wins_over_last_event_id_in_the_query_which_wins_over_cursor(belfry: Belfry, connect: Any):
    writer = await connect()
    ids = [await send(writer, str(number)) for number in range(5)]

    async def titles(last_id: str | None = None, **query: str) -> list[str]:
        client = await belfry.open(last_id=last_id, query=list(query.items()))
        return [event.data["title"] for event in (await client.until("ready"))[:-1]]

    assert await titles(str(ids[3]), lastEventId=str(ids[1]), cursor=str(ids[0])) == ["4"]
    assert await titles(lastEventId=str(ids[1]), cursor=str(ids[0])) == ["2", "3", "4"]
    assert await titles(cursor=str(ids[0])) == ["1", "2", "3", "4"]
    assert await titles() == []


# --- what narrows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [("topic", "a/b"), ("topic", ""), ("topic", "a\0"), ("topic", "t" * 256), ("tenant", "a/b"), ("tenant", "\0")],
)
async def test_what_no_topic_and_no_tenant_is_called_is_refused(belfry: Belfry, name: str, given: str):
    """It would be a stream on which nothing ever comes."""
    headers = {"authorization": f"Bearer {GOOD}"}
    async with (
        httpx.AsyncClient(base_url=belfry.url, headers=headers, params=[("topic", "good"), (name, given)]) as http,
        http.stream("GET", "/v1/stream") as answer,
    ):
        assert answer.status_code == 400
        document = json.loads(await answer.aread())
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["errors"][0]["field"].startswith(name)
    assert belfry.relay.load == 0


@pytest.mark.parametrize(
    ("granted", "asked", "topics"),
    [
        (None, None, ["*", "a", "b"]),
        (None, ["a"], ["a"]),
        (None, ["a", "b"], ["a", "b"]),
        (["a", "*"], None, ["*", "a"]),
        (["a", "*"], ["a", "b"], ["a"]),
        (["a"], ["b"], []),
        (["c"], None, []),
        (None, ["c"], []),
        ([], None, []),
    ],
)
async def test_topics_of_the_token_and_of_the_request_both_narrow(
    belfry: Belfry, connect: Any, granted: list[str] | None, asked: list[str] | None, topics: list[str]
):
    writer = await connect()
    await subscribe(writer, "u1", "a")
    await subscribe(writer, "u1", "b")
    token = belfry.token(topics=granted)
    client = await belfry.live(token=token, query=[("topic", each) for each in asked or ()])
    assert client.seen[0].data["topics"] == topics
    start = client.last_id
    for topic in ("a", "b", "c", "*"):
        await publish(writer, topic, topic)
    await send(writer, "direct")
    wanted = [topic for topic in ("a", "b", "*") if topic in topics] + ["direct"]
    assert await client.titles(len(wanted)) == wanted
    again = await belfry.open(token=token, last_id=start, query=[("topic", each) for each in asked or ()])
    assert [event.data["title"] for event in (await again.until("ready"))[:-1]] == wanted


@pytest.mark.parametrize(
    ("granted", "asked", "wanted"),
    [
        (None, None, ["none", "acme", "other"]),
        (None, "acme", ["acme"]),
        ("acme", None, ["acme"]),
        ("acme", "acme", ["acme"]),
        ("acme", "other", []),
        (None, "nobody", []),
    ],
)
async def test_the_tenant_of_the_token_and_of_the_request_both_narrow(
    belfry: Belfry, connect: Any, granted: str | None, asked: str | None, wanted: list[str]
):
    writer = await connect()
    token = belfry.token(tenant=granted)
    query = [("tenant", asked)] if asked else []
    client = await belfry.live(token=token, query=query)
    for title, tenant in (("none", ""), ("acme", "acme"), ("other", "other")):
        await writer.execute("SELECT belfry.send('u1', 'test', %s, tenant => %s)", (title, tenant))
    await subscribe(writer, "u1", "end")
    assert [event.data["title"] for event in (await client.until("change"))[:-1]] == wanted
    again = await belfry.open(token=token, cursor="0", query=query)
    events = await again.until("ready")
    assert [event.data["title"] for event in events if event.name == "message"] == wanted


# --- how it ends ---------------------------------------------------------------------------------------------


async def test_a_stream_ends_with_its_credential(serve: Serve):
    belfry = await serve(tick_seconds=0.1)
    client = await belfry.live(token=belfry.token(seconds=2))
    (goodbye,) = await client.rest()
    assert (goodbye.name, goodbye.data) == ("goodbye", {"reason": "expired"})
    assert goodbye.retry is not None


async def test_a_stream_ends_at_its_greatest_age(serve: Serve):
    belfry = await serve(tick_seconds=0.1, max_stream_age_seconds=0.5)
    client = await belfry.live()
    assert [event.data for event in await client.rest()] == [{"reason": "rotate"}]


async def test_past_the_limit_the_recipients_oldest_stream_ends(serve: Serve, connect: Any):
    belfry = await serve(max_streams_per_recipient=2)
    other = await belfry.live("u2")
    first, second, third = await belfry.live(), await belfry.live(), await belfry.live()
    assert [event.data for event in await first.rest()] == [{"reason": "limit"}]
    await publish(await connect(), "*", "for all")
    for client in (other, second, third):
        assert await client.titles(1) == ["for all"]


async def test_overload_is_told_with_200_a_late_retry_and_goodbye(serve: Serve):
    belfry = await serve(max_streams=1)
    await belfry.live()
    client = await belfry.open("u2")
    assert client.status == 200
    assert client.answer["content-type"].startswith("text/event-stream")
    (goodbye,) = await client.rest()
    assert (goodbye.name, goodbye.data) == ("goodbye", {"reason": "overloaded"})
    assert goodbye.retry is not None
    assert belfry.relay.load == 1


async def test_drain_says_goodbye_to_all_and_they_may_come_back(belfry: Belfry, connect: Any):
    writer = await connect()
    await send(writer, "before")
    clients = [await belfry.live() for _ in range(5)]
    await belfry.relay.hub.drain(1.0)
    for client in clients:
        assert [event.data for event in await client.rest()] == [{"reason": "drain"}]
    await send(writer, "missed")
    again = await belfry.open(last_id=clients[0].last_id)
    assert [event.data.get("title") for event in await again.until("ready")] == ["missed", None]


async def test_a_client_that_leaves_is_forgotten_at_once(belfry: Belfry):
    client = await belfry.live()
    assert belfry.relay.load == 1
    client.cut()
    await eventually(lambda: belfry.relay.load == 0)


# --- other origins -------------------------------------------------------------------------------------------


async def test_only_listed_origins_may_read_the_stream(serve: Serve):
    belfry = await serve(cors_origins=("https://app.example.com",))
    token = belfry.token()
    for origin, allowed in (("https://app.example.com", "https://app.example.com"), ("https://evil.example", None)):
        client = await belfry.live(headers={"authorization": f"Bearer {token}", "origin": origin})
        assert client.answer.get("access-control-allow-origin") == allowed
        if allowed:
            assert client.answer["access-control-allow-credentials"] == "true"


async def test_without_a_list_no_origin_is_allowed(belfry: Belfry):
    client = await belfry.live(headers={"authorization": f"Bearer {GOOD}", "origin": "https://app.example.com"})
    assert not [name for name in client.answer if name.startswith("access-control-")]


async def test_a_preflight_is_answered_for_listed_origins_only(serve: Serve):
    belfry = await serve(cors_origins=("https://app.example.com",))
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization,last-event-id"}
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        good = await http.options("/v1/stream", headers={"origin": "https://app.example.com", **asked})
        bad = await http.options("/v1/stream", headers={"origin": "https://evil.example", **asked})
    assert good.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "last-event-id" in good.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-origin" not in bad.headers
