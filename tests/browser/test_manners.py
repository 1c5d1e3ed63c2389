"""The elements are guests: what is the page's, or the browser's, stays theirs."""

from __future__ import annotations

import json

from elements import Site, rows, shows
from playwright.sync_api import Page
from serving import until

from browser.test_elements import BELL, CLIENT, badge, live


def test_who_clicks_elsewhere_is_left_there(site: Site) -> None:
    page = site.open(site.bell() + '<input id="other">', viewport={"width": 1000, "height": 700})
    page.locator(BELL).click()
    until(lambda: page.locator("belfry-inbox [part=list]").is_visible())
    page.evaluate("addEventListener('belfry-close', () => setTimeout(() => { globalThis.hasClosed = true }))")
    page.evaluate("Object.assign(document.querySelector('#other').style, {position: 'fixed', right: 0, bottom: 0})")
    page.locator("#other").click()
    until(lambda: page.evaluate("globalThis.hasClosed"))
    assert page.evaluate("document.activeElement.id") == "other"


def test_a_list_that_is_all_there_is_left_alone(site: Site) -> None:
    site.send()
    page = site.open(site.inbox())
    shows(page, "Hello")
    live(page)
    page.evaluate("""async () => {
      await new Promise((done) => setTimeout(done, 300));
      globalThis.looked = 0;
      const { observe } = IntersectionObserver.prototype;
      IntersectionObserver.prototype.observe = function (...all) { looked++; return observe.apply(this, all); };
    }""")
    page.evaluate("new Promise((done) => setTimeout(done, 500))")
    assert page.evaluate("looked") == 0


def test_the_last_language_that_was_wished_for_is_spoken(site: Site) -> None:
    page = site.open(site.inbox())
    heading = page.locator("[part=heading]")
    until(lambda: heading.text_content() == "Notifications")
    with page.expect_response("**/texts.de.js"):
        page.evaluate("for (const lang of ['de', 'en']) document.querySelector('belfry-inbox').lang = lang")
    page.evaluate("new Promise((done) => setTimeout(done, 100))")
    assert heading.text_content() == "Notifications"


def test_the_direction_follows_its_attribute(site: Site) -> None:
    page = site.open(site.inbox())
    until(lambda: page.locator("[part=heading]").text_content() == "Notifications")
    for direction in ("rtl", "ltr"):
        page.locator("belfry-inbox").evaluate("(one, direction) => { one.dir = direction }", direction)
        until(lambda direction=direction: page.locator("[part=inbox]").get_attribute("dir") == direction)


def test_the_title_stays_the_pages(site: Site) -> None:
    site.send()
    page = site.open(site.bell("title-badge"))
    until(lambda: page.title() == "(1) Shop")
    page.evaluate("document.title = '(2030) Report'")  # the page went somewhere else by itself
    site.send()
    until(lambda: page.title() == "(2) (2030) Report")
    page.evaluate("document.title = 'Cart'")
    until(lambda: page.title() == "(2) Cart")
    page.locator("belfry-bell").evaluate("one => one.toggleAttribute('title-badge')")
    until(lambda: page.title() == "Cart")
    page.locator("belfry-bell").evaluate("one => one.toggleAttribute('title-badge')")
    until(lambda: page.title() == "(2) Cart")
    page.locator("belfry-bell").evaluate("one => one.remove()")
    until(lambda: page.title() == "Cart")


def test_two_bells_do_not_quarrel_over_the_title(site: Site) -> None:
    site.send()
    page = site.open(site.bell("title-badge"))
    until(lambda: page.title() == "(1) Shop")
    page.evaluate("""() => {
      const [first] = document.querySelectorAll('belfry-bell');
      const second = first.cloneNode();
      second.setAttribute('badge', 'unseen');
      second.client = first.client;
      document.body.append(second);
    }""")
    second = page.locator("belfry-bell [part=badge]").nth(1)
    until(lambda: second.text_content() == "1")
    assert page.title() == "(1) Shop"
    page.evaluate("document.title = 'Cart'")
    until(lambda: page.title() == "(1) Cart")
    site.send()
    until(lambda: second.text_content() == "2")
    assert page.title() == "(2) Cart"
    for left in ("(2) Cart", "Cart"):
        page.locator("belfry-bell").first.evaluate("""async (one) => {
          one.remove();
          one.texts = {title: 'Messages'}; // draws it once more, where nobody sees it
          await new Promise(setTimeout);
        }""")
        assert page.title() == left


def chosen(page: Page) -> int:
    return page.evaluate("globalThis.chosen ?? 0")


def test_a_click_that_opens_another_tab_is_the_browsers(site: Site) -> None:
    site.send("Go", action_url="/orders/7")
    page = site.open(site.inbox())
    page.evaluate("""addEventListener('belfry-select', (event) => {
      event.preventDefault();
      globalThis.chosen = (globalThis.chosen ?? 0) + 1;
    })""")
    title = page.locator("belfry-inbox [part=title]")
    with page.context.expect_page() as opened:
        title.click(modifiers=["ControlOrMeta"])
    assert opened.value.url.endswith("/orders/7")
    until(lambda: site.counts()[0] == 0)  # it is read there
    assert chosen(page) == 0
    title.click()
    until(lambda: chosen(page) == 1)


def test_a_good_token_is_used_at_once_where_the_one_before_was_refused(site: Site) -> None:
    site.send()
    good = site.server.token(site.recipient)
    page = site.open("", policy="")
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1000)  # so that no pause ends
    page.evaluate(
        "(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)",
        f'<belfry-bell token="{good[:-4]}AAAA"></belfry-bell>',
    )
    until(lambda: page.evaluate(f"{CLIENT}?.snapshot.status") == "unauthorized")
    page.evaluate("(token) => document.querySelector('belfry-bell').setAttribute('token', token)", good)
    until(lambda: badge(page) == "1")
    until(lambda: page.evaluate(f"{CLIENT}.snapshot.status") == "live")


def test_the_system_notifies_nobody_who_looks_at_another_tab(site: Site) -> None:
    stub = """() => {
      globalThis.notified = [];
      globalThis.Notification = class { constructor(...all) { notified.push(all[0]); } };
      Notification.permission = 'granted';
    }"""
    hide = """() => {
      Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
      document.dispatchEvent(new Event('visibilitychange'));
    }"""
    leading = site.open(site.bell("desktop"))
    live(leading)
    looked = leading.context.new_page()
    looked.goto(leading.url)
    live(looked)
    for page in (leading, looked):
        page.evaluate(stub)
    leading.evaluate(hide)
    site.send("Looked at")
    until(lambda: badge(leading) == badge(looked) == "1")
    looked.evaluate(hide)
    site.send("Far away")
    until(lambda: leading.evaluate("notified.length"))
    assert (leading.evaluate("notified"), looked.evaluate("notified")) == (["Far away"], [])


def test_a_menu_goes_when_its_row_is_scrolled_away(site: Site) -> None:
    for number in range(30):
        site.send(f"Number {number}")
    page = site.open(site.inbox())
    until(lambda: rows(page).count() >= 20)
    rows(page).first.hover()
    rows(page).first.locator("[part~=snooze]").click()
    until(lambda: page.locator("[part=menu]").is_visible())
    page.locator("belfry-inbox [part=list]").evaluate("one => { one.scrollTop = 300 }")
    until(lambda: not page.locator("[part=menu]").is_visible())


def test_where_no_kind_can_be_muted_the_preferences_say_so(site: Site) -> None:
    page = site.open(site.inbox("preferences"))
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").all_text_contents() == ["AllAlways on"])
    assert page.locator("[part=preference] input").is_disabled()


def test_alt_and_an_arrow_are_the_browsers(site: Site) -> None:
    page = site.open(site.inbox())
    tab = page.locator("belfry-inbox [role=tab]").first
    tab.focus()
    page.evaluate("addEventListener('keydown', (event) => { globalThis.prevented = event.defaultPrevented })")
    page.keyboard.press("Control+ArrowRight")
    assert page.evaluate("prevented") is False
    page.keyboard.press("ArrowRight")
    assert page.evaluate("prevented") is True


def test_a_button_of_the_page_opens_and_closes(site: Site) -> None:
    page = site.open(f'{site.bell()}<button id="own">Mine</button>', viewport={"width": 1000, "height": 700})
    page.evaluate("""() => {
      const own = document.querySelector('#own');
      Object.assign(own.style, {position: 'fixed', right: 0, bottom: 0});
      own.onclick = () => document.querySelector('belfry-bell').toggle();
    }""")
    live(page)
    for wanted in (True, False, True, False):
        page.locator("#own").click()
        until(lambda wanted=wanted: page.evaluate("document.querySelector('belfry-bell').open") == wanted, 3)
        page.wait_for_timeout(400)  # somebody looks at it
    page.evaluate("const bell = document.querySelector('belfry-bell'); bell.show(); bell.hide(); bell.toggle()")
    assert page.evaluate("document.querySelector('belfry-bell').open") is True


def test_a_middle_click_opens_another_tab_and_leaves_it_read(site: Site) -> None:
    site.send("Nowhere")
    site.send("Go", action_url="/orders/7", actions=json.dumps([{"name": "a", "label": "Act", "url": "/act"}]))
    page = site.open(site.inbox())
    page.evaluate("addEventListener('belfry-select', () => { globalThis.chosen = 1 })")
    page.locator("belfry-inbox [part=title]").last.click(button="middle")
    page.locator("belfry-inbox [part=title]").first.click(button="right")
    page.wait_for_timeout(200)
    assert site.counts()[0] == 2
    with page.context.expect_page() as opened:
        page.locator("belfry-inbox [part=title]").first.click(button="middle")
    assert opened.value.url.endswith("/orders/7")
    until(lambda: site.counts()[0] == 1)
    page.locator("belfry-inbox [part~=item]").first.hover()
    page.locator("belfry-inbox [part~=markAsUnread]").first.click()
    until(lambda: site.counts()[0] == 2)
    with page.context.expect_page() as opened:
        page.locator("belfry-inbox [part~=action]").click(button="middle")
    assert opened.value.url.endswith("/act")
    until(lambda: site.counts()[0] == 1)
    assert chosen(page) == 0


def test_inside_a_component_of_the_page_its_language_and_direction_count(site: Site) -> None:
    page = site.open('<div lang="ar" dir="rtl"><p id="host"></p></div>', policy="", locale="de-DE")
    page.evaluate(
        "(html) => { document.querySelector('#host').attachShadow({mode: 'open'}).innerHTML = html }", site.inbox()
    )
    until(lambda: page.locator("[part=heading]").text_content() == "الإشعارات", 5)
    assert page.locator("[part=inbox]").get_attribute("dir") == "rtl"


def test_the_language_of_the_page_may_change(site: Site) -> None:
    page = site.open(site.bell())
    live(page)
    page.evaluate("document.documentElement.lang = 'fr'")
    until(lambda: page.locator(BELL).get_attribute("aria-label") == "Notifications" and speaks(page) == "fr", 5)
    page.evaluate("document.documentElement.dir = 'rtl'")
    until(lambda: page.locator("belfry-bell [part=root]").get_attribute("dir") == "rtl", 5)
    page.evaluate("document.querySelector('belfry-bell').remove()")
    page.evaluate("document.documentElement.lang = 'de'")  # and nobody minds


def speaks(page: Page) -> str | None:
    return page.locator("belfry-bell [part=root]").get_attribute("lang")


def test_what_is_said_in_english_is_called_english(site: Site) -> None:
    site.send()
    page = site.open(site.bell('lang="pt-BR"'))
    page.locator(BELL).click()
    shows(page, "Hello")
    assert speaks(page) == page.locator("[part=inbox]").get_attribute("lang") == "en"
    assert page.locator("[part=day]").text_content() == "Today"
    page.locator("belfry-bell").evaluate("one => { one.lang = 'he' }")
    page.wait_for_timeout(200)
    assert page.locator("[part=inbox]").get_attribute("dir") == "ltr"
    page.locator("belfry-bell").evaluate("one => { one.lang = 'pt-BR'; one.texts = {title: 'Avisos'} }")
    until(lambda: page.locator("[part=day]").text_content() == "Hoje", 5)  # the page has words of that language
    assert speaks(page) == "pt-BR"


def test_the_first_tab_is_shown_first(site: Site) -> None:
    site.send("Of a kind")
    site.server.sql.execute("SELECT belfry.send(%s, 'other', 'Another')", (site.recipient,))
    page = site.open(site.bell('tabs="kind:test all"'))
    page.locator(BELL).click()
    until(lambda: page.locator("belfry-inbox [part=title]").count())
    shows(page, "Of a kind")
    assert page.locator("[role=tab][aria-selected=true]").text_content() == "test"


def test_who_wants_no_tabs_gets_the_list_and_asks_for_it_once(site: Site) -> None:
    site.send("One")
    page = site.open(site.bell('tabs=""'), lang="de")
    until(lambda: page.locator("belfry-bell [part=bell]").get_attribute("aria-label") == "Mitteilungen, 1 ungelesen")
    page.locator("belfry-bell").evaluate("(bell) => { bell.texts = { title: 'News' }; }")
    page.locator("belfry-bell [part=bell]").click()
    shows(page, "One")
    assert page.locator("belfry-inbox [part=heading]").text_content() == "News"
    assert not page.locator("belfry-inbox [part=tabs]").is_visible()
    assert len([url for url in site.requests if "/v1/inbox?" in url]) == 1


def test_preferences_follow_the_language_and_go_with_their_attribute(site: Site) -> None:
    page = site.open(site.inbox("preferences"))
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").all_text_contents() == ["AllAlways on"])
    page.locator("belfry-inbox").evaluate("one => { one.lang = 'de' }")
    until(lambda: page.locator("[part=preference]").all_text_contents() == ["AlleImmer an"], 5)
    page.locator("belfry-inbox").evaluate("one => one.removeAttribute('preferences')")
    until(lambda: page.locator("[part=list]").is_visible(), 5)
    assert not page.locator("[part=preferences]").is_visible()
    assert page.locator("[part=heading]").text_content() == "Mitteilungen"


def test_a_bell_that_goes_while_it_is_open_says_that_it_is_closed(site: Site) -> None:
    page = site.open(site.bell())
    page.evaluate("""() => {
      globalThis.told = [];
      globalThis.bell = document.querySelector('belfry-bell');
      for (const name of ['open', 'close']) bell.addEventListener(`belfry-${name}`, () => told.push(name));
    }""")
    page.locator(BELL).click()
    until(lambda: page.evaluate("told") == ["open"])
    page.evaluate("bell.remove()")
    until(lambda: page.evaluate("told") == ["open", "close"], 5)
    page.evaluate("document.querySelector('main').append(bell)")
    page.evaluate("bell.remove()")
    page.wait_for_timeout(100)
    assert page.evaluate("told") == ["open", "close"]


def test_a_bell_that_is_not_there_yet_neither_opens_nor_throws(site: Site) -> None:
    page = site.open(site.bell())
    live(page)
    page.evaluate("""() => {
      const bell = document.querySelector('belfry-bell').cloneNode();
      bell.show();
      bell.hide();
      bell.toggle();
      document.querySelector('main').append(bell);
    }""")
    assert site.faults == []


def test_a_title_that_begins_with_a_bracket_keeps_the_count(site: Site) -> None:
    site.send()
    page = site.open(site.bell("title-badge"))
    until(lambda: page.title() == "(1) Shop")
    page.evaluate("document.title = '(Draft) Mail'")
    until(lambda: page.title() == "(1) (Draft) Mail", 5)
    page.evaluate("document.title = '(7) (1) Mail'")  # another widget has put its own before ours
    page.wait_for_timeout(100)
    assert page.title() == "(7) (1) Mail"
