"""What is stored of a recipient is handed out whole, and erased so that nothing is left."""

from __future__ import annotations

from typing import Any

from asking import Api
from streams import publish, send, subscribe, value

LEFT = """
    SELECT coalesce(sum((xpath('/row/n/text()', query_to_xml(format(
        'SELECT count(*) AS n FROM %I.%I AS r WHERE to_jsonb(r)::text LIKE %L', schemaname, tablename, '%only-one%'
    ), false, true, '')))[1]::text::bigint), 0) FROM pg_tables WHERE schemaname = 'belfry'
"""


async def have_everything(api: Api, recipient: str) -> int:
    """Something of each kind that is stored of a recipient; the id of a notification."""
    await api.as_backend("PUT", f"/v1/recipients/{recipient}", {"traits": {"plan": "pro", "of": recipient}})
    await subscribe(api.writer, recipient, "t")
    sent = await send(api.writer, f"to {recipient}", recipient)
    await publish(api.writer, "t", "to t")
    for path, body in (("read", {"ids": [sent]}), ("seen", {"all": True})):
        assert (await api.as_recipient("POST", f"/v1/inbox/{path}", body, recipient)).status_code == 200
    await api.as_recipient("PUT", "/v1/preferences", {"kind": "test", "enabled": False}, recipient)
    body = {"recipient": recipient, "kind": "test", "title": "later", "deliver_at": "2999-01-01T00:00:00Z"}
    assert (await api.as_backend("POST", "/v1/notifications", body)).status_code == 201
    return sent


async def test_an_export_has_all_that_is_stored_of_one_and_nothing_of_another(api: Api):
    sent = await have_everything(api, "u1")
    await have_everything(api, "somebody-else")
    answer = await api.as_backend("GET", "/v1/recipients/u1/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert found["recipient"] == "u1"
    assert found["traits"] == {"plan": "pro", "of": "u1"}
    assert [(each["id"], each["title"]) for each in found["notifications"]] == [(sent, "to u1")]
    assert [each["title"] for each in found["scheduled"]] == ["later"]
    assert [each["topic"] for each in found["subscriptions"]] == ["t"]
    assert found["preferences"] == [{"kind": "test", "enabled": False, "current": True}]
    assert {"read", "seen", "subscribed", "preference"} <= {each["verb"] for each in found["changes"]}
    assert found["watermarks"]["seen"] > 0
    assert "somebody-else" not in answer.text


async def test_an_export_of_who_is_unknown_is_empty_and_makes_nobody_known(api: Api):
    found = (await api.as_backend("GET", "/v1/recipients/nobody/export")).json()
    assert (found["first_contact"], found["notifications"], found["changes"]) == (None, [], [])
    assert await value(api.writer, "SELECT count(*) FROM belfry.inbox") == 0


async def test_no_digit_of_a_number_is_lost_in_an_export(api: Api):
    await api.writer.execute("""SELECT belfry.send('u1', 'test', data => '{"n": 123456789012345678901.25}')""")
    assert "123456789012345678901.25" in (await api.as_backend("GET", "/v1/recipients/u1/export")).text


async def test_nothing_of_who_is_erased_is_left_in_any_table_and_others_keep_all(api: Api):
    await have_everything(api, "only-one")
    await have_everything(api, "u1")
    before = (await api.as_recipient("GET", "/v1/inbox")).json()["items"]
    assert await value(api.writer, LEFT) > 5
    assert (await api.as_backend("DELETE", "/v1/recipients/only-one")).status_code == 204
    assert await value(api.writer, LEFT) == 0
    assert (await api.as_recipient("GET", "/v1/inbox")).json()["items"] == before
    assert (await api.as_backend("DELETE", "/v1/recipients/only-one")).status_code == 204, "a second time it is so"


async def test_streams_of_others_go_on_when_one_is_erased(api: Api):
    await have_everything(api, "only-one")
    client = await api.belfry.live()
    await send(api.writer, "before")
    assert await client.titles(1) == ["before"]
    await api.as_backend("DELETE", "/v1/recipients/only-one")
    await send(api.writer, "after")
    events: list[Any] = [await client.next()]
    while events[-1].name != "message":
        events.append(await client.next())
    assert events[-1].data["title"] == "after"
    assert not [each for each in events if each.name == "reset"]


async def test_who_was_erased_begins_anew(api: Api):
    await have_everything(api, "only-one")
    await api.as_backend("DELETE", "/v1/recipients/only-one")
    assert (await api.as_recipient("GET", "/v1/inbox", recipient="only-one")).json()["items"] == []
    await send(api.writer, "anew", "only-one")
    page = (await api.as_recipient("GET", "/v1/inbox", recipient="only-one")).json()
    assert ([each["title"] for each in page["items"]], page["unread"]) == (["anew"], 1)
