"""What a request asks for can only narrow what a token allows."""

from __future__ import annotations

import pytest

from belfry.auth import NO_TENANT, Credential, valid_name


def credential(topics: set[str] | None = None, tenant: str | None = None) -> Credential:
    return Credential("u1", 0.0, None if topics is None else frozenset(topics), tenant)


@pytest.mark.parametrize(
    ("granted", "asked", "seen"),
    [
        (None, None, None),
        (None, ["a"], {"a"}),
        ({"a", "b"}, None, {"a", "b"}),
        ({"a", "b"}, ["b", "c"], {"b"}),
        ({"a"}, ["c"], set[str]()),
        (set[str](), ["c"], set[str]()),
        (None, list[str](), set[str]()),
    ],
)
def test_topics_are_those_that_both_allow(granted: set[str] | None, asked: list[str] | None, seen: set[str] | None):
    assert credential(granted).narrowed(asked, None).topics == seen


@pytest.mark.parametrize(
    ("granted", "asked", "seen"),
    [
        (None, None, None),
        (None, "acme", "acme"),
        (None, "", ""),
        ("acme", None, "acme"),
        ("acme", "acme", "acme"),
        ("acme", "other", NO_TENANT),
        ("acme", "", NO_TENANT),
        ("", "acme", NO_TENANT),
        (None, "a/b", NO_TENANT),
        (None, "\0", NO_TENANT),
    ],
)
def test_a_token_of_one_tenant_sees_no_other(granted: str | None, asked: str | None, seen: str | None):
    assert credential(tenant=granted).narrowed(None, asked).tenant == seen


def test_no_tenant_can_have_the_name_that_stands_for_none():
    assert not valid_name(NO_TENANT)


def test_narrowing_changes_nobody():
    narrowed = credential({"a"}, "acme").narrowed(["b"], "other")
    assert (narrowed.recipient, narrowed.expires_at) == ("u1", 0.0)
