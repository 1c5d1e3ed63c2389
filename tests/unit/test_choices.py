"""What is muted is judged by position: at each notification by the choices that held there."""

from __future__ import annotations

import pytest

from belfry.choices import NONE, Choice, as_seen, chosen, muted, turns
from belfry.cursor import Cursor


@pytest.mark.parametrize(
    ("own", "kinds", "wanted"),
    [
        ({}, {}, False),
        ({"a": [Choice(1, None, False)]}, {}, True),
        ({"b": [Choice(1, None, False)]}, {}, False),
        ({"*": [Choice(1, None, False)]}, {}, True),
        ({"*": [Choice(1, None, False)], "a": [Choice(2, None, True)]}, {}, False),
        ({}, {"a": [Choice(1, None, False)]}, True),
        ({"a": [Choice(1, None, True)]}, {"a": [Choice(1, None, False)]}, False),
        ({"a": [Choice(1, None, False)]}, {"a": [Choice(1, None, True, required=True)]}, False),
        ({"*": [Choice(1, None, True)]}, {"a": [Choice(1, None, False)]}, False),
        ({"a": [Choice(1, 4, False)]}, {"a": [Choice(1, None, True)]}, False),
    ],
    ids=[
        "nothing said", "its kind", "another kind", "all kinds", "its kind before all kinds", "off by default",
        "chosen though off by default", "required", "all kinds though off by default", "a choice that is over",
    ],
)  # fmt: skip
def test_a_choice_of_the_kind_goes_before_one_for_all_and_that_before_the_default(own, kinds, wanted):  # type: ignore[no-untyped-def]
    assert muted(own, kinds, "a", 5) is wanted


def test_a_choice_concerns_what_lies_between_its_ends_alone():
    own = {"a": [Choice(3, 6, False)]}
    assert [number for number in range(1, 9) if muted(own, NONE, "a", number)] == [4, 5]


def test_choices_follow_their_rows_and_one_that_is_known_changes_nothing():
    own = chosen(NONE, "a", 3, False)
    assert own == {"a": [Choice(3, None, False)]}
    own = chosen(own, "a", 6, True)
    assert own == {"a": [Choice(3, 6, False), Choice(6, None, True)]}
    assert chosen(own, "a", 3, False) == own
    assert chosen(own, "a", 6, True) == own
    back = chosen(own, "a", 9, None)
    assert back == {"a": [Choice(3, 6, False), Choice(6, 9, True)]}
    assert chosen(back, "a", 9, None) == back
    assert turns(back) == {3, 6, 9}
    assert NONE == {}


def test_a_choice_that_comes_late_leaves_the_newer_one_as_it_is():
    own = chosen({"a": [Choice(6, None, False)]}, "a", 3, True)
    assert [number for number in range(4, 9) if muted(own, NONE, "a", number)] == [7, 8]


def test_as_of_a_cursor_only_what_it_has_seen_has_happened():
    own = {"a": [Choice(3, 6, False), Choice(6, None, True)], "b": [Choice(8, None, False)]}
    assert as_seen(own, Cursor(8)) == own
    assert as_seen(own, Cursor(7)) == {"a": own["a"]}
    assert as_seen(own, Cursor(8, ((6, 6),))) == {"a": [Choice(3, None, False)], "b": own["b"]}
    assert as_seen(own, Cursor(2)) == {}
