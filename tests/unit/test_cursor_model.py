"""The model of the cursor: random commits, relays and cuts lose nothing and repeat nothing, and misreadings do.

The rules are those of `docs/architecture.md`, "The cursor". Each misreading is natural enough that somebody will
write it one day; each goes red here, which is what makes the green of the rules worth something.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from belfry.cursor import Cursor, after_replayed, clip, parse, replayable, union
from belfry.tracker import Idlers, Tracker

RUNS = 3000
Frame = tuple[int | None, Cursor]


@dataclass
class Relay:
    """A relay of the model: it polls what is committed and keeps each frame with the live cursor of its row."""

    tracker: Tracker = field(default_factory=Tracker)
    log: list[Frame] = field(default_factory=list)
    pending: list[int] | None = None

    def poll(self, committed: set[int], *, state_after_poll: bool = False) -> None:
        seen = self.tracker.cursor()
        rows = sorted(each for each in committed if not seen.has(each))
        frames: list[Frame] = []
        for row in rows:
            assert self.tracker.see(row)
            frames.append((row, self.tracker.cursor()))
        if state_after_poll:
            frames = [(row, self.tracker.cursor()) for row, _ in frames]
        self.log += frames


Attach = Callable[[Relay, Cursor, set[int]], list[Frame]]


def rules(relay: Relay, client: Cursor, mine: set[int]) -> list[Frame]:
    seen = relay.tracker.cursor()
    unseen = [row for lo, hi in replayable(client, seen) for row in range(lo, hi + 1) if row in mine]
    return [*((row, after_replayed(client, seen, row)) for row in unseen), (None, seen)]


def ready_first(relay: Relay, client: Cursor, mine: set[int]) -> list[Frame]:
    replayed = rules(relay, client, mine)
    return [replayed[-1], *replayed[:-1]]


def plain_ids(relay: Relay, client: Cursor, mine: set[int]) -> list[Frame]:
    return [(row, Cursor(row) if row else cursor) for row, cursor in rules(relay, client, mine)]


def live_id_lines(relay: Relay, client: Cursor, mine: set[int]) -> list[Frame]:
    live = dict(relay.log)
    return [(row, live.get(row, cursor)) for row, cursor in rules(relay, client, mine)]


@dataclass
class World:
    """One random run: transactions that commit in any order, two relays, one stream that is cut and resumes."""

    seed: int
    attach: Attach = rules
    state_after_poll: bool = False
    joins_a_poll_under_way: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.taken = 0
        self.open: set[int] = set()
        self.committed: set[int] = set()
        self.mine: set[int] = set()
        self.relays = [Relay(), Relay()]
        self.received: list[int] = []
        self.cursor = Cursor(0)
        self.inbox: list[Frame] = []
        self.on: Relay | None = None
        self.position = 0

    def run(self) -> tuple[set[int], int]:
        """What was lost, and how many rows came twice."""
        for _ in range(60):
            self.random.choice([self.take, self.commit, self.commit, self.poll, self.consume, self.cut])()
        self.committed |= self.open
        self.cut(begun_before=False)
        self.consume(everything=True)
        return (self.mine & self.committed) - set(self.received), len(self.received) - len(set(self.received))

    def take(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.taken += 1
            self.open.add(self.taken)
            if self.random.random() < 0.6:
                self.mine.add(self.taken)

    def commit(self) -> None:
        if self.open:
            row = self.random.choice(sorted(self.open))
            self.open.discard(row)
            if self.random.random() < 0.85:
                self.committed.add(row)

    def poll(self) -> None:
        self.random.choice(self.relays).poll(self.committed, state_after_poll=self.state_after_poll)

    def consume(self, *, everything: bool = False) -> None:
        """The client reads some of what its relay wrote: first the replay, then live frames."""
        if self.on is None:
            return
        live = [frame for frame in self.on.log[self.position :] if frame[0] in self.mine]
        self.position = len(self.on.log)
        self.inbox += live
        count = len(self.inbox) if everything else self.random.randint(0, len(self.inbox))
        for row, cursor in self.inbox[:count]:
            if row is not None:
                self.received.append(row)
            self.cursor = parse(str(cursor))
        del self.inbox[:count]

    def cut(self, *, begun_before: bool = True) -> None:
        """The stream is cut wherever it is, and the client comes back to any relay."""
        self.inbox.clear()
        relay = self.random.choice(self.relays)
        if not (self.joins_a_poll_under_way and begun_before):
            relay.poll(self.committed, state_after_poll=self.state_after_poll)
        self.on, self.position = relay, len(relay.log)
        self.inbox = self.attach(relay, self.cursor, self.mine)


def count_faults(**misreading: object) -> tuple[int, int]:
    results = [World(seed, **misreading).run() for seed in range(RUNS)]  # type: ignore[arg-type]
    return sum(1 for lost, _ in results if lost), sum(1 for _, repeated in results if repeated)


def test_the_rules_lose_nothing_and_repeat_nothing_in_3000_runs():
    assert count_faults() == (0, 0)


@pytest.mark.parametrize(
    "misreading",
    [
        {"attach": ready_first},
        {"state_after_poll": True},
        {"attach": plain_ids},
        {"attach": live_id_lines},
        {"joins_a_poll_under_way": True},
    ],
    ids=["ready first", "state after the poll", "plain ids", "the live id line", "a poll that had begun before"],
)
def test_each_natural_misreading_goes_red(misreading: dict[str, object]):
    lost, repeated = count_faults(**misreading)
    assert lost + repeated >= 10


# --- when is a gap dead? -------------------------------------------------------------------------------------


@dataclass
class Transaction:
    name: str
    rows: list[int] = field(default_factory=list)
    changed: int = 0  # the state_change of its session: another one after each command


@dataclass
class LockWorld:
    """Transactions that hold the table's lock while they own ids; one relay that polls and reads the holders."""

    seed: int
    one_more_poll: bool = True
    looks_at_who_idles: bool = True
    sequence_first: bool = False
    any_idling: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.tracker = Tracker()
        self.idlers = Idlers()
        self.taken = 0
        self.named = 0
        self.open: list[Transaction] = []
        self.visible: set[int] = set()
        self.received: list[int] = []

    def run(self) -> set[int]:
        for _ in range(80):
            steps = [self.begin, self.take, self.take, self.end, self.poll, self.ask, self.look, self.look, self.look]
            self.random.choice(steps)()
        while self.open:
            self.end()
        self.poll()
        return self.visible - set(self.received)

    def begin(self) -> None:
        self.named += 1
        self.open.append(Transaction(f"1/{self.named}"))

    def take(self) -> None:
        if self.open:
            self.taken += 1
            one = self.random.choice(self.open)
            one.rows.append(self.taken)
            one.changed += 1

    def end(self) -> None:
        if self.open:
            transaction = self.open.pop(self.random.randrange(len(self.open)))
            if self.random.random() < 0.8:
                self.visible |= set(transaction.rows)

    def poll(self) -> None:
        plan = self.tracker.plan(0.0)
        snapshot = set(self.visible)
        if self.random.random() < 0.5:  # others go on while the poll is under way
            self.random.choice([self.take, self.end])()
        for row in sorted(snapshot):
            if row > plan.head or any(probe.lo <= row <= probe.hi for probe in plan.probes):
                assert self.tracker.see(row)
                self.received.append(row)
        for probe in plan.probes:
            self.tracker.finish(probe, probe.hi)

    def ask(self) -> None:
        self.tracker.owners(each.name for each in self.open if each.rows)
        if not self.one_more_poll:
            for gap in self.tracker.plan(0.0).probes:
                self.tracker.finish(gap, gap.hi)

    def look(self) -> None:
        """Read who idles, and after that the sequence; others go on between the two."""
        if not self.looks_at_who_idles:
            return
        before = self.taken
        self.others_go_on()
        idling = {each.name: 0 if self.any_idling else each.changed for each in self.open if each.rows}
        self.others_go_on()
        self.tracker.excuse(self.idlers.read(idling, before if self.sequence_first else self.taken))

    def others_go_on(self) -> None:
        for _ in range(3):
            self.random.choice([self.begin, self.take, self.take, self.end])()


def test_no_gap_is_declared_dead_that_commits_later():
    assert not any(LockWorld(seed).run() for seed in range(RUNS))


def test_without_the_one_more_poll_rows_are_lost():
    assert sum(1 for seed in range(RUNS) if LockWorld(seed, one_more_poll=False).run()) >= 10


@pytest.mark.parametrize("misreading", ["any_idling", "sequence_first"])
def test_each_misreading_of_who_idles_loses_rows(misreading: str):
    assert sum(1 for seed in range(2 * RUNS) if LockWorld(seed, **{misreading: True}).run()) >= 10


def test_a_transaction_that_idles_does_not_keep_the_gaps_of_others():
    tracker, idlers = Tracker(), Idlers()
    tracker.see(2)  # 1 is A's, which idles from now on
    tracker.excuse(idlers.read({"A": 1}, 2))
    tracker.see(4)  # 3 was rolled back by somebody
    tracker.owners(["A"])
    tracker.excuse(idlers.read({"A": 1}, 4))
    assert [probe.condemned for probe in tracker.plan(0.0).probes] == [False, True]


def test_a_gap_whose_owners_were_not_read_yet_is_excused_by_nobody():
    tracker, idlers = Tracker(), Idlers()
    idlers.read({"A": 1}, 2)
    tracker.see(4)
    tracker.excuse(idlers.read({"A": 1}, 4))
    tracker.owners(["A", "B"])
    assert not tracker.plan(0.0).probes[0].condemned


def test_who_ends_and_comes_back_idling_is_somebody_else():
    idlers = Idlers()
    idlers.read({"A": 1}, 10)
    assert idlers.read({}, 20) == {}
    assert idlers.read({"A": 1}, 30) == {}
    assert idlers.read({"A": 1}, 40) == {"A": 30}
    assert idlers.read({"A": 1}, 50) == {"A": 30}


def test_a_gap_whose_owners_are_gone_and_that_a_poll_has_missed_is_dead():
    tracker = Tracker()
    tracker.see(3)
    tracker.owners(["1/7"])
    tracker.owners([])
    assert tracker.gaps == ((1, 2),)
    (probe,) = tracker.plan(0.0).probes
    tracker.finish(probe, probe.hi)
    assert tracker.gaps == ()


def test_union_and_clip_agree_with_sets():
    dice = random.Random(7)
    for _ in range(500):
        parts = [[(lo, lo + dice.randint(0, 4)) for lo in dice.sample(range(40), 3)] for _ in range(2)]
        ids = {each for part in parts for lo, hi in part for each in range(lo, hi + 1)}
        assert {each for lo, hi in union(*parts) for each in range(lo, hi + 1)} == ids
        assert {each for lo, hi in clip(union(*parts), 5, 20) for each in range(lo, hi + 1)} == {
            each for each in ids if 5 <= each <= 20
        }
