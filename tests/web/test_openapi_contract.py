"""The OpenAPI document is what the server does: schemathesis tries to find where it is not."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from asking import Api
from streams import Serve

SECONDS = 180
CONFIG = """
[auth.openapi.token]
bearer = "{token}"
[auth.openapi.cookie]
api_key = "{token}"
[auth.openapi.api_key]
bearer = "{key}"

# What no schema says: a snooze in the past, two audiences, a kind that is required.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "403", "404", "409", "422"]
"""
ARGUMENTS = [
    *(
        "--checks",
        "all",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "10",
        "--workers",
        "1",
    ),  # Python 3.11 cannot parse in two threads
    *("--exclude-path", "/v1/stream"),  # it never ends; test_stream_route.py has it
    *("--continue-on-failure", "--no-color", "--seed", "1"),
]


@pytest.mark.timeout(SECONDS)
async def test_schemathesis_finds_nothing(serve: Serve, connect: Any, tmp_path: Path):
    belfry = await serve(recipient_requests_per_minute=0, key_requests_per_minute=0)
    api = Api(belfry, await connect())
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(token=belfry.token(), key=await api.key()), encoding="utf-8")
    await api.http.aclose()
    running = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("schemathesis"), "--config-file", config),
        *("run", f"{belfry.url}/schema/openapi.json", *ARGUMENTS),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
    assert running.returncode == 0, told.decode()


# --- the document itself -------------------------------------------------------------------------------------


async def document(api: Api) -> dict[str, Any]:
    answer = await api.http.get("/schema/openapi.json")
    assert answer.status_code == 200
    return answer.json()


async def test_its_pages_need_nothing_from_elsewhere(api: Api):
    for path in ("/schema", "/schema/"):
        answer = await api.http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", answer.text)
        assert "<script" not in answer.text
        (reference,) = re.findall(r'href="([^"]+)"', answer.text)
        assert urljoin(path, reference) == "/schema/openapi.json"
    for elsewhere in ("swagger", "redoc", "elements", "rapidoc"):
        assert (await api.http.get(f"/schema/{elsewhere}")).status_code == 404


async def test_the_page_names_every_route(api: Api):
    page = (await api.http.get("/schema")).text
    for path, operations in (await document(api))["paths"].items():
        for method in operations:
            assert f"{method.upper()} {path}" in page


async def test_every_route_of_v1_says_what_credential_it_needs(api: Api):
    for path, operations in (await document(api))["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/v1/") and path != "/v1/stream":
                assert operation.get("security"), (method, path)


async def test_every_route_of_v1_refuses_who_comes_without_a_credential(api: Api):
    for path, operations in (await document(api))["paths"].items():
        for method in operations:
            if path.startswith("/v1/"):
                answer = await api.http.request(method, re.sub(r"\{\w+\}", "1", path))
                assert answer.status_code == 401, (method, path, answer.text)


async def test_limits_and_examples_are_in_the_document(api: Api):
    schemas = (await document(api))["components"]["schemas"]
    ids = schemas["Some"]["properties"]["ids"]
    assert (ids["minItems"], ids["items"]["maximum"]) == (1, 2**63 - 1)
    assert schemas["Outgoing"]["additionalProperties"] is False
    assert schemas["Outgoing"]["properties"]["kind"]["examples"] == ["comment.created"]
    assert {"token", "cookie", "ticket", "api_key"} == (await document(api))["components"]["securitySchemes"].keys()


async def test_options_name_every_method_of_a_route(api: Api):
    for path, operations in (await document(api))["paths"].items():
        answer = await api.http.options(re.sub(r"\{\w+\}", "1", path))
        allowed = set(answer.headers["allow"].split(", "))
        assert allowed == {"OPTIONS", *(method.upper() for method in operations)}, path


async def test_a_page_of_a_known_origin_may_use_every_method(serve: Serve):
    belfry = await serve(cors_origins=("https://app.example",))
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        for origin, allowed in (("https://app.example", True), ("https://evil.example", False)):
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                answer = await http.options(
                    "/v1/preferences", headers={"origin": origin, "access-control-request-method": method}
                )
                granted = answer.headers.get("access-control-allow-origin") == origin
                assert granted == allowed, (origin, method)
                assert not allowed or method in answer.headers["access-control-allow-methods"]
