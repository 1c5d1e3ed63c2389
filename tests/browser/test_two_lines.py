"""Two lines of HTML on a page of another origin, under a strict policy: bell, badge and inbox, live."""

from __future__ import annotations

import gzip
import re

import httpx
import pytest
from elements import Site, shows
from serving import until

LIMIT_BYTES = 20_000
LANGUAGE_BYTES = 480
LANGUAGES = ("de", "fr", "es", "ja", "ar")


def test_two_lines_show_bell_badge_and_inbox_live(site: Site) -> None:
    site.send("Before")
    page = site.open(site.bell())
    badge = page.locator("belfry-bell [part=badge]")
    until(lambda: badge.text_content() == "1")
    page.locator("belfry-bell button[part=bell]").click()
    shows(page, "Before")
    site.send("After")
    shows(page, "After", "Before")
    until(lambda: badge.text_content() == "2")
    assert page.locator("belfry-bell [part=bell]").get_attribute("aria-label") == "Notifications, 2 unread"
    assert site.faults == []


def test_a_page_asks_once_for_what_its_script_leads_to(site: Site) -> None:
    page = site.open(site.bell())
    until(lambda: page.locator("belfry-bell [part=bell]").count() == 1)
    asked = [url for url in site.requests if "/widget" in url]
    assert len(asked) == 2, asked
    assert re.fullmatch(r".*/widget/[0-9a-f]{12}/belfry\.js", asked[1])


def test_another_language_is_one_request_more(site: Site) -> None:
    page = site.open(site.bell(), lang="de")
    until(lambda: page.locator("belfry-bell [part=bell]").get_attribute("aria-label") == "Mitteilungen")
    assert len([url for url in site.requests if "texts." in url]) == 1


@pytest.mark.parametrize("language", ["", *LANGUAGES])
def test_all_that_a_page_loads_is_small(site: Site, language: str) -> None:
    with httpx.Client(base_url=site.server.url) as http:
        entry = http.get("/widget.js").text
        whole = re.search(r'"\.(/widget/[^"]+)"', entry)
        assert whole is not None
        texts = whole[1].replace("belfry.js", f"texts.{language}.js")
        loaded = [
            entry,
            *(http.get(path).raise_for_status().text for path in {whole[1], texts if language else whole[1]}),
        ]
    size = sum(len(gzip.compress(each.encode(), mtime=0)) for each in loaded)
    assert size <= LIMIT_BYTES + (LANGUAGE_BYTES if language else 0), size
