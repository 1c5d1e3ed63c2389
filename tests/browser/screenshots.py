"""The pictures of the README, of the demo on an embedded Postgres.

`PYTHONPATH=tests:tests/browser python -m tests.browser.screenshots` takes them anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page

from acceptance.commandline import free_port
from bench.chromium import MISSING, browsing, chromium

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"
SECONDS = 120
SENT = ("Comment", "Review", "Likes, grouped", "Likes, grouped", "To a team", "To everyone", "Failed deploy")


@contextmanager
def demo() -> Generator[str]:
    """The demo's address."""
    port = free_port()
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "belfry", "serve", "--dev", "--port", str(port)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            deadline = time.monotonic() + SECONDS
            while not re.match("Belfry is at", process.stdout.readline()):
                assert time.monotonic() < deadline, "the demo does not start"
            try:
                yield f"http://127.0.0.1:{port}/"
            finally:
                process.terminate()


def fill(page: Page) -> None:
    """A day in the life of an inbox."""
    for example in SENT:
        page.get_by_role("button", name=example).click()
        if example == "To a team":
            page.get_by_role("button", name="subscribe now").click()
            page.get_by_text("is subscribed to").wait_for()
        page.get_by_role("button", name="Send", exact=True).click()
        page.get_by_text("Committed as").wait_for()
    page.locator("#laptop > belfry-inbox [part=title]", has_text="Mei Tanaka").click()
    page.mouse.move(5, 5)
    page.wait_for_timeout(1500)


def main() -> None:
    """Take them."""
    FOLDER.mkdir(exist_ok=True)
    with demo() as address, browsing(chromium() or sys.exit(MISSING)) as browser:
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": 1360, "height": 940}, color_scheme=scheme)
            page.goto(address)
            page.get_by_text("Live", exact=True).last.wait_for()
            if scheme == "light":
                fill(page)
            page.wait_for_timeout(1000)
            page.screenshot(path=FOLDER / f"demo-{scheme}.png")


if __name__ == "__main__":
    main()
