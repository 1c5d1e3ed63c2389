"""What a recipient mutes over HTTP, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from asking import Api, fields, refusals


async def declare(api: Api, kind: str, **more: Any) -> None:
    answer = await api.as_backend("PUT", f"/v1/kinds/{kind}", {"label": kind.title(), **more})
    assert answer.status_code == 204, answer.text


async def send(api: Api, kind: str) -> None:
    answer = await api.as_backend("POST", "/v1/notifications", {"recipient": "u1", "kind": kind, "title": kind})
    assert answer.status_code == 201


async def shown(api: Api) -> list[str]:
    answer = await api.as_recipient("GET", "/v1/inbox")
    assert answer.json()["unread"] == len(answer.json()["items"])
    return [item["kind"] for item in answer.json()["items"]]


async def preferences(api: Api) -> dict[str, dict[str, Any]]:
    answer = await api.as_recipient("GET", "/v1/preferences")
    assert answer.status_code == 200
    return {each.pop("kind"): each for each in answer.json()["preferences"]}


async def test_a_declared_kind_is_listed_with_how_it_stands(api: Api):
    await declare(api, "news", enabled=False)
    await declare(api, "security", required=True)
    found = await preferences(api)
    assert found["news"] == {"label": "News", "required": False, "enabled": False, "chosen": False}
    assert found["security"] == {"label": "Security", "required": True, "enabled": True, "chosen": False}


async def test_a_muted_kind_makes_no_unread_and_a_choice_taken_back_is_as_for_all(api: Api):
    await send(api, "news")
    answer = await api.as_recipient("PUT", "/v1/preferences", {"kind": "news", "enabled": False})
    assert answer.status_code == 200
    (told,) = [each for each in answer.json()["preferences"] if each["kind"] == "news"]
    assert (told["enabled"], told["chosen"]) == (False, True)
    await send(api, "news")
    assert await shown(api) == ["news"]
    assert (await api.as_recipient("PUT", "/v1/preferences", {"kind": "news", "enabled": None})).status_code == 200
    await send(api, "news")
    assert await shown(api) == ["news", "news"]


async def test_an_array_is_chosen_as_a_whole_or_not_at_all(api: Api):
    await declare(api, "security", required=True)
    choices = [{"kind": "news", "enabled": False}, {"kind": "security", "enabled": False}]
    answer = await api.as_recipient("PUT", "/v1/preferences", choices)
    assert answer.status_code == 422
    assert fields(answer) == ["[1].kind"]
    assert not any(each["chosen"] for each in (await preferences(api)).values())
    both = [{"kind": "*", "enabled": False}, {"kind": "news", "enabled": True}]
    assert (await api.as_recipient("PUT", "/v1/preferences", both)).status_code == 200
    for kind in ("news", "other", "security"):
        await send(api, kind)
    assert await shown(api) == ["security", "news"]


@refusals
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"kind": "Not A Kind", "enabled": True}, 422, "kind"),
        ({"kind": "", "enabled": True}, 422, "kind"),
        ({"kind": "x" * 256, "enabled": True}, 422, "kind"),
        ({"kind": "nul\0", "enabled": True}, 422, "kind"),
        ({"kind": "news", "enabled": "no"}, 400, "enabled"),
        ({"kind": "news", "enabled": 0}, 400, "enabled"),
        ({"kind": "news"}, 400, "enabled"),
        ({"enabled": True}, 400, "kind"),
        ({"kind": None, "enabled": True}, 400, "kind"),
        ([], 400, "body"),
        ([{"kind": "news", "enabled": True}, {"kind": "Not A Kind", "enabled": True}], 422, "[1].kind"),
        ([{"kind": "news", "enabled": 1}], 400, "[0].enabled"),
        ("news", 400, "body"),
    ],
    ids=repr,
)
async def test_a_choice_that_is_none_is_refused_by_the_name_of_the_field(
    refusing: Api, body: Any, status: int, field: str
):
    answer = await refusing.as_recipient("PUT", "/v1/preferences", body)
    assert answer.status_code == status, answer.text
    assert fields(answer) == [field]
    assert await preferences(refusing) == {}
