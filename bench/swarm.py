"""Thousands of cheap streams in one child process: epoll, raw sockets, a regular expression per read.

It assumes what both relays here do: a chunk holds whole frames and a row's data begins with its id. Exact parsing is
`sse_client`'s business; what this one counts is compared with the list of ids that were written, so a wrong guess
shows as a fault and not as a good figure.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import re
import select
import socket
import struct
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from bench import report, sse_client

ROW = re.compile(rb'\ndata: \{"id" ?: ?(\d+), ?"(?!verb)')
ID = re.compile(rb"\nid: ?([^\r\n]*)")
NAMED = re.compile(rb"\nevent: ?(goodbye|reset)\n(?:id: [^\n]*\n)?data: ?([^\n]*)")
RETRY = re.compile(rb"\nretry: ?(\d+)")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream connects, and the bytes that mean "you are live"."""

    port: int
    path: str
    token: str = ""
    live: bytes = b"\nevent: ready\n"


@dataclass(slots=True)
class Lane:
    """One stream: its socket and all that came."""

    target: Target
    connection: socket.socket | None = None
    tail: bytes = b""
    last_id: bytes = b""
    live: bool = False
    ended: bool = False
    ids: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    named: list[str] = field(default_factory=list[str])
    retries: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True)
class Status:
    """How the swarm stands."""

    open: int
    live: int
    ended: int
    rows: int


class Worker:
    """The child's side: one loop over all sockets and the parent's commands."""

    def __init__(self, pipe: Connection, targets: Sequence[Target], receive_buffer: int) -> None:
        self._pipe = pipe
        self._lanes = [Lane(target) for target in targets]
        self._receive_buffer = receive_buffer
        self._epoll = select.epoll()
        self._epoll.register(pipe.fileno(), select.EPOLLIN)
        self._by_fd: dict[int, Lane] = {}
        self._pending: list[Lane] = []
        self._in_flight = 0
        self._most_in_flight = 1000

    def run(self) -> None:
        """Serve until told to quit."""
        running = True
        while running:
            self._connect_some()
            for fd, events in self._epoll.poll(0.02 if self._pending else 1.0, 512):
                if fd == self._pipe.fileno():
                    command, *arguments = self._pipe.recv()
                    running = command != "quit"
                    self._pipe.send(getattr(self, f"do_{command}")(*arguments))
                elif lane := self._by_fd.get(fd):
                    self._event(lane, fd, events)

    def do_quit(self) -> None:
        """End."""

    def do_open(self, most_in_flight: int) -> None:
        """Connect every stream that is not open, with its last id if it has one."""
        self._most_in_flight = most_in_flight
        self._in_flight = 0
        self._pending = [lane for lane in reversed(self._lanes) if lane.connection is None]

    def do_cut(self) -> None:
        """Reset every connection at once."""
        for lane in self._lanes:
            self._close(lane)

    def do_churn(self, count: int) -> None:
        """Reset some connections by chance, and connect every stream that is not open."""
        for lane in random.sample(self._lanes, count):
            self._close(lane)
        self._pending = [lane for lane in self._lanes if lane.connection is None]

    def do_status(self) -> Status:
        """Count."""
        lanes = self._lanes
        return Status(
            sum(lane.connection is not None for lane in lanes),
            sum(lane.live for lane in lanes),
            sum(lane.ended for lane in lanes),
            sum(len(lane.ids) for lane in lanes),
        )

    def do_ids(self) -> list[bytes]:
        """Ids per stream, packed."""
        return [lane.ids.tobytes() for lane in self._lanes]

    def do_times(self) -> list[bytes]:
        """Arrival times per stream, packed."""
        return [lane.times.tobytes() for lane in self._lanes]

    def do_named(self) -> list[tuple[list[str], list[int]]]:
        """`goodbye` and `reset` events, and retry times, per stream."""
        return [(lane.named, lane.retries) for lane in self._lanes]

    def do_clear(self) -> None:
        """Forget what came so far."""
        for lane in self._lanes:
            del lane.ids[:], lane.times[:]
            lane.named.clear()

    def do_mute(self, muted: bool) -> None:
        """Stop reading, or read again."""
        for fd in self._by_fd:
            self._epoll.modify(fd, 0 if muted else select.EPOLLIN)

    def _connect_some(self) -> None:
        while self._pending and self._in_flight < self._most_in_flight:
            lane = self._pending.pop()
            connection = socket.socket()
            connection.setblocking(False)
            if self._receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            connection.connect_ex(("127.0.0.1", lane.target.port))
            lane.connection, lane.tail, lane.live, lane.ended = connection, b"", False, False
            self._by_fd[connection.fileno()] = lane
            self._epoll.register(connection.fileno(), select.EPOLLOUT)
            self._in_flight += 1

    def _event(self, lane: Lane, fd: int, events: int) -> None:
        assert lane.connection
        try:
            if events & select.EPOLLOUT:
                target = lane.target
                wanted = sse_client.request(
                    target.path, f"127.0.0.1:{target.port}", token=target.token, last_event_id=lane.last_id.decode()
                )
                lane.connection.send(wanted)
                self._epoll.modify(fd, select.EPOLLIN)
                return
            data = lane.connection.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(lane, data)
        else:
            lane.ended = True
            self._close(lane)

    def _close(self, lane: Lane) -> None:
        if lane.connection is None:
            return
        fd = lane.connection.fileno()
        self._by_fd.pop(fd, None)
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
        lane.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        lane.connection.close()
        self._in_flight -= not lane.live
        lane.connection, lane.live = None, False

    def _take(self, lane: Lane, data: bytes) -> None:
        data = lane.tail + data
        end = data.rfind(b"\n\n") + 2
        if end < 2:
            lane.tail = data
            if not lane.live and lane.target.live in data:
                self._live(lane)
            return
        whole, lane.tail = data[:end], b"\n" + data[end:]
        if found := ROW.findall(whole):
            now = time.monotonic()
            lane.ids.extend(map(int, found))
            lane.times.extend([now] * len(found))
        at = whole.rfind(b"\nid: ")
        if at >= 0:
            lane.last_id = whole[at + 5 : whole.find(b"\n", at + 5)]
        if not lane.live or b"\nevent: " in whole or b"\nretry: " in whole:
            self._rare(lane, whole)

    def _rare(self, lane: Lane, whole: bytes) -> None:
        if not lane.live and lane.target.live in whole:
            self._live(lane)
        lane.named += [f"{name.decode()} {data.decode()}" for name, data in NAMED.findall(whole)]
        lane.retries += [int(value) for value in RETRY.findall(whole)]

    def _live(self, lane: Lane) -> None:
        lane.live = True
        self._in_flight -= 1


class Swarm:
    """The parent's side. Use as a context manager."""

    def __init__(self, targets: Sequence[Target], receive_buffer: int = 0) -> None:
        report.raise_file_limit()
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._size = len(targets)
        self._child = context.Process(target=child, args=(theirs, targets, receive_buffer), daemon=True)

    def __enter__(self) -> Swarm:
        self._child.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._ask("quit")
        self._child.join(5)
        self._child.kill()

    def _ask(self, command: str, *arguments: Any) -> Any:
        self._pipe.send((command, *arguments))
        if not self._pipe.poll(60):
            raise TimeoutError(f"the swarm did not answer to {command}")
        return self._pipe.recv()

    def open(self, timeout: float = 60, most_in_flight: int = 1000) -> float:
        """Connect all that are not open and wait until every stream is live; the seconds that took."""
        began = time.monotonic()
        self._ask("open", most_in_flight)
        while (status := self.status()).live < self._size:
            if time.monotonic() - began > timeout:
                raise TimeoutError(
                    f"only {status.live} of {self._size} streams are live after {timeout:.0f} s ({status})"
                )
            time.sleep(0.02)
        return time.monotonic() - began

    def cut(self) -> None:
        """Reset every connection at once."""
        self._ask("cut")

    def churn(self, count: int) -> None:
        """Cut some streams by chance; they, and those that the relay ended, come back with their cursors."""
        self._ask("churn", count)

    def clear(self) -> None:
        """Forget the ids seen so far."""
        self._ask("clear")

    def mute(self, muted: bool) -> None:
        """Stop reading, or read again."""
        self._ask("mute", muted)

    def status(self) -> Status:
        """How it stands."""
        return self._ask("status")

    def ids(self) -> list[Sequence[int]]:
        """What each stream got, in order."""
        return [array("q", packed) for packed in self._ask("ids")]

    def times(self) -> list[Sequence[float]]:
        """When each row of `ids()` came, on the monotonic clock."""
        return [array("d", packed) for packed in self._ask("times")]

    def named(self) -> list[tuple[list[str], list[int]]]:
        """`goodbye` and `reset` events and all retry times of each stream."""
        return self._ask("named")

    def wait_rows(self, rows: int, timeout: float) -> bool:
        """Until that many rows came over all streams; False when time is up."""
        deadline = time.monotonic() + timeout
        while self.status().rows < rows:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def child(pipe: Connection, targets: Sequence[Target], receive_buffer: int) -> None:
    """Entry point of the child process."""
    Worker(pipe, targets, receive_buffer).run()


def differences(expected: Sequence[Sequence[int]], got: Sequence[Sequence[int]]) -> Counter[str]:
    """Lost, repeated, foreign and disordered rows, over all streams."""
    found: Counter[str] = Counter()
    for want, have in zip(expected, got, strict=True):
        if list(want) == list(have):
            continue
        wanted, counted = set(want), Counter(have)
        found["lost"] += len(wanted - counted.keys())
        found["foreign"] += len(counted.keys() - wanted)
        found["repeated"] += sum(counted.values()) - len(counted)
        found["disordered"] += sum(a > b for a, b in zip(have, list(have)[1:], strict=False))
    return +found
