"""The hooks and components in React: drawn on a server, taken over by a browser, live."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from browsing import Pages
from playwright.sync_api import Browser, Page
from serving import Server, until

from browser.test_tabs import streams
from react.packages import HERE, REQUIRE, bundled, packages

MAJORS = pytest.mark.parametrize("major", [18, 19])
HTML = """<!doctype html><title>Shop</title><div id="root">{drawn}</div>
<script>globalThis.given = {given}</script><script type="module" src="/react.js"></script>"""
CASES = '<!doctype html><title>Cases</title><div id="root"></div><script type="module" src="/cases.js"></script>'


@pytest.fixture
def major() -> int:
    """Of React."""
    return 19


@pytest.fixture
def drawn(major: int, tmp_path: Path) -> str:
    """What a server draws."""
    script = tmp_path / "server.mjs"
    script.write_text(REQUIRE + bundled(packages(major), HERE / "server.jsx", "node"))
    done = subprocess.run(["node", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def blank(browser: Browser, server: Server) -> Generator[Page]:
    """An empty page that says what it complains of; the relay is there."""
    server.start()
    with browser.new_context() as context:
        one = context.new_page()
        one.on("console", lambda line: line.type in ("error", "warning") and print(line.text, file=sys.stderr))  # noqa: T201
        yield one


@pytest.fixture
def page(blank: Page, pages: Pages, server: Server, major: int, drawn: str) -> Page:
    """The page in a browser, for two people one after the other."""
    given = {"src": server.url, "tokens": [server.token("u1"), server.token("u2")]}
    pages.put("/react.js", bundled(packages(major), HERE / "browser.jsx"), "text/javascript")
    blank.goto(pages.put("/react.html", HTML.format(drawn=drawn, given=json.dumps(given))))
    until(lambda: blank.locator("#list").get_attribute("data-status") == "live")
    return blank


@pytest.fixture
def case(blank: Page, pages: Pages, major: int) -> Page:
    """A page under the test's hand: tests/react/cases.jsx."""
    pages.put("/cases.js", bundled(packages(major), HERE / "cases.jsx"), "text/javascript")
    blank.goto(pages.put("/cases.html", CASES))
    return blank


def draw(page: Page, properties: str, inside: str = "{}") -> None:
    """Mount a provider with these properties, or draw it anew."""
    page.evaluate(f"draw({properties}, {inside})")


def until_is(page: Page, expression: str, wanted: object) -> None:
    """Wait until something of the page's state is so; else say what it is."""
    found: object = None

    def holds() -> bool:
        nonlocal found
        found = page.evaluate(f"state.{expression}")
        return found == wanted

    try:
        until(holds)
    except AssertionError:
        assert found == wanted


def test_a_server_draws_a_bell_that_is_not_connected(drawn: str) -> None:
    assert '<belfry-bell lang="en" title-badge="" hosted=""><svg slot="icon"' in drawn
    assert '<output id="counts">0<!-- -->/<!-- -->0</output>' in drawn
    assert 'data-status="idle"' in drawn


@MAJORS
def test_a_page_is_taken_over_without_a_complaint_and_is_live(
    page: Page, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.send("Hello")
    until(lambda: page.locator("#counts").text_content() == "1/1")
    assert page.locator("#list li.unread").all_text_contents() == ["Hello"]
    until(lambda: page.locator("belfry-inbox.wide [part~=title]").all_text_contents() == ["Hello"])
    assert page.locator("belfry-inbox.wide [part=heading]").text_content() == "News"
    until(lambda: page.title() == "(1) Shop")
    page.locator("#list li").click()
    until(lambda: server.counts()[0] == 0 and page.locator("#counts").text_content()[0] == "0")
    assert page.evaluate("faults") == []
    assert capsys.readouterr().err == ""


def test_a_provider_that_is_mounted_twice_has_one_stream_and_none_when_it_is_gone(page: Page, server: Server) -> None:
    assert streams(server) == 1
    page.locator("#other").click()
    page.locator("#other").click()
    until(lambda: streams(server) == 0)
    assert page.locator("belfry-bell").count() == 0


def test_the_token_of_another_person_brings_their_inbox(page: Page, server: Server) -> None:
    server.send("for the first")
    server.send("for the second", "u2")
    until(lambda: page.locator("#list li").all_text_contents() == ["for the first"])
    page.locator("#other").click()
    until(lambda: page.locator("#list li").all_text_contents() == ["for the second"])
    until(lambda: page.locator("belfry-inbox.wide [part~=title]").all_text_contents() == ["for the second"])
    until(lambda: streams(server) == 1)


def test_what_somebody_opens_is_told_to_the_page(page: Page, server: Server) -> None:
    server.send("Read me")
    page.locator("belfry-bell button[part=bell]").click()
    page.locator("belfry-bell [part~=item] [part=title]").click()
    until(lambda: page.locator("#opened").text_content() == "Read me")


def test_a_token_is_asked_for_once_and_its_function_may_be_another_each_time(case: Page, server: Server) -> None:
    properties = f"{{ src: '{server.url}', token: bringing('{server.token()}') }}"
    draw(case, properties)
    until_is(case, "list.status", "live")
    draw(case, properties)
    assert case.evaluate("state.asked") == 1
    server.send("Hello")
    until_is(case, "titles", ["Hello"])
    assert streams(server) == 1


def test_a_token_that_comes_after_the_cookie_brings_an_inbox(case: Page, server: Server) -> None:
    draw(case, f"{{ src: '{server.url}' }}")
    until_is(case, "list.status", "unauthorized")
    draw(case, f"{{ src: '{server.url}', token: bringing('{server.token()}') }}")
    until_is(case, "list.status", "live")


def test_a_fresh_token_is_used_at_once_where_the_one_before_was_refused(case: Page, server: Server) -> None:
    case.evaluate("globalThis.setTimeout = () => 0")  # no other attempt than what the token brings
    draw(case, f"{{ src: '{server.url}', token: '{server.token(seconds=-60)}' }}")
    until_is(case, "list.status", "unauthorized")
    case.evaluate("state.first = state.client")
    draw(case, f"{{ src: '{server.url}', token: '{server.token()}' }}")
    until_is(case, "list.status", "live")
    assert case.evaluate("state.first === state.client")


def test_a_given_client_stays_open_when_its_provider_is_gone(case: Page, server: Server) -> None:
    case.evaluate(f"state.given = createClient({{ src: '{server.url}', token: '{server.token()}' }})")
    draw(case, "{ client: state.given }")
    until_is(case, "list.status", "idle")
    case.evaluate("state.given.open()")
    until_is(case, "list.status", "live")
    draw(case, "null")
    until(lambda: case.locator("belfry-bell").count() == 0)
    assert case.evaluate("state.given.snapshot.status") == "live"


@MAJORS
def test_the_elements_take_a_ref_and_what_any_element_takes(
    case: Page, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(case, f"{{ src: '{server.url}', token: '{server.token()}' }}", "{ inbox: true }")
    until_is(case, "list.status", "live")
    bell = case.locator("belfry-bell")
    assert bell.is_visible()
    assert not case.locator("belfry-inbox:not(belfry-bell *)").is_visible()
    names = ("tabindex", "data-of", "toasts", "hidden")
    assert [bell.get_attribute(name) for name in names] == ["-1", "me", None, None]
    bell.click()
    until_is(case, "opened", 1)
    assert case.evaluate("[state.clicks, state.bell.current.open]") == [1, True]
    case.evaluate("state.bell.current.hide()")
    until(lambda: not case.evaluate("state.bell.current.open"))
    assert capsys.readouterr().err == ""


def test_a_filter_is_taken_from_the_hook(case: Page, server: Server) -> None:
    server.send("Unread")
    token = server.token()
    draw(case, f"{{ src: '{server.url}', token: '{token}' }}", "{ filter: { state: 'archived' } }")
    until_is(case, "list.loaded && state.list.filter.state", "archived")
    assert case.evaluate("state.list.notifications") == []
    draw(case, f"{{ src: '{server.url}', token: '{token}' }}", "{ filter: { state: 'unread' } }")
    until_is(case, "list.notifications.map(({ title }) => title)", ["Unread"])


def test_counts_are_drawn_again_only_when_they_change(case: Page, server: Server) -> None:
    one = server.send("One")
    draw(case, f"{{ src: '{server.url}', token: '{server.token()}' }}")
    until(lambda: case.locator("output").text_content() == "1")
    case.evaluate(f"state.client.markAsRead({one})")
    until(lambda: case.locator("output").text_content() == "0")
    until(lambda: server.counts() == (0, 0))
    before = case.evaluate("state.counted")
    case.evaluate(f"state.client.archive({one})")
    until_is(case, "list.notifications.length", 0)
    assert case.evaluate("state.counted") == before


def test_an_element_that_a_server_drew_asks_nobody_before_it_has_its_client(
    blank: Page, pages: Pages, server: Server
) -> None:
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    script = f'<script type="module" src="{server.url}/widget.js"></script>'
    blank.goto(pages.put("/hosted.html", f"<!doctype html>{script}<belfry-bell hosted></belfry-bell>"))
    drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    blank.evaluate(f"customElements.whenDefined('belfry-bell').then(() => {drawn})")
    assert asked == []
    blank.evaluate(
        f"""import('{server.url}/widget.js').then(({{ createClient }}) => {{
            const bell = document.querySelector('belfry-bell');
            bell.client = createClient({{ src: '{server.url}', token: '{server.token()}' }});
            bell.client.open();
        }})"""
    )
    until(lambda: blank.evaluate("document.querySelector('belfry-bell').client?.snapshot.status") == "live")
    assert asked
