"""What each stream was owed, against what it got: pure, so that it can be tested by itself.

Owed to a client that began with `cursor=0`: every row addressed to it; every row of a topic inside one of its
stays (`since < id < until`); every row of `*` above its first contact. A row of a topic that came before the late
`unsubscribed` which excludes it is dropped by the client, as that change tells it to, and is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """A committed notification."""

    id: int
    recipient: str | None
    topic: str | None


@dataclass(frozen=True, slots=True)
class Stay:
    """One membership, from the id of its `subscribed` to that of its `unsubscribed`."""

    recipient: str
    topic: str
    since: int
    until: int | None

    def holds(self, row: Row) -> bool:
        """Whether this row of a topic was sent during the stay."""
        return self.topic == row.topic and self.since < row.id and (self.until is None or row.id < self.until)


@dataclass(frozen=True, slots=True)
class Table:
    """What the database holds when all is quiet."""

    rows: Sequence[Row]
    stays: Sequence[Stay]
    contacts: Mapping[str, int]

    def owed(self, recipient: str) -> set[int]:
        """Ids of all that this recipient's streams must have delivered."""
        stays = [stay for stay in self.stays if stay.recipient == recipient]
        since = self.contacts.get(recipient)
        owed: set[int] = set()
        for row in self.rows:
            if row.topic is None:
                mine = row.recipient == recipient
            elif row.topic == "*":
                mine = since is not None and row.id > since
            else:
                mine = any(stay.holds(row) for stay in stays)
            if mine:
                owed.add(row.id)
        return owed


@dataclass(slots=True)
class Observed:
    """What one client saw, in order: notifications, and the changes that matter for order and membership."""

    recipient: str
    delivered: list[int] = field(default_factory=list[int])
    dropped: set[int] = field(default_factory=set[int])
    disordered: int = 0
    resets: int = 0
    _topics: dict[int, str] = field(default_factory=dict[int, str])
    _newest: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _subscribed: dict[str, int] = field(default_factory=dict[str, int])
    _count: int = 0

    def notification(self, id: int, topic: str | None, transaction: str = "") -> None:
        """A row came: those of one transaction must come by ascending id, unless a late `subscribed` brings them."""
        self._count += 1
        self.delivered.append(id)
        if topic:
            self._topics[id] = topic
        newest, when = self._newest.get(transaction, (0, 0))
        if transaction and id < newest and self._subscribed.get(topic or "", 0) <= when:
            self.disordered += 1
        if id > newest:
            self._newest[transaction] = (id, self._count)

    def subscribed(self, topic: str) -> None:
        """A `subscribed` change came: rows above it may follow out of order."""
        self._count += 1
        self._subscribed[topic] = self._count

    def unsubscribed(self, id: int, topic: str, until: int | None) -> None:
        """An `unsubscribed` change came: drop that topic's items above it, up to where the next stay began."""
        self.dropped.update(
            row for row, of in self._topics.items() if of == topic and row > id and (until is None or row < until)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sums over all clients, and a few examples of each fault."""

    owed: int
    delivered: int
    lost: int
    repeated: int
    foreign: int
    disordered: int
    resets: int
    examples: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing twice, nothing foreign, nothing out of order, no reset."""
        return not (self.lost or self.repeated or self.foreign or self.disordered or self.resets)


def missing(owed: set[int], seen: Observed) -> set[int]:
    """Owed ids that did not come, or came and were told to be dropped."""
    return owed - (set(seen.delivered) - seen.dropped)


def judge(table: Table, observed: Iterable[Observed]) -> Verdict:
    """Compare each client with the table."""
    sums: Counter[str] = Counter()
    examples: list[str] = []
    owed_by: dict[str, set[int]] = {}
    for number, seen in enumerate(observed):
        owed = owed_by.setdefault(seen.recipient, table.owed(seen.recipient))
        lost = missing(owed, seen)
        repeated = {id: times for id, times in Counter(seen.delivered).items() if times > 1}
        foreign = set(seen.delivered) - seen.dropped - owed
        sums.update(owed=len(owed), delivered=len(seen.delivered), lost=len(lost), foreign=len(foreign))
        sums.update(repeated=sum(repeated.values()) - len(repeated), disordered=seen.disordered, resets=seen.resets)
        for what, ids in (("lost", lost), ("repeated", repeated), ("foreign", foreign)):
            if ids:
                examples.append(f"client {number} ({seen.recipient}) {what} {len(ids)}: {sorted(ids)[:10]}")
    return Verdict(
        sums["owed"], sums["delivered"], sums["lost"], sums["repeated"], sums["foreign"], sums["disordered"],
        sums["resets"], tuple(examples[:20]),
    )  # fmt: skip
