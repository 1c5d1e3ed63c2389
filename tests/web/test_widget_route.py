"""GET /widget.js and the files behind it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from belfry.web import widget
from streams import Belfry, Serve

WIDGET = Path(__file__).parents[2] / "app" / "belfry" / "widget"


@pytest.fixture
async def belfry(serve: Serve) -> Belfry:
    return await serve(cors_origins=("https://app.example.com",))


async def ask(belfry: Belfry, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=belfry.url) as http:
        return await http.request(
            method, path, headers={name.replace("_", "-"): each for name, each in headers.items()}
        )


async def kept(belfry: Belfry) -> str:
    """The path of the file that /widget.js leads to."""
    found = re.fullmatch(
        r'export \* from "\.(/widget/[0-9a-f]{12}/belfry\.js)";\n', (await ask(belfry, "/widget.js")).text
    )
    assert found is not None
    return found[1]


async def test_widget_js_leads_to_the_files_of_this_version(belfry: Belfry):
    answer = await ask(belfry, await kept(belfry))
    assert answer.status_code == 200
    assert answer.content == widget.modules()["belfry.js"]
    assert "immutable" in answer.headers["cache-control"]
    assert (await ask(belfry, "/widget.js")).headers["cache-control"] == "no-cache"


async def test_every_file_that_a_file_imports_is_served(belfry: Belfry):
    base, seen = (await kept(belfry)).removesuffix("belfry.js"), set[str]()
    names = {"index.js", "client.js"}
    while names:
        seen |= names
        texts = [(await ask(belfry, base + name)).raise_for_status().text for name in names]
        found = re.findall(r"^(?!.*@import).*from '\./([\w.-]+)'", "\n".join(texts), re.MULTILINE)
        names = set(found) - seen
    assert len(seen) > 5


@pytest.mark.parametrize("path", ["/widget.js", "/widget/client.js", "/widget/000000000000/client.js"])
async def test_a_page_of_any_origin_may_import_it(belfry: Belfry, path: str):
    answer = await ask(belfry, path, origin="https://elsewhere.example")
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"


async def test_what_all_sites_share_does_not_depend_on_who_asks(belfry: Belfry):
    """A cache between may give one site what another has asked for, packed only to whoever unpacks."""
    for path in ("/widget.js", await kept(belfry)):
        named = await ask(belfry, path, origin="https://app.example.com")
        assert named.headers.get_list("access-control-allow-origin") == ["*"]
        assert named.headers.get_list("vary") == ["Accept-Encoding"]
        assert "access-control-allow-credentials" not in named.headers


@pytest.mark.parametrize("path", ["/widget.js", "/widget/client.js"])
async def test_what_a_browser_has_already_is_not_sent_again(belfry: Belfry, path: str):
    first = await ask(belfry, path)
    again = await ask(belfry, path, if_none_match=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (await ask(belfry, path, if_none_match='"another"')).status_code == 200


async def test_it_is_packed_for_whoever_unpacks(belfry: Belfry):
    plain = await ask(belfry, "/widget/client.js", accept_encoding="identity")
    packed = await ask(belfry, "/widget/client.js", accept_encoding="br, gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    assert "accept-encoding" in packed.headers["vary"].lower()


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip;q=0", False),
        ("br, GZIP ; Q=0.000, *", False),
        ("*;q=0", False),
        ("deflate", False),
        ("gzip;q=nonsense", False),
        ("", False),
        ("gzip;q=0.5, identity", True),
        ("*", True),
        ("x-gzip", True),
    ],
)
async def test_who_takes_no_gzip_gets_none(belfry: Belfry, accepted: str, packed: bool):
    answer = await ask(belfry, "/widget.js", accept_encoding=accepted)
    assert (answer.headers.get("content-encoding") == "gzip") == packed


async def test_a_client_that_wants_it_only_where_it_has_nothing_has_it_already(belfry: Belfry):
    assert (await ask(belfry, "/widget/client.js", if_none_match="*")).status_code == 304
    assert (await ask(belfry, "/widget/nothing.js", if_none_match="*")).status_code == 404


async def test_its_head_can_be_asked_for(belfry: Belfry):
    answer = await ask(belfry, "/widget.js", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("name", ["nothing.js", "index.d.ts", "..%2Fserver.py", "%2e%2e/server.py", "a/b/client.js"])
async def test_nothing_else_is_there(belfry: Belfry, name: str):
    assert (await ask(belfry, f"/widget/{name}")).status_code == 404


def test_the_version_changes_with_any_file(monkeypatch: pytest.MonkeyPatch):
    before = widget.version()
    there: dict[str, Any] = widget.modules()
    monkeypatch.setattr(widget, "modules", lambda: there | {"store.js": there["store.js"] + b" "})
    widget.version.cache_clear()
    try:
        assert widget.version() != before
    finally:
        widget.version.cache_clear()
