"""Every request has an id: in the answer, in problems, in the log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from belfry import logs
from belfry.web.requests import RequestIds
from streams import Belfry, Serve, eventually

Lines = Callable[[], list[dict[str, Any]]]


@pytest_asyncio.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve(cors_origins=("https://app.example.com",))


@pytest_asyncio.fixture
async def http(belfry: Belfry) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=belfry.url) as client:
        yield client


@pytest.fixture
def log() -> Iterator[Lines]:
    """What was logged, as JSON."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    logs.configure("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False


def as_u1(belfry: Belfry, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {belfry.token()}", **more}


async def test_an_answer_has_the_id_that_its_request_brought(http: httpx.AsyncClient, belfry: Belfry):
    answer = await http.get("/v1/inbox", headers=as_u1(belfry, **{"x-request-id": "ab-12_3.Z"}))
    assert answer.headers["x-request-id"] == "ab-12_3.Z"


@pytest.mark.parametrize("given", [None, "", "with space", "x" * 129, "a\tb", "é", "<script>"])
async def test_without_a_well_formed_one_it_is_given_a_new_one(
    http: httpx.AsyncClient, belfry: Belfry, given: str | None
):
    headers = as_u1(belfry) if given is None else as_u1(belfry, **{"x-request-id": given.encode("latin-1")})  # type: ignore[arg-type]
    found = {(await http.get("/v1/inbox", headers=headers)).headers["x-request-id"] for _ in range(2)}
    assert len(found) == 2
    assert all(len(each) == 16 for each in found)


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/inbox", 401), ("/nowhere", 404), ("/v1/inbox?limit=many", 401), ("/v1/stream", 401)]
)
async def test_a_problem_tells_the_id_too(http: httpx.AsyncClient, path: str, status: int):
    answer = await http.get(path)
    assert answer.status_code == answer.json()["status"] == status
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_stream_and_a_preflight_have_one(belfry: Belfry, http: httpx.AsyncClient):
    client = await belfry.open()
    assert len(client.answer["x-request-id"]) == 16
    asked = {"origin": "https://app.example.com", "access-control-request-method": "GET"}
    answer = await http.options("/v1/inbox", headers=asked | {"access-control-request-headers": "x-request-id"})
    assert answer.headers["x-request-id"]
    assert "x-request-id" in answer.headers["access-control-allow-headers"].lower()
    answer = await http.get("/v1/inbox", headers=as_u1(belfry, origin="https://app.example.com"))
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()


async def test_what_is_refused_is_a_line_without_the_query(http: httpx.AsyncClient, log: Lines):
    answer = await http.get("/v1/stream?ticket=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.c2VjcmV0")
    (line,) = [line for line in log() if line["action"] == "request_refused"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/v1/stream", 401, "info")
    assert line["milliseconds"] >= 0
    assert "eyJ" not in json.dumps(log())


@pytest.mark.parametrize(
    ("status", "action", "level"),
    [
        *[(status, "request_refused", "info") for status in (401, 403, 429)],
        *[(status, "request_failed", "warning") for status in (500, 503)],
        *[(status, "request", "debug") for status in (200, 204, 404, 422)],
    ],
)
async def test_the_status_decides_how_loud_a_line_is(log: Lines, status: int, action: str, level: str):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with httpx.AsyncClient(transport=httpx.ASGITransport(RequestIds(app)), base_url="http://here") as client:
        await client.get("/x")
    assert [(line["action"], line["level"]) for line in log() if "milliseconds" in line] == [(action, level)]
    assert logs.request_id.get() is None, "it ends with its request"


async def test_a_path_cannot_write_a_line_of_its_own(http: httpx.AsyncClient, log: Lines):
    await http.get("/a%0a12:00:00 info x: y")
    (line,) = [line for line in log() if line["action"] == "request"]
    assert "\n" not in line["message"]


async def test_what_is_said_while_a_request_is_answered_has_its_id_and_nothing_else_has_it(
    belfry: Belfry, http: httpx.AsyncClient, log: Lines, monkeypatch: pytest.MonkeyPatch
):
    def breaks(*_: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("belfry.web.inbox.inbox.counts", breaks)
    answer = await http.get("/v1/inbox/counts", headers=as_u1(belfry))
    assert answer.status_code == 500
    await eventually(lambda: belfry.relay.ready)
    logging.getLogger("belfry.relay").info("by itself", extra={"action": "relay_ready"})
    told = {line["action"]: line.get("request_id") for line in log()}
    assert told["bug"] == answer.headers["x-request-id"]
    assert told["relay_ready"] is None
