"""docs/configuration.md tells of every setting what the program knows of it."""

from __future__ import annotations

from belfry.config import SETTINGS
from tests import configuration_page


def test_the_page_is_what_the_settings_say() -> None:
    page = configuration_page.PAGE.read_text(encoding="utf-8")
    assert page == configuration_page.written(), "run `python -m tests.configuration_page`"
    for setting in SETTINGS.values():
        assert page.count(f"\n| `{setting.variable}` | `{setting.flag}` |") == 1
