"""docs/http.md says what the OpenAPI document says."""

from __future__ import annotations

from tests import http_page


def test_the_reference_is_what_the_document_says() -> None:
    assert http_page.PAGE.read_text(encoding="utf-8") == http_page.written(), "run `python -m tests.http_page`"
