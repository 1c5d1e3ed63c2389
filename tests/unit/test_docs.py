"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "sql/README.md", ROOT / "bench/README.md"]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#([\w-]+))?\)")
FILE = re.compile(r"`((?:app|tests|bench|sql|docs|deploy|examples)/[\w./-]+)`")
TARGET = re.compile(r"`make ([a-z-]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_files_and_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wrong = [found[0] for found in LINK.finditer(text) if not leads(page, found[1], found[2])]
    wrong += [name for name in FILE.findall(text) if not (ROOT / name).exists()]
    wrong += [f"make {name}" for name in TARGET.findall(text) if f"\n{name}:" not in makefile]
    assert not wrong


def leads(page: Path, path: str, anchor: str | None) -> bool:
    """Whether a link leads to a file, and to a heading of it."""
    target = page.parent / path
    return target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))


def anchors(text: str) -> set[str]:
    """The headings of a page, as they stand in links."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
