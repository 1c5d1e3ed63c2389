"""GET /v1/stream: a recipient's notifications and changes as Server-Sent Events."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response.base import ASGIResponse

from belfry import access, sse
from belfry.auth import Credential
from belfry.config import Config
from belfry.hub import Stream
from belfry.protocol import TakeOver, take_over_of
from belfry.relay import Relay
from belfry.vocabulary import QueryNames, QueryTenant, refusals

OVERLOADED_SPREAD_MILLISECONDS = 15_000


class EventStream(ASGIResponse):
    """The open response: it begins, and hands the stream to the relay."""

    __slots__ = ("_relay", "_requested", "_stream", "_take_over")
    _should_set_content_length = False

    def __init__(self, relay: Relay, stream: Stream, requested: str | None, take_over: TakeOver | None) -> None:
        last = {} if take_over is None else {"connection": "close"}
        super().__init__(headers={**_headers(), **last}, media_type="text/event-stream")
        self._relay = relay
        self._stream = stream
        self._requested = requested
        self._take_over = take_over

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.start_response(send=send)
        await send(sse.body(sse.retry(self._relay.hub.jittered_retry())))
        stream = self._stream
        if self._take_over is None:
            stream.send = send
            await self._stay(receive)
        elif connection := self._take_over(partial(self._relay.detach, stream)):
            stream.send, stream.put, stream.abort = connection.send, connection.put, connection.abort
            self._relay.attach(stream, self._requested)

    async def _stay(self, receive: Any) -> None:
        """Where the server keeps its connections to itself: wait until the client has left, or all is said."""
        try:
            self._relay.attach(self._stream, self._requested)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._relay.detach(self._stream)


class Refusal(ASGIResponse):
    """200, a `goodbye` and the end: any other status would make a browser stop for good."""

    _should_set_content_length = False

    def __init__(self, goodbye: bytes) -> None:
        super().__init__(headers=_headers(), media_type="text/event-stream", body=goodbye)


@get(
    "/v1/stream",
    summary="Stream notifications and changes",
    tags=["stream"],
    responses={
        200: ResponseSpec(data_container=str, media_type="text/event-stream", description="An endless stream"),
        **{status: refusals()[status] for status in (400, 401)},
    },
    security=[*access.AS_RECIPIENT, {"ticket": []}],
)
async def stream(
    request: Request[Any, Any, Any],
    relay: NamedDependency[Relay],
    cursor: Annotated[str | None, QueryParameter(description="Where a first connection begins; 0: all")] = None,
    last_event_id: Annotated[
        str | None, QueryParameter(name="lastEventId", description="For polyfills that cannot send the header")
    ] = None,
    topic: QueryNames = None,
    tenant: QueryTenant = None,
    ticket: Annotated[str | None, QueryParameter(description="A ticket instead of a header or cookie")] = None,
) -> ASGIResponse:
    """Open the stream: what the client missed since its cursor, then `ready`, then what is new."""
    state = request.app.state  # one dependency, for Litestar makes tasks for several, and a crowd would wait in them
    config: Config = state.config
    credential = access.authenticate(request, state.verifier, ticket or "").narrowed(topic, tenant)
    if relay.load >= config.max_streams:
        return Refusal(relay.hub.goodbye("overloaded", OVERLOADED_SPREAD_MILLISECONDS))
    requested = request.headers.get("last-event-id") or last_event_id or cursor
    return EventStream(relay, _open(config, credential), requested, take_over_of(request.scope))


def _open(config: Config, credential: Credential) -> Stream:
    """The stream that a credential allows."""
    now = asyncio.get_running_loop().time()
    age = config.max_stream_age_seconds * random.uniform(0.8, 1.0)
    expiry = credential.expires_at - time.time()
    return Stream(
        recipient=credential.recipient,
        send=_nowhere,
        buffer_bytes=config.stream_buffer_bytes,
        tenant=credential.tenant,
        narrowed=credential.topics,
        ends_at=now + min(age, expiry),
        ends_because="expired" if expiry < age else "rotate",
        beats_at=now + config.heartbeat_seconds * random.uniform(0.5, 1.0),
    )


def _headers() -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in sse.HEADERS}


async def _nowhere(message: Any) -> None:
    """Stands for `send` until the response begins."""
