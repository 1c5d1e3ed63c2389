"""What a relay has seen, and which of the gaps may still be filled. Pure: no I/O, no clock of its own.

`docs/decisions/cursor.md` has the reasoning, `tests/unit/test_cursor_model.py` the model.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from belfry.cursor import MOST_GAPS, Cursor, Range, render, subtract

NARROW_RANGE_IDS = 100
WIDE_RANGE_IDS = 1000
WIDE_PROBE_SECONDS = 0.25
MAX_PROBED_RANGES = 500
LATE_PAGES = 4
"""How many pages of rows one poll reads of all its ranges: a bulk insert among others leaves hundreds of ranges."""


@dataclass(slots=True)
class Gap:
    """Ids below the head that no poll has shown: their transactions are open, or rolled back."""

    lo: int
    hi: int
    owners: frozenset[str] | None = None  # the transactions that may hold it; None: not asked yet
    backlog: bool = False  # rows are known to be there: drain a page with every poll
    probe_at: float = 0.0  # monotonic seconds; only for wide ranges

    @property
    def condemned(self) -> bool:
        """Nobody is left who could commit it: one more poll that misses it, and it is dead."""
        return self.owners is not None and not self.owners


@dataclass(frozen=True, slots=True)
class Probe:
    """A range that a poll looks into, and what was known of it when the poll began."""

    lo: int
    hi: int
    condemned: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What one poll reads: everything above `head`, and the probes.

    `wide` are the ranges of which it may not read all: those left out, and those in which a page may not suffice.
    """

    head: int
    probes: tuple[Probe, ...]
    wide: tuple[Range, ...]


class Idlers:
    """Which holders of the lock have run no command since when: what was taken since is not theirs.

    A session in which nothing has run keeps its `state_change`. The sequence is read *after* the sessions: an id above
    it was taken later than they were seen idling, and by none of those who idle still, with the same mark.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[Hashable, int]] = {}

    def read(self, idling: Mapping[str, Hashable], last_value: int) -> dict[str, int]:
        """Take a reading: each idling holder with its mark, and the sequence after that.

        Returns who idled through since an earlier reading, and where the sequence stood after that one.
        """
        still = {one: since for one, since in self._since.items() if idling.get(one) == since[0]}
        self._since = {one: still.get(one, (mark, last_value)) for one, mark in idling.items()}
        return {one: position for one, (_, position) in still.items()}


class Tracker:
    """The relay's (head, gaps): what it has seen, and which gaps may still be filled.

    Whoever takes an id holds ROW EXCLUSIVE on the table until after the commit is visible. So the holders of that
    lock, read after the gap was found, are its possible owners; when none of them is left, one more poll *begun
    after that reading* must probe the id and miss it, and then the gap is dead.
    """

    def __init__(self, head: int = 0, gaps: Iterable[Range] = ()) -> None:
        self.head = head
        self._gaps = [Gap(lo, hi) for lo, hi in gaps]
        self._turn = 0

    @property
    def gaps(self) -> tuple[Range, ...]:
        return tuple((gap.lo, gap.hi) for gap in self._gaps)

    @property
    def through(self) -> int:
        """Nothing is open at or below this position."""
        return self._gaps[0].lo - 1 if self._gaps else self.head

    @property
    def backlog(self) -> bool:
        """Whether rows are known to wait for the next poll."""
        return any(gap.backlog for gap in self._gaps)

    def cursor(self, epoch: str = "") -> Cursor:
        return Cursor(self.head, self.gaps, epoch)

    def text(self, epoch: str = "") -> str:
        """The cursor as it is written on the wire."""
        return render(self.head, ((gap.lo, gap.hi) for gap in self._gaps), epoch)

    def teller(self) -> Tracker:
        """What tells the cursor after each of the next rows, and has to see them too: this, or with very many gaps
        another, in which they are merged once, and not for each text."""
        return self if len(self._gaps) <= MOST_GAPS else Tracker(self.head, self.cursor().coarse().gaps)

    def see(self, position: int) -> bool:
        """Take note of a row; False when it had been seen, or its gap was dead, before."""
        if position > self.head:
            if position > self.head + 1:
                self._gaps.append(Gap(self.head + 1, position - 1))
            self.head = position
            return True
        index = self._find(position)
        if index is None:
            return False
        gap = self._gaps[index]
        self._gaps[index : index + 1] = self._parts(gap, position, position)
        return True

    def raise_head(self, newest: int) -> None:
        """A page was full: what lies between it and the newest visible id becomes backlog."""
        if newest > self.head:
            self._gaps.append(Gap(self.head + 1, newest, backlog=True))
            self.head = newest

    def plan(self, now: float, *, page: int = NARROW_RANGE_IDS, everything: bool = False) -> Plan:
        """What the next poll reads. Call it when the poll begins: it records who is condemned by then.

        A range of at most `page` ids is read whole, unless all of them may hold more than LATE_PAGES. `everything`
        probes also what would be spared this time.
        """
        chosen: list[Gap] = []
        for gap in self._in_turn():
            wide = gap.hi - gap.lo >= WIDE_RANGE_IDS
            if wide and not gap.backlog and now < gap.probe_at and not everything:
                continue
            if len(chosen) < MAX_PROBED_RANGES or everything:
                chosen.append(gap)
                gap.probe_at = now + WIDE_PROBE_SECONDS
        chosen.sort(key=lambda gap: gap.lo)
        probes = tuple(Probe(gap.lo, gap.hi, gap.condemned) for gap in chosen)
        return Plan(self.head, probes, subtract(self.gaps, list(_whole(probes, page))))

    def finish(self, probe: Probe, covered: int) -> None:
        """The poll has read the probe up to the id `covered`, and its rows were seen: bury what is dead.

        A gap that this poll did not probe, or that was not condemned when it began, is not dead.
        """
        for index in reversed(self._between(probe.lo, probe.hi)):
            gap = self._gaps[index]
            rest = replace_gap(gap, max(gap.lo, covered + 1), gap.hi, backlog=True) if gap.hi > covered else None
            done = replace_gap(gap, gap.lo, min(gap.hi, covered), backlog=False) if gap.lo <= covered else None
            if probe.condemned:
                done = None
            self._gaps[index : index + 1] = [part for part in (done, rest) if part is not None]

    def ask_owners(self) -> bool:
        """Whether a reading of the lock holders would tell something: some gap is not condemned."""
        return any(not gap.condemned for gap in self._gaps)

    def owners(self, holders: Iterable[str]) -> None:
        """A reading of who holds ROW EXCLUSIVE, begun after the last poll was finished."""
        now = frozenset(holders)
        for gap in self._gaps:
            gap.owners = now if gap.owners is None else gap.owners & now

    def excuse(self, idlers: Mapping[str, int]) -> None:
        """Who has idled since the sequence stood at a position owns no gap above it that is known by now.

        A gap whose owners were not read yet is left alone: it may be younger than the reading.
        """
        for gap in self._gaps:
            if gap.owners and idlers:
                gap.owners = frozenset(one for one in gap.owners if gap.lo <= idlers.get(one, gap.lo))

    def forget_owners(self) -> None:
        """A new connection: the server may have restarted and its transaction ids begun anew."""
        for gap in self._gaps:
            gap.owners = None

    def _in_turn(self) -> Iterator[Gap]:
        """All gaps, beginning where the last plan had to stop."""
        if len(self._gaps) <= MAX_PROBED_RANGES:
            return iter(list(self._gaps))
        self._turn = (self._turn + MAX_PROBED_RANGES) % len(self._gaps)
        return iter(self._gaps[self._turn :] + self._gaps[: self._turn])

    def _find(self, position: int) -> int | None:
        index = bisect_right(self._gaps, position, key=lambda gap: gap.lo) - 1
        return index if index >= 0 and self._gaps[index].hi >= position else None

    def _between(self, low: int, high: int) -> range:
        """The indexes of the gaps that lie from `low` to `high`."""
        first = bisect_left(self._gaps, low, key=lambda gap: gap.hi)
        last = bisect_right(self._gaps, high, key=lambda gap: gap.lo)
        return range(first, last)

    @staticmethod
    def _parts(gap: Gap, low: int, high: int) -> list[Gap]:
        """What is left of a gap when the ids from `low` to `high` are taken out."""
        parts: list[Gap] = []
        if gap.lo < low:
            parts.append(replace_gap(gap, gap.lo, low - 1))
        if gap.hi > high:
            parts.append(replace_gap(gap, high + 1, gap.hi))
        return parts


def _whole(probes: Iterable[Probe], page: int) -> Iterator[Range]:
    """The ranges that the poll reads whole, whatever is in them."""
    room = LATE_PAGES * page
    for probe in probes:
        ids = probe.hi - probe.lo + 1
        room -= min(ids, 2 * page)
        if ids <= page and room >= 0:
            yield probe.lo, probe.hi


def replace_gap(gap: Gap, lo: int, hi: int, *, backlog: bool | None = None) -> Gap:
    """The same gap over another range."""
    return Gap(lo, hi, gap.owners, gap.backlog if backlog is None else backlog, gap.probe_at)
