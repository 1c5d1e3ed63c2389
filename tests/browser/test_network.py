"""Whatever the network does: afterwards the list equals the table, without a reload."""

from __future__ import annotations

import pytest
from browsing import Pages, Tab
from playwright.sync_api import Browser
from serving import Server, StandIn, until

pytestmark = pytest.mark.timeout(120)


def same(tab: Tab, server: Server, seconds: float = 30) -> None:
    """Return when the tab shows what the table says."""
    tab.until_shows(server.inbox(), server.counts(), seconds)


def marked(tab: Tab) -> Tab:
    """A tab that will know if its page is loaded again."""
    tab.evaluate("globalThis.loadedOnce = true")
    return tab


def test_through_a_kill_a_503_a_401_and_a_restart(browser: Browser, pages: Pages, server: Server) -> None:
    server.start()
    context = browser.new_context()
    tabs = [marked(Tab(context, pages, server, server.token()).until_live()) for _ in range(2)]
    first = server.send("before")
    server.kill()
    server.send("while nobody answers")
    until(lambda: tabs[0].status == "offline")
    for status, origin in ((503, None), (503, pages.origin), (401, pages.origin)):
        with StandIn(server.port, status, origin) as other:
            until(lambda other=other: len(other.asked) >= 2)
        server.send(f"while the answer is {status}")
    until(lambda: tabs[0].status in ("offline", "unauthorized"))  # between two attempts it is "connecting"
    server.value("SELECT belfry.mark_read('u1', %s)", [first])
    server.start()
    server.send("after it")
    for tab in tabs:
        same(tab, server)
        until(lambda tab=tab: tab.status == "live")
        assert tab.evaluate("loadedOnce")
    # A tab that lost the lead on the way may have missed a message: then it loads the list, and is told of none.
    until(lambda: len({each for tab in tabs for each in tab.heard("notification")}) == 6)
    for tab in tabs:
        assert len(set(tab.heard("notification"))) == len(tab.heard("notification"))
    context.close()


def test_through_a_while_offline(browser: Browser, pages: Pages, server: Server) -> None:
    server.start()
    context = browser.new_context()
    tab = marked(Tab(context, pages, server, server.token()).until_live())
    gone = server.send("before")
    until(lambda: tab.badge == (1, 1))
    context.set_offline(True)
    until(lambda: tab.status == "offline")
    server.send("while offline")
    server.value("SELECT belfry.archive('u1', %s)", [gone])
    context.set_offline(False)
    until(lambda: tab.status == "live")
    same(tab, server)
    assert tab.evaluate("loadedOnce")
    context.close()


def test_through_the_sleep_of_a_laptop(browser: Browser, pages: Pages, server: Server) -> None:
    """The lid is closed: the connection dies without a word, and the clock is an hour later at once."""
    server.start()
    context = browser.new_context()
    context.clock.install()
    tab = marked(Tab(context, pages, server, server.token()).until_live())
    server.pause()
    for number in range(30):
        server.send(f"number {number}")
    context.clock.fast_forward("01:00:00")
    until(lambda: tab.status != "live", 10)  # at once, not after the silence that the watchdog allows
    server.resume()
    until(lambda: tab.badge == (30, 30))
    tab.until_shows(server.inbox()[: len(tab.shown)], server.counts())
    assert len(tab.heard("notification")) == 30
    assert tab.evaluate("loadedOnce")
    context.close()


def test_a_stream_that_is_open_at_this_end_alone_is_noticed(browser: Browser, pages: Pages, server: Server) -> None:
    """The process stops without closing anything, as a network does that drops what is idle."""
    server.start()
    context = browser.new_context()
    tab = marked(Tab(context, pages, server, server.token()).until_live())
    server.pause()
    until(lambda: tab.status == "offline")  # by the heartbeats, one a second, that do not come
    assert "silent" in " ".join(tab.heard("error"))
    server.send("meanwhile")
    server.resume()
    same(tab, server)
    context.close()


def test_tickets_and_tokens_that_expire_lose_nothing(browser: Browser, pages: Pages, server: Server) -> None:
    """Each ticket is good for two seconds, each token for one ticket; the page brings a new one when it is asked."""
    server.start(ticket_seconds="2")
    context = browser.new_context()
    context.expose_function("mint", lambda: server.token(seconds=3))  # whole seconds of it are left
    tab = Tab(context, pages, server, "", token_call="mint").until_live()
    sent: list[int] = []

    def sent_over_three_streams() -> bool:
        sent.append(server.send(f"number {len(sent)}"))
        return len(tab.heard("status")) >= 7  # live and connecting by turns

    until(sent_over_three_streams, 60)
    same_head(tab, server, len(sent))
    assert tab.heard("notification") == sent
    assert set(tab.heard("status")) == {"connecting", "live"}
    assert tab.heard("error") == []
    context.close()


def same_head(tab: Tab, server: Server, count: int) -> None:
    """Return when the tab has that many unread and shows the newest of the table."""
    until(lambda: tab.badge == (count, count), 30)
    shown = tab.shown
    assert shown == server.inbox(most=1000)[: len(shown)]


def test_a_reset_is_followed_by_the_list_as_it_is_now(browser: Browser, pages: Pages, server: Server) -> None:
    server.start()
    context = browser.new_context()
    tab = marked(Tab(context, pages, server, server.token()).until_live())
    server.send("before")
    until(lambda: tab.badge == (1, 1))
    server.kill()
    server.value("SELECT belfry.new_epoch()")
    server.send("in the new history")
    server.start()
    until(lambda: tab.heard("reset"))
    same(tab, server)
    assert tab.heard("reset") == [{"reason": "epoch", "cursor": tab.heard("reset")[0]["cursor"]}]
    context.close()
