"""Pages with the elements: what a site would write, what the page complains of, and what it shows."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browsing import Pages
from playwright.sync_api import Browser, Locator, Page, Request
from serving import Server, until

CACHE = Path(__file__).parents[2] / ".cache"
AXE = "axe-core@4.14.1"
POLICY = "default-src 'none'; script-src {relay}; connect-src {relay}; img-src {relay}; style-src 'none'"
HTML = """<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>Shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script type="module" src="{relay}/widget.js"></script></head><body><main><h1>Shop</h1>{body}</main></body></html>"""
numbers = itertools.count(1)


@dataclass
class Site:
    """A relay for the tests of a module, and a site of another origin; each test has a recipient of its own."""

    browser: Browser
    pages: Pages
    server: Server
    recipient: str = ""
    faults: list[str] = field(default_factory=list[str])
    requests: list[str] = field(default_factory=list[str])

    def send(self, title: str = "Hello", **more: Any) -> int:
        """A notification for this test's recipient."""
        names = ", ".join(f"{name} => %({name})s" for name in more)
        query = f"SELECT belfry.send(%(recipient)s, 'test', %(title)s{', ' + names if names else ''})"
        cursor = self.server.sql.execute(query.encode(), {"recipient": self.recipient, "title": title, **more})
        return (cursor.fetchone() or [0])[0]

    def bell(self, attributes: str = "", inside: str = "") -> str:
        """One of the two lines."""
        return f'<belfry-bell token="{self.server.token(self.recipient)}" {attributes}>{inside}</belfry-bell>'

    def inbox(self, attributes: str = "", inside: str = "") -> str:
        """The list alone."""
        return f'<belfry-inbox token="{self.server.token(self.recipient)}" {attributes}>{inside}</belfry-inbox>'

    def open(self, body: str, *, lang: str = "en", policy: str = POLICY, **options: Any) -> Page:
        """A page with that body, in a context of its own."""
        page = self.browser.new_context(**options).new_page()
        page.on("console", lambda line: self.faults.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        page.on("request", self._note)
        relay = self.server.url
        html = HTML.format(lang=lang, relay=relay, body=body)
        headers = {"Content-Security-Policy": policy.format(relay=relay)} if policy else {}
        page.goto(self.pages.put(f"/page-{next(numbers)}", html, **headers))
        return page

    def _note(self, request: Request) -> None:
        self.requests.append(request.url)

    def counts(self) -> tuple[int, int]:
        return self.server.counts(self.recipient)


def titles(page: Page, within: str = "belfry-inbox") -> list[str]:
    """What the list shows."""
    return page.locator(f"{within} [part=title]").all_text_contents()


def rows(page: Page) -> Locator:
    return page.locator("belfry-inbox [part~=item]")


def shows(page: Page, *wanted: str) -> None:
    """Return when the list is that."""
    until(lambda: titles(page) == list(wanted))


def focused(page: Page) -> str:
    """What has the focus, through all shadows: its part and its text or label."""
    return page.evaluate("""() => {
      let at = document.activeElement;
      while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
      return `${at?.part?.value ?? at?.tagName}: ${at?.ariaLabel ?? at?.textContent.trim()}`;
    }""")


def axe() -> str:
    """axe-core's script, from npm the first time; the test is skipped where there is none."""
    folder = CACHE / AXE
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm") or pytest.skip("needs npm once, to fetch axe-core: apt install npm")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {AXE}: {done.stderr.strip()[-200:]}")
    return script.read_text(encoding="utf-8")
