"""What a crowd that comes back is given from memory: for each exactly what it would be given alone."""

from __future__ import annotations

import random

import pytest

from belfry import crowd as crowds
from belfry.choices import NONE, Choice
from belfry.crowd import Crowd, framed
from belfry.cursor import MAX_POSITION, Cursor, union
from belfry.model import EVERYONE, Row, Stay
from belfry.recent import Recent
from belfry.stream import Stream
from belfry.tracker import Tracker

CHOICES = (NONE, {"k": [Choice(20, None, False)]}, {"*": [Choice(0, None, False)], "k": [Choice(9, 60, True)]})
RECIPIENTS, TOPICS = ("u1", "u2", "u3"), ("a", "b", EVERYONE)


async def nowhere(message: object) -> None:
    """Stands for the server's `send`."""


class History:
    """Rows that came by chance, out of order, and what the relay had seen from time to time."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.tracker = Tracker()
        self.recent = Recent(Cursor(0), max_rows=60, max_bytes=10**9)
        self.cursors = [Cursor(0)]
        for _ in range(80):
            self._come()

    def _come(self) -> None:
        numbers = [self.tracker.head + self.dice.randint(1, 3)]
        numbers += [number for lo, hi in self.tracker.gaps for number in range(lo, hi + 1)]
        number = self.dice.choice(numbers)
        assert self.tracker.see(number)
        self.recent.add([self._row(number)], self.tracker.cursor())
        self.cursors.append(self.tracker.cursor())

    def _row(self, number: int) -> Row:
        recipient = self.dice.choice((*RECIPIENTS, None))
        topic = None if recipient else self.dice.choice(TOPICS)
        payload = self.dice.choice((b"data: %d\n\n" % number, b"data: %d\n\n" % number, None))
        if self.dice.random() < 0.1:
            return Row(number, recipient, topic, None, b"")  # its contents were left out
        tenant = self.dice.choice(("", "acme"))
        about = self.dice.choice((None, self.dice.randint(1, number)))
        verb = None if about is None else self.dice.choice(("revised", "read"))
        kind = self.dice.choice(("k", "l"))
        return Row(number, recipient, topic, verb, b"", 0, payload, tenant, kind=kind, about=about)

    def client(self) -> Cursor:
        """A cursor that this relay has written, or another that had not seen one row more."""
        known = self.dice.choice(self.cursors)
        if known.head and self.dice.random() < 0.5:
            known = Cursor(known.head, union(known.gaps, [(one := self.dice.randint(1, known.head), one)]))
        return known

    def stream(self) -> Stream:
        """Of one of the recipients, in some of the topics for a while."""
        stays = {topic: [Stay(self.dice.randint(0, 80))] for topic in self.dice.sample(TOPICS, 2)}
        tenant, choices = self.dice.choice((None, "acme")), self.dice.choice(CHOICES)
        return Stream(self.dice.choice(RECIPIENTS), nowhere, 10**6, tenant=tenant, stays=stays, choices=choices)


@pytest.mark.parametrize("seed", range(60))
def test_each_is_given_what_it_would_be_given_alone(seed: int) -> None:
    history = History(seed)
    seen = history.tracker.cursor()
    crowd, told = Crowd(history.recent, seen), 0
    for _ in range(40):
        stream, client = history.stream(), history.client()
        missed = crowd.missed(stream, client)
        assert (missed is None) == (not history.recent.tells(client))
        if missed is None:
            continue
        told += 1
        kept = history.recent.between((1, MAX_POSITION))
        own = [row for row in kept if row.payload is not None and stream.wants(row) and not client.has(row.id)]
        assert missed == own
        assert [crowd.frame(row, client) for row in missed] == [framed(row, client, seen, seen) for row in missed]
    assert told


def test_an_old_gap_costs_nothing_but_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Stream, "wants", lambda _, row: bool(asked.append(row.id)) or True)  # type: ignore[misc]
    recent = Recent(Cursor(0), max_rows=5000, max_bytes=10**9)
    rows = [Row(number, None, EVERYONE, None, b"", payload=b"data: 1\n\n", kind="k") for number in range(1, 1001)]
    recent.add([row for row in rows if row.id != 5], Cursor(1000, ((5, 5),)))
    stream = Stream("u1", nowhere, 10**6, stays={EVERYONE: [Stay(0)]})
    missed = Crowd(recent, Cursor(1000, ((5, 5),))).missed(stream, Cursor(997, ((5, 5), (7, 8))))
    assert [row.id for row in missed or ()] == [7, 8, 998, 999, 1000]
    assert len(asked) == 5


def test_what_is_above_every_head_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def noted(row: Row, client: Cursor, seen: Cursor, coarse: Cursor) -> bytes:
        written.append(row.id)
        return framed(row, client, seen, coarse)

    monkeypatch.setattr(crowds, "framed", noted)
    recent = Recent(Cursor(0), max_rows=10, max_bytes=10**6)
    for number in (1, 2, 3):
        recent.add([Row(number, None, EVERYONE, None, b"", payload=b"data: 1\n\n", kind="k")], Cursor(number))
    crowd = Crowd(recent, Cursor(3))
    for head in (0, 1, 0, 2):
        stream = Stream("u1", nowhere, 10**6, stays={EVERYONE: [Stay(0)]})
        for row in crowd.missed(stream, Cursor(head)) or ():
            crowd.frame(row, Cursor(head))
    assert written == [1, 2, 3]
