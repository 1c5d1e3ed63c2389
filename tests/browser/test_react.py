"""The hooks and components in React: drawn on a server, taken over by a browser, live."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browsing import Pages
from playwright.sync_api import Browser, Page
from serving import Server, until

from browser.test_tabs import streams

ROOT = Path(__file__).parents[2]
HERE = ROOT / "tests" / "react"
CACHE = ROOT / ".cache" / "react"
HTML = """<!doctype html><title>Shop</title><div id="root">{drawn}</div>
<script>globalThis.given = {given}</script><script type="module" src="/react.js"></script>"""


@pytest.fixture(scope="module")
def packages() -> Path:
    """React and esbuild as they are pinned, fetched once into .cache/."""
    npm = shutil.which("npm") or pytest.skip("needs npm once, to fetch React: apt install npm")
    lock = "package-lock.json"
    if not (CACHE / lock).exists() or (CACHE / lock).read_bytes() != (HERE / lock).read_bytes():
        CACHE.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", CACHE)
        shutil.copy(HERE / lock, CACHE / "package-lock.json")
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=CACHE, capture_output=True, check=False)
        if done.returncode:
            (CACHE / lock).unlink()
            pytest.skip("npm cannot fetch React: is there a network?")
    return CACHE / "node_modules"


def bundled(packages: Path, name: str, platform: str) -> str:
    """A file with all that it imports."""
    command = [packages / ".bin" / "esbuild", HERE / name, "--bundle", "--format=esm", "--jsx=automatic"]
    done = subprocess.run(
        [*command, f"--platform={platform}", '--define:process.env.NODE_ENV="development"', "--log-level=error"],
        env={"NODE_PATH": str(packages), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def drawn(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a server draws."""
    script = tmp_path_factory.mktemp("react") / "server.mjs"
    banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);\n"
    script.write_text(banner + bundled(packages, "server.jsx", "node"))
    done = subprocess.run(["node", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def page(browser: Browser, pages: Pages, server: Server, packages: Path, drawn: str) -> Page:
    """The page in a browser, for two people one after the other."""
    server.start()
    given = {"src": server.url, "tokens": [server.token("u1"), server.token("u2")]}
    pages.put("/react.js", bundled(packages, "browser.jsx", "browser"), "text/javascript")
    one = browser.new_context().new_page()
    one.on("console", lambda line: line.type in ("error", "warning") and print(line.text, file=sys.stderr))  # noqa: T201
    one.goto(pages.put("/react.html", HTML.format(drawn=drawn, given=json.dumps(given))))
    until(lambda: one.locator("#list").get_attribute("data-status") == "live")
    return one


def test_a_server_draws_a_bell_that_is_not_connected(drawn: str) -> None:
    assert '<belfry-bell hosted="" title-badge="" lang="en"><svg slot="icon"' in drawn
    assert '<output id="counts">0<!-- -->/<!-- -->0</output>' in drawn
    assert 'data-status="idle"' in drawn


def test_a_page_is_taken_over_without_a_complaint_and_is_live(
    page: Page, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.send("Hello")
    until(lambda: page.locator("#counts").text_content() == "1/1")
    assert page.locator("#list li.unread").all_text_contents() == ["Hello"]
    until(lambda: page.locator("belfry-inbox.wide [part~=title]").all_text_contents() == ["Hello"])
    assert page.locator("belfry-inbox.wide [part=heading]").text_content() == "News"
    until(lambda: page.title() == "(1) Shop")
    page.locator("#list li").click()
    until(lambda: server.counts()[0] == 0 and page.locator("#counts").text_content()[0] == "0")
    assert page.evaluate("faults") == []
    assert capsys.readouterr().err == ""


def test_a_provider_that_is_mounted_twice_has_one_stream_and_none_when_it_is_gone(page: Page, server: Server) -> None:
    assert streams(server) == 1
    page.locator("#other").click()
    page.locator("#other").click()
    until(lambda: streams(server) == 0)
    assert page.locator("belfry-bell").count() == 0


def test_the_token_of_another_person_brings_their_inbox(page: Page, server: Server) -> None:
    server.send("for the first")
    server.send("for the second", "u2")
    until(lambda: page.locator("#list li").all_text_contents() == ["for the first"])
    page.locator("#other").click()
    until(lambda: page.locator("#list li").all_text_contents() == ["for the second"])
    until(lambda: page.locator("belfry-inbox.wide [part~=title]").all_text_contents() == ["for the second"])
    until(lambda: streams(server) == 1)


def test_what_somebody_opens_is_told_to_the_page(page: Page, server: Server) -> None:
    server.send("Read me")
    page.locator("belfry-bell button[part=bell]").click()
    page.locator("belfry-bell [part~=item] [part=title]").click()
    until(lambda: page.locator("#opened").text_content() == "Read me")
