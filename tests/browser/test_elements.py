"""What a page may expect of the elements: they follow its attributes, its client and its wishes."""

from __future__ import annotations

import json

from elements import Site, rows, shows, titles
from playwright.sync_api import Page
from serving import Server, until

from browser.test_tabs import streams

BELL = "belfry-bell button[part=bell]"
CLIENT = "document.querySelector('belfry-inbox, belfry-bell').client"


def live(page: Page) -> None:
    until(lambda: page.evaluate(f"{CLIENT}?.snapshot.status") == "live")


def badge(page: Page) -> str | None:
    mark = page.locator("belfry-bell [part=badge]")
    return mark.text_content() if mark.is_visible() else None


def test_the_token_of_another_person_brings_their_inbox_and_nothing_stays(site: Site) -> None:
    site.send("For one")
    page = site.open(site.bell())
    until(lambda: badge(page) == "1")
    other = f"{site.recipient}-other"
    page.evaluate(
        "(token) => document.querySelector('belfry-bell').setAttribute('token', token)", site.server.token(other)
    )
    until(lambda: badge(page) is None)
    page.locator(BELL).click()
    until(lambda: page.locator("belfry-inbox [part=empty]").count())
    site.send("Still for one")
    site.server.send("For the other", other)
    shows(page, "For the other")


def test_a_fresh_token_of_the_same_person_changes_nothing(site: Site) -> None:
    site.send()
    page = site.open(site.inbox())
    shows(page, "Hello")
    live(page)
    page.evaluate(f"globalThis.before = {CLIENT}")
    token = site.server.token(site.recipient, 900)
    page.evaluate("(token) => document.querySelector('belfry-inbox').setAttribute('token', token)", token)
    assert page.evaluate(f"{CLIENT} === before")


def test_language_direction_theme_tabs_and_texts_follow(site: Site) -> None:
    site.send()
    page = site.open(site.inbox())
    shows(page, "Hello")
    inbox = page.locator("belfry-inbox")
    inbox.evaluate("one => one.lang = 'ar'")
    until(lambda: page.locator("[part=inbox]").get_attribute("dir") == "rtl")
    until(lambda: page.locator("[part=heading]").text_content() == "الإشعارات")
    inbox.evaluate("one => one.lang = 'de'")
    until(lambda: page.locator("[part=inbox]").get_attribute("dir") == "ltr")
    inbox.evaluate("one => one.setAttribute('tabs', 'unread kind:test tag:red')")
    until(lambda: page.locator("[role=tab]").all_text_contents() == ["Ungelesen", "test", "red"])
    page.locator("[role=tab]").last.click()
    until(lambda: page.locator("[part=empty]").count())
    inbox.evaluate("one => one.texts = {title: 'Neues', empty: 'Nichts'}")
    until(lambda: page.locator("[part=heading]").text_content() == "Neues")
    assert page.locator("[part=empty]").text_content() == "Nichts"
    background = "one => getComputedStyle(one.shadowRoot.querySelector('[part=inbox]')).backgroundColor"
    inbox.evaluate("one => one.setAttribute('theme', 'dark')")
    dark = inbox.evaluate(background)
    inbox.evaluate("one => one.setAttribute('theme', 'light')")
    assert inbox.evaluate(background) != dark


def test_what_was_set_before_the_element_was_defined_counts(site: Site) -> None:
    site.send()
    page = site.open("", policy="")
    page.evaluate(
        """async ([relay, token]) => {
          const frame = document.createElement('iframe');
          document.body.append(frame);
          const inside = frame.contentDocument;
          const early = inside.createElement('belfry-inbox');
          early.token = () => token;
          early.texts = {title: 'Early'};
          inside.body.append(early);
          const script = inside.createElement('script');
          Object.assign(script, {type: 'module', src: relay + '/widget.js'});
          inside.head.append(script);
        }""",
        [site.server.url, site.server.token(site.recipient)],
    )
    inside = page.frame_locator("iframe")
    until(lambda: inside.locator("belfry-inbox [part=title]").all_text_contents() == ["Hello"])
    assert inside.locator("belfry-inbox [part=heading]").text_content() == "Early"


def test_an_element_that_is_moved_keeps_its_stream_and_one_that_is_removed_ends_it(site: Site) -> None:
    page = site.open(f"<section></section>{site.inbox()}")
    live(page)
    until(lambda: streams(site.server) == 1)
    page.evaluate(f"globalThis.before = {CLIENT}")
    page.evaluate("document.querySelector('section').append(document.querySelector('belfry-inbox'))")
    page.evaluate("Promise.resolve()")
    assert page.evaluate(f"{CLIENT} === before && before.snapshot.status") == "live"
    page.evaluate("document.querySelector('belfry-inbox').remove()")
    until(lambda: streams(site.server) == 0)


def test_a_client_that_is_given_is_neither_opened_nor_closed(site: Site) -> None:
    site.send()
    page = site.open("", policy="")
    page.evaluate(
        """async ([relay, token]) => {
          const { createClient } = await import(relay + '/widget.js');
          globalThis.client = createClient({ src: relay, token });
          const inbox = document.createElement('belfry-inbox');
          inbox.client = client;
          document.body.append(inbox);
        }""",
        [site.server.url, site.server.token(site.recipient)],
    )
    page.evaluate("Promise.resolve()")
    assert page.evaluate("client.snapshot.status") == "idle"
    page.evaluate("client.open()")
    shows(page, "Hello")
    until(lambda: page.evaluate("client.snapshot.status") == "live")
    page.evaluate("document.querySelector('belfry-inbox').remove()")
    page.evaluate("Promise.resolve()")
    assert page.evaluate("client.snapshot.status") == "live"


def test_a_page_may_go_where_a_notification_leads_by_itself(site: Site) -> None:
    site.send("Go", action_url="/orders/7", actions=json.dumps([{"name": "a", "label": "Act", "url": "/act"}]))
    page = site.open(site.bell())
    page.evaluate("""() => {
      globalThis.chosen = [];
      document.querySelector('belfry-bell').addEventListener('belfry-select', (event) => {
        event.preventDefault();
        chosen.push([event.detail.item.title, event.detail.action?.label, new URL(event.detail.url).pathname]);
      });
    }""")
    before = page.url
    for part in ("[part=title]", "[part~=action]"):
        page.locator(BELL).click()
        page.locator(f"belfry-inbox {part}").click()
        until(lambda: not page.locator("belfry-inbox [part=list]").is_visible())  # the bell closes
    assert page.evaluate("chosen") == [["Go", None, "/orders/7"], ["Go", "Act", "/act"]]
    assert page.url == before
    until(lambda: site.counts()[0] == 0)


def test_a_click_goes_there_and_leaves_it_read(site: Site) -> None:
    site.send("Go", action_url="/orders/7")
    page = site.open(site.inbox())
    page.locator("belfry-inbox [part=title]").click()
    page.wait_for_url("**/orders/7")
    until(lambda: site.counts()[0] == 0)


def test_slots_parts_and_properties_are_the_pages(site: Site) -> None:
    style = '<link rel="stylesheet" href="/look.css">'
    site.pages.put(
        "/look.css", "belfry-bell { --belfry-accent: rgb(1, 2, 3) } belfry-bell::part(heading) { color: rgb(4, 5, 6) }",
        "text/css",
    )  # fmt: skip
    page = site.open(style + site.bell("", '<b slot="icon">!</b><p slot="empty">Nothing here</p>'), policy="")
    page.locator(BELL).click()
    until(lambda: page.get_by_text("Nothing here").is_visible())
    assert page.get_by_text("!", exact=True).is_visible()
    heading = page.locator("belfry-inbox [part=heading]")
    assert heading.evaluate("one => getComputedStyle(one).color") == "rgb(4, 5, 6)"
    tab = page.locator("belfry-inbox [aria-selected=true]")
    assert tab.evaluate("one => getComputedStyle(one).borderBottomColor") == "rgb(1, 2, 3)"


def test_beside_a_tall_header_of_the_page_all_tools_stand_in_one_line(site: Site) -> None:
    page = site.open(site.bell("preferences", '<h1 slot="header">News<br>of today</h1>'))
    live(page)
    page.locator(BELL).click()
    middles = page.locator("belfry-inbox [part=header]").evaluate("""(header) => {
      const close = header.querySelector('slot[name=close]').assignedElements();
      return [...header.querySelectorAll('button'), ...close].map((one) => {
        const { top, bottom } = one.getBoundingClientRect();
        return Math.round((top + bottom) / 2);
      });
    }""")
    assert len(middles) == 3
    assert len(set(middles)) == 1


def test_the_title_of_the_page_says_how_many(site: Site) -> None:
    page = site.open(site.bell("title-badge"))
    live(page)
    sent = site.send()
    until(lambda: page.title() == "(1) Shop")
    site.server.sql.execute("SELECT belfry.mark_read(%s, %s)", (site.recipient, [sent]))
    until(lambda: page.title() == "Shop")


def test_toasts_come_while_the_bell_is_closed_each_once_and_lead_on(site: Site) -> None:
    page = site.open(site.bell("toasts"))
    live(page)
    site.send("A toast")
    toast = page.locator("[part~=toast] [part=title]")
    until(lambda: toast.all_text_contents() == ["A toast"])
    toast.click()
    until(lambda: page.locator("belfry-inbox [part=list]").is_visible())
    site.send("No toast")
    shows(page, "No toast", "A toast")
    assert toast.count() == 0


def test_a_notification_of_the_desktop_comes_once_for_all_hidden_tabs(site: Site) -> None:
    stub = """() => {
      globalThis.notified = [];
      globalThis.Notification = class { constructor(...all) { notified.push(all[0]); } };
      Notification.permission = 'granted';
      Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    first = site.open(site.bell("desktop"))
    second = first.context.new_page()
    second.goto(first.url)
    for page in (first, second):
        page.evaluate(stub)
        live(page)
    site.send("Far away")
    until(lambda: [*first.evaluate("notified"), *second.evaluate("notified")])
    until(lambda: badge(first) == badge(second) == "1")
    assert [*first.evaluate("notified"), *second.evaluate("notified")] == ["Far away"]


def test_sixty_come_by_pages_as_one_scrolls(site: Site) -> None:
    for number in range(60):
        site.send(f"Number {number}")
    page = site.open(site.inbox())
    until(lambda: 20 <= len(titles(page)) < 60)
    for _ in range(20):
        page.locator("belfry-inbox [part=list]").evaluate("one => { one.scrollTop = one.scrollHeight }")
        page.wait_for_timeout(50)
        if len(titles(page)) == 60:
            break
    shows(page, *(f"Number {number}" for number in reversed(range(60))))


def test_what_was_looked_at_is_seen_and_stays_unread(site: Site) -> None:
    site.send()
    page = site.open(site.bell('badge="unseen"'))
    until(lambda: badge(page) == "1")
    page.locator(BELL).click()
    until(lambda: site.counts() == (1, 0))
    until(lambda: badge(page) is None)


def test_unread_are_counted_on_their_tab_and_all_marked_at_once(site: Site) -> None:
    for number in range(3):
        site.send(f"{number}")
    page = site.open(site.inbox())
    unread = page.get_by_role("tab", name="Unread")
    until(lambda: unread.get_attribute("data-count") == "3")
    unread.click()
    shows(page, "2", "1", "0")
    page.get_by_label("Mark all as read").click()
    until(lambda: page.locator("belfry-inbox [part=empty]").count())
    until(lambda: site.counts()[0] == 0)
    assert unread.get_attribute("data-count") is None


def test_an_error_says_so_and_can_be_tried_again(site: Site) -> None:
    site.send()
    page = site.open("", policy="")
    page.route("**/v1/inbox?*", lambda route: route.fulfill(status=500, body="{}"))
    page.evaluate("(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", site.inbox())
    until(lambda: page.locator("belfry-inbox [part=error]").is_visible())
    page.unroute("**/v1/inbox?*")
    page.get_by_role("button", name="Try again").click()
    shows(page, "Hello")


def test_a_lost_server_is_said_after_a_while_and_forgotten_when_it_is_back(site: Site, server: Server) -> None:
    one = Site(site.browser, site.pages, server.start(), "u1")
    page = one.open(one.inbox())
    live(page)
    notice = page.locator("belfry-inbox [part=notice]")
    server.kill()
    until(lambda: notice.text_content() == "Offline. Reconnecting…")
    server.start()
    until(lambda: notice.text_content() == "", 40)
    one.send("Back")
    shows(page, "Back")


def test_who_is_offline_is_told_so_again_after_what_failed(site: Site) -> None:
    site.send("One")
    page = site.open("<script>setInterval = () => 0</script>" + site.inbox(), policy="")
    live(page)
    notice = page.locator("belfry-inbox [part=notice]")
    page.context.set_offline(True)
    until(lambda: notice.text_content() == "Offline. Reconnecting…")
    page.route("**/v1/inbox/read", lambda route: route.fulfill(status=500))
    rows(page).first.hover()
    rows(page).first.locator("[part~=markAsRead]").click()
    until(lambda: notice.text_content() == "That did not work. Please try again.")
    until(lambda: notice.text_content() == "Offline. Reconnecting…", 15)
    page.wait_for_timeout(3000)  # what failed is forgotten by now
    assert notice.text_content() == "Offline. Reconnecting…"


def test_groups_stand_as_one_with_the_number_behind(site: Site) -> None:
    for number in range(3):
        site.send(f"{number} likes", group_key="post")
    page = site.open(site.inbox())
    shows(page, "2 likes")
    assert page.locator("[part=behind]").text_content() == "+2 more"
    page.locator("belfry-inbox [part=title]").click()
    until(lambda: site.counts()[0] == 0)


def test_the_popover_stands_beside_the_bell_and_never_over_it(site: Site) -> None:
    page = site.open(site.bell(), viewport={"width": 700, "height": 500})
    for margin, above in ((0, False), (300, True)):
        page.evaluate("(margin) => document.querySelector('belfry-bell').style.marginTop = `${margin}px`", margin)
        page.locator(BELL).click()
        boxes = [page.locator(part).bounding_box() for part in (BELL, "belfry-bell [part=popover]")]
        bell, popover = [(box["y"], box["y"] + box["height"]) for box in boxes if box]
        assert popover[0] >= 0
        assert popover[1] <= 500
        assert popover[1] <= bell[0] if above else popover[0] >= bell[1]
        page.keyboard.press("Escape")


def test_nothing_of_the_line_under_the_chosen_tab_is_cut_off(site: Site) -> None:
    """Tabs scroll sideways, and what scrolls one way is cut off the other way too, to a whole pixel."""
    page = site.open(site.bell())
    page.locator(BELL).click()
    below = "tabs => tabs.getBoundingClientRect().bottom - tabs.firstChild.getBoundingClientRect().bottom"
    until(lambda: page.locator("[role=tab]").count())
    assert page.locator("[part=tabs]").evaluate(below) >= 1


def test_a_text_of_the_other_direction_stands_where_the_others_do(site: Site) -> None:
    site.send("Latin", body="words")
    page = site.open(site.inbox('lang="ar"'))
    until(lambda: page.locator("[part=inbox]").get_attribute("dir") == "rtl")
    sides = "all => all.map((one) => [getComputedStyle(one).textAlign, getComputedStyle(one).direction].join(' '))"
    shows(page, "Latin")
    assert page.locator("[part=text] > [dir=auto]").evaluate_all(sides) == ["right ltr", "right ltr"]


def test_toasts_go_when_the_inbox_shows_what_they_say(site: Site) -> None:
    page = site.open(site.bell("toasts"))
    live(page)
    site.send("A toast")
    until(lambda: page.locator("[part~=toast]").count() == 1)
    page.locator(BELL).click()
    until(lambda: page.locator("[part~=toast]").count() == 0, 3)  # by itself one goes after six seconds
    shows(page, "A toast")


def test_while_preferences_show_no_tab_is_chosen_and_their_button_says_so(site: Site) -> None:
    page = site.open(site.inbox("preferences"))
    button = page.get_by_role("button", name="Preferences")
    chosen = page.locator("[role=tab][aria-selected=true]")
    until(lambda: chosen.all_text_contents() == ["All"])
    button.click()
    until(lambda: button.get_attribute("aria-expanded") == "true")
    assert chosen.count() == 0
    assert page.locator("[part=heading]").text_content() == "Preferences"
    page.get_by_role("tab", name="Unread").click()
    until(lambda: chosen.all_text_contents() == ["Unread"])
    assert page.locator("[part=heading]").text_content() == "Notifications"
    assert button.get_attribute("aria-expanded") == "false"
