"""Another person signs in, or nobody: nothing of the one before is to be seen, nor can it be changed."""

from __future__ import annotations

from elements import Site, rows, shows
from playwright.sync_api import Page
from serving import until

from browser.test_elements import BELL, CLIENT, badge, live

TOAST = "belfry-bell [part~=toast] [part=title]"
SPOKEN = "document.querySelector('belfry-bell').shadowRoot.querySelector('[role=status][part=hidden]').textContent"
FUNCTION = """token => {
  globalThis.token = token;
  const bell = document.querySelector('belfry-bell');
  bell.removeAttribute('token');
  bell.token = () => globalThis.token;
}"""

HOST = """async ([src, token]) => {
  const { createClient } = await import(src + '/widget.js');
  const client = createClient({ src, token });
  client.open();
  document.querySelector('belfry-inbox, belfry-bell').client = client;
}"""


def other(site: Site) -> str:
    return f"{site.recipient}-other"


def switch(page: Page, site: Site) -> None:
    """The page hands the element the token of another person."""
    token = site.server.token(other(site))
    page.evaluate("(token) => document.querySelector('belfry-inbox, belfry-bell').setAttribute('token', token)", token)
    live(page)
    until(lambda: page.evaluate(f"{CLIENT}.snapshot.recipient") == other(site))


def switch_inside(page: Page, site: Site) -> None:
    """The page's token function brings another person's from now on; the client notices when it connects anew."""
    page.evaluate("(token) => { globalThis.token = token }", site.server.token(other(site)))
    page.evaluate("dispatchEvent(new Event('online'))")
    until(lambda: page.evaluate(f"{CLIENT}.snapshot.recipient") == other(site))
    live(page)


def inside(site: Site, attributes: str = "") -> Page:
    """A bell whose token is a function, live; its tokens are short, so that each is asked for again."""
    page = site.open(f"<belfry-bell {attributes}></belfry-bell>", policy="")
    page.evaluate(FUNCTION, site.server.token(site.recipient, 9))
    until(lambda: page.evaluate(f"{CLIENT}?.snapshot.recipient") == site.recipient)
    live(page)
    return page


def prefer(page: Page, site: Site) -> None:
    """Open the preferences, where one tells whose they are."""
    site.server.sql.execute("SELECT belfry.set_preference(%s, 'secret.project', false)", (site.recipient,))
    if page.locator(BELL).count():
        page.locator(BELL).click()
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]", has_text="secret.project").count())


def test_preferences_close_and_are_read_anew(site: Site) -> None:
    page = site.open(site.bell("preferences"))
    prefer(page, site)
    switch(page, site)
    assert page.locator("[part=preference]").count() == 0
    assert page.locator("belfry-inbox [part=heading]").text_content() == "Notifications"
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").count())
    assert "secret.project" not in page.locator("belfry-inbox [part=preferences]").text_content()  # type: ignore[operator]


def test_preferences_that_come_late_are_not_shown_to_the_next(site: Site) -> None:
    page = site.open(site.inbox("preferences"), policy="")
    live(page)
    site.server.sql.execute("SELECT belfry.set_preference(%s, 'secret.project', false)", (site.recipient,))
    waiting = []
    page.route("**/v1/preferences", lambda route: waiting.append(route))
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.wait_for_timeout(20) or waiting)
    switch(page, site)
    with page.expect_response("**/v1/preferences"):
        waiting[0].continue_()
    page.wait_for_timeout(100)
    assert page.locator("[part=preference]").count() == 0


def test_toasts_go_and_so_does_what_was_about_to_be_said(site: Site) -> None:
    page = site.open(site.bell("toasts"))
    live(page)
    site.send("For one alone")
    until(lambda: page.locator(TOAST).count())
    switch(page, site)
    assert page.locator(TOAST).count() == 0
    page.wait_for_timeout(1600)
    assert page.evaluate(SPOKEN) == ""
    site.server.send("For the other", other(site))
    until(lambda: page.evaluate(SPOKEN) == "For the other", 6)


def test_a_toast_does_not_come_back_with_its_bell(site: Site) -> None:
    page = site.open(site.bell("toasts"))
    live(page)
    site.send("Before")
    until(lambda: page.locator(TOAST).count())
    page.evaluate("globalThis.bell = document.querySelector('belfry-bell'); bell.remove()")
    page.evaluate("Promise.resolve()")
    page.evaluate("document.querySelector('main').append(bell)")
    live(page)
    assert page.locator(TOAST).count() == 0


def test_a_bell_that_is_moved_still_speaks(site: Site) -> None:
    page = site.open(site.bell())
    live(page)
    site.send("Before")
    until(lambda: badge(page) == "1")
    page.evaluate("globalThis.bell = document.querySelector('belfry-bell'); bell.remove()")
    page.evaluate("Promise.resolve()")
    page.evaluate("document.querySelector('main').append(bell)")
    live(page)
    site.send("After")
    until(lambda: page.evaluate(SPOKEN) == "After", 6)


def test_the_menu_of_a_row_goes_with_it(site: Site) -> None:
    site.send("For one")
    page = site.open(site.inbox())
    shows(page, "For one")
    rows(page).first.hover()
    rows(page).first.locator("[part~=snooze]").click()
    until(lambda: page.locator("[part=menu]").is_visible())
    switch(page, site)
    assert not page.locator("[part=menu]").is_visible()


def test_who_signs_out_of_a_hosted_bell_leaves_nothing(site: Site) -> None:
    site.send("For one")
    page = site.open("<belfry-bell hosted preferences title-badge></belfry-bell>", policy="")
    page.evaluate(HOST, [site.server.url, site.server.token(site.recipient)])
    until(lambda: badge(page) == "1")
    page.locator(BELL).click()
    shows(page, "For one")
    page.evaluate("const bell = document.querySelector('belfry-bell'); bell.client.close(); bell.client = null")
    shows(page)
    assert badge(page) is None
    assert page.locator(BELL).get_attribute("aria-label") == "Notifications"
    assert page.title() == "Shop"
    assert page.locator("belfry-inbox [role=tab][data-count]").count() == 0
    assert page.locator("belfry-inbox [part=empty]").count() == 0
    asked = len(site.requests)
    page.wait_for_timeout(300)
    assert site.requests[asked:] == []  # and nobody is asked in nobody's name


def test_what_was_not_looked_at_for_a_second_is_not_seen_once_the_list_is_gone(site: Site) -> None:
    site.send()
    page = site.open("<belfry-inbox hosted></belfry-inbox>", policy="")
    page.evaluate(HOST, [site.server.url, site.server.token(site.recipient)])
    shows(page, "Hello")
    page.evaluate("document.querySelector('belfry-inbox').remove()")
    page.wait_for_timeout(1500)
    assert site.counts() == (1, 1)


def test_a_token_function_that_brings_another_person_clears_all_the_same(site: Site) -> None:
    site.send("For one")
    page = inside(site, "preferences toasts")
    site.send("A toast")
    until(lambda: page.locator(TOAST).count())
    switch_inside(page, site)
    assert page.locator(TOAST).count() == 0
    page.wait_for_timeout(1600)
    assert page.evaluate(SPOKEN) == ""


def test_so_do_its_preferences(site: Site) -> None:
    page = inside(site, "preferences")
    prefer(page, site)
    switch_inside(page, site)
    assert page.locator("[part=preference]").count() == 0
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").count())
    assert page.locator("[part=preference]", has_text="secret.project").count() == 0


def test_a_cookie_that_is_another_persons_by_now_brings_their_inbox_whole(site: Site) -> None:
    """Somebody signed in in another tab: the list may not be theirs beside the stream of the one before."""
    site.send("For one")
    site.server.send("For the other", other(site))
    page = site.open("", policy="")
    relay = site.server.url.replace("127.0.0.1", "localhost")  # of one site with the page, for the cookie

    def cookie(who: str) -> None:
        value = site.server.token(who)
        page.context.add_cookies([{"name": "belfry_token", "value": value, "domain": "localhost", "path": "/"}])

    cookie(site.recipient)
    page.evaluate(
        "(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)",
        f'<belfry-inbox src="{relay}"></belfry-inbox>',
    )
    shows(page, "For one")
    live(page)
    cookie(other(site))
    page.get_by_role("tab", name="Unread").click()
    until(lambda: page.evaluate(f"{CLIENT}.snapshot.recipient") == other(site))
    shows(page, "For the other")
    site.send("Not for them")
    site.server.send("One more", other(site))
    shows(page, "One more", "For the other")
