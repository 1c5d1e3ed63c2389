"""One stream for any number of tabs."""

from __future__ import annotations

import time

import httpx
from browsing import Pages, Tab
from playwright.sync_api import Browser
from serving import Server, until

TABS = 12


def streams(server: Server) -> int:
    """The streams that the relay holds."""
    text = httpx.get(f"{server.url}/metrics").text
    return int(float(next(line for line in text.splitlines() if line.startswith("belfry_streams ")).split()[1]))


def test_twelve_tabs_have_one_stream_and_the_same_badge(browser: Browser, pages: Pages, server: Server) -> None:
    server.start()
    server.send("before")
    context = browser.new_context()
    tabs = [Tab(context, pages, server, server.token()).until_live() for _ in range(TABS)]
    assert streams(server) == 1
    for number in range(5):
        server.send(f"number {number}")
    tabs[3].evaluate("client.markAsRead(client.snapshot.items.at(-1).id)")
    for tab in tabs:
        tab.until_shows(server.inbox(), server.counts())
        assert len(tab.heard("notification")) == 5
    assert server.counts()[0] == 5
    assert streams(server) == 1
    context.close()


def test_when_the_leading_tab_is_closed_another_has_taken_over_within_two_seconds(
    browser: Browser, pages: Pages, server: Server
) -> None:
    server.start()
    context = browser.new_context()
    leading, *rest = [Tab(context, pages, server, server.token()).until_live() for _ in range(4)]
    first = server.send("while all are there")
    until(lambda: all(tab.badge == (1, 1) for tab in rest))
    leading.page.close()
    closed = time.monotonic()
    second = server.send("while nobody leads")
    for tab in rest:
        tab.until_shows(server.inbox(), (2, 2), 2)
    recovered = time.monotonic() - closed
    assert recovered < 2, recovered
    third = server.send("after it")
    for tab in rest:
        tab.until_shows(server.inbox(), (3, 3))
        assert tab.heard("notification") == [first, second, third]  # each once
    until(lambda: streams(server) == 1)
    context.close()


def test_two_people_in_one_browser_never_mix(browser: Browser, pages: Pages, server: Server) -> None:
    server.start()
    context = browser.new_context()
    tabs = {
        recipient: [Tab(context, pages, server, server.token(recipient)).until_live() for _ in range(2)]
        for recipient in ("u1", "u2")
    }
    assert streams(server) == 2
    for recipient in tabs:
        for number in range(3):
            server.send(f"{number} for {recipient}", recipient)
    server.value("SELECT belfry.broadcast('test', 'for all')")
    until(lambda: all(tab.badge == (4, 4) for some in tabs.values() for tab in some))
    tabs["u2"][0].evaluate("client.markAllAsRead()")
    for recipient, some in tabs.items():
        assert server.counts(recipient)[0] == (4 if recipient == "u1" else 0)
        for tab in some:
            tab.until_shows(server.inbox(recipient), server.counts(recipient))
            assert all(title.endswith((recipient, "all")) for _, title, _, _ in tab.shown)
    context.close()


def test_a_tab_that_has_no_list_yet_leads_on_from_where_the_one_before_it_was(
    browser: Browser, pages: Pages, server: Server
) -> None:
    """What was sent in between is in its list when that comes; it is told of it as of any other, all the same."""
    server.start()
    context = browser.new_context()
    leading = Tab(context, pages, server, server.token()).until_live()
    context.route("**/v1/inbox?*", lambda route: route.abort())
    rest = Tab(context, pages, server, server.token())
    until(lambda: rest.status == "live")
    server.kill()
    leading.page.close()
    between = server.send("while nobody answers")
    context.unroute("**/v1/inbox?*")
    server.start()
    rest.until_live()
    after = server.send("after it")
    rest.until_shows(server.inbox(), server.counts())
    until(lambda: rest.heard("notification") == [between, after])
    context.close()
