"""The inbox under five hundred items: no task of the page that a hand or an eye would feel.

A page opens the inbox of somebody with 500 notifications, loads them all by scrolling to the end, and goes back to the
top; then 200 come at once. Measured is the longest task of the page's thread, by its own time on the processor.
Mark: the median of the rounds under 50 ms, what the Long Tasks API (W3C) calls a long one. The list must be complete.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import LiteralString

import psycopg
from playwright.sync_api import Browser, Page

from bench import report
from bench.chromium import MISSING, browsing, chromium
from bench.relay import token
from bench.stage import Stage, parser, stage

LONG_MS = 50
ITEMS, MORE = 500, 200
SETTINGS = {"BELFRY_RECIPIENT_REQUESTS_PER_MINUTE": "0"}
SEND: LiteralString = """
    SELECT belfry.send(%s, 'test', 'Number ' || n, 'Some words that say what it is about, in one line or two',
        actor => '{"name": "Ada Lindgren"}', actions => '[{"name": "a", "label": "Open"}]')
    FROM generate_series(1, %s) AS n
"""
SCROLL = "document.querySelector('belfry-inbox').shadowRoot.querySelector('[part=list]')"
UPWARDS = f"""async () => {{
  for (let at = {SCROLL}.scrollHeight; at > 0; at -= 700) {{
    {SCROLL}.scrollTop = at;
    await new Promise(requestAnimationFrame);
  }}
}}"""
HTML = """<!doctype html><title>Shop</title><script type="module" src="/widget.js"></script>
<belfry-inbox limit="100" token="{token}"></belfry-inbox>"""


def send(on: Stage, recipient: str, count: int) -> None:
    """So many notifications, each with all that a row shows, in one transaction."""
    with psycopg.connect(on.sender_url) as conn:
        conn.execute(SEND, (recipient, count))


class Inbox:
    """A page with the inbox of one recipient, watched from its opening on."""

    def __init__(self, browser: Browser, on: Stage, recipient: str) -> None:
        self._browser = browser
        self.page: Page = browser.new_page()
        address = f"http://127.0.0.1:{on.relay.port}/a-page"
        html = HTML.format(token=token(recipient))
        self.page.route(address, lambda route: route.fulfill(body=html, content_type="text/html"))
        self.page.goto(address)

    def count(self) -> int:
        """How many items stand in the list."""
        return self.page.locator("belfry-inbox [part=title]").count()

    def live(self) -> bool:
        """Whether the stream is open."""
        return self.page.evaluate("document.querySelector('belfry-inbox').client?.snapshot.status") == "live"

    def watch(self) -> None:
        """Count tasks from now on."""
        self._browser.start_tracing(page=self.page, categories=["toplevel"])

    def longest_ms(self) -> float:
        """The longest task since it was watched; the page is closed."""
        events = json.loads(self._browser.stop_tracing())["traceEvents"]
        self.page.close()
        threads = {
            (each["pid"], each["tid"])
            for each in events
            if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
        }
        return max(each["tdur"] / 1000 for each in events if "tdur" in each and (each["pid"], each["tid"]) in threads)


def until(holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it came to hold in that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def scrolled(browser: Browser, on: Stage, recipient: str, result: report.Report) -> float:
    """All 500, down and up again; the longest task in milliseconds."""
    inbox = Inbox(browser, on, recipient)
    inbox.watch()

    def at_the_end() -> bool:
        inbox.page.evaluate(f"{SCROLL}.scrollTop = {SCROLL}.scrollHeight")
        return inbox.count() == ITEMS

    result.check(until(lambda: inbox.count() > 0) and until(at_the_end), f"{inbox.count()} of {ITEMS} are listed")
    inbox.page.evaluate(UPWARDS)
    return inbox.longest_ms()


def flooded(browser: Browser, on: Stage, recipient: str, result: report.Report) -> float:
    """An open inbox to which 200 come at once; the longest task in milliseconds."""
    inbox = Inbox(browser, on, recipient)
    result.check(until(inbox.live), "the stream of a page did not open")
    before = inbox.count()
    inbox.watch()
    send(on, recipient, MORE)
    arrived = until(lambda: inbox.count() == before + MORE)
    result.check(arrived, f"{inbox.count() - before} of {MORE} that came are listed")
    return inbox.longest_ms()


def main(arguments: Sequence[str]) -> int:
    """Run and print."""
    options = parser("widget", __doc__)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args(arguments)
    path = chromium()
    if path is None:
        print(MISSING, file=sys.stderr)
        return 1
    result = report.Report("widget")
    with stage(settings=SETTINGS) as on, browsing(path) as browser:
        send(on, "reader", ITEMS)
        for name, each in (("scrolled through 500", scrolled), ("200 at once", flooded)):
            recipients = ["reader" if each is scrolled else f"reader-{n}" for n in range(given.rounds)]
            took = [each(browser, on, recipient, result) for recipient in recipients]
            result.figures |= {f"{name}: longest task ms, median": report.median(took), f"{name}: worst": max(took)}
            result.mark(f"{name}: under {LONG_MS} ms", report.median(took) < LONG_MS, f"{report.median(took):.1f} ms")
    return result.finish(strict=given.strict, json_path=given.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
