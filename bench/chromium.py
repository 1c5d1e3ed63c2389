"""A Chromium for whoever wants to see pages: the tests of the browser, and `bench.widget`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "needs a Chromium: apt install chromium (or set BELFRY_TEST_CHROMIUM)"


def chromium() -> str | None:
    """Where a Chromium is."""
    return os.environ.get("BELFRY_TEST_CHROMIUM") or next(
        (found for name in NAMES if (found := shutil.which(name))), None
    )


@contextlib.contextmanager
def browsing(path: str) -> Generator[Browser]:
    """A browser, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])  # for whoever is root
        yield browser
        browser.close()
