"""The buffer of recent rows: what it answers is exactly right, or it does not answer."""

from __future__ import annotations

import random

import pytest

from belfry.cursor import MAX_POSITION, Cursor, union
from belfry.model import Row
from belfry.recent import MAX_BASE_GAPS, STRETCHES, Recent
from belfry.tracker import Tracker

NOW = "2026-11-23 06:00:00+00"


def row(number: int, size: int = 10) -> Row:
    return Row(number, "u1", None, None, NOW, payload=b"x" * size, tenant="")


def missed(recent: Recent, client: Cursor) -> list[Row] | None:
    """What of it a client has not seen; None where it does not tell."""
    if not recent.tells(client):
        return None
    return [each for each in recent.between((1, MAX_POSITION)) if not client.has(each.id)]


def ids(rows: list[Row] | None) -> list[int] | None:
    return None if rows is None else [each.id for each in rows]


@pytest.mark.parametrize(("max_rows", "max_bytes"), [(1000, 10**9), (10, 10**9), (1000, 120), (0, 10**9), (3, 50)])
def test_its_answer_is_none_or_exactly_what_the_client_has_not_seen(max_rows: int, max_bytes: int):
    answered = 0
    for seed in range(150):
        dice = random.Random(seed)
        tracker = Tracker()
        begun = dice.randint(0, 10)
        stored = set(dice.sample(range(1, begun + 1), dice.randint(0, begun)))
        for number in sorted(stored):
            tracker.see(number)
        recent = Recent(tracker.cursor(), max_rows=max_rows, max_bytes=max_bytes)
        cursors = [Cursor(0), tracker.cursor()]
        for _ in range(40):
            choices = [tracker.head + dice.randint(1, 3)]
            choices += [number for lo, hi in tracker.gaps for number in range(lo, hi + 1)]
            number = dice.choice(choices)
            assert tracker.see(number)
            stored.add(number)
            recent.add([row(number, dice.randint(1, 30))], tracker.cursor())
            cursors.append(tracker.cursor())
            if dice.random() < 0.2:
                known = dice.choice(cursors)
                torn = union(known.gaps, [(each, each) for each in dice.sample(range(1, tracker.head + 1), 1)])
                cursors.append(Cursor(known.head, tuple(gap for gap in torn if gap[1] <= known.head)))
            seen = tracker.cursor()
            recent.tidy(seen.gaps)
            for client in dice.sample(cursors, min(4, len(cursors))):
                found = ids(missed(recent, client))
                if found is not None:
                    answered += 1
                    assert found == sorted(each for each in stored if seen.has(each) and not client.has(each))
    assert answered > 100


def test_a_client_that_has_seen_all_gets_an_empty_answer_and_no_query():
    recent = Recent(Cursor(5), max_rows=10, max_bytes=1000)
    recent.add([row(6)], Cursor(6))
    assert missed(recent, Cursor(6)) == []


def test_it_does_not_answer_for_what_came_before_it():
    recent = Recent(Cursor(5), max_rows=10, max_bytes=1000)
    recent.add([row(6)], Cursor(6))
    assert ids(missed(recent, Cursor(5))) == [6]
    assert missed(recent, Cursor(4)) is None
    assert missed(recent, Cursor(5, ((2, 2),))) is None


def test_a_row_that_was_in_a_gap_at_its_beginning_is_its_own():
    recent = Recent(Cursor(5, ((3, 3),)), max_rows=10, max_bytes=1000)
    recent.add([row(3)], Cursor(5))
    assert ids(missed(recent, Cursor(5, ((3, 3),)))) == [3]


@pytest.mark.parametrize(("max_rows", "max_bytes"), [(3, 10**6), (10**6, 30)])
def test_the_oldest_leave_past_the_bound_and_are_not_answered_for(max_rows: int, max_bytes: int):
    recent = Recent(Cursor(0), max_rows=max_rows, max_bytes=max_bytes)
    for number in range(1, 11):
        recent.add([row(number)], Cursor(number))
    assert len(recent) == 3
    assert ids(missed(recent, Cursor(7))) == [8, 9, 10]
    assert missed(recent, Cursor(6)) is None


@pytest.mark.parametrize(("max_rows", "max_bytes"), [(100 * STRETCHES, 10**9), (10**9, 1000 * STRETCHES)])
def test_however_the_rows_come_only_a_part_of_them_is_forgotten_at_once(max_rows: int, max_bytes: int):
    recent = Recent(Cursor(0), max_rows=max_rows, max_bytes=max_bytes)
    head, full = 0, 100 * STRETCHES
    for count in [1, 7, 60] * 100:
        found = [row(head + number) for number in range(1, count + 1)]
        head += count
        recent.add(found, Cursor(head))
        assert len(recent) <= full
        if head > full:
            assert len(recent) >= full - 2 * (100 + 60)
            assert ids(missed(recent, Cursor(head - len(recent)))) == list(range(head - len(recent) + 1, head + 1))


def test_tidying_never_makes_it_answer_wrongly():
    gaps = tuple((2 * number, 2 * number) for number in range(1, MAX_BASE_GAPS + 50))
    head = gaps[-1][1] + 1
    recent = Recent(Cursor(head, gaps), max_rows=10, max_bytes=1000)
    recent.add([row(2)], Cursor(head, gaps[1:]))
    recent.tidy(open_gaps=((4, 4),))
    assert ids(missed(recent, Cursor(head, ((2, 2), (4, 4))))) == [2]
    assert missed(recent, Cursor(head, ((6, 6),))) is None


def about(number: int, verb: str, position: int) -> Row:
    return Row(number, "u1", None, verb, b"", payload=b"change", about=position)


def sizes(rows: list[Row] | None) -> list[tuple[int, int | None]] | None:
    return None if rows is None else [(each.id, None if each.payload is None else len(each.payload)) for each in rows]


@pytest.mark.parametrize("verb", ["retracted", "expired"])
def test_of_what_has_ended_nothing_is_sent_any_more_and_no_query_is_needed_to_know(verb: str):
    recent = Recent(Cursor(0), max_rows=10, max_bytes=30)
    recent.add([row(1, 15), row(2, 15)], Cursor(2))
    recent.add([about(3, verb, 1)], Cursor(3))
    assert sizes(missed(recent, Cursor(0))) == [(1, None), (2, 15), (3, 6)]


def test_the_contents_of_what_was_revised_are_read_anew():
    recent = Recent(Cursor(0), max_rows=3, max_bytes=1000)
    recent.add([row(1), row(2)], Cursor(2))
    recent.add([about(3, "revised", 1)], Cursor(3))
    assert sizes(missed(recent, Cursor(0))) == [(1, 0), (2, 10), (3, 6)]
    assert recent.omitted(lambda _: True, 1) == [1]
    recent.fill([row(1, 20)])
    assert sizes(missed(recent, Cursor(0))) == [(1, 20), (2, 10), (3, 6)]
    recent.add([row(4), row(5), row(6)], Cursor(6))
    assert ids(missed(recent, Cursor(3))) == [4, 5, 6]
    assert missed(recent, Cursor(2)) is None
    recent.add([about(7, "revised", 1), about(8, "retracted", 2)], Cursor(8))
    assert missed(recent, Cursor(5)) is None
    assert ids(missed(recent, Cursor(6))) == [7, 8]


def test_a_change_of_its_state_leaves_the_contents_where_they_are():
    recent = Recent(Cursor(0), max_rows=3, max_bytes=1000)
    recent.add([row(1)], Cursor(1))
    recent.add([about(2, "read", 1)], Cursor(2))
    assert sizes(missed(recent, Cursor(0))) == [(1, 10), (2, 6)]


def test_contents_that_were_left_out_are_filled_in_once_and_count():
    recent = Recent(Cursor(0), max_rows=10, max_bytes=40)
    recent.add([row(1, 0), row(2, 0), row(3, 0), row(4)._replace(payload=None)], Cursor(4))
    recent.add([about(5, "retracted", 2)], Cursor(5))
    assert recent.omitted(lambda each: each.id != 3, 1) == [1]
    assert recent.omitted(lambda _: True, 2) == [3]
    recent.fill([row(number, 10) for number in (1, 2, 4, 9)])
    assert sizes(missed(recent, Cursor(0))) == [(1, 10), (2, None), (3, 0), (4, None), (5, 6)]
    recent.fill([row(1, 15)])
    assert sizes(missed(recent, Cursor(0))) == [(1, 10), (2, None), (3, 0), (4, None), (5, 6)]
    recent.fill([row(3, 30)])
    assert missed(recent, Cursor(3)) is None
    assert sizes(missed(recent, Cursor(4))) == [(5, 6)]
