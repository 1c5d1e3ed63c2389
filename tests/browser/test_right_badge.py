"""A thousand random sendings and clicks over two devices of one person: badge and list equal the server's."""

from __future__ import annotations

import random

import pytest
from browsing import Pages, Tab
from playwright.sync_api import Browser
from serving import Server, until

STEPS = 1000
CHECKS = 5
CLICKS = ("markAsRead", "markAsUnread", "markAsSeen", "archive", "unarchive")


def some(dice: random.Random, server: Server) -> list[int]:
    """A few of the newest notifications, archived ones too, and one that is nobody's."""
    found = server.sql.execute("SELECT id FROM belfry.notification ORDER BY id DESC LIMIT 25").fetchall()
    ids = [row[0] for row in found] + [10**9]
    return dice.sample(ids, min(len(ids), dice.randint(1, 3)))


def send(dice: random.Random, server: Server, number: int) -> None:
    """Something new: to them, to their topic, to all, to another, or taken back, or changed."""
    title, kind = f"number {number}", dice.choice(["comment", "deploy"])
    group = dice.choice([None, None, None, "thread"])
    match dice.randrange(8):
        case 0 | 1 | 2:
            server.value("SELECT belfry.send('u1', %s, %s, group_key => %s)", kind, title, group)
        case 3:
            server.value("SELECT belfry.publish('team', %s, %s, group_key => %s)", kind, title, group)
        case 4:
            server.value("SELECT belfry.broadcast(%s, %s)", kind, title)
        case 5:
            server.value("SELECT belfry.send('u2', %s, %s)", kind, title)
        case 6:
            server.value("SELECT belfry.retract(%s)", some(dice, server)[0])
        case _:
            server.value("SELECT belfry.revise(%s, title => %s)", some(dice, server)[0], f"revised {number}")


def click(dice: random.Random, server: Server, tab: Tab) -> None:
    """Something that a person does at one of the devices; not waited for."""
    if dice.random() < 0.03:
        tab.evaluate(f"void client.{dice.choice(['markAllAsRead', 'markAllAsSeen', 'archiveAll'])}()")
    else:
        tab.evaluate(f"(ids) => void client.{dice.choice(CLICKS)}(ids)", some(dice, server))


def same(tab: Tab, server: Server) -> None:
    """Return when the device shows what the table says, as far as its list is loaded."""

    def difference() -> object:
        shown, table = tab.shown, server.inbox(state=tab.evaluate("client.snapshot.filter.state ?? 'all'"))
        more = tab.evaluate("client.snapshot.more")
        told = (tab.badge, shown, tab.evaluate("client.snapshot.unread"))
        wanted = (server.counts(), table[: len(shown)] if more else table, server.counts()[0])
        return None if told == wanted else (told, wanted)

    try:
        until(lambda: difference() is None)
    except AssertionError:
        assert difference() is None


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("seed", "lists"), [(1, ("all", "all")), (2, ("all", "unread"))])
def test_badge_and_list_of_two_devices_equal_the_servers(
    browser: Browser, pages: Pages, server: Server, seed: int, lists: tuple[str, str]
) -> None:
    server.start()
    server.value("SELECT belfry.subscribe('u1', 'team')")
    contexts = [browser.new_context() for _ in lists]
    tabs = [
        Tab(context, pages, server, server.token(), filter={"state": state}).until_live()
        for context, state in zip(contexts, lists, strict=True)
    ]
    dice = random.Random(seed)
    for number in range(STEPS):
        if dice.random() < 0.5:
            send(dice, server, number)
        else:
            click(dice, server, dice.choice(tabs))
        if not (number + 1) % (STEPS // CHECKS):
            until(lambda: all(not tab.evaluate("pendingRequests") for tab in tabs))
            for tab in tabs:
                same(tab, server)
            for more in range(5):  # and by notifications alone, with no change that tells the counts
                server.value("SELECT belfry.send('u1', 'comment', %s)", f"{number} and {more}")
            for tab in tabs:
                same(tab, server)
    assert server.counts() != (0, 0)
    for context in contexts:
        context.close()
