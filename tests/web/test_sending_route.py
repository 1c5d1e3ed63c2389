"""POST /v1/notifications: what it sends, what it refuses, and that nothing is done by half."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio

from asking import Api, fields, refusals
from belfry import keys
from streams import Belfry, Connection, Serve, value

COUNT = "SELECT count(*) FROM belfry.notification"


@pytest_asyncio.fixture
async def writer(connect: Any) -> Connection:
    return await connect()


@pytest_asyncio.fixture
async def key(writer: Connection) -> str:
    return await keys.create(writer, "tests", ["send"])


@pytest.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve()


async def post(belfry: Belfry, key: str | None, body: Any, **more: Any) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        return await http.post("/v1/notifications", json=body, headers=headers, **more)


@pytest.mark.parametrize(
    ("audience", "count"),
    [({"recipient": "u1"}, 1), ({"recipients": ["u1", "u2", "u1"]}, 3), ({"topic": "t"}, 1), ({"broadcast": True}, 1)],
    ids=["recipient", "recipients", "topic", "broadcast"],
)
async def test_each_audience_is_sent_to_and_the_ids_are_told(
    belfry: Belfry, writer: Connection, key: str, audience: dict[str, Any], count: int
):
    answer = await post(belfry, key, {"kind": "test", **audience})
    assert answer.status_code == 201
    ids = answer.json()["ids"]
    assert len(ids) == count
    assert await value(writer, COUNT + " WHERE id = ANY (%s)", ids) == count


async def test_what_was_posted_arrives_with_all_its_fields(belfry: Belfry, key: str):
    client = await belfry.live()
    fields = {
        "kind": "comment.created",
        "title": "A title",
        "body": "A body",
        "data": {"k": [1, {"deep": None}]},
        "action_url": "/a",
        "actions": [{"name": "ok", "label": "OK"}],
        "actor": {"id": "u2"},
        "tags": ["a"],
        "severity": "error",
        "tenant": "acme",
    }
    answer = await post(belfry, key, {"recipient": "u1", "group_key": "g", "dedupe_key": "d", **fields})
    row = await client.row()
    assert row["id"] == answer.json()["ids"][0]
    assert {name: row[name] for name in fields} == fields


async def test_a_repeated_dedupe_key_gives_the_first_id_and_sends_nothing(belfry: Belfry, writer: Connection, key: str):
    answers = [await post(belfry, key, {"recipient": "u1", "kind": "test", "dedupe_key": "d"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await value(writer, COUNT) == 1


async def test_without_a_good_key_the_answer_is_401_and_nothing_is_sent(belfry: Belfry, writer: Connection, key: str):
    revoked = await keys.create(writer, "revoked", ["send"])
    await keys.revoke(writer, "revoked")
    scopeless = await keys.create(writer, "without scopes", [])
    for each in (None, "nonsense", key + "x", key[:-1], revoked, scopeless, belfry.token(), "'; DROP TABLE x; --"):
        answer = await post(belfry, each, {"recipient": "u1", "kind": "test"})
        assert answer.status_code == 401, each
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert each is None or each not in answer.text
    async with httpx.AsyncClient(base_url=belfry.url, cookies={"belfry_token": belfry.token()}) as http:
        answer = await http.post("/v1/notifications", json={"recipient": "u1", "kind": "test"})
    assert answer.status_code == 401
    assert await value(writer, COUNT) == 0


@refusals
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"recipient": "u1", "kind": "Not A Kind"}, "dotted lower-case"),
        ({"recipient": "a/b", "kind": "test"}, "without"),
        ({"recipient": "", "kind": "test"}, "1 to 255"),
        ({"topic": "t" * 256, "kind": "test"}, "255"),
        ({"recipient": "u1", "kind": "test", "deliver_at": "infinity"}, "no time"),
        ({"recipient": "u1", "kind": "test", "expires_at": "yesterday or so"}, "yesterday or so"),
        ({"recipient": "u1", "kind": "test", "tenant": "a/b"}, "tenant"),
        ({"recipients": ["u1", "a/b"], "kind": "test"}, "without"),
        ({"recipient": "u1", "kind": "test", "title": "nul \u0000"}, ""),
        ({"kind": "test"}, "exactly one"),
        ({"kind": "test", "recipient": "u1", "topic": "t"}, "exactly one"),
        ({"kind": "test", "broadcast": True, "topic": "t"}, "exactly one"),
    ],
)
async def test_what_the_database_refuses_is_422_in_its_own_words_and_nothing_is_sent(
    refusing: Api, body: dict[str, Any], words: str
):
    answer = await refusing.as_backend("POST", "/v1/notifications", body)
    assert (answer.status_code, answer.json()["status"]) == (422, 422), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert words in answer.json()["detail"]
    assert await value(refusing.writer, COUNT) == 0


@refusals
@pytest.mark.parametrize("name", ["deliver_at", "expires_at"])
@pytest.mark.parametrize(
    "time",
    [
        *(
            "tomorrow",
            "epoch",
            "now",
            "infinity",
            "01/02/2031",
            "2031-01-31",
            "2031-01-31T12:00:00",
            "2031-01-31T12:00Z",
        ),
        *("2031-01-31 12:00:00+02", "2031-01-31T12:00:00 Europe/Berlin", "2031-02-30T12:00:00Z", "20310131T120000Z"),
        *("2031-01-31T24:00:00Z", "2031-01-31T12:00:00Z\n", "２０31-01-31T12:00:00Z"),
    ],
)
async def test_a_time_that_could_be_mistaken_is_refused_with_an_example(refusing: Api, name: str, time: str):
    body = [{"recipient": "u1", "kind": "test"}, {"recipient": "u1", "kind": "test", name: time}]
    answer = await refusing.as_backend("POST", "/v1/notifications", body)
    assert (answer.status_code, fields(answer)) == (422, [f"[1].{name}"])
    assert "2031-01-31T1" in answer.json()["detail"] or "2031-02-30" in answer.json()["detail"]
    assert await value(refusing.writer, COUNT) == 0


@pytest.mark.parametrize(
    "time",
    ["2031-01-31T12:00:00.123456Z", "2031-01-31T14:00:00.123456+02:00", "2031-01-31t06:30:00.123456-05:30"],
)
async def test_a_time_with_its_offset_is_kept_to_the_microsecond(api: Api, time: str):
    answer = await api.as_backend("POST", "/v1/notifications", {"recipient": "u1", "kind": "test", "expires_at": time})
    assert answer.status_code == 201, answer.text
    assert await value(api.writer, "SELECT expires_at = '2031-01-31 12:00:00.123456+00' FROM belfry.notification")


@refusals
@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"recipient": "u1"}', "kind"),
        (b'{"recipient": "u1", "kind": "test", "colour": "red"}', "colour"),
        (b'[{"recipient": "u1", "kind": "test"}, {"recipient": "u1"}]', "[1].kind"),
        (b'[{"recipient": "u1", "kind": "test", "data": {"n": [1e400]}}]', "[0].data"),
        (b'{"recipient": "u1", "kind": "test", "deliver_at": ""}', "deliver_at"),
        (b'{"recipient": "u1", "kind": "test", "title": "soon", "expires_at": "soon"}', "expires_at"),
        (b'[{"recipients": ["u1", "a/b"], "kind": "test"}]', "[0].recipients"),
    ],
)
async def test_the_field_at_fault_is_named_though_it_is_missing_unknown_or_like_another(
    refusing: Api, body: bytes, field: str
):
    answer = await refusing.as_backend("POST", "/v1/notifications", content=body)
    assert answer.status_code in (400, 422), answer.text
    assert fields(answer) == [field]
    assert await value(refusing.writer, COUNT) == 0


async def test_what_is_too_large_is_413_and_nothing_is_sent(belfry: Belfry, writer: Connection, key: str):
    answer = await post(belfry, key, {"recipient": "u1", "kind": "test", "body": "x" * 65_536})
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert "65536" in answer.json()["detail"]
    answer = await post(belfry, key, {"recipient": "u1", "kind": "test", "body": "x" * 12_000_000})
    assert answer.status_code == 413
    assert "10,000,000" in answer.json()["detail"]
    assert await value(writer, COUNT) == 0


@refusals
@pytest.mark.parametrize(
    "body",
    [
        {"recipient": "u1", "kind": "test", "colour": "red"},
        {"recipient": "u1"},
        {"recipient": 1, "kind": "test"},
        {"recipient": "u1", "kind": "test", "data": []},
        {"recipient": "u1", "kind": "test", "actions": {}},
        {"recipient": "u1", "kind": "test", "tags": ["a", 1]},
        {"recipient": "u1", "kind": "test", "severity": "loud"},
        {"recipient": "u1", "kind": "test", "broadcast": "yes"},
        "text",
        [],
        None,
    ],
    ids=repr,
)
async def test_what_has_not_the_right_shape_is_400_and_nothing_is_sent(refusing: Api, body: Any):
    answer = await refusing.as_backend("POST", "/v1/notifications", body)
    assert (answer.status_code, answer.json()["status"]) == (400, 400), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert await value(refusing.writer, COUNT) == 0


@refusals
@pytest.mark.parametrize("at", ["severity", "[0].severity"])
async def test_a_word_that_is_none_of_those_allowed_is_refused_with_those(refusing: Api, at: str):
    item = {"recipient": "u1", "kind": "test", "severity": "critical"}
    answer = await refusing.as_backend("POST", "/v1/notifications", [item] if "[" in at else item)
    said = "Invalid enum value 'critical': it is one of info, success, warning, error."
    assert answer.json()["errors"] == [{"field": at, "detail": said}]


DEEP = b'{"recipient": "u1", "kind": "k", "title": "\\u0041", "data": {"a": %b%b}}'


@pytest.mark.parametrize("body", [b"{", DEEP % (b"[" * 900, b"]" * 900), DEEP % (b"[" * 20_000, b"]" * 20_000)])
async def test_what_is_no_json_that_can_be_read_is_400(belfry: Belfry, key: str, body: bytes):
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        answer = await http.post(
            "/v1/notifications",
            content=body,
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")


async def test_a_statement_that_fails_half_way_sends_nothing(belfry: Belfry, writer: Connection, key: str):
    await writer.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF new.recipient = 'u3' THEN RAISE EXCEPTION 'a fault of the test'; END IF; RETURN new; END $$"
    )
    await writer.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON belfry.notification FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    client = await belfry.live()
    answer = await post(belfry, key, {"recipients": ["u1", "u2", "u3"], "kind": "test"})
    assert answer.status_code == 500
    assert "a fault of the test" not in answer.text
    assert await value(writer, COUNT) == 0
    answer = await post(belfry, key, {"recipients": ["u1", "u2"], "kind": "test", "title": "whole"})
    assert answer.status_code == 201
    assert await client.titles(1) == ["whole"]


WAITS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_who_is_in_a_circle_with_another_sender_is_sent_after_them(api: Api, connect: Any):
    other, first, second = await connect(), "first", "second"
    send = "SELECT belfry.send('u1', 'test', dedupe_key => %s)"
    batch = [{"recipient": "u1", "kind": "test", "dedupe_key": key} for key in (first, second)]
    await api.key()
    async with other.transaction():
        await other.execute(send, (second,))
        asked = asyncio.create_task(api.as_backend("POST", "/v1/notifications", batch))
        async with asyncio.timeout(20):
            while not await value(api.writer, WAITS):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
        await other.execute(send, (first,))  # Postgres ends who has waited the longest
    answer = await asked
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["ids"]) == await value(api.writer, COUNT) == 2


async def test_where_others_are_in_the_way_again_and_again_the_answer_is_503_and_says_so(
    belfry: Belfry, writer: Connection, key: str
):
    await writer.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION USING ERRCODE = '40001'; END $$"
    )
    await writer.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON belfry.notification FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    answer = await post(belfry, key, {"recipient": "u1", "kind": "test"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "nothing was done" in answer.json()["detail"]


async def test_while_the_database_is_away_the_answer_is_503(belfry: Belfry, key: str):
    url = belfry.config.database_url or ""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as connection:
        await connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            answer = await post(belfry, key, {"recipient": "u1", "kind": "test"}, timeout=20)
        finally:
            await connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
