"""The example of React, built and served as its README says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser
from serving import SECRET, Server, until

from acceptance.commandline import free_port
from browser.test_tabs import streams
from react.packages import ROOT, WIDGET, packages

EXAMPLE = ROOT / "examples" / "react"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The example after `npm install` and `npm run build`."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    for found in packages().iterdir():
        target = folder / "node_modules" / found.name
        target.parent.mkdir(exist_ok=True)
        if found.name == "belfry-widget":
            shutil.copytree(WIDGET, target)
        else:
            target.symlink_to(found)
    done = subprocess.run(["npm", "run", "build"], cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "dist"


@pytest.fixture
def shop(built: Path, database: str, tmp_path: Path) -> Generator[tuple[str, Server]]:
    """The example's origin, and its relay."""
    port = free_port()
    origin = f"http://localhost:{port}"
    with Server(database, tmp_path, cors_origins=origin) as relay:
        relay.start()
        settings = {"BELFRY_URL": relay.url, "BELFRY_SECRET": SECRET, "PORT": str(port)}
        with subprocess.Popen(
            ["node", built / "server.js"], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == f"{origin}/\n"
                yield origin, relay
            finally:
                process.kill()


def test_it_is_drawn_by_the_server_and_live_in_the_browser_over_one_stream(
    shop: tuple[str, Server], browser: Browser
) -> None:
    origin, relay = shop
    assert '<belfry-bell toasts="" lang="en" title-badge="" hosted=""><svg' in httpx.get(origin).text
    complaints: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        page.goto(origin)
        until(lambda: page.locator("main li, main ul").count() == 1)
        relay.send("On its way", "demo")
        page.locator("main li", has_text="On its way").wait_for()
        until(lambda: page.locator("#greeting").text_content() == "1 unread" and page.title() == "(1) Shop")
        page.locator("main li button").click()
        until(lambda: relay.counts("demo")[0] == 0 and page.locator("#greeting").text_content() == "Nothing unread")
        until(lambda: page.locator("main li").count() == 0)
        assert streams(relay) == 1
    assert complaints == []


def test_a_notification_without_a_title_is_listed_by_its_kind(shop: tuple[str, Server], browser: Browser) -> None:
    origin, relay = shop
    relay.send("", "demo")
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(origin)
        page.locator("main li").wait_for()
        assert page.locator("main li").inner_text() == "test Mark as read"
