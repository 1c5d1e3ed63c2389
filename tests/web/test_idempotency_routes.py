"""Idempotency-Key: however often a request is made, it has one effect and one answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asking import Answer, Api, fields, refusals
from streams import Serve, value

COUNT = "SELECT count(*) FROM belfry.notification"
BODY = {"recipient": "u1", "kind": "test", "title": "once"}


async def post(api: Api, body: Any, key: str, *scopes: str) -> Answer:
    return await api.as_backend("POST", "/v1/notifications", body, *scopes, headers={"idempotency-key": key})


async def test_a_hundred_at_once_make_one_notification_and_a_hundred_equal_answers(api: Api):
    await api.key()
    answers = await asyncio.gather(*[post(api, BODY, "k") for _ in range(100)])
    assert {(each.status_code, each.text) for each in answers} == {(201, answers[0].text)}
    assert await value(api.writer, COUNT) == 1
    assert sum("idempotent-replayed" not in each.headers for each in answers) == 1


async def test_two_relays_share_the_keys(serve: Serve, connect: Any):
    first = Api(await serve(), await connect())
    second = Api(await serve(), first.writer)
    key = await first.key()
    async with first.http, second.http:
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "k"}
        asked = [each.http.post("/v1/notifications", json=BODY, headers=headers) for each in (first, second) * 10]
        answers = await asyncio.gather(*asked)
    assert {(each.status_code, each.text) for each in answers} == {(201, answers[0].text)}
    assert await value(first.writer, COUNT) == 1


async def test_another_body_with_the_same_key_is_409_and_sends_nothing(api: Api):
    first = await post(api, BODY, "k")
    for other in ({**BODY, "title": "twice"}, [BODY], {**BODY, "data": {"a": 1}}):
        assert (await post(api, other, "k")).status_code == 409
    again = await post(api, dict(reversed(BODY.items())), "k")
    assert (again.status_code, again.text) == (201, first.text)
    assert await value(api.writer, COUNT) == 1


async def test_a_batch_is_answered_again_as_a_whole(api: Api):
    batch = [{**BODY, "title": f"n{number}"} for number in range(3)]
    answers = [await post(api, batch, "k") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(answers[0].json()["ids"]) == 3
    assert await value(api.writer, COUNT) == 3


async def test_another_api_key_and_another_idempotency_key_are_another_request(api: Api):
    requests = (("k",), ("k", "send"), ("l",))
    ids = [(await post(api, BODY, *more)).json()["ids"][0] for more in requests]
    assert len(set(ids)) == 3
    assert [(await post(api, BODY, *more)).json()["ids"][0] for more in requests] == ids


async def test_what_was_refused_may_be_sent_again_with_the_same_key(api: Api):
    wrong = await post(api, {**BODY, "kind": "Not A Kind"}, "k")
    assert wrong.status_code == 422
    right = await post(api, BODY, "k")
    assert right.status_code == 201
    assert await value(api.writer, COUNT) == 1


async def test_what_failed_half_way_frees_the_key(api: Api):
    await api.writer.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF new.title = 'late' THEN RAISE EXCEPTION 'a fault of the test'; END IF; RETURN new; END $$"
    )
    await api.writer.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON belfry.notification FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    batch = [BODY, {**BODY, "title": "late"}]
    assert (await post(api, batch, "k")).status_code == 500
    assert await value(api.writer, COUNT) == 0
    await api.writer.execute("DROP TRIGGER refuse ON belfry.notification")
    assert len((await post(api, batch, "k")).json()["ids"]) == 2


async def test_without_a_key_each_request_sends(api: Api):
    for _ in range(2):
        assert (await api.as_backend("POST", "/v1/notifications", BODY)).status_code == 201
    assert await value(api.writer, COUNT) == 2


@refusals
@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "a\tb"])
async def test_a_key_that_is_none_is_refused_and_nothing_is_sent(refusing: Api, key: str):
    answer = await post(refusing, BODY, key)
    assert answer.status_code == 400
    assert fields(answer) == ["Idempotency-Key"]
    assert await value(refusing.writer, COUNT) == 0
