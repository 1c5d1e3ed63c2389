"""What a list shows: the days, times that go on, what a tab is for, and the way back from where something was put."""

from __future__ import annotations

import json

from elements import Site, rows, shows, titles
from playwright.sync_api import Page
from serving import until

from browser.test_elements import CLIENT, live

CORS = {"origin": "*", "headers": "authorization, content-type"}


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def use(page: Page, tool: str) -> None:
    """A tool of the first row."""
    rows(page).first.hover()
    rows(page).first.locator(f"[part~={tool}]").click()


def test_times_go_on_and_days_change_while_one_looks(site: Site) -> None:
    site.send("Old")
    page = site.open("", policy="")
    page.clock.install()
    page.evaluate("(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", site.inbox())
    shows(page, "Old")
    time, days = page.locator("belfry-inbox time"), page.locator("belfry-inbox [part=day]")
    until(lambda: time.text_content() == "now")
    assert days.all_text_contents() == ["Today"]
    page.clock.fast_forward("05:00")
    until(lambda: time.text_content() == "5 minutes ago")
    page.clock.fast_forward("24:00:00")
    until(lambda: days.all_text_contents() == ["Yesterday"])
    assert time.text_content() == "yesterday"


def test_each_day_has_one_heading(site: Site) -> None:
    for days in (2, 2, 0, 0):
        site.server.sql.execute(
            "SELECT * FROM belfry.import(jsonb_build_array(jsonb_build_object("
            "'recipient', %s::text, 'kind', 'test', 'title', 'x', 'created_at', now() - %s * interval '1 day')))",
            (site.recipient, days),
        )
    page = site.open(site.inbox())
    until(lambda: rows(page).count() == 4)
    headings = page.locator("belfry-inbox [part=day]").all_text_contents()
    assert len(headings) == 2
    assert headings[0] == "Today"
    assert page.locator("belfry-inbox li").evaluate_all("all => all.map((one) => !!one.querySelector('h3'))") == [
        True, False, True, False,
    ]  # fmt: skip


def test_a_tab_of_a_kind_or_a_tag_shows_its_own_and_what_comes_of_it(site: Site) -> None:
    sent = "SELECT belfry.send(%s, %s, %s, tags => %s)"

    def send(kind: str, title: str, *tags: str) -> None:
        site.server.sql.execute(sent, (site.recipient, kind, title, list(tags)))

    send("deploy", "Deployed", "red", "blue")
    send("comment", "Said", "blue")
    page = site.open(site.inbox('tabs="all kind:deploy tag:red"'))
    page.evaluate("document.querySelector('belfry-inbox').texts = {'kind:deploy': 'Deploys'}")
    shows(page, "Said", "Deployed")
    tab(page, "Deploys")
    shows(page, "Deployed")
    send("comment", "Said again", "red")
    send("deploy", "Deployed again")
    shows(page, "Deployed again", "Deployed")
    tab(page, "red")
    shows(page, "Said again", "Deployed")
    tab(page, "All")
    shows(page, "Deployed again", "Said again", "Said", "Deployed")


def test_what_was_archived_or_snoozed_can_be_brought_back(site: Site) -> None:
    site.send("One")
    page = site.open(site.inbox('tabs="all archived snoozed"'))
    shows(page, "One")
    use(page, "archive")
    shows(page)
    tab(page, "Archived")
    shows(page, "One")
    use(page, "unarchive")
    shows(page)
    tab(page, "All")
    shows(page, "One")
    use(page, "snooze")
    page.locator("[part=choice]").first.click()
    shows(page)
    until(lambda: site.counts() == (0, 0))
    tab(page, "Snoozed")
    shows(page, "One")
    use(page, "unsnooze")
    shows(page)
    tab(page, "All")
    shows(page, "One")
    until(lambda: site.counts() == (1, 1) or site.counts() == (1, 0))


def test_a_row_stays_under_the_pointer_when_its_group_grows(site: Site) -> None:
    site.send("Older")
    site.send("First like", group_key="post")
    site.send("Newer")
    page = site.open(site.inbox())
    shows(page, "Newer", "First like", "Older")
    live(page)
    rows(page).nth(1).hover()
    where = rows(page).last.bounding_box()
    for number in (2, 3):
        site.send(f"Like {number}", group_key="post")
        until(lambda: page.locator("[part=pill]").is_visible())
        page.wait_for_timeout(200)
        assert titles(page) == ["Newer", "First like", "Older"]
    assert page.locator("[part=pill]").text_content() == "1 new"
    assert rows(page).last.bounding_box() == where
    rows(page).nth(1).locator("[part~=markAsRead]").click()
    until(lambda: site.counts()[0] == 4)
    assert "read" in (rows(page).nth(1).get_attribute("part") or "").split()
    assert titles(page) == ["Newer", "First like", "Older"]
    page.locator("h1").click()  # and is busy with it no more
    until(lambda: titles(page) == ["Like 3", "Newer", "Older"])


def test_what_stands_for_a_group_that_grew_unseen_is_marked_whole(site: Site) -> None:
    for number in (1, 2):
        site.send(f"Like {number}", group_key="post")
    page = site.open(site.inbox())
    shows(page, "Like 2")
    live(page)
    rows(page).first.hover()
    site.send("Like 3", group_key="post")
    until(lambda: page.locator("[part=pill]").is_visible())
    rows(page).first.locator("[part~=archive]").click()
    until(lambda: site.counts()[0] == 1)
    shows(page, "Like 3")


def test_where_the_last_row_goes_and_there_are_more_nobody_is_told_that_there_are_none(site: Site) -> None:
    for number in range(30):
        site.send(f"Number {number}")
    page = site.open(site.inbox())
    until(lambda: page.evaluate(f"{CLIENT}.snapshot.items.length") == 20)
    live(page)
    page.evaluate("""() => {
      globalThis.empty = 0;
      const root = document.querySelector('belfry-inbox').shadowRoot;
      new MutationObserver(() => { if (root.querySelector('[part=empty]')) empty++; })
        .observe(root, { childList: true, subtree: true });
    }""")
    page.evaluate(f"{CLIENT}.archive({CLIENT}.snapshot.items.map((item) => item.id))")
    until(lambda: len(titles(page)) == 10)
    assert page.evaluate("empty") == 0


def test_blank_texts_are_none(site: Site) -> None:
    site.send("   ", actor=json.dumps({"name": "  "}))
    site.send(" \n ", body="A body")
    site.send("A title", body=" \t ")
    page = site.open(site.inbox())
    shows(page, "A title", "A body", "test")
    assert page.locator("belfry-inbox [part=body]").count() == 0
    assert page.locator("belfry-inbox [part~=avatar] svg").count() == 3


def test_an_action_takes_one_line_and_the_pill_stands_above_the_first_row(site: Site) -> None:
    for number in range(20):
        site.send(f"Number {number}", actions=json.dumps([{"name": "a", "label": "Long label " * 36}]))
    page = site.open(site.inbox('tabs="all"'))
    until(lambda: len(titles(page)) == 20)
    live(page)
    action = page.locator("belfry-inbox [part~=action]").first.bounding_box()
    assert action is not None
    assert action["height"] < 40
    page.locator("belfry-inbox [part=list]").evaluate("one => { one.scrollTop = 200 }")
    before = page.locator("[part=list]").bounding_box()
    site.send("New")
    until(lambda: page.locator("[part=pill]").is_visible())
    page.wait_for_timeout(300)
    assert page.locator("[part=list]").bounding_box() == before
    pill = page.locator("[part=pill]").bounding_box()
    assert pill is not None
    assert before is not None
    assert before["y"] <= pill["y"] <= before["y"] + 12


def test_a_refused_mark_of_what_was_seen_is_not_repeated_at_once(site: Site) -> None:
    site.send()
    page = site.open("", policy="")
    asked: list[str] = []
    allow = {f"access-control-allow-{name}": value for name, value in CORS.items()}
    page.route(
        "**/v1/inbox/seen",
        lambda route: (asked.append(route.request.method), route.fulfill(status=403, headers=allow, body="{}")),
    )
    page.evaluate("(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", site.inbox())
    shows(page, "Hello")
    until(lambda: page.wait_for_timeout(20) or asked)
    before = len(asked)
    page.wait_for_timeout(3500)
    assert len(asked) == before
