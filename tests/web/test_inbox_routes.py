"""The inbox over HTTP: the page and its cursor, the counts, and what becomes of the items."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Api, fields, refusals
from streams import Connection, publish, send, subscribe, unsubscribe, value

ITEM = {
    *("id", "recipient", "topic", "tenant", "kind", "title", "body", "action_url", "actions", "data", "actor", "tags"),
    *("severity", "created_at", "expires_at", "revised_at", "group_key", "group_count", "group_ids"),
    *("seen", "read", "archived", "snoozed_until"),
}
TOO_MUCH = 2**63


async def page(api: Api, query: str = "", **more: Any) -> dict[str, Any]:
    answer = await api.as_recipient("GET", f"/v1/inbox?{query}", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def titles(api: Api, query: str = "", **more: Any) -> list[str]:
    return [item["title"] for item in (await page(api, query, **more))["items"]]


async def some(api: Api, count: int) -> list[int]:
    return [await send(api.writer, f"n{number}") for number in range(1, count + 1)]


# --- the page ------------------------------------------------------------------------------------------------


async def test_an_item_is_a_frame_and_how_it_stands(api: Api):
    client = await api.belfry.live()
    sent = await send(api.writer, "one")
    frame = await client.row()
    found = await page(api)
    (item,) = found["items"]
    assert item.keys() == ITEM
    assert item["id"] == sent
    assert {name: item[name] for name in frame} == frame
    assert [item[name] for name in ("seen", "read", "archived", "snoozed_until")] == [False, False, False, None]
    assert (item["group_count"], item["group_ids"]) == (1, [sent])
    assert (found["next"], found["unread"], found["unseen"]) == (None, 1, 1)


async def test_a_page_says_whose_it_is(api: Api):
    assert (await page(api, recipient='u "1" é'))["recipient"] == 'u "1" é'
    schema = (await api.http.get("/schema/openapi.json")).json()["components"]["schemas"]["Page"]
    assert (await page(api)).keys() == schema["properties"].keys()


async def test_pages_follow_each_other_newest_first_and_the_last_has_no_next(api: Api):
    await some(api, 5)
    first = await page(api, "limit=2")
    second = await page(api, f"limit=2&before={first['next']}")
    third = await page(api, f"limit=2&before={second['next']}")
    shown = [[item["title"] for item in each["items"]] for each in (first, second, third)]
    assert shown == [["n5", "n4"], ["n3", "n2"], ["n1"]]
    assert third["next"] is None
    assert (await page(api, "limit=5"))["next"] is None


async def test_filters_by_state_kind_tag_topic_and_tenant(api: Api):
    writer = api.writer
    await subscribe(writer, "u1", "t")
    read, _ = await some(api, 2)
    await publish(writer, "t", "of t")
    await writer.execute("SELECT belfry.send('u1', 'other', 'tagged', tags => '{a,b}', tenant => 'acme')")
    await api.as_recipient("POST", f"/v1/inbox/{read}/read")
    assert await titles(api, "state=read") == ["n1"]
    assert await titles(api, "state=unread") == ["tagged", "of t", "n2"]
    assert await titles(api, "kind=other") == ["tagged"]
    assert await titles(api, "kind=other&kind=test&limit=2") == ["tagged", "of t"]
    assert await titles(api, "tag=b&tag=c") == ["tagged"]
    assert await titles(api, "tenant=acme") == ["tagged"]
    assert await titles(api, "topic=none&state=unread") == ["tagged", "n2"]
    assert await titles(api, "tag=c") == []


async def test_a_group_is_one_item_with_the_number_behind_it(api: Api):
    for number in range(3):
        await api.writer.execute("SELECT belfry.send('u1', 'test', %s, group_key => 'g')", (f"g{number}",))
    (item,) = (await page(api))["items"]
    assert (item["title"], item["group_count"], len(item["group_ids"])) == ("g2", 3, 3)


@refusals
async def test_a_state_that_there_is_not_is_refused_with_those_that_there_are(refusing: Api):
    answer = await refusing.as_recipient("GET", "/v1/inbox?state=open")
    said = "Invalid enum value 'open': it is one of all, unread, read, unseen, seen, archived, snoozed"
    assert answer.json()["errors"] == [{"field": "state", "detail": said}]


@refusals
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=loud", "state"),
        ("before=0", "before"),
        ("before=-1", "before"),
        (f"before={TOO_MUCH}", "before"),
        ("before=" + "9" * 5000, "before"),
        ("before=one", "before"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1.5", "limit"),
        ("tenant=a%00b", "tenant"),
        ("tenant=a/b", "tenant"),
        ("topic=", "topic"),
        ("topic=a/b", "topic"),
        ("kind=%00", "kind"),
        ("tag=%00", "tag"),
    ],
)
async def test_a_query_that_is_not_understood_is_400_and_names_the_field(refusing: Api, query: str, field: str):
    answer = await refusing.as_recipient("GET", f"/v1/inbox?{query}")
    assert answer.status_code == 400, answer.text
    assert [name.partition("[")[0] for name in fields(answer)] == [field]


# --- nothing between page and stream -------------------------------------------------------------------------


async def test_with_the_pages_cursor_the_stream_goes_on_exactly_there(api: Api):
    await some(api, 2)
    found = await page(api)
    await send(api.writer, "after")
    client = await api.belfry.open(cursor=found["cursor"])
    assert await client.titles(1) == ["after"]
    assert (await client.next()).name == "ready"


async def test_what_the_page_shows_and_the_relay_has_not_seen_comes_on_no_stream(api: Api):
    relay = api.belfry.relay
    await send(api.writer, "before")
    await api.belfry.caught_up(await value(api.writer, "SELECT last_value FROM belfry.position"))
    behind = relay.tracker.cursor()
    relay.glance = lambda: type(relay.tracker)(behind.head, behind.gaps)  # as a relay that is slow
    sent = await some(api, 3)
    await api.writer.execute("SELECT belfry.mark_read('u1', %s)", (sent[:1],))
    found = await page(api)
    assert [item["title"] for item in found["items"]] == ["n3", "n2", "n1", "before"]
    client = await api.belfry.open(cursor=found["cursor"])
    assert [event.name for event in await client.until("ready")] == ["ready"]


async def test_a_row_that_commits_after_the_page_with_a_lower_id_comes_on_the_stream(api: Api, connect: Any):
    slow: Connection = await connect()
    await slow.execute("BEGIN")
    late = await send(slow, "late")
    higher = await send(api.writer, "higher")
    found = await page(api)
    assert [item["id"] for item in found["items"]] == [higher]
    await slow.execute("COMMIT")
    assert late < higher
    client = await api.belfry.open(cursor=found["cursor"])
    assert await client.titles(1) == ["late"]
    assert (await client.next()).name == "ready"


async def test_page_and_stream_together_show_each_row_once_while_rows_flow(api: Api, connect: Any):
    slow: Connection = await connect()
    for turn in range(10):
        await slow.execute("BEGIN")
        await send(slow, f"late {turn}")
        await send(api.writer, f"before {turn}")
        found = await page(api, "limit=100")
        await slow.execute("COMMIT")
        last = await send(api.writer, f"after {turn}")
        await api.belfry.caught_up(last)
        client = await api.belfry.open(cursor=found["cursor"])
        streamed = [event.data["id"] for event in (await client.until("ready"))[:-1]]
        shown = [item["id"] for item in found["items"]]
        every = await value(api.writer, "SELECT array_agg(id ORDER BY id) FROM belfry.notification")
        assert sorted(shown + streamed) == every
        client.cut()


async def test_before_the_first_contact_a_page_makes_it(api: Api):
    await api.writer.execute("SELECT belfry.broadcast('test', 'long ago')")
    assert await titles(api, recipient="newcomer") == []
    await api.writer.execute("SELECT belfry.broadcast('test', 'now')")
    assert await titles(api, recipient="newcomer") == ["now"]


# --- counts --------------------------------------------------------------------------------------------------


async def test_counts_are_exact_and_narrow_as_asked(api: Api):
    writer = api.writer
    await subscribe(writer, "u1", "t")
    ids = await some(api, 4)
    await publish(writer, "t", "of t")
    await api.as_recipient("POST", "/v1/inbox/read", {"ids": ids[:1]})
    await api.as_recipient("POST", "/v1/inbox/seen", {"ids": ids[:2]})
    await api.as_recipient("POST", "/v1/inbox/archive", {"ids": ids[3:]})
    answer = await api.as_recipient("GET", "/v1/inbox/counts")
    assert answer.json() == {"unread": 3, "unseen": 2, "total": 4}
    answer = await api.as_recipient("GET", "/v1/inbox/counts?topic=other")
    assert answer.json() == {"unread": 2, "unseen": 1, "total": 3}
    answer = await api.as_recipient("GET", "/v1/inbox/counts?tenant=acme")
    assert answer.json() == {"unread": 0, "unseen": 0, "total": 0}


# --- what becomes of items -----------------------------------------------------------------------------------


async def test_each_verb_does_what_it_says_and_tells_the_numbers_after_it(api: Api):
    ids = await some(api, 3)
    steps: list[tuple[str, dict[str, Any], tuple[int, int, int]]] = [
        ("read", {"ids": ids[:1]}, (1, 2, 2)),
        ("read", {"ids": ids[:1]}, (0, 2, 2)),
        ("unread", {"ids": ids[:1]}, (1, 3, 2)),
        ("seen", {"ids": ids}, (2, 3, 0)),
        ("archive", {"ids": ids[:2]}, (2, 1, 0)),
        ("unarchive", {"ids": ids[:1]}, (1, 2, 0)),
        ("snooze", {"ids": ids[2:], "until": "2999-01-01T00:00:00Z"}, (1, 1, 0)),
        ("unsnooze", {"ids": ids[2:]}, (1, 2, 1)),
        ("read", {"through": ids[0]}, (1, 1, 1)),
        ("read", {"all": True}, (2, 0, 0)),
        ("archive", {"through": None}, (2, 0, 0)),
    ]
    for verb, body, expected in steps:
        answer = await api.as_recipient("POST", f"/v1/inbox/{verb}", body)
        assert answer.status_code == 200, (verb, answer.text)
        changed = answer.json()
        assert (changed["changed"], changed["unread"], changed["unseen"]) == expected, (verb, body)


@pytest.mark.parametrize("verb", ["read", "unread", "seen", "archive", "unarchive", "snooze", "unsnooze"])
async def test_one_item_is_changed_by_its_own_route(api: Api, verb: str):
    (sent,) = await some(api, 1)
    if verb in ("unread", "unarchive", "unsnooze"):
        opposite = verb.removeprefix("un")
        before = {"ids": [sent], **({"until": "2999-01-01T00:00:00Z"} if opposite == "snooze" else {})}
        assert (await api.as_recipient("POST", f"/v1/inbox/{opposite}", before)).json()["changed"] == 1
    body = {"until": "2999-01-01T00:00:00Z"} if verb == "snooze" else None
    assert (await api.as_recipient("POST", f"/v1/inbox/{sent}/{verb}", body)).json()["changed"] == 1
    repeated = await api.as_recipient("POST", f"/v1/inbox/{sent}/{verb}", body)
    assert (repeated.status_code, repeated.json()["changed"]) == (200, 0)
    assert (await api.as_recipient("POST", f"/v1/inbox/{sent + 1}/{verb}", body)).status_code == 404


async def test_what_is_changed_and_counted_narrows_as_asked(api: Api):
    await api.writer.execute("SELECT belfry.send('u1', 'test', 'tagged', tenant => 'acme')")
    (other,) = await some(api, 1)
    for verb, body in (("seen", {"ids": [other]}), (f"{other}/read", None), ("archive", {"all": True})):
        answer = await api.as_recipient("POST", f"/v1/inbox/{verb}?tenant=acme", body)
        found = (404, None) if body is None else (200, 1 if verb == "archive" else 0)
        assert (answer.status_code, answer.json().get("changed")) == found, (verb, answer.text)
    assert answer.json() == {"changed": 1, "unread": 0, "unseen": 0}
    assert await titles(api, "state=unseen") == ["n1"]
    answer = await api.as_recipient("POST", "/v1/inbox/read?tenant=a/b", {"all": True})
    assert (answer.status_code, fields(answer)) == (400, ["tenant"])


async def test_what_was_left_or_ended_is_not_in_the_inbox_and_what_came_before_leaving_is(api: Api):
    writer = api.writer
    await subscribe(writer, "u1", "t")
    kept = await publish(writer, "t", "kept")
    await unsubscribe(writer, "u1", "t")
    missed = await publish(writer, "t", "missed")
    ended = await send(writer, "ended")
    await writer.execute("UPDATE belfry.notification SET ended_at = now() WHERE id = %s", (ended,))
    answers = [await api.as_recipient("POST", f"/v1/inbox/{each}/read") for each in (kept, missed, ended)]
    assert [each.status_code for each in answers] == [200, 404, 404]


async def test_foreign_unknown_and_repeated_ids_are_passed_over_and_the_rest_is_done(api: Api):
    foreign = await send(api.writer, "not yours", "u2")
    (mine,) = await some(api, 1)
    answer = await api.as_recipient("POST", "/v1/inbox/read", {"ids": [foreign, mine, mine, 2**63 - 1]})
    assert answer.json() == {"changed": 1, "unread": 0, "unseen": 0}
    assert (await api.as_recipient("GET", "/v1/inbox/counts", recipient="u2")).json()["unread"] == 1


@refusals
@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("read", {"ids": []}, 400, "ids"),
        ("read", {"ids": [0]}, 400, "ids[0]"),
        ("read", {"ids": [1, TOO_MUCH]}, 400, "ids[1]"),
        ("read", {"ids": [10**400]}, 400, "ids[0]"),
        ("read", {"ids": ["1"]}, 400, "ids[0]"),
        ("read", {"ids": [True]}, 400, "ids[0]"),
        ("read", {"ids": [None]}, 400, "ids[0]"),
        ("read", {"ids": [1.5]}, 400, "ids[0]"),
        ("read", {"ids": 1}, 400, "ids"),
        ("read", {"ids": None}, 400, "ids"),
        ("read", {"ids": list(range(1, 10_002))}, 400, "ids"),
        ("read", {"ids": [1], "all": True}, 422, "ids"),
        ("read", {"through": 1, "all": True}, 422, "ids"),
        ("read", {}, 422, "ids"),
        ("read", {"all": False}, 422, "ids"),
        ("read", {"through": TOO_MUCH}, 400, "through"),
        ("read", {"through": "1"}, 400, "through"),
        ("read", {"ids": [1], "colour": "red"}, 400, "colour"),
        ("read", [1], 400, "body"),
        ("unread", {"all": True}, 400, "all"),
        ("unread", {"through": 1}, 400, "through"),
        ("snooze", {"ids": [1]}, 400, "until"),
        ("snooze", {"ids": [1], "until": "2001-01-01T00:00:00Z"}, 422, "until"),
        ("snooze", {"ids": [1], "until": "infinity"}, 422, "until"),
        ("snooze", {"ids": [1], "until": "tomorrow or so"}, 422, "until"),
        ("snooze", {"ids": [1], "until": "tomorrow"}, 422, "until"),
        ("1/snooze", {"until": "2999-01-01"}, 422, "until"),
        ("snooze", {"ids": [1], "until": ""}, 422, "until"),
        ("snooze", {"ids": [1], "until": "nul \0"}, 422, "until"),
        ("snooze", {"ids": [1], "until": 1}, 400, "until"),
        ("1/snooze", {}, 400, "until"),
    ],
)
async def test_a_body_that_is_not_understood_is_refused_by_the_name_of_the_field(
    refusing: Api, path: str, body: Any, status: int, field: str
):
    await some(refusing, 1)
    answer = await refusing.as_recipient("POST", f"/v1/inbox/{path}", body)
    assert answer.status_code == status, answer.text
    assert fields(answer) == [field]


@refusals
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1", b"\xff", b'{"ids":[1]}x', b'{"ids":[' * 5000, b'"\\ud800"', b"[" * 200_000]
)
async def test_what_is_no_json_is_400(refusing: Api, content: bytes):
    answer = await refusing.as_recipient("POST", "/v1/inbox/read", content=content)
    assert answer.status_code == 400, answer.text
    assert fields(answer)


@refusals
@pytest.mark.parametrize("number", ["0", "-1", str(TOO_MUCH), "9" * 5000, "1e3", "one", "%00"])
async def test_an_id_in_the_path_that_is_none_is_refused(refusing: Api, number: str):
    answer = await refusing.as_recipient("POST", f"/v1/inbox/{number}/read")
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
