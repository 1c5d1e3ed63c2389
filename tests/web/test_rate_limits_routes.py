"""So many requests a minute for each key and each recipient, and never a limit on the stream or on health."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest_asyncio

from asking import Api
from streams import Serve


@pytest_asyncio.fixture
async def limited(serve: Serve, connect: Any) -> AsyncGenerator[Api]:
    """A server that takes two requests a minute of everybody."""
    api = Api(await serve(recipient_requests_per_minute=2, key_requests_per_minute=2), await connect())
    async with api.http:
        yield api


async def test_a_recipient_who_asks_too_often_is_told_when_to_ask_again(limited: Api):
    for _ in range(2):
        assert (await limited.as_recipient("GET", "/v1/inbox/counts")).status_code == 200
    answer = await limited.as_recipient("GET", "/v1/inbox/counts")
    assert (answer.status_code, answer.json()["status"]) == (429, 429)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert 1 <= int(answer.headers["retry-after"]) <= 30


async def test_a_key_that_asks_too_often_is_told_when_to_ask_again_and_sends_nothing(limited: Api):
    body = {"recipient": "u1", "kind": "test"}
    answers = [await limited.as_backend("POST", "/v1/notifications", body) for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 201, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
    cursor = await limited.writer.execute("SELECT count(*) FROM belfry.notification")
    assert await cursor.fetchone() == (2,)


async def test_one_recipient_and_one_key_do_not_wait_for_another(limited: Api):
    for _ in range(3):
        await limited.as_recipient("GET", "/v1/inbox/counts")
        await limited.as_backend("POST", "/v1/notifications", {"recipient": "u1", "kind": "test"})
    assert (await limited.as_recipient("GET", "/v1/inbox/counts", recipient="u2")).status_code == 200
    body = {"recipient": "u1", "kind": "test"}
    assert (await limited.as_backend("POST", "/v1/notifications", body, "send")).status_code == 201


async def test_what_is_refused_for_its_credential_costs_the_named_nothing(limited: Api):
    for _ in range(5):
        expired = limited.belfry.token("u1")[:-2]
        assert (await limited.as_recipient("GET", "/v1/inbox/counts", token=expired)).status_code == 401
    assert (await limited.as_recipient("GET", "/v1/inbox/counts")).status_code == 200


async def test_the_stream_health_and_the_document_are_never_limited(limited: Api):
    for _ in range(5):
        await limited.as_recipient("GET", "/v1/inbox/counts")
        client = await limited.belfry.live()
        assert client.status == 200
        for path in ("/live", "/ready", "/metrics", "/schema/openapi.json"):
            assert (await limited.http.get(path)).status_code == 200


async def test_the_limits_can_be_switched_off(serve: Serve, connect: Any):
    api = Api(await serve(recipient_requests_per_minute=0), await connect())
    async with api.http:
        answers = [await api.as_recipient("GET", "/v1/inbox/counts") for _ in range(30)]
    assert {each.status_code for each in answers} == {200}
