"""A raw SSE client over asyncio: the specification's parser, chunked bodies, cursors, and cuts in mid-frame.

Nothing of Belfry is imported, so that a mistake in the relay cannot hide behind the same mistake here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

CURSOR = re.compile(r"^(?:(?P<epoch>[a-z0-9]{6})\.)?(?P<head>\d+)(?:~(?P<gaps>[\d,-]+))?$")


class Refused(Exception):
    """The server answered with a status other than 200."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:200]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Frame:
    """One dispatched event, or (with `event` empty) a block that only set the id or the retry time."""

    id: str
    event: str
    data: str
    retry_milliseconds: int | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """A parsed cursor: everything at or below `head` was seen, except what lies in `gaps` (inclusive ranges)."""

    epoch: str
    head: int
    gaps: tuple[tuple[int, int], ...]

    def covers(self, position: int) -> bool:
        """Whether this position is said to have been delivered."""
        return position <= self.head and not any(low <= position <= high for low, high in self.gaps)


def parse_cursor(text: str) -> Cursor:
    """`1042~3,8-9`: the gaps are distances below the head. Raises ValueError for what is no cursor."""
    match = CURSOR.match(text)
    if not match:
        raise ValueError(f"not a cursor: {text!r}")
    head = int(match["head"])
    gaps: list[tuple[int, int]] = []
    for part in filter(None, (match["gaps"] or "").split(",")):
        near, _, far = part.partition("-")
        gaps.append((head - int(far or near), head - int(near)))
    return Cursor(match["epoch"] or "", head, tuple(gaps))


class Parser:
    """WHATWG event stream parser: bytes in, frames out. `last_id` is what a browser would send on reconnect."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self._id = last_id
        self._buffer = b""
        self._event = ""
        self._data: list[str] = []
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by these bytes. Lines must end in LF or CRLF (a bare CR is not used here)."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        frames: list[Frame] = []
        for line in lines:
            text = line.rstrip(b"\r").decode()
            if text:
                self._field(text)
            elif frame := self._dispatch():
                frames.append(frame)
        return frames

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value.isdigit():
            self._retry = int(value)

    def _dispatch(self) -> Frame | None:
        self.last_id = self._id
        frame = None
        if self._data:
            frame = Frame(self.last_id, self._event or "message", "\n".join(self._data), self._retry)
        elif self._retry is not None:
            frame = Frame(self.last_id, "", "", self._retry)
        self._event, self._data, self._retry = "", [], None
        return frame


class Dechunker:
    """Removes the framing of `Transfer-Encoding: chunked`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = -1  # bytes left of this chunk's data and its CRLF; -1 = a size line comes next
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Body bytes contained in what came so far."""
        self._buffer += data
        out = bytearray()
        while self._buffer and not self.ended:
            if self._left < 0:
                line, found, rest = self._buffer.partition(b"\r\n")
                if not found:
                    break
                size = int(line.split(b";")[0] or b"0", 16)
                self._buffer, self._left = rest, size + 2
                self.ended = size == 0
            else:
                take = min(self._left, len(self._buffer))
                out += self._buffer[: max(0, min(take, self._left - 2))]
                del self._buffer[:take]
                self._left = self._left - take or -1
        return bytes(out)


def request(path: str, host: str, *, token: str = "", last_event_id: str = "") -> bytes:
    """The bytes of an EventSource's request."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Accept: text/event-stream", "Cache-Control: no-cache"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if last_event_id:
        lines.append(f"Last-Event-ID: {last_event_id}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Stream:
    """One open stream. `truncate` makes the next read keep that many bytes only, then the connection is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last_id: str) -> None:
        self.parser = Parser(last_id)
        self.truncate: int | None = None
        self._reader, self._writer = reader, writer
        self._body = Dechunker()

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames until the connection ends, for whatever reason."""
        while not self._body.ended:
            try:
                data = await self._reader.read(65536)
            except (ConnectionError, OSError):
                return
            if not data:
                return
            if self.truncate is not None:
                data = data[: self.truncate]
            for frame in self.parser.feed(self._body.feed(data)):
                yield frame
            if self.truncate is not None:
                self.abort()
                return

    def abort(self) -> None:
        """Cut the connection with a reset, without a word."""
        self._writer.transport.abort()


async def connect(
    host: str, port: int, path: str, *, token: str = "", last_event_id: str = "", timeout: float = 10
) -> Stream:
    """Open a stream and read its head. Raises Refused, OSError or TimeoutError."""
    async with asyncio.timeout(timeout):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request(path, f"{host}:{port}", token=token, last_event_id=last_event_id))
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            if status != 200:
                raise Refused(status, (await reader.read(2000)).decode(errors="replace"))
            if "transfer-encoding: chunked" not in head.lower():
                raise Refused(status, "the stream is not chunked")
        except asyncio.IncompleteReadError as error:
            writer.transport.abort()
            raise ConnectionResetError("closed before the head of the answer was complete") from error
        except BaseException:
            writer.transport.abort()
            raise
    return Stream(reader, writer, last_event_id)
