"""The relay's own cursor against a model made of sets: no row is seen twice, no gap dies that may still commit."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest

from belfry.cursor import contains
from belfry.owners import Owners
from belfry.tracker import MAX_PROBED_RANGES, WIDE_PROBE_SECONDS, WIDE_RANGE_IDS, Tracker


@dataclass
class Database:
    """Transactions by name; ids are taken in order and become visible, or void, when their transaction ends."""

    dice: random.Random
    page: int
    most_ids: int
    taken: int = 0
    named: int = 0
    open: dict[str, list[int]] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)

    def step(self) -> None:
        kind = self.dice.random()
        if kind < 0.25 or not self.open:
            self.named += 1
            self.open[f"2/{self.named}"] = []
        elif kind < 0.7:
            mine = self.open[self.dice.choice(list(self.open))]
            for _ in range(self.dice.choice([1, 1, 1, 2, self.most_ids])):
                self.taken += 1
                mine.append(self.taken)
        else:
            self.end(self.dice.choice(list(self.open)))

    def end(self, name: str) -> None:
        rows = self.open.pop(name)
        kept = self.dice.random()
        if kept < 0.75:
            self.visible |= set(rows)
        elif kept < 0.85:  # a savepoint was rolled back
            self.visible |= set(rows[::2])


@dataclass
class Reader:
    """A relay's use of the tracker: plan, read a page of each, see, finish, raise the head, ask for owners."""

    base: Database
    tracker: Tracker = field(default_factory=Tracker)
    now: float = 0.0
    received: set[int] = field(default_factory=set)
    quiet: bool = False  # nobody goes on while a poll is under way

    def poll(self) -> None:
        plan = self.tracker.plan(self.now)
        snapshot = sorted(self.base.visible)
        if not self.quiet and self.base.dice.random() < 0.4:
            self.base.step()  # others go on while the poll is under way
        fresh = [row for row in snapshot if row > plan.head][: self.base.page]
        covered: list[int] = []
        rows = set(fresh)
        for probe in plan.probes:
            page = [row for row in snapshot if probe.lo <= row <= probe.hi][: self.base.page]
            rows |= set(page)
            covered.append(page[-1] if len(page) == self.base.page else probe.hi)
        for row in sorted(rows):
            assert self.tracker.see(row), f"{row} was seen before"
            assert not self.tracker.see(row)
            self.received.add(row)
        for probe, up_to in zip(plan.probes, covered, strict=True):
            self.tracker.finish(probe, up_to)
        if len(fresh) == self.base.page:
            self.tracker.raise_head(max(self.base.visible))
        self.check()

    def ask(self) -> None:
        if self.tracker.ask_owners():
            self.tracker.owners(name for name, rows in self.base.open.items() if rows)

    def drain(self) -> None:
        """Nothing is open any more: poll until nothing is left to find."""
        self.quiet = True
        for _ in range(3000):
            self.now += 0.3
            self.ask()
            self.poll()
            if not self.tracker.gaps and self.tracker.head >= max(self.base.visible, default=0):
                return

    def check(self) -> None:
        """The invariants of the state after any poll."""
        gaps, cursor = self.tracker.gaps, self.tracker.cursor()
        assert all(lo <= hi for lo, hi in gaps)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(gaps))
        assert all(cursor.has(row) for row in self.received)
        assert self.tracker.through == (gaps[0][0] - 1 if gaps else self.tracker.head)
        still_open = {row for rows in self.base.open.values() for row in rows if row <= self.tracker.head}
        assert not {row for row in still_open if cursor.has(row)}, "an open id is said to be seen or dead"
        assert not {row for row in self.base.visible - self.received if cursor.has(row)}, (
            "a visible row is said to be seen"
        )


@pytest.mark.parametrize("page", [3, 7, 1000])
def test_it_agrees_with_sets_whatever_commits_in_whatever_order(page: int):
    for seed in range(60):
        dice = random.Random(seed)
        base = Database(dice, page, most_ids=dice.choice([3, 12]))
        reader = Reader(base)
        for _ in range(150):
            dice.choice([base.step, base.step, reader.poll, reader.ask])()
            reader.now += dice.choice([0.0, 0.05, 0.3])
            if dice.random() < 0.01:
                reader.tracker.forget_owners()
        for name in list(base.open):
            base.end(name)
        reader.drain()
        assert reader.received == base.visible
        assert reader.tracker.gaps == ()
        assert not reader.tracker.backlog
        assert reader.tracker.through == reader.tracker.head


def test_wide_ranges_lose_nothing():
    for seed in range(6):
        dice = random.Random(seed)
        base = Database(dice, 500, most_ids=2 * WIDE_RANGE_IDS)
        reader = Reader(base)
        for _ in range(40):
            dice.choice([base.step, base.step, reader.poll, reader.ask])()
            reader.now += dice.choice([0.0, 0.1])
        for name in list(base.open):
            base.end(name)
        reader.drain()
        assert reader.received == base.visible
        assert reader.tracker.gaps == ()


# --- what a poll probes --------------------------------------------------------------------------------------


def test_a_wide_range_is_probed_at_most_four_times_a_second_and_a_narrow_one_always():
    tracker = Tracker()
    tracker.see(WIDE_RANGE_IDS + 10)
    tracker.see(WIDE_RANGE_IDS + 20)
    probed = [
        [(probe.lo, probe.hi) for probe in tracker.plan(100 + number * 0.01).probes]
        for number in range(100)  # a hundred polls in one second
    ]
    narrow, wide = (WIDE_RANGE_IDS + 11, WIDE_RANGE_IDS + 19), (1, WIDE_RANGE_IDS + 9)
    assert all(narrow in each for each in probed)
    assert 3 <= sum(wide in each for each in probed) <= 1 / WIDE_PROBE_SECONDS


def test_a_wide_range_with_a_backlog_is_read_with_every_poll():
    tracker = Tracker()
    tracker.see(1)
    tracker.raise_head(5000)
    for number in range(5):
        (probe,) = tracker.plan(100.0).probes
        assert probe.lo == 2 + number * 500
        for row in range(probe.lo, probe.lo + 500):
            assert tracker.see(row)
        tracker.finish(probe, probe.lo + 499)
        assert tracker.backlog


def test_a_range_that_is_left_out_or_may_hold_more_than_a_page_is_named_wide():
    tracker = Tracker()
    tracker.see(2 * WIDE_RANGE_IDS)
    tracker.see(2 * WIDE_RANGE_IDS + 10)
    first, second = tracker.plan(100.0), tracker.plan(100.1)
    assert first.wide == second.wide == ((1, 2 * WIDE_RANGE_IDS - 1),)
    assert len(first.probes) == 2
    assert len(second.probes) == 1


def test_past_500_ranges_all_have_their_turn_and_those_left_out_are_named_wide():
    tracker = Tracker()
    for row in range(2, 2 * 1300 + 1, 2):
        tracker.see(row)
    probed: set[tuple[int, int]] = set()
    for _ in range(3):
        plan = tracker.plan(0.0)
        here = {(probe.lo, probe.hi) for probe in plan.probes}
        assert len(here) == MAX_PROBED_RANGES
        assert [probe.lo for probe in plan.probes] == sorted(probe.lo for probe in plan.probes)
        assert all((lo, lo) in here or contains(plan.wide, lo) for lo, _ in tracker.gaps)
        probed |= here
    assert probed == set(tracker.gaps)


# --- when a gap dies -----------------------------------------------------------------------------------------


def gap_of_three() -> Tracker:
    tracker = Tracker()
    tracker.see(4)
    return tracker


def poll_and_miss(tracker: Tracker) -> None:
    for probe in tracker.plan(0.0).probes:
        tracker.finish(probe, probe.hi)


def test_a_gap_dies_only_when_a_poll_begun_after_the_last_owner_was_gone_misses_it():
    tracker = gap_of_three()
    poll_and_miss(tracker)
    assert tracker.gaps == ((1, 3),)
    tracker.owners(["1/1", "1/2"])
    poll_and_miss(tracker)
    plan_before = tracker.plan(0.0)
    tracker.owners(["1/2", "9/9"])
    tracker.owners(["9/9"])  # not an owner: it began after the gap was found
    for probe in plan_before.probes:
        tracker.finish(probe, probe.hi)
    assert tracker.gaps == ((1, 3),)
    poll_and_miss(tracker)
    assert tracker.gaps == ()


def test_a_gap_that_the_last_poll_did_not_probe_does_not_die():
    tracker = Tracker()
    tracker.see(WIDE_RANGE_IDS + 2)
    tracker.plan(100.0)
    tracker.owners([])
    poll_and_miss(tracker)  # at 0.0 the wide range is not probed: it was, not long ago
    assert tracker.gaps == ((1, WIDE_RANGE_IDS + 1),)
    for probe in tracker.plan(101.0).probes:
        tracker.finish(probe, probe.hi)
    assert tracker.gaps == ()


def test_of_a_condemned_gap_only_what_the_poll_covered_dies():
    tracker = Tracker()
    tracker.see(101)
    tracker.owners([])
    (probe,) = tracker.plan(0.0).probes
    for row in (10, 20, 30):
        assert tracker.see(row)
    tracker.finish(probe, 30)
    assert tracker.gaps == ((31, 100),)
    assert tracker.backlog


def test_owners_of_before_a_new_connection_are_not_those_of_after_it():
    tracker = Tracker(9, [(3, 4)])
    tracker.owners(["1/7"])
    Owners().forget(tracker)
    tracker.owners(["2/8"])
    assert [probe.condemned for probe in tracker.plan(0.0).probes] == [False]


def test_a_new_connection_forgets_the_owners():
    tracker = gap_of_three()
    tracker.owners([])
    tracker.forget_owners()
    poll_and_miss(tracker)
    assert tracker.gaps == ((1, 3),)
    assert tracker.ask_owners()


def test_a_row_of_a_dead_gap_or_seen_before_is_not_seen_again():
    tracker = gap_of_three()
    tracker.owners([])
    poll_and_miss(tracker)
    assert not tracker.see(2)
    assert not tracker.see(4)
    assert tracker.see(5)


def test_a_head_that_is_raised_leaves_a_backlog_and_is_never_lowered():
    tracker = gap_of_three()
    tracker.raise_head(10)
    assert tracker.gaps == ((1, 3), (5, 10))
    assert tracker.head == 10
    tracker.raise_head(7)
    assert tracker.head == 10
    assert tracker.through == 0
