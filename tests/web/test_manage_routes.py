"""What a backend manages: looking, revising, retracting, topics, traits, segments, kinds, import."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Api, fields, refusals
from streams import publish, send, subscribe, value

TOO_MUCH = 2**63
COUNT = "SELECT count(*) FROM belfry.notification"


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


@pytest.mark.parametrize("odd", ['{"a":' * 6000 + "1" + "}" * 6000, '{"n": 1' + "0" * 5000 + "}"])
async def test_data_that_python_cannot_read_are_passed_on(api: Api, odd: str):
    sent = await value(api.writer, "SELECT belfry.send('u1', 'test', 'odd', data => %s)", odd)
    answer = await api.as_backend("GET", f"/v1/notifications/{sent}?recipient=u1")
    assert answer.status_code == 200, answer.text[:500]
    assert odd.replace(": ", ":") in answer.text.replace(": ", ":")
    assert '"sent":1' in answer.text
    assert '"verdict":"They have it' in answer.text


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


async def test_a_trace_says_why_one_has_it_and_another_has_not(api: Api):
    await subscribe(api.writer, "u1", "t")
    sent = await publish(api.writer, "t", "to t")
    verdicts = {}
    for recipient in ("u1", "u2"):
        answer = await api.as_backend("GET", f"/v1/notifications/{sent}?recipient={recipient}")
        verdicts[recipient] = answer.json()["trace"]["verdict"]
        assert answer.json()["trace"]["audience"] == "topic t"
        assert answer.json()["trace"]["relays"] == 1
    assert verdicts["u1"].startswith("They have it")
    assert "not subscribed" in verdicts["u2"]
    assert "trace" not in (await api.as_backend("GET", f"/v1/notifications/{sent}")).json()
    missing = await api.as_backend("GET", f"/v1/notifications/{sent + 999}?recipient=u1")
    assert (missing.status_code, missing.json()["detail"]) == (404, "No notification ever had this id.")
    assert fields(await api.as_backend("GET", f"/v1/notifications/{sent}?recipient=a/b")) == ["recipient"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@refusals
@pytest.mark.parametrize("number", ["0", "999999", str(TOO_MUCH), "one", "-" + str(TOO_MUCH), "-999999"])
async def test_a_notification_that_is_not_there_is_404_or_400(refusing: Api, method: str, number: str):
    body = {"title": "new"} if method == "PATCH" else None
    answer = await refusing.as_backend(method, f"/v1/notifications/{number}", body)
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


@refusals
@pytest.mark.parametrize("name", ["%00", "%0A", "x" * 256, "%7F", "%C2%9B"])
async def test_a_name_that_is_none_is_refused(refusing: Api, name: str):
    tried: list[tuple[str, str, Any]] = [
        ("PUT", f"/v1/topics/{name}/subscriptions/u1", None),
        ("DELETE", f"/v1/topics/t/subscriptions/{name}", None),
        ("GET", f"/v1/topics/{name}/subscriptions", None),
        ("PUT", f"/v1/recipients/{name}", {"traits": {}}),
        ("DELETE", f"/v1/recipients/{name}", None),
        ("GET", f"/v1/recipients/{name}/export", None),
        ("PUT", f"/v1/segments/{name}", {"filter": {}}),
        ("DELETE", f"/v1/segments/{name}", None),
        ("PUT", f"/v1/kinds/{name}", {"label": "L"}),
    ]
    for method, path, body in tried:
        answer = await refusing.as_backend(method, path, body)
        assert answer.status_code in (400, 422), (method, path, answer.text)
        assert len(fields(answer)) == 1


# --- revising and retracting ---------------------------------------------------------------------------------


async def test_a_revision_is_live_and_leaves_what_it_does_not_name(api: Api):
    client = await api.belfry.live()
    sent = await send(api.writer, "old")
    await client.row()
    answer = await api.as_backend("PATCH", f"/v1/notifications/{sent}", {"title": "new", "data": {"k": 1}})
    assert (answer.status_code, answer.json()) == (200, {"ids": [sent]})
    found = (await api.as_backend("GET", f"/v1/notifications/{sent}")).json()
    assert (found["title"], found["data"], found["kind"]) == ("new", {"k": 1}, "test")
    assert found["revised_at"] is not None
    event = await client.next()
    assert (event.name, event.data["verb"]) == ("change", "revised")


@refusals
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"severity": "loud"}, 400, "severity"),
        ({"data": []}, 400, "data"),
        ({"recipient": "u2"}, 400, "recipient"),
        ({"title": "nul\0"}, 422, "title"),
        ({"data": {"deep": [{"nul": "\0"}]}}, 422, "data.deep[0].nul"),
        ({"expires_at": "yesterday or so"}, 422, "expires_at"),
        ({"expires_at": "tomorrow"}, 422, "expires_at"),
        ({"deliver_at": "epoch"}, 422, "deliver_at"),
        ({"title": "", "expires_at": ""}, 422, "expires_at"),
        ({"deliver_at": "2999-01-01T00:00:00Z"}, 422, "deliver_at"),
        ({"body": "x" * 65_537}, 413, None),
    ],
    ids=repr,
)
async def test_a_revision_that_is_not_allowed_is_refused_by_the_name_of_the_field(
    refusing: Api, body: Any, status: int, field: str | None
):
    sent = await send(refusing.writer, "old")
    answer = await refusing.as_backend("PATCH", f"/v1/notifications/{sent}", body)
    assert answer.status_code == status, answer.text[:500]
    assert fields(answer) == ([field] if field else [])
    assert (await refusing.as_backend("GET", f"/v1/notifications/{sent}")).json()["title"] == "old"


async def test_what_is_retracted_is_gone_live_and_a_second_time_404(api: Api):
    client = await api.belfry.live()
    sent = await send(api.writer, "oops")
    await client.row()
    assert (await api.as_backend("DELETE", f"/v1/notifications/{sent}")).status_code == 204
    event = await client.next()
    assert (event.data["verb"], event.data["ids"]) == ("retracted", [sent])
    assert (await api.as_recipient("GET", "/v1/inbox")).json()["items"] == []
    assert (await api.as_backend("DELETE", f"/v1/notifications/{sent}")).status_code == 404
    assert (await api.as_backend("GET", f"/v1/notifications/{sent}")).json()["ended_at"] is not None


async def test_what_is_scheduled_has_a_number_below_zero_by_which_it_is_changed_and_cancelled(api: Api):
    body = {"recipient": "u1", "kind": "test", "title": "later", "deliver_at": "2999-01-01T00:00:00Z"}
    (number,) = (await api.as_backend("POST", "/v1/notifications", body)).json()["ids"]
    assert number < 0
    found = (await api.as_backend("GET", f"/v1/notifications/{number}")).json()
    assert (found["id"], found["title"], found["deliver_at"][:4]) == (number, "later", "2999")
    assert found["reach"]["sent"] == 0
    anew = {"title": "new", "deliver_at": "2998-01-01T00:00:00Z"}
    assert (await api.as_backend("PATCH", f"/v1/notifications/{number}", anew)).status_code == 200
    found = (await api.as_backend("GET", f"/v1/notifications/{number}")).json()
    assert (found["title"], found["deliver_at"][:4]) == ("new", "2998")
    assert (await api.as_backend("DELETE", f"/v1/notifications/{number}")).status_code == 204
    assert (await api.as_backend("DELETE", f"/v1/notifications/{number}")).status_code == 404


# --- batches -------------------------------------------------------------------------------------------------


async def test_a_batch_is_sent_in_order_and_in_one_transaction(api: Api):
    batch = [
        {"recipient": "u1", "kind": "test", "title": "one"},
        {"recipients": ["u2", "u3"], "kind": "test", "title": "two"},
        {"topic": "t", "kind": "test", "title": "three"},
    ]
    answer = await api.as_backend("POST", "/v1/notifications", batch)
    ids = answer.json()["ids"]
    assert (answer.status_code, len(ids), ids) == (201, 4, sorted(ids))
    at_once = "SELECT count(DISTINCT xmin::text) FROM belfry.notification"
    assert await value(api.writer, at_once) == 1


@refusals
@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"recipient": "a/b", "kind": "test"}, 422, "[1].recipient"),
        ({"recipient": "u1", "kind": "Not A Kind"}, 422, "[1].kind"),
        ({"recipient": "u1", "topic": "t", "kind": "test"}, 422, "[1].recipient"),
        ({"recipient": "u1", "kind": "test", "tags": [1]}, 400, "[1].tags[0]"),
        ({"recipient": "u1", "kind": "test", "title": "nul\0"}, 422, "[1].title"),
        ({"recipient": "u1", "kind": "test", "expires_at": "soon"}, 422, "[1].expires_at"),
        ({"recipient": "u1", "kind": "test", "data": {"n": "\0"}}, 422, "[1].data.n"),
    ],
    ids=repr,
)
async def test_one_wrong_of_a_batch_is_named_and_nothing_is_sent(
    refusing: Api, wrong: dict[str, Any], status: int, field: str
):
    batch = [{"recipient": "u1", "kind": "test"}, wrong]
    before = await value(refusing.writer, COUNT)
    answer = await refusing.as_backend("POST", "/v1/notifications", batch)
    assert answer.status_code == status, answer.text
    assert fields(answer) == [field]
    assert await value(refusing.writer, COUNT) == before


async def test_more_than_a_thousand_are_refused(api: Api):
    batch = [{"recipient": "u1", "kind": "test"}] * 1001
    assert (await api.as_backend("POST", "/v1/notifications", batch)).status_code == 400
    answer = await api.as_backend("POST", "/v1/notifications", batch[:1000])
    assert len(answer.json()["ids"]) == 1000


@pytest.mark.parametrize(
    "data", ['{"n": 1e400}', '{"n": 1' + "0" * 5000 + "}", '{"n": -0.0}', '{"n": 18446744073709551616}']
)
async def test_numbers_of_any_size_are_taken_or_refused_but_never_a_fault(api: Api, data: str):
    content = f'{{"recipient": "u1", "kind": "test", "data": {data}}}'
    answer = await api.as_backend("POST", "/v1/notifications", content=content.encode())
    assert answer.status_code in (201, 400, 422), answer.text[:500]


@pytest.mark.parametrize("depth", [100, 5000, 200_000])
async def test_json_of_any_depth_is_taken_or_refused_but_never_a_fault(api: Api, depth: int):
    content = '{"recipient": "u1", "kind": "test", "data": {"d": ' + "[" * depth + "]" * depth + "}}"
    answer = await api.as_backend("POST", "/v1/notifications", content=content.encode())
    assert answer.status_code in (201, 400, 413, 422), answer.text[:500]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/notifications", '{"recipient": "u1", "kind": "test", "data": {"d": DEEP}}'),
        ("POST", "/v1/import", '[{"recipient": "u1", "kind": "test", "data": {"d": DEEP}}]'),
        ("PUT", "/v1/recipients/u1", '{"traits": {"d": DEEP}}'),
        ("PUT", "/v1/segments/deep", '{"filter": {"d": DEEP}}'),
    ],
)
async def test_a_body_is_nested_two_hundred_levels_deep_and_no_deeper(api: Api, method: str, path: str, body: str):
    around = body.count("{") + body.count("[")
    for depth, statuses in ((200, {201, 204}), (201, {400}), *((deep, {400}) for deep in range(900, 1000, 5))):
        inside = depth - around
        content = body.replace("DEEP", "[" * inside + "]" * inside)
        answer = await api.as_backend(method, path, content=content.encode())
        assert answer.status_code in statuses, (depth, answer.text[:500])


# --- traits and segments -------------------------------------------------------------------------------------


async def test_a_segment_reaches_whose_traits_fit_and_follows_them(api: Api):
    for recipient, traits in {"u1": {"plan": "pro"}, "u2": {"plan": "free"}}.items():
        assert (await api.as_backend("PUT", f"/v1/recipients/{recipient}", {"traits": traits})).status_code == 204
    assert (await api.as_backend("PUT", "/v1/segments/pro", {"filter": {"plan": "pro"}})).status_code == 204
    await api.as_backend("PUT", "/v1/recipients/u3", {"traits": {"plan": "pro", "role": "admin"}})
    await api.as_backend("POST", "/v1/notifications", {"topic": "segment:pro", "kind": "test"})
    unread = {
        each: (await api.as_recipient("GET", "/v1/inbox/counts", recipient=each)).json()["unread"]
        for each in ("u1", "u2", "u3")
    }
    assert unread == {"u1": 1, "u2": 0, "u3": 1}
    assert (await api.as_backend("PUT", "/v1/segments/pro", {"filter": "plan:pro,role:admin"})).status_code == 204
    listed = (await api.as_backend("GET", "/v1/topics/segment:pro/subscriptions")).json()["subscriptions"]
    assert [each["recipient"] for each in listed] == ["u3"]
    assert (await api.as_backend("DELETE", "/v1/segments/pro")).status_code == 204
    assert (await api.as_backend("GET", "/v1/topics/segment:pro/subscriptions")).json()["subscriptions"] == []


@refusals
@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("segments/pro", {"filter": []}, 400, "filter"),
        ("segments/pro", {"filter": 1}, 400, "filter"),
        ("segments/pro", {"filter": None}, 400, "filter"),
        ("segments/pro", {"filter": "no filter at all"}, 422, "filter"),
        ("segments/pro", {"filter": {"plan": "\0"}}, 422, "filter.plan"),
        ("segments/pro", {}, 400, "filter"),
        ("recipients/u1", {"traits": []}, 400, "traits"),
        ("recipients/u1", {"traits": "plan:pro"}, 400, "traits"),
        ("recipients/u1", {"traits": {"nul": "\0"}}, 422, "traits.nul"),
        ("recipients/u1", {"traits": {"\0": 1}}, 422, "traits.\0"),
        ("recipients/u1", {}, 400, "traits"),
        ("kinds/test", {"label": 1}, 400, "label"),
        ("kinds/test", {"label": "L", "required": "yes"}, 400, "required"),
        ("kinds/test", {"label": "x" * 256}, 400, "label"),
        ("topics/segment:pro/subscriptions/u1", None, 422, "topic"),
    ],
    ids=repr,
)
async def test_what_is_not_allowed_is_refused_by_the_name_of_the_field(
    refusing: Api, path: str, body: Any, status: int, field: str
):
    answer = await refusing.as_backend("PUT", f"/v1/{path}", body)
    assert answer.status_code == status, answer.text
    assert fields(answer) == [field]
