"""Where a client comes in: every kind of cursor, and the topics that it learned of too late."""

from __future__ import annotations

import random

import pytest

from belfry.attach import Start, as_seen, below, joined_late, knows, resolve, turned_late
from belfry.choices import Choice
from belfry.cursor import Cursor, after_replayed, parse, replayable, union
from belfry.model import Stay

SEEN = Cursor(100, ((90, 91),), "abcdef")


@pytest.mark.parametrize(
    ("requested", "pruned", "wanted"),
    [
        (None, 0, Start(None)),
        (None, 50, Start(None)),
        ("0", 0, Start(Cursor(0, (), "abcdef"), everything=True)),
        ("0", 50, Start(Cursor(0, (), "abcdef"), everything=True)),
        ("abcdef.40", 0, Start(Cursor(40, (), "abcdef"))),
        ("abcdef.40", 40, Start(Cursor(40, (), "abcdef"))),
        ("abcdef.40", 41, Start(Cursor(41, (), "abcdef"), "pruned")),
        ("abcdef.60~2-9", 50, Start(Cursor(60, ((51, 58),), "abcdef"))),
        ("abcdef.60~2-9", 51, Start(Cursor(51, (), "abcdef"), "pruned")),
        ("abcdef.120", 0, Start(Cursor(120, (), "abcdef"))),
        ("abcdef.121", 0, Start(None, "epoch")),
        ("40", 0, Start(None, "epoch")),
        ("zzzzzz.40", 0, Start(None, "epoch")),
        ("zzzzzz.40", 50, Start(None, "epoch")),
        ("abcdef.", 0, Start(None, "malformed")),
        ("40~", 50, Start(None, "malformed")),
        ("", 0, Start(None, "malformed")),
    ],
)
def test_every_kind_of_cursor_has_its_answer(requested: str | None, pruned: int, wanted: Start):
    assert resolve(requested, SEEN, pruned=pruned, last_value=120) == wanted


@pytest.mark.parametrize(
    ("client", "pruned", "wanted"),
    [
        (Cursor(10), 9, False),
        (Cursor(10), 10, False),
        (Cursor(10), 11, True),
        (Cursor(10, ((5, 6),)), 4, False),
        (Cursor(10, ((5, 6),)), 5, True),
        (Cursor(10, ((5, 6),)), 7, True),
    ],
)
def test_a_client_is_below_when_something_it_has_not_seen_may_be_gone(client: Cursor, pruned: int, wanted: bool):
    assert below(client, pruned) is wanted


def test_stays_are_those_that_the_relay_has_seen_begin_and_end():
    stays = {
        "*": [Stay(500)],
        "seen": [Stay(10, 20), Stay(30)],
        "begun in a gap": [Stay(90)],
        "ended in a gap": [Stay(10, 91)],
        "begun above": [Stay(101)],
        "ended above": [Stay(10, 102)],
    }
    assert as_seen(stays, SEEN) == {
        "*": [Stay(500)],
        "seen": [Stay(10, 20), Stay(30)],
        "ended in a gap": [Stay(10)],
        "ended above": [Stay(10)],
    }


def test_a_stay_is_late_when_it_began_in_a_gap_of_the_client():
    client = Cursor(100, ((90, 91),))
    stays = {
        "*": [Stay(90)],
        "known": [Stay(50)],
        "late": [Stay(90)],
        "late and over": [Stay(91, 95)],
        "at the head": [Stay(100)],
        "above": [Stay(110)],
    }
    assert joined_late(stays, client) == [("late", Stay(90)), ("late and over", Stay(91, 95))]


# --- the model, with a `subscribed` row that commits late ----------------------------------------------------

TOPIC = "t"


class Joining:
    """One stream of a recipient who joins a topic in a long transaction; it is cut anywhere and comes back."""

    def __init__(self, seed: int, *, owed_as_gaps: bool = True) -> None:
        self.dice = random.Random(seed)
        self.owed_as_gaps = owed_as_gaps
        self.rows: dict[int, str] = {}  # id: direct, topic or subscribed
        self.committed: set[int] = set()
        self.since = 0
        self.received: list[int] = []

    def run(self) -> tuple[set[int], int]:
        """What was lost, and how many rows came twice."""
        total = self.dice.randint(8, 20)
        self.since = self.dice.randint(1, total)
        for number in range(1, total + 1):
            self.rows[number] = "subscribed" if number == self.since else self.dice.choice(["direct", TOPIC, "other"])
        order = list(self.rows)
        self.dice.shuffle(order)
        client = Cursor(0)
        while order:
            for _ in range(self.dice.randint(1, 4)):
                if order:
                    self.committed.add(order.pop())
            client = self.attach(client, cut=True)
        self.attach(client, cut=False)
        mine = {row for row, kind in self.rows.items() if self.belongs(row, kind)}
        return mine - set(self.received), len(self.received) - len(set(self.received))

    def belongs(self, row: int, kind: str) -> bool:
        return kind in ("direct", "subscribed") or (kind == TOPIC and row > self.since)

    def attach(self, client: Cursor, *, cut: bool) -> Cursor:
        """Replay by the rules of `Replay`, cut after any frame; the cursor with which the client is left."""
        head = max(self.committed)
        gaps = union((row, row) for row in range(1, head) if row not in self.committed)
        seen = Cursor(head, gaps)
        stays = as_seen({TOPIC: [Stay(self.since)]} if self.since in self.committed else {}, seen)
        late = joined_late(stays, client)
        if late and self.owed_as_gaps:
            owed = [
                (row, row)
                for topic, stay in late
                for row in sorted(self.committed)
                if self.rows[row] == topic and stay.holds(row) and row <= client.head
            ]
            client = Cursor(client.head, union(client.gaps, owed))
        frames: list[tuple[int, Cursor]] = []
        for lo, hi in replayable(client, seen):
            for row in range(lo, hi + 1):
                kind = self.rows[row]
                if kind in ("direct", "subscribed") or (
                    kind == TOPIC and any(s.holds(row) for s in stays.get(TOPIC, ()))
                ):
                    frames.append((row, after_replayed(client, seen, row)))
        count = self.dice.randint(0, len(frames)) if cut else len(frames)
        for row, _ in frames[:count]:
            self.received.append(row)
        if count == len(frames) and self.dice.random() < 0.8:
            return parse(str(seen))  # `ready` has arrived
        return parse(str(frames[count - 1][1])) if count else client_as_it_was(client, self.received)


def client_as_it_was(client: Cursor, _: list[int]) -> Cursor:
    """Cut before the first frame, a client comes back with the cursor that it had; the owed rows are owed again."""
    return client


def test_owed_rows_as_gaps_lose_nothing_and_repeat_nothing_over_cuts_in_their_middle():
    results = [Joining(seed).run() for seed in range(2000)]
    assert sum(1 for lost, _ in results if lost) == 0
    assert sum(1 for _, repeated in results if repeated) == 0


def test_without_the_owed_rows_as_gaps_rows_are_lost():
    assert sum(1 for seed in range(2000) if Joining(seed, owed_as_gaps=False).run()[0]) >= 10


@pytest.mark.parametrize(
    ("requested", "wanted"),
    [
        ("abcdef.95", True),
        ("abcdef.89", False),
        ("abcdef.95~4-5", False),
        ("abcdef.95~5", True),
        ("abcdef.121", False),
        ("zzzzzz.95", False),
        ("95", False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_only_who_knows_what_was_not_read_waits_for_it_and_nobody_who_gets_a_reset(requested: str | None, wanted: bool):
    assert knows(requested, ((90, 91),), epoch="abcdef", last_value=120) == wanted


@pytest.mark.parametrize(
    ("client", "wanted"),
    [
        (Cursor(9), None),
        (Cursor(9, ((6, 6),)), 6),
        (Cursor(9, ((2, 7),)), 3),
        (Cursor(4), None),
        (Cursor(5, ((3, 3),)), 3),
    ],
    ids=["all was known", "its end and another", "its beginning too", "it is still to come", "of two only one was due"],
)
def test_a_choice_is_learned_late_that_lies_in_a_gap_and_not_one_that_is_to_come(client: Cursor, wanted: int | None):
    own = {"k": [Choice(3, 6, False), Choice(6, None, True)]}
    assert turned_late(own, client) == wanted
