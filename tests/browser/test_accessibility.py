"""axe finds nothing, everything can be done by keyboard, and a screen reader is not shouted at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from elements import AXE, Site, axe, focused, rows, shows
from playwright.sync_api import Page
from serving import until

RICH = {
    "body": "A body",
    "actor": json.dumps({"name": "Ada Lindgren"}),
    "actions": json.dumps(
        [{"name": "a", "label": "Review", "url": "https://example.com/"}, {"name": "b", "label": "No"}]
    ),
    "severity": "warning",
}
BELL = "belfry-bell button[part=bell]"
STILL = {"policy": "", "reduced_motion": "reduce"}
"""For axe: its script is put into the page, and what fades in would be too pale."""


def violations(page: Page) -> list[Any]:
    """What axe finds on the whole page."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(axe())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations)")
    return [(each["id"], [node["html"][:160] for node in each["nodes"]]) for each in found]


def open_bell(page: Page) -> None:
    page.locator(BELL).click()
    until(
        lambda: page.locator("belfry-inbox [part~=item], belfry-inbox [part=empty], belfry-inbox [part=error]").count()
    )


def closed(page: Page) -> None:
    until(lambda: page.locator("belfry-bell [part=badge]").is_visible())


def menu(page: Page) -> None:
    open_bell(page)
    rows(page).first.hover()
    rows(page).first.locator("[part~=snooze]").click()
    until(lambda: page.locator("[part=menu]").is_visible())


def preferences(page: Page) -> None:
    open_bell(page)
    page.locator("belfry-inbox button[part~=preferences]").click()
    until(lambda: page.locator("[part=preference]").count())


STATES: dict[str, Callable[[Page], None]] = {
    "closed": closed, "open": open_bell, "menu": menu, "preferences": preferences,
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(site: Site, state: str, scheme: str) -> None:
    site.server.sql.execute("SELECT belfry.declare_kind('test', 'Tests'), belfry.declare_kind('alert', 'Alerts', true)")
    site.send("Read")
    site.server.sql.execute("SELECT belfry.mark_all_read(%s)", (site.recipient,))
    site.send("Unread", **RICH)
    site.send("An error", severity="error")
    page = site.open(site.bell('preferences theme="auto"'), **STILL, color_scheme=scheme)
    STATES[state](page)
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_an_empty_list_an_error_and_a_toast(site: Site, scheme: str) -> None:
    page = site.open(site.bell('toasts theme="auto"'), **STILL, color_scheme=scheme)
    open_bell(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    site.send("A toast", severity="success")
    until(lambda: page.locator("[part~=toast]").count())
    assert violations(page) == []
    refused = site.open('<belfry-inbox token="no token" theme="auto"></belfry-inbox>', **STILL, color_scheme=scheme)
    until(lambda: refused.locator("belfry-inbox [part=error]").count())
    assert violations(refused) == []


def test_axe_would_find_something(site: Site) -> None:
    page = site.open('<img src="/nothing.png"><p style="color:#ccc;background:#fff">pale</p>', policy="")
    assert {name for name, _ in violations(page)} >= {"image-alt", "color-contrast"}, AXE


# --- by keyboard


@pytest.fixture
def page(site: Site) -> Page:
    """A bell that is open, with three notifications, the focus in it."""
    for title in ("One", "Two", "Three"):
        site.send(title, **RICH)
    one = site.open(site.bell("preferences"))
    until(lambda: one.locator("belfry-bell [part=badge]").text_content() == "3")
    one.keyboard.press("Tab")
    assert focused(one).startswith("bell: Notifications")
    one.keyboard.press("Enter")
    shows(one, "Three", "Two", "One")
    return one


def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until that has the focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    raise AssertionError(f"Tab never came to {wanted!r}, but to {focused(page)!r}")


def test_escape_closes_and_the_focus_is_back_on_the_bell(page: Page) -> None:
    tab_to(page, "tab: All")
    page.keyboard.press("Escape")
    until(lambda: not page.locator("belfry-inbox [part=list]").is_visible())
    until(lambda: focused(page).startswith("bell: "))


def test_tabs_go_by_arrows_and_show_at_once(page: Page) -> None:
    tab_to(page, "tab: All")
    page.keyboard.press("ArrowRight")
    assert focused(page) == "tab: Unread"
    assert page.locator("[role=tab][aria-selected=true]").text_content() == "Unread"
    page.keyboard.press("End")
    until(lambda: page.locator("belfry-inbox [part=empty]").count())
    page.keyboard.press("Home")
    shows(page, "Three", "Two", "One")


def test_rows_go_by_arrows_and_only_one_is_in_the_order_of_tab(page: Page) -> None:
    tab_to(page, "title: Three")
    for key, title in (
        ("ArrowDown", "Two"),
        ("End", "One"),
        ("ArrowUp", "Two"),
        ("Home", "Three"),
        ("ArrowUp", "Three"),
    ):
        page.keyboard.press(key)
        assert focused(page) == f"title: {title}"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert focused(page) == "action primary: Review"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "title: Two"


def test_a_row_opens_with_enter_and_is_read(page: Page, site: Site) -> None:
    page.evaluate(
        "globalThis.chosen = []; addEventListener('belfry-select', ({detail}) => chosen.push(detail.item.title))"
    )
    tab_to(page, "title: Three")
    page.keyboard.press("Enter")
    until(lambda: site.counts()[0] == 2)
    assert page.evaluate("chosen") == ["Three"]


def test_read_and_unread_keep_the_focus_where_it_is(page: Page, site: Site) -> None:
    tab_to(page, "title: Three")
    tab_to(page, "tool markAsRead: Mark as read")
    page.keyboard.press("Enter")
    until(lambda: site.counts()[0] == 2)
    until(lambda: focused(page) == "tool markAsUnread: Mark as unread")
    page.keyboard.press("Enter")
    until(lambda: site.counts()[0] == 3)


def test_what_is_archived_leaves_the_focus_to_the_next(page: Page, site: Site) -> None:
    tab_to(page, "title: Three")
    page.keyboard.press("ArrowDown")
    tab_to(page, "tool archive: Archive")
    page.keyboard.press("Enter")
    shows(page, "Three", "One")
    until(lambda: focused(page) == "title: One")
    page.keyboard.press("Tab")


def test_when_the_last_one_goes_the_focus_stays_in_the_inbox(page: Page) -> None:
    tab_to(page, "title: Three")
    for rest in (["Two", "One"], ["One"], []):
        tab_to(page, "tool archive: Archive")
        page.keyboard.press("Enter")
        shows(page, *rest)
    assert focused(page) != "BODY: Shop"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "tab: All"


def test_a_snooze_is_chosen_from_a_menu(page: Page, site: Site) -> None:
    tab_to(page, "title: Three")
    tab_to(page, "tool snooze: Snooze")
    page.keyboard.press("Enter")
    until(lambda: focused(page) == "choice: For an hour")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "choice: Until tomorrow"
    page.keyboard.press("Escape")
    until(lambda: focused(page) == "tool snooze: Snooze")
    assert page.locator("belfry-inbox [part=list]").is_visible()  # only the menu went
    page.keyboard.press("Enter")
    until(lambda: focused(page) == "choice: For an hour")
    page.keyboard.press("Enter")
    shows(page, "Two", "One")
    snoozed = "SELECT count(*) FROM belfry.list_inbox(%s, 'snoozed')"
    until(lambda: site.server.value(snoozed, site.recipient) == 1)


def test_an_action_is_chosen_by_enter_and_its_page_may_keep_the_place(page: Page, site: Site) -> None:
    page.evaluate("""() => {
      globalThis.chosen = [];
      addEventListener('belfry-select', (event) => {
        event.preventDefault();
        chosen.push([event.detail.item.title, event.detail.action.label, event.detail.url]);
      });
    }""")
    tab_to(page, "action primary: Review")
    page.keyboard.press("Enter")
    until(lambda: page.evaluate("chosen") == [["Three", "Review", "https://example.com/"]])
    until(lambda: focused(page).startswith("bell: "))  # the inbox closed
    until(lambda: site.counts()[0] == 2)


def test_all_are_marked_as_read_and_preferences_switched(page: Page, site: Site) -> None:
    site.server.sql.execute("SELECT belfry.declare_kind('test', 'Tests')")
    tab_to(page, "tool markAllAsRead: Mark all as read")
    page.keyboard.press("Enter")
    until(lambda: site.counts()[0] == 0)
    tab_to(page, "tool preferences: Preferences")
    page.keyboard.press("Enter")
    until(lambda: page.locator("[part=preference]", has_text="Tests").count())
    page.locator("[part=preference]", has_text="Tests").locator("input").focus()
    page.keyboard.press("Space")
    enabled = "SELECT enabled FROM belfry.preferences(%s) WHERE kind = 'test'"
    until(lambda: site.server.value(enabled, site.recipient) is False)


def test_several_that_come_at_once_are_announced_once(site: Site) -> None:
    page = site.open(site.bell())
    until(lambda: page.evaluate("document.querySelector('belfry-bell').client?.snapshot.status") == "live")
    page.evaluate("""() => {
      globalThis.spoken = [];
      const live = document.querySelector('belfry-bell').shadowRoot.querySelector('[role=status][part=hidden]');
      new MutationObserver(() => spoken.push(live.textContent)).observe(live, {childList: true});
    }""")
    for number in range(5):
        site.send(f"number {number}")
    until(lambda: page.evaluate("spoken"))
    site.send("one alone")
    until(lambda: len(page.evaluate("spoken")) == 2)
    assert page.evaluate("spoken") == ["5 new", "one alone"]


def test_who_wants_no_motion_gets_none(site: Site) -> None:
    page = site.open(site.bell(), reduced_motion="reduce")
    page.locator(BELL).click()
    still = "[...document.querySelector('belfry-bell').shadowRoot.querySelectorAll('*')]"
    assert page.evaluate(f"{still}.every((each) => getComputedStyle(each).animationName === 'none')")


def test_a_row_that_leads_nowhere_is_a_button_and_takes_the_space_bar(page: Page, site: Site) -> None:
    page.evaluate(
        "globalThis.chosen = []; addEventListener('belfry-select', ({detail}) => chosen.push(detail.item.title))"
    )
    tab_to(page, "title: Three")
    page.evaluate("addEventListener('keydown', (event) => { globalThis.prevented = event.defaultPrevented })")
    page.keyboard.press("Space")
    until(lambda: page.evaluate("chosen") == ["Three"], 5)
    assert page.evaluate("prevented")  # else the list would scroll


def test_a_preference_that_is_switched_keeps_the_focus(page: Page, site: Site) -> None:
    site.server.sql.execute("SELECT belfry.declare_kind('test', 'Tests'), belfry.declare_kind('zebra', 'Zebras')")
    page.locator("belfry-inbox button[part~=preferences]").click()
    box = page.locator("[part=preference]", has_text="Tests").locator("input")
    box.focus()
    enabled = "SELECT enabled FROM belfry.preferences(%s) WHERE kind = 'test'"
    for wanted in (False, True):
        with page.expect_response("**/v1/preferences"):
            page.keyboard.press("Space")
        until(lambda wanted=wanted: site.server.value(enabled, site.recipient) is wanted)
        page.wait_for_timeout(300)  # the change comes by the stream, too
        assert box.evaluate("one => one.matches(':focus')")
        assert box.is_checked() is wanted
    site.server.sql.execute("SELECT belfry.set_preference(%s, 'test', false)", (site.recipient,))  # elsewhere
    until(lambda: not box.is_checked())
    assert box.evaluate("one => one.matches(':focus')")
    page.route("**/v1/preferences", lambda route: route.fulfill(status=422, body="{}"))
    page.keyboard.press("Space")
    until(lambda: page.locator("[part=notice]").text_content())
    assert not box.is_checked()  # as it was


def test_the_number_beside_a_tab_is_no_part_of_its_name(page: Page) -> None:
    assert page.get_by_role("tab", name="Unread", exact=True).get_attribute("data-count") == "3"


def test_with_forced_colors_a_switch_and_the_chosen_tab_can_be_told(site: Site) -> None:
    site.server.sql.execute("SELECT belfry.set_preference(%s, 'muted', false)", (site.recipient,))
    site.server.sql.execute("SELECT belfry.set_preference(%s, 'wanted', true)", (site.recipient,))
    page = site.open(site.inbox("preferences"), forced_colors="active")
    lines = "all => all.map((one) => getComputedStyle(one).borderBottomColor)"
    until(lambda: page.locator("[role=tab][aria-selected=true]").count())
    chosen, *others = page.locator("[role=tab]").evaluate_all(lines)
    assert chosen not in others
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").count() > 1)
    look = """one => ['', '::before'].map((part) => getComputedStyle(one, part))
      .flatMap((style) => [style.backgroundColor, style.borderTopWidth])"""
    for state in ("wanted", "muted"):
        box = page.locator("[part=preference]", has_text=state).locator("input")
        track, edge, knob, _ = box.evaluate(look)
        assert edge == "1px"
        assert knob != track
