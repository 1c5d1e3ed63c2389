"""A relay broken on purpose, to see torture go red: `python -m bench.broken FAULT serve …`.

Nothing in the product knows of this: one method is replaced in this process before the command line starts.
`python -m bench.torture --broken FAULT` runs every relay through it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from belfry import __main__ as command_line
from belfry import contents, cursor, owners, relay, replay, sse, tracker


def slow_reading() -> None:
    """No fault: 20 ms between a poll and the reading of the owners. A correct relay stays green with it."""
    read = owners.holders

    async def holders(connection: Any) -> Any:
        await asyncio.sleep(0.02)
        return await read(connection)

    owners.holders = holders


def drop_one_more_poll() -> None:
    """A gap dies when a reading shows no owner, without the poll that must begin after it and miss.

    With `slow_reading`, or the window is half a millisecond in a hundred and a short run may miss it.
    """
    slow_reading()
    read = tracker.Tracker.owners

    def note(self: Any, holders: Iterable[str]) -> None:
        read(self, holders)
        self._gaps[:] = [gap for gap in self._gaps if not gap.condemned]

    tracker.Tracker.owners = note


def ignore_gaps() -> None:
    """Only what is above the head is read: what commits late is lost."""

    def see(self: Any, position: int) -> bool:
        if position <= self.head:
            return False
        self.head = position
        return True

    tracker.Tracker.see = see


def plain_ids_on_replay() -> None:
    """Replayed frames carry the row's id alone, and claim all below it."""

    def after(client: cursor.Cursor, seen: cursor.Cursor, position: int) -> cursor.Cursor:
        return cursor.Cursor(max(client.head, position), (), seen.epoch)

    replay.after_replayed = after  # pyright: ignore[reportPrivateImportUsage]


def state_after_the_poll() -> None:
    """Every live frame of a poll carries the cursor after the whole poll."""
    read = relay.Relay._see  # pyright: ignore[reportPrivateUsage]

    def see(self: Any, plan: Any, snapshot: Any) -> Any:
        count, fresh = read(self, plan, snapshot)
        last = sse.id_line(self.tracker.text(self.epoch))
        return count, [(row, last) for row, _ in fresh]

    relay.Relay._see = see  # pyright: ignore[reportPrivateUsage]


def forget_cursor() -> None:
    """Clients are let in as if they had brought no cursor: what they missed is lost."""
    attach = relay.Relay.attach

    def without(self: Any, stream: Any, requested: str | None) -> None:
        attach(self, stream, requested if requested in (None, "0") else None)

    relay.Relay.attach = without


def leave_contents_out() -> None:
    """Contents that a poll has left out are never read: among rows for others, one's own are lost."""

    async def nothing(self: Any, *arguments: Any) -> Any:
        await read(self, *arguments)
        return {}

    read = contents.Contents.read
    contents.Contents.read = nothing


FAULTS: dict[str, Callable[[], None]] = {
    "slow-reading": slow_reading,
    "drop-one-more-poll": drop_one_more_poll,
    "ignore-gaps": ignore_gaps,
    "plain-ids-on-replay": plain_ids_on_replay,
    "state-after-the-poll": state_after_the_poll,
    "forget-cursor": forget_cursor,
    "leave-contents-out": leave_contents_out,
}


def main(arguments: Sequence[str]) -> int:
    """Break it, then run the command line."""
    if not arguments or arguments[0] not in FAULTS:
        print(f"usage: python -m bench.broken {{{','.join(FAULTS)}}} serve …", file=sys.stderr)
        return 2
    FAULTS[arguments[0]]()
    return command_line.main(list(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
