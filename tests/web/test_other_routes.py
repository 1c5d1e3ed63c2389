"""Health, metrics, errors, the OpenAPI document, and what only development mode has."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from belfry import monitoring
from streams import Belfry, Serve, eventually, send


@pytest.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve()


async def get(belfry: Belfry, path: str, **more: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        return await http.get(path, **more)


async def metrics(belfry: Belfry) -> dict[str, float]:
    """Every sample, by its name and labels."""
    answer = await get(belfry, "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        sample.name + "".join(f" {each}" for each in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_live_and_ready_say_so(belfry: Belfry):
    await eventually(lambda: belfry.relay.ready)
    assert (await get(belfry, "/live")).status_code == 200
    assert (await get(belfry, "/ready")).status_code == 200


async def test_ready_is_503_while_the_database_is_away_and_live_is_200(belfry: Belfry):
    url = belfry.config.database_url or ""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    elsewhere = psycopg.conninfo.make_conninfo(url, dbname="postgres")
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as connection:
        await connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            await eventually(lambda: not belfry.relay.ready)
            assert (await get(belfry, "/ready")).status_code == 503
            assert (await get(belfry, "/live")).status_code == 200
        finally:
            await connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())
    await eventually(lambda: belfry.relay.ready)
    assert (await get(belfry, "/ready")).status_code == 200


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics", "/schema", "/schema/openapi.json", "/v1/inbox"])
async def test_what_can_be_got_can_be_asked_for_its_head(belfry: Belfry, path: str):
    await eventually(lambda: belfry.relay.ready)
    headers = {"authorization": f"Bearer {belfry.token()}"}
    async with httpx.AsyncClient(base_url=belfry.url, headers=headers) as http:
        head, whole = await http.head(path), await http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
        assert int(head.headers["content-length"]) > 0
        assert (await http.head("/nowhere")).status_code == 404


async def test_the_port_of_those_who_watch_answers_head_too(belfry: Belfry):
    await eventually(lambda: belfry.relay.ready)
    inside = httpx.ASGITransport(monitoring._routes(belfry.app))
    async with httpx.AsyncClient(transport=inside, base_url="http://here") as http:
        for path in ("/live", "/ready", "/metrics"):
            answer = await http.head(path)
            assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/stream/", "/v1//stream", "//v1/stream"])
async def test_a_stream_has_no_head(belfry: Belfry, path: str):
    headers = {"authorization": f"Bearer {belfry.token()}"}
    async with httpx.AsyncClient(base_url=belfry.url, headers=headers) as http:
        assert (await http.head(belfry.url + path)).status_code in (404, 405)
    assert belfry.relay.load == 0


async def test_metrics_tell_what_happened(belfry: Belfry, connect: Any):
    writer = await connect()
    before = await metrics(belfry)
    clients = [await belfry.live(), await belfry.live(), await belfry.live("u2")]
    await belfry.asleep()
    sent = await send(writer, "one")
    for client in clients[:2]:
        assert await client.titles(1) == ["one"]
    clients[2].cut()
    await eventually(lambda: belfry.relay.load == 2)
    after = await metrics(belfry)
    assert after["belfry_streams"] == 2
    assert after["belfry_position"] == sent
    assert after["belfry_deliveries_total"] - before["belfry_deliveries_total"] == 2
    assert after["belfry_rows_total bell"] == 1
    assert after["belfry_row_queries_total"] > before["belfry_row_queries_total"]
    assert after["belfry_replays_total none"] == 3
    assert after["belfry_notifies_total"] > 0
    assert after["belfry_listener_connects_total"] == 1
    assert after["belfry_changes_total"] - before["belfry_changes_total"] == 0
    await writer.execute("SELECT belfry.mark_read('u1', %s)", ([sent],))
    await clients[0].until("change")
    told = await metrics(belfry)
    assert told["belfry_changes_total"] - after["belfry_changes_total"] == 1
    assert told["belfry_badge_queries_total"] - after["belfry_badge_queries_total"] == 1
    await belfry.relay.hub.drain(0.5)
    assert (await metrics(belfry))["belfry_streams_ended_total drain"] == 2


async def test_a_reset_is_counted_by_its_reason(belfry: Belfry):
    client = await belfry.open(last_id="nonsense")
    await client.until("ready")
    assert (await metrics(belfry))["belfry_resets_total malformed"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, "/schema"),
        ("GET", "/v1/notifications/one", 404, "/schema"),
        ("POST", "/v1/stream", 405, "GET"),
        ("DELETE", "/live", 405, "HEAD"),
        ("PUT", "/v1/notifications/1", 405, "PATCH"),
    ],
)
async def test_every_error_is_a_problem_document_that_says_what_to_do(
    belfry: Belfry, method: str, path: str, status: int, words: str
):
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        answer = await http.request(method, path)
    document = answer.json()
    assert answer.status_code == document["status"] == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert {"type", "title", "status", "detail"} <= document.keys()
    assert words in document["detail"]


async def test_the_openapi_document_names_the_routes(belfry: Belfry):
    answer = await get(belfry, "/schema/openapi.json")
    assert answer.status_code == 200
    assert {"/v1/stream", "/v1/notifications", "/live", "/ready", "/metrics"} <= answer.json()["paths"].keys()
    assert answer.json()["paths"]["/ready"]["get"]["responses"].keys() == {"200", "503"}


async def test_the_demo_is_there_in_development_mode_only(serve: Serve):
    plain, dev = await serve(), await serve(dev=True)
    for path in ("/", "/demo/session", "/demo/demo.js"):
        assert (await get(plain, path)).status_code == 404
        assert (await get(dev, path)).status_code == 200


async def test_the_demo_hands_out_only_its_own_files(serve: Serve):
    dev = await serve(dev=True)
    for path in ("/demo/..%2f__init__.py", "/demo/%2e%2e%2fserver.py", "/demo/nothing.js", "/demo/.html"):
        assert (await get(dev, path)).status_code in (400, 404)
