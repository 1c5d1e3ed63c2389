"""The cursor as text: it says what it was given, it stays short, and what is no cursor is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.cursor import (
    COARSE_GAPS,
    FEWEST_WIDENED_GAPS,
    MAX_CURSOR_BYTES,
    MAX_POSITION,
    MOST_GAPS,
    Cursor,
    MalformedCursor,
    Range,
    after_replayed,
    clip,
    contains,
    parse,
    render,
    replayable,
    subtract,
    told_after,
    union,
)


@st.composite
def cursors(draw: st.DrawFn, most_gaps: int = 30, widest: int = 10**6) -> Cursor:
    """Any cursor that a relay could have: gaps ascend, lie apart, and end below the head."""
    steps = draw(st.lists(st.tuples(st.integers(1, widest), st.integers(0, widest)), max_size=most_gaps))
    gaps: list[Range] = []
    at = 0
    for space, width in steps:
        gaps.append((at + space + 1, at + space + 1 + width))
        at = gaps[-1][1]
    head = at + draw(st.integers(1, widest))
    return Cursor(head, tuple(gaps), draw(st.sampled_from(["", "a1b2c3", "zzzzzz", "000000"])))


small = cursors(most_gaps=6, widest=4)


def ids(ranges: object) -> set[int]:
    return {each for lo, hi in ranges for each in range(lo, hi + 1)}  # type: ignore[attr-defined]


@given(cursors())
def test_what_is_written_is_read_again(cursor: Cursor):
    assert parse(str(cursor)) == cursor


@settings(max_examples=60, deadline=None)
@given(cursors(most_gaps=900, widest=10**13))
def test_it_never_exceeds_2048_bytes_and_shortening_only_widens_gaps(cursor: Cursor):
    text = str(cursor)
    assert len(text.encode()) <= MAX_CURSOR_BYTES
    short = parse(text)
    assert (short.head, short.epoch) == (cursor.head, cursor.epoch)
    assert subtract(cursor.gaps, short.gaps) == ()
    assert short == cursor or len(short.gaps) >= FEWEST_WIDENED_GAPS


def test_the_fewest_gaps_of_a_cursor_that_was_widened_are_those_that_take_most_bytes():
    gaps = tuple((10**17 * number, 10**17 * number + 10**16) for number in range(10, 70))
    text = render(9 * 10**18, gaps, "abcdef")
    assert len(text) <= MAX_CURSOR_BYTES
    assert FEWEST_WIDENED_GAPS <= len(parse(text).gaps) < len(gaps)


@pytest.mark.parametrize("width", [1, 3, 10**12])
def test_with_thousands_of_gaps_no_gap_is_forgotten_and_the_head_stays(width: int):
    gaps = tuple((number * 2 * width + 1, number * 2 * width + width) for number in range(1, 5000))
    head = gaps[-1][1] + 5
    text = render(head, gaps, "abcdef")
    assert 500 < len(text) <= MAX_CURSOR_BYTES
    short = parse(text)
    assert short.head == head
    assert subtract(gaps, short.gaps) == ()


def test_a_cursor_takes_no_byte_more_than_it_may_however_many_gaps_there_are():
    gaps = [(number, number) for number in range(10**12, 10**12 + 3000, 2)]
    for fewest in range(300, 600):
        assert len(render(10**12 + 9000, gaps[-fewest:], "abcdef")) <= MAX_CURSOR_BYTES


def test_the_nearest_ranges_are_merged_first():
    close = [(1000 + 2 * number, 1000 + 2 * number) for number in range(600)]
    far = [(10**6 * number, 10**6 * number) for number in range(1, 100)]
    short = parse(render(10**9, [*close, *far]))
    assert clip(short.gaps, 10**6, 10**9) == tuple(far)


def test_of_very_many_gaps_those_are_merged_once_that_would_not_fit():
    cursor = Cursor(2000, tuple((number, number) for number in range(1, 1999, 2)))
    coarse = cursor.coarse()
    assert coarse.head == cursor.head
    assert len(coarse.gaps) <= COARSE_GAPS
    assert subtract(cursor.gaps, coarse.gaps) == ()
    narrowest = Cursor(2000, tuple((number, number) for number in range(1999 - 2 * MOST_GAPS, 2000, 2)))
    assert len(narrowest.gaps) > MOST_GAPS
    assert len(",".join(str(2000 - number) for number, _ in narrowest.gaps)) > MAX_CURSOR_BYTES
    few = Cursor(2000, cursor.gaps[:MOST_GAPS])
    assert few.coarse() is few


@pytest.mark.parametrize("client", [Cursor(10), Cursor(5000, ((500, 4000),)), Cursor(9000, ((50, 5900),))])
def test_so_few_gaps_as_are_taken_at_their_word_are_told_as_they_are(client: Cursor):
    seen = Cursor(9000, tuple((number, number) for number in (*range(20, 4000, 4), *range(4000, 6000, 2))))
    for position in range(21, 6100, 50):
        told = told_after(client, seen, seen.coarse(), position)
        exactly = after_replayed(client, seen, position)
        assert told == exactly or len(told.gaps) >= FEWEST_WIDENED_GAPS
        assert subtract(exactly.gaps, told.gaps) == ()


@given(small, small, st.integers(1, 60))
def test_a_replayed_row_is_seen_also_where_the_relay_tells_coarsely(client: Cursor, seen: Cursor, position: int):
    coarse = Cursor(seen.head, union(seen.gaps, ((position, position),)))
    assert after_replayed(client, coarse, position).has(position)


def test_who_has_seen_all_has_no_ids_left_that_it_has_not():
    assert [Cursor(5).unseen(limit) for limit in (4, 5, 6)] == [(), (), ((6, 6),)]
    assert Cursor(5, ((2, 3),)).unseen(5) == ((2, 3),)


def test_the_highest_position_and_the_narrowest_texts():
    assert parse("0") == Cursor(0)
    assert parse(str(MAX_POSITION)).head == MAX_POSITION
    assert str(Cursor(1042, ((1033, 1034), (1039, 1039)))) == "1042~3,8-9"
    assert parse("1042~3,8-9") == Cursor(1042, ((1033, 1034), (1039, 1039)))
    assert parse("a1b2c3.7~2") == Cursor(7, ((5, 5),), "a1b2c3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "+1",
        "1 ",
        " 1",
        "1\n",
        "1.0",
        "0x10",
        "1~",
        "1~,",
        "9~1,",
        "9~,1",
        "9~1-",
        "9~-1",
        "9~1--2",
        "9~1~2",
        "9~2-1",
        "9~2,1",
        "9~1,1",
        "9~1-3,2",
        "9~9",
        "9~10",
        "9~1-99",
        "abcde.1",
        "abcdefg.1",
        "ABCDEF.1",
        "abcdef1",
        "abcdef.",
        "abcdef.~1",
        "null",
        "undefined",
        str(MAX_POSITION + 1),
        "9" * 19,
        "9" * 20,
        "9~" + "9" * 2046,
        "1" * 5000,
        "9~1" + ",1" * 2000,
        "9~\x001",
    ],
)
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(MalformedCursor):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_malformed_and_nothing_else(text: str):
    try:
        cursor = parse(text)
    except MalformedCursor:
        return
    assert 0 <= cursor.head <= MAX_POSITION
    assert all(0 < lo <= hi <= cursor.head for lo, hi in cursor.gaps)


# --- arithmetic against sets ---------------------------------------------------------------------------------


@given(small, small)
def test_the_arithmetic_of_ranges_is_that_of_sets(one: Cursor, other: Cursor):
    assert ids(union(one.gaps, other.gaps)) == ids(one.gaps) | ids(other.gaps)
    assert ids(subtract(one.gaps, other.gaps)) == ids(one.gaps) - ids(other.gaps)
    assert ids(clip(one.gaps, 5, 20)) == {each for each in ids(one.gaps) if 5 <= each <= 20}
    for each in range(40):
        assert contains(one.gaps, each) == (each in ids(one.gaps))
        assert one.has(each) == (each <= one.head and each not in ids(one.gaps))


@given(small, small)
def test_replayable_is_what_the_relay_has_seen_and_the_client_has_not(client: Cursor, seen: Cursor):
    limit = max(client.head, seen.head)
    wanted = {each for each in range(1, limit + 1) if seen.has(each) and not client.has(each)}
    assert ids(replayable(client, seen)) == wanted


@given(small, small, st.integers(1, 60))
def test_after_a_replayed_row_the_rest_of_the_replay_is_still_unseen(client: Cursor, seen: Cursor, position: int):
    after = after_replayed(client, seen, position)
    rest = ids(replayable(client, seen))
    for each in range(1, max(client.head, seen.head, position) + 1):
        if each > position:
            assert after.has(each) <= client.has(each) or each <= client.head
            if each in rest:
                assert not after.has(each)
        elif seen.has(each):
            assert after.has(each)


@given(cursors(most_gaps=200))
def test_ranges_that_touch_become_one(cursor: Cursor):
    joined = union(cursor.gaps, ((gap[1] + 1, gap[1] + 1) for gap in cursor.gaps))
    assert all(lo > before + 1 for (_, before), (lo, _) in itertools.pairwise(joined))
