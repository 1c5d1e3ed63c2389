"""The browser's tests: a real Chromium, a whole server as a process, and pages of another origin.

They are synchronous: Playwright's own loop may not run beside that of the other tests.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator

import pytest
from browsing import Pages
from elements import Site
from playwright.sync_api import Browser
from serving import Server

from bench.chromium import MISSING, browsing, chromium
from bench.postgres import Cluster
from tests.conftest import fresh

people = itertools.count(1)


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """A Chromium; the tests that need one are skipped where there is none."""
    path = chromium()
    if path is None:
        pytest.skip(MISSING)
    with browsing(path) as one:
        yield one


@pytest.fixture(scope="module")
def pages() -> Generator[Pages]:
    """A site of another origin than the relay's."""
    with Pages() as site:
        yield site


@pytest.fixture
def server(database: str, pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A relay, not yet started, that lets the site's pages ask."""
    with Server(database, tmp_path_factory.mktemp("relay"), cors_origins=pages.origin) as one:
        yield one


@pytest.fixture(scope="module")
def shared(
    postgres: Cluster, template: str, pages: Pages, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    """A relay that serves all tests of a module."""
    with (
        fresh(postgres, template) as database,
        Server(database, tmp_path_factory.mktemp("relay"), cors_origins=pages.origin) as one,
    ):
        yield one.start()


@pytest.fixture
def site(browser: Browser, pages: Pages, shared: Server) -> Generator[Site]:
    """The same for one test: a recipient whom no other test knows, and pages that are closed afterwards."""
    yield Site(browser, pages, shared, f"person-{next(people)}")
    for context in browser.contexts:
        context.close()
