"""What every inbox must be, computed from committed facts by simple means: pure, so that it can be tested by itself.

Why this is sound although eight writers work at once. Each fact is one of these:

- **By position.** Who gets a notification, and whether it is muted, depends on ids alone (`since < id < until`), and
  ids are what the functions returned; in which order transactions committed does not matter.
- **By one owner.** What a recipient does with it (read, archived, snoozed, its subscriptions and preferences) is asked
  for by one writer alone, one call after the other. The only other hand is the delivery of due snoozes. Both lock the
  recipient's inbox before they take an id, so a call's place beside a delivery is told exactly by the sequence's last
  value, read in the same statement behind the call: a delivery with a smaller id came before, any other after.
- **For ever.** Retracting and expiring end a notification and nothing revives it: order does not matter.
- **By sight.** What `mark_all_read` and its like concern depends on what their statements saw. A row whose commit was
  acknowledged before the call began was seen; a row whose COMMIT was sent after the call had returned was not, whatever
  its id (that is the late commit). Between the two the model asks the call's own change row, and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.inbox_facts import EVERYONE, FOREVER, Change, Counts, Facts, Listed, Revision, Scope, Sent, Step, Window
from bench.inbox_items import ALWAYS, EFFECTS, STATES, Choice, Inbox, Item, Stay, at, listed, shared, unsnooze

ALL = {"mark_all_read": "read", "mark_all_seen": "seen", "archive_all": "archived"}  # each the item's attribute too
BY_ID = ("mark_read", "mark_unread", "mark_seen", "archive", "unarchive", "snooze", "unsnooze")
VERBS = {
    "mark_read": "read", "mark_unread": "unread", "mark_seen": "seen", "archive": "archived",
    "unarchive": "unarchived", "snooze": "snoozed", "unsnooze": "unsnoozed", **ALL,
}  # fmt: skip
WIDE_OPEN = Scope()
SEGMENT = "segment:"
NEVER = frozenset({("a segment", "that was never defined")})


def ordered(facts: Facts, recipient: str, own: set[str]) -> list[Step | Change]:
    """A recipient's calls, and the deliveries of due snoozes between them, in the order of the inbox's lock."""
    events: list[tuple[tuple[int, int, int], Step | Change]] = [
        ((step.position, 1, place), step) for place, step in enumerate(facts.steps) if step.recipient == recipient
    ]
    events += [
        ((change.id, 0, 0), change)
        for change in facts.changes
        if change.recipient == recipient and change.verb == "unsnoozed" and change.xid not in own
    ]
    return [event for _, event in sorted(events, key=lambda pair: pair[0])]


def concerned(inbox: Inbox, step: Step) -> list[Item]:
    """The items that a call may change."""
    if step.verb in ALL:
        return [item for item in inbox.items.values() if not getattr(item, ALL[step.verb])]
    return [inbox.items[id] for id in set(step.ids) & set(inbox.items)]


class Model:
    """All inboxes. `complaints` are what the facts themselves contradict: answers of functions, rows in excess."""

    def __init__(self, recipients: Iterable[str]) -> None:
        self.inboxes = {recipient: Inbox(recipient) for recipient in recipients}
        self.kinds: dict[str, list[Choice]] = defaultdict(list)
        self.sent: dict[int, Sent] = {}
        self.ended: dict[int, float] = {}
        self.complaints: list[str] = []
        self.unsure = 0
        self._own: set[str] = set()
        self._late: list[tuple[str, int, float]] = []
        self._traits: dict[str, frozenset[tuple[str, str]]] = {}
        self._segments: dict[str, frozenset[tuple[str, str]]] = {}
        self._left: set[str] = set()

    # --- taking facts in -------------------------------------------------------------------------------------

    def absorb(self, facts: Facts) -> None:
        """Take in what was committed while nobody wrote any more."""
        for recipient, since in facts.contacts.items():
            if recipient in self.inboxes:
                self.inboxes[recipient].since = since
        self._histories(facts)
        self._memberships_of_segments(facts)
        for sent in facts.sent:
            self._deliver(sent)
        self.ended |= facts.retracted
        self._states(facts)
        for revision in facts.revised:
            self._revise(revision)

    def _states(self, facts: Facts) -> None:
        """What the recipients did, each in the order of its inbox's lock."""
        own = {step.xid for step in facts.steps}
        rows: dict[tuple[str, str | None], list[Change]] = defaultdict(list)
        for change in facts.changes:
            rows[change.xid, change.recipient].append(change)
        for inbox in self.inboxes.values():
            for event in ordered(facts, inbox.recipient, own):
                if isinstance(event, Change):
                    self._due(inbox, event)
                elif event.verb in VERBS:
                    told = [c for c in rows[event.xid, inbox.recipient] if event.earlier < c.id <= event.position]
                    self._step(inbox, event, [c for c in told if c.verb == VERBS[event.verb]])

    def _histories(self, facts: Facts) -> None:
        """Memberships, preferences and kinds by the positions of their changes."""
        rows: dict[str, list[Change]] = defaultdict(list)
        for change in facts.changes:
            rows[change.xid].append(change)
        self._late = []
        for step in sorted(facts.steps, key=lambda step: step.position):
            told = [change for change in rows[step.xid] if step.earlier < change.id <= step.position]
            if step.verb in ("subscribe", "unsubscribe"):
                self._membership(self.inboxes[step.recipient], step)
            elif step.verb == "set_preference":
                mine = [change.id for change in told if change.verb == "preference" and change.kind == step.kind]
                self._choose(self.inboxes[step.recipient].preferences[step.kind], step, mine)
            elif step.verb == "declare_kind":
                mine = [change.id for change in told if change.verb == "declared" and change.kind == step.kind]
                self._choose(self.kinds[step.kind], step, mine)

    def _memberships_of_segments(self, facts: Facts) -> None:
        """Stays as their changes say; who is a member in the end must follow from traits and filters."""
        self._left = set()
        windows = {step.xid: step.committed for step in facts.steps}
        for step in sorted(facts.steps, key=lambda step: step.position):
            if step.verb == "set_traits":
                self._traits[step.recipient] = step.traits
            elif step.verb == "define_segment":
                self._segments[step.topic] = step.traits
        for change in facts.changes:
            if change.recipient in self.inboxes and (change.topic or "").startswith(SEGMENT):
                self._moved(self.inboxes[change.recipient], change, windows.get(change.xid, ALWAYS))
        for topic, members in facts.members.items():
            wanted = {who for who, traits in self._traits.items() if traits >= self._segments.get(topic, NEVER)}
            if members != wanted:
                self.complaints.append(f"{topic}: has {sorted(members - wanted)} too many, lacks {wanted - members}")

    def _moved(self, inbox: Inbox, change: Change, committed: Window) -> None:
        stay = next((s for s in inbox.stays if s.topic == change.topic and s.until == FOREVER), None)
        if (stay is None) is not (change.verb == "subscribed"):
            self.complaints.append(f"{change} although the stay was {stay}")
        elif stay is None:
            inbox.stays.append(Stay(change.topic or "", change.id, visible=committed, xid=change.xid))
        else:
            stay.until = change.id
            self._left.add(inbox.recipient)

    def _membership(self, inbox: Inbox, step: Step) -> None:
        stay = next((s for s in inbox.stays if s.topic == step.topic and s.until == FOREVER), None)
        nothing = (stay is not None) is (step.verb == "subscribe")
        if step.result is None and shared(inbox.recipient):
            return  # under REPEATABLE READ it may have looked before another writer's call
        if (step.result is None) is not nothing:
            self.complaints.append(
                f"{step.verb}({step.recipient}, {step.topic}) returned {step.result}, member: {stay}"
            )
        elif step.result is not None and stay is None:
            inbox.stays.append(Stay(step.topic, step.result, visible=step.committed, xid=step.xid))
        elif step.result is not None and stay is not None:
            stay.until = step.result

    def _choose(self, history: list[Choice], step: Step, positions: list[int]) -> None:
        """One change row when the choice is another than before, none when it is the same."""
        before = history[-1] if history else Choice(0, None)
        if len(positions) > 1 or (not positions and (before.enabled, before.required) != (step.enabled, step.required)):
            self.complaints.append(f"{step} after {before} has the change rows {positions}")
        for position in positions[:1]:
            history.append(Choice(position, step.enabled, step.required))
            self._late.append((step.kind, position, step.looked.closes))

    def _deliver(self, sent: Sent) -> None:
        if sent.id in self.sent:
            self.complaints.append(f"{sent.id} was sent twice")
        self.sent[sent.id] = sent
        direct = self.inboxes.get(sent.recipient or "")
        for inbox in [direct] if direct else self.inboxes.values() if sent.topic else ():
            if inbox.holds(sent):
                inbox.items[sent.id] = Item(sent, self.muted(inbox, sent))

    def muted(self, inbox: Inbox, sent: Sent) -> bool:
        """By the choices in force at the notification's position."""
        kind = at(self.kinds.get(sent.kind, ()), sent.id)
        if kind and kind.required:
            return False
        own = at(inbox.preferences.get(sent.kind, ()), sent.id)
        rest = at(inbox.preferences.get(EVERYONE, ()), sent.id)
        said = [choice.enabled for choice in (own, rest, kind) if choice and choice.enabled is not None]
        return bool(said) and not said[0]

    # --- what one recipient did ------------------------------------------------------------------------------

    def _sees(self, step: Step, item: Item) -> bool | None:
        """Whether a call saw a notification as this recipient's; None when the facts do not tell."""
        sent = item.sent
        stay = self.inboxes[step.recipient].stay(sent)
        if stay and stay.xid != step.xid and stay.visible.closes > step.looked.opens:
            return False if stay.visible.opens > step.looked.closes else None
        own = bool(sent.xid) and sent.xid == step.xid
        if sent.id > (step.earlier if own else step.position) or (not own and sent.visible.opens > step.looked.closes):
            return False
        if item.muted or self._over(sent, step.looked):
            return None  # it cannot show again, and whether the call takes note of it is nobody's concern
        if any(kind in (sent.kind, EVERYONE) and since < sent.id for kind, since, _ in self._late):
            return None
        return True if own or sent.visible.closes < step.looked.opens else None

    def _over(self, sent: Sent, looked: Window) -> bool:
        """Whether it had, or may have had ended by then."""
        return sent.id in self.ended or (sent.expires_at is not None and sent.expires_at <= looked.closes)

    def _step(self, inbox: Inbox, step: Step, told: Sequence[Change]) -> None:
        scope = Scope(step.tenant, step.topics)
        wanted = concerned(inbox, step)
        named = {id for change in told for id in change.ids}
        through = max((change.through or 0 for change in told), default=0)
        sure: list[int] = []
        high = 0
        for item in wanted:
            if not scope.holds(item.sent) or (step.through is not None and item.sent.id > step.through):
                continue
            before = replace(item)
            sees = self._sees(step, item)
            if sees is False:
                continue
            EFFECTS[step.verb](item, step)
            changed = item != before
            high += changed
            if sees is None:
                self.unsure += changed and not item.muted and not self._over(item.sent, step.looked)
                if changed and not (item.sent.id in named or item.sent.id <= through):
                    inbox.items[item.sent.id] = before
            elif changed:
                sure.append(item.sent.id)
        loose = shared(inbox.recipient) or inbox.recipient in self._left
        if step.result is not None and not loose and not len(sure) <= step.result <= high:
            odd = [inbox.items[id] for id in sure if id not in named and id > through][:3]
            told = [(change.id, change.through, change.ids[:9]) for change in told]
            self.complaints.append(f"{step}: expected {len(sure)} to {high}; said {told}; not changed: {odd}")

    def _due(self, inbox: Inbox, change: Change) -> None:
        """A snooze that is over returns its item as new."""
        for id in change.ids:
            item = inbox.items.get(id)
            if item is None or item.snoozed_until is None or item.snoozed_until > change.created_at + 0.5:
                self.complaints.append(f"{change} returns {id}, which was not due: {item}")
            else:
                unsnooze(item)

    def _revise(self, revision: Revision) -> None:
        given = {name: getattr(revision, name) for name in ("title", "tags", "expires_at")}
        sent = replace(self.sent[revision.id], **{name: value for name, value in given.items() if value is not None})
        self.sent[sent.id] = sent
        for inbox in self.inboxes.values():
            if sent.id in inbox.items:
                inbox.items[sent.id].sent = sent

    # --- what must be ----------------------------------------------------------------------------------------

    def items(self, recipient: str, now: float, scope: Scope = WIDE_OPEN) -> list[Item]:
        """What is in the inbox, the newest first: alive, not muted, in scope."""
        alive = [
            item
            for item in self.inboxes[recipient].items.values()
            if not item.muted and item.sent.id not in self.ended and scope.holds(item.sent)
            and (item.sent.expires_at is None or item.sent.expires_at > now)
        ]  # fmt: skip
        return sorted(alive, key=lambda item: -item.sent.id)

    def counts(self, recipient: str, now: float, scope: Scope = WIDE_OPEN) -> Counts:
        """Unread, unseen, total."""
        shown = [item for item in self.items(recipient, now, scope) if STATES["all"](item)]
        return Counts(sum(not item.read for item in shown), sum(not item.seen for item in shown), len(shown))

    def listing(
        self,
        recipient: str,
        now: float,
        state: str = "all",
        scope: Scope = WIDE_OPEN,
        kinds: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
    ) -> list[Listed]:
        """The whole list, groups collapsed."""
        shown = [
            item
            for item in self.items(recipient, now, scope)
            if STATES[state](item)
            and (kinds is None or item.sent.kind in kinds)
            and (tags is None or set(tags) & set(item.sent.tags))
        ]
        groups: dict[object, list[Item]] = defaultdict(list)
        for item in shown:
            sent = item.sent
            groups[sent.id if sent.group is None else (sent.audience, sent.group)].append(item)
        return [listed(group) for group in groups.values()]

    def overdue(self, now: float, late_seconds: float) -> list[int]:
        """Snoozes that should have ended long ago."""
        return [
            item.sent.id
            for inbox in self.inboxes.values()
            for item in inbox.items.values()
            if (item.snoozed_until or FOREVER) <= now - late_seconds
            and not item.muted
            and not self._over(item.sent, Window(0, now))
        ]
