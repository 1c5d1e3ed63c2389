"""Whatever a notification carries is text, and runs nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from elements import Site, rows, titles
from playwright.sync_api import Page, Route
from serving import until

MARKUP = (
    "<img src=x onerror='globalThis.ran = 1'>",
    "<script>globalThis.ran = 1</script>",
    "<svg/onload=globalThis.ran=1>",
    "</style><iframe srcdoc='<script>parent.ran = 1</script>'>",
    '"><b onmouseover=globalThis.ran=1>',
    "{{constructor.constructor('globalThis.ran = 1')()}}",
    "${globalThis.ran = 1}",
    "<!--", "]]>", "&lt;b&gt;", "%3Cscript%3E",
)  # fmt: skip
ODD = (
    "bell\u0007 and escape\u001b[31m",
    "right\u202eto left\u2066 and \u2069back",
    "zero\u200bwidth\ufeff joined\u200d",
    "line\u2028separator\nand break",
    "Z̸̡̢̧a̶͎͘l̵͝g̸o̷" * 20,
    "🔔👩‍👩‍👧‍👦🏳️‍🌈",
)  # fmt: skip
LINKS = (
    "javascript:globalThis.ran=1", " javascript:globalThis.ran=1", "JaVaScRiPt:globalThis.ran=1",
    "java\tscript:globalThis.ran=1", "java\nscript:globalThis.ran=1", "\u0001javascript:globalThis.ran=1",
    "data:text/html,<script>opener.ran=1</script>", "vbscript:x",
    "blob:http://localhost/x", "file:///etc/passwd", "view-source:http://localhost", "filesystem:http://localhost/x",
    "about:blank", "ws://localhost", "intent://x#Intent;end", "https://", "//",
)  # fmt: skip
SAFE = {"http:", "https:", "mailto:"}


def harmless(page: Page, site: Site) -> None:
    """Nothing ran, nothing complained, nothing but text was made, every link may be followed."""
    assert page.evaluate("globalThis.ran") is None
    pictures = ("img-src", "Failed to load resource")  # what is a path of the page's own origin may be asked for
    assert [fault for fault in site.faults if not any(word in fault for word in pictures)] == []
    roots = """(() => {
      const found = [];
      const walk = (root) => root.querySelectorAll('*').forEach((one) => {
        found.push(one);
        if (one.shadowRoot) walk(one.shadowRoot);
      });
      walk(document);
      return found;
    })()"""
    made = set(page.evaluate(f"{roots}.map((one) => one.localName)"))
    assert not made & {"iframe", "object", "embed", "b", "style", "base", "form"}, made
    links = page.evaluate(f"{roots}.filter((one) => one.href && one.localName === 'a').map((one) => one.protocol)")
    assert set(links) <= SAFE, links
    handlers = page.evaluate(
        f"{roots}.flatMap((one) => [...one.attributes]).filter(({{name}}) => name.startsWith('on')).length"
    )
    assert handlers == 0


def test_markup_and_odd_characters_are_text_wherever_they_stand(site: Site) -> None:
    for text in (*MARKUP, *ODD):
        more: dict[str, Any] = {
            "body": text,
            "actor": json.dumps({"id": text, "name": text, "avatar_url": text}),
            "actions": json.dumps([{"name": text, "label": text, "url": text, "style": text}]),
            "data": json.dumps({"text": text, "__proto__": {"polluted": True}}),
            "tags": [text],
            "action_url": text,
        }
        site.send(text, **more)
    page = site.open(site.bell("toasts") + site.inbox('limit="50"'))
    until(lambda: len(titles(page, "main > belfry-inbox")) == len(MARKUP) + len(ODD))
    shown = titles(page, "main > belfry-inbox")
    assert shown == [*reversed((*MARKUP, *ODD))]
    page.locator("belfry-bell button[part=bell]").click()
    rows(page).first.hover()
    assert page.evaluate("({}).polluted") is None
    harmless(page, site)


def test_a_link_that_runs_something_is_no_link(site: Site) -> None:
    for url in LINKS:
        actions = json.dumps([{"name": "a", "label": "Open", "url": url}])
        actor = json.dumps({"name": "A", "avatar_url": url})
        site.send(f"{url!r}", action_url=url, actions=actions, actor=actor)
    page = site.open(site.inbox('limit="50"'))
    until(lambda: len(titles(page)) == len(LINKS))
    before = page.url
    for button in page.locator("belfry-inbox [part=title], belfry-inbox [part~=action]").all():
        button.evaluate("one => one.click()")
    page.wait_for_timeout(200)  # nothing may happen: there is no signal of that
    assert page.url == before
    assert len(page.context.pages) == 1
    harmless(page, site)


def test_links_that_may_be_followed_are_links(site: Site) -> None:
    for url in ("https://example.com/a", "/docs/7", "mailto:a@example.com"):
        site.send(url, action_url=url)
    page = site.open(site.inbox())
    until(lambda: len(titles(page)) == 3)
    found = page.locator("belfry-inbox [part=title]").evaluate_all("all => all.map((one) => one.href)")
    assert found == ["mailto:a@example.com", f"{site.pages.origin}/docs/7", "https://example.com/a"]


def test_texts_without_end_are_cut_and_take_no_room(site: Site) -> None:
    site.send("x" * 60_000)
    site.send("wide " * 10_000, actions=json.dumps([{"name": "a", "label": "L" * 5000}]))
    site.send("name", actor=json.dumps({"name": "N" * 20_000}))
    page = site.open(site.inbox())
    until(lambda: len(titles(page)) == 3)
    assert max(map(len, titles(page))) <= 501
    box = page.locator("belfry-inbox").bounding_box()
    assert box is not None
    for row in rows(page).all():
        found = row.bounding_box()
        assert found is not None
        assert found["width"] <= box["width"]
        assert found["height"] < 260
    harmless(page, site)


@pytest.mark.parametrize("text", [MARKUP[0], ODD[1]])
def test_toasts_and_announcements_are_text_too(site: Site, text: str) -> None:
    page = site.open(site.bell("toasts title-badge"))
    until(lambda: page.evaluate("document.querySelector('belfry-bell').client?.snapshot.status") == "live")
    site.send(text, body=text, actor=json.dumps({"name": text}))
    until(lambda: page.locator("[part~=toast] [part=title]").all_text_contents() == [text])
    live = "document.querySelector('belfry-bell').shadowRoot.querySelector('[role=status][part=hidden]').textContent"
    until(lambda: page.evaluate(live) == text)
    assert page.title() == "(1) Shop"
    harmless(page, site)


def test_what_a_page_keeps_from_others_is_kept_and_nothing_foreign_is_asked(site: Site) -> None:
    hosts = (
        "//evil.invalid/a",
        "http:evil.invalid",
        "https:\\\\evil.invalid",
        "\\\\evil.invalid",
        "https://a@evil.invalid",
    )
    for url in hosts:
        site.send(url, body=url, action_url=url, data=json.dumps({"url": url, "html": f"<img src={url}>"}))
    page = site.open(site.inbox("preferences") + site.bell("toasts desktop"))
    until(lambda: len(titles(page, "main > belfry-inbox")) == len(hosts))
    assert {url for url in site.requests if "evil" in url} == set()  # a link asks for nothing until it is followed
    harmless(page, site)


def test_an_avatar_is_a_picture_of_http_alone_and_tells_nothing_of_the_page(site: Site) -> None:
    page = site.open(site.inbox(), policy="")
    asked: set[tuple[str, str | None]] = set()  # an item that is drawn anew asks again

    def note(route: Route) -> None:
        asked.add((route.request.url, route.request.header_value("referer")))
        route.abort()

    page.route("https://faces.invalid/**", note)
    for url in (
        "https://faces.invalid/a.png",
        "data:image/svg+xml,<svg onload=globalThis.ran=1>",
        "blob:x",
        "mailto:a@b.c",
    ):
        site.send(url, actor=json.dumps({"name": "Ada Lindgren", "avatar_url": url}))
    until(lambda: len(titles(page)) == 4 and asked)
    assert asked == {("https://faces.invalid/a.png", None)}
    until(
        lambda: page.locator("belfry-inbox [part~=avatar]").all_text_contents() == ["AL"] * 4
    )  # what is not to be had


def test_many_actions_and_tags_neither_run_nor_stretch(site: Site) -> None:
    actions = [{"name": f"a{number}", "label": f"Act {number}"} for number in range(1000)]
    site.send("Many", actions=json.dumps(actions), tags=[f"t{number}" for number in range(500)], group_key=MARKUP[0])
    site.server.sql.execute("SELECT belfry.declare_kind('test', %s)", (MARKUP[0],))
    page = site.open(site.inbox("preferences"))
    until(lambda: titles(page) == ["Many"])
    assert 1 <= page.locator("belfry-inbox [part~=action]").count() <= 10
    page.get_by_role("button", name="Preferences").click()
    until(lambda: page.locator("[part=preference]").first.text_content() == MARKUP[0])
    harmless(page, site)


LEAVE = """() => {
  globalThis.notified = [];
  globalThis.Notification = class { constructor(...all) { notified.push(all); } };
  Notification.permission = 'granted';
  Object.defineProperty(document, 'visibilityState', {get: () => 'hidden'});
  document.dispatchEvent(new Event('visibilitychange'));
}"""
LATE_LOCKS = """<script>
  const { request } = LockManager.prototype;
  LockManager.prototype.request = function (name, how, run) {
    if (how.mode !== 'shared') return request.call(this, name, how, run);
    return new Promise((done) => { globalThis.grant = done; }).then(() => request.call(this, name, how, run));
  };
</script>"""


def test_a_page_that_is_left_as_soon_as_it_is_there_is_not_taken_for_looked_at(site: Site) -> None:
    page = site.open(LATE_LOCKS + site.bell("desktop"), policy="")
    until(lambda: page.evaluate("globalThis.grant !== undefined"))
    page.evaluate(LEAVE)
    page.evaluate("grant()")
    until(lambda: page.evaluate("document.querySelector('belfry-bell').client?.snapshot.status") == "live")
    site.send("Told")
    until(lambda: page.evaluate("notified.length"))


def test_the_desktop_is_told_text_and_no_picture_that_runs(site: Site) -> None:
    page = site.open(site.bell("desktop"))
    page.evaluate(LEAVE)
    until(lambda: page.evaluate("document.querySelector('belfry-bell').client?.snapshot.status") == "live")
    site.send(
        MARKUP[0] * 100, body=MARKUP[1], actor=json.dumps({"name": "A", "avatar_url": "javascript:globalThis.ran=1"})
    )
    until(lambda: page.evaluate("notified.length"))
    [[title, options]] = page.evaluate("notified")
    assert title.startswith(MARKUP[0])
    assert len(title) <= 501
    assert options["body"] == MARKUP[1]
    assert options["icon"] == ""
    harmless(page, site)


def test_what_is_of_another_shape_than_it_should_be_spoils_no_other(site: Site) -> None:
    site.send("Before")
    site.send("Odd", actor='{"name": 5, "avatar_url": {}}', actions='[null, 1, "x", [], {}, {"label": {}, "url": 7}]')
    site.send("Odder", actor='{"name": ["a"], "avatar_url": 7}', actions='[{"name": "ok", "label": null, "url": []}]')
    site.send("After", actor='{"name": "   ", "avatar_url": ""}', data='{"toString": 1}')
    page = site.open(site.bell("toasts") + site.inbox())
    until(lambda: titles(page, "main > belfry-inbox") == ["After", "Odder", "Odd", "Before"])
    assert page.locator("main > belfry-inbox [part~=action]").all_text_contents() == ["ok"]
    harmless(page, site)
