"""What has been seen: a head, the gaps below it, and the arithmetic of replay. Pure: no I/O, no clock of its own.

Ids are taken when a row is inserted and become visible when its transaction commits, so a reader at id 10 may
see id 9 later. `docs/decisions/cursor.md` has the reasoning, `tests/unit/test_cursor_model.py` the model.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Range = tuple[int, int]
"""Ids from the first to the second, both included."""

MAX_CURSOR_BYTES = 2048
MAX_POSITION = 2**63 - 1
NARROW_RANGE_IDS = 100
WIDE_RANGE_IDS = 1000
WIDE_PROBE_SECONDS = 0.25
MAX_PROBED_RANGES = 500

_CURSOR = re.compile(r"(?:(?P<epoch>[a-z0-9]{6})\.)?(?P<head>\d{1,19})(?:~(?P<gaps>\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*))?\Z")


class MalformedCursor(ValueError):
    """The text is no cursor that a relay has written."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position and the ranges below it that were not seen, ascending and apart from each other."""

    head: int
    gaps: tuple[Range, ...] = ()
    epoch: str = ""

    def has(self, position: int) -> bool:
        """Whether the row of that id was seen, if there is one."""
        return position <= self.head and not contains(self.gaps, position)

    def unseen(self, limit: int) -> tuple[Range, ...]:
        """The ids up to `limit` that were not seen."""
        above = ((self.head + 1, limit),) if limit > self.head else ()
        return clip(self.gaps, 1, limit) + above

    def __str__(self) -> str:
        return render(self.head, self.gaps, self.epoch)


def contains(ranges: Sequence[Range], position: int) -> bool:
    """Whether one of the ascending ranges holds that id."""
    index = bisect_right(ranges, (position, MAX_POSITION)) - 1
    return index >= 0 and ranges[index][1] >= position


def clip(ranges: Iterable[Range], low: int, high: int) -> tuple[Range, ...]:
    """The parts of the ranges that lie from `low` to `high`."""
    return tuple((max(lo, low), min(hi, high)) for lo, hi in ranges if hi >= low and lo <= high)


def union(*parts: Iterable[Range]) -> tuple[Range, ...]:
    """All ids of the ranges, as ascending ranges that neither overlap nor touch."""
    out: list[Range] = []
    for lo, hi in sorted(each for part in parts for each in part):
        if out and lo <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], hi))
        else:
            out.append((lo, hi))
    return tuple(out)


def subtract(ranges: Iterable[Range], holes: Sequence[Range]) -> tuple[Range, ...]:
    """The ids of the ascending `ranges` that are in none of the ascending `holes`."""
    out: list[Range] = []
    index = 0
    for lo, hi in ranges:
        while index < len(holes) and holes[index][1] < lo:
            index += 1
        at = index
        while at < len(holes) and holes[at][0] <= hi:
            if holes[at][0] > lo:
                out.append((lo, holes[at][0] - 1))
            lo = holes[at][1] + 1
            at += 1
        if lo <= hi:
            out.append((lo, hi))
    return tuple(out)


# --- on the wire ---------------------------------------------------------------------------------------------


def render(head: int, gaps: Iterable[Range], epoch: str = "") -> str:
    """The cursor as text: `1042`, or `1042~3,8-9` with gaps as distances below the head, at most 2,048 bytes.

    Past that the ranges nearest to each other are merged until it fits: only the rows between them can repeat.
    """
    prefix = f"{epoch}.{head}" if epoch else str(head)
    distances = [(head - hi, head - lo) for lo, hi in gaps]
    if not distances:
        return prefix
    distances.reverse()
    text = _render_distances(distances)
    while len(prefix) + 1 + len(text) > MAX_CURSOR_BYTES:
        distances = _merge_nearest(distances, len(distances) * 3 // 4)
        text = _render_distances(distances)
    return f"{prefix}~{text}"


def _render_distances(distances: Iterable[Range]) -> str:
    return ",".join(str(near) if near == far else f"{near}-{far}" for near, far in distances)


def _merge_nearest(ranges: list[Range], keep: int) -> list[Range]:
    """Close the narrowest of the spaces between the ranges, so that at most `keep` ranges are left."""
    spaces = sorted(range(1, len(ranges)), key=lambda index: ranges[index][0] - ranges[index - 1][1])
    closed = set(spaces[: max(1, len(ranges) - max(keep, 1))])
    out: list[Range] = []
    for index, (lo, hi) in enumerate(ranges):
        if index in closed:
            out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return out


def parse(text: str) -> Cursor:
    """Read what `render` wrote. A plain integer is a position of the first epoch.

    Raises MalformedCursor.
    """
    match = _CURSOR.match(text) if len(text) <= MAX_CURSOR_BYTES else None
    if match is None:
        raise MalformedCursor(text[:40])
    head = int(match["head"])
    gaps: list[Range] = []
    for part in (match["gaps"] or "").split(",") if match["gaps"] else ():
        near, _, far = part.partition("-")
        gaps.append((head - int(far or near), head - int(near)))
    gaps.reverse()
    if head > MAX_POSITION or not _ascending(gaps):
        raise MalformedCursor(text[:40])
    return Cursor(head, tuple(gaps), match["epoch"] or "")


def _ascending(gaps: Sequence[Range]) -> bool:
    """Whether the ranges are positive, ascending and disjoint, as every cursor of ours is."""
    below = 0
    for lo, hi in gaps:
        if lo <= below or hi < lo:
            return False
        below = hi
    return True


# --- attach --------------------------------------------------------------------------------------------------


def after_replayed(client: Cursor, seen: Cursor, position: int) -> Cursor:
    """The cursor of a client to whom `position` was replayed by a relay that has seen `seen`.

    What lies above the row is still as the client had it; what lies at or below is as the relay has it.
    """
    head = max(client.head, position)
    return Cursor(head, union(clip(client.gaps, position + 1, head), clip(seen.gaps, 1, head)), seen.epoch)


def replayable(client: Cursor, seen: Cursor) -> tuple[Range, ...]:
    """The ids that a relay has seen and the client has not."""
    return subtract(client.unseen(seen.head), seen.gaps)


# --- the relay's own -----------------------------------------------------------------------------------------


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

        A range of at most `page` ids is read whole. `everything` probes also what would be spared this time.
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
        narrow = [(probe.lo, probe.hi) for probe in probes if probe.hi - probe.lo < page]
        return Plan(self.head, probes, subtract(self.gaps, narrow))

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


def replace_gap(gap: Gap, lo: int, hi: int, *, backlog: bool | None = None) -> Gap:
    """The same gap over another range."""
    return Gap(lo, hi, gap.owners, gap.backlog if backlog is None else backlog, gap.probe_at)
