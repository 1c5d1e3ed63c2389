"""docs/sql.md says what the schema says."""

from __future__ import annotations

from tests import sql_page


def test_the_reference_is_what_the_comments_say(database: str) -> None:
    assert sql_page.PAGE.read_text(encoding="utf-8") == sql_page.written(database), "run `python -m tests.sql_page`"
