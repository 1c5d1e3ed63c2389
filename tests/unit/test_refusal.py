"""Where in what was given a text stands that Postgres cannot store."""

from __future__ import annotations

from typing import Any

import pytest

from belfry.refusal import unwritable


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"title": "fine", "data": {"n": [1, None, True, 1.5, "é 🔔"]}}, None),
        ("\0", ""),
        ({"title": "a\0b"}, "title"),
        ({"data": {"deep": [{"x": "\0"}]}}, "data.deep[0].x"),
        ({"tags": ["a", "\0"]}, "tags[1]"),
        ([{"title": "a"}, {"title": "\0"}], "[1].title"),
        ([["\0"]], "[0][0]"),
        ({"data": {"\0": 1}}, "data.\0"),
        ({"title": "\ud800"}, "title"),
        ({"body": "a\udfff"}, "body"),
    ],
    ids=repr,
)
def test_the_first_text_that_cannot_be_stored_is_found(value: Any, place: str | None):
    assert unwritable(value) == place
