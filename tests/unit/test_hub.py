"""The hub: who gets a row, in one write, and what becomes of streams that are slow, faulty or ended."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from belfry import sse
from belfry.hub import Hub, Phase, Stream
from belfry.model import Row, Stay
from streams import eventually

NOW = "2026-11-23 06:00:00+00"
Dispatched = tuple[Row, bytes]


class Socket:
    """The server's `send` of one connection: it suspends, before it writes, while the socket is full."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self.aborted = False
        self.fault: Exception | None = None
        self._room = asyncio.Event()
        self._room.set()

    def fill(self) -> None:
        self._room.clear()

    def drain(self) -> None:
        self._room.set()

    async def send(self, message: dict[str, Any]) -> None:
        if not self._room.is_set():
            await self._room.wait()
        if self.fault is not None:
            raise self.fault
        assert not self.closed, "a write after the end"
        self.writes.append(message["body"])
        self.closed = not message["more_body"]

    def put(self, chunk: bytes) -> bool:
        """The quick way: a framed chunk at once, or nothing."""
        if not self._room.is_set():
            return False
        if self.fault is not None:
            raise self.fault
        size, _, rest = chunk.partition(b"\r\n")
        assert rest.endswith(b"\r\n")
        assert int(size, 16) == len(rest) - 2
        self.writes.append(rest[:-2])
        return True

    def abort(self) -> None:
        self.aborted = True

    @property
    def ids(self) -> list[int]:
        """The ids of the rows that were written, in order."""
        return [int(line[4:]) for line in b"".join(self.writes).split(b"\n") if line.startswith(b"id: ")]

    @property
    def goodbye(self) -> str | None:
        """The reason of the goodbye that was written last."""
        block = self.writes[-1].split(b"\n\n")[-2].split(b"\n")
        return json.loads(block[-1][6:])["reason"] if b"event: goodbye" in block else None


def note(
    number: int, *, to: str | None = None, topic: str | None = None, tenant: str = "", size: int = 4
) -> Dispatched:
    """A notification as a poll hands it to the hub."""
    row = Row(number, to, topic, None, NOW, payload=b"data: " + b"x" * size + b"\n\n", tenant=tenant)
    return row, sse.id_line(str(number))


def change(number: int, verb: str, to: str, topic: str | None) -> Dispatched:
    """A membership row, or with no topic what the recipient did."""
    return Row(number, to, topic, verb, NOW, payload=b"event: change\ndata: {}\n\n"), sse.id_line(str(number))


@pytest.fixture
def hub() -> Hub:
    return Hub(retry_milliseconds=1000, heartbeat_seconds=10)


@pytest.fixture(params=["send", "put"])
def way(request: pytest.FixtureRequest) -> str:
    """How frames are written: by a task that awaits `send`, or by our server's quick way."""
    return request.param


def live(
    hub: Hub, recipient: str = "u1", stays: dict[str, list[Stay]] | None = None, *, way: str = "put", **more: Any
) -> tuple[Stream, Socket]:
    """A live stream, and what its client receives."""
    socket = Socket()
    stream = Stream(recipient, socket.send, more.pop("buffer_bytes", 10_000), abort=socket.abort, **more)
    if way == "put":
        stream.put = socket.put
    hub.add(stream, stays or {})
    stream.go_live()
    return stream, socket


async def written() -> None:
    """Let the tasks write that await `send`."""
    for _ in range(3):
        await asyncio.sleep(0)


# --- who gets what -------------------------------------------------------------------------------------------


async def test_a_direct_row_reaches_all_streams_of_its_recipient_and_no_other(hub: Hub, way: str):
    (_, one), (_, two), (_, other) = live(hub, way=way), live(hub, way=way), live(hub, "u2", way=way)
    await hub.dispatch([note(1, to="u1"), note(2, to="u3")])
    await written()
    assert (one.ids, two.ids, other.ids) == ([1], [1], [])


async def test_the_rows_of_one_poll_are_one_write_for_each_stream_in_order(hub: Hub, way: str):
    _, one = live(hub, "u1", {"t": [Stay(0)]}, way=way)
    _, two = live(hub, "u2", {"t": [Stay(0)]}, way=way)
    await hub.dispatch([note(1, to="u1"), note(2, topic="t"), note(3, to="u2"), note(4, topic="t")])
    await written()
    assert (one.ids, two.ids) == ([1, 2, 4], [2, 3, 4])
    assert (len(one.writes), len(two.writes)) == (1, 1)
    assert hub.delivered == 6


async def test_a_late_row_reaches_those_in_whose_stay_it_lies_former_members_too(hub: Hub):
    _, member = live(hub, "member", {"t": [Stay(5)]})
    _, late = live(hub, "late", {"t": [Stay(20)]})
    _, former = live(hub, "former", {"t": [Stay(5, 15)]})
    _, twice = live(hub, "twice", {"t": [Stay(5, 8), Stay(12)]})
    await hub.dispatch([note(number, topic="t") for number in (5, 6, 10, 14, 15, 19, 20, 30)])
    assert member.ids == [6, 10, 14, 15, 19, 20, 30]
    assert late.ids == [30]
    assert former.ids == [6, 10, 14]
    assert twice.ids == [6, 14, 15, 19, 20, 30]


async def test_membership_takes_effect_at_its_place_among_the_rows(hub: Hub):
    _, one = live(hub)
    await hub.dispatch(
        [
            note(1, topic="t"),
            change(2, "subscribed", "u1", "t"),
            note(3, topic="t"),
            change(4, "unsubscribed", "u1", "t"),
            note(5, topic="t"),
        ]
    )
    assert one.ids == [2, 3, 4]
    await hub.dispatch([change(6, "subscribed", "u1", "t"), note(7, topic="t")])
    assert one.ids == [2, 3, 4, 6, 7]


async def test_a_row_of_a_former_members_time_reaches_them_however_late(hub: Hub):
    _, one = live(hub, "u1", {"t": [Stay(1)]})
    await hub.dispatch([change(10, "unsubscribed", "u1", "t")])
    await hub.dispatch([note(5, topic="t")])
    await hub.dispatch([note(11, topic="t")])
    await hub.dispatch([note(9, topic="t")])
    assert one.ids == [10, 5, 9]


async def test_who_leaves_again_was_no_member_between_the_two_stays(hub: Hub):
    stream, one = live(hub, "u1", {"t": [Stay(2, 6), Stay(8)]})
    await hub.dispatch([change(10, "unsubscribed", "u1", "t")])
    await hub.dispatch([note(number, topic="t") for number in (5, 7, 9, 11)])
    assert (one.ids, stream.stays["t"]) == ([10, 5, 9], [Stay(2, 6), Stay(8, 10)])


async def test_a_subscribed_row_that_is_known_already_changes_nothing(hub: Hub):
    stream, one = live(hub, "u1", {"t": [Stay(3)]})
    await hub.dispatch([change(3, "subscribed", "u1", "t"), note(4, topic="t")])
    assert stream.stays["t"] == [Stay(3)]
    assert one.ids == [3, 4]


async def test_a_tenant_narrows_rows_and_not_changes(hub: Hub):
    _, narrowed = live(hub, "u1", {"t": [Stay(0)]}, tenant="acme")
    _, every = live(hub, "u1", {"t": [Stay(0)]})
    await hub.dispatch(
        [
            note(1, to="u1"),
            note(2, to="u1", tenant="acme"),
            note(3, topic="t", tenant="other"),
            note(4, topic="t", tenant="acme"),
            change(5, "subscribed", "u1", "t2"),
        ]
    )
    assert narrowed.ids == [2, 4, 5]
    assert every.ids == [1, 2, 3, 4, 5]


async def test_topics_narrow_topics_and_their_changes_and_not_what_is_direct(hub: Hub):
    stream, narrowed = live(hub, "u1", {"t": [Stay(0)], "s": [Stay(0)], "*": [Stay(0)]}, narrowed=frozenset({"t", "v"}))
    assert stream.topics == ["t"]
    await hub.dispatch(
        [
            note(1, to="u1"),
            note(2, topic="t"),
            note(3, topic="s"),
            note(4, topic="*"),
            change(5, "subscribed", "u1", "w"),
            note(6, topic="w"),
            change(7, "subscribed", "u1", "v"),
            note(8, topic="v"),
        ]
    )
    assert narrowed.ids == [1, 2, 7, 8]
    assert stream.topics == ["t", "v"]


async def test_dispatch_and_wants_agree(hub: Hub):
    streams = [
        live(hub, "u1", {"t": [Stay(2, 6), Stay(8)], "*": [Stay(0)]}),
        live(hub, "u1", {"t": [Stay(2, 6)], "*": [Stay(4)]}, tenant="acme"),
        live(hub, "u2", {"t": [Stay(0)], "*": [Stay(0)]}, narrowed=frozenset({"t"})),
    ]
    rows = [
        note(number, to=to, topic=topic, tenant=tenant)
        for number in range(1, 12)
        for to, topic in (("u1", None), ("u2", None), (None, "t"), (None, "*"))
        for tenant in ("", "acme")
    ]
    rows += [change(number, "unsubscribed", to, "elsewhere") for number, to in ((12, "u1"), (13, "u2"))]
    rows += [change(number, "read", to, None) for number, to in ((14, "u1"), (15, "u2"))]
    await hub.dispatch(rows)
    for stream, socket in streams:
        assert socket.ids == [row.id for row, _ in rows if stream.wants(row)]


async def test_an_expired_row_is_written_to_nobody(hub: Hub):
    _, one = live(hub)
    row, line = note(1, to="u1")
    await hub.dispatch([(Row(row.id, "u1", None, None, NOW, payload=None), line), note(2, to="u1")])
    assert one.ids == [2]


async def test_a_stream_that_left_gets_nothing_and_leaves_nothing_behind(hub: Hub):
    stream, one = live(hub, "u1", {"t": [Stay(0)], "s": [Stay(0, 9)]})
    stream.gone()
    hub.remove(stream)
    assert hub.of("u1") == []
    hub.remove(stream)
    await hub.dispatch([note(1, to="u1"), note(2, topic="t"), note(3, topic="s")])
    assert one.writes == []
    assert hub.streams == {}
    assert hub.of("u1") == []
    assert hub._by_topic == {}


async def test_those_who_stay_and_former_members_lose_nothing_when_another_leaves(hub: Hub):
    (first, _), (second, stays), (_, former) = (
        live(hub, "u1", {"t": [Stay(0)]}), live(hub, "u2", {"t": [Stay(0)]}), live(hub, "u3", {"t": [Stay(0, 9)]})
    )  # fmt: skip
    hub.remove(first)
    await hub.dispatch([note(2, topic="t")])
    hub.remove(second)
    await hub.dispatch([note(3, topic="t")])
    assert (stays.ids, former.ids) == ([2], [2, 3])


# --- slow streams --------------------------------------------------------------------------------------------


async def test_a_stream_whose_socket_is_full_queues_and_catches_up_in_order(hub: Hub, way: str):
    stream, slow = live(hub, way=way)
    _, other = live(hub, way=way)
    await hub.dispatch([note(1, to="u1")])
    await written()
    slow.fill()
    for number in range(2, 8):
        await hub.dispatch([note(number, to="u1")])
    await written()
    assert stream.phase is Phase.BEHIND
    assert slow.ids == [1]
    assert other.ids == [1, 2, 3, 4, 5, 6, 7]
    slow.drain()
    await asyncio.sleep(0)
    await hub.dispatch([note(8, to="u1")])
    await eventually(lambda: stream.phase is Phase.LIVE)
    await hub.dispatch([note(9, to="u1")])
    await written()
    assert slow.ids == list(range(1, 10))


async def test_past_the_bound_a_slow_stream_is_cut_with_goodbye_lagging_and_then_aborted(hub: Hub, way: str):
    stream, slow = live(hub, way=way, buffer_bytes=100)
    await hub.dispatch([note(1, to="u1")])
    await written()
    slow.fill()
    await hub.dispatch([note(2, to="u1", size=50)])
    assert stream in hub.streams
    await hub.dispatch([note(3, to="u1", size=80)])
    assert stream not in hub.streams
    assert hub.ended == {"lagging": 1}
    slow.drain()
    await eventually(lambda: slow.closed)
    assert slow.goodbye == "lagging"
    assert 3 not in slow.ids


async def test_a_goodbye_that_cannot_be_written_is_given_up_after_its_time(hub: Hub):
    stream, slow = live(hub)
    slow.fill()
    hub.end(stream, "drain", grace_seconds=0.02)
    assert not slow.aborted
    await eventually(lambda: slow.aborted)
    assert slow.writes == []


async def test_what_was_under_way_is_written_before_the_goodbye(hub: Hub):
    stream, slow = live(hub)
    slow.fill()
    await hub.dispatch([note(1, to="u1")])
    hub.end(stream, "drain")
    slow.drain()
    await eventually(lambda: slow.closed)
    assert slow.goodbye == "drain"


async def test_live_frames_wait_until_the_replay_is_written(hub: Hub, way: str):
    socket = Socket()
    stream = Stream("u1", socket.send, 10_000, put=socket.put if way == "put" else None)
    hub.add(stream, {})
    await hub.dispatch([note(5, to="u1")])
    hub.beat(1e9, b"id: 5\n")
    await hub.dispatch([note(6, to="u1")])
    assert socket.writes == []
    stream.go_live(b"id: 4\nevent: ready\ndata: {}\n\n")
    await written()
    assert socket.ids == [4, 5, 6]
    assert len(socket.writes) == 1


async def test_a_replaying_stream_past_its_bound_is_cut(hub: Hub):
    socket = Socket()
    stream = Stream("u1", socket.send, 100)
    hub.add(stream, {})
    for number in range(10):
        await hub.dispatch([note(number, to="u1", size=30)])
    assert hub.ended == {"lagging": 1}
    await eventually(lambda: socket.closed)
    assert socket.goodbye == "lagging"
    stream.go_live(b"id: 4\nevent: ready\ndata: {}\n\n")
    assert socket.ids == []


# --- faults --------------------------------------------------------------------------------------------------


async def test_a_fault_in_one_write_concerns_nobody_else(hub: Hub):
    (broken, bad), (_, good) = live(hub), live(hub)
    bad.fault = OSError("a fault of the test")
    await hub.dispatch([note(1, to="u1")])
    await hub.dispatch([note(2, to="u1")])
    assert good.ids == [1, 2]
    assert broken not in hub.streams
    assert broken.phase is Phase.ENDED


async def test_a_fault_in_a_heartbeat_or_an_end_concerns_nobody_else(hub: Hub):
    (broken, bad), (over, worse), (_, good) = live(hub), live(hub, ends_at=1.0), live(hub)
    bad.fault = worse.fault = OSError("a fault of the test")
    hub.beat(100.0, b"id: 7\n")
    assert good.ids == [7]
    assert broken not in hub.streams
    assert over not in hub.streams
    await hub.drain(0.1)
    assert good.goodbye == "drain"


async def test_a_fault_while_catching_up_ends_that_stream(hub: Hub):
    stream, bad = live(hub, buffer_bytes=1000)
    bad.fill()
    await hub.dispatch([note(1, to="u1")])
    bad.fault = OSError("a fault of the test")
    bad.drain()
    await asyncio.sleep(0.01)
    for number in range(2, 60):
        await hub.dispatch([note(number, to="u1")])
    assert stream not in hub.streams


# --- heartbeats and ends -------------------------------------------------------------------------------------


async def test_a_heartbeat_carries_the_cursor_when_it_is_due(hub: Hub, way: str):
    _, one = live(hub, way=way, beats_at=5.0)
    hub.beat(4.0, b"id: 3\n")
    await written()
    assert one.writes == []
    hub.beat(5.0, b"id: 3\n")
    await written()
    hub.beat(14.9, b"id: 4\n")
    hub.beat(15.0, b"id: 5~2\n")
    await written()
    assert one.writes == [b"id: 3\nevent: heartbeat\ndata: {}\n\n", b"id: 5~2\nevent: heartbeat\ndata: {}\n\n"]


@pytest.mark.parametrize("reason", ["expired", "rotate"])
async def test_a_stream_ends_when_its_time_has_come(hub: Hub, reason: str):
    stream, one = live(hub, ends_at=10.0, ends_because=reason, beats_at=100.0)
    hub.beat(9.9, b"id: 1\n")
    assert stream in hub.streams
    hub.beat(10.0, b"id: 1\n")
    assert stream not in hub.streams
    assert one.goodbye == reason
    assert one.closed
    await hub.dispatch([note(1, to="u1")])


async def test_drain_ends_all_streams_each_once(hub: Hub):
    sockets = [live(hub, f"u{number}")[1] for number in range(1200)]
    await hub.drain(1.0)
    assert hub.streams == {}
    assert {socket.goodbye for socket in sockets} == {"drain"}
    assert hub.ended == {"drain": 1200}
    await hub.drain(1.0)
    assert hub.ended == {"drain": 1200}


async def test_goodbyes_are_spread_so_that_clients_do_not_come_back_as_one(hub: Hub):
    retries = sorted(hub.jittered_retry() for _ in range(500))
    assert retries[0] >= 500
    assert retries[-1] < 1500
    assert retries[-1] - retries[0] > 800
    assert max(hub.jittered_retry(15_000) for _ in range(200)) > 8000


async def test_the_more_streams_are_drained_the_longer_they_are_spread():
    few, many = Hub(retry_milliseconds=100, heartbeat_seconds=10), Hub(retry_milliseconds=100, heartbeat_seconds=10)
    spans = []
    for hub, count in ((few, 50), (many, 2000)):
        sockets = [live(hub)[1] for _ in range(count)]
        await hub.drain(1.0)
        retries = [int(socket.writes[-1].split(b"retry: ")[1].split(b"\n")[0]) for socket in sockets]
        spans.append(max(retries) - min(retries))
    assert spans[0] <= 200
    assert spans[1] > 2000


async def test_an_ended_stream_writes_nothing_more(hub: Hub):
    stream, one = live(hub)
    hub.end(stream, "limit")
    assert stream.write(sse.body(b"data: late\n\n")) is True
    stream.go_live(b"data: later\n\n")
    stream.end(b"data: again\n\n", 1.0)
    assert len(one.writes) == 1
    assert one.goodbye == "limit"
