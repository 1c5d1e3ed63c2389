"""Which stream is told which counts: those of its scope, on the last of its changes, less what follows that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from test_hub import Dispatched, Socket, hub, live, note  # noqa: F401 - `hub` is a fixture

from belfry import hub as hub_module
from belfry import sse
from belfry.batch import Badge, Batch
from belfry.choices import Choice
from belfry.hub import Hub
from belfry.model import Row, Stay
from belfry.stream import Stream

NOW = b"2026-11-23 06:00:00+00"


def change(
    number: int, verb: str = "read", *, to: str | None = None, topic: str | None = None, **more: Any
) -> Dispatched:
    """A change as a poll hands it to the hub."""
    payload = sse.change(json.dumps({"id": number, "verb": verb}, separators=(",", ":")).encode())
    return Row(number, to, topic, verb, NOW, payload=payload, **more), sse.id_line(str(number))


def told(socket: Socket) -> list[tuple[int, int | None, int | None]]:
    """The changes that a client got, by id, with the counts that they tell."""
    blocks = [block for block in b"".join(socket.writes).split(b"\n\n") if b"event: change" in block]
    datas = [json.loads(block.split(b"data: ")[1]) for block in blocks]
    return [(data["id"], data.get("unread"), data.get("unseen")) for data in datas]


async def test_the_last_change_of_each_stream_tells_its_counts(hub: Hub):  # noqa: F811
    (one, first), (two, second) = live(hub), live(hub, "u2")
    badges = {one.scope: Badge(7, 5), two.scope: Badge(1, 0)}
    await hub.dispatch([change(1, to="u1"), change(2, to="u2"), change(3, to="u1")], badges=badges)
    assert told(first) == [(1, None, None), (3, 7, 5)]
    assert told(second) == [(2, 1, 0)]


async def test_what_follows_the_last_change_is_not_counted_by_it(hub: Hub):  # noqa: F811
    one, socket = live(hub)
    rows = [note(1, to="u1"), change(2, to="u1"), note(3, to="u1"), change(4, "revised", to="u1"), note(5, to="u1")]
    await hub.dispatch(rows, badges={one.scope: Badge(9, 1)})
    assert told(socket) == [(2, 7, 0), (4, None, None)]


async def test_streams_of_one_recipient_are_told_by_how_they_are_narrowed(hub: Hub):  # noqa: F811
    (every, all_of_it), (narrowed, less) = live(hub), live(hub, tenant="acme")
    await hub.dispatch([change(1, to="u1")], badges={every.scope: Badge(3, 3), narrowed.scope: Badge(1, 1)})
    assert (told(all_of_it), told(less)) == ([(1, 3, 3)], [(1, 1, 1)])


async def test_a_change_of_a_topics_row_reaches_those_in_whose_stay_that_row_lies(hub: Hub):  # noqa: F811
    streams = {
        "member": live(hub, "member", {"t": [Stay(5)]}),
        "former": live(hub, "former", {"t": [Stay(5, 15)]}),
        "later": live(hub, "later", {"t": [Stay(12)]}),
        "elsewhere": live(hub, "elsewhere", {"t": [Stay(5)]}, narrowed=frozenset({"s"})),
    }
    await hub.dispatch([change(30, "retracted", topic="t", about=10)])
    assert [name for name, (_, socket) in streams.items() if told(socket)] == ["member", "former"]
    for stream, socket in streams.values():
        assert stream.wants(change(30, "retracted", topic="t", about=10)[0]) is bool(told(socket))


async def test_what_is_muted_is_not_shown_when_it_is_revised_either(hub: Hub):  # noqa: F811
    stream, socket = live(hub)
    hub.remove(stream)
    hub.add(stream, {}, {"a": [Choice(5, None, False)]})
    rows = [change(20, "revised", to="u1", kind="a", about=number) for number in (4, 6)]
    await hub.dispatch(rows)
    assert [number for number, _, _ in told(socket)] == [20]
    assert [stream.wants(row) for row, _ in rows] == [True, False]


async def test_a_default_mutes_for_those_who_chose_nothing_and_never_what_is_no_notification(hub: Hub):  # noqa: F811
    hub.declare({"a": [Choice(1, None, False)]})
    (_, one), (stream, chose) = live(hub, "u1", {"t": [Stay(0)]}), live(hub, "u2", {"t": [Stay(0)]})
    stream.choices = {"a": [Choice(2, None, True)]}
    row, line = note(3, topic="t")
    await hub.dispatch([(row._replace(kind="a"), line), change(4, "preference", to="u1", kind="a", enabled=False)])
    assert (one.ids, chose.ids) == ([4], [3])


async def test_who_knows_a_late_notification_gets_a_change_with_counts_and_the_others_the_row(hub: Hub):  # noqa: F811
    (_, knows), (_, does_not) = streams = live(hub, "u1", {"t": [Stay(0)]}), live(hub, "u2", {"t": [Stay(0)]})
    badges = {stream.scope: Badge(2, 1) for stream, _ in streams}
    await hub.dispatch([note(3, topic="t")], badges=badges, withheld=frozenset({("u1", 3), ("u2", 4)}))
    assert (told(knows), b"data: xxxx" in knows.writes[0]) == ([(3, 2, 1)], False)
    assert (told(does_not), b"data: xxxx" in does_not.writes[0]) == ([], True)


async def test_who_knows_the_late_notifications_of_a_poll_is_looked_at_once_and_not_for_each_of_them(hub: Hub):  # noqa: F811
    class Counted(frozenset[tuple[str, int]]):
        readings = 0

        def __iter__(self) -> Iterator[tuple[str, int]]:
            Counted.readings += 1
            return super().__iter__()

    (_, socket) = live(hub, "u1", {"t": [Stay(0)]})
    await hub.dispatch(
        [note(number, topic="t") for number in range(1, 6)],
        withheld=Counted(("u1", number) for number in range(1, 6)),
    )
    assert [position for position, *_ in told(socket)] == [1, 2, 3, 4, 5]
    assert Counted.readings == 1


async def test_a_change_for_very_many_concerns_nobodys_counts(hub: Hub, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    scopes = {live(hub, f"u{number}", {"t": [Stay(0)]})[0].scope for number in range(3)}
    rows = [note(8, topic="t")[0], change(9, "expired", topic="t", about=3)[0]]
    assert hub.concerned(rows) == scopes
    assert hub.concerned(rows[:1]) == set()
    monkeypatch.setattr(hub_module, "MAX_COUNTED_STREAMS", 2)
    assert hub.concerned(rows) == set()
    assert hub.concerned([*rows, change(10, to="u1")[0], change(11, "revised", to="u2")[0]]) == {
        stream.scope for stream in hub.of("u1")
    }


def test_streams_of_the_same_share_and_counts_are_written_the_same_bytes():
    batch, streams = Batch(), [Stream(name, Socket().send, 100) for name in ("a", "b", "c")]
    bits = batch.notification(b"n"), batch.change(b"c}\n\n", counted=True)
    share = bits[0] | bits[1]
    badges = {stream.scope: Badge(1, 1) for stream in streams[:2]}
    one, two = (batch.written(stream, share, badges) for stream in streams[:2])
    assert one is two
    assert (one.message["body"], one.frames) == (b'nc,"unread":1,"unseen":1}\n\n', 2)
    assert batch.written(streams[2], share, badges).message["body"] == b"nc}\n\n", "no counts of its own"
    assert batch.plain == {}, "a share with counts is never found without asking whose"
    assert batch.written(streams[2], bits[0], badges) is batch.plain[bits[0]]
