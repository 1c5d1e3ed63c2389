"""The demo page: two devices, a form, and a connection that is cut and heals."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from browsing import Pages
from playwright.sync_api import Browser, Page
from serving import Server, until


@pytest.fixture
def faults() -> list[str]:
    """What the page complained of."""
    return []


@pytest.fixture
def page(browser: Browser, pages: Pages, server: Server, faults: list[str]) -> Generator[Page]:
    """The demo in a browser."""
    server.start(dev="true")
    context = browser.new_context(viewport={"width": 1360, "height": 1000})
    one = context.new_page()
    one.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    one.on("pageerror", lambda fault: faults.append(str(fault)))
    one.goto(server.url)
    for device in ("laptop", "phone"):
        until(lambda device=device: phase(one, device) == "Live")
    yield one
    context.close()


def phase(page: Page, device: str) -> str | None:
    return page.locator(f"#{device} .phase").text_content()


def titles(page: Page, device: str) -> list[str]:
    return page.locator(f"#{device} > belfry-inbox [part=title]").all_text_contents()


def send(page: Page, title: str, example: str = "Comment") -> None:
    page.get_by_role("button", name=example).click()
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Send", exact=True).click()
    until(lambda: re.match(r"Committed|Scheduled", page.locator("#outcome").text_content() or ""))


def test_what_is_sent_arrives_on_both_devices_and_read_on_one_is_read_on_the_other(
    page: Page, faults: list[str]
) -> None:
    send(page, "Hello")
    send(page, "Broken", "Failed deploy")
    for device in ("laptop", "phone"):
        until(lambda device=device: titles(page, device) == ["Broken", "Hello"])
    page.locator("#laptop > belfry-inbox [part=title]").last.click()
    until(lambda: page.locator("#phone > belfry-inbox [part~=item][part~=unread]").count() == 1)
    assert page.locator("#phone > header > belfry-bell [part=badge]").text_content() == "1"
    assert faults == []


def test_a_device_that_is_cut_misses_nothing(page: Page) -> None:
    page.locator("#phone .cut").click()
    until(lambda: phase(page, "phone") == "Cut")
    send(page, "While it was away")
    until(lambda: titles(page, "laptop") == ["While it was away"])
    assert titles(page, "phone") == []
    page.locator("#phone .cut").click()
    until(lambda: phase(page, "phone") == "Live" and titles(page, "phone") == ["While it was away"])


def test_a_topic_reaches_who_subscribes_with_one_click(page: Page) -> None:
    page.get_by_role("button", name="To a team").click()
    page.get_by_role("button", name="subscribe now").click()
    until(lambda: "is subscribed" in (page.locator("#outcome").text_content() or ""))
    send(page, "For the team", "To a team")
    until(lambda: titles(page, "phone") == ["For the team"])


def test_the_devices_may_show_two_people(page: Page) -> None:
    page.locator("#phone select").select_option("ada")
    until(lambda: phase(page, "phone") == "Live")
    send(page, "For demo alone")
    until(lambda: titles(page, "laptop") == ["For demo alone"])
    assert titles(page, "phone") == []


def test_the_code_beside_the_form_sends_the_same(page: Page, server: Server) -> None:
    page.get_by_role("button", name="Failed deploy").click()
    for block in ("code-call", "code-insert"):
        server.sql.execute((page.locator(f"#{block}").text_content() or "").encode())
    until(lambda: titles(page, "laptop") == ["Deploy to production failed"] * 2)
    assert page.locator("#laptop > belfry-inbox [part~=action]").count() == 4


def test_what_is_due_later_has_no_insert_since_it_is_no_row_yet(page: Page, server: Server) -> None:
    page.get_by_role("button", name="In 10 seconds").click()
    assert not page.locator("#code-insert").is_visible()
    server.sql.execute((page.locator("#code-call").text_content() or "").encode())
    assert server.value("SELECT count(*) FROM belfry.scheduled") == 1
    page.get_by_role("button", name="Comment").click()
    assert page.locator("#code-insert").is_visible()


def test_language_accent_theme_and_frames_follow(page: Page) -> None:
    page.get_by_label("Language").select_option("ar")
    until(lambda: page.locator("#laptop > belfry-inbox [part=inbox]").get_attribute("dir") == "rtl")
    page.get_by_label("Accent").select_option("Teal")
    assert (
        page.locator("#phone").evaluate("one => one.style.getPropertyValue('--belfry-accent')").startswith("light-dark")
    )
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    before = page.evaluate(scheme)
    page.locator("#theme").click()
    assert page.evaluate(scheme) == "dark"
    page.locator("#theme").click()
    assert page.evaluate(scheme) == before  # the system's choice again
    page.locator("summary").click()
    ready = page.locator("#frames .frame.ready")
    assert ready.count() == 2
    assert ready.evaluate_all("all => Math.max(...all.map((one) => one.offsetHeight))") < 200  # a few lines each
