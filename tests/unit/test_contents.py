"""What those who come back may have missed, by the cursors that they bring."""

from __future__ import annotations

from belfry.contents import missed_by
from belfry.model import Member, Row, State, Stay

STATE = State(through=50, pruned=10, epoch="abcdef", last_value=100, wake_mode="auto")
MEMBERS = {
    "u1": Member("u1", {"*": [Stay(1)], "team:1": [Stay(2)]}),
    "u2": Member("u2", {"*": [Stay(1)], "team:2": [Stay(2, 60)]}),
}


def row(number: int, recipient: str | None = None, topic: str | None = None) -> Row:
    return Row(number, recipient, topic, None, b"")


def test_each_has_missed_what_is_above_its_own_cursor_or_in_a_gap_of_it():
    missed = missed_by([("u1", "abcdef.90~10"), ("u2", "abcdef.95"), ("u1", "abcdef.99")], MEMBERS, STATE)
    assert missed.lowest == 80
    found = [row(79, "u1"), row(80, "u1"), row(95, "u2"), row(96, "u2"), row(100, "u3")]
    found += [row(80, topic="team:1"), row(80, topic="team:2"), row(96, topic="team:2"), row(80, topic="*")]
    assert [each for each in found if missed.has(each)] == [found[1], found[3], found[5], found[7], found[8]]


def test_who_gets_a_reset_or_everything_or_nothing_is_not_served_from_memory():
    for cursor in (None, "0", "malformed", "fedcba.90", "abcdef.101"):
        missed = missed_by([("u1", cursor)], MEMBERS, STATE)
        assert (missed.lowest, missed.has(row(100, "u1"))) == (None, False)


def test_who_is_below_what_was_pruned_has_missed_what_is_left():
    assert missed_by([("u1", "abcdef.5")], MEMBERS, STATE).lowest == 11
