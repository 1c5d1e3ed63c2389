"""Following one recipient's stream over HTTP, as a browser does: resumed by `Last-Event-ID`, honest about it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from belfry import auth, errors
from belfry.backoff import Backoff
from belfry.commands import common
from belfry.config import Config

TOKEN_SECONDS = 24 * 3600
CONNECT_SECONDS = 10.0
MISSED_HEARTBEATS = 2.5


@dataclass(slots=True)
class Event:
    """One dispatched event of an event stream."""

    name: str
    data: str


class Parser:
    """The lines of an event stream as events; keeps the last id and the pause that the server asked for."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None

    def events(self, lines: Iterable[str]) -> Iterator[Event]:
        """The events; an unfinished one at the end is dropped, as the specification says."""
        name, data, last_id = "", list[str](), self.last_id
        for line in lines:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "" if not line:
                    self.last_id = last_id
                    if data:
                        yield Event(name or "message", "\n".join(data))
                    name, data = "", []
                case "event":
                    name = value
                case "data":
                    data.append(value)
                case "id" if "\0" not in value:
                    last_id = value
                case "retry" if value.isdecimal():
                    self.retry_seconds = int(value) / 1000
                case _:
                    pass


def follow(
    config: Config, address: str, recipient: str, topic: str | None, cursor: str | None, show: Callable[[str], None]
) -> None:
    """Show the stream until interrupted. Raises RelayUnreachable (at first only), Unauthorized."""
    parser = Parser(cursor or "")
    backoff = Backoff(1.0, 15.0)
    began = False
    while True:
        token = auth.mint(config, recipient, TOKEN_SECONDS)
        try:
            for event in _connect(address, token, topic, parser):
                began = True
                backoff.reset()
                _take(event, show)
            reason = "The stream has ended."
        except (OSError, http.client.HTTPException) as error:
            if not began:
                raise errors.RelayUnreachable(
                    f"No relay answers at {address}: start one with `belfry serve`, or say where it is with --url."
                ) from error
            reason = "The relay says nothing." if isinstance(error, TimeoutError) else "The connection is lost."
        pause = parser.retry_seconds or backoff.next_seconds()
        parser.retry_seconds = None
        common.note(f"{reason} Again in {pause:.1f} s, from {parser.last_id or 'now'}.")
        time.sleep(pause)


def _connect(address: str, token: str, topic: str | None, parser: Parser) -> Iterator[Event]:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.UsageError(f"{address} is no address such as http://127.0.0.1:8080")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=CONNECT_SECONDS)
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if parser.last_id:
        headers["Last-Event-ID"] = parser.last_id
    try:
        query = "?" + urlencode({"topic": topic}) if topic is not None else ""
        connection.request("GET", f"{parts.path.rstrip('/')}/v1/stream{query}", headers=headers)
        response = connection.getresponse()
        _accept(response, address)
        for event in parser.events(_lines(response)):
            if event.name == "ready" and connection.sock is not None:
                connection.sock.settimeout(float(json.loads(event.data)["heartbeat_seconds"]) * MISSED_HEARTBEATS)
            yield event
    finally:
        connection.close()


def _lines(response: http.client.HTTPResponse) -> Iterator[str]:
    while line := response.readline():
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _accept(response: http.client.HTTPResponse, address: str) -> None:
    if response.status == http.client.UNAUTHORIZED:
        raise errors.Unauthorized(
            f"The relay at {address} does not know this secret: set BELFRY_SECRET to the relay's."
        )
    if response.status >= http.client.INTERNAL_SERVER_ERROR:
        raise http.client.HTTPException(f"status {response.status}")
    if response.status != http.client.OK or "event-stream" not in (response.getheader("content-type") or ""):
        raise errors.RelayUnreachable(
            f"What answers at {address} is no Belfry (status {response.status}): say where the relay is with --url."
        )


def _take(event: Event, show: Callable[[str], None]) -> None:
    match event.name:
        case "message":
            show(event.data)
        case "ready":
            common.note(f"Live as {json.loads(event.data)['recipient']}, Ctrl-C ends.")
        case "goodbye":
            common.note(f"The relay ends the stream: {json.loads(event.data)['reason']}.")
        case "reset":
            common.note(f"The relay cannot go on from that cursor ({json.loads(event.data)['reason']}).")
        case "change":
            change = json.loads(event.data)
            common.note(" ".join(str(change[name]) for name in ("verb", "topic", "ids") if change.get(name)))
        case _:
            pass
