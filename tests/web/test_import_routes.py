"""Import over HTTP: times and states come along, silently, all or none."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Api, fields, refusals
from streams import value


async def test_what_is_imported_has_its_times_and_states_and_makes_no_frame(api: Api):
    client = await api.belfry.live()
    items = [
        {"recipient": "u1", "kind": "test", "title": "old", "created_at": "2020-01-01T00:00:00Z"},
        {
            "recipient": "u1",
            "kind": "test",
            "title": "read",
            "created_at": "2020-01-02T00:00:00Z",
            "read_at": "2020-01-03T00:00:00Z",
        },
    ]
    answer = await api.as_backend("POST", "/v1/import", items)
    assert answer.status_code == 201, answer.text
    assert len(answer.json()["ids"]) == 2
    event = await client.next()
    assert (event.name, event.data["verb"]) == ("change", "delivered")
    found = (await api.as_recipient("GET", "/v1/inbox")).json()
    assert {item["title"]: item["read"] for item in found["items"]} == {"old": False, "read": True}
    assert {item["created_at"][:4] for item in found["items"]} == {"2020"}
    assert found["unread"] == 1


@refusals
@pytest.mark.parametrize(
    ("wrong", "status", "field"),
    [
        ({"kind": "test"}, 422, "[1].recipient"),
        ({"recipient": "u1", "topic": "t", "kind": "test"}, 422, "[1].recipient"),
        ({"recipient": "u1"}, 400, "[1].kind"),
        ({"recipient": "u1", "kind": "Not A Kind"}, 422, "[1].kind"),
        ({"recipient": "u1", "kind": "test", "created_at": "long ago"}, 422, "[1].created_at"),
        ({"recipient": "u1", "kind": "test", "created_at": "01/02/2020"}, 422, "[1].created_at"),
        ({"recipient": "u1", "kind": "test", "expires_at": "infinity"}, 422, "[1].expires_at"),
        ({"recipient": "u1", "kind": "test", "archived_at": "2020-01-02T03:04:05"}, 422, "[1].archived_at"),
        ({"recipient": "u1", "kind": "test", "read_at": "infinity"}, 422, "[1].read_at"),
        ({"recipient": "u1", "kind": "test", "read_at": 1}, 400, "[1].read_at"),
        ({"recipient": "u1", "kind": "test", "colour": "red"}, 400, "[1].colour"),
        ({"recipient": "u1", "kind": "test", "title": "\0"}, 422, "[1].title"),
        ({"recipient": "u1", "kind": "test", "created_at": "\0"}, 422, "[1].created_at"),
        ({"recipient": "u1", "kind": "test", "body": "x" * 65_537}, 413, "[1]"),
    ],
    ids=repr,
)
async def test_one_wrong_item_and_nothing_is_imported(refusing: Api, wrong: dict[str, Any], status: int, field: str):
    answer = await refusing.as_backend("POST", "/v1/import", [{"recipient": "u1", "kind": "test"}, wrong])
    assert answer.status_code == status, answer.text
    assert fields(answer) == [field]
    assert await value(refusing.writer, "SELECT count(*) FROM belfry.notification") == 0
