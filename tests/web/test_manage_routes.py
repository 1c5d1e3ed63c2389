"""What a backend manages: looking, revising, retracting, topics, traits, segments, kinds, import."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Api, fields
from streams import publish, send, subscribe, value

TOO_MUCH = 2**63


# --- looking -------------------------------------------------------------------------------------------------


async def test_a_look_shows_the_content_and_how_many_have_it_saw_it_read_it(api: Api):
    for recipient in ("u1", "u2", "u3"):
        await subscribe(api.writer, recipient, "t")
    sent = await publish(api.writer, "t", "to three")
    await api.writer.execute("SELECT belfry.mark_all_read('u1')")
    await api.writer.execute("SELECT belfry.mark_seen('u2', %s)", ([sent],))
    await subscribe(api.writer, "late", "t")
    answer = await api.as_backend("GET", f"/v1/notifications/{sent}")
    found = answer.json()
    assert answer.status_code == 200
    assert (found["id"], found["topic"], found["title"], found["ended_at"]) == (sent, "t", "to three", None)
    assert found["reach"] == {"sent": 3, "seen": 2, "read": 1, "archived": 0}


async def test_the_reach_of_a_direct_notification_and_of_a_broadcast(api: Api):
    direct = await send(api.writer, "one")
    for recipient in ("u1", "u2"):
        await api.as_recipient("GET", "/v1/inbox", recipient=recipient)
    all_of_them = await value(api.writer, "SELECT belfry.broadcast('test')")
    await api.as_recipient("POST", f"/v1/inbox/{all_of_them}/archive", recipient="u2")
    reach = [
        (await api.as_backend("GET", f"/v1/notifications/{each}")).json()["reach"] for each in (direct, all_of_them)
    ]
    assert reach[0] == {"sent": 1, "seen": 0, "read": 0, "archived": 0}
    assert reach[1] == {"sent": 2, "seen": 0, "read": 0, "archived": 1}


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("number", ["0", "999999", str(TOO_MUCH), "one", "-" + str(TOO_MUCH), "-999999"])
async def test_a_notification_that_is_not_there_is_404_or_400(api: Api, method: str, number: str):
    body = {"title": "new"} if method == "PATCH" else None
    answer = await api.as_backend(method, f"/v1/notifications/{number}", body)
    assert answer.status_code in (400, 404), answer.text
    fields(answer)


# --- topics --------------------------------------------------------------------------------------------------


async def test_subscribing_is_idempotent_and_reaches_open_streams(api: Api):
    client = await api.belfry.live()
    for _ in range(2):
        assert (await api.as_backend("PUT", "/v1/topics/t/subscriptions/u1")).status_code == 204
    await api.as_backend("POST", "/v1/notifications", {"topic": "t", "kind": "test", "title": "to t"})
    events = await client.until("message")
    assert [event.data.get("verb", event.data.get("title")) for event in events] == ["subscribed", "to t"]
    for _ in range(2):
        assert (await api.as_backend("DELETE", "/v1/topics/t/subscriptions/u1")).status_code == 204
    assert (await api.as_backend("GET", "/v1/topics/t/subscriptions")).json() == {"subscriptions": [], "next": None}


async def test_subscriptions_are_listed_page_by_page(api: Api):
    since = {name: await subscribe(api.writer, name, "t") for name in ("c", "a", "b", "d")}
    await subscribe(api.writer, "other", "s")
    first = (await api.as_backend("GET", "/v1/topics/t/subscriptions?limit=3")).json()
    assert [each["recipient"] for each in first["subscriptions"]] == ["a", "b", "c"]
    second = (await api.as_backend("GET", f"/v1/topics/t/subscriptions?limit=3&after={first['next']}")).json()
    assert (second["subscriptions"], second["next"]) == ([{"recipient": "d", "since": since["d"]}], None)


@pytest.mark.parametrize("name", ["%00", "%0A", "x" * 256, "%7F", "%C2%9B"])
async def test_a_name_that_is_none_is_refused(api: Api, name: str):
    tried: list[tuple[str, str, Any]] = [
        ("PUT", f"/v1/topics/{name}/subscriptions/u1", None),
        ("DELETE", f"/v1/topics/t/subscriptions/{name}", None),
        ("GET", f"/v1/topics/{name}/subscriptions", None),
        ("PUT", f"/v1/recipients/{name}", {"traits": {}}),
        ("PUT", f"/v1/segments/{name}", {"filter": {}}),
        ("DELETE", f"/v1/segments/{name}", None),
        ("PUT", f"/v1/kinds/{name}", {"label": "L"}),
    ]
    for method, path, body in tried:
        answer = await api.as_backend(method, path, body)
        assert answer.status_code in (400, 422), (method, path, answer.text)
        assert len(fields(answer)) == 1
