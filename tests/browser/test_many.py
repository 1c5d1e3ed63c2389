"""Five hundred items: nothing that a hand or an eye would feel, and nothing moves under them."""

from __future__ import annotations

from elements import Site, titles
from playwright.sync_api import Page
from serving import until

from bench.widget import SCROLL, SEND, UPWARDS

SLICE = 25
"""Rows of one frame: `bench.widget` measures what they take."""


def fill(site: Site, count: int) -> None:
    site.server.sql.execute(SEND, (site.recipient, count))


OBSERVE = f"""() => {{
  const list = {SCROLL}.querySelector('ul');
  globalThis.drawn = [];
  new MutationObserver((all) => {{
    const rows = all.flatMap(({{ target, addedNodes }}) =>
      target === list ? [...addedNodes] : target.closest('li') ?? []);
    drawn.push(new Set(rows).size);
  }}).observe(list, {{ childList: true, subtree: true }});
}}"""
"""How many rows each callback of the page drew, new ones and old."""


def to_the_end(page: Page) -> None:
    """Scroll until all are listed."""

    def listed() -> bool:
        page.evaluate(f"{SCROLL}.scrollTop = {SCROLL}.scrollHeight")
        return len(titles(page)) == 500

    until(listed)


def test_what_comes_is_drawn_in_slices_that_nobody_feels(site: Site) -> None:
    page = site.open(site.inbox(), policy="")
    until(lambda: page.evaluate("document.querySelector('belfry-inbox').client?.snapshot.status") == "live")
    page.evaluate(OBSERVE)
    fill(site, 200)
    until(lambda: len(titles(page)) == 200)
    drawn = page.evaluate("drawn")
    assert sum(drawn) == 200
    assert max(drawn) <= SLICE


def test_a_long_list_is_drawn_in_slices_and_only_where_it_changed(site: Site) -> None:
    fill(site, 500)
    page = site.open(site.inbox('limit="100"'), policy="")
    until(lambda: len(titles(page)) == 100)
    page.evaluate(OBSERVE)
    to_the_end(page)
    until(lambda: site.counts()[1] == 0)  # all are seen, which nobody sees
    page.evaluate(UPWARDS)
    drawn = page.evaluate("drawn.splice(0)")
    assert sum(drawn) == 400
    assert max(drawn) <= SLICE
    page.locator("belfry-inbox [part~=markAllAsRead]").click()
    until(lambda: page.locator("belfry-inbox [part~=unread]").count() == 0)
    read = page.evaluate("drawn")
    assert sum(read) == 500
    assert max(read) <= SLICE


def test_rows_that_stay_as_they_are_are_not_searched(site: Site) -> None:
    fill(site, 100)
    page = site.open(site.inbox('limit="100"'), policy="")
    until(lambda: len(titles(page)) == 100)
    until(lambda: site.counts()[1] == 0)  # the last that is drawn by itself
    page.evaluate("""() => {
      globalThis.searched = 0;
      const { querySelectorAll } = Element.prototype;
      Element.prototype.querySelectorAll = function (...all) { searched++; return querySelectorAll.apply(this, all); };
    }""")
    page.evaluate(UPWARDS)
    assert page.evaluate("searched") == 0


def test_rows_far_from_sight_are_not_laid_out(site: Site) -> None:
    fill(site, 500)
    page = site.open(site.inbox('limit="100"'), policy="")
    until(lambda: titles(page))
    to_the_end(page)
    laid_out = f"""[...{SCROLL}.querySelectorAll('[part=title]')]
      .filter((each) => each.checkVisibility({{ contentVisibilityAuto: true }})).length"""
    until(lambda: 0 < page.evaluate(laid_out) < 100)


def test_nothing_moves_under_who_reads_and_a_pill_says_how_many_came(site: Site) -> None:
    fill(site, 60)
    page = site.open(site.inbox())
    until(lambda: titles(page))
    page.evaluate(f"{SCROLL}.scrollTop = 400")
    page.wait_for_timeout(100)
    where = f"{SCROLL}.querySelectorAll('[part=title]')[8].getBoundingClientRect().top"
    before = page.evaluate(where)
    for number in range(3):
        site.send(f"New {number}")
    pill = page.locator("belfry-inbox [part=pill]")
    until(lambda: pill.is_visible() and pill.text_content() == "3 new")
    assert abs(page.evaluate(where) - before) < 1
    pill.click()
    until(lambda: titles(page)[:3] == ["New 2", "New 1", "New 0"])
    assert page.evaluate(f"{SCROLL}.scrollTop") == 0
    assert not pill.is_visible()


def test_what_came_into_an_empty_list_under_a_hand_is_not_held_back_later(site: Site) -> None:
    fill(site, 1)
    page = site.open(site.inbox('tabs="unread"'))
    until(lambda: len(titles(page)) == 1)
    page.locator("belfry-inbox [part=title]").click()  # the pointer and the focus stay
    until(lambda: not titles(page))
    new = site.send("Another")
    until(lambda: titles(page) == ["Another"])
    site.server.value("SELECT belfry.revise(%s, title => 'Revised')", new)
    until(lambda: titles(page) == ["Revised"], 15)
    assert not page.locator("belfry-inbox [part=pill]").is_visible()


def test_who_does_not_touch_the_list_sees_new_ones_at_once(site: Site) -> None:
    fill(site, 3)
    page = site.open(site.inbox())
    until(lambda: len(titles(page)) == 3)
    site.send("New")
    until(lambda: titles(page)[0] == "New")
